/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Both sides are folded to words in small letters with one blank between them; a candidate is any word of what was
 * said at which the stream may have begun to repeat it. See echo.h.
 */
#include "daemon/core/echo.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/letter.h"
#include "libmulm/base/utf8.h"

#define WRAPPERS_MAX 8 /* quotes, asterisks and dots before a repetition */

/* Evidence that a repetition is no chance; see echo.h. */
#define EVIDENCE_UNSPACED 1
#define EVIDENCE_WORD     2
#define EVIDENCE_ALL      2
#define EVIDENCE_TAIL     3

/* Folds text to words, a code point at a time. */
struct fold {
        struct buf *words;
        bool in_word;    /* the next letter belongs to the last word */
        uint32_t joiner; /* came after a letter; part of the word if a letter follows */
};

static int fold_add(struct fold *fold, uint32_t c)
{
        char bytes[4];

        return buf_add(fold->words, bytes, utf8_encode(c, bytes));
}

static int fold_code_point(struct fold *fold, uint32_t c)
{
        int r = 0;

        if (!letter_is_word(c)) {
                if (fold->in_word && fold->joiner == 0 && letter_is_joiner(c))
                        fold->joiner = c == '-' || c == 0x2010 || c == 0x2011 ? '-' : '\'';
                else
                        fold->in_word = false;
                return 0;
        }

        if (fold->in_word && !letter_is_unspaced(c)) {
                if (fold->joiner != 0)
                        r = fold_add(fold, fold->joiner);
        } else if (fold->words->n > 0)
                r = fold_add(fold, ' ');
        fold->joiner = 0;
        fold->in_word = !letter_is_unspaced(c);
        return r < 0 ? r : fold_add(fold, letter_lower(c));
}

bool echo_is_never_doubled(const char *word, size_t n)
{
        /* Not "that", "had", "it", "you", "die", "nous": these are doubled by good grammar. */
        static const char *const words[] = {
                "is",   "are", "was",  "were",  "the", "a",   "an",   "of",   "to",  "and",  "for",
                "with", "at",  "by",   "from",  "or",  "as",  "be",   "than", "ist", "sind", "war",
                "und",  "ein", "eine", "einen", "von", "est", "sont", "et",   "le",  "les",  "un",
                "une",  "des", "du",   "de",    "es",  "el",  "los",  "las",  "una", "del",  "y",
        };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strlen(words[i]) == n && memcmp(words[i], word, n) == 0)
                        return true;
        return false;
}

int echo_set_said(struct echo *echo, const char *said, size_t n)
{
        struct fold fold = { .words = &echo->said };
        size_t length;
        int r;

        buf_clear(&echo->said);
        for (size_t i = 0; i < n; i += length) {
                uint32_t c = letter_at(said, n, i, &length);

                r = fold_code_point(&fold, c);
                if (r < 0)
                        return r;
                if (!letter_is_blank(c))
                        echo->ends_in_word = letter_is_word(c);
        }
        return 0;
}

void echo_done(struct echo *echo)
{
        buf_done(&echo->said);
        *echo = ECHO_NULL;
}

/* Would the words of what was said from `start` on, repeated, be an echo? `bare`: with nothing before them. */
static bool is_repetition(const struct echo *echo, size_t start, bool bare)
{
        const char *words = echo->said.data + start;
        size_t n = echo->said.n - start, length;
        unsigned evidence = 0, n_words = 0;

        for (size_t i = 0; i < n; i += length) {
                uint32_t c = letter_at(words, n, i, &length);

                if (i > 0 && words[i - 1] != ' ')
                        continue;
                evidence += letter_is_unspaced(c) ? EVIDENCE_UNSPACED : EVIDENCE_WORD;
                n_words++;
        }
        if (evidence >= (start == 0 ? EVIDENCE_ALL : EVIDENCE_TAIL))
                return true;
        return n_words == 1 && bare && echo->ends_in_word && echo_is_never_doubled(words, n);
}

/* The same, or one word that may have been cut and is long enough. */
static bool is_evidence(const struct echo *echo, size_t start, bool bare)
{
        size_t n = echo->said.n - start;

        if (echo->may_be_cut && n >= ECHO_CUT_MIN && !memchr(echo->said.data + start, ' ', n))
                return true;
        return is_repetition(echo, start, bare);
}

/* The stream's head, folded. */
struct head {
        const struct buf *words;
        size_t n_before;    /* bytes of words before its last code point */
        bool word_is_whole; /* the last one */
        bool bare;          /* nothing stands before the first one */
};

struct found {
        bool live;  /* a candidate may still match */
        bool whole; /* one matches up to here */
        bool cut;   /* one matched up to the last code point, which goes on with the cut word */
};

/* What the head says of all candidates. */
static struct found match(const struct echo *echo, const struct head *head)
{
        const struct buf *words = head->words;
        struct found found = { 0 };

        for (size_t start = 0; start < echo->said.n; start++) {
                const char *said = echo->said.data + start;
                size_t n = echo->said.n - start;

                if (start > 0 && said[-1] != ' ')
                        continue;
                if (memcmp(said, words->data, MIN(n, words->n)) != 0 || !is_evidence(echo, start, head->bare))
                        continue;
                if (words->n > n) {
                        found.cut |=
                                echo->may_be_cut && n >= ECHO_CUT_MIN && head->n_before == n && words->data[n] != ' ';
                        continue;
                }
                if (words->n < n && head->word_is_whole && said[words->n] != ' ')
                        continue;
                /* One alone that is not of the list repeats nothing but a word that was cut. */
                if (words->n == n && head->word_is_whole)
                        found.whole |= is_repetition(echo, start, head->bare);
                else
                        found.live = true;
        }
        return found;
}

static bool is_wrapper(uint32_t c)
{
        static const uint32_t wrappers[] = { '"',    '\'', '*',    '_',    '`',    '~',    '#',
                                             '>',    '.',  0x2026, 0x201c, 0x201d, 0x201e, 0x2018,
                                             0x2019, 0xab, 0xbb,   0x300c, 0x300d, 0x300e, 0x300f };

        for (size_t i = 0; i < ARRAY_SIZE(wrappers); i++)
                if (wrappers[i] == c)
                        return true;
        return false;
}

/* Behind a repetition: dots that only say "and so on", and what closes the wrappers before it, with the punctuation
 * inside. True and the offset where new text begins, or false when that is not yet seen. */
static bool skip_closing(const char *text, size_t n, size_t offset, unsigned n_wrappers, bool ended,
                         size_t *ret_offset)
{
        size_t end = offset, i = offset, length;
        unsigned n_dots = 0, n_closers = 0;
        uint32_t c;

        while ((c = letter_at(text, n, i, &length)) != 0 && letter_is_mark(c)) {
                n_dots = c == '.' ? n_dots + 1 : c == 0x2026 ? 2 : 0;
                i += length;
                if (n_dots >= 2)
                        end = i;
        }
        while ((c = letter_at(text, n, i, &length)) != 0 && n_closers < n_wrappers && is_wrapper(c)) {
                n_closers++;
                i += length;
                end = i;
        }
        *ret_offset = end;
        return i < n || ended;
}

int echo_judge(const struct echo *echo, const char *text, size_t n, bool ended, enum echo_verdict *ret_verdict,
               size_t *ret_skip)
{
        _cleanup_(buf_done) struct buf words = BUF_NULL;
        struct fold fold = { .words = &words };
        struct head head = { .words = &words };
        struct found found = { .live = echo->said.n > 0 };
        size_t word_end = 0, before, echo_end = 0, length;
        unsigned n_wrappers = 0;
        int r;

        *ret_verdict = ECHO_VERDICT_FRESH;
        for (size_t i = 0; i < n && found.live; i += length) {
                uint32_t c = letter_at(text, n, i, &length);

                if (words.n == 0 && !letter_is_word(c) && !letter_is_blank(c)) {
                        if (!is_wrapper(c) || ++n_wrappers > WRAPPERS_MAX)
                                return 0;
                        continue;
                }
                head.n_before = words.n;
                r = fold_code_point(&fold, c);
                if (r < 0)
                        return r;
                if (words.n == 0)
                        continue;
                before = word_end;
                if (letter_is_word(c))
                        word_end = i + length;
                head.word_is_whole = !fold.in_word;
                head.bare = n_wrappers == 0;
                found = match(echo, &head);
                if (found.whole)
                        echo_end = word_end;
                else if (found.cut)
                        echo_end = before;
        }

        if (found.live && ended && words.n > 0) {
                head.word_is_whole = true;
                found = match(echo, &head);
                if (found.whole)
                        echo_end = word_end;
                found.live = false;
        }
        if (found.live && !ended)
                *ret_verdict = ECHO_VERDICT_OPEN;
        else if (echo_end > 0)
                *ret_verdict = skip_closing(text, n, echo_end, n_wrappers, ended, ret_skip) ? ECHO_VERDICT_ECHO
                                                                                            : ECHO_VERDICT_OPEN;
        return 0;
}
