/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Picks the kernels for this processor. Called by mulm_model_open().
 */
#include <errno.h>

#include "libmulm/error.h"
#include "libmulm/kernels/kernels.h"

int kernels_select(const struct kernels **ret_kernels, enum mulm_isa isa, struct mulm_error *error)
{
        switch (isa) {
        case MULM_ISA_AUTO:
        case MULM_ISA_SCALAR: *ret_kernels = &kernels_scalar; return 0;
        case MULM_ISA_AVX2: return error_set(error, -ENOTSUP, "this build has no AVX2 kernels");
        }
        return error_set(error, -EINVAL, "instruction set %d is not one of enum mulm_isa", (int)isa);
}
