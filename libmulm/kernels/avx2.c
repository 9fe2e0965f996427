/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Kernels for x86-64 with AVX2, FMA and F16C: all but the products of quantised rows, which are in avx2-quantised.c.
 * Called only where the processor has these.
 */
#include "libmulm/kernels/avx2.h"

#include <math.h>

#include "libmulm/kernels/half.h"
#include "libmulm/kernels/scalar.h"
#include "libmulm/kernels/super.h"

/* ---------------------------------------------------------------------------------------------- activations */

static inline int32_t quantise_block(int8_t quants[QUANT_BLOCK], const float *x, float inverse)
{
        __m256 factor = _mm256_set1_ps(inverse);
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), factor));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), factor));
        __m256i c = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16), factor));
        __m256i d = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 24), factor));
        __m256i total = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
        __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));

        /* Packing works on 128-bit lanes; put the groups of four back in order. */
        packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((__m256i *)quants, packed);
        return _mm_cvtsi128_si32(sum_quarter(sum_halves(total)));
}

static inline float round_one(float value)
{
        return _cvtsh_ss(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
}

static void quantise(struct kernel_block *blocks, const float *x, size_t n)
{
        const __m256 sign = _mm256_set1_ps(-0.0f);

        for (size_t b = 0; b < n / QUANT_BLOCK; b++, x += QUANT_BLOCK) {
                __m256 largest = _mm256_andnot_ps(sign, _mm256_loadu_ps(x));
                float peak, scale;

                for (size_t i = LANES; i < QUANT_BLOCK; i += LANES)
                        largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)));
                peak = max_lanes(largest);
                scale = peak / 127.0f;
                blocks[b].total = quantise_block(blocks[b].quants, x, peak > 0.0f ? 127.0f / peak : 0.0f);
                blocks[b].scale = round_one(scale);
                blocks[b].sum = round_one(scale * (float)blocks[b].total);
        }
}

static inline float peak_of(const float *x, size_t n)
{
        const __m256 sign = _mm256_set1_ps(-0.0f);
        __m256 largest = _mm256_setzero_ps();

        for (size_t i = 0; i < n; i += LANES)
                largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)));
        return max_lanes(largest);
}

/* The sum of 16 quants. */
static inline int32_t half_total(const int8_t *quants)
{
        __m128i biased = _mm_xor_si128(_mm_loadu_si128((const void *)quants), _mm_set1_epi8(-128));
        __m128i sums = _mm_sad_epu8(biased, _mm_setzero_si128());

        return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))) - 16 * 128;
}

static void quantise_wide(struct kernel_block *blocks, const float *x, size_t n)
{
        for (size_t b = 0; b < n / QUANT_BLOCK; b += QUANT_SUPER_PARTS) {
                float peak = peak_of(x, QUANT_SUPER), inverse = peak > 0.0f ? 127.0f / peak : 0.0f;

                for (size_t p = 0; p < QUANT_SUPER_PARTS; p++, x += QUANT_BLOCK) {
                        int32_t total = quantise_block(blocks[b + p].quants, x, inverse);

                        blocks[b + p].scale = peak > 0.0f ? 1.0f / inverse : 0.0f;
                        super_set_totals(blocks + b, p, total, half_total(blocks[b + p].quants));
                }
        }
}

static inline __m256 bytes_to_floats(const void *bytes)
{
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(bytes)));
}

static void dequantise_blocks(float *y, const struct kernel_block *blocks, size_t n)
{
        for (size_t b = 0; b < n / QUANT_BLOCK; b++) {
                __m256 scale = _mm256_set1_ps(blocks[b].scale);

                for (size_t i = 0; i < QUANT_BLOCK; i += LANES, y += LANES)
                        _mm256_storeu_ps(y, _mm256_mul_ps(scale, bytes_to_floats(blocks[b].quants + i)));
        }
}

static void round_half(float *y, const float *x, size_t n)
{
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
                _mm256_storeu_ps(y + i,
                                 _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT)));
        for (; i < n; i++)
                y[i] = round_one(x[i]);
}

/* --------------------------------------------------------------------------- tiles of float rows times a vector */

static inline __m256 load_weights(enum quant_type type, const char *row, size_t i)
{
        if (type == QUANT_F16)
                return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(row + i * sizeof(quant_half))));
        if (type == QUANT_BF16)
                return _mm256_castsi256_ps(_mm256_slli_epi32(
                        _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(row + i * sizeof(uint16_t)))), 16));
        return _mm256_loadu_ps((const float *)(row + i * sizeof(float)));
}

static inline float load_weight(enum quant_type type, const char *row, size_t i)
{
        float weight;

        if (type == QUANT_F16)
                return half_at(row + i * sizeof(quant_half));
        if (type == QUANT_BF16)
                return bfloat_to_float((uint16_t)half_bits_at(row + i * sizeof(uint16_t)));
        memcpy(&weight, row + i * sizeof(weight), sizeof(weight));
        return weight;
}

static inline __attribute__((always_inline)) void rows_float(enum quant_type type, float *y, const char *row,
                                                             size_t n_row_bytes, size_t n_rows, size_t n_columns,
                                                             const float *x)
{
        size_t n_ahead = TILE * n_row_bytes, n_bytes = type == QUANT_F32 ? sizeof(float) : sizeof(quant_half);

        for (size_t i = 0; i < n_rows; i += TILE, row += n_ahead) {
                __m256 sums[TILE] = { 0 };
                const char *rows[TILE];
                float rest[TILE] = { 0 };
                size_t c = 0;

                tile_rows(rows, row, n_row_bytes, n_rows - i);
                for (; c + LANES <= n_columns; c += LANES) {
                        __m256 values = _mm256_loadu_ps(x + c);

#pragma GCC unroll 4
                        for (size_t r = 0; r < TILE; r++) {
                                _mm_prefetch(rows[r] + c * n_bytes + n_ahead, _MM_HINT_T0);
                                sums[r] = _mm256_fmadd_ps(load_weights(type, rows[r], c), values, sums[r]);
                        }
                }
                for (; c < n_columns; c++)
                        for (size_t r = 0; r < TILE; r++)
                                rest[r] += load_weight(type, rows[r], c) * x[c];
                store_tile(y + i, _mm_add_ps(sum_tile(sums), _mm_loadu_ps(rest)), n_rows - i);
        }
}

static void rows_f32(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x)
{
        rows_float(QUANT_F32, y, rows, n_row_bytes, n_rows, n_columns, x->values);
}

static void rows_f16(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x)
{
        rows_float(QUANT_F16, y, rows, n_row_bytes, n_rows, n_columns, x->values);
}

static void rows_bf16(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                      const struct kernel_vector *x)
{
        rows_float(QUANT_BF16, y, rows, n_row_bytes, n_rows, n_columns, x->values);
}

/* ------------------------------------------------------------------------------------------- rows as floats */

static void dequantise_f32(float *y, const void *row, size_t n_columns)
{
        memcpy(y, row, n_columns * sizeof(*y));
}

static void dequantise_f16(float *y, const void *row, size_t n_columns)
{
        size_t i = 0;

        for (; i + LANES <= n_columns; i += LANES)
                _mm256_storeu_ps(y + i, load_weights(QUANT_F16, row, i));
        for (; i < n_columns; i++)
                y[i] = load_weight(QUANT_F16, row, i);
}

static void dequantise_bf16(float *y, const void *row, size_t n_columns)
{
        size_t i = 0;

        for (; i + LANES <= n_columns; i += LANES)
                _mm256_storeu_ps(y + i, load_weights(QUANT_BF16, row, i));
        for (; i < n_columns; i++)
                y[i] = load_weight(QUANT_BF16, row, i);
}

static void dequantise_q8_0(float *y, const void *row, size_t n_columns)
{
        const struct quant_q8_0 *w = row;

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++) {
                __m256 scale = _mm256_set1_ps(_cvtsh_ss(w[b].scale));

                for (size_t i = 0; i < QUANT_BLOCK; i += LANES, y += LANES)
                        _mm256_storeu_ps(y, _mm256_mul_ps(scale, bytes_to_floats(w[b].quants + i)));
        }
}

static inline void dequantise_nibbles(float *y, const uint8_t *nibbles, float scale, float offset)
{
        int8_t bytes[QUANT_BLOCK];

        _mm256_storeu_si256((__m256i *)bytes, unpack_nibbles(nibbles));
        for (size_t i = 0; i < QUANT_BLOCK; i += LANES)
                _mm256_storeu_ps(y + i, _mm256_fmadd_ps(_mm256_set1_ps(scale), bytes_to_floats(bytes + i),
                                                        _mm256_set1_ps(offset)));
}

static void dequantise_q4_0(float *y, const void *row, size_t n_columns)
{
        const struct quant_q4_0 *w = row;

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++) {
                float scale = _cvtsh_ss(w[b].scale);

                dequantise_nibbles(y + b * QUANT_BLOCK, w[b].nibbles, scale, -8.0f * scale);
        }
}

static void dequantise_q4_1(float *y, const void *row, size_t n_columns)
{
        const struct quant_q4_1 *w = row;

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++)
                dequantise_nibbles(y + b * QUANT_BLOCK, w[b].nibbles, _cvtsh_ss(w[b].scale), _cvtsh_ss(w[b].minimum));
}

/* -------------------------------------------------------------------------------------------- exponentials */

/* exp(x) for x <= 88, to 1.5 units in the last place; below -87.3 it is 0. The method and the polynomial are those of
 * the Arm Optimized Routines' vector expf (https://github.com/ARM-software/optimized-routines), which llama.cpp uses
 * too: x = n ln 2 + b, where adding 1.5 * 2^23 rounds n to an integer and leaves it in the low bits. */
static inline __m256 exponential(__m256 x)
{
        const __m256 lowest = _mm256_set1_ps(-87.3f), shift = _mm256_set1_ps(0x1.8p23f);
        __m256 valid = _mm256_cmp_ps(x, lowest, _CMP_GE_OQ), z, n, b, bb, power, high, low, y;

        x = _mm256_max_ps(x, lowest);
        z = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p+0f), shift);
        n = _mm256_sub_ps(z, shift);
        b = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
        b = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), b);
        power = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(z), 23),
                                                     _mm256_castps_si256(_mm256_set1_ps(1.0f))));

        bb = _mm256_mul_ps(b, b);
        high = _mm256_fmadd_ps(_mm256_set1_ps(0x1.0e4020p-7f), b, _mm256_set1_ps(0x1.573e2ep-5f));
        low = _mm256_fmadd_ps(_mm256_set1_ps(0x1.555e66p-3f), b, _mm256_set1_ps(0x1.fffdb6p-2f));
        y = _mm256_mul_ps(_mm256_set1_ps(0x1.ffffecp-1f), b);
        y = _mm256_fmadd_ps(_mm256_fmadd_ps(high, bb, low), bb, y);
        return _mm256_and_ps(_mm256_fmadd_ps(y, power, power), valid);
}

static void swiglu(float *gate, const float *up, size_t n)
{
        const __m256 one = _mm256_set1_ps(1.0f);
        size_t i = 0;

        for (; i + LANES <= n; i += LANES) {
                __m256 x = _mm256_loadu_ps(gate + i);
                /* Where exp(-x) would leave the range, silu(x) is 0 to single precision. */
                __m256 negated = _mm256_min_ps(_mm256_sub_ps(_mm256_setzero_ps(), x), _mm256_set1_ps(87.0f));
                __m256 silu = _mm256_div_ps(x, _mm256_add_ps(one, exponential(negated)));

                _mm256_storeu_ps(gate + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
        }
        for (; i < n; i++)
                gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static float maximum(const float *x, size_t n)
{
        __m256 lanes = _mm256_set1_ps(x[0]);
        float largest;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
                lanes = _mm256_max_ps(lanes, _mm256_loadu_ps(x + i));
        for (largest = max_lanes(lanes); i < n; i++)
                largest = fmaxf(largest, x[i]);
        return largest;
}

static float exp_sum(const float *x, float largest, size_t n)
{
        __m256 shift = _mm256_set1_ps(largest), lanes = _mm256_setzero_ps();
        float sum = 0.0f;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES)
                lanes = _mm256_add_ps(lanes, exponential(_mm256_sub_ps(_mm256_loadu_ps(x + i), shift)));
        for (; i < n; i++)
                sum += expf(x[i] - largest);
        return sum + sum_lanes(lanes);
}

static void softmax(float *x, size_t n)
{
        __m256 shift = _mm256_set1_ps(maximum(x, n));
        double sum = 0.0;
        float inverse;

        for (size_t i = 0; i < n; i += LANES) {
                float lanes[LANES];
                size_t n_lanes = n - i < LANES ? n - i : LANES;
                __m256 y;

                _mm256_storeu_ps(lanes, _mm256_set1_ps(-INFINITY));
                memcpy(lanes, x + i, n_lanes * sizeof(*x));
                y = exponential(_mm256_sub_ps(_mm256_loadu_ps(lanes), shift));
                sum += (double)sum_lanes(y);
                _mm256_storeu_ps(lanes, y);
                memcpy(x + i, lanes, n_lanes * sizeof(*x));
        }
        inverse = (float)(1.0 / sum);
        for (size_t i = 0; i < n; i++)
                x[i] *= inverse;
}

/* ------------------------------------------------------------------------------------------------ the rest */

static void rms_norm(float *y, const float *x, const float *weight, size_t n, float epsilon)
{
        __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
        double lanes[4], sum = 0.0;
        float scale;
        size_t i = 0;

        for (; i + LANES <= n; i += LANES) {
                __m256 square = _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(x + i));

                low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(square)));
                high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(square, 1)));
        }
        for (; i < n; i++)
                sum += (double)(x[i] * x[i]);
        _mm256_storeu_pd(lanes, _mm256_add_pd(low, high));
        sum += lanes[0] + lanes[1] + lanes[2] + lanes[3];
        scale = 1.0f / sqrtf((float)(sum / (double)n) + epsilon);

        for (i = 0; i + LANES <= n; i += LANES)
                _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(scale)),
                                                      _mm256_loadu_ps(weight + i)));
        for (; i < n; i++)
                y[i] = x[i] * scale * weight[i];
}

/* Each product with x[2i] is rounded only with the sum, as a compiler contracts the formulas. */
static void rope(float *x, const float *rotation, size_t n)
{
        size_t i = 0;

        for (; i + LANES <= n; i += LANES) {
                __m256 pair = _mm256_loadu_ps(x + i), turn = _mm256_loadu_ps(rotation + i);
                __m256 first = _mm256_moveldup_ps(pair), second = _mm256_movehdup_ps(pair);
                __m256 crossed = _mm256_mul_ps(second, _mm256_permute_ps(turn, 0xb1));

                _mm256_storeu_ps(x + i, _mm256_fmaddsub_ps(first, turn, crossed));
        }
        for (; i < n; i += 2) {
                float cosine = rotation[i], sine = rotation[i + 1], a = x[i], b = x[i + 1];

                x[i] = a * cosine - b * sine;
                x[i + 1] = a * sine + b * cosine;
        }
}

/* ----------------------------------------------------------------------------------------------- attention */

/* In the order of llama.cpp's dot product of floats: 32 interleaved sums. */
static float dot_floats(const float *a, const float *b, size_t n)
{
        __m256 sums[4] = { 0 }, all;
        __m128 half;
        float sum;
        size_t i = 0;

        for (; i + 4 * LANES <= n; i += 4 * LANES)
#pragma GCC unroll 4
                for (size_t k = 0; k < 4; k++)
                        sums[k] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + k * LANES),
                                                  _mm256_loadu_ps(b + i + k * LANES), sums[k]);
        all = _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[1], sums[3]));
        half = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
        half = _mm_hadd_ps(half, half);
        for (sum = _mm_cvtss_f32(_mm_hadd_ps(half, half)); i < n; i++)
                sum += a[i] * b[i];
        return sum;
}

/* Scores times values over positions first, first + n_ways, ...: eight columns. */
static inline __m256 weigh_positions(const float *scores, const float *values, size_t n_stride, size_t n_positions,
                                     size_t first, size_t n_ways)
{
        __m256 sum = _mm256_setzero_ps();

        for (size_t p = first; p < n_positions; p += n_ways)
                sum = _mm256_fmadd_ps(_mm256_set1_ps(scores[p]), _mm256_loadu_ps(values + p * n_stride), sum);
        return sum;
}

/* Eight columns of the weighted sum of values, positions interleaved in 8 or 32 sums as llama.cpp's matrix product
 * and dot product do it. */
static __m256 weigh_columns(const float *scores, const float *values, size_t n_stride, size_t n_positions,
                            size_t n_ways)
{
        __m256 s[LANES];

        for (size_t k = 0; k < LANES; k++) {
                __m256 parts[4];

                for (size_t j = 0; j < n_ways / LANES; j++)
                        parts[j] = weigh_positions(scores, values, n_stride, n_positions, k + j * LANES, n_ways);
                s[k] = n_ways == LANES
                               ? parts[0]
                               : _mm256_add_ps(_mm256_add_ps(parts[0], parts[2]), _mm256_add_ps(parts[1], parts[3]));
        }
        for (size_t k = 0; k < 4; k++)
                s[k] = _mm256_add_ps(s[k], s[k + 4]);
        if (n_ways == LANES)
                return _mm256_add_ps(_mm256_add_ps(s[0], s[2]), _mm256_add_ps(s[1], s[3]));
        return _mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3]));
}

static void attention(float *out, float *scores, const float *queries, size_t n_queries, const float *keys,
                      const float *values, size_t n_stride, size_t n_positions, size_t head_size, bool is_batch)
{
        float scale = 1.0f / sqrtf((float)head_size);

        for (size_t h = 0; h < n_queries; h++, queries += head_size, out += head_size) {
                size_t i = 0;

                for (size_t p = 0; p < n_positions; p++)
                        scores[p] = dot_floats(keys + p * n_stride, queries, head_size) * scale;
                softmax(scores, n_positions);
                for (; i + LANES <= head_size; i += LANES)
                        _mm256_storeu_ps(out + i, weigh_columns(scores, values + i, n_stride, n_positions,
                                                                is_batch ? LANES : 4 * LANES));
                for (; i < head_size; i++) {
                        out[i] = 0.0f;
                        for (size_t p = 0; p < n_positions; p++)
                                out[i] += scores[p] * values[p * n_stride + i];
                }
        }
}

static const struct kernels avx2 = {
        .name = "avx2",
        .quantise = quantise,
        .dequantise_blocks = dequantise_blocks,
        .quantise_wide = quantise_wide,
        .round_half = round_half,
        .rows = { [QUANT_F32] = rows_f32,
                  [QUANT_F16] = rows_f16,
                  [QUANT_Q4_0] = avx2_rows_q4_0,
                  [QUANT_Q4_1] = avx2_rows_q4_1,
                  [QUANT_Q8_0] = avx2_rows_q8_0,
                  [QUANT_Q5_0] = avx2_rows_q5_0,
                  [QUANT_Q5_1] = avx2_rows_q5_1,
                  [QUANT_Q4_K] = avx2_rows_q4_k,
                  [QUANT_Q5_K] = avx2_rows_q5_k,
                  [QUANT_Q6_K] = avx2_rows_q6_k,
                  [QUANT_BF16] = rows_bf16 },
        .batch = { [QUANT_Q4_0] = avx2_batch_q4_0,
                   [QUANT_Q4_1] = avx2_batch_q4_1,
                   [QUANT_Q8_0] = avx2_batch_q8_0,
                   [QUANT_Q5_0] = avx2_batch_q5_0,
                   [QUANT_Q5_1] = avx2_batch_q5_1,
                   [QUANT_Q4_K] = avx2_batch_q4_k,
                   [QUANT_Q5_K] = avx2_batch_q5_k,
                   [QUANT_Q6_K] = avx2_batch_q6_k },
        .n_batch_most = SIZE_MAX,
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

const struct kernels *const kernels_avx2 = &avx2;
