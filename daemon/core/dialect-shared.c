/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the dialects have in common. See dialect-shared.h.
 */
#include "daemon/core/dialect-shared.h"

#include <errno.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------- bodies */

const char *dialect_role_name(enum prompt_role role)
{
        switch (role) {
        case PROMPT_ROLE_SYSTEM: return "system";
        case PROMPT_ROLE_USER: return "user";
        case PROMPT_ROLE_ASSISTANT: return "assistant";
        }
        return "";
}

int dialect_last_turn(const struct dialect_request *request, struct buf *text)
{
        size_t last = prompt_last_user(request->prompt);

        switch (request->shape.form) {
        case DIALECT_FORM_INSTRUCTION: return prompt_instruction(request->prompt, text);
        case DIALECT_FORM_ANCHOR: return prompt_anchor(request->prompt, text);
        case DIALECT_FORM_PREFILL:
        case _DIALECT_FORM_N: break;
        }
        return last < request->prompt->n_messages ? buf_add_string(text, request->prompt->messages[last].text) : 0;
}

int dialect_prefix(const struct dialect_request *request, struct buf *text)
{
        if (request->shape.form != DIALECT_FORM_PREFILL)
                return 0;
        return buf_add(text, request->prompt->said, prompt_said_length(request->prompt));
}

cJSON *dialect_add_message(cJSON *messages, const char *role, const char *text)
{
        cJSON *message = cJSON_CreateObject();

        if (!message || !cJSON_AddItemToArray(messages, message)) {
                cJSON_Delete(message);
                return NULL;
        }
        if (!cJSON_AddStringToObject(message, "role", role))
                return NULL;
        return !text || cJSON_AddStringToObject(message, "content", text) ? message : NULL;
}

bool dialect_add_model(cJSON *body, const struct dialect_request *request)
{
        return !request->model || !*request->model || cJSON_AddStringToObject(body, "model", request->model);
}

bool dialect_add_object(cJSON *body, const char *name, const char *member, const char *value)
{
        cJSON *object = cJSON_AddObjectToObject(body, name);

        return object && cJSON_AddStringToObject(object, member, value);
}

bool dialect_add_template_kwargs(cJSON *body)
{
        cJSON *object = cJSON_AddObjectToObject(body, "chat_template_kwargs");

        return object && cJSON_AddFalseToObject(object, "enable_thinking");
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

int dialect_print_body(cJSON *body, const struct dialect_request *request, struct buf *text)
{
        char *printed;
        int r;

        if (request->extra_body && *request->extra_body) {
                r = add_extra(body, request->extra_body);
                if (r < 0)
                        return r;
        }
        printed = cJSON_PrintUnformatted(body);
        if (!printed)
                return -ENOMEM;
        r = buf_add_string(text, printed);
        cJSON_free(printed);
        return r;
}

/* ---------------------------------------------------------------------------------------------------- events */

void dialect_event_clear(struct dialect_event *event)
{
        buf_clear(&event->text);
        event->type = DIALECT_EVENT_NONE;
        event->status = 0;
        event->n_input_tokens = event->n_output_tokens = 0;
}

void dialect_event_settle(struct dialect_stream *stream, enum dialect_event_type end, struct dialect_event *event)
{
        const char *text = buf_string(&event->text);

        if (text[strspn(text, " \t\r\n")] != '\0')
                stream->has_text = true;
        event->type = end;
        if (end == DIALECT_EVENT_NONE && event->text.n > 0)
                event->type = DIALECT_EVENT_TEXT;
        /* The opener may have been the whole reply, so an end without text is none too few, unless the model thought.
         */
        if (!stream->has_text && (end == DIALECT_EVENT_CUT || (end == DIALECT_EVENT_END && stream->has_reasoning)))
                event->type = DIALECT_EVENT_STARVED;
}

static int name_failure(int found, struct dialect_event *event)
{
        event->type = DIALECT_EVENT_ERROR;
        return found == -ENOENT ? buf_add_string(&event->text, "no details") : found;
}

int dialect_event_fail(const cJSON *root, struct dialect_event *event)
{
        event->status = dialect_error_status_of(root, 0);
        return name_failure(dialect_error_find(root, &event->text), event);
}

int dialect_event_fail_raw(const struct sse_event *data, struct dialect_event *event)
{
        event->status = dialect_error_status(data->data, data->n_data, 0);
        return name_failure(dialect_error_message(data->data, data->n_data, &event->text), event);
}

bool dialect_is_foreign_error(const cJSON *root)
{
        return dialect_is(root, "object", "error") ||
               (!json_member(root, "type") &&
                (json_is_something(json_member(root, "error")) || json_is_something(json_member(root, "detail"))));
}

bool dialect_is_done(const struct sse_event *event)
{
        const char *data = event->data + strspn(event->data, " \t");
        size_t n = strcspn(data, " \t");

        return n == 6 && memcmp(data, "[DONE]", n) == 0 && data[n + strspn(data + n, " \t")] == '\0';
}

int dialect_parse(const struct sse_event *event, cJSON **ret_root)
{
        _cleanup_(cJSON_Deletep) cJSON *root = NULL;
        int r = json_parse(event->data, event->n_data, &root);

        if (r < 0)
                return r;
        if (!cJSON_IsObject(root))
                return -EBADMSG;
        *ret_root = STEAL(root);
        return 0;
}

bool dialect_is(const cJSON *object, const char *member, const char *value)
{
        const char *string = json_string(object, member);

        return string && strcmp(string, value) == 0;
}

int dialect_read_typed(struct dialect_stream *stream, const struct sse_event *sse, dialect_root_fn read_root,
                       struct dialect_event *ret_event)
{
        _cleanup_(cJSON_Deletep) cJSON *root = NULL;
        int r;

        dialect_event_clear(ret_event);
        if (dialect_is_done(sse))
                return 0;
        r = dialect_parse(sse, &root);
        if (r == 0)
                r = read_root(stream, sse, root, ret_event);
        else if (r == -EBADMSG && strcmp(sse->name, "error") == 0)
                r = dialect_event_fail_raw(sse, ret_event);
        if (r < 0)
                dialect_event_clear(ret_event);
        return r;
}
