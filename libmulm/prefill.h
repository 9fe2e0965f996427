/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Many tokens through the layers at once, so that weights are read once for all of them: by the quantised batch
 * kernels or, where these are slower, by OpenBLAS over weights dequantised a panel at a time, so that no more of the
 * model exists as floats than fits in the cache. Activations are rounded as decode rounds them, so both ways and
 * decode give the same numbers up to the order of summation. Allocates nothing after prefill_new().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libmulm/decode.h"

struct prefill;

/* All must outlive it. -ENOMEM. Sets OpenBLAS, of which a process has one, to a single thread: the pool shares out
 * the work. can_check: make room for prefill_check(). */
int prefill_new(struct prefill **ret_prefill, const struct mulm_model *model, struct pool *pool, const struct kv *kv,
                struct decode *decode, bool can_check, struct mulm_error *error);
struct prefill *prefill_free(struct prefill *prefill);

/* n_tokens >= 1 tokens at `position` and on, attending to all before them; leaves the last one's logits in `decode`.
 */
void prefill_tokens(struct prefill *prefill, const uint32_t *tokens, uint32_t n_tokens, uint32_t position);

#define PREFILL_CHECK_MAX 4

/* Whether there was room asked for and every matrix of the model has a quantised batch kernel, whose sums are those
 * of the kernel for one vector bit for bit. */
bool prefill_can_check(const struct prefill *prefill);

/* n_tokens <= PREFILL_CHECK_MAX tokens at `position` and on, with the logits of each: keys, values and logits are bit
 * for bit what decode_token() makes of one after the other. */
void prefill_check(struct prefill *prefill, const uint32_t *tokens, uint32_t n_tokens, uint32_t position);

/* [n_vocabulary] of the i-th token of the last check. */
const float *prefill_logits(const struct prefill *prefill, uint32_t i);
