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
        QUANT_Q5_0 = 6,
        QUANT_Q5_1 = 7,
        QUANT_Q8_0 = 8,
        QUANT_Q4_K = 12,
        QUANT_Q5_K = 13,
        QUANT_Q6_K = 14,
        QUANT_BF16 = 30,
        QUANT_N_TYPES = 31, /* for tables that are indexed by type */
};

#define QUANT_BLOCK       32  /* values in one block of the types with one scale */
#define QUANT_SUPER       256 /* values in one block of the K types, whose parts have scales of their own */
#define QUANT_SUPER_PARTS (QUANT_SUPER / QUANT_BLOCK)

typedef uint16_t quant_half; /* IEEE 754 binary16, bit pattern */

struct quant_q4_0 { /* value = scale * (nibble - 8); low nibbles are values 0..15, high ones 16..31 */
        quant_half scale;
        uint8_t nibbles[QUANT_BLOCK / 2];
};

struct quant_q4_1 { /* value = scale * nibble + minimum */
        quant_half scale, minimum;
        uint8_t nibbles[QUANT_BLOCK / 2];
};

struct quant_q5_0 { /* value = scale * (quant - 16); bit i of high is the fifth bit of value i */
        quant_half scale;
        uint8_t high[QUANT_BLOCK / 8];
        uint8_t nibbles[QUANT_BLOCK / 2];
};

struct quant_q5_1 { /* value = scale * quant + minimum */
        quant_half scale, minimum;
        uint8_t high[QUANT_BLOCK / 8];
        uint8_t nibbles[QUANT_BLOCK / 2];
};

struct quant_q8_0 { /* value = scale * quants[i] */
        quant_half scale;
        int8_t quants[QUANT_BLOCK];
};

/* Part p of a block is its values 32 p to 32 p + 31. Value = scale * scales[p] * quant - minimum * minimums[p], these
 * six bits wide and packed (kernels/super.h). Of 32 bytes of nibbles the low halves are part 2 i, the high 2 i + 1.
 */
struct quant_q4_k {
        quant_half scale, minimum;
        uint8_t scales[12];
        uint8_t nibbles[QUANT_SUPER / 2];
};

struct quant_q5_k { /* bit p of high[i] is the fifth bit of value i of part p */
        quant_half scale, minimum;
        uint8_t scales[12];
        uint8_t high[QUANT_SUPER / 8];
        uint8_t nibbles[QUANT_SUPER / 2];
};

/* Value = scale * scales[i / 16] * (quant - 32). Of each half of the block, parts 0 and 1 are the low nibbles of 64
 * bytes, parts 2 and 3 the high ones; high[i] has two bits of value i of each part, part 0 lowest. */
struct quant_q6_k {
        uint8_t nibbles[QUANT_SUPER / 2];
        uint8_t high[QUANT_SUPER / 4];
        int8_t scales[QUANT_SUPER / 16];
        quant_half scale;
};

_Static_assert(sizeof(struct quant_q4_0) == 18, "Q4_0 block");
_Static_assert(sizeof(struct quant_q4_1) == 20, "Q4_1 block");
_Static_assert(sizeof(struct quant_q5_0) == 22, "Q5_0 block");
_Static_assert(sizeof(struct quant_q5_1) == 24, "Q5_1 block");
_Static_assert(sizeof(struct quant_q8_0) == 34, "Q8_0 block");
_Static_assert(sizeof(struct quant_q4_k) == 144, "Q4_K block");
_Static_assert(sizeof(struct quant_q5_k) == 176, "Q5_K block");
_Static_assert(sizeof(struct quant_q6_k) == 210, "Q6_K block");

/* What becomes of activations before they meet weights of a type, as in llama.cpp. */
enum quant_form {
        QUANT_FORM_FLOATS,
        QUANT_FORM_HALVES,      /* rounded to binary16 */
        QUANT_FORM_BFLOATS,     /* rounded to bfloat16 */
        QUANT_FORM_BLOCKS,      /* bytes with a scale for each 32 */
        QUANT_FORM_WIDE_BLOCKS, /* bytes with a scale for each 256 */
};

/* Of one of our types. */
enum quant_form quant_form(enum quant_type type);

/* "Q8_0"; NULL for a number that is none of ours. */
const char *quant_name(uint32_t type);

/* For error sentences: ggml's name of any of its types, "unknown" for other numbers. */
const char *quant_any_name(uint32_t type);

/* Values in a block (1 for F32, F16 and BF16) and its bytes; 0 for a number that is none of ours. */
size_t quant_block_values(uint32_t type);
size_t quant_block_bytes(uint32_t type);
