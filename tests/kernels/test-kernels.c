/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Every kernel of the best instruction set here, or of the one that the argument names, against the scalar reference,
 * with random shapes and values at every alignment. Sums run in another order, so they may differ by rounding: the
 * tolerance is a few units in the last place of the sum of magnitudes. Buffers end where their data ends, so that a
 * sanitizer build finds a read beyond.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/kernels/half.h"
#include "libmulm/kernels/kernels.h"
#include "tests/support/test.h"

#define ROUNDS 200

static const enum quant_type types[] = { QUANT_F32,  QUANT_F16,  QUANT_BF16, QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0,
                                         QUANT_Q5_1, QUANT_Q8_0, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K };

static const struct {
        const char *name;
        enum mulm_isa isa;
} isa_names[] = {
        { "scalar", MULM_ISA_SCALAR },
        { "avx2", MULM_ISA_AVX2 },
        { "neon", MULM_ISA_NEON },
        { "neon-dotprod", MULM_ISA_NEON_DOTPROD },
};

static const struct kernels *best;
static uint64_t random_state;

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t random_bits(void)
{
        uint64_t z = random_state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
}

static size_t random_size(size_t least, size_t most)
{
        return least + random_bits() % (most - least + 1);
}

/* In [-1, 1). */
static float random_float(void)
{
        return (float)(int32_t)random_bits() * 0x1p-31f;
}

static void *allocate(size_t n_bytes)
{
        void *memory = malloc(MAX(n_bytes, (size_t)1));

        assert_non_null(memory);
        return memory;
}

static float *random_floats(size_t n, float factor)
{
        float *x = allocate(n * sizeof(*x));

        for (size_t i = 0; i < n; i++)
                x[i] = random_float() * factor;
        return x;
}

static bool type_is_quantised(enum quant_type type)
{
        return quant_block_values(type) > 1;
}

static bool has_minimum(enum quant_type type)
{
        return type == QUANT_Q4_1 || type == QUANT_Q5_1 || type == QUANT_Q4_K || type == QUANT_Q5_K;
}

static void quantise_as(const struct kernels *kernels, enum quant_type type, struct kernel_block *blocks,
                        const float *x, size_t n)
{
        if (quant_form(type) == QUANT_FORM_WIDE_BLOCKS)
                kernels->quantise_wide(blocks, x, n);
        else
                kernels->quantise(blocks, x, n);
}

/* The greatest that a weight of random_rows() can be. */
static float greatest_weight(enum quant_type type)
{
        if (type == QUANT_Q6_K)
                return 128.0f * 32.0f;
        if (type == QUANT_Q4_K || type == QUANT_Q5_K)
                return 63.0f * 32.0f;
        return type_is_quantised(type) ? 128.0f : 1.0f;
}

/* Rows as a file could hold them: any bytes, but scales in a sane range. */
static char *random_rows(enum quant_type type, size_t n_rows, size_t n_columns, size_t *ret_n_row_bytes)
{
        size_t n_blocks = n_rows * n_columns / quant_block_values(type), n_bytes = quant_block_bytes(type);
        char *rows = allocate(n_blocks * n_bytes);

        for (size_t b = 0; b < n_blocks; b++) {
                char *block = rows + b * n_bytes;
                quant_half scales[2] = { half_from_float(random_float()), half_from_float(random_float()) };
                float value = random_float();

                for (size_t i = 0; i < n_bytes; i++)
                        block[i] = (char)random_bits();
                if (type == QUANT_F32)
                        memcpy(block, &value, sizeof(value));
                else if (type == QUANT_BF16)
                        memcpy(block, (const char *)&value + 2, 2);
                else if (type == QUANT_Q6_K)
                        memcpy(block + offsetof(struct quant_q6_k, scale), scales, sizeof(scales[0]));
                else
                        memcpy(block, scales, has_minimum(type) ? sizeof(scales) : sizeof(scales[0]));
        }
        *ret_n_row_bytes = n_columns / quant_block_values(type) * n_bytes;
        return rows;
}

static void assert_near(float actual, float expected, float tolerance)
{
        if (!(fabsf(actual - expected) <= tolerance))
                fail_msg("%.9g is not %.9g within %.3g", (double)actual, (double)expected, (double)tolerance);
}

static void assert_all_near(const float *actual, const float *expected, size_t n, float tolerance)
{
        for (size_t i = 0; i < n; i++)
                assert_near(actual[i], expected[i], tolerance);
}

/* ------------------------------------------------------------------------------------------------- the tests */

static void test_halves_agree_with_the_definition(void **state)
{
        (void)state;
        for (uint32_t half = 0; half < 0x7c00; half++) {
                uint32_t exponent = half >> 10, mantissa = half & 0x3ff;
                double value = exponent ? ldexp(1024.0 + mantissa, (int)exponent - 25) : ldexp(mantissa, -24);

                assert_true((double)half_to_float((quant_half)half) == value);
                assert_true((double)half_to_float((quant_half)(half | 0x8000)) == -value);
                assert_int_equal(half_from_float((float)value), half);
                assert_int_equal(half_from_float((float)-value), half | 0x8000);
        }
        assert_true(isinf(half_to_float(0x7c00)) && isnan(half_to_float(0x7e00)));
        assert_int_equal(half_from_float(65520.0f), 0x7c00);
        assert_int_equal(half_from_float(65519.0f), 0x7bff);
        assert_int_equal(half_from_float(1.0f + 0x1p-11f), 0x3c00); /* a tie goes to even */
        assert_int_equal(half_from_float(1.0f + 0x3p-11f), 0x3c02);
        assert_int_equal(half_from_float(0x1p-25f), 0);
        assert_int_equal(half_from_float(0x1.1p-25f), 1);
}

static void test_quantised_blocks_are_the_same(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++) {
                size_t n_blocks = random_size(1, 20), n = n_blocks * QUANT_BLOCK;
                float *x = random_floats(n, powf(10.0f, (float)random_size(0, 5) - 1.0f));
                struct kernel_block *a = calloc(n_blocks, sizeof(*a)), *b = calloc(n_blocks, sizeof(*b));
                float *back = allocate(n * sizeof(*back)), *reference = allocate(n * sizeof(*reference));

                assert_non_null(a);
                assert_non_null(b);
                memset(x, 0, (round % 3) * QUANT_BLOCK / 2 * sizeof(*x)); /* a block, or half of one, of zeros */
                kernels_scalar.quantise(a, x, n);
                best->quantise(b, x, n);
                assert_memory_equal(a, b, n_blocks * sizeof(*a));

                kernels_scalar.dequantise_blocks(reference, a, n);
                best->dequantise_blocks(back, a, n);
                assert_memory_equal(back, reference, n * sizeof(*back));
                for (size_t i = 0; i < n; i++)
                        assert_near(back[i], x[i], a[i / QUANT_BLOCK].scale * 0.57f + 1e-7f);
                free(x), free(a), free(b), free(back), free(reference);
        }
}

static void test_wide_blocks_are_the_same(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++) {
                size_t n = random_size(1, 4) * QUANT_SUPER, n_blocks = n / QUANT_BLOCK;
                float *x = random_floats(n, powf(10.0f, (float)random_size(0, 5) - 1.0f));
                struct kernel_block *a = calloc(n_blocks, sizeof(*a)), *b = calloc(n_blocks, sizeof(*b));
                float *back = allocate(n * sizeof(*back));

                assert_non_null(a);
                assert_non_null(b);
                memset(x, 0, (round % 3) * QUANT_SUPER / 2 * sizeof(*x)); /* a block, or half of one, of zeros */
                kernels_scalar.quantise_wide(a, x, n);
                best->quantise_wide(b, x, n);
                assert_memory_equal(a, b, n_blocks * sizeof(*a));
                best->dequantise_blocks(back, b, n);
                for (size_t i = 0; i < n; i++)
                        assert_near(back[i], x[i], a[i / QUANT_BLOCK].scale * 0.51f + 1e-7f);
                free(x), free(a), free(b), free(back);
        }
}

/* What llama.cpp's ggml_vec_dot_q4_K_q8_K, ..._q5_K_... and ..._q6_K_... with AVX2 make of the same bytes. */
static void test_rows_of_the_k_types_are_summed_in_the_order_of_llama_cpp(void **state)
{
        static const struct {
                enum quant_type type;
                float sums[4];
        } golden[] = {
                { QUANT_Q4_K, { -0x1.ac9bfap+11f, -0x1.51e474p+13f, -0x1.49dc2ap+12f, 0x1.fb45f4p+10f } },
                { QUANT_Q5_K, { 0x1.4e1186p+10f, 0x1.4a85a2p+12f, 0x1.58b2ep+13f, -0x1.ce7804p+15f } },
                { QUANT_Q6_K, { 0x1.b09ccp+15f, -0x1.895578p+15f, 0x1.1866a4p+16f, 0x1.6be34p+16f } },
        };
        const size_t n = 6 * (size_t)QUANT_SUPER;

        (void)state;
        if (best != kernels_avx2) /* the others add in orders of their own */
                return;
        random_state = 2026;
        for (size_t g = 0; g < ARRAY_SIZE(golden); g++) {
                size_t n_row_bytes;
                char *rows = random_rows(golden[g].type, 4, n, &n_row_bytes);
                float *x = random_floats(n, 3.0f), sums[4];
                struct kernel_block *blocks = calloc(n / QUANT_BLOCK, sizeof(*blocks));
                struct kernel_vector vector = { .blocks = blocks };

                assert_non_null(blocks);
                best->quantise_wide(blocks, x, n);
                best->rows[golden[g].type](sums, rows, n_row_bytes, 4, n, &vector);
                assert_memory_equal(sums, golden[g].sums, sizeof(sums));
                best->batch[golden[g].type](sums, 4, rows, n_row_bytes, 4, n, &vector, 1);
                assert_memory_equal(sums, golden[g].sums, sizeof(sums));
                free(rows), free(x), free(blocks);
        }
}

static void test_rounding_to_half_is_the_same(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++) {
                size_t n = random_size(1, 70);
                float *x = random_floats(n, powf(10.0f, (float)random_size(0, 12) - 7.0f));
                float *a = allocate(n * sizeof(*a)), *b = allocate(n * sizeof(*b));

                kernels_scalar.round_half(a, x, n);
                best->round_half(b, x, n);
                assert_memory_equal(a, b, n * sizeof(*a));
                free(x), free(a), free(b);
        }
}

struct product {
        enum quant_type type;
        size_t n_rows, n_columns, n_vectors, n_row_bytes;
        char *rows;
        float *x, *expected, *actual;
        struct kernel_block *blocks;
        struct kernel_vector vectors[12];
        float tolerance;
};

static void product_init(struct product *p, enum quant_type type, size_t n_vectors)
{
        size_t n_blocks;

        *p = (struct product){ .type = type, .n_rows = random_size(1, 23), .n_vectors = n_vectors };
        if (quant_form(type) == QUANT_FORM_WIDE_BLOCKS)
                p->n_columns = random_size(1, 3) * QUANT_SUPER;
        else if (random_size(0, 7) > 0)
                p->n_columns = random_size(1, 9) * QUANT_BLOCK;
        else /* beyond what AVX2 keeps for a whole batch */
                p->n_columns = random_size(60, 70) * QUANT_BLOCK;
        if (!type_is_quantised(type))
                p->n_columns -= random_size(0, QUANT_BLOCK - 1);
        n_blocks = (p->n_columns + QUANT_BLOCK - 1) / QUANT_BLOCK;

        p->rows = random_rows(type, p->n_rows, p->n_columns, &p->n_row_bytes);
        p->x = random_floats(p->n_columns * n_vectors, 1.0f);
        p->blocks = allocate(n_blocks * n_vectors * sizeof(*p->blocks));
        p->expected = allocate(p->n_rows * n_vectors * sizeof(*p->expected));
        p->actual = allocate(p->n_rows * n_vectors * sizeof(*p->actual));
        for (size_t v = 0; v < n_vectors; v++) {
                p->vectors[v] = (struct kernel_vector){ p->x + v * p->n_columns, p->blocks + v * n_blocks };
                if (type_is_quantised(type))
                        quantise_as(&kernels_scalar, type, p->blocks + v * n_blocks, p->x + v * p->n_columns,
                                    p->n_columns);
        }
        /* Activations are at most 1. */
        p->tolerance = (float)p->n_columns * greatest_weight(type) * 4e-7f;
}

static void product_done(struct product *p)
{
        free(p->rows), free(p->x), free(p->blocks), free(p->expected), free(p->actual);
}

static void test_rows_agree(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++)
                for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
                        struct product p;

                        product_init(&p, types[t], 1);
                        kernels_scalar.rows[p.type](p.expected, p.rows, p.n_row_bytes, p.n_rows, p.n_columns,
                                                    p.vectors);
                        best->rows[p.type](p.actual, p.rows, p.n_row_bytes, p.n_rows, p.n_columns, p.vectors);
                        assert_all_near(p.actual, p.expected, p.n_rows, p.tolerance);
                        product_done(&p);
                }
}

static void test_batches_agree(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++)
                for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
                        struct product p;

                        if (!best->batch[types[t]])
                                continue;
                        product_init(&p, types[t], random_size(1, 12));
                        kernels_scalar.batch[p.type](p.expected, p.n_rows, p.rows, p.n_row_bytes, p.n_rows,
                                                     p.n_columns, p.vectors, p.n_vectors);
                        best->batch[p.type](p.actual, p.n_rows, p.rows, p.n_row_bytes, p.n_rows, p.n_columns,
                                            p.vectors, p.n_vectors);
                        assert_all_near(p.actual, p.expected, p.n_rows * p.n_vectors, p.tolerance);
                        product_done(&p);
                }
}

static void test_rows_are_what_their_dequantised_weights_give(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++)
                for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
                        struct product p;
                        float *weights, *reference, *x;

                        product_init(&p, types[t], 1);
                        weights = allocate(p.n_columns * sizeof(*weights));
                        reference = allocate(p.n_columns * sizeof(*reference));
                        x = allocate(p.n_columns * sizeof(*x));
                        memcpy(x, p.x, p.n_columns * sizeof(*x));
                        if (type_is_quantised(p.type))
                                kernels_scalar.dequantise_blocks(x, p.blocks, p.n_columns);
                        best->rows[p.type](p.actual, p.rows, p.n_row_bytes, p.n_rows, p.n_columns, p.vectors);

                        for (size_t r = 0; r < p.n_rows; r++) {
                                double sum = 0.0, scale_error = 0.0;

                                best->dequantise[p.type](weights, p.rows + r * p.n_row_bytes, p.n_columns);
                                kernels_scalar.dequantise[p.type](reference, p.rows + r * p.n_row_bytes, p.n_columns);
                                assert_all_near(weights, reference, p.n_columns, greatest_weight(p.type) * 2e-7f);
                                for (size_t i = 0; i < p.n_columns; i++)
                                        sum += (double)weights[i] * (double)x[i];
                                if (p.type == QUANT_Q4_1 ||
                                    p.type == QUANT_Q5_1) /* kernel_block.sum is rounded to half precision */
                                        scale_error = (double)p.n_columns * 0x1p-10;
                                assert_near(p.actual[r], (float)sum, p.tolerance + (float)scale_error);
                        }
                        free(weights), free(reference), free(x);
                        product_done(&p);
                }
}

static void test_rms_norm_agrees(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++) {
                size_t n = random_size(1, 700);
                float *x = random_floats(n, 10.0f), *weight = random_floats(n, 1.0f);
                float *a = allocate(n * sizeof(*a)), *b = allocate(n * sizeof(*b));

                kernels_scalar.rms_norm(a, x, weight, n, 1e-5f);
                best->rms_norm(b, x, weight, n, 1e-5f);
                assert_all_near(b, a, n, 2e-5f);
                free(x), free(weight), free(a), free(b);
        }
}

static void test_rope_agrees_and_keeps_the_length(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++) {
                size_t n = random_size(1, 70) * 2;
                float *a = random_floats(n, 1.0f), *b = allocate(n * sizeof(*b)),
                      *rotation = allocate(n * sizeof(*a));
                float before = 0.0f, after = 0.0f;

                memcpy(b, a, n * sizeof(*b));
                for (size_t i = 0; i < n; i += 2) {
                        float angle = random_float() * 1000.0f;

                        rotation[i] = cosf(angle);
                        rotation[i + 1] = sinf(angle);
                        before += a[i] * a[i] + a[i + 1] * a[i + 1];
                }
                kernels_scalar.rope(a, rotation, n);
                best->rope(b, rotation, n);
                assert_all_near(b, a, n, 1e-6f);
                for (size_t i = 0; i < n; i++)
                        after += b[i] * b[i];
                assert_near(after, before, 1e-4f);
                free(a), free(b), free(rotation);
        }
}

static void test_swiglu_agrees_even_far_from_zero(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++) {
                size_t n = random_size(1, 70);
                float *a = random_floats(n, round % 2 ? 8.0f : 300.0f), *b = allocate(n * sizeof(*b));
                float *up = random_floats(n, 1.0f);

                memcpy(b, a, n * sizeof(*b));
                kernels_scalar.swiglu(a, up, n);
                best->swiglu(b, up, n);
                for (size_t i = 0; i < n; i++)
                        assert_near(b[i], a[i], fabsf(a[i]) * 1e-6f + 1e-12f);
                free(a), free(b), free(up);
        }
}

static void test_softmax_agrees_and_sums_to_one(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++) {
                size_t n = random_size(1, 3000);
                float *a = random_floats(n, round % 2 ? 8.0f : 200.0f), *b = allocate(n * sizeof(*b));
                float largest = kernels_scalar.maximum(a, n), expected = kernels_scalar.exp_sum(a, largest, n);
                double sum = 0.0;

                assert_true(best->maximum(a, n) == largest);
                assert_near(best->exp_sum(a, largest, n), expected, expected * 1e-5f);
                memcpy(b, a, n * sizeof(*b));
                kernels_scalar.softmax(a, n);
                best->softmax(b, n);
                for (size_t i = 0; i < n; i++) {
                        assert_near(b[i], a[i], a[i] * 2e-5f + 1e-30f);
                        sum += (double)b[i];
                }
                assert_near((float)sum, 1.0f, 1e-5f);
                free(a), free(b);
        }
}

static void test_attention_agrees(void **state)
{
        (void)state;
        for (size_t round = 0; round < ROUNDS; round++) {
                size_t head_size = random_size(1, 24) * 4, n_stride = head_size * random_size(1, 3);
                size_t n_positions = random_size(1, 40), n_queries = random_size(1, 4), n = n_queries * head_size;
                float *queries = random_floats(n, 2.0f), *scores = allocate(n_positions * sizeof(*scores));
                float *keys = random_floats((n_positions - 1) * n_stride + head_size, 2.0f);
                float *values = random_floats((n_positions - 1) * n_stride + head_size, 1.0f);
                float *a = allocate(n * sizeof(*a)), *b = allocate(n * sizeof(*b));

                kernels_scalar.attention(a, scores, queries, n_queries, keys, values, n_stride, n_positions,
                                         head_size, round % 2);
                best->attention(b, scores, queries, n_queries, keys, values, n_stride, n_positions, head_size,
                                round % 2);
                assert_all_near(b, a, n, 2e-5f);
                free(queries), free(scores), free(keys), free(values), free(a), free(b);
        }
}

static void test_selection_obeys_and_names_what_is_missing(void **state)
{
        const struct kernels *kernels = NULL;
        struct mulm_error error = { "" };
        int r;

        (void)state;
        assert_int_equal(kernels_select(&kernels, MULM_ISA_SCALAR, &error), 0);
        assert_string_equal(kernels->name, "scalar");
        assert_int_equal(kernels_select(&kernels, (enum mulm_isa)77, &error), -EINVAL);
        assert_string_equal(error.sentence, "isa 77: no such instruction set");
        assert_string_equal(kernels->name, "scalar");

        for (size_t i = 0; i < ARRAY_SIZE(isa_names); i++) {
                r = kernels_select(&kernels, isa_names[i].isa, &error);
                if (r == 0) {
                        assert_string_equal(kernels->name, isa_names[i].name);
                        continue;
                }
                assert_int_equal(r, -ENOTSUP);
                assert_non_null(strstr(error.sentence, isa_names[i].name));
        }
}

/* Run where the processor is known, as under an emulator. */
static void test_best_is_what_the_processor_has(void **state)
{
        const char *expected = getenv("MULM_EXPECTED_ISA");
        const struct kernels *kernels = NULL;

        (void)state;
        assert_int_equal(kernels_select(&kernels, MULM_ISA_AUTO, NULL), 0);
        assert_string_equal(kernels->name, expected);
}

static enum mulm_isa isa_of(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(isa_names); i++)
                if (strcmp(isa_names[i].name, name) == 0)
                        return isa_names[i].isa;
        return MULM_ISA_AUTO;
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_halves_agree_with_the_definition),
                cmocka_unit_test(test_quantised_blocks_are_the_same),
                cmocka_unit_test(test_wide_blocks_are_the_same),
                cmocka_unit_test(test_rows_of_the_k_types_are_summed_in_the_order_of_llama_cpp),
                cmocka_unit_test(test_rounding_to_half_is_the_same),
                cmocka_unit_test(test_rows_agree),
                cmocka_unit_test(test_batches_agree),
                cmocka_unit_test(test_rows_are_what_their_dequantised_weights_give),
                cmocka_unit_test(test_rms_norm_agrees),
                cmocka_unit_test(test_rope_agrees_and_keeps_the_length),
                cmocka_unit_test(test_swiglu_agrees_even_far_from_zero),
                cmocka_unit_test(test_softmax_agrees_and_sums_to_one),
                cmocka_unit_test(test_attention_agrees),
                cmocka_unit_test(test_selection_obeys_and_names_what_is_missing),
                cmocka_unit_test(test_best_is_what_the_processor_has),
        };

        if (kernels_select(&best, argc > 1 ? isa_of(argv[1]) : MULM_ISA_AUTO, NULL) < 0)
                return EXIT_FAILURE;
        return _cmocka_run_group_tests("kernels", tests, ARRAY_SIZE(tests) - (getenv("MULM_EXPECTED_ISA") ? 0 : 1),
                                       NULL, NULL);
}
