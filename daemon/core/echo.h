/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Is the cloud saying again what was already said? Compares the head of the stream with the text before the seam:
 * exact, or with other case, blanks or punctuation, wrapped in quotes or markdown; the whole opener or only its tail.
 * Pure; decides as soon as the bytes suffice.
 *
 * Words are compared. The head is an echo if it begins with the last words of what was said, as many as possible:
 *   - all of them, two or more of them, or three characters of a script without blanks;
 *   - one alone only if it is of a closed list of words that no language doubles ("is", "the", "und"), and no
 *     punctuation stands between. Any other single word is kept, since it may be meant ("that that", "New York, New
 *     York", "nous nous") or chance.
 * Where the last word may have been cut in two ("Canb"), a stream that says it whole ("Canberra") repeats its head;
 * alone that counts from ECHO_CUT_MIN bytes on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libmulm/base/buf.h"

#define ECHO_CUT_MIN 4

enum echo_verdict {
        ECHO_VERDICT_OPEN,  /* more bytes are needed */
        ECHO_VERDICT_FRESH, /* new text from its first byte on */
        ECHO_VERDICT_ECHO,  /* the first *ret_skip bytes repeat what was said */
};

struct echo {
        struct buf said;   /* what the stream may repeat: its words in small letters, a blank between them */
        bool ends_in_word; /* no punctuation after the last one */
        bool may_be_cut;   /* set by the caller: the last one may be the head of a word that the stream says whole */
};

#define ECHO_NULL ((struct echo){ 0 })

/* Learns what was said, valid UTF-8. 0, -ENOMEM. */
int echo_set_said(struct echo *echo, const char *said, size_t n);
void echo_done(struct echo *echo);

/* Judges the stream's first bytes, whole code points; `ended`: no more will come. A verdict that is not OPEN stays
 * the same however the stream goes on. 0, -ENOMEM. */
int echo_judge(const struct echo *echo, const char *text, size_t n, bool ended, enum echo_verdict *ret_verdict,
               size_t *ret_skip);

/* One of the closed list, in small letters. */
bool echo_is_never_doubled(const char *word, size_t n);
