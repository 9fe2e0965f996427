/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * An sd-bus connection on the libuv loop. See busloop.h.
 *
 * A uv_prepare_t runs right before each poll, whoever used the bus meanwhile, and there the three answers are read
 * anew: sd_bus_get_fd(), sd_bus_get_events(), sd_bus_get_timeout(). While the bus still connects, its descriptor may
 * change; a uv_poll_t is bound to one, so that each gets a handle of its own.
 */
#include "daemon/io/busloop.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>

#define BUSLOOP_TURN_MAX 64 /* messages processed before the rest of the loop has its turn */

struct busloop {
        sd_bus *bus; /* reference */
        uv_prepare_t prepare;
        uv_timer_t timer;
        uv_poll_t *poll; /* of `fd`; NULL while there is none */
        int fd, events;  /* what `poll` watches */
        unsigned n_open; /* handles whose close callback is still to come */
        bool over;       /* lost or closed: the bus is not touched any more */
        busloop_fn fn;
        void *userdata;
};

static void busloop_closed(uv_handle_t *handle)
{
        struct busloop *busloop = handle->data;

        if (handle->type == UV_POLL)
                free(handle);
        if (--busloop->n_open == 0)
                free(busloop);
}

static void busloop_drop_poll(struct busloop *busloop)
{
        if (!busloop->poll)
                return;
        uv_poll_stop(busloop->poll);
        uv_close((uv_handle_t *)busloop->poll, busloop_closed);
        busloop->poll = NULL;
        busloop->events = 0;
}

static void busloop_stop(struct busloop *busloop)
{
        busloop->over = true;
        busloop_drop_poll(busloop);
        uv_prepare_stop(&busloop->prepare);
        uv_timer_stop(&busloop->timer);
}

/* The owner may close the busloop in its callback: nothing is touched after it. */
static void busloop_lose(struct busloop *busloop, int error)
{
        busloop_stop(busloop);
        busloop->fn(busloop->userdata, error);
}

/* What remains after the limit shows itself as input or as a timeout of 0 and has the next turn. */
static void busloop_process(struct busloop *busloop)
{
        for (unsigned i = 0; i < BUSLOOP_TURN_MAX && !busloop->over; i++) {
                int r = sd_bus_process(busloop->bus, NULL);

                if (busloop->over || r == 0)
                        return;
                if (r < 0) {
                        busloop_lose(busloop, r);
                        return;
                }
        }
}

static void busloop_on_poll(uv_poll_t *handle, int status, int events)
{
        struct busloop *busloop = handle->data;

        (void)status; /* an error of the socket is found and named by sd-bus when it reads */
        (void)events;
        busloop_process(busloop);
}

static void busloop_on_timer(uv_timer_t *handle)
{
        busloop_process(handle->data);
}

static int busloop_watch(struct busloop *busloop, int fd, int events)
{
        int wanted = ((events & POLLIN) ? UV_READABLE : 0) | ((events & POLLOUT) ? UV_WRITABLE : 0);
        int r;

        if (busloop->poll && busloop->fd != fd)
                busloop_drop_poll(busloop);
        if (!busloop->poll) {
                uv_poll_t *poll = malloc(sizeof(*poll));

                if (!poll)
                        return -ENOMEM;
                r = uv_poll_init(busloop->prepare.loop, poll, fd);
                if (r < 0) {
                        free(poll);
                        return r;
                }
                poll->data = busloop;
                busloop->poll = poll;
                busloop->fd = fd;
                busloop->n_open++;
        }
        /* Also where nothing changed: libuv stops a handle by itself when its socket has an error. */
        if (wanted == busloop->events && uv_is_active((uv_handle_t *)busloop->poll))
                return 0;
        busloop->events = wanted;
        return wanted ? uv_poll_start(busloop->poll, wanted, busloop_on_poll) : uv_poll_stop(busloop->poll);
}

/* `timeout_us` is a point on CLOCK_MONOTONIC, which is libuv's clock too; UINT64_MAX for never. */
static void busloop_set_timer(struct busloop *busloop, uint64_t timeout_us)
{
        uint64_t due_ms = timeout_us / 1000 + (timeout_us % 1000 != 0), now_ms = uv_now(busloop->timer.loop);

        if (timeout_us == UINT64_MAX)
                uv_timer_stop(&busloop->timer);
        else
                uv_timer_start(&busloop->timer, busloop_on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

static int busloop_ask(struct busloop *busloop)
{
        uint64_t timeout_us;
        int fd, events, r;

        fd = sd_bus_get_fd(busloop->bus);
        if (fd < 0)
                return fd;
        events = sd_bus_get_events(busloop->bus);
        if (events < 0)
                return events;
        r = sd_bus_get_timeout(busloop->bus, &timeout_us);
        if (r < 0)
                return r;
        busloop_set_timer(busloop, timeout_us);
        return busloop_watch(busloop, fd, events);
}

static void busloop_on_prepare(uv_prepare_t *handle)
{
        struct busloop *busloop = handle->data;
        int r = busloop_ask(busloop);

        if (r < 0)
                busloop_lose(busloop, r);
}

int busloop_new(struct busloop **ret_busloop, uv_loop_t *loop, sd_bus *bus, busloop_fn fn, void *userdata)
{
        struct busloop *busloop = calloc(1, sizeof(*busloop));

        if (!busloop)
                return -ENOMEM;
        busloop->bus = sd_bus_ref(bus);
        busloop->fn = fn;
        busloop->userdata = userdata;
        busloop->n_open = 2;
        uv_prepare_init(loop, &busloop->prepare);
        uv_timer_init(loop, &busloop->timer);
        busloop->prepare.data = busloop->timer.data = busloop;
        uv_prepare_start(&busloop->prepare, busloop_on_prepare);
        /* Messages may have been queued before, when sd_bus calls were made that block. */
        uv_timer_start(&busloop->timer, busloop_on_timer, 0, 0);
        *ret_busloop = busloop;
        return 0;
}

void busloop_close(struct busloop *busloop)
{
        busloop_stop(busloop);
        /* Blocks only where the bus does not read, and the last replies are worth that. Fails on a lost one. */
        sd_bus_flush(busloop->bus);
        busloop->bus = sd_bus_unref(busloop->bus);
        uv_close((uv_handle_t *)&busloop->prepare, busloop_closed);
        uv_close((uv_handle_t *)&busloop->timer, busloop_closed);
}
