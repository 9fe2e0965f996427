/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The conversation as both models see it: messages in order, and what the assistant has already said of the reply
 * that is being made. Also the text of the continuator contract, with its places filled in. Pure.
 */
#pragma once

#include <stddef.h>

#include "daemon/core/prompts.h"
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
        char *said;         /* what the person has already been shown of this reply, owned; NULL for nothing */
        char *system;       /* system text for the cloud, owned; NULL for none */
        char *continuation; /* template of the instruction form, owned: {question} and {said} are replaced; NULL for
                               the built-in one */
        char *anchor;       /* of the anchor form: {anchor}, the last words of what was said, is replaced too */
};

#define PROMPT_NULL ((struct prompt){ 0 })

/* How the cloud is to recover from an opener that leads the wrong way; the marks are those of verdict.h. */
enum prompt_correction {
        PROMPT_CORRECTION_MEND,    /* within its text, without a mark */
        PROMPT_CORRECTION_PIVOT,   /* a mark, then a spoken turn */
        PROMPT_CORRECTION_REPLACE, /* that, or where it must be taken back, another mark and the whole reply */
};

void prompt_done(struct prompt *prompt);

/* Each copies its text. 0 or -ENOMEM, and then nothing has changed. */
int prompt_add(struct prompt *prompt, enum prompt_role role, const char *text, size_t n);
int prompt_set_said(struct prompt *prompt, const char *text, size_t n);

/* The system text and both templates. 0 or -ENOMEM. */
int prompt_set_texts(struct prompt *prompt, const struct prompts *prompts, enum prompt_correction correction);

/* Bytes of prompt->said without the blanks at its end, which servers refuse or cut off. 0: nothing was said. */
size_t prompt_said_length(const struct prompt *prompt);

/* The last user message's index; n_messages where there is none. */
size_t prompt_last_user(const struct prompt *prompt);

/* The last user message with what was said, as one user turn: appends it to `text`. Without anything said, the
 * message itself. 0 or -ENOMEM. */
int prompt_instruction(const struct prompt *prompt, struct buf *text);

/* The same for the anchor form. */
int prompt_anchor(const struct prompt *prompt, struct buf *text);
