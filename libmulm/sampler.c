/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * From logits to a token. See sampler.h.
 */
#include "libmulm/sampler.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>

#include "libmulm/base/macro.h"
#include "libmulm/error.h"

int sampler_init(struct sampler *ret_sampler, const struct mulm_sampling *sampling, struct mulm_error *error)
{
        if (!isfinite(sampling->temperature) || sampling->temperature < 0.0f)
                return error_set(error, -EINVAL, "temperature %g is not a number of 0 or more",
                                 (double)sampling->temperature);
        if (!(sampling->top_p > 0.0f && sampling->top_p <= 1.0f))
                return error_set(error, -EINVAL, "top_p %g is not in (0, 1]", (double)sampling->top_p);
        if (!isfinite(sampling->repetition_penalty) || sampling->repetition_penalty <= 0.0f)
                return error_set(error, -EINVAL, "repetition_penalty %g is not a number above 0",
                                 (double)sampling->repetition_penalty);
        *ret_sampler = (struct sampler){ .sampling = *sampling, .state = sampling->seed };
        return 0;
}

/* In [0, 1), 24 bits of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static float draw(struct sampler *sampler)
{
        uint64_t z = sampler->state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        z ^= z >> 31;
        return (float)(z >> 40) * 0x1p-24f;
}

static bool is_banned(const struct sampler *sampler, uint32_t token)
{
        return sampler->is_banned && sampler->is_banned(sampler->userdata, token);
}

static uint32_t pick_greatest(const struct sampler *sampler, const float *logits, size_t n_logits)
{
        uint32_t best = 0;

        while (best + 1 < n_logits && is_banned(sampler, best))
                best++;
        for (uint32_t i = best + 1; i < n_logits; i++)
                if (logits[i] > logits[best] && !is_banned(sampler, i))
                        best = i;
        return best;
}

static bool is_before(const struct sampler_candidate *a, const struct sampler_candidate *b)
{
        return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

static void sift_down(struct sampler_candidate *heap, size_t n, size_t at)
{
        for (size_t child; (child = 2 * at + 1) < n; at = child) {
                struct sampler_candidate moved = heap[at];

                if (child + 1 < n && is_before(&heap[child + 1], &heap[child]))
                        child++;
                if (!is_before(&heap[child], &moved))
                        return;
                heap[at] = heap[child];
                heap[child] = moved;
        }
}

/* Moves the greatest to the end of the heap, which then is one shorter. */
static void pop(struct sampler_candidate *heap, size_t n)
{
        struct sampler_candidate greatest = heap[0];

        heap[0] = heap[n - 1];
        heap[n - 1] = greatest;
        sift_down(heap, n - 1, 0);
}

/* Keskar et al., "CTRL" (2019): divide what is positive, multiply what is not; each token once. */
static void penalise(struct sampler_candidate *candidates, size_t n, const uint32_t *recent, size_t n_recent,
                     float penalty)
{
        for (size_t i = 0; i < n_recent; i++) {
                bool seen = recent[i] >= n;

                for (size_t j = 0; !seen && j < i; j++)
                        seen = recent[j] == recent[i];
                if (!seen && candidates[recent[i]].logit > 0.0f)
                        candidates[recent[i]].logit /= penalty;
                else if (!seen)
                        candidates[recent[i]].logit *= penalty;
        }
}

/* Replaces logits by weights, which sum up to *ret_total; their order stays. */
static void weigh(struct sampler_candidate *candidates, size_t n, float greatest, float temperature, float *ret_total)
{
        float total = 0.0f;

        for (size_t i = 0; i < n; i++) {
                candidates[i].logit = expf((candidates[i].logit - greatest) / temperature);
                total += candidates[i].logit;
        }
        *ret_total = total;
}

/* Weighs what top_k and top_p keep of the heap and moves it to the end, the best last; returns how many. */
static size_t keep_best(struct sampler_candidate *heap, size_t n, const struct mulm_sampling *sampling)
{
        float greatest = heap[0].logit, total, sum = 0.0f;
        size_t n_kept = 0;

        if (sampling->top_k > 0 && sampling->top_k < n) {
                for (; n_kept < sampling->top_k; n_kept++)
                        pop(heap, n - n_kept);
                weigh(heap + n - n_kept, n_kept, greatest, sampling->temperature, &total);
                for (size_t i = 0; i < n_kept; i++) {
                        sum += heap[n - 1 - i].logit;
                        if (sum >= sampling->top_p * total)
                                return i + 1;
                }
                return n_kept;
        }

        weigh(heap, n, greatest, sampling->temperature, &total);
        if (sampling->top_p >= 1.0f)
                return n;
        while (n_kept < n && (n_kept == 0 || sum < sampling->top_p * total)) {
                sum += heap[0].logit;
                pop(heap, n - n_kept++);
        }
        return n_kept;
}

static uint32_t pick_weighted(const struct sampler_candidate *candidates, size_t n, float coin)
{
        float total = 0.0f, sum = 0.0f;

        for (size_t i = 0; i < n; i++)
                total += candidates[i].logit;
        for (size_t i = n; i-- > 0;) {
                sum += candidates[i].logit;
                if (sum > coin * total)
                        return candidates[i].token;
        }
        return candidates[n - 1].token; /* rounding: the best */
}

uint32_t sampler_pick(struct sampler *sampler, const float *logits, size_t n_logits, const uint32_t *recent,
                      size_t n_recent, struct sampler_candidate *scratch)
{
        const struct mulm_sampling *sampling = &sampler->sampling;
        bool penalised = sampling->repetition_penalty < 1.0f || sampling->repetition_penalty > 1.0f;
        size_t n_kept;

        if (sampling->temperature <= 0.0f && !penalised)
                return pick_greatest(sampler, logits, n_logits);

        for (uint32_t i = 0; i < n_logits; i++)
                scratch[i] = (struct sampler_candidate){ is_banned(sampler, i) ? -INFINITY : logits[i], i };
        if (penalised) {
                size_t n_window = MIN(n_recent, (size_t)SAMPLER_WINDOW);

                penalise(scratch, n_logits, recent + n_recent - n_window, n_window, sampling->repetition_penalty);
        }
        for (size_t i = n_logits / 2; i-- > 0;)
                sift_down(scratch, n_logits, i);
        if (sampling->temperature <= 0.0f)
                return scratch[0].token;

        n_kept = keep_best(scratch, n_logits, sampling);
        return pick_weighted(scratch + n_logits - n_kept, n_kept, draw(sampler));
}
