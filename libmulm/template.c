/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Recognises and renders ChatML. See template.h.
 *
 * A template is ChatML when its string literals, those that name things left out, spell in their order
 *
 *      [<|im_start|>system\n DEFAULT <|im_end|>\n] <|im_start|>\n <|im_end|>\n <|im_start|>assistant\n
 *
 * and nothing but blanks after a {% tag %} stands outside of {{ }} and {% %}. The first part is a system turn for
 * conversations that begin with none, as SmolLM2's template has it.
 */
#include "libmulm/template.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/error.h"

#define DEFAULT_BEGIN "<|im_start|>system\n"
#define DEFAULT_END   "<|im_end|>\n"
#define TURNS         "<|im_start|>\n<|im_end|>\n<|im_start|>assistant\n"

struct chat_template {
        uint32_t begin;      /* of the text, or VOCAB_NO_TOKEN */
        uint32_t start, end; /* <|im_start|>, <|im_end|> */
        char *system;        /* text of the default system turn, or NULL */
        size_t n_system;
};

/* Walks the Jinja text. */
struct scanner {
        const char *at, *end;
        struct buf literals; /* all of them, but names, one after the other */
};

static void scanner_done(struct scanner *scanner)
{
        buf_done(&scanner->literals);
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name(const char *text, size_t n)
{
        static const char *const names[] = { "role", "content", "system", "user", "assistant" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (n == strlen(names[i]) && memcmp(text, names[i], n) == 0)
                        return true;
        return false;
}

/* A literal from its opening quote to behind its closing one. */
static int scan_literal(struct scanner *scanner)
{
        char quote = *scanner->at++;
        size_t n_before = scanner->literals.n;
        int r;

        for (; scanner->at < scanner->end && *scanner->at != quote; scanner->at++) {
                char c = *scanner->at;

                if (c == '\\') {
                        if (++scanner->at == scanner->end)
                                return -ENOTSUP;
                        c = *scanner->at == 'n' ? '\n' : *scanner->at;
                }
                r = buf_add(&scanner->literals, &c, 1);
                if (r < 0)
                        return r;
        }
        if (scanner->at == scanner->end)
                return -ENOTSUP;
        scanner->at++;
        if (is_name(buf_string(&scanner->literals) + n_before, scanner->literals.n - n_before))
                buf_truncate(&scanner->literals, n_before);
        return 0;
}

/* From behind "{{" or "{%" to behind "}}" or "%}". */
static int scan_tag(struct scanner *scanner, char kind)
{
        char last = kind == '{' ? '}' : kind;
        int r;

        while (scanner->end - scanner->at >= 2) {
                if (scanner->at[0] == last && scanner->at[1] == '}') {
                        scanner->at += 2;
                        return 0;
                }
                if (*scanner->at == '\'' || *scanner->at == '"') {
                        r = scan_literal(scanner);
                        if (r < 0)
                                return r;
                } else {
                        scanner->at++;
                }
        }
        return -ENOTSUP;
}

/* Collects the literals; -ENOTSUP where there is text outside of tags. */
static int scan(struct scanner *scanner)
{
        char kind = '%';
        int r;

        while (scanner->at < scanner->end) {
                if (kind == '%' && is_blank(*scanner->at)) {
                        scanner->at++;
                        continue;
                }
                if (scanner->end - scanner->at < 4 || scanner->at[0] != '{')
                        return -ENOTSUP;
                kind = scanner->at[1];
                if (kind != '{' && kind != '%')
                        return -ENOTSUP;
                scanner->at += 2;
                r = scan_tag(scanner, kind);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The default system turn, where the literals have one; false where they are not ChatML's. */
static bool find_system(const struct buf *literals, const char **ret_system, size_t *ret_n_system)
{
        size_t n_begin = strlen(DEFAULT_BEGIN), n_end = strlen(DEFAULT_END), n_turns = strlen(TURNS), n;
        const char *text = buf_string(literals);

        if (literals->n < n_turns || memcmp(text + literals->n - n_turns, TURNS, n_turns) != 0)
                return false;
        *ret_system = NULL;
        *ret_n_system = 0;
        if (literals->n == n_turns)
                return true;

        n = literals->n - n_turns;
        if (n < n_begin + n_end || memcmp(text, DEFAULT_BEGIN, n_begin) != 0 ||
            memcmp(text + n - n_end, DEFAULT_END, n_end) != 0)
                return false;
        *ret_system = text + n_begin;
        *ret_n_system = n - n_begin - n_end;
        return !memmem(*ret_system, *ret_n_system, "<|", 2);
}

static int recognise(struct chat_template *chat_template, struct gguf_string jinja, struct mulm_error *error)
{
        _cleanup_(scanner_done) struct scanner scanner = { .at = jinja.data, .end = jinja.data + jinja.n_data };
        const char *system;
        int r;

        r = scan(&scanner);
        if (r == -ENOMEM)
                return error_no_memory(error);
        if (r < 0 || !find_system(&scanner.literals, &system, &chat_template->n_system))
                return error_set(error, -ENOTSUP,
                                 "key 'tokenizer.chat_template' is not ChatML, the one template that libmulm knows");
        if (!system)
                return 0;
        chat_template->system = malloc(chat_template->n_system + 1);
        if (!chat_template->system)
                return error_no_memory(error);
        memcpy(chat_template->system, system, chat_template->n_system);
        return 0;
}

int chat_template_new(struct chat_template **ret_template, const struct gguf *gguf, const struct vocab *vocab,
                      struct mulm_error *error)
{
        _cleanup_(chat_template_freep) struct chat_template *chat_template = NULL;
        struct gguf_string jinja;
        int r;

        r = gguf_get_string(gguf, "tokenizer.chat_template", &jinja, error);
        if (r == -ENOENT)
                return error_set(error, -ENOTSUP, "key 'tokenizer.chat_template' is missing");
        if (r < 0)
                return r;
        chat_template = calloc(1, sizeof(*chat_template));
        if (!chat_template)
                return error_no_memory(error);
        chat_template->begin = vocab_begin_token(vocab);
        chat_template->start = vocab_find_special(vocab, "<|im_start|>");
        chat_template->end = vocab_find_special(vocab, "<|im_end|>");
        if (chat_template->start == VOCAB_NO_TOKEN || chat_template->end == VOCAB_NO_TOKEN)
                return error_set(error, -ENOTSUP, "the vocabulary lacks ChatML's <|im_start|> or <|im_end|>");
        r = recognise(chat_template, jinja, error);
        if (r < 0)
                return r;
        *ret_template = STEAL(chat_template);
        return 0;
}

struct chat_template *chat_template_free(struct chat_template *chat_template)
{
        if (!chat_template)
                return NULL;
        free(chat_template->system);
        free(chat_template);
        return NULL;
}

/* <|im_start|> ROLE newline TEXT */
static int open_turn(const struct chat_template *chat_template, const struct vocab *vocab, const char *role,
                     const char *text, size_t n_text, struct token_list *list, struct mulm_error *error)
{
        _cleanup_(buf_done) struct buf piece = BUF_NULL;

        if (token_list_push(list, chat_template->start) < 0 || buf_printf(&piece, "%s\n", role) < 0 ||
            buf_add(&piece, text, n_text) < 0)
                return error_no_memory(error);
        return bpe_encode(vocab, piece.data, piece.n, list, error);
}

/* <|im_end|> newline */
static int close_turn(const struct chat_template *chat_template, const struct vocab *vocab, struct token_list *list,
                      struct mulm_error *error)
{
        if (token_list_push(list, chat_template->end) < 0)
                return error_no_memory(error);
        return bpe_encode(vocab, "\n", 1, list, error);
}

static int add_turn(const struct chat_template *chat_template, const struct vocab *vocab, const char *role,
                    const char *text, size_t n_text, struct token_list *list, struct mulm_error *error)
{
        int r;

        r = open_turn(chat_template, vocab, role, text, n_text, list, error);
        if (r < 0)
                return r;
        return close_turn(chat_template, vocab, list, error);
}

static int begin_text(const struct chat_template *chat_template, const struct vocab *vocab, bool has_system,
                      struct token_list *list, struct mulm_error *error)
{
        if (chat_template->begin != VOCAB_NO_TOKEN && token_list_push(list, chat_template->begin) < 0)
                return error_no_memory(error);
        if (has_system || !chat_template->system)
                return 0;
        return add_turn(chat_template, vocab, "system", chat_template->system, chat_template->n_system, list, error);
}

static const char *role_name(enum mulm_role role)
{
        switch (role) {
        case MULM_ROLE_SYSTEM: return "system";
        case MULM_ROLE_USER: return "user";
        case MULM_ROLE_ASSISTANT: return "assistant";
        }
        return NULL;
}

static int add_messages(const struct chat_template *chat_template, const struct vocab *vocab,
                        const struct mulm_message *messages, size_t n_messages, struct token_list *list,
                        struct mulm_error *error)
{
        for (size_t i = 0; i < n_messages; i++) {
                const char *role = role_name(messages[i].role);
                int r;

                if (!role)
                        return error_set(error, -EINVAL, "message %zu has role %d, which does not exist", i,
                                         (int)messages[i].role);
                r = add_turn(chat_template, vocab, role, messages[i].text, messages[i].n_text, list, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

int chat_template_render(const struct chat_template *chat_template, const struct vocab *vocab,
                         const struct mulm_message *messages, size_t n_messages, const char *prefix, size_t n_prefix,
                         struct token_list *list, struct mulm_error *error)
{
        size_t n_before = list->n;
        int r;

        r = begin_text(chat_template, vocab, n_messages == 0 || messages[0].role == MULM_ROLE_SYSTEM, list, error);
        if (r == 0)
                r = add_messages(chat_template, vocab, messages, n_messages, list, error);
        if (r == 0)
                r = open_turn(chat_template, vocab, "assistant", prefix, n_prefix, list, error);
        if (r < 0)
                list->n = n_before;
        return r;
}

int chat_template_before(const struct chat_template *chat_template, const struct vocab *vocab,
                         const struct mulm_message *messages, size_t n_messages, struct token_list *list,
                         struct mulm_error *error)
{
        size_t n_before = list->n;
        int r;

        r = begin_text(chat_template, vocab, n_messages > 0 && messages[0].role == MULM_ROLE_SYSTEM, list, error);
        if (r == 0)
                r = add_messages(chat_template, vocab, messages, n_messages, list, error);
        if (r < 0)
                list->n = n_before;
        return r;
}

int chat_template_turn(const struct chat_template *chat_template, const struct vocab *vocab, const char *text,
                       size_t n_text, struct token_list *list, struct mulm_error *error)
{
        size_t n_before = list->n;
        int r;

        r = add_turn(chat_template, vocab, "user", text, n_text, list, error);
        if (r == 0)
                r = open_turn(chat_template, vocab, "assistant", "", 0, list, error);
        if (r < 0)
                list->n = n_before;
        return r;
}

int chat_template_head(const struct chat_template *chat_template, const struct vocab *vocab, struct token_list *list,
                       struct mulm_error *error)
{
        size_t n_before = list->n;
        int r;

        r = begin_text(chat_template, vocab, false, list, error);
        if (r == 0)
                r = open_turn(chat_template, vocab, "user", "", 0, list, error);
        if (r < 0)
                list->n = n_before;
        return r;
}
