/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What all dialects share: finding one by name, and an error's message in the shapes that servers give it:
 *
 *     {"error":{"message":"x"}}                        OpenAI, Anthropic, llama.cpp, OpenRouter
 *     [{"error":{"message":"x"}}]                      Gemini
 *     {"error":"x"}                                    Ollama, TGI
 *     {"object":"error","message":"x"}, {"message":"x"}    vLLM before 0.10, gateways
 *     {"detail":"x"}, {"detail":[{"msg":"x"}]}, {"message":{"detail":[{"msg":"x"}]}}    FastAPI, Mistral
 *     x                                                plain text
 *
 * HTML says nothing that fits a log line and is refused.
 */
#include "daemon/core/dialect.h"

#include <errno.h>
#include <string.h>

#include "daemon/core/json.h"
#include "libmulm/base/utf8.h"

#define MAX_DEPTH 6 /* of objects and arrays around a message; the shapes above need 5 */

const struct dialect *dialect_find(const char *name)
{
        static const struct dialect *const dialects[] = { &dialect_chat };

        for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
                if (name && strcmp(dialects[i]->name, name) == 0)
                        return dialects[i];
        return NULL;
}

static bool is_control(uint32_t code_point)
{
        return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) || code_point == 0x2028 ||
               code_point == 0x2029;
}

/* Appends as much of the text as one line may have, runs of blanks and control characters made one blank. -ENOENT:
 * there is nothing else in it, or it is no text. */
static int add_line(const char *text, size_t n, struct buf *line)
{
        size_t n_before = line->n, length;
        bool blank = false;
        uint32_t c;
        int r;

        r = buf_reserve(line, DIALECT_MESSAGE_MAX);
        if (r < 0)
                return r;
        for (; n > 0; text += length, n -= length) {
                length = utf8_decode(text, n, &c);
                if (length == 0)
                        break;
                if (c == ' ' || is_control(c)) {
                        blank = line->n > n_before;
                        continue;
                }
                if (line->n - n_before + blank + length > DIALECT_MESSAGE_MAX)
                        return 0;
                (void)buf_add(line, " ", blank);
                (void)buf_add(line, text, length);
                blank = false;
        }
        if (n > 0)
                buf_truncate(line, n_before);
        return line->n > n_before ? 0 : -ENOENT;
}

/* The first text in `item` that can be a message. */
static const char *find_text(const cJSON *item, unsigned depth)
{
        static const char *const members[] = { "error", "message", "detail", "msg", "code", "type" };
        const char *text = NULL;

        if (depth == MAX_DEPTH)
                return NULL;
        if (cJSON_IsString(item))
                return json_is_something(item) ? item->valuestring : NULL;
        if (cJSON_IsArray(item))
                return find_text(item->child, depth + 1);
        if (!cJSON_IsObject(item))
                return NULL;
        /* On the outside, `code` and `type` are what the whole thing is, not what went wrong. */
        for (size_t i = 0; !text && i < ARRAY_SIZE(members) - (depth == 0 ? 2 : 0); i++)
                text = find_text(json_member(item, members[i]), depth + 1);
        return text;
}

int dialect_error_find(const struct cJSON *root, struct buf *message)
{
        const char *text = find_text(root, 0);

        return text ? add_line(text, strlen(text), message) : -ENOENT;
}

int dialect_error_message(const char *body, size_t n, struct buf *message)
{
        _cleanup_(cJSON_Deletep) cJSON *root = NULL;
        int r;

        while (n > 0 && (*body == ' ' || *body == '\t' || *body == '\r' || *body == '\n')) {
                body++;
                n--;
        }
        if (n == 0 || *body == '<')
                return -ENOENT;
        r = json_parse(body, n, &root);
        if (r == 0)
                return dialect_error_find(root, message);
        if (r != -EBADMSG)
                return r;
        return *body == '{' || *body == '[' ? -ENOENT : add_line(body, n, message);
}
