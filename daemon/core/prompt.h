/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The conversation as both models see it: messages in order, and what the assistant has already said of the reply
 * that is being made. Also the text of the continuator contract, with its places filled in. Pure.
 */
#pragma once

#include <stddef.h>

#include "libmulm/base/buf.h"

enum prompt_role {
        PROMPT_ROLE_SYSTEM,
        PROMPT_ROLE_USER,
        PROMPT_ROLE_ASSISTANT,
};

struct prompt_message {
        enum prompt_role role;
        char *text; /* valid UTF-8 without NUL, owned */
};

struct prompt {
        struct prompt_message *messages;
        size_t n_messages;
        char *said;         /* what the person has already been shown of this reply, owned; NULL or "" for nothing */
        char *system;       /* system text for the cloud, owned; NULL for none */
        char *continuation; /* template of the instruction form, owned: {question} and {said} are replaced; NULL for
                               the built-in one */
};

#define PROMPT_NULL ((struct prompt){ 0 })

void prompt_done(struct prompt *prompt);
int prompt_add(struct prompt *prompt, enum prompt_role role, const char *text, size_t n);
int prompt_set_said(struct prompt *prompt, const char *text, size_t n);

/* The last user message with what was said, as one user turn: appends it to `text`. Without anything said, the
 * message itself. */
int prompt_instruction(const struct prompt *prompt, struct buf *text);
