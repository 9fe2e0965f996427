/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the cloud's server sees of a request's streams: that they are reset as soon as nobody wants them, whatever
 * else their connection carries.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "libmulm/base/macro.h"
#include "tests/integration/mulmd-fixture.h"
#include "tests/support/test.h"

#define SILENT    "{\"steps\": [{\"stall\": true}]}"
#define BROKEN    "{\"steps\": [" DELTA(" Canberra,") ", {\"stall\": true}]}"
#define TWO_PARTS "{\"steps\": [" DELTA(" Canberra,") ", {\"signal\": true}, " DELTA(" in the ACT.") ", " MARK "]}"

/* As the server tells of it, of a stream on the first connection. */
static void expect_event(struct mulmd_fixture *fixture, const char *event, unsigned stream)
{
        _cleanup_free_ char *pattern = NULL;

        assert_true(asprintf(&pattern, "\"event\": \"%s\", \"connection\": 1, \"stream\": %u,", event, stream) > 0);
        free(process_expect(fixture->servers[0], PROCESS_STREAM_OUTPUT, pattern));
}

/* The first caller goes by `number` while a second one is being answered over the same connection. */
static void leave(struct mulmd_fixture *fixture, const char *first, int number)
{
        _cleanup_free_ char *scenario = NULL;
        struct process *leaving, *staying;

        fixture->settings = "FirstTextSec=20\nGapSec=20";
        assert_true(asprintf(&scenario, "[%s, " TWO_PARTS "]", first) > 0);
        mulmd_start(fixture, scenario, NULL);
        leaving = mulmd_ask(fixture);
        expect_event(fixture, "body", 1);
        staying = mulmd_ask(fixture);
        expect_event(fixture, "body", 3);
        process_signal(leaving, number);
        expect_event(fixture, "reset", 1);
        process_free(leaving);
        process_signal(fixture->servers[0], SIGUSR1);
        mulmd_expect_answer(fixture, staying, " Canberra, in the ACT.");
        assert_int_equal(mulmd_n_attempts(fixture), 1);
        assert_null(process_match(fixture->servers[0], PROCESS_STREAM_OUTPUT, "\"connection\": 2"));
}

static void test_caller_that_leaves_the_bus_in_mid_reply_resets_its_stream(void **state)
{
        leave(*state, BROKEN, SIGKILL);
}

static void test_caller_that_leaves_the_bus_before_the_cloud_speaks_resets_its_stream(void **state)
{
        leave(*state, SILENT, SIGKILL);
}

static void test_caller_that_cancels_resets_its_stream(void **state)
{
        leave(*state, BROKEN, SIGINT);
}

/* Nobody else's: the connection goes with the stream. */
static void test_only_caller_that_leaves_ends_the_connection(void **state)
{
        struct mulmd_fixture *fixture = *state;
        struct process *leaving;

        fixture->settings = "FirstTextSec=20\nGapSec=20";
        mulmd_start(fixture, "[" BROKEN "]", NULL);
        leaving = mulmd_ask(fixture);
        expect_event(fixture, "body", 1);
        process_free(leaving);
        free(process_expect(fixture->servers[0], PROCESS_STREAM_OUTPUT, "\"closed\", \"connection\": 1"));
}

static void test_opener_resets_the_hedge_and_the_reply_goes_on(void **state)
{
        struct mulmd_fixture *fixture = *state;
        const cJSON *attempt;
        struct process *asking;

        fixture->settings = "FirstTextSec=20\nGapSec=20\nHedge=yes";
        mulmd_start(fixture, "[" TWO_PARTS ", " SILENT "]", NULL);
        asking = mulmd_ask(fixture);
        expect_event(fixture, "body", 3);
        expect_event(fixture, "reset", 3);
        expect_event(fixture, "body", 1);
        process_signal(fixture->servers[0], SIGUSR1);
        mulmd_expect_answer(fixture, asking, " Canberra, in the ACT.");
        assert_int_equal(mulmd_n_attempts(fixture), 2);
        mulmd_expect_attempt(fixture, 1, "primary", 200, "complete");
        attempt = cJSON_GetArrayItem(cJSON_GetObjectItem(fixture->answer, "attempts"), 0);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(attempt, "reason")), "outrun");
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(attempt, "hedge")));
        assert_null(process_match(fixture->servers[0], PROCESS_STREAM_OUTPUT, "\"connection\": 2"));
}

#define streams_test(test) cmocka_unit_test_teardown(test, mulmd_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                streams_test(test_caller_that_leaves_the_bus_in_mid_reply_resets_its_stream),
                streams_test(test_caller_that_leaves_the_bus_before_the_cloud_speaks_resets_its_stream),
                streams_test(test_caller_that_cancels_resets_its_stream),
                streams_test(test_only_caller_that_leaves_ends_the_connection),
                streams_test(test_opener_resets_the_hedge_and_the_reply_goes_on),
        };

        return cmocka_run_group_tests(tests, mulmd_set_up_group, mulmd_tear_down_group);
}
