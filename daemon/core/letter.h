/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Classes of code points, as far as joining two texts needs them. Independent of the locale, unlike <wctype.h>; the
 * ranges are those of the Unicode blocks, not of every single character.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Code point 0 ("nothing there") is of no class. */
bool letter_is_blank(uint32_t c);

/* Letters, digits and their marks, of any script. */
bool letter_is_word(uint32_t c);

/* Of a script that is written without blanks between words (Chinese, Japanese, Thai, ...), or its punctuation. */
bool letter_is_unspaced(uint32_t c);

/* Hyphens and apostrophes: between two letters they make one word of both sides. */
bool letter_is_joiner(uint32_t c);

/* Ends a sentence; a colon counts, since a capital may follow it. */
bool letter_ends_sentence(uint32_t c);

/* Comma, full stop and their like: what must not stand twice in a row. */
bool letter_is_mark(uint32_t c);

/* Small letter of Latin, Greek and Cyrillic; anything else as it is. */
uint32_t letter_lower(uint32_t c);

/* The same, and the typographic apostrophe as the plain one: for comparing words. */
uint32_t letter_fold(uint32_t c);

/* The code point before or at `offset` of valid UTF-8 and, where ret_length is not NULL, its bytes; 0 at either end.
 */
uint32_t letter_before(const char *text, size_t offset, size_t *ret_length);
uint32_t letter_at(const char *text, size_t n, size_t offset, size_t *ret_length);
