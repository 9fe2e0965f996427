/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Makes one text of what the opener said and what the cloud streams after it: a blank where and only where one is
 * needed, no echo of the opener, no doubled word or punctuation, no stray capital, no reasoning. Text is held back no
 * longer than an open decision needs. What was shown only ever grows. Pure; fed in pieces of any size, the text is
 * the same for every way of cutting them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/echo.h"
#include "libmulm/base/buf.h"

struct merge {
        struct buf shown;  /* all that the caller was given, valid UTF-8 */
        struct buf held;   /* from the cloud, not yet decided */
        size_t n_opener;   /* bytes of `shown` that the opener said */
        struct echo echo;  /* is the stream repeating the opener? */
        bool at_seam;      /* nothing of the cloud has been shown yet */
        bool in_reasoning; /* between <think> and </think> */
};

void merge_init(struct merge *merge);
void merge_done(struct merge *merge);

/* Each appends to `delta` what may be shown now, whole code points, and to merge->shown the same. On -ENOMEM neither
 * has changed and the text is lost. */
int merge_opener(struct merge *merge, const char *text, size_t n, struct buf *delta);
int merge_cloud(struct merge *merge, const char *text, size_t n, struct buf *delta);

/* The completion's words go on from what was shown; what the cloud had still held back is given up first. */
int merge_local(struct merge *merge, const char *text, size_t n, struct buf *delta);

/* No more will come: releases what is held. */
int merge_end(struct merge *merge, struct buf *delta);
