/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A request whose clouds break off, refuse and fall silent: no word is lost, none is said twice, and every attempt is
 * told of. The scripted cloud goes on from what the body of its request says was said.
 */
#include <string.h>

#include "tests/support/request-fixture.h"

#define SAID "The capital is"
#define REST                                                                                                         \
        " Canberra, a planned city \xe2\x80\x94 \xe2\x80\x9cthe bush capital\xe2\x80\x9d \xe2\x80\x94 between "      \
        "Sydney "                                                                                                    \
        "and Melbourne."
#define STREAM                                                                                                       \
        C(" Can")                                                                                                    \
        C("berra,")                                                                                                  \
        C(" a planned")                                                                                              \
        C(" city \xe2\x80\x94 \xe2\x80\x9cthe bu")                                                                   \
        C("sh capital\xe2\x80\x9d ") C("\xe2\x80\x94 between Sydney and Melb") C("ourne.")

static void set_backup(struct fixture *fixture)
{
        fixture_set(&fixture->settings, "Cloud", "Endpoints", "primary backup");
        fixture_set(&fixture->settings, "Endpoint backup", "URL", "https://backup.example/v1");
}

/* A daemon that knows of no failures yet. */
static void renew(struct fixture *fixture)
{
        requests_free(fixture->requests);
        assert_int_equal(
                requests_new(&fixture->requests, &fixture->settings, fake_engine(), fake_cloud(), fake_timers()), 0);
}

static int set_up_with_backup(void **state)
{
        assert_int_equal(fixture_set_up(state), 0);
        set_backup(*state);
        renew(*state);
        return 0;
}

static void start(struct fixture *fixture)
{
        memset(&fixture->heard, 0, sizeof(fixture->heard));
        fake_io_reset();
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
}

static void stop(struct fixture *fixture)
{
        fixture->request = request_release(fixture->request);
        requests_reap(fixture->requests);
}

/* The n-th attempt, from 0, as Finished told of it. */
static void expect_attempt(const struct fixture *fixture, size_t n, const char *endpoint, unsigned status,
                           const char *reason)
{
        const struct request_attempt *attempt = &fixture->heard.timings.attempts[n];

        assert_true(n < fixture->heard.timings.n_attempts);
        assert_string_equal(attempt->endpoint, endpoint);
        assert_int_equal(attempt->http_status, status);
        assert_string_equal(attempt->reason, reason);
}

/* ----------------------------------------------------------------------------------------- at every break point */

enum break_kind {
        BREAK_END,   /* as whole as HTTP knows, without its marker */
        BREAK_RESET, /* of the stream or the connection */
        BREAK_ERROR, /* told in the stream */
        BREAK_STALL, /* nothing more */
        _BREAK_N,
};

static void break_off(enum break_kind kind)
{
        switch (kind) {
        case BREAK_END: fake_cloud_end(fake_attempt()); break;
        case BREAK_RESET: fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_BROKEN); break;
        case BREAK_ERROR:
                /* What was cut off in mid-line is ended by the blank line, and skipped. */
                fixture_cloud_says("\n\ndata: {\"error\":{\"message\":\"overloaded\",\"code\":529}}\n\n");
                break;
        case BREAK_STALL: fake_advance(3000000); break;
        case _BREAK_N: break;
        }
        fake_advance(600000);
}

/* Before the cloud spoke, it would be the device's usual way to be offline, and the μLM goes on at once. */
static void test_network_that_is_away_in_mid_reply_is_waited_for(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C(" Canberra,"));
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_BROKEN);
        fake_advance(0);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(fake_io.cloud.n_attempts, 2 + i);
                fake_cloud_fail(fake_attempt(), i == 0 ? CLOUD_FAILURE_NETWORK : CLOUD_FAILURE_RESOLVE);
                fake_advance(250000);
        }
        assert_non_null(strstr(fake_attempt()->body, "The capital is Canberra,"));
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C(" of course.") FIN DONE);
        assert_string_equal(request_text(fixture->request), "The capital is Canberra, of course.");
        expect_attempt(fixture, 1, "primary", 0, "Offline");
        expect_attempt(fixture, 4, "primary", 200, "complete");
}

/* Sends `text`, which needs no escapes, and the end. */
static void say(const char *text)
{
        struct buf bytes = BUF_NULL;

        assert_int_equal(buf_printf(&bytes, C("%s") FIN DONE, text), 0);
        fixture_cloud_says(bytes.data);
        buf_done(&bytes);
}

/* Breaks the first stream after `cut` bytes; what the second says is `again` from where `skip_shown` says. */
static void break_and_resume(struct fixture *fixture, size_t cut, enum break_kind kind, const char *again,
                             bool skip_shown)
{
        char shown[256];

        start(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fake_cloud_bytes(fake_attempt(), STREAM, cut);
        break_off(kind);
        (void)snprintf(shown, sizeof(shown), "%s", request_text(fixture->request));
        if (kind == BREAK_STALL && strlen(shown) == strlen(SAID)) {
                /* Nothing came at all: it is not asked for again. */
                fixture_finish_locally(fixture);
                stop(fixture);
                renew(fixture);
                return;
        }
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        /* Exactly what was shown, but for blanks at its end. */
        for (size_t n = strlen(shown); n > 0 && shown[n - 1] == ' ';)
                shown[--n] = '\0';
        assert_non_null(strstr(fake_attempt()->body, shown));
        fake_cloud_status(fake_attempt(), 200);
        say(skip_shown ? again + strlen(shown) : again);
        assert_string_equal(request_text(fixture->request), SAID REST);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
        assert_string_equal(fixture->heard.error, "");
        assert_int_equal(fixture->heard.timings.n_attempts, 2);
        expect_attempt(fixture, 1, "primary", 200, "complete");
        stop(fixture);
}

static void test_stream_broken_anywhere_goes_on_where_it_stopped(void **state)
{
        for (unsigned kind = 0; kind < _BREAK_N; kind++)
                for (size_t cut = 0; cut < strlen(STREAM); cut++)
                        break_and_resume(*state, cut, (enum break_kind)kind, SAID REST, true);
}

static void test_resumed_stream_that_begins_again_is_said_once(void **state)
{
        for (size_t cut = 0; cut < strlen(STREAM); cut++)
                break_and_resume(*state, cut, BREAK_RESET, SAID REST, false);
}

static void test_resumed_stream_that_repeats_the_tail_is_said_once(void **state)
{
        struct fixture *fixture = *state;

        start(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C(" Canberra, a planned city"));
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_BROKEN);
        fake_advance(0);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C("Canberra, a planned city in the") C(" ACT.") FIN DONE);
        assert_string_equal(request_text(fixture->request), SAID " Canberra, a planned city in the ACT.");
        stop(fixture);

        start(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C(" Canberra, a planned city"));
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_BROKEN);
        fake_advance(0);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C(" city planners liked.") FIN DONE);
        assert_string_equal(request_text(fixture->request), SAID " Canberra, a planned city city planners liked.");
}

static void test_word_cut_in_two_is_made_whole(void **state)
{
        static const struct {
                const char *shown, *again, *whole;
        } cases[] = {
                { " Canb", C("erra, of course."), " Canberra, of course." },
                { " Canb", C("Canb") C("erra, of course."), " Canberra, of course." },
                { " Canb", C(" is Canberra."), " Canberra." },
                { " Canberra", C(" is Canberra's own."), " Canberra's own." },
                { " a", C("n apple."), " an apple." },
                { " a", C(" apple."), " a apple." }, /* as the model says it */
                { " the city", C("The city is old."), " the city is old." },
                { " one", C("\\n\\nTwo."), " one\n\nTwo." },
        };
        struct fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                char stream[128], whole[128];

                start(fixture);
                fake_cloud_status(fake_attempt(), 200);
                (void)snprintf(stream, sizeof(stream), C("%s"), cases[i].shown);
                fixture_cloud_says(stream);
                fake_cloud_end(fake_attempt());
                fake_advance(0);
                fake_cloud_status(fake_attempt(), 200);
                fixture_cloud_says(cases[i].again);
                fixture_cloud_says(FIN DONE);
                (void)snprintf(whole, sizeof(whole), "%s%s", SAID, cases[i].whole);
                assert_string_equal(request_text(fixture->request), whole);
                stop(fixture);
        }
}

static void test_stream_that_was_whole_but_for_its_marker_ends_well(void **state)
{
        struct fixture *fixture = *state;

        start(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C(" Canberra."));
        fake_cloud_end(fake_attempt());
        fake_advance(0);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(FIN DONE);
        assert_string_equal(request_text(fixture->request), SAID " Canberra.");
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
}

/* ------------------------------------------------------------------------------------------- statuses and times */

static void refuse(unsigned status, const struct retry_headers *headers)
{
        fake_cloud_retry(fake_attempt(), status, headers);
        fixture_cloud_says("{\"error\":{\"message\":\"no\"}}");
        fake_cloud_end(fake_attempt());
}

static void test_named_delay_is_kept(void **state)
{
        struct fixture *fixture = *state;

        start(fixture);
        refuse(503, &(struct retry_headers){ .retry_after = "1" });
        assert_int_equal(request_state(fixture->request), RACE_STATE_RESUMING);
        fake_advance(999999);
        assert_int_equal(fake_io.cloud.n_attempts, 1);
        fake_advance(1);
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        fake_cloud_status(fake_attempt(), 200);
        say(REST);
        assert_string_equal(request_text(fixture->request), SAID REST);
        expect_attempt(fixture, 0, "primary", 503, "Status");
        assert_string_equal(fixture->heard.states, "opening handoff resuming handoff continuing done ");
}

static void test_delay_that_nobody_waits_for_is_finished_locally(void **state)
{
        static const struct retry_headers headers = { .retry_after = "60" };
        struct fixture *fixture = *state;

        start(fixture);
        refuse(429, &headers);
        assert_int_equal(fake_io.cloud.n_attempts, 1);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "RateLimited");
        stop(fixture);

        /* The endpoint is at rest: nobody waits for it again before its time. */
        memset(&fixture->heard, 0, sizeof(fixture->heard));
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        assert_int_equal(fake_io.cloud.n_attempts, 1);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "RateLimited");
        assert_int_equal(fixture->heard.timings.n_attempts, 0);
        stop(fixture);

        fake_advance(60000000);
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        assert_int_equal(fake_io.cloud.n_attempts, 2);
}

static void test_other_endpoint_is_asked_rather_than_waited_for(void **state)
{
        static const unsigned statuses[] = { 408, 409, 429, 500, 502, 503, 504, 529, 401, 402, 403, 404 };
        struct fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
                assert_int_equal(fixture_tear_down(state), 0);
                assert_int_equal(set_up_with_backup(state), 0);
                fixture = *state;
                start(fixture);
                assert_string_equal(fake_attempt()->endpoint->name, "primary");
                refuse(statuses[i], &(struct retry_headers){ .retry_after = "1" });
                fake_advance(0);
                assert_int_equal(fake_io.cloud.n_attempts, 2);
                assert_string_equal(fake_attempt()->endpoint->name, "backup");
                fake_cloud_status(fake_attempt(), 200);
                say(REST);
                assert_string_equal(request_text(fixture->request), SAID REST);
                assert_string_equal(fixture->heard.endpoint, "backup");
                assert_int_equal(fixture->heard.timings.n_attempts, 2);
                assert_int_equal(fixture->heard.timings.attempts[0].http_status, statuses[i]);
                expect_attempt(fixture, 1, "backup", 200, "complete");
        }
}

static void test_refused_key_keeps_its_endpoint_down(void **state)
{
        struct fixture *fixture = *state;

        start(fixture);
        refuse(401, &(struct retry_headers){ 0 });
        fake_advance(0);
        fake_cloud_status(fake_attempt(), 200);
        say(REST);
        stop(fixture);
        fake_advance(3600ull * 1000000);
        memset(&fixture->heard, 0, sizeof(fixture->heard));
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        assert_string_equal(fake_attempt()->endpoint->name, "backup");
}

static void test_endpoint_that_cannot_be_reached_is_replaced_while_the_opener_speaks(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_RESOLVE);
        fake_advance(0);
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        assert_string_equal(fake_attempt()->endpoint->name, "backup");
        assert_null(fake_attempt()->body);
        fixture_say_opener(fixture);
        assert_non_null(fake_attempt()->body);
        fake_cloud_status(fake_attempt(), 200);
        say(REST);
        assert_string_equal(request_text(fixture->request), SAID REST);
        expect_attempt(fixture, 0, "primary", 0, "Offline");
        assert_string_equal(fixture->heard.timings.attempts[0].form, "");
}

static void test_silence_before_the_first_word_leads_to_the_other_endpoint(void **state)
{
        struct fixture *fixture = *state;

        start(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fake_advance(2000000);
        fake_advance(0);
        assert_string_equal(fake_attempt()->endpoint->name, "backup");
        fake_cloud_status(fake_attempt(), 200);
        say(REST);
        assert_string_equal(request_text(fixture->request), SAID REST);
        expect_attempt(fixture, 0, "primary", 200, "Timeout");
}

static void test_both_endpoints_failing_end_in_the_model(void **state)
{
        struct fixture *fixture = *state;

        start(fixture);
        for (unsigned i = 0; i < 8 && request_state(fixture->request) != RACE_STATE_LOCAL; i++) {
                assert_int_equal(fake_io.cloud.n_attempts, i + 1);
                refuse(500, &(struct retry_headers){ 0 });
                fake_advance(2000000);
        }
        assert_int_equal(fake_io.cloud.n_attempts, 6);
        fixture_finish_locally(fixture);
        assert_int_equal(fixture->heard.timings.n_attempts, 6);
        assert_string_equal(fixture->heard.error, "Status");
}

static void test_request_out_of_time_waits_for_no_attempt(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, (struct request_options){ .deadline_ms = 1200 });
        fixture_say_opener(fixture);
        fake_advance(700000);
        refuse(503, &(struct retry_headers){ .retry_after_ms = "900" });
        assert_int_equal(request_state(fixture->request), RACE_STATE_LOCAL);
        fixture_finish_locally(fixture);
}

static void test_cancel_while_waiting_ends_it(void **state)
{
        struct fixture *fixture = *state;

        start(fixture);
        refuse(503, &(struct retry_headers){ .retry_after = "1" });
        request_cancel(fixture->request);
        fake_advance(5000000);
        assert_int_equal(fake_io.cloud.n_attempts, 1);
        assert_int_equal(fixture->heard.n_finished, 1);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_CANCELLED);
}

static void test_cancelled_attempt_is_told_of(void **state)
{
        struct fixture *fixture = *state;

        start(fixture);
        request_cancel(fixture->request);
        assert_int_equal(fixture->heard.timings.n_attempts, 1);
        expect_attempt(fixture, 0, "primary", 0, "cancelled");
}

#define plain_test(test)  cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
#define backup_test(test) cmocka_unit_test_setup_teardown(test, set_up_with_backup, fixture_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                plain_test(test_network_that_is_away_in_mid_reply_is_waited_for),
                plain_test(test_stream_broken_anywhere_goes_on_where_it_stopped),
                plain_test(test_resumed_stream_that_begins_again_is_said_once),
                plain_test(test_resumed_stream_that_repeats_the_tail_is_said_once),
                plain_test(test_word_cut_in_two_is_made_whole),
                plain_test(test_stream_that_was_whole_but_for_its_marker_ends_well),
                plain_test(test_named_delay_is_kept),
                plain_test(test_delay_that_nobody_waits_for_is_finished_locally),
                backup_test(test_other_endpoint_is_asked_rather_than_waited_for),
                backup_test(test_refused_key_keeps_its_endpoint_down),
                backup_test(test_endpoint_that_cannot_be_reached_is_replaced_while_the_opener_speaks),
                backup_test(test_silence_before_the_first_word_leads_to_the_other_endpoint),
                backup_test(test_both_endpoints_failing_end_in_the_model),
                plain_test(test_request_out_of_time_waits_for_no_attempt),
                plain_test(test_cancel_while_waiting_ends_it),
                plain_test(test_cancelled_attempt_is_told_of),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
