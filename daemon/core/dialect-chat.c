/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Chat completions as OpenAI defined them and many servers speak them, with and without assistant prefill
 * (https://platform.openai.com/docs/api-reference/chat/streaming). Sends only what nearly all of them take: a flag of
 * one server (vLLM's continue_final_message, Mistral's prefix) comes from ExtraBody. Reads what they really send:
 * content as text, parts or null; choices missing or empty; finish_reason empty, "null" or twice; errors with status
 * 200; a whole message instead of a stream. Tools are never offered, so calls of them are never read.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect.h"
#include "daemon/core/json.h"

/* ----------------------------------------------------------------------------------------------------- body */

static const char *role_name(enum prompt_role role)
{
        switch (role) {
        case PROMPT_ROLE_SYSTEM: return "system";
        case PROMPT_ROLE_USER: return "user";
        case PROMPT_ROLE_ASSISTANT: return "assistant";
        }
        return "";
}

static bool add_message(cJSON *messages, enum prompt_role role, const char *text)
{
        cJSON *message = cJSON_CreateObject();

        if (!message || !cJSON_AddItemToArray(messages, message)) {
                cJSON_Delete(message);
                return false;
        }
        return cJSON_AddStringToObject(message, "role", role_name(role)) &&
               cJSON_AddStringToObject(message, "content", text);
}

/* The last assistant message, which the server's model goes on with. Blanks at its end are refused by some servers
 * (Anthropic, old vLLM) and cut off by the templates of others. */
static bool add_prefill(cJSON *messages, const struct prompt *prompt)
{
        _cleanup_(buf_done) struct buf said = BUF_NULL;

        if (buf_add(&said, prompt->said, prompt_said_length(prompt)) < 0)
                return false;
        return said.n == 0 || add_message(messages, PROMPT_ROLE_ASSISTANT, said.data);
}

static bool add_messages(cJSON *body, const struct prompt *prompt, enum dialect_form form)
{
        _cleanup_(buf_done) struct buf instruction = BUF_NULL;
        cJSON *messages = cJSON_AddArrayToObject(body, "messages");
        size_t last = prompt_last_user(prompt);
        bool ok = messages != NULL;

        if (form == DIALECT_FORM_INSTRUCTION)
                ok = ok && prompt_instruction(prompt, &instruction) == 0;
        if (prompt->system && *prompt->system)
                ok = ok && add_message(messages, PROMPT_ROLE_SYSTEM, prompt->system);
        for (size_t i = 0; ok && i < prompt->n_messages; i++) {
                const struct prompt_message *message = &prompt->messages[i];
                bool is_instruction = form == DIALECT_FORM_INSTRUCTION && i == last;

                ok = add_message(messages, message->role, is_instruction ? buf_string(&instruction) : message->text);
        }
        return ok && (form == DIALECT_FORM_INSTRUCTION || add_prefill(messages, prompt));
}

static bool add_options(cJSON *body, const struct dialect_request *request)
{
        cJSON *options;

        if (!cJSON_AddTrueToObject(body, "stream"))
                return false;
        options = cJSON_AddObjectToObject(body, "stream_options");
        if (!options || !cJSON_AddTrueToObject(options, "include_usage"))
                return false;
        return request->max_tokens == 0 || cJSON_AddNumberToObject(body, "max_tokens", request->max_tokens);
}

static int add_extra(cJSON *body, const char *extra_body)
{
        _cleanup_(cJSON_Deletep) cJSON *extra = NULL;
        cJSON *item;
        int r;

        r = json_parse(extra_body, strlen(extra_body), &extra);
        if (r == -EBADMSG || (r == 0 && !cJSON_IsObject(extra)))
                return -EINVAL;
        if (r < 0)
                return r;
        while ((item = extra->child)) {
                (void)cJSON_DetachItemViaPointer(extra, item);
                cJSON_DeleteItemFromObjectCaseSensitive(body, item->string);
                if (cJSON_IsNull(item)) {
                        cJSON_Delete(item);
                } else if (!cJSON_AddItemToObject(body, item->string, item)) {
                        cJSON_Delete(item);
                        return -ENOMEM;
                }
        }
        return 0;
}

static int print(const cJSON *root, struct buf *text)
{
        char *printed = cJSON_PrintUnformatted(root);
        int r;

        if (!printed)
                return -ENOMEM;
        r = buf_add_string(text, printed);
        cJSON_free(printed);
        return r;
}

static int chat_body(const struct dialect_request *request, struct buf *body)
{
        _cleanup_(cJSON_Deletep) cJSON *root = cJSON_CreateObject();
        int r;

        if (!root)
                return -ENOMEM;
        if (request->model && *request->model && !cJSON_AddStringToObject(root, "model", request->model))
                return -ENOMEM;
        if (!add_messages(root, request->prompt, request->form) || !add_options(root, request))
                return -ENOMEM;
        if (request->extra_body && *request->extra_body) {
                r = add_extra(root, request->extra_body);
                if (r < 0)
                        return r;
        }
        return print(root, body);
}

/* ---------------------------------------------------------------------------------------------------- events */

/* One part of a content list: a string, or {"type":"text","text":...}; Mistral's thinking parts are not spoken. */
static int read_part(const cJSON *part, struct buf *text)
{
        const char *type = json_string(part, "type");
        const char *value = cJSON_IsString(part) ? part->valuestring : json_string(part, "text");

        if (!value || (type && strcmp(type, "text") != 0 && strcmp(type, "output_text") != 0))
                return 0;
        return buf_add_string(text, value);
}

static int read_content(const cJSON *content, struct buf *text)
{
        const cJSON *part;
        int r = 0;

        if (cJSON_IsString(content))
                return buf_add_string(text, content->valuestring);
        if (cJSON_IsArray(content))
                cJSON_ArrayForEach(part, content)
                {
                        r = read_part(part, text);
                        if (r < 0)
                                break;
                }
        return r;
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

static int read_choice(const cJSON *choice, struct dialect_event *event)
{
        const cJSON *message = json_member(choice, "delta");
        const char *reason = json_string(choice, "finish_reason");
        int r;

        /* A reply that was not streamed, though it was asked for. */
        if (!message)
                message = json_member(choice, "message");
        event->type = read_finish(reason);
        if (event->type == DIALECT_EVENT_ERROR)
                return buf_printf(&event->text, "the server ended the reply with \"%s\"", reason);
        r = read_content(json_member(message, "content"), &event->text);
        if (r < 0)
                return r;
        if (json_is_something(json_member(message, "refusal")))
                event->type = DIALECT_EVENT_REFUSED;
        else if (event->type == DIALECT_EVENT_NONE && event->text.n > 0)
                event->type = DIALECT_EVENT_TEXT;
        return 0;
}

/* `error` wins over choices that come with it (OpenRouter). An error in place of a stream need not have that name. */
static bool is_error(const cJSON *root)
{
        const char *object = json_string(root, "object"), *type = json_string(root, "type");

        if (json_is_something(json_member(root, "error")))
                return true;
        if ((object && strcmp(object, "error") == 0) || (type && strcmp(type, "error") == 0))
                return true;
        return !json_member(root, "choices") &&
               (json_is_something(json_member(root, "detail")) || json_string(root, "message"));
}

static int report(int found, struct dialect_event *event)
{
        event->type = DIALECT_EVENT_ERROR;
        return found == -ENOENT ? buf_add_string(&event->text, "no details") : found;
}

static int read_root(const cJSON *root, struct dialect_event *event)
{
        const cJSON *choices = json_member(root, "choices"), *usage = json_member(root, "usage");

        if (!cJSON_IsObject(root))
                return -EBADMSG;
        event->n_input_tokens = json_unsigned(usage, "prompt_tokens");
        event->n_output_tokens = json_unsigned(usage, "completion_tokens");
        if (is_error(root))
                return report(dialect_error_find(root, &event->text), event);
        if (choices && !cJSON_IsArray(choices) && !cJSON_IsNull(choices))
                return -EBADMSG;
        return choices && choices->child ? read_choice(choices->child, event) : 0;
}

static bool is_done(const struct sse_event *event)
{
        const char *data = event->data + strspn(event->data, " \t");
        size_t n = strcspn(data, " \t");

        return n == 6 && memcmp(data, "[DONE]", n) == 0 && data[n + strspn(data + n, " \t")] == '\0';
}

static void clear(struct dialect_event *event)
{
        buf_clear(&event->text);
        event->type = DIALECT_EVENT_NONE;
        event->n_input_tokens = event->n_output_tokens = 0;
}

static int chat_read(const struct sse_event *event, struct dialect_event *ret_event)
{
        _cleanup_(cJSON_Deletep) cJSON *root = NULL;
        int r;

        clear(ret_event);
        if (is_done(event)) {
                ret_event->type = DIALECT_EVENT_END;
                return 0;
        }
        if (strcmp(event->name, "error") == 0)
                r = report(dialect_error_message(event->data, event->n_data, &ret_event->text), ret_event);
        else if ((r = json_parse(event->data, event->n_data, &root)) == 0)
                r = read_root(root, ret_event);
        if (r < 0)
                clear(ret_event);
        return r;
}

const struct dialect dialect_chat = {
        .name = "chat",
        .path = "/chat/completions",
        .body = chat_body,
        .read = chat_read,
};
