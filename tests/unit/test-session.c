/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Sessions, generation and openers on the real model: what is reused, what stays after an error, that it makes no
 * difference in how many steps or threads tokens were evaluated, and that generating allocates nothing.
 */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"
#include "libmulm/session.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

/* ---------------------------------------------------------------------------- counting, by the linker's --wrap */

static atomic_size_t n_allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t n);

void *__wrap_malloc(size_t n)
{
        (void)atomic_fetch_add(&n_allocations, 1);
        return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
        (void)atomic_fetch_add(&n_allocations, 1);
        return __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t n)
{
        (void)atomic_fetch_add(&n_allocations, 1);
        return __real_realloc(memory, n);
}

/* ------------------------------------------------------------------------------------------------- fixture */

#define N_TOKENS 150 /* more than a batch of prefill */

static mulm_model *model;
static struct mulm_model_info info;
static uint32_t tokens[N_TOKENS];

static int setup(void **state)
{
        (void)state;
        model = golden_model_open(&golden_mulm_28m);
        mulm_model_describe(model, &info);
        for (uint32_t i = 0; i < N_TOKENS; i++)
                tokens[i] = (i * 7919 + 300) % info.n_vocabulary;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        model = mulm_model_free(model);
        return 0;
}

static mulm_session *new_session(uint32_t n_context, uint32_t n_threads)
{
        struct mulm_session_options options = { .n_context = n_context, .n_threads = n_threads };
        mulm_session *session = NULL;

        assert_int_equal(mulm_session_new(&session, model, &options, NULL), 0);
        return session;
}

static float *copy_logits(const mulm_session *session)
{
        float *copy = malloc(info.n_vocabulary * sizeof(*copy));

        assert_non_null(copy);
        assert_non_null(mulm_session_logits(session));
        memcpy(copy, mulm_session_logits(session), info.n_vocabulary * sizeof(*copy));
        return copy;
}

static void assert_logits_near(const mulm_session *session, const float *expected, float tolerance)
{
        const float *logits = mulm_session_logits(session);

        assert_non_null(logits);
        for (uint32_t i = 0; i < info.n_vocabulary; i++)
                if (!(fabsf(logits[i] - expected[i]) <= tolerance))
                        fail_msg("logit %u is %f, not %f", i, (double)logits[i], (double)expected[i]);
}

static void ask(mulm_session *session, const char *question, const char *prefix)
{
        struct mulm_message message = { MULM_ROLE_USER, question, strlen(question) };

        assert_int_equal(mulm_session_chat(session, &message, 1, prefix, strlen(prefix), NULL), 0);
}

/* --------------------------------------------------------------------------------------------------- tests */

static void test_head_of_the_template_is_there_before_the_first_question(void **state)
{
        mulm_session *session = new_session(256, 1);
        size_t n_head = mulm_session_length(session);

        (void)state;
        assert_true(n_head > 0);
        ask(session, "why is the sky blue", "");
        assert_int_equal(mulm_session_reused(session), n_head);
        mulm_session_free(session);
}

static void test_common_prefix_is_reused_and_the_logits_are_the_same(void **state)
{
        mulm_session *session = new_session(256, 2);
        float *expected;

        (void)state;
        assert_int_equal(mulm_session_evaluate(session, tokens, 60, NULL), 0);
        assert_int_equal(mulm_session_reused(session), 0);
        expected = copy_logits(session);

        assert_int_equal(mulm_session_evaluate(session, tokens, 40, NULL), 0);
        assert_int_equal(mulm_session_reused(session), 40);
        assert_int_equal(mulm_session_length(session), 40);
        assert_int_equal(mulm_session_evaluate(session, tokens, 60, NULL), 0);
        assert_int_equal(mulm_session_reused(session), 40);
        assert_logits_near(session, expected, 0.6f);

        assert_int_equal(mulm_session_evaluate(session, tokens, 60, NULL), 0);
        assert_int_equal(mulm_session_reused(session), 60);
        assert_logits_near(session, expected, 0.6f);
        free(expected);
        mulm_session_free(session);
}

static void test_batches_steps_and_threads_make_no_difference(void **state)
{
        mulm_session *batch = new_session(256, 2), *single = new_session(256, 1), *steps = new_session(256, 3);
        float *expected;

        (void)state;
        assert_int_equal(mulm_session_evaluate(batch, tokens, N_TOKENS, NULL), 0);
        expected = copy_logits(batch);
        assert_int_equal(mulm_session_evaluate(single, tokens, N_TOKENS, NULL), 0);
        assert_logits_near(single, expected, 0.6f);
        for (size_t n = 1; n <= N_TOKENS; n++)
                assert_int_equal(mulm_session_evaluate(steps, tokens, n, NULL), 0);
        /* Rounding of activations makes tenths of the last bit's difference in the order of sums. */
        assert_logits_near(steps, expected, 1.0f);
        free(expected);
        mulm_session_free(batch);
        mulm_session_free(single);
        mulm_session_free(steps);
}

static void test_more_tokens_than_the_context_are_refused_and_change_nothing(void **state)
{
        mulm_session *session = new_session(64, 1);
        struct mulm_error error = { "" };
        float *expected;

        (void)state;
        assert_int_equal(mulm_session_evaluate(session, tokens, 64, NULL), 0);
        expected = copy_logits(session);
        assert_int_equal(mulm_session_evaluate(session, tokens, 65, &error), -E2BIG);
        assert_string_equal(error.sentence, "65 tokens are more than the context of 64");
        assert_int_equal(mulm_session_length(session), 64);
        assert_logits_near(session, expected, 0.0f);
        free(expected);
        mulm_session_free(session);
}

static void test_bad_arguments_are_named(void **state)
{
        mulm_session *session = new_session(64, 1), *none = NULL;
        struct mulm_sampling sampling = { .top_p = 2.0f, .repetition_penalty = 1.0f };
        struct mulm_error error = { "" };
        struct mulm_piece piece;

        (void)state;
        assert_int_equal(mulm_session_evaluate(session, tokens, 0, &error), -EINVAL);
        assert_int_equal(mulm_session_evaluate(session, (const uint32_t[]){ 1, UINT32_MAX }, 2, &error), -EINVAL);
        assert_non_null(strstr(error.sentence, "at 1"));
        assert_int_equal(mulm_generate_next(session, &piece, &error), -EINVAL);
        assert_int_equal(mulm_generate_begin(session, &sampling, &error), -EINVAL);
        assert_non_null(strstr(error.sentence, "top_p"));
        mulm_session_free(session);

        assert_int_equal(mulm_session_new(&none, model, &(struct mulm_session_options){ .n_threads = 1000 }, &error),
                         -EINVAL);
        assert_int_equal(
                mulm_session_new(&none, model, &(struct mulm_session_options){ .n_context = 1 << 30 }, &error),
                -EINVAL);
        assert_null(none);
}

static void test_generation_continues_until_the_context_is_full(void **state)
{
        mulm_session *session = new_session(64, 1);
        struct mulm_sampling sampling = { .temperature = 3.0f, .top_p = 1.0f, .repetition_penalty = 1.0f, .seed = 5 };
        struct mulm_piece piece;
        size_t n = 0;
        int r;

        (void)state;
        assert_int_equal(mulm_session_evaluate(session, tokens, 50, NULL), 0);
        assert_int_equal(mulm_generate_begin(session, &sampling, NULL), 0);
        while ((r = mulm_generate_next(session, &piece, NULL)) == MULM_GENERATE_PIECE) {
                assert_true(utf8_is_valid(piece.text, piece.n_text, NULL));
                assert_true(piece.probability >= 0.0f && piece.probability <= 1.0f);
                n++;
        }
        assert_int_equal(r, MULM_GENERATE_FULL);
        assert_int_equal(n, 15); /* the last one needs no room */
        assert_int_equal(mulm_generate_next(session, &piece, NULL), MULM_GENERATE_FULL);
        mulm_session_free(session);
}

static void generate_text(mulm_session *session, const struct mulm_sampling *sampling, size_t n, struct buf *text)
{
        struct mulm_piece piece;

        ask(session, "tell me about rain", "");
        assert_int_equal(mulm_generate_begin(session, sampling, NULL), 0);
        for (size_t i = 0; i < n && mulm_generate_next(session, &piece, NULL) == MULM_GENERATE_PIECE; i++)
                assert_int_equal(buf_add(text, piece.text, piece.n_text), 0);
}

static void test_the_same_seed_repeats_a_reply(void **state)
{
        struct mulm_sampling sampling = {
                .temperature = 1.0f, .top_p = 0.95f, .repetition_penalty = 1.1f, .seed = 9
        };
        mulm_session *session = new_session(256, 2);
        struct buf a = BUF_NULL, b = BUF_NULL, c = BUF_NULL;

        (void)state;
        generate_text(session, &sampling, 20, &a);
        generate_text(session, &sampling, 20, &b);
        sampling.seed = 10;
        generate_text(session, &sampling, 20, &c);
        assert_string_equal(buf_string(&a), buf_string(&b));
        assert_string_not_equal(buf_string(&a), buf_string(&c));
        buf_done(&a);
        buf_done(&b);
        buf_done(&c);
        mulm_session_free(session);
}

static void test_reply_goes_on_from_what_an_opener_said(void **state)
{
        mulm_session *session = new_session(256, 2);
        struct mulm_opener_options options = MULM_OPENER_DEFAULTS;
        struct buf said = BUF_NULL;
        struct mulm_piece piece;
        struct mulm_word word;
        size_t n_words = 0, n_prompt;

        (void)state;
        ask(session, "why is the sky blue", "");
        n_prompt = mulm_session_length(session);
        options.confidence = 0.0f;
        options.max_words = 5;
        assert_int_equal(mulm_opener_begin(session, &options, NULL), 0);
        while (mulm_opener_next(session, &word, NULL) == MULM_OPENER_WORD) {
                assert_true(utf8_is_valid(word.text, word.n_text, NULL));
                assert_true(word.probability > 0.0f && word.probability <= 1.0f);
                assert_int_equal(buf_add(&said, word.text, word.n_text), 0);
                n_words++;
        }
        assert_int_equal(n_words, 5);
        assert_int_not_equal(said.data[0], ' ');

        /* At once, and by way of the template: the words are in the cache. */
        assert_int_equal(mulm_generate_begin(session, &MULM_SAMPLING_GREEDY, NULL), 0);
        assert_true(mulm_generate_next(session, &piece, NULL) > 0);
        ask(session, "why is the sky blue", buf_string(&said));
        assert_true(mulm_session_reused(session) > n_prompt);
        buf_done(&said);
        mulm_session_free(session);
}

static void test_generating_allocates_nothing(void **state)
{
        struct mulm_sampling samplings[] = {
                MULM_SAMPLING_GREEDY,
                { .temperature = 0.8f, .top_k = 40, .top_p = 0.9f, .repetition_penalty = 1.1f },
        };
        mulm_session *session = new_session(256, 2);
        struct mulm_opener_options options = MULM_OPENER_DEFAULTS;
        struct mulm_piece piece;
        struct mulm_word word;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(samplings); i++) {
                size_t before;

                ask(session, "tell me about rain", "");
                before = atomic_load(&n_allocations);
                assert_true(before > 0);
                assert_int_equal(mulm_generate_begin(session, &samplings[i], NULL), 0);
                for (size_t n = 0; n < 30 && mulm_generate_next(session, &piece, NULL) == MULM_GENERATE_PIECE; n++)
                        ;
                assert_int_equal(mulm_session_evaluate(session, tokens, 100, NULL), 0);
                assert_int_equal(mulm_opener_begin(session, &options, NULL), 0);
                while (mulm_opener_next(session, &word, NULL) == MULM_OPENER_WORD)
                        ;
                assert_int_equal(atomic_load(&n_allocations), before);
        }
        mulm_session_free(session);
}

static void test_keys_and_values_in_half_precision_give_nearly_the_same(void **state)
{
        struct mulm_session_options options = { .n_context = 256, .n_threads = 2, .kv = MULM_KV_F16, .lookup = true };
        mulm_session *floats = new_session(256, 2), *halves = NULL;
        struct mulm_error error = { "" };
        float *expected;

        (void)state;
        assert_int_equal(mulm_session_new(&halves, model, &options, NULL), 0);
        assert_int_equal(mulm_session_evaluate(floats, tokens, N_TOKENS, NULL), 0);
        assert_int_equal(mulm_session_evaluate(halves, tokens, N_TOKENS, NULL), 0);
        expected = copy_logits(floats);
        assert_logits_near(halves, expected, 1.0f);
        assert_memory_not_equal(mulm_session_logits(halves), expected, info.n_vocabulary * sizeof(*expected));
        free(expected);

        /* A batch, then steps. */
        assert_int_equal(mulm_session_evaluate(floats, tokens + 1, 1, NULL), 0);
        assert_int_equal(mulm_session_evaluate(halves, tokens + 1, 1, NULL), 0);
        for (size_t n = 20; n < 60; n++) {
                assert_int_equal(mulm_session_evaluate(floats, tokens, n, NULL), 0);
                assert_int_equal(mulm_session_evaluate(halves, tokens, n, NULL), 0);
                assert_logits_near(halves, mulm_session_logits(floats), 1.0f);
        }
        mulm_session_free(floats);
        halves = mulm_session_free(halves);

        options.kv = (enum mulm_kv)7;
        assert_int_equal(mulm_session_new(&halves, model, &options, &error), -EINVAL);
        assert_string_equal(error.sentence, "kv 7: no such type of keys and values");
        assert_null(halves);
}

static size_t resident_bytes(void *memory, size_t n_bytes)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE), n_pages = (n_bytes + page - 1) / page, n = 0;
        unsigned char *is_resident = malloc(n_pages);

        assert_non_null(is_resident);
        assert_int_equal(mincore(memory, n_bytes, is_resident), 0);
        for (size_t i = 0; i < n_pages; i++)
                n += is_resident[i] & 1;
        free(is_resident);
        return n * page;
}

static void test_large_context_costs_memory_only_as_it_is_used(void **state)
{
        mulm_session *session = new_session(0, 1);

        (void)state;
        assert_int_equal(mulm_session_evaluate(session, tokens, 50, NULL), 0);
        assert_true(session->kv.n_bytes > (size_t)16 * 1024 * 1024);
        assert_true(resident_bytes(session->kv.data, session->kv.n_bytes) < (size_t)2 * 1024 * 1024);
        mulm_session_free(session);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_head_of_the_template_is_there_before_the_first_question),
                cmocka_unit_test(test_common_prefix_is_reused_and_the_logits_are_the_same),
                cmocka_unit_test(test_batches_steps_and_threads_make_no_difference),
                cmocka_unit_test(test_more_tokens_than_the_context_are_refused_and_change_nothing),
                cmocka_unit_test(test_bad_arguments_are_named),
                cmocka_unit_test(test_generation_continues_until_the_context_is_full),
                cmocka_unit_test(test_the_same_seed_repeats_a_reply),
                cmocka_unit_test(test_reply_goes_on_from_what_an_opener_said),
                cmocka_unit_test(test_generating_allocates_nothing),
                cmocka_unit_test(test_keys_and_values_in_half_precision_give_nearly_the_same),
                cmocka_unit_test(test_large_context_costs_memory_only_as_it_is_used),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
