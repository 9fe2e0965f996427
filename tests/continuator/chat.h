/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * OpenAI chat completions from the server's side: reads a request body, writes the events of a streamed reply and the
 * body of an error. A last assistant message is a prefill: the reply goes on from it and holds only what is new.
 * Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/buf.h"
#include "libmulm/mulm.h"

#define CHAT_MESSAGES_MAX 256u

struct chat {
        struct mulm_message *messages; /* owned, as their texts are; without the prefill */
        size_t n_messages;
        char *prefix; /* owned; NULL without a prefill */
        size_t n_prefix;
        unsigned max_tokens; /* UINT_MAX where the request names none */
        bool include_usage;
};

#define CHAT_NULL ((struct chat){ 0 })

void chat_done(struct chat *chat);

/* 0; -EINVAL with a sentence for the client in `error`; -ENOMEM. */
int chat_parse(struct chat *ret_chat, const char *body, size_t n_body, struct buf *error);

/* What all chunks of one reply share. */
struct chat_reply {
        uint64_t id;
        int64_t created;   /* seconds since 1970 */
        const char *model; /* UTF-8 */
};

/* Each appends one server-sent event. 0 or -ENOMEM. */
int chat_add_role(struct buf *out, const struct chat_reply *reply);
int chat_add_text(struct buf *out, const struct chat_reply *reply, const char *text);
int chat_add_finish(struct buf *out, const struct chat_reply *reply, const char *reason);
int chat_add_usage(struct buf *out, const struct chat_reply *reply, unsigned n_input, unsigned n_output);
int chat_add_done(struct buf *out);
int chat_add_stream_error(struct buf *out, const char *message);

/* {"error":{...}}, for a body of its own. */
int chat_add_error(struct buf *out, const char *type, const char *message);
