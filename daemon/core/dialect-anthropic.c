/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Anthropic's messages (https://docs.anthropic.com/en/api/messages-streaming). The conversation begins with the user
 * and alternates, without empty texts; temperature and its kin are never sent, since new models refuse them. Text is
 * chosen by its type, never by its place; thinking, signatures, pings and unknown events say nothing. A stop reason
 * ends the reply, and so does message_stop; a refusal comes as one with status 200.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect-shared.h"

#define MAX_TOKENS 1024 /* the member is required */

/* ----------------------------------------------------------------------------------------------------- body */

/* Messages of one role in a row become one turn. */
struct turns {
        cJSON *messages;
        enum prompt_role role;
        struct buf text;
};

static void turns_done(struct turns *turns)
{
        buf_done(&turns->text);
}

/* A conversation that begins with the assistant is refused. */
static bool flush_turn(struct turns *turns)
{
        bool ok = true;

        if (turns->text.n > 0 && (turns->messages->child || turns->role == PROMPT_ROLE_USER))
                ok = dialect_add_message(turns->messages, dialect_role_name(turns->role), turns->text.data);
        buf_clear(&turns->text);
        return ok;
}

static bool add_turn(struct turns *turns, enum prompt_role role, const char *text)
{
        /* Blank texts are refused too. */
        if (text[strspn(text, " \t\r\n")] == '\0')
                return true;
        if (role != turns->role && !flush_turn(turns))
                return false;
        turns->role = role;
        return (turns->text.n == 0 || buf_add_string(&turns->text, "\n\n") == 0) &&
               buf_add_string(&turns->text, text) == 0;
}

static bool add_messages(cJSON *body, const struct dialect_request *request)
{
        _cleanup_(turns_done) struct turns turns = { .role = PROMPT_ROLE_USER };
        _cleanup_(buf_done) struct buf last_turn = BUF_NULL, said = BUF_NULL;
        const struct prompt *prompt = request->prompt;
        size_t last = prompt_last_user(prompt);
        bool ok = dialect_last_turn(request, &last_turn) == 0 && dialect_prefix(request, &said) == 0;

        turns.messages = cJSON_AddArrayToObject(body, "messages");
        ok = ok && turns.messages;
        for (size_t i = 0; ok && i < prompt->n_messages; i++)
                if (prompt->messages[i].role != PROMPT_ROLE_SYSTEM)
                        ok = add_turn(&turns, prompt->messages[i].role,
                                      i == last ? buf_string(&last_turn) : prompt->messages[i].text);
        ok = ok && (said.n == 0 || add_turn(&turns, PROMPT_ROLE_ASSISTANT, said.data));
        return ok && flush_turn(&turns);
}

/* All that is not said by user or assistant. */
static bool add_system(cJSON *body, const struct prompt *prompt)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        if (buf_add_string(&text, prompt->system ? prompt->system : "") < 0)
                return false;
        for (size_t i = 0; i < prompt->n_messages; i++)
                if (prompt->messages[i].role == PROMPT_ROLE_SYSTEM &&
                    buf_printf(&text, "%s%s", text.n > 0 ? "\n\n" : "", prompt->messages[i].text) < 0)
                        return false;
        return text.n == 0 || cJSON_AddStringToObject(body, "system", text.data);
}

static bool add_flags(cJSON *body, const struct dialect_request *request)
{
        const char *effort = dialect_effort_name(request->shape.thinking);

        if (!cJSON_AddTrueToObject(body, "stream"))
                return false;
        if (effort)
                return dialect_add_object(body, "output_config", "effort", effort);
        return request->shape.thinking != DIALECT_THINKING_DISABLED ||
               dialect_add_object(body, "thinking", "type", "disabled");
}

static int anthropic_body(const struct dialect_request *request, struct buf *body)
{
        _cleanup_(cJSON_Deletep) cJSON *root = cJSON_CreateObject();
        unsigned max_tokens = request->max_tokens > 0 ? request->max_tokens : MAX_TOKENS;

        if (!root || !dialect_add_model(root, request) || !cJSON_AddNumberToObject(root, "max_tokens", max_tokens) ||
            !add_system(root, request->prompt) || !add_messages(root, request) || !add_flags(root, request))
                return -ENOMEM;
        return dialect_print_body(root, request, body);
}

/* ---------------------------------------------------------------------------------------------------- events */

static enum dialect_event_type read_stop(const char *reason)
{
        static const struct {
                const char *reason;
                enum dialect_event_type type;
        } reasons[] = {
                { "max_tokens", DIALECT_EVENT_CUT },
                { "model_context_window_exceeded", DIALECT_EVENT_CUT },
                { "pause_turn", DIALECT_EVENT_CUT }, /* the server wants to be asked for the rest */
                { "refusal", DIALECT_EVENT_REFUSED },
        };

        if (!reason || !*reason)
                return DIALECT_EVENT_NONE;
        for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
                if (strcmp(reasons[i].reason, reason) == 0)
                        return reasons[i].type;
        return DIALECT_EVENT_END;
}

static void read_usage(const cJSON *holder, struct dialect_event *event)
{
        const cJSON *usage = json_member(holder, "usage");

        event->n_input_tokens = json_unsigned(usage, "input_tokens");
        event->n_output_tokens = json_unsigned(usage, "output_tokens");
}

/* A content block at its beginning or, where nothing was streamed, whole. */
static int read_block(struct dialect_stream *stream, const cJSON *block, struct dialect_event *event)
{
        const char *text = json_string(block, "text");

        if (dialect_is(block, "type", "thinking") || dialect_is(block, "type", "redacted_thinking"))
                stream->has_reasoning = true;
        return text && dialect_is(block, "type", "text") ? buf_add_string(&event->text, text) : 0;
}

static int read_delta(struct dialect_stream *stream, const cJSON *delta, struct dialect_event *event)
{
        const char *text = json_string(delta, "text");

        if (dialect_is(delta, "type", "thinking_delta"))
                stream->has_reasoning = true;
        return text && dialect_is(delta, "type", "text_delta") ? buf_add_string(&event->text, text) : 0;
}

static int read_message(struct dialect_stream *stream, const cJSON *message, struct dialect_event *event)
{
        const cJSON *block;
        int r = 0;

        read_usage(message, event);
        cJSON_ArrayForEach(block, json_member(message, "content"))
        {
                r = read_block(stream, block, event);
                if (r < 0)
                        return r;
        }
        dialect_event_settle(stream, read_stop(json_string(message, "stop_reason")), event);
        return 0;
}

static int read_typed(struct dialect_stream *stream, const char *type, const cJSON *root, struct dialect_event *event)
{
        enum dialect_event_type end = DIALECT_EVENT_NONE;
        int r = 0;

        if (strcmp(type, "error") == 0)
                return dialect_event_fail(root, event);
        if (strcmp(type, "message") == 0)
                return read_message(stream, root, event);
        if (strcmp(type, "message_start") == 0)
                return read_message(stream, json_member(root, "message"), event);
        if (strcmp(type, "content_block_start") == 0) {
                r = read_block(stream, json_member(root, "content_block"), event);
        } else if (strcmp(type, "content_block_delta") == 0) {
                r = read_delta(stream, json_member(root, "delta"), event);
        } else if (strcmp(type, "message_delta") == 0) {
                read_usage(root, event);
                end = read_stop(json_string(json_member(root, "delta"), "stop_reason"));
        } else if (strcmp(type, "message_stop") == 0) {
                end = DIALECT_EVENT_END;
        }
        dialect_event_settle(stream, end, event);
        return r;
}

static int read_root(struct dialect_stream *stream, const struct sse_event *sse, const cJSON *root,
                     struct dialect_event *event)
{
        const char *type = json_string(root, "type");

        if (dialect_is_foreign_error(root))
                return dialect_event_fail(root, event);
        return read_typed(stream, type ? type : sse->name, root, event);
}

static int anthropic_read(struct dialect_stream *stream, const struct sse_event *event,
                          struct dialect_event *ret_event)
{
        return dialect_read_typed(stream, event, read_root, ret_event);
}

const struct dialect dialect_anthropic = {
        .name = "anthropic",
        .path = "/messages",
        .key_header = "x-api-key: ",
        .header = "anthropic-version: 2023-06-01",
        .body = anthropic_body,
        .read = anthropic_read,
};
