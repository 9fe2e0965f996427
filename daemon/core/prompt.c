/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The conversation and the continuator contract. See prompt.h. A template's places are replaced in one pass, so that
 * a question that itself contains "{said}" stays what it is; other braces are plain text.
 */
#include "daemon/core/prompt.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define ANCHOR_WORDS      4
#define ANCHOR_CHARACTERS 40

const char prompt_builtin_system[] =
        "You are the voice of a pair of smart glasses. The person hears or reads your reply while walking,\n"
        "talking or working.\n"
        "Answer in one to three short spoken sentences, in the language of the question, and say the most\n"
        "useful thing first.\n"
        "Write plain text only: no markdown, no lists, no headings, no links, no emoji.\n"
        "The glasses may have begun your reply already. Then go on with that very sentence from exactly where\n"
        "it stops: never start over, never repeat what was said, never greet, never mention this arrangement.\n"
        "Whatever was said, do not call anything wrong or a mistake.";

const char prompt_builtin_mend[] =
        "If the beginning leads the wrong way, mend it in one short spoken phrase, as people do in\n"
        "conversation, and give the right answer.";

#define PIVOT                                                                                                        \
        "If the beginning is a fair start, write only the words that come next. If it leads the wrong way,\n"        \
        "write [[pivot]] first, then one short spoken phrase of at most twelve words that turns the sentence\n"      \
        "around, as people do in conversation, ended by a colon or a full stop, and then the right answer."

const char prompt_builtin_pivot[] = PIVOT;

const char prompt_builtin_replace[] =
        PIVOT "\n"
              "If it says something untrue or unsafe that must not stand, write [[replace]] first, and then the\n"
              "whole reply from its very beginning.";

const char prompt_builtin_continuation[] =
        "Question:\n"
        "{question}\n"
        "\n"
        "You are answering this question aloud and have already said exactly these words:\n"
        "{said}\n"
        "\n"
        "Write only the words that come directly after them, so that both together read as one reply.\n"
        "Use the language of the question. Do not repeat any of the words already said, do not start over,\n"
        "and put nothing in quotation marks or markdown.\n"
        "If they were a bad start, recover gracefully, in the way that you were told.";

const char prompt_builtin_anchor[] =
        "Question:\n"
        "{question}\n"
        "\n"
        "You are answering this question aloud and have already said exactly these words:\n"
        "{said}\n"
        "\n"
        "Begin with the last of these words once more, exactly so:\n"
        "{anchor}\n"
        "Go on directly after them, so that all together reads as one reply. Use the language of the\n"
        "question. Repeat nothing before these words, and put nothing in quotation marks or markdown.\n"
        "If they were a bad start, recover gracefully, in the way that you were told.";

const char prompt_builtin_refused[] = "\xe2\x80\x93 but here I had better stop.";

void prompt_done(struct prompt *prompt)
{
        for (size_t i = 0; i < prompt->n_messages; i++)
                free(prompt->messages[i].text);
        free(prompt->messages);
        free(prompt->said);
        free(prompt->system);
        free(prompt->continuation);
        free(prompt->anchor);
        *prompt = PROMPT_NULL;
}

static char *copy_text(const char *text, size_t n)
{
        char *copy = malloc(n + 1);

        if (!copy)
                return NULL;
        if (n > 0)
                memcpy(copy, text, n);
        copy[n] = '\0';
        return copy;
}

int prompt_add(struct prompt *prompt, enum prompt_role role, const char *text, size_t n)
{
        struct prompt_message *messages;
        char *copy;

        messages = reallocarray(prompt->messages, prompt->n_messages + 1, sizeof(*messages));
        if (!messages)
                return -ENOMEM;
        prompt->messages = messages;
        copy = copy_text(text, n);
        if (!copy)
                return -ENOMEM;
        messages[prompt->n_messages++] = (struct prompt_message){ .role = role, .text = copy };
        return 0;
}

static int replace(char **text, const char *with, size_t n)
{
        char *copy = copy_text(with, n);

        if (!copy)
                return -ENOMEM;
        free(*text);
        *text = copy;
        return 0;
}

static const char *correction_text(enum prompt_correction correction)
{
        switch (correction) {
        case PROMPT_CORRECTION_MEND: return prompt_builtin_mend;
        case PROMPT_CORRECTION_PIVOT: return prompt_builtin_pivot;
        case PROMPT_CORRECTION_REPLACE: return prompt_builtin_replace;
        }
        return "";
}

int prompt_add_system(struct prompt *prompt, enum prompt_correction correction)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        int r = buf_printf(&text, "%s\n%s", prompt_builtin_system, correction_text(correction));

        return r < 0 ? r : replace(&prompt->system, text.data, text.n);
}

int prompt_set_said(struct prompt *prompt, const char *text, size_t n)
{
        return replace(&prompt->said, text, n);
}

static bool is_blank(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t prompt_said_length(const struct prompt *prompt)
{
        size_t n = prompt->said ? strlen(prompt->said) : 0;

        while (n > 0 && is_blank(prompt->said[n - 1]))
                n--;
        return n;
}

size_t prompt_last_user(const struct prompt *prompt)
{
        for (size_t i = prompt->n_messages; i > 0; i--)
                if (prompt->messages[i - 1].role == PROMPT_ROLE_USER)
                        return i - 1;
        return prompt->n_messages;
}

/* What the places of a template stand for. */
struct places {
        const char *question;
        const char *said;
        size_t n_said;
        const char *anchor;
        size_t n_anchor;
};

/* Appends what the place at the head of `template` stands for; 0 where there is none, else its length in the
 * template, or -ENOMEM. */
static int fill_place(const char *template, const struct places *places, struct buf *text)
{
        const struct {
                const char *place, *text;
                size_t n;
        } table[] = {
                { "{question}", places->question, strlen(places->question) },
                { "{said}", places->said, places->n_said },
                { "{anchor}", places->anchor, places->n_anchor },
        };
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                if (strncmp(template, table[i].place, strlen(table[i].place)) != 0)
                        continue;
                r = buf_add(text, table[i].text, table[i].n);
                return r < 0 ? r : (int)strlen(table[i].place);
        }
        return 0;
}

static int fill_in(const char *template, const struct places *places, struct buf *text)
{
        size_t n_plain, n_before = text->n;
        int r = 0;

        while (r >= 0 && *template) {
                r = fill_place(template, places, text);
                if (r == 0) {
                        n_plain = 1 + strcspn(template + 1, "{");
                        r = buf_add(text, template, n_plain);
                        template += n_plain;
                } else if (r > 0) {
                        template += r;
                }
        }
        if (r < 0)
                buf_truncate(text, n_before);
        return MIN(r, 0);
}

/* Where the last words of `said` begin: enough of them to know the place again, few enough to repeat in no time.
 * Where there are no blanks between words, characters are counted. */
static size_t find_anchor(const char *said, size_t n)
{
        size_t i = n, n_words = 0, n_characters = 0;

        while (i > 0 && n_words < ANCHOR_WORDS && n_characters < ANCHOR_CHARACTERS) {
                do
                        i--;
                while (i > 0 && ((unsigned char)said[i] & 0xc0) == 0x80);
                n_characters++;
                if (i > 0 && is_blank(said[i - 1]) && !is_blank(said[i]))
                        n_words++;
        }
        return i;
}

static int make_turn(const struct prompt *prompt, const char *template, struct buf *text)
{
        size_t last = prompt_last_user(prompt), n_said = prompt_said_length(prompt), anchor;
        const char *question = last < prompt->n_messages ? prompt->messages[last].text : "";

        if (n_said == 0)
                return buf_add_string(text, question);
        anchor = find_anchor(prompt->said, n_said);
        return fill_in(template,
                       &(struct places){
                               .question = question,
                               .said = prompt->said,
                               .n_said = n_said,
                               .anchor = prompt->said + anchor,
                               .n_anchor = n_said - anchor,
                       },
                       text);
}

int prompt_instruction(const struct prompt *prompt, struct buf *text)
{
        return make_turn(prompt, prompt->continuation ? prompt->continuation : prompt_builtin_continuation, text);
}

int prompt_anchor(const struct prompt *prompt, struct buf *text)
{
        return make_turn(prompt, prompt->anchor ? prompt->anchor : prompt_builtin_anchor, text);
}
