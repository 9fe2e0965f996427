/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The listening socket and the list of connections.
 */
#include "tests/continuator/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "libmulm/base/macro.h"
#include "tests/continuator/connection.h"

struct server {
        uv_tcp_t listener;
        struct server_options options;
        struct connection *connections;
        unsigned n_connections;
        bool closing;
};

static void on_gone(void *userdata, struct connection *connection)
{
        struct server *server = userdata;

        if (server->closing) /* the list is being taken down */
                return;
        for (struct connection **place = &server->connections; *place; place = connection_next(*place))
                if (*place == connection) {
                        *place = *connection_next(connection);
                        server->n_connections--;
                        return;
                }
}

static void on_connection(uv_stream_t *listener, int status)
{
        struct server *server = CONTAINER_OF((uv_tcp_t *)listener, struct server, listener);
        const struct connection_options options = {
                .h2 = server->options.h2,
                .tls = server->options.tls,
                .gone = on_gone,
                .userdata = server,
        };
        struct connection *connection;

        if (status < 0 || connection_new(&connection, listener, &options) < 0)
                return;
        *connection_next(connection) = server->connections;
        server->connections = connection;
        if (++server->n_connections > SERVER_CONNECTIONS_MAX)
                connection_stop(connection);
}

static void on_closed(uv_handle_t *handle)
{
        free(CONTAINER_OF((uv_tcp_t *)handle, struct server, listener));
}

static int listen_on(struct server *server, unsigned port)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_port = htons((uint16_t)port),
                .sin_addr = { htonl(INADDR_LOOPBACK) },
        };
        int r;

        r = uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
        return r < 0 ? r : uv_listen((uv_stream_t *)&server->listener, 64, on_connection);
}

int server_new(struct server **ret_server, const struct server_options *options)
{
        struct server *server = calloc(1, sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        server->options = *options;
        uv_tcp_init(options->h2.loop, &server->listener);
        r = listen_on(server, options->port);
        if (r < 0) {
                uv_close((uv_handle_t *)&server->listener, on_closed);
                return r;
        }
        *ret_server = server;
        return 0;
}

unsigned server_port(const struct server *server)
{
        struct sockaddr_in address = { 0 };
        int n = sizeof(address);

        if (uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &n) < 0)
                return 0;
        return ntohs(address.sin_port);
}

void server_close(struct server *server)
{
        server->closing = true;
        for (struct connection *connection = server->connections, *next; connection; connection = next) {
                next = *connection_next(connection);
                connection_stop(connection);
        }
        uv_close((uv_handle_t *)&server->listener, on_closed);
}
