/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Prompt lookup: a reply often repeats words of its prompt, so what followed its last words there is a cheap guess at
 * what follows now. Guesses alone: whoever evaluates them keeps those that the model would have said. Pure; called by
 * generate.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libmulm/vocab.h"

#define LOOKUP_MAX 3 /* tokens of a draft */

/* Drafts what may follow tokens[0..n_tokens), of which the first n_prompt are the prompt: finds the place in the
 * prompt where the longest run of its last tokens stands, words being the same whatever their case and whether or not
 * a blank is in front (a reply begins with a capital), and takes as many tokens from behind it as were the same, at
 * most n_most <= LOOKUP_MAX and none that is special. Of equally long runs the latest wins. Returns how many. */
size_t lookup_draft(const struct vocab *vocab, const uint32_t *tokens, size_t n_prompt, size_t n_tokens,
                    size_t n_most, uint32_t draft[LOOKUP_MAX]);
