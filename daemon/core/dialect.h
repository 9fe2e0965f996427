/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A cloud dialect is two functions: build a body, read an event. Pure; the facts are those of each vendor's API.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/prompt.h"
#include "daemon/core/sse.h"
#include "libmulm/base/buf.h"

#define DIALECT_MESSAGE_MAX 200

struct cJSON;

/* How the cloud is told what was already said. */
enum dialect_form {
        DIALECT_FORM_PREFILL,     /* a last assistant message that the model goes on with */
        DIALECT_FORM_INSTRUCTION, /* the last user turn quotes it */
};

struct dialect_request {
        const char *model;           /* "" or NULL: the server has but one */
        const struct prompt *prompt; /* who said what, and what was already said (may be nothing) */
        enum dialect_form form;
        unsigned max_tokens;    /* 0: as the server chooses */
        const char *extra_body; /* a JSON object or NULL: its members are added and win; null removes a member */
};

enum dialect_event_type {
        DIALECT_EVENT_NONE,    /* nothing for the person: role, usage, reasoning, ping, unknown */
        DIALECT_EVENT_TEXT,    /* `text` goes to the person */
        DIALECT_EVENT_CUT,     /* the reply was cut off by a length limit: an end, but not a whole reply */
        DIALECT_EVENT_REFUSED, /* content filter or refusal */
        DIALECT_EVENT_ERROR, /* the server reports a failure inside the stream; `text` is its message, never empty */
        DIALECT_EVENT_END,   /* the end marker; may come with the last text before it */
};

struct dialect_event {
        enum dialect_event_type type; /* END, CUT and REFUSED may carry text that came in the same event */
        struct buf text;              /* UTF-8; owned by the caller, cleared by each read */
        unsigned n_input_tokens, n_output_tokens; /* where usage came along; else 0 */
};

struct dialect {
        const char *name; /* "chat" */
        const char *path; /* appended to the endpoint's URL: "/chat/completions" */

        /* Appends the JSON body. 0, -ENOMEM, -EINVAL (extra_body is no object). */
        int (*body)(const struct dialect_request *request, struct buf *body);

        /* Reads one event. 0, -ENOMEM, -EBADMSG (not JSON, or not of this dialect: skip it and count). */
        int (*read)(const struct sse_event *event, struct dialect_event *ret_event);
};

extern const struct dialect dialect_chat;

/* NULL where there is none of that name. */
const struct dialect *dialect_find(const char *name);

/* A body that is no event stream. For an error (any HTTP status), appends the server's own message, in whatever shape
 * it wears, to `message`: one line of at most DIALECT_MESSAGE_MAX bytes. 0; -ENOENT where it names none; -ENOMEM. */
int dialect_error_message(const char *body, size_t n, struct buf *message);

/* For dialects: the same of JSON that was parsed already. */
int dialect_error_find(const struct cJSON *root, struct buf *message);
