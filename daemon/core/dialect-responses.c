/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * OpenAI's responses (https://platform.openai.com/docs/api-reference/responses-streaming), also as vLLM, llama.cpp,
 * Ollama and gateways speak them. Only deltas are spoken; what the events after them repeat is read where no delta
 * came. Messages of phase "commentary" and reasoning are never spoken. The reply is over with completed, incomplete
 * or failed: [DONE], which gateways add, ends nothing here. Replies are not to be stored by the server.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect-shared.h"

#define ITEMS_MAX 64 /* output items whose phase is remembered; a reply without tools has two or three */

/* ----------------------------------------------------------------------------------------------------- body */

/* Whole, with its type and parts: llama.cpp refuses the short form. vLLM goes on with one that is in progress, and
 * llama.cpp with any that comes last. */
static bool add_assistant(cJSON *input, const char *text, const char *status)
{
        cJSON *message = dialect_add_message(input, "assistant", NULL), *content, *part = cJSON_CreateObject();

        content = message ? cJSON_AddArrayToObject(message, "content") : NULL;
        if (!content || !part || !cJSON_AddItemToArray(content, part)) {
                cJSON_Delete(part);
                return false;
        }
        return cJSON_AddStringToObject(message, "type", "message") &&
               (!status || cJSON_AddStringToObject(message, "status", status)) &&
               cJSON_AddStringToObject(part, "type", "output_text") && cJSON_AddStringToObject(part, "text", text);
}

static bool add_input(cJSON *body, const struct dialect_request *request)
{
        _cleanup_(buf_done) struct buf last_turn = BUF_NULL, said = BUF_NULL;
        const struct prompt *prompt = request->prompt;
        cJSON *input = cJSON_AddArrayToObject(body, "input");
        size_t last = prompt_last_user(prompt);
        bool ok = input && dialect_last_turn(request, &last_turn) == 0 && dialect_prefix(request, &said) == 0;

        for (size_t i = 0; ok && i < prompt->n_messages; i++) {
                const struct prompt_message *message = &prompt->messages[i];

                if (message->role == PROMPT_ROLE_ASSISTANT)
                        ok = add_assistant(input, message->text, NULL);
                else
                        ok = dialect_add_message(input, dialect_role_name(message->role),
                                                 i == last ? buf_string(&last_turn) : message->text);
        }
        return ok && (said.n == 0 || add_assistant(input, said.data, "in_progress"));
}

static bool add_flags(cJSON *body, const struct dialect_request *request)
{
        const char *effort = dialect_effort_name(request->shape.thinking);
        cJSON *options = NULL;

        if (!cJSON_AddTrueToObject(body, "stream") || !cJSON_AddFalseToObject(body, "store"))
                return false;
        if (request->shape.options != DIALECT_OPTIONS_NONE) {
                options = cJSON_AddObjectToObject(body, "stream_options");
                if (!options || !cJSON_AddFalseToObject(options, "include_obfuscation"))
                        return false;
        }
        if (request->max_tokens > 0 && !cJSON_AddNumberToObject(body, "max_output_tokens", request->max_tokens))
                return false;
        if (effort)
                return dialect_add_object(body, "reasoning", "effort", effort);
        return request->shape.thinking != DIALECT_THINKING_TEMPLATE || dialect_add_template_kwargs(body);
}

static int responses_body(const struct dialect_request *request, struct buf *body)
{
        _cleanup_(cJSON_Deletep) cJSON *root = cJSON_CreateObject();
        const char *system = request->prompt->system;

        if (!root || !dialect_add_model(root, request) ||
            (system && *system && !cJSON_AddStringToObject(root, "instructions", system)) ||
            !add_input(root, request) || !add_flags(root, request))
                return -ENOMEM;
        return dialect_print_body(root, request, body);
}

/* ---------------------------------------------------------------------------------------------------- events */

/* An item begins: deltas name only its index, so that its phase has to be remembered. */
static void begin_item(struct dialect_stream *stream, const cJSON *root)
{
        const cJSON *item = json_member(root, "item");
        unsigned long long bit;

        stream->item = json_unsigned(root, "output_index");
        if (dialect_is(item, "type", "reasoning"))
                stream->has_reasoning = true;
        if (stream->item >= ITEMS_MAX)
                return;
        bit = 1ull << stream->item;
        stream->commentary &= ~bit;
        if (dialect_is(item, "phase", "commentary"))
                stream->commentary |= bit;
}

static bool is_commentary(const struct dialect_stream *stream, const cJSON *root)
{
        unsigned item = json_member(root, "output_index") ? json_unsigned(root, "output_index") : stream->item;

        return item < ITEMS_MAX && (stream->commentary >> item & 1);
}

static int read_delta(struct dialect_stream *stream, const cJSON *root, struct dialect_event *event)
{
        const char *delta = json_string(root, "delta");
        int r = 0;

        if (delta && !is_commentary(stream, root))
                r = buf_add_string(&event->text, delta);
        dialect_event_settle(stream, DIALECT_EVENT_NONE, event);
        return r;
}

/* A whole message, where nothing of it was streamed. */
static int read_message(const cJSON *item, struct dialect_event *event, bool *refused)
{
        const cJSON *part;
        int r = 0;

        if (!dialect_is(item, "type", "message") || dialect_is(item, "phase", "commentary"))
                return 0;
        cJSON_ArrayForEach(part, json_member(item, "content"))
        {
                const char *text = json_string(part, "text");

                if (dialect_is(part, "type", "refusal"))
                        *refused = true;
                if (r == 0 && text && dialect_is(part, "type", "output_text"))
                        r = buf_add_string(&event->text, text);
        }
        return r;
}

static enum dialect_event_type incomplete_end(const cJSON *response)
{
        return dialect_is(json_member(response, "incomplete_details"), "reason", "content_filter")
                       ? DIALECT_EVENT_REFUSED
                       : DIALECT_EVENT_CUT;
}

/* Of a response that was not streamed. */
static enum dialect_event_type end_of(const cJSON *response)
{
        if (dialect_is(response, "status", "failed"))
                return DIALECT_EVENT_ERROR;
        if (dialect_is(response, "status", "incomplete"))
                return incomplete_end(response);
        return dialect_is(response, "status", "completed") ? DIALECT_EVENT_END : DIALECT_EVENT_NONE;
}

/* A response that is over: inside the last event, or in place of a stream. */
static int read_response(struct dialect_stream *stream, const cJSON *response, enum dialect_event_type end,
                         struct dialect_event *event)
{
        const cJSON *usage = json_member(response, "usage"), *item;
        bool refused = false, had_text = stream->has_text;
        int r = 0;

        event->n_input_tokens = json_unsigned(usage, "input_tokens");
        event->n_output_tokens = json_unsigned(usage, "output_tokens");
        if (end == DIALECT_EVENT_ERROR)
                return dialect_event_fail(response, event);
        cJSON_ArrayForEach(item, json_member(response, "output"))
        {
                if (dialect_is(item, "type", "reasoning"))
                        stream->has_reasoning = true;
                if (r == 0 && !had_text)
                        r = read_message(item, event, &refused);
        }
        dialect_event_settle(stream, refused ? DIALECT_EVENT_REFUSED : end, event);
        return r;
}

static bool is_reasoning(const char *type)
{
        return strncmp(type, "response.reasoning", strlen("response.reasoning")) == 0;
}

static int read_typed(struct dialect_stream *stream, const char *type, const cJSON *root, struct dialect_event *event)
{
        const cJSON *response = json_member(root, "response");

        if (strcmp(type, "response.output_text.delta") == 0)
                return read_delta(stream, root, event);
        if (strcmp(type, "response.output_item.added") == 0)
                begin_item(stream, root);
        else if (strcmp(type, "response.refusal.delta") == 0 || strcmp(type, "response.refusal.done") == 0)
                event->type = DIALECT_EVENT_REFUSED;
        else if (strcmp(type, "response.completed") == 0)
                return read_response(stream, response, DIALECT_EVENT_END, event);
        else if (strcmp(type, "response.incomplete") == 0)
                return read_response(stream, response, incomplete_end(response), event);
        else if (strcmp(type, "response.failed") == 0)
                return dialect_event_fail(response, event);
        else if (strcmp(type, "error") == 0)
                return dialect_event_fail(root, event);
        else if (is_reasoning(type))
                stream->has_reasoning = true;
        return 0;
}

static int read_root(struct dialect_stream *stream, const struct sse_event *sse, const cJSON *root,
                     struct dialect_event *event)
{
        const char *type = json_string(root, "type");

        if (!dialect_is(root, "object", "response") && dialect_is_foreign_error(root))
                return dialect_event_fail(root, event);
        /* The event's own name says the same; some gateways leave one of the two out. */
        if (!type)
                type = sse->name;
        if (*type)
                return read_typed(stream, type, root, event);
        return dialect_is(root, "object", "response") ? read_response(stream, root, end_of(root), event) : 0;
}

static int responses_read(struct dialect_stream *stream, const struct sse_event *event,
                          struct dialect_event *ret_event)
{
        return dialect_read_typed(stream, event, read_root, ret_event);
}

const struct dialect dialect_responses = {
        .name = "responses",
        .path = "/responses",
        .key_header = "Authorization: Bearer ",
        .body = responses_body,
        .read = responses_read,
};
