/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One TCP connection: carries bytes between the socket, TLS (where there is any) and HTTP/2. Closes itself when the
 * peer leaves or misbehaves. Loop thread.
 */
#pragma once

#include <uv.h>

#include "tests/continuator/h2.h"
#include "tests/continuator/tls.h"

struct connection;

/* The connection is going: forget it. Once, from the loop. */
typedef void (*connection_gone_fn)(void *userdata, struct connection *connection);

struct connection_options {
        struct h2_options h2;
        struct tls_context *tls;
        connection_gone_fn gone;
        void *userdata;
};

/* Accepts from `listener`. */
int connection_new(struct connection **ret_connection, uv_stream_t *listener,
                   const struct connection_options *options);

/* Says GOAWAY as far as that can be done at once, and closes; `gone` is called. */
void connection_stop(struct connection *connection);

/* For the owner's list. */
struct connection **connection_next(struct connection *connection);
