/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See verdict.h.
 */
#include "daemon/core/verdict.h"

#include <string.h>
#include <strings.h>

enum match {
        MATCH_NONE,
        MATCH_PART,
        MATCH_WHOLE,
};

static const struct {
        const char *text;
        enum verdict_kind kind;
} marks[] = {
        { "[[pivot]]", VERDICT_PIVOT },
        { "[[replace]]", VERDICT_REPLACE },
        { "[[continue]]", VERDICT_CONTINUE },
};

static enum match match(const char *text, size_t n, enum verdict_kind *ret_kind)
{
        enum match found = MATCH_NONE;

        for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
                if (n > strlen(marks[i].text) || strncasecmp(marks[i].text, text, n) != 0)
                        continue;
                found = MATCH_PART;
                if (n == strlen(marks[i].text)) {
                        *ret_kind = marks[i].kind;
                        return MATCH_WHOLE;
                }
        }
        return found;
}

static size_t count_blanks(const struct verdict *verdict)
{
        size_t n = 0;

        while (n < verdict->n_head && strchr(" \t\r\n", verdict->head[n]))
                n++;
        return n;
}

/* Takes one byte into the head, and decides if it can. */
static int take(struct verdict *verdict, char byte, struct buf *text)
{
        size_t n_blanks;

        verdict->head[verdict->n_head++] = byte;
        n_blanks = count_blanks(verdict);
        switch (match(verdict->head + n_blanks, verdict->n_head - n_blanks, &verdict->kind)) {
        case MATCH_PART:
                if (verdict->n_head < VERDICT_HEAD_MAX)
                        return 0;
                break;
        case MATCH_WHOLE: verdict->is_decided = true; return 0;
        case MATCH_NONE: break;
        }
        return verdict_end(verdict, text);
}

int verdict_feed(struct verdict *verdict, const char *bytes, size_t n, struct buf *text)
{
        size_t i = 0;
        int r = 0;

        while (r == 0 && i < n && !verdict->is_decided)
                r = take(verdict, bytes[i++], text);
        if (r == 0)
                r = buf_add(text, bytes + i, n - i);
        return r < 0 ? r : verdict->is_decided;
}

int verdict_end(struct verdict *verdict, struct buf *text)
{
        if (verdict->is_decided)
                return 0;
        verdict->is_decided = true;
        verdict->kind = VERDICT_CONTINUE;
        return buf_add(text, verdict->head, verdict->n_head);
}
