/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The arithmetic that decides the speed: one struct of function pointers per instruction set, one file each. scalar.c
 * is the reference that the others are tested against. select.c picks at run time by what the processor has.
 *
 * Activations are quantised once per vector to blocks of 32 signed bytes (`struct kernel_block`), then dotted with
 * rows of weights in integer arithmetic; the K types take wide blocks of eight that share their scale. F32 rows take
 * the float activations, F16 and BF16 rows take them rounded to their precision. Scales are rounded to half precision
 * as ggml does, so that results differ from llama.cpp's only by the order of summation.
 *
 * All functions are pure, take any alignment, and expect sizes that model.c has checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/mulm.h"
#include "libmulm/quant.h"

/* 32 activations: value = scale * quants[i], |quants[i]| <= 127. */
struct kernel_block {
        int8_t quants[QUANT_BLOCK];
        float scale;
        float sum;     /* scale * total, rounded to half precision: what the minimum of Q4_1 is multiplied with */
        int32_t total; /* sum of the quants: what the offset of Q4_0 is multiplied with */
        int16_t totals[QUANT_SUPER_PARTS]; /* of a wide block, in its first part: the totals of all parts; in its
                                            * second and third: those of the sixteen half parts */
        int32_t padding;
};

_Static_assert(sizeof(struct kernel_block) == 64, "one cache line");

/* A vector of activations in the form that a weight type takes: blocks for the quantised types, else values. */
struct kernel_vector {
        const float *values;
        const struct kernel_block *blocks;
};

/* y[i] = rows[i] . x for n_rows rows of n_columns weights that lie n_row_bytes apart. */
typedef void (*kernel_rows_fn)(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                               const struct kernel_vector *x);

/* The same for several vectors, each row unpacked once: y[v * n_stride + i] = rows[i] . x[v]. */
typedef void (*kernel_batch_fn)(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,
                                size_t n_columns, const struct kernel_vector *x, size_t n_vectors);

/* y[i] = weight i of the row. */
typedef void (*kernel_dequantise_fn)(float *y, const void *row, size_t n_columns);

struct kernels {
        const char *name;

        /* n is a multiple of QUANT_BLOCK; dequantise_blocks is its inverse. */
        void (*quantise)(struct kernel_block *blocks, const float *x, size_t n);
        void (*dequantise_blocks)(float *y, const struct kernel_block *blocks, size_t n);

        /* The same into wide blocks; n is a multiple of QUANT_SUPER, and `sum` is not set. */
        void (*quantise_wide)(struct kernel_block *blocks, const float *x, size_t n);

        /* y[i] = x[i] rounded to half precision; y may be x. */
        void (*round_half)(float *y, const float *x, size_t n);

        kernel_rows_fn rows[QUANT_N_TYPES];
        kernel_batch_fn batch[QUANT_N_TYPES]; /* NULL where SGEMM over dequantised rows is always faster */
        size_t n_batch_most;                  /* vectors up to which `batch` is faster than that; see prefill.c */
        kernel_dequantise_fn dequantise[QUANT_N_TYPES];

        /* y[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i] */
        void (*rms_norm)(float *y, const float *x, const float *weight, size_t n, float epsilon);

        /* Rotates the pairs (x[2i], x[2i + 1]) by angle i; rotation holds cosine and sine of each, n is even. */
        void (*rope)(float *x, const float *rotation, size_t n);

        /* gate[i] = silu(gate[i]) * up[i] */
        void (*swiglu)(float *gate, const float *up, size_t n);

        /* The greatest of n >= 1 values, and the sum of exp(x[i] - maximum). */
        float (*maximum)(const float *x, size_t n);
        float (*exp_sum)(const float *x, float maximum, size_t n);

        /* In place: exp(x[i] - maximum) / sum of these. */
        void (*softmax)(float *x, size_t n);

        /* n_queries heads that share one key and value head: out[h] = sum of softmax(q[h] . k / sqrt(head_size)) * v.
         * queries and out are [n_queries x head_size]; keys and values are n_positions rows, n_stride floats apart;
         * scores is scratch for n_positions floats. is_batch: the position is one of several evaluated together, for
         * which llama.cpp adds in another order. */
        void (*attention)(float *out, float *scores, const float *queries, size_t n_queries, const float *keys,
                          const float *values, size_t n_stride, size_t n_positions, size_t head_size, bool is_batch);
};

extern const struct kernels kernels_scalar;

/* NULL in a build for another processor family. */
extern const struct kernels *const kernels_avx2;
extern const struct kernels *const kernels_neon;
extern const struct kernels *const kernels_neon_dotprod;

/* -ENOTSUP where the processor lacks it. */
int kernels_select(const struct kernels **ret_kernels, enum mulm_isa isa, struct mulm_error *error);
