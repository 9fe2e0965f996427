/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * stream-clock URL MAX_TOKENS: posts each line of stdin as a streamed chat completion to a server that speaks
 * OpenAI's dialect, one after the other over one connection, and prints a line of JSON with the microseconds to the
 * first text.
 */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"

struct stream {
        uint64_t asked_us, first_text_us;
        struct buf received;
};

static uint64_t now_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A delta's content that is a string with something in it; the role's chunk has null or "". */
static bool has_text(const char *events)
{
        static const char key[] = "\"content\":\"";

        for (const char *at = events; (at = strstr(at, key)); at += strlen(key))
                if (at[strlen(key)] != '"' && at[strlen(key)] != '\0')
                        return true;
        return false;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *userdata)
{
        struct stream *stream = userdata;

        if (stream->first_text_us > 0)
                return size * n;
        if (buf_add(&stream->received, bytes, size * n) < 0)
                return 0;
        if (has_text(buf_string(&stream->received)))
                stream->first_text_us = now_us() - stream->asked_us;
        return size * n;
}

static void json_free(cJSON **json)
{
        cJSON_Delete(*json);
}

/* Freed with cJSON_free(). */
static char *body_of(const char *prompt, double max_tokens)
{
        _cleanup_(json_free) cJSON *body = cJSON_CreateObject();
        cJSON *message = cJSON_CreateObject();
        cJSON *messages = cJSON_AddArrayToObject(body, "messages");

        cJSON_AddStringToObject(message, "role", "user");
        cJSON_AddStringToObject(message, "content", prompt);
        if (!cJSON_AddItemToArray(messages, message))
                cJSON_Delete(message);
        cJSON_AddTrueToObject(body, "stream");
        cJSON_AddNumberToObject(body, "max_tokens", max_tokens);
        cJSON_AddNumberToObject(body, "temperature", 0);
        return cJSON_PrintUnformatted(body);
}

static CURLcode post(CURL *curl, const char *prompt, double max_tokens, struct stream *stream)
{
        char *body = body_of(prompt, max_tokens);
        CURLcode code;

        if (!body)
                return CURLE_OUT_OF_MEMORY;
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, stream);
        stream->asked_us = now_us();
        code = curl_easy_perform(curl);
        cJSON_free(body);
        return code;
}

int main(int argc, char **argv)
{
        _cleanup_free_ char *line = NULL;
        struct curl_slist *headers = NULL;
        CURLcode code = CURLE_OK;
        size_t capacity = 0;
        CURL *curl;

        if (argc != 3) {
                fputs("Usage: stream-clock URL MAX_TOKENS\n", stderr);
                return 2;
        }
        curl = curl_easy_init();
        headers = curl_slist_append(headers, "content-type: application/json");
        if (!curl || !headers)
                return EXIT_FAILURE;
        curl_easy_setopt(curl, CURLOPT_URL, argv[1]);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);

        while (code == CURLE_OK && getline(&line, &capacity, stdin) > 0) {
                struct stream stream = { 0 };

                line[strcspn(line, "\n")] = '\0';
                code = post(curl, line, strtod(argv[2], NULL), &stream);
                if (code == CURLE_OK)
                        printf("{\"first_text_us\":%" PRIu64 "}\n", stream.first_text_us);
                fflush(stdout);
                buf_done(&stream.received);
        }
        if (code != CURLE_OK)
                fprintf(stderr, "stream-clock: %s: %s\n", argv[1], curl_easy_strerror(code));
        curl_easy_cleanup(curl);
        curl_slist_free_all(headers);
        return code == CURLE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
