/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <math.h>
#include <string.h>

#include "daemon/core/httpdate.h"
#include "daemon/core/retry.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

#define SECOND 1000000ull

/* 1994-11-06 08:49:37 UTC, the date of RFC 9110's examples. */
#define THEN 784111777

static struct retry_failure failure_of(unsigned status)
{
        return (struct retry_failure){ .status = status, .left_us = 10 * SECOND, .wall_us = THEN * SECOND };
}

static void check(const struct retry_failure *failure, enum retry_action action, uint64_t delay_us)
{
        struct retry_decision decision = retry_decide(failure);

        assert_int_equal(decision.action, action);
        assert_int_equal(decision.delay_us, delay_us);
}

static void test_statuses_that_time_may_mend_are_repeated(void **state)
{
        static const unsigned statuses[] = { 408, 409, 429, 500, 502, 503, 504, 529, 599 };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
                struct retry_failure failure = failure_of(statuses[i]);

                check(&failure, RETRY_ACTION_AGAIN, SECOND / 2);
        }
}

static void test_statuses_about_the_request_are_not_repeated(void **state)
{
        static const unsigned statuses[] = { 0, 200, 301, 400, 404, 405, 413, 422, 600 };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
                struct retry_failure failure = failure_of(statuses[i]);

                failure.headers.retry_after = "1";
                check(&failure, RETRY_ACTION_NEXT, 0);
        }
}

static void test_key_and_money_take_the_endpoint_down(void **state)
{
        static const unsigned statuses[] = { 401, 402, 403 };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
                struct retry_failure failure = failure_of(statuses[i]);

                failure.headers = (struct retry_headers){ .retry_after = "1", .should_retry = "true" };
                check(&failure, RETRY_ACTION_DOWN, 0);
        }
}

static void test_server_may_say_whether_to_repeat(void **state)
{
        struct retry_failure failure = failure_of(429);

        (void)state;
        failure.headers.should_retry = "false";
        check(&failure, RETRY_ACTION_NEXT, 0);
        failure.headers.should_retry = " False ";
        check(&failure, RETRY_ACTION_NEXT, 0);
        failure.headers.should_retry = "perhaps";
        check(&failure, RETRY_ACTION_AGAIN, SECOND / 2);
        failure = failure_of(400);
        failure.headers.should_retry = "true";
        check(&failure, RETRY_ACTION_AGAIN, SECOND / 2);
}

static void check_delay(const char *ms, const char *seconds, uint64_t delay_us)
{
        struct retry_failure failure = failure_of(503);

        failure.headers = (struct retry_headers){ .retry_after_ms = ms, .retry_after = seconds };
        failure.left_us = UINT64_MAX;
        check(&failure, RETRY_ACTION_AGAIN, delay_us);
}

static void test_delay_has_many_forms(void **state)
{
        (void)state;
        check_delay("250", NULL, SECOND / 4);
        check_delay("1500.5", "7", 1500500);
        check_delay(NULL, "0.25", SECOND / 4);
        check_delay(NULL, " 2 ", 2 * SECOND);
        check_delay(NULL, "Sun, 06 Nov 1994 08:49:38 GMT", SECOND);
        check_delay(NULL, "Sunday, 06-Nov-94 08:49:39 GMT", 2 * SECOND);
        check_delay(NULL, "Sun Nov  6 08:49:40 1994", 3 * SECOND);
        check_delay("nonsense", "3", 3 * SECOND);
}

static void test_delay_that_is_none_is_left_to_the_back_off(void **state)
{
        static const char *const none[] = {
                "",
                " ",
                "0",
                "0.0",
                "-5",
                "-1",
                "nan",
                "inf",
                "1e3",
                "0x10",
                "soon",
                "99999999999999999999",
                "1 2",
                "0.0000001",
                "1,5",
                "+1",
                "\xff",
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sun, 06 Nov 1983 08:49:37 GMT",
                "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
                check_delay(none[i], NULL, SECOND / 2);
                check_delay(NULL, none[i], SECOND / 2);
                check_delay(none[i], "3", 3 * SECOND);
        }
}

static void test_absurd_delay_is_bounded(void **state)
{
        static const char *const absurd[] = { "999999999", "86400", "3600.1", "Fri, 31 Dec 9999 23:59:59 GMT" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(absurd); i++) {
                struct retry_failure failure = failure_of(429);

                failure.headers.retry_after = absurd[i];
                check(&failure, RETRY_ACTION_REST, RETRY_LONG_US);
        }
        check_delay("99999999999", NULL, RETRY_LONG_US);
}

static void test_delay_beyond_the_deadline_rests_the_endpoint(void **state)
{
        struct retry_failure failure = failure_of(429);

        (void)state;
        failure.headers.retry_after = "1800";
        check(&failure, RETRY_ACTION_REST, 1800 * SECOND);
        failure.headers.retry_after = "10";
        check(&failure, RETRY_ACTION_AGAIN, 10 * SECOND);
        failure.headers.retry_after = "10.1";
        check(&failure, RETRY_ACTION_REST, 10100000);
        failure.headers.retry_after = NULL;
        failure.left_us = 0;
        check(&failure, RETRY_ACTION_REST, RETRY_REST_US);
}

static void test_back_off_grows_and_is_bounded(void **state)
{
        struct retry_failure failure = failure_of(429);

        (void)state;
        failure.headers.retry_after_ms = "0";
        for (failure.n_retries = 0; failure.n_retries < RETRY_MAX; failure.n_retries++)
                check(&failure, RETRY_ACTION_AGAIN, (SECOND / 2) << failure.n_retries);
        check(&failure, RETRY_ACTION_REST, RETRY_REST_US);
        failure.n_retries = 4000000000u;
        check(&failure, RETRY_ACTION_REST, 8 * SECOND);
        failure.headers.retry_after_ms = "9000";
        check(&failure, RETRY_ACTION_REST, 9 * SECOND);
}

static void test_chance_takes_away_up_to_a_quarter(void **state)
{
        static const double bad[] = { -1, 1.5, NAN, INFINITY };
        struct retry_failure failure = failure_of(500);

        (void)state;
        failure.chance = 1;
        check(&failure, RETRY_ACTION_AGAIN, 375000);
        failure.chance = 0.5;
        check(&failure, RETRY_ACTION_AGAIN, 437500);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                failure.chance = bad[i];
                check(&failure, RETRY_ACTION_AGAIN, 500000);
        }
}

static void test_broken_answer_is_asked_for_again_at_once_the_first_time(void **state)
{
        struct retry_failure failure = { .cause = RETRY_CAUSE_BROKEN, .status = 200, .left_us = SECOND };

        (void)state;
        check(&failure, RETRY_ACTION_AGAIN, 0);
        failure.n_retries = 1;
        check(&failure, RETRY_ACTION_AGAIN, SECOND / 2);
        failure.n_retries = 2;
        check(&failure, RETRY_ACTION_REST, RETRY_REST_US);
}

static void test_endpoint_that_cannot_be_reached_rests(void **state)
{
        struct retry_failure failure = { .cause = RETRY_CAUSE_UNREACHABLE, .left_us = UINT64_MAX };

        (void)state;
        check(&failure, RETRY_ACTION_REST, RETRY_REST_US);
}

static void test_network_that_is_away_in_mid_reply_is_looked_for_often(void **state)
{
        struct retry_failure failure = { .cause = RETRY_CAUSE_AWAY, .left_us = 3000000 };

        (void)state;
        for (; failure.n_retries < RETRY_AWAY_MAX; failure.n_retries++)
                check(&failure, RETRY_ACTION_AGAIN, 250000);
        check(&failure, RETRY_ACTION_REST, RETRY_REST_US);
        failure = (struct retry_failure){ .cause = RETRY_CAUSE_AWAY, .left_us = 1000 };
        check(&failure, RETRY_ACTION_REST, RETRY_REST_US);
}

static void test_health_follows_the_decisions(void **state)
{
        struct retry_health health = { 0 };

        (void)state;
        assert_true(retry_is_usable(&health, 0));
        retry_note(&health, &(struct retry_decision){ RETRY_ACTION_AGAIN, 5 }, 100);
        retry_note(&health, &(struct retry_decision){ RETRY_ACTION_NEXT, 0 }, 100);
        assert_true(retry_is_usable(&health, 100));
        retry_note(&health, &(struct retry_decision){ RETRY_ACTION_REST, 50 }, 100);
        retry_note(&health, &(struct retry_decision){ RETRY_ACTION_REST, 10 }, 110);
        assert_false(retry_is_usable(&health, 149));
        assert_true(retry_is_usable(&health, 150));
        retry_note(&health, &(struct retry_decision){ .action = RETRY_ACTION_DOWN }, 150);
        assert_false(retry_is_usable(&health, UINT64_MAX));
}

/* ------------------------------------------------------------------------------------------------------ dates */

static void check_date(const char *text, int64_t seconds)
{
        int64_t found = 0;

        assert_true(httpdate_parse(text, THEN, &found));
        assert_int_equal(found, seconds);
}

static void test_dates_are_read_in_three_forms(void **state)
{
        (void)state;
        check_date("Sun, 06 Nov 1994 08:49:37 GMT", THEN);
        check_date("Sunday, 06-Nov-94 08:49:37 GMT", THEN);
        check_date("Sun Nov  6 08:49:37 1994", THEN);
        check_date("Thu, 01 Jan 1970 00:00:00 GMT", 0);
        check_date("Tue, 29 Feb 2000 23:59:60 GMT", 951868800);
        check_date("Fri, 31 Dec 2100 00:00:00 GMT", 4133894400);
        /* 1994 + 50 is the last year to come. */
        check_date("Friday, 01-Jan-44 00:00:00 GMT", 2335219200);
        check_date("Saturday, 01-Jan-72 00:00:00 GMT", 63072000);
}

static void test_what_is_no_date_is_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "1994-11-06T08:49:37Z",
                "Sun, 06 Nov 1994 08:49:37",
                "Sun, 06 Nov 1994 08:49:37 GMT+1",
                "Sun, 06 Nov 1994 08:49:37 CET",
                "Sun, 06 Nvo 1994 08:49:37 GMT",
                "Sun, 06 No 1994 08:49:37 GMT",
                "Sun, 00 Nov 1994 08:49:37 GMT",
                "Sun, 31 Nov 1994 08:49:37 GMT",
                "Thu, 29 Feb 1900 08:49:37 GMT",
                "Wed, 29 Feb 2100 08:49:37 GMT",
                "Sun, 06 Nov 1994 24:49:37 GMT",
                "Sun, 06 Nov 1994 08:60:37 GMT",
                "Sun, 06 Nov 1994 08:49:61 GMT",
                "Sun, 06 Nov 0000 08:49:37 GMT",
                "Sun, 06 Nov 1969 08:49:37 GMT",
        };
        int64_t seconds;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(httpdate_parse(bad[i], THEN, &seconds));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_statuses_that_time_may_mend_are_repeated),
                cmocka_unit_test(test_statuses_about_the_request_are_not_repeated),
                cmocka_unit_test(test_key_and_money_take_the_endpoint_down),
                cmocka_unit_test(test_server_may_say_whether_to_repeat),
                cmocka_unit_test(test_delay_has_many_forms),
                cmocka_unit_test(test_delay_that_is_none_is_left_to_the_back_off),
                cmocka_unit_test(test_absurd_delay_is_bounded),
                cmocka_unit_test(test_delay_beyond_the_deadline_rests_the_endpoint),
                cmocka_unit_test(test_back_off_grows_and_is_bounded),
                cmocka_unit_test(test_chance_takes_away_up_to_a_quarter),
                cmocka_unit_test(test_broken_answer_is_asked_for_again_at_once_the_first_time),
                cmocka_unit_test(test_endpoint_that_cannot_be_reached_rests),
                cmocka_unit_test(test_network_that_is_away_in_mid_reply_is_looked_for_often),
                cmocka_unit_test(test_health_follows_the_decisions),
                cmocka_unit_test(test_dates_are_read_in_three_forms),
                cmocka_unit_test(test_what_is_no_date_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
