/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Greedy replies and logits against llama.cpp's on the same files. Of 100 replies of 32 tokens 95 must be equal, and
 * where one is not, llama.cpp's own two best logits must have been close at the first difference.
 *
 * The AVX2 kernels add in the order of llama.cpp's, so with them all are equal; with others the last bit of a sum
 * becomes, by way of quantised activations, a few tenths of a logit, which is what llama.cpp differs from itself by
 * between processors. There, that much tolerance is given, and a few replies are enough.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/session.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

#define N_REPLY     32
#define N_PROMPT    512
#define N_REPLIES   100
#define LEAST_EQUAL 95

#define N_REPLIES_OTHER_ORDER 5

#define NEAR_TIE 0.15f

/* Logits are about +-20. */
#define TOLERANCE_SAME_ORDER  0.02f
#define TOLERANCE_OTHER_ORDER 1.0f

struct reply {
        uint32_t tokens[N_PROMPT + N_REPLY]; /* prompt and reply */
        size_t n_prompt;
        float gaps[N_REPLY];
};

/* The numbers behind `name` on the line at *at; moves on to the next line. */
static const char *line_values(char **at, const char *name)
{
        char *line = *at, *end = strchr(line, '\n');

        assert_non_null(end);
        *end = '\0';
        *at = end + 1;
        assert_memory_equal(line, name, strlen(name));
        return line + strlen(name);
}

static size_t read_tokens(const char *values, uint32_t *tokens, size_t most)
{
        size_t n = 0;
        char *end;

        for (; *values; values = end) {
                assert_true(n < most);
                tokens[n++] = (uint32_t)strtoul(values, &end, 10);
                assert_true(end > values);
        }
        return n;
}

/* False at the end of the file. */
static bool read_reply(char **at, struct reply *ret_reply)
{
        const char *gaps;
        char *end;

        if (!**at)
                return false;
        ret_reply->n_prompt = read_tokens(line_values(at, "prompt "), ret_reply->tokens, N_PROMPT);
        assert_int_equal(read_tokens(line_values(at, "reply "), ret_reply->tokens + ret_reply->n_prompt, N_REPLY),
                         N_REPLY);
        gaps = line_values(at, "gaps ");
        for (size_t i = 0; i < N_REPLY; i++, gaps = end)
                ret_reply->gaps[i] = strtof(gaps, &end);
        return true;
}

static uint32_t best_token(const float *logits, size_t n)
{
        uint32_t best = 0;

        for (uint32_t i = 1; i < n; i++)
                if (logits[i] > logits[best])
                        best = i;
        return best;
}

/* How many tokens of the reply are llama.cpp's. */
static size_t count_equal(mulm_session *session, const struct reply *reply, size_t n_vocabulary)
{
        for (size_t i = 0; i < N_REPLY; i++) {
                size_t n = reply->n_prompt + i;
                const float *logits;
                uint32_t token;

                assert_int_equal(mulm_session_evaluate(session, reply->tokens, n, NULL), 0);
                logits = mulm_session_logits(session);
                token = best_token(logits, n_vocabulary);
                if (token == reply->tokens[n])
                        continue;
                print_message("# differs at token %zu of the reply: %u (%.4f), llama.cpp %u (%.4f), its gap %.3f\n",
                              i, token, (double)logits[token], reply->tokens[n], (double)logits[reply->tokens[n]],
                              (double)reply->gaps[i]);
                return i;
        }
        return N_REPLY;
}

struct fixture {
        mulm_model *model;
        mulm_session *session;
        struct mulm_model_info info;
};

static bool is_fast(const struct fixture *fixture)
{
        return strcmp(fixture->info.isa, "avx2") == 0;
}

/* llama.cpp as golden.cpp asks it to be: weights are not rearranged. */
static bool adds_in_the_same_order(const struct fixture *fixture)
{
        const char *type = fixture->info.file_type;

        return is_fast(fixture) && fixture->session->kv.type == MULM_KV_F32 &&
               (strcmp(type, "Q8_0") == 0 || strcmp(type, "Q4_0") == 0 || strcmp(type, "Q4_1") == 0);
}

static void fixture_init(struct fixture *fixture, const struct golden_model *which, enum mulm_kv kv)
{
        struct mulm_session_options options = { .n_context = 1024, .n_threads = 2, .kv = kv };

        *fixture = (struct fixture){ .model = golden_model_open(which) };
        mulm_model_describe(fixture->model, &fixture->info);
        assert_int_equal(mulm_session_new(&fixture->session, fixture->model, &options, NULL), 0);
}

static void fixture_done(struct fixture *fixture)
{
        mulm_session_free(fixture->session);
        mulm_model_free(fixture->model);
}

static void check_greedy(const struct golden_model *which, enum mulm_kv kv)
{
        struct fixture fixture;
        struct buf file;
        size_t n = 0, n_most, n_equal = 0;
        struct reply reply;
        bool same_order;
        char *at;

        fixture_init(&fixture, which, kv);
        same_order = adds_in_the_same_order(&fixture);
        n_most = is_fast(&fixture) ? N_REPLIES : N_REPLIES_OTHER_ORDER;
        file = golden_model_read(which, "greedy.txt");
        for (at = file.data; n < n_most && read_reply(&at, &reply); n++) {
                size_t n_same = count_equal(fixture.session, &reply, fixture.info.n_vocabulary);

                n_equal += n_same == N_REPLY;
                if (n_same < N_REPLY)
                        assert_true(reply.gaps[n_same] < (same_order ? NEAR_TIE : TOLERANCE_OTHER_ORDER));
        }
        print_message("# %s: %zu of %zu replies are llama.cpp's\n", which->name, n_equal, n);
        assert_int_equal(n, n_most);
        assert_true(!same_order || n_equal >= LEAST_EQUAL);
        buf_done(&file);
        fixture_done(&fixture);
}

static void check_logits(const struct golden_model *which)
{
        struct fixture fixture;
        struct buf text, numbers;
        struct reply reply;
        size_t n, n_prompts;
        float worst = 0.0f;
        char *at;

        fixture_init(&fixture, which, MULM_KV_F32);
        text = golden_model_read(which, "greedy.txt");
        numbers = golden_model_read(which, "logits.f32");
        n = fixture.info.n_vocabulary;
        n_prompts = numbers.n / (n * sizeof(float));
        assert_true(n_prompts > 0);
        at = text.data;
        for (size_t p = 0; p < n_prompts; p++) {
                const float *logits;

                assert_true(read_reply(&at, &reply));
                assert_int_equal(mulm_session_evaluate(fixture.session, reply.tokens, reply.n_prompt, NULL), 0);
                logits = mulm_session_logits(fixture.session);
                for (size_t i = 0; i < n; i++) {
                        float expected;

                        memcpy(&expected, numbers.data + (p * n + i) * sizeof(float), sizeof(expected));
                        worst = fmaxf(worst, fabsf(logits[i] - expected));
                }
        }
        print_message("# %s: logits differ by at most %.4f\n", which->name, (double)worst);
        assert_true(worst < (adds_in_the_same_order(&fixture) ? TOLERANCE_SAME_ORDER : TOLERANCE_OTHER_ORDER));
        buf_done(&numbers);
        buf_done(&text);
        fixture_done(&fixture);
}

static void test_greedy_replies_of_our_model_are_those_of_llama_cpp(void **state)
{
        (void)state;
        check_greedy(&golden_mulm_28m, MULM_KV_F32);
}

static void test_replies_of_our_model_with_half_precision_differ_at_near_ties_only(void **state)
{
        (void)state;
        check_greedy(&golden_mulm_28m, MULM_KV_F16);
}

static void test_greedy_replies_of_smollm2_are_those_of_llama_cpp(void **state)
{
        (void)state;
        check_greedy(&golden_smollm2, MULM_KV_F32);
}

/* Files in further types of weights, of which only a script has the replies. */
static void check_greedy_of_made(void **state)
{
        check_greedy(*state, MULM_KV_F32);
}

#define GREEDY_OF_MADE(name, index)                                                                                  \
        {                                                                                                            \
                "test_greedy_replies_of_made_" name "_are_those_of_llama_cpp", check_greedy_of_made, NULL, NULL,     \
                        (void *)&golden_exactness[index]                                                             \
        }

static void test_logits_of_our_model_are_those_of_llama_cpp(void **state)
{
        (void)state;
        check_logits(&golden_mulm_28m);
}

static void test_logits_of_smollm2_are_those_of_llama_cpp(void **state)
{
        (void)state;
        check_logits(&golden_smollm2);
}

/* One argument: a pattern for the names of the tests to run. */
int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_logits_of_our_model_are_those_of_llama_cpp),
                cmocka_unit_test_prestate(test_logits_of_smollm2_are_those_of_llama_cpp, (void *)&golden_smollm2),
                cmocka_unit_test(test_greedy_replies_of_our_model_are_those_of_llama_cpp),
                cmocka_unit_test(test_replies_of_our_model_with_half_precision_differ_at_near_ties_only),
                cmocka_unit_test_prestate(test_greedy_replies_of_smollm2_are_those_of_llama_cpp,
                                          (void *)&golden_smollm2),
                GREEDY_OF_MADE("mulm_28m_in_q4_0", 1),
                GREEDY_OF_MADE("smollm2_in_q8_0", 2),
                GREEDY_OF_MADE("smollm2_in_q4_0", 3),
                GREEDY_OF_MADE("smollm2_in_q4_k_m", 5),
                GREEDY_OF_MADE("mulm_28m_in_q5_k_m", 6),
        };

        return golden_run(tests, ARRAY_SIZE(tests), argc > 1 ? argv[1] : NULL);
}
