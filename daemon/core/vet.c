/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See vet.h.
 */
#include "daemon/core/vet.h"

#include <errno.h>
#include <string.h>

#include "libmulm/base/macro.h"

void vet_init(struct vet *vet, const char *prompt, const char *previous, bool claims)
{
        size_t i = 0;

        *vet = (struct vet){ .claims = claims, .is_request = claims && claim_is_request(prompt) };
        while (previous && vet->n_before < VET_LIKE_WORDS &&
               (i = claim_read_word(previous, strlen(previous), i, vet->before[vet->n_before])) > 0)
                vet->n_before++;
}

void vet_done(struct vet *vet)
{
        buf_done(&vet->text);
}

/* Is the beginning, so far as it goes, the same as before? */
static bool is_alike(const struct vet *vet)
{
        for (size_t i = 0; i < MIN(vet->n_words, vet->n_before); i++)
                if (strcmp(vet->words[i], vet->before[i]) != 0)
                        return false;
        return !vet->is_second && vet->n_before > 0;
}

static bool is_behind_interjections(const struct vet *vet, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (*vet->words[i] && !claim_is_interjection(vet->words[i]))
                        return false;
        return true;
}

/* How many words stand in front of what is or may become a claim; all where there is none. */
static size_t find_claim(const struct vet *vet, enum claim_match *ret_match)
{
        *ret_match = CLAIM_MATCH_NONE;
        for (size_t i = vet->n_free; vet->claims && i < vet->n_words; i++) {
                const struct claim_words words = {
                        .words = &vet->words[i],
                        .n_words = vet->n_words - i,
                        .are_first = is_behind_interjections(vet, i),
                        .is_request = vet->is_request,
                };

                *ret_match = claim_match(&words);
                if (*ret_match != CLAIM_MATCH_NONE)
                        return i;
        }
        return vet->n_words;
}

int vet_word(struct vet *vet, const char *word, size_t n, float probability)
{
        enum claim_match match;
        size_t n_clear;
        int r;

        if (vet->is_second && vet->n_words == 0 && vet->claims && probability < VET_PROBABILITY_MIN)
                return VET_VERDICT_ODD;
        if (vet->n_words == VET_WORDS_MAX)
                return -E2BIG;
        r = buf_add(&vet->text, word, n);
        if (r < 0)
                return r;
        (void)claim_read_word(word, n, 0, vet->words[vet->n_words]);
        vet->ends[vet->n_words++] = vet->text.n;

        n_clear = find_claim(vet, &match);
        if (match == CLAIM_MATCH_CLAIM) {
                vet->n_free = n_clear;
                return VET_VERDICT_CLAIM;
        }
        if (is_alike(vet)) {
                if (vet->n_words < vet->n_before)
                        return VET_VERDICT_GO_ON;
                if (vet->n_free == 0)
                        return VET_VERDICT_ALIKE;
        }
        vet->n_free = n_clear;
        return VET_VERDICT_GO_ON;
}

void vet_end(struct vet *vet)
{
        vet->n_free = vet->n_words;
}

const char *vet_take(struct vet *vet, size_t *ret_n)
{
        const size_t from = vet->n_taken > 0 ? vet->ends[vet->n_taken - 1] : 0;

        if (vet->n_taken == vet->n_free)
                return NULL;
        *ret_n = vet->ends[vet->n_taken++] - from;
        return vet->text.data + from;
}

const char *vet_again(struct vet *vet)
{
        vet->is_second = true;
        vet->n_words = vet->n_free = vet->n_taken = 0;
        buf_clear(&vet->text);
        return vet->before[0];
}
