/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Kernels for any 64-bit ARM: all but the products of quantised rows, which come in one file per extension
 * (neon-plain.c, neon-dotprod.c) from one text (neon-products.inc.c).
 */
#include "libmulm/kernels/neon.h"

#include <math.h>

#include "libmulm/kernels/half.h"
#include "libmulm/kernels/super.h"

#define LANES 4

/* ---------------------------------------------------------------------------------------------- activations */

static inline float round_one(float value)
{
        return (float)(__fp16)value;
}

static inline int32x4_t scaled(const float *x, float factor)
{
        return vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), factor));
}

static inline int32_t quantise_block(int8_t quants[QUANT_BLOCK], const float *x, float inverse)
{
        int32x4_t total = vdupq_n_s32(0);

        for (size_t i = 0; i < QUANT_BLOCK; i += 2 * LANES) {
                int32x4_t low = scaled(x + i, inverse), high = scaled(x + i + LANES, inverse);

                total = vaddq_s32(total, vaddq_s32(low, high));
                vst1_s8(quants + i, vqmovn_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high))));
        }
        return vaddvq_s32(total);
}

static inline float peak_of(const float *x, size_t n)
{
        float32x4_t largest = vabsq_f32(vld1q_f32(x));

        for (size_t i = LANES; i < n; i += LANES)
                largest = vmaxq_f32(largest, vabsq_f32(vld1q_f32(x + i)));
        return vmaxvq_f32(largest);
}

void neon_quantise(struct kernel_block *blocks, const float *x, size_t n)
{
        for (size_t b = 0; b < n / QUANT_BLOCK; b++, x += QUANT_BLOCK) {
                float peak = peak_of(x, QUANT_BLOCK), scale = peak / 127.0f;

                blocks[b].total = quantise_block(blocks[b].quants, x, peak > 0.0f ? 127.0f / peak : 0.0f);
                blocks[b].scale = round_one(scale);
                blocks[b].sum = round_one(scale * (float)blocks[b].total);
        }
}

void neon_quantise_wide(struct kernel_block *blocks, const float *x, size_t n)
{
        for (size_t b = 0; b < n / QUANT_BLOCK; b += QUANT_SUPER_PARTS) {
                float peak = peak_of(x, QUANT_SUPER), inverse = peak > 0.0f ? 127.0f / peak : 0.0f;

                for (size_t p = 0; p < QUANT_SUPER_PARTS; p++, x += QUANT_BLOCK) {
                        int32_t total = quantise_block(blocks[b + p].quants, x, inverse);

                        blocks[b + p].scale = peak > 0.0f ? 1.0f / inverse : 0.0f;
                        super_set_totals(blocks + b, p, total, vaddlvq_s8(vld1q_s8(blocks[b + p].quants)));
                }
        }
}

void neon_dequantise_blocks(float *y, const struct kernel_block *blocks, size_t n)
{
        for (size_t b = 0; b < n / QUANT_BLOCK; b++)
                for (size_t i = 0; i < QUANT_BLOCK; i += 2 * LANES, y += 2 * LANES) {
                        int16x8_t quants = vmovl_s8(vld1_s8(blocks[b].quants + i));

                        vst1q_f32(y, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(quants))), blocks[b].scale));
                        vst1q_f32(y + LANES, vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(quants)), blocks[b].scale));
                }
}

void neon_round_half(float *y, const float *x, size_t n)
{
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
                vst1q_f32(y + i, vcvt_f32_f16(vcvt_f16_f32(vld1q_f32(x + i))));
        for (; i < n; i++)
                y[i] = round_one(x[i]);
}

/* --------------------------------------------------------------------------- tiles of float rows times a vector */

static inline float32x4_t load_weights(enum quant_type type, const char *row, size_t i)
{
        if (type == QUANT_F16)
                return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)(row + i * sizeof(quant_half)))));
        if (type == QUANT_BF16)
                return vreinterpretq_f32_u32(
                        vshll_n_u16(vld1_u16((const uint16_t *)(row + i * sizeof(uint16_t))), 16));
        return vld1q_f32((const float *)(row + i * sizeof(float)));
}

static inline float load_weight(enum quant_type type, const char *row, size_t i)
{
        float weight;

        if (type == QUANT_F16)
                return half_at(row + i * sizeof(quant_half));
        if (type == QUANT_BF16) {
                uint16_t bfloat;

                memcpy(&bfloat, row + i * sizeof(bfloat), sizeof(bfloat));
                return bfloat_to_float(bfloat);
        }
        memcpy(&weight, row + i * sizeof(weight), sizeof(weight));
        return weight;
}

/* The lane sums of four vectors. */
static inline float32x4_t sum_tile(const float32x4_t v[TILE])
{
        return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
}

static inline __attribute__((always_inline)) void rows_float(enum quant_type type, float *y, const char *row,
                                                             size_t n_row_bytes, size_t n_rows, size_t n_columns,
                                                             const float *x)
{
        for (size_t i = 0; i < n_rows; i += TILE, row += TILE * n_row_bytes) {
                float32x4_t sums[TILE] = { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) };
                const char *rows[TILE];
                float rest[TILE] = { 0 };
                size_t c = 0;

                tile_rows(rows, row, n_row_bytes, n_rows - i);
                for (; c + LANES <= n_columns; c += LANES)
                        for (size_t r = 0; r < TILE; r++)
                                sums[r] = vfmaq_f32(sums[r], load_weights(type, rows[r], c), vld1q_f32(x + c));
                for (; c < n_columns; c++)
                        for (size_t r = 0; r < TILE; r++)
                                rest[r] += load_weight(type, rows[r], c) * x[c];
                store_tile(y + i, vaddq_f32(sum_tile(sums), vld1q_f32(rest)), n_rows - i);
        }
}

void neon_rows_f32(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                   const struct kernel_vector *x)
{
        rows_float(QUANT_F32, y, rows, n_row_bytes, n_rows, n_columns, x->values);
}

void neon_rows_f16(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                   const struct kernel_vector *x)
{
        rows_float(QUANT_F16, y, rows, n_row_bytes, n_rows, n_columns, x->values);
}

void neon_rows_bf16(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x)
{
        rows_float(QUANT_BF16, y, rows, n_row_bytes, n_rows, n_columns, x->values);
}

void neon_dequantise_f32(float *y, const void *row, size_t n_columns)
{
        memcpy(y, row, n_columns * sizeof(*y));
}

void neon_dequantise_f16(float *y, const void *row, size_t n_columns)
{
        size_t i = 0;

        for (; i + LANES <= n_columns; i += LANES)
                vst1q_f32(y + i, load_weights(QUANT_F16, row, i));
        for (; i < n_columns; i++)
                y[i] = load_weight(QUANT_F16, row, i);
}

void neon_dequantise_bf16(float *y, const void *row, size_t n_columns)
{
        size_t i = 0;

        for (; i + LANES <= n_columns; i += LANES)
                vst1q_f32(y + i, load_weights(QUANT_BF16, row, i));
        for (; i < n_columns; i++)
                y[i] = load_weight(QUANT_BF16, row, i);
}

/* -------------------------------------------------------------------------------------------- exponentials */

/* exp(x) for x <= 88, 0 below -87.3; see avx2.c for the method and its source. */
static inline float32x4_t exponential(float32x4_t x)
{
        const float32x4_t lowest = vdupq_n_f32(-87.3f), shift = vdupq_n_f32(0x1.8p23f);
        uint32x4_t valid = vcgeq_f32(x, lowest), bits;
        float32x4_t z, n, b, bb, power, high, low, y;

        x = vmaxq_f32(x, lowest);
        z = vfmaq_n_f32(shift, x, 0x1.715476p+0f);
        n = vsubq_f32(z, shift);
        b = vfmsq_n_f32(x, n, 0x1.62e4p-1f);
        b = vfmsq_n_f32(b, n, 0x1.7f7d1cp-20f);
        bits = vaddq_u32(vshlq_n_u32(vreinterpretq_u32_f32(z), 23), vreinterpretq_u32_f32(vdupq_n_f32(1.0f)));
        power = vreinterpretq_f32_u32(bits);

        bb = vmulq_f32(b, b);
        high = vfmaq_n_f32(vdupq_n_f32(0x1.573e2ep-5f), b, 0x1.0e4020p-7f);
        low = vfmaq_n_f32(vdupq_n_f32(0x1.fffdb6p-2f), b, 0x1.555e66p-3f);
        y = vfmaq_f32(vmulq_n_f32(b, 0x1.ffffecp-1f), vfmaq_f32(low, high, bb), bb);
        return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(vfmaq_f32(power, y, power)), valid));
}

void neon_swiglu(float *gate, const float *up, size_t n)
{
        size_t i = 0;

        for (; i + LANES <= n; i += LANES) {
                float32x4_t x = vld1q_f32(gate + i);
                /* Where exp(-x) would leave the range, silu(x) is 0 to single precision. */
                float32x4_t power = exponential(vminq_f32(vnegq_f32(x), vdupq_n_f32(87.0f)));

                x = vdivq_f32(x, vaddq_f32(power, vdupq_n_f32(1.0f)));
                vst1q_f32(gate + i, vmulq_f32(x, vld1q_f32(up + i)));
        }
        for (; i < n; i++)
                gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

float neon_maximum(const float *x, size_t n)
{
        float32x4_t lanes = vdupq_n_f32(x[0]);
        float largest;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
                lanes = vmaxq_f32(lanes, vld1q_f32(x + i));
        for (largest = vmaxvq_f32(lanes); i < n; i++)
                largest = fmaxf(largest, x[i]);
        return largest;
}

float neon_exp_sum(const float *x, float largest, size_t n)
{
        float32x4_t shift = vdupq_n_f32(largest), lanes = vdupq_n_f32(0);
        float sum = 0.0f;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
                lanes = vaddq_f32(lanes, exponential(vsubq_f32(vld1q_f32(x + i), shift)));
        for (; i < n; i++)
                sum += expf(x[i] - largest);
        return sum + vaddvq_f32(lanes);
}

void neon_softmax(float *x, size_t n)
{
        float largest = neon_maximum(x, n), inverse;
        float32x4_t shift = vdupq_n_f32(largest);
        double sum = 0.0;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES) {
                float32x4_t y = exponential(vsubq_f32(vld1q_f32(x + i), shift));

                sum += (double)vaddvq_f32(y);
                vst1q_f32(x + i, y);
        }
        for (; i < n; i++) {
                x[i] = expf(x[i] - largest);
                sum += (double)x[i];
        }
        inverse = (float)(1.0 / sum);
        for (i = 0; i < n; i++)
                x[i] *= inverse;
}

/* ------------------------------------------------------------------------------------------------ the rest */

void neon_rms_norm(float *y, const float *x, const float *weight, size_t n, float epsilon)
{
        float64x2_t low = vdupq_n_f64(0), high = vdupq_n_f64(0);
        double sum = 0.0;
        float scale;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES) {
                float32x4_t square = vmulq_f32(vld1q_f32(x + i), vld1q_f32(x + i));

                low = vaddq_f64(low, vcvt_f64_f32(vget_low_f32(square)));
                high = vaddq_f64(high, vcvt_high_f64_f32(square));
        }
        for (; i < n; i++)
                sum += (double)(x[i] * x[i]);
        sum += vaddvq_f64(vaddq_f64(low, high));
        scale = 1.0f / sqrtf((float)(sum / (double)n) + epsilon);

        for (i = 0; i + LANES <= n; i += LANES)
                vst1q_f32(y + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), scale), vld1q_f32(weight + i)));
        for (; i < n; i++)
                y[i] = x[i] * scale * weight[i];
}

void neon_rope(float *x, const float *rotation, size_t n)
{
        size_t i = 0;

        for (; i + 2 * LANES <= n; i += 2 * LANES) {
                float32x4x2_t pair = vld2q_f32(x + i), turn = vld2q_f32(rotation + i), turned;

                turned.val[0] = vfmsq_f32(vmulq_f32(pair.val[0], turn.val[0]), pair.val[1], turn.val[1]);
                turned.val[1] = vfmaq_f32(vmulq_f32(pair.val[0], turn.val[1]), pair.val[1], turn.val[0]);
                vst2q_f32(x + i, turned);
        }
        for (; i < n; i += 2) {
                float cosine = rotation[i], sine = rotation[i + 1], a = x[i], b = x[i + 1];

                x[i] = a * cosine - b * sine;
                x[i + 1] = a * sine + b * cosine;
        }
}

/* ----------------------------------------------------------------------------------------------- attention */

static float dot_floats(const float *a, const float *b, size_t n)
{
        float32x4_t first = vdupq_n_f32(0), second = vdupq_n_f32(0);
        float sum;
        size_t i = 0;

        for (; i + 2 * LANES <= n; i += 2 * LANES) {
                first = vfmaq_f32(first, vld1q_f32(a + i), vld1q_f32(b + i));
                second = vfmaq_f32(second, vld1q_f32(a + i + LANES), vld1q_f32(b + i + LANES));
        }
        for (sum = vaddvq_f32(vaddq_f32(first, second)); i < n; i++)
                sum += a[i] * b[i];
        return sum;
}

/* out[0..4 * LANES) = sum of scores times values. */
static void weigh_columns(float *out, const float *scores, const float *values, size_t n_stride, size_t n_positions)
{
        float32x4_t sums[4] = { vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0) };

        for (size_t p = 0; p < n_positions; p++)
                for (size_t k = 0; k < 4; k++)
                        sums[k] = vfmaq_n_f32(sums[k], vld1q_f32(values + p * n_stride + k * LANES), scores[p]);
        for (size_t k = 0; k < 4; k++)
                vst1q_f32(out + k * LANES, sums[k]);
}

void neon_attention(float *out, float *scores, const float *queries, size_t n_queries, const float *keys,
                    const float *values, size_t n_stride, size_t n_positions, size_t head_size, bool is_batch)
{
        float scale = 1.0f / sqrtf((float)head_size);

        (void)is_batch;
        for (size_t h = 0; h < n_queries; h++, queries += head_size, out += head_size) {
                size_t i = 0;

                for (size_t p = 0; p < n_positions; p++)
                        scores[p] = dot_floats(keys + p * n_stride, queries, head_size) * scale;
                neon_softmax(scores, n_positions);
                for (; i + 4 * LANES <= head_size; i += 4 * LANES)
                        weigh_columns(out + i, scores, values + i, n_stride, n_positions);
                for (; i < head_size; i++) {
                        out[i] = 0.0f;
                        for (size_t p = 0; p < n_positions; p++)
                                out[i] += scores[p] * values[p * n_stride + i];
                }
        }
}
