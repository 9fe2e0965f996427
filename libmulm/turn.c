/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A user's turn that is evaluated while the person still talks.
 *
 * What comes next may join the last tokens (a word goes on, a blank finds its word), and a revision may change any of
 * them. So each piece is evaluated as if the turn ended with it: with the closing of the turn and the opening of the
 * reply, in one batch behind the longest common prefix with what was evaluated before. When the turn then does end,
 * nothing is left to do. The price is that each piece evaluates the last word and the five tokens of the template
 * again, together no more than a few decode steps, while the person talks.
 *
 * Always in batches, whose numbers do not depend on where one ends and the next begins, so that the keys and values
 * are those of the whole text evaluated at once.
 */
#include <errno.h>

#include "libmulm/base/utf8.h"
#include "libmulm/error.h"
#include "libmulm/session.h"
#include "libmulm/template.h"

void turn_done(struct turn *turn)
{
        buf_done(&turn->text);
        token_list_done(&turn->tokens);
}

/* Makes the cache hold the turn with this text, closed, and an opened reply. On failure nothing has changed. */
static int evaluate(struct mulm_session *session, const struct buf *text, struct mulm_error *error)
{
        const mulm_model *model = session->model;
        struct turn *turn = &session->turn;
        int r;

        turn->tokens.n = turn->n_before;
        r = chat_template_turn(model->chat_template, model->vocab, buf_string(text), text->n, &turn->tokens, error);
        if (r < 0)
                return r;
        if (turn->tokens.n > session->kv.n_context)
                return error_set(error, -E2BIG, "%zu tokens are more than the context of %u", turn->tokens.n,
                                 session->kv.n_context);
        session_set_tokens(session, turn->tokens.tokens, turn->tokens.n, true);
        session->is_fresh = true;
        return 0;
}

int mulm_turn_begin(mulm_session *session, const struct mulm_message *messages, size_t n_messages,
                    struct mulm_error *error)
{
        const mulm_model *model = session->model;
        struct turn *turn = &session->turn;
        int r;

        turn->is_open = false;
        if (!model->chat_template)
                return error_set(error, -ENOTSUP, "the model file has no chat template that is known here");
        turn->tokens.n = 0;
        r = chat_template_before(model->chat_template, model->vocab, messages, n_messages, &turn->tokens, error);
        if (r < 0)
                return r;
        turn->n_before = turn->tokens.n;
        buf_clear(&turn->text);
        r = evaluate(session, &turn->text, error);
        if (r < 0)
                return r;
        turn->is_open = true;
        return 0;
}

int mulm_turn_revise(mulm_session *session, size_t n_keep, const char *text, size_t n_text, struct mulm_error *error)
{
        struct turn *turn = &session->turn;
        _cleanup_(buf_done) struct buf revised = BUF_NULL;
        struct buf before;
        size_t offset;
        int r;

        if (!turn->is_open)
                return error_set(error, -EINVAL, "no turn is open");
        if (n_keep > turn->text.n)
                return error_set(error, -EINVAL, "%zu bytes are to be kept of %zu", n_keep, turn->text.n);
        if (!utf8_is_valid(turn->text.data, n_keep, NULL))
                return error_set(error, -EINVAL, "%zu bytes to be kept end inside a character", n_keep);
        if (!utf8_is_valid(text, n_text, &offset))
                return error_set(error, -EBADMSG, "offset %zu of the text: not UTF-8", offset);

        if (buf_add(&revised, turn->text.data, n_keep) < 0 || buf_add(&revised, text, n_text) < 0)
                return error_no_memory(error);
        r = evaluate(session, &revised, error);
        if (r < 0)
                return r;
        before = turn->text;
        turn->text = revised;
        revised = before;
        return 0;
}

int mulm_turn_append(mulm_session *session, const char *text, size_t n_text, struct mulm_error *error)
{
        return mulm_turn_revise(session, session->turn.text.n, text, n_text, error);
}

int mulm_turn_commit(mulm_session *session, struct mulm_error *error)
{
        struct turn *turn = &session->turn;
        int r;

        if (!turn->is_open)
                return error_set(error, -EINVAL, "no turn is open");
        r = evaluate(session, &turn->text, error);
        if (r < 0)
                return r;
        turn->is_open = false;
        return 0;
}
