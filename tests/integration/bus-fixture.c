/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See bus-fixture.h.
 */
#include "tests/integration/bus-fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "tests/support/test.h"

#define WAIT_US 20000000 /* a test that waits this long has failed */

sd_bus *connect_bus(const char *address)
{
        sd_bus *bus = NULL;

        assert_int_equal(sd_bus_new(&bus), 0);
        assert_true(sd_bus_set_address(bus, address) >= 0);
        assert_true(sd_bus_set_bus_client(bus, 1) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        return bus;
}

int bus_fixture_setup(void **state)
{
        struct bus_fixture *fixture = calloc(1, sizeof(*fixture));

        assert_non_null(fixture);
        fixture->dbus_daemon = process_spawn(
                (const char *[]){ "dbus-daemon", "--session", "--nofork", "--print-address", NULL }, NULL);
        fixture->address = process_expect(fixture->dbus_daemon, PROCESS_STREAM_OUTPUT, "^(unix:.*)\n");
        fixture->mulmd = process_spawn((const char *[]){ getenv("FAKE_MULMD"), fixture->address, NULL }, NULL);
        free(process_expect(fixture->mulmd, PROCESS_STREAM_OUTPUT, "ready\n"));
        fixture->bus = connect_bus(fixture->address);
        *state = fixture;
        return 0;
}

/* That it ends well also says that no sanitizer found anything. */
int bus_fixture_teardown(void **state)
{
        struct bus_fixture *fixture = *state;

        sd_bus_flush_close_unref(fixture->bus);
        process_signal(fixture->mulmd, SIGTERM);
        assert_int_equal(process_wait(fixture->mulmd), 0);
        process_free(fixture->mulmd);
        process_free(fixture->dbus_daemon);
        free(fixture->address);
        free(fixture);
        return 0;
}

/* ------------------------------------------------------------------------------------------------ helpers */

static int on_signal(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        struct heard *heard = userdata;
        const char *delta, *source, *outcome, *key;
        uint32_t sequence;

        if (sd_bus_message_is_signal(message, REQUEST, "Text")) {
                assert_true(sd_bus_message_read(message, "uss", &sequence, &delta, &source) >= 0);
                assert_int_equal(sequence, ++heard->sequence);
                assert_int_equal(buf_add_string(&heard->text, delta), 0);
                assert_int_equal(buf_printf(&heard->sources, "%s ", source), 0);
        } else if (sd_bus_message_is_signal(message, REQUEST, "Handoff")) {
                assert_true(sd_bus_message_read(message, "u", &sequence) >= 0);
                assert_int_equal(sequence, ++heard->sequence);
                heard->n_handoffs++;
                assert_true(sd_bus_message_enter_container(message, 'a', "{sv}") > 0);
                assert_true(sd_bus_message_read(message, "{sv}", &key, "u", &heard->n_words) > 0);
                assert_string_equal(key, "words");
        } else {
                assert_true(sd_bus_message_is_signal(message, REQUEST, "Finished"));
                assert_true(sd_bus_message_read(message, "s", &outcome) >= 0);
                assert_string_equal(heard->outcome, "");
                (void)snprintf(heard->outcome, sizeof(heard->outcome), "%s", outcome);
        }
        return 0;
}

void heard_done(struct heard *heard)
{
        buf_done(&heard->text);
        buf_done(&heard->sources);
}

const char *unique_name(sd_bus *bus)
{
        const char *name;

        assert_true(sd_bus_get_unique_name(bus, &name) >= 0);
        return name;
}

char *promised_path(sd_bus *bus, const char *token)
{
        char *path;

        assert_true(asprintf(&path, PATH "/request/%s/%s", unique_name(bus) + 1, token) > 0);
        *strchr(path, '.') = '_';
        return path;
}

sd_bus_slot *listen_to(sd_bus *bus, const char *path, struct heard *heard)
{
        sd_bus_slot *slot;

        assert_true(sd_bus_match_signal(bus, &slot, NAME, path, REQUEST, NULL, on_signal, heard) >= 0);
        return slot;
}

void turn(sd_bus *bus)
{
        int r = sd_bus_process(bus, NULL);

        assert_true(r >= 0);
        if (r == 0)
                assert_true(sd_bus_wait(bus, WAIT_US) > 0);
}

void wait_finished(sd_bus *bus, const struct heard *heard)
{
        while (!*heard->outcome)
                turn(bus);
}

void wait_text(sd_bus *bus, const struct heard *heard)
{
        while (heard->text.n == 0)
                turn(bus);
}

void ask(sd_bus *bus, const char *prompt, const char *token)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        if (sd_bus_call_method(bus, NAME, PATH, NAME, "Ask", &error, NULL, "sa{sv}", prompt, 1, "handle_token", "s",
                               token) < 0)
                fail_msg("%s: %s", error.name, error.message);
}

int call_request(sd_bus *bus, const char *path, const char *member, sd_bus_error *error, sd_bus_message **ret_reply)
{
        return sd_bus_call_method(bus, NAME, path, REQUEST, member, error, ret_reply, NULL);
}

uint64_t statistic(sd_bus *bus, const char *wanted)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint64_t value, found = UINT64_MAX;
        const char *key;

        assert_true(sd_bus_get_property(bus, NAME, PATH, NAME, "Statistics", NULL, &reply, "a{sv}") >= 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "{sv}") > 0);
        while (sd_bus_message_read(reply, "{sv}", &key, "t", &value) > 0)
                if (strcmp(key, wanted) == 0)
                        found = value;
        assert_true(found < UINT64_MAX);
        return found;
}

uint32_t n_active(sd_bus *bus)
{
        uint32_t n;

        assert_true(sd_bus_get_property_trivial(bus, NAME, PATH, NAME, "ActiveRequests", NULL, 'u', &n) >= 0);
        return n;
}
