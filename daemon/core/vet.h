/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The opener's words on their way to the person. A word is held while it and those behind it may yet turn out to open
 * the reply as the one before was opened, or to claim that something was done; a few milliseconds, since the μLM says
 * the next one at once. Everything else is let go in order. Pure.
 *
 * Two replies open alike where their first VET_LIKE_WORDS words are the same. Another opener is then asked for, once,
 * with another first word; where that one is as improbable as VET_PROBABILITY_MIN, silence is better.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/claim.h"
#include "libmulm/base/buf.h"

#define VET_LIKE_WORDS      3
#define VET_WORDS_MAX       64 /* no opener is allowed half as many */
#define VET_PROBABILITY_MIN 0.02f

struct vet {
        bool claims;                                 /* are to be looked for */
        bool is_request;                             /* the prompt wants something done */
        bool is_second;                              /* the opener was asked for anew */
        char before[VET_LIKE_WORDS][CLAIM_WORD_MAX]; /* how the reply before began */
        size_t n_before;

        char words[VET_WORDS_MAX][CLAIM_WORD_MAX]; /* of this one; "" where a word has no letter */
        size_t ends[VET_WORDS_MAX];                /* where each ends in `text` */
        size_t n_words, n_free, n_taken;           /* seen; that may be shown; that were */
        struct buf text;
};

enum vet_verdict {
        VET_VERDICT_GO_ON,
        VET_VERDICT_ALIKE, /* it opens as the reply before did: vet_again(), then another one with another first word
                            */
        VET_VERDICT_CLAIM, /* it is to end in front of the words that are not let go */
        VET_VERDICT_ODD,   /* the second one begins with a word that hardly belongs there: nothing is to be said */
};

/* `previous`: the reply before, NULL for none; its first words are kept. */
void vet_init(struct vet *vet, const char *prompt, const char *previous, bool claims);
void vet_done(struct vet *vet);

/* One word with its leading blank. A verdict; -ENOMEM, -E2BIG. */
int vet_word(struct vet *vet, const char *word, size_t n, float probability);

/* The opener is over: what is held may be shown. */
void vet_end(struct vet *vet);

/* The next word that may be shown; NULL where there is none. Valid until the next call of vet_word(). */
const char *vet_take(struct vet *vet, size_t *ret_n);

/* Forgets the opener for another one. Answers the word that this is not to begin with. */
const char *vet_again(struct vet *vet);
