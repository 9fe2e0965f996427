/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * How the local continuator treats connections: TLS, streams side by side, flow control, clients that leave or speak
 * HTTP/2 badly, and its own end.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "tests/support/continuator.h"
#include "tests/support/test.h"
#include "tests/support/text.h"

#define MESSAGES_PLAIN "\"messages\":[{\"role\":\"user\",\"content\":\"what is the capital of france\"}]"

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

static void test_tls_carries_http_2(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *output = NULL;

        continuator_start_tls(cloud);
        assert_contains(cloud->url, "https://");
        output = continuator_post(cloud, "/chat/completions", "{\"stream\":true,\"max_tokens\":2," MESSAGES_PLAIN "}",
                                  (const char *[]){ "--http2", "--cacert", cloud->certificate, "--write-out",
                                                    "\nHTTP/%{http_version} %{http_code}\n", NULL });
        assert_contains(output, "data: [DONE]");
        assert_contains(output, "\nHTTP/2 200\n");
}

static void test_tls_without_h2_is_refused(void **state)
{
        static const char *const options[][2] = { { "--http1.1", NULL }, { "--no-alpn", NULL } };
        struct continuator *cloud = *state;

        continuator_start_tls(cloud);
        for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
                struct process *curl = process_spawn(
                        (const char *[]){ "curl", "--silent", "--insecure", options[i][0], cloud->url, NULL }, NULL);

                assert_int_not_equal(process_wait(curl), 0);
                process_free(curl);
        }
}

static void test_streams_of_a_connection_run_side_by_side(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *url = NULL, *output = NULL, *data = NULL;

        data = continuator_write(cloud, "body", "{\"stream\":true,\"max_tokens\":20," MESSAGES_PLAIN "}");

        /* the pace makes them overlap; windows of 127 bytes make each wait for its client again and again */
        continuator_start(cloud, (const char *[]){ "--first-token-ms", "50", "--tokens-per-second", "100", NULL });
        url = text_format("%s/chat/completions", cloud->url);
        output = process_run(
                (const char *[]){ "nghttp", "--multiply=5", "--window-bits=7", "--data", data, url, NULL }, NULL);
        assert_int_equal(text_count(output, "data: [DONE]"), 5);
}

static void test_malformed_http_2_ends_only_its_connection(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *script =
                text_format("%s/tests/integration/continuator-malformed.py", getenv("MULM_SOURCE_ROOT"));
        _cleanup_free_ char *port = NULL, *output = NULL, *cancelled = NULL;

        continuator_start(cloud, (const char *[]){ NULL });
        port = text_format("%.*s", (int)strspn(strrchr(cloud->url, ':') + 1, "0123456789"),
                           strrchr(cloud->url, ':') + 1);
        output = process_run((const char *[]){ "/usr/bin/python3", "-B", script, port, NULL }, NULL);
        cancelled = process_expect(cloud->process, PROCESS_STREAM_ERROR, "^cancelled ");
        process_signal(cloud->process, SIGTERM);
        assert_int_equal(process_wait(cloud->process), 0);
}

static struct process *start_curl(const struct continuator *cloud, const char *data)
{
        _cleanup_free_ char *url = text_format("%s/chat/completions", cloud->url);

        return process_spawn((const char *[]){ "curl", "--silent", "--no-buffer", "--http2-prior-knowledge", "--data",
                                               data, url, NULL },
                             NULL);
}

/* The client goes while a long prompt is being evaluated, so that every token comes after it has left. */
static void test_generation_stops_when_the_client_leaves(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_(buf_done) struct buf words = BUF_NULL;
        _cleanup_free_ char *body = NULL, *begun = NULL, *end = NULL;
        struct process *curl;

        for (int i = 0; i < 100; i++)
                assert_int_equal(buf_add_string(&words, "explain how engines work "), 0);
        body = text_format("{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", words.data);

        continuator_start(cloud, (const char *[]){ NULL });
        curl = start_curl(cloud, body);
        begun = process_expect(cloud->process, PROCESS_STREAM_ERROR, "^begun$");
        process_free(curl);
        end = process_expect(cloud->process, PROCESS_STREAM_ERROR, "^(over|cancelled) after");
        assert_string_equal(end, "cancelled");
}

static void test_sigterm_ends_it_in_the_middle_of_a_reply(void **state)
{
        struct continuator *cloud = *state;
        _cleanup_free_ char *first = NULL;
        struct process *curl;

        continuator_start(cloud, (const char *[]){ "--tokens-per-second", "1", NULL });
        curl = start_curl(cloud, "{\"stream\":true," MESSAGES_PLAIN "}");
        first = process_expect(curl, PROCESS_STREAM_OUTPUT, "data: ");
        process_signal(cloud->process, SIGTERM);
        assert_int_equal(process_wait(cloud->process), 0);
        assert_int_not_equal(process_wait(curl), 0); /* no whole reply */
        process_free(curl);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_tls_carries_http_2),
                TEST(test_tls_without_h2_is_refused),
                TEST(test_streams_of_a_connection_run_side_by_side),
                TEST(test_malformed_http_2_ends_only_its_connection),
                TEST(test_generation_stops_when_the_client_leaves),
                TEST(test_sigterm_ends_it_in_the_middle_of_a_reply),
        };

        return cmocka_run_group_tests_name("continuator-connections", tests, NULL, NULL);
}
