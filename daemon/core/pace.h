/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * When the text that was merged is shown: word by word at the rate at which a person reads or hears it, so that the
 * seam between two speakers is neither a gap nor a burst; or as it comes, but not more often than every so many
 * milliseconds. Holds no text, only how much of it was released: the text grows outside. Pure; time is an argument.
 *
 *   - The first delta goes at once. Then whole words go; of a word that stays unfinished, what is there goes after
 *     PACE_PART_US.
 *   - With a rate, each word sets the time of the next one. Words that come late are not made up for by haste.
 *   - Once the text has ended, what is left of it goes at once, or at the rate where there is one.
 *   - In scripts without blanks two characters count as a word.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_PART_US 500000 /* a word that has stayed unfinished for so long is shown as it is */

struct pace {
        uint64_t word_us;     /* a word's time; 0: none */
        uint64_t interval_us; /* between two deltas, at least; 0: none */

        size_t n_released;     /* bytes of the text */
        size_t n_seen;         /* bytes of it, at the last step */
        uint64_t grown_us;     /* when it last grew */
        uint64_t word_due_us;  /* when the next word may go */
        uint64_t delta_due_us; /* when the next delta may go */
        bool is_waiting;       /* there was no whole word left to release */
};

/* All that was merged so far, whole code points. */
struct pace_text {
        const char *text;
        size_t n;
        size_t n_whole; /* the first so many bytes end with a whole word, whatever follows */
        bool is_ended;  /* nothing follows */
};

/* words_per_second and interval_ms as a caller gives them; 0: none. */
void pace_init(struct pace *pace, double words_per_second, unsigned interval_ms);

/* Releases what is due: adds to pace->n_released. Answers when to ask again though nothing new has come, 0 for never.
 * What was released before is not to change but by pace_replace(). */
uint64_t pace_step(struct pace *pace, const struct pace_text *text, uint64_t now_us);

/* All behind the first n_kept bytes, fewer than were released, has been replaced: releases of the new text as much as
 * was there of the old one, to the end of a word. */
void pace_replace(struct pace *pace, const struct pace_text *text, size_t n_kept, uint64_t now_us);
