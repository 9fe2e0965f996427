/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Token bytes to text, as a stream: a token may end in the middle of a UTF-8 sequence, which is held back until the
 * next ones complete it. What can never become UTF-8 comes out as U+FFFD, one for each maximal subpart (Unicode 15.0,
 * section 3.9), so the output is always valid and is the same however the bytes were cut.
 */
#pragma once

#include <stddef.h>

#include "libmulm/base/buf.h"

struct detok {
        char pending[4]; /* the beginning of a sequence */
        size_t n_pending;
};

#define DETOK_NULL ((struct detok){ 0 })

/* Appends to `text` what is certain so far. 0 or -ENOMEM; then neither has changed. */
int detok_feed(struct detok *detok, const char *bytes, size_t n_bytes, struct buf *text);

/* The end: a sequence that was never completed becomes U+FFFD. */
int detok_finish(struct detok *detok, struct buf *text);
