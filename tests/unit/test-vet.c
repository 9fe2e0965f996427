/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The opener's words on their way: what is let go when, and where an opener ends or is asked for anew.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/core/vet.h"
#include "tests/support/test.h"

/* Feeds the words one by one; writes down what is let go after each ("The|/ capital of|"), and the verdict that ended
 * it ("!alike"). */
static void run(struct vet *vet, const char *const *words, size_t n_words, float probability, struct buf *log)
{
        static const char *const verdicts[] = { "", "!alike", "!claim", "!odd" };
        const char *word;
        int verdict = VET_VERDICT_GO_ON;
        size_t n;

        for (size_t i = 0; i < n_words && verdict == VET_VERDICT_GO_ON; i++) {
                verdict = vet_word(vet, words[i], strlen(words[i]), probability);
                assert_true(verdict >= 0);
                while ((word = vet_take(vet, &n)))
                        assert_int_equal(buf_printf(log, "%.*s|", (int)n, word), 0);
                assert_int_equal(buf_printf(log, "%s/", verdicts[verdict]), 0);
        }
        if (verdict != VET_VERDICT_GO_ON)
                return;
        vet_end(vet);
        while ((word = vet_take(vet, &n)))
                assert_int_equal(buf_printf(log, "%.*s|", (int)n, word), 0);
}

static void check(const char *prompt, const char *previous, bool claims, const char *const *words, size_t n_words,
                  const char *wanted)
{
        _cleanup_(buf_done) struct buf log = BUF_NULL;
        struct vet vet;

        vet_init(&vet, prompt, previous, claims);
        run(&vet, words, n_words, 0.9f, &log);
        assert_string_equal(buf_string(&log), wanted);
        vet_done(&vet);
}

#define CHECK(prompt, previous, claims, wanted, ...)                                                                 \
        check(prompt, previous, claims, (const char *const[]){ __VA_ARGS__ },                                        \
              sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *), wanted)

static void test_words_go_at_once_where_nothing_is_open(void **state)
{
        (void)state;
        CHECK("what is it", NULL, true, "The|/ capital|/ is|/", "The", " capital", " is");
        CHECK("what is it", "A different beginning", true, "The|/ capital|/", "The", " capital");
        CHECK("what is it", "", true, "The|/", "The");
}

static void test_beginning_that_differs_late_is_held_till_then(void **state)
{
        (void)state;
        CHECK("what is it", "The capital city is", true, "//The| capital| of|/ Peru|/", "The", " capital", " of",
              " Peru");
        CHECK("what is it", "The capital city", true, "//The| capital|", "The", " capital");
}

static void test_beginning_as_before_is_asked_for_anew(void **state)
{
        (void)state;
        CHECK("what is it", "The capital of France is Paris.", true, "//!alike/", "THE", " capital", " of,", " Peru");
        CHECK("what is it", "Sure.", true, "!alike/", "Sure,", " I");
        CHECK("what is it", "The capital of", false, "//!alike/", "The", " capital", " of");
}

static void test_second_opener_is_taken_as_it_is_unless_odd(void **state)
{
        static const char *const words[] = { "The", " capital", " of" };
        _cleanup_(buf_done) struct buf log = BUF_NULL;
        struct vet vet;

        (void)state;
        vet_init(&vet, "what is it", "The capital of France", true);
        run(&vet, words, 3, 0.9f, &log);
        assert_string_equal(vet_again(&vet), "the");
        run(&vet, words, 3, 0.9f, &log);
        assert_string_equal(buf_string(&log), "//!alike/The|/ capital|/ of|/");
        (void)vet_again(&vet);
        buf_clear(&log);
        run(&vet, words, 3, 0.01f, &log);
        assert_string_equal(buf_string(&log), "!odd/");
        vet_done(&vet);
}

static void test_claim_ends_the_opener_in_front_of_it(void **state)
{
        (void)state;
        CHECK("set an alarm", NULL, true, "//!claim/", "I", " have", " set", " an");
        CHECK("set an alarm", NULL, true, "!claim/", "Setting", " an");
        CHECK("set an alarm", NULL, true, "Okay,|/!claim/", "Okay,", " setting");
        CHECK("set an alarm", NULL, true, "Your|/ alarm|//!claim/", "Your", " alarm", " is", " set");
        CHECK("set an alarm", NULL, true, "Your|/ alarm|// is| loud|/", "Your", " alarm", " is", " loud");
        CHECK("set an alarm", NULL, true, "Your|/ alarm|// is|", "Your", " alarm", " is");
        CHECK("how do i play", NULL, true, "Playing|/ well|/", "Playing", " well");
        CHECK("set an alarm", NULL, false, "I've|/ set|/", "I've", " set");
}

static void test_both_can_be_open_at_once(void **state)
{
        (void)state;
        CHECK("what is it", "I have heard", true, "//!alike/", "I", " have", " heard");
        CHECK("what is it", "I have heard", true, "//!claim/", "I", " have", " set");
        CHECK("what is it", "I have heard", true, "//I| have| no|/", "I", " have", " no");
}

static void test_more_words_than_any_opener_has_are_refused(void **state)
{
        struct vet vet;
        int r = 0;

        (void)state;
        vet_init(&vet, "q", NULL, true);
        for (unsigned i = 0; i <= VET_WORDS_MAX; i++)
                r = vet_word(&vet, " a", 2, 0.9f);
        assert_true(r < 0);
        vet_done(&vet);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words_go_at_once_where_nothing_is_open),
                cmocka_unit_test(test_beginning_that_differs_late_is_held_till_then),
                cmocka_unit_test(test_beginning_as_before_is_asked_for_anew),
                cmocka_unit_test(test_second_opener_is_taken_as_it_is_unless_odd),
                cmocka_unit_test(test_claim_ends_the_opener_in_front_of_it),
                cmocka_unit_test(test_both_can_be_open_at_once),
                cmocka_unit_test(test_more_words_than_any_opener_has_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
