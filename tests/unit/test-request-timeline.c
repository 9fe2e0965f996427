/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What a request records of itself: who was to speak and who did first, where the reply was taken over, when each
 * attempt did what, and what was paid for nothing.
 */
#include <string.h>

#include "tests/support/request-fixture.h"

static void answer(const char *stream)
{
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(stream);
}

static void test_resumed_reply_tells_of_each_attempt(void **state)
{
        struct fixture *fixture = *state;
        const struct request_timings *timings = &fixture->heard.timings;
        const struct request_attempt *attempts;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fake_advance(20000);
        fixture_say_opener(fixture);
        fake_advance(100000);
        answer(C(" Canberra,"));
        fake_advance(50000);
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_BROKEN);
        fake_advance(0);
        fake_advance(30000);
        answer(C(" a city.") FIN USAGE DONE);

        assert_true(timings->raced_opener && timings->raced_cloud && !timings->raced_hedge);
        assert_string_equal(timings->winner, "opener");
        assert_string_equal(timings->opener_end, "unsure");
        assert_int_equal(timings->n_seam, strlen("The capital is"));
        assert_int_equal(timings->n_local_seam, 0);
        assert_int_equal(timings->n_lost_tokens, 0);
        assert_int_equal(timings->n_attempts, 2);
        attempts = timings->attempts;
        assert_string_equal(attempts[0].reason, "Broken");
        assert_int_equal(attempts[0].n_said, strlen("The capital is"));
        assert_int_equal(attempts[0].released_us, 20000);
        assert_int_equal(attempts[0].first_text_us, 120000);
        assert_int_equal(attempts[0].ended_us, 170000);
        assert_string_equal(attempts[1].reason, "complete");
        assert_int_equal(attempts[1].n_said, strlen("The capital is Canberra,"));
        assert_int_equal(attempts[1].opened_us, 170000);
        assert_int_equal(attempts[1].released_us, 170000);
        assert_int_equal(attempts[1].first_text_us, 200000);
        assert_int_equal(attempts[1].n_tokens, 6);
}

static void test_local_end_tells_where_it_took_over(void **state)
{
        struct fixture *fixture = *state;
        const struct request_timings *timings = &fixture->heard.timings;

        fixture_ask(fixture, (struct request_options){ .deadline_ms = 1000 });
        fixture_say_opener(fixture);
        answer(C(" D\xc3\xa9j\xc3\xa0"));
        fake_advance(1000000);
        fixture_finish_locally(fixture);
        assert_int_equal(timings->n_seam, 14);
        assert_int_equal(timings->n_local_seam, 14 + 5);
}

static void test_reply_without_opener_has_no_seam(void **state)
{
        struct fixture *fixture = *state;
        const struct request_timings *timings = &fixture->heard.timings;

        fixture_ask(fixture, (struct request_options){ .opener = REQUEST_OPENER_NEVER });
        answer(C("Canberra.") FIN DONE);
        assert_false(timings->raced_opener);
        assert_string_equal(timings->winner, "cloud");
        assert_string_equal(timings->opener_end, "never");
        assert_int_equal(timings->n_seam, 0);
        assert_int_equal(timings->attempts[0].n_said, 0);
}

static void test_refused_attempt_has_no_text(void **state)
{
        struct fixture *fixture = *state;
        const struct request_timings *timings = &fixture->heard.timings;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fake_advance(10000);
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_CONNECT);
        fixture_say_opener(fixture);
        fixture_finish_locally(fixture);
        assert_int_equal(timings->n_attempts, 1);
        assert_int_equal(timings->attempts[0].released_us, 0);
        assert_int_equal(timings->attempts[0].first_text_us, 0);
        assert_int_equal(timings->attempts[0].ended_us, 10000);
        assert_string_equal(timings->winner, "opener");
}

static void test_outrun_answer_is_counted(void **state)
{
        struct fixture *fixture = *state;
        const struct request_timings *timings = &fixture->heard.timings;
        struct cloud_attempt *waiting, *hedge;

        fixture_set(&fixture->settings, "Cloud", "Hedge", "yes");
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        waiting = &fake_io.cloud.attempts[0];
        hedge = &fake_io.cloud.attempts[1];
        fake_cloud_status(hedge, 200);
        fixture_say_opener(fixture);
        fake_cloud_status(waiting, 200);
        fake_cloud_bytes(waiting, C(" Canberra.") FIN DONE, strlen(C(" Canberra.") FIN DONE));
        assert_true(timings->raced_hedge);
        assert_string_equal(timings->winner, "opener");
        assert_int_equal(timings->n_attempts, 2);
        assert_true(timings->attempts[0].is_hedge);
        assert_string_equal(timings->attempts[0].reason, "outrun");
        assert_int_equal(timings->n_lost_tokens, timings->attempts[0].n_tokens);
}

#define timeline_test(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                timeline_test(test_resumed_reply_tells_of_each_attempt),
                timeline_test(test_local_end_tells_where_it_took_over),
                timeline_test(test_reply_without_opener_has_no_seam),
                timeline_test(test_refused_attempt_has_no_text),
                timeline_test(test_outrun_answer_is_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
