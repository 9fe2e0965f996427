/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <stdio.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/utf8.h"
#include "tests/support/test.h"

static void test_buf_grows_and_stays_terminated(void **state)
{
        struct buf buf = BUF_NULL;

        (void)state;
        assert_string_equal(buf_string(&buf), "");
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(buf_printf(&buf, "%u,", i), 0);
        assert_int_equal(buf.n, 290);
        assert_int_equal(strlen(buf.data), buf.n);
        buf_drop_front(&buf, 2);
        assert_int_equal(strncmp(buf.data, "1,2,", 4), 0);
        buf_truncate(&buf, 3);
        assert_string_equal(buf.data, "1,2");
        buf_done(&buf);
}

static void test_utf8_refuses_what_rfc_3629_refuses(void **state)
{
        static const char *const bad[] = { "\xc0\x80",         "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                                           "\xf4\x90\x80\x80", "\xff",         "\x80",         "\xe2\x82" };
        size_t offset;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                char text[16];

                snprintf(text, sizeof(text), "ok%s", bad[i]);
                assert_false(utf8_is_valid(text, strlen(text), &offset));
                assert_int_equal(offset, 2);
        }
        assert_true(utf8_is_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x98", 10, NULL));
}

static void test_utf8_round_trip_of_every_scalar_value(void **state)
{
        char text[4];
        uint32_t back;

        (void)state;
        for (uint32_t c = 0; c < 0x110000; c++) {
                size_t n = utf8_encode(c, text);

                if (c >= 0xd800 && c < 0xe000) {
                        assert_int_equal(n, 0);
                        continue;
                }
                assert_int_equal(utf8_decode(text, n, &back), n);
                assert_int_equal(back, c);
        }
}

static void test_utf8_complete_holds_back_only_a_cut_off_tail(void **state)
{
        static const char text[] = "a\xf0\x9f\xa6\x98";

        (void)state;
        for (size_t n = 0; n <= 5; n++)
                assert_int_equal(utf8_complete(text, n), n == 0 ? 0 : n == 5 ? 5 : 1);
        assert_int_equal(utf8_complete("a\x80", 2), 2);
        assert_int_equal(utf8_complete("a\xe0\x80", 3), 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_buf_grows_and_stays_terminated),
                cmocka_unit_test(test_utf8_refuses_what_rfc_3629_refuses),
                cmocka_unit_test(test_utf8_round_trip_of_every_scalar_value),
                cmocka_unit_test(test_utf8_complete_holds_back_only_a_cut_off_tail),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
