/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Unknown members are ignored, as real servers do. Content is a string or an array of text parts.
 */
#include "tests/continuator/chat.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "libmulm/base/utf8.h"

static void json_free(cJSON **json)
{
        cJSON_Delete(*json);
}

static int refuse(struct buf *error, const char *sentence)
{
        int r = buf_add_string(error, sentence);

        return r < 0 ? r : -EINVAL;
}

void chat_done(struct chat *chat)
{
        for (size_t i = 0; i < chat->n_messages; i++)
                free((char *)chat->messages[i].text);
        free(chat->messages);
        free(chat->prefix);
        *chat = CHAT_NULL;
}

static int parse_role(const cJSON *message, enum mulm_role *ret_role, struct buf *error)
{
        static const struct {
                const char *name;
                enum mulm_role role;
        } roles[] = {
                { "system", MULM_ROLE_SYSTEM },
                { "developer", MULM_ROLE_SYSTEM },
                { "user", MULM_ROLE_USER },
                { "assistant", MULM_ROLE_ASSISTANT },
        };
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(message, "role"));

        for (size_t i = 0; name && i < ARRAY_SIZE(roles); i++)
                if (strcmp(name, roles[i].name) == 0) {
                        *ret_role = roles[i].role;
                        return 0;
                }
        return refuse(error, "Each message needs a role: system, developer, user or assistant.");
}

static int parse_content(const cJSON *content, struct buf *text, struct buf *error)
{
        const cJSON *part;
        int r;

        if (cJSON_IsString(content))
                return buf_add_string(text, content->valuestring);
        if (!cJSON_IsArray(content))
                return refuse(error, "Each message needs content: a string or an array of text parts.");

        cJSON_ArrayForEach(part, content)
        {
                const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(part, "type"));
                const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(part, "text"));

                if (!type || strcmp(type, "text") != 0 || !value)
                        return refuse(error, "Only parts of type \"text\" are understood.");
                r = buf_add_string(text, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_message(struct chat *chat, const cJSON *json, struct buf *error)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        enum mulm_role role;
        int r;

        r = parse_role(json, &role, error);
        if (r < 0)
                return r;
        r = parse_content(cJSON_GetObjectItemCaseSensitive(json, "content"), &text, error);
        if (r < 0)
                return r;
        r = buf_reserve(&text, 1); /* so that there is a string to steal */
        if (r < 0)
                return r;

        chat->messages[chat->n_messages].role = role;
        chat->messages[chat->n_messages].n_text = text.n;
        chat->messages[chat->n_messages].text = buf_steal(&text);
        chat->n_messages++;
        return 0;
}

static int parse_messages(struct chat *chat, const cJSON *array, struct buf *error)
{
        const cJSON *json;
        int n = cJSON_IsArray(array) ? cJSON_GetArraySize(array) : 0;
        struct mulm_message *last;

        if (n == 0 || (unsigned)n > CHAT_MESSAGES_MAX)
                return refuse(error, "\"messages\" must be an array of 1 to 256 messages.");
        chat->messages = calloc((size_t)n, sizeof(*chat->messages));
        if (!chat->messages)
                return -ENOMEM;

        cJSON_ArrayForEach(json, array)
        {
                int r = parse_message(chat, json, error);

                if (r < 0)
                        return r;
        }

        last = &chat->messages[chat->n_messages - 1];
        if (last->role != MULM_ROLE_ASSISTANT)
                return 0;
        chat->prefix = (char *)last->text;
        chat->n_prefix = last->n_text;
        chat->n_messages--;
        return chat->n_messages > 0 ? 0 : refuse(error, "There is nothing to answer in front of the prefill.");
}

static int parse_max_tokens(struct chat *chat, const cJSON *json, struct buf *error)
{
        static const char *const names[] = { "max_completion_tokens", "max_tokens" };

        chat->max_tokens = UINT_MAX;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, names[i]);

                if (!value || cJSON_IsNull(value))
                        continue;
                if (!cJSON_IsNumber(value) || value->valueint < 1 || (double)value->valueint != value->valuedouble)
                        return refuse(error, "The maximum of tokens must be a whole number above zero.");
                chat->max_tokens = (unsigned)value->valueint;
                return 0;
        }
        return 0;
}

int chat_parse(struct chat *ret_chat, const char *body, size_t n_body, struct buf *error)
{
        _cleanup_(json_free) cJSON *json = NULL;
        _cleanup_(chat_done) struct chat chat = CHAT_NULL;
        int r;

        if (!utf8_is_valid(body, n_body, NULL))
                return refuse(error, "The body is not valid UTF-8.");
        /* the NUL that ends every buf counts as the end of the text, so that nothing may follow the object */
        json = cJSON_ParseWithLengthOpts(body, n_body + 1, NULL, true);
        if (!cJSON_IsObject(json))
                return refuse(error, "The body is not a JSON object.");
        if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "stream")))
                return refuse(error, "This server only streams: \"stream\" must be true.");

        r = parse_messages(&chat, cJSON_GetObjectItemCaseSensitive(json, "messages"), error);
        if (r < 0)
                return r;
        r = parse_max_tokens(&chat, json, error);
        if (r < 0)
                return r;
        chat.include_usage = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
                cJSON_GetObjectItemCaseSensitive(json, "stream_options"), "include_usage"));

        *ret_chat = chat;
        chat = CHAT_NULL;
        return 0;
}

/* As a JSON string, quotes included; freed with cJSON_free(). NULL without memory. */
static char *quote(const char *text)
{
        _cleanup_(json_free) cJSON *json = cJSON_CreateString(text);

        return json ? cJSON_PrintUnformatted(json) : NULL;
}

static void quoted_free(char **quoted)
{
        cJSON_free(*quoted);
}

/* `choices` and `tail` are JSON. */
static int add_chunk(struct buf *out, const struct chat_reply *reply, const char *choices, const char *tail)
{
        _cleanup_(quoted_free) char *model = quote(reply->model);

        if (!model)
                return -ENOMEM;
        return buf_printf(out,
                          "data: {\"id\":\"chatcmpl-%016" PRIx64 "\",\"object\":\"chat.completion.chunk\","
                          "\"created\":%" PRId64 ",\"model\":%s,\"choices\":[%s]%s}\n\n",
                          reply->id, reply->created, model, choices, tail);
}

int chat_add_role(struct buf *out, const struct chat_reply *reply)
{
        return add_chunk(out, reply,
                         "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}",
                         "");
}

int chat_add_text(struct buf *out, const struct chat_reply *reply, const char *text)
{
        _cleanup_(buf_done) struct buf choices = BUF_NULL;
        _cleanup_(quoted_free) char *quoted = quote(text);
        int r;

        if (!quoted)
                return -ENOMEM;
        r = buf_printf(&choices, "{\"index\":0,\"delta\":{\"content\":%s},\"finish_reason\":null}", quoted);
        return r < 0 ? r : add_chunk(out, reply, choices.data, "");
}

int chat_add_finish(struct buf *out, const struct chat_reply *reply, const char *reason)
{
        _cleanup_(buf_done) struct buf choices = BUF_NULL;
        int r = buf_printf(&choices, "{\"index\":0,\"delta\":{},\"finish_reason\":\"%s\"}", reason);

        return r < 0 ? r : add_chunk(out, reply, choices.data, "");
}

int chat_add_usage(struct buf *out, const struct chat_reply *reply, unsigned n_input, unsigned n_output)
{
        _cleanup_(buf_done) struct buf tail = BUF_NULL;
        int r = buf_printf(&tail, ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u}",
                           n_input, n_output, n_input + n_output);

        return r < 0 ? r : add_chunk(out, reply, "", tail.data);
}

int chat_add_done(struct buf *out)
{
        return buf_add_string(out, "data: [DONE]\n\n");
}

int chat_add_error(struct buf *out, const char *type, const char *message)
{
        _cleanup_(quoted_free) char *quoted = quote(message);

        if (!quoted)
                return -ENOMEM;
        return buf_printf(out, "{\"error\":{\"message\":%s,\"type\":\"%s\",\"param\":null,\"code\":null}}", quoted,
                          type);
}

int chat_add_stream_error(struct buf *out, const char *message)
{
        int r = buf_add_string(out, "data: ");

        if (r >= 0)
                r = chat_add_error(out, "server_error", message);
        return r < 0 ? r : buf_add_string(out, "\n\n");
}
