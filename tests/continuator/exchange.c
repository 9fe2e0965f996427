/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Nothing is said before the request is whole: libcurl 7.88 loses a response that comes with the RST_STREAM that RFC
 * 9113 section 8.1 asks for then. From there on all is driven by the timer: it fires when the next token is due or,
 * once that time has passed, as soon as the worker has one.
 */
#include "tests/continuator/exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libmulm/base/macro.h"

struct exchange {
        const struct exchange_settings *settings;
        const struct exchange_sink *sink;
        struct worker *worker;
        void *userdata;
        uv_timer_t timer;

        struct buf body; /* of the request */
        bool too_large;
        struct job *job;
        struct chat_reply reply;
        uint64_t due_us; /* nothing is sent before, on uv_hrtime()'s clock */
        bool include_usage;
        bool replied; /* head() was called */
        bool over;    /* the reply is whole or given up */
};

static uint64_t now_us(void)
{
        return uv_hrtime() / 1000;
}

static void give_up(struct exchange *exchange)
{
        exchange->replied = exchange->over = true;
        exchange->sink->reset(exchange->userdata);
}

static void refuse(struct exchange *exchange, unsigned status, const char *type, const char *message)
{
        _cleanup_(buf_done) struct buf body = BUF_NULL;

        if (chat_add_error(&body, type, message) < 0)
                return give_up(exchange);
        exchange->replied = exchange->over = true;
        exchange->sink->head(exchange->userdata, status, "application/json");
        exchange->sink->body(exchange->userdata, &body, true);
}

static void refuse_failed(struct exchange *exchange, const struct piece *piece)
{
        const char *sentence = piece->text ? piece->text : "no memory";
        const bool client = piece->error == -E2BIG || piece->error == -EBADMSG || piece->error == -EINVAL;

        refuse(exchange, client ? 400 : 500, client ? "invalid_request_error" : "server_error", sentence);
}

/* Appends the events that one piece makes, and the reply's first ones in front of it. */
static int add_piece(struct exchange *exchange, const struct piece *piece, struct buf *out)
{
        const struct chat_reply *reply = &exchange->reply;
        int r = exchange->replied ? 0 : chat_add_role(out, reply);

        if (r < 0)
                return r;
        if (piece->type == PIECE_TYPE_FAILED)
                return chat_add_stream_error(out, piece->text ? piece->text : "no memory");
        if (piece->type == PIECE_TYPE_TEXT)
                return piece->text && *piece->text ? chat_add_text(out, reply, piece->text) : 0;

        r = chat_add_finish(out, reply, piece->type == PIECE_TYPE_STOP ? "stop" : "length");
        if (r >= 0 && exchange->include_usage)
                r = chat_add_usage(out, reply, piece->n_input_tokens, piece->n_output_tokens);
        return r < 0 ? r : chat_add_done(out);
}

static void send_piece(struct exchange *exchange, const struct piece *piece)
{
        _cleanup_(buf_done) struct buf out = BUF_NULL;

        if (piece->type == PIECE_TYPE_FAILED && !exchange->replied)
                return refuse_failed(exchange, piece);
        if (add_piece(exchange, piece, &out) < 0)
                return give_up(exchange);

        if (!exchange->replied)
                exchange->sink->head(exchange->userdata, 200, "text/event-stream");
        exchange->replied = true;
        exchange->over = piece->type != PIECE_TYPE_TEXT;
        if (out.n > 0 || exchange->over)
                exchange->sink->body(exchange->userdata, &out, exchange->over);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct exchange *exchange)
{
        const uint64_t now = now_us();
        const uint64_t wait_us = exchange->due_us > now ? exchange->due_us - now : 0;

        /* libuv counts in milliseconds: rounded up, so that nothing comes early */
        uv_update_time(exchange->timer.loop);
        uv_timer_start(&exchange->timer, on_timer, (wait_us + 999) / 1000, 0);
}

static void on_timer(uv_timer_t *timer)
{
        struct exchange *exchange = CONTAINER_OF(timer, struct exchange, timer);
        const double rate = exchange->settings->tokens_per_second;
        const uint64_t gap_us = rate > 0 ? (uint64_t)(1e6 / rate) : 0;

        while (!exchange->over) {
                _cleanup_free_ char *text = NULL;
                struct piece piece;
                const uint64_t now = now_us();

                if (now < exchange->due_us) {
                        arm(exchange);
                        break;
                }
                if (!job_take(exchange->job, &piece))
                        break; /* on_job() comes when there is one */
                text = piece.text;
                send_piece(exchange, &piece);
                /* from when it was due, so that timer slack does not add up; a slow model makes no bursts */
                exchange->due_us = (now - exchange->due_us < gap_us ? exchange->due_us : now) + gap_us;
        }
        exchange->sink->wake(exchange->userdata);
}

static void on_job(void *userdata)
{
        arm(userdata);
}

static void on_closed(uv_handle_t *handle)
{
        struct exchange *exchange = CONTAINER_OF((uv_timer_t *)handle, struct exchange, timer);

        buf_done(&exchange->body);
        free(exchange);
}

int exchange_new(struct exchange **ret_exchange, uv_loop_t *loop, const struct exchange_settings *settings,
                 struct worker *worker, const struct exchange_sink *sink, void *userdata)
{
        struct exchange *exchange = calloc(1, sizeof(*exchange));

        if (!exchange)
                return -ENOMEM;
        exchange->settings = settings;
        exchange->worker = worker;
        exchange->sink = sink;
        exchange->userdata = userdata;
        uv_timer_init(loop, &exchange->timer);
        *ret_exchange = exchange;
        return 0;
}

struct exchange *exchange_free(struct exchange *exchange)
{
        if (!exchange)
                return NULL;
        exchange->job = job_release(exchange->job);
        uv_close((uv_handle_t *)&exchange->timer, on_closed);
        return NULL;
}

static bool authorized(const struct exchange_settings *settings, const char *authorization)
{
        static const char scheme[] = "Bearer ";

        return !settings->key || (strncmp(authorization, scheme, strlen(scheme)) == 0 &&
                                  strcmp(authorization + strlen(scheme), settings->key) == 0);
}

void exchange_bytes(struct exchange *exchange, const char *bytes, size_t n)
{
        if (n > EXCHANGE_BODY_MAX - exchange->body.n)
                exchange->too_large = true;
        else if (!exchange->too_large && !exchange->over && buf_add(&exchange->body, bytes, n) < 0)
                give_up(exchange);
}

/* Refuses or leaves the job submitted. */
static void submit(struct exchange *exchange)
{
        _cleanup_(buf_done) struct buf error = BUF_NULL;
        _cleanup_(chat_done) struct chat chat = CHAT_NULL;
        int r;

        r = chat_parse(&chat, buf_string(&exchange->body), exchange->body.n, &error);
        if (r == -EINVAL)
                return refuse(exchange, 400, "invalid_request_error", buf_string(&error));
        if (r < 0)
                return give_up(exchange);
        if (chat.prefix && !exchange->settings->prefill)
                return refuse(exchange, 400, "invalid_request_error",
                              "This model does not support assistant message prefill. "
                              "The conversation must end with a user message.");

        exchange->include_usage = chat.include_usage;
        chat.max_tokens = MIN(chat.max_tokens, exchange->settings->max_tokens);
        r = worker_submit(exchange->worker, &chat, on_job, exchange, &exchange->job);
        if (r == -EBUSY)
                return refuse(exchange, 503, "server_error", "Too many requests are waiting.");
        if (r < 0)
                return give_up(exchange);
}

/* False after a refusal for what the head of the request and the size of its body say. */
static bool admit(struct exchange *exchange, const struct exchange_request *request)
{
        static const char path[] = "/v1/chat/completions";
        const size_t n_path = strcspn(request->path, "?");

        if (!authorized(exchange->settings, request->authorization))
                refuse(exchange, 401, "authentication_error", "Incorrect API key provided.");
        else if (n_path != strlen(path) || strncmp(request->path, path, n_path) != 0)
                refuse(exchange, 404, "invalid_request_error", "There is only /v1/chat/completions here.");
        else if (strcmp(request->method, "POST") != 0)
                refuse(exchange, 405, "invalid_request_error", "Only POST is understood.");
        else if (exchange->too_large)
                refuse(exchange, 413, "invalid_request_error", "The body is larger than 4 MiB.");
        else
                return true;
        return false;
}

void exchange_end(struct exchange *exchange, const struct exchange_request *request)
{
        const uint64_t now = now_us();

        if (exchange->over || !admit(exchange, request))
                return;
        if (exchange->settings->trace)
                fprintf(stderr, "body %zu bytes at %" PRIu64 " us\n", exchange->body.n, now);

        exchange->due_us = now + exchange->settings->first_token_us;
        exchange->reply = (struct chat_reply){
                .id = uv_hrtime(),
                .created = (int64_t)time(NULL),
                .model = worker_model_name(exchange->worker),
        };
        submit(exchange);
        buf_done(&exchange->body);
}
