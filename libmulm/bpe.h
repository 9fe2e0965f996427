/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Plain text to tokens. Special tokens are never recognised in it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/macro.h"
#include "libmulm/mulm.h"
#include "libmulm/vocab.h"

/* A growing array. */
struct token_list {
        uint32_t *tokens;
        size_t n, capacity;
};

#define TOKEN_LIST_NULL ((struct token_list){ 0 })

/* 0 or -ENOMEM. */
int token_list_push(struct token_list *list, uint32_t token);
void token_list_done(struct token_list *list);

/* Appends the tokens of a text; on failure the list is as it was. -EBADMSG: not UTF-8, the sentence has the offset.
 * Thread-safe: the vocabulary is not changed. Takes O(n log n) for any text. */
int bpe_encode(const struct vocab *vocab, const char *text, size_t n_text, struct token_list *list,
               struct mulm_error *error);
