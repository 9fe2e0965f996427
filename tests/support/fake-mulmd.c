/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulmd's bus side as a process of its own, over scripted requests: the real daemon/bus on a real message bus. Usage:
 * fake-mulmd ADDRESS. Says "ready" when it has the name; ends on SIGTERM.
 *
 * Limits are small, so that tests reach them: 3 requests in all, 2 of one caller, prompts of 4096 bytes.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/bus/service.h"
#include "libmulm/base/macro.h"
#include "tests/support/fake-requests.h"

struct fake_mulmd {
        sd_event *event;
        sd_event_source *turn;
        sd_bus *bus;
        struct requests *requests;
        struct service *service;
};

static int open_bus(const char *address, sd_bus **ret_bus)
{
        int r;

        r = sd_bus_new(ret_bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(*ret_bus, address);
        if (r < 0)
                return r;
        r = sd_bus_set_bus_client(*ret_bus, 1);
        if (r < 0)
                return r;
        return sd_bus_start(*ret_bus);
}

static int on_turn(_unused_ sd_event_source *source, void *userdata)
{
        struct fake_mulmd *mulmd = userdata;

        fake_requests_turn(mulmd->requests);
        return 0;
}

/* After whatever happened: the reaping that the daemon does from its loop, and another turn if one is due. */
static int on_post(_unused_ sd_event_source *source, void *userdata)
{
        struct fake_mulmd *mulmd = userdata;

        service_reap(mulmd->service);
        requests_reap(mulmd->requests);
        if (!fake_requests_are_due(mulmd->requests))
                return 0;
        return sd_event_source_set_enabled(mulmd->turn, SD_EVENT_ONESHOT);
}

static int start(struct fake_mulmd *mulmd, const struct settings *settings, const char *address)
{
        int r;

        if ((r = sd_event_default(&mulmd->event)) < 0 ||
            (r = sd_event_add_signal(mulmd->event, NULL, SIGTERM, NULL, NULL)) < 0 ||
            (r = sd_event_add_post(mulmd->event, NULL, on_post, mulmd)) < 0 ||
            (r = sd_event_add_defer(mulmd->event, &mulmd->turn, on_turn, mulmd)) < 0 ||
            (r = requests_new(&mulmd->requests, settings, NULL, NULL, NULL)) < 0 ||
            (r = open_bus(address, &mulmd->bus)) < 0 ||
            (r = sd_bus_attach_event(mulmd->bus, mulmd->event, SD_EVENT_PRIORITY_NORMAL)) < 0 ||
            (r = service_new(&mulmd->service, mulmd->bus, settings, mulmd->requests, "fake-1m")) < 0)
                return r;
        return sd_bus_request_name(mulmd->bus, SERVICE_NAME, 0);
}

int main(int argc, char *argv[])
{
        const struct settings settings = { .requests = 3, .requests_per_caller = 2, .prompt_bytes = 4096 };
        struct fake_mulmd mulmd = { 0 };
        sigset_t signals;
        int r;

        if (argc != 2)
                return 2;
        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL);
        r = start(&mulmd, &settings, argv[1]);
        if (r >= 0) {
                puts("ready");
                (void)fflush(stdout);
                r = sd_event_loop(mulmd.event);
        }
        if (r < 0)
                fprintf(stderr, "fake-mulmd: %s\n", strerror(-r));
        service_free(mulmd.service);
        if (mulmd.requests)
                requests_free(mulmd.requests);
        sd_bus_flush_close_unref(mulmd.bus);
        sd_event_source_unref(mulmd.turn);
        sd_event_unref(mulmd.event);
        return r < 0;
}
