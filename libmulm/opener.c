/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The first words of a reply, one whole word at a time.
 *
 * A word is whole once it is known what follows it: a token that begins with a blank or with a character of a script
 * without blanks begins the next one, everything else (the rest of a name, a comma) belongs to the one at hand. So
 * the first word is out one decode step after the prompt. A newline ends an opener as the end of the reply does: what
 * comes after it is a list, a heading, another thought. A word of more than WORD_MAX bytes is handed out as it is, so
 * that a model caught in a loop cannot hold the caller.
 *
 * At its end the session keeps the tokens of the words that were said and no others.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"
#include "libmulm/error.h"
#include "libmulm/session.h"

#define WORD_MAX 128 /* bytes */

/* The text of one token or, where that ends inside a character, of as many as complete it. */
struct chunk {
        const char *text;
        size_t n_text, n_tokens;
        float probability;
};

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

/* Scripts that put no blanks between words: each token of them counts as one. */
static bool is_ideographic(uint32_t code_point)
{
        return (code_point >= 0x3040 && code_point <= 0x30ff) || /* Hiragana, Katakana */
               (code_point >= 0x3400 && code_point <= 0x4dbf) || /* CJK extension A */
               (code_point >= 0x4e00 && code_point <= 0x9fff) || /* CJK */
               (code_point >= 0xf900 && code_point <= 0xfaff) || /* CJK compatibility */
               (code_point >= 0x20000 && code_point <= 0x323af); /* CJK extensions B to H */
}

static bool chunk_begins_word(const struct chunk *chunk)
{
        uint32_t code_point;

        return is_blank(chunk->text[0]) ||
               (utf8_decode(chunk->text, chunk->n_text, &code_point) > 0 && is_ideographic(code_point));
}

static bool is_visible(const struct buf *word)
{
        for (size_t i = 0; i < word->n; i++)
                if (!is_blank(word->data[i]))
                        return true;
        return false;
}

/* The next chunk, cut at a newline; sets opener.has_ended where it is the last. Its text may be empty then. */
static int take_chunk(struct mulm_session *session, struct chunk *ret_chunk)
{
        struct opener *opener = &session->opener;
        struct chunk chunk = { .probability = 1.0f, .text = "" };

        while (chunk.n_text == 0) {
                float probability;
                uint32_t token;
                int r;

                r = generator_next(session, &token, &probability);
                if (r < 0 || r == MULM_GENERATE_FULL)
                        return r;
                if (r == MULM_GENERATE_END) {
                        opener->has_ended = true;
                        break;
                }
                chunk.probability *= probability;
                chunk.n_tokens++;
                chunk.text = buf_string(&session->generator.text);
                chunk.n_text = session->generator.text.n;
        }

        for (size_t i = 0; i < chunk.n_text; i++)
                if (chunk.text[i] == '\n' || chunk.text[i] == '\r') {
                        chunk.n_text = i;
                        opener->has_ended = true;
                }
        *ret_chunk = chunk;
        return MULM_GENERATE_PIECE;
}

static int add_chunk(struct mulm_session *session, const struct chunk *chunk)
{
        struct opener *opener = &session->opener;
        int r;

        if (opener->word.n == 0) {
                opener->probability = 1.0f;
                /* The chunk's last token is not in the cache yet. */
                opener->n_before = session->n_tokens + 1 - chunk->n_tokens;
        }
        r = buf_add(&opener->word, chunk->text, chunk->n_text);
        if (r < 0)
                return r;
        opener->probability *= chunk->probability;
        return 0;
}

static int finish(struct mulm_session *session, int outcome)
{
        struct opener *opener = &session->opener;

        if (opener->word.n > 0)
                session_truncate(session, opener->n_before);
        buf_clear(&opener->word);
        return opener->outcome = outcome;
}

static bool is_unsure(const struct opener *opener)
{
        return opener->n_said >= opener->options.min_words && opener->probability < opener->options.confidence;
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

/* Bytes of the word to be avoided that `text` goes on with behind the first n of them; blanks in front of the word
 * do not count. SIZE_MAX where it leads elsewhere. */
static size_t follow_avoided(const char *avoid, size_t n, const char *text, size_t n_text)
{
        for (size_t i = 0; i < n_text; i++) {
                if (n == 0 && is_blank(text[i]))
                        continue;
                if (lower(text[i]) != lower(avoid[n]))
                        return SIZE_MAX;
                n++;
        }
        return n;
}

/* For the sampler, before the first word: with this token the word could become the one to be avoided. */
static bool leads_to_avoided(const void *userdata, uint32_t token)
{
        const struct mulm_session *session = userdata;
        const struct opener *opener = &session->opener;
        size_t n = follow_avoided(opener->avoid, 0, buf_string(&opener->word), opener->word.n), n_bytes;
        const char *bytes;

        if (n == SIZE_MAX)
                return false;
        vocab_bytes(session->model->vocab, token, &bytes, &n_bytes);
        n = follow_avoided(opener->avoid, n, bytes, n_bytes);
        return n > 0 && n < SIZE_MAX;
}

/* Hands out the word at hand, or ends the opener in front of it. */
static int say(struct mulm_session *session, struct mulm_word *ret_word)
{
        struct opener *opener = &session->opener;
        struct buf word = opener->word;
        size_t n_blanks = 0;

        if (is_unsure(opener))
                return finish(session, MULM_OPENER_UNSURE);

        while (session->is_fresh && n_blanks < word.n && is_blank(word.data[n_blanks]))
                n_blanks++;
        buf_drop_front(&word, n_blanks);
        opener->word = opener->said;
        opener->said = word;
        buf_clear(&opener->word);
        opener->n_said++;
        session->generator.sampler.is_banned = NULL;
        session->is_fresh = false;

        *ret_word = (struct mulm_word){ .text = word.data, .n_text = word.n, .probability = opener->probability };
        return MULM_OPENER_WORD;
}

/* The end of the reply: its last word is whole. */
static int say_last(struct mulm_session *session, struct mulm_word *ret_word)
{
        if (is_visible(&session->opener.word))
                return say(session, ret_word);
        return finish(session, MULM_OPENER_END);
}

int mulm_opener_begin(mulm_session *session, const struct mulm_opener_options *options, struct mulm_error *error)
{
        struct opener *opener = &session->opener;
        int r;

        if (options->min_words > options->max_words)
                return error_set(error, -EINVAL, "min_words %u is more than max_words %u", options->min_words,
                                 options->max_words);
        if (options->confidence != MULM_CONFIDENCE_OF_MODEL &&
            !(options->confidence >= 0.0f && options->confidence <= 1.0f))
                return error_set(error, -EINVAL, "confidence %g is not in [0, 1]", (double)options->confidence);
        if (options->avoid && strlen(options->avoid) > MULM_AVOID_MAX)
                return error_set(error, -EINVAL, "the word to be avoided has %zu bytes, more than %d",
                                 strlen(options->avoid), MULM_AVOID_MAX);
        r = generator_begin(session, &options->sampling, error);
        if (r < 0)
                return r;

        (void)snprintf(opener->avoid, sizeof(opener->avoid), "%s", options->avoid ? options->avoid : "");
        if (*opener->avoid) {
                session->generator.sampler.is_banned = leads_to_avoided;
                session->generator.sampler.userdata = session;
        }
        opener->options = *options;
        opener->options.avoid = NULL; /* the caller's, copied */
        if (options->confidence == MULM_CONFIDENCE_OF_MODEL)
                opener->options.confidence = session->model->confidence;
        opener->outcome = 0;
        opener->n_said = 0;
        opener->has_ended = false;
        buf_clear(&opener->word);
        opener->is_active = true;
        return 0;
}

int mulm_opener_next(mulm_session *session, struct mulm_word *ret_word, struct mulm_error *error)
{
        struct opener *opener = &session->opener;

        if (!opener->is_active)
                return error_set(error, -EINVAL, "no opener was begun");
        if (opener->outcome)
                return opener->outcome;
        if (opener->n_said >= opener->options.max_words)
                return finish(session, MULM_OPENER_LIMIT);

        while (!opener->has_ended) {
                struct chunk chunk;
                int r, said = 0;

                /* More tokens cannot make it more probable: do not evaluate them. */
                if (opener->word.n > 0 && is_unsure(opener))
                        return finish(session, MULM_OPENER_UNSURE);
                r = take_chunk(session, &chunk);
                if (r < 0)
                        return error_no_memory(error);
                if (r == MULM_GENERATE_FULL)
                        return finish(session, MULM_OPENER_FULL);
                if (chunk.n_text == 0)
                        break;

                if (chunk_begins_word(&chunk) && is_visible(&opener->word)) {
                        said = say(session, ret_word);
                        if (said != MULM_OPENER_WORD)
                                return said;
                }
                if (add_chunk(session, &chunk) < 0)
                        return error_no_memory(error);
                if (said)
                        return said;
                if (opener->word.n >= WORD_MAX)
                        return say(session, ret_word);
        }
        return say_last(session, ret_word);
}
