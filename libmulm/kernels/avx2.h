/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Shared by the AVX2 files, which alone are compiled with -mavx2 -mfma -mf16c: sums across lanes, and tiles of rows.
 *
 * Rows go through in tiles of four, so that one load of the activations serves four rows and the four sums are added
 * across lanes once per tile, and while a tile is computed the next one is prefetched: four streams of a few hundred
 * bytes each are too short for the hardware to learn.
 *
 * The order of additions is that of llama.cpp on such a processor: eight interleaved sums, then halves, then
 * quarters. Quantised activations make a difference in the last bit grow (a value that rounds to the other side is
 * off by 1/127 of the block's greatest), so the same order is what keeps long replies equal.
 */
#pragma once

#include <immintrin.h>
#include <string.h>

#include "libmulm/kernels/kernels.h"

#define TILE  4 /* rows at a time */
#define LANES 8

static inline float sum_half_lanes(__m128 v)
{
        v = _mm_add_ps(v, _mm_movehl_ps(v, v));
        return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}

static inline float sum_lanes(__m256 v)
{
        return sum_half_lanes(_mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)));
}

/* The lane sums of four vectors, each added in the order of sum_lanes(). */
static inline __m128 sum_tile(const __m256 v[TILE])
{
        __m128 sums[TILE];

        for (size_t r = 0; r < TILE; r++)
                sums[r] = _mm_add_ps(_mm256_castps256_ps128(v[r]), _mm256_extractf128_ps(v[r], 1));
        _MM_TRANSPOSE4_PS(sums[0], sums[1], sums[2], sums[3]);
        return _mm_add_ps(_mm_add_ps(sums[0], sums[2]), _mm_add_ps(sums[1], sums[3]));
}

/* The sum of all four, in the first. */
static inline __m128i sum_quarter(__m128i v)
{
        v = _mm_add_epi32(v, _mm_unpackhi_epi64(v, v));
        return _mm_add_epi32(v, _mm_shuffle_epi32(v, 1));
}

static inline __m128i sum_halves(__m256i v)
{
        return _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

static inline void store_tile(float *y, __m128 tile, size_t n)
{
        float values[TILE];

        if (n >= TILE) {
                _mm_storeu_ps(y, tile);
                return;
        }
        _mm_storeu_ps(values, tile);
        memcpy(y, values, n * sizeof(*y));
}

static inline float max_lanes(__m256 v)
{
        __m128 largest = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

        largest = _mm_max_ps(largest, _mm_movehl_ps(largest, largest));
        return _mm_cvtss_f32(_mm_max_ss(largest, _mm_movehdup_ps(largest)));
}

/* Four rows; a short tile names its last row again, so that no code but store_tile() knows of it. */
static inline void tile_rows(const char *ret_rows[TILE], const char *rows, size_t n_row_bytes, size_t n)
{
        for (size_t r = 0; r < TILE; r++)
                ret_rows[r] = rows + (r < n ? r : n - 1) * n_row_bytes;
}

static inline uint64_t half_bits_at(const char *at)
{
        quant_half half;

        memcpy(&half, at, sizeof(half));
        return half;
}

static inline float half_at(const char *at)
{
        return _cvtsh_ss((quant_half)half_bits_at(at));
}

static inline __m256i unpack_nibbles(const void *nibbles)
{
        __m128i bytes = _mm_loadu_si128(nibbles);
        __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi16(bytes, 4), 1);

        return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/* avx2-quantised.c */
void avx2_rows_q4_0(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void avx2_rows_q4_1(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void avx2_rows_q8_0(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void avx2_batch_q4_0(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x, size_t n_vectors);
void avx2_batch_q4_1(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x, size_t n_vectors);
void avx2_batch_q8_0(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x, size_t n_vectors);
void avx2_rows_q5_0(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void avx2_batch_q5_0(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x, size_t n_vectors);
void avx2_rows_q5_1(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void avx2_batch_q5_1(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x, size_t n_vectors);

/* avx2-super.c */
void avx2_rows_q4_k(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void avx2_batch_q4_k(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x, size_t n_vectors);
void avx2_rows_q5_k(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void avx2_batch_q5_k(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x, size_t n_vectors);
void avx2_rows_q6_k(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                    const struct kernel_vector *x);
void avx2_batch_q6_k(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                     const struct kernel_vector *x, size_t n_vectors);
