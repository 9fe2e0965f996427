/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Does an opener claim that something was done ("I've set", "Done", "Playing")? The μLM can do nothing, so that would
 * be untrue. Two small tables, of verbs and of the ways to claim, in English, which is what the μLM speaks. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CLAIM_WORD_MAX 32 /* bytes, the end included; of longer words the head */

enum claim_match {
        CLAIM_MATCH_NONE,
        CLAIM_MATCH_PART, /* with further words they may become one */
        CLAIM_MATCH_CLAIM,
};

/* An opener's words, from one of them on, as claim_read_word() gives them. */
struct claim_words {
        const char (*words)[CLAIM_WORD_MAX];
        size_t n_words;
        bool are_first;  /* nothing but interjections ("Sure,") stands before them */
        bool is_request; /* they answer a prompt of which claim_is_request() is true */
};

enum claim_match claim_match(const struct claim_words *words);

/* "Sure", "Okay": may stand before a claim. */
bool claim_is_interjection(const char *word);

/* The person wants something done: begins with one of the verbs, politely or not. */
bool claim_is_request(const char *prompt);

/* The next word of `text` from an offset on, in small letters and without punctuation. Answers the offset behind it,
 * 0 where there is none. */
size_t claim_read_word(const char *text, size_t n, size_t from, char ret_word[CLAIM_WORD_MAX]);
