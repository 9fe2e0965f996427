/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Products of quantised rows for ARM processors with the dot product instructions of ARMv8.2 (Cortex-A55, -A75 and
 * later), compiled for these alone and called only where the processor has them.
 */
#define NEON_NAME "neon-dotprod"

#include <arm_neon.h>

static inline int32x4_t dot_bytes(int32x4_t sum, int8x16_t a, int8x16_t b)
{
        return vdotq_s32(sum, a, b);
}

#include "libmulm/kernels/neon-products.inc.c"

const struct kernels *const kernels_neon_dotprod = &table;
