/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See refusal.h.
 */
#include "daemon/core/refusal.h"

#include <stdint.h>
#include <string.h>

#include "daemon/core/letter.h"
#include "libmulm/base/macro.h"

#define LATIN_END 0x250

static enum refusal match_line(const char *line, size_t n_line, const char *text, size_t n)
{
        size_t i = 0, k = 0, n_code, n_text;
        uint32_t c, wanted;

        for (; (wanted = letter_at(line, n_line, i, &n_code)) != 0; i += n_code, k += n_text) {
                c = letter_at(text, n, k, &n_text);
                if (c == 0)
                        return REFUSAL_PART;
                if (i == 0 ? c != wanted : letter_fold(c) != letter_fold(wanted))
                        return REFUSAL_NONE;
        }
        c = letter_at(text, n, k, NULL);
        if (c == 0)
                return REFUSAL_PART;
        /* "As an AI" is no beginning of "as an airline". Where words take endings, more letters may follow. */
        return c < LATIN_END && letter_is_word(c) ? REFUSAL_NONE : REFUSAL_WHOLE;
}

enum refusal refusal_match(const char *beginnings, const char *text, size_t n)
{
        enum refusal found = REFUSAL_NONE;
        size_t n_line, skip = 0;

        while (skip < n && letter_is_blank((unsigned char)text[skip]))
                skip++;
        for (const char *line = beginnings; *line; line += n_line + strspn(line + n_line, "\r\n")) {
                enum refusal match;

                n_line = strcspn(line, "\r\n");
                match = n_line > 0 ? match_line(line, n_line, text + skip, n - skip) : REFUSAL_NONE;
                found = MAX(found, match);
        }
        return found;
}
