/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What was learned of endpoints. See learned.h. Its text form:
 *
 *     # comment
 *     https://api.example.com/v1 chat large-1 instruction plain unsaid tokens usage
 *
 * Blanks, percent signs and control characters within a field are written as %XX.
 */
#include "daemon/core/learned.h"

#include <errno.h>
#include <string.h>

#define N_FIELDS 8 /* three of the key, five of the shape */

static const char head[] =
        "# How endpoints want to be asked, and how soon they answer. Without this file it is learned anew.\n";

static const char *const forms[] = { "prefill", "instruction", "anchor" };
static const char *const prefills[] = { "plain", "prefix", "continue" };
static const char *const thinkings[] = { "unsaid", "none", "minimal", "low", "template", "disabled" };
static const char *const lengths[] = { "tokens", "completion" };
static const char *const options[] = { "usage", "bare", "none" };

_Static_assert(ARRAY_SIZE(forms) == _DIALECT_FORM_N && ARRAY_SIZE(prefills) == _DIALECT_PREFILL_N &&
                       ARRAY_SIZE(thinkings) == _DIALECT_THINKING_N && ARRAY_SIZE(lengths) == _DIALECT_LENGTH_N &&
                       ARRAY_SIZE(options) == _DIALECT_OPTIONS_N,
               "a word for every value");

void learned_init(struct learned *learned)
{
        learned->n = 0;
}

void learned_done(struct learned *learned)
{
        for (size_t i = 0; i < learned->n; i++)
                free(learned->entries[i].key);
        learned->n = 0;
}

/* ------------------------------------------------------------------------------------------------------- keys */

static int add_field(struct buf *key, const char *text)
{
        int r = 0;

        /* An empty field would not be one. */
        if (!*text)
                return buf_add_string(key, "%");
        for (; r == 0 && *text; text++) {
                unsigned char c = (unsigned char)*text;

                r = c <= ' ' || c == '%' || c == 0x7f ? buf_printf(key, "%%%02X", c) : buf_add(key, text, 1);
        }
        return r;
}

int learned_key(const struct settings_endpoint *endpoint, struct buf *key)
{
        const char *const fields[] = { endpoint->url, endpoint->dialect, endpoint->model };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fields); i++) {
                if (i > 0)
                        r = buf_add_string(key, " ");
                if (r == 0)
                        r = add_field(key, fields[i] ? fields[i] : "");
        }
        return r;
}

static const struct learned_entry *find(const struct learned *learned, const char *key)
{
        for (size_t i = 0; i < learned->n; i++)
                if (strcmp(learned->entries[i].key, key) == 0)
                        return &learned->entries[i];
        return NULL;
}

bool learned_find(const struct learned *learned, const struct settings_endpoint *endpoint,
                  struct dialect_shape *ret_shape)
{
        _cleanup_(buf_done) struct buf key = BUF_NULL;
        const struct learned_entry *entry;

        if (learned_key(endpoint, &key) < 0)
                return false;
        entry = find(learned, buf_string(&key));
        if (!entry)
                return false;
        *ret_shape = entry->shape;
        return true;
}

static bool shapes_are_equal(const struct dialect_shape *a, const struct dialect_shape *b)
{
        return a->form == b->form && a->prefill == b->prefill && a->thinking == b->thinking &&
               a->length == b->length && a->options == b->options;
}

static void drop(struct learned *learned, size_t i)
{
        free(learned->entries[i].key);
        learned->n--;
        memmove(&learned->entries[i], &learned->entries[i + 1], (learned->n - i) * sizeof(*learned->entries));
}

static int note(struct learned *learned, const char *key, const struct dialect_shape *shape)
{
        const struct learned_entry *known = find(learned, key);
        char *copy;

        if (known && shapes_are_equal(&known->shape, shape))
                return 0;
        copy = strdup(key);
        if (!copy)
                return -ENOMEM;
        if (known)
                drop(learned, (size_t)(known - learned->entries));
        else if (learned->n == LEARNED_MAX)
                drop(learned, 0);
        learned->entries[learned->n++] = (struct learned_entry){ .key = copy, .shape = *shape };
        return 1;
}

int learned_note(struct learned *learned, const struct settings_endpoint *endpoint, const struct dialect_shape *shape)
{
        _cleanup_(buf_done) struct buf key = BUF_NULL;
        int r = learned_key(endpoint, &key);

        return r < 0 ? r : note(learned, buf_string(&key), shape);
}

/* ------------------------------------------------------------------------------------------------------- text */

int learned_print(const struct learned *learned, struct buf *text)
{
        int r = buf_add_string(text, head);

        for (size_t i = 0; r == 0 && i < learned->n; i++) {
                const struct dialect_shape *shape = &learned->entries[i].shape;

                r = buf_printf(text, "%s %s %s %s %s %s\n", learned->entries[i].key, forms[shape->form],
                               prefills[shape->prefill], thinkings[shape->thinking], lengths[shape->length],
                               options[shape->options]);
        }
        return r;
}

static bool find_word(const char *const *words, size_t n_words, const char *word, unsigned *ret_index)
{
        for (unsigned i = 0; i < n_words; i++)
                if (strcmp(words[i], word) == 0) {
                        *ret_index = i;
                        return true;
                }
        return false;
}

static bool parse_shape(char *const *fields, struct dialect_shape *ret_shape)
{
        unsigned form, prefill, thinking, length, option;

        if (!find_word(forms, ARRAY_SIZE(forms), fields[0], &form) ||
            !find_word(prefills, ARRAY_SIZE(prefills), fields[1], &prefill) ||
            !find_word(thinkings, ARRAY_SIZE(thinkings), fields[2], &thinking) ||
            !find_word(lengths, ARRAY_SIZE(lengths), fields[3], &length) ||
            !find_word(options, ARRAY_SIZE(options), fields[4], &option))
                return false;
        *ret_shape = (struct dialect_shape){
                .form = (enum dialect_form)form,
                .prefill = (enum dialect_prefill)prefill,
                .thinking = (enum dialect_thinking)thinking,
                .length = (enum dialect_length)length,
                .options = (enum dialect_options)option,
        };
        return true;
}

static int parse_line(struct learned *learned, char *line)
{
        _cleanup_(buf_done) struct buf key = BUF_NULL;
        char *fields[N_FIELDS + 1], *field;
        struct dialect_shape shape;
        size_t n = 0;
        int r;

        if (*line == '#')
                return 0;
        while (n <= N_FIELDS && (field = strsep(&line, " ")))
                fields[n++] = field;
        if (n != N_FIELDS || !*fields[0] || !*fields[1] || !*fields[2] || !parse_shape(&fields[3], &shape))
                return 0;
        r = buf_printf(&key, "%s %s %s", fields[0], fields[1], fields[2]);
        return r < 0 ? r : note(learned, key.data, &shape);
}

int learned_parse(struct learned *learned, const char *text, size_t n)
{
        _cleanup_free_ char *copy = strndup(text, MIN(n, (size_t)LEARNED_TEXT_MAX));
        char *rest = copy, *line;
        int r = 0;

        if (!copy)
                return -ENOMEM;
        while (r >= 0 && (line = strsep(&rest, "\n")))
                r = parse_line(learned, line);
        return MIN(r, 0);
}
