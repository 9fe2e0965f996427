/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Picking a token: greedy and its ties, what each parameter keeps, frequencies, and that a seed repeats a run.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/sampler.h"
#include "tests/support/test.h"

#define N 8

/* Probabilities at temperature 1: token 3 has half, and so on down; 1 and 6 are equal. */
static const float logits[N] = { 0.0f, 2.0f, -3.0f, 4.0f, 1.0f, -1.0f, 2.0f, -8.0f };

static struct sampler new_sampler(struct mulm_sampling sampling)
{
        struct sampler sampler;

        assert_int_equal(sampler_init(&sampler, &sampling, NULL), 0);
        return sampler;
}

static uint32_t pick(struct sampler *sampler, const uint32_t *recent, size_t n_recent)
{
        struct sampler_candidate scratch[N];

        return sampler_pick(sampler, logits, N, recent, n_recent, scratch);
}

static void test_greedy_takes_the_greatest_and_the_lowest_id_of_a_tie(void **state)
{
        static const float tie[N] = { 0.0f, 2.0f, 2.0f, 2.0f, 1.0f, 0.0f, 2.0f, 0.0f };
        struct sampler sampler = new_sampler(MULM_SAMPLING_GREEDY);
        struct sampler_candidate scratch[N];

        (void)state;
        assert_int_equal(pick(&sampler, NULL, 0), 3);
        assert_int_equal(sampler_pick(&sampler, tie, N, NULL, 0, scratch), 1);

        /* The same by way of the heap. */
        sampler.sampling.repetition_penalty = 1.5f;
        assert_int_equal(sampler_pick(&sampler, tie, N, NULL, 0, scratch), 1);
}

static void test_the_same_seed_gives_the_same_tokens_and_another_does_not(void **state)
{
        struct mulm_sampling sampling = { .temperature = 1.5f, .top_p = 1.0f, .repetition_penalty = 1.0f, .seed = 7 };
        struct sampler a = new_sampler(sampling), b = new_sampler(sampling), c;
        size_t n_different = 0;

        (void)state;
        sampling.seed = 8;
        c = new_sampler(sampling);
        for (int i = 0; i < 200; i++) {
                uint32_t token = pick(&a, NULL, 0);

                assert_int_equal(token, pick(&b, NULL, 0));
                n_different += token != pick(&c, NULL, 0);
        }
        assert_true(n_different > 50);
}

static void count_picks(struct mulm_sampling sampling, size_t n_picks, size_t counts[N])
{
        struct sampler sampler = new_sampler(sampling);

        memset(counts, 0, N * sizeof(*counts));
        for (size_t i = 0; i < n_picks; i++)
                counts[pick(&sampler, NULL, 0)]++;
}

static void test_frequencies_are_the_softmax_at_the_temperature(void **state)
{
        static const float temperatures[] = { 0.5f, 1.0f, 2.0f };
        size_t counts[N];

        (void)state;
        for (size_t t = 0; t < ARRAY_SIZE(temperatures); t++) {
                double total = 0.0;

                count_picks((struct mulm_sampling){ .temperature = temperatures[t],
                                                    .top_p = 1.0f,
                                                    .repetition_penalty = 1.0f,
                                                    .seed = 3 },
                            20000, counts);
                for (size_t i = 0; i < N; i++)
                        total += exp((double)logits[i] / (double)temperatures[t]);
                for (size_t i = 0; i < N; i++) {
                        double expected = exp((double)logits[i] / (double)temperatures[t]) / total;

                        assert_true(fabs((double)counts[i] / 20000.0 - expected) < 0.015);
                }
        }
}

static void test_top_k_keeps_the_k_best(void **state)
{
        size_t counts[N];

        (void)state;
        count_picks(
                (struct mulm_sampling){ .temperature = 5.0f, .top_k = 2, .top_p = 1.0f, .repetition_penalty = 1.0f },
                3000, counts);
        assert_true(counts[3] > 0 && counts[1] > 0);
        assert_int_equal(counts[3] + counts[1], 3000); /* 1 and 6 are equal: the lower id stays */
}

static void test_top_p_keeps_the_least_that_reaches_p(void **state)
{
        size_t counts[N];

        (void)state;
        /* At temperature 1: 0.75 for token 3, 0.10 for 1 and for 6. */
        count_picks((struct mulm_sampling){ .temperature = 1.0f, .top_p = 0.5f, .repetition_penalty = 1.0f }, 1000,
                    counts);
        assert_int_equal(counts[3], 1000);
        count_picks((struct mulm_sampling){ .temperature = 1.0f, .top_p = 0.8f, .repetition_penalty = 1.0f }, 3000,
                    counts);
        assert_true(counts[1] > 0);
        assert_int_equal(counts[3] + counts[1], 3000);
        count_picks(
                (struct mulm_sampling){ .temperature = 1.0f, .top_k = 3, .top_p = 0.8f, .repetition_penalty = 1.0f },
                3000, counts);
        assert_int_equal(counts[3] + counts[1], 3000);
}

static void test_repetition_penalty_lowers_what_was_said_once_and_only_within_the_window(void **state)
{
        struct mulm_sampling sampling = { .top_p = 1.0f, .repetition_penalty = 1.5f };
        struct sampler sampler = new_sampler(sampling);
        uint32_t recent[SAMPLER_WINDOW + 1] = { 3 };

        (void)state;
        /* 4 / 1.5 is still more than 2, even if said twice; 4 / 3 is not. */
        assert_int_equal(pick(&sampler, (const uint32_t[]){ 3, 3 }, 2), 3);
        sampler.sampling.repetition_penalty = 3.0f;
        assert_int_equal(pick(&sampler, (const uint32_t[]){ 3 }, 1), 1);
        assert_int_equal(pick(&sampler, (const uint32_t[]){ 3, 1, 6 }, 3), 3);

        for (size_t i = 1; i < ARRAY_SIZE(recent); i++)
                recent[i] = 7;
        assert_int_equal(pick(&sampler, recent, ARRAY_SIZE(recent)), 3);
        assert_int_equal(pick(&sampler, recent, ARRAY_SIZE(recent) - 1), 1);
}

static bool is_three(_unused_ const void *userdata, uint32_t token)
{
        return token == 3;
}

static void test_banned_token_is_never_picked(void **state)
{
        struct sampler sampler = new_sampler(MULM_SAMPLING_GREEDY);
        struct mulm_sampling warm = { .temperature = 1.0f, .top_p = 1.0f, .repetition_penalty = 1.2f, .seed = 5 };

        (void)state;
        assert_int_equal(pick(&sampler, NULL, 0), 3);
        sampler.is_banned = is_three;
        assert_int_equal(pick(&sampler, NULL, 0), 1);
        sampler = new_sampler(warm);
        sampler.is_banned = is_three;
        for (unsigned i = 0; i < 1000; i++)
                assert_int_not_equal(pick(&sampler, (const uint32_t[]){ 3, 1 }, 2), 3);
}

static void test_values_out_of_range_are_named(void **state)
{
        static const struct {
                struct mulm_sampling sampling;
                const char *name;
        } bad[] = {
                { { .temperature = -1.0f, .top_p = 1.0f, .repetition_penalty = 1.0f }, "temperature" },
                { { .temperature = NAN, .top_p = 1.0f, .repetition_penalty = 1.0f }, "temperature" },
                { { .top_p = 0.0f, .repetition_penalty = 1.0f }, "top_p" },
                { { .top_p = 1.1f, .repetition_penalty = 1.0f }, "top_p" },
                { { .top_p = 1.0f, .repetition_penalty = 0.0f }, "repetition_penalty" },
                { { .top_p = 1.0f, .repetition_penalty = INFINITY }, "repetition_penalty" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct mulm_error error = { "" };
                struct sampler sampler;

                assert_int_equal(sampler_init(&sampler, &bad[i].sampling, &error), -EINVAL);
                assert_non_null(strstr(error.sentence, bad[i].name));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_greedy_takes_the_greatest_and_the_lowest_id_of_a_tie),
                cmocka_unit_test(test_the_same_seed_gives_the_same_tokens_and_another_does_not),
                cmocka_unit_test(test_frequencies_are_the_softmax_at_the_temperature),
                cmocka_unit_test(test_top_k_keeps_the_k_best),
                cmocka_unit_test(test_top_p_keeps_the_least_that_reaches_p),
                cmocka_unit_test(test_repetition_penalty_lowers_what_was_said_once_and_only_within_the_window),
                cmocka_unit_test(test_banned_token_is_never_picked),
                cmocka_unit_test(test_values_out_of_range_are_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
