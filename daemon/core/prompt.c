/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The conversation and the continuator contract. See prompt.h. A template's places are replaced in one pass, so that
 * a question that itself contains "{said}" stays what it is; other braces are plain text.
 */
#include "daemon/core/prompt.h"

#include <errno.h>
#include <string.h>

const char prompt_builtin_system[] =
        "You are the voice of a pair of smart glasses. The person hears or reads your reply while walking,\n"
        "talking or working.\n"
        "Answer in one to three short spoken sentences, in the language of the question, and say the most\n"
        "useful thing first.\n"
        "Write plain text only: no markdown, no lists, no headings, no links, no emoji.\n"
        "The glasses may have begun your reply already. Then go on with that very sentence from exactly where\n"
        "it stops: never start over, never repeat what was said, never greet, never mention this arrangement.\n"
        "If the beginning leads the wrong way, mend it in one short spoken phrase, as people do in\n"
        "conversation, and give the right answer. Do not call anything wrong or a mistake.";

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
        "If the beginning was a bad start, mend it gracefully in one short spoken phrase, without saying\n"
        "\"wrong\", and then give the right answer.";

void prompt_done(struct prompt *prompt)
{
        for (size_t i = 0; i < prompt->n_messages; i++)
                free(prompt->messages[i].text);
        free(prompt->messages);
        free(prompt->said);
        free(prompt->system);
        free(prompt->continuation);
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

int prompt_add_system(struct prompt *prompt)
{
        return replace(&prompt->system, prompt_builtin_system, strlen(prompt_builtin_system));
}

int prompt_set_said(struct prompt *prompt, const char *text, size_t n)
{
        return replace(&prompt->said, text, n);
}

size_t prompt_said_length(const struct prompt *prompt)
{
        size_t n = prompt->said ? strlen(prompt->said) : 0;

        while (n > 0 && strchr(" \t\r\n\v\f", prompt->said[n - 1]))
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

static int fill_in(const char *template, const char *question, const char *said, size_t n_said, struct buf *text)
{
        static const char question_place[] = "{question}", said_place[] = "{said}";
        size_t n_plain;
        int r = 0;

        while (r == 0 && *template) {
                if (strncmp(template, question_place, sizeof(question_place) - 1) == 0) {
                        r = buf_add_string(text, question);
                        template += sizeof(question_place) - 1;
                } else if (strncmp(template, said_place, sizeof(said_place) - 1) == 0) {
                        r = buf_add(text, said, n_said);
                        template += sizeof(said_place) - 1;
                } else {
                        n_plain = 1 + strcspn(template + 1, "{");
                        r = buf_add(text, template, n_plain);
                        template += n_plain;
                }
        }
        return r;
}

int prompt_instruction(const struct prompt *prompt, struct buf *text)
{
        size_t last = prompt_last_user(prompt), n_said = prompt_said_length(prompt), n_before = text->n;
        const char *question = last < prompt->n_messages ? prompt->messages[last].text : "";
        const char *template = prompt->continuation ? prompt->continuation : prompt_builtin_continuation;
        int r;

        if (n_said == 0)
                return buf_add_string(text, question);
        r = fill_in(template, question, prompt->said, n_said, text);
        if (r < 0)
                buf_truncate(text, n_before);
        return r;
}
