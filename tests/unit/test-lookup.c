/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Drafts from a prompt, and what makes them harmless: tokens checked together have the numbers that they have one
 * after the other, bit for bit, from the kernels up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/kernels/half.h"
#include "libmulm/session.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

static mulm_model *model;

static int setup(void **state)
{
        (void)state;
        model = golden_model_open(&golden_mulm_28m);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        model = mulm_model_free(model);
        return 0;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t random_bits(void)
{
        static uint64_t state;
        uint64_t z = state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
}

/* --------------------------------------------------------------------------------------------------- drafts */

/* Tokens of `prompt`, then of `reply`. */
static size_t drafted(const char *prompt, const char *reply, size_t n_most, char *ret_text, size_t n_text)
{
        uint32_t tokens[256], draft[LOOKUP_MAX];
        size_t n_prompt, n_reply, n, at = 0;

        assert_int_equal(mulm_tokenize(model, prompt, strlen(prompt), tokens, 128, &n_prompt, NULL), 0);
        assert_int_equal(mulm_tokenize(model, reply, strlen(reply), tokens + n_prompt, 128, &n_reply, NULL), 0);
        n = lookup_draft(model->vocab, tokens, n_prompt, n_prompt + n_reply, n_most, draft);
        ret_text[0] = '\0';
        for (size_t i = 0; i < n; i++) {
                const char *bytes;
                size_t n_bytes;

                assert_int_equal(mulm_token_bytes(model, draft[i], &bytes, &n_bytes), 0);
                assert_true(at + n_bytes < n_text);
                at += (size_t)snprintf(ret_text + at, n_text - at, "%.*s", (int)n_bytes, bytes);
        }
        return n;
}

static void test_draft_is_what_followed_the_last_words(void **state)
{
        char text[200];

        (void)state;
        assert_int_equal(drafted("what is the new song about", "So the", LOOKUP_MAX, text, sizeof(text)), 1);
        assert_string_equal(text, " new");
        assert_int_equal(drafted("what is the new song about", "So the new", LOOKUP_MAX, text, sizeof(text)), 2);
        assert_string_equal(text, " song about");
        assert_int_equal(drafted("what is the new song about", "So the new", 1, text, sizeof(text)), 1);
        assert_string_equal(text, " song");
}

static void test_longest_run_wins_and_then_the_latest(void **state)
{
        char text[200];

        (void)state;
        assert_true(drafted("is the old man or the young man", "the old man", 1, text, sizeof(text)) == 1);
        assert_string_equal(text, " or");
        assert_true(drafted("the day and the night", "It is the", 1, text, sizeof(text)) == 1);
        assert_string_equal(text, " night");
}

static void test_case_and_blank_of_a_word_make_no_difference(void **state)
{
        char text[200];

        (void)state;
        assert_int_equal(drafted("look at my time table", "Time", 1, text, sizeof(text)), 1);
        assert_string_equal(text, " table");
}

static void test_nothing_is_drafted_where_nothing_fits(void **state)
{
        uint32_t special = vocab_find_special(model->vocab, "<|im_end|>"), draft[LOOKUP_MAX];
        uint32_t tokens[] = { 500, special, 600, 500 };
        char text[200];

        (void)state;
        assert_int_equal(drafted("why is it blue", "Rain", LOOKUP_MAX, text, sizeof(text)), 0);
        assert_int_equal(drafted("why is it blue", "", LOOKUP_MAX, text, sizeof(text)), 0);
        assert_int_equal(drafted("", "So", LOOKUP_MAX, text, sizeof(text)), 0);
        assert_int_equal(drafted("why is the", "the", LOOKUP_MAX, text, sizeof(text)), 0); /* nothing behind it */
        assert_int_equal(drafted("why is it blue", "is", 0, text, sizeof(text)), 0);
        assert_int_equal(lookup_draft(model->vocab, tokens, 3, 4, LOOKUP_MAX, draft), 0); /* never a special token */
}

/* -------------------------------------------------------------------------------------------------- numbers */

static void check_batch(const struct kernels *kernels, enum quant_type type)
{
        size_t n_rows = 1 + random_bits() % 40, n_columns = (1 + random_bits() % 20) * QUANT_BLOCK;
        size_t n_vectors = 1 + random_bits() % 9, n_blocks = n_columns / QUANT_BLOCK;
        size_t n_bytes = quant_block_bytes(type), n_row_bytes = n_blocks * n_bytes;
        struct kernel_block *blocks = calloc(n_vectors * n_blocks, sizeof(*blocks));
        char *rows = malloc(n_rows * n_row_bytes);
        float *together = calloc(n_vectors * n_rows, sizeof(*together)), *alone = calloc(n_rows, sizeof(*alone));
        float *x = malloc(n_columns * sizeof(*x));
        struct kernel_vector vectors[9];

        assert_true(blocks && rows && together && alone && x);
        for (size_t i = 0; i < n_rows * n_row_bytes; i++)
                rows[i] = (char)random_bits();
        for (size_t i = 0; i < n_rows * n_blocks; i++) {
                quant_half scales[] = { half_from_float((float)(int32_t)random_bits() * 0x1p-31f),
                                        half_from_float((float)(int32_t)random_bits() * 0x1p-31f) };

                memcpy(rows + i * n_bytes, scales, type == QUANT_Q4_1 || type == QUANT_Q5_1 ? 4 : 2);
        }
        for (size_t v = 0; v < n_vectors; v++) {
                for (size_t i = 0; i < n_columns; i++)
                        x[i] = (float)(int32_t)random_bits() * 0x1p-31f;
                kernels->quantise(blocks + v * n_blocks, x, n_columns);
                vectors[v] = (struct kernel_vector){ .blocks = blocks + v * n_blocks };
        }

        kernels->batch[type](together, n_rows, rows, n_row_bytes, n_rows, n_columns, vectors, n_vectors);
        for (size_t v = 0; v < n_vectors; v++) {
                kernels->rows[type](alone, rows, n_row_bytes, n_rows, n_columns, &vectors[v]);
                assert_memory_equal(together + v * n_rows, alone, n_rows * sizeof(*alone));
        }
        free(blocks), free(rows), free(together), free(alone), free(x);
}

static void test_batches_are_bit_for_bit_their_vectors_alone(void **state)
{
        static const enum quant_type types[] = { QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1, QUANT_Q8_0 };
        const struct kernels *const all[] = { &kernels_scalar, model->kernels };

        (void)state;
        for (size_t round = 0; round < 100; round++)
                for (size_t k = 0; k < ARRAY_SIZE(all); k++)
                        for (size_t t = 0; t < ARRAY_SIZE(types); t++)
                                if (all[k]->batch[types[t]])
                                        check_batch(all[k], types[t]);
}

static mulm_session *new_session(uint32_t n_threads, bool lookup)
{
        struct mulm_session_options options = { .n_context = 256, .n_threads = n_threads, .lookup = lookup };
        mulm_session *session = NULL;

        assert_int_equal(mulm_session_new(&session, model, &options, NULL), 0);
        return session;
}

static void assert_same_rows(const mulm_session *a, const mulm_session *b, uint32_t position)
{
        size_t n = a->kv.n_width, n_stride;

        for (uint32_t layer = 0; layer < model->n_layers; layer++)
                for (enum kv_part part = KV_KEYS; part <= KV_VALUES; part++)
                        assert_memory_equal(
                                kv_read(&a->kv, part, layer, 1, 0, n, NULL, &n_stride, NULL) + position * n,
                                kv_read(&b->kv, part, layer, 1, 0, n, NULL, &n_stride, NULL) + position * n,
                                n * sizeof(float));
}

static void test_checked_tokens_have_the_numbers_of_decoded_ones(void **state)
{
        mulm_session *steps = new_session(1, true), *checks[3];
        uint32_t tokens[100];

        (void)state;
        for (uint32_t i = 0; i < ARRAY_SIZE(checks); i++)
                checks[i] = new_session(i + 1, true);
        for (size_t i = 0; i < ARRAY_SIZE(tokens); i++)
                tokens[i] = (uint32_t)(300 + random_bits() % 10000);
        for (uint32_t position = 0, n; position < 60; position += n) {
                n = 1 + (uint32_t)random_bits() % PREFILL_CHECK_MAX;
                for (size_t k = 0; k < ARRAY_SIZE(checks); k++)
                        prefill_check(checks[k]->prefill, tokens + position, n, position);
                for (uint32_t i = 0; i < n; i++) {
                        decode_token(steps->decode, tokens[position + i], position + i);
                        for (size_t k = 0; k < ARRAY_SIZE(checks); k++) {
                                assert_same_rows(checks[k], steps, position + i);
                                assert_memory_equal(prefill_logits(checks[k]->prefill, i),
                                                    decode_logits(steps->decode),
                                                    model->n_vocabulary * sizeof(float));
                        }
                }
        }
        for (size_t k = 0; k < ARRAY_SIZE(checks); k++)
                mulm_session_free(checks[k]);
        mulm_session_free(steps);
}

static void generate(mulm_session *session, const struct mulm_sampling *sampling, uint32_t *ret_tokens, size_t *ret_n)
{
        static const char question[] = "say the quick brown fox jumps over the quick brown fox again and again";
        struct mulm_message message = { MULM_ROLE_USER, question, strlen(question) };
        struct mulm_piece piece;

        assert_int_equal(mulm_session_chat(session, &message, 1, NULL, 0, NULL), 0);
        assert_int_equal(mulm_generate_begin(session, sampling, NULL), 0);
        for (*ret_n = 0; *ret_n < 60 && mulm_generate_next(session, &piece, NULL) == MULM_GENERATE_PIECE; ++*ret_n)
                ret_tokens[*ret_n] = piece.token;
}

static void test_sampled_replies_are_the_same_with_and_without(void **state)
{
        mulm_session *plain = new_session(2, false), *lookup = new_session(2, true);

        (void)state;
        assert_true(lookup->has_lookup);
        assert_false(plain->has_lookup);
        for (uint64_t seed = 0; seed < 8; seed++) {
                struct mulm_sampling sampling = { (float)seed * 0.2f, 0, 1.0f, 1.05f, seed };
                uint32_t a[60], b[60];
                size_t n_a, n_b;

                generate(plain, &sampling, a, &n_a);
                generate(lookup, &sampling, b, &n_b);
                assert_int_equal(n_a, n_b);
                assert_memory_equal(a, b, n_a * sizeof(*a));
                assert_memory_equal(mulm_session_logits(plain), mulm_session_logits(lookup),
                                    model->n_vocabulary * sizeof(float));
        }
        mulm_session_free(plain);
        mulm_session_free(lookup);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_draft_is_what_followed_the_last_words),
                cmocka_unit_test(test_longest_run_wins_and_then_the_latest),
                cmocka_unit_test(test_case_and_blank_of_a_word_make_no_difference),
                cmocka_unit_test(test_nothing_is_drafted_where_nothing_fits),
                cmocka_unit_test(test_batches_are_bit_for_bit_their_vectors_alone),
                cmocka_unit_test(test_checked_tokens_have_the_numbers_of_decoded_ones),
                cmocka_unit_test(test_sampled_replies_are_the_same_with_and_without),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
