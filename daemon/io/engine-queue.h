/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What crosses between the loop thread and the engine thread: jobs in, words out, each moved whole under one mutex. A
 * cancelled job is marked, and its words are dropped, under that mutex, so that nothing of it can arrive afterwards.
 * The word that ends a job is allocated with the job: the end can always be told. Used by engine.c alone.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "daemon/io/engine.h"
#include "libmulm/base/buf.h"

#define ENGINE_QUEUE_MAX 64 /* jobs that wait; the last of more would wait too long to be of use */

struct engine_item { /* a word on its way out */
        struct engine_word word;
        struct buf text;
        struct engine_item *next;
};

struct engine_task { /* a job on its way in */
        struct engine_job job;
        struct engine_item *last; /* END or FAILED; NULL once sent */
        bool cancelled;           /* under the mutex */
        struct engine_task *next;
};

struct engine_queue {
        uv_mutex_t mutex;
        uv_cond_t wake; /* a job has come, or the end */
        struct engine_task *tasks, **tasks_end;
        unsigned n_tasks;
        struct engine_task *running; /* taken, not yet finished; the engine thread's but for its mark */
        struct engine_item *items, **items_end;
        bool stopping;
};

struct engine_item *engine_item_new(const struct engine_task *task, enum engine_event event);
struct engine_item *engine_item_free(struct engine_item *item);

/* Moves the job's prompt in, on success alone. NULL without memory. */
struct engine_task *engine_task_new(struct engine_job *job);
struct engine_task *engine_task_free(struct engine_task *task);

int engine_queue_init(struct engine_queue *queue);

/* Frees what is still queued; the engine thread must be gone. */
void engine_queue_done(struct engine_queue *queue);

/* Loop thread. Submitting takes the task over on success: 0, -EBUSY. */
int engine_queue_submit(struct engine_queue *queue, struct engine_task *task);
void engine_queue_cancel(struct engine_queue *queue, uint64_t id);
struct engine_item *engine_queue_take_item(struct engine_queue *queue);

/* Loop thread: cancels all and lets the engine thread end. */
void engine_queue_stop(struct engine_queue *queue);

/* Engine thread. Waits for a job; NULL at the end. */
struct engine_task *engine_queue_take_task(struct engine_queue *queue);
void engine_queue_finish_task(struct engine_queue *queue, struct engine_task *task);

/* Engine thread. Takes the item over; false where the job was cancelled. */
bool engine_queue_send(struct engine_queue *queue, const struct engine_task *task, struct engine_item *item);
