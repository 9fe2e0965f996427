/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <string.h>

#include "daemon/core/pivot.h"
#include "daemon/core/prompt.h"
#include "daemon/core/verdict.h"
#include "tests/support/test.h"

/* Feeds the stream in three pieces, cut at `a` and `b`. */
static void read_pieces(const char *stream, size_t a, size_t b, enum verdict_kind kind, const char *wanted)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        struct verdict verdict = VERDICT_NULL;
        size_t n = strlen(stream);

        assert_true(verdict_feed(&verdict, stream, a, &text) >= 0);
        assert_true(verdict_feed(&verdict, stream + a, b - a, &text) >= 0);
        assert_true(verdict_feed(&verdict, stream + b, n - b, &text) >= 0);
        assert_int_equal(verdict_end(&verdict, &text), 0);
        assert_true(verdict.is_decided);
        assert_int_equal(verdict.kind, kind);
        assert_string_equal(buf_string(&text), wanted);
}

static void check(const char *stream, enum verdict_kind kind, const char *wanted)
{
        size_t n = strlen(stream);

        for (size_t a = 0; a <= n; a++)
                for (size_t b = a; b <= n; b++)
                        read_pieces(stream, a, b, kind, wanted);
}

static void test_marks_are_read_and_taken_out(void **state)
{
        (void)state;
        check("[[pivot]] or rather: Canberra.", VERDICT_PIVOT, " or rather: Canberra.");
        check("[[replace]]Canberra is it.", VERDICT_REPLACE, "Canberra is it.");
        check("[[continue]] Canberra.", VERDICT_CONTINUE, " Canberra.");
        check(" \n[[pivot]]x", VERDICT_PIVOT, "x");
        check("[[PIVOT]]x", VERDICT_PIVOT, "x");
        check("[[Replace]]", VERDICT_REPLACE, "");
}

static void test_everything_else_is_a_continuation(void **state)
{
        static const char *const texts[] = {
                "",
                " ",
                " Canberra, not Sydney.",
                "Canberra",
                "[",
                "[[",
                "[1] Canberra",
                "[[Canberra]]",
                "[[pivot",
                "[[pivot]",
                "[[pivot] ]",
                "[[ pivot]]",
                "[[pivots]]",
                "[pivot]",
                "[[[pivot]]",
                "([[pivot]])",
                "a [[pivot]] b",
                "\xe2\x80\x9c[[pivot]]",
                "\n\n\n",
                "                                    [[pivot]]",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                check(texts[i], VERDICT_CONTINUE, texts[i]);
}

static void test_only_the_first_mark_counts(void **state)
{
        (void)state;
        check("[[pivot]][[replace]]x", VERDICT_PIVOT, "[[replace]]x");
}

/* Each delta of an ordinary continuation comes out as it goes in, but for a blank in front of the first word. */
static void test_ordinary_continuation_is_not_held_back(void **state)
{
        static const struct {
                const char *deltas[4];
                const char *after[4];
        } cases[] = {
                { { " Canberra", ",", " not" }, { " Canberra", " Canberra,", " Canberra, not" } },
                { { " ", "Canberra" }, { "", " Canberra" } },
                { { "[", "1] is" }, { "", "[1] is" } },
                { { "[1", "]" }, { "[1", "[1]" } },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_(buf_done) struct buf text = BUF_NULL;
                struct verdict verdict = VERDICT_NULL;

                for (size_t j = 0; cases[i].deltas[j]; j++) {
                        const char *delta = cases[i].deltas[j];

                        assert_int_equal(verdict_feed(&verdict, delta, strlen(delta), &text),
                                         *cases[i].after[j] != 0);
                        assert_string_equal(buf_string(&text), cases[i].after[j]);
                }
        }
}

static void test_what_is_held_is_bounded(void **state)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        struct verdict verdict = VERDICT_NULL;
        unsigned n = 0;

        (void)state;
        while (verdict_feed(&verdict, "\n", 1, &text) == 0)
                assert_true(++n < VERDICT_HEAD_MAX);
        assert_int_equal(text.n, VERDICT_HEAD_MAX);
        assert_int_equal(verdict.kind, VERDICT_CONTINUE);
}

/* What the prompts ask for is what is read. */
static void test_prompts_name_the_marks(void **state)
{
        static const struct {
                const char *mark;
                enum verdict_kind kind;
        } marks[] = { { "[[pivot]]", VERDICT_PIVOT }, { "[[replace]]", VERDICT_REPLACE } };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
                const char *place = strstr(prompts_get(&PROMPTS_NULL, PROMPTS_TEXT_REPLACE), marks[i].mark);

                assert_non_null(place);
                check(marks[i].mark, marks[i].kind, "");
        }
}

/* ----------------------------------------------------------------------------------------------------- bridge */

static void check_bridge(const char *text, enum pivot_state wanted, const char *bridge)
{
        size_t end = 0;

        assert_int_equal(pivot_check(text, strlen(text), &end), wanted);
        assert_int_equal(end, strlen(bridge));
        assert_memory_equal(text, bridge, end);
}

static void test_bridge_ends_with_its_sentence(void **state)
{
        (void)state;
        check_bridge(" \xe2\x80\x93 or rather: Canberra.", PIVOT_STATE_WHOLE, " \xe2\x80\x93 or rather:");
        check_bridge("\xe2\x80\xa6 hm, let me turn that around. It is", PIVOT_STATE_WHOLE,
                     "\xe2\x80\xa6 hm, let me turn that around.");
        check_bridge(" at 12:30, or 3.5 hours? No", PIVOT_STATE_WHOLE, " at 12:30, or 3.5 hours?");
        check_bridge(" or rather", PIVOT_STATE_OPEN, " or rather");
        check_bridge("", PIVOT_STATE_OPEN, "");
        check_bridge(" \xe2\x80\xa6 :", PIVOT_STATE_OPEN, " \xe2\x80\xa6 :");
}

static void test_bridge_has_at_most_twelve_words(void **state)
{
        (void)state;
        check_bridge("1 2 3 4 5 6 7 8 9 10 11 12.", PIVOT_STATE_WHOLE, "1 2 3 4 5 6 7 8 9 10 11 12.");
        check_bridge("1 2 3 4 5 6 7 8 9 10 11 12 ", PIVOT_STATE_OPEN, "1 2 3 4 5 6 7 8 9 10 11 12 ");
        check_bridge("1 2 3 4 5 6 7 8 9 10 11 12 1", PIVOT_STATE_TOO_LONG, "1 2 3 4 5 6 7 8 9 10 11 12 1");
        check_bridge("it's well-known that o'clock isn't twenty-four or so, let's say:", PIVOT_STATE_WHOLE,
                     "it's well-known that o'clock isn't twenty-four or so, let's say:");
}

static void test_bridge_without_blanks_is_counted_by_characters(void **state)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        size_t end;

        (void)state;
        for (unsigned i = 0; i < 2 * PIVOT_WORDS_MAX; i++)
                assert_int_equal(buf_add_string(&text, "\xe9\xa6\x96"), 0);
        assert_int_equal(pivot_check(text.data, text.n, &end), PIVOT_STATE_OPEN);
        assert_int_equal(buf_add_string(&text, "\xe3\x80\x82"), 0);
        assert_int_equal(pivot_check(text.data, text.n, &end), PIVOT_STATE_WHOLE);
        assert_int_equal(end, text.n);
        buf_truncate(&text, text.n - 3);
        assert_int_equal(buf_add_string(&text, "\xe9\xa6\x96"), 0);
        assert_int_equal(pivot_check(text.data, text.n, &end), PIVOT_STATE_TOO_LONG);
}

static void test_own_bridge_after_a_refusal_is_short_enough(void **state)
{
        static const char *const languages[] = { "en", "de", "fr", "es", "tr", "ru", "ar", "hi", "ja", "ko", "zh" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(languages); i++) {
                _cleanup_(buf_done) struct buf text = BUF_NULL;

                assert_int_equal(prompts_add_refused(&PROMPTS_NULL, languages[i], &text), 0);
                check_bridge(text.data, PIVOT_STATE_WHOLE, text.data);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_marks_are_read_and_taken_out),
                cmocka_unit_test(test_everything_else_is_a_continuation),
                cmocka_unit_test(test_only_the_first_mark_counts),
                cmocka_unit_test(test_ordinary_continuation_is_not_held_back),
                cmocka_unit_test(test_what_is_held_is_bounded),
                cmocka_unit_test(test_prompts_name_the_marks),
                cmocka_unit_test(test_bridge_ends_with_its_sentence),
                cmocka_unit_test(test_bridge_has_at_most_twelve_words),
                cmocka_unit_test(test_bridge_without_blanks_is_counted_by_characters),
                cmocka_unit_test(test_own_bridge_after_a_refusal_is_short_enough),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
