/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The public functions about text, and the version: thin covers of vocab.h and bpe.h. Any thread may call them.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libmulm/bpe.h"
#include "libmulm/error.h"
#include "libmulm/model.h"

int mulm_tokenize(const mulm_model *model, const char *text, size_t n_text, uint32_t *tokens, size_t capacity,
                  size_t *ret_n_tokens, struct mulm_error *error)
{
        _cleanup_(token_list_done) struct token_list list = TOKEN_LIST_NULL;
        int r;

        r = bpe_encode(model->vocab, text, n_text, &list, error);
        if (r < 0)
                return r;
        if (list.n > 0 && capacity > 0)
                memcpy(tokens, list.tokens, MIN(list.n, capacity) * sizeof(*tokens));
        *ret_n_tokens = list.n;
        return 0;
}

int mulm_token_bytes(const mulm_model *model, uint32_t token, const char **ret_bytes, size_t *ret_n_bytes)
{
        if (token >= vocab_size(model->vocab))
                return -EINVAL;
        vocab_bytes(model->vocab, token, ret_bytes, ret_n_bytes);
        return 0;
}

const char *mulm_version(void)
{
        return MULM_VERSION;
}
