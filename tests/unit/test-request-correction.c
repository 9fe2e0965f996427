/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A request whose cloud does not go on with the opener: it turns the sentence around, takes it back, or declines.
 * Each stream is fed cut in two at every byte.
 */
#include <string.h>

#include "tests/support/request-fixture.h"

#define SAID    "The capital is"
#define REFUSED "\xe2\x80\x93 but here I had better stop."

static void start(struct fixture *fixture, bool redraw)
{
        memset(&fixture->heard, 0, sizeof(fixture->heard));
        fake_io_reset();
        fixture_ask(fixture, (struct request_options){ .redraw = redraw });
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
}

static void stop(struct fixture *fixture)
{
        fixture->request = request_release(fixture->request);
        requests_reap(fixture->requests);
}

/* What the caller has after all that it heard, and how often something was replaced. */
static unsigned replay(const char *heard, char *ret_text, size_t size)
{
        unsigned n_replaced = 0;
        size_t n = 0;

        while (*heard) {
                const char *end = strchr(heard, '|'), *text = strchr(heard, ':') + 1;

                if (*heard == 'r') {
                        n = strtoul(heard + 1, NULL, 10);
                        n_replaced++;
                }
                assert_true(n + (size_t)(end - text) < size);
                memcpy(ret_text + n, text, (size_t)(end - text));
                n += (size_t)(end - text);
                heard = end + 1;
        }
        ret_text[n] = '\0';
        return n_replaced;
}

static void check(struct fixture *fixture, bool redraw, const char *stream, const char *whole, unsigned n_replaced)
{
        char text[256];

        for (size_t cut = 0; cut < strlen(stream); cut++) {
                start(fixture, redraw);
                fake_cloud_bytes(fake_attempt(), stream, cut);
                if (fixture->heard.n_finished == 0)
                        fake_cloud_bytes(fake_attempt(), stream + cut, strlen(stream) - cut);
                assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_COMPLETE);
                assert_string_equal(request_text(fixture->request), whole);
                assert_int_equal(replay(fixture->heard.text, text, sizeof(text)), n_replaced);
                assert_string_equal(text, whole);
                stop(fixture);
        }
}

static void test_replacement_shows_again_only_what_differs(void **state)
{
        struct fixture *fixture = *state;
        static const char stream[] =
                C("[[rep") C("lace]]") C(" The ") C("seat of government") C(" is Canberra.") FIN DONE;

        check(fixture, true, stream, "The seat of government is Canberra.", 1);
        start(fixture, true);
        fixture_cloud_says(C("[[replace]]The seat of government") C(" is Canberra.") FIN DONE);
        assert_non_null(strstr(fixture->heard.text, "|r4:seat of government|c: is Canberra.|"));
}

static void test_replacement_that_says_the_same_replaces_nothing(void **state)
{
        check(*state, true, C("[[replace]]") C("The capi") C("tal is Canberra.") FIN DONE, SAID " Canberra.", 0);
}

static void test_replacement_by_less_takes_the_rest_away(void **state)
{
        check(*state, true, C("[[replace]]") C("The cap") FIN DONE, "The cap", 1);
}

static void test_replacement_by_nothing_leaves_what_was_said(void **state)
{
        struct fixture *fixture = *state;

        start(fixture, true);
        fixture_cloud_says(C("[[replace]]") C(" ") FIN DONE);
        assert_string_equal(request_text(fixture->request), SAID);
}

static void test_replacement_counts_code_points(void **state)
{
        struct fixture *fixture = *state;

        fixture_ask(fixture, (struct request_options){ .redraw = true });
        fixture_engine_says(fixture, ENGINE_EVENT_STARTED, "", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, "\xc5\xbb\xc3\xb3\xc5\x82w \xf0\x9f\x90\xa2 \xc3\xa9", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_LIMIT);
        fake_cloud_status(fake_attempt(), 200);
        /* The last letters share their first byte. */
        fixture_cloud_says(C("[[replace]]\xc5\xbb\xc3\xb3\xc5\x82w \xf0\x9f\x90\xa2 \xc3\xa8.") FIN DONE);
        assert_non_null(strstr(fixture->heard.text, "|r7:\xc3\xa8.|"));
}

static void test_pivot_turns_the_sentence_around(void **state)
{
        check(*state, false, C(" [[pi") C("vot]]") C(" \xe2\x80\x93 or rather: ") C("it is Canberra.") FIN DONE,
              SAID " \xe2\x80\x93 or rather: it is Canberra.", 0);
        /* What sounds like an echo is meant. */
        check(*state, true, C("[[pivot]] is it: Canberra.") FIN DONE, SAID " is it: Canberra.", 0);
}

static void test_replacement_that_cannot_be_shown_stands_behind_a_dash(void **state)
{
        check(*state, false, C("[[replace]] ") C("Canberra is the seat.") FIN DONE,
              SAID " \xe2\x80\x93 Canberra is the seat.", 0);
        check(*state, false, C("[[replace]]The capital is Canberra.") FIN DONE, SAID " Canberra.", 0);
}

static void test_mark_to_continue_is_not_spoken(void **state)
{
        check(*state, true, C("[[continue]]") C(" Canberra.") FIN DONE, SAID " Canberra.", 0);
        check(*state, true, C(" [Canberra] it is.") FIN DONE, SAID " [Canberra] it is.", 0);
}

static void test_mark_behind_reasoning_is_read(void **state)
{
        check(*state, true, C("<think>[[pivot]]</think>") C("[[replace]]The seat.") FIN DONE, "The seat.", 1);
}

static void test_ordinary_text_is_shown_in_the_delta_it_came_in(void **state)
{
        struct fixture *fixture = *state;

        start(fixture, true);
        fixture_cloud_says(C(" Canberra,"));
        assert_string_equal(request_text(fixture->request), SAID " Canberra,");
}

static void test_replacement_that_breaks_off_is_asked_for_again(void **state)
{
        struct fixture *fixture = *state;

        start(fixture, true);
        fixture_cloud_says(C("[[replace]]The cap"));
        fake_cloud_end(fake_attempt());
        fake_advance(0);
        assert_string_equal(request_text(fixture->request), SAID);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C("[[replace]]The seat") C(" is Can"));
        fake_cloud_fail(fake_attempt(), CLOUD_FAILURE_BROKEN);
        fake_advance(600000);
        assert_non_null(strstr(fake_attempt()->body, "The seat is Can"));
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(C("berra.") FIN DONE);
        assert_string_equal(request_text(fixture->request), "The seat is Canberra.");
}

static void test_cloud_is_told_what_the_caller_can_show(void **state)
{
        struct fixture *fixture = *state;

        start(fixture, true);
        assert_non_null(strstr(fake_attempt()->body, "[[replace]]"));
        stop(fixture);
        start(fixture, false);
        assert_null(strstr(fake_attempt()->body, "[[replace]]"));
        assert_non_null(strstr(fake_attempt()->body, "[[pivot]]"));
}

#define FILTERED "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n"

static void test_refusal_behind_words_is_spoken(void **state)
{
        struct fixture *fixture = *state;
        char whole[128];

        (void)snprintf(whole, sizeof(whole), "%s %s", SAID, REFUSED);
        check(fixture, false, FILTERED, whole, 0);
        (void)snprintf(whole, sizeof(whole), "%s Canberra %s", SAID, REFUSED);
        check(fixture, true, C(" Canberra") FILTERED, whole, 0);
        start(fixture, false);
        fixture_cloud_says(FILTERED);
        assert_string_equal(fixture->heard.error, "Refused");
        assert_string_equal(fixture->heard.timings.attempts[0].reason, "Refused");
}

static void test_refusal_is_spoken_in_the_language_of_the_question(void **state)
{
        struct fixture *fixture = *state;
        const struct request_options options = REQUEST_OPTIONS_NULL;

        assert_int_equal(request_new(&fixture->request, fixture->requests, "Wie macht man das?", &options,
                                     &fixture_sink, fixture, "/request/1"),
                         0);
        request_start(fixture->request);
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fixture_cloud_says(FILTERED);
        assert_string_equal(request_text(fixture->request),
                            SAID " \xe2\x80\x93 aber hier h\xc3\xb6re ich besser auf.");
}

static void test_refusal_of_the_model_itself_is_turned_to(void **state)
{
        check(*state, false, C("I'm") C(" sorry, but I can't help with that.") FIN DONE,
              SAID " \xe2\x80\x93 I'm sorry, but I can't help with that.", 0);
        check(*state, false, C("I'm") C(" sure it is Canberra.") FIN DONE, SAID " I'm sure it is Canberra.", 0);
}

#define correction_test(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                correction_test(test_replacement_shows_again_only_what_differs),
                correction_test(test_replacement_that_says_the_same_replaces_nothing),
                correction_test(test_replacement_by_less_takes_the_rest_away),
                correction_test(test_replacement_by_nothing_leaves_what_was_said),
                correction_test(test_replacement_counts_code_points),
                correction_test(test_pivot_turns_the_sentence_around),
                correction_test(test_replacement_that_cannot_be_shown_stands_behind_a_dash),
                correction_test(test_mark_to_continue_is_not_spoken),
                correction_test(test_mark_behind_reasoning_is_read),
                correction_test(test_ordinary_text_is_shown_in_the_delta_it_came_in),
                correction_test(test_replacement_that_breaks_off_is_asked_for_again),
                correction_test(test_cloud_is_told_what_the_caller_can_show),
                correction_test(test_refusal_behind_words_is_spoken),
                correction_test(test_refusal_is_spoken_in_the_language_of_the_question),
                correction_test(test_refusal_of_the_model_itself_is_turned_to),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
