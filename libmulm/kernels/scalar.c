/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The portable kernels: written to be read, and what every other instruction set is tested against. Sums run in the
 * order of the formulas in kernels.h.
 */
#include "libmulm/kernels/scalar.h"

#include <math.h>
#include <string.h>

#include "libmulm/kernels/half.h"

static void quantise(struct kernel_block *blocks, const float *x, size_t n)
{
        for (size_t b = 0; b < n / QUANT_BLOCK; b++, x += QUANT_BLOCK) {
                float largest = 0.0f, scale, inverse;
                int32_t total = 0;

                for (size_t i = 0; i < QUANT_BLOCK; i++)
                        largest = fmaxf(largest, fabsf(x[i]));

                scale = largest / 127.0f;
                inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
                for (size_t i = 0; i < QUANT_BLOCK; i++) {
                        blocks[b].quants[i] = (int8_t)rintf(x[i] * inverse);
                        total += blocks[b].quants[i];
                }
                blocks[b].scale = half_to_float(half_from_float(scale));
                blocks[b].sum = half_to_float(half_from_float(scale * (float)total));
                blocks[b].total = total;
        }
}

static void dequantise_blocks(float *y, const struct kernel_block *blocks, size_t n)
{
        for (size_t i = 0; i < n; i++)
                y[i] = blocks[i / QUANT_BLOCK].scale * (float)blocks[i / QUANT_BLOCK].quants[i % QUANT_BLOCK];
}

static void round_half(float *y, const float *x, size_t n)
{
        for (size_t i = 0; i < n; i++)
                y[i] = half_to_float(half_from_float(x[i]));
}

/* ---------------------------------------------------------------------------------- one row times a vector */

static float dot_f32(const void *row, size_t n, const struct kernel_vector *x)
{
        const float *weights = row;
        float sum = 0.0f;

        for (size_t i = 0; i < n; i++)
                sum += weights[i] * x->values[i];
        return sum;
}

static float dot_f16(const void *row, size_t n, const struct kernel_vector *x)
{
        const quant_half *weights = row;
        float sum = 0.0f;

        for (size_t i = 0; i < n; i++)
                sum += half_to_float(weights[i]) * x->values[i];
        return sum;
}

static float dot_bf16(const void *row, size_t n, const struct kernel_vector *x)
{
        const uint16_t *weights = row;
        float sum = 0.0f;

        for (size_t i = 0; i < n; i++)
                sum += bfloat_to_float(weights[i]) * x->values[i];
        return sum;
}

static float dot_q8_0(const void *row, size_t n, const struct kernel_vector *x)
{
        const struct quant_q8_0 *w = row;
        float sum = 0.0f;

        for (size_t b = 0; b < n / QUANT_BLOCK; b++) {
                int32_t dot = 0;

                for (size_t i = 0; i < QUANT_BLOCK; i++)
                        dot += w[b].quants[i] * x->blocks[b].quants[i];
                sum += half_to_float(w[b].scale) * x->blocks[b].scale * (float)dot;
        }
        return sum;
}

static int32_t dot_nibbles(const uint8_t *nibbles, const int8_t *quants)
{
        int32_t dot = 0;

        for (size_t i = 0; i < QUANT_BLOCK / 2; i++)
                dot += (nibbles[i] & 15) * quants[i] + (nibbles[i] >> 4) * quants[i + QUANT_BLOCK / 2];
        return dot;
}

static float dot_q4_0(const void *row, size_t n, const struct kernel_vector *x)
{
        const struct quant_q4_0 *w = row;
        float sum = 0.0f;

        for (size_t b = 0; b < n / QUANT_BLOCK; b++) {
                int32_t dot = dot_nibbles(w[b].nibbles, x->blocks[b].quants) - 8 * x->blocks[b].total;

                sum += half_to_float(w[b].scale) * x->blocks[b].scale * (float)dot;
        }
        return sum;
}

static float dot_q4_1(const void *row, size_t n, const struct kernel_vector *x)
{
        const struct quant_q4_1 *w = row;
        float sum = 0.0f;

        for (size_t b = 0; b < n / QUANT_BLOCK; b++) {
                int32_t dot = dot_nibbles(w[b].nibbles, x->blocks[b].quants);

                sum += half_to_float(w[b].scale) * x->blocks[b].scale * (float)dot +
                       half_to_float(w[b].minimum) * x->blocks[b].sum;
        }
        return sum;
}

/* Quant i of a block with fifth bits. */
static int32_t five_bits_at(const uint8_t *nibbles, const uint8_t *high, size_t i)
{
        return (nibbles[i % 16] >> (i / 16 * 4) & 15) | (high[i / 8] >> i % 8 & 1) << 4;
}

static int32_t dot_five_bits(const uint8_t *nibbles, const uint8_t *high, const int8_t *quants)
{
        int32_t dot = 0;

        for (size_t i = 0; i < QUANT_BLOCK; i++)
                dot += five_bits_at(nibbles, high, i) * quants[i];
        return dot;
}

static float dot_q5_0(const void *row, size_t n, const struct kernel_vector *x)
{
        const struct quant_q5_0 *w = row;
        float sum = 0.0f;

        for (size_t b = 0; b < n / QUANT_BLOCK; b++) {
                int32_t dot = dot_five_bits(w[b].nibbles, w[b].high, x->blocks[b].quants) - 16 * x->blocks[b].total;

                sum += half_to_float(w[b].scale) * x->blocks[b].scale * (float)dot;
        }
        return sum;
}

static float dot_q5_1(const void *row, size_t n, const struct kernel_vector *x)
{
        const struct quant_q5_1 *w = row;
        float sum = 0.0f;

        for (size_t b = 0; b < n / QUANT_BLOCK; b++) {
                int32_t dot = dot_five_bits(w[b].nibbles, w[b].high, x->blocks[b].quants);

                sum += half_to_float(w[b].scale) * x->blocks[b].scale * (float)dot +
                       half_to_float(w[b].minimum) * x->blocks[b].sum;
        }
        return sum;
}

#define DEFINE_ROWS(type)                                                                                            \
        static void rows_##type(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,     \
                                const struct kernel_vector *x)                                                       \
        {                                                                                                            \
                for (size_t i = 0; i < n_rows; i++)                                                                  \
                        y[i] = dot_##type((const char *)rows + i * n_row_bytes, n_columns, x);                       \
        }                                                                                                            \
        static void batch_##type(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,     \
                                 size_t n_columns, const struct kernel_vector *x, size_t n_vectors)                  \
        {                                                                                                            \
                for (size_t v = 0; v < n_vectors; v++)                                                               \
                        rows_##type(y + v * n_stride, rows, n_row_bytes, n_rows, n_columns, x + v);                  \
        }

DEFINE_ROWS(f32)
DEFINE_ROWS(f16)
DEFINE_ROWS(q8_0)
DEFINE_ROWS(q4_0)
DEFINE_ROWS(q4_1)
DEFINE_ROWS(q5_0)
DEFINE_ROWS(q5_1)
DEFINE_ROWS(bf16)

/* -------------------------------------------------------------------------------------- rows as floats */

static void dequantise_f32(float *y, const void *row, size_t n_columns)
{
        memcpy(y, row, n_columns * sizeof(*y));
}

static void dequantise_f16(float *y, const void *row, size_t n_columns)
{
        const quant_half *w = row;

        for (size_t i = 0; i < n_columns; i++)
                y[i] = half_to_float(w[i]);
}

static void dequantise_bf16(float *y, const void *row, size_t n_columns)
{
        const uint16_t *w = row;

        for (size_t i = 0; i < n_columns; i++)
                y[i] = bfloat_to_float(w[i]);
}

static void dequantise_q8_0(float *y, const void *row, size_t n_columns)
{
        const struct quant_q8_0 *w = row;

        for (size_t i = 0; i < n_columns; i++)
                y[i] = half_to_float(w[i / QUANT_BLOCK].scale) * (float)w[i / QUANT_BLOCK].quants[i % QUANT_BLOCK];
}

static void dequantise_q4_0(float *y, const void *row, size_t n_columns)
{
        const struct quant_q4_0 *w = row;

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++, y += QUANT_BLOCK) {
                float scale = half_to_float(w[b].scale);

                for (size_t i = 0; i < QUANT_BLOCK / 2; i++) {
                        y[i] = scale * (float)((w[b].nibbles[i] & 15) - 8);
                        y[i + QUANT_BLOCK / 2] = scale * (float)((w[b].nibbles[i] >> 4) - 8);
                }
        }
}

static void dequantise_q4_1(float *y, const void *row, size_t n_columns)
{
        const struct quant_q4_1 *w = row;

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++, y += QUANT_BLOCK) {
                float scale = half_to_float(w[b].scale), minimum = half_to_float(w[b].minimum);

                for (size_t i = 0; i < QUANT_BLOCK / 2; i++) {
                        y[i] = scale * (float)(w[b].nibbles[i] & 15) + minimum;
                        y[i + QUANT_BLOCK / 2] = scale * (float)(w[b].nibbles[i] >> 4) + minimum;
                }
        }
}

void scalar_dequantise_q5_0(float *y, const void *row, size_t n_columns)
{
        const struct quant_q5_0 *w = row;

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++)
                for (size_t i = 0; i < QUANT_BLOCK; i++)
                        *y++ = half_to_float(w[b].scale) * (float)(five_bits_at(w[b].nibbles, w[b].high, i) - 16);
}

void scalar_dequantise_q5_1(float *y, const void *row, size_t n_columns)
{
        const struct quant_q5_1 *w = row;

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++)
                for (size_t i = 0; i < QUANT_BLOCK; i++)
                        *y++ = half_to_float(w[b].scale) * (float)five_bits_at(w[b].nibbles, w[b].high, i) +
                               half_to_float(w[b].minimum);
}

/* --------------------------------------------------------------------------------------------- the rest */

static void rms_norm(float *y, const float *x, const float *weight, size_t n, float epsilon)
{
        float sum = 0.0f, scale;

        for (size_t i = 0; i < n; i++)
                sum += x[i] * x[i];
        scale = 1.0f / sqrtf(sum / (float)n + epsilon);
        for (size_t i = 0; i < n; i++)
                y[i] = x[i] * scale * weight[i];
}

static void rope(float *x, const float *rotation, size_t n)
{
        for (size_t i = 0; i < n; i += 2) {
                float cosine = rotation[i], sine = rotation[i + 1], a = x[i], b = x[i + 1];

                x[i] = a * cosine - b * sine;
                x[i + 1] = a * sine + b * cosine;
        }
}

static void swiglu(float *gate, const float *up, size_t n)
{
        for (size_t i = 0; i < n; i++)
                gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static float maximum(const float *x, size_t n)
{
        float largest = x[0];

        for (size_t i = 1; i < n; i++)
                largest = fmaxf(largest, x[i]);
        return largest;
}

static float exp_sum(const float *x, float largest, size_t n)
{
        float sum = 0.0f;

        for (size_t i = 0; i < n; i++)
                sum += expf(x[i] - largest);
        return sum;
}

static void softmax(float *x, size_t n)
{
        float largest = maximum(x, n), sum = 0.0f;

        for (size_t i = 0; i < n; i++) {
                x[i] = expf(x[i] - largest);
                sum += x[i];
        }
        for (size_t i = 0; i < n; i++)
                x[i] /= sum;
}

static void attention(float *out, float *scores, const float *queries, size_t n_queries, const float *keys,
                      const float *values, size_t n_stride, size_t n_positions, size_t head_size, bool is_batch)
{
        float scale = 1.0f / sqrtf((float)head_size);

        (void)is_batch;
        for (size_t h = 0; h < n_queries; h++, queries += head_size, out += head_size) {
                for (size_t p = 0; p < n_positions; p++) {
                        struct kernel_vector query = { .values = queries };

                        scores[p] = scale * dot_f32(keys + p * n_stride, head_size, &query);
                }
                softmax(scores, n_positions);

                memset(out, 0, head_size * sizeof(*out));
                for (size_t p = 0; p < n_positions; p++)
                        for (size_t i = 0; i < head_size; i++)
                                out[i] += scores[p] * values[p * n_stride + i];
        }
}

const struct kernels kernels_scalar = {
        .name = "scalar",
        .quantise = quantise,
        .dequantise_blocks = dequantise_blocks,
        .quantise_wide = scalar_quantise_wide,
        .round_half = round_half,
        .rows = { [QUANT_F32] = rows_f32,
                  [QUANT_F16] = rows_f16,
                  [QUANT_Q4_0] = rows_q4_0,
                  [QUANT_Q4_1] = rows_q4_1,
                  [QUANT_Q8_0] = rows_q8_0,
                  [QUANT_Q5_0] = rows_q5_0,
                  [QUANT_Q5_1] = rows_q5_1,
                  [QUANT_Q4_K] = scalar_rows_q4_k,
                  [QUANT_Q5_K] = scalar_rows_q5_k,
                  [QUANT_Q6_K] = scalar_rows_q6_k,
                  [QUANT_BF16] = rows_bf16 },
        .batch = { [QUANT_F32] = batch_f32,
                   [QUANT_F16] = batch_f16,
                   [QUANT_Q4_0] = batch_q4_0,
                   [QUANT_Q4_1] = batch_q4_1,
                   [QUANT_Q8_0] = batch_q8_0,
                   [QUANT_Q5_0] = batch_q5_0,
                   [QUANT_Q5_1] = batch_q5_1,
                   [QUANT_Q4_K] = scalar_batch_q4_k,
                   [QUANT_Q5_K] = scalar_batch_q5_k,
                   [QUANT_Q6_K] = scalar_batch_q6_k,
                   [QUANT_BF16] = batch_bf16 },
        .n_batch_most = 1, /* OpenBLAS has vector instructions */
        .dequantise = { [QUANT_F32] = dequantise_f32,
                        [QUANT_F16] = dequantise_f16,
                        [QUANT_Q4_0] = dequantise_q4_0,
                        [QUANT_Q4_1] = dequantise_q4_1,
                        [QUANT_Q8_0] = dequantise_q8_0,
                        [QUANT_Q5_0] = scalar_dequantise_q5_0,
                        [QUANT_Q5_1] = scalar_dequantise_q5_1,
                        [QUANT_Q4_K] = scalar_dequantise_q4_k,
                        [QUANT_Q5_K] = scalar_dequantise_q5_k,
                        [QUANT_Q6_K] = scalar_dequantise_q6_k,
                        [QUANT_BF16] = dequantise_bf16 },
        .rms_norm = rms_norm,
        .rope = rope,
        .swiglu = swiglu,
        .maximum = maximum,
        .exp_sum = exp_sum,
        .softmax = softmax,
        .attention = attention,
};
