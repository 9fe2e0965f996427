/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * ask-clock ADDRESS: asks mulmd each line of stdin over D-Bus, one after the other, and prints a line of JSON with
 * what a client sees and when: microseconds since the call, but for asked_us, which is on CLOCK_MONOTONIC, and
 * `timings`, which are mulmd's own.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"

#define REPLY_DEADLINE_US (60u * 1000000u)

struct ask {
        uint64_t asked_us, first_text_us, handoff_us, finished_us;
        struct buf timings; /* members of a JSON object */
        char outcome[32];
        bool over;
        int error;
};

static uint64_t now_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The numbers of a{sv}; what else is in it is passed over. */
static int read_timings(sd_bus_message *message, struct buf *json)
{
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                const char *key, *contents;
                uint64_t value = 0;
                uint32_t small;

                r = sd_bus_message_read(message, "s", &key);
                if (r >= 0)
                        r = sd_bus_message_peek_type(message, NULL, &contents);
                if (r < 0)
                        return r;
                if (strcmp(contents, "t") == 0) {
                        r = sd_bus_message_read(message, "v", "t", &value);
                } else if (strcmp(contents, "u") == 0) {
                        r = sd_bus_message_read(message, "v", "u", &small);
                        value = r >= 0 ? small : 0;
                } else {
                        r = sd_bus_message_skip(message, "v");
                        contents = NULL;
                }
                if (r >= 0 && contents)
                        r = buf_printf(json, "%s\"%s\":%" PRIu64, json->n > 0 ? "," : "", key, value);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *ret_error _unused_)
{
        struct ask *ask = userdata;
        const uint64_t now = now_us() - ask->asked_us;
        const char *outcome;
        int r = 0;

        if (sd_bus_message_is_signal(message, NULL, "Text") && ask->first_text_us == 0) {
                ask->first_text_us = now;
        } else if (sd_bus_message_is_signal(message, NULL, "Handoff")) {
                ask->handoff_us = now;
        } else if (sd_bus_message_is_signal(message, NULL, "Finished")) {
                ask->finished_us = now;
                ask->over = true;
                r = sd_bus_message_read(message, "s", &outcome);
                if (r >= 0) {
                        snprintf(ask->outcome, sizeof(ask->outcome), "%s", outcome);
                        r = read_timings(message, &ask->timings);
                }
        }
        if (r < 0)
                ask->error = r;
        return 0;
}

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *ret_error _unused_)
{
        struct ask *ask = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(message);

        if (error) {
                fprintf(stderr, "ask-clock: %s: %s\n", error->name, error->message);
                ask->error = -EIO;
        }
        return 0;
}

static int ask_one(sd_bus *bus, const char *prompt, struct ask *ask)
{
        int r;

        ask->asked_us = now_us();
        r = sd_bus_call_method_async(bus, NULL, "org.mulm.Assistant1", "/org/mulm/Assistant1", "org.mulm.Assistant1",
                                     "Ask", on_reply, ask, "sa{sv}", prompt, 0);
        while (r >= 0 && !ask->over && ask->error == 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, REPLY_DEADLINE_US);
                if (r >= 0 && now_us() - ask->asked_us > REPLY_DEADLINE_US)
                        r = -ETIMEDOUT;
        }
        return r < 0 ? r : ask->error;
}

static int open_bus(sd_bus **ret_bus, const char *address)
{
        int r;

        r = sd_bus_new(ret_bus);
        if (r >= 0)
                r = sd_bus_set_address(*ret_bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(*ret_bus, 1);
        return r < 0 ? r : sd_bus_start(*ret_bus);
}

int main(int argc, char **argv)
{
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *line = NULL;
        struct ask ask = { 0 };
        size_t capacity = 0;
        ssize_t n;
        int r;

        if (argc != 2) {
                fputs("Usage: ask-clock ADDRESS\n", stderr);
                return 2;
        }
        r = open_bus(&bus, argv[1]);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, "org.mulm.Assistant1", NULL, "org.mulm.Assistant1.Request", NULL,
                                        on_signal, &ask);

        while (r >= 0 && (n = getline(&line, &capacity, stdin)) > 0) {
                line[strcspn(line, "\n")] = '\0';
                buf_done(&ask.timings);
                ask = (struct ask){ 0 };
                r = ask_one(bus, line, &ask);
                if (r < 0)
                        break;
                printf("{\"asked_us\":%" PRIu64 ",\"first_text_us\":%" PRIu64 ",\"handoff_us\":%" PRIu64
                       ",\"finished_us\":%" PRIu64 ",\"outcome\":\"%s\",\"timings\":{%s}}\n",
                       ask.asked_us, ask.first_text_us, ask.handoff_us, ask.finished_us, ask.outcome,
                       buf_string(&ask.timings));
                fflush(stdout);
        }
        buf_done(&ask.timings);
        if (r < 0)
                fprintf(stderr, "ask-clock: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
