/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The texts that cloud and person get of us: each built in, and each replaceable by a plain file of its own (see
 * config/prompts). Checks what such a file must have, so that a mistake is known at start and not at the first
 * question. Pure.
 *
 * Two are lists. `refused` has a line for each language: its code, a blank, the text. `refusals` has the beginnings
 * by which a refusal is known, a line each.
 */
#pragma once

#include <stddef.h>

#include "libmulm/base/buf.h"

enum prompts_text {
        PROMPTS_TEXT_SYSTEM,       /* for the cloud, in every request */
        PROMPTS_TEXT_MEND,         /* one of these three stands behind it: enum prompt_correction */
        PROMPTS_TEXT_PIVOT,        /* names [[pivot]] */
        PROMPTS_TEXT_REPLACE,      /* names [[replace]] */
        PROMPTS_TEXT_CONTINUATION, /* the user's turn in the instruction form, with {question} and {said} */
        PROMPTS_TEXT_ANCHOR,       /* in the anchor form, with {anchor} too */
        PROMPTS_TEXT_REFUSED,      /* what is said where the cloud declines behind a spoken beginning */
        PROMPTS_TEXT_REFUSALS,     /* how a model's own refusal begins */
        _PROMPTS_TEXT_N,
};

struct prompts {
        char *texts[_PROMPTS_TEXT_N]; /* owned; NULL: the built-in one */
};

#define PROMPTS_NULL ((struct prompts){ 0 })

#define PROMPTS_FILE_MAX (16u << 10) /* bytes of a file */

void prompts_done(struct prompts *prompts);

/* "system.txt"; what a file of this text is called. */
const char *prompts_file(enum prompts_text text);

/* Without a newline at its end. */
const char *prompts_get(const struct prompts *prompts, enum prompts_text text);

/* Takes the content of a file; an empty one brings the built-in text back. 0; -EINVAL with what is wrong appended to
 * `error`; -ENOMEM. */
int prompts_set(struct prompts *prompts, enum prompts_text text, const char *content, size_t n, struct buf *error);

/* Of `refused`, the line for a language, or the first one; appended. 0, -ENOMEM. */
int prompts_add_refused(const struct prompts *prompts, const char *language, struct buf *text);
