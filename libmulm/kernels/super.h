/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What all instruction sets share about the K types.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "libmulm/kernels/kernels.h"

/* Scales 0 to 7, then minimums 0 to 7, of Q4_K and Q5_K. Packed are 12 bytes: the low six bits of the first four are
 * scales 0 to 3, of the next four minimums 0 to 3; of the last four, the low nibbles are the low bits of scales 4 to
 * 7, the high ones those of minimums 4 to 7, whose two high bits stand above the six of the first eight. */
static inline void super_unpack_scales(uint8_t ret_scales[16], const uint8_t packed[12])
{
        uint32_t words[3], unpacked[4];

        memcpy(words, packed, sizeof(words));
        unpacked[0] = words[0] & 0x3f3f3f3f;
        unpacked[1] = (words[2] & 0x0f0f0f0f) | (words[0] >> 6 & 0x03030303) << 4;
        unpacked[2] = words[1] & 0x3f3f3f3f;
        unpacked[3] = (words[2] >> 4 & 0x0f0f0f0f) | (words[1] >> 6 & 0x03030303) << 4;
        memcpy(ret_scales, unpacked, sizeof(unpacked));
}

/* Enters the sum of part p's quants, and those of its halves, where a wide block keeps them. */
static inline void super_set_totals(struct kernel_block *wide, size_t p, int32_t total, int32_t first_half)
{
        wide[p].total = total;
        wide[0].totals[p] = (int16_t)total;
        wide[1 + p / 4].totals[2 * p % QUANT_SUPER_PARTS] = (int16_t)first_half;
        wide[1 + p / 4].totals[2 * p % QUANT_SUPER_PARTS + 1] = (int16_t)(total - first_half);
}
