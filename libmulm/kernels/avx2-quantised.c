/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Rows of Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 times quantised activations, where most of a decode step's time goes.
 *
 * Integer dot products use the unsigned-by-signed multiply, with |w| and x * sign(w) for Q8_0, and with the
 * unsigned quants as they are for the others, whose offset is added apart, once per block for four rows. No 16-bit
 * sum can overflow, as 2 * 128 * 127 < 2^15. Measured on a Zen 1 core at 2.5 GHz: 8.1 cycles a block of Q8_0 (10.4
 * GB/s), 9 of Q4_1.
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

static inline uint64_t pair_bits_at(const char *at)
{
        uint32_t pair;

        memcpy(&pair, at, sizeof(pair));
        return pair;
}

/* The same for pairs of them: scales and minimums of Q4_1 lie side by side and are converted together. */
static inline void tile_half_pairs(const char *const rows[TILE], size_t offset, __m128 *ret_first, __m128 *ret_second)
{
        uint64_t front = pair_bits_at(rows[0] + offset) | pair_bits_at(rows[1] + offset) << 32;
        uint64_t back = pair_bits_at(rows[2] + offset) | pair_bits_at(rows[3] + offset) << 32;
        __m256 all = _mm256_cvtph_ps(_mm_set_epi64x((long long)back, (long long)front));
        __m128 low, high;

        low = _mm256_castps256_ps128(all);
        high = _mm256_extractf128_ps(all, 1);
        *ret_first = _mm_shuffle_ps(low, high, 0x88);
        *ret_second = _mm_shuffle_ps(low, high, 0xdd);
}

/* Eight partial sums of the products of a block: signed bytes. */
static inline __m256 dot_bytes(__m256i magnitudes, __m256i signs, __m256i x)
{
        __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(x, signs));

        return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Unsigned ones, from whose products in pairs `offsets` is taken. */
static inline __m256 dot_nibbles(__m256i nibbles, __m256i x, __m256i offsets)
{
        __m256i pairs = _mm256_sub_epi16(_mm256_maddubs_epi16(nibbles, x), offsets);

        return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static inline bool has_minimum(enum quant_type type)
{
        return type == QUANT_Q4_1 || type == QUANT_Q5_1;
}

static inline bool has_fifth_bits(enum quant_type type)
{
        return type == QUANT_Q5_0 || type == QUANT_Q5_1;
}

/* 16 in each byte whose bit is set. */
static inline __m256i spread_bits(const void *bits)
{
        const __m256i each = _mm256_set1_epi64x((long long)0x8040201008040201);
        __m256i copies = _mm256_set1_epi32((int)pair_bits_at(bits));

        copies = _mm256_shuffle_epi8(
                copies, _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
        return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(copies, each), each), _mm256_set1_epi8(16));
}

/* The quants of a block, signed in Q8_0. */
static inline __m256i unpack(enum quant_type type, const char *block)
{
        block += has_minimum(type) ? 2 * sizeof(quant_half) : sizeof(quant_half);
        if (type == QUANT_Q8_0)
                return _mm256_loadu_si256((const void *)block);
        if (has_fifth_bits(type))
                return _mm256_or_si256(unpack_nibbles(block + QUANT_BLOCK / 8), spread_bits(block));
        return unpack_nibbles(block);
}

/* What is taken from each quant of the types that are unsigned and have no minimum. */
static inline char offset_of(enum quant_type type)
{
        return type == QUANT_Q4_0 ? 8 : type == QUANT_Q5_0 ? 16 : 0;
}

/* The products of the offset with pairs of activations. In whole numbers, so that no sum is rounded otherwise than
 * llama.cpp's, which takes the offset from the quants. */
static inline __m256i offset_pairs(enum quant_type type, __m256i x)
{
        return offset_of(type) ? _mm256_maddubs_epi16(_mm256_set1_epi8(offset_of(type)), x) : _mm256_setzero_si256();
}

static inline __m256 dot_unpacked(enum quant_type type, __m256i magnitudes, __m256i weights, __m256i x,
                                  __m256i offsets)
{
        return type == QUANT_Q8_0 ? dot_bytes(magnitudes, weights, x) : dot_nibbles(weights, x, offsets);
}

/* One block of a row, of a type known when this is compiled. */
static inline __m256 dot_block(enum quant_type type, const char *block, __m256i x, __m256i offsets)
{
        __m256i quants = unpack(type, block);

        return dot_unpacked(type, _mm256_abs_epi8(quants), quants, x, offsets);
}

static inline size_t block_bytes(enum quant_type type)
{
        return type == QUANT_Q8_0   ? sizeof(struct quant_q8_0)
               : type == QUANT_Q5_0 ? sizeof(struct quant_q5_0)
               : type == QUANT_Q5_1 ? sizeof(struct quant_q5_1)
               : type == QUANT_Q4_1 ? sizeof(struct quant_q4_1)
                                    : sizeof(struct quant_q4_0);
}

/* The scales of one block of four rows times that of the activations, and what the minimums of the block add to the
 * four sums. */
static inline __m128 tile_scales(enum quant_type type, const char *const rows[TILE], size_t offset,
                                 const struct kernel_block *x, __m128 *minimums)
{
        __m128 scales, some;

        if (!has_minimum(type))
                return _mm_mul_ps(tile_halves(rows, offset), _mm_set1_ps(x->scale));
        tile_half_pairs(rows, offset, &scales, &some);
        *minimums = _mm_fmadd_ps(some, _mm_set1_ps(x->sum), *minimums);
        return _mm_mul_ps(scales, _mm_set1_ps(x->scale));
}

/* The next tile's part that is as far in as block b is in this one. Inlined by order: gcc takes a call that does
 * nothing but prefetch for one without effect and drops it. */
static inline __attribute__((always_inline)) void prefetch_tile(const char *next, size_t b, size_t n_block_bytes)
{
        next += b * TILE * n_block_bytes;
        _mm_prefetch(next, _MM_HINT_T0);
        _mm_prefetch(next + 64, _MM_HINT_T0);
        if (TILE * n_block_bytes > 128)
                _mm_prefetch(next + 128, _MM_HINT_T0);
}

static inline __attribute__((always_inline)) void rows_quantised(enum quant_type type, float *y, const char *row,
                                                                 size_t n_row_bytes, size_t n_rows, size_t n_columns,
                                                                 const struct kernel_block *x)
{
        for (size_t i = 0; i < n_rows; i += TILE, row += TILE * n_row_bytes) {
                __m256 sums[TILE] = { 0 };
                __m128 minimums = _mm_setzero_ps();
                const char *rows[TILE];

                tile_rows(rows, row, n_row_bytes, n_rows - i);
                for (size_t b = 0, at = 0; b < n_columns / QUANT_BLOCK; b++, at += block_bytes(type)) {
                        __m256i quants = _mm256_loadu_si256((const __m256i *)x[b].quants);
                        __m256i offsets = offset_pairs(type, quants);
                        __m128 scales = tile_scales(type, rows, at, x + b, &minimums);

                        prefetch_tile(row + TILE * n_row_bytes, b, block_bytes(type));
#define ADD_ROW(r)                                                                                                   \
        sums[r] = _mm256_fmadd_ps(dot_block(type, rows[r] + at, quants, offsets),                                    \
                                  _mm256_broadcastss_ps(_mm_permute_ps(scales, (r)*0x55)), sums[r])
                        ADD_ROW(0);
                        ADD_ROW(1);
                        ADD_ROW(2);
                        ADD_ROW(3);
#undef ADD_ROW
                }
                store_tile(y + i, _mm_add_ps(sum_tile(sums), minimums), n_rows - i);
        }
}

/* -------------------------------------------------------------------- quantised rows times tiles of four vectors */

static inline __m128 four_scales(const struct kernel_block *const x[TILE], size_t b)
{
        return _mm_setr_ps(x[0][b].scale, x[1][b].scale, x[2][b].scale, x[3][b].scale);
}

/* Adds what the minimum of a block gives to the sums with four vectors. */
static inline __m128 add_four_minimums(const char *block, const struct kernel_block *const x[TILE], size_t b,
                                       __m128 minimums)
{
        return _mm_fmadd_ps(_mm_set1_ps(half_at(block + sizeof(quant_half))),
                            _mm_setr_ps(x[0][b].sum, x[1][b].sum, x[2][b].sum, x[3][b].sum), minimums);
}

/* Blocks of a row up to which offset_pairs() of four vectors are kept for all rows. */
#define OFFSETS_MAX 64

struct four_offsets {
        __m256i blocks[OFFSETS_MAX][TILE];
};

static inline void fill_offsets(struct four_offsets *offsets, enum quant_type type,
                                const struct kernel_block *const x[TILE], size_t n_blocks)
{
        for (size_t b = 0; offset_of(type) && b < n_blocks; b++)
                for (size_t v = 0; v < TILE; v++)
                        offsets->blocks[b][v] =
                                offset_pairs(type, _mm256_loadu_si256((const __m256i *)x[v][b].quants));
}

/* One row times four vectors. */
static inline __attribute__((always_inline)) __m128 dot_four(enum quant_type type, const char *row, size_t n_columns,
                                                             const struct kernel_block *const x[TILE],
                                                             const struct four_offsets *offsets)
{
        __m256 sums[TILE] = { 0 };
        __m128 minimums = _mm_setzero_ps();

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b++, row += block_bytes(type)) {
                __m128 scales = _mm_mul_ps(four_scales(x, b), _mm_set1_ps(half_at(row)));
                __m256i weights = unpack(type, row);
                __m256i magnitudes = _mm256_abs_epi8(weights);

                if (has_minimum(type))
                        minimums = add_four_minimums(row, x, b, minimums);

#define ADD_VECTOR(v)                                                                                                \
        do {                                                                                                         \
                __m256i bytes = _mm256_loadu_si256((const __m256i *)x[v][b].quants);                                 \
                __m256i taken = offset_of(type) ? offsets->blocks[b][v] : _mm256_setzero_si256();                    \
                __m256 dots = dot_unpacked(type, magnitudes, weights, bytes, taken);                                 \
                                                                                                                     \
                sums[v] = _mm256_fmadd_ps(dots, _mm256_broadcastss_ps(_mm_permute_ps(scales, (v)*0x55)), sums[v]);   \
        } while (0)
                ADD_VECTOR(0);
                ADD_VECTOR(1);
                ADD_VECTOR(2);
                ADD_VECTOR(3);
#undef ADD_VECTOR
        }
        return _mm_add_ps(sum_tile(sums), minimums);
}

/* ------------------------------------------------------------------------ tiles of quantised rows times two vectors
 */

/* rows_quantised() with what is unpacked used twice. */
static inline __attribute__((always_inline)) void pair_quantised(enum quant_type type, float *y, float *z,
                                                                 const char *row, size_t n_row_bytes, size_t n_rows,
                                                                 size_t n_columns, const struct kernel_block *x0,
                                                                 const struct kernel_block *x1)
{
        for (size_t i = 0; i < n_rows; i += TILE, row += TILE * n_row_bytes) {
                __m256 sums0[TILE] = { 0 }, sums1[TILE] = { 0 };
                __m128 minimums0 = _mm_setzero_ps(), minimums1 = _mm_setzero_ps();
                const char *rows[TILE];

                tile_rows(rows, row, n_row_bytes, n_rows - i);
                for (size_t b = 0, at = 0; b < n_columns / QUANT_BLOCK; b++, at += block_bytes(type)) {
                        __m256i bytes0 = _mm256_loadu_si256((const __m256i *)x0[b].quants);
                        __m256i bytes1 = _mm256_loadu_si256((const __m256i *)x1[b].quants);
                        __m256i offsets0 = offset_pairs(type, bytes0), offsets1 = offset_pairs(type, bytes1);
                        __m128 scales0 = tile_scales(type, rows, at, x0 + b, &minimums0);
                        __m128 scales1 = tile_scales(type, rows, at, x1 + b, &minimums1);

                        prefetch_tile(row + TILE * n_row_bytes, b, block_bytes(type));
#define ADD_ROW(r)                                                                                                   \
        do {                                                                                                         \
                __m256i weights = unpack(type, rows[r] + at);                                                        \
                __m256i magnitudes = _mm256_abs_epi8(weights);                                                       \
                                                                                                                     \
                sums0[r] = _mm256_fmadd_ps(dot_unpacked(type, magnitudes, weights, bytes0, offsets0),                \
                                           _mm256_broadcastss_ps(_mm_permute_ps(scales0, (r)*0x55)), sums0[r]);      \
                sums1[r] = _mm256_fmadd_ps(dot_unpacked(type, magnitudes, weights, bytes1, offsets1),                \
                                           _mm256_broadcastss_ps(_mm_permute_ps(scales1, (r)*0x55)), sums1[r]);      \
        } while (0)
                        ADD_ROW(0);
                        ADD_ROW(1);
                        ADD_ROW(2);
                        ADD_ROW(3);
#undef ADD_ROW
                }
                store_tile(y + i, _mm_add_ps(sum_tile(sums0), minimums0), n_rows - i);
                store_tile(z + i, _mm_add_ps(sum_tile(sums1), minimums1), n_rows - i);
        }
}

/* Fours, then what is left as it is cheapest. However they are put together, each vector's sums are added in the
 * order of rows_quantised(): the numbers do not depend on it. */
static inline __attribute__((always_inline)) void batch_quantised(enum quant_type type, float *y, size_t n_stride,
                                                                  const char *row, size_t n_row_bytes, size_t n_rows,
                                                                  size_t n_columns, const struct kernel_vector *x,
                                                                  size_t n_vectors)
{
        const bool fits = !offset_of(type) || n_columns / QUANT_BLOCK <= OFFSETS_MAX;
        struct four_offsets offsets;

        for (; fits && n_vectors >= TILE; n_vectors -= TILE, x += TILE, y += TILE * n_stride) {
                const struct kernel_block *blocks[TILE] = { x[0].blocks, x[1].blocks, x[2].blocks, x[3].blocks };

                fill_offsets(&offsets, type, blocks, n_columns / QUANT_BLOCK);

                for (size_t i = 0; i < n_rows; i++) {
                        float sums[TILE];

                        _mm_storeu_ps(sums, dot_four(type, row + i * n_row_bytes, n_columns, blocks, &offsets));
                        for (size_t k = 0; k < TILE; k++)
                                y[k * n_stride + i] = sums[k];
                }
        }
        for (; n_vectors >= 2; n_vectors -= 2, x += 2, y += 2 * n_stride)
                pair_quantised(type, y, y + n_stride, row, n_row_bytes, n_rows, n_columns, x[0].blocks, x[1].blocks);
        if (n_vectors > 0)
                rows_quantised(type, y, row, n_row_bytes, n_rows, n_columns, x->blocks);
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
DEFINE_QUANTISED(q5_0, QUANT_Q5_0)
DEFINE_QUANTISED(q5_1, QUANT_Q5_1)
