/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Picks a token from logits: a pure function of them, of the tokens before, and of the seed. Ties go to the lowest
 * token id, so that runs repeat on every machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/mulm.h"

/* Tokens before the next one to which repetition_penalty applies. */
#define SAMPLER_WINDOW 64

struct sampler_candidate {
        float logit; /* later: weight */
        uint32_t token;
};

struct sampler {
        struct mulm_sampling sampling;
        uint64_t state; /* of the random numbers */

        bool (*is_banned)(const void *userdata, uint32_t token); /* never picked; NULL: none is. Not all of them */
        const void *userdata;
};

/* -EINVAL, naming the parameter that is out of its range. */
int sampler_init(struct sampler *ret_sampler, const struct mulm_sampling *sampling, struct mulm_error *error);

/* `recent` are the tokens before, oldest first; `scratch` has room for n_logits candidates. */
uint32_t sampler_pick(struct sampler *sampler, const float *logits, size_t n_logits, const uint32_t *recent,
                      size_t n_recent, struct sampler_candidate *scratch);
