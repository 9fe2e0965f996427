/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A request that is shown at a pace: what the caller hears when, what it can ask for meanwhile, and what the cloud is
 * told; and text that waits in merge, which is shown in time.
 */
#include <string.h>

#include "tests/support/request-fixture.h"

static const struct request_options slowly = { .words_per_second = 2 };
static const struct request_options slowly_with_redraw = { .words_per_second = 2, .redraw = true };
static const struct request_options seldom = { .min_interval_ms = 200 };

static void answer(const char *stream)
{
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(stream);
}

static void assert_heard(struct fixture *fixture, const char *wanted)
{
        assert_string_equal(fixture->heard.text, wanted);
}

static void test_words_are_heard_at_the_rate_and_finished_after_the_last(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly);
        fixture_say_opener(fixture);
        assert_heard(fixture, "o:The|");
        answer(C(" Canb") C("erra, not") C(" Sydney.") FIN DONE);
        assert_heard(fixture, "o:The|");
        assert_int_equal(fixture->heard.n_finished, 0);
        assert_int_equal(request_state(fixture->request), RACE_STATE_CONTINUING);
        fake_advance(500000);
        fake_advance(500000);
        assert_heard(fixture, "o:The|o: capital|o: is|");
        assert_string_equal(request_text(fixture->request), "The capital is");
        fake_advance(500000);
        assert_heard(fixture, "o:The|o: capital|o: is|c: Canberra,|");
        fake_advance(500000);
        assert_int_equal(fixture->heard.n_finished, 0);
        assert_int_equal(requests_n_live(fixture->requests), 1);
        fake_advance(500000);
        assert_heard(fixture, "o:The|o: capital|o: is|c: Canberra,|c: not|c: Sydney.|");
        assert_int_equal(fixture->heard.n_finished, 1);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
        assert_string_equal(fixture->heard.states, "opening handoff continuing done ");
        assert_int_equal(requests_n_live(fixture->requests), 0);
        assert_int_equal(fixture->heard.timings.end_us, 2500000);
        assert_int_equal(fixture->heard.timings.last_opener_word_us, 1000000);
        assert_int_equal(fixture->heard.timings.paced_us, 2500000);
}

static void test_handoff_tells_of_all_that_was_opened(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly);
        fixture_say_opener(fixture);
        assert_int_equal(fixture->heard.n_handoffs, 1);
        assert_int_equal(fixture->heard.handoff.n_characters, strlen("The capital is"));
        assert_non_null(strstr(fake_attempt()->body, "The capital is"));
}

static void test_deltas_are_put_together_but_the_first_and_the_last(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, seldom);
        fixture_say_opener(fixture);
        answer(C(" Canb"));
        assert_heard(fixture, "o:The|");
        fake_advance(200000);
        assert_heard(fixture, "o:The|o: capital is|");
        fixture_cloud_says(C("erra, not") C(" Sydney.") FIN DONE);
        assert_heard(fixture, "o:The|o: capital is|c: Canberra, not Sydney.|");
        assert_int_equal(fixture->heard.n_finished, 1);
}

static void test_cancel_drops_what_was_not_yet_heard(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly);
        fixture_say_opener(fixture);
        answer(C(" Canberra,"));
        fake_advance(500000);
        request_cancel(fixture->request);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_CANCELLED);
        assert_string_equal(request_text(fixture->request), "The capital");
        fake_advance(5000000);
        assert_heard(fixture, "o:The|o: capital|");
}

static void test_whole_reply_that_is_not_yet_heard_can_be_cancelled(void **state)
{
        struct fixture *fixture = *state;
        struct requests_statistics statistics;

        fixture_ask(fixture, slowly);
        fixture_say_opener(fixture);
        answer(C(" Canberra.") FIN DONE);
        fake_advance(500000);
        request_cancel(fixture->request);
        request_cancel(fixture->request);
        assert_int_equal(fixture->heard.n_finished, 1);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_CANCELLED);
        assert_string_equal(fixture->heard.states, "opening handoff continuing cancelled ");
        assert_string_equal(request_text(fixture->request), "The capital");
        requests_statistics(fixture->requests, &statistics);
        assert_int_equal(statistics.n_cancelled, 1);
        assert_int_equal(statistics.n_complete, 0);
        fake_advance(5000000);
        assert_heard(fixture, "o:The|o: capital|");
}

static void test_release_before_the_end_frees_the_request(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly);
        fixture_say_opener(fixture);
        answer(C(" Canberra.") FIN DONE);
        fixture->request = request_release(fixture->request);
        requests_reap(fixture->requests);
        assert_int_equal(requests_n_live(fixture->requests), 0);
        fake_advance(5000000);
        assert_heard(fixture, "o:The|");
}

/* What was merged is what the next attempt is asked to go on from, heard or not. */
static void test_resumption_is_from_what_was_merged(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly);
        fixture_say_opener(fixture);
        answer(C(" Canberra, a planned"));
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_BROKEN);
        fake_advance(0);
        assert_heard(fixture, "o:The|");
        assert_non_null(strstr(fake_attempt()->body, "The capital is Canberra, a planned"));
        answer(C(" city.") FIN DONE);
        for (unsigned i = 0; i < 10; i++)
                fake_advance(500000);
        assert_heard(fixture, "o:The|o: capital|o: is|c: Canberra,|c: a|c: planned|c: city.|");
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
}

static void test_local_completion_is_paced_too(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly);
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_CONNECT);
        fixture_say_opener(fixture);
        fixture_engine_says(fixture, ENGINE_EVENT_STARTED, "", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " a", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " city.", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_END);
        for (unsigned i = 0; i < 4; i++)
                fake_advance(500000);
        assert_heard(fixture, "o:The|o: capital|o: is|l: a|l: city.|");
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_LOCAL);
}

/* ------------------------------------------------------------------------------------------------- replacing */

static void test_what_was_heard_is_replaced_at_its_offset(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly_with_redraw);
        fixture_say_opener(fixture);
        fake_advance(500000);
        answer(C("[[replace]]") C("The seat of government is Canberra.") FIN DONE);
        assert_heard(fixture, "o:The|o: capital|r4:seat of|");
        assert_string_equal(request_text(fixture->request), "The seat of");
        for (unsigned i = 0; i < 4; i++)
                fake_advance(500000);
        assert_heard(fixture, "o:The|o: capital|r4:seat of|c: government|c: is|c: Canberra.|");
        assert_string_equal(request_text(fixture->request), "The seat of government is Canberra.");
        assert_int_equal(fixture->heard.n_finished, 1);
}

static void test_what_was_not_yet_heard_is_replaced_in_silence(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly_with_redraw);
        fixture_say_opener(fixture);
        answer(C("[[replace]]") C("The seat is Canberra.") FIN DONE);
        for (unsigned i = 0; i < 4; i++)
                fake_advance(500000);
        assert_heard(fixture, "o:The|c: seat|c: is|c: Canberra.|");
        assert_string_equal(request_text(fixture->request), "The seat is Canberra.");
}

static void test_replacement_by_less_is_told_at_once(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, slowly_with_redraw);
        fixture_say_opener(fixture);
        fake_advance(500000);
        answer(C("[[replace]]") C("The cap") FIN DONE);
        assert_heard(fixture, "o:The|o: capital|r7:|");
        assert_int_equal(fixture->heard.n_finished, 1);
}

/* ----------------------------------------------------------------------------------------- held in merge */

static void test_text_that_waits_for_its_seam_is_shown_in_time(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        answer(C("It"));
        assert_heard(fixture, "o:The|o: capital|o: is|");
        fake_advance(499999);
        assert_heard(fixture, "o:The|o: capital|o: is|");
        fake_advance(1);
        assert_heard(fixture, "o:The|o: capital|o: is|c: it|");
        fixture_cloud_says(C(" was planned.") FIN DONE);
        assert_string_equal(request_text(fixture->request), "The capital is it was planned.");
        assert_int_equal(fixture->heard.timings.undecided_us, 500000);
}

/* What may be an echo is worth waiting for: it is dropped, or asked for anew when the cloud stays silent. */
static void test_open_echo_waits_until_the_cloud_is_given_up(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        answer(C("The capital"));
        fake_advance(2900000);
        assert_heard(fixture, "o:The|o: capital|o: is|");
        fixture_cloud_says(C(" is"));
        fake_advance(600000);
        fixture_cloud_says(C(" Canb"));
        assert_heard(fixture, "o:The|o: capital|o: is|c: Canb|");

        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_BROKEN);
        fake_advance(0);
        answer(C("The"));
        fake_advance(3000000); /* GapSec, and then the wait of a second retry */
        fake_advance(1000000);
        assert_int_equal(fake_io.cloud.n_attempts, 3);
        assert_heard(fixture, "o:The|o: capital|o: is|c: Canb|");
}

#define pace_test(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                pace_test(test_words_are_heard_at_the_rate_and_finished_after_the_last),
                pace_test(test_handoff_tells_of_all_that_was_opened),
                pace_test(test_deltas_are_put_together_but_the_first_and_the_last),
                pace_test(test_cancel_drops_what_was_not_yet_heard),
                pace_test(test_whole_reply_that_is_not_yet_heard_can_be_cancelled),
                pace_test(test_release_before_the_end_frees_the_request),
                pace_test(test_resumption_is_from_what_was_merged),
                pace_test(test_local_completion_is_paced_too),
                pace_test(test_what_was_heard_is_replaced_at_its_offset),
                pace_test(test_what_was_not_yet_heard_is_replaced_in_silence),
                pace_test(test_replacement_by_less_is_told_at_once),
                pace_test(test_text_that_waits_for_its_seam_is_shown_in_time),
                pace_test(test_open_echo_waits_until_the_cloud_is_given_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
