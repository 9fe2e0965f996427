/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the cloud says to one request, turned into text for merge and events for the race. A body is an event stream,
 * or one JSON document, whatever its content type says; anything else is refused. An endpoint that refuses the shape
 * of a request is asked again in another, which is remembered once it brought text; what else fails, recovery.c
 * decides about. Loop thread only.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/capability.h"
#include "daemon/core/known.h"
#include "daemon/core/language.h"
#include "daemon/log.h"
#include "daemon/request-private.h"

#define WHOLE_BODY_MAX (1u << 20) /* an error's body or a reply that was not streamed */

/* ------------------------------------------------------------------------------------------------ failures */

static const char *failure_name(enum cloud_failure failure)
{
        switch (failure) {
        case CLOUD_FAILURE_NONE: return "";
        case CLOUD_FAILURE_RESOLVE: return "Offline";
        case CLOUD_FAILURE_NETWORK:
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

/* In the middle of a reply the network was there a moment ago. */
static enum retry_cause failure_cause(const struct request *request, enum cloud_failure failure)
{
        switch (failure) {
        case CLOUD_FAILURE_RESOLVE:
        case CLOUD_FAILURE_NETWORK: return request->race.answered ? RETRY_CAUSE_AWAY : RETRY_CAUSE_UNREACHABLE;
        case CLOUD_FAILURE_CONNECT:
        case CLOUD_FAILURE_TLS:
        case CLOUD_FAILURE_INTERNAL: return RETRY_CAUSE_UNREACHABLE;
        case CLOUD_FAILURE_NONE:
        case CLOUD_FAILURE_BROKEN:
        case CLOUD_FAILURE_PROTOCOL: break;
        }
        return RETRY_CAUSE_BROKEN;
}

/* The attempt is over for the reason that was noted; the event is for the race. */
enum race_event_type continuation_lose(struct request *request, enum retry_cause cause, unsigned status)
{
        const struct continuation_headers *headers = &request->continuation.headers;
        const struct recovery_failure failure = {
                .cause = cause,
                .status = status,
                .headers = { .retry_after_ms = headers->retry_after_ms,
                             .retry_after = headers->retry_after,
                             .should_retry = headers->should_retry },
        };

        recovery_note_failure(request);
        continuation_close(request, request->error);
        return recovery_decide(request, &failure);
}

static void fail(struct request *request, enum retry_cause cause)
{
        request_step(request, continuation_lose(request, cause, 0));
}

static void fail_by_status(struct request *request, unsigned status)
{
        request_step(request, continuation_lose(request, RETRY_CAUSE_STATUS, status));
}

/* It would be no better anywhere else. */
static void give_up(struct request *request)
{
        continuation_close(request, request->error);
        request_step(request, RACE_EVENT_CLOUD_FAILED);
}

/* ----------------------------------------------------------------------------------------------- reshaping */

/* Where nothing was said, the form makes no difference. */
static bool form_is_fixed(const struct request *request)
{
        return known_form_is_fixed(request->continuation.endpoint) || request->merge.shown.n == 0;
}

/* Asks the same question again, at once, in the shape that is in the continuation now. */
static void ask_anew(struct request *request, const char *reason)
{
        request->continuation.n_reshaped++;
        continuation_close(request, reason);
        race_resume_at(&request->race, timers_now_us());
        request_step(request, RACE_EVENT_CLOUD_LOST);
}

static bool may_ask_anew(const struct request *request)
{
        return request->continuation.released && request->continuation.n_reshaped < CAPABILITY_RESHAPED_MAX;
}

static void note_shape(struct request *request, const struct dialect_shape *shape)
{
        if (learned_note(&request->owner->learned, request->continuation.endpoint, shape) <= 0)
                return;
        request->owner->has_news = true;
        requests_save_state(request->owner);
}

/* A shape that was found by trial is kept for the next question, once it has brought text. */
static void remember_shape(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        if (continuation->n_reshaped > 0 && !continuation->has_text)
                note_shape(request, &continuation->shape);
}

/* The endpoint did not like how it was asked: true where it is asked in another way now. Behind text, nothing can be
 * asked again from the beginning. */
static bool reshape(struct request *request, unsigned status, const char *message)
{
        struct continuation *continuation = &request->continuation;

        if (continuation->stream.has_text || !may_ask_anew(request) ||
            !capability_refused(continuation->dialect, form_is_fixed(request), status, message, &continuation->shape))
                return false;
        ask_anew(request, status_name(status));
        return true;
}

/* The answer ended without text. */
static void take_starved(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        if (may_ask_anew(request) &&
            capability_starved(continuation->dialect, form_is_fixed(request), &continuation->shape)) {
                ask_anew(request, "Starved");
                return;
        }
        request_note(request, "Starved", "The cloud reasoned and said nothing within MaxTokens=%u.",
                     continuation->endpoint->max_tokens);
        fail_by_status(request, 422); /* it was asked in every way that may be */
}

/* --------------------------------------------------------------------------------------------- reading text */

/* Reasoning counts: a person waits through it too. */
static void note_first_text(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        continuation->text_us = timers_now_us();
        if (continuation->released)
                recovery_note_delay(request,
                                    continuation->text_us - cloud_attempt_times(continuation->attempt)->released_us);
}

/* Shows the text of the event that was just read. False when that ended the attempt. */
static bool take_text(struct request *request)
{
        struct continuation *continuation = &request->continuation;
        const struct buf *text = &continuation->event.text;

        if (text->n == 0)
                return true;
        remember_shape(request);
        if (!continuation->has_text)
                note_first_text(request);
        continuation->has_text = true;
        request_step(request, RACE_EVENT_CLOUD_TEXT);
        if (!continuation->attempt)
                return false;
        if (merge_cloud(&request->merge, text->data, text->n, &request->delta) < 0) {
                request_note(request, "NoMemory", "No memory for the reply.");
                give_up(request);
                return false;
        }
        showing_take(request, REQUEST_SOURCE_CLOUD);
        return true;
}

static void end_well(struct request *request)
{
        recovery_note_success(request);
        continuation_close(request, *request->error ? request->error : "complete");
        request_step(request, RACE_EVENT_CLOUD_END);
}

/* In the language of the question. */
static int say_refused(struct request *request)
{
        const char *question = request->prompt.messages[prompt_last_user(&request->prompt)].text;
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        int r = prompts_add_refused(&request->owner->settings->prompts, language_guess(question), &text);

        return r < 0 ? r : merge_aside(&request->merge, text.data, text.n, &request->delta);
}

/* The cloud declined. Behind something that was said, the reply is turned to its end; nobody else is asked to say it.
 */
static void take_refusal(struct request *request)
{
        struct continuation *continuation = &request->continuation;

        if (request->merge.shown.n == 0) {
                give_up(request);
                return;
        }
        request_step(request, RACE_EVENT_CLOUD_TEXT);
        if (!continuation->attempt)
                return;
        if (say_refused(request) < 0) {
                give_up(request);
                return;
        }
        showing_take(request, REQUEST_SOURCE_CLOUD);
        end_well(request);
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
        stream_cost_add(&continuation->cost, event);

        if (continuation->is_ended)
                return true;
        switch (event->type) {
        case DIALECT_EVENT_NONE: return true;
        case DIALECT_EVENT_TEXT: return take_text(request);
        case DIALECT_EVENT_ERROR:
                if (reshape(request, event->status, buf_string(&event->text)))
                        return false;
                request_note(request, status_name(event->status), "The server reports: %s", buf_string(&event->text));
                fail_by_status(request, event->status);
                return false;
        case DIALECT_EVENT_STARVED: take_starved(request); return false;
        case DIALECT_EVENT_REFUSED:
                if (!take_text(request))
                        return false;
                request_note(request, "Refused", "The cloud declined to go on.");
                take_refusal(request);
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
                fail(request, RETRY_CAUSE_BROKEN);
                return false;
        }
        return true;
}

#define BLANKS " \t\r\n"

static const char *skip_blanks(const char *text)
{
        return text + strspn(text, BLANKS);
}

/* What kind of body is it? By its first byte that is no blank, since content types lie. */
static void sniff(struct continuation *continuation, const char *bytes, size_t n)
{
        size_t i = 0;

        while (i < n && memchr(BLANKS, bytes[i], strlen(BLANKS)))
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
                fail(request, RETRY_CAUSE_BROKEN);
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
        fail_by_status(request, status);
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

        int r = continuation->dialect->read(&continuation->stream, &event, &continuation->event);

        if (r < 0 && *skip_blanks(event.data) == '<') {
                request_note(request, "NotAStream", "The answer is no event stream.");
                fail(request, RETRY_CAUSE_UNREACHABLE); /* a portal's page stands in the way */
                return;
        }
        if (r == 0 && !take_event(request))
                return;
        if (r == 0 && continuation->is_ended) {
                end_well(request);
        } else {
                request_note(request, "Broken", "The answer is no whole reply.");
                fail(request, RETRY_CAUSE_BROKEN);
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
                fail(request, RETRY_CAUSE_BROKEN);
        }
}

/* One that is too long stays empty, which is none. */
static void copy_header(char *to, size_t size, const char *value)
{
        to[0] = '\0';
        if (value && strlen(value) < size)
                memcpy(to, value, strlen(value) + 1);
}

static void take_headers(struct continuation *continuation, const struct cloud_event *event)
{
        struct continuation_headers *headers = &continuation->headers;

        continuation->status = event->status;
        copy_header(headers->retry_after_ms, sizeof(headers->retry_after_ms), event->retry.retry_after_ms);
        copy_header(headers->retry_after, sizeof(headers->retry_after), event->retry.retry_after);
        copy_header(headers->should_retry, sizeof(headers->should_retry), event->retry.should_retry);
}

void continuation_on_cloud(void *userdata, const struct cloud_event *event)
{
        struct request *request = userdata;
        struct continuation *continuation = &request->continuation;

        switch (event->type) {
        case CLOUD_EVENT_HEADERS: take_headers(continuation, event); break;
        case CLOUD_EVENT_BYTES: take_bytes(request, event->bytes, event->n_bytes); break;
        case CLOUD_EVENT_END: take_end(request); break;
        case CLOUD_EVENT_FAILED:
                /* What a refusal says counts, also where its body broke off. */
                if (continuation->status != 0 && continuation->status != 200) {
                        take_error_status(request);
                        break;
                }
                request_note(request, failure_name(event->failure), "%s", event->message);
                fail(request, failure_cause(request, event->failure));
                break;
        }
}

/* ------------------------------------------------------------------------------------------------- silence */

void continuation_stall(struct request *request)
{
        request_note(request, "Timeout", "The cloud did not go on in time.");
        /* One that has not even begun is not asked again. */
        fail(request, request->continuation.has_text ? RETRY_CAUSE_BROKEN : RETRY_CAUSE_UNREACHABLE);
}

void continuation_note_timeout(struct request *request)
{
        request_note(request, "Timeout", "The cloud did not go on in time.");
        if (request->continuation.attempt)
                recovery_note_failure(request);
}
