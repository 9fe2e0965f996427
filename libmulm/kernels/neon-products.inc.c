/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Products of quantised rows, and the table of kernels, once per extension: the file that includes this has defined
 *
 *      dot_bytes(int32x4_t sum, int8x16_t a, int8x16_t b)      four partial sums of sixteen products, added to `sum`
 *      NEON_NAME                                               the name of its kernels
 *
 * Four rows go through together, so that one load of the activations serves them, and their sums come to lie in the
 * four lanes of one register; in batches, four vectors do, so that a row is unpacked once for them.
 */
#include "libmulm/kernels/neon.h"
#include "libmulm/kernels/scalar.h"

static inline bool has_minimum(enum quant_type type)
{
        return type == QUANT_Q4_1 || type == QUANT_Q5_1;
}

static inline bool has_fifth_bits(enum quant_type type)
{
        return type == QUANT_Q5_0 || type == QUANT_Q5_1;
}

/* What is subtracted from each quant of the types without a minimum. */
static inline int32_t offset_of(enum quant_type type)
{
        return type == QUANT_Q4_0 ? 8 : type == QUANT_Q5_0 ? 16 : 0;
}

/* 16 in each byte whose bit is set. */
static inline uint8x16_t spread_bits(const uint8_t *bits)
{
        const uint8x16_t each = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
        uint8x16_t copies = vcombine_u8(vdup_n_u8(bits[0]), vdup_n_u8(bits[1]));

        return vandq_u8(vtstq_u8(copies, each), vdupq_n_u8(16));
}

/* The 32 quants of a block, signed in Q8_0. */
static inline int8x16x2_t unpack(enum quant_type type, const char *block)
{
        const uint8_t *at =
                (const uint8_t *)block + (has_minimum(type) ? 2 * sizeof(quant_half) : sizeof(quant_half));
        uint8x16_t bytes, low, high;
        int8x16x2_t quants;

        if (type == QUANT_Q8_0) {
                quants.val[0] = vld1q_s8((const int8_t *)at);
                quants.val[1] = vld1q_s8((const int8_t *)at + 16);
                return quants;
        }
        bytes = vld1q_u8(has_fifth_bits(type) ? at + QUANT_BLOCK / 8 : at);
        low = vandq_u8(bytes, vdupq_n_u8(15));
        high = vshrq_n_u8(bytes, 4);
        if (has_fifth_bits(type)) {
                low = vorrq_u8(low, spread_bits(at));
                high = vorrq_u8(high, spread_bits(at + 2));
        }
        quants.val[0] = vreinterpretq_s8_u8(low);
        quants.val[1] = vreinterpretq_s8_u8(high);
        return quants;
}

static inline size_t block_bytes(enum quant_type type)
{
        return type == QUANT_Q8_0   ? sizeof(struct quant_q8_0)
               : type == QUANT_Q5_0 ? sizeof(struct quant_q5_0)
               : type == QUANT_Q5_1 ? sizeof(struct quant_q5_1)
               : type == QUANT_Q4_1 ? sizeof(struct quant_q4_1)
                                    : sizeof(struct quant_q4_0);
}

static inline int32x4_t dot_block(int8x16x2_t weights, const struct kernel_block *x)
{
        int32x4_t sum = dot_bytes(vdupq_n_s32(0), weights.val[0], vld1q_s8(x->quants));

        return dot_bytes(sum, weights.val[1], vld1q_s8(x->quants + 16));
}

/* The lane sums of four vectors. */
static inline int32x4_t sum_dots(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d)
{
        return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
}

/* The half-precision numbers at one offset of four rows. */
static inline float32x4_t tile_halves(const char *const rows[TILE], size_t offset)
{
        uint16_t halves[TILE];

        for (size_t r = 0; r < TILE; r++)
                memcpy(halves + r, rows[r] + offset, sizeof(halves[r]));
        return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves)));
}

/* Four rows times a vector. */
static inline __attribute__((always_inline)) float32x4_t dot_rows(enum quant_type type, const char *const rows[TILE],
                                                                  size_t n_columns, const struct kernel_block *x)
{
        float32x4_t sums = vdupq_n_f32(0);

        for (size_t b = 0, at = 0; b < n_columns / QUANT_BLOCK; b++, at += block_bytes(type)) {
                float32x4_t scales = vmulq_n_f32(tile_halves(rows, at), x[b].scale);
                int32x4_t dots = sum_dots(
                        dot_block(unpack(type, rows[0] + at), x + b), dot_block(unpack(type, rows[1] + at), x + b),
                        dot_block(unpack(type, rows[2] + at), x + b), dot_block(unpack(type, rows[3] + at), x + b));

                dots = vsubq_s32(dots, vdupq_n_s32(offset_of(type) * x[b].total));
                sums = vfmaq_f32(sums, vcvtq_f32_s32(dots), scales);
                if (has_minimum(type))
                        sums = vfmaq_n_f32(sums, tile_halves(rows, at + sizeof(quant_half)), x[b].sum);
        }
        return sums;
}

static inline __attribute__((always_inline)) void rows_quantised(enum quant_type type, float *y, const char *row,
                                                                 size_t n_row_bytes, size_t n_rows, size_t n_columns,
                                                                 const struct kernel_block *x)
{
        for (size_t i = 0; i < n_rows; i += TILE, row += TILE * n_row_bytes) {
                const char *rows[TILE];

                tile_rows(rows, row, n_row_bytes, n_rows - i);
                store_tile(y + i, dot_rows(type, rows, n_columns, x), n_rows - i);
        }
}

/* A row times four vectors. */
static inline __attribute__((always_inline)) float32x4_t dot_vectors(enum quant_type type, const char *row,
                                                                     size_t n_columns,
                                                                     const struct kernel_block *const x[TILE])
{
        float32x4_t sums = vdupq_n_f32(0);

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++, row += block_bytes(type)) {
                int8x16x2_t weights = unpack(type, row);
                int32x4_t dots = sum_dots(dot_block(weights, x[0] + b), dot_block(weights, x[1] + b),
                                          dot_block(weights, x[2] + b), dot_block(weights, x[3] + b));
                float32x4_t scales = { x[0][b].scale, x[1][b].scale, x[2][b].scale, x[3][b].scale };

                if (offset_of(type) > 0) {
                        int32x4_t totals = { x[0][b].total, x[1][b].total, x[2][b].total, x[3][b].total };

                        dots = vmlsq_n_s32(dots, totals, offset_of(type));
                }
                sums = vfmaq_f32(sums, vcvtq_f32_s32(dots), vmulq_n_f32(scales, half_at(row)));
                if (has_minimum(type)) {
                        float32x4_t minima = { x[0][b].sum, x[1][b].sum, x[2][b].sum, x[3][b].sum };

                        sums = vfmaq_n_f32(sums, minima, half_at(row + sizeof(quant_half)));
                }
        }
        return sums;
}

static inline __attribute__((always_inline)) void batch_quantised(enum quant_type type, float *y, size_t n_stride,
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

                        vst1q_f32(sums, dot_vectors(type, row + i * n_row_bytes, n_columns, blocks));
                        for (size_t k = 0; k < n; k++)
                                y[(v + k) * n_stride + i] = sums[k];
                }
        }
}

static inline __attribute__((always_inline)) void dequantise(enum quant_type type, float *y, const char *row,
                                                             size_t n_columns)
{
        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++, row += block_bytes(type)) {
                float32x4_t scale = vdupq_n_f32(half_at(row)), offset = vdupq_n_f32(0);
                int8x16x2_t quants = unpack(type, row);

                offset = vmulq_n_f32(scale, (float)-offset_of(type));
                if (has_minimum(type))
                        offset = vdupq_n_f32(half_at(row + sizeof(quant_half)));
                for (size_t i = 0; i < 2; i++, y += 16) {
                        int16x8_t low = vmovl_s8(vget_low_s8(quants.val[i])), high = vmovl_high_s8(quants.val[i]);

                        vst1q_f32(y, vfmaq_f32(offset, vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), scale));
                        vst1q_f32(y + 4, vfmaq_f32(offset, vcvtq_f32_s32(vmovl_high_s16(low)), scale));
                        vst1q_f32(y + 8, vfmaq_f32(offset, vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), scale));
                        vst1q_f32(y + 12, vfmaq_f32(offset, vcvtq_f32_s32(vmovl_high_s16(high)), scale));
                }
        }
}

#define DEFINE_QUANTISED(name, type)                                                                                 \
        static void rows_##name(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,     \
                                const struct kernel_vector *x)                                                       \
        {                                                                                                            \
                rows_quantised(type, y, rows, n_row_bytes, n_rows, n_columns, x->blocks);                            \
        }                                                                                                            \
        static void batch_##name(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,     \
                                 size_t n_columns, const struct kernel_vector *x, size_t n_vectors)                  \
        {                                                                                                            \
                batch_quantised(type, y, n_stride, rows, n_row_bytes, n_rows, n_columns, x, n_vectors);              \
        }                                                                                                            \
        static void dequantise_##name(float *y, const void *row, size_t n_columns)                                   \
        {                                                                                                            \
                dequantise(type, y, row, n_columns);                                                                 \
        }

DEFINE_QUANTISED(q8_0, QUANT_Q8_0)
DEFINE_QUANTISED(q4_0, QUANT_Q4_0)
DEFINE_QUANTISED(q4_1, QUANT_Q4_1)
DEFINE_QUANTISED(q5_0, QUANT_Q5_0)
DEFINE_QUANTISED(q5_1, QUANT_Q5_1)

#include "libmulm/kernels/neon-super.inc.c"

static const struct kernels table = {
        .name = NEON_NAME,
        .quantise = neon_quantise,
        .dequantise_blocks = neon_dequantise_blocks,
        .quantise_wide = neon_quantise_wide,
        .round_half = neon_round_half,
        .rows = { [QUANT_F32] = neon_rows_f32,
                  [QUANT_F16] = neon_rows_f16,
                  [QUANT_Q4_0] = rows_q4_0,
                  [QUANT_Q4_1] = rows_q4_1,
                  [QUANT_Q8_0] = rows_q8_0,
                  [QUANT_Q5_0] = rows_q5_0,
                  [QUANT_Q5_1] = rows_q5_1,
                  [QUANT_Q4_K] = rows_q4_k,
                  [QUANT_Q5_K] = rows_q5_k,
                  [QUANT_Q6_K] = rows_q6_k,
                  [QUANT_BF16] = neon_rows_bf16 },
        .batch = { [QUANT_Q4_0] = batch_q4_0,
                   [QUANT_Q4_1] = batch_q4_1,
                   [QUANT_Q8_0] = batch_q8_0,
                   [QUANT_Q5_0] = batch_q5_0,
                   [QUANT_Q5_1] = batch_q5_1,
                   [QUANT_Q4_K] = batch_q4_k,
                   [QUANT_Q5_K] = batch_q5_k,
                   [QUANT_Q6_K] = batch_q6_k },
        .n_batch_most = SIZE_MAX, /* as AVX2; not measured: there was no such machine */
        .dequantise = { [QUANT_F32] = neon_dequantise_f32,
                        [QUANT_F16] = neon_dequantise_f16,
                        [QUANT_Q4_0] = dequantise_q4_0,
                        [QUANT_Q4_1] = dequantise_q4_1,
                        [QUANT_Q8_0] = dequantise_q8_0,
                        [QUANT_Q5_0] = dequantise_q5_0,
                        [QUANT_Q5_1] = dequantise_q5_1,
                        [QUANT_Q4_K] = scalar_dequantise_q4_k,
                        [QUANT_Q5_K] = scalar_dequantise_q5_k,
                        [QUANT_Q6_K] = scalar_dequantise_q6_k,
                        [QUANT_BF16] = neon_dequantise_bf16 },
        .rms_norm = neon_rms_norm,
        .rope = neon_rope,
        .swiglu = neon_swiglu,
        .maximum = neon_maximum,
        .exp_sum = neon_exp_sum,
        .softmax = neon_softmax,
        .attention = neon_attention,
};
