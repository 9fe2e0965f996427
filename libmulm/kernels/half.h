/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * IEEE 754 binary16 and bfloat16 to and from float in integer arithmetic, rounding to nearest even. For processors
 * without an instruction for it, and the places where one number does not matter.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#include "libmulm/quant.h"

static inline float half_bits_to_float(uint32_t bits)
{
        float value;

        memcpy(&value, &bits, sizeof(value));
        return value;
}

static inline uint32_t half_float_to_bits(float value)
{
        uint32_t bits;

        memcpy(&bits, &value, sizeof(bits));
        return bits;
}

static inline float half_to_float(quant_half half)
{
        uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
        float value;

        if (magnitude >= 0x7c00) /* infinity, or not a number */
                return half_bits_to_float(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);

        /* The exponent's bias is 15 here and 127 there; the product also makes subnormals right. */
        value = half_bits_to_float(magnitude << 13) * 0x1p112f;
        return half_bits_to_float(half_float_to_bits(value) | sign);
}

static inline quant_half half_from_float(float value)
{
        uint32_t bits = half_float_to_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;

        if (magnitude > 0x7f800000)
                return (quant_half)(sign | 0x7e00);
        if (magnitude >= 0x477ff000) /* rounds to 65536 or more */
                return (quant_half)(sign | 0x7c00);
        if (magnitude < 0x38800000) /* subnormal: let the addition round, the unit of 0.5f's mantissa is 2^-24 */
                return (quant_half)(sign | (half_float_to_bits(half_bits_to_float(magnitude) + 0.5f) - 0x3f000000));
        return (quant_half)(sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

/* bfloat16 is the upper half of a float. */
static inline float bfloat_to_float(uint16_t bfloat)
{
        return half_bits_to_float((uint32_t)bfloat << 16);
}

static inline uint16_t bfloat_from_float(float value)
{
        uint32_t bits = half_float_to_bits(value);

        if ((bits & 0x7fffffff) > 0x7f800000)
                return (uint16_t)(bits >> 16 | 0x40);
        return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
