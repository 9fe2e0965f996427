/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The server's side of one HTTP/2 connection, without sockets: bytes in, bytes out, an exchange for each stream.
 * Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "tests/continuator/exchange.h"

struct h2;

/* There may be something to send. Never called from within h2_receive() or h2_send(). */
typedef void (*h2_wake_fn)(void *userdata);

struct h2_options {
        uv_loop_t *loop;
        const struct exchange_settings *settings;
        struct worker *worker;
};

/* What `options` points to outlives the session. */
int h2_new(struct h2 **ret_h2, const struct h2_options *options, h2_wake_fn wake, void *userdata);
struct h2 *h2_free(struct h2 *h2);

/* 0; -EPROTO: the peer does not speak HTTP/2, or broke it beyond a GOAWAY; -ENOMEM. */
int h2_receive(struct h2 *h2, const char *bytes, size_t n);

/* Appends at most about 16 KiB of what is to be sent; appending nothing says that there is nothing now. 0, -EPROTO,
 * -ENOMEM. */
int h2_send(struct h2 *h2, struct buf *out);

/* Queues a GOAWAY. */
void h2_terminate(struct h2 *h2);

/* Once all is sent, the connection has no further use. */
bool h2_is_over(const struct h2 *h2);
