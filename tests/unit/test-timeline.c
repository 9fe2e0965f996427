/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The picture of a request, and what goes to a terminal.
 */
#include <pty.h>
#include <string.h>
#include <unistd.h>

#include "dbus/terminal.h"
#include "dbus/timeline.h"
#include "tests/support/test.h"

static const struct timeline whole = {
        .opener_first_us = 12000,
        .opener_last_us = 24000,
        .released_us = 25000,
        .cloud_first_byte_us = 905000,
        .cloud_first_text_us = 930000,
        .rest_first_us = 931000,
        .rest_last_us = 2100000,
        .rest_source = "cloud",
        .end_us = 2100500,
        .reason = "",
};

static void assert_picture(const struct timeline *timeline, const char *wanted)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        assert_int_equal(timeline_render(timeline, &text), 0);
        assert_string_equal(buf_string(&text), wanted);
}

static void assert_last_words(const struct timeline *timeline, const char *wanted)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        assert_int_equal(timeline_render(timeline, &text), 0);
        if (!strstr(buf_string(&text), wanted))
                fail_msg("\"%s\" lacks \"%s\"", buf_string(&text), wanted);
}

static void test_whole_request_is_drawn(void **state)
{
        (void)state;
        assert_picture(&whole, "         0              1500           3000 ms\n"
                               "         +--------------+--------------+\n"
                               "opener   =                                first word 12 ms, last 24 ms\n"
                               "wait     ~~~~~~~~~~                       body sent 25 ms, first byte 905 ms\n"
                               "cloud             =============           first word 931 ms, last 2100 ms\n"
                               "first word after 12 ms; without the opener it would have been about 905 ms\n"
                               "(the cloud's first text came 905 ms after the body was sent)\n");
}

static void test_without_opener_the_clouds_delay_alone_counts(void **state)
{
        struct timeline timeline = whole;

        (void)state;
        assert_int_equal(timeline_without_opener_us(&timeline), 905000);
        timeline.released_us = 930000;
        assert_int_equal(timeline_without_opener_us(&timeline), 0);
        timeline.cloud_first_text_us = 0;
        assert_int_equal(timeline_without_opener_us(&timeline), 0);
}

static void test_local_reply_says_why(void **state)
{
        struct timeline timeline = whole;

        (void)state;
        timeline.cloud_first_byte_us = timeline.cloud_first_text_us = 0;
        timeline.rest_source = "local";
        timeline.reason = "Offline";
        assert_last_words(&timeline, "first word after 12 ms; the cloud gave no text (Offline)\n");
        assert_last_words(&timeline, "body sent 25 ms, no answer\n");
        assert_last_words(&timeline, "local    ");
        timeline.reason = "";
        assert_last_words(&timeline, "the cloud gave no text\n");
}

static void test_reply_without_opener_says_so(void **state)
{
        struct timeline timeline = whole;

        (void)state;
        timeline.opener_first_us = timeline.opener_last_us = 0;
        assert_last_words(&timeline, "first word after 931 ms; there was no opener\n");
}

static void test_no_word_at_all_says_so(void **state)
{
        (void)state;
        assert_last_words(&(struct timeline){ .reason = "" }, "no word was heard\n");
}

/* Any times, in any order, as a faulty daemon might tell them. */
static void test_any_times_fit_in_the_picture(void **state)
{
        static const uint64_t times[] = { 0, 1, 999, 1000, 1001, 5000000, UINT64_MAX / 2, UINT64_MAX };
        uint64_t seed = 1;

        (void)state;
        for (unsigned i = 0; i < 20000; i++) {
                _cleanup_(buf_done) struct buf text = BUF_NULL;
                struct timeline timeline = { .rest_source = "cloud", .reason = "" };
                uint64_t *const fields[] = { &timeline.opener_first_us,     &timeline.opener_last_us,
                                             &timeline.released_us,         &timeline.cloud_first_byte_us,
                                             &timeline.cloud_first_text_us, &timeline.rest_first_us,
                                             &timeline.rest_last_us,        &timeline.end_us };

                for (size_t k = 0; k < ARRAY_SIZE(fields); k++) {
                        seed = seed * 6364136223846793005 + 1442695040888963407;
                        *fields[k] = times[(seed >> 33) % ARRAY_SIZE(times)];
                }
                assert_int_equal(timeline_render(&timeline, &text), 0);
        }
}

/* What a terminal gets of this text. */
static void assert_on_terminal(const char *text, const char *wanted)
{
        struct terminal terminal;
        char got[128] = "";
        int master, slave;
        ssize_t n;
        FILE *file;

        assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
        file = fdopen(slave, "w");
        assert_non_null(file);
        terminal_init(&terminal, file, TERMINAL_COLOR_NEVER);
        assert_int_equal(terminal_print(&terminal, "cloud", text), 0);
        n = read(master, got, sizeof(got) - 1);
        assert_true(n > 0);
        assert_string_equal(got, wanted);
        fclose(file);
        close(master);
}

static void test_reply_cannot_command_a_terminal(void **state)
{
        (void)state;
        assert_on_terminal("a\x1b[31mb", "a\xef\xbf\xbd[31mb");
        assert_on_terminal("a\xc2\x9b\x7f\rb", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                               "b");
        assert_on_terminal("déjà\tvu", "déjà\tvu");
}

static void assert_color(const char *no_color, const char *force, enum terminal_color color, bool wanted)
{
        struct terminal terminal;
        FILE *file = tmpfile();

        assert_non_null(file);
        assert_int_equal(setenv("NO_COLOR", no_color, 1), 0);
        assert_int_equal(setenv("CLICOLOR_FORCE", force, 1), 0);
        terminal_init(&terminal, file, color);
        assert_int_equal(terminal.color, wanted);
        fclose(file);
}

static void test_color_is_asked_for_or_forbidden(void **state)
{
        (void)state;
        assert_color("", "", TERMINAL_COLOR_AUTO, false);
        assert_color("", "1", TERMINAL_COLOR_AUTO, true);
        assert_color("", "0", TERMINAL_COLOR_AUTO, false);
        assert_color("1", "1", TERMINAL_COLOR_AUTO, false);
        assert_color("1", "", TERMINAL_COLOR_ALWAYS, true);
        assert_color("", "1", TERMINAL_COLOR_NEVER, false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole_request_is_drawn),
                cmocka_unit_test(test_without_opener_the_clouds_delay_alone_counts),
                cmocka_unit_test(test_local_reply_says_why),
                cmocka_unit_test(test_reply_without_opener_says_so),
                cmocka_unit_test(test_no_word_at_all_says_so),
                cmocka_unit_test(test_any_times_fit_in_the_picture),
                cmocka_unit_test(test_reply_cannot_command_a_terminal),
                cmocka_unit_test(test_color_is_asked_for_or_forbidden),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
