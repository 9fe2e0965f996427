/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A request's opener: how long it is to be, whether there is to be one, and with which words.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/request-fixture.h"

static void stop(struct fixture *fixture)
{
        fixture->request = request_release(fixture->request);
        requests_reap(fixture->requests);
        memset(&fixture->heard, 0, sizeof(fixture->heard));
}

/* ------------------------------------------------------------------------------------------- adaptive length */

/* Asks; the cloud gives its first text so long after the body. How many words the opener might have had. */
static unsigned ask(struct fixture *fixture, struct request_options options, uint64_t delay_us)
{
        unsigned max_words;

        fixture_ask(fixture, options);
        max_words = fake_io.engine.job.max_words;
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fake_advance(delay_us);
        fixture_cloud_says(C(" Canberra.") FIN DONE);
        stop(fixture);
        fake_io_reset();
        return max_words;
}

static void test_opener_is_as_long_as_the_usual_delay(void **state)
{
        struct fixture *fixture = *state;
        struct requests_delay delay;

        assert_false(requests_delay(fixture->requests, 0, &delay));
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1000000), 8); /* nothing is known yet */
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1000000), 5); /* a second, deviating by half of it */
        for (unsigned i = 0; i < 20; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1000000);
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1000000), 4);
        for (unsigned i = 0; i < 40; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1900000);
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1900000), 5);
        assert_true(requests_delay(fixture->requests, 0, &delay));
        assert_string_equal(delay.endpoint, "primary");
        assert_int_equal(delay.n_words, 5);
        assert_false(requests_delay(fixture->requests, 1, &delay));
}

static void test_callers_rate_and_limit_count(void **state)
{
        struct fixture *fixture = *state;

        for (unsigned i = 0; i < 40; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1900000);
        assert_int_equal(ask(fixture, (struct request_options){ .words_per_second = 3.5 }, 1900000), 7);
        assert_int_equal(ask(fixture, (struct request_options){ .max_opener_words = 20 }, 1900000), 5);
        assert_int_equal(ask(fixture, (struct request_options){ .max_opener_words = 2 }, 1900000), 2);
        /* Without a cloud there is nothing to cover. */
        fixture_ask(fixture, (struct request_options){ .cloud = REQUEST_CLOUD_NEVER });
        assert_int_equal(fake_io.engine.job.max_words, 8);
}

static void test_opener_has_the_most_words_where_it_is_not_to_adapt(void **state)
{
        struct fixture *fixture = *state;
        struct requests_delay delay;

        fixture_set(&fixture->settings, "Opener", "Adaptive", "no");
        for (unsigned i = 0; i < 40; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1000000);
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1000000), 8);
        assert_true(requests_delay(fixture->requests, 0, &delay));
        assert_int_equal(delay.n_words, 8);
}

static void test_usual_delay_outlives_the_daemon(void **state)
{
        struct fixture *fixture = *state;
        char folder[] = "/tmp/mulmd-state-XXXXXX", path[64];

        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/endpoints", folder);
        requests_keep_state(fixture->requests, path);
        requests_save_state(fixture->requests);
        assert_int_equal(access(path, F_OK), -1); /* nothing was learned */
        for (unsigned i = 0; i < 40; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1900000);
        requests_save_state(fixture->requests);

        requests_free(fixture->requests);
        assert_int_equal(
                requests_new(&fixture->requests, &fixture->settings, fake_engine(), fake_cloud(), fake_timers()), 0);
        requests_keep_state(fixture->requests, path);
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1900000), 5);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0);
}

/* ----------------------------------------------------------------------------------------- variety and silence */

static void ask_about(struct fixture *fixture, const char *prompt, struct request_options options)
{
        assert_int_equal(request_new(&fixture->request, fixture->requests, prompt, &options, &fixture_sink, fixture,
                                     "/request/1"),
                         0);
        request_start(fixture->request);
}

static void say(struct fixture *fixture, const char *const *words)
{
        fixture_engine_says(fixture, ENGINE_EVENT_STARTED, "", 0);
        for (; *words; words++)
                fixture_engine_says(fixture, ENGINE_EVENT_WORD, *words, 0);
}

#define SAY(fixture, ...) say(fixture, (const char *const[]){ __VA_ARGS__, NULL })

static void test_thanks_and_bare_answers_go_to_the_cloud_alone(void **state)
{
        static const struct {
                const char *prompt, *reason;
        } prompts[] = { { "Thanks!", "thanks" }, { "no", "answer" } };
        struct fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_SIZE(prompts); i++) {
                ask_about(fixture, prompts[i].prompt, REQUEST_OPTIONS_NULL);
                assert_int_equal(fake_io.engine.n_submitted, 0);
                assert_string_equal(fixture->heard.reason, prompts[i].reason);
                fake_cloud_status(fake_attempt(), 200);
                fixture_cloud_says(C("You are welcome.") FIN DONE);
                assert_string_equal(request_text(fixture->request), "You are welcome.");
                stop(fixture);
        }
        /* Without a cloud the μLM answers, since nobody else does. */
        ask_about(fixture, "Thanks!", (struct request_options){ .cloud = REQUEST_CLOUD_NEVER });
        assert_int_equal(fake_io.engine.job.kind, ENGINE_JOB_COMPLETION);
        stop(fixture);
        ask_about(fixture, "Thanks!", (struct request_options){ .opener = REQUEST_OPENER_ALWAYS });
        assert_int_equal(fake_io.engine.job.kind, ENGINE_JOB_OPENER);
}

static void test_opener_ends_in_front_of_a_claim(void **state)
{
        struct fixture *fixture = *state;

        ask_about(fixture, "Set an alarm for seven", REQUEST_OPTIONS_NULL);
        SAY(fixture, "Your", " alarm", " is", " set");
        assert_int_equal(fake_io.engine.n_cancelled, 1);
        assert_string_equal(fixture->heard.reason, "claim");
        assert_int_equal(fixture->heard.handoff.n_words, 2);
        assert_non_null(strstr(fake_attempt()->body, "Your alarm"));
        assert_null(strstr(fake_attempt()->body, "Your alarm is"));
        assert_int_equal(request_state(fixture->request), RACE_STATE_HANDOFF);
        stop(fixture);

        ask_about(fixture, "Set an alarm for seven", REQUEST_OPTIONS_NULL);
        SAY(fixture, "Done");
        assert_string_equal(fixture->heard.text, "");
        assert_int_equal(request_state(fixture->request), RACE_STATE_REMOTE);
        stop(fixture);

        ask_about(fixture, "Set an alarm for seven", (struct request_options){ .opener = REQUEST_OPENER_ALWAYS });
        SAY(fixture, "Done");
        assert_string_equal(fixture->heard.text, "o:Done|");
}

static void test_opener_as_before_is_said_anew_with_another_word(void **state)
{
        struct fixture *fixture = *state;

        ask_about(fixture, "And of Peru?", (struct request_options){ .previous = "The capital of France is Paris." });
        assert_string_equal(fake_io.engine.job.avoid, "");
        SAY(fixture, "The", " capital", " of");
        assert_string_equal(fixture->heard.text, "");
        assert_int_equal(fake_io.engine.n_cancelled, 1);
        assert_int_equal(fake_io.engine.n_submitted, 2);
        assert_string_equal(fake_io.engine.job.avoid, "the");
        assert_int_equal(fake_io.engine.job.kind, ENGINE_JOB_OPENER);
        SAY(fixture, "Peru's", " capital");
        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_LIMIT);
        assert_string_equal(fixture->heard.text, "o:Peru's|o: capital|");
        assert_int_equal(fixture->heard.handoff.n_words, 2);
        assert_string_equal(fixture->heard.reason, "limit");
}

/* What is held when the opener ends is said; when the time is over, it is not. */
static void test_held_words_are_not_lost(void **state)
{
        struct fixture *fixture = *state;
        const struct request_options options = { .previous = "The capital of France is Paris.", .deadline_ms = 1000 };

        ask_about(fixture, "And of Peru?", options);
        SAY(fixture, "The", " capital");
        assert_string_equal(fixture->heard.text, "");
        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_UNSURE);
        assert_string_equal(fixture->heard.text, "o:The|o: capital|");
        stop(fixture);

        ask_about(fixture, "And of Peru?", options);
        SAY(fixture, "The", " capital");
        fake_advance(1000000);
        assert_int_equal(fake_io.engine.job.kind, ENGINE_JOB_COMPLETION);
        SAY(fixture, "Lima.");
        assert_string_equal(fixture->heard.text, "l:Lima.|");
}

#define policy_test(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                policy_test(test_opener_is_as_long_as_the_usual_delay),
                policy_test(test_callers_rate_and_limit_count),
                policy_test(test_opener_has_the_most_words_where_it_is_not_to_adapt),
                policy_test(test_usual_delay_outlives_the_daemon),
                policy_test(test_thanks_and_bare_answers_go_to_the_cloud_alone),
                policy_test(test_opener_ends_in_front_of_a_claim),
                policy_test(test_opener_as_before_is_said_anew_with_another_word),
                policy_test(test_held_words_are_not_lost),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
