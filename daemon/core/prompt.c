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

static enum prompts_text correction_text(enum prompt_correction correction)
{
        switch (correction) {
        case PROMPT_CORRECTION_MEND: return PROMPTS_TEXT_MEND;
        case PROMPT_CORRECTION_PIVOT: return PROMPTS_TEXT_PIVOT;
        case PROMPT_CORRECTION_REPLACE: break;
        }
        return PROMPTS_TEXT_REPLACE;
}

int prompt_set_texts(struct prompt *prompt, const struct prompts *prompts, enum prompt_correction correction)
{
        const char *continuation = prompts_get(prompts, PROMPTS_TEXT_CONTINUATION);
        const char *anchor = prompts_get(prompts, PROMPTS_TEXT_ANCHOR);
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        int r = buf_printf(&text, "%s\n%s", prompts_get(prompts, PROMPTS_TEXT_SYSTEM),
                           prompts_get(prompts, correction_text(correction)));

        if (r == 0)
                r = replace(&prompt->system, text.data, text.n);
        if (r == 0)
                r = replace(&prompt->continuation, continuation, strlen(continuation));
        return r < 0 ? r : replace(&prompt->anchor, anchor, strlen(anchor));
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

static const char *template_of(const char *own, enum prompts_text text)
{
        return own ? own : prompts_get(&PROMPTS_NULL, text);
}

int prompt_instruction(const struct prompt *prompt, struct buf *text)
{
        return make_turn(prompt, template_of(prompt->continuation, PROMPTS_TEXT_CONTINUATION), text);
}

int prompt_anchor(const struct prompt *prompt, struct buf *text)
{
        return make_turn(prompt, template_of(prompt->anchor, PROMPTS_TEXT_ANCHOR), text);
}
