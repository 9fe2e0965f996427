/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The usual delay of an endpoint, and the words that cover it.
 */
#include <string.h>

#include "daemon/core/delay.h"
#include "tests/support/test.h"

static struct delay after(const uint64_t *samples, size_t n)
{
        struct delay delay = DELAY_NULL;

        for (size_t i = 0; i < n; i++)
                delay_note(&delay, samples[i]);
        return delay;
}

#define AFTER(...)                                                                                                   \
        after((const uint64_t[]){ __VA_ARGS__ }, sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* By hand after RFC 6298, section 2: the deviation moves first, by the old mean. */
static void test_estimate_moves_as_a_round_trip_time_does(void **state)
{
        struct delay delay = AFTER(800000);

        (void)state;
        assert_float_equal(delay.mean_us, 800000, 1);
        assert_float_equal(delay.deviation_us, 400000, 1);
        delay_note(&delay, 1600000);
        assert_float_equal(delay.deviation_us, 500000, 1);
        assert_float_equal(delay.mean_us, 900000, 1);
        assert_int_equal(delay_expected_us(&delay), 1900000);
}

static void test_steady_delays_are_covered_closely(void **state)
{
        struct delay delay = DELAY_NULL;

        (void)state;
        for (unsigned i = 0; i < 100; i++)
                delay_note(&delay, 1000000);
        assert_in_range(delay_expected_us(&delay), 1000000, 1000100);
        /* A network that has become slow is believed within some questions. */
        for (unsigned i = 0; i < 8; i++)
                delay_note(&delay, 3000000);
        assert_in_range(delay_expected_us(&delay), 3000000, 4500000);
}

static void test_words_cover_the_delay_within_their_limits(void **state)
{
        struct delay delay = { .is_known = true, .mean_us = 2000000 };

        (void)state;
        assert_int_equal(delay_words(&delay, 2.5, 4, 8), 5);
        assert_int_equal(delay_words(&delay, 2.6, 4, 8), 6);
        assert_int_equal(delay_words(&delay, 1, 4, 8), 4);
        assert_int_equal(delay_words(&delay, 50, 4, 8), 8);
        assert_int_equal(delay_words(&delay, 2.5, 4, 3), 3);
        assert_int_equal(delay_words(&delay, 0.5, 4, 3), 3);
        assert_int_equal(delay_words(&delay, 0.5, 1, 1), 1);
        assert_int_equal(delay_words(&DELAY_NULL, 2.5, 4, 8), 8);
        delay.mean_us = 0;
        assert_int_equal(delay_words(&delay, 2.5, 4, 8), 4);
}

static void test_absurd_delays_are_bounded(void **state)
{
        struct delay delay = AFTER(UINT64_MAX, 0, UINT64_MAX);

        (void)state;
        assert_true(delay_expected_us(&delay) < 20000000000);
        assert_int_equal(delay_words(&delay, 50, 4, 8), 8);
}

static void test_line_reads_back(void **state)
{
        static const char key[] = "https://a/v1 chat m", other[] = "https://a/v1 chat m2";
        struct delay delay = AFTER(905000, 880000), back;
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        (void)state;
        assert_int_equal(delay_print(&DELAY_NULL, other, &text), 0);
        assert_int_equal(text.n, 0);
        assert_int_equal(buf_add_string(&text, "# comment\nhttps://a/v1 chat m prefill plain unsaid tokens usage\n"),
                         0);
        assert_int_equal(delay_print(&delay, key, &text), 0);
        assert_true(delay_parse(text.data, text.n, key, &back));
        assert_float_equal(back.mean_us, delay.mean_us, 1);
        assert_float_equal(back.deviation_us, delay.deviation_us, 1);
        assert_false(delay_parse(text.data, text.n, other, &back));
        assert_false(delay_parse(text.data, text.n - 1, key, &back));
}

static void test_broken_lines_say_nothing(void **state)
{
        static const char *const lines[] = {
                "delay\n",
                "delay 1\n",
                "delay 1 2\n",
                "delay 1 2 \n",
                "delay -1 2 k\n",
                "delay 1.5 2 k\n",
                "delay nan 2 k\n",
                "delay 1 99999999999999999999 k\n",
                "delay 1 3600000001 k\n",
                "delay  1 2 k\n",
                "delay 1 2 k k\n",
                "Delay 1 2 k\n",
                "",
        };
        struct delay delay = { .mean_us = 7 };

        (void)state;
        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
                assert_false(delay_parse(lines[i], strlen(lines[i]), "k", &delay));
        assert_false(delay.is_known);
        assert_true(delay_parse("delay 1 2 k\n", 12, "k", &delay));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_estimate_moves_as_a_round_trip_time_does),
                cmocka_unit_test(test_steady_delays_are_covered_closely),
                cmocka_unit_test(test_words_cover_the_delay_within_their_limits),
                cmocka_unit_test(test_absurd_delays_are_bounded),
                cmocka_unit_test(test_line_reads_back),
                cmocka_unit_test(test_broken_lines_say_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
