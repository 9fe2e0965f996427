/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The cloud's part of one request: opens the attempt, builds its body, and turns what comes back into text for merge
 * and events for the race. A body is an event stream, or one JSON document, whatever its content type says; anything
 * else is refused. An endpoint that refuses the shape of a request is asked again in another, which is remembered
 * once it brought text. Loop thread only.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/capability.h"
#include "daemon/core/known.h"
#include "daemon/log.h"
#include "daemon/request-private.h"

#define WHOLE_BODY_MAX (1u << 20) /* an error's body or a reply that was not streamed */

#define MESSAGE_ID_CLOUD_FAILED "5b0c7ef2a5a04b0c9d3f6f5c5e7b1a90"

/* ------------------------------------------------------------------------------------------------ failures */

static const char *failure_name(enum cloud_failure failure)
{
        switch (failure) {
        case CLOUD_FAILURE_NONE: return "";
        case CLOUD_FAILURE_RESOLVE: return "Offline";
        case CLOUD_FAILURE_CONNECT: return "Offline";
        case CLOUD_FAILURE_TLS: return "Tls";
        case CLOUD_FAILURE_BROKEN: return "Broken";
        case CLOUD_FAILURE_PROTOCOL: return "Protocol";
        case CLOUD_FAILURE_INTERNAL: return "NoMemory";
        }
        return "";
}

static const char *status_name(unsigned status)
{
        if (status == 401 || status == 402 || status == 403)
                return "Unauthorized";
        return status == 429 ? "RateLimited" : "Status";
}

/* One log line when an endpoint begins to fail in this way, not one for each request that meets it. */
static void log_failure(struct request *request)
{
        struct requests *requests = request->owner;
        const struct log_about about = {
                .request = request->log_name,
                .endpoint = request->continuation.endpoint->name,
                .message_id = MESSAGE_ID_CLOUD_FAILED,
        };

        if (requests->cloud_failing && !strcmp(requests->cloud_failing, request->error))
                return;
        requests->cloud_failing = request->error;
        log_line(LOG_WARNING, &about, "Endpoint %s: %s: %s", request->continuation.endpoint->name, request->error,
                 buf_string(&request->message));
}

static void fail(struct request *request)
{
        log_failure(request);
        continuation_close(request);
        request_step(request, RACE_EVENT_CLOUD_FAILED);
}

/* ----------------------------------------------------------------------------------------------- reshaping */

/* Where nothing was said, the form makes no difference. */
static bool form_is_fixed(const struct request *request)
{
        return known_form_is_fixed(request->continuation.endpoint) || request->merge.shown.n == 0;
}

/* Asks the same question again, in the shape that is in the continuation now. */
static void ask_anew(struct request *request)
{
        request->continuation.n_reshaped++;
        continuation_close(request);
        if (!continuation_open(request) || !continuation_release(request))
                request_step(request, RACE_EVENT_CLOUD_FAILED);
}

static bool may_ask_anew(const struct request *request)
{
        return request->continuation.released && request->continuation.n_reshaped < CAPABILITY_RESHAPED_MAX;
}

/* A shape that was found by trial is kept for the next question, once it has brought text. */
static void remember_shape(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        if (continuation->n_reshaped > 0 && continuation->first_text_us == 0)
                (void)learned_note(&request->owner->learned, continuation->endpoint, &continuation->shape);
}

/* The endpoint did not like how it was asked: true where it is asked in another way now. Behind text, nothing can be
 * asked again from the beginning. */
static bool reshape(struct request *request, unsigned status, const char *message)
{
        struct continuation *continuation = &request->continuation;

        if (continuation->stream.has_text || !may_ask_anew(request) ||
            !capability_refused(continuation->dialect, form_is_fixed(request), status, message, &continuation->shape))
                return false;
        ask_anew(request);
        return true;
}

/* The answer ended without text. */
static void take_starved(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        if (may_ask_anew(request) &&
            capability_starved(continuation->dialect, form_is_fixed(request), &continuation->shape)) {
                ask_anew(request);
                return;
        }
        request_note(request, "Starved", "The cloud reasoned and said nothing within MaxTokens=%u.",
                     continuation->endpoint->max_tokens);
        fail(request);
}

/* --------------------------------------------------------------------------------------------- reading text */

/* Shows the text of the event that was just read. False when that ended the attempt. */
static bool take_text(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        const struct buf *text = &continuation->event.text;

        if (text->n == 0)
                return true;
        remember_shape(request);
        request_step(request, RACE_EVENT_CLOUD_TEXT);
        if (!continuation->attempt)
                return false;
        if (merge_cloud(&request->merge, text->data, text->n, &request->delta) < 0) {
                request_note(request, "NoMemory", "No memory for the reply.");
                fail(request);
                return false;
        }
        request_show(request, REQUEST_SOURCE_CLOUD);
        return true;
}

static void end_well(struct request *request)
{
        request->owner->cloud_failing = NULL;
        continuation_close(request);
        request_step(request, RACE_EVENT_CLOUD_END);
}

/* Acts on the event that was just read. False when that ended the attempt. */
static bool take_event(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        const struct dialect_event *event = &continuation->event;

        if (event->n_input_tokens > 0)
                continuation->n_input_tokens = event->n_input_tokens;
        if (event->n_output_tokens > 0)
                continuation->n_output_tokens = event->n_output_tokens;

        if (continuation->is_ended)
                return true;
        switch (event->type) {
        case DIALECT_EVENT_NONE: return true;
        case DIALECT_EVENT_TEXT: return take_text(request);
        case DIALECT_EVENT_ERROR:
                if (reshape(request, event->status, buf_string(&event->text)))
                        return false;
                request_note(request, status_name(event->status), "The server reports: %s", buf_string(&event->text));
                fail(request);
                return false;
        case DIALECT_EVENT_STARVED: take_starved(request); return false;
        case DIALECT_EVENT_REFUSED:
                if (!take_text(request))
                        return false;
                request_note(request, "Refused", "The cloud declined to go on.");
                fail(request);
                return false;
        case DIALECT_EVENT_CUT:
                if (!take_text(request))
                        return false;
                request_note(request, "Cut", "The reply reached MaxTokens=%u.", continuation->endpoint->max_tokens);
                continuation->is_ended = true;
                return true;
        case DIALECT_EVENT_END: continuation->is_ended = true; return take_text(request);
        }
        return true;
}

/* Reads all events that the bytes so far have made whole. False when the attempt is over. */
static bool drain(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        struct sse_event event;
        int r;

        while ((r = sse_next(&continuation->sse, &event)) > 0) {
                /* Junk between events is common (gateways' keep-alives sent as data); it is skipped. */
                if (continuation->dialect->read(&continuation->stream, &event, &continuation->event) < 0)
                        continue;
                if (!take_event(request))
                        return false;
        }
        if (continuation->is_ended) {
                end_well(request);
                return false;
        }
        if (r < 0) {
                request_note(request, "Protocol", "The event stream cannot be read: %s.", strerror(-r));
                fail(request);
                return false;
        }
        return true;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What kind of body is it? By its first byte that is no blank, since content types lie. */
static void sniff(struct continuation *continuation, const char *bytes, size_t n)
{
        size_t i = 0;

        while (i < n && is_blank(bytes[i]))
                i++;
        if (i == n)
                return;
        continuation->sniffed = true;
        if (bytes[i] == '{' || bytes[i] == '[' || bytes[i] == '<')
                continuation->is_whole = true;
}

static void take_bytes(struct request *request, const char *bytes, size_t n)
{
        struct continuation *continuation = &request->continuation;
        int r;

        if (!continuation->sniffed)
                sniff(continuation, bytes, n);
        if (continuation->is_whole || continuation->status != 200) {
                if (continuation->whole.n + n > WHOLE_BODY_MAX)
                        return;
                r = buf_add(&continuation->whole, bytes, n);
        } else {
                r = sse_feed(&continuation->sse, bytes, n);
        }
        if (r < 0) {
                request_note(request, "Protocol", "The answer cannot be read: %s.", strerror(-r));
                fail(request);
                return;
        }
        if (!continuation->is_whole && continuation->status == 200)
                (void)drain(request);
}

/* ------------------------------------------------------------------------------------------- end of the body */

static void take_error_status(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        _cleanup_(buf_done) struct buf message = BUF_NULL;
        unsigned status;

        (void)dialect_error_message(buf_string(&continuation->whole), continuation->whole.n, &message);
        if (reshape(request, continuation->status, buf_string(&message)))
                return;
        status = dialect_error_status(buf_string(&continuation->whole), continuation->whole.n, continuation->status);
        request_note(request, status_name(status), "HTTP status %u: %s", continuation->status,
                     message.n > 0 ? message.data : "no details");
        fail(request);
}

/* A reply that came as one JSON document. */
static void take_whole(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        const struct sse_event event = {
                .name = "",
                .data = buf_string(&continuation->whole),
                .n_data = continuation->whole.n,
        };

        if (continuation->dialect->read(&continuation->stream, &event, &continuation->event) < 0) {
                request_note(request, "NotAStream", "The answer is no event stream.");
                fail(request);
                return;
        }
        if (!take_event(request))
                return;
        if (continuation->is_ended) {
                end_well(request);
        } else {
                request_note(request, "Broken", "The answer is no whole reply.");
                fail(request);
        }
}

static void take_end(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        if (continuation->status != 200) {
                take_error_status(request);
                return;
        }
        if (continuation->is_whole) {
                take_whole(request);
                return;
        }
        if (sse_end(&continuation->sse) < 0 || drain(request)) {
                request_note(request, "Broken", "The stream ended without its end marker.");
                fail(request);
        }
}

static void on_cloud(void *userdata, const struct cloud_event *event)
{
        struct request *request = userdata;
        struct continuation *continuation = &request->continuation;

        switch (event->type) {
        case CLOUD_EVENT_HEADERS: continuation->status = event->status; break;
        case CLOUD_EVENT_BYTES: take_bytes(request, event->bytes, event->n_bytes); break;
        case CLOUD_EVENT_END: take_end(request); break;
        case CLOUD_EVENT_FAILED:
                request_note(request, failure_name(event->failure), "%s", event->message);
                fail(request);
                break;
        }
}

/* ---------------------------------------------------------------------------------------------------- life */

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
        const struct settings *settings = request->owner->settings;
        struct continuation *continuation = &request->continuation;

        sse_init(&continuation->sse);
        if (request->options.cloud == REQUEST_CLOUD_NEVER || settings->n_endpoint_names == 0)
                return;
        continuation->endpoint = settings_find_endpoint(settings, settings->endpoint_names[0]);
        if (!continuation->endpoint)
                return;
        continuation->dialect = dialect_find(continuation->endpoint->dialect);
        choose_shape(request);
}

void continuation_done(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        continuation_close(request);
        sse_done(&continuation->sse);
        buf_done(&continuation->event.text);
        buf_done(&continuation->whole);
}

bool continuation_open(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        const struct cloud_request how = {
                .path = continuation->dialect->path,
                .key_header = continuation->dialect->key_header,
                .header = continuation->dialect->header,
                .connect_sec = request->owner->settings->connect_sec,
        };
        _cleanup_(buf_done) struct buf error = BUF_NULL;
        int r;

        continuation->status = 0;
        continuation->stream = DIALECT_STREAM_NULL;
        sse_done(&continuation->sse);
        sse_init(&continuation->sse);
        continuation->sniffed = continuation->is_whole = continuation->is_ended = false;
        buf_clear(&continuation->whole);
        r = cloud_open(request->owner->cloud, continuation->endpoint, &how, on_cloud, request, &continuation->attempt,
                       &error);
        if (r < 0) {
                request_note(request, "Key", "%s", error.n > 0 ? error.data : strerror(-r));
                log_failure(request);
                return false;
        }
        return true;
}

bool continuation_release(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        _cleanup_(buf_done) struct buf body = BUF_NULL;
        const struct dialect_request ask = {
                .model = continuation->endpoint->model,
                .prompt = &request->prompt,
                .shape = continuation->shape,
                .max_tokens = continuation->endpoint->max_tokens,
                .extra_body = continuation->endpoint->extra_body,
        };
        int r;

        r = prompt_set_said(&request->prompt, buf_string(&request->merge.shown), request->merge.shown.n);
        if (r == 0)
                r = continuation->dialect->body(&ask, &body);
        if (r < 0) {
                request_note(request, "NoMemory", "The request's body cannot be built: %s.", strerror(-r));
                continuation_close(request);
                return false;
        }
        continuation->released = true;
        cloud_release(continuation->attempt, &body);
        return true;
}

void continuation_note_timeout(struct request *request)
{
        request_note(request, "Timeout", "The cloud did not go on in time.");
        if (request->continuation.attempt)
                log_failure(request);
}

void continuation_close(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        if (!continuation->attempt)
                return;
        continuation->times = *cloud_attempt_times(continuation->attempt);
        continuation->attempt = continuation->is_ended ? cloud_attempt_leave(continuation->attempt)
                                                       : cloud_attempt_close(continuation->attempt);
}
