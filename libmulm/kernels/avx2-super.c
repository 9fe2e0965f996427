/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Rows of the K types times wide blocks of activations. The scales of the parts are integers, so a whole block of 256
 * stays in integer arithmetic and meets floats once; what the minimums subtract is one product of eight minimums and
 * the eight totals of the activations, and what the offset of Q6_K subtracts is one of sixteen scales and totals.
 * Floats are added in the order of llama.cpp's ggml_vec_dot_q*_K_q8_K, so that the sums are its own.
 */
#include "libmulm/kernels/avx2.h"
#include "libmulm/kernels/super.h"

/* A block's scales, in 16-bit lanes. */
struct scales {
        __m256i parts;    /* Q4_K, Q5_K: eight, twice; Q6_K: bytes, sixteen, twice */
        __m128i minimums; /* eight */
        float scale, minimum;
};

static inline size_t block_bytes(enum quant_type type)
{
        return type == QUANT_Q4_K   ? sizeof(struct quant_q4_k)
               : type == QUANT_Q5_K ? sizeof(struct quant_q5_k)
                                    : sizeof(struct quant_q6_k);
}

static inline struct scales load_scales(enum quant_type type, const char *block)
{
        const struct quant_q4_k *w = (const void *)block; /* Q5_K begins alike */
        struct scales scales = { 0 };
        uint8_t unpacked[16];
        __m256i words;

        if (type == QUANT_Q6_K) {
                const struct quant_q6_k *six = (const void *)block;

                scales.parts = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)six->scales));
                scales.scale = half_at(block + offsetof(struct quant_q6_k, scale));
                return scales;
        }
        super_unpack_scales(unpacked, w->scales);
        words = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)unpacked));
        scales.parts = _mm256_broadcastsi128_si256(_mm256_castsi256_si128(words));
        scales.minimums = _mm256_extracti128_si256(words, 1);
        scales.scale = half_at(block);
        scales.minimum = half_at(block + sizeof(quant_half));
        return scales;
}

/* Part p's scale, or its two scales, in the lanes of its pairs. */
static inline __m256i part_scale(enum quant_type type, __m256i parts, int p)
{
        __m256i first, second;

        if (type != QUANT_Q6_K)
                return _mm256_shuffle_epi8(parts, _mm256_set1_epi16((short)((2 * p + 1) << 8 | 2 * p)));
        first = _mm256_set1_epi16((short)((2 * p) << 8 | 0x80));
        second = _mm256_set1_epi16((short)((2 * p + 1) << 8 | 0x80));
        return _mm256_srai_epi16(_mm256_shuffle_epi8(parts, _mm256_permute2x128_si256(first, second, 0x30)), 8);
}

static inline __m256i load(const uint8_t *bytes)
{
        return _mm256_loadu_si256((const void *)bytes);
}

/* The low (0) or high (1) nibbles of 32 bytes. */
static inline __m256i nibbles_of(const uint8_t *bytes, int high)
{
        return _mm256_and_si256(high ? _mm256_srli_epi16(load(bytes), 4) : load(bytes), _mm256_set1_epi8(15));
}

/* Part p of a block, in Q6_K still with the offset of 32. */
static inline __m256i unpack_part(enum quant_type type, const char *block, int p)
{
        const struct quant_q4_k *four = (const void *)block;
        const struct quant_q5_k *five = (const void *)block;
        const struct quant_q6_k *six = (const void *)block;
        __m256i low, high;

        if (type == QUANT_Q4_K)
                return nibbles_of(four->nibbles + p / 2 * 32, p % 2);
        if (type == QUANT_Q5_K) {
                low = nibbles_of(five->nibbles + p / 2 * 32, p % 2);
                high = _mm256_and_si256(_mm256_srli_epi16(load(five->high), p), _mm256_set1_epi8(1));
                return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
        }
        low = nibbles_of(six->nibbles + p / 4 * 64 + p % 2 * 32, p % 4 / 2);
        high = _mm256_and_si256(_mm256_srli_epi16(load(six->high + p / 4 * 32), p % 4 * 2), _mm256_set1_epi8(3));
        return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
}

/* What the offset of Q6_K adds to the products of a wide block. */
static inline __m256i offset_of(const char *block, const struct kernel_block *x)
{
        const struct quant_q6_k *six = (const void *)block;
        __m256i scales = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)six->scales));
        __m128i first = _mm_loadu_si128((const void *)x[1].totals),
                second = _mm_loadu_si128((const void *)x[2].totals);

        return _mm256_slli_epi32(_mm256_madd_epi16(scales, _mm256_set_m128i(second, first)), 5);
}

/* Adds to the sums of a row what the minimums of a block subtract: by lanes in Q4_K, at once in Q5_K. */
static inline __m128 add_minimums(enum quant_type type, __m128 offsets, const struct scales *scales,
                                  const struct kernel_block *x)
{
        __m128 unit = _mm_set1_ps(scales->minimum * x->scale);
        __m128i found = _mm_madd_epi16(scales->minimums, _mm_loadu_si128((const void *)x->totals));

        if (type == QUANT_Q4_K)
                return _mm_fnmadd_ps(unit, _mm_cvtepi32_ps(found), offsets);
        return _mm_fnmadd_ss(unit, _mm_cvtepi32_ps(sum_quarter(found)), offsets);
}

static inline float sum_offsets(enum quant_type type, __m128 offsets)
{
        return type == QUANT_Q5_K ? _mm_cvtss_f32(offsets) : sum_half_lanes(offsets);
}

/* One row times n vectors, n known when this is compiled. */
static inline __attribute__((always_inline)) void dot_row(enum quant_type type, float *ret_sums, const char *row,
                                                          size_t n_columns, const struct kernel_block *const *x,
                                                          size_t n)
{
        __m256 sums[TILE] = { 0 };
        __m128 offsets[TILE] = { 0 };

        for (size_t b = 0; b < n_columns / QUANT_BLOCK; b += QUANT_SUPER_PARTS, row += block_bytes(type)) {
                struct scales scales = load_scales(type, row);
                __m256i dots[TILE] = { 0 };

#pragma GCC unroll 8
                for (int p = 0; p < QUANT_SUPER_PARTS; p++) {
                        __m256i weights = unpack_part(type, row, p), scale = part_scale(type, scales.parts, p);

#pragma GCC unroll 4
                        for (size_t v = 0; v < n; v++) {
                                __m256i bytes = _mm256_loadu_si256((const void *)x[v][b + (size_t)p].quants);
                                __m256i pairs = _mm256_maddubs_epi16(weights, bytes);

                                dots[v] = _mm256_add_epi32(dots[v], _mm256_madd_epi16(pairs, scale));
                        }
                }
#pragma GCC unroll 4
                for (size_t v = 0; v < n; v++) {
                        if (type == QUANT_Q6_K)
                                dots[v] = _mm256_sub_epi32(dots[v], offset_of(row, x[v] + b));
                        else
                                offsets[v] = add_minimums(type, offsets[v], &scales, x[v] + b);
                        sums[v] = _mm256_fmadd_ps(_mm256_set1_ps(scales.scale * x[v][b].scale),
                                                  _mm256_cvtepi32_ps(dots[v]), sums[v]);
                }
        }
        for (size_t v = 0; v < n; v++)
                ret_sums[v] =
                        type == QUANT_Q6_K ? sum_lanes(sums[v]) : sum_lanes(sums[v]) + sum_offsets(type, offsets[v]);
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

                        dot_row(type, sums, row + i * n_row_bytes, n_columns, blocks, TILE);
                        for (size_t k = 0; k < n; k++)
                                y[(v + k) * n_stride + i] = sums[k];
                }
        }
}

#define DEFINE_SUPER(name, type)                                                                                     \
        void avx2_rows_##name(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,       \
                              const struct kernel_vector *x)                                                         \
        {                                                                                                            \
                for (size_t i = 0; i < n_rows; i++)                                                                  \
                        dot_row(type, y + i, (const char *)rows + i * n_row_bytes, n_columns, &x->blocks, 1);        \
        }                                                                                                            \
        void avx2_batch_##name(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,       \
                               size_t n_columns, const struct kernel_vector *x, size_t n_vectors)                    \
        {                                                                                                            \
                batch_super(type, y, n_stride, rows, n_row_bytes, n_rows, n_columns, x, n_vectors);                  \
        }

DEFINE_SUPER(q4_k, QUANT_Q4_K)
DEFINE_SUPER(q5_k, QUANT_Q5_K)
DEFINE_SUPER(q6_k, QUANT_Q6_K)
