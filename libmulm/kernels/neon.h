/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Shared by the NEON files: all that no extension of ARMv8.0 makes faster, so that each of them adds its products of
 * quantised rows (neon-products.inc.c) and nothing else.
 */
#pragma once

#include <arm_neon.h>
#include <string.h>

#include "libmulm/kernels/kernels.h"

#define TILE 4 /* rows, or vectors, at a time */

/* Four rows or vectors; a short tile names its last one again, so that no code but store_tile() knows of it. */
static inline void tile_rows(const char *ret_rows[TILE], const char *rows, size_t n_row_bytes, size_t n)
{
        for (size_t r = 0; r < TILE; r++)
                ret_rows[r] = rows + (r < n ? r : n - 1) * n_row_bytes;
}

static inline void store_tile(float *y, float32x4_t tile, size_t n)
{
        float values[TILE];

        if (n >= TILE) {
                vst1q_f32(y, tile);
                return;
        }
        vst1q_f32(values, tile);
        memcpy(y, values, n * sizeof(*y));
}

static inline float half_at(const void *at)
{
        __fp16 half;

        memcpy(&half, at, sizeof(half));
        return (float)half;
}

/* neon.c */
void neon_quantise(struct kernel_block *blocks, const float *x, size_t n);
void neon_quantise_wide(struct kernel_block *blocks, const float *x, size_t n);
void neon_dequantise_blocks(float *y, const struct kernel_block *blocks, size_t n);
void neon_round_half(float *y, const float *x, size_t n);
void neon_rows_f32(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                   const struct kernel_vector *x);
void neon_rows_f16(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                   const struct kernel_vector *x);
void neon_rows_bf16(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void neon_dequantise_f32(float *y, const void *row, size_t n_columns);
void neon_dequantise_f16(float *y, const void *row, size_t n_columns);
void neon_dequantise_bf16(float *y, const void *row, size_t n_columns);
void neon_rms_norm(float *y, const float *x, const float *weight, size_t n, float epsilon);
void neon_rope(float *x, const float *rotation, size_t n);
void neon_swiglu(float *gate, const float *up, size_t n);
float neon_maximum(const float *x, size_t n);
float neon_exp_sum(const float *x, float largest, size_t n);
void neon_softmax(float *x, size_t n);
void neon_attention(float *out, float *scores, const float *queries, size_t n_queries, const float *keys,
                    const float *values, size_t n_stride, size_t n_positions, size_t head_size, bool is_batch);
