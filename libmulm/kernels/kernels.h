/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The arithmetic that decides the speed: one struct of function pointers per instruction set, one file each. scalar.c
 * is the reference that the others are tested against. select.c picks at run time by what the processor has.
 *
 * Activations are quantised once per vector to blocks of 32 signed bytes (`struct kernel_block`), then dotted with
 * rows of weights in integer arithmetic; F32 and F16 rows take the float activations.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libmulm/mulm.h"
#include "libmulm/quant.h"

struct model_matrix;

struct kernels {
        const char *name;

        /* To be filled in by the engine: quantise activations, rows-times-vector per weight type, row dequantisation,
         * RMS norm, rope, softmax, SwiGLU, attention. */
};

extern const struct kernels kernels_scalar;

/* -ENOTSUP where the processor lacks it. */
int kernels_select(const struct kernels **ret_kernels, enum mulm_isa isa, struct mulm_error *error);
