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
#include "libmulm/kernels/half.h"

int activations_init(struct activations *ret_activations, const struct kernels *kernels, size_t n_max)
{
        size_t n_blocks = (n_max + QUANT_BLOCK - 1) / QUANT_BLOCK;
        struct activations activations = { .kernels = kernels };

        activations.blocks = aligned_alloc(sizeof(*activations.blocks), n_blocks * sizeof(*activations.blocks));
        activations.rounded = malloc(n_max * sizeof(*activations.rounded));
        if (!activations.blocks || !activations.rounded) {
                activations_done(&activations);
                return -ENOMEM;
        }
        *ret_activations = activations;
        return 0;
}

void activations_done(struct activations *activations)
{
        free(activations->blocks);
        free(activations->rounded);
        *activations = (struct activations){ 0 };
}

void activations_set(struct activations *activations, const float *values, size_t n)
{
        activations->values = values;
        activations->n = n;
        activations->blocks_form = QUANT_FORM_FLOATS;
        activations->rounded_form = QUANT_FORM_FLOATS;
}

void ops_round(const struct kernels *kernels, enum quant_form form, float *y, const float *x, size_t n)
{
        if (form == QUANT_FORM_HALVES)
                kernels->round_half(y, x, n);
        else if (form == QUANT_FORM_BFLOATS)
                for (size_t i = 0; i < n; i++)
                        y[i] = bfloat_to_float(bfloat_from_float(x[i]));
}

void ops_quantise(const struct kernels *kernels, enum quant_form form, struct kernel_block *blocks, const float *x,
                  size_t n)
{
        if (form == QUANT_FORM_WIDE_BLOCKS)
                kernels->quantise_wide(blocks, x, n);
        else
                kernels->quantise(blocks, x, n);
}

struct kernel_vector activations_as(struct activations *activations, enum quant_type type)
{
        enum quant_form form = quant_form(type);

        switch (form) {
        case QUANT_FORM_FLOATS: break;
        case QUANT_FORM_HALVES:
        case QUANT_FORM_BFLOATS:
                if (activations->rounded_form != form)
                        ops_round(activations->kernels, form, activations->rounded, activations->values,
                                  activations->n);
                activations->rounded_form = form;
                return (struct kernel_vector){ .values = activations->rounded };
        case QUANT_FORM_BLOCKS:
        case QUANT_FORM_WIDE_BLOCKS:
                if (activations->blocks_form != form)
                        ops_quantise(activations->kernels, form, activations->blocks, activations->values,
                                     activations->n);
                activations->blocks_form = form;
                return (struct kernel_vector){ .blocks = activations->blocks };
        }
        return (struct kernel_vector){ .values = activations->values };
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
