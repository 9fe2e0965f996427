/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The cloud client against a scripted server (tests/support/h2server.py) over real sockets and real TLS: what goes
 * over the wire, when, and over which connection.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/io/timers.h"
#include "tests/integration/cloud-fixture.h"
#include "tests/support/test.h"

/* The point of the whole: headers are there before the body is known, and the body follows at once. */
static void test_headers_go_ahead_and_the_body_follows_its_release(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;
        const struct cloud_times *times;
        uint64_t request_us, body_us;
        char *headers, *body;

        serve_tls(fixture, STREAM, "good", "2");
        heard_open(&heard, fixture);
        headers = run_until_server(fixture, "\"event\": \"request\".*\n");
        assert_non_null(strstr(headers, "\":path\": \"/v1/chat/completions\""));
        assert_non_null(strstr(headers, "\":method\": \"POST\""));
        assert_non_null(strstr(headers, "\"content-type\": \"application/json\""));
        assert_non_null(strstr(headers, "\"accept\": \"text/event-stream\""));
        assert_non_null(strstr(headers, "\"user-agent\": \"mulmd/" MULMD_VERSION "\""));
        assert_null(strstr(headers, "authorization"));
        assert_null(strstr(headers, "expect"));
        free(headers);
        request_us = timers_now_us();
        assert_null(process_match(fixture->server, PROCESS_STREAM_OUTPUT, "\"event\": \"body\""));

        heard_release(&heard, "{\"messages\": []}");
        body = run_until_server(fixture, "\"event\": \"body\".*\"body\": (.*)\\}\n");
        assert_string_equal(body, "\"{\\\"messages\\\": []}\"");
        free(body);
        check_whole_stream(&heard);

        times = cloud_attempt_times(heard.attempt);
        body_us = times->body_sent_us;
        assert_true(times->opened_us <= times->connected_us && times->connected_us <= request_us);
        assert_true(request_us <= times->released_us && times->released_us <= body_us);
        assert_true(body_us <= times->headers_us && times->headers_us <= times->first_byte_us);
        assert_true(times->first_byte_us <= times->ended_us);
        assert_int_equal(times->http_version, 20);
        assert_false(times->reused);
        heard_done(&heard);
}

static void test_prior_knowledge_speaks_http_2_in_the_clear(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_plain(fixture, STREAM, "2");
        for (unsigned i = 0; i < 2; i++) {
                heard_open(&heard, fixture);
                run_until_server_at_us(fixture, "request");
                heard_release(&heard, "{}");
                check_whole_stream(&heard);
                assert_int_equal(cloud_attempt_times(heard.attempt)->http_version, 20);
                heard_done(&heard);
        }
}

static void test_http_1_1_sends_the_length_of_the_body(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;
        char *headers;

        serve_plain(fixture, STREAM, "1.1");
        heard_open(&heard, fixture);
        heard_release(&heard, "{\"a\": 1}");
        headers = run_until_server(fixture, "\"event\": \"request\".*\n");
        assert_non_null(strstr(headers, "\"content-length\": \"8\""));
        assert_null(strstr(headers, "chunked"));
        free(headers);
        free(run_until_server(fixture, "\"body\": \".*a.*1.*\"\\}\n"));
        check_whole_stream(&heard);
        assert_int_equal(cloud_attempt_times(heard.attempt)->http_version, 11);
        heard_done(&heard);
}

/* HTTP/2 is asked for and not to be had: chunks, and no wait for a 100 (1 s in libcurl) however long the body. */
static void test_server_without_http_2_gets_chunks_and_no_expect(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;
        struct buf body = BUF_NULL;
        char *headers;

        serve_tls(fixture, STREAM, "good", "1.1");
        heard_open(&heard, fixture);
        headers = run_until_server(fixture, "\"event\": \"request\".*\n");
        assert_non_null(strstr(headers, "\"transfer-encoding\": \"chunked\""));
        assert_null(strstr(headers, "expect"));
        free(headers);
        for (size_t i = 0; i < 200000; i++)
                assert_int_equal(buf_add(&body, "swordfish ", 10), 0);
        cloud_release(heard.attempt, &body);
        check_whole_stream(&heard);
        assert_int_equal(cloud_attempt_times(heard.attempt)->http_version, 11);
        assert_true(cloud_attempt_times(heard.attempt)->body_sent_us <
                    cloud_attempt_times(heard.attempt)->headers_us);
        heard_done(&heard);
        assert_non_null(strstr(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "\"n\": 2000000, "));
}

/* 2 MB is far above one flow-control window of 65,535 bytes. */
static void test_body_above_the_flow_control_window_arrives_whole(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;
        struct buf body = BUF_NULL;

        serve_tls(fixture, STREAM, "good", "2");
        heard_open(&heard, fixture);
        for (size_t i = 0; i < 200000; i++)
                assert_int_equal(buf_add(&body, "swordfish ", 10), 0);
        cloud_release(heard.attempt, &body);
        check_whole_stream(&heard);
        heard_done(&heard);
        assert_non_null(strstr(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "\"n\": 2000000, "));
}

static void test_release_before_the_connection_is_there_sends_headers_and_body(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture, STREAM, "good", "2");
        heard_open(&heard, fixture);
        heard_release(&heard, "{}");
        check_whole_stream(&heard);
        heard_done(&heard);
}

static void write_key(struct fixture *fixture, const char *key)
{
        int fd;

        fixture->endpoint.key_file = format_path(fixture->folder, "key");
        fd = open(fixture->endpoint.key_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, key, strlen(key)), strlen(key));
        close(fd);
}

static void test_key_goes_into_the_authorization_header(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;
        char *headers;

        write_key(fixture, CLOUD_TEST_SECRET "\n");
        serve_tls(fixture, STREAM, "good", "2");
        heard_open(&heard, fixture);
        headers = run_until_server(fixture, "\"event\": \"request\".*\n");
        assert_non_null(strstr(headers, "\"authorization\": \"Bearer " CLOUD_TEST_SECRET "\""));
        free(headers);
        heard_done(&heard);
}

static void test_dialect_names_path_and_headers(void **state)
{
        static const struct cloud_request request = {
                .path = "/messages",
                .key_header = "x-api-key: ",
                .header = "anthropic-version: 2023-06-01",
                .connect_sec = CLOUD_TEST_CONNECT_SEC,
        };
        struct fixture *fixture = *state;
        struct heard heard = { .fixture = fixture };
        char *headers;

        write_key(fixture, CLOUD_TEST_SECRET "\n");
        serve_tls(fixture, STREAM, "good", "2");
        assert_int_equal(cloud_open(fixture->cloud, &fixture->endpoint, &request, on_cloud, &heard, &heard.attempt,
                                    &fixture->error),
                         0);
        headers = run_until_server(fixture, "\"event\": \"request\".*\n");
        assert_non_null(strstr(headers, "/messages\""));
        assert_non_null(strstr(headers, "\"x-api-key\": \"" CLOUD_TEST_SECRET "\""));
        assert_non_null(strstr(headers, "\"anthropic-version\": \"2023-06-01\""));
        assert_null(strstr(headers, "authorization"));
        free(headers);
        heard_done(&heard);
}

static void test_key_with_a_line_break_inside_is_refused(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard = { .fixture = fixture };

        write_key(fixture, CLOUD_TEST_SECRET "\r\nX-Injected: 1");
        set_url(fixture, "http", "127.0.0.1", "1");
        assert_true(cloud_open(fixture->cloud, &fixture->endpoint, &cloud_test_request, on_cloud, &heard,
                               &heard.attempt, &fixture->error) < 0);
        assert_null(heard.attempt);
        assert_true(fixture->error.n > 0);
        assert_null(strstr(fixture->error.data, CLOUD_TEST_SECRET));
}

static void test_missing_key_file_is_told_at_once(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard = { .fixture = fixture };

        fixture->endpoint.key_file = format_path(fixture->folder, "no-such-key");
        set_url(fixture, "http", "127.0.0.1", "1");
        assert_true(cloud_open(fixture->cloud, &fixture->endpoint, &cloud_test_request, on_cloud, &heard,
                               &heard.attempt, &fixture->error) < 0);
        assert_null(heard.attempt);
        assert_non_null(strstr(buf_string(&fixture->error), "no-such-key"));
}

static void test_url_that_cannot_be_is_told_at_once(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard = { .fixture = fixture };

        set_url(fixture, "https", "exa mple", "1");
        assert_true(cloud_open(fixture->cloud, &fixture->endpoint, &cloud_test_request, on_cloud, &heard,
                               &heard.attempt, &fixture->error) < 0);
        assert_non_null(strstr(buf_string(&fixture->error), "endpoint test"));
}

static void test_second_request_goes_over_the_kept_connection(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;
        uint64_t body_us;

        serve_tls(fixture, STREAM, "good", "2");
        for (unsigned i = 0; i < 3; i++) {
                heard_open(&heard, fixture);
                run_until_server_at_us(fixture, "request");
                heard_release(&heard, "{}");
                body_us = run_until_server_at_us(fixture, "body");
                check_whole_stream(&heard);
                assert_int_equal(cloud_attempt_times(heard.attempt)->reused, i > 0);
                if (i > 0)
                        print_message("# warm connection: release to body sent %u us, to the server's log %u us\n",
                                      (unsigned)(cloud_attempt_times(heard.attempt)->body_sent_us -
                                                 cloud_attempt_times(heard.attempt)->released_us),
                                      (unsigned)(body_us - cloud_attempt_times(heard.attempt)->released_us));
                heard_done(&heard);
        }
        assert_null(strstr(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "\"connection\": 2"));
}

/* Both are opened before there is a connection: the second waits for the first's. */
static void test_requests_at_once_share_one_connection(void **state)
{
        struct fixture *fixture = *state;
        struct heard first, second;

        serve_tls(fixture, STREAM, "good", "2");
        heard_open(&first, fixture);
        heard_open(&second, fixture);
        heard_release(&second, "{}");
        heard_release(&first, "{}");
        check_whole_stream(&first);
        check_whole_stream(&second);
        heard_done(&first);
        heard_done(&second);
        assert_null(strstr(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "\"connection\": 2"));
}

/* A stream that is alone on its connection takes that with it, before its body is sent too. */
static void test_cancelled_upload_ends_the_connection_at_once(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture, STREAM, "good", "2");
        heard_open(&heard, fixture);
        run_until_server_at_us(fixture, "request");
        heard_done(&heard);
        free(run_until_server(fixture, "\"event\": \"closed\", \"connection\": 1"));

        heard_open(&heard, fixture);
        heard_release(&heard, "{}");
        check_whole_stream(&heard);
        heard_done(&heard);
}

#define STALLED "[{\"steps\": [\"data: one\\n\\n\", {\"stall\": true}]}]"

/* The server must stop at once: closed in its own callback, with no further use of the connection in sight. */
static void test_attempt_closed_in_mid_body_ends_the_connection(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture, STALLED, "good", "2");
        heard_open(&heard, fixture);
        heard.close_on_bytes = true;
        heard_release(&heard, "{}");
        run_until(fixture, &heard.n_bytes, 1);
        assert_null(heard.attempt);
        run_until_server_at_us(fixture, "closed");
        assert_int_equal(heard.n_end + heard.n_failed, 0);
        heard_done(&heard);
}

/* Two on one connection; `first` is closed while the other is silent, and is reset without waiting for its next word.
 */
static void close_one_of_two(struct fixture *fixture, struct heard *first)
{
        struct heard second;

        heard_open(&second, fixture);
        heard_release(&second, "{}");
        run_until(fixture, &second.n_bytes, 1);
        heard_done(first);
        free(run_until_server(fixture, "\"event\": \"reset\", \"connection\": 1, \"stream\": 1, "));
        assert_int_equal(second.n_bytes, 1);
        process_signal(fixture->server, SIGUSR1);
        check_whole_stream(&second);
        heard_done(&second);
        assert_null(strstr(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "\"connection\": 2"));
}

#define UNTIL_SIGNAL "{\"steps\": [\"data: one\\n\\n\", {\"signal\": true}, \"data: two\\n\\n\"]}"

static void test_attempt_closed_in_mid_answer_is_reset_at_once_beside_another(void **state)
{
        struct fixture *fixture = *state;
        struct heard first;

        serve_tls(fixture, "[{\"steps\": [\"data: one\\n\\n\", {\"stall\": true}]}, " UNTIL_SIGNAL "]", "good", "2");
        heard_open(&first, fixture);
        heard_release(&first, "{}");
        run_until(fixture, &first.n_bytes, 1);
        close_one_of_two(fixture, &first);
}

static void test_attempt_closed_before_its_answer_is_reset_at_once_beside_another(void **state)
{
        struct fixture *fixture = *state;
        struct heard first;

        serve_tls(fixture, "[{\"at\": \"body\", \"steps\": [{\"stall\": true}]}, " UNTIL_SIGNAL "]", "good", "2");
        heard_open(&first, fixture);
        heard_release(&first, "{}");
        run_until_server_at_us(fixture, "body");
        close_one_of_two(fixture, &first);
}

static void test_cancelled_upload_is_reset_at_once_beside_another(void **state)
{
        struct fixture *fixture = *state;
        struct heard first;

        serve_tls(fixture, "[{\"steps\": [{\"stall\": true}]}, " UNTIL_SIGNAL "]", "good", "2");
        heard_open(&first, fixture);
        run_until_server_at_us(fixture, "request");
        close_one_of_two(fixture, &first);
}

static void test_attempt_closed_on_http_1_1_ends_its_connection(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_plain(fixture, STALLED, "1.1");
        heard_open(&heard, fixture);
        heard_release(&heard, "{}");
        run_until(fixture, &heard.n_bytes, 1);
        heard_done(&heard);
        run_until_server_at_us(fixture, "closed");
}

static void test_attempt_closed_before_it_is_connected_says_nothing_more(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture, STREAM, "good", "2");
        heard_open(&heard, fixture);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        heard_done(&heard);
        assert_int_equal(heard.n_headers + heard.n_failed, 0);
}

static void test_answer_while_the_upload_is_paused_is_heard_at_once(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture,
                  "[{\"at\": \"headers\", \"status\": 401, \"headers\": {\"content-type\": \"application/json\"}, "
                  "\"steps\": [\"{\\\"error\\\": {\\\"message\\\": \\\"no\\\"}}\"]}]",
                  "good", "2");
        heard_open(&heard, fixture);
        run_until(fixture, &heard.n_headers, 1);
        assert_int_equal(heard.status, 401);
        assert_string_equal(heard.content_type, "application/json");
        run_until(fixture, &heard.n_bytes, 1);
        assert_string_equal(buf_string(&heard.body), "{\"error\": {\"message\": \"no\"}}");
        heard_done(&heard);
}

static void test_headers_about_another_try_are_told(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture,
                  "[{\"at\": \"headers\", \"status\": 429, \"headers\": {\"retry-after-ms\": \"250.5\", "
                  "\"x-should-retry\": \"false\"}}, {\"at\": \"headers\", \"status\": 503, \"headers\": "
                  "{\"retry-after\": \"Sun, 06 Nov 1994 08:49:37 GMT\"}}]",
                  "good", "2");
        heard_open(&heard, fixture);
        run_until(fixture, &heard.n_headers, 1);
        assert_string_equal(heard.retry, "250.5\n-\nfalse\n");
        heard_done(&heard);
        heard_open(&heard, fixture);
        run_until(fixture, &heard.n_headers, 1);
        assert_string_equal(heard.retry, "-\nSun, 06 Nov 1994 08:49:37 GMT\n-\n");
        heard_done(&heard);
}

static void test_empty_answer_ends_without_bytes(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture, "[{\"status\": 204}]", "good", "2");
        heard_open(&heard, fixture);
        heard_release(&heard, "{}");
        run_until(fixture, &heard.n_end, 1);
        assert_int_equal(heard.status, 204);
        assert_int_equal(heard.n_bytes, 0);
        heard_done(&heard);
}

static void test_redirect_is_not_followed(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture, "[{\"status\": 307, \"headers\": {\"location\": \"/v2\"}}]", "good", "2");
        heard_open(&heard, fixture);
        heard_release(&heard, "{}");
        run_until(fixture, &heard.n_end, 1);
        assert_int_equal(heard.status, 307);
        heard_done(&heard);
        assert_null(strstr(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "/v2"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_headers_go_ahead_and_the_body_follows_its_release),
                TEST(test_prior_knowledge_speaks_http_2_in_the_clear),
                TEST(test_http_1_1_sends_the_length_of_the_body),
                TEST(test_server_without_http_2_gets_chunks_and_no_expect),
                TEST(test_body_above_the_flow_control_window_arrives_whole),
                TEST(test_release_before_the_connection_is_there_sends_headers_and_body),
                TEST(test_key_goes_into_the_authorization_header),
                TEST(test_dialect_names_path_and_headers),
                TEST(test_key_with_a_line_break_inside_is_refused),
                TEST(test_missing_key_file_is_told_at_once),
                TEST(test_url_that_cannot_be_is_told_at_once),
                TEST(test_second_request_goes_over_the_kept_connection),
                TEST(test_requests_at_once_share_one_connection),
                TEST(test_cancelled_upload_ends_the_connection_at_once),
                TEST(test_attempt_closed_in_mid_body_ends_the_connection),
                TEST(test_attempt_closed_in_mid_answer_is_reset_at_once_beside_another),
                TEST(test_attempt_closed_before_its_answer_is_reset_at_once_beside_another),
                TEST(test_cancelled_upload_is_reset_at_once_beside_another),
                TEST(test_attempt_closed_on_http_1_1_ends_its_connection),
                TEST(test_attempt_closed_before_it_is_connected_says_nothing_more),
                TEST(test_answer_while_the_upload_is_paused_is_heard_at_once),
                TEST(test_headers_about_another_try_are_told),
                TEST(test_empty_answer_ends_without_bytes),
                TEST(test_redirect_is_not_followed),
        };

        return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
