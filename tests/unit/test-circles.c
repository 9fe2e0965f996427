/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * When a text counts as going in circles, and when not.
 */
#include <string.h>

#include "daemon/core/circles.h"
#include "tests/support/test.h"

/* Feeds the words of a text; the number of the word at which the circle is seen, from 1; 0 for never. */
static unsigned circle_at(const char *text)
{
        struct circles circles;
        unsigned n_words = 0, at = 0;

        circles_init(&circles);
        while (*text && !at) {
                size_t n = strcspn(text + 1, " ") + 1;
                int r = circles_feed(&circles, text, n);

                assert_true(r >= 0);
                n_words++;
                if (r > 0)
                        at = n_words;
                text += n;
        }
        circles_done(&circles);
        return at;
}

static void test_ordinary_text_is_no_circle(void **state)
{
        (void)state;
        assert_int_equal(circle_at("The sky is blue because air scatters blue light more than red light."), 0);
}

static void test_four_words_again_are_a_circle(void **state)
{
        (void)state;
        assert_int_equal(circle_at("It is a very nice day and it is a very nice"), 12);
        assert_int_equal(circle_at("one two three four one two three four"), 8);
}

static void test_three_words_again_are_none(void **state)
{
        (void)state;
        assert_int_equal(circle_at("one two three four one two three five"), 0);
}

static void test_one_word_over_and_over_is_a_circle(void **state)
{
        (void)state;
        assert_int_equal(circle_at("la la la la la la la"), 0);
        assert_int_equal(circle_at("la la la la la la la la"), 8);
}

static void test_period_of_three_words_is_seen(void **state)
{
        (void)state;
        assert_int_equal(circle_at("a b c a b c a b c a b c"), 10);
}

static void test_leading_blank_does_not_count_and_letters_do(void **state)
{
        (void)state;
        assert_int_equal(circle_at("one two three four and one two three four"), 9);
        assert_int_equal(circle_at("one two three four and One two three four"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ordinary_text_is_no_circle),
                cmocka_unit_test(test_four_words_again_are_a_circle),
                cmocka_unit_test(test_three_words_again_are_none),
                cmocka_unit_test(test_one_word_over_and_over_is_a_circle),
                cmocka_unit_test(test_period_of_three_words_is_seen),
                cmocka_unit_test(test_leading_blank_does_not_count_and_letters_do),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
