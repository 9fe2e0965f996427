/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Connections that are kept between requests: used again, let go when nobody asks any more, and not used where the
 * server has left them. What a network does to them is in test-network.c.
 */
#include <signal.h>
#include <string.h>

#include "tests/integration/cloud-fixture.h"
#include "tests/support/test.h"

#define PARTS "\"data: one\\n\\n\", \"data: two\\n\\n\""

/* One request to its end, its connection then kept for so long. */
static void ask(struct fixture *fixture, double warm_sec)
{
        struct cloud_request request = cloud_test_request;
        struct heard heard = { .fixture = fixture };

        request.warm_sec = warm_sec;
        assert_int_equal(cloud_open(fixture->cloud, &fixture->endpoint, &request, on_cloud, &heard, &heard.attempt,
                                    &fixture->error),
                         0);
        heard_release(&heard, "{}");
        check_whole_stream(&heard);
        heard_done(&heard);
}

static bool has_second_connection(struct fixture *fixture)
{
        return strstr(process_output(fixture->server, PROCESS_STREAM_OUTPUT), "\"connection\": 2") != NULL;
}

static void test_connection_is_let_go_when_nobody_asks(void **state)
{
        struct fixture *fixture = *state;

        serve_tls(fixture, STREAM, "good", "2");
        ask(fixture, 60);
        ask(fixture, 0.1);
        assert_false(has_second_connection(fixture));
        free(run_until_server(fixture, "\"closed\", \"connection\": 1"));
        ask(fixture, 60);
        assert_true(has_second_connection(fixture));
}

/* A reply that was whole before its stream was over does not keep the connection for longer. */
static void test_connection_of_a_stream_that_was_left_is_let_go(void **state)
{
        struct fixture *fixture = *state;
        struct cloud_request request = cloud_test_request;
        struct heard heard = { .fixture = fixture };

        request.warm_sec = 0.1;
        serve_tls(fixture, "[{\"steps\": [\"data: one\\n\\n\", {\"stall\": true}]}]", "good", "2");
        assert_int_equal(cloud_open(fixture->cloud, &fixture->endpoint, &request, on_cloud, &heard, &heard.attempt,
                                    &fixture->error),
                         0);
        heard_release(&heard, "{}");
        run_until(fixture, &heard.n_bytes, 1);
        heard.attempt = cloud_attempt_leave(heard.attempt);
        free(run_until_server(fixture, "\"closed\", \"connection\": 1"));
        heard_done(&heard);
}

/* The server ends the kept connection between two requests. */
static void leave(struct fixture *fixture, const char *scenario)
{
        serve_tls(fixture, scenario, "good", "2");
        ask(fixture, 60);
        process_signal(fixture->server, SIGUSR1);
        free(run_until_server(fixture, "\"closing\", \"connection\": 1"));
        ask(fixture, 60);
        assert_true(has_second_connection(fixture));
}

#define LEFT_BY(how)                                                                                                 \
        "[{\"steps\": [" PARTS ", {\"end\": true}, {\"signal\": true}, " how "]}, {\"steps\": [" PARTS "]}]"

static void test_connection_that_the_server_closed_is_not_used(void **state)
{
        leave(*state, LEFT_BY("{\"close\": \"clean\"}"));
}

static void test_connection_that_the_server_reset_is_not_used(void **state)
{
        leave(*state, LEFT_BY("{\"close\": \"abort\"}"));
}

static void test_connection_that_the_server_said_goodbye_on_is_not_used(void **state)
{
        leave(*state, LEFT_BY("{\"goaway\": 0, \"last\": 1}, {\"close\": \"clean\"}"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_connection_is_let_go_when_nobody_asks),
                TEST(test_connection_of_a_stream_that_was_left_is_let_go),
                TEST(test_connection_that_the_server_closed_is_not_used),
                TEST(test_connection_that_the_server_reset_is_not_used),
                TEST(test_connection_that_the_server_said_goodbye_on_is_not_used),
        };

        return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
