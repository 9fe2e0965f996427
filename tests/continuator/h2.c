/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * nghttp2 keeps the protocol: framing, flow control, stream states, limits. Here, its callbacks become calls into the
 * exchange, and what the exchange says becomes a response whose data source is the stream's own buffer.
 */
#include "tests/continuator/h2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#include "libmulm/base/macro.h"

#define HEADER_MAX  1024u /* of a value that matters; what is longer is cut and then fits nothing */
#define STREAMS_MAX 100u

struct stream {
        struct h2 *h2;
        struct stream *next, **previous;
        struct exchange *exchange;
        int32_t id;
        char method[HEADER_MAX], path[HEADER_MAX], authorization[HEADER_MAX];
        struct buf out; /* of the response's body, not yet taken by nghttp2 */
        bool out_ended;
};

struct h2 {
        nghttp2_session *session;
        struct h2_options options;
        h2_wake_fn wake;
        void *userdata;
        struct stream *streams;
};

static struct stream *stream_free(struct stream *stream)
{
        *stream->previous = stream->next;
        if (stream->next)
                stream->next->previous = stream->previous;
        exchange_free(stream->exchange);
        buf_done(&stream->out);
        free(stream);
        return NULL;
}

/* -------------------------------------------------------------------------------- what the exchange says */

static ssize_t on_read(nghttp2_session *session _unused_, int32_t id _unused_, uint8_t *data, size_t n,
                       uint32_t *flags, nghttp2_data_source *source, void *userdata _unused_)
{
        struct stream *stream = source->ptr;
        const size_t n_copied = MIN(n, stream->out.n);

        if (n_copied == 0 && !stream->out_ended)
                return NGHTTP2_ERR_DEFERRED;
        if (n_copied > 0)
                memcpy(data, stream->out.data, n_copied);
        buf_drop_front(&stream->out, n_copied);
        if (stream->out_ended && stream->out.n == 0)
                *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)n_copied;
}

static void exchange_reset(void *userdata)
{
        struct stream *stream = userdata;

        nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
}

static nghttp2_nv header(const char *name, const char *value)
{
        return (nghttp2_nv){
                .name = (uint8_t *)name,
                .value = (uint8_t *)value,
                .namelen = strlen(name),
                .valuelen = strlen(value),
        };
}

static void exchange_head(void *userdata, unsigned status, const char *content_type)
{
        struct stream *stream = userdata;
        const nghttp2_data_provider provider = { .source = { .ptr = stream }, .read_callback = on_read };
        nghttp2_nv headers[4];
        size_t n_headers = 0;
        char text[16];

        snprintf(text, sizeof(text), "%u", status);
        headers[n_headers++] = header(":status", text);
        headers[n_headers++] = header("content-type", content_type);
        headers[n_headers++] = header("cache-control", "no-store");
        if (status == 405)
                headers[n_headers++] = header("allow", "POST");
        if (nghttp2_submit_response(stream->h2->session, stream->id, headers, n_headers, &provider) < 0)
                exchange_reset(stream);
}

static void exchange_body(void *userdata, struct buf *bytes, bool end)
{
        struct stream *stream = userdata;

        if (buf_add(&stream->out, bytes->data, bytes->n) < 0)
                return exchange_reset(stream);
        stream->out_ended = end;
        nghttp2_session_resume_data(stream->h2->session, stream->id); /* an error only says that it did not wait */
}

static void exchange_wake(void *userdata)
{
        struct stream *stream = userdata;

        stream->h2->wake(stream->h2->userdata);
}

static const struct exchange_sink exchange_sink = {
        .head = exchange_head,
        .body = exchange_body,
        .wake = exchange_wake,
        .reset = exchange_reset,
};

/* ------------------------------------------------------------------------------------ what nghttp2 says */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *userdata)
{
        struct h2 *h2 = userdata;
        struct stream *stream;
        int r;

        if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
                return 0; /* trailers */

        stream = calloc(1, sizeof(*stream));
        if (!stream)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        stream->h2 = h2;
        stream->id = frame->hd.stream_id;
        r = exchange_new(&stream->exchange, h2->options.loop, h2->options.settings, h2->options.worker,
                         &exchange_sink, stream);
        if (r < 0) {
                free(stream);
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        }

        stream->next = h2->streams;
        stream->previous = &h2->streams;
        if (stream->next)
                stream->next->previous = &stream->next;
        h2->streams = stream;
        return nghttp2_session_set_stream_user_data(session, stream->id, stream);
}

static bool is(const uint8_t *name, size_t n_name, const char *expected)
{
        return n_name == strlen(expected) && memcmp(name, expected, n_name) == 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
                     const uint8_t *value, size_t n_value, uint8_t flags _unused_, void *userdata _unused_)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        char *target;

        if (!stream)
                return 0;
        if (is(name, n_name, ":method"))
                target = stream->method;
        else if (is(name, n_name, ":path"))
                target = stream->path;
        else if (is(name, n_name, "authorization"))
                target = stream->authorization;
        else
                return 0;
        snprintf(target, HEADER_MAX, "%.*s", (int)n_value, (const char *)value);
        return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags _unused_, int32_t id, const uint8_t *data, size_t n,
                   void *userdata _unused_)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, id);

        if (stream)
                exchange_bytes(stream->exchange, (const char *)data, n);
        return 0;
}

static int on_frame_received(nghttp2_session *session, const nghttp2_frame *frame, void *userdata _unused_)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

        if (!stream || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
                return 0;

        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
                exchange_end(stream->exchange,
                             &(struct exchange_request){ stream->method, stream->path, stream->authorization });
        return 0;
}

static int on_stream_closed(nghttp2_session *session, int32_t id, uint32_t code _unused_, void *userdata _unused_)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, id);

        if (stream)
                stream_free(stream);
        return 0;
}

/* --------------------------------------------------------------------------------------------- session */

static int session_new(struct h2 *h2)
{
        const nghttp2_settings_entry settings[] = {
                { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
                { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << 20 },
        };
        nghttp2_session_callbacks *callbacks;
        int r;

        if (nghttp2_session_callbacks_new(&callbacks) < 0)
                return -ENOMEM;
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_received);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_closed);
        r = nghttp2_session_server_new(&h2->session, callbacks, h2);
        nghttp2_session_callbacks_del(callbacks);
        if (r < 0)
                return -ENOMEM;

        r = nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_SIZE(settings));
        return r < 0 ? -ENOMEM : 0;
}

int h2_new(struct h2 **ret_h2, const struct h2_options *options, h2_wake_fn wake, void *userdata)
{
        struct h2 *h2 = calloc(1, sizeof(*h2));
        int r;

        if (!h2)
                return -ENOMEM;
        h2->options = *options;
        h2->wake = wake;
        h2->userdata = userdata;
        r = session_new(h2);
        if (r < 0) {
                h2_free(h2);
                return r;
        }
        *ret_h2 = h2;
        return 0;
}

struct h2 *h2_free(struct h2 *h2)
{
        if (!h2)
                return NULL;
        while (h2->streams)
                stream_free(h2->streams);
        nghttp2_session_del(h2->session);
        free(h2);
        return NULL;
}

int h2_receive(struct h2 *h2, const char *bytes, size_t n)
{
        const ssize_t r = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes, n);

        if (r == NGHTTP2_ERR_NOMEM || r == NGHTTP2_ERR_CALLBACK_FAILURE)
                return -ENOMEM;
        return r < 0 ? -EPROTO : 0;
}

int h2_send(struct h2 *h2, struct buf *out)
{
        const uint8_t *bytes;
        const ssize_t n = nghttp2_session_mem_send(h2->session, &bytes);

        if (n < 0)
                return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
        return n == 0 ? 0 : buf_add(out, bytes, (size_t)n);
}

void h2_terminate(struct h2 *h2)
{
        nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
}

bool h2_is_over(const struct h2 *h2)
{
        return !nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session);
}
