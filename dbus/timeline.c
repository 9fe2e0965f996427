/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The picture of a request. See timeline.h.
 *
 *               0              1500           3000 ms
 *               +--------------+--------------+
 *      opener   =                                12 to 24 ms (unsure)
 *      primary  .~~~~~x                          sent 25 ms, 503 Status
 *      backup         ~~~======                  sent 800 ms, text 905 ms, 7 tokens
 *      cloud             =============           931 to 2100 ms
 *      seam     behind 27 characters; primary lost (Status), backup went on behind 27
 *      held     40 ms until it was clear how it joins
 *      first word after 12 ms; without the opener it would have been about 905 ms
 *      (the cloud's first text came 905 ms after the body was sent)
 *
 * Of an attempt, dots are the open connection, tildes the wait, and the end is an x where it failed.
 */
#include "dbus/timeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libmulm/base/macro.h"

#define LABEL_COLUMNS   9
#define NOTE_COLUMNS    40 /* to the right of the picture */
#define PICTURE_COLUMNS (TIMELINE_COLUMNS_MAX - LABEL_COLUMNS - NOTE_COLUMNS)
#define N_TICKS         3

/* As terminal.c has them; the continuation is plain there. */
#define STYLE_OPENER "\033[1;36m"
#define STYLE_LOCAL  "\033[2;33m"
#define STYLE_WAIT   "\033[2m"
#define STYLE_LOST   "\033[31m"
#define STYLE_RESET  "\033[0m"

struct picture {
        const struct timeline *timeline;
        uint64_t span_us;
        size_t n_columns; /* odd, so that there is one in the middle */
        char row[PICTURE_COLUMNS + 1];
};

static double ms(uint64_t us)
{
        return (double)us / 1000;
}

/* The column of a moment; one beyond the axis is at its end. */
static size_t column(const struct picture *picture, uint64_t us)
{
        const size_t last = picture->n_columns - 1;

        return us >= picture->span_us ? last : (size_t)((double)us / (double)picture->span_us * (double)last);
}

static void clear(struct picture *picture)
{
        memset(picture->row, ' ', picture->n_columns);
        picture->row[picture->n_columns] = '\0';
}

/* `mark` from `first` to `last`, both included; nothing where it did not happen. */
static void draw(struct picture *picture, char mark, uint64_t first, uint64_t last)
{
        if (first == 0)
                return;
        for (size_t i = column(picture, first); i <= column(picture, MAX(first, last)); i++)
                picture->row[i] = mark;
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

static int render_axis(struct picture *picture, struct buf *text)
{
        const size_t half = (picture->n_columns - 1) / 2;
        char labels[N_TICKS][24];

        for (unsigned i = 0; i < N_TICKS; i++)
                (void)snprintf(labels[i], sizeof(labels[i]), "%g", ms(picture->span_us) * i / (N_TICKS - 1));
        memset(picture->row, '-', picture->n_columns);
        picture->row[0] = picture->row[half] = picture->row[picture->n_columns - 1] = '+';
        return buf_printf(text, "%-*s%-*s%-*s%s ms\n%-*s%s\n", LABEL_COLUMNS, "", (int)half, labels[0], (int)half,
                          labels[1], labels[2], LABEL_COLUMNS, "", picture->row);
}

/* Label and picture of a row; what it says is to follow. Names of endpoints are cut to the label's width. */
static int begin_row(const struct picture *picture, const char *label, const char *style, struct buf *text)
{
        const bool color = picture->timeline->color && *style;

        return buf_printf(text, "%-*.*s%s%s%s  ", LABEL_COLUMNS, LABEL_COLUMNS - 1, label, color ? style : "",
                          picture->row, color ? STYLE_RESET : "");
}

/* ---------------------------------------------------------------------------------------------------- rows */

static int render_opener(struct picture *picture, struct buf *text)
{
        const struct timeline *timeline = picture->timeline;
        int r;

        if (timeline->opener_first_us == 0)
                return 0;
        clear(picture);
        draw(picture, '=', timeline->opener_first_us, timeline->opener_last_us);
        r = begin_row(picture, "opener", STYLE_OPENER, text);
        if (r == 0)
                r = buf_printf(text, "%.0f to %.0f ms", ms(timeline->opener_first_us), ms(timeline->opener_last_us));
        if (r == 0 && *timeline->opener_end)
                r = buf_printf(text, " (%s)", timeline->opener_end);
        return r < 0 ? r : buf_add_string(text, "\n");
}

static bool is_lost(const struct timeline_attempt *attempt)
{
        return strcmp(attempt->reason, "complete") != 0;
}

static int note_attempt(const struct timeline_attempt *attempt, struct buf *text)
{
        int r = attempt->sent_us > 0 ? buf_printf(text, "sent %.0f ms", ms(attempt->sent_us))
                                     : buf_add_string(text, "not sent");

        if (r == 0 && attempt->first_text_us > 0)
                r = buf_printf(text, ", text %.0f ms", ms(attempt->first_text_us));
        if (r == 0 && is_lost(attempt) && attempt->status > 0 && attempt->status != 200)
                r = buf_printf(text, ", %u", attempt->status);
        if (r == 0 && is_lost(attempt))
                r = buf_printf(text, ", %s", attempt->reason);
        return r < 0 ? r : buf_add_string(text, "\n");
}

static int render_attempt(struct picture *picture, const struct timeline_attempt *attempt, struct buf *text)
{
        const uint64_t end_us = attempt->ended_us ?: picture->timeline->end_us;
        int r;

        clear(picture);
        draw(picture, '.', attempt->opened_us, attempt->sent_us ?: end_us);
        draw(picture, '~', attempt->sent_us, attempt->first_text_us ?: end_us);
        draw(picture, '=', attempt->first_text_us, end_us);
        if (is_lost(attempt) && end_us > 0)
                draw(picture, 'x', end_us, end_us);
        r = begin_row(picture, attempt->is_hedge ? "hedge" : attempt->endpoint,
                      is_lost(attempt) ? STYLE_LOST : STYLE_WAIT, text);
        return r < 0 ? r : note_attempt(attempt, text);
}

static int render_attempts(struct picture *picture, struct buf *text)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < picture->timeline->n_attempts; i++)
                r = render_attempt(picture, &picture->timeline->attempts[i], text);
        return r;
}

static int render_rest(struct picture *picture, struct buf *text)
{
        const struct timeline *timeline = picture->timeline;
        const bool is_local = strcmp(timeline->rest_source, "local") == 0;
        int r;

        if (timeline->rest_first_us == 0)
                return 0;
        clear(picture);
        draw(picture, '=', timeline->rest_first_us, timeline->rest_last_us);
        r = begin_row(picture, timeline->rest_source, is_local ? STYLE_LOCAL : "", text);
        return r < 0 ? r
                     : buf_printf(text, "%.0f to %.0f ms\n", ms(timeline->rest_first_us), ms(timeline->rest_last_us));
}

/* --------------------------------------------------------------------------------------------------- notes */

/* Where the reply was taken over, a line for each time. */
static int render_seams(const struct timeline *timeline, struct buf *text)
{
        int r = 0;

        if (timeline->seam > 0)
                r = buf_printf(text, "%-*sbehind %" PRIu64 " characters\n", LABEL_COLUMNS, "seam", timeline->seam);
        for (size_t i = 1; r == 0 && i < timeline->n_attempts; i++) {
                const struct timeline_attempt *before = &timeline->attempts[i - 1], *now = &timeline->attempts[i];

                if (now->sent_us > 0 && before->sent_us > 0 && !now->is_hedge && !before->is_hedge)
                        r = buf_printf(text, "%-*sbehind %" PRIu64 " characters, %s after %s: %s\n", LABEL_COLUMNS,
                                       "resumed", now->characters, now->endpoint, before->endpoint, before->reason);
        }
        if (r == 0 && timeline->local_seam > 0)
                r = buf_printf(text, "%-*sbehind %" PRIu64 " characters, by the model on the device\n", LABEL_COLUMNS,
                               "finished", timeline->local_seam);
        return r;
}

static int render_costs(const struct timeline *timeline, struct buf *text)
{
        int r = 0;

        if (timeline->undecided_us > 0)
                r = buf_printf(text, "%-*s%.0f ms, until it was clear how the text joins\n", LABEL_COLUMNS, "held",
                               ms(timeline->undecided_us));
        if (r == 0 && timeline->paced_us > 0)
                r = buf_printf(text, "%-*s%.0f ms, by the pace\n", LABEL_COLUMNS, "held", ms(timeline->paced_us));
        if (r == 0 && timeline->lost_tokens > 0)
                r = buf_printf(text, "%-*s%" PRIu64 " tokens, of answers that were outrun\n", LABEL_COLUMNS, "lost",
                               timeline->lost_tokens);
        return r;
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
        const unsigned wanted = timeline->n_columns ?: TIMELINE_COLUMNS;
        const size_t n_columns = MIN(MAX(wanted, (unsigned)TIMELINE_COLUMNS_MIN), (unsigned)TIMELINE_COLUMNS_MAX);
        struct picture picture = {
                .timeline = timeline,
                .span_us = find_span(timeline),
                .n_columns = (n_columns - LABEL_COLUMNS - NOTE_COLUMNS) | 1,
        };
        int r;

        if ((r = render_axis(&picture, text)) < 0 || (r = render_opener(&picture, text)) < 0 ||
            (r = render_attempts(&picture, text)) < 0 || (r = render_rest(&picture, text)) < 0 ||
            (r = render_seams(timeline, text)) < 0 || (r = render_costs(timeline, text)) < 0)
                return r;
        return render_worth(timeline, text);
}
