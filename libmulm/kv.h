/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Keys and values of every evaluated position, in single or half precision, one row per layer and position, keys
 * already rotated. The memory is reserved for the whole context but used only as far as positions are written.
 * Dropping positions is forgetting how many there are; that number is the session's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libmulm/kernels/kernels.h"
#include "libmulm/mulm.h"

struct kv {
        void *data; /* [n_layers][keys, values][n_context][n_width] */
        size_t n_bytes;
        enum mulm_kv type;
        uint32_t n_context;
        uint32_t n_width; /* n_kv_heads * head_size */
};

enum kv_part {
        KV_KEYS,
        KV_VALUES,
};

/* -EINVAL: no such type. -ENOMEM. */
int kv_init(struct kv *ret_kv, enum mulm_kv type, uint32_t n_layers, uint32_t n_context, uint32_t n_width,
            struct mulm_error *error);
void kv_done(struct kv *kv);

/* Columns [first, first + n) of a row; x[0] is column `first`. */
void kv_write(const struct kv *kv, enum kv_part part, uint32_t layer, uint32_t position, size_t first, size_t n,
              const float *x);

/* The same columns of rows [0, n_positions), *ret_stride floats apart: where they lie or, in half precision, unpacked
 * into scratch[n_positions x n]. */
const float *kv_read(const struct kv *kv, enum kv_part part, uint32_t layer, uint32_t n_positions, size_t first,
                     size_t n, float *scratch, size_t *ret_stride, const struct kernels *kernels);
