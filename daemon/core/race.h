/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The state machine of one request: what the opener, the cloud, the clock and the caller do to it, and what is to be
 * done then. Pure: an event and the time go in, a state and actions come out; `request` performs them. The diagram is
 * in docs/internals/race.md.
 *
 * Every event is legal in every state; one that comes too late (a word after the end) changes nothing. A request with
 * a total_us ends by its deadlines alone, whatever engine and cloud do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum race_state {
        RACE_STATE_QUEUED,     /* accepted; the engine is busy with another request; the cloud is being reached */
        RACE_STATE_OPENING,    /* the μLM speaks */
        RACE_STATE_HANDOFF,    /* the opener is over, the body released; the cloud has said nothing yet */
        RACE_STATE_CONTINUING, /* the cloud carries the sentence on */
        RACE_STATE_REMOTE,     /* nothing was opened; the cloud answers alone */
        RACE_STATE_RESUMING,   /* the attempt was lost; the next one waits for its time */
        RACE_STATE_LOCAL,      /* the μLM finishes the reply itself */
        RACE_STATE_DONE,       /* over: the reply is whole */
        RACE_STATE_CANCELLED,  /* over: the caller wanted no more */
        RACE_STATE_FAILED,     /* over: nobody could answer */
        _RACE_STATE_N,
};

/* Still at work. */
#define RACE_STATE_IS_LIVE(state) ((state) < RACE_STATE_DONE)

enum race_event_type {
        RACE_EVENT_ASK,            /* the first event of every request */
        RACE_EVENT_ENGINE_STARTED, /* the engine took the job up */
        RACE_EVENT_WORD,           /* the opener or the local completion has another word */
        RACE_EVENT_OPENER_END,     /* the opener is over for any good reason, with or without a word said */
        RACE_EVENT_LOCAL_END,      /* the local completion is over */
        RACE_EVENT_ENGINE_FAILED,  /* the engine cannot go on with this request */
        RACE_EVENT_CLOUD_TEXT,     /* text for the person came from the cloud */
        RACE_EVENT_CLOUD_END,      /* the dialect's end marker: the cloud's reply is whole; the attempt is over */
        RACE_EVENT_CLOUD_LOST,     /* the attempt is over without it, and race_resume_at() was told of the next */
        RACE_EVENT_CLOUD_FAILED,   /* the same, and there is to be no other */
        RACE_EVENT_HEDGE_TEXT,     /* the hedge's answer has begun */
        RACE_EVENT_HEDGE_OVER,     /* the hedge is of no use: it failed */
        RACE_EVENT_TIMEOUT,        /* race_deadline_us() is reached */
        RACE_EVENT_CANCEL,         /* the caller cancelled or left the bus */
        _RACE_EVENT_N,
};

/* What to do, in this order. */
enum race_action {
        RACE_ACTION_OPENER_START = 1 << 0,  /* submit the opener job */
        RACE_ACTION_CLOUD_OPEN = 1 << 1,    /* open an HTTP request, its upload paused */
        RACE_ACTION_HEDGE_OPEN = 1 << 2,    /* open another that asks for the whole answer, its body sent at once */
        RACE_ACTION_ENGINE_CANCEL = 1 << 3, /* the job's further words are not wanted */
        RACE_ACTION_CLOUD_ABORT = 1 << 4,   /* reset the stream */
        RACE_ACTION_HEDGE_ABORT = 1 << 5,   /* reset the hedge's stream */
        RACE_ACTION_HANDOFF = 1 << 6,       /* tell the caller that the opener is over, or that there is none */
        RACE_ACTION_HEDGE_ADOPT = 1 << 7,   /* the hedge's stream is the cloud's attempt from now on */
        RACE_ACTION_CLOUD_RELEASE = 1 << 8, /* build the body from what was said, send it */
        RACE_ACTION_LOCAL_START = 1 << 9,   /* submit the completion job, from exactly the text shown */
        RACE_ACTION_FINISH = 1 << 10,       /* flush what merge holds, tell the caller the outcome; nothing follows */
};

enum race_outcome {
        RACE_OUTCOME_NONE, /* live */
        RACE_OUTCOME_COMPLETE,
        RACE_OUTCOME_LOCAL,
        RACE_OUTCOME_CANCELLED,
        RACE_OUTCOME_FAILED,
};

/* What the caller's options and the settings make of the race; fixed at Ask. */
struct race_plan {
        bool opener;            /* false: never open */
        bool cloud;             /* false: never ask the cloud (none configured, or cloud=never) */
        bool local;             /* false: never finish locally (cloud=only) */
        bool hedge;             /* with an opener and a cloud: ask for a whole answer too, for want of an opener */
        uint64_t first_text_us; /* from release to the cloud's first text, at most */
        uint64_t gap_us;        /* between two pieces of the cloud's text, at most */
        uint64_t total_us;      /* from Ask to the end of the cloud's part, and as long again for LOCAL, at most */
};

struct race {
        struct race_plan plan;
        enum race_state state;
        enum race_outcome outcome;
        bool asked;                              /* ASK has come */
        bool said;                               /* at least one word of the μLM's was shown */
        bool answered;                           /* at least one text of the cloud's was shown */
        bool cloud_open;                         /* an attempt was opened and is not over */
        bool hedge_open;                         /* a hedge was opened and is not over; nothing was said yet */
        bool cloud_due;                          /* an attempt was lost, the next one waits for resume_us */
        bool engine_busy;                        /* a job of ours is queued or running */
        uint64_t total_deadline_us, deadline_us; /* absolute; 0: none */
        uint64_t resume_us;                      /* absolute; in the past: at once */
};

const char *race_state_name(enum race_state state);       /* "opening" */
const char *race_event_name(enum race_event_type type);   /* "cloud-text" */
const char *race_outcome_name(enum race_outcome outcome); /* "complete"; "" for NONE */

void race_init(struct race *race, const struct race_plan *plan);

/* Moves the machine; returns a set of RACE_ACTION_ bits, which are to be performed in the order of their values. Text
 * is shown only if the state after its event is one in which its speaker has the word: OPENING or LOCAL for a WORD,
 * CONTINUING or REMOTE for a CLOUD_TEXT. Events of a job that was cancelled or of an attempt that was aborted must
 * not be fed; a TIMEOUT that comes before the deadline is ignored. */
unsigned race_step(struct race *race, enum race_event_type event, uint64_t now_us);

/* To be told before RACE_EVENT_CLOUD_LOST: when the next attempt may begin. */
void race_resume_at(struct race *race, uint64_t at_us);

/* At its deadline: is that because the cloud was silent, with time left for another attempt? The caller then feeds
 * CLOUD_LOST or CLOUD_FAILED rather than TIMEOUT. */
bool race_is_silent(const struct race *race, uint64_t now_us);

/* When RACE_EVENT_TIMEOUT is due, absolute; 0 for never. Changes only within race_step(). */
uint64_t race_deadline_us(const struct race *race);
