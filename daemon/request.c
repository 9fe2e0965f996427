/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One question from Ask to the end: feeds events to the race and performs the actions it answers with. An action that
 * fails at once becomes an event of its own, so there is one way into the machine and no recursion. Loop thread only.
 */
#include "daemon/request.h"

#include <errno.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/request-private.h"
#include "libmulm/base/utf8.h"

const char *request_source_name(enum request_source source)
{
        switch (source) {
        case REQUEST_SOURCE_OPENER: return "opener";
        case REQUEST_SOURCE_CLOUD: return "cloud";
        case REQUEST_SOURCE_LOCAL: return "local";
        case _REQUEST_SOURCE_N: break;
        }
        return "";
}

void request_note(struct request *request, const char *error, const char *format, ...)
{
        va_list ap;
        char sentence[512];

        if (*request->error)
                return;
        request->error = error;
        va_start(ap, format);
        (void)vsnprintf(sentence, sizeof(sentence), format, ap);
        va_end(ap);
        (void)buf_add(&request->message, sentence, utf8_complete(sentence, strlen(sentence)));
}

void request_forget_note(struct request *request)
{
        request->error = "";
        buf_clear(&request->message);
}

/* --------------------------------------------------------------------------------------------- performing */

static const char *handoff_reason(const struct request *request, unsigned actions)
{
        if (actions & RACE_ACTION_HEDGE_ADOPT && actions & RACE_ACTION_ENGINE_CANCEL)
                return "late";
        return *request->opener_reason ? request->opener_reason : "failed";
}

static void hand_off(struct request *request, unsigned actions)
{
        const struct request_handoff handoff = {
                .n_words = request->n_opener_words,
                .reason = handoff_reason(request, actions),
                .n_characters = utf8_count(buf_string(&request->merge.shown), request->merge.shown.n),
        };

        request->sequence++;
        if (request->sink)
                request->sink->handoff(request->userdata, request->sequence, &handoff);
}

uint64_t request_since_ask(const struct request *request, uint64_t at_us)
{
        return at_us > request->asked_us ? at_us - request->asked_us : 0;
}

/* Where the words after the opener's begin, and those of the completion; 0: there are none. */
static void find_seams(const struct request *request, struct request_timings *timings)
{
        const size_t *n_merged = request->showing.n_merged;
        const size_t n_opener = n_merged[REQUEST_SOURCE_OPENER];
        const size_t n_before_local = MAX(n_opener, n_merged[REQUEST_SOURCE_CLOUD]);
        const char *text = buf_string(&request->merge.shown);

        if (request->merge.shown.n > n_opener)
                timings->n_seam = utf8_count(text, n_opener);
        if (n_merged[REQUEST_SOURCE_LOCAL] > n_before_local)
                timings->n_local_seam = utf8_count(text, n_before_local);
}

static unsigned count_lost_tokens(const struct recovery *recovery)
{
        unsigned n = 0;

        for (size_t i = 0; i < recovery->n_attempts; i++)
                if (strcmp(recovery->attempts[i].reason, "outrun") == 0)
                        n += recovery->attempts[i].n_tokens;
        return n;
}

static void tell_finished(struct request *request, enum race_outcome outcome, uint64_t now_us)
{
        const struct continuation *continuation = &request->continuation;
        struct request_timings timings = {
                .first_word_us = request_since_ask(request, request->first_word_us),
                .last_opener_word_us = request_since_ask(request, request->last_opener_word_us),
                .released_us = request_since_ask(request, request->released_us),
                .body_sent_us = request_since_ask(request, continuation->times.body_sent_us),
                .cloud_first_byte_us = request_since_ask(request, continuation->times.first_byte_us),
                .cloud_first_text_us = request_since_ask(request, continuation->first_text_us),
                .end_us = request_since_ask(request, now_us),
                .undecided_us = request->showing.undecided_us,
                .paced_us = request->showing.paced_us,
                .raced_opener = request->race.plan.opener,
                .raced_cloud = request->race.plan.cloud,
                .raced_hedge = request->race.plan.hedge && request->race.plan.opener && request->race.plan.cloud,
                .winner = request->winner,
                .opener_end = request->opener_reason,
                .n_lost_tokens = count_lost_tokens(&request->recovery),
                .n_opener_words = request->n_opener_words,
                .n_input_tokens = continuation->n_input_tokens,
                .n_output_tokens = continuation->n_output_tokens,
                .endpoint = continuation->endpoint ? continuation->endpoint->name : "",
                .form = continuation->released ? dialect_form_name(continuation->shape.form) : "",
                .http_status = continuation->status,
                .reused_connection = continuation->times.reused,
                .error = request->error,
                .message = buf_string(&request->message),
                .attempts = request->recovery.attempts,
                .n_attempts = request->recovery.n_attempts,
        };

        find_seams(request, &timings);
        if (request->sink)
                request->sink->finished(request->userdata, outcome, &timings);
}

static void count_outcome(struct requests_statistics *statistics, enum race_outcome outcome)
{
        switch (outcome) {
        case RACE_OUTCOME_COMPLETE: statistics->n_complete++; break;
        case RACE_OUTCOME_LOCAL: statistics->n_local++; break;
        case RACE_OUTCOME_CANCELLED: statistics->n_cancelled++; break;
        case RACE_OUTCOME_FAILED: statistics->n_failed++; break;
        case RACE_OUTCOME_NONE: break;
        }
}

static void tell_state(struct request *request, enum race_state state)
{
        request->told_state = state;
        if (request->sink)
                request->sink->state(request->userdata, state);
}

void request_conclude(struct request *request, enum race_outcome outcome)
{
        count_outcome(&request->owner->statistics, outcome);
        showing_drop(request);
        request->owner->n_live--;
        request->is_over = true;
        tell_state(request, outcome == RACE_OUTCOME_CANCELLED ? RACE_STATE_CANCELLED : request->race.state);
        tell_finished(request, outcome, timers_now_us());
}

/* The race is over. A reply that is shown at a pace is heard to its end before the caller learns of it. */
static void finish(struct request *request)
{
        if (request->race.outcome == RACE_OUTCOME_COMPLETE && merge_end(&request->merge, &request->delta) == 0)
                showing_take(request, REQUEST_SOURCE_CLOUD);
        speech_stop(request);
        continuation_close(request, "cancelled");
        if (request->race.outcome != RACE_OUTCOME_CANCELLED)
                showing_end(request);
        if (request->race.outcome == RACE_OUTCOME_CANCELLED || showing_is_over(request))
                request_conclude(request, request->race.outcome);
}

static const char *abort_reason(const struct request *request, unsigned actions)
{
        if (actions & RACE_ACTION_HEDGE_ADOPT)
                return "outrun";
        return *request->error ? request->error : "cancelled";
}

/* Performs a set of actions in the order of their values; answers the events that came of it at once, as bits. */
static unsigned perform(struct request *request, unsigned actions)
{
        enum race_event_type event;
        unsigned events = 0;

        if (actions & RACE_ACTION_OPENER_START && !speech_start(request, true))
                events |= 1u << RACE_EVENT_ENGINE_FAILED;
        if (actions & RACE_ACTION_CLOUD_OPEN && !continuation_open(request, &event))
                events |= 1u << event;
        if (actions & RACE_ACTION_HEDGE_OPEN && !hedge_open(request))
                events |= 1u << RACE_EVENT_HEDGE_OVER;
        if (actions & RACE_ACTION_ENGINE_CANCEL)
                speech_stop(request);
        if (actions & RACE_ACTION_CLOUD_ABORT)
                continuation_close(request, abort_reason(request, actions));
        if (actions & RACE_ACTION_HEDGE_ABORT)
                hedge_close(request, request->race.state == RACE_STATE_OPENING ? "outrun" : "cancelled");
        if (actions & RACE_ACTION_HANDOFF)
                hand_off(request, actions);
        if (actions & RACE_ACTION_HEDGE_ADOPT) {
                request->released_us = cloud_attempt_times(request->hedge.attempt)->released_us;
                if (!continuation_adopt(request))
                        events |= 1u << RACE_EVENT_CLOUD_FAILED;
        }
        /* Opened in the same set and failed at once: its event is on its way already. */
        if (actions & RACE_ACTION_CLOUD_RELEASE && request->continuation.attempt) {
                if (request->released_us == 0)
                        request->released_us = timers_now_us();
                if (!continuation_release(request))
                        events |= 1u << RACE_EVENT_CLOUD_FAILED;
        }
        if (actions & RACE_ACTION_LOCAL_START && !speech_start(request, false))
                events |= 1u << RACE_EVENT_ENGINE_FAILED;
        if (actions & RACE_ACTION_FINISH)
                finish(request);
        return events;
}

/* One event: the state first, but for an end, which comes with `finished`. */
static unsigned step_once(struct request *request, enum race_event_type event)
{
        enum race_state before = request->race.state;
        unsigned actions = race_step(&request->race, event, timers_now_us());

        if (request->race.state != before && RACE_STATE_IS_LIVE(request->race.state))
                tell_state(request, request->race.state);
        if (event == RACE_EVENT_TIMEOUT && before != RACE_STATE_LOCAL &&
            (request->race.state == RACE_STATE_LOCAL || request->race.state == RACE_STATE_FAILED))
                continuation_note_timeout(request);
        return perform(request, actions);
}

void request_step(struct request *request, enum race_event_type event)
{
        unsigned pending = 1u << event;

        while (pending) {
                event = (enum race_event_type)__builtin_ctz(pending);
                pending &= pending - 1;
                pending |= step_once(request, event);
        }
        timers_set(request->owner->timers, &request->timer, race_deadline_us(&request->race));
}

static void on_timer(void *userdata)
{
        struct request *request = userdata;

        if (race_is_silent(&request->race, timers_now_us()))
                continuation_stall(request);
        else
                request_step(request, RACE_EVENT_TIMEOUT);
}

/* ---------------------------------------------------------------------------------------------------- life */

static struct race_plan make_plan(struct request *request)
{
        uint64_t at_us;
        const struct settings *settings = request->owner->settings;
        const struct request_options *options = &request->options;

        return (struct race_plan){
                .opener = !*request->opener_reason,
                .cloud = recovery_choose(request, &at_us) != NULL,
                .hedge = settings->hedge && options->opener == REQUEST_OPENER_AUTO,
                .local = options->cloud != REQUEST_CLOUD_ONLY,
                .first_text_us = (uint64_t)(settings->first_text_sec * 1e6),
                .gap_us = (uint64_t)(settings->gap_sec * 1e6),
                .total_us = options->deadline_ms > 0 ? options->deadline_ms * 1000
                                                     : (uint64_t)(settings->total_sec * 1e6),
        };
}

int request_new(struct request **ret_request, struct requests *requests, const char *prompt,
                const struct request_options *options, const struct request_sink *sink, void *userdata,
                const char *log_name)
{
        struct race_plan plan;
        struct request *request;
        int r;

        if (requests->n_live >= requests->settings->requests)
                return -EBUSY;
        request = calloc(1, sizeof(*request));
        if (!request)
                return -ENOMEM;

        request->owner = requests;
        request->options = *options;
        request->error = request->winner = "";
        request->timer = (struct timer_node){ .fn = on_timer, .userdata = request };
        merge_init(&request->merge);
        request->merge.redraw = options->redraw;
        request->merge.refusals = prompts_get(&requests->settings->prompts, PROMPTS_TEXT_REFUSALS);
        continuation_init(request);
        hedge_init(request);
        showing_init(request);
        speech_init(request, prompt);
        request->log_name = strdup(log_name);
        r = recovery_init(request);
        if (r == 0)
                r = prompt_add(&request->prompt, PROMPT_ROLE_USER, prompt, strlen(prompt));
        if (r == 0)
                r = prompt_set_texts(&request->prompt, &requests->settings->prompts,
                                     options->redraw ? PROMPT_CORRECTION_REPLACE : PROMPT_CORRECTION_PIVOT);
        if (r < 0 || !request->log_name) {
                request_free(request);
                return -ENOMEM;
        }
        plan = make_plan(request);
        race_init(&request->race, &plan);

        request->sink = sink;
        request->userdata = userdata;
        request->next = requests->first;
        if (request->next)
                request->next->previous = request;
        requests->first = request;
        requests->n_live++;
        requests->statistics.n_asked++;
        *ret_request = request;
        return 0;
}

void request_start(struct request *request)
{
        if (request->started)
                return;
        request->started = true;
        request->asked_us = timers_now_us();
        request_step(request, RACE_EVENT_ASK);
}

void request_cancel(struct request *request)
{
        request_step(request, RACE_EVENT_CANCEL);
        /* The reply is whole, but not yet shown to its end. */
        if (!request->is_over)
                request_conclude(request, RACE_OUTCOME_CANCELLED);
}

struct request *request_release(struct request *request)
{
        if (!request)
                return NULL;
        request->sink = NULL;
        request_cancel(request);
        return NULL;
}

enum race_state request_state(const struct request *request)
{
        return request->told_state;
}

struct request *request_free(struct request *request)
{
        timers_set(request->owner->timers, &request->timer, 0);
        showing_done(request);
        speech_done(request);
        continuation_done(request);
        hedge_done(request);
        recovery_done(request);
        merge_done(&request->merge);
        prompt_done(&request->prompt);
        buf_done(&request->message);
        buf_done(&request->delta);
        free(request->log_name);
        free(request);
        return NULL;
}
