/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Options and prompts of Ask: every option with good, bad and badly typed values, on messages that never leave.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/bus/errors.h"
#include "daemon/bus/options.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

#define TOKEN_64 "0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789ABCDE_"

struct fixture {
        sd_bus *bus;
        int peer;
        sd_bus_message *message;
        sd_bus_error error;
};

static int setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        int pair[2];

        assert_non_null(fixture);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        assert_true(sd_bus_new(&fixture->bus) >= 0);
        assert_true(sd_bus_set_fd(fixture->bus, pair[0], pair[0]) >= 0);
        assert_true(sd_bus_start(fixture->bus) >= 0);
        fixture->peer = pair[1];
        *state = fixture;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *fixture = *state;

        sd_bus_error_free(&fixture->error);
        sd_bus_message_unref(fixture->message);
        sd_bus_close_unref(fixture->bus);
        close(fixture->peer);
        free(fixture);
        return 0;
}

/* Reads the options that follow: their number, then name, type and value of each. */
#define read_options(fixture, ret_options, ...)                                                                      \
        ({                                                                                                           \
                (fixture)->message = sd_bus_message_unref((fixture)->message);                                       \
                sd_bus_error_free(&(fixture)->error);                                                                \
                assert_true(sd_bus_message_new_method_call((fixture)->bus, &(fixture)->message, "a.b", "/a", "a.b",  \
                                                           "C") >= 0);                                               \
                assert_true(sd_bus_message_append((fixture)->message, "a{sv}", __VA_ARGS__) >= 0);                   \
                assert_true(sd_bus_message_seal((fixture)->message, 1, 0) >= 0);                                     \
                options_read((fixture)->message, ret_options, &(fixture)->error);                                    \
        })

static void assert_refused(struct fixture *fixture, int r, enum errors_code code, const char *sentence)
{
        assert_true(r < 0);
        assert_string_equal(fixture->error.name, errors_name(code));
        assert_string_equal(fixture->error.message, sentence);
}

static void test_no_options_are_as_configured(void **state)
{
        struct options options;

        assert_int_equal(read_options((struct fixture *)*state, &options, 0), 0);
        assert_int_equal(options.request.opener, REQUEST_OPENER_AUTO);
        assert_int_equal(options.request.cloud, REQUEST_CLOUD_AUTO);
        assert_int_equal(options.request.max_opener_words, 0);
        assert_int_equal(options.request.deadline_ms, 0);
        assert_int_equal(options.request.seed, 0);
        assert_string_equal(options.token, "");
}

static void test_all_options_are_read(void **state)
{
        struct options options;

        assert_int_equal(read_options((struct fixture *)*state, &options, 9, "handle_token", "s", TOKEN_64, "opener",
                                      "s", "always", "cloud", "s", "only", "max_opener_words", "u", 32, "deadline_ms",
                                      "u", 600000, "seed", "u", UINT32_MAX, "redraw", "b", 1, "words_per_second", "d",
                                      2.5, "min_interval_ms", "u", 10000),
                         0);
        assert_string_equal(options.token, TOKEN_64);
        assert_int_equal(options.request.opener, REQUEST_OPENER_ALWAYS);
        assert_int_equal(options.request.cloud, REQUEST_CLOUD_ONLY);
        assert_int_equal(options.request.max_opener_words, 32);
        assert_int_equal(options.request.deadline_ms, 600000);
        assert_int_equal(options.request.seed, UINT32_MAX);
        assert_true(options.request.redraw);
        assert_true(options.request.words_per_second > 2.4 && options.request.words_per_second < 2.6);
        assert_int_equal(options.request.min_interval_ms, 10000);
}

static void test_never_is_read_for_opener_and_cloud(void **state)
{
        struct options options;

        assert_int_equal(
                read_options((struct fixture *)*state, &options, 2, "opener", "s", "never", "cloud", "s", "never"),
                0);
        assert_int_equal(options.request.opener, REQUEST_OPENER_NEVER);
        assert_int_equal(options.request.cloud, REQUEST_CLOUD_NEVER);
}

static void test_wrong_types_are_named(void **state)
{
        struct fixture *fixture = *state;
        struct options options;

        assert_refused(fixture, read_options(fixture, &options, 1, "seed", "i", 1), ERRORS_INVALID_OPTION,
                       "Option seed has type i; it must be u.");
        assert_refused(fixture, read_options(fixture, &options, 1, "deadline_ms", "t", (uint64_t)1),
                       ERRORS_INVALID_OPTION, "Option deadline_ms has type t; it must be u.");
        assert_refused(fixture, read_options(fixture, &options, 1, "redraw", "s", "yes"), ERRORS_INVALID_OPTION,
                       "Option redraw has type s; it must be b.");
        assert_refused(fixture, read_options(fixture, &options, 1, "opener", "b", 1), ERRORS_INVALID_OPTION,
                       "Option opener has type b; it must be s.");
        assert_refused(fixture, read_options(fixture, &options, 1, "cloud", "as", 1, "auto"), ERRORS_INVALID_OPTION,
                       "Option cloud has type as; it must be s.");
        assert_refused(fixture, read_options(fixture, &options, 1, "handle_token", "v", "s", "a"),
                       ERRORS_INVALID_OPTION, "Option handle_token has type v; it must be s.");
}

static void test_values_out_of_range_are_named(void **state)
{
        struct fixture *fixture = *state;
        struct options options;

        assert_refused(fixture, read_options(fixture, &options, 1, "max_opener_words", "u", 0), ERRORS_INVALID_OPTION,
                       "Option max_opener_words is 0; it must be 1 to 32.");
        assert_refused(fixture, read_options(fixture, &options, 1, "max_opener_words", "u", 33),
                       ERRORS_INVALID_OPTION, "Option max_opener_words is 33; it must be 1 to 32.");
        assert_refused(fixture, read_options(fixture, &options, 1, "deadline_ms", "u", 600001), ERRORS_INVALID_OPTION,
                       "Option deadline_ms is 600001; it must be 1 to 600000.");
        assert_refused(fixture, read_options(fixture, &options, 1, "opener", "s", ""), ERRORS_INVALID_OPTION,
                       "Option opener is \"\"; it must be auto, always or never.");
        assert_refused(fixture, read_options(fixture, &options, 1, "cloud", "s", "Auto"), ERRORS_INVALID_OPTION,
                       "Option cloud is \"Auto\"; it must be auto, never or only.");
}

static void test_rates_out_of_range_are_named(void **state)
{
        static const double rates[] = { 0, 0.49, 50.5, -1, NAN, INFINITY };
        struct fixture *fixture = *state;
        struct options options;

        for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
                assert_int_equal(read_options(fixture, &options, 1, "words_per_second", "d", rates[i]), -EINVAL);
        assert_refused(fixture, read_options(fixture, &options, 1, "words_per_second", "d", 0.25),
                       ERRORS_INVALID_OPTION, "Option words_per_second is 0.25; it must be 0.5 to 50.");
        assert_refused(fixture, read_options(fixture, &options, 1, "words_per_second", "u", 3), ERRORS_INVALID_OPTION,
                       "Option words_per_second has type u; it must be d.");
        assert_refused(fixture, read_options(fixture, &options, 1, "min_interval_ms", "u", 10001),
                       ERRORS_INVALID_OPTION, "Option min_interval_ms is 10001; it must be 1 to 10000.");
}

static void test_tokens_must_fit_an_object_path(void **state)
{
        struct fixture *fixture = *state;
        struct options options;

        assert_refused(fixture, read_options(fixture, &options, 1, "handle_token", "s", ""), ERRORS_INVALID_TOKEN,
                       "Option handle_token has 0 characters; 1 to 64 are allowed.");
        assert_refused(fixture, read_options(fixture, &options, 1, "handle_token", "s", TOKEN_64 "x"),
                       ERRORS_INVALID_TOKEN, "Option handle_token has 65 characters; 1 to 64 are allowed.");
        assert_refused(fixture, read_options(fixture, &options, 1, "handle_token", "s", "a-b"), ERRORS_INVALID_TOKEN,
                       "Option handle_token is \"a-b\"; only A-Z, a-z, 0-9 and _ are allowed.");
}

static void test_unknown_option_is_named_among_good_ones(void **state)
{
        struct fixture *fixture = *state;
        struct options options = { .token = "untouched" };

        assert_refused(fixture,
                       read_options(fixture, &options, 3, "seed", "u", 1, "Seed", "u", 1, "cloud", "s", "auto"),
                       ERRORS_UNKNOWN_OPTION, "There is no option \"Seed\".");
        assert_string_equal(options.token, "untouched");
}

/* A cut within a character would make an error that cannot be sent. */
static void test_long_names_are_cut_between_characters(void **state)
{
        struct fixture *fixture = *state;
        struct options options;

        assert_refused(fixture,
                       read_options(fixture, &options, 1,
                                    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxéé", "u", 1),
                       ERRORS_UNKNOWN_OPTION,
                       "There is no option \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\".");
}

static int check_prompt(struct fixture *fixture, const char *prompt, size_t max)
{
        sd_bus_error_free(&fixture->error);
        return options_check_prompt(prompt, strlen(prompt), max, &fixture->error);
}

static void test_prompts_are_checked(void **state)
{
        struct fixture *fixture = *state;

        assert_int_equal(check_prompt(fixture, "déjà vu", 9), 0);
        assert_refused(fixture, check_prompt(fixture, "déjà vu", 8), ERRORS_PROMPT_TOO_LONG,
                       "The prompt has 9 bytes; 8 are allowed.");
        assert_refused(fixture, check_prompt(fixture, "", 8), ERRORS_PROMPT_EMPTY, "The prompt is empty or blank.");
        assert_refused(fixture, check_prompt(fixture, " \t\n", 8), ERRORS_PROMPT_EMPTY,
                       "The prompt is empty or blank.");
        assert_refused(fixture, check_prompt(fixture, "ab\xc3", 8), ERRORS_PROMPT_INVALID,
                       "The prompt is not UTF-8: see its byte 2.");
}

static void test_errors_from_below_are_translated(void **state)
{
        struct fixture *fixture = *state;

        assert_refused(fixture, errors_set_errno(&fixture->error, -EBUSY, "No."), ERRORS_BUSY, "No.");
        sd_bus_error_free(&fixture->error);
        assert_int_equal(errors_set_errno(&fixture->error, -ENOMEM, "No."), -ENOMEM);
        assert_string_equal(fixture->error.name, SD_BUS_ERROR_NO_MEMORY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_no_options_are_as_configured),          TEST(test_all_options_are_read),
                TEST(test_never_is_read_for_opener_and_cloud),    TEST(test_wrong_types_are_named),
                TEST(test_values_out_of_range_are_named),         TEST(test_rates_out_of_range_are_named),
                TEST(test_tokens_must_fit_an_object_path),        TEST(test_unknown_option_is_named_among_good_ones),
                TEST(test_long_names_are_cut_between_characters), TEST(test_prompts_are_checked),
                TEST(test_errors_from_below_are_translated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
