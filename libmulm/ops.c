/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Shared steps of the forward pass. See ops.h.
 */
#include "libmulm/ops.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "libmulm/base/macro.h"

int activations_init(struct activations *ret_activations, const struct kernels *kernels, size_t n_max)
{
        size_t n_blocks = (n_max + QUANT_BLOCK - 1) / QUANT_BLOCK;
        struct activations activations = { .kernels = kernels };

        activations.blocks = aligned_alloc(sizeof(*activations.blocks), n_blocks * sizeof(*activations.blocks));
        activations.halves = malloc(n_max * sizeof(*activations.halves));
        if (!activations.blocks || !activations.halves) {
                activations_done(&activations);
                return -ENOMEM;
        }
        *ret_activations = activations;
        return 0;
}

void activations_done(struct activations *activations)
{
        free(activations->blocks);
        free(activations->halves);
        *activations = (struct activations){ 0 };
}

void activations_set(struct activations *activations, const float *values, size_t n)
{
        activations->values = values;
        activations->n = n;
        activations->blocks_are_valid = false;
        activations->halves_are_valid = false;
}

struct kernel_vector activations_as(struct activations *activations, enum quant_type type)
{
        if (type == QUANT_F32)
                return (struct kernel_vector){ .values = activations->values };

        if (type == QUANT_F16) {
                if (!activations->halves_are_valid)
                        activations->kernels->round_half(activations->halves, activations->values, activations->n);
                activations->halves_are_valid = true;
                return (struct kernel_vector){ .values = activations->halves };
        }

        if (!activations->blocks_are_valid)
                activations->kernels->quantise(activations->blocks, activations->values, activations->n);
        activations->blocks_are_valid = true;
        return (struct kernel_vector){ .blocks = activations->blocks };
}

void activations_multiply(struct activations *activations, const struct model_matrix *matrix, size_t begin,
                          size_t end, float *y)
{
        struct kernel_vector x = activations_as(activations, matrix->type);

        activations->kernels->rows[matrix->type](y, ops_row(matrix, begin), matrix->n_row_bytes, end - begin,
                                                 matrix->n_columns, &x);
}

void ops_embed(const struct mulm_model *model, uint32_t token, float *x)
{
        const struct model_matrix *embedding = &model->embedding;

        model->kernels->dequantise[embedding->type](x, ops_row(embedding, token), embedding->n_columns);
}

void ops_rotation(const struct mulm_model *model, uint32_t position, float *rotation)
{
        /* Angles by repeated multiplication, as llama.cpp computes them: at a position of thousands the rounding of
         * powf() would show. */
        float step = powf(model->rope_base, -2.0f / (float)model->n_rope), angle = (float)position;

        for (uint32_t i = 0; i < model->n_rope; i += 2, angle *= step) {
                rotation[i] = cosf(angle);
                rotation[i + 1] = sinf(angle);
        }
}

bool ops_overlap(size_t begin, size_t end, size_t offset, size_t n, size_t *ret_begin, size_t *ret_end)
{
        size_t first = MAX(begin, offset), last = MIN(end, offset + n);

        if (first >= last)
                return false;
        *ret_begin = first - offset;
        *ret_end = last - offset;
        return true;
}

void ops_rope(const struct mulm_model *model, const float *rotation, size_t begin, size_t end, float *x)
{
        size_t first, last;

        for (size_t head = begin / model->head_size; head * model->head_size < end; head++)
                if (ops_overlap(begin, end, head * model->head_size, model->n_rope, &first, &last))
                        model->kernels->rope(x + head * model->head_size + first - begin, rotation + first,
                                             last - first);
}
