/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The μLM on a thread of its own. Jobs go in, words come back on the loop thread through one callback; what crosses
 * is moved, never shared. The only file that includes libmulm/mulm.h. One job runs at a time, in the order submitted;
 * a cancelled job stops at its next word.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/core/prompt.h"
#include "libmulm/base/buf.h"

struct engine;

enum engine_job_kind {
        ENGINE_JOB_OPENER,     /* the first words of the reply */
        ENGINE_JOB_COMPLETION, /* the rest of the reply after prompt.said */
};

#define ENGINE_AVOID_MAX 32 /* bytes with the end */

struct engine_job {
        uint64_t id; /* the submitter's; never 0, unique among live jobs */
        enum engine_job_kind kind;
        struct prompt prompt;          /* system and continuation are the cloud's and unused here */
        unsigned min_words, max_words; /* of an opener; max_words also bounds a completion */
        double confidence;             /* below 0: the model's */
        char avoid[ENGINE_AVOID_MAX];  /* what an opener's first word is not to be; "": it may be any */
        uint64_t seed;                 /* 0: greedy */
};

enum engine_event {
        ENGINE_EVENT_STARTED, /* taken up */
        ENGINE_EVENT_WORD,    /* text and probability */
        ENGINE_EVENT_END,     /* over; `reason` says why */
        ENGINE_EVENT_FAILED,  /* over; text is a sentence */
};

enum engine_reason {
        ENGINE_REASON_LIMIT,  /* as many words as were asked for */
        ENGINE_REASON_END,    /* the model ended its reply */
        ENGINE_REASON_UNSURE, /* the next word was too improbable to say */
        ENGINE_REASON_FULL,   /* the context is full */
};

struct engine_word {
        uint64_t job;
        enum engine_event event;
        enum engine_reason reason;
        const char *text; /* a whole word with its leading blank, valid UTF-8; during the callback */
        size_t n_text;
        float probability;
        uint64_t at_us; /* when the engine had it, on timers_now_us()'s clock */
};

/* Called on the loop thread, for each job: STARTED, WORD*, then END or FAILED once; after engine_cancel(), nothing.
 */
typedef void (*engine_word_fn)(void *userdata, const struct engine_word *word);

struct engine_options {
        const char *model_path;
        unsigned n_threads; /* 0: as libmulm chooses */
        unsigned n_context; /* tokens; 0: the model's */
};

/* Opens the model in the calling thread (so that errors are known at start) and starts the engine thread. On failure
 * appends a sentence to `error`. */
int engine_new(struct engine **ret_engine, uv_loop_t *loop, const struct engine_options *options, engine_word_fn fn,
               void *userdata, struct buf *error);

/* Cancels all jobs, joins the thread, closes the handle; memory goes in its close callback. No callback follows. */
void engine_close(struct engine *engine);

/* Takes the job over, in success and failure (its prompt is moved out and emptied). 0, -ENOMEM, -EBUSY (queue full).
 */
int engine_submit(struct engine *engine, struct engine_job *job);

/* No further callback for this id; it may be unknown or over. */
void engine_cancel(struct engine *engine, uint64_t id);

/* The model's name as its file gives it, or the file's name. */
const char *engine_model_name(const struct engine *engine);
