/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The pace: what of a growing text is released when. A script says what comes at which millisecond; the test steps
 * the pace as its owner does, at each growth and at each time it asked for, and writes down what was released.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/core/pace.h"
#include "libmulm/base/buf.h"
#include "libmulm/base/utf8.h"
#include "tests/support/test.h"

struct arrival {
        uint64_t at_ms;
        const char *text; /* NULL: the text ends */
        bool is_whole;
};

struct run {
        struct pace pace;
        struct pace_text text;
        struct buf merged, log; /* "0:The|400: city|" */
        uint64_t next_us;
};

static void step(struct run *run, uint64_t now_us)
{
        const size_t n_before = run->pace.n_released;
        const size_t n_whole = run->text.n_whole;

        run->text = (struct pace_text){ .text = buf_string(&run->merged),
                                        .n = run->merged.n,
                                        .n_whole = n_whole,
                                        .is_ended = run->text.is_ended };
        run->next_us = pace_step(&run->pace, &run->text, now_us);
        assert_true(run->pace.n_released >= n_before && run->pace.n_released <= run->merged.n);
        assert_true(run->next_us == 0 || run->next_us > now_us);
        if (run->pace.n_released > n_before)
                assert_int_equal(buf_printf(&run->log, "%llu:%.*s|", (unsigned long long)(now_us / 1000),
                                            (int)(run->pace.n_released - n_before), run->merged.data + n_before),
                                 0);
        assert_true(utf8_is_valid(buf_string(&run->merged) + n_before, run->pace.n_released - n_before, NULL));
}

/* The times that the pace asks for, up to one. */
static void pass(struct run *run, uint64_t until_us)
{
        while (run->next_us > 0 && run->next_us < until_us)
                step(run, run->next_us);
}

static void assert_released(double words_per_second, unsigned interval_ms, const struct arrival *arrivals, size_t n,
                            const char *wanted)
{
        struct run run = { 0 };

        pace_init(&run.pace, words_per_second, interval_ms);
        for (size_t i = 0; i < n; i++) {
                pass(&run, arrivals[i].at_ms * 1000);
                if (arrivals[i].text)
                        assert_int_equal(buf_add_string(&run.merged, arrivals[i].text), 0);
                else
                        run.text.is_ended = true;
                if (arrivals[i].is_whole)
                        run.text.n_whole = run.merged.n;
                step(&run, arrivals[i].at_ms * 1000);
        }
        pass(&run, UINT64_MAX);
        assert_string_equal(buf_string(&run.log), wanted);
        buf_done(&run.merged);
        buf_done(&run.log);
}

#define WORD(at_ms, text)                                                                                            \
        {                                                                                                            \
                at_ms, text, true                                                                                    \
        } /* the μLM's, whole */
#define PART(at_ms, text)                                                                                            \
        {                                                                                                            \
                at_ms, text, false                                                                                   \
        } /* the cloud's, cut anywhere */
#define END(at_ms)                                                                                                   \
        {                                                                                                            \
                at_ms, NULL, false                                                                                   \
        }

#define released(words_per_second, interval_ms, wanted, ...)                                                         \
        assert_released(words_per_second, interval_ms, (const struct arrival[]){ __VA_ARGS__ },                      \
                        sizeof((const struct arrival[]){ __VA_ARGS__ }) / sizeof(struct arrival), wanted)

static void test_without_a_pace_all_goes_as_it_comes(void **state)
{
        (void)state;
        released(0, 0, "0:The|1: ci|1:ty is old.|", WORD(0, "The"), PART(1, " ci"), PART(1, "ty is old."), END(2));
}

static void test_words_go_at_the_rate_over_the_seam(void **state)
{
        (void)state;
        /* The opener is there at once; the cloud comes while its words are still being said. */
        released(2, 0, "1000:The|1500: capital|2000: is|2500: Canberra,|3000: not|3500: Sydney.|", WORD(1000, "The"),
                 WORD(1003, " capital"), WORD(1006, " is"), PART(1900, " Canb"), PART(1905, "erra, not Sydney."),
                 END(1910));
}

static void test_words_that_come_late_start_the_clock_anew(void **state)
{
        (void)state;
        released(2, 0, "0:The|500: city|5000: is|5500: old|6000: now.|", WORD(0, "The"), WORD(1, " city"),
                 PART(5000, " is old now."), END(5001));
}

static void test_late_timers_do_not_slow_the_rate(void **state)
{
        struct pace pace;
        const struct pace_text text = { .text = "one two three", .n = 13, .is_ended = true };

        (void)state;
        pace_init(&pace, 2, 0);
        assert_int_equal(pace_step(&pace, &text, 1000000), 1500000);
        assert_int_equal(pace_step(&pace, &text, 1600000), 2000000);
        assert_int_equal(pace.n_released, 7);
}

static void test_first_delta_goes_at_once_and_the_last(void **state)
{
        (void)state;
        released(0, 100, "0:Canb|100:erra, not|200: Sydney, not|250: Perth.|", PART(0, "Canb"), PART(10, "erra, n"),
                 PART(50, "ot Syd"), PART(150, "ney, not Perth"), PART(220, "."), END(250));
}

static void test_between_two_deltas_is_the_interval(void **state)
{
        (void)state;
        released(0, 100, "0:a|100: b c|200: d e|", WORD(0, "a"), WORD(10, " b"), WORD(20, " c"), WORD(110, " d"),
                 WORD(120, " e"), END(400));
        released(0, 100, "0:a|150: b|", WORD(0, "a"), WORD(150, " b"));
}

static void test_rate_and_interval_go_together(void **state)
{
        (void)state;
        released(10, 250, "0:a|250: b c|500: d e f|", PART(0, "a b c d e f"), END(1));
}

static void test_unfinished_word_is_held_no_longer_than_half_a_second(void **state)
{
        (void)state;
        released(0, 100, "0:a|600: Canb|900:erra|", WORD(0, "a"), PART(100, " Canb"), PART(800, "erra"), END(900));
        released(5, 0, "0:a|600: Canb|", WORD(0, "a"), PART(100, " Canb"));
}

static void test_scripts_without_blanks_have_words_of_two_characters(void **state)
{
        (void)state;
        released(2, 0, "0:澳大|500:利亚|1000:的首|1500:都是|2000:堪培|2500:拉。|",
                 PART(0, "澳大利亚的首都是堪培拉。"), END(1));
        /* A sound mark and a vowel stay with what they belong to. */
        released(2, 0, "0:キャ|500:ンベ|1000:ラー|", PART(0, "キャンベラー"), END(1));
        released(2, 0, "0:เมื|500:อง|1000:หล|1500:วง|2000:คือ|", PART(0, "เมืองหลวงคือ"), END(1));
        released(2, 0, "0:首都|500:是|1000: Canberra|", PART(0, "首都是 Canberra"), END(1));
}

static void test_replaced_text_shows_as_much_as_was_there(void **state)
{
        struct pace pace;
        const struct pace_text old = { .text = "The capital is Sydney", .n = 21, .n_whole = 21 };
        const struct pace_text text = { .text = "The seat of government is Canberra", .n = 34 };

        (void)state;
        pace_init(&pace, 2, 0);
        (void)pace_step(&pace, &old, 1000000);
        (void)pace_step(&pace, &old, 1500000);
        assert_int_equal(pace.n_released, strlen("The capital"));
        pace_replace(&pace, &text, 4, 1600000);
        assert_int_equal(pace.n_released, strlen("The seat of"));
        assert_int_equal(pace_step(&pace, &text, 2000000), 2500000);
        assert_int_equal(pace.n_released, strlen("The seat of government"));

        pace_replace(&pace, &(struct pace_text){ .text = "The", .n = 3 }, 3, 2100000);
        assert_int_equal(pace.n_released, 3);
}

/* Any text in any pieces: all of it is released, in order, and never two deltas within the interval but for the
 * end. */
static void test_random_texts_are_released_whole(void **state)
{
        static const char *const pieces[] = { "a", " b", "word", " ", "\n", ", ", "é", "澳", "เมื", "。", " – " };
        uint64_t seed = 7;

        (void)state;
        for (unsigned round = 0; round < 3000; round++) {
                struct run run = { 0 };
                uint64_t now_us = 1000000;

                pace_init(&run.pace, round % 3 == 0 ? 0 : 0.5 + round % 50, round % 2 == 0 ? 0 : 1 + round % 700);
                for (unsigned i = 0; i < 40; i++) {
                        seed = seed * 6364136223846793005 + 1442695040888963407;
                        now_us += (seed >> 40) % 400000;
                        pass(&run, now_us);
                        assert_int_equal(buf_add_string(&run.merged,
                                                        pieces[(seed >> 33) % (sizeof(pieces) / sizeof(*pieces))]),
                                         0);
                        step(&run, now_us);
                        assert_true(run.pace.n_released > 0);
                        if (run.pace.n_released < run.merged.n)
                                assert_true(run.next_us > 0);
                }
                run.text.is_ended = true;
                step(&run, now_us);
                pass(&run, UINT64_MAX);
                assert_int_equal(run.pace.n_released, run.merged.n);
                buf_done(&run.merged);
                buf_done(&run.log);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_a_pace_all_goes_as_it_comes),
                cmocka_unit_test(test_words_go_at_the_rate_over_the_seam),
                cmocka_unit_test(test_words_that_come_late_start_the_clock_anew),
                cmocka_unit_test(test_late_timers_do_not_slow_the_rate),
                cmocka_unit_test(test_first_delta_goes_at_once_and_the_last),
                cmocka_unit_test(test_between_two_deltas_is_the_interval),
                cmocka_unit_test(test_rate_and_interval_go_together),
                cmocka_unit_test(test_unfinished_word_is_held_no_longer_than_half_a_second),
                cmocka_unit_test(test_scripts_without_blanks_have_words_of_two_characters),
                cmocka_unit_test(test_replaced_text_shows_as_much_as_was_there),
                cmocka_unit_test(test_random_texts_are_released_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
