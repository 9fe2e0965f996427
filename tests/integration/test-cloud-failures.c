/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Each way that a cloud can fail gets its own failure and a sentence that says why. Against a scripted server
 * (tests/support/h2server.py) over real sockets and real TLS.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "tests/integration/cloud-fixture.h"
#include "tests/support/test.h"

static void check_failure(struct fixture *fixture, bool release, enum cloud_failure failure, const char *words)
{
        struct heard heard;

        heard_open(&heard, fixture);
        if (release)
                heard_release(&heard, "{}");
        run_to_failure(&heard);
        assert_int_equal(heard.failure, failure);
        if (!strstr(buf_string(&heard.message), words))
                fail_msg("\"%s\" lacks \"%s\"", buf_string(&heard.message), words);
        heard_done(&heard);
}

static void test_dead_port_is_a_failed_connection(void **state)
{
        struct fixture *fixture = *state;

        set_url(fixture, "https", "127.0.0.1", "1");
        check_failure(fixture, false, CLOUD_FAILURE_CONNECT, "no connection to 127.0.0.1: ");
}

static void test_unknown_host_name_does_not_resolve(void **state)
{
        struct fixture *fixture = *state;

        set_url(fixture, "https", "nonexistent.invalid", "443");
        check_failure(fixture, false, CLOUD_FAILURE_RESOLVE, "the host name nonexistent.invalid has no address: ");
}

static void test_certificate_of_a_strange_authority_does_not_verify(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, STREAM, "stranger", "2");
        check_failure(fixture, true, CLOUD_FAILURE_TLS,
                      "the certificate of localhost does not verify: unable to get local issuer certificate");
}

static void test_certificate_for_another_host_does_not_verify(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, STREAM, "wrong-host", "2");
        check_failure(fixture, true, CLOUD_FAILURE_TLS, "the certificate of localhost does not verify: ");
}

static void test_expired_certificate_does_not_verify(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, STREAM, "expired", "2");
        check_failure(fixture, true, CLOUD_FAILURE_TLS,
                      "the certificate of localhost does not verify: certificate has expired");
}

/* Without its CA file the test's authority is unknown: the system's bundle decides. */
static void test_system_authorities_are_the_default(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, STREAM, "good", "2");
        free(STEAL(fixture->endpoint.ca_file));
        check_failure(fixture, true, CLOUD_FAILURE_TLS, "the certificate of localhost does not verify: ");
}

static void test_missing_ca_file_is_a_tls_failure(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, STREAM, "good", "2");
        free(STEAL(fixture->endpoint.ca_file));
        fixture->endpoint.ca_file = format_path(fixture->folder, "no-such-ca.pem");
        check_failure(fixture, true, CLOUD_FAILURE_TLS, "no-such-ca.pem");
}

static void test_server_that_is_silent_in_the_handshake_runs_into_the_limit(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard = { .fixture = fixture };
        struct cloud_request request = cloud_test_request;
        char *port = serve(fixture, "[]", (const char *[]){ "--raw", "", NULL });

        request.connect_sec = 0.05;
        set_url(fixture, "https", "127.0.0.1", port);
        assert_int_equal(cloud_open(fixture->cloud, &fixture->endpoint, &request, on_cloud, &heard, &heard.attempt,
                                    &fixture->error),
                         0);
        run_to_failure(&heard);
        assert_int_equal(heard.failure, CLOUD_FAILURE_CONNECT);
        heard_done(&heard);
        free(port);
}

static void test_plain_text_in_place_of_tls_is_a_tls_failure(void **state)
{
        struct fixture *fixture = *state;
        char *port = serve(fixture, "[]", (const char *[]){ "--raw", "HTTP/1.1 400 Bad\\r\\n\\r\\n", NULL });

        set_url(fixture, "https", "127.0.0.1", port);
        check_failure(fixture, true, CLOUD_FAILURE_TLS, "TLS with 127.0.0.1 failed: ");
        free(port);
}

static void test_garbage_in_place_of_http_is_a_protocol_failure(void **state)
{
        struct fixture *fixture = *state;
        char *port = serve(fixture, "[]", (const char *[]){ "--raw", "hello there\\r\\n", NULL });

        fixture->endpoint.http = SETTINGS_HTTP_1_1;
        set_url(fixture, "http", "127.0.0.1", port);
        check_failure(fixture, true, CLOUD_FAILURE_PROTOCOL, "127.0.0.1 does not speak proper HTTP: ");
        free(port);
}

/* As a server of HTTP/1.1 answers to the preface of HTTP/2; libcurl tells no more than that it ended. */
static void test_prior_knowledge_that_is_wrong_is_a_broken_answer(void **state)
{
        struct fixture *fixture = *state;
        char *port = serve(fixture, "[]", (const char *[]){ "--raw", "HTTP/1.1 400 Bad\\r\\n\\r\\n", NULL });

        fixture->endpoint.http = SETTINGS_HTTP_2_PRIOR_KNOWLEDGE;
        set_url(fixture, "http", "127.0.0.1", port);
        check_failure(fixture, true, CLOUD_FAILURE_BROKEN, "the answer of 127.0.0.1 broke off: ");
        free(port);
}

/* A body that breaks: what came before is delivered, then the failure. */
static void check_broken(struct fixture *fixture, enum cloud_failure failure)
{
        struct heard heard;

        heard_open(&heard, fixture);
        heard_release(&heard, "{}");
        run_to_failure(&heard);
        assert_int_equal(heard.status, 200);
        assert_string_equal(buf_string(&heard.body), "data: one\n\n");
        assert_int_equal(heard.failure, failure);
        assert_non_null(strstr(buf_string(&heard.message), "localhost"));
        heard_done(&heard);
}

static void test_reset_in_mid_body_is_a_broken_answer(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, "[{\"steps\": [\"data: one\\n\\n\", {\"wait\": 20}, {\"reset\": 2}]}]", "good", "2");
        check_broken(fixture, CLOUD_FAILURE_BROKEN);
}

static void test_end_of_the_connection_in_mid_body_is_a_broken_answer(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, "[{\"steps\": [\"data: one\\n\\n\", {\"wait\": 20}, {\"close\": \"clean\"}]}]", "good",
                  "2");
        check_broken(fixture, CLOUD_FAILURE_BROKEN);
}

static void test_tcp_reset_in_mid_body_is_a_broken_answer(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, "[{\"steps\": [\"data: one\\n\\n\", {\"wait\": 20}, {\"close\": \"abort\"}]}]", "good",
                  "2");
        check_broken(fixture, CLOUD_FAILURE_BROKEN);
}

static void test_end_of_the_connection_in_mid_chunks_of_1_1_is_a_broken_answer(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, "[{\"steps\": [\"data: one\\n\\n\", {\"wait\": 20}, {\"close\": \"clean\"}]}]", "good",
                  "1.1");
        fixture->endpoint.http = SETTINGS_HTTP_1_1;
        check_broken(fixture, CLOUD_FAILURE_BROKEN);
}

/* GOAWAY with our stream among those that are served: it goes on; the next request finds a new connection. */
static void test_goaway_lets_the_stream_end_and_the_next_request_reconnects(void **state)
{
        struct fixture *fixture = *state;
        struct heard heard;

        serve_tls(fixture,
                  "[{\"steps\": [\"data: one\\n\\n\", {\"goaway\": 0, \"last\": 1}, {\"wait\": 20}, "
                  "\"data: two\\n\\n\"]}, {\"steps\": [\"data: one\\n\\n\", \"data: two\\n\\n\"]}]",
                  "good", "2");
        for (unsigned i = 0; i < 2; i++) {
                heard_open(&heard, fixture);
                heard_release(&heard, "{}");
                check_whole_stream(&heard);
                assert_false(cloud_attempt_times(heard.attempt)->reused);
                heard_done(&heard);
        }
}

/* RFC 9113, section 6.8: the first of two GOAWAYs names no stream, so that those at work go on; who comes meanwhile
 * needs a connection of its own. */
static void test_goaway_at_work_leaves_the_stream_and_sends_the_next_elsewhere(void **state)
{
        struct fixture *fixture = *state;
        struct heard first, second;

        serve_tls(fixture,
                  "[{\"steps\": [\"data: one\\n\\n\", {\"goaway\": 0}, {\"signal\": true}, \"data: two\\n\\n\"]},"
                  " {\"steps\": [\"data: one\\n\\n\", \"data: two\\n\\n\"]}]",
                  "good", "2");
        heard_open(&first, fixture);
        heard_release(&first, "{}");
        run_until(fixture, &first.n_bytes, 1);

        heard_open(&second, fixture);
        heard_release(&second, "{}");
        check_whole_stream(&second);
        assert_int_equal(first.n_end + first.n_failed, 0);
        process_signal(fixture->server, SIGUSR1);
        check_whole_stream(&first);
        heard_done(&second);
        heard_done(&first);
}

/* Of two streams at work the later one is not looked at: it fails at once, to be asked for again, and the other one
 * goes on to its end. */
static void test_goaway_below_a_stream_fails_it_alone(void **state)
{
        struct fixture *fixture = *state;
        struct heard first, second;

        serve_tls(fixture,
                  "[{\"steps\": [\"data: one\\n\\n\", {\"signal\": true}, \"data: two\\n\\n\"]},"
                  " {\"bare\": true, \"steps\": [{\"goaway\": 0, \"last\": 1}, {\"stall\": true}]},"
                  " {\"steps\": [\"data: one\\n\\n\", \"data: two\\n\\n\"]}]",
                  "good", "2");
        heard_open(&first, fixture);
        heard_release(&first, "{}");
        run_until(fixture, &first.n_bytes, 1);
        heard_open(&second, fixture);
        heard_release(&second, "{}");
        while (second.n_end + second.n_failed == 0)
                uv_run(&fixture->loop, UV_RUN_DEFAULT);
        process_signal(fixture->server, SIGUSR1);
        check_whole_stream(&first);
        heard_done(&second);
        heard_done(&first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_dead_port_is_a_failed_connection),
                TEST(test_unknown_host_name_does_not_resolve),
                TEST(test_certificate_of_a_strange_authority_does_not_verify),
                TEST(test_certificate_for_another_host_does_not_verify),
                TEST(test_expired_certificate_does_not_verify),
                TEST(test_system_authorities_are_the_default),
                TEST(test_missing_ca_file_is_a_tls_failure),
                TEST(test_server_that_is_silent_in_the_handshake_runs_into_the_limit),
                TEST(test_plain_text_in_place_of_tls_is_a_tls_failure),
                TEST(test_garbage_in_place_of_http_is_a_protocol_failure),
                TEST(test_prior_knowledge_that_is_wrong_is_a_broken_answer),
                TEST(test_reset_in_mid_body_is_a_broken_answer),
                TEST(test_end_of_the_connection_in_mid_body_is_a_broken_answer),
                TEST(test_tcp_reset_in_mid_body_is_a_broken_answer),
                TEST(test_end_of_the_connection_in_mid_chunks_of_1_1_is_a_broken_answer),
                TEST(test_goaway_lets_the_stream_end_and_the_next_request_reconnects),
                TEST(test_goaway_at_work_leaves_the_stream_and_sends_the_next_elsewhere),
                TEST(test_goaway_below_a_stream_fails_it_alone),
        };

        return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
