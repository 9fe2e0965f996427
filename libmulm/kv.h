/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Keys and values of every evaluated position, float, one row per layer and position, keys already rotated. The
 * memory is reserved for the whole context but used only as far as positions are written. Dropping positions is
 * forgetting how many there are; that number is the session's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libmulm/mulm.h"

struct kv {
        float *data; /* [n_layers][keys, values][n_context][n_width] */
        size_t n_bytes;
        uint32_t n_context;
        uint32_t n_width; /* n_kv_heads * head_size */
};

int kv_init(struct kv *ret_kv, uint32_t n_layers, uint32_t n_context, uint32_t n_width, struct mulm_error *error);
void kv_done(struct kv *kv);

static inline float *kv_keys(const struct kv *kv, uint32_t layer, uint32_t position)
{
        return kv->data + ((size_t)layer * 2 * kv->n_context + position) * kv->n_width;
}

static inline float *kv_values(const struct kv *kv, uint32_t layer, uint32_t position)
{
        return kv->data + (((size_t)layer * 2 + 1) * kv->n_context + position) * kv->n_width;
}
