/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See reply.h.
 */
#include "dbus/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbus/json.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

DEFINE_CLEANUP(cJSON *, cJSON_Delete);

void reply_done(struct reply *reply)
{
        buf_done(&reply->text);
        buf_done(&reply->opener);
        free(reply->outcome);
        cJSON_Delete(reply->timings);
        cJSON_Delete(reply->replacements);
        free(reply->error_name);
        free(reply->error_message);
}

/* Bytes of the first `n` characters. */
static size_t bytes_of(const struct buf *text, uint32_t n)
{
        size_t i = 0;
        uint32_t code_point;

        while (n-- > 0 && i < text->n)
                i += MAX(utf8_decode(text->data + i, text->n - i, &code_point), (size_t)1);
        return i;
}

static bool add_replacement(struct reply *reply, uint32_t keep, const char *text)
{
        cJSON *replacement;

        if (!reply->replacements)
                reply->replacements = cJSON_CreateArray();
        replacement = cJSON_CreateObject();
        if (!reply->replacements || !replacement || !cJSON_AddItemToArray(reply->replacements, replacement)) {
                cJSON_Delete(replacement);
                return false;
        }
        return cJSON_AddNumberToObject(replacement, "keep", keep) &&
               cJSON_AddStringToObject(replacement, "text", text);
}

int reply_replace(struct reply *reply, uint32_t keep, const char *text)
{
        if (!add_replacement(reply, keep, text))
                return -ENOMEM;
        buf_truncate(&reply->text, bytes_of(&reply->text, keep));
        return buf_add_string(&reply->text, text);
}

void reply_failure(const struct reply *reply, const char **ret_name, const char **ret_message)
{
        *ret_name = *ret_message = NULL;
        if (reply->error_name) {
                *ret_name = reply->error_name;
                *ret_message = reply->error_message ?: "";
        } else if (reply->outcome && strcmp(reply->outcome, "failed") == 0) {
                *ret_name = json_string(reply->timings, "error");
                *ret_message = json_string(reply->timings, "message");
        }
}

static struct timeline_attempt read_attempt(const cJSON *attempt)
{
        return (struct timeline_attempt){
                .endpoint = json_string(attempt, "endpoint"),
                .reason = json_string(attempt, "reason"),
                .status = (unsigned)json_number(attempt, "status"),
                .is_hedge = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(attempt, "hedge")),
                .characters = json_number(attempt, "characters"),
                .opened_us = json_number(attempt, "opened_us"),
                .sent_us = json_number(attempt, "sent_us"),
                .first_text_us = json_number(attempt, "first_text_us"),
                .ended_us = json_number(attempt, "ended_us"),
        };
}

struct timeline reply_timeline(const struct reply *reply, struct timeline_attempt attempts[REPLY_ATTEMPTS_MAX])
{
        struct timeline timeline = reply->heard;
        const cJSON *attempt;

        timeline.released_us = json_number(reply->timings, "released_us");
        timeline.cloud_first_text_us = json_number(reply->timings, "cloud_first_text_us");
        timeline.end_us = json_number(reply->timings, "end_us");
        timeline.reason = json_string(reply->timings, "error");
        timeline.opener_end = json_string(reply->timings, "opener_end");
        timeline.seam = json_number(reply->timings, "seam");
        timeline.local_seam = json_number(reply->timings, "local_seam");
        timeline.undecided_us = json_number(reply->timings, "undecided_us");
        timeline.paced_us = json_number(reply->timings, "paced_us");
        timeline.lost_tokens = json_number(reply->timings, "lost_tokens");
        timeline.attempts = attempts;
        cJSON_ArrayForEach(attempt, cJSON_GetObjectItemCaseSensitive(reply->timings, "attempts"))
        {
                if (timeline.n_attempts < REPLY_ATTEMPTS_MAX)
                        attempts[timeline.n_attempts++] = read_attempt(attempt);
        }
        return timeline;
}

static bool add_error(const struct reply *reply, cJSON *object)
{
        const char *name, *message;
        cJSON *error;

        reply_failure(reply, &name, &message);
        if (!name)
                return cJSON_AddNullToObject(object, "error");
        error = cJSON_AddObjectToObject(object, "error");
        return error && cJSON_AddStringToObject(error, "name", name) &&
               cJSON_AddStringToObject(error, "message", message);
}

/* The daemon's times, and the same words' as they were heard here. */
static bool add_timings(const struct reply *reply, cJSON *object)
{
        const uint64_t first_us = reply->heard.opener_first_us ?: reply->heard.rest_first_us;
        const uint64_t last_us = MAX(reply->heard.opener_last_us, reply->heard.rest_last_us);
        cJSON *timings = reply->timings ? cJSON_Duplicate(reply->timings, true) : cJSON_CreateObject();

        if (!timings || !cJSON_AddItemToObject(object, "timings", timings))
                return false;
        if (first_us == 0)
                return true;
        return cJSON_AddNumberToObject(timings, "heard_first_word_us", (double)first_us) &&
               cJSON_AddNumberToObject(timings, "heard_last_word_us", (double)last_us);
}

/* They came with the timings. */
static bool add_attempts(cJSON *object)
{
        cJSON *attempts = cJSON_DetachItemFromObject(cJSON_GetObjectItem(object, "timings"), "attempts");

        if (!attempts)
                attempts = cJSON_CreateArray();
        return attempts && cJSON_AddItemToObject(object, "attempts", attempts);
}

static bool add_replacements(const struct reply *reply, cJSON *object)
{
        cJSON *replacements = reply->replacements ? cJSON_Duplicate(reply->replacements, true) : cJSON_CreateArray();

        return replacements && cJSON_AddItemToObject(object, "replacements", replacements);
}

cJSON *reply_json(const struct reply *reply)
{
        _cleanup_(cJSON_Deletep) cJSON *object = cJSON_CreateObject();

        if (!object || !cJSON_AddStringToObject(object, "text", buf_string(&reply->text)) ||
            !cJSON_AddStringToObject(object, "opener", buf_string(&reply->opener)) ||
            !cJSON_AddStringToObject(object, "outcome", reply->outcome ?: "failed") || !add_error(reply, object) ||
            !add_replacements(reply, object) || !add_timings(reply, object) || !add_attempts(object))
                return NULL;
        return STEAL(object);
}
