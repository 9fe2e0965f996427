/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The network changes in mid-reply. The test has a network namespace of its own with mulmd in it, the server another,
 * and a veth pair between them that is taken down, brought up, and given another address, as when glasses go from
 * Wi-Fi to LTE. Skipped where no namespace can be made.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "tests/integration/mulmd-fixture.h"
#include "tests/support/test.h"

#define SERVER_ADDRESS "192.0.2.2" /* RFC 5737; the test's certificate has it */
#define HERE           "mulm-here"
#define THERE          "mulm-there"

#define FIRST  DELTA(" Canberra,") ", " DELTA(" a planned city")
#define REST   DELTA(" in the") ", " DELTA(" ACT.") ", " MARK
#define WHOLE  " Canberra, a planned city in the ACT."
#define SECOND "{\"steps\": [" REST "]}"
#define BROKEN "{\"steps\": [" FIRST ", {\"stall\": true}]}"
#define WAITS  "{\"steps\": [" FIRST ", {\"signal\": true}, " REST "]}"

/* One command, its arguments separated by blanks. */
static void command(const char *line)
{
        free(process_run((const char *[]){ "sh", "-euc", line, NULL }, NULL));
}

/* A server on the other side of a fresh veth pair, and mulmd here. */
static void start(struct mulmd_fixture *fixture, const char *scenario)
{
        _cleanup_free_ char *port = NULL, *plug = NULL;

        port = mulmd_serve(fixture, (const char *[]){ "unshare", "--net", NULL }, &fixture->servers[0], scenario);
        assert_true(asprintf(&plug,
                             "ip link add " HERE " type veth peer name " THERE " netns %d\n"
                             "ip address add 192.0.2.1/24 dev " HERE "\n"
                             "nsenter --target %d --net ip address add " SERVER_ADDRESS "/24 dev " THERE "\n"
                             "nsenter --target %d --net ip link set " THERE " up\n"
                             "ip link set " HERE " up\n",
                             (int)process_pid(fixture->servers[0]), (int)process_pid(fixture->servers[0]),
                             (int)process_pid(fixture->servers[0])) > 0);
        command(plug);
        mulmd_run(fixture, SERVER_ADDRESS, port, NULL);
}

static int tear_down(void **state)
{
        int r = mulmd_tear_down(state);

        /* It goes with the server's namespace, but later. */
        free(process_run((const char *[]){ "sh", "-c", "ip link delete " HERE " 2>/dev/null || true", NULL }, NULL));
        return r;
}

/* Asks, in text that streams; returns when the caller has read the first part. */
static struct process *ask_for_first_part(struct mulmd_fixture *fixture)
{
        struct process *asking = process_spawn((const char *[]){ getenv("MULMCTL"), fixture->address, "ask",
                                                                 "What is the capital of Australia?", NULL },
                                               NULL);

        free(process_expect(asking, PROCESS_STREAM_OUTPUT, "Canberra, a planned city"));
        return asking;
}

/* The caller has read an opener and WHOLE, nothing of it twice. */
static void expect_whole(struct process *asking)
{
        const char *text, *rest;

        assert_int_equal(process_wait(asking), 0);
        text = process_output(asking, PROCESS_STREAM_OUTPUT);
        rest = strstr(text, WHOLE);
        assert_non_null(rest);
        assert_true(rest > text);
        assert_string_equal(rest, WHOLE "\n");
        process_free(asking);
}

/* The cloud was asked again, from what was shown. */
static void expect_second_body(struct mulmd_fixture *fixture)
{
        free(process_expect(fixture->servers[0], PROCESS_STREAM_OUTPUT,
                            "\"event\": \"body\", \"connection\": 2, .*Canberra, a planned city"));
}

static void test_short_loss_of_the_network_is_not_noticed(void **state)
{
        struct mulmd_fixture *fixture = *state;
        struct process *asking;

        fixture->settings = "FirstTextSec=20\nGapSec=20";
        start(fixture, "[" WAITS "]");
        asking = ask_for_first_part(fixture);
        command("ip link set " HERE " down");
        process_signal(fixture->servers[0], SIGUSR1);
        command("ip link set " HERE " up");
        expect_whole(asking);
        assert_null(process_match(fixture->servers[0], PROCESS_STREAM_OUTPUT, "\"connection\": 2"));
}

/* While there is no way to the server at all, it is tried again. */
static void test_reply_goes_on_when_the_network_is_back(void **state)
{
        struct mulmd_fixture *fixture = *state;
        struct process *asking;

        start(fixture, "[" BROKEN ", " SECOND "]");
        asking = ask_for_first_part(fixture);
        command("ip link set " HERE " down");
        free(process_expect(fixture->mulmd, PROCESS_STREAM_ERROR, "Endpoint primary: Timeout.*\n"));
        free(process_expect(fixture->mulmd, PROCESS_STREAM_ERROR, "Endpoint primary: Offline.*\n"));
        command("ip link set " HERE " up");
        expect_whole(asking);
        expect_second_body(fixture);
}

/* The old connection stays silent for ever: its packets come from an address that is no more. */
static void test_reply_goes_on_from_another_address(void **state)
{
        struct mulmd_fixture *fixture = *state;
        struct process *asking;

        start(fixture, "[" BROKEN ", " SECOND "]");
        asking = ask_for_first_part(fixture);
        command("ip address delete 192.0.2.1/24 dev " HERE " && ip address add 192.0.2.3/24 dev " HERE);
        expect_whole(asking);
        expect_second_body(fixture);
}

/* ------------------------------------------------------------------------------------------ kept connections */

#define SHORT "{\"steps\": [" DELTA(" Canberra.") ", " MARK "]}"
#define REPLY " Canberra."

/* Without a word from the network: the next question is not sent into the void, and costs no attempt. */
static void test_kept_connection_that_died_silently_is_not_waited_for(void **state)
{
        struct mulmd_fixture *fixture = *state;

        fixture->settings = "FirstTextSec=20\nGapSec=20";
        start(fixture, "[" SHORT "]");
        mulmd_expect_reply(fixture, REPLY);
        mulmd_expect_reply(fixture, REPLY);
        assert_null(process_match(fixture->servers[0], PROCESS_STREAM_OUTPUT, "\"connection\": 2"));
        command("ip address delete 192.0.2.1/24 dev " HERE " && ip address add 192.0.2.3/24 dev " HERE);
        mulmd_expect_reply(fixture, REPLY);
        assert_int_equal(mulmd_n_attempts(fixture), 1);
        free(process_expect(fixture->servers[0], PROCESS_STREAM_OUTPUT, "\"event\": \"body\", \"connection\": 2"));
}

/* How many probes this namespace has sent, by the kernel's count (proc_net_netstat: names, then numbers). */
static unsigned count_probes(void)
{
        _cleanup_free_ char *count = process_run(
                (const char *[]){
                        "awk",
                        "/^TcpExt:/ { if (!at) { for (i = 1; i <= NF; i++) if ($i == \"TCPKeepAlive\") at = i } "
                        "else print $at }",
                        "/proc/net/netstat", NULL },
                NULL);

        return (unsigned)strtoul(count, NULL, 10);
}

static void test_kept_connection_is_probed_until_it_is_let_go(void **state)
{
        struct mulmd_fixture *fixture = *state;
        unsigned n_before;

        fixture->settings = "FirstTextSec=20\nGapSec=20\nWarmSec=2.5\nProbeSec=1";
        start(fixture, "[" SHORT "]");
        n_before = count_probes();
        mulmd_expect_reply(fixture, REPLY);
        free(process_expect(fixture->servers[0], PROCESS_STREAM_OUTPUT, "\"closed\", \"connection\": 1"));
        assert_true(count_probes() > n_before);
}

/* ----------------------------------------------------------------------------------------------- namespace */

static bool write_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

        if (fd >= 0)
                close(fd);
        return good;
}

/* As root, or as root of a user namespace where anyone may make one. */
static bool enter_namespace(void)
{
        char map[64];

        if (unshare(CLONE_NEWNET) == 0)
                return true;
        (void)snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
        return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && write_file("/proc/self/setgroups", "deny") &&
               write_file("/proc/self/uid_map", map);
}

static bool bring_loopback_up(void)
{
        struct process *process = process_spawn((const char *[]){ "ip", "link", "set", "lo", "up", NULL }, NULL);
        bool good = process_wait(process) == 0;

        process_free(process);
        return good;
}

#define network_test(test) cmocka_unit_test_teardown(test, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                network_test(test_short_loss_of_the_network_is_not_noticed),
                network_test(test_reply_goes_on_when_the_network_is_back),
                network_test(test_reply_goes_on_from_another_address),
                network_test(test_kept_connection_that_died_silently_is_not_waited_for),
                network_test(test_kept_connection_is_probed_until_it_is_let_go),
        };

        if (!enter_namespace() || !bring_loopback_up()) {
                printf("1..0 # SKIP no network namespace can be made here, or there is no ip(8)\n");
                return 0;
        }
        return cmocka_run_group_tests(tests, mulmd_set_up_group, mulmd_tear_down_group);
}
