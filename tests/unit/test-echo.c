/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Verdicts and the moment they fall; what texts become is tested with the merge.
 */
#include <string.h>

#include "daemon/core/echo.h"
#include "tests/support/test.h"

/* Feeds one more byte at a time: the verdict must fall at `at`, be `verdict` and `skip`, and never change again. */
static void assert_verdict(const char *said, const char *text, size_t at, enum echo_verdict verdict, size_t skip)
{
        struct echo echo = ECHO_NULL;
        enum echo_verdict got;
        size_t got_skip = 0;

        assert_int_equal(echo_set_said(&echo, said, strlen(said)), 0);
        for (size_t n = 0; n <= strlen(text); n++) {
                assert_int_equal(echo_judge(&echo, text, n, false, &got, &got_skip), 0);
                assert_int_equal(got, n < at ? ECHO_VERDICT_OPEN : verdict);
                if (got == ECHO_VERDICT_ECHO)
                        assert_int_equal(got_skip, skip);
        }
        echo_done(&echo);
}

static void test_new_text_is_fresh_at_its_first_other_letter(void **state)
{
        (void)state;
        assert_verdict("The capital is", "Canberra", 3, ECHO_VERDICT_FRESH, 0);
        assert_verdict("The capital is", "Rome", 1, ECHO_VERDICT_FRESH, 0);
        assert_verdict("The capital is", "The city", 6, ECHO_VERDICT_FRESH, 0);
        assert_verdict("The capital is", "\"Rome", 2, ECHO_VERDICT_FRESH, 0);
        assert_verdict("The capital is", ", Rome", 1, ECHO_VERDICT_FRESH, 0);
        assert_verdict("The capital is", "isle", 3, ECHO_VERDICT_FRESH, 0);
        assert_verdict("The capital is", "is-it", 4, ECHO_VERDICT_FRESH, 0);
}

static void test_echo_is_sure_behind_its_last_word(void **state)
{
        (void)state;
        assert_verdict("The capital is", "the Capital is Rome", 15, ECHO_VERDICT_ECHO, 14);
        assert_verdict("The capital is", "capital, is Rome", 12, ECHO_VERDICT_ECHO, 11);
        assert_verdict("The capital is", "**The capital is** Rome", 19, ECHO_VERDICT_ECHO, 18);
        assert_verdict("The capital is", " is Rome", 4, ECHO_VERDICT_ECHO, 3);
}

static void test_a_single_word_counts_only_where_none_doubles_it(void **state)
{
        (void)state;
        assert_verdict("I know that", "that is", 1, ECHO_VERDICT_FRESH, 0);
        assert_verdict("What it is,", "is a", 2, ECHO_VERDICT_FRESH, 0);
        assert_verdict("in the city", "city planners", 1, ECHO_VERDICT_FRESH, 0);
        assert_true(echo_is_never_doubled("is", 2));
        assert_false(echo_is_never_doubled("that", 4));
        assert_false(echo_is_never_doubled("", 0));
}

static void test_the_end_decides_what_is_open(void **state)
{
        static const char said[] = "The capital is";
        struct echo echo = ECHO_NULL;
        enum echo_verdict verdict;
        size_t skip;

        (void)state;
        assert_int_equal(echo_set_said(&echo, said, strlen(said)), 0);
        assert_int_equal(echo_judge(&echo, said, strlen(said), true, &verdict, &skip), 0);
        assert_int_equal(verdict, ECHO_VERDICT_ECHO);
        assert_int_equal(skip, strlen(said));
        assert_int_equal(echo_judge(&echo, "The cap", 7, true, &verdict, &skip), 0);
        assert_int_equal(verdict, ECHO_VERDICT_FRESH);
        echo_done(&echo);
}

static void test_nothing_said_is_never_repeated(void **state)
{
        (void)state;
        assert_verdict("", "anything", 0, ECHO_VERDICT_FRESH, 0);
        assert_verdict("...", "... anything", 0, ECHO_VERDICT_FRESH, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_new_text_is_fresh_at_its_first_other_letter),
                cmocka_unit_test(test_echo_is_sure_behind_its_last_word),
                cmocka_unit_test(test_a_single_word_counts_only_where_none_doubles_it),
                cmocka_unit_test(test_the_end_decides_what_is_open),
                cmocka_unit_test(test_nothing_said_is_never_repeated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
