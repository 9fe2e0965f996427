/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Bytes to text, however they are cut.
 */
#include <string.h>

#include "libmulm/base/utf8.h"
#include "libmulm/detok.h"
#include "tests/support/test.h"

#define R "\xef\xbf\xbd"

static const struct {
        const char *bytes, *text;
} cases[] = {
        { "", "" },
        { "plain", "plain" },
        { "a\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x98z", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x98z" },
        /* Unicode 15.0, table 3-8 to 3-11: one replacement for each maximal subpart. */
        { "\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", R R R R R R R R "A" },
        { "\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", R R R R R R R R "A" },
        { "\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", R R R R R "A" R R "B" },
        { "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", R R R R "A" },
        /* Cut off: by the next sequence, by the end. */
        { "\xe2\x82\xc3\xa9", R "\xc3\xa9" },
        { "\xf0\x9f\xa6", R },
        { "x\xc3", "x" R },
};

static void expect(const char *bytes, size_t n_first, size_t n_second, const char *text)
{
        struct detok detok = DETOK_NULL;
        struct buf out = BUF_NULL;

        assert_int_equal(detok_feed(&detok, bytes, n_first, &out), 0);
        assert_true(utf8_is_valid(buf_string(&out), out.n, NULL));
        assert_int_equal(detok_feed(&detok, bytes + n_first, n_second, &out), 0);
        assert_true(utf8_is_valid(buf_string(&out), out.n, NULL));
        assert_int_equal(detok_feed(&detok, bytes + n_first + n_second, strlen(bytes) - n_first - n_second, &out), 0);
        assert_true(utf8_is_valid(buf_string(&out), out.n, NULL));
        assert_int_equal(detok_finish(&detok, &out), 0);
        assert_string_equal(buf_string(&out), text);
        buf_done(&out);
}

static void test_text_is_the_same_at_every_two_cuts(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                size_t n = strlen(cases[i].bytes);

                for (size_t first = 0; first <= n; first++)
                        for (size_t second = 0; first + second <= n; second++)
                                expect(cases[i].bytes, first, second, cases[i].text);
        }
}

static void test_whole_sequence_is_not_held_back(void **state)
{
        struct detok detok = DETOK_NULL;
        struct buf out = BUF_NULL;

        (void)state;
        assert_int_equal(detok_feed(&detok, "a\xf0\x9f", 3, &out), 0);
        assert_string_equal(buf_string(&out), "a");
        assert_int_equal(detok_feed(&detok, "\xa6\x98", 2, &out), 0);
        assert_string_equal(buf_string(&out), "a\xf0\x9f\xa6\x98");
        assert_int_equal(detok.n_pending, 0);
        buf_done(&out);
}

static void test_finished_stream_can_be_used_again(void **state)
{
        struct detok detok = DETOK_NULL;
        struct buf out = BUF_NULL;

        (void)state;
        assert_int_equal(detok_feed(&detok, "\xe2\x82", 2, &out), 0);
        assert_int_equal(detok_finish(&detok, &out), 0);
        assert_int_equal(detok_finish(&detok, &out), 0);
        assert_int_equal(detok_feed(&detok, "b", 1, &out), 0);
        assert_string_equal(buf_string(&out), R "b");
        buf_done(&out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_is_the_same_at_every_two_cuts),
                cmocka_unit_test(test_whole_sequence_is_not_held_back),
                cmocka_unit_test(test_finished_stream_can_be_used_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
