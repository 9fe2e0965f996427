/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The continuator's verdict on the opener, at the head of its stream:
 *
 *     reply = *blank [ "[[pivot]]" / "[[replace]]" / "[[continue]]" ] text      (marks in letters of any case)
 *
 * Two brackets open no sentence in any language and no markdown that a spoken reply may have, and each mark is a few
 * tokens of plain ASCII. Any other beginning is a continuation, so that a model that was not asked, or does not care,
 * simply goes on; its first character that is neither a blank nor a bracket decides that, and nothing was held back
 * for longer than the delta it came in. Marks anywhere else are text. Pure; fed in pieces of any size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libmulm/base/buf.h"

#define VERDICT_HEAD_MAX 32 /* bytes: blanks and the longest mark; more blanks than fit decide too */

enum verdict_kind {
        VERDICT_CONTINUE, /* the text goes on with the sentence */
        VERDICT_PIVOT,    /* the text turns the sentence around, in a bridge as pivot.h has it */
        VERDICT_REPLACE,  /* the text is the whole reply, from its beginning */
};

struct verdict {
        enum verdict_kind kind; /* once decided */
        bool is_decided;
        char head[VERDICT_HEAD_MAX]; /* what may be or become a mark, with the blanks before it */
        size_t n_head;
};

#define VERDICT_NULL ((struct verdict){ 0 })

/* Appends to `text` what is no mark. 1 once the verdict is known, 0 while more is needed, -ENOMEM. */
int verdict_feed(struct verdict *verdict, const char *bytes, size_t n, struct buf *text);

/* The reply is over: what was held is text after all. 0, -ENOMEM. */
int verdict_end(struct verdict *verdict, struct buf *text);
