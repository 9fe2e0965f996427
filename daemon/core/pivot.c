/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See pivot.h.
 */
#include "daemon/core/pivot.h"

#include <stdbool.h>

#include "daemon/core/letter.h"

struct words {
        unsigned n_halves; /* of words, begun ones included */
        bool in_word;
};

static void count(struct words *words, uint32_t c)
{
        bool is_word = letter_is_word(c);

        if (is_word && letter_is_unspaced(c)) {
                words->n_halves++;
                words->in_word = false;
                return;
        }
        if (is_word && !words->in_word)
                words->n_halves += 2;
        words->in_word = is_word || (words->in_word && letter_is_joiner(c));
}

/* "3.5" and "12:30" end nothing; the stops of other scripts stand without a blank after them. */
static bool ends_here(const char *text, size_t n, size_t next, uint32_t c)
{
        return letter_ends_sentence(c) && (c >= 0x80 || !letter_is_word(letter_at(text, n, next, NULL)));
}

enum pivot_state pivot_check(const char *text, size_t n, size_t *ret_end)
{
        struct words words = { 0 };
        size_t length;

        for (size_t i = 0; i < n; i += length) {
                uint32_t c = letter_at(text, n, i, &length);

                if (words.n_halves > 0 && ends_here(text, n, i + length, c)) {
                        *ret_end = i + length;
                        return PIVOT_STATE_WHOLE;
                }
                count(&words, c);
                if (words.n_halves > 2 * PIVOT_WORDS_MAX) {
                        *ret_end = n;
                        return PIVOT_STATE_TOO_LONG;
                }
        }
        *ret_end = n;
        return PIVOT_STATE_OPEN;
}
