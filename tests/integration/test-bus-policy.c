/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * dbus/org.mulm.Assistant1.conf on a bus with the system bus's own rules: who may be the service, who may ask.
 */
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "tests/integration/bus-fixture.h"
#include "tests/support/fake-requests.h"
#include "tests/support/test.h"

/* What /usr/share/dbus-1/system.conf allows and denies by default. */
static const char system_rules[] = "<busconfig>"
                                   "<type>system</type>"
                                   "<listen>unix:tmpdir=/tmp</listen>"
                                   "<auth>EXTERNAL</auth>"
                                   "<policy context='default'>"
                                   "<allow user='*'/>"
                                   "<deny own='*'/>"
                                   "<deny send_type='method_call'/>"
                                   "<allow send_type='signal'/>"
                                   "<allow send_requested_reply='true' send_type='method_return'/>"
                                   "<allow send_requested_reply='true' send_type='error'/>"
                                   "<allow receive_type='method_call'/>"
                                   "<allow receive_type='method_return'/>"
                                   "<allow receive_type='error'/>"
                                   "<allow receive_type='signal'/>"
                                   "<allow send_destination='org.freedesktop.DBus'"
                                   " send_interface='org.freedesktop.DBus'/>"
                                   "</policy>";

/* Our policy's own elements, with `user` in place of mulmd's. */
static void put_policy(FILE *file, const char *user)
{
        _cleanup_free_ char *path = NULL;
        char line[256];
        bool inside = false;
        FILE *policy;

        assert_true(asprintf(&path, "%s/dbus/org.mulm.Assistant1.conf", getenv("MULM_SOURCE_ROOT")) > 0);
        policy = fopen(path, "r");
        assert_non_null(policy);
        while (fgets(line, sizeof(line), policy)) {
                const char *place = strstr(line, "user=\"mulmd\"");

                if (place)
                        fprintf(file, "<policy user=\"%s\">\n", user);
                else if (inside)
                        fputs(line, file);
                inside = inside || strstr(line, "<busconfig>");
        }
        fclose(policy);
}

static struct process *start_bus(const char *user, char **ret_address)
{
        char path[] = "/tmp/mulm-policy-XXXXXX";
        _cleanup_free_ char *option = NULL;
        struct process *bus;
        FILE *file = fdopen(mkstemp(path), "w");

        assert_non_null(file);
        fputs(system_rules, file);
        put_policy(file, user);
        assert_int_equal(fclose(file), 0);
        assert_true(asprintf(&option, "--config-file=%s", path) > 0);
        bus = process_spawn((const char *[]){ "dbus-daemon", option, "--nofork", "--print-address", NULL }, NULL);
        *ret_address = process_expect(bus, PROCESS_STREAM_OUTPUT, "^(unix:.*)\n");
        unlink(path);
        return bus;
}

static void test_other_users_cannot_be_the_service(void **state)
{
        _cleanup_free_ char *address = NULL;
        struct process *bus = start_bus("nobody", &address), *mulmd;

        (void)state;
        mulmd = process_spawn((const char *[]){ getenv("FAKE_MULMD"), address, NULL }, NULL);
        assert_int_equal(process_wait(mulmd), 1);
        assert_non_null(strstr(process_output(mulmd, PROCESS_STREAM_ERROR), "Permission denied"));
        process_free(mulmd);
        process_free(bus);
}

static void test_mulmds_user_can_and_others_may_ask(void **state)
{
        _cleanup_(heard_done) struct heard heard = { 0 };
        _cleanup_free_ char *address = NULL, *path = NULL;
        struct process *bus, *mulmd;
        sd_bus_slot *slot;
        sd_bus *client;

        (void)state;
        bus = start_bus(getpwuid(getuid())->pw_name, &address);
        mulmd = process_spawn((const char *[]){ getenv("FAKE_MULMD"), address, NULL }, NULL);
        free(process_expect(mulmd, PROCESS_STREAM_OUTPUT, "ready\n"));
        client = connect_bus(address);
        path = promised_path(client, "p");
        slot = listen_to(client, path, &heard);
        ask(client, "q", "p");
        wait_finished(client, &heard);
        assert_string_equal(buf_string(&heard.text), FAKE_REQUESTS_REPLY);
        assert_int_equal(statistic(client, "complete"), 1);
        assert_true(call_request(client, path, "Cancel", NULL, NULL) >= 0);
        sd_bus_slot_unref(slot);
        sd_bus_flush_close_unref(client);
        process_free(mulmd);
        process_free(bus);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_other_users_cannot_be_the_service),
                cmocka_unit_test(test_mulmds_user_can_and_others_may_ask),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
