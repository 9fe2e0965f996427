/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * busloop against a real dbus-daemon and against a peer on a socket pair: calls in both directions, timeouts, many
 * messages at once, and the end of the connection.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/io/busloop.h"
#include "libmulm/base/macro.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

#define DEADLINE_MS 20000

struct fixture {
        uv_loop_t loop;
        uv_timer_t deadline;
        struct process *daemon; /* dbus-daemon */
        char *address;
        unsigned n_lost;
        int error; /* what busloop_fn got */
        unsigned n_replies, n_errors, n_wanted;
        char text[64];
};

static void on_deadline(uv_timer_t *handle)
{
        (void)handle;
        fail_msg("nothing came in time");
}

static int setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));

        assert_non_null(fixture);
        assert_int_equal(uv_loop_init(&fixture->loop), 0);
        uv_timer_init(&fixture->loop, &fixture->deadline);
        uv_timer_start(&fixture->deadline, on_deadline, DEADLINE_MS, 0);
        *state = fixture;
        return 0;
}

static int setup_daemon(void **state)
{
        struct fixture *fixture;

        setup(state);
        fixture = *state;
        fixture->daemon = process_spawn(
                (const char *[]){ "dbus-daemon", "--session", "--nofork", "--print-address", NULL }, NULL);
        fixture->address = process_expect(fixture->daemon, PROCESS_STREAM_OUTPUT, "^(unix:.*)\n");
        return 0;
}

static int teardown(void **state)
{
        struct fixture *fixture = *state;

        uv_close((uv_handle_t *)&fixture->deadline, NULL);
        assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(uv_loop_close(&fixture->loop), 0);
        process_free(fixture->daemon);
        free(fixture->address);
        free(fixture);
        return 0;
}

static sd_bus *connect_bus(const char *address)
{
        sd_bus *bus = NULL;

        assert_return_code(sd_bus_new(&bus), errno);
        assert_return_code(sd_bus_set_address(bus, address), errno);
        assert_return_code(sd_bus_set_bus_client(bus, true), errno);
        assert_return_code(sd_bus_start(bus), errno);
        return bus;
}

static sd_bus *connect_peer(int fd, bool server)
{
        sd_bus *bus = NULL;
        sd_id128_t id = SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89, ab, cd, ef);

        assert_return_code(sd_bus_new(&bus), errno);
        assert_return_code(sd_bus_set_fd(bus, fd, fd), errno);
        assert_return_code(sd_bus_set_anonymous(bus, true), errno);
        if (server)
                assert_return_code(sd_bus_set_server(bus, true, id), errno);
        assert_return_code(sd_bus_start(bus), errno);
        return bus;
}

static void on_lost(void *userdata, int error)
{
        struct fixture *fixture = userdata;

        fixture->n_lost++;
        fixture->error = error;
        uv_stop(&fixture->loop);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        struct fixture *fixture = userdata;
        const char *text = "";

        (void)ret_error;
        if (sd_bus_message_is_method_error(reply, NULL)) {
                fixture->n_errors++;
                text = sd_bus_message_get_error(reply)->name;
        } else if (sd_bus_message_has_signature(reply, "s")) {
                assert_return_code(sd_bus_message_read(reply, "s", &text), errno);
        }
        strncpy(fixture->text, text, sizeof(fixture->text) - 1);
        if (++fixture->n_replies == fixture->n_wanted)
                uv_stop(&fixture->loop);
        return 0;
}

static int on_echo(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        const char *text;

        (void)userdata;
        (void)ret_error;
        assert_return_code(sd_bus_message_read(call, "s", &text), errno);
        return sd_bus_reply_method_return(call, "s", text);
}

/* Takes the call and never answers. */
static int on_silent(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        (void)call;
        (void)userdata;
        (void)ret_error;
        return 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Echo", "s", "s", on_echo, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Silent", "s", "s", on_silent, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void call(struct fixture *fixture, sd_bus *bus, const char *destination, const char *method, const char *text)
{
        fixture->n_wanted++;
        assert_return_code(sd_bus_call_method_async(bus, NULL, destination, "/test", "test.Echo", method, on_reply,
                                                    fixture, "s", text),
                           errno);
}

/* Two connections on one loop, one serving the other; it is set up while still connecting. */
static void test_calls_pass_through_a_real_bus_in_both_directions(void **state)
{
        struct fixture *fixture = *state;
        struct busloop *server_loop, *client_loop;
        sd_bus *server = connect_bus(fixture->address), *client = connect_bus(fixture->address);

        assert_int_equal(busloop_new(&server_loop, &fixture->loop, server, on_lost, fixture), 0);
        assert_int_equal(busloop_new(&client_loop, &fixture->loop, client, on_lost, fixture), 0);
        assert_return_code(sd_bus_add_object_vtable(server, NULL, "/test", "test.Echo", vtable, NULL), errno);
        fixture->n_wanted = 1;
        assert_return_code(sd_bus_request_name_async(server, NULL, "test.Echo", 0, on_reply, fixture), errno);
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->n_errors, 0);

        call(fixture, client, "test.Echo", "Echo", "swordfish");
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_string_equal(fixture->text, "swordfish");
        assert_int_equal(fixture->n_lost, 0);

        busloop_close(client_loop);
        busloop_close(server_loop);
        sd_bus_unref(client);
        sd_bus_unref(server);
}

static void test_end_of_the_bus_is_told_once(void **state)
{
        struct fixture *fixture = *state;
        struct busloop *busloop;
        sd_bus *bus = connect_bus(fixture->address);

        assert_int_equal(busloop_new(&busloop, &fixture->loop, bus, on_lost, fixture), 0);
        fixture->n_wanted = 1;
        assert_return_code(sd_bus_request_name_async(bus, NULL, "test.Echo", 0, on_reply, fixture), errno);
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->n_lost, 0);

        process_signal(fixture->daemon, SIGKILL);
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->n_lost, 1);
        assert_true(fixture->error < 0);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        assert_int_equal(fixture->n_lost, 1);

        busloop_close(busloop);
        sd_bus_unref(bus);
}

struct pair {
        sd_bus *server, *client;
        struct busloop *server_loop, *client_loop;
};

static void pair_open(struct pair *pair, struct fixture *fixture)
{
        int fds[2];

        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), errno);
        pair->server = connect_peer(fds[0], true);
        pair->client = connect_peer(fds[1], false);
        assert_return_code(sd_bus_add_object_vtable(pair->server, NULL, "/test", "test.Echo", vtable, NULL), errno);
        assert_int_equal(busloop_new(&pair->server_loop, &fixture->loop, pair->server, on_lost, fixture), 0);
        assert_int_equal(busloop_new(&pair->client_loop, &fixture->loop, pair->client, on_lost, fixture), 0);
}

static void pair_close(struct pair *pair)
{
        busloop_close(pair->client_loop);
        busloop_close(pair->server_loop);
        sd_bus_unref(pair->client);
        sd_bus_unref(pair->server);
}

/* More than one turn processes, in one burst. */
static void test_burst_of_calls_is_answered_to_the_last(void **state)
{
        struct fixture *fixture = *state;
        struct pair pair;

        pair_open(&pair, fixture);
        for (unsigned i = 0; i < 500; i++)
                call(fixture, pair.client, NULL, "Echo", "swordfish");
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->n_replies, 500);
        assert_int_equal(fixture->n_errors, 0);
        pair_close(&pair);
}

/* Nothing but sd_bus_get_timeout() can wake the loop here. */
static void test_unanswered_call_times_out(void **state)
{
        struct fixture *fixture = *state;
        struct pair pair;

        pair_open(&pair, fixture);
        call(fixture, pair.client, NULL, "Echo", "connected");
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_return_code(sd_bus_set_method_call_timeout(pair.client, 30000), errno);
        call(fixture, pair.client, NULL, "Silent", "x");
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->n_errors, 1);
        assert_string_equal(fixture->text, SD_BUS_ERROR_NO_REPLY);
        pair_close(&pair);
}

static void test_reply_queued_before_close_is_flushed(void **state)
{
        struct fixture *fixture = *state;
        struct pair pair;

        pair_open(&pair, fixture);
        call(fixture, pair.client, NULL, "Echo", "connected");
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        call(fixture, pair.server, NULL, "Silent", "x");
        busloop_close(pair.server_loop);
        assert_int_equal(fixture->n_lost, 0);
        busloop_close(pair.client_loop);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        assert_true(sd_bus_process(pair.client, NULL) > 0);
        sd_bus_unref(pair.client);
        sd_bus_unref(pair.server);
}

static void test_peer_that_hangs_up_is_told_once(void **state)
{
        struct fixture *fixture = *state;
        struct pair pair;

        pair_open(&pair, fixture);
        call(fixture, pair.client, NULL, "Echo", "connected");
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        busloop_close(pair.server_loop);
        sd_bus_close(pair.server);
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->n_lost, 1);
        assert_int_equal(fixture->error, -ECONNRESET);
        busloop_close(pair.client_loop);
        sd_bus_unref(pair.client);
        sd_bus_unref(pair.server);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_calls_pass_through_a_real_bus_in_both_directions, setup_daemon,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_end_of_the_bus_is_told_once, setup_daemon, teardown),
                cmocka_unit_test_setup_teardown(test_burst_of_calls_is_answered_to_the_last, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unanswered_call_times_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reply_queued_before_close_is_flushed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_peer_that_hangs_up_is_told_once, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
