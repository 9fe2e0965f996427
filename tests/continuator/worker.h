/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Generation on a thread of its own, one job at a time, in the order submitted. The thread fills each job's queue as
 * fast as the model can; the loop takes from it when it likes, so that pacing is the taker's business.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "libmulm/mulm.h"
#include "tests/continuator/chat.h"

#define WORKER_JOBS_MAX 64u /* submitted and not yet over */

struct worker;
struct job;

enum piece_type {
        PIECE_TYPE_TEXT,   /* one token; the text may be empty while a UTF-8 sequence is incomplete */
        PIECE_TYPE_STOP,   /* over: the model ended the reply */
        PIECE_TYPE_LENGTH, /* over: max_tokens or the context is reached */
        PIECE_TYPE_FAILED, /* over: `text` is a sentence */
};

struct piece {
        enum piece_type type;
        int error;                                /* FAILED: negative errno */
        unsigned n_input_tokens, n_output_tokens; /* so far */
        char *text;                               /* owned by whoever has the piece; NULL for none */
};

/* On the loop thread: job_take() has something. Must not release a job. */
typedef void (*job_fn)(void *userdata);

struct worker_options {
        const char *model_path;
        unsigned n_threads; /* 0: as libmulm chooses */
        bool one_paragraph; /* a reply ends in front of its first line break, as a spoken one does */
        bool trace;         /* say on stderr when a job begins, how it ended and after how many tokens */
};

/* Opens the model in the calling thread and starts the worker's. On failure `error` has a sentence. */
int worker_new(struct worker **ret_worker, uv_loop_t *loop, const struct worker_options *options,
               struct mulm_error *error);

/* Every job must be released. Stops within a token, joins the thread; memory goes in a close callback. */
void worker_close(struct worker *worker);

const char *worker_model_name(const struct worker *worker);

/* Moves `chat` in (in success only). 0, -ENOMEM, -EBUSY. */
int worker_submit(struct worker *worker, struct chat *chat, job_fn fn, void *userdata, struct job **ret_job);

/* Moves the next piece out, if there is one. After one that says the job is over, none follows. */
bool job_take(struct job *job, struct piece *ret_piece);

/* Stops generation within a token; no callback follows. Accepts NULL, returns NULL. */
struct job *job_release(struct job *job);
