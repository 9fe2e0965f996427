/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The state machine of one request. See race.h; docs/internals/race.md has the diagram.
 *
 * Two halves: race_enter() alone writes the state, and with it come the deadline and the actions that entering it
 * means; one function per state says where each event leads. Refuses nothing: an event that has no place in a state
 * leaves it as it is.
 */
#include "daemon/core/race.h"

#include "libmulm/base/macro.h"

const char *race_state_name(enum race_state state)
{
        switch (state) {
        case RACE_STATE_QUEUED: return "queued";
        case RACE_STATE_OPENING: return "opening";
        case RACE_STATE_HANDOFF: return "handoff";
        case RACE_STATE_CONTINUING: return "continuing";
        case RACE_STATE_REMOTE: return "remote";
        case RACE_STATE_RESUMING: return "resuming";
        case RACE_STATE_LOCAL: return "local";
        case RACE_STATE_DONE: return "done";
        case RACE_STATE_CANCELLED: return "cancelled";
        case RACE_STATE_FAILED: return "failed";
        case _RACE_STATE_N: break;
        }
        return "";
}

const char *race_event_name(enum race_event_type type)
{
        switch (type) {
        case RACE_EVENT_ASK: return "ask";
        case RACE_EVENT_ENGINE_STARTED: return "engine-started";
        case RACE_EVENT_WORD: return "word";
        case RACE_EVENT_OPENER_END: return "opener-end";
        case RACE_EVENT_LOCAL_END: return "local-end";
        case RACE_EVENT_ENGINE_FAILED: return "engine-failed";
        case RACE_EVENT_CLOUD_TEXT: return "cloud-text";
        case RACE_EVENT_CLOUD_END: return "cloud-end";
        case RACE_EVENT_CLOUD_LOST: return "cloud-lost";
        case RACE_EVENT_CLOUD_FAILED: return "cloud-failed";
        case RACE_EVENT_HEDGE_TEXT: return "hedge-text";
        case RACE_EVENT_HEDGE_OVER: return "hedge-over";
        case RACE_EVENT_TIMEOUT: return "timeout";
        case RACE_EVENT_CANCEL: return "cancel";
        case _RACE_EVENT_N: break;
        }
        return "";
}

const char *race_outcome_name(enum race_outcome outcome)
{
        switch (outcome) {
        case RACE_OUTCOME_NONE: return "";
        case RACE_OUTCOME_COMPLETE: return "complete";
        case RACE_OUTCOME_LOCAL: return "local";
        case RACE_OUTCOME_CANCELLED: return "cancelled";
        case RACE_OUTCOME_FAILED: return "failed";
        }
        return "";
}

/* ------------------------------------------------------------------------------------------------ deadlines */

/* `now_us + span_us`, for ever where that has no number or span is 0. */
static uint64_t after(uint64_t now_us, uint64_t span_us)
{
        uint64_t sum;

        if (span_us == 0 || __builtin_add_overflow(now_us, span_us, &sum))
                return 0;
        return sum;
}

static uint64_t earlier(uint64_t a_us, uint64_t b_us)
{
        if (a_us == 0 || b_us == 0)
                return a_us + b_us;
        return a_us < b_us ? a_us : b_us;
}

static void wait_for_text(struct race *race, uint64_t now_us, uint64_t span_us)
{
        race->deadline_us = earlier(after(now_us, span_us), race->total_deadline_us);
}

/* For the next attempt, where one is due. */
static void wait_to_resume(struct race *race, uint64_t now_us)
{
        race->deadline_us = race->cloud_due ? earlier(MAX(race->resume_us, now_us), race->total_deadline_us)
                                            : race->total_deadline_us;
}

static bool is_out_of_time(const struct race *race, uint64_t now_us)
{
        return race->total_deadline_us != 0 && now_us >= race->total_deadline_us;
}

/* ------------------------------------------------------------------------------------------------- entering */

static unsigned stop_engine(struct race *race)
{
        unsigned actions = race->engine_busy ? RACE_ACTION_ENGINE_CANCEL : 0;

        race->engine_busy = false;
        return actions;
}

static unsigned stop_cloud(struct race *race)
{
        unsigned actions = race->cloud_open ? RACE_ACTION_CLOUD_ABORT : 0;

        race->cloud_open = race->cloud_due = false;
        return actions;
}

static unsigned stop_hedge(struct race *race)
{
        unsigned actions = race->hedge_open ? RACE_ACTION_HEDGE_ABORT : 0;

        race->hedge_open = false;
        return actions;
}

/* The hedge takes the place of the engine and of the attempt that waits for an opener. */
static unsigned adopt_hedge(struct race *race)
{
        unsigned actions = stop_engine(race) | stop_cloud(race) | RACE_ACTION_HEDGE_ADOPT;

        race->hedge_open = false;
        race->cloud_open = true;
        return actions;
}

/* The next attempt, in place of one that was lost. */
static unsigned open_again(struct race *race)
{
        if (!race->cloud_due)
                return 0;
        race->cloud_due = false;
        race->cloud_open = true;
        return RACE_ACTION_CLOUD_OPEN;
}

static unsigned finish(struct race *race, enum race_outcome outcome)
{
        race->outcome = outcome;
        race->deadline_us = 0;
        return stop_engine(race) | stop_cloud(race) | stop_hedge(race) | RACE_ACTION_FINISH;
}

/* The only writer of the state. Answers what entering it means. */
static unsigned race_enter(struct race *race, enum race_state state, uint64_t now_us)
{
        enum race_state from = race->state;
        unsigned handoff = from <= RACE_STATE_OPENING ? RACE_ACTION_HANDOFF : 0;
        unsigned actions;

        race->state = state;
        switch (state) {
        case RACE_STATE_QUEUED:
        case RACE_STATE_OPENING: wait_to_resume(race, now_us); return 0;
        case RACE_STATE_HANDOFF:
        case RACE_STATE_REMOTE:
                wait_for_text(race, now_us, race->plan.first_text_us);
                if (race->hedge_open)
                        return adopt_hedge(race) | handoff;
                return open_again(race) | handoff | RACE_ACTION_CLOUD_RELEASE;
        case RACE_STATE_CONTINUING: wait_for_text(race, now_us, race->plan.gap_us); return 0;
        case RACE_STATE_RESUMING: wait_to_resume(race, now_us); return handoff;
        case RACE_STATE_LOCAL:
                actions = stop_engine(race) | stop_cloud(race) | stop_hedge(race) | handoff | RACE_ACTION_LOCAL_START;
                race->engine_busy = true;
                race->deadline_us = after(now_us, race->plan.total_us);
                return actions;
        case RACE_STATE_DONE:
                return finish(race, from == RACE_STATE_LOCAL ? RACE_OUTCOME_LOCAL : RACE_OUTCOME_COMPLETE);
        case RACE_STATE_CANCELLED: return finish(race, RACE_OUTCOME_CANCELLED);
        case RACE_STATE_FAILED: return finish(race, RACE_OUTCOME_FAILED);
        case _RACE_STATE_N: break;
        }
        return 0;
}

/* Nobody but the μLM can go on. */
static unsigned enter_local(struct race *race, uint64_t now_us)
{
        return race_enter(race, race->plan.local ? RACE_STATE_LOCAL : RACE_STATE_FAILED, now_us);
}

/* The cloud's turn, after something was said or with nothing. */
static unsigned enter_cloud(struct race *race, uint64_t now_us)
{
        return race_enter(race, race->said || race->answered ? RACE_STATE_HANDOFF : RACE_STATE_REMOTE, now_us);
}

/* The opener is over: the cloud's turn, as soon as there is an attempt; else `without`. A hedge that is still there
 * means that nothing was said. */
static unsigned leave_opening(struct race *race, unsigned (*without)(struct race *race, uint64_t now_us),
                              uint64_t now_us)
{
        race->engine_busy = false;
        if (race->cloud_open || race->hedge_open)
                return enter_cloud(race, now_us);
        return race->cloud_due ? race_enter(race, RACE_STATE_RESUMING, now_us) : without(race, now_us);
}

static unsigned enter_failed(struct race *race, uint64_t now_us)
{
        return race_enter(race, RACE_STATE_FAILED, now_us);
}

/* The attempt is over, another one is due. */
static void lose_cloud(struct race *race)
{
        race->cloud_open = false;
        race->cloud_due = true;
}

/* --------------------------------------------------------------------------------------------- state by state */

static unsigned ask(struct race *race, uint64_t now_us)
{
        unsigned actions = 0;

        if (race->asked)
                return 0;
        race->asked = true;
        race->total_deadline_us = after(now_us, race->plan.total_us);
        if (race->plan.cloud) {
                race->cloud_open = true;
                actions |= RACE_ACTION_CLOUD_OPEN;
        }
        if (race->plan.cloud && race->plan.opener && race->plan.hedge) {
                race->hedge_open = true;
                actions |= RACE_ACTION_HEDGE_OPEN;
        }
        if (race->plan.opener) {
                race->engine_busy = true;
                return actions | RACE_ACTION_OPENER_START | race_enter(race, RACE_STATE_QUEUED, now_us);
        }
        return actions | (race->plan.cloud ? enter_cloud(race, now_us) : enter_local(race, now_us));
}

/* QUEUED before ASK: nothing was started, so nothing but ASK and CANCEL can be meant. */
static unsigned step_unasked(struct race *race, enum race_event_type event, uint64_t now_us)
{
        switch (event) {
        case RACE_EVENT_ASK: return ask(race, now_us);
        case RACE_EVENT_CANCEL: return race_enter(race, RACE_STATE_CANCELLED, now_us);
        case RACE_EVENT_ENGINE_STARTED:
        case RACE_EVENT_WORD:
        case RACE_EVENT_OPENER_END:
        case RACE_EVENT_LOCAL_END:
        case RACE_EVENT_ENGINE_FAILED:
        case RACE_EVENT_CLOUD_TEXT:
        case RACE_EVENT_CLOUD_END:
        case RACE_EVENT_CLOUD_LOST:
        case RACE_EVENT_CLOUD_FAILED:
        case RACE_EVENT_HEDGE_TEXT:
        case RACE_EVENT_HEDGE_OVER:
        case RACE_EVENT_TIMEOUT:
        case _RACE_EVENT_N: return 0;
        }
        return 0;
}

/* In QUEUED and OPENING: the whole request's time, or that of the next attempt, which then waits as the first did. */
static unsigned take_opening_timeout(struct race *race, uint64_t now_us)
{
        unsigned actions;

        if (is_out_of_time(race, now_us))
                return enter_local(race, now_us);
        actions = open_again(race);
        wait_to_resume(race, now_us);
        return actions;
}

/* The first one settles it between the opener and the hedge. */
static unsigned take_opener_word(struct race *race, uint64_t now_us)
{
        unsigned actions = stop_hedge(race);

        race->said = true;
        return actions | (race->state == RACE_STATE_QUEUED ? race_enter(race, RACE_STATE_OPENING, now_us) : 0);
}

/* QUEUED and OPENING: the opener has the word. What the cloud does is only remembered, since an opener that has begun
 * is worth more whole than cut off. Before that, whoever speaks first has it: the opener or the hedge. */
static unsigned step_opening(struct race *race, enum race_event_type event, uint64_t now_us)
{
        switch (event) {
        case RACE_EVENT_WORD: return take_opener_word(race, now_us);
        case RACE_EVENT_ENGINE_STARTED:
                return race->state == RACE_STATE_QUEUED ? race_enter(race, RACE_STATE_OPENING, now_us) : 0;
        case RACE_EVENT_OPENER_END: return leave_opening(race, enter_local, now_us);
        case RACE_EVENT_ENGINE_FAILED: return leave_opening(race, enter_failed, now_us);
        case RACE_EVENT_CLOUD_TEXT:
                return stop_cloud(race); /* an answer to a body not yet sent is to nobody's question */
        case RACE_EVENT_CLOUD_LOST:
                lose_cloud(race);
                wait_to_resume(race, now_us);
                return 0;
        case RACE_EVENT_CLOUD_END:
        case RACE_EVENT_CLOUD_FAILED: race->cloud_open = false; return 0;
        case RACE_EVENT_HEDGE_TEXT: return race->hedge_open ? race_enter(race, RACE_STATE_REMOTE, now_us) : 0;
        case RACE_EVENT_HEDGE_OVER: race->hedge_open = false; return 0;
        case RACE_EVENT_TIMEOUT: return take_opening_timeout(race, now_us);
        case RACE_EVENT_CANCEL: return race_enter(race, RACE_STATE_CANCELLED, now_us);
        case RACE_EVENT_ASK:
        case RACE_EVENT_LOCAL_END:
        case _RACE_EVENT_N: return 0;
        }
        return 0;
}

/* The end marker in HANDOFF, CONTINUING or REMOTE. With text it is the end of the reply. Without any (some models end
 * their turn at once when an opener reads like a reply) the μLM speaks rather than leave half a sentence or silence;
 * where it may not, an opener stands as the whole reply, since the cloud took it for one. */
static unsigned take_cloud_end(struct race *race, uint64_t now_us)
{
        race->cloud_open = false;
        if (!race->answered && race->plan.local)
                return race_enter(race, RACE_STATE_LOCAL, now_us);
        return race_enter(race, race->answered || race->said ? RACE_STATE_DONE : RACE_STATE_FAILED, now_us);
}

/* HANDOFF, CONTINUING and REMOTE: the cloud has the word. */
static unsigned step_cloud(struct race *race, enum race_event_type event, uint64_t now_us)
{
        switch (event) {
        case RACE_EVENT_CLOUD_TEXT:
                race->answered = true;
                if (race->state == RACE_STATE_HANDOFF)
                        return race_enter(race, RACE_STATE_CONTINUING, now_us);
                wait_for_text(race, now_us, race->plan.gap_us);
                return 0;
        case RACE_EVENT_CLOUD_END: return take_cloud_end(race, now_us);
        case RACE_EVENT_CLOUD_LOST: lose_cloud(race); return race_enter(race, RACE_STATE_RESUMING, now_us);
        case RACE_EVENT_CLOUD_FAILED: race->cloud_open = false; return enter_local(race, now_us);
        case RACE_EVENT_TIMEOUT: return enter_local(race, now_us);
        case RACE_EVENT_CANCEL: return race_enter(race, RACE_STATE_CANCELLED, now_us);
        case RACE_EVENT_ASK:
        case RACE_EVENT_ENGINE_STARTED:
        case RACE_EVENT_WORD:
        case RACE_EVENT_OPENER_END:
        case RACE_EVENT_LOCAL_END:
        case RACE_EVENT_ENGINE_FAILED:
        case RACE_EVENT_HEDGE_TEXT:
        case RACE_EVENT_HEDGE_OVER:
        case _RACE_EVENT_N: return 0;
        }
        return 0;
}

/* RESUMING: nobody has the word, and no attempt is open that could say anything. */
static unsigned step_resuming(struct race *race, enum race_event_type event, uint64_t now_us)
{
        switch (event) {
        case RACE_EVENT_TIMEOUT:
                return is_out_of_time(race, now_us) ? enter_local(race, now_us) : enter_cloud(race, now_us);
        case RACE_EVENT_CANCEL: return race_enter(race, RACE_STATE_CANCELLED, now_us);
        case RACE_EVENT_ASK:
        case RACE_EVENT_ENGINE_STARTED:
        case RACE_EVENT_WORD:
        case RACE_EVENT_OPENER_END:
        case RACE_EVENT_LOCAL_END:
        case RACE_EVENT_ENGINE_FAILED:
        case RACE_EVENT_CLOUD_TEXT:
        case RACE_EVENT_CLOUD_END:
        case RACE_EVENT_CLOUD_LOST:
        case RACE_EVENT_CLOUD_FAILED:
        case RACE_EVENT_HEDGE_TEXT:
        case RACE_EVENT_HEDGE_OVER:
        case _RACE_EVENT_N: return 0;
        }
        return 0;
}

/* The completion is over, whole or cut by its deadline: a reply, if there is any text at all. */
static unsigned take_local_end(struct race *race, uint64_t now_us)
{
        return race_enter(race, race->said || race->answered ? RACE_STATE_DONE : RACE_STATE_FAILED, now_us);
}

static unsigned step_local(struct race *race, enum race_event_type event, uint64_t now_us)
{
        switch (event) {
        case RACE_EVENT_WORD: race->said = true; return 0;
        case RACE_EVENT_LOCAL_END: race->engine_busy = false; return take_local_end(race, now_us);
        case RACE_EVENT_TIMEOUT: return take_local_end(race, now_us);
        case RACE_EVENT_ENGINE_FAILED: race->engine_busy = false; return race_enter(race, RACE_STATE_FAILED, now_us);
        case RACE_EVENT_CANCEL: return race_enter(race, RACE_STATE_CANCELLED, now_us);
        case RACE_EVENT_ASK:
        case RACE_EVENT_ENGINE_STARTED:
        case RACE_EVENT_OPENER_END:
        case RACE_EVENT_CLOUD_TEXT:
        case RACE_EVENT_CLOUD_END:
        case RACE_EVENT_CLOUD_LOST:
        case RACE_EVENT_CLOUD_FAILED:
        case RACE_EVENT_HEDGE_TEXT:
        case RACE_EVENT_HEDGE_OVER:
        case _RACE_EVENT_N: return 0;
        }
        return 0;
}

/* ---------------------------------------------------------------------------------------------------- public */

void race_init(struct race *race, const struct race_plan *plan)
{
        *race = (struct race){ .plan = *plan, .state = RACE_STATE_QUEUED };
}

unsigned race_step(struct race *race, enum race_event_type event, uint64_t now_us)
{
        /* A timer that was set for an earlier deadline and fires all the same. */
        if (event == RACE_EVENT_TIMEOUT && (race->deadline_us == 0 || now_us < race->deadline_us))
                return 0;

        switch (race->state) {
        case RACE_STATE_QUEUED:
                return race->asked ? step_opening(race, event, now_us) : step_unasked(race, event, now_us);
        case RACE_STATE_OPENING: return step_opening(race, event, now_us);
        case RACE_STATE_HANDOFF:
        case RACE_STATE_CONTINUING:
        case RACE_STATE_REMOTE: return step_cloud(race, event, now_us);
        case RACE_STATE_RESUMING: return step_resuming(race, event, now_us);
        case RACE_STATE_LOCAL: return step_local(race, event, now_us);
        case RACE_STATE_DONE:
        case RACE_STATE_CANCELLED:
        case RACE_STATE_FAILED:
        case _RACE_STATE_N: return 0;
        }
        return 0;
}

void race_resume_at(struct race *race, uint64_t at_us)
{
        race->resume_us = at_us;
}

bool race_is_silent(const struct race *race, uint64_t now_us)
{
        bool is_clouds = race->state == RACE_STATE_HANDOFF || race->state == RACE_STATE_CONTINUING ||
                         race->state == RACE_STATE_REMOTE;

        return is_clouds && race->deadline_us != 0 && now_us >= race->deadline_us && !is_out_of_time(race, now_us);
}

uint64_t race_deadline_us(const struct race *race)
{
        return race->deadline_us;
}
