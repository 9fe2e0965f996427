/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The hedge: a second stream beside the one that waits for the opener, which asks for the whole answer at once. It
 * tells the race when its text begins and keeps what came until the continuation takes the stream over or the race
 * drops it. A failure of it is nobody's trouble: the attempt is recorded, and that is all. Loop thread only.
 */
#include <string.h>

#include "daemon/request-private.h"

#define BYTES_MAX (1u << 20) /* an answer that long has begun, or is none */

void stream_cost_add(struct stream_cost *cost, const struct dialect_event *event)
{
        if (event->n_output_tokens > 0)
                cost->n_counted = event->n_output_tokens;
        if (event->text.n > 0 && event->type != DIALECT_EVENT_ERROR)
                cost->n_pieces++;
}

unsigned stream_cost_tokens(const struct stream_cost *cost)
{
        return cost->n_counted > 0 ? cost->n_counted : cost->n_pieces;
}

void hedge_init(struct request *request)
{
        sse_init(&request->hedge.sse);
}

void hedge_done(struct request *request)
{
        struct hedge *hedge = &request->hedge;

        hedge_close(request, "cancelled");
        sse_done(&hedge->sse);
        buf_done(&hedge->event.text);
        buf_done(&hedge->bytes);
}

void hedge_close(struct request *request, const char *reason)
{
        struct hedge *hedge = &request->hedge;
        struct request_attempt attempt;
        const struct cloud_times *times;

        if (!hedge->attempt)
                return;
        times = cloud_attempt_times(hedge->attempt);
        attempt = (struct request_attempt){
                .endpoint = hedge->endpoint->name,
                .form = dialect_form_name(hedge->shape.form),
                .http_status = hedge->status,
                .reason = reason,
                .opened_us = request_since_ask(request, times->opened_us),
                .released_us = request_since_ask(request, times->released_us),
                .ended_us = request_since_ask(request, timers_now_us()),
                .is_hedge = true,
                .n_tokens = stream_cost_tokens(&hedge->cost),
        };
        recovery_record(request, &attempt);
        hedge->attempt = cloud_attempt_close(hedge->attempt);
        buf_clear(&hedge->bytes);
}

static void lose(struct request *request, const char *reason)
{
        hedge_close(request, reason);
        request_step(request, RACE_EVENT_HEDGE_OVER);
}

/* True when the events that are whole by now have text. What they are else is the continuation's to judge. */
static bool has_text(struct hedge *hedge)
{
        bool has_text = false;
        struct sse_event event;

        while (sse_next(&hedge->sse, &event) > 0) {
                if (hedge->dialect->read(&hedge->stream, &event, &hedge->event) < 0)
                        continue;
                stream_cost_add(&hedge->cost, &hedge->event);
                has_text |= hedge->event.text.n > 0 && hedge->event.type != DIALECT_EVENT_ERROR;
        }
        return has_text;
}

static void take_bytes(struct request *request, const char *bytes, size_t n)
{
        struct hedge *hedge = &request->hedge;

        if (hedge->bytes.n + n > BYTES_MAX || buf_add(&hedge->bytes, bytes, n) < 0 ||
            sse_feed(&hedge->sse, bytes, n) < 0)
                lose(request, "Protocol");
        else if (has_text(hedge))
                request_step(request, RACE_EVENT_HEDGE_TEXT);
}

static void on_hedge(void *userdata, const struct cloud_event *event)
{
        struct request *request = userdata;

        switch (event->type) {
        case CLOUD_EVENT_HEADERS:
                request->hedge.status = event->status;
                if (event->status != 200)
                        lose(request, "Status");
                break;
        case CLOUD_EVENT_BYTES: take_bytes(request, event->bytes, event->n_bytes); break;
        case CLOUD_EVENT_END: break; /* it may be needed all the same */
        case CLOUD_EVENT_FAILED: lose(request, "Broken"); break;
        }
}

bool hedge_open(struct request *request)
{
        const struct continuation *continuation = &request->continuation;
        struct hedge *hedge = &request->hedge;
        _cleanup_(buf_done) struct buf body = BUF_NULL, error = BUF_NULL;

        /* Where there is nobody to be asked, or where asking has just failed. */
        if (!continuation->attempt || continuation_build(request, &body) < 0 ||
            continuation_connect(request, on_hedge, &hedge->attempt, &error) < 0)
                return false;
        hedge->endpoint = continuation->endpoint;
        hedge->dialect = continuation->dialect;
        hedge->shape = continuation->shape;
        cloud_release(hedge->attempt, &body);
        return true;
}
