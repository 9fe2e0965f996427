/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The bridge of a pivot: the short spoken phrase with which a sentence turns around before the right answer. It ends
 * with its first sentence or colon and has at most PIVOT_WORDS_MAX words; in scripts without blanks two characters
 * count as a word. Pure.
 */
#pragma once

#include <stddef.h>

#define PIVOT_WORDS_MAX 12

enum pivot_state {
        PIVOT_STATE_OPEN,     /* it has not ended yet and is not too long */
        PIVOT_STATE_WHOLE,    /* it has ended in time */
        PIVOT_STATE_TOO_LONG, /* it has more words than it may have */
};

/* Of the text after the mark, as far as it has come, valid UTF-8. *ret_end is where the bridge ends: at the end of
 * the text where it is not whole. */
enum pivot_state pivot_check(const char *text, size_t n, size_t *ret_end);
