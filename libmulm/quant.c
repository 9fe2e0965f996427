/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Names and sizes of number formats. See quant.h.
 */
#include "libmulm/quant.h"

#include "libmulm/base/macro.h"

struct quant_format {
        const char *name;
        size_t block_values, block_bytes; /* 0 for what libmulm does not run */
        enum quant_form form;
};

/* By ggml_type (ggml.h); gaps are numbers that ggml has retired. */
static const struct quant_format formats[] = {
        [QUANT_F32] = { "F32", 1, sizeof(float), QUANT_FORM_FLOATS },
        [QUANT_F16] = { "F16", 1, sizeof(quant_half), QUANT_FORM_HALVES },
        [QUANT_Q4_0] = { "Q4_0", QUANT_BLOCK, sizeof(struct quant_q4_0), QUANT_FORM_BLOCKS },
        [QUANT_Q4_1] = { "Q4_1", QUANT_BLOCK, sizeof(struct quant_q4_1), QUANT_FORM_BLOCKS },
        [QUANT_Q8_0] = { "Q8_0", QUANT_BLOCK, sizeof(struct quant_q8_0), QUANT_FORM_BLOCKS },
        [QUANT_Q5_0] = { "Q5_0", QUANT_BLOCK, sizeof(struct quant_q5_0), QUANT_FORM_BLOCKS },
        [QUANT_Q5_1] = { "Q5_1", QUANT_BLOCK, sizeof(struct quant_q5_1), QUANT_FORM_BLOCKS },
        [9] = { "Q8_1", 0, 0, 0 },
        [10] = { "Q2_K", 0, 0, 0 },
        [11] = { "Q3_K", 0, 0, 0 },
        [QUANT_Q4_K] = { "Q4_K", QUANT_SUPER, sizeof(struct quant_q4_k), QUANT_FORM_WIDE_BLOCKS },
        [QUANT_Q5_K] = { "Q5_K", QUANT_SUPER, sizeof(struct quant_q5_k), QUANT_FORM_WIDE_BLOCKS },
        [QUANT_Q6_K] = { "Q6_K", QUANT_SUPER, sizeof(struct quant_q6_k), QUANT_FORM_WIDE_BLOCKS },
        [15] = { "Q8_K", 0, 0, 0 },
        [16] = { "IQ2_XXS", 0, 0, 0 },
        [17] = { "IQ2_XS", 0, 0, 0 },
        [18] = { "IQ3_XXS", 0, 0, 0 },
        [19] = { "IQ1_S", 0, 0, 0 },
        [20] = { "IQ4_NL", 0, 0, 0 },
        [21] = { "IQ3_S", 0, 0, 0 },
        [22] = { "IQ2_S", 0, 0, 0 },
        [23] = { "IQ4_XS", 0, 0, 0 },
        [24] = { "I8", 0, 0, 0 },
        [25] = { "I16", 0, 0, 0 },
        [26] = { "I32", 0, 0, 0 },
        [27] = { "I64", 0, 0, 0 },
        [28] = { "F64", 0, 0, 0 },
        [29] = { "IQ1_M", 0, 0, 0 },
        [QUANT_BF16] = { "BF16", 1, sizeof(uint16_t), QUANT_FORM_BFLOATS },
        [34] = { "TQ1_0", 0, 0, 0 },
        [35] = { "TQ2_0", 0, 0, 0 },
        [39] = { "MXFP4", 0, 0, 0 },
};

const char *quant_any_name(uint32_t type)
{
        if (type >= ARRAY_SIZE(formats) || !formats[type].name)
                return "unknown";
        return formats[type].name;
}

const char *quant_name(uint32_t type)
{
        return quant_block_values(type) > 0 ? formats[type].name : NULL;
}

size_t quant_block_values(uint32_t type)
{
        return type < ARRAY_SIZE(formats) ? formats[type].block_values : 0;
}

size_t quant_block_bytes(uint32_t type)
{
        return type < ARRAY_SIZE(formats) ? formats[type].block_bytes : 0;
}

enum quant_form quant_form(enum quant_type type)
{
        return formats[type].form;
}
