/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Three questions in a row: what to skip, whether the capital stays, whether a blank is needed. Each may have to wait
 * for the code points behind. See seam.h.
 */
#include "daemon/core/seam.h"

#include <stdint.h>
#include <string.h>

#include "daemon/core/echo.h"
#include "daemon/core/letter.h"
#include "libmulm/base/macro.h"

enum answer {
        ANSWER_NO,
        ANSWER_YES,
        ANSWER_OPEN, /* depends on what follows */
};

static bool is_any_of(const uint32_t *set, size_t n, uint32_t c)
{
        for (size_t i = 0; i < n; i++)
                if (set[i] == c)
                        return true;
        return false;
}

/* What stands at `offset`: a code point, or 0 behind the end. *ret_open: more text may yet stand there. */
static uint32_t peek(const char *text, size_t n, size_t offset, bool ended, bool *ret_open)
{
        *ret_open = offset >= n && !ended;
        return letter_at(text, n, offset, NULL);
}

static size_t skip_blanks(const char *text, size_t n, size_t offset)
{
        size_t length;

        while (letter_is_blank(letter_at(text, n, offset, &length)))
                offset += length;
        return offset;
}

static size_t trim_blanks(const char *text, size_t n)
{
        size_t length;

        while (letter_is_blank(letter_before(text, n, &length)))
                n -= length;
        return n;
}

static bool is_dash(uint32_t c)
{
        return c >= 0x2012 && c <= 0x2015;
}

/* A mark that adds nothing after `last`: any pause or full stop after any mark, the same mark again, and a dash after
 * a dash. A question or exclamation mark after another mark is meant. */
static bool is_doubled_mark(uint32_t last, uint32_t c)
{
        static const uint32_t weak[] = { ',',   ';',    ':',    '.',    0x60c,  0x61b,
                                         0x6d4, 0x3001, 0x3002, 0xff0c, 0xff1a, 0xff1b };

        if (is_dash(last))
                return is_dash(c);
        return letter_is_mark(last) && letter_is_mark(c) && (c == last || is_any_of(weak, ARRAY_SIZE(weak), c));
}

/* Moves *offset over doubled punctuation and the blanks around it. */
static enum answer skip_doubled_marks(const char *said, size_t n_said, const char *text, size_t n, bool ended,
                                      size_t *offset)
{
        uint32_t last = letter_before(said, trim_blanks(said, n_said), NULL);
        size_t i = *offset, length;
        bool open;
        uint32_t c;

        while (is_doubled_mark(last, letter_at(text, n, i, &length)))
                i += length;
        c = peek(text, n, i, ended, &open);
        if (i > *offset && open)
                return ANSWER_OPEN;

        /* " .NET", " .5": no mark but the beginning of a word. */
        if (i == *offset || (letter_is_word(c) && *offset > 0 && letter_at(text, n, *offset, NULL) == '.' &&
                             letter_is_blank(letter_before(text, *offset, NULL))))
                return ANSWER_NO;
        *offset = skip_blanks(text, n, i);
        return *offset >= n && !ended ? ANSWER_OPEN : ANSWER_YES;
}

static bool ends_sentence(const char *said, size_t n_said)
{
        static const uint32_t closers[] = {
                '"', '\'', ')', ']', '*', '_', 0x201d, 0x2019, 0xbb, 0xab, 0x300d, 0x300f
        };
        size_t n = trim_blanks(said, n_said), length;

        if (memchr(said + n, '\n', n_said - n))
                return true;
        while (is_any_of(closers, ARRAY_SIZE(closers), letter_before(said, n, &length)))
                n -= length;
        return n == 0 || letter_ends_sentence(letter_before(said, n, NULL));
}

struct function_word {
        const char *word;
        bool is_article; /* part of a name where a capital follows: "The Hague", "La Paz" */
};

/* Words that have a capital only because a sentence begins with them. Closed: names, acronyms, "I" and German nouns
 * are out of reach. */
static const struct function_word function_words[] = {
        { "The", true },    { "A", true },        { "An", true },     { "It", false },    { "This", false },
        { "That", false },  { "These", false },   { "Those", false }, { "There", false }, { "Here", false },
        { "He", false },    { "She", false },     { "They", false },  { "We", false },    { "You", false },
        { "Its", false },   { "His", false },     { "Her", false },   { "Their", false }, { "Your", false },
        { "Our", false },   { "My", false },      { "And", false },   { "But", false },   { "Or", false },
        { "So", false },    { "Because", false }, { "If", false },    { "When", false },  { "Where", false },
        { "Which", false }, { "While", false },   { "What", false },  { "Who", false },   { "How", false },
        { "Is", false },    { "Are", false },     { "Was", false },   { "Were", false },  { "In", false },
        { "On", false },    { "At", false },      { "Of", false },    { "To", false },    { "For", false },
        { "From", false },  { "With", false },    { "By", false },    { "As", false },    { "About", false },
        { "Not", false },   { "Usually", false }, { "Der", true },    { "Die", true },    { "Das", true },
        { "Ein", false },   { "Eine", false },    { "Und", false },   { "Es", false },    { "Ist", false },
        { "Im", false },    { "Le", true },       { "La", true },     { "Les", true },    { "Un", true },
        { "Une", true },    { "Et", false },      { "Est", false },   { "Il", true },     { "El", true },
        { "Los", true },    { "Las", true },      { "Una", true },    { "En", false },
};

/* "A" may be a grade, a vitamin, a note: an article only after a word that wants one. */
static bool wants_article(const char *said, size_t n_said)
{
        size_t end = trim_blanks(said, n_said), start = end;

        while (start > 0 && said[start - 1] >= 'a' && said[start - 1] <= 'z')
                start--;
        return echo_is_never_doubled(said + start, end - start);
}

static enum answer is_stray_article(const char *said, size_t n_said, const char *text, size_t n, bool ended,
                                    size_t start, size_t end)
{
        size_t next = skip_blanks(text, n, end);
        bool open;
        uint32_t c = peek(text, n, next, ended, &open);

        if (open)
                return ANSWER_OPEN;
        if (next == end || !letter_is_word(c) || letter_lower(c) != c)
                return ANSWER_NO;
        if (end - start == 1 && !wants_article(said, n_said))
                return ANSWER_NO;
        return ANSWER_YES;
}

static enum answer is_stray_capital(const char *said, size_t n_said, const char *text, size_t n, bool ended,
                                    size_t start)
{
        enum answer answer = ANSWER_NO;
        size_t end = start;
        bool open;
        uint32_t c;

        if (ends_sentence(said, n_said))
                return ANSWER_NO;
        while (end < n && text[end] >= 'A' && letter_is_word((unsigned char)text[end]) && !(text[end] & 0x80))
                end++;
        c = peek(text, n, end, ended, &open);
        for (size_t i = 0; i < ARRAY_SIZE(function_words) && end > start; i++) {
                const char *word = function_words[i].word;

                if (strncmp(word, text + start, end - start) != 0)
                        continue;
                if (open)
                        answer = ANSWER_OPEN;
                else if (word[end - start] == '\0' && !letter_is_word(c))
                        return function_words[i].is_article
                                       ? is_stray_article(said, n_said, text, n, ended, start, end)
                                       : ANSWER_YES;
        }
        return answer;
}

/* "'s" and its like after a word, rather than an opening quote. */
static enum answer is_contraction(const char *text, size_t n, bool ended, size_t offset)
{
        static const char *const endings[] = { "s", "t", "d", "m", "re", "ve", "ll" };
        enum answer answer = ANSWER_NO;
        bool open;
        uint32_t c;

        for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
                size_t length = strlen(endings[i]), here = MIN(length, n - offset);

                if (strncmp(endings[i], text + offset, here) != 0)
                        continue;
                c = peek(text, n, offset + length, ended, &open);
                if (open)
                        answer = ANSWER_OPEN;
                else if (here == length && !letter_is_word(c))
                        return ANSWER_YES;
        }
        return answer;
}

static bool has_open_quote(const char *said, size_t n_said)
{
        bool open = false;

        for (size_t i = 0; i < n_said; i++)
                open ^= said[i] == '"';
        return open;
}

/* Text may follow this directly: an opening bracket or quote, a joined hyphen, an elided article ("l'"). */
static bool wants_no_blank_after(const char *said, size_t n_said, uint32_t last)
{
        static const uint32_t tight[] = { '(',  '[',  '{',  '$',    '#',    '@',    '/',    '\'',   '-',    0xa1,
                                          0xbf, 0xa3, 0xab, 0x2014, 0x2018, 0x2019, 0x201c, 0x201e, 0x20ac, 0x300c };

        if (last == '"')
                return has_open_quote(said, n_said);
        return is_any_of(tight, ARRAY_SIZE(tight), last);
}

/* Text that begins with this, at `offset`, stands tight behind the word before it. */
static enum answer is_tight(const char *said, size_t n_said, const char *text, size_t n, bool ended, size_t offset)
{
        static const uint32_t tight[] = { ',',    '.',  ';',   ':',   '!',   '?',    ')',    ']',
                                          '}',    '%',  '/',   0xb0,  0xbb,  0x2026, 0x201d, 0x2014,
                                          0x2122, 0xae, 0x60c, 0x61b, 0x61f, 0x6d4,  0x964 };
        size_t length;
        uint32_t c = letter_at(text, n, offset, &length);
        bool open;

        if (is_any_of(tight, ARRAY_SIZE(tight), c) || (c >= 0x300 && c <= 0x36f))
                return ANSWER_YES;
        if (c == '"')
                return has_open_quote(said, n_said) ? ANSWER_YES : ANSWER_NO;
        if (c == '\'' || c == 0x2019)
                return is_contraction(text, n, ended, offset + length);
        if (c == '-' || c == 0x2013) {
                uint32_t next = peek(text, n, offset + length, ended, &open);

                return open ? ANSWER_OPEN : letter_is_word(next) ? ANSWER_YES : ANSWER_NO;
        }
        return ANSWER_NO;
}

/* The new text has a blank of its own: is it wanted? Not in front of a comma or full stop, nor within a script that
 * has none. (French has one in front of the higher marks.) */
static enum answer keeps_blank(uint32_t last, const char *text, size_t n, bool ended, size_t offset)
{
        static const uint32_t low[] = { ',', 0x60c, 0x3001, 0x3002, 0xff0c };
        size_t length;
        uint32_t c = letter_at(text, n, offset, &length);
        bool open;

        if (is_any_of(low, ARRAY_SIZE(low), c) || (letter_is_unspaced(last) && letter_is_unspaced(c)))
                return ANSWER_NO;
        if (c == '.') {
                uint32_t next = peek(text, n, offset + length, ended, &open);

                return open ? ANSWER_OPEN : letter_is_word(next) || next == '.' ? ANSWER_YES : ANSWER_NO;
        }
        return ANSWER_YES;
}

static enum answer needs_blank(const char *said, size_t n_said, const char *text, size_t n, bool ended, size_t offset,
                               bool has_blank)
{
        uint32_t last = letter_before(said, n_said, NULL), c = letter_at(text, n, offset, NULL);
        enum answer tight;

        if (letter_is_blank(last) || c == 0)
                return ANSWER_NO;
        if (has_blank)
                return keeps_blank(last, text, n, ended, offset);
        if (letter_is_unspaced(last) || letter_is_unspaced(c) || wants_no_blank_after(said, n_said, last))
                return ANSWER_NO;
        tight = is_tight(said, n_said, text, n, ended, offset);
        return tight == ANSWER_OPEN ? ANSWER_OPEN : tight == ANSWER_YES ? ANSWER_NO : ANSWER_YES;
}

bool seam_decide(const char *said, size_t n_said, const char *text, size_t n, bool ended, struct seam *ret_seam)
{
        size_t offset = skip_blanks(text, n, 0);
        bool has_blank = offset > 0;
        enum answer marks, lower, blank;

        if (offset >= n && !ended)
                return false;
        if (n_said == 0) {
                *ret_seam = (struct seam){ .skip = offset };
                return true;
        }

        marks = skip_doubled_marks(said, n_said, text, n, ended, &offset);
        if (marks == ANSWER_OPEN)
                return false;
        has_blank = marks == ANSWER_YES ? letter_is_blank(letter_before(text, offset, NULL)) : has_blank;
        lower = is_stray_capital(said, n_said, text, n, ended, offset);
        blank = needs_blank(said, n_said, text, n, ended, offset, has_blank);
        if (lower == ANSWER_OPEN || blank == ANSWER_OPEN)
                return false;
        *ret_seam = (struct seam){ .skip = offset, .blank = blank == ANSWER_YES, .lower = lower == ANSWER_YES };
        return true;
}
