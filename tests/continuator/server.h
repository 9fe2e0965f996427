/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Listens on 127.0.0.1 and keeps the connections. Loop thread.
 */
#pragma once

#include <uv.h>

#include "tests/continuator/h2.h"
#include "tests/continuator/tls.h"

#define SERVER_CONNECTIONS_MAX 256u /* further ones are closed at once */

struct server;

struct server_options {
        struct h2_options h2;
        struct tls_context *tls; /* NULL: plain text, prior knowledge */
        unsigned port;           /* 0: any */
};

/* 0 or what the system said. */
int server_new(struct server **ret_server, const struct server_options *options);

unsigned server_port(const struct server *server);

/* Says GOAWAY to every peer and closes all; memory goes in close callbacks, so the loop must still run. */
void server_close(struct server *server);
