/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A KV cache with the tokens it stands for, and the common prefix that makes the next evaluation short: the head of
 * the chat template, evaluated when the session begins, the conversation so far, and the words of an opener that the
 * reply then goes on from.
 */
#include "libmulm/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "libmulm/bpe.h"
#include "libmulm/error.h"

#define DEFAULT_MAX_THREADS 4

/* Longest word of an opener, and room for it made beforehand. */
#define TEXT_RESERVE 512

static uint32_t default_threads(void)
{
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        return n < 1 ? 1 : (uint32_t)MIN(n, (long)DEFAULT_MAX_THREADS);
}

static size_t common_prefix(const struct mulm_session *session, const uint32_t *tokens, size_t n_tokens)
{
        size_t n = 0;

        while (n < n_tokens && n < session->n_tokens && session->tokens[n] == tokens[n])
                n++;
        return n;
}

static int check_tokens(const struct mulm_session *session, const uint32_t *tokens, size_t n_tokens,
                        struct mulm_error *error)
{
        if (n_tokens == 0)
                return error_set(error, -EINVAL, "no tokens to evaluate");
        if (n_tokens > session->kv.n_context)
                return error_set(error, -E2BIG, "%zu tokens are more than the context of %u", n_tokens,
                                 session->kv.n_context);
        for (size_t i = 0; i < n_tokens; i++)
                if (tokens[i] >= session->model->n_vocabulary)
                        return error_set(error, -EINVAL, "token %u at %zu is none of the %u in the vocabulary",
                                         tokens[i], i, session->model->n_vocabulary);
        return 0;
}

static void set_logits(struct mulm_session *session, const float *logits)
{
        session->logits = logits;
        session->has_logits = true;
}

void session_set_tokens(struct mulm_session *session, const uint32_t *tokens, size_t n_tokens, bool in_batch)
{
        size_t n_common = common_prefix(session, tokens, n_tokens);

        session->generator.is_active = false;
        session->opener.is_active = false;
        session->is_fresh = false;
        session->n_reused = n_common;
        session_truncate(session, n_common);
        if (n_common == n_tokens && session->has_logits)
                return;
        n_common = MIN(n_common, n_tokens - 1); /* the last one again, for its logits */

        memcpy(session->tokens + n_common, tokens + n_common, (n_tokens - n_common) * sizeof(*tokens));
        if (n_tokens - n_common == 1 && !in_batch)
                decode_token(session->decode, tokens[n_common], (uint32_t)n_common);
        else
                prefill_tokens(session->prefill, session->tokens + n_common, (uint32_t)(n_tokens - n_common),
                               (uint32_t)n_common);
        session->n_tokens = n_tokens;
        set_logits(session, decode_logits(session->decode));
}

int mulm_session_evaluate(mulm_session *session, const uint32_t *tokens, size_t n_tokens, struct mulm_error *error)
{
        int r;

        r = check_tokens(session, tokens, n_tokens, error);
        if (r < 0)
                return r;
        session_set_tokens(session, tokens, n_tokens, false);
        session->turn.is_open = false;
        return 0;
}

int mulm_session_chat(mulm_session *session, const struct mulm_message *messages, size_t n_messages,
                      const char *prefix, size_t n_prefix, struct mulm_error *error)
{
        const mulm_model *model = session->model;
        int r;

        if (!model->chat_template)
                return error_set(error, -ENOTSUP, "the model file has no chat template that is known here");
        session->rendered.n = 0;
        r = chat_template_render(model->chat_template, model->vocab, messages, n_messages, prefix, n_prefix,
                                 &session->rendered, error);
        if (r < 0)
                return r;
        r = mulm_session_evaluate(session, session->rendered.tokens, session->rendered.n, error);
        if (r < 0)
                return r;
        session->is_fresh = n_prefix == 0;
        return 0;
}

int session_append(struct mulm_session *session, uint32_t token)
{
        if (session->n_tokens == session->kv.n_context)
                return -E2BIG;
        decode_token(session->decode, token, (uint32_t)session->n_tokens);
        session->tokens[session->n_tokens++] = token;
        set_logits(session, decode_logits(session->decode));
        return 0;
}

int session_append_draft(struct mulm_session *session, uint32_t token, const uint32_t *draft, size_t n_draft)
{
        uint32_t tokens[PREFILL_CHECK_MAX] = { token };

        if (session->n_tokens + n_draft >= session->kv.n_context)
                return -E2BIG;
        memcpy(tokens + 1, draft, n_draft * sizeof(*draft));
        prefill_check(session->prefill, tokens, (uint32_t)(1 + n_draft), (uint32_t)session->n_tokens);
        session_agree(session, token, 0);
        return 0;
}

void session_agree(struct mulm_session *session, uint32_t token, size_t i)
{
        session->tokens[session->n_tokens++] = token;
        set_logits(session, prefill_logits(session->prefill, (uint32_t)i));
}

void session_truncate(struct mulm_session *session, size_t n_tokens)
{
        if (n_tokens >= session->n_tokens)
                return;
        session->n_tokens = n_tokens;
        session->has_logits = false;
}

int session_ensure_logits(struct mulm_session *session, struct mulm_error *error)
{
        if (session->n_tokens == 0)
                return error_set(error, -EINVAL, "no tokens are evaluated yet");
        if (session->has_logits)
                return 0;
        decode_token(session->decode, session->tokens[session->n_tokens - 1], (uint32_t)(session->n_tokens - 1));
        set_logits(session, decode_logits(session->decode));
        return 0;
}

float session_probability(const struct mulm_session *session, uint32_t token)
{
        const struct kernels *kernels = session->model->kernels;
        const float *logits = session->logits;
        size_t n = session->model->n_vocabulary;

        /* exp(logit - log of the sum), by one more call of the same kernel. */
        return kernels->exp_sum(logits + token, kernels->maximum(logits, n), 1) /
               kernels->exp_sum(logits, kernels->maximum(logits, n), n);
}

const float *mulm_session_logits(const mulm_session *session)
{
        return session->has_logits ? session->logits : NULL;
}

size_t mulm_session_length(const mulm_session *session)
{
        return session->n_tokens;
}

size_t mulm_session_reused(const mulm_session *session)
{
        return session->n_reused;
}

static int evaluate_head(struct mulm_session *session, struct mulm_error *error)
{
        const mulm_model *model = session->model;
        int r;

        if (!model->chat_template)
                return 0;
        r = chat_template_head(model->chat_template, model->vocab, &session->rendered, error);
        if (r < 0)
                return r;
        if (session->rendered.n == 0 || session->rendered.n > session->kv.n_context)
                return 0;
        return mulm_session_evaluate(session, session->rendered.tokens, session->rendered.n, error);
}

static int reserve_text(struct mulm_session *session, struct mulm_error *error)
{
        if (buf_reserve(&session->generator.text, TEXT_RESERVE) < 0 ||
            buf_reserve(&session->opener.word, TEXT_RESERVE) < 0 ||
            buf_reserve(&session->opener.said, TEXT_RESERVE) < 0)
                return error_no_memory(error);
        return 0;
}

static int session_init(struct mulm_session *session, const struct mulm_session_options *options,
                        struct mulm_error *error)
{
        const mulm_model *model = session->model;
        uint32_t n_context = options->n_context;
        int r;

        r = pool_new(&session->pool, options->n_threads, error);
        if (r < 0)
                return r;
        r = kv_init(&session->kv, options->kv, model->n_layers, n_context, model->n_kv_heads * model->head_size,
                    error);
        if (r < 0)
                return r;
        r = decode_new(&session->decode, model, session->pool, &session->kv, error);
        if (r < 0)
                return r;
        r = prefill_new(&session->prefill, model, session->pool, &session->kv, session->decode, options->lookup,
                        error);
        if (r < 0)
                return r;
        session->has_lookup = prefill_can_check(session->prefill);

        session->tokens = malloc(n_context * sizeof(*session->tokens));
        session->candidates = malloc(model->n_vocabulary * sizeof(*session->candidates));
        if (!session->tokens || !session->candidates)
                return error_no_memory(error);
        r = reserve_text(session, error);
        if (r < 0)
                return r;
        return evaluate_head(session, error);
}

int mulm_session_new(mulm_session **ret_session, mulm_model *model, const struct mulm_session_options *options,
                     struct mulm_error *error)
{
        struct mulm_session_options actual = options ? *options : (struct mulm_session_options){ 0 };
        mulm_session *session;
        int r;

        if (actual.n_context == 0)
                actual.n_context = model->n_context;
        if (actual.n_threads == 0)
                actual.n_threads = default_threads();
        if (actual.n_context > model->n_context)
                return error_set(error, -EINVAL,
                                 "a context of %u tokens is more than the %u the model was trained for",
                                 actual.n_context, model->n_context);
        if (actual.n_threads > POOL_MAX_THREADS)
                return error_set(error, -EINVAL, "%u threads are more than %u", actual.n_threads, POOL_MAX_THREADS);

        session = calloc(1, sizeof(*session));
        if (!session)
                return error_no_memory(error);
        session->model = model;
        r = session_init(session, &actual, error);
        if (r < 0) {
                mulm_session_free(session);
                return r;
        }
        *ret_session = session;
        return 0;
}

mulm_session *mulm_session_free(mulm_session *session)
{
        if (!session)
                return NULL;
        turn_done(&session->turn);
        buf_done(&session->opener.said);
        buf_done(&session->opener.word);
        buf_done(&session->generator.text);
        token_list_done(&session->rendered);
        free(session->candidates);
        free(session->tokens);
        prefill_free(session->prefill);
        decode_free(session->decode);
        kv_done(&session->kv);
        pool_free(session->pool);
        free(session);
        return NULL;
}
