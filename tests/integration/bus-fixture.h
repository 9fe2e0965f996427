/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A dbus-daemon, mulmd's bus side over scripted requests on it (tests/support/fake-mulmd.c), and a client: what the
 * tests of the bus and of its clients stand on. What goes wrong fails the test there and then.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

#include "libmulm/base/buf.h"
#include "tests/support/process.h"

#define NAME        "org.mulm.Assistant1"
#define PATH        "/org/mulm/Assistant1"
#define REQUEST     "org.mulm.Assistant1.Request"
#define ERROR(name) "org.mulm.Assistant1.Error." name

struct bus_fixture {
        struct process *dbus_daemon, *mulmd;
        char *address;
        sd_bus *bus;
};

/* What a client heard of one request. */
struct heard {
        struct buf text, sources;
        char outcome[16];
        uint32_t sequence; /* of the last signal that has one */
        unsigned n_handoffs, n_words;
};

int bus_fixture_setup(void **state);
int bus_fixture_teardown(void **state);

sd_bus *connect_bus(const char *address);
const char *unique_name(sd_bus *bus);

/* The path that the manual promises. */
char *promised_path(sd_bus *bus, const char *token);

/* Hears the request's signals from now on, and checks their order. */
sd_bus_slot *listen_to(sd_bus *bus, const char *path, struct heard *heard);
void heard_done(struct heard *heard);

void turn(sd_bus *bus);
void wait_text(sd_bus *bus, const struct heard *heard);
void wait_finished(sd_bus *bus, const struct heard *heard);

void ask(sd_bus *bus, const char *prompt, const char *token);
int call_request(sd_bus *bus, const char *path, const char *member, sd_bus_error *error, sd_bus_message **ret_reply);
uint64_t statistic(sd_bus *bus, const char *wanted);
uint32_t n_active(sd_bus *bus);
