/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What went wrong, in the words of many servers. A message has one of these shapes:
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
#include "daemon/core/dialect-shared.h"

#include <errno.h>
#include <string.h>

#include "libmulm/base/utf8.h"

#define MAX_DEPTH 6 /* of objects and arrays around a message; the shapes above need 5 */

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

/* The member that a message of FastAPI's is about: the last name in "loc". */
static const char *find_place(const cJSON *object)
{
        const cJSON *name;
        const char *place = NULL;

        cJSON_ArrayForEach(name, json_member(object, "loc"))
        {
                if (cJSON_IsString(name))
                        place = name->valuestring;
        }
        return place;
}

/* The first text in `item` that can be a message, and what it is about, if that stands beside it. */
static const char *find_text(const cJSON *item, unsigned depth, const char **place)
{
        static const char *const members[] = { "error", "message", "detail", "msg", "code", "type" };
        const char *text = NULL;

        if (depth == MAX_DEPTH)
                return NULL;
        if (cJSON_IsString(item))
                return json_is_something(item) ? item->valuestring : NULL;
        if (cJSON_IsArray(item))
                return find_text(item->child, depth + 1, place);
        if (!cJSON_IsObject(item))
                return NULL;
        /* On the outside, `code` and `type` are what the whole thing is, not what went wrong. */
        for (size_t i = 0; !text && i < ARRAY_SIZE(members) - (depth == 0 ? 2 : 0); i++)
                text = find_text(json_member(item, members[i]), depth + 1, place);
        if (text && !*place)
                *place = find_place(item);
        return text;
}

int dialect_error_find(const cJSON *root, struct buf *message)
{
        _cleanup_(buf_done) struct buf line = BUF_NULL;
        const char *place = NULL, *text = find_text(root, 0, &place);
        int r;

        if (!text)
                return -ENOENT;
        r = buf_printf(&line, "%s%s%s", place ? place : "", place ? ": " : "", text);
        return r < 0 ? r : add_line(line.data, line.n, message);
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

/* ---------------------------------------------------------------------------------------------------- status */

/* What the types and codes of errors say, in the terms of HTTP. */
static unsigned status_of_name(const char *name)
{
        static const struct {
                const char *name;
                unsigned status;
        } names[] = {
                { "invalid_request_error", 400 },   /* OpenAI, Anthropic, llama.cpp */
                { "BadRequestError", 400 },         /* vLLM */
                { "invalid_prompt", 400 },          /* OpenAI responses */
                { "context_length_exceeded", 400 }, /* OpenAI */
                { "authentication_error", 401 },    /* Anthropic, llama.cpp */
                { "invalid_api_key", 401 },         /* OpenAI */
                { "billing_error", 402 },           /* Anthropic */
                { "insufficient_quota", 402 },      /* OpenAI, though with status 429 */
                { "permission_error", 403 },        /* Anthropic, llama.cpp */
                { "not_found_error", 404 },
                { "model_not_found", 404 },
                { "request_too_large", 413 },
                { "validation", 422 }, /* TGI */
                { "rate_limit_error", 429 },
                { "rate_limit_exceeded", 429 },
                { "api_error", 500 },
                { "server_error", 500 },
                { "unavailable_error", 503 }, /* llama.cpp, while it loads */
                { "overloaded", 503 },        /* TGI */
                { "timeout_error", 504 },
                { "overloaded_error", 529 }, /* Anthropic */
        };

        for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
                if (strcmp(names[i].name, name) == 0)
                        return names[i].status;
        return 0;
}

static unsigned status_of_members(const cJSON *error)
{
        static const char *const names[] = { "code", "type", "error_type" };
        static const char *const numbers[] = { "code", "status", "http_status_code" };
        unsigned status = 0;

        /* An empty account goes by two names at once, of which the more general one must not win. */
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (status_of_name(json_string(error, names[i])) == 402)
                        return 402;
        for (size_t i = 0; status == 0 && i < ARRAY_SIZE(names); i++)
                status = status_of_name(json_string(error, names[i]));
        for (size_t i = 0; status == 0 && i < ARRAY_SIZE(numbers); i++) {
                status = json_unsigned(error, numbers[i]);
                if (status < 400 || status > 599)
                        status = 0;
        }
        return status;
}

unsigned dialect_error_status_of(const cJSON *root, unsigned status)
{
        const cJSON *object = cJSON_IsArray(root) ? root->child : root, *error = json_member(object, "error");
        unsigned named = status_of_members(error);

        if (named == 0)
                named = status_of_members(object);
        if (status > 0 && status != 200)
                return named == 402 ? named : status;
        return named > 0 ? named : 500;
}

unsigned dialect_error_status(const char *body, size_t n, unsigned status)
{
        _cleanup_(cJSON_Deletep) cJSON *root = NULL;

        (void)json_parse(body, n, &root);
        return dialect_error_status_of(root, status);
}
