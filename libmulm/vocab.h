/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The vocabulary of a byte-level BPE tokenizer as the GGUF file carries it: tokens as raw bytes (the printable
 * stand-ins for bytes undone), token types, and merge ranks. Refuses tokenizers other than "gpt2" with pre-tokenizer
 * "smollm" or "gpt-2", vocabularies without all 256 byte tokens, and merges that name no token.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/gguf.h"

struct vocab;

#define VOCAB_NO_TOKEN UINT32_MAX

int vocab_new(struct vocab **ret_vocab, const struct gguf *gguf, struct mulm_error *error);
struct vocab *vocab_free(struct vocab *vocab);

size_t vocab_size(const struct vocab *vocab);
const char *vocab_pre_tokenizer(const struct vocab *vocab);

/* Raw bytes of a token; a special token's are its name. `token` must be below vocab_size(). */
void vocab_bytes(const struct vocab *vocab, uint32_t token, const char **ret_bytes, size_t *ret_n);
bool vocab_is_special(const struct vocab *vocab, uint32_t token);

/* The token that ends a text or a turn: the file's eos and eot ids, "<|im_end|>" and "<|endoftext|>". */
bool vocab_is_end(const struct vocab *vocab, uint32_t token);

/* The special token with this name, or VOCAB_NO_TOKEN. */
uint32_t vocab_find_special(const struct vocab *vocab, const char *name);

/* bpe.c: plain text to tokens, appended to a growing array; special tokens are never recognised.
 * 0, -EBADMSG (not UTF-8), -ENOMEM. Thread-safe: the vocabulary is not changed. */
struct token_list {
        uint32_t *tokens;
        size_t n, capacity;
};
int bpe_encode(const struct vocab *vocab, const char *text, size_t n_text, struct token_list *list,
               struct mulm_error *error);
int token_list_push(struct token_list *list, uint32_t token);
void token_list_done(struct token_list *list);
