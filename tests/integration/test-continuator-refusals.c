/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the local continuator refuses, and with which words.
 */
#include <stdlib.h>
#include <unistd.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "tests/support/continuator.h"
#include "tests/support/test.h"
#include "tests/support/text.h"

/* A question without and with a beginning of the answer. */
#define MESSAGES_PLAIN "\"messages\":[{\"role\":\"user\",\"content\":\"what is the capital of france\"}]"
#define MESSAGES_PREFILL                                                                                             \
        "\"messages\":[{\"role\":\"user\",\"content\":\"what is the capital of france\"},"                           \
        "{\"role\":\"assistant\",\"content\":\"The capital\"}]"

static char *chat(const struct continuator *cloud, const char *body)
{
        return continuator_post(cloud, "/chat/completions", body, (const char *[]){ NULL });
}

static void assert_status(const char *output, const char *status)
{
        _cleanup_free_ char *line = text_format("\n%s\n", status);

        assert_contains(output, line);
}

static int setup(void **state)
{
        *state = calloc(1, sizeof(struct continuator));
        return *state ? 0 : -1;
}

static int teardown(void **state)
{
        continuator_done(*state);
        free(*state);
        return 0;
}

static void test_each_bad_request_is_named(void **state)
{
        static const struct {
                const char *path, *body, *status, *message;
        } cases[] = {
                { "/models", "{}", "404", "There is only /v1/chat/completions here." },
                { "/chat/completions/x", "{}", "404", "There is only" },
                { "/chat/completions", "", "400", "not a JSON object" },
                { "/chat/completions", "[]", "400", "not a JSON object" },
                { "/chat/completions", "{\"stream\":true," MESSAGES_PLAIN "} x", "400", "not a JSON object" },
                { "/chat/completions", "{\"stream\":true,\"x\":\"\xff\"}", "400", "not valid UTF-8" },
                { "/chat/completions", "{" MESSAGES_PLAIN "}", "400", "only streams" },
                { "/chat/completions", "{\"stream\":false," MESSAGES_PLAIN "}", "400", "only streams" },
                { "/chat/completions", "{\"stream\":true}", "400", "must be an array" },
                { "/chat/completions", "{\"stream\":true,\"messages\":[]}", "400", "must be an array" },
                { "/chat/completions", "{\"stream\":true,\"messages\":[7]}", "400", "needs a role" },
                { "/chat/completions", "{\"stream\":true,\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}", "400",
                  "needs a role" },
                { "/chat/completions", "{\"stream\":true,\"messages\":[{\"role\":\"user\"}]}", "400",
                  "needs content" },
                { "/chat/completions",
                  "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
                  "400", "Only parts of type" },
                { "/chat/completions", "{\"stream\":true,\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}",
                  "400", "nothing to answer" },
                { "/chat/completions", "{\"stream\":true,\"max_tokens\":0," MESSAGES_PLAIN "}", "400",
                  "whole number" },
                { "/chat/completions", "{\"stream\":true,\"max_tokens\":\"9\"," MESSAGES_PLAIN "}", "400",
                  "whole number" },
        };
        struct continuator *cloud = *state;

        continuator_start(cloud, (const char *[]){ NULL });
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *output =
                        continuator_post(cloud, cases[i].path, cases[i].body, (const char *[]){ NULL });

                assert_status(output, cases[i].status);
                assert_contains(output, "{\"error\":{\"message\":\"");
                assert_contains(output, cases[i].message);
        }
}

static void test_other_methods_get_405(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *output = NULL;

        continuator_start(cloud, (const char *[]){ NULL });
        output = continuator_post(cloud, "/chat/completions", "", (const char *[]){ "--get", "--include", NULL });
        assert_status(output, "405");
        assert_contains(output, "allow: POST");
}

static void test_body_above_4_mib_gets_413(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *output = NULL, *body = NULL, *path = NULL;

        path = continuator_write(cloud, "body", "");
        assert_int_equal(truncate(path, (4 << 20) + 1), 0);
        body = text_format("@%s", path);

        continuator_start(cloud, (const char *[]){ NULL });
        output = continuator_post(cloud, "/chat/completions", body, (const char *[]){ "--data-binary", body, NULL });
        assert_status(output, "413");
}

static void test_prompt_above_context_gets_400(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *output = NULL, *body = NULL;
        struct buf words = BUF_NULL;

        for (int i = 0; i < 20000; i++)
                assert_int_equal(buf_add_string(&words, "word "), 0);
        body = text_format("{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", words.data);
        buf_done(&words);

        continuator_start(cloud, (const char *[]){ NULL });
        output = chat(cloud, body);
        assert_status(output, "400");
        assert_contains(output, "\"invalid_request_error\"");
}

static void test_no_prefill_option_refuses_it_as_others_do(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *refused = NULL, *served = NULL;

        continuator_start(cloud, (const char *[]){ "--no-prefill", NULL });
        refused = chat(cloud, "{\"stream\":true,\"max_tokens\":1," MESSAGES_PREFILL "}");
        served = chat(cloud, "{\"stream\":true,\"max_tokens\":1," MESSAGES_PLAIN "}");
        assert_status(refused, "400");
        assert_contains(refused, "does not support assistant message prefill");
        assert_status(served, "200");
}

static void test_wrong_key_gets_401(void **state)
{
        static const char *const right[] = { "--header", "authorization: Bearer s3cret", NULL };
        static const char *const wrong[] = { "--header", "authorization: Bearer s3cre", NULL };
        static const char *const none[] = { NULL };
        const char *body = "{\"stream\":true,\"max_tokens\":1," MESSAGES_PLAIN "}";
        struct continuator *cloud = *state;
        _cleanup_free_ char *with_right = NULL, *with_wrong = NULL, *with_none = NULL, *path = NULL;

        path = continuator_write(cloud, "key", "s3cret\n");

        continuator_start(cloud, (const char *[]){ "--api-key-file", path, NULL });
        with_right = continuator_post(cloud, "/chat/completions", body, right);
        with_wrong = continuator_post(cloud, "/chat/completions", body, wrong);
        with_none = continuator_post(cloud, "/chat/completions", body, none);
        assert_status(with_right, "200");
        assert_status(with_wrong, "401");
        assert_status(with_none, "401");
}

static void test_bad_command_lines_are_named(void **state)
{
        static const struct {
                const char *option, *value, *message;
                int status;
        } cases[] = {
                { "--port", "70000", "'70000' is no number from 0 to 65535", 2 },
                { "--port", "x", "'x' is no number", 2 },
                { "--nonsense", "1", "unrecognized option", 2 },
                { "--tls", "only-one-file", "Usage:", 2 },
                { "--model", "/nonexistent.gguf", "/nonexistent.gguf", 1 },
                { "--api-key-file", "/nonexistent", "no key to be read", 2 },
        };
        const char *program = getenv("CONTINUATOR");

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct process *process =
                        process_spawn((const char *[]){ program, cases[i].option, cases[i].value, NULL }, NULL);

                assert_int_equal(process_wait(process), cases[i].status);
                assert_contains(process_output(process, PROCESS_STREAM_ERROR), cases[i].message);
                process_free(process);
        }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_each_bad_request_is_named),
                TEST(test_other_methods_get_405),
                TEST(test_body_above_4_mib_gets_413),
                TEST(test_prompt_above_context_gets_400),
                TEST(test_no_prefill_option_refuses_it_as_others_do),
                TEST(test_wrong_key_gets_401),
                TEST(test_bad_command_lines_are_named),
        };

        return cmocka_run_group_tests_name("continuator-refusals", tests, NULL, NULL);
}
