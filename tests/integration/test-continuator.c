/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the local continuator answers to good requests: the dialect, the prefill and the pace.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* All "content" strings of a reply, joined as they stand in the JSON. */
static char *content_of(const char *output)
{
        struct buf text = BUF_NULL;

        for (const char *at = output; (at = strstr(at, "\"content\":\""));) {
                const char *end;

                at += strlen("\"content\":\"");
                end = strstr(at, "\"}");
                assert_non_null(end);
                assert_int_equal(buf_add(&text, at, (size_t)(end - at)), 0);
        }
        assert_int_equal(buf_reserve(&text, 1), 0);
        return buf_steal(&text);
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

static void test_reply_is_role_text_finish_usage_and_done(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *output = NULL;
        const char *role, *text, *finish, *usage, *done;

        continuator_start(cloud, (const char *[]){ NULL });
        output = chat(cloud, "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":3," //
                      MESSAGES_PLAIN "}");

        role = strstr(output, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}");
        text = strstr(output, "\"delta\":{\"content\":\"");
        finish = strstr(output, "\"finish_reason\":\"length\"");
        usage = strstr(output, "\"choices\":[],\"usage\":{\"prompt_tokens\":");
        done = strstr(output, "data: [DONE]\n\n");
        assert_true(role && text && finish && usage && done);
        assert_true(role < text && text < finish && finish < usage && usage < done);
        assert_contains(usage, "\"completion_tokens\":3,");
        assert_int_equal(text_count(output, "\"object\":\"chat.completion.chunk\""), text_count(output, "data: {"));
        assert_status(output, "200");
}

static void test_usage_comes_only_when_asked_for(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *output = NULL;

        continuator_start(cloud, (const char *[]){ NULL });
        output = chat(cloud, "{\"stream\":true,\"max_completion_tokens\":1," MESSAGES_PLAIN "}");
        assert_lacks(output, "\"usage\"");
        assert_contains(output, "data: [DONE]\n\n");
}

static void test_content_may_come_in_parts(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *whole = NULL, *parts = NULL, *whole_text = NULL, *parts_text = NULL;

        continuator_start(cloud, (const char *[]){ NULL });
        whole = chat(cloud, "{\"stream\":true,\"max_tokens\":4," MESSAGES_PLAIN "}");
        parts = chat(cloud, "{\"stream\":true,\"max_tokens\":4,\"messages\":[{\"role\":\"user\",\"content\":["
                            "{\"type\":\"text\",\"text\":\"what is the capital\"},"
                            "{\"type\":\"text\",\"text\":\" of france\"}]}]}");
        whole_text = content_of(whole);
        parts_text = content_of(parts);
        assert_true(strlen(whole_text) > 0);
        assert_string_equal(whole_text, parts_text);
}

/* What a prefill is continued with depends on it, and does not repeat it. */
static void test_prefill_is_continued(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *plain = NULL, *prefilled = NULL, *plain_text = NULL, *prefilled_text = NULL;

        continuator_start(cloud, (const char *[]){ NULL });
        plain = chat(cloud, "{\"stream\":true,\"max_tokens\":6," MESSAGES_PLAIN "}");
        prefilled = chat(cloud, "{\"stream\":true,\"max_tokens\":6," MESSAGES_PREFILL "}");
        plain_text = content_of(plain);
        prefilled_text = content_of(prefilled);
        assert_true(strlen(prefilled_text) > 0);
        assert_string_not_equal(plain_text, prefilled_text);
        assert_lacks(prefilled_text, "The capital");
        assert_int_equal(prefilled_text[0], ' '); /* in the middle of a sentence */
}

static void test_server_limit_wins_over_request(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *output = NULL;

        continuator_start(cloud, (const char *[]){ "--max-tokens", "2", NULL });
        output = chat(cloud, "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":50," //
                      MESSAGES_PLAIN "}");
        assert_contains(output, "\"completion_tokens\":2,");
}

static uint64_t now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Only the least time is sure on a loaded machine. */
static void test_tokens_do_not_come_early(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *output = NULL;
        uint64_t begun_ms;

        continuator_start(cloud, (const char *[]){ "--first-token-ms", "200", "--tokens-per-second", "20", NULL });
        begun_ms = now_ms();
        output = chat(cloud, "{\"stream\":true,\"max_tokens\":3," MESSAGES_PLAIN "}");
        assert_true(now_ms() - begun_ms >= 200 + 2 * 50);
        assert_contains(output, "[DONE]");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_reply_is_role_text_finish_usage_and_done),
                TEST(test_usage_comes_only_when_asked_for),
                TEST(test_content_may_come_in_parts),
                TEST(test_prefill_is_continued),
                TEST(test_server_limit_wins_over_request),
                TEST(test_tokens_do_not_come_early),
        };

        return cmocka_run_group_tests_name("continuator", tests, NULL, NULL);
}
