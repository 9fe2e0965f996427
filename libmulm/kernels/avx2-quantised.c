/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Rows of Q8_0, Q4_0 and Q4_1 times quantised activations, where most of a decode step's time goes.
 *
 * Integer dot products use the unsigned-by-signed multiply, with |w| and x * sign(w) for Q8_0, and with the nibbles
 * as they are for Q4_0 and Q4_1, whose offset is added apart, once per block for four rows. No 16-bit sum can
 * overflow, as 2 * 128 * 127 < 2^15. Measured on a Zen 1 core at 2.5 GHz: 8.4 cycles a block of Q8_0 (10 GB/s), 8 of
 * Q4_1.
 */
#include "libmulm/kernels/avx2.h"

/* ---------------------------------------------------------------------- tiles of quantised rows times a vector */

/* The half-precision numbers at one offset of four rows, put together in a general register: an array in memory would
 * be read back before its parts are written. */
static inline __m128 tile_halves(const char *const rows[TILE], size_t offset)
{
        uint64_t halves = half_bits_at(rows[0] + offset) | half_bits_at(rows[1] + offset) << 16 |
                          half_bits_at(rows[2] + offset) << 32 | half_bits_at(rows[3] + offset) << 48;

        return _mm_cvtph_ps(_mm_cvtsi64_si128((long long)halves));
}

/* Four partial sums of the products of a block: signed bytes in Q8_0, nibbles in the others. */
static inline __m128i dot_bytes(__m256i magnitudes, __m256i signs, __m256i x)
{
        __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(x, signs));

        return sum_halves(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static inline __m128i dot_nibbles(__m256i nibbles, __m256i x)
{
        return sum_halves(_mm256_madd_epi16(_mm256_maddubs_epi16(nibbles, x), _mm256_set1_epi16(1)));
}

/* One block of a row, of a type known when this is compiled. */
static inline __m128i dot_block(enum quant_type type, const void *quants, __m256i x)
{
        __m256i bytes;

        if (type != QUANT_Q8_0)
                return dot_nibbles(unpack_nibbles(quants), x);
        bytes = _mm256_loadu_si256(quants);
        return dot_bytes(_mm256_abs_epi8(bytes), bytes, x);
}

/* Where the quants of a block begin. */
static inline size_t quants_offset(enum quant_type type)
{
        return type == QUANT_Q4_1 ? offsetof(struct quant_q4_1, nibbles) : sizeof(quant_half);
}

static inline size_t block_bytes(enum quant_type type)
{
        return type == QUANT_Q8_0   ? sizeof(struct quant_q8_0)
               : type == QUANT_Q4_1 ? sizeof(struct quant_q4_1)
                                    : sizeof(struct quant_q4_0);
}

/* What the block adds to the four sums beside the products. */
static inline __m128 offset_block(enum quant_type type, const char *const rows[TILE], size_t offset, __m128 scales,
                                  const struct kernel_block *x)
{
        if (type == QUANT_Q4_0)
                return _mm_mul_ps(scales, _mm_set1_ps(-8.0f * (float)x->total));
        if (type == QUANT_Q4_1)
                return _mm_mul_ps(tile_halves(rows, offset + offsetof(struct quant_q4_1, minimum)),
                                  _mm_set1_ps(x->sum));
        return _mm_setzero_ps();
}

static inline __attribute__((always_inline)) void rows_quantised(enum quant_type type, float *y, const char *row,
                                                                 size_t n_row_bytes, size_t n_rows, size_t n_columns,
                                                                 const struct kernel_block *x)
{
        size_t n_ahead = TILE * n_row_bytes;

        for (size_t i = 0; i < n_rows; i += TILE, row += n_ahead) {
                __m128 sums[TILE] = { 0 }, offsets = _mm_setzero_ps();
                const char *rows[TILE];

                tile_rows(rows, row, n_row_bytes, n_rows - i);
                for (size_t b = 0, at = 0; b < n_columns / QUANT_BLOCK; b++, at += block_bytes(type)) {
                        __m256i quants = _mm256_loadu_si256((const __m256i *)x[b].quants);
                        __m128 scales = _mm_mul_ps(tile_halves(rows, at), _mm_set1_ps(x[b].scale));

                        offsets = _mm_add_ps(offsets, offset_block(type, rows, at, scales, x + b));

#define ADD_ROW(r)                                                                                                   \
        _mm_prefetch(rows[r] + at + n_ahead, _MM_HINT_T0);                                                           \
        sums[r] = _mm_fmadd_ps(_mm_cvtepi32_ps(dot_block(type, rows[r] + at + quants_offset(type), quants)),         \
                               _mm_permute_ps(scales, (r)*0x55), sums[r])
                        ADD_ROW(0);
                        ADD_ROW(1);
                        ADD_ROW(2);
                        ADD_ROW(3);
#undef ADD_ROW
                }
                store_tile(y + i, _mm_add_ps(sum_tile(sums), offsets), n_rows - i);
        }
}

/* -------------------------------------------------------------------- tiles of quantised rows times four vectors */

/* Lane v is the sum of the lanes of dots[v]. */
static inline __m128i transpose_sum(const __m128i dots[TILE])
{
        __m128i a = _mm_add_epi32(_mm_unpacklo_epi32(dots[0], dots[1]), _mm_unpackhi_epi32(dots[0], dots[1]));
        __m128i b = _mm_add_epi32(_mm_unpacklo_epi32(dots[2], dots[3]), _mm_unpackhi_epi32(dots[2], dots[3]));

        return _mm_add_epi32(_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b));
}

/* One block of one row times one block of four vectors; lanes are vectors. */
static inline __m128 dot_four(enum quant_type type, const void *quants, const __m256i x[TILE])
{
        __m256i weights = type == QUANT_Q8_0 ? _mm256_loadu_si256(quants) : unpack_nibbles(quants);
        __m256i magnitudes = type == QUANT_Q8_0 ? _mm256_abs_epi8(weights) : weights;
        __m128i dots[TILE];

        for (size_t v = 0; v < TILE; v++)
                dots[v] = type == QUANT_Q8_0 ? dot_bytes(magnitudes, weights, x[v]) : dot_nibbles(weights, x[v]);
        return _mm_cvtepi32_ps(transpose_sum(dots));
}

static inline __m128 four_floats(const struct kernel_block *const x[TILE], size_t b)
{
        return _mm_setr_ps(x[0][b].scale, x[1][b].scale, x[2][b].scale, x[3][b].scale);
}

/* The offsets of a block for the four vectors, to be multiplied with the row's scale (Q4_0) or minimum (Q4_1). */
static inline __m128 four_offsets(enum quant_type type, const struct kernel_block *const x[TILE], size_t b,
                                  __m128 scales)
{
        if (type == QUANT_Q4_0)
                return _mm_mul_ps(
                        _mm_mul_ps(scales, _mm_set1_ps(-8.0f)),
                        _mm_cvtepi32_ps(_mm_setr_epi32(x[0][b].total, x[1][b].total, x[2][b].total, x[3][b].total)));
        return _mm_setr_ps(x[0][b].sum, x[1][b].sum, x[2][b].sum, x[3][b].sum);
}

/* Up to four rows times four vectors; y[v][r]. */
static inline __attribute__((always_inline)) void tile_quantised(enum quant_type type, __m128 ret_sums[TILE],
                                                                 const char *const rows[TILE], size_t n_columns,
                                                                 const struct kernel_block *const x[TILE])
{
        for (size_t r = 0; r < TILE; r++)
                ret_sums[r] = _mm_setzero_ps();

        for (size_t b = 0, at = 0; b < n_columns / QUANT_BLOCK; b++, at += block_bytes(type)) {
                __m256i quants[TILE] = { _mm256_loadu_si256((const __m256i *)x[0][b].quants),
                                         _mm256_loadu_si256((const __m256i *)x[1][b].quants),
                                         _mm256_loadu_si256((const __m256i *)x[2][b].quants),
                                         _mm256_loadu_si256((const __m256i *)x[3][b].quants) };
                __m128 scales = four_floats(x, b);
                __m128 offsets = type == QUANT_Q8_0 ? scales : four_offsets(type, x, b, scales);

#pragma GCC unroll 4
                for (size_t r = 0; r < TILE; r++) {
                        __m128 scale = _mm_set1_ps(half_at(rows[r] + at)), dots;

                        dots = dot_four(type, rows[r] + at + quants_offset(type), quants);
                        ret_sums[r] = _mm_fmadd_ps(dots, _mm_mul_ps(scales, scale), ret_sums[r]);
                        if (type == QUANT_Q4_0)
                                ret_sums[r] = _mm_fmadd_ps(offsets, scale, ret_sums[r]);
                        if (type == QUANT_Q4_1)
                                ret_sums[r] =
                                        _mm_fmadd_ps(offsets, _mm_set1_ps(half_at(rows[r] + at + sizeof(quant_half))),
                                                     ret_sums[r]);
                }
        }
        _MM_TRANSPOSE4_PS(ret_sums[0], ret_sums[1], ret_sums[2], ret_sums[3]);
}

static inline __attribute__((always_inline)) void batch_quantised(enum quant_type type, float *y, size_t n_stride,
                                                                  const char *row, size_t n_row_bytes, size_t n_rows,
                                                                  size_t n_columns, const struct kernel_vector *x,
                                                                  size_t n_vectors)
{
        for (size_t i = 0; i < n_rows; i += TILE, row += TILE * n_row_bytes) {
                const char *rows[TILE];

                tile_rows(rows, row, n_row_bytes, n_rows - i);
                for (size_t v = 0; v < n_vectors; v += TILE) {
                        size_t n = n_vectors - v < TILE ? n_vectors - v : TILE;
                        const struct kernel_block *blocks[TILE];
                        __m128 sums[TILE];

                        for (size_t k = 0; k < TILE; k++)
                                blocks[k] = x[v + (k < n ? k : n - 1)].blocks;
                        tile_quantised(type, sums, rows, n_columns, blocks);
                        for (size_t k = 0; k < n; k++)
                                store_tile(y + (v + k) * n_stride + i, sums[k], n_rows - i);
                }
        }
}

#define DEFINE_QUANTISED(name, type)                                                                                 \
        void avx2_rows_##name(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,       \
                              const struct kernel_vector *x)                                                         \
        {                                                                                                            \
                rows_quantised(type, y, rows, n_row_bytes, n_rows, n_columns, x->blocks);                            \
        }                                                                                                            \
        void avx2_batch_##name(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,       \
                               size_t n_columns, const struct kernel_vector *x, size_t n_vectors)                    \
        {                                                                                                            \
                batch_quantised(type, y, n_stride, rows, n_row_bytes, n_rows, n_columns, x, n_vectors);              \
        }

DEFINE_QUANTISED(q8_0, QUANT_Q8_0)
DEFINE_QUANTISED(q4_0, QUANT_Q4_0)
DEFINE_QUANTISED(q4_1, QUANT_Q4_1)
