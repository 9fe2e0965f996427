/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Splits text into the words within which byte pairs are merged. Two are known by the name that GGUF gives them:
 * "gpt-2" (the expression of OpenAI's GPT-2) and "smollm" (every digit alone, then the same). Immutable, hence shared
 * by threads.
 */
#pragma once

#include <stddef.h>

#include "libmulm/base/macro.h"
#include "libmulm/gguf.h"
#include "libmulm/mulm.h"

struct pretokenizer;

/* -ENOTSUP: no pre-tokenizer of this name. */
int pretokenizer_new(struct pretokenizer **ret_pretokenizer, struct gguf_string name, struct mulm_error *error);
struct pretokenizer *pretokenizer_free(struct pretokenizer *pretokenizer);
DEFINE_CLEANUP(struct pretokenizer *, pretokenizer_free)

const char *pretokenizer_name(const struct pretokenizer *pretokenizer);

/* Gets every word in turn; together they are the text. A negative result ends the walk and is passed on. */
typedef int (*pretokenizer_word_fn)(void *userdata, const char *word, size_t n_word);

/* `text` must be valid UTF-8. 0, -ENOMEM, or what `word_fn` returned. */
int pretokenizer_split(const struct pretokenizer *pretokenizer, const char *text, size_t n_text,
                       pretokenizer_word_fn word_fn, void *userdata);
