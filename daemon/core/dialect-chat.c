/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Chat completions as OpenAI defined them and many servers speak them, with and without assistant prefill
 * (https://platform.openai.com/docs/api-reference/chat/streaming). What only some of them take is in the shape of the
 * request. Reads what they really send: content as text, parts or null; choices missing or empty; finish_reason
 * empty, "null" or twice; errors with status 200; a whole message instead of a stream. Tools are never offered, so
 * calls of them are never read.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect-shared.h"

/* ----------------------------------------------------------------------------------------------------- body */

/* The last assistant message, which the server's model goes on with. */
static bool add_prefill(cJSON *messages, const struct dialect_request *request)
{
        _cleanup_(buf_done) struct buf said = BUF_NULL;
        cJSON *message;

        if (dialect_prefix(request, &said) < 0)
                return false;
        if (said.n == 0)
                return true;
        message = dialect_add_message(messages, "assistant", said.data);
        return message &&
               (request->shape.prefill != DIALECT_PREFILL_PREFIX || cJSON_AddTrueToObject(message, "prefix"));
}

static bool add_messages(cJSON *body, const struct dialect_request *request)
{
        _cleanup_(buf_done) struct buf last_turn = BUF_NULL;
        const struct prompt *prompt = request->prompt;
        cJSON *messages = cJSON_AddArrayToObject(body, "messages");
        size_t last = prompt_last_user(prompt);
        bool ok = messages && dialect_last_turn(request, &last_turn) == 0;

        if (prompt->system && *prompt->system)
                ok = ok && dialect_add_message(messages, "system", prompt->system);
        for (size_t i = 0; ok && i < prompt->n_messages; i++)
                ok = dialect_add_message(messages, dialect_role_name(prompt->messages[i].role),
                                         i == last ? buf_string(&last_turn) : prompt->messages[i].text);
        return ok && add_prefill(messages, request);
}

static bool add_stream_options(cJSON *body, enum dialect_options options)
{
        cJSON *object;

        if (options == DIALECT_OPTIONS_NONE)
                return true;
        object = cJSON_AddObjectToObject(body, "stream_options");
        return object && cJSON_AddTrueToObject(object, "include_usage") &&
               (options != DIALECT_OPTIONS_BARE || cJSON_AddFalseToObject(object, "include_obfuscation"));
}

static bool add_thinking(cJSON *body, enum dialect_thinking thinking)
{
        const char *effort = dialect_effort_name(thinking);

        if (effort)
                return cJSON_AddStringToObject(body, "reasoning_effort", effort);
        if (thinking == DIALECT_THINKING_TEMPLATE)
                return dialect_add_template_kwargs(body);
        return thinking != DIALECT_THINKING_DISABLED || dialect_add_object(body, "thinking", "type", "disabled");
}

static bool add_flags(cJSON *body, const struct dialect_request *request)
{
        const struct dialect_shape *shape = &request->shape;
        const char *length = shape->length == DIALECT_LENGTH_COMPLETION ? "max_completion_tokens" : "max_tokens";

        if (!cJSON_AddTrueToObject(body, "stream") || !add_stream_options(body, shape->options))
                return false;
        if (request->max_tokens > 0 && !cJSON_AddNumberToObject(body, length, request->max_tokens))
                return false;
        if (shape->form == DIALECT_FORM_PREFILL && shape->prefill == DIALECT_PREFILL_CONTINUE &&
            prompt_said_length(request->prompt) > 0 &&
            (!cJSON_AddTrueToObject(body, "continue_final_message") ||
             !cJSON_AddFalseToObject(body, "add_generation_prompt")))
                return false;
        return add_thinking(body, shape->thinking);
}

static int chat_body(const struct dialect_request *request, struct buf *body)
{
        _cleanup_(cJSON_Deletep) cJSON *root = cJSON_CreateObject();

        if (!root || !dialect_add_model(root, request) || !add_messages(root, request) || !add_flags(root, request))
                return -ENOMEM;
        return dialect_print_body(root, request, body);
}

/* ---------------------------------------------------------------------------------------------------- events */

/* One part of a content list: a string, or {"type":"text","text":...}; Mistral's thinking parts are not spoken. */
static int read_part(struct dialect_stream *stream, const cJSON *part, struct buf *text)
{
        const char *type = json_string(part, "type");
        const char *value = cJSON_IsString(part) ? part->valuestring : json_string(part, "text");

        if (type && strcmp(type, "thinking") == 0)
                stream->has_reasoning = true;
        if (!value || (type && strcmp(type, "text") != 0 && strcmp(type, "output_text") != 0))
                return 0;
        return buf_add_string(text, value);
}

static int read_content(struct dialect_stream *stream, const cJSON *content, struct buf *text)
{
        const cJSON *part;
        int r = 0;

        if (cJSON_IsString(content))
                return buf_add_string(text, content->valuestring);
        if (cJSON_IsArray(content))
                cJSON_ArrayForEach(part, content)
                {
                        r = read_part(stream, part, text);
                        if (r < 0)
                                break;
                }
        return r;
}

/* Three names for the same: llama.cpp, vLLM and DeepSeek; Ollama and OpenRouter; OpenRouter's summaries. */
static bool has_reasoning(const cJSON *message)
{
        return json_is_something(json_member(message, "reasoning_content")) ||
               json_is_something(json_member(message, "reasoning")) ||
               json_is_something(json_member(message, "reasoning_details"));
}

/* Not finished: absent, null, "" (SGLang) or "null" (Ollama behind gateways). */
static enum dialect_event_type read_finish(const char *reason)
{
        static const struct {
                const char *reason;
                enum dialect_event_type type;
        } reasons[] = {
                { "", DIALECT_EVENT_NONE },
                { "null", DIALECT_EVENT_NONE },
                { "length", DIALECT_EVENT_CUT },
                { "max_tokens", DIALECT_EVENT_CUT },
                { "model_length", DIALECT_EVENT_CUT }, /* Mistral: the context is full */
                { "content_filter", DIALECT_EVENT_REFUSED },
                { "refusal", DIALECT_EVENT_REFUSED },
                { "error", DIALECT_EVENT_ERROR },                        /* Mistral, OpenRouter */
                { "abort", DIALECT_EVENT_ERROR },                        /* SGLang, vLLM */
                { "insufficient_system_resource", DIALECT_EVENT_ERROR }, /* DeepSeek */
        };

        if (!reason)
                return DIALECT_EVENT_NONE;
        for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
                if (strcmp(reasons[i].reason, reason) == 0)
                        return reasons[i].type;
        return DIALECT_EVENT_END;
}

static int read_choice(struct dialect_stream *stream, const cJSON *choice, struct dialect_event *event)
{
        const cJSON *message = json_member(choice, "delta");
        const char *reason = json_string(choice, "finish_reason");
        enum dialect_event_type end = read_finish(reason);
        int r;

        /* A reply that was not streamed, though it was asked for. */
        if (!message)
                message = json_member(choice, "message");
        if (end == DIALECT_EVENT_ERROR) {
                event->type = end;
                event->status = 500;
                return buf_printf(&event->text, "the server ended the reply with \"%s\"", reason);
        }
        r = read_content(stream, json_member(message, "content"), &event->text);
        if (r < 0)
                return r;
        stream->has_reasoning = stream->has_reasoning || has_reasoning(message);
        if (json_is_something(json_member(message, "refusal")))
                end = DIALECT_EVENT_REFUSED;
        dialect_event_settle(stream, end, event);
        return 0;
}

/* `error` wins over choices that come with it (OpenRouter). An error in place of a stream need not have that name. */
static bool is_error(const cJSON *root)
{
        if (json_is_something(json_member(root, "error")))
                return true;
        if (dialect_is(root, "object", "error") || dialect_is(root, "type", "error"))
                return true;
        return !json_member(root, "choices") &&
               (json_is_something(json_member(root, "detail")) || json_string(root, "message"));
}

static int read_root(struct dialect_stream *stream, const cJSON *root, struct dialect_event *event)
{
        const cJSON *choices = json_member(root, "choices"), *usage = json_member(root, "usage");

        event->n_input_tokens = json_unsigned(usage, "prompt_tokens");
        event->n_output_tokens = json_unsigned(usage, "completion_tokens");
        if (is_error(root))
                return dialect_event_fail(root, event);
        if (choices && !cJSON_IsArray(choices) && !cJSON_IsNull(choices))
                return -EBADMSG;
        return choices && choices->child ? read_choice(stream, choices->child, event) : 0;
}

static int chat_read(struct dialect_stream *stream, const struct sse_event *event, struct dialect_event *ret_event)
{
        _cleanup_(cJSON_Deletep) cJSON *root = NULL;
        int r;

        dialect_event_clear(ret_event);
        if (dialect_is_done(event)) {
                dialect_event_settle(stream, DIALECT_EVENT_END, ret_event);
                return 0;
        }
        if (strcmp(event->name, "error") == 0)
                r = dialect_event_fail_raw(event, ret_event);
        else if ((r = dialect_parse(event, &root)) == 0)
                r = read_root(stream, root, ret_event);
        if (r < 0)
                dialect_event_clear(ret_event);
        return r;
}

const struct dialect dialect_chat = {
        .name = "chat",
        .path = "/chat/completions",
        .key_header = "Authorization: Bearer ",
        .body = chat_body,
        .read = chat_read,
};
