/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Log lines as they come to stderr where that is not the journal's, and that they do not where it is.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "tests/support/test.h"

struct capture {
        int read_fd, saved_fd;
        char text[8192];
};

static void capture_begin(struct capture *capture)
{
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        capture->read_fd = fds[0];
        capture->saved_fd = dup(STDERR_FILENO);
        assert_true(capture->saved_fd >= 0);
        assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
        close(fds[1]);
}

static const char *capture_end(struct capture *capture)
{
        ssize_t n = read(capture->read_fd, capture->text, sizeof(capture->text) - 1);

        assert_true(dup2(capture->saved_fd, STDERR_FILENO) >= 0);
        close(capture->saved_fd);
        close(capture->read_fd);
        capture->text[n > 0 ? n : 0] = '\0';
        return capture->text;
}

static void test_line_goes_to_stderr_with_the_daemon_s_name(void **state)
{
        struct capture capture;

        (void)state;
        unsetenv("JOURNAL_STREAM");
        capture_begin(&capture);
        log_error("endpoint %s: %u", "primary", 401u);
        log_line(LOG_WARNING, &(struct log_about){ .request = "/r/1", .endpoint = "primary" }, "late");
        assert_string_equal(capture_end(&capture), "mulmd: endpoint primary: 401\nmulmd: late\n");
}

/* A server's message may hold anything: it forges no second line and moves no cursor. */
static void test_control_characters_become_blanks(void **state)
{
        struct capture capture;

        (void)state;
        unsetenv("JOURNAL_STREAM");
        capture_begin(&capture);
        log_error("%s", "a\nmulmd: forged\x1b[2J\x7f\xc3\xa9");
        assert_string_equal(capture_end(&capture), "mulmd: a mulmd: forged [2J \xc3\xa9\n");
}

static void test_long_line_is_cut_to_one_line(void **state)
{
        struct capture capture;
        char text[6000];
        const char *line;

        (void)state;
        unsetenv("JOURNAL_STREAM");
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        capture_begin(&capture);
        log_error("%s", text);
        line = capture_end(&capture);
        assert_true(strlen(line) > 1000 && strlen(line) < 2100);
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

/* Whether a journal listens or not: nothing may come to a stderr that is the journal's. */
static void test_line_for_the_journal_does_not_go_to_stderr_too(void **state)
{
        struct capture capture;
        struct stat st;
        char stream[64];

        (void)state;
        capture_begin(&capture);
        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_line(LOG_DEBUG, &(struct log_about){ .request = "/r/1" }, "a line of a test");
        assert_string_equal(capture_end(&capture), "");
        unsetenv("JOURNAL_STREAM");
}

static void test_stderr_that_is_not_the_journal_s_any_more_gets_text(void **state)
{
        struct capture capture;

        (void)state;
        setenv("JOURNAL_STREAM", "1:1", 1);
        capture_begin(&capture);
        log_error("redirected");
        assert_string_equal(capture_end(&capture), "mulmd: redirected\n");
        unsetenv("JOURNAL_STREAM");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_line_goes_to_stderr_with_the_daemon_s_name),
                cmocka_unit_test(test_control_characters_become_blanks),
                cmocka_unit_test(test_long_line_is_cut_to_one_line),
                cmocka_unit_test(test_line_for_the_journal_does_not_go_to_stderr_too),
                cmocka_unit_test(test_stderr_that_is_not_the_journal_s_any_more_gets_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
