/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What decode and prefill share: a vector of activations in whatever form the next matrix wants it, embedding rows,
 * and rotary positions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/model.h"

/* One vector, its quantised and rounded forms made when a matrix first asks. Belongs to one thread. */
struct activations {
        const struct kernels *kernels;
        const float *values; /* not owned, n of them */
        size_t n;
        struct kernel_block *blocks;               /* [n / QUANT_BLOCK] */
        float *rounded;                            /* [n] */
        enum quant_form blocks_form, rounded_form; /* what they hold; QUANT_FORM_FLOATS: nothing */
};

/* -ENOMEM. Room for vectors of up to n_max values. */
int activations_init(struct activations *ret_activations, const struct kernels *kernels, size_t n_max);
void activations_done(struct activations *activations);

/* `values` must stay as they are until the next set. */
void activations_set(struct activations *activations, const float *values, size_t n);

/* y[i] = x[i] in the precision of a form that is no block; y may be x. */
void ops_round(const struct kernels *kernels, enum quant_form form, float *y, const float *x, size_t n);

/* Into the blocks of a form that has them. */
void ops_quantise(const struct kernels *kernels, enum quant_form form, struct kernel_block *blocks, const float *x,
                  size_t n);

/* The form that a weight type takes. */
struct kernel_vector activations_as(struct activations *activations, enum quant_type type);

/* y[i] = matrix[begin + i] . activations, for rows [begin, end). */
void activations_multiply(struct activations *activations, const struct model_matrix *matrix, size_t begin,
                          size_t end, float *y);

/* The first row of a matrix that is wanted. */
static inline const char *ops_row(const struct model_matrix *matrix, size_t row)
{
        return (const char *)matrix->data + row * matrix->n_row_bytes;
}

/* x[n_embedding] = embedding of the token. */
void ops_embed(const struct mulm_model *model, uint32_t token, float *x);

/* rotation[n_rope] = cosine and sine of each pair's angle at this position. */
void ops_rotation(const struct mulm_model *model, uint32_t position, float *rotation);

/* Rotates rows [begin, end) of a vector of heads; x[0] is row `begin`; both are even. */
void ops_rope(const struct mulm_model *model, const float *rotation, size_t begin, size_t end, float *x);

/* The part of [begin, end) that lies in [offset, offset + n), counted from offset; false where there is none. */
bool ops_overlap(size_t begin, size_t end, size_t offset, size_t n, size_t *ret_begin, size_t *ret_end);
