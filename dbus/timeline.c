/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The picture of a request. See timeline.h.
 *
 *               0              1500           3000 ms
 *               +--------------+--------------+
 *      opener   =                                first word 12 ms, last 24 ms
 *      wait     ~~~~~~~~~~                       body sent 25 ms, first byte 905 ms
 *      cloud             =============           first word 931 ms, last 2100 ms
 *      first word after 12 ms; without the opener it would have been about 905 ms
 *      (the cloud's first text came 905 ms after the body was sent)
 */
#include "dbus/timeline.h"

#include <stdio.h>
#include <string.h>

#include "libmulm/base/macro.h"

#define LABEL_COLUMNS   9
#define PICTURE_COLUMNS 31
#define N_TICKS         3

static double ms(uint64_t us)
{
        return (double)us / 1000;
}

/* The column of a moment; one beyond the axis is at its end. */
static size_t column(uint64_t us, uint64_t span_us)
{
        return us >= span_us ? PICTURE_COLUMNS - 1 : (size_t)((double)us / (double)span_us * (PICTURE_COLUMNS - 1));
}

static size_t tick_column(unsigned tick)
{
        return (PICTURE_COLUMNS - 1) * tick / (N_TICKS - 1);
}

/* One row's picture: `mark` from `first` to `last`, both included; nothing where it did not happen. */
static void draw(char picture[PICTURE_COLUMNS + 1], char mark, uint64_t first, uint64_t last, uint64_t span_us)
{
        memset(picture, ' ', PICTURE_COLUMNS);
        picture[PICTURE_COLUMNS] = '\0';
        if (first == 0)
                return;
        for (size_t i = column(first, span_us); i <= column(MAX(first, last), span_us); i++)
                picture[i] = mark;
}

/* The end of the axis: the first round number that leaves room for all. */
static uint64_t find_span(const struct timeline *timeline)
{
        const uint64_t end = MAX(MAX(timeline->end_us, timeline->rest_last_us), timeline->opener_last_us);
        static const unsigned steps[] = { 1, 2, 3, 4, 5, 6, 8 };

        for (uint64_t power = 1000; power < UINT64_MAX / 100; power *= 10)
                for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
                        if (end <= steps[i] * power)
                                return steps[i] * power;
        return end;
}

static int render_axis(uint64_t span_us, struct buf *text)
{
        char line[PICTURE_COLUMNS + 1], label[24];
        int r;

        r = buf_printf(text, "%-*s", LABEL_COLUMNS, "");
        for (unsigned i = 0; r >= 0 && i < N_TICKS; i++) {
                const size_t width = i + 1 < N_TICKS ? tick_column(i + 1) - tick_column(i) : 0;

                (void)snprintf(label, sizeof(label), "%g", ms(span_us) * i / (N_TICKS - 1));
                r = buf_printf(text, "%-*s", (int)width, label);
        }
        if (r < 0)
                return r;
        memset(line, '-', PICTURE_COLUMNS);
        line[PICTURE_COLUMNS] = '\0';
        for (unsigned i = 0; i < N_TICKS; i++)
                line[tick_column(i)] = '+';
        return buf_printf(text, " ms\n%-*s%s\n", LABEL_COLUMNS, "", line);
}

static int render_opener(const struct timeline *timeline, uint64_t span_us, struct buf *text)
{
        char picture[PICTURE_COLUMNS + 1];

        if (timeline->opener_first_us == 0)
                return 0;
        draw(picture, '=', timeline->opener_first_us, timeline->opener_last_us, span_us);
        return buf_printf(text, "%-*s%s  first word %.0f ms, last %.0f ms\n", LABEL_COLUMNS, "opener", picture,
                          ms(timeline->opener_first_us), ms(timeline->opener_last_us));
}

static int render_wait(const struct timeline *timeline, uint64_t span_us, struct buf *text)
{
        char picture[PICTURE_COLUMNS + 1];
        int r;

        if (timeline->released_us == 0)
                return 0;
        draw(picture, '~', timeline->released_us,
             timeline->cloud_first_byte_us ?: timeline->rest_first_us ?: timeline->end_us, span_us);
        r = buf_printf(text, "%-*s%s  body sent %.0f ms", LABEL_COLUMNS, "wait", picture, ms(timeline->released_us));
        if (r < 0)
                return r;
        if (timeline->cloud_first_byte_us == 0)
                return buf_add_string(text, ", no answer\n");
        return buf_printf(text, ", first byte %.0f ms\n", ms(timeline->cloud_first_byte_us));
}

static int render_rest(const struct timeline *timeline, uint64_t span_us, struct buf *text)
{
        char picture[PICTURE_COLUMNS + 1];

        if (timeline->rest_first_us == 0)
                return 0;
        draw(picture, '=', timeline->rest_first_us, timeline->rest_last_us, span_us);
        return buf_printf(text, "%-*s%s  first word %.0f ms, last %.0f ms\n", LABEL_COLUMNS, timeline->rest_source,
                          picture, ms(timeline->rest_first_us), ms(timeline->rest_last_us));
}

uint64_t timeline_without_opener_us(const struct timeline *timeline)
{
        if (timeline->cloud_first_text_us <= timeline->released_us)
                return 0;
        return timeline->cloud_first_text_us - timeline->released_us;
}

static int render_worth(const struct timeline *timeline, struct buf *text)
{
        const uint64_t without_us = timeline_without_opener_us(timeline);
        const uint64_t first_us = timeline->opener_first_us ?: timeline->rest_first_us;
        int r;

        if (first_us == 0)
                return buf_add_string(text, "no word was heard\n");
        if (timeline->opener_first_us == 0)
                return buf_printf(text, "first word after %.0f ms; there was no opener\n", ms(first_us));
        if (without_us > 0)
                return buf_printf(text,
                                  "first word after %.0f ms; without the opener it would have been about %.0f ms\n"
                                  "(the cloud's first text came %.0f ms after the body was sent)\n",
                                  ms(first_us), ms(without_us), ms(without_us));
        r = buf_printf(text, "first word after %.0f ms; the cloud gave no text", ms(first_us));
        if (r < 0)
                return r;
        return *timeline->reason ? buf_printf(text, " (%s)\n", timeline->reason) : buf_add_string(text, "\n");
}

int timeline_render(const struct timeline *timeline, struct buf *text)
{
        const uint64_t span_us = find_span(timeline);
        int r;

        if ((r = render_axis(span_us, text)) < 0 || (r = render_opener(timeline, span_us, text)) < 0 ||
            (r = render_wait(timeline, span_us, text)) < 0 || (r = render_rest(timeline, span_us, text)) < 0)
                return r;
        return render_worth(timeline, text);
}
