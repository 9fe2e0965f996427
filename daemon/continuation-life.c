/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The life of the cloud's attempts at one request: opens them, builds the body, takes the hedge's stream over, closes
 * and records them. What they say is for continuation.c. Loop thread only.
 */
#include <string.h>

#include "daemon/core/known.h"
#include "daemon/request-private.h"
#include "libmulm/base/utf8.h"

/* What was learned, but where the configuration says how to tell what was said, that. */
static void choose_shape(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        struct dialect_shape known;

        known_shape(continuation->endpoint, &known);
        if (!learned_find(&request->owner->learned, continuation->endpoint, &continuation->shape))
                continuation->shape = known;
        if (known_form_is_fixed(continuation->endpoint)) {
                continuation->shape.form = known.form;
                continuation->shape.prefill = known.prefill;
        }
}

void continuation_init(struct request *request)
{
        sse_init(&request->continuation.sse);
}

void continuation_done(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        continuation_close(request, "cancelled");
        sse_done(&continuation->sse);
        buf_done(&continuation->event.text);
        buf_done(&continuation->whole);
}

/* Nothing is known of the next attempt. */
static void forget_attempt(struct continuation *continuation)
{
        continuation->status = 0;
        continuation->headers = (struct continuation_headers){ 0 };
        continuation->has_text = continuation->released = continuation->is_hedge = false;
        continuation->n_said = 0;
        continuation->text_us = 0;
        continuation->cost = (struct stream_cost){ 0 };
        continuation->stream = DIALECT_STREAM_NULL;
        sse_done(&continuation->sse);
        sse_init(&continuation->sse);
        continuation->sniffed = continuation->is_whole = continuation->is_ended = false;
        buf_clear(&continuation->whole);
}

static void record(struct request *request, const char *reason)
{
        const struct continuation *continuation = &request->continuation;
        const struct cloud_times none = { 0 };
        const struct cloud_times *times = continuation->attempt ? cloud_attempt_times(continuation->attempt) : &none;
        const struct request_attempt attempt = {
                .endpoint = continuation->endpoint->name,
                .form = continuation->released ? dialect_form_name(continuation->shape.form) : "",
                .http_status = continuation->status,
                .reason = reason,
                .n_said = continuation->n_said,
                .opened_us = request_since_ask(request, times->opened_us),
                .released_us = request_since_ask(request, times->released_us),
                .first_text_us = request_since_ask(request, continuation->text_us),
                .ended_us = request_since_ask(request, timers_now_us()),
                .is_hedge = continuation->is_hedge,
                .n_tokens = stream_cost_tokens(&continuation->cost),
        };

        recovery_record(request, &attempt);
}

int continuation_connect(struct request *request, cloud_bytes_fn fn, struct cloud_attempt **ret_attempt,
                         struct buf *error)
{
        const struct continuation *continuation = &request->continuation;
        const struct cloud_request how = {
                .path = continuation->dialect->path,
                .key_header = continuation->dialect->key_header,
                .header = continuation->dialect->header,
                .connect_sec = request->owner->settings->connect_sec,
                .warm_sec = request->owner->settings->warm_sec,
                .probe_sec = request->owner->settings->probe_sec,
        };

        return cloud_open(request->owner->cloud, continuation->endpoint, &how, fn, request, ret_attempt, error);
}

/* Opens an attempt at continuation->endpoint. */
static bool open_at(struct request *request, enum race_event_type *ret_event)
{
        struct continuation *continuation = &request->continuation;
        _cleanup_(buf_done) struct buf error = BUF_NULL;
        int r;

        forget_attempt(continuation);
        r = continuation_connect(request, continuation_on_cloud, &continuation->attempt, &error);
        if (r < 0) {
                request_note(request, "Key", "%s", error.n > 0 ? error.data : strerror(-r));
                record(request, request->error);
                *ret_event = continuation_lose(request, RETRY_CAUSE_UNREACHABLE, 0);
                return false;
        }
        return true;
}

bool continuation_open(struct request *request, enum race_event_type *ret_event)
{
        struct continuation *continuation = &request->continuation;
        const struct settings_endpoint *endpoint;
        uint64_t at_us;

        endpoint = recovery_choose(request, &at_us);
        if (!endpoint) {
                *ret_event = RACE_EVENT_CLOUD_FAILED;
                return false;
        }
        request_forget_note(request);
        if (endpoint != continuation->endpoint) {
                continuation->endpoint = endpoint;
                continuation->dialect = dialect_find(endpoint->dialect);
                continuation->n_reshaped = 0;
                choose_shape(request);
        }
        return open_at(request, ret_event);
}

int continuation_build(struct request *request, struct buf *body)
{
        const struct continuation *continuation = &request->continuation;
        const struct dialect_request ask = {
                .model = continuation->endpoint->model,
                .prompt = &request->prompt,
                .shape = continuation->shape,
                .max_tokens = continuation->endpoint->max_tokens,
                .extra_body = continuation->endpoint->extra_body,
        };
        int r = prompt_set_said(&request->prompt, buf_string(&request->merge.shown), request->merge.shown.n);

        return r < 0 ? r : continuation->dialect->body(&ask, body);
}

bool continuation_release(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        _cleanup_(buf_done) struct buf body = BUF_NULL;
        int r = continuation_build(request, &body);

        if (r < 0) {
                request_note(request, "NoMemory", "The request's body cannot be built: %s.", strerror(-r));
                continuation_close(request, request->error);
                return false;
        }
        continuation->n_said = utf8_count(buf_string(&request->merge.shown), request->merge.shown.n);
        merge_resume(&request->merge, continuation->shape.form == DIALECT_FORM_PREFILL);
        continuation->released = true;
        cloud_release(continuation->attempt, &body);
        return true;
}

bool continuation_adopt(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        struct hedge *hedge = &request->hedge;

        request_forget_note(request);
        forget_attempt(continuation);
        if (continuation->endpoint != hedge->endpoint)
                continuation->n_reshaped = 0;
        continuation->endpoint = hedge->endpoint;
        continuation->dialect = hedge->dialect;
        continuation->shape = hedge->shape;
        continuation->attempt = STEAL(hedge->attempt);
        continuation->released = continuation->is_hedge = true;
        merge_resume(&request->merge, continuation->shape.form == DIALECT_FORM_PREFILL);
        if (cloud_attempt_hand_over(continuation->attempt, continuation_on_cloud, request, &hedge->bytes) < 0) {
                request_note(request, "NoMemory", "No memory for the reply.");
                continuation_close(request, request->error);
                return false;
        }
        return true;
}

void continuation_close(struct request *request, const char *reason)
{
        struct continuation *continuation = &request->continuation;

        if (!continuation->attempt)
                return;
        record(request, reason);
        continuation->times = *cloud_attempt_times(continuation->attempt);
        continuation->attempt = continuation->is_ended ? cloud_attempt_leave(continuation->attempt)
                                                       : cloud_attempt_close(continuation->attempt);
}
