/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Generation token by token: the token taken last is evaluated when the next one is asked for, so the last one costs
 * nothing. Any special token ends the text.
 */
#include <errno.h>

#include "libmulm/base/macro.h"
#include "libmulm/error.h"
#include "libmulm/session.h"

int generator_begin(struct mulm_session *session, const struct mulm_sampling *sampling, struct mulm_error *error)
{
        struct generator *generator = &session->generator;
        struct sampler sampler;
        int r;

        r = sampler_init(&sampler, sampling, error);
        if (r < 0)
                return r;
        r = session_ensure_logits(session, error);
        if (r < 0)
                return r;

        generator->sampler = sampler;
        generator->pending = VOCAB_NO_TOKEN;
        generator->n_prompt = session->n_tokens;
        generator->n_draft = generator->n_agreed = 0;
        generator->outcome = 0;
        generator->detok = DETOK_NULL;
        generator->is_active = true;
        return 0;
}

/* The pending token becomes part of the cache: at no cost where it was drafted, else by one evaluation, and with it
 * that of what may come next. */
static int evaluate_pending(struct mulm_session *session)
{
        struct generator *generator = &session->generator;
        uint32_t token = generator->pending;
        size_t n_room = session->kv.n_context - session->n_tokens;

        if (generator->n_agreed < generator->n_draft && generator->draft[generator->n_agreed] == token) {
                session_agree(session, token, ++generator->n_agreed);
                return 0;
        }
        generator->n_draft = generator->n_agreed = 0;
        if (n_room > 1 && session->has_lookup) {
                session->tokens[session->n_tokens] = token;
                generator->n_draft =
                        lookup_draft(session->model->vocab, session->tokens, generator->n_prompt,
                                     session->n_tokens + 1, MIN(n_room - 1, (size_t)LOOKUP_MAX), generator->draft);
        }
        if (generator->n_draft == 0)
                return session_append(session, token);
        return session_append_draft(session, token, generator->draft, generator->n_draft);
}

int generator_next(struct mulm_session *session, uint32_t *ret_token, float *ret_probability)
{
        struct generator *generator = &session->generator;
        const char *bytes;
        size_t n_bytes;
        uint32_t token;
        int r;

        if (generator->outcome)
                return generator->outcome;
        if (generator->pending != VOCAB_NO_TOKEN && evaluate_pending(session) < 0)
                return generator->outcome = MULM_GENERATE_FULL;
        generator->pending = VOCAB_NO_TOKEN;

        token = sampler_pick(&generator->sampler, session->logits, session->model->n_vocabulary, session->tokens,
                             session->n_tokens, session->candidates);
        if (vocab_is_end(session->model->vocab, token) || vocab_is_special(session->model->vocab, token))
                return generator->outcome = MULM_GENERATE_END;

        buf_clear(&generator->text);
        vocab_bytes(session->model->vocab, token, &bytes, &n_bytes);
        r = detok_feed(&generator->detok, bytes, n_bytes, &generator->text);
        if (r < 0)
                return r;
        generator->pending = token;
        *ret_token = token;
        *ret_probability = session_probability(session, token);
        return MULM_GENERATE_PIECE;
}

int mulm_generate_begin(mulm_session *session, const struct mulm_sampling *sampling, struct mulm_error *error)
{
        int r;

        r = generator_begin(session, sampling, error);
        if (r < 0)
                return r;
        session->opener.is_active = false;
        session->is_fresh = false;
        return 0;
}

int mulm_generate_next(mulm_session *session, struct mulm_piece *ret_piece, struct mulm_error *error)
{
        struct mulm_piece piece;
        int r;

        if (!session->generator.is_active || session->opener.is_active)
                return error_set(error, -EINVAL, "generation was not begun");
        r = generator_next(session, &piece.token, &piece.probability);
        if (r < 0)
                return error_no_memory(error);
        if (r != MULM_GENERATE_PIECE)
                return r;

        piece.text = buf_string(&session->generator.text);
        piece.n_text = session->generator.text.n;
        *ret_piece = piece;
        return MULM_GENERATE_PIECE;
}
