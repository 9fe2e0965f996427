/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect.h"
#include "libmulm/base/utf8.h"
#include "tests/support/test.h"

static void check_message(const char *body, const char *wanted)
{
        _cleanup_(buf_done) struct buf message = BUF_NULL;
        int r;

        assert_int_equal(buf_add_string(&message, "status 400: "), 0);
        r = dialect_error_message(body, strlen(body), &message);
        assert_int_equal(r, wanted ? 0 : -ENOENT);
        assert_string_equal(message.data + 12, wanted ? wanted : "");
}

static void test_error_message_is_found_in_every_shape(void **state)
{
        (void)state;
        check_message("{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":\"c\"}}", "m");
        check_message("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
                      "Overloaded");
        check_message(" \n[{\"error\":{\"code\":400,\"message\":\"m\"}}]", "m");
        check_message("{\"object\":\"error\",\"message\":\"m\",\"type\":\"t\",\"code\":400}", "m");
        check_message("{\"error\":\"m\",\"error_type\":\"t\"}", "m");
        check_message("{\"detail\":\"m\"}", "m");
        check_message("{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"Field required\",\"type\":\"missing\"}]}",
                      "body: Field required");
        check_message("{\"detail\":[{\"loc\":[\"body\",\"stream_options\",0],\"msg\":\"Extra inputs are not "
                      "permitted\"}]}",
                      "stream_options: Extra inputs are not permitted");
        check_message("{\"object\":\"error\",\"message\":{\"detail\":[{\"msg\":\"m\"}]}}", "m");
        check_message("{\"error\":{\"message\":null,\"type\":\"insufficient_quota\",\"code\":null}}",
                      "insufficient_quota");
        check_message("{\"error\":true,\"message\":\"m\"}", "m");
        check_message("\"Unauthorized\"", "Unauthorized");
        check_message("Internal Server Error\n", "Internal Server Error");
}

static void test_body_without_a_message_has_none(void **state)
{
        static const char *const bad[] = {
                "",
                " \n",
                "<!DOCTYPE html><title>502</title>",
                " <html>",
                "{}",
                "[]",
                "[[]]",
                "{\"error\":{}}",
                "{\"error\":{\"code\":502}}",
                "{\"error\":{\"message\":\"\"}}",
                "{\"error\":{\"message\":\"cut of",
                "{\"type\":\"error\",\"code\":\"x\"}",
                "{\"error\":{\"message\":\" \\n \"}}",
                "\x1f\x8b\x08\xff",
                "502",
                "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}",
                "{\"error\":{\"error\":{\"error\":{\"error\":{\"error\":{\"error\":\"too deep\"}}}}}}",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                check_message(bad[i], NULL);
}

static void test_error_message_is_one_line(void **state)
{
        (void)state;
        check_message("{\"error\":{\"message\":\"\\n a\\tb \\r\\n  c\\u0007\\u009bd\\u2028\\u2029e\\u007f\"}}",
                      "a b c d e");
}

static void test_error_message_is_cut_at_a_whole_character(void **state)
{
        (void)state;
        for (size_t pad = 0; pad < 4; pad++) {
                _cleanup_(buf_done) struct buf body = BUF_NULL, message = BUF_NULL;

                assert_int_equal(buf_add(&body, "xxx", pad), 0);
                for (size_t i = 0; i < 1000; i++)
                        assert_int_equal(buf_add_string(&body, "\xf0\x9f\xa6\x98"), 0);
                assert_int_equal(dialect_error_message(body.data, body.n, &message), 0);
                assert_true(message.n <= DIALECT_MESSAGE_MAX && message.n > DIALECT_MESSAGE_MAX - 4);
                assert_true(utf8_is_valid(message.data, message.n, NULL));
        }
}

static void test_status_that_is_not_200_is_told_by_nothing_else(void **state)
{
        static const char named[] = "{\"error\":{\"type\":\"overloaded_error\"}}";

        (void)state;
        assert_int_equal(dialect_error_status(named, strlen(named), 200), 529);
        assert_int_equal(dialect_error_status("", 0, 200), 500);
        assert_int_equal(dialect_error_status(named, strlen(named), 404), 404);
        assert_int_equal(dialect_error_status("", 0, 301), 301);
        assert_int_equal(dialect_error_status("", 0, 204), 204);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_error_message_is_found_in_every_shape),
                cmocka_unit_test(test_body_without_a_message_has_none),
                cmocka_unit_test(test_error_message_is_one_line),
                cmocka_unit_test(test_error_message_is_cut_at_a_whole_character),
                cmocka_unit_test(test_status_that_is_not_200_is_told_by_nothing_else),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
