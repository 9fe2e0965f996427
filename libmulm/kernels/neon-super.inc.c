/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Rows of the K types times wide blocks of activations; part of neon-products.inc.c. A block of 256 stays in integer
 * arithmetic and meets floats once.
 */
#include "libmulm/kernels/super.h"

static inline size_t super_bytes(enum quant_type type)
{
        return type == QUANT_Q4_K   ? sizeof(struct quant_q4_k)
               : type == QUANT_Q5_K ? sizeof(struct quant_q5_k)
                                    : sizeof(struct quant_q6_k);
}

/* The low (0) or high (1) nibbles of 16 bytes. */
static inline uint8x16_t nibbles_of(const uint8_t *bytes, int high)
{
        uint8x16_t both = vld1q_u8(bytes);

        return high ? vshrq_n_u8(both, 4) : vandq_u8(both, vdupq_n_u8(15));
}

/* Bits p and up of 16 bytes, as many as the mask has, above the nibbles. */
static inline uint8x16_t bits_of(const uint8_t *bytes, int p, uint8_t mask)
{
        uint8x16_t shifted = vshlq_u8(vld1q_u8(bytes), vdupq_n_s8((int8_t)-p));

        return vshlq_n_u8(vandq_u8(shifted, vdupq_n_u8(mask)), 4);
}

/* Values 16 i to 16 i + 15 of part p of a block, signed in Q6_K. */
static inline int8x16_t unpack_half(enum quant_type type, const char *block, int p, int i)
{
        const struct quant_q4_k *four = (const void *)block;
        const struct quant_q5_k *five = (const void *)block;
        const struct quant_q6_k *six = (const void *)block;
        uint8x16_t quants;

        if (type == QUANT_Q4_K)
                return vreinterpretq_s8_u8(nibbles_of(four->nibbles + p / 2 * 32 + i * 16, p % 2));
        if (type == QUANT_Q5_K)
                return vreinterpretq_s8_u8(vorrq_u8(nibbles_of(five->nibbles + p / 2 * 32 + i * 16, p % 2),
                                                    bits_of(five->high + i * 16, p, 1)));
        quants = vorrq_u8(nibbles_of(six->nibbles + p / 4 * 64 + p % 2 * 32 + i * 16, p % 4 / 2),
                          bits_of(six->high + p / 4 * 32 + i * 16, p % 4 * 2, 3));
        return vsubq_s8(vreinterpretq_s8_u8(quants), vdupq_n_s8(32));
}

/* Adds part p, times its scales. */
static inline int32x4_t add_part(enum quant_type type, int32x4_t dots, int8x16x2_t weights, const char *block,
                                 const uint8_t scales[16], int p, const struct kernel_block *x)
{
        const struct quant_q6_k *six = (const void *)block;

        if (type != QUANT_Q6_K)
                return vmlaq_n_s32(dots, dot_block(weights, x), scales[p]);
        dots = vmlaq_n_s32(dots, dot_bytes(vdupq_n_s32(0), weights.val[0], vld1q_s8(x->quants)), six->scales[2 * p]);
        return vmlaq_n_s32(dots, dot_bytes(vdupq_n_s32(0), weights.val[1], vld1q_s8(x->quants + 16)),
                           six->scales[2 * p + 1]);
}

/* The sum of minimums times totals. */
static inline float minimum_of(const uint8_t scales[16], const struct kernel_block *x)
{
        int16x8_t minimums = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(scales + 8))), totals = vld1q_s16(x->totals);
        int32x4_t sum = vmull_s16(vget_low_s16(minimums), vget_low_s16(totals));

        return (float)vaddvq_s32(vmlal_high_s16(sum, minimums, totals));
}

/* One row times n vectors, n known when this is compiled. */
static inline __attribute__((always_inline)) void dot_super(enum quant_type type, float *ret_sums, const char *row,
                                                            size_t n_columns, const struct kernel_block *const *x,
                                                            size_t n)
{
        float sums[TILE] = { 0 };

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b += QUANT_SUPER_PARTS, row += super_bytes(type)) {
                float scale = half_at(type == QUANT_Q6_K ? row + offsetof(struct quant_q6_k, scale) : row);
                uint8_t scales[16] = { 0 };
                int32x4_t dots[TILE];

                if (type != QUANT_Q6_K)
                        super_unpack_scales(scales, ((const struct quant_q4_k *)row)->scales);
                for (size_t v = 0; v < n; v++)
                        dots[v] = vdupq_n_s32(0);
#pragma GCC unroll 8
                for (int p = 0; p < QUANT_SUPER_PARTS; p++) {
                        int8x16x2_t weights;

                        weights.val[0] = unpack_half(type, row, p, 0);
                        weights.val[1] = unpack_half(type, row, p, 1);
#pragma GCC unroll 4
                        for (size_t v = 0; v < n; v++)
                                dots[v] = add_part(type, dots[v], weights, row, scales, p, x[v] + b + p);
                }
                for (size_t v = 0; v < n; v++) {
                        sums[v] += scale * x[v][b].scale * (float)vaddvq_s32(dots[v]);
                        if (type != QUANT_Q6_K)
                                sums[v] -= half_at(row + sizeof(quant_half)) * x[v][b].scale *
                                           minimum_of(scales, x[v] + b);
                }
        }
        memcpy(ret_sums, sums, n * sizeof(*sums));
}

static inline __attribute__((always_inline)) void batch_super(enum quant_type type, float *y, size_t n_stride,
                                                              const char *row, size_t n_row_bytes, size_t n_rows,
                                                              size_t n_columns, const struct kernel_vector *x,
                                                              size_t n_vectors)
{
        for (size_t v = 0; v < n_vectors; v += TILE) {
                size_t n = n_vectors - v < TILE ? n_vectors - v : TILE;
                const struct kernel_block *blocks[TILE];

                for (size_t k = 0; k < TILE; k++)
                        blocks[k] = x[v + (k < n ? k : n - 1)].blocks;
                for (size_t i = 0; i < n_rows; i++) {
                        float sums[TILE];

                        dot_super(type, sums, row + i * n_row_bytes, n_columns, blocks, TILE);
                        for (size_t k = 0; k < n; k++)
                                y[(v + k) * n_stride + i] = sums[k];
                }
        }
}

#define DEFINE_SUPER(name, type)                                                                                     \
        static void rows_##name(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,     \
                                const struct kernel_vector *x)                                                       \
        {                                                                                                            \
                for (size_t i = 0; i < n_rows; i++)                                                                  \
                        dot_super(type, y + i, (const char *)rows + i * n_row_bytes, n_columns, &x->blocks, 1);      \
        }                                                                                                            \
        static void batch_##name(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,     \
                                 size_t n_columns, const struct kernel_vector *x, size_t n_vectors)                  \
        {                                                                                                            \
                batch_super(type, y, n_stride, rows, n_row_bytes, n_rows, n_columns, x, n_vectors);                  \
        }

DEFINE_SUPER(q4_k, QUANT_Q4_K)
DEFINE_SUPER(q5_k, QUANT_Q5_K)
DEFINE_SUPER(q6_k, QUANT_Q6_K)
