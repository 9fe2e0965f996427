/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * From the bytes that a model sends to text that a person may read: whole and valid code points (U+FFFD for what is
 * malformed), no control characters but line feed and tab, and no reasoning: `<think>...</think>` and
 * `<thinking>...</thinking>` vanish, wherever a delta is cut. Holds back at most the start of a tag or of a code
 * point. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libmulm/base/buf.h"

#define CLEAN_TAG_MAX 12 /* bytes; the longest is </thinking> */

struct clean {
        char sequence[4]; /* a code point that is not yet whole */
        size_t n_sequence;
        char tag[CLEAN_TAG_MAX]; /* what may become a tag */
        size_t n_tag;
        bool in_reasoning;
};

#define CLEAN_NULL ((struct clean){ 0 })

/* One byte; appends to `text` what became readable. 0; 1 where a closing tag has just ended that nothing had opened,
 * so that all before it was reasoning; -ENOMEM. */
int clean_byte(struct clean *clean, char byte, struct buf *text);

/* No more will come: what may no longer become a tag is text. 0, -ENOMEM. */
int clean_end(struct clean *clean, struct buf *text);
