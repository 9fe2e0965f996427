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
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

static const struct timeline_attempt attempts[] = {
        { .endpoint = "primary",
          .reason = "Status",
          .status = 503,
          .opened_us = 1000,
          .sent_us = 25000,
          .ended_us = 300000,
          .characters = 27 },
        { .endpoint = "a-backup-far-away",
          .reason = "complete",
          .status = 200,
          .opened_us = 300000,
          .sent_us = 300000,
          .first_text_us = 930000,
          .ended_us = 2100000,
          .characters = 27 },
};

static const struct timeline whole = {
        .opener_first_us = 12000,
        .opener_last_us = 24000,
        .released_us = 25000,
        .cloud_first_text_us = 930000,
        .rest_first_us = 931000,
        .rest_last_us = 2100000,
        .rest_source = "cloud",
        .end_us = 2100500,
        .reason = "",
        .opener_end = "unsure",
        .seam = 27,
        .attempts = attempts,
        .n_attempts = 2,
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
                               "opener   =                                12 to 24 ms (unsure)\n"
                               "primary  ~~~x                             sent 25 ms, 503, Status\n"
                               "a-backup    ~~~~~~=============           sent 300 ms, text 930 ms\n"
                               "cloud             =============           931 to 2100 ms\n"
                               "seam     behind 27 characters\n"
                               "resumed  behind 27 characters, a-backup-far-away after primary: Status\n"
                               "first word after 12 ms; without the opener it would have been about 905 ms\n"
                               "(the cloud's first text came 905 ms after the body was sent)\n");
}

static void test_costs_are_told_where_there_are_any(void **state)
{
        struct timeline timeline = whole;

        (void)state;
        timeline.undecided_us = 40000;
        timeline.paced_us = 2500000;
        timeline.lost_tokens = 12;
        timeline.local_seam = 31;
        assert_last_words(&timeline, "finished behind 31 characters, by the model on the device\n"
                                     "held     40 ms, until it was clear how the text joins\n"
                                     "held     2500 ms, by the pace\n"
                                     "lost     12 tokens, of answers that were outrun\n");
}

static void test_hedge_has_a_row_and_resumes_nothing(void **state)
{
        const struct timeline_attempt raced[] = {
                { .endpoint = "e",
                  .reason = "outrun",
                  .is_hedge = true,
                  .opened_us = 500,
                  .sent_us = 500,
                  .ended_us = 12000 },
                attempts[1],
        };
        struct timeline timeline = whole;
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        (void)state;
        timeline.attempts = raced;
        assert_last_words(&timeline, "hedge    x                                sent 0 ms, outrun\n");
        assert_int_equal(timeline_render(&timeline, &text), 0);
        assert_null(strstr(text.data, "resumed"));
}

static size_t widest_line(const struct timeline *timeline)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        size_t widest = 0;

        assert_int_equal(timeline_render(timeline, &text), 0);
        for (const char *line = strchr(text.data, '+'); *line; line += strcspn(line, "\n") + 1)
                if (*line == '+') {
                        widest = strcspn(line, "\n");
                        break;
                }
        return widest;
}

static void test_picture_is_as_wide_as_the_terminal_lets_it(void **state)
{
        static const unsigned columns[][2] = { { 0, 31 },  { 80, 31 }, { 81, 33 },   { 120, 71 },
                                               { 10, 11 }, { 60, 11 }, { 160, 111 }, { UINT16_MAX, 111 } };
        struct timeline timeline = whole;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
                timeline.n_columns = columns[i][0];
                assert_int_equal(widest_line(&timeline), columns[i][1]);
        }
}

static void test_rows_are_coloured_where_wanted(void **state)
{
        struct timeline timeline = whole;
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        (void)state;
        assert_int_equal(timeline_render(&timeline, &text), 0);
        assert_null(strchr(text.data, '\033'));
        timeline.color = true;
        assert_last_words(&timeline, "opener   \033[1;36m=");
        assert_last_words(&timeline, "primary  \033[31m~~~x");
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
        timeline.cloud_first_text_us = 0;
        timeline.n_attempts = 0;
        timeline.rest_source = "local";
        timeline.reason = "Offline";
        assert_last_words(&timeline, "first word after 12 ms; the cloud gave no text (Offline)\n");
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
        assert_last_words(&(struct timeline){ .reason = "", .opener_end = "", .rest_source = "" },
                          "no word was heard\n");
}

/* Any times, in any order, as a faulty daemon might tell them. */
static void test_any_times_fit_in_the_picture(void **state)
{
        static const uint64_t times[] = { 0, 1, 999, 1000, 1001, 5000000, UINT64_MAX / 2, UINT64_MAX };
        uint64_t seed = 1;

        (void)state;
        for (unsigned i = 0; i < 20000; i++) {
                _cleanup_(buf_done) struct buf text = BUF_NULL;
                struct timeline_attempt attempt = { .endpoint = "e", .reason = "r" };
                struct timeline timeline = {
                        .rest_source = "cloud", .reason = "", .opener_end = "", .attempts = &attempt, .n_attempts = 1
                };
                uint64_t *const fields[] = { &timeline.opener_first_us, &timeline.opener_last_us,
                                             &timeline.released_us,     &attempt.opened_us,
                                             &attempt.sent_us,          &attempt.first_text_us,
                                             &attempt.ended_us,         &timeline.cloud_first_text_us,
                                             &timeline.rest_first_us,   &timeline.rest_last_us,
                                             &timeline.end_us };

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
                cmocka_unit_test(test_costs_are_told_where_there_are_any),
                cmocka_unit_test(test_hedge_has_a_row_and_resumes_nothing),
                cmocka_unit_test(test_picture_is_as_wide_as_the_terminal_lets_it),
                cmocka_unit_test(test_rows_are_coloured_where_wanted),
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
