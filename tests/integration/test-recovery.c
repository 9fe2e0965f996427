/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Recovery over real HTTP/2: mulmd with its model on a private bus, and scripted clouds that reset, go away, hang up,
 * fall silent and refuse. The reply is whole each time, and tells which attempts it took.
 */
#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

#define DELTA(text) "\"data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"" text "\\\"}}]}\\n\\n\""
#define MARK        "\"data: [DONE]\\n\\n\""
#define FIRST       DELTA(" Canberra,") ", " DELTA(" a planned city")
#define SECOND      "{\"steps\": [" DELTA(" in the") ", " DELTA(" ACT.") ", " MARK "]}"
#define WHOLE       " Canberra, a planned city in the ACT."

#define FOLDER "/tmp/mulmd-test-XXXXXX"

struct fixture {
        char folder[sizeof(FOLDER)];
        struct process *dbus_daemon, *servers[2], *mulmd;
        char *address; /* --address=... */
        cJSON *answer; /* of the last ask */
};

static int set_up_group(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        _cleanup_free_ char *bus_address = NULL, *script = NULL;

        assert_non_null(fixture);
        memcpy(fixture->folder, FOLDER, sizeof(FOLDER));
        assert_non_null(mkdtemp(fixture->folder));
        assert_true(asprintf(&script, "%s/tests/support/certificates.sh", getenv("MULM_SOURCE_ROOT")) > 0);
        free(process_run((const char *[]){ script, fixture->folder, NULL }, NULL));
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
        for (size_t i = 0; i < ARRAY_SIZE(fixture->servers); i++)
                fixture->servers[i] = process_free(fixture->servers[i]);
        return 0;
}

static char *serve(const struct fixture *fixture, struct process **ret_server, const char *scenario)
{
        _cleanup_free_ char *script = NULL, *chain = NULL, *key = NULL;

        assert_true(asprintf(&script, "%s/tests/support/h2server.py", getenv("MULM_SOURCE_ROOT")) > 0);
        assert_true(asprintf(&chain, "%s/good.pem", fixture->folder) > 0);
        assert_true(asprintf(&key, "%s/good.key", fixture->folder) > 0);
        *ret_server = process_spawn((const char *[]){ script, scenario, "--tls", chain, key, NULL }, NULL);
        return process_expect(*ret_server, PROCESS_STREAM_OUTPUT, "\"port\": ([0-9]+)\\}");
}

static void add_endpoint(const struct fixture *fixture, FILE *file, const char *name, const char *port)
{
        fprintf(file, "[Endpoint %s]\nURL=https://localhost:%s/v1\nCAFile=%s/ca.pem\nModel=m\nPrefill=yes\n", name,
                port, fixture->folder);
}

/* Starts mulmd with a cloud that plays `scenario` and, where not NULL, another that plays `backup`. */
static void start(struct fixture *fixture, const char *scenario, const char *backup)
{
        _cleanup_free_ char *port = serve(fixture, &fixture->servers[0], scenario), *other = NULL, *path = NULL;
        FILE *file;

        assert_true(asprintf(&path, "%s/mulmd.conf", fixture->folder) > 0);
        file = fopen(path, "we");
        assert_non_null(file);
        fprintf(file, "[Model]\nPath=%s/models/mulm-28m.q8_0.gguf\n", getenv("MULM_SOURCE_ROOT"));
        fprintf(file, "[Cloud]\nEndpoints=primary%s\nFirstTextSec=20\nGapSec=0.3\n", backup ? " backup" : "");
        add_endpoint(fixture, file, "primary", port);
        if (backup) {
                other = serve(fixture, &fixture->servers[1], backup);
                add_endpoint(fixture, file, "backup", other);
        }
        assert_int_equal(fclose(file), 0);
        fixture->mulmd =
                process_spawn((const char *[]){ getenv("MULMD"), fixture->address, "--config", path, NULL }, NULL);
        free(process_expect(fixture->mulmd, PROCESS_STREAM_ERROR, "Serving on .*\n"));
}

static const char *string(const cJSON *object, const char *key)
{
        const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));

        assert_non_null(value);
        return value;
}

/* Asks; the reply must be the opener and `rest`, ended by the cloud. */
static void expect_reply(struct fixture *fixture, const char *rest)
{
        struct process *process =
                process_spawn((const char *[]){ getenv("MULMCTL"), fixture->address, "ask", "--json=short",
                                                "What is the capital of Australia?", NULL },
                              NULL);
        struct buf whole = BUF_NULL;

        assert_int_equal(process_wait(process), 0);
        cJSON_Delete(fixture->answer);
        fixture->answer = cJSON_Parse(process_output(process, PROCESS_STREAM_OUTPUT));
        assert_non_null(fixture->answer);
        process_free(process);
        assert_int_equal(buf_printf(&whole, "%s%s", string(fixture->answer, "opener"), rest), 0);
        assert_string_equal(string(fixture->answer, "text"), whole.data);
        assert_string_equal(string(fixture->answer, "outcome"), "complete");
        buf_done(&whole);
}

static void expect_attempt(const struct fixture *fixture, int n, const char *endpoint, int status, const char *reason)
{
        const cJSON *attempt = cJSON_GetArrayItem(cJSON_GetObjectItem(fixture->answer, "attempts"), n);

        assert_string_equal(string(attempt, "endpoint"), endpoint);
        assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(attempt, "status")), status);
        assert_string_equal(string(attempt, "reason"), reason);
}

/* ------------------------------------------------------------------------------------------------- broken off */

/* The first answer ends in mid-sentence by `how`, the second one goes on. */
static void break_by(struct fixture *fixture, const char *how, const char *reason)
{
        _cleanup_free_ char *scenario = NULL;

        assert_true(asprintf(&scenario, "[{\"steps\": [%s, {\"wait\": 50}%s]}, %s]", FIRST, how, SECOND) > 0);
        start(fixture, scenario, NULL);
        expect_reply(fixture, WHOLE);
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(fixture->answer, "attempts")), 2);
        expect_attempt(fixture, 0, "primary", 200, reason);
        expect_attempt(fixture, 1, "primary", 200, "complete");
        /* The second body quotes what the first answer said. */
        free(process_expect(fixture->servers[0], PROCESS_STREAM_OUTPUT,
                            "\"event\": \"body\".*Canberra, a planned city"));
}

static void test_reset_stream_goes_on(void **state)
{
        break_by(*state, ", {\"reset\": 2}", "Broken");
}

static void test_stream_cut_off_by_goaway_and_close_goes_on(void **state)
{
        break_by(*state, ", {\"goaway\": 0, \"last\": 0}, {\"close\": \"clean\"}", "Protocol");
}

static void test_closed_connection_goes_on(void **state)
{
        break_by(*state, ", {\"close\": \"clean\"}", "Broken");
}

static void test_reset_connection_goes_on(void **state)
{
        break_by(*state, ", {\"close\": \"abort\"}", "Broken");
}

static void test_end_without_marker_goes_on(void **state)
{
        break_by(*state, "", "Broken");
}

static void test_silence_goes_on(void **state)
{
        break_by(*state, ", {\"stall\": true}", "Timeout");
}

/* GOAWAY for later streams only: this one is served to its end, the next question has a new connection. */
static void test_goaway_that_lets_the_stream_end_is_no_break(void **state)
{
        struct fixture *fixture = *state;

        start(fixture,
              "[{\"steps\": [" FIRST ", {\"goaway\": 0, \"last\": 1}, " DELTA(" in the ACT.") ", " MARK "]}]", NULL);
        for (unsigned i = 0; i < 2; i++) {
                expect_reply(fixture, WHOLE);
                assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(fixture->answer, "attempts")), 1);
        }
}

/* ----------------------------------------------------------------------------------------------------- refused */

static void test_busy_endpoint_is_asked_again_after_the_time_it_names(void **state)
{
        struct fixture *fixture = *state;

        start(fixture,
              "[{\"status\": 503, \"headers\": {\"retry-after\": \"1\"}, \"steps\": [\"busy\"]},"
              " {\"steps\": [" FIRST ", " DELTA(" in the ACT.") ", " MARK "]}]",
              NULL);
        expect_reply(fixture, WHOLE);
        expect_attempt(fixture, 0, "primary", 503, "Status");
        expect_attempt(fixture, 1, "primary", 200, "complete");
        assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetObjectItem(fixture->answer, "timings"),
                                                             "cloud_first_text_us")) >= 1e6);
}

static void test_refused_key_leads_to_the_backup_from_then_on(void **state)
{
        struct fixture *fixture = *state;

        start(fixture, "[{\"status\": 401, \"steps\": [\"{}\"]}]",
              "[{\"steps\": [" FIRST ", " DELTA(" in the ACT.") ", " MARK "]}]");
        expect_reply(fixture, WHOLE);
        expect_attempt(fixture, 0, "primary", 401, "Unauthorized");
        expect_attempt(fixture, 1, "backup", 200, "complete");
        expect_reply(fixture, WHOLE);
        expect_attempt(fixture, 0, "backup", 200, "complete");
}

static void test_reply_moves_to_the_backup_in_mid_sentence(void **state)
{
        struct fixture *fixture = *state;

        start(fixture,
              "[{\"steps\": [" FIRST ", {\"reset\": 2}]}, {\"status\": 429, \"headers\": {\"retry-after\": \"900\"},"
              " \"steps\": [\"{}\"]}]",
              "[" SECOND "]");
        expect_reply(fixture, WHOLE);
        expect_attempt(fixture, 0, "primary", 200, "Broken");
        expect_attempt(fixture, 1, "primary", 429, "RateLimited");
        expect_attempt(fixture, 2, "backup", 200, "complete");
}

#define recovery_test(test) cmocka_unit_test_teardown(test, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                recovery_test(test_reset_stream_goes_on),
                recovery_test(test_stream_cut_off_by_goaway_and_close_goes_on),
                recovery_test(test_closed_connection_goes_on),
                recovery_test(test_reset_connection_goes_on),
                recovery_test(test_end_without_marker_goes_on),
                recovery_test(test_silence_goes_on),
                recovery_test(test_goaway_that_lets_the_stream_end_is_no_break),
                recovery_test(test_busy_endpoint_is_asked_again_after_the_time_it_names),
                recovery_test(test_refused_key_leads_to_the_backup_from_then_on),
                recovery_test(test_reply_moves_to_the_backup_in_mid_sentence),
        };

        return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
