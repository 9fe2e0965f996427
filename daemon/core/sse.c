/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Server-sent events from bytes in any pieces. See sse.h.
 *
 *     stream = [ BOM ] *event          event = *( comment | field ) end-of-line
 *     comment = ":" text end-of-line   field = name [ ":" [ " " ] value ] end-of-line
 *
 * Every byte is looked at once and moved at most twice: a line that arrives byte by byte costs no more than one that
 * arrives whole. Refuses lines and events above SSE_EVENT_MAX, and nothing else: what is no field is ignored.
 */
#include "daemon/core/sse.h"

#include <errno.h>
#include <string.h>

#define BOM   "\xef\xbb\xbf"
#define N_BOM 3

void sse_init(struct sse *sse)
{
        *sse = (struct sse){ 0 };
}

void sse_done(struct sse *sse)
{
        buf_done(&sse->input);
        buf_done(&sse->name);
        buf_done(&sse->data);
        buf_done(&sse->event_name);
        buf_done(&sse->event_data);
        sse_init(sse);
}

int sse_feed(struct sse *sse, const char *bytes, size_t n)
{
        if (sse->broken)
                return -EMSGSIZE;
        if (sse->ended)
                return -EINVAL;

        /* What is kept is never more than what is dropped, so that each byte pays for one move. */
        if (sse->parsed > sse->input.n / 2) {
                buf_drop_front(&sse->input, sse->parsed);
                sse->scanned -= sse->parsed;
                sse->parsed = 0;
        }
        return buf_add(&sse->input, bytes, n);
}

int sse_end(struct sse *sse)
{
        if (sse->broken)
                return -EMSGSIZE;
        sse->ended = true;
        return 0;
}

static void use_up(struct sse *sse, size_t n)
{
        sse->parsed += n;
        sse->scanned = sse->parsed;
}

/* False while the first bytes may still become a BOM. */
static bool start(struct sse *sse)
{
        size_t n = MIN(sse->input.n, (size_t)N_BOM);

        if (sse->started)
                return true;
        if (memcmp(buf_string(&sse->input), BOM, n) == 0) {
                if (n < N_BOM && !sse->ended)
                        return false;
                if (n == N_BOM)
                        use_up(sse, N_BOM);
        }
        sse->started = true;
        return true;
}

/* The length of the line at sse->parsed, without its end. False where that end has not come yet; the end of the
 * stream ends a last line too, if it has any bytes. */
static bool find_line(struct sse *sse, size_t *ret_length)
{
        const char *input = buf_string(&sse->input);

        if (sse->after_cr && sse->parsed < sse->input.n) {
                if (input[sse->parsed] == '\n')
                        use_up(sse, 1);
                sse->after_cr = false;
        }
        while (sse->scanned < sse->input.n && input[sse->scanned] != '\n' && input[sse->scanned] != '\r')
                sse->scanned++;
        *ret_length = sse->scanned - sse->parsed;
        return sse->scanned < sse->input.n || (sse->ended && *ret_length > 0);
}

static int add_data(struct sse *sse, const char *value, size_t n)
{
        size_t n_before = sse->data.n;
        int r;

        if (n > SSE_EVENT_MAX - n_before || (sse->has_data && n == SSE_EVENT_MAX - n_before))
                return -EMSGSIZE;
        r = buf_reserve(&sse->data, n + 1);
        if (r < 0)
                return r;
        if (sse->has_data)
                (void)buf_add(&sse->data, "\n", 1);
        (void)buf_add(&sse->data, value, n);
        sse->has_data = true;
        return 0;
}

static int set_name(struct sse *sse, const char *value, size_t n)
{
        int r;

        r = buf_reserve(&sse->name, n);
        if (r < 0)
                return r;
        buf_clear(&sse->name);
        return buf_add(&sse->name, value, n);
}

/* `id` and `retry` are for clients that reconnect by themselves; here a broken stream is the race's business. */
static int take_field(struct sse *sse, const char *line, size_t n)
{
        const char *colon = memchr(line, ':', n);
        size_t n_field = colon ? (size_t)(colon - line) : n;
        const char *value = colon ? colon + 1 : line + n;
        size_t n_value = (size_t)(line + n - value);

        if (n_value > 0 && *value == ' ') {
                value++;
                n_value--;
        }
        if (n_field == 4 && memcmp(line, "data", 4) == 0)
                return add_data(sse, value, n_value);
        if (n_field == 5 && memcmp(line, "event", 5) == 0)
                return set_name(sse, value, n_value);
        return 0;
}

static void swap(struct buf *a, struct buf *b)
{
        struct buf t = *a;

        *a = *b;
        *b = t;
}

/* The event is over: true if it is one, which needs data that is not empty. */
static bool dispatch(struct sse *sse, struct sse_event *ret_event)
{
        swap(&sse->name, &sse->event_name);
        swap(&sse->data, &sse->event_data);
        buf_clear(&sse->name);
        buf_clear(&sse->data);
        sse->has_data = false;
        if (sse->event_data.n == 0)
                return false;
        *ret_event = (struct sse_event){
                .name = buf_string(&sse->event_name),
                .data = buf_string(&sse->event_data),
                .n_data = sse->event_data.n,
        };
        return true;
}

static int give_up(struct sse *sse)
{
        sse_done(sse);
        sse->broken = true;
        return -EMSGSIZE;
}

int sse_next(struct sse *sse, struct sse_event *ret_event)
{
        size_t length;
        int r;

        if (sse->broken)
                return -EMSGSIZE;
        if (!start(sse))
                return 0;
        while (find_line(sse, &length)) {
                if (length > SSE_EVENT_MAX)
                        return give_up(sse);
                r = take_field(sse, buf_string(&sse->input) + sse->parsed, length);
                if (r == -EMSGSIZE)
                        return give_up(sse);
                if (r < 0)
                        return r;
                if (sse->scanned < sse->input.n) {
                        sse->after_cr = sse->input.data[sse->scanned] == '\r';
                        use_up(sse, length + 1);
                } else {
                        use_up(sse, length);
                }
                if (length == 0 && dispatch(sse, ret_event))
                        return 1;
        }
        if (length > SSE_EVENT_MAX)
                return give_up(sse);
        return sse->ended && dispatch(sse, ret_event) ? 1 : 0;
}
