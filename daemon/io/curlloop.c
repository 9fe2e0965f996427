/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * libcurl's multi-socket interface on the libuv loop. See curlloop.h.
 *
 * libcurl's two callbacks touch uv handles alone and never libcurl, which must not be entered twice. When it says
 * that a socket is done with, the poll is stopped at once, since the number may be another socket's a moment later;
 * the handle's memory waits for its close callback.
 */
#include "daemon/io/curlloop.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

struct curlloop_socket {
        uv_poll_t poll;
        struct curlloop *curlloop;
        curl_socket_t fd;
        struct curlloop_socket *next;
};

struct curlloop {
        CURLM *multi;
        uv_timer_t timer;
        struct curlloop_socket *sockets; /* those that libcurl watches; a handful */
        bool kicked;                     /* the timer is set to the next turn, whatever libcurl wants of it */
        unsigned n_open;                 /* handles whose close callback is still to come */
        curlloop_fn fn;
        void *userdata;
};

static void curlloop_gone(struct curlloop *curlloop)
{
        if (--curlloop->n_open == 0)
                free(curlloop);
}

static void curlloop_socket_closed(uv_handle_t *handle)
{
        struct curlloop_socket *socket = handle->data;

        curlloop_gone(socket->curlloop);
        free(socket);
}

static void curlloop_timer_closed(uv_handle_t *handle)
{
        curlloop_gone(handle->data);
}

static void curlloop_act(struct curlloop *curlloop, curl_socket_t fd, int flags)
{
        int n_running;

        curl_multi_socket_action(curlloop->multi, fd, flags, &n_running);
        curlloop->fn(curlloop->userdata); /* may close the curlloop */
}

static void curlloop_on_poll(uv_poll_t *handle, int status, int events)
{
        struct curlloop_socket *socket = handle->data;
        /* An error of the socket is read by libcurl itself: it then starts over where a kept connection turned out
         * dead, while CURL_CSELECT_ERR ends the transfer. */
        int flags = status < 0 ? CURL_CSELECT_IN | CURL_CSELECT_OUT : 0;

        if (events & UV_READABLE)
                flags |= CURL_CSELECT_IN;
        if (events & UV_WRITABLE)
                flags |= CURL_CSELECT_OUT;
        curlloop_act(socket->curlloop, socket->fd, flags);
}

static void curlloop_on_timer(uv_timer_t *handle)
{
        struct curlloop *curlloop = handle->data;

        curlloop->kicked = false;
        curlloop_act(curlloop, CURL_SOCKET_TIMEOUT, 0);
}

static int curlloop_timer_function(CURLM *multi, long timeout_ms, void *userdata)
{
        struct curlloop *curlloop = userdata;

        (void)multi;
        if (curlloop->kicked)
                return 0;
        if (timeout_ms < 0)
                uv_timer_stop(&curlloop->timer);
        else
                uv_timer_start(&curlloop->timer, curlloop_on_timer, (uint64_t)timeout_ms, 0);
        return 0;
}

static struct curlloop_socket **curlloop_find(struct curlloop *curlloop, curl_socket_t fd)
{
        struct curlloop_socket **at = &curlloop->sockets;

        while (*at && (*at)->fd != fd)
                at = &(*at)->next;
        return at;
}

static void curlloop_forget(struct curlloop_socket **at)
{
        struct curlloop_socket *socket = *at;

        if (!socket)
                return;
        *at = socket->next;
        uv_poll_stop(&socket->poll);
        uv_close((uv_handle_t *)&socket->poll, curlloop_socket_closed);
}

static struct curlloop_socket *curlloop_watch(struct curlloop *curlloop, curl_socket_t fd)
{
        struct curlloop_socket *socket = calloc(1, sizeof(*socket));

        if (!socket || uv_poll_init_socket(curlloop->timer.loop, &socket->poll, fd) < 0) {
                free(socket);
                return NULL;
        }
        socket->poll.data = socket;
        socket->curlloop = curlloop;
        socket->fd = fd;
        socket->next = curlloop->sockets;
        curlloop->sockets = socket;
        curlloop->n_open++;
        return socket;
}

/* Without memory a socket goes unwatched and its transfer runs into its owner's timeout; an error returned here would
 * end all transfers of this multi handle, those to come too. */
static int curlloop_socket_function(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_data)
{
        struct curlloop *curlloop = userdata;
        struct curlloop_socket **at = curlloop_find(curlloop, fd), *socket;
        int events = 0;

        (void)easy;
        (void)socket_data;
        if (what == CURL_POLL_REMOVE) {
                curlloop_forget(at);
                return 0;
        }
        socket = *at ? *at : curlloop_watch(curlloop, fd);
        if (!socket)
                return 0;
        if (what & CURL_POLL_IN)
                events |= UV_READABLE;
        if (what & CURL_POLL_OUT)
                events |= UV_WRITABLE;
        uv_poll_start(&socket->poll, events, curlloop_on_poll);
        return 0;
}

static CURLM *curlloop_make_multi(struct curlloop *curlloop)
{
        CURLM *multi = curl_multi_init();

        if (!multi)
                return NULL;
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, curlloop_socket_function);
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, curlloop);
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, curlloop_timer_function);
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, curlloop);
        return multi;
}

int curlloop_new(struct curlloop **ret_curlloop, uv_loop_t *loop, curlloop_fn fn, void *userdata)
{
        struct curlloop *curlloop = calloc(1, sizeof(*curlloop));

        if (!curlloop)
                return -ENOMEM;
        curlloop->multi = curlloop_make_multi(curlloop);
        if (!curlloop->multi) {
                free(curlloop);
                return -ENOMEM;
        }
        curlloop->fn = fn;
        curlloop->userdata = userdata;
        curlloop->n_open = 1;
        uv_timer_init(loop, &curlloop->timer);
        curlloop->timer.data = curlloop;
        *ret_curlloop = curlloop;
        return 0;
}

CURLM *curlloop_multi(struct curlloop *curlloop)
{
        return curlloop->multi;
}

void curlloop_kick(struct curlloop *curlloop)
{
        curlloop->kicked = true;
        uv_timer_start(&curlloop->timer, curlloop_on_timer, 0, 0);
}

int curlloop_find_socket(const struct curlloop *curlloop, int local_port)
{
        for (const struct curlloop_socket *socket = curlloop->sockets; socket; socket = socket->next) {
                union {
                        struct sockaddr any;
                        struct sockaddr_in v4;
                        struct sockaddr_in6 v6;
                } address;
                socklen_t size = sizeof(address);

                if (getsockname(socket->fd, &address.any, &size) < 0)
                        continue;
                if ((address.any.sa_family == AF_INET && ntohs(address.v4.sin_port) == local_port) ||
                    (address.any.sa_family == AF_INET6 && ntohs(address.v6.sin6_port) == local_port))
                        return socket->fd;
        }
        return -1;
}

/* libcurl has no other call that closes what it keeps. */
void curlloop_let_go(struct curlloop *curlloop)
{
        CURLM *multi = curlloop_make_multi(curlloop);

        if (!multi)
                return;
        curl_multi_cleanup(curlloop->multi);
        curlloop->multi = multi;
        while (curlloop->sockets)
                curlloop_forget(&curlloop->sockets);
        uv_timer_stop(&curlloop->timer);
        curlloop->kicked = false;
}

/* All transfers must have been removed. Cached connections are closed here, with their last words on the wire. */
void curlloop_close(struct curlloop *curlloop)
{
        curl_multi_cleanup(curlloop->multi);
        while (curlloop->sockets)
                curlloop_forget(&curlloop->sockets);
        uv_timer_stop(&curlloop->timer);
        uv_close((uv_handle_t *)&curlloop->timer, curlloop_timer_closed);
}
