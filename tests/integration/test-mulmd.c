/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The whole of it as an integrator meets it: mulmd with its model on a private bus, a scripted cloud with TLS, and
 * mulmctl. Good replies, then everything bad: each gives a named error or a local reply, one log line, and a daemon
 * that goes on serving.
 */
#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

#define QUESTION "What is the capital of Australia?"

struct fixture {
        char *folder;
        struct process *dbus_daemon, *server, *mulmd;
        char *address; /* --address=... */
        cJSON *answer; /* of the last ask */
};

/* ------------------------------------------------------------------------------------------------ helpers */

static char *in_folder(const struct fixture *fixture, const char *name)
{
        char *path;

        assert_true(asprintf(&path, "%s/%s", fixture->folder, name) > 0);
        return path;
}

static char *in_source(const char *name)
{
        char *path;

        assert_true(asprintf(&path, "%s/%s", getenv("MULM_SOURCE_ROOT"), name) > 0);
        return path;
}

static void write_file(const struct fixture *fixture, const char *name, const char *content, mode_t mode)
{
        _cleanup_free_ char *path = in_folder(fixture, name);
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
        assert_int_equal(fclose(file), 0);
        assert_int_equal(chmod(path, mode), 0);
}

static int set_up_group(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        _cleanup_free_ char *script = in_source("tests/support/certificates.sh");
        _cleanup_free_ char *bus_address = NULL;
        char folder[] = "/tmp/mulmd-test-XXXXXX";

        assert_non_null(fixture);
        assert_non_null(mkdtemp(folder));
        fixture->folder = strdup(folder);
        free(process_run((const char *[]){ script, folder, NULL }, NULL));
        fixture->dbus_daemon = process_spawn(
                (const char *[]){ "dbus-daemon", "--session", "--nofork", "--print-address", NULL }, NULL);
        bus_address = process_expect(fixture->dbus_daemon, PROCESS_STREAM_OUTPUT, "^(unix:.*)\n");
        assert_true(asprintf(&fixture->address, "--address=%s", bus_address) > 0);
        *state = fixture;
        return 0;
}

static int tear_down_group(void **state)
{
        struct fixture *fixture = *state;

        process_free(fixture->dbus_daemon);
        free(process_run((const char *[]){ "rm", "-r", fixture->folder, NULL }, NULL));
        free(fixture->folder);
        free(fixture->address);
        free(fixture);
        return 0;
}

/* That mulmd ends well also says that no sanitizer found anything. */
static int tear_down(void **state)
{
        struct fixture *fixture = *state;

        cJSON_Delete(fixture->answer);
        fixture->answer = NULL;
        if (fixture->mulmd) {
                process_signal(fixture->mulmd, SIGTERM);
                assert_int_equal(process_wait(fixture->mulmd), 0);
        }
        fixture->mulmd = process_free(fixture->mulmd);
        fixture->server = process_free(fixture->server);
        return 0;
}

/* A scripted cloud; returns its port. */
static char *serve(struct fixture *fixture, const char *scenario, const char *certificate)
{
        _cleanup_free_ char *script = in_source("tests/support/h2server.py");
        _cleanup_free_ char *chain = NULL, *key = NULL;

        assert_true(asprintf(&chain, "%s/%s.pem", fixture->folder, certificate) > 0);
        assert_true(asprintf(&key, "%s/%s.key", fixture->folder, certificate) > 0);
        fixture->server = process_spawn((const char *[]){ script, scenario, "--tls", chain, key, NULL }, NULL);
        return process_expect(fixture->server, PROCESS_STREAM_OUTPUT, "\"port\": ([0-9]+)\\}");
}

/* Writes mulmd.conf for an endpoint at `port` (NULL: no cloud) with `extra` lines in its section. */
static void configure(struct fixture *fixture, const char *port, const char *extra)
{
        struct buf text = BUF_NULL;

        assert_int_equal(
                buf_printf(&text, "[Model]\nPath=%s/models/mulm-28m.q8_0.gguf\n", getenv("MULM_SOURCE_ROOT")), 0);
        if (port) {
                assert_int_equal(buf_printf(&text,
                                            "[Cloud]\nEndpoints=primary\nFirstTextSec=20\nGapSec=20\n"
                                            "[Endpoint primary]\nURL=https://localhost:%s/v1\nModel=big\n"
                                            "CAFile=%s/ca.pem\n%s",
                                            port, fixture->folder, extra),
                                 0);
        }
        write_file(fixture, "mulmd.conf", text.data, 0644);
        buf_done(&text);
}

static struct process *spawn_mulmd(const struct fixture *fixture)
{
        _cleanup_free_ char *config = in_folder(fixture, "mulmd.conf");

        return process_spawn((const char *[]){ getenv("MULMD"), fixture->address, "--config", config, NULL }, NULL);
}

static void start_mulmd(struct fixture *fixture)
{
        fixture->mulmd = spawn_mulmd(fixture);
        free(process_expect(fixture->mulmd, PROCESS_STREAM_ERROR, "Serving on .*\n"));
}

/* Asks by mulmctl; its exit code, and the JSON in fixture->answer. */
static int ask(struct fixture *fixture, const char *question)
{
        struct process *process = process_spawn(
                (const char *[]){ getenv("MULMCTL"), fixture->address, "ask", "--json=short", "--", question, NULL },
                NULL);
        int code = process_wait(process);

        cJSON_Delete(fixture->answer);
        fixture->answer = cJSON_Parse(process_output(process, PROCESS_STREAM_OUTPUT));
        process_free(process);
        return code;
}

static const char *answer(const struct fixture *fixture, const char *key)
{
        const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(fixture->answer, key));

        assert_non_null(value);
        return value;
}

/* Why the cloud's attempt ended, as the answer tells it. */
static const char *reason(const struct fixture *fixture)
{
        const cJSON *attempt = cJSON_GetArrayItem(cJSON_GetObjectItem(fixture->answer, "attempts"), 0);
        const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(attempt, "reason"));

        assert_non_null(value);
        return value;
}

static unsigned count(const char *text, const char *part)
{
        unsigned n = 0;

        for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
                n++;
        return n;
}

/* Two questions to a cloud that fails: both are finished by the μLM, and one line is logged for both. The second one
 * leaves the endpoint alone. */
static void expect_local_replies(struct fixture *fixture, const char *name)
{
        start_mulmd(fixture);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(ask(fixture, QUESTION), 0);
                assert_string_equal(answer(fixture, "outcome"), "local");
                if (i == 0)
                        assert_string_equal(reason(fixture), name);
                assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(
                                            cJSON_GetObjectItem(fixture->answer, "timings"), "error")),
                                    name);
                assert_true(strlen(answer(fixture, "text")) > strlen(answer(fixture, "opener")));
        }
        assert_int_equal(count(process_output(fixture->mulmd, PROCESS_STREAM_ERROR), "Endpoint primary"), 1);
        assert_int_equal(count(process_output(fixture->mulmd, PROCESS_STREAM_ERROR), name), 1);
}

/* ---------------------------------------------------------------------------------------------- good replies */

static void test_opener_and_cloud_are_one_text(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *port = NULL;
        const char *opener;
        struct buf whole = BUF_NULL;

        port = serve(fixture,
                     "[{\"steps\": [\"data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\" "
                     "Canberra,\\\"}}]}\\n\\n\","
                     " {\"wait\": 30},"
                     " \"data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\" not Sydney.\\\"},"
                     "\\\"finish_reason\\\":\\\"stop\\\"}]}\\n\\ndata: [DONE]\\n\\n\"]}]",
                     "good");
        configure(fixture, port, "Prefill=yes\n");
        start_mulmd(fixture);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(ask(fixture, QUESTION), 0);
                assert_string_equal(answer(fixture, "outcome"), "complete");
                opener = answer(fixture, "opener");
                assert_true(strlen(opener) > 0);
                assert_int_equal(buf_printf(&whole, "%s Canberra, not Sydney.", opener), 0);
                assert_string_equal(answer(fixture, "text"), whole.data);
                buf_clear(&whole);
        }
        buf_done(&whole);

        /* The request is opened at Ask, its body comes when the opener has ended, on one connection. */
        free(process_expect(fixture->server, PROCESS_STREAM_OUTPUT, "\"event\": \"request\""));
        free(process_expect(fixture->server, PROCESS_STREAM_OUTPUT, "\"event\": \"body\""));
        assert_int_equal(count(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "\"event\": \"connection\""),
                         1);
        /* A healthy daemon says that it serves, and nothing else. */
        assert_int_equal(count(process_output(fixture->mulmd, PROCESS_STREAM_ERROR), "\n"), 1);
}

static void test_without_a_cloud_the_model_finishes(void **state)
{
        struct fixture *fixture = *state;

        configure(fixture, NULL, "");
        start_mulmd(fixture);
        assert_int_equal(ask(fixture, QUESTION), 0);
        assert_string_equal(answer(fixture, "outcome"), "local");
}

/* ------------------------------------------------------------------------------------------------- bad clouds */

static void test_dead_endpoint_is_answered_locally(void **state)
{
        struct fixture *fixture = *state;

        configure(fixture, "1", "");
        expect_local_replies(fixture, "Offline");
}

static void test_certificate_of_a_stranger_is_refused(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *port = serve(fixture, "[{}]", "stranger");

        configure(fixture, port, "");
        expect_local_replies(fixture, "Tls");
        assert_null(strstr(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "\"event\": \"request\""));
}

static void test_refused_key_is_named_and_not_told(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *port =
                serve(fixture,
                      "[{\"status\": 401, \"headers\": {\"content-type\": \"application/json\"},"
                      " \"steps\": [\"{\\\"error\\\":{\\\"message\\\":\\\"Incorrect API key\\\"}}\"]}]",
                      "good");
        _cleanup_free_ char *key_file = in_folder(fixture, "key"), *line = NULL;

        write_file(fixture, "key", "sk-swordfish\n", 0600);
        assert_true(asprintf(&line, "KeyFile=%s\n", key_file) > 0);
        configure(fixture, port, line);
        expect_local_replies(fixture, "Unauthorized");
        assert_non_null(strstr(process_output(fixture->mulmd, PROCESS_STREAM_ERROR), "Incorrect API key"));
        assert_null(strstr(process_output(fixture->mulmd, PROCESS_STREAM_ERROR), "swordfish"));
        free(process_expect(fixture->server, PROCESS_STREAM_OUTPUT, "Bearer sk-swordfish"));
}

static void test_key_that_others_may_read_is_not_used(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *key_file = in_folder(fixture, "key"), *line = NULL;

        write_file(fixture, "key", "sk-swordfish\n", 0644);
        assert_true(asprintf(&line, "KeyFile=%s\n", key_file) > 0);
        configure(fixture, "1", line);
        expect_local_replies(fixture, "Key");
}

static void test_garbage_is_not_spoken(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *port = serve(fixture, "[{\"steps\": [\"<html>Please log in</html>\"]}]", "good");

        configure(fixture, port, "");
        expect_local_replies(fixture, "NotAStream");
        assert_null(strstr(answer(fixture, "text"), "log in"));
}

/* ----------------------------------------------------------------------------------------------- bad callers */

/* `busctl call ... Ask` must fail with this named error, and the daemon must answer the next question. */
static void refuse(struct fixture *fixture, const char *const arguments[], const char *complaint)
{
        const char *argv[24] = { "busctl",
                                 fixture->address,
                                 "call",
                                 "org.mulm.Assistant1",
                                 "/org/mulm/Assistant1",
                                 "org.mulm.Assistant1",
                                 "Ask",
                                 "sa{sv}" };
        struct process *process;
        size_t n = 8;

        for (size_t i = 0; arguments[i]; i++)
                argv[n++] = arguments[i];
        process = process_spawn(argv, NULL);
        assert_int_not_equal(process_wait(process), 0);
        if (!strstr(process_output(process, PROCESS_STREAM_ERROR), complaint))
                fail_msg("\"%s\" lacks \"%s\"", process_output(process, PROCESS_STREAM_ERROR), complaint);
        process_free(process);
}

static void test_bad_questions_are_refused_by_name(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *long_prompt = malloc(100001);

        configure(fixture, NULL, "");
        start_mulmd(fixture);
        assert_non_null(long_prompt);
        memset(long_prompt, 'a', 100000);
        long_prompt[100000] = '\0';
        refuse(fixture, (const char *[]){ long_prompt, "0", NULL }, "100000");
        refuse(fixture, (const char *[]){ "hello", "1", "volume", "u", "3", NULL }, "volume");
        refuse(fixture, (const char *[]){ "hello", "1", "seed", "s", "three", NULL }, "seed");
        refuse(fixture, (const char *[]){ "", "0", NULL }, "empty");
        assert_int_equal(ask(fixture, QUESTION), 0);
        assert_string_equal(answer(fixture, "outcome"), "local");
}

static void test_prompt_of_a_megabyte_is_refused_by_name(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *path = in_folder(fixture, "long"), *command = NULL;
        struct process *process;
        char *megabyte = malloc(1000001);

        assert_non_null(megabyte);
        memset(megabyte, 'a', 1000000);
        megabyte[1000000] = '\0';
        write_file(fixture, "long", megabyte, 0644);
        free(megabyte);
        configure(fixture, NULL, "");
        start_mulmd(fixture);

        assert_true(asprintf(&command, "exec %s '%s' ask - <'%s'", getenv("MULMCTL"), fixture->address, path) > 0);
        process = process_spawn((const char *[]){ "sh", "-c", command, NULL }, NULL);
        assert_int_equal(process_wait(process), 4);
        assert_non_null(strstr(process_output(process, PROCESS_STREAM_ERROR), "PromptTooLong"));
        process_free(process);
        assert_int_equal(ask(fixture, QUESTION), 0);
}

/* -------------------------------------------------------------------------------------------- bad beginnings */

static void expect_no_start(struct fixture *fixture, const char *const complaints[])
{
        struct process *process = spawn_mulmd(fixture);

        assert_int_equal(process_wait(process), 1);
        for (size_t i = 0; complaints[i]; i++)
                if (!strstr(process_output(process, PROCESS_STREAM_ERROR), complaints[i]))
                        fail_msg("\"%s\" lacks \"%s\"", process_output(process, PROCESS_STREAM_ERROR), complaints[i]);
        process_free(process);
}

static void test_truncated_model_is_refused_by_name(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *model = in_source("models/mulm-28m.q8_0.gguf"), *cut = in_folder(fixture, "cut.gguf");
        _cleanup_free_ char *config = NULL, *copy = NULL;

        assert_true(asprintf(&copy, "head -c 10000000 '%s' >'%s'", model, cut) > 0);
        free(process_run((const char *[]){ "sh", "-c", copy, NULL }, NULL));
        assert_true(asprintf(&config, "[Model]\nPath=%s\n", cut) > 0);
        write_file(fixture, "mulmd.conf", config, 0644);
        expect_no_start(fixture, (const char *[]){ "The model cannot be used", "cut.gguf", NULL });

        write_file(fixture, "cut.gguf", "GGUF\3\0\0\0 and then nonsense", 0644);
        expect_no_start(fixture, (const char *[]){ "The model cannot be used", "cut.gguf", NULL });
}

static void test_configuration_errors_name_file_line_and_key(void **state)
{
        struct fixture *fixture = *state;

        write_file(fixture, "mulmd.conf", "[Opener]\nMinWords=4\nMaxWords=lots\n[Cloud]\nEndpoint=primary\n", 0644);
        expect_no_start(fixture, (const char *[]){ "mulmd.conf:3", "MaxWords", "mulmd.conf:5", "Endpoint", NULL });
}

static void test_second_daemon_on_the_bus_says_so(void **state)
{
        struct fixture *fixture = *state;

        configure(fixture, NULL, "");
        start_mulmd(fixture);
        expect_no_start(fixture, (const char *[]){ "org.mulm.Assistant1", NULL });
        assert_int_equal(ask(fixture, QUESTION), 0);
}

#define mulmd_test(test) cmocka_unit_test_teardown(test, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                mulmd_test(test_opener_and_cloud_are_one_text),
                mulmd_test(test_without_a_cloud_the_model_finishes),
                mulmd_test(test_dead_endpoint_is_answered_locally),
                mulmd_test(test_certificate_of_a_stranger_is_refused),
                mulmd_test(test_refused_key_is_named_and_not_told),
                mulmd_test(test_key_that_others_may_read_is_not_used),
                mulmd_test(test_garbage_is_not_spoken),
                mulmd_test(test_bad_questions_are_refused_by_name),
                mulmd_test(test_prompt_of_a_megabyte_is_refused_by_name),
                mulmd_test(test_truncated_model_is_refused_by_name),
                mulmd_test(test_configuration_errors_name_file_line_and_key),
                mulmd_test(test_second_daemon_on_the_bus_says_so),
        };

        return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
