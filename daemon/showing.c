/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the caller is shown of one request, and when: text that was merged is released by `core/pace` and told to the
 * sink piece by piece, each with its source. What was merged is what the cloud and the μLM go on from; what was
 * released is what the caller knows of. Text that waits in merge for longer than HURRY_US only to be joined well is
 * shown as it is. Loop thread only.
 */
#include "daemon/request-private.h"

#define HURRY_US 500000 /* a pause in mid-sentence that a person notices */

/* ------------------------------------------------------------------------------------------------- telling */

static void note_times(struct request *request, enum request_source source, uint64_t now_us)
{
        if (request->first_word_us == 0) {
                request->first_word_us = now_us;
                request->winner = source == REQUEST_SOURCE_CLOUD && request->continuation.is_hedge
                                          ? "hedge"
                                          : request_source_name(source);
        }
        if (source == REQUEST_SOURCE_OPENER)
                request->last_opener_word_us = now_us;
}

static void tell_text(struct request *request, size_t from, size_t to, enum request_source source, uint64_t now_us)
{
        note_times(request, source, now_us);
        request->sequence++;
        if (request->sink)
                request->sink->text(request->userdata, request->sequence, request->merge.shown.data + from, to - from,
                                    source);
}

static bool is_blank(const char *text, size_t n)
{
        return n == 1 && *text == ' ';
}

/* The released bytes from `from` on, a piece for each source. A blank that one left goes with the other's word. */
static void tell_released(struct request *request, size_t from, uint64_t now_us)
{
        const struct showing *showing = &request->showing;
        const size_t n_released = showing->pace.n_released;

        for (unsigned source = 0; source < _REQUEST_SOURCE_N; source++) {
                size_t to = MIN(showing->n_merged[source], n_released);

                if (to <= from || (to < n_released && is_blank(request->merge.shown.data + from, to - from)))
                        continue;
                tell_text(request, from, to, (enum request_source)source, now_us);
                from = to;
        }
}

static void tell_replaced(struct request *request, size_t n_kept, uint64_t now_us)
{
        const struct buf *shown = &request->merge.shown;

        note_times(request, REQUEST_SOURCE_CLOUD, now_us);
        request->sequence++;
        if (request->sink)
                request->sink->replaced(request->userdata, request->sequence, request->merge.n_kept,
                                        buf_string(shown) + n_kept, request->showing.pace.n_released - n_kept);
}

/* ------------------------------------------------------------------------------------------------- releasing */

static struct pace_text merged_text(const struct request *request)
{
        return (struct pace_text){
                .text = buf_string(&request->merge.shown),
                .n = request->merge.shown.n,
                .n_whole = request->showing.n_whole,
                .is_ended = request->showing.is_ended,
        };
}

/* Adds to *total_us while `is_holding`. */
static void note_holding(uint64_t *since_us, uint64_t *total_us, bool is_holding, uint64_t now_us)
{
        if (*since_us > 0 && !is_holding) {
                *total_us += now_us - *since_us;
                *since_us = 0;
        }
        if (*since_us == 0 && is_holding)
                *since_us = now_us;
}

/* Releases what is due and sets the timer for what is next. */
static void release(struct request *request, uint64_t now_us)
{
        struct showing *showing = &request->showing;
        const struct pace_text text = merged_text(request);
        const size_t n_before = showing->pace.n_released;
        uint64_t next_us = pace_step(&showing->pace, &text, now_us);
        bool is_undecided = request->continuation.attempt && merge_is_holding(&request->merge);

        note_holding(&showing->paced_since_us, &showing->paced_us, showing->pace.n_released < text.n, now_us);
        note_holding(&showing->undecided_since_us, &showing->undecided_us, is_undecided, now_us);
        if (is_undecided && !showing->is_hurried) {
                showing->hurry_us = MAX(showing->hurry_us, now_us);
                next_us = next_us > 0 ? MIN(next_us, showing->hurry_us) : showing->hurry_us;
        }
        timers_set(request->owner->timers, &showing->timer, next_us);
        tell_released(request, n_before, now_us);
}

/* What was merged of late: where it came from, and whether it took back something that was released. */
static void take_delta(struct request *request, enum request_source source, uint64_t now_us)
{
        struct showing *showing = &request->showing;
        const size_t n_kept = request->merge.shown.n - request->delta.n;

        if (request->merge.is_replaced)
                for (unsigned i = 0; i < _REQUEST_SOURCE_N; i++)
                        showing->n_merged[i] = MIN(showing->n_merged[i], n_kept);
        showing->n_merged[source] = request->merge.shown.n;
        /* The μLM's words come whole. */
        if (source != REQUEST_SOURCE_CLOUD || request->merge.is_replaced)
                showing->n_whole = source != REQUEST_SOURCE_CLOUD ? request->merge.shown.n : 0;
        if (source == REQUEST_SOURCE_CLOUD && request->continuation.first_text_us == 0)
                request->continuation.first_text_us = now_us;
        if (request->merge.is_replaced && n_kept < showing->pace.n_released) {
                const struct pace_text text = merged_text(request);

                pace_replace(&showing->pace, &text, n_kept, now_us);
                tell_replaced(request, n_kept, now_us);
        }
        request->merge.is_replaced = false;
        buf_clear(&request->delta);
}

void showing_take(struct request *request, enum request_source source)
{
        const uint64_t now_us = timers_now_us();

        if (request->delta.n > 0 || request->merge.is_replaced)
                take_delta(request, source, now_us);
        request->showing.hurry_us = now_us + HURRY_US;
        request->showing.is_hurried = false;
        release(request, now_us);
}

static void on_timer(void *userdata)
{
        struct request *request = userdata;
        struct showing *showing = &request->showing;
        const uint64_t now_us = timers_now_us();

        if (request->continuation.attempt && !showing->is_hurried && now_us >= showing->hurry_us) {
                showing->is_hurried = true;
                if (merge_hurry(&request->merge, &request->delta) == 0 && request->delta.n > 0)
                        take_delta(request, REQUEST_SOURCE_CLOUD, now_us);
        }
        release(request, now_us);
        if (showing->is_ended && showing_is_over(request))
                request_conclude(request, request->race.outcome);
}

/* ----------------------------------------------------------------------------------------------------- life */

void showing_init(struct request *request)
{
        pace_init(&request->showing.pace, request->options.words_per_second, request->options.min_interval_ms);
        request->showing.timer = (struct timer_node){ .fn = on_timer, .userdata = request };
}

void showing_done(struct request *request)
{
        timers_set(request->owner->timers, &request->showing.timer, 0);
        buf_done(&request->showing.text);
}

void showing_end(struct request *request)
{
        request->showing.is_ended = true;
        release(request, timers_now_us());
}

bool showing_is_over(const struct request *request)
{
        return request->showing.pace.n_released == request->merge.shown.n;
}

void showing_drop(struct request *request)
{
        const uint64_t now_us = timers_now_us();
        struct showing *showing = &request->showing;

        showing->is_ended = true;
        note_holding(&showing->paced_since_us, &showing->paced_us, false, now_us);
        note_holding(&showing->undecided_since_us, &showing->undecided_us, false, now_us);
        timers_set(request->owner->timers, &showing->timer, 0);
}

const char *request_text(struct request *request)
{
        const size_t n = request->showing.pace.n_released;
        struct buf *text = &request->showing.text;

        if (n == request->merge.shown.n)
                return buf_string(&request->merge.shown);
        buf_clear(text);
        return buf_add(text, request->merge.shown.data, n) < 0 ? "" : buf_string(text);
}
