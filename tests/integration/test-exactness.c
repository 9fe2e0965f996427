/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * How near libmulm is to llama.cpp on files in several types of weights: the divergence of the next token's
 * distribution after 200 prompts, and the perplexity of a text. tests/data/make-exactness makes what they are
 * compared with, far too large for the source; without it the tests are left out.
 *
 * llama.cpp keeps its cache in single precision for all of it, so the tests of ours in half precision tell what that
 * costs.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/golden.h"
#include "tests/support/test.h"

#define N_PROMPTS       200
#define DIVERGENCE_MOST 1e-3
#define DIVERGENCE_HALF 2e-2
#define PERPLEXITY_MOST 0.005
#define WINDOW          512
#define N_TEXT_BYTES    12000
#define N_PROMPT_TOKENS 512

struct fixture {
        const struct golden_model *which;
        const char *kv; /* for messages */
        mulm_model *model;
        mulm_session *session;
        size_t n_vocabulary;
};

static void fixture_init(struct fixture *fixture, const struct golden_model *which, enum mulm_kv kv)
{
        struct mulm_session_options options = { .n_context = WINDOW, .n_threads = 2, .kv = kv };
        struct mulm_model_info info;

        *fixture = (struct fixture){ .which = which, .kv = kv == MULM_KV_F16 ? "f16" : "f32" };
        fixture->model = golden_model_open(which);
        mulm_model_describe(fixture->model, &info);
        fixture->n_vocabulary = info.n_vocabulary;
        assert_int_equal(mulm_session_new(&fixture->session, fixture->model, &options, NULL), 0);
}

static void fixture_done(struct fixture *fixture)
{
        mulm_session_free(fixture->session);
        mulm_model_free(fixture->model);
}

static struct buf read_golden(const struct fixture *fixture, const char *name)
{
        char path[64];

        (void)snprintf(path, sizeof(path), "f32/%s", name);
        return golden_model_read(fixture->which, path);
}

/* log of the sum of exp */
static double log_sum(const float *logits, size_t n)
{
        double greatest = (double)logits[0], sum = 0.0;

        for (size_t i = 1; i < n; i++)
                greatest = fmax(greatest, (double)logits[i]);
        for (size_t i = 0; i < n; i++)
                sum += exp((double)logits[i] - greatest);
        return log(sum) + greatest;
}

/* Of our distribution from llama.cpp's. */
static double divergence(const float *theirs, const float *ours, size_t n)
{
        double their_sum = log_sum(theirs, n), our_sum = log_sum(ours, n), sum = 0.0;

        for (size_t i = 0; i < n; i++) {
                double log_p = (double)theirs[i] - their_sum, log_q = (double)ours[i] - our_sum;

                sum += exp(log_p) * (log_p - log_q);
        }
        return sum;
}

static size_t next_list(const struct buf *file, size_t *at, uint32_t *tokens)
{
        const unsigned char *bytes = (const unsigned char *)file->data + *at;
        size_t n = bytes[0] | (size_t)bytes[1] << 8;

        assert_true(n <= N_PROMPT_TOKENS && *at + 2 * (n + 1) <= file->n);
        for (size_t i = 0; i < n; i++)
                tokens[i] = bytes[2 * i + 2] | (uint32_t)bytes[2 * i + 3] << 8;
        *at += 2 * (n + 1);
        return n;
}

static void check_divergence(const struct fixture *fixture, double most_wanted)
{
        struct buf prompts = read_golden(fixture, "prompts.tokens"), logits = read_golden(fixture, "logits.f32");
        size_t n = fixture->n_vocabulary, at = 0;
        float *theirs = malloc(n * sizeof(*theirs));
        double sum = 0.0, most = 0.0;

        assert_non_null(theirs);
        assert_int_equal(logits.n, N_PROMPTS * n * sizeof(*theirs));
        for (size_t i = 0; i < N_PROMPTS; i++) {
                uint32_t tokens[N_PROMPT_TOKENS];
                size_t n_tokens = next_list(&prompts, &at, tokens);
                double d;

                assert_int_equal(mulm_session_evaluate(fixture->session, tokens, n_tokens, NULL), 0);
                memcpy(theirs, logits.data + i * n * sizeof(*theirs), n * sizeof(*theirs));
                d = divergence(theirs, mulm_session_logits(fixture->session), n);
                sum += d;
                most = fmax(most, d);
        }
        print_message("# %s, %s: divergence %.2e, at most %.2e\n", fixture->which->name, fixture->kv, sum / N_PROMPTS,
                      most);
        assert_true(sum / N_PROMPTS < most_wanted);
        free(theirs);
        buf_done(&logits);
        buf_done(&prompts);
}

/* As libmulm/tools/perplexity.c does it. */
static double perplexity(const struct fixture *fixture)
{
        struct buf text = golden_read("prompts/clinc-oos.txt");
        uint32_t *tokens = malloc(N_TEXT_BYTES * sizeof(*tokens));
        double sum = 0.0;
        size_t n, n_counted = 0;

        assert_non_null(tokens);
        assert_true(text.n >= N_TEXT_BYTES);
        assert_int_equal(mulm_tokenize(fixture->model, text.data, N_TEXT_BYTES, tokens, N_TEXT_BYTES, &n, NULL), 0);
        for (size_t at = 0; at + WINDOW <= n; at += WINDOW)
                for (size_t i = WINDOW / 2 + 1; i < WINDOW; i++, n_counted++) {
                        const float *logits;

                        assert_int_equal(mulm_session_evaluate(fixture->session, tokens + at, i, NULL), 0);
                        logits = mulm_session_logits(fixture->session);
                        sum += log_sum(logits, fixture->n_vocabulary) - (double)logits[tokens[at + i]];
                }
        free(tokens);
        buf_done(&text);
        return exp(sum / (double)n_counted);
}

static void check_perplexity(const struct fixture *fixture)
{
        struct buf number = read_golden(fixture, "perplexity.txt");
        double theirs = strtod(buf_string(&number), NULL), ours = perplexity(fixture);

        print_message("# %s, %s: perplexity %.4f, llama.cpp %.4f, %+.3f %%\n", fixture->which->name, fixture->kv,
                      ours, theirs, (ours / theirs - 1.0) * 100.0);
        assert_true(fabs(ours / theirs - 1.0) < PERPLEXITY_MOST);
        buf_done(&number);
}

static void check(const struct golden_model *which, enum mulm_kv kv, double divergence_most)
{
        struct fixture fixture;

        fixture_init(&fixture, which, kv);
        check_divergence(&fixture, divergence_most);
        check_perplexity(&fixture);
        fixture_done(&fixture);
}

static void check_same_order(void **state)
{
        check(*state, MULM_KV_F32, DIVERGENCE_MOST);
}

static void check_half_precision(void **state)
{
        check(*state, MULM_KV_F16, DIVERGENCE_HALF);
}

#define EXACTNESS(name, function, index)                                                                             \
        {                                                                                                            \
                "test_" name "_is_near_to_llama_cpp", function, NULL, NULL, (void *)&golden_exactness[index]         \
        }

/* One argument: a pattern for the names of the tests to run. */
int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                EXACTNESS("mulm_28m_in_q8_0", check_same_order, 0),
                EXACTNESS("mulm_28m_in_q8_0_with_half_precision", check_half_precision, 0),
                EXACTNESS("mulm_28m_in_q4_0", check_same_order, 1),
                EXACTNESS("smollm2_in_q8_0", check_same_order, 2),
                EXACTNESS("smollm2_in_q8_0_with_half_precision", check_half_precision, 2),
                EXACTNESS("smollm2_in_q4_0", check_same_order, 3),
                EXACTNESS("smollm2_in_q4_1", check_same_order, 4),
                EXACTNESS("smollm2_in_q4_k_m", check_same_order, 5),
                EXACTNESS("mulm_28m_in_q5_k_m", check_same_order, 6),
        };

        return golden_run(tests, ARRAY_SIZE(tests), argc > 1 ? argv[1] : NULL);
}
