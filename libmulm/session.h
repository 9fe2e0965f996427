/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What a session consists of, for session.c, generate.c and opener.c. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/buf.h"
#include "libmulm/decode.h"
#include "libmulm/detok.h"
#include "libmulm/kv.h"
#include "libmulm/lookup.h"
#include "libmulm/model.h"
#include "libmulm/pool.h"
#include "libmulm/prefill.h"
#include "libmulm/sampler.h"

/* generate.c: one token after the other. */
struct generator {
        bool is_active;
        int outcome;      /* MULM_GENERATE_END or _FULL once that has come, else 0 */
        uint32_t pending; /* taken, but not yet in the KV cache; VOCAB_NO_TOKEN where there is none */

        size_t n_prompt; /* tokens before the reply, where drafts are looked up */
        uint32_t draft[LOOKUP_MAX];
        size_t n_draft, n_agreed; /* evaluated behind the token that they follow; those that came to be said */

        struct sampler sampler;
        struct detok detok;
        struct buf text; /* of the last piece */
};

/* opener.c: the word being put together, and the one handed out last. */
struct opener {
        bool is_active;
        struct mulm_opener_options options;
        int outcome;     /* that ended it; 0 before */
        uint32_t n_said; /* words */
        bool has_ended;  /* the reply has: what is left is the word at hand */

        struct buf word;
        float probability;
        size_t n_before; /* tokens before the word */

        char avoid[MULM_AVOID_MAX + 1]; /* what the first word is not to be */

        struct buf said;
};

/* turn.c: a user's turn that comes in pieces. */
struct turn {
        bool is_open;
        struct buf text;
        struct token_list tokens; /* of the conversation, n_before of them in front of the turn */
        size_t n_before;
};

void turn_done(struct turn *turn);

struct mulm_session {
        mulm_model *model;
        struct pool *pool;
        struct kv kv;
        struct decode *decode;
        struct prefill *prefill;

        uint32_t *tokens; /* [n_context]: what the KV cache holds, n_tokens of them */
        size_t n_tokens, n_reused;
        bool has_logits;     /* of the last of them */
        const float *logits; /* where they are: decode's or, of a checked draft, prefill's */
        bool has_lookup;
        bool is_fresh; /* the assistant has said nothing yet */

        struct token_list rendered;           /* of a chat */
        struct sampler_candidate *candidates; /* [n_vocabulary] */
        struct generator generator;
        struct opener opener;
        struct turn turn;
};

/* mulm_session_evaluate() for tokens that are known to fit. in_batch: also a single token as batches are, which is in
 * another order than decoding's. */
void session_set_tokens(struct mulm_session *session, const uint32_t *tokens, size_t n_tokens, bool in_batch);

/* Evaluates one more token. -E2BIG. */
int session_append(struct mulm_session *session, uint32_t token);

/* The same together with n_draft <= LOOKUP_MAX tokens that may follow it, which become part of the session one by one
 * as session_agree() says so: the i-th (from 1) of them is `token`. For sessions with has_lookup. -E2BIG. */
int session_append_draft(struct mulm_session *session, uint32_t token, const uint32_t *draft, size_t n_draft);
void session_agree(struct mulm_session *session, uint32_t token, size_t i);

/* Forgets all but the first n_tokens tokens. */
void session_truncate(struct mulm_session *session, size_t n_tokens);

/* Makes sure that there are logits. -EINVAL where no token is evaluated. */
int session_ensure_logits(struct mulm_session *session, struct mulm_error *error);

/* Probability of a token among all, at temperature 1. */
float session_probability(const struct mulm_session *session, uint32_t token);

/* generate.c, for opener.c: takes a token, whose text is then in generator.text. Outcomes of mulm_generate_next(). */
int generator_begin(struct mulm_session *session, const struct mulm_sampling *sampling, struct mulm_error *error);
int generator_next(struct mulm_session *session, uint32_t *ret_token, float *ret_probability);
