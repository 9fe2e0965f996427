/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * All that a client learns of one request, and the JSON object that `mulmctl ask --json` prints of it.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "dbus/timeline.h"
#include "libmulm/base/buf.h"

struct reply {
        struct buf text, opener;
        cJSON *replacements; /* NULL before the first one */
        char *outcome;       /* of Finished; NULL before it */
        cJSON *timings;
        char *error_name, *error_message; /* where the call itself was refused */
        struct timeline heard;            /* words as they arrived here */
};

void reply_done(struct reply *reply);

/* The first `keep` characters of the text stay, `text` takes the place of the rest. 0, -ENOMEM. */
int reply_replace(struct reply *reply, uint32_t keep, const char *text);

/* Whether, and of what, it failed: NULL and NULL where it did not. Borrowed. */
void reply_failure(const struct reply *reply, const char **ret_name, const char **ret_message);

#define REPLY_ATTEMPTS_MAX 16 /* that the daemon tells of */

/* The words as heard with the daemon's times. Borrows from the reply, and the attempts from the array that it fills.
 */
struct timeline reply_timeline(const struct reply *reply, struct timeline_attempt attempts[REPLY_ATTEMPTS_MAX]);

/* NULL without memory; the caller deletes it. */
cJSON *reply_json(const struct reply *reply);
