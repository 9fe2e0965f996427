/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The vocabulary of a byte-level BPE tokenizer as the GGUF file carries it: tokens as raw bytes (the printable
 * stand-ins for bytes undone), token types, and merge ranks. Refuses tokenizers other than "gpt2" with pre-tokenizer
 * "smollm" or "gpt-2", duplicate tokens, vocabularies without a token for each printable ASCII character and the
 * newline, and merges that name no token. Immutable, hence shared by threads.
 *
 * Other bytes may have no token of their own (SmolLM2 has none for 21 of them, most of which never occur in UTF-8):
 * such a byte of a text is left out, as llama.cpp does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/macro.h"
#include "libmulm/gguf.h"
#include "libmulm/pretokenizer.h"

struct vocab;

#define VOCAB_NO_TOKEN UINT32_MAX

int vocab_new(struct vocab **ret_vocab, const struct gguf *gguf, struct mulm_error *error);
struct vocab *vocab_free(struct vocab *vocab);
DEFINE_CLEANUP(struct vocab *, vocab_free)

size_t vocab_size(const struct vocab *vocab);
const struct pretokenizer *vocab_pretokenizer(const struct vocab *vocab);

/* Raw bytes of a token; a special token's are its name. `token` must be below vocab_size(). */
void vocab_bytes(const struct vocab *vocab, uint32_t token, const char **ret_bytes, size_t *ret_n);

/* Control, unknown and user-defined tokens, and unused ones: never the result of encoding text. */
bool vocab_is_special(const struct vocab *vocab, uint32_t token);

/* The token that every text begins with where the file asks for one, or VOCAB_NO_TOKEN. */
uint32_t vocab_begin_token(const struct vocab *vocab);

/* The token that ends a text or a turn: the file's eos and eot ids, "<|im_end|>" and "<|endoftext|>". */
bool vocab_is_end(const struct vocab *vocab, uint32_t token);

/* The special token with this name, or VOCAB_NO_TOKEN. */
uint32_t vocab_find_special(const struct vocab *vocab, const char *name);

/* For bpe.c: the token of a single byte, or VOCAB_NO_TOKEN; and the token that two become, with the rank of that
 * merge (lower ones come first), or VOCAB_NO_TOKEN where they do not merge. */
uint32_t vocab_byte_token(const struct vocab *vocab, unsigned char byte);
uint32_t vocab_find_merge(const struct vocab *vocab, uint32_t left, uint32_t right, uint32_t *ret_rank);
