/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See pace.h.
 */
#include "daemon/core/pace.h"

#include "daemon/core/letter.h"
#include "libmulm/base/macro.h"

void pace_init(struct pace *pace, double words_per_second, unsigned interval_ms)
{
        *pace = (struct pace){
                .word_us = words_per_second > 0 ? (uint64_t)(1e6 / words_per_second) : 0,
                .interval_us = (uint64_t)interval_ms * 1000,
                .is_waiting = true,
        };
}

/* Belongs to the character before it in a script without blanks: vowels, tones, sound and length marks, variation
 * selectors. After the general category of Unicode 15 within the ranges of letter_is_unspaced(). */
static bool is_sign(uint32_t c)
{
        static const struct {
                uint32_t first, last;
        } signs[] = {
                { 0xe30, 0xe3a },   { 0xe45, 0xe4e },   { 0xeb0, 0xebc },   { 0xec8, 0xece },   { 0x102b, 0x103e },
                { 0x17b4, 0x17d3 }, { 0x3005, 0x3005 }, { 0x302a, 0x302f }, { 0x3099, 0x309e }, { 0x30fc, 0x30fe },
        };

        for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
                if (c >= signs[i].first && c <= signs[i].last)
                        return true;
        return false;
}

static bool is_unspaced_character(uint32_t c)
{
        return letter_is_unspaced(c) && letter_is_word(c) && !is_sign(c);
}

/* Where the word behind `from` ends, with the blanks before it; at the end of the text where it is not seen. */
static size_t find_word_end(const struct pace_text *text, size_t from)
{
        unsigned n_characters = 0;
        size_t i = from, length;
        uint32_t c;

        while ((c = letter_at(text->text, text->n, i, &length)) != 0 && letter_is_blank(c))
                i += length;
        for (; (c = letter_at(text->text, text->n, i, &length)) != 0; i += length) {
                if (letter_is_blank(c) || (n_characters == 2 && is_unspaced_character(c)))
                        return i;
                n_characters += is_unspaced_character(c);
        }
        return text->n;
}

/* The end of the next whole word; where there is none, 0. */
static size_t next_word(const struct pace *pace, const struct pace_text *text, uint64_t now_us)
{
        size_t end = find_word_end(text, pace->n_released);

        if (end == pace->n_released)
                return 0;
        if (end < text->n || text->is_ended || text->n_whole == text->n)
                return end;
        /* The first delta is worth more than a whole word. */
        return pace->n_released == 0 || now_us - pace->grown_us >= PACE_PART_US ? end : 0;
}

/* Words that are due and there. */
static void release_words(struct pace *pace, const struct pace_text *text, uint64_t now_us)
{
        size_t end;

        while ((end = next_word(pace, text, now_us)) > 0 && pace->word_due_us <= now_us) {
                pace->n_released = end;
                pace->word_due_us += pace->word_us;
        }
        pace->is_waiting = end == 0;
}

/* All words that are there, but at the end of the text only whole ones. */
static void release_all(struct pace *pace, const struct pace_text *text, uint64_t now_us)
{
        size_t end;

        if (pace->n_released == 0)
                pace->n_released = text->n;
        while ((end = next_word(pace, text, now_us)) > 0)
                pace->n_released = end;
}

static void note_growth(struct pace *pace, const struct pace_text *text, uint64_t now_us)
{
        if (text->n == pace->n_seen)
                return;
        pace->n_seen = text->n;
        pace->grown_us = now_us;
}

/* When to ask again: for the next word, or for the part of one that does not get finished. */
static uint64_t next_step(const struct pace *pace, const struct pace_text *text, uint64_t now_us)
{
        const uint64_t due_us = MAX(pace->word_due_us, pace->delta_due_us);

        if (pace->n_released == text->n)
                return 0;
        return next_word(pace, text, now_us) > 0 ? due_us : MAX(due_us, pace->grown_us + PACE_PART_US);
}

uint64_t pace_step(struct pace *pace, const struct pace_text *text, uint64_t now_us)
{
        const size_t n_before = pace->n_released;

        if (pace->word_us == 0 && (pace->interval_us == 0 || text->is_ended)) {
                pace->n_released = text->n;
                return 0;
        }
        note_growth(pace, text, now_us);
        /* A word that was not there when it was due starts the clock anew. */
        if (pace->is_waiting && next_word(pace, text, now_us) > 0) {
                pace->word_due_us = MAX(pace->word_due_us, now_us);
                pace->is_waiting = false;
        }
        if (pace->delta_due_us <= now_us) {
                if (pace->word_us > 0)
                        release_words(pace, text, now_us);
                else
                        release_all(pace, text, now_us);
        }
        if (pace->n_released > n_before)
                pace->delta_due_us = now_us + pace->interval_us;
        return next_step(pace, text, now_us);
}

void pace_replace(struct pace *pace, const struct pace_text *text, size_t n_kept, uint64_t now_us)
{
        const size_t n_before = pace->n_released;

        note_growth(pace, text, now_us);
        pace->n_released = n_kept;
        while (pace->n_released < n_before && pace->n_released < text->n)
                pace->n_released = find_word_end(text, pace->n_released);
        if (pace->word_us == 0 && pace->interval_us == 0)
                pace->n_released = text->n;
        pace->delta_due_us = now_us + pace->interval_us;
}
