/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * flush() moves what HTTP/2 has into the socket, no more than a limit of unsent bytes, so that a peer that does not
 * read costs no more than that. Memory goes in the handle's close callback, when no callback of nghttp2 or libuv can
 * be on the stack.
 */
#include "tests/continuator/connection.h"

#include <errno.h>
#include <string.h>

#include "libmulm/base/macro.h"

#define UNSENT_MAX ((size_t)256 << 10)

struct connection {
        uv_tcp_t tcp;
        struct connection *next;
        struct connection_options options;
        struct h2 *h2;
        struct tls *tls; /* NULL: plain text */
        struct buf plain;
        char input[16384];
        bool closing;
};

struct sending {
        uv_write_t write;
        struct buf bytes;
};

static void flush(struct connection *connection);

static void on_closed(uv_handle_t *handle)
{
        struct connection *connection = CONTAINER_OF((uv_tcp_t *)handle, struct connection, tcp);

        h2_free(connection->h2);
        tls_free(connection->tls);
        buf_done(&connection->plain);
        free(connection);
}

static void connection_close(struct connection *connection)
{
        if (connection->closing)
                return;
        connection->closing = true;
        if (connection->options.gone)
                connection->options.gone(connection->options.userdata, connection);
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void on_sent(uv_write_t *write, int status)
{
        struct sending *sending = CONTAINER_OF(write, struct sending, write);
        struct connection *connection = CONTAINER_OF((uv_tcp_t *)write->handle, struct connection, tcp);

        buf_done(&sending->bytes);
        free(sending);
        if (connection->closing)
                return;
        if (status < 0)
                connection_close(connection);
        else
                flush(connection);
}

/* Moves `bytes` out. */
static int send_bytes(struct connection *connection, struct buf *bytes)
{
        struct sending *sending;
        uv_buf_t view;
        int r;

        if (bytes->n == 0)
                return 0;
        sending = calloc(1, sizeof(*sending));
        if (!sending)
                return -ENOMEM;
        sending->bytes = *bytes;
        *bytes = BUF_NULL;

        view = uv_buf_init(sending->bytes.data, (unsigned)sending->bytes.n);
        r = uv_write(&sending->write, (uv_stream_t *)&connection->tcp, &view, 1, on_sent);
        if (r < 0) {
                buf_done(&sending->bytes);
                free(sending);
        }
        return r;
}

/* Up to UNSENT_MAX bytes of what HTTP/2 has, as the socket wants them. */
static int collect(struct connection *connection, struct buf *out)
{
        _cleanup_(buf_done) struct buf plain = BUF_NULL;
        struct buf *target = connection->tls ? &plain : out;
        size_t n_unsent = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
        size_t n_before;
        int r = 0;

        if (!connection->tls || tls_is_ready(connection->tls))
                do {
                        n_before = target->n;
                        r = h2_send(connection->h2, target);
                } while (r >= 0 && target->n > n_before && target->n + n_unsent < UNSENT_MAX);
        if (connection->tls && r >= 0)
                r = tls_write(connection->tls, plain.data, plain.n);
        if (connection->tls && tls_take(connection->tls, out) < 0) /* an alert wants out even after an error */
                r = -ENOMEM;
        return r;
}

static void flush(struct connection *connection)
{
        _cleanup_(buf_done) struct buf out = BUF_NULL;
        int r;

        if (connection->closing || uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp) >= UNSENT_MAX)
                return;
        r = collect(connection, &out);
        if (r >= 0)
                r = send_bytes(connection, &out);
        if (r < 0 ||
            (h2_is_over(connection->h2) && uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp) == 0))
                connection_close(connection);
}

static int receive(struct connection *connection, const char *bytes, size_t n)
{
        int r, r_tls;

        if (!connection->tls)
                return h2_receive(connection->h2, bytes, n);

        r = tls_feed(connection->tls, bytes, n);
        if (r < 0)
                return r;
        r_tls = tls_read(connection->tls, &connection->plain);
        if (connection->plain.n > 0) {
                r = h2_receive(connection->h2, connection->plain.data, connection->plain.n);
                buf_clear(&connection->plain);
        }
        return r_tls < 0 ? r_tls : r;
}

static void on_allocate(uv_handle_t *handle, size_t suggested _unused_, uv_buf_t *ret_view)
{
        struct connection *connection = CONTAINER_OF((uv_tcp_t *)handle, struct connection, tcp);

        *ret_view = uv_buf_init(connection->input, sizeof(connection->input));
}

/* What can be sent at once, is; the rest is lost with the connection. */
static void farewell(struct connection *connection)
{
        _cleanup_(buf_done) struct buf out = BUF_NULL;
        uv_buf_t view;

        collect(connection, &out);
        view = uv_buf_init(out.data, (unsigned)out.n);
        if (out.n > 0)
                uv_try_write((uv_stream_t *)&connection->tcp, &view, 1);
        connection_close(connection);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *view)
{
        struct connection *connection = CONTAINER_OF((uv_tcp_t *)stream, struct connection, tcp);

        if (n < 0)
                return connection_close(connection);
        if (receive(connection, view->base, (size_t)n) < 0)
                farewell(connection);
        else
                flush(connection);
}

static void on_wake(void *userdata)
{
        flush(userdata);
}

static int set_up(struct connection *connection, uv_stream_t *listener)
{
        const struct connection_options *options = &connection->options;
        int r;

        r = uv_accept(listener, (uv_stream_t *)&connection->tcp);
        if (r < 0)
                return r;
        uv_tcp_nodelay(&connection->tcp, 1);
        r = h2_new(&connection->h2, &options->h2, on_wake, connection);
        if (r >= 0 && options->tls)
                r = tls_new(&connection->tls, options->tls);
        return r < 0 ? r : uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read);
}

int connection_new(struct connection **ret_connection, uv_stream_t *listener,
                   const struct connection_options *options)
{
        struct connection *connection = calloc(1, sizeof(*connection));
        int r;

        if (!connection)
                return -ENOMEM;
        uv_tcp_init(listener->loop, &connection->tcp);
        connection->options.h2 = options->h2;
        connection->options.tls = options->tls;

        r = set_up(connection, listener);
        if (r < 0) {
                connection_close(connection);
                return r;
        }
        connection->options = *options; /* with `gone`, now that it was there */
        *ret_connection = connection;
        return 0;
}

void connection_stop(struct connection *connection)
{
        h2_terminate(connection->h2);
        farewell(connection);
}

struct connection **connection_next(struct connection *connection)
{
        return &connection->next;
}
