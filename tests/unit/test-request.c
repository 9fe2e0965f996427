/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One request against a scripted engine and cloud and a clock that is a number: what the sink hears, word by word.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/request-fixture.h"

/* -------------------------------------------------------------------------------------------------- tests */

static void test_opener_and_cloud_make_one_text(void **state)
{
        struct fixture *fixture = *state;
        struct cloud_attempt *attempt;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        attempt = fake_attempt();
        assert_null(attempt->body);
        fixture_say_opener(fixture);
        assert_non_null(attempt->body);
        assert_non_null(strstr(attempt->body, "The capital is"));
        fake_cloud_status(attempt, 200);
        fixture_cloud_says(C(" Canberra,") C(" not Sydney.") FIN USAGE DONE);

        assert_string_equal(request_text(fixture->request), "The capital is Canberra, not Sydney.");
        assert_string_equal(fixture->heard.states, "opening handoff continuing done ");
        assert_int_equal(fixture->heard.n_handoffs, 1);
        assert_int_equal(fixture->heard.handoff.n_words, 3);
        assert_int_equal(fixture->heard.handoff.n_characters, 14);
        assert_string_equal(fixture->heard.reason, "unsure");
        assert_int_equal(fixture->heard.n_finished, 1);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
        assert_string_equal(fixture->heard.error, "");
        assert_string_equal(fixture->heard.endpoint, "primary");
        assert_string_equal(fixture->heard.form, "prefill");
        assert_int_equal(fixture->heard.timings.n_input_tokens, 9);
        assert_int_equal(fixture->heard.timings.n_output_tokens, 6);
        assert_true(attempt->closed);
}

static void test_stream_cut_at_every_byte_makes_the_same_text(void **state)
{
        struct fixture *fixture = *state;
        static const char stream[] =
                C(" Canberra \xe2\x80\x94 \xe2\x80\x9c\xf0\x9f\xa6\x98\xe2\x80\x9d,") C(" not.") FIN;

        for (size_t cut = 0; cut < sizeof(stream); cut++) {
                memset(&fixture->heard, 0, sizeof(fixture->heard));
                fake_io_reset();
                fixture_ask(fixture, REQUEST_OPTIONS_NULL);
                fixture_say_opener(fixture);
                fake_cloud_status(fake_attempt(), 200);
                fake_cloud_bytes(fake_attempt(), stream, cut);
                if (fixture->heard.n_finished == 0)
                        fake_cloud_bytes(fake_attempt(), stream + cut, sizeof(stream) - 1 - cut);
                if (fixture->heard.n_finished == 0)
                        fake_cloud_end(fake_attempt());
                assert_string_equal(
                        request_text(fixture->request),
                        "The capital is Canberra \xe2\x80\x94 \xe2\x80\x9c\xf0\x9f\xa6\x98\xe2\x80\x9d, not.");
                assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
                fixture->request = request_release(fixture->request);
                requests_reap(fixture->requests);
        }
}

static void test_dead_endpoint_is_finished_locally(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_CONNECT);
        fixture_say_opener(fixture);
        fixture_finish_locally(fixture);
        assert_string_equal(request_text(fixture->request), "The capital is a city.");
        assert_string_equal(fixture->heard.error, "Offline");
        assert_string_equal(requests_cloud_state(fixture->requests), "failing");
}

static void test_silent_cloud_is_given_up_at_its_deadline(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(": ping\n\n");
        fake_advance(1900000);
        assert_int_equal(request_state(fixture->request), RACE_STATE_HANDOFF);
        fake_advance(100000);
        assert_true(fake_attempt()->closed);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "Timeout");
}

static void test_stream_that_breaks_off_is_finished_from_what_was_shown(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(fake_io.cloud.n_attempts, i + 1);
                fake_cloud_status(fake_attempt(), 200);
                fixture_cloud_says(i == 0 ? C(" Canberra,") : ": nothing\n\n");
                fake_cloud_end(fake_attempt());
                fake_advance(600000);
        }
        fixture_finish_locally(fixture);
        assert_string_equal(request_text(fixture->request), "The capital is Canberra, a city.");
        assert_string_equal(fixture->heard.error, "Broken");
}

static void test_refused_key_is_named(void **state)
{
        struct fixture *fixture = *state;
        static const char body[] = "{\"error\":{\"message\":\"Incorrect API key\",\"code\":\"invalid_api_key\"}}";

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fake_cloud_status(fake_attempt(), 401);
        fixture_cloud_says(body);
        fake_cloud_end(fake_attempt());
        fixture_say_opener(fixture);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "Unauthorized");
        assert_non_null(strstr(fixture->heard.message, "401"));
        assert_non_null(strstr(fixture->heard.message, "Incorrect API key"));
        assert_int_equal(fixture->heard.timings.http_status, 401);
}

static void test_refused_prefill_is_asked_again_as_an_instruction_and_remembered(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        assert_non_null(strstr(fake_attempt()->body, "\"assistant\""));
        fake_cloud_status(fake_attempt(), 400);
        fixture_cloud_says("{\"error\":{\"message\":\"This model does not support assistant message prefill.\"}}");
        fake_cloud_end(fake_attempt());

        fake_advance(0);
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        assert_null(strstr(fake_attempt()->body, "\"assistant\""));
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C("Canberra.") DONE);
        assert_string_equal(request_text(fixture->request), "The capital is Canberra.");
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
        assert_string_equal(fixture->heard.form, "instruction");

        request_release(fixture->request);
        requests_reap(fixture->requests);
        memset(&fixture->heard, 0, sizeof(fixture->heard));
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        assert_int_equal(fake_io.cloud.n_attempts, 3);
        assert_null(strstr(fake_attempt()->body, "\"assistant\""));
}

/* A new daemon, as after a restart. */
static void restart(struct fixture *fixture, const char *path)
{
        fixture->request = request_release(fixture->request);
        requests_reap(fixture->requests);
        requests_free(fixture->requests);
        memset(&fixture->heard, 0, sizeof(fixture->heard));
        fake_io_reset();
        assert_int_equal(
                requests_new(&fixture->requests, &fixture->settings, fake_engine(), fake_cloud(), fake_timers()), 0);
        requests_keep_state(fixture->requests, path);
}

static void test_learned_form_outlives_the_daemon_and_a_broken_file(void **state)
{
        struct fixture *fixture = *state;
        char folder[] = "/tmp/mulmd-state-XXXXXX", path[64];
        FILE *file;

        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/new/endpoints", folder);
        restart(fixture, path);
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 400);
        fixture_cloud_says("{\"error\":{\"message\":\"This model does not support assistant message prefill.\"}}");
        fake_cloud_end(fake_attempt());
        fake_advance(0);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C("Canberra.") DONE);

        restart(fixture, path);
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        assert_null(strstr(fake_attempt()->body, "\"assistant\""));

        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs("\x01 nonsense\n", file) >= 0);
        assert_int_equal(fclose(file), 0);
        restart(fixture, path);
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        assert_non_null(strstr(fake_attempt()->body, "\"assistant\""));

        assert_int_equal(unlink(path), 0);
        *strrchr(path, '/') = '\0';
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rmdir(folder), 0);
}

/* A gateway has sent its own status before it hears that of the server behind it. */
static void test_refusal_inside_a_stream_is_asked_again(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says("data: {\"error\":{\"message\":\"This model does not support assistant message prefill.\","
                           "\"code\":400}}\n\n");
        fake_advance(0);
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        assert_null(strstr(fake_attempt()->body, "\"assistant\""));
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C(" Canberra,") "data: {\"error\":{\"message\":\"m\",\"code\":400}}\n\n");
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "Status");
}

static void test_no_second_form_after_a_second_400(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        for (unsigned i = 0; i < 2; i++) {
                fake_cloud_status(fake_attempt(), 400);
                fake_cloud_end(fake_attempt());
                fake_advance(0);
        }
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "Status");
}

static void test_answer_of_reasoning_alone_is_asked_for_again(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(
                "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"},\"finish_reason\":null}]}\n\n" FIN DONE);
        fake_advance(0);
        assert_int_equal(fake_io.cloud.n_attempts, 2);
        assert_non_null(strstr(fake_attempt()->body, "\"enable_thinking\":false"));
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C("Canberra.") DONE);
        assert_string_equal(request_text(fixture->request), "The capital is Canberra.");
}

static void test_reasoning_without_end_is_given_up(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(fake_io.cloud.n_attempts, i + 1);
                fake_cloud_status(fake_attempt(), 200);
                fixture_cloud_says("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n");
                fake_advance(0);
        }
        assert_int_equal(fake_io.cloud.n_attempts, 3);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "Starved");
}

static void test_cancel_resets_the_stream_and_finishes_once(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_engine_says(fixture, ENGINE_EVENT_STARTED, "", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, "The", 0);
        request_cancel(fixture->request);
        request_cancel(fixture->request);
        assert_int_equal(fixture->heard.n_finished, 1);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_CANCELLED);
        assert_true(fake_attempt()->closed);
        assert_true(fake_io.engine.n_cancelled > 0);
        assert_string_equal(request_text(fixture->request), "The");
}

static void test_never_an_opener_is_the_cloud_alone(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, (struct request_options){ .opener = REQUEST_OPENER_NEVER });
        assert_non_null(fake_attempt()->body);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C("\\n\\nCanberra.") FIN);
        assert_string_equal(request_text(fixture->request), "Canberra.");
        assert_int_equal(fake_io.engine.n_submitted, 0);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
}

static void test_never_a_cloud_is_the_model_alone(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, (struct request_options){ .cloud = REQUEST_CLOUD_NEVER });
        assert_int_equal(fake_io.cloud.n_attempts, 0);
        fixture_say_opener(fixture);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.endpoint, "");
}

static void test_only_a_cloud_fails_with_its_error(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, (struct request_options){ .cloud = REQUEST_CLOUD_ONLY });
        fixture_say_opener(fixture);
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_TLS);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_FAILED);
        assert_string_equal(fixture->heard.error, "Tls");
        assert_int_equal(fake_io.engine.n_submitted, 1);
}

static void test_unreadable_key_is_named_and_finished_locally(void **state)
{
        struct fixture *fixture = *state;

        fake_io.cloud.open_result = -EACCES;
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "Key");
        assert_string_equal(fixture->heard.message, "The key file cannot be read.");
}

static void test_unreadable_key_without_an_opener_is_answered_locally(void **state)
{
        struct fixture *fixture = *state;

        fake_io.cloud.open_result = -EACCES;
        fixture_ask(fixture, (struct request_options){ .opener = REQUEST_OPENER_NEVER });
        fixture_finish_locally(fixture);
        assert_string_equal(request_text(fixture->request), "a city.");
}

static void test_engine_that_cannot_leaves_it_to_the_cloud(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_engine_says(fixture, ENGINE_EVENT_FAILED, "More tokens than the context holds.", 0);
        assert_non_null(fake_attempt()->body);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C("Canberra.") FIN);
        assert_string_equal(request_text(fixture->request), "Canberra.");
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
}

static void test_dialect_is_the_one_that_is_configured(void **state)
{
        struct fixture *fixture = *state;

        fixture_set(&fixture->settings, "Endpoint primary", "Dialect", "anthropic");
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        assert_string_equal(fake_attempt()->request.path, "/messages");
        assert_string_equal(fake_attempt()->request.key_header, "x-api-key: ");
        assert_string_equal(fake_attempt()->request.header, "anthropic-version: 2023-06-01");
        fixture_say_opener(fixture);
        assert_non_null(strstr(fake_attempt()->body, "\"max_tokens\":400"));
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":"
                           "\"text_delta\",\"text\":\" Canberra.\"}}\n\n"
                           "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        assert_string_equal(request_text(fixture->request), "The capital is Canberra.");
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
        assert_string_equal(fixture->heard.form, "instruction");
}

static void test_configured_form_is_kept(void **state)
{
        struct fixture *fixture = *state;

        fixture_set(&fixture->settings, "Endpoint primary", "Prefill", "continue");
        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        assert_non_null(strstr(fake_attempt()->body, "\"continue_final_message\":true"));
        fake_cloud_status(fake_attempt(), 400);
        fixture_cloud_says("{\"error\":{\"message\":\"no prefill\"}}");
        fake_cloud_end(fake_attempt());
        assert_int_equal(fake_io.cloud.n_attempts, 1);
        fixture_finish_locally(fixture);
}

static void test_reply_that_was_not_streamed_is_spoken_once(void **state)
{
        struct fixture *fixture = *state;
        static const char body[] =
                "{\"choices\":[{\"message\":{\"content\":\" Canberra.\"},\"finish_reason\":\"stop\"}]}";

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(body);
        fake_cloud_end(fake_attempt());
        assert_string_equal(request_text(fixture->request), "The capital is Canberra.");
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
}

static void test_web_page_is_not_spoken(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says("\n<!DOCTYPE html><title>Log in</title>");
        fake_cloud_end(fake_attempt());
        fixture_finish_locally(fixture);
        assert_string_equal(fixture->heard.error, "NotAStream");
        assert_string_equal(request_text(fixture->request), "The capital is a city.");
}

static void test_one_request_too_many_is_refused(void **state)
{
        struct fixture *fixture = *state;
        struct request *second = NULL;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        assert_int_equal(request_new(&second, fixture->requests, "And another?", &REQUEST_OPTIONS_NULL, &fixture_sink,
                                     fixture, "/request/2"),
                         -EBUSY);
        assert_null(second);
}

static void test_late_events_say_nothing(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, REQUEST_OPTIONS_NULL);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C(" Canberra.") FIN);
        assert_int_equal(fixture->heard.n_finished, 1);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " late", 0);
        fake_advance(3600ull * 1000000);
        assert_int_equal(fixture->heard.n_finished, 1);
        assert_string_equal(request_text(fixture->request), "The capital is Canberra.");
}

#define request_test(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                request_test(test_opener_and_cloud_make_one_text),
                request_test(test_stream_cut_at_every_byte_makes_the_same_text),
                request_test(test_dead_endpoint_is_finished_locally),
                request_test(test_silent_cloud_is_given_up_at_its_deadline),
                request_test(test_stream_that_breaks_off_is_finished_from_what_was_shown),
                request_test(test_refused_key_is_named),
                request_test(test_refused_prefill_is_asked_again_as_an_instruction_and_remembered),
                request_test(test_learned_form_outlives_the_daemon_and_a_broken_file),
                request_test(test_refusal_inside_a_stream_is_asked_again),
                request_test(test_no_second_form_after_a_second_400),
                request_test(test_answer_of_reasoning_alone_is_asked_for_again),
                request_test(test_reasoning_without_end_is_given_up),
                request_test(test_cancel_resets_the_stream_and_finishes_once),
                request_test(test_never_an_opener_is_the_cloud_alone),
                request_test(test_never_a_cloud_is_the_model_alone),
                request_test(test_only_a_cloud_fails_with_its_error),
                request_test(test_unreadable_key_is_named_and_finished_locally),
                request_test(test_unreadable_key_without_an_opener_is_answered_locally),
                request_test(test_engine_that_cannot_leaves_it_to_the_cloud),
                request_test(test_dialect_is_the_one_that_is_configured),
                request_test(test_configured_form_is_kept),
                request_test(test_reply_that_was_not_streamed_is_spoken_once),
                request_test(test_web_page_is_not_spoken),
                request_test(test_one_request_too_many_is_refused),
                request_test(test_late_events_say_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
