/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The scalar reference for the K types: each block is unpacked to bytes first.
 */
#include <math.h>

#include "libmulm/kernels/half.h"
#include "libmulm/kernels/scalar.h"
#include "libmulm/kernels/super.h"

/* A block in one form for all three: value = scale * scales[i / 16] * quants[i] - minimum * minimums[i / 32]. */
struct unpacked {
        float scale, minimum;
        int32_t scales[QUANT_SUPER / 16], minimums[QUANT_SUPER_PARTS];
        int8_t quants[QUANT_SUPER];
};

static void set_scales(struct unpacked *u, quant_half scale, quant_half minimum, const uint8_t packed[12])
{
        uint8_t scales[16];

        super_unpack_scales(scales, packed);
        u->scale = half_to_float(scale);
        u->minimum = half_to_float(minimum);
        for (size_t p = 0; p < QUANT_SUPER_PARTS; p++) {
                u->scales[2 * p] = u->scales[2 * p + 1] = scales[p];
                u->minimums[p] = scales[8 + p];
        }
}

/* Value i of part p. */
static uint8_t nibble_at(const uint8_t *nibbles, size_t p, size_t i)
{
        return nibbles[p / 2 * 32 + i] >> (p % 2 * 4) & 15;
}

static void unpack_q4_k(struct unpacked *ret, const void *block)
{
        const struct quant_q4_k *w = block;

        set_scales(ret, w->scale, w->minimum, w->scales);
        for (size_t i = 0; i < QUANT_SUPER; i++)
                ret->quants[i] = (int8_t)nibble_at(w->nibbles, i / 32, i % 32);
}

static void unpack_q5_k(struct unpacked *ret, const void *block)
{
        const struct quant_q5_k *w = block;

        set_scales(ret, w->scale, w->minimum, w->scales);
        for (size_t i = 0; i < QUANT_SUPER; i++)
                ret->quants[i] =
                        (int8_t)(nibble_at(w->nibbles, i / 32, i % 32) | (w->high[i % 32] >> i / 32 & 1) << 4);
}

static void unpack_q6_k(struct unpacked *ret, const void *block)
{
        const struct quant_q6_k *w = block;

        *ret = (struct unpacked){ .scale = half_to_float(w->scale) };
        for (size_t i = 0; i < QUANT_SUPER / 16; i++)
                ret->scales[i] = w->scales[i];
        for (size_t i = 0; i < QUANT_SUPER; i++) {
                size_t half = i / 128, p = i / 32 % 4;
                int low = w->nibbles[half * 64 + i % 64] >> (p / 2 * 4) & 15;

                ret->quants[i] = (int8_t)((low | (w->high[half * 32 + i % 32] >> 2 * p & 3) << 4) - 32);
        }
}

void scalar_quantise_wide(struct kernel_block *blocks, const float *x, size_t n)
{
        for (struct kernel_block *wide = blocks; wide < blocks + n / QUANT_BLOCK; wide += QUANT_SUPER_PARTS) {
                float largest = 0.0f, inverse;

                for (size_t i = 0; i < QUANT_SUPER; i++)
                        largest = fmaxf(largest, fabsf(x[i]));
                inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
                for (size_t p = 0; p < QUANT_SUPER_PARTS; p++, x += QUANT_BLOCK) {
                        int32_t halves[2] = { 0 };

                        for (size_t i = 0; i < QUANT_BLOCK; i++) {
                                wide[p].quants[i] = (int8_t)rintf(x[i] * inverse);
                                halves[i / 16] += wide[p].quants[i];
                        }
                        wide[p].scale = largest > 0.0f ? 1.0f / inverse : 0.0f;
                        super_set_totals(wide, p, halves[0] + halves[1], halves[0]);
                }
        }
}

static float dot_unpacked(const struct unpacked *w, const struct kernel_block *x)
{
        int32_t dot = 0, minimum = 0;

        for (size_t p = 0; p < QUANT_SUPER_PARTS; p++) {
                int32_t halves[2] = { 0 };

                for (size_t i = 0; i < QUANT_BLOCK; i++)
                        halves[i / 16] += w->quants[p * QUANT_BLOCK + i] * x[p].quants[i];
                dot += w->scales[2 * p] * halves[0] + w->scales[2 * p + 1] * halves[1];
                minimum += w->minimums[p] * x[p].total;
        }
        return w->scale * x->scale * (float)dot - w->minimum * x->scale * (float)minimum;
}

static void dequantise_unpacked(float *y, const struct unpacked *w)
{
        for (size_t i = 0; i < QUANT_SUPER; i++)
                y[i] = w->scale * (float)w->scales[i / 16] * (float)w->quants[i] -
                       w->minimum * (float)w->minimums[i / 32];
}

#define DEFINE_SUPER(type)                                                                                           \
        void scalar_rows_##type(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,     \
                                const struct kernel_vector *x)                                                       \
        {                                                                                                            \
                for (size_t i = 0; i < n_rows; i++) {                                                                \
                        const struct quant_##type *w = (const void *)((const char *)rows + i * n_row_bytes);         \
                        struct unpacked unpacked;                                                                    \
                                                                                                                     \
                        y[i] = 0.0f;                                                                                 \
                        for (size_t b = 0; b < n_columns / QUANT_SUPER; b++) {                                       \
                                unpack_##type(&unpacked, w + b);                                                     \
                                y[i] += dot_unpacked(&unpacked, x->blocks + b * QUANT_SUPER_PARTS);                  \
                        }                                                                                            \
                }                                                                                                    \
        }                                                                                                            \
        void scalar_batch_##type(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,     \
                                 size_t n_columns, const struct kernel_vector *x, size_t n_vectors)                  \
        {                                                                                                            \
                for (size_t v = 0; v < n_vectors; v++)                                                               \
                        scalar_rows_##type(y + v * n_stride, rows, n_row_bytes, n_rows, n_columns, x + v);           \
        }                                                                                                            \
        void scalar_dequantise_##type(float *y, const void *row, size_t n_columns)                                   \
        {                                                                                                            \
                const struct quant_##type *w = row;                                                                  \
                struct unpacked unpacked;                                                                            \
                                                                                                                     \
                for (size_t b = 0; b < n_columns / QUANT_SUPER; b++) {                                               \
                        unpack_##type(&unpacked, w + b);                                                             \
                        dequantise_unpacked(y + b * QUANT_SUPER, &unpacked);                                         \
                }                                                                                                    \
        }

DEFINE_SUPER(q4_k)
DEFINE_SUPER(q5_k)
DEFINE_SUPER(q6_k)
