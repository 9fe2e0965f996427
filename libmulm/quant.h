/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The number formats of weights, as GGUF stores them (ggml-common.h of ggml is the reference for the block layouts),
 * and of activations on their way into an integer dot product. Layouts only: the arithmetic is in kernels/.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Numbers are GGUF's ggml_type. */
enum quant_type {
        QUANT_F32 = 0,
        QUANT_F16 = 1,
        QUANT_Q4_0 = 2,
        QUANT_Q4_1 = 3,
        QUANT_Q8_0 = 8,
};

#define QUANT_BLOCK 32 /* values in one block of every quantised type here */

typedef uint16_t quant_half; /* IEEE 754 binary16, bit pattern */

struct quant_q4_0 { /* value = scale * (nibble - 8); low nibbles are values 0..15, high ones 16..31 */
        quant_half scale;
        uint8_t nibbles[QUANT_BLOCK / 2];
};

struct quant_q4_1 { /* value = scale * nibble + minimum */
        quant_half scale, minimum;
        uint8_t nibbles[QUANT_BLOCK / 2];
};

struct quant_q8_0 { /* value = scale * quants[i] */
        quant_half scale;
        int8_t quants[QUANT_BLOCK];
};

_Static_assert(sizeof(struct quant_q4_0) == 18, "Q4_0 block");
_Static_assert(sizeof(struct quant_q4_1) == 20, "Q4_1 block");
_Static_assert(sizeof(struct quant_q8_0) == 34, "Q8_0 block");

/* "Q8_0"; NULL for a number that is none of ours. */
const char *quant_name(uint32_t type);

/* For error sentences: ggml's name of any of its types, "unknown" for other numbers. */
const char *quant_any_name(uint32_t type);

/* Values in a block (1 for F32 and F16) and its bytes; 0 for a number that is none of ours. */
size_t quant_block_values(uint32_t type);
size_t quant_block_bytes(uint32_t type);
