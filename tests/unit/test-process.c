/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The helper that all integration tests stand on: what it captures, waits for and reaps.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/process.h"
#include "tests/support/test.h"

static struct process *spawn_shell(const char *script)
{
        return process_spawn((const char *[]){ "sh", "-c", script, NULL },
                             (const char *[]){ "WORD=swordfish", NULL });
}

static void test_streams_are_captured_apart(void **state)
{
        struct process *process = spawn_shell("echo $WORD; echo port 4711 >&2; exit 3");
        char *port = process_expect(process, PROCESS_STREAM_ERROR, "port ([0-9]+)$");

        (void)state;
        assert_string_equal(port, "4711");
        assert_int_equal(process_wait(process), 3);
        assert_string_equal(process_output(process, PROCESS_STREAM_OUTPUT), "swordfish\n");
        assert_string_equal(process_output(process, PROCESS_STREAM_ERROR), "port 4711\n");
        free(port);
        process_free(process);
}

static void test_each_expectation_begins_after_the_last(void **state)
{
        struct process *process = spawn_shell("echo word 1; echo word 2; exec sleep 100");
        char *first = process_expect(process, PROCESS_STREAM_OUTPUT, "^word [0-9]$");
        char *second = process_expect(process, PROCESS_STREAM_OUTPUT, "^word [0-9]$");

        (void)state;
        assert_string_equal(first, "word 1");
        assert_string_equal(second, "word 2");
        free(first);
        free(second);
        process_free(process);
}

static void test_end_by_signal_is_a_negative_status(void **state)
{
        struct process *process = spawn_shell("exec sleep 100");

        (void)state;
        process_signal(process, SIGKILL);
        assert_int_equal(process_wait(process), -SIGKILL);
        process_free(process);
}

static void test_much_output_on_both_streams_does_not_block(void **state)
{
        struct process *process = spawn_shell("seq 100000 >&2; seq 100000");

        (void)state;
        assert_int_equal(process_wait(process), 0);
        assert_int_equal(strlen(process_output(process, PROCESS_STREAM_OUTPUT)), 588895);
        assert_int_equal(strlen(process_output(process, PROCESS_STREAM_ERROR)), 588895);
        process_free(process);
}

static void test_run_returns_the_output(void **state)
{
        char *output = process_run((const char *[]){ "printf", "%s", "a b", NULL }, NULL);

        (void)state;
        assert_string_equal(output, "a b");
        free(output);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_streams_are_captured_apart),
                cmocka_unit_test(test_each_expectation_begins_after_the_last),
                cmocka_unit_test(test_end_by_signal_is_a_negative_status),
                cmocka_unit_test(test_much_output_on_both_streams_does_not_block),
                cmocka_unit_test(test_run_returns_the_output),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
