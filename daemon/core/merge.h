/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Makes one text of what the opener said and what the cloud streams after it: a blank where and only where one is
 * needed, no echo of the opener, no doubled word or punctuation, no stray capital, no reasoning. Text is held back no
 * longer than an open decision needs. What was shown only ever grows, but where the cloud takes the opener back and
 * `redraw` lets it. Pure; fed in pieces of any size, the text is the same for every way of cutting them.
 *
 * The cloud's verdict (verdict.h) is read behind the reasoning, at the head of each stream. A pivot is joined like
 * any text, but is no echo. A replacement shows again only what differs; without `redraw` it stands behind a dash,
 * and so does what begins as a refusal.
 *
 * Behind the seam text passes as it is; only reasoning and what is no text go. A closing tag of reasoning that was
 * never opened takes with it what was still undecided, and says that what was shown of the stream was reasoning: with
 * `redraw` that is taken back, without it the reply begins behind a dash.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/clean.h"
#include "daemon/core/echo.h"
#include "daemon/core/verdict.h"
#include "libmulm/base/buf.h"

enum merge_source {
        MERGE_SOURCE_OPENER,
        MERGE_SOURCE_CLOUD,
        MERGE_SOURCE_LOCAL,
};

struct merge {
        struct buf shown;   /* all that the caller was given, valid UTF-8 */
        struct buf held;    /* readable, not yet decided */
        struct buf head;    /* readable, on its way through the verdict */
        size_t n_opener;    /* bytes of `shown` that the opener said; set when another source begins */
        struct clean clean; /* the source's bytes on their way to text */
        struct echo echo;   /* is the stream repeating the opener? */
        struct verdict verdict;
        bool redraw;          /* set by the caller: what was shown may be taken back */
        const char *refusals; /* the same: how a refusal begins (refusal.h), borrowed; NULL: not known */
        bool is_replaced; /* for the caller to see and to reset: `delta` stands behind the first n_kept characters */
        size_t n_kept;
        enum merge_source source;
        bool at_seam;  /* nothing of this source, or of its new stream, has been shown yet */
        bool turns;    /* but reasoning was, which cannot be taken back */
        size_t n_seam; /* bytes of `shown` before the seam */
        bool resuming; /* what comes of the cloud next is a new stream */
        bool verbatim; /* that goes on where the text stopped, to the letter */
};

void merge_init(struct merge *merge);
void merge_done(struct merge *merge);

/* Each appends to `delta` what may be shown now, whole code points, and to merge->shown the same. 0; on -ENOMEM what
 * was not yet shown is lost. */
int merge_opener(struct merge *merge, const char *text, size_t n, struct buf *delta);
int merge_cloud(struct merge *merge, const char *text, size_t n, struct buf *delta);

/* The cloud's stream broke, and another one is to go on from what was shown: what the old one had still held back is
 * given up, and the new one's head meets all that was shown in a new seam. `verbatim`: it was asked for by a prefill,
 * so that a word that was cut in two goes on without a blank. Nothing changes before the cloud has spoken. */
void merge_resume(struct merge *merge, bool verbatim);

/* The completion's words go on from what was shown; what the cloud had still held back is given up first. */
int merge_local(struct merge *merge, const char *text, size_t n, struct buf *delta);

/* Speaks a sentence of the daemon's own behind all that the cloud has said. */
int merge_aside(struct merge *merge, const char *text, size_t n, struct buf *delta);

/* Nothing has come for a while: shows what waits only to know how it joins (for its capital, its blank), since that
 * is not worth a person's time. What may yet be an echo, a mark or a tag stays held. */
int merge_hurry(struct merge *merge, struct buf *delta);

/* Something of the source's was read and not yet shown. */
bool merge_is_holding(const struct merge *merge);

/* No more will come: releases what is held. */
int merge_end(struct merge *merge, struct buf *delta);
