/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Recovery over real HTTP/2: mulmd with its model on a private bus, and scripted clouds that reset, go away, hang up,
 * fall silent and refuse. The reply is whole each time, and tells which attempts it took.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libmulm/base/macro.h"
#include "tests/integration/mulmd-fixture.h"
#include "tests/support/test.h"

#define FIRST  DELTA(" Canberra,") ", " DELTA(" a planned city")
#define SECOND "{\"steps\": [" DELTA(" in the") ", " DELTA(" ACT.") ", " MARK "]}"
#define WHOLE  " Canberra, a planned city in the ACT."

/* ------------------------------------------------------------------------------------------------- broken off */

/* The first answer ends in mid-sentence by `how`, the second one goes on. */
static void break_by(struct mulmd_fixture *fixture, const char *how, const char *reason)
{
        _cleanup_free_ char *scenario = NULL;

        assert_true(asprintf(&scenario, "[{\"steps\": [%s, {\"wait\": 50}%s]}, %s]", FIRST, how, SECOND) > 0);
        mulmd_start(fixture, scenario, NULL);
        mulmd_expect_reply(fixture, WHOLE);
        assert_int_equal(mulmd_n_attempts(fixture), 2);
        mulmd_expect_attempt(fixture, 0, "primary", 200, reason);
        mulmd_expect_attempt(fixture, 1, "primary", 200, "complete");
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
        struct mulmd_fixture *fixture = *state;

        mulmd_start(fixture,
                    "[{\"steps\": [" FIRST ", {\"goaway\": 0, \"last\": 1}, " DELTA(" in the ACT.") ", " MARK "]}]",
                    NULL);
        for (unsigned i = 0; i < 2; i++) {
                mulmd_expect_reply(fixture, WHOLE);
                assert_int_equal(mulmd_n_attempts(fixture), 1);
        }
}

/* ----------------------------------------------------------------------------------------------------- refused */

static void test_busy_endpoint_is_asked_again_after_the_time_it_names(void **state)
{
        struct mulmd_fixture *fixture = *state;

        mulmd_start(fixture,
                    "[{\"status\": 503, \"headers\": {\"retry-after\": \"1\"}, \"steps\": [\"busy\"]},"
                    " {\"steps\": [" FIRST ", " DELTA(" in the ACT.") ", " MARK "]}]",
                    NULL);
        mulmd_expect_reply(fixture, WHOLE);
        mulmd_expect_attempt(fixture, 0, "primary", 503, "Status");
        mulmd_expect_attempt(fixture, 1, "primary", 200, "complete");
        assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetObjectItem(fixture->answer, "timings"),
                                                             "cloud_first_text_us")) >= 1e6);
}

static void test_refused_key_leads_to_the_backup_from_then_on(void **state)
{
        struct mulmd_fixture *fixture = *state;

        mulmd_start(fixture, "[{\"status\": 401, \"steps\": [\"{}\"]}]",
                    "[{\"steps\": [" FIRST ", " DELTA(" in the ACT.") ", " MARK "]}]");
        mulmd_expect_reply(fixture, WHOLE);
        mulmd_expect_attempt(fixture, 0, "primary", 401, "Unauthorized");
        mulmd_expect_attempt(fixture, 1, "backup", 200, "complete");
        mulmd_expect_reply(fixture, WHOLE);
        mulmd_expect_attempt(fixture, 0, "backup", 200, "complete");
}

static void test_reply_moves_to_the_backup_in_mid_sentence(void **state)
{
        struct mulmd_fixture *fixture = *state;

        mulmd_start(fixture,
                    "[{\"steps\": [" FIRST
                    ", {\"reset\": 2}]}, {\"status\": 429, \"headers\": {\"retry-after\": \"900\"},"
                    " \"steps\": [\"{}\"]}]",
                    "[" SECOND "]");
        mulmd_expect_reply(fixture, WHOLE);
        mulmd_expect_attempt(fixture, 0, "primary", 200, "Broken");
        mulmd_expect_attempt(fixture, 1, "primary", 429, "RateLimited");
        mulmd_expect_attempt(fixture, 2, "backup", 200, "complete");
}

#define recovery_test(test) cmocka_unit_test_teardown(test, mulmd_tear_down)

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

        return cmocka_run_group_tests(tests, mulmd_set_up_group, mulmd_tear_down_group);
}
