/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One token through the layers, all threads together: each matrix's rows are shared out, and between what depends on
 * each other lies a barrier, five per layer. Everything small (norms, quantising) is done by every thread for itself.
 * Allocates nothing after decode_new().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libmulm/kv.h"
#include "libmulm/model.h"
#include "libmulm/pool.h"

struct decode;

/* All must outlive it. -ENOMEM. */
int decode_new(struct decode **ret_decode, const struct mulm_model *model, struct pool *pool, const struct kv *kv,
               struct mulm_error *error);
struct decode *decode_free(struct decode *decode);

/* The token at this position, attending to all before it; its keys and values are written, its logits left. */
void decode_token(struct decode *decode, uint32_t token, uint32_t position);

/* The same from the input of `layer` on, which prefill has computed. */
void decode_from_layer(struct decode *decode, const float *x, uint32_t layer, uint32_t position);

/* [n_vocabulary] of the last token. */
const float *decode_logits(const struct decode *decode);
