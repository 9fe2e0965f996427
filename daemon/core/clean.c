/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Two stages, a byte at a time: code points out of bytes, then tags out of code points. See clean.h.
 */
#include "daemon/core/clean.h"

#include <stdint.h>
#include <string.h>

#include "libmulm/base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct tag {
        const char *text;
        bool closes;
};

static const struct tag tags[] = {
        { "<think>", false },
        { "</think>", true },
        { "<thinking>", false },
        { "</thinking>", true },
};

/* Reads clean->tag: 1 and the tag if it is one, 0 if it may become one, -1 if it cannot. */
static int match_tag(const struct clean *clean, const struct tag **ret_tag)
{
        int r = -1;

        for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
                if (strncmp(tags[i].text, clean->tag, clean->n_tag) != 0)
                        continue;
                r = 0;
                if (strlen(tags[i].text) == clean->n_tag) {
                        *ret_tag = &tags[i];
                        return 1;
                }
        }
        return r;
}

static int flush_tag(struct clean *clean, struct buf *text)
{
        size_t n = clean->n_tag;

        clean->n_tag = 0;
        return clean->in_reasoning ? 0 : buf_add(text, clean->tag, n);
}

static int add_code_point(struct clean *clean, const char *bytes, size_t n, struct buf *text)
{
        const struct tag *tag;
        bool was_in_reasoning = clean->in_reasoning;
        int r;

        if (n == 1 && (clean->n_tag > 0 || bytes[0] == '<')) {
                clean->tag[clean->n_tag++] = bytes[0];
                r = match_tag(clean, &tag);
                if (r == 0)
                        return 0;
                if (r > 0) {
                        clean->n_tag = 0;
                        clean->in_reasoning = !tag->closes;
                        return tag->closes && !was_in_reasoning;
                }
                clean->n_tag--;
        }

        /* No tag begins inside another: all that was held is text, and only this byte may begin one. */
        if (clean->n_tag > 0) {
                r = flush_tag(clean, text);
                return r < 0 ? r : add_code_point(clean, bytes, n, text);
        }
        return clean->in_reasoning ? 0 : buf_add(text, bytes, n);
}

static bool is_control(uint32_t c)
{
        return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

int clean_byte(struct clean *clean, char byte, struct buf *text)
{
        uint32_t c;
        size_t n;
        int r;

        clean->sequence[clean->n_sequence++] = byte;
        n = clean->n_sequence;
        if (utf8_decode(clean->sequence, n, &c) == n) {
                clean->n_sequence = 0;
                return is_control(c) ? 0 : add_code_point(clean, clean->sequence, n, text);
        }
        if (utf8_complete(clean->sequence, n) == 0)
                return 0;

        /* Malformed. One U+FFFD for the part that was well begun; the byte that broke it may begin anew (the Unicode
         * Standard, section 3.9, "U+FFFD Substitution of Maximal Subparts"). */
        clean->n_sequence = 0;
        r = add_code_point(clean, REPLACEMENT, strlen(REPLACEMENT), text);
        if (r < 0 || n == 1)
                return r;
        return clean_byte(clean, byte, text);
}

int clean_end(struct clean *clean, struct buf *text)
{
        int r = 0;

        if (clean->n_sequence > 0) {
                clean->n_sequence = 0;
                r = add_code_point(clean, REPLACEMENT, strlen(REPLACEMENT), text);
        }
        if (r >= 0)
                r = flush_tag(clean, text);
        return r;
}
