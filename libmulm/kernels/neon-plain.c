/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Products of quantised rows for any 64-bit ARM, as the Cortex-A53 and -A72 are. No 16-bit sum can overflow: weights
 * are at least -128 and activations at most 127, and 2 * 128 * 127 < 2^15.
 */
#define NEON_NAME "neon"

#include <arm_neon.h>

static inline int32x4_t dot_bytes(int32x4_t sum, int8x16_t a, int8x16_t b)
{
        return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b));
}

#include "libmulm/kernels/neon-products.inc.c"

const struct kernels *const kernels_neon = &table;
