/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A request with a hedge: the opener or a whole answer of the cloud, whichever comes first; the other costs what it
 * costs and is told of.
 */
#include <string.h>

#include "libmulm/base/macro.h"
#include "tests/support/request-fixture.h"

/* Asks: the stream that waits for the opener is opened first, then the hedge, whose body goes out at once. */
static void ask(struct fixture *fixture, struct cloud_attempt **ret_waiting, struct cloud_attempt **ret_hedge)
{
        fixture_set(&fixture->settings, "Cloud", "Hedge", "yes");
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        *ret_waiting = &fake_io.cloud.attempts[0];
        *ret_hedge = &fake_io.cloud.attempts[1];
        assert_null((*ret_waiting)->body);
        assert_non_null((*ret_hedge)->body);
        assert_non_null(strstr((*ret_hedge)->body, "What is the capital of Australia?"));
}

static void says(struct cloud_attempt *attempt, const char *bytes)
{
        fake_cloud_bytes(attempt, bytes, strlen(bytes));
}

static void expect_attempt(const struct fixture *fixture, size_t n, const char *reason, bool is_hedge,
                           unsigned n_tokens)
{
        const struct request_attempt *attempt = &fixture->heard.timings.attempts[n];

        assert_true(n < fixture->heard.timings.n_attempts);
        assert_string_equal(attempt->endpoint, "primary");
        assert_string_equal(attempt->reason, reason);
        assert_int_equal(attempt->is_hedge, is_hedge);
        assert_int_equal(attempt->n_tokens, n_tokens);
}

static void finish_with_opener(struct fixture *fixture, struct cloud_attempt *waiting)
{
        fake_cloud_status(waiting, 200);
        says(waiting, C(" Canberra.") FIN USAGE DONE);
        assert_string_equal(request_text(fixture->request), "The capital is Canberra.");
        assert_string_equal(fixture->heard.states, "opening handoff continuing done ");
        assert_string_equal(fixture->heard.reason, "unsure");
        assert_int_equal(fixture->heard.timings.n_attempts, 2);
        expect_attempt(fixture, 1, "complete", false, 6);
}

static void test_first_word_of_the_opener_resets_the_hedge(void **state)
{
        struct fixture *fixture = *state;
        struct cloud_attempt *waiting, *hedge;

        ask(fixture, &waiting, &hedge);
        fixture_engine_says(fixture, ENGINE_EVENT_STARTED, "", 0);
        assert_false(hedge->closed);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, "The", 0);
        assert_true(hedge->closed);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " capital", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " is", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_UNSURE);
        finish_with_opener(fixture, waiting);
        expect_attempt(fixture, 0, "outrun", true, 0);
}

static void test_hedge_that_speaks_first_is_the_reply(void **state)
{
        struct fixture *fixture = *state;
        struct cloud_attempt *waiting, *hedge;

        ask(fixture, &waiting, &hedge);
        fake_cloud_status(hedge, 200);
        says(hedge, ": ping\n\n");
        assert_string_equal(fixture->heard.states, "");
        says(hedge, C("Canberra") C(" is"));
        assert_true(waiting->closed);
        assert_int_equal(fake_io.engine.n_cancelled, 1);
        fake_cloud_again(hedge);
        says(hedge, C(" the capital.") FIN USAGE DONE);
        assert_string_equal(request_text(fixture->request), "Canberra is the capital.");
        assert_string_equal(fixture->heard.states, "remote done ");
        assert_string_equal(fixture->heard.reason, "late");
        assert_int_equal(fixture->heard.handoff.n_words, 0);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
        assert_int_equal(fixture->heard.timings.n_attempts, 2);
        expect_attempt(fixture, 0, "outrun", false, 0);
        expect_attempt(fixture, 1, "complete", true, 6);
}

/* The stream of the one that is ahead is gone on with, where it is cut by the handover does not matter. */
static void test_hedge_is_taken_over_at_every_byte_when_the_opener_is_withheld(void **state)
{
        struct fixture *fixture = *state;
        static const char stream[] =
                "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n" C("Canberra.") FIN;

        fixture_set(&fixture->settings, "Cloud", "Hedge", "yes");
        for (size_t cut = 0; cut <= strlen(stream); cut++) {
                struct cloud_attempt *waiting, *hedge;

                memset(&fixture->heard, 0, sizeof(fixture->heard));
                fake_io_reset();
                ask(fixture, &waiting, &hedge);
                fake_cloud_status(hedge, 200);
                fake_cloud_bytes(hedge, stream, cut);
                fixture_engine_says(fixture, ENGINE_EVENT_STARTED, "", 0);
                if (fake_io.engine.n_cancelled == 0)
                        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_UNSURE);
                assert_true(waiting->closed);
                fake_cloud_again(hedge);
                if (fixture->heard.n_finished == 0)
                        fake_cloud_bytes(hedge, stream + cut, strlen(stream) - cut);
                if (fixture->heard.n_finished == 0)
                        fake_cloud_end(hedge);
                assert_string_equal(request_text(fixture->request), "Canberra.");
                assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
                fixture->request = request_release(fixture->request);
                requests_reap(fixture->requests);
        }
}

static void test_text_of_the_loser_is_counted(void **state)
{
        struct fixture *fixture = *state;
        struct cloud_attempt *waiting, *hedge;

        ask(fixture, &waiting, &hedge);
        fake_cloud_status(hedge, 200);
        says(hedge, C("Canberra") C(" is") C(" it"));
        fake_cloud_again(hedge);
        request_cancel(fixture->request);
        assert_true(hedge->closed);
        expect_attempt(fixture, 1, "cancelled", true, 3);
}

static void test_hedge_that_fails_changes_nothing(void **state)
{
        struct fixture *fixture = *state;

        for (unsigned i = 0; i < 4; i++) {
                static const char *const reasons[] = { "Status", "Broken", "Protocol", "Status" };
                _cleanup_free_ char *flood = NULL;
                struct cloud_attempt *waiting, *hedge;

                memset(&fixture->heard, 0, sizeof(fixture->heard));
                fake_io_reset();
                ask(fixture, &waiting, &hedge);
                if (i == 0 || i == 3)
                        fake_cloud_status(hedge, i == 0 ? 429 : 400);
                if (i == 1)
                        fake_cloud_fail(hedge, CLOUD_FAILURE_BROKEN);
                if (i == 2) {
                        flood = calloc(1, 2 << 20);
                        assert_non_null(flood);
                        memset(flood, '\n', (2 << 20) - 1);
                        fake_cloud_status(hedge, 200);
                        says(hedge, flood);
                }
                assert_true(hedge->closed);
                fixture_say_opener(fixture);
                finish_with_opener(fixture, waiting);
                expect_attempt(fixture, 0, reasons[i], true, 0);
                fixture->request = request_release(fixture->request);
                requests_reap(fixture->requests);
        }
}

/* The hedge is at work already: nobody waits for another attempt, nor falls back to the μLM. */
static void test_hedge_is_taken_over_when_the_other_stream_failed(void **state)
{
        struct fixture *fixture = *state;
        struct cloud_attempt *waiting, *hedge;

        ask(fixture, &waiting, &hedge);
        fake_cloud_fail(waiting, CLOUD_FAILURE_BROKEN);
        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_UNSURE);
        fake_cloud_again(hedge);
        fake_cloud_status(hedge, 200);
        says(hedge, C("Canberra.") FIN DONE);
        assert_string_equal(request_text(fixture->request), "Canberra.");
        assert_string_equal(fixture->heard.states, "remote done ");
        assert_string_equal(fixture->heard.error, "");
}

/* What the hedge brought and lost afterwards is resumed as any attempt is. */
static void test_hedge_that_breaks_after_it_won_is_resumed(void **state)
{
        struct fixture *fixture = *state;
        struct cloud_attempt *waiting, *hedge;

        ask(fixture, &waiting, &hedge);
        fake_cloud_status(hedge, 200);
        says(hedge, C("Canberra is"));
        fake_cloud_again(hedge);
        fake_cloud_fail(hedge, CLOUD_FAILURE_BROKEN);
        fake_advance(1000000);
        assert_int_equal(fake_io.cloud.n_attempts, 3);
        assert_non_null(strstr(fake_attempt()->body, "Canberra is"));
        fake_cloud_status(fake_attempt(), 200);
        says(fake_attempt(), C(" it.") FIN DONE);
        assert_string_equal(request_text(fixture->request), "Canberra is it.");
        expect_attempt(fixture, 1, "Broken", true, 1);
        expect_attempt(fixture, 2, "complete", false, 1);
}

static void test_cancel_resets_both_streams(void **state)
{
        struct fixture *fixture = *state;
        struct cloud_attempt *waiting, *hedge;

        ask(fixture, &waiting, &hedge);
        request_cancel(fixture->request);
        assert_true(waiting->closed && hedge->closed);
        assert_int_equal(fixture->heard.timings.n_attempts, 2);
        expect_attempt(fixture, 0, "cancelled", false, 0);
        expect_attempt(fixture, 1, "cancelled", true, 0);
}

static void test_there_is_no_hedge_unless_it_could_be_of_use(void **state)
{
        struct fixture *fixture = *state;
        const struct request_options options[] = {
                { .opener = REQUEST_OPENER_NEVER },  /* the whole answer is what is asked for anyway */
                { .opener = REQUEST_OPENER_ALWAYS }, /* an opener is wanted, however late */
                { .cloud = REQUEST_CLOUD_NEVER },
                { .seed = 1 }, /* and by default: Hedge=no */
        };

        for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
                fixture_set(&fixture->settings, "Cloud", "Hedge", i == 3 ? "" : "yes");
                fixture_ask(fixture, options[i]);
                assert_int_equal(fake_io.cloud.n_attempts, i != 2);
                fixture->request = request_release(fixture->request);
                requests_reap(fixture->requests);
                memset(&fixture->heard, 0, sizeof(fixture->heard));
                fake_io_reset();
        }
}

#define hedge_test(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                hedge_test(test_first_word_of_the_opener_resets_the_hedge),
                hedge_test(test_hedge_that_speaks_first_is_the_reply),
                hedge_test(test_hedge_is_taken_over_at_every_byte_when_the_opener_is_withheld),
                hedge_test(test_text_of_the_loser_is_counted),
                hedge_test(test_hedge_that_fails_changes_nothing),
                hedge_test(test_hedge_is_taken_over_when_the_other_stream_failed),
                hedge_test(test_hedge_that_breaks_after_it_won_is_resumed),
                hedge_test(test_cancel_resets_both_streams),
                hedge_test(test_there_is_no_hedge_unless_it_could_be_of_use),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
