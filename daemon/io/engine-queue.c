/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Jobs in, words out, between two threads. See engine-queue.h.
 */
#include "daemon/io/engine-queue.h"

#include <errno.h>
#include <stdlib.h>

#include "libmulm/base/macro.h"

struct engine_item *engine_item_free(struct engine_item *item)
{
        if (!item)
                return NULL;
        buf_done(&item->text);
        free(item);
        return NULL;
}

struct engine_item *engine_item_new(const struct engine_task *task, enum engine_event event)
{
        struct engine_item *item = calloc(1, sizeof(*item));

        if (!item)
                return NULL;
        item->word.job = task->job.id;
        item->word.event = event;
        return item;
}

struct engine_task *engine_task_free(struct engine_task *task)
{
        if (!task)
                return NULL;
        engine_item_free(task->last);
        prompt_done(&task->job.prompt);
        free(task);
        return NULL;
}

struct engine_task *engine_task_new(struct engine_job *job)
{
        struct engine_task *task = calloc(1, sizeof(*task));

        if (!task)
                return NULL;
        task->job = *job;
        task->job.prompt = PROMPT_NULL;
        task->last = engine_item_new(task, ENGINE_EVENT_END);
        if (!task->last)
                return engine_task_free(task);
        task->job.prompt = job->prompt;
        job->prompt = PROMPT_NULL;
        return task;
}

int engine_queue_init(struct engine_queue *queue)
{
        int r;

        *queue = (struct engine_queue){ 0 };
        queue->tasks_end = &queue->tasks;
        queue->items_end = &queue->items;
        r = uv_mutex_init(&queue->mutex);
        if (r < 0)
                return r;
        r = uv_cond_init(&queue->wake);
        if (r < 0)
                uv_mutex_destroy(&queue->mutex);
        return r;
}

static void items_free(struct engine_item *items)
{
        while (items) {
                struct engine_item *next = items->next;

                engine_item_free(items);
                items = next;
        }
}

void engine_queue_done(struct engine_queue *queue)
{
        while (queue->tasks) {
                struct engine_task *next = queue->tasks->next;

                engine_task_free(queue->tasks);
                queue->tasks = next;
        }
        items_free(queue->items);
        uv_cond_destroy(&queue->wake);
        uv_mutex_destroy(&queue->mutex);
}

int engine_queue_submit(struct engine_queue *queue, struct engine_task *task)
{
        bool full;

        uv_mutex_lock(&queue->mutex);
        full = queue->n_tasks >= ENGINE_QUEUE_MAX;
        if (!full) {
                *queue->tasks_end = task;
                queue->tasks_end = &task->next;
                queue->n_tasks++;
                uv_cond_signal(&queue->wake);
        }
        uv_mutex_unlock(&queue->mutex);
        return full ? -EBUSY : 0;
}

/* Takes the job out of the queue, with the mutex held. NULL where it is not (or no longer) waiting. */
static struct engine_task *unqueue_task(struct engine_queue *queue, uint64_t id)
{
        struct engine_task **at = &queue->tasks, *task;

        while (*at && (*at)->job.id != id)
                at = &(*at)->next;
        task = *at;
        if (!task)
                return NULL;
        *at = task->next;
        if (!task->next)
                queue->tasks_end = at;
        queue->n_tasks--;
        return task;
}

/* Takes the words of a job out of the queue, with the mutex held, and returns them as a list. */
static struct engine_item *unqueue_items(struct engine_queue *queue, uint64_t id)
{
        struct engine_item **at = &queue->items, *taken = NULL;

        while (*at) {
                struct engine_item *item = *at;

                if (item->word.job == id) {
                        *at = item->next;
                        item->next = taken;
                        taken = item;
                } else {
                        at = &item->next;
                }
        }
        queue->items_end = at;
        return taken;
}

void engine_queue_cancel(struct engine_queue *queue, uint64_t id)
{
        struct engine_task *task;
        struct engine_item *items;

        uv_mutex_lock(&queue->mutex);
        task = unqueue_task(queue, id);
        items = unqueue_items(queue, id);
        if (queue->running && queue->running->job.id == id)
                queue->running->cancelled = true;
        uv_mutex_unlock(&queue->mutex);

        engine_task_free(task);
        items_free(items);
}

struct engine_item *engine_queue_take_item(struct engine_queue *queue)
{
        struct engine_item *item = NULL;

        uv_mutex_lock(&queue->mutex);
        if (!queue->stopping && queue->items) {
                item = queue->items;
                queue->items = item->next;
                if (!queue->items)
                        queue->items_end = &queue->items;
        }
        uv_mutex_unlock(&queue->mutex);
        return item;
}

void engine_queue_stop(struct engine_queue *queue)
{
        uv_mutex_lock(&queue->mutex);
        queue->stopping = true;
        if (queue->running)
                queue->running->cancelled = true;
        uv_cond_signal(&queue->wake);
        uv_mutex_unlock(&queue->mutex);
}

struct engine_task *engine_queue_take_task(struct engine_queue *queue)
{
        struct engine_task *task = NULL;

        uv_mutex_lock(&queue->mutex);
        while (!queue->tasks && !queue->stopping)
                uv_cond_wait(&queue->wake, &queue->mutex);
        if (!queue->stopping) {
                task = queue->tasks;
                queue->tasks = task->next;
                if (!queue->tasks)
                        queue->tasks_end = &queue->tasks;
                queue->n_tasks--;
                queue->running = task;
        }
        uv_mutex_unlock(&queue->mutex);
        return task;
}

void engine_queue_finish_task(struct engine_queue *queue, struct engine_task *task)
{
        uv_mutex_lock(&queue->mutex);
        queue->running = NULL;
        uv_mutex_unlock(&queue->mutex);
        engine_task_free(task);
}

bool engine_queue_send(struct engine_queue *queue, const struct engine_task *task, struct engine_item *item)
{
        bool wanted;

        uv_mutex_lock(&queue->mutex);
        wanted = !task->cancelled;
        if (wanted) {
                *queue->items_end = item;
                queue->items_end = &item->next;
        }
        uv_mutex_unlock(&queue->mutex);
        if (!wanted)
                engine_item_free(item);
        return wanted;
}
