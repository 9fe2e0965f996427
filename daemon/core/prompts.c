/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See prompts.h.
 */
#include "daemon/core/prompts.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/core/prompts-builtin.h"
#include "libmulm/base/utf8.h"

static const struct {
        const char *file, *builtin;
        const char *wanted[3]; /* what must be in it */
} table[_PROMPTS_TEXT_N] = {
        [PROMPTS_TEXT_SYSTEM] = { "system.txt", prompts_builtin_system, { NULL } },
        [PROMPTS_TEXT_MEND] = { "mend.txt", prompts_builtin_mend, { NULL } },
        [PROMPTS_TEXT_PIVOT] = { "pivot.txt", prompts_builtin_pivot, { "[[pivot]]" } },
        [PROMPTS_TEXT_REPLACE] = { "replace.txt", prompts_builtin_replace, { "[[replace]]" } },
        [PROMPTS_TEXT_CONTINUATION] = { "continuation.txt",
                                        prompts_builtin_continuation,
                                        { "{question}", "{said}" } },
        [PROMPTS_TEXT_ANCHOR] = { "anchor.txt", prompts_builtin_anchor, { "{question}", "{said}", "{anchor}" } },
        [PROMPTS_TEXT_REFUSED] = { "refused.txt", prompts_builtin_refused, { NULL } },
        [PROMPTS_TEXT_REFUSALS] = { "refusals.txt", prompts_builtin_refusals, { NULL } },
};

void prompts_done(struct prompts *prompts)
{
        for (size_t i = 0; i < _PROMPTS_TEXT_N; i++)
                free(prompts->texts[i]);
        *prompts = PROMPTS_NULL;
}

const char *prompts_file(enum prompts_text text)
{
        return table[text].file;
}

const char *prompts_get(const struct prompts *prompts, enum prompts_text text)
{
        return prompts->texts[text] ? prompts->texts[text] : table[text].builtin;
}

/* -------------------------------------------------------------------------------------------------- refused */

static const char *next_line(const char *line)
{
        line += strcspn(line, "\n");
        return line + (*line == '\n');
}

/* Of "de – aber" the text, which begins at *ret_at, and the bytes of the code before it. False for any other line. */
static bool split_line(const char *line, size_t n, size_t *ret_n_code, size_t *ret_at)
{
        size_t n_code = strspn(line, "abcdefghijklmnopqrstuvwxyz"), at = n_code + strspn(line + n_code, " ");

        if (n_code < 2 || n_code > 3 || at == n_code || at >= n)
                return false;
        *ret_n_code = n_code;
        *ret_at = at;
        return true;
}

static int check_refused(const char *content, struct buf *error)
{
        unsigned number = 1;
        size_t n, n_code, at;
        int r;

        for (const char *line = content; *line; line = next_line(line), number++) {
                n = strcspn(line, "\r\n");
                if (n == 0 || split_line(line, n, &n_code, &at))
                        continue;
                r = buf_printf(error, "line %u is not the code of a language, a blank and a text", number);
                return r < 0 ? r : -EINVAL;
        }
        return 0;
}

int prompts_add_refused(const struct prompts *prompts, const char *language, struct buf *text)
{
        const char *lines = prompts_get(prompts, PROMPTS_TEXT_REFUSED), *found = NULL;
        size_t n, n_code, at, n_found = 0;

        for (const char *line = lines; *line; line = next_line(line)) {
                bool is_it;

                n = strcspn(line, "\r\n");
                if (!split_line(line, n, &n_code, &at))
                        continue;
                is_it = n_code == strlen(language) && strncmp(line, language, n_code) == 0;
                if (found && !is_it)
                        continue;
                found = line + at;
                n_found = n - at;
                if (is_it)
                        break;
        }
        return buf_add(text, found, n_found);
}

/* -------------------------------------------------------------------------------------------------- reading */

/* What is wrong with the content, after it was found to be text. */
static int check(enum prompts_text text, const char *content, struct buf *error)
{
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(table[text].wanted) && table[text].wanted[i]; i++) {
                if (strstr(content, table[text].wanted[i]))
                        continue;
                r = buf_printf(error, "lacks %s", table[text].wanted[i]);
                return r < 0 ? r : -EINVAL;
        }
        return text == PROMPTS_TEXT_REFUSED ? check_refused(content, error) : 0;
}

int prompts_set(struct prompts *prompts, enum prompts_text text, const char *content, size_t n, struct buf *error)
{
        _cleanup_free_ char *copy = NULL;
        size_t offset;
        int r;

        if (!utf8_is_valid(content, n, &offset) || (offset = strnlen(content, n)) < n) {
                r = buf_printf(error, "not UTF-8 text: see its byte %zu", offset);
                return r < 0 ? r : -EINVAL;
        }
        while (n > 0 && strchr(" \t\r\n", content[n - 1]))
                n--;
        if (n > 0) {
                copy = strndup(content, n);
                if (!copy)
                        return -ENOMEM;
                r = check(text, copy, error);
                if (r < 0)
                        return r;
        }
        free(prompts->texts[text]);
        prompts->texts[text] = STEAL(copy);
        return 0;
}
