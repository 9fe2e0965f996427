/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulmctl as a person or a script meets it: what it prints where, and its exit codes, over scripted requests.
 */
#include <cjson/cJSON.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "tests/integration/bus-fixture.h"
#include "tests/support/fake-requests.h"
#include "tests/support/test.h"

#define ARGUMENTS_MAX 12

/* Starts mulmctl --address=... with the arguments, which NULL ends. */
static struct process *start(const char *address, ...)
{
        _cleanup_free_ char *option = NULL;
        const char *argv[ARGUMENTS_MAX + 1] = { getenv("MULMCTL") };
        va_list ap;

        assert_true(asprintf(&option, "--address=%s", address) > 0);
        argv[1] = option;
        va_start(ap, address);
        for (size_t n = 2; n < ARGUMENTS_MAX && (argv[n] = va_arg(ap, const char *)); n++)
                ;
        va_end(ap);
        return process_spawn(argv, NULL);
}

/* It must end with this code, having printed this and nothing else on stdout, and on stderr something with that
 * (NULL: nothing at all). */
static void expect(struct process *process, int code, const char *output, const char *complaint)
{
        assert_int_equal(process_wait(process), code);
        if (output)
                assert_string_equal(process_output(process, PROCESS_STREAM_OUTPUT), output);
        if (!complaint)
                assert_string_equal(process_output(process, PROCESS_STREAM_ERROR), "");
        else if (!strstr(process_output(process, PROCESS_STREAM_ERROR), complaint))
                fail_msg("\"%s\" lacks \"%s\"", process_output(process, PROCESS_STREAM_ERROR), complaint);
        process_free(process);
}

static const char *string(const cJSON *object, const char *key)
{
        const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));

        assert_non_null(value);
        return value;
}

static void test_reply_alone_is_on_stdout(void **state)
{
        const struct bus_fixture *fixture = *state;

        expect(start(fixture->address, "ask", "what", "is", "it", NULL), 0, FAKE_REQUESTS_REPLY "\n", NULL);
}

static void test_control_characters_go_into_a_pipe_as_they_are(void **state)
{
        const struct bus_fixture *fixture = *state;

        expect(start(fixture->address, "ask", FAKE_REQUESTS_CONTROL, NULL), 0, "a\x1b[31mb\nc\n", NULL);
}

static void test_colour_tells_the_sources_apart(void **state)
{
        const struct bus_fixture *fixture = *state;

        expect(start(fixture->address, "--color=always", "ask", FAKE_REQUESTS_LOCAL, NULL), 0,
               "\x1b[1;36mBread is\x1b[0m\x1b[2;33m made of flour.\x1b[0m\n", NULL);
}

static void test_timeline_is_on_stderr(void **state)
{
        const struct bus_fixture *fixture = *state;

        expect(start(fixture->address, "ask", "q", "--timeline", NULL), 0, FAKE_REQUESTS_REPLY "\n",
               "without the opener it would have been about 905 ms");
        expect(start(fixture->address, "ask", "q", "--timeline", NULL), 0, FAKE_REQUESTS_REPLY "\n",
               "resumed  behind 27 characters, fake after broken: Status\nheld     40 ms, until it was clear how the "
               "text "
               "joins\nlost     3 tokens");
        expect(start(fixture->address, "ask", "q", "--timeline", "--color=always", NULL), 0, NULL,
               "broken   \033[31m");
}

static void test_timeline_is_as_wide_as_the_terminal(void **state)
{
        const struct bus_fixture *fixture = *state;

        assert_int_equal(setenv("COLUMNS", "120", 1), 0);
        expect(start(fixture->address, "ask", "q", "--timeline", NULL), 0, FAKE_REQUESTS_REPLY "\n",
               "+----------------------------------+----------------------------------+\n");
        assert_int_equal(unsetenv("COLUMNS"), 0);
}

static void test_json_has_all_of_a_reply(void **state)
{
        const struct bus_fixture *fixture = *state;
        struct process *process = start(fixture->address, "ask", "--json=short", "q", NULL);
        const cJSON *attempt;
        cJSON *object;

        assert_int_equal(process_wait(process), 0);
        object = cJSON_Parse(process_output(process, PROCESS_STREAM_OUTPUT));
        assert_non_null(object);
        assert_string_equal(string(object, "text"), FAKE_REQUESTS_REPLY);
        assert_string_equal(string(object, "opener"), FAKE_REQUESTS_OPENER);
        assert_string_equal(string(object, "outcome"), "complete");
        assert_true(cJSON_IsNull(cJSON_GetObjectItem(object, "error")));
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(object, "replacements")), 0);
        assert_true(cJSON_IsNumber(cJSON_GetObjectItem(cJSON_GetObjectItem(object, "timings"), "released_us")));
        assert_null(cJSON_GetObjectItem(cJSON_GetObjectItem(object, "timings"), "attempts"));
        assert_string_equal(string(cJSON_GetObjectItem(object, "timings"), "winner"), "opener");
        assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(
                                    cJSON_GetObjectItem(cJSON_GetObjectItem(object, "timings"), "raced"), 1)),
                            "cloud");
        assert_int_equal(
                (int)cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetObjectItem(object, "timings"), "seam")), 27);
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(object, "attempts")), 2);
        attempt = cJSON_GetArrayItem(cJSON_GetObjectItem(object, "attempts"), 0);
        assert_string_equal(string(attempt, "endpoint"), "broken");
        assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(attempt, "status")), 503);
        assert_string_equal(string(attempt, "reason"), "Status");
        attempt = cJSON_GetArrayItem(cJSON_GetObjectItem(object, "attempts"), 1);
        assert_string_equal(string(attempt, "endpoint"), "fake");
        assert_string_equal(string(attempt, "form"), "prefill");
        assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(attempt, "characters")), 27);
        assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(attempt, "first_text_us")), 930000);
        assert_string_equal(string(attempt, "reason"), "complete");
        cJSON_Delete(object);
        process_free(process);
}

#define REPLACED "D\xc3\xa9j\xc3\xa0 right now."

static void test_replaced_text_goes_into_a_pipe_when_it_is_final(void **state)
{
        const struct bus_fixture *fixture = *state;

        expect(start(fixture->address, "ask", "--redraw", FAKE_REQUESTS_REPLACE, NULL), 0, REPLACED "\n", NULL);
        expect(start(fixture->address, "ask", "--redraw", "q", NULL), 0, FAKE_REQUESTS_REPLY "\n", NULL);
}

static void test_json_has_the_replacements(void **state)
{
        const struct bus_fixture *fixture = *state;
        struct process *process =
                start(fixture->address, "ask", "--redraw", "--json=short", FAKE_REQUESTS_REPLACE, NULL);
        const cJSON *replacement;
        cJSON *object;

        assert_int_equal(process_wait(process), 0);
        object = cJSON_Parse(process_output(process, PROCESS_STREAM_OUTPUT));
        assert_non_null(object);
        assert_string_equal(string(object, "text"), REPLACED);
        replacement = cJSON_GetArrayItem(cJSON_GetObjectItem(object, "replacements"), 0);
        assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(replacement, "keep")), 4);
        assert_string_equal(string(replacement, "text"), " right");
        cJSON_Delete(object);
        process_free(process);
}

static void test_failed_request_is_told_and_has_its_code(void **state)
{
        const struct bus_fixture *fixture = *state;

        expect(start(fixture->address, "ask", FAKE_REQUESTS_FAIL, NULL), 4, "",
               "Unauthorized: The endpoint refused the key.");
        expect(start(fixture->address, "ask", FAKE_REQUESTS_REFUSE, NULL), 4, "", ERROR("Busy"));
}

static void assert_json_error(struct process *process, int code, const char *name)
{
        cJSON *object;

        assert_int_equal(process_wait(process), code);
        object = cJSON_Parse(process_output(process, PROCESS_STREAM_OUTPUT));
        assert_non_null(object);
        assert_string_equal(string(object, "outcome"), "failed");
        assert_string_equal(string(cJSON_GetObjectItem(object, "error"), "name"), name);
        cJSON_Delete(object);
        process_free(process);
}

static void test_refused_request_is_json_too(void **state)
{
        const struct bus_fixture *fixture = *state;

        assert_json_error(start(fixture->address, "-j", "ask", FAKE_REQUESTS_REFUSE, NULL), 4, ERROR("Busy"));
        assert_json_error(start(fixture->address, "-j", "ask", FAKE_REQUESTS_FAIL, NULL), 4, "Unauthorized");
}

static void test_interrupt_cancels_the_request(void **state)
{
        const struct bus_fixture *fixture = *state;
        struct process *process = start(fixture->address, "ask", FAKE_REQUESTS_HOLD, NULL);

        free(process_expect(process, PROCESS_STREAM_OUTPUT, "Well,"));
        process_signal(process, SIGINT);
        expect(process, 130, "Well,\n", NULL);
        assert_int_equal(statistic(fixture->bus, "cancelled"), 1);
}

static void test_timeout_ends_a_long_reply(void **state)
{
        const struct bus_fixture *fixture = *state;

        expect(start(fixture->address, "--timeout=0.2", "ask", FAKE_REQUESTS_HOLD, NULL), 3, "Well,\n",
               "not there in time");
        assert_json_error(start(fixture->address, "--timeout=0.2", "-j", "ask", FAKE_REQUESTS_HOLD, NULL), 3,
                          "Timeout");
}

static void test_daemon_that_is_not_there_has_its_code(void **state)
{
        const struct bus_fixture *fixture = *state;
        struct process *process = start(fixture->address, "ask", FAKE_REQUESTS_HOLD, NULL);

        expect(start("unix:path=/nonexistent", "status", NULL), 8, "", "no message bus");
        free(process_expect(process, PROCESS_STREAM_OUTPUT, "Well,"));
        process_signal(fixture->mulmd, SIGTERM);
        expect(process, 8, "Well,\n", "has left the bus");
        expect(start(fixture->address, NULL), 8, "", "There is no mulmd on this bus");
}

/* Another connection knows the path and sends words of its own. */
static void test_signals_of_others_are_not_believed(void **state)
{
        const struct bus_fixture *fixture = *state;
        struct process *process = start(fixture->address, "ask", FAKE_REQUESTS_HOLD, NULL);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        _cleanup_free_ char *option = NULL, *tree = NULL, *path = NULL, *destination = NULL;

        free(process_expect(process, PROCESS_STREAM_OUTPUT, "Well,"));
        assert_true(asprintf(&option, "--address=%s", fixture->address) > 0);
        tree = process_run((const char *[]){ "busctl", option, "--list", "tree", NAME, NULL }, NULL);
        path = strdup(strstr(tree, PATH "/request/1_"));
        *strchrnul(path, '\n') = '\0';
        destination = strdup(path + strlen(PATH "/request")); /* "/1_2/TOKEN" becomes ":1.2" */
        *destination = ':';
        *strchr(destination, '_') = '.';
        *strchr(destination, '/') = '\0';
        assert_true(sd_bus_message_new_signal(fixture->bus, &signal, path, REQUEST, "Text") >= 0);
        assert_true(sd_bus_message_set_destination(signal, destination) >= 0);
        assert_true(sd_bus_message_append(signal, "uss", 2, " forged", "cloud") >= 0);
        assert_true(sd_bus_send(fixture->bus, signal, NULL) >= 0);
        (void)n_active(fixture->bus); /* the bus has delivered it */
        process_signal(process, SIGINT);
        expect(process, 130, "Well,\n", NULL);
}

static void test_usage_errors_have_their_code(void **state)
{
        const struct bus_fixture *fixture = *state;

        expect(start(fixture->address, "ask", NULL), 2, "", "needs a question");
        expect(start(fixture->address, "ask", "\xff", NULL), 2, "", "not UTF-8: see its byte 0");
        expect(start(fixture->address, "sing", NULL), 2, "", "no verb \"sing\"");
        expect(start(fixture->address, "--json=xml", NULL), 2, "", "none of: short pretty");
        expect(start(fixture->address, "--timeout=soon", NULL), 2, "", "--timeout=soon");
        expect(start(fixture->address, "--nonsense", NULL), 2, "", "--nonsense");
        expect(start(fixture->address, "ask", "q", "--words-per-second=fast", NULL), 2, "",
               "--words-per-second=fast");
        expect(start(fixture->address, "ask", "q", "--words-per-second=99", NULL), 4, "", "it must be 0.5 to 50");
        expect(start(fixture->address, "ask", "q", "--opener=loud", NULL), 2, "", "--opener=loud");
}

static void test_status_is_the_default_verb(void **state)
{
        const struct bus_fixture *fixture = *state;

        ask(fixture->bus, FAKE_REQUESTS_HOLD, "a");
        expect(start(fixture->address, NULL), 0,
               "mulmd 1.0.0, ready\n   model: fake-1m\n   cloud: ready\n"
               "          fake: first text after 905 ms (deviation 120 ms), openers of 4 words\nrequests: 1 active\n"
               "          1 asked: 0 complete, 0 local, 0 cancelled, 0 failed\n",
               NULL);
        expect(start(fixture->address, "status", "--json=short", NULL), 0,
               "{\"version\":\"1.0.0\",\"model\":\"fake-1m\",\"state\":\"ready\",\"cloud_state\":\"ready\","
               "\"active_requests\":1,\"statistics\":{\"asked\":1,\"complete\":0,\"local\":0,\"cancelled\":0,"
               "\"failed\":0,\"delays\":[{\"endpoint\":\"fake\",\"first_text_us\":905000,\"deviation_us\":120000,"
               "\"opener_words\":4}]}}\n",
               NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bus_fixture_setup, bus_fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_reply_alone_is_on_stdout),
                TEST(test_control_characters_go_into_a_pipe_as_they_are),
                TEST(test_colour_tells_the_sources_apart),
                TEST(test_timeline_is_on_stderr),
                TEST(test_timeline_is_as_wide_as_the_terminal),
                TEST(test_json_has_all_of_a_reply),
                TEST(test_replaced_text_goes_into_a_pipe_when_it_is_final),
                TEST(test_json_has_the_replacements),
                TEST(test_failed_request_is_told_and_has_its_code),
                TEST(test_refused_request_is_json_too),
                TEST(test_interrupt_cancels_the_request),
                TEST(test_timeout_ends_a_long_reply),
                TEST(test_daemon_that_is_not_there_has_its_code),
                TEST(test_signals_of_others_are_not_believed),
                TEST(test_usage_errors_have_their_code),
                TEST(test_status_is_the_default_verb),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
