/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One mutex guards the queue of jobs and what each job carries. A job is held by its submitter and, until it is over,
 * by the worker; whoever lets go last frees it. `jobs` is the loop's own list, for waking submitters.
 */
#include "tests/continuator/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"

struct queued_piece {
        struct queued_piece *next;
        struct piece piece;
};

struct job {
        struct worker *worker;
        struct chat chat;
        job_fn fn;
        void *userdata;
        struct job *next_submitted, **previous_submitted; /* loop thread */

        /* under worker->mutex */
        struct job *next_queued;
        struct queued_piece *first, **last;
        unsigned n_refs;
        bool cancelled;
        bool starved; /* a piece was lost for want of memory: the job is over, and job_take() says so */
};

struct worker {
        mulm_model *model;
        mulm_session *session;
        struct mulm_model_info info;
        uv_async_t async;
        uv_thread_t thread;
        uv_mutex_t mutex;
        uv_cond_t cond;
        struct job *submitted; /* loop thread: not yet released */
        bool one_paragraph, trace;

        /* under mutex */
        struct job *queue, **queue_last;
        unsigned n_jobs; /* queued or running */
        bool stop;
};

static void job_unref_locked(struct job *job)
{
        if (--job->n_refs > 0)
                return;

        for (struct queued_piece *queued = job->first, *next; queued; queued = next) {
                next = queued->next;
                free(queued->piece.text);
                free(queued);
        }
        chat_done(&job->chat);
        free(job);
}

/* Takes piece->text over. False when no further piece is wanted. */
static bool push(struct job *job, const struct piece *piece)
{
        struct worker *worker = job->worker;
        struct queued_piece *queued = malloc(sizeof(*queued));
        bool wanted;

        if (queued)
                *queued = (struct queued_piece){ .piece = *piece };
        else
                free(piece->text);

        uv_mutex_lock(&worker->mutex);
        if (queued) {
                *job->last = queued;
                job->last = &queued->next;
        } else {
                job->starved = true;
        }
        wanted = queued && !job->cancelled && !worker->stop;
        uv_mutex_unlock(&worker->mutex);
        uv_async_send(&worker->async);
        return wanted;
}

static int evaluate(struct worker *worker, const struct chat *chat, struct mulm_error *error)
{
        const struct mulm_sampling sampling = { .top_p = 1.0f, .repetition_penalty = 1.1f };
        int r;

        r = mulm_session_chat(worker->session, chat->messages, chat->n_messages, chat->prefix, chat->n_prefix, error);
        return r < 0 ? r : mulm_generate_begin(worker->session, &sampling, error);
}

/* Bytes of the token that belong to the reply; fewer than all where a line break ends it. One that comes before all
 * text is no end yet. */
static size_t n_spoken(const struct worker *worker, const struct mulm_piece *token, unsigned n_before)
{
        const char *line_break = memchr(token->text, '\n', token->n_text);

        if (!worker->one_paragraph || n_before == 0 || !line_break)
                return token->n_text;
        return (size_t)(line_break - token->text);
}

static void generate(struct worker *worker, struct job *job)
{
        struct piece piece = { .type = PIECE_TYPE_TEXT };
        struct mulm_error error = { "" };
        struct mulm_piece token;
        bool wanted = true;
        size_t n;
        int r;

        if (worker->trace)
                fputs("begun\n", stderr);
        r = evaluate(worker, &job->chat, &error);
        piece.n_input_tokens = (unsigned)mulm_session_length(worker->session);
        while (r >= 0 && wanted && piece.n_output_tokens < job->chat.max_tokens) {
                r = mulm_generate_next(worker->session, &token, &error);
                if (r != MULM_GENERATE_PIECE)
                        break;
                n = n_spoken(worker, &token, piece.n_output_tokens++);
                piece.text = strndup(token.text, n);
                wanted = push(job, &piece);
                if (n < token.n_text) {
                        r = MULM_GENERATE_END;
                        break;
                }
        }
        if (worker->trace)
                fprintf(stderr, "%s after %u tokens\n", wanted ? "over" : "cancelled", piece.n_output_tokens);

        piece.type = r < 0 ? PIECE_TYPE_FAILED : r == MULM_GENERATE_END ? PIECE_TYPE_STOP : PIECE_TYPE_LENGTH;
        piece.error = r < 0 ? r : 0;
        piece.text = r < 0 ? strdup(error.sentence) : NULL;
        push(job, &piece);
}

static void on_thread(void *userdata)
{
        struct worker *worker = userdata;

        uv_mutex_lock(&worker->mutex);
        for (;;) {
                struct job *job = worker->queue;
                bool wanted;

                if (worker->stop && !job)
                        break;
                if (!job) {
                        uv_cond_wait(&worker->cond, &worker->mutex);
                        continue;
                }

                worker->queue = job->next_queued;
                if (!worker->queue)
                        worker->queue_last = &worker->queue;
                wanted = !job->cancelled && !worker->stop;
                if (worker->trace && !wanted)
                        fputs("cancelled in the queue\n", stderr);
                if (wanted) {
                        uv_mutex_unlock(&worker->mutex);
                        generate(worker, job);
                        uv_mutex_lock(&worker->mutex);
                }
                worker->n_jobs--;
                job_unref_locked(job);
        }
        uv_mutex_unlock(&worker->mutex);
}

static void on_async(uv_async_t *async)
{
        struct worker *worker = async->data;

        for (struct job *job = worker->submitted; job; job = job->next_submitted)
                job->fn(job->userdata);
}

static void on_closed(uv_handle_t *handle)
{
        free(handle->data);
}

static void close_model(struct worker *worker)
{
        mulm_session_free(worker->session);
        mulm_model_free(worker->model);
}

static int open_model(struct worker *worker, const struct worker_options *options, struct mulm_error *error)
{
        const struct mulm_session_options session = { .n_threads = options->n_threads };
        int r;

        r = mulm_model_open(&worker->model, options->model_path, NULL, error);
        if (r < 0)
                return r;
        mulm_model_describe(worker->model, &worker->info);
        return mulm_session_new(&worker->session, worker->model, &session, error);
}

static int start_thread(struct worker *worker)
{
        int r;

        r = uv_mutex_init(&worker->mutex);
        if (r < 0)
                return r;
        r = uv_cond_init(&worker->cond);
        if (r < 0)
                goto fail_mutex;
        r = uv_thread_create(&worker->thread, on_thread, worker);
        if (r < 0)
                goto fail_cond;
        return 0;

fail_cond:
        uv_cond_destroy(&worker->cond);
fail_mutex:
        uv_mutex_destroy(&worker->mutex);
        return r;
}

int worker_new(struct worker **ret_worker, uv_loop_t *loop, const struct worker_options *options,
               struct mulm_error *error)
{
        struct worker *worker;
        int r;

        *error = (struct mulm_error){ "no memory or no thread to be had" };
        worker = calloc(1, sizeof(*worker));
        if (!worker)
                return -ENOMEM;
        worker->queue_last = &worker->queue;
        worker->one_paragraph = options->one_paragraph;
        worker->trace = options->trace;

        r = open_model(worker, options, error);
        if (r >= 0)
                r = uv_async_init(loop, &worker->async, on_async);
        if (r < 0) {
                close_model(worker);
                free(worker);
                return r;
        }
        worker->async.data = worker;

        r = start_thread(worker);
        if (r < 0) {
                close_model(worker);
                uv_close((uv_handle_t *)&worker->async, on_closed);
                return r;
        }
        *ret_worker = worker;
        return 0;
}

void worker_close(struct worker *worker)
{
        uv_mutex_lock(&worker->mutex);
        worker->stop = true;
        uv_cond_signal(&worker->cond);
        uv_mutex_unlock(&worker->mutex);

        uv_thread_join(&worker->thread);
        uv_mutex_destroy(&worker->mutex);
        uv_cond_destroy(&worker->cond);
        close_model(worker);
        uv_close((uv_handle_t *)&worker->async, on_closed);
}

const char *worker_model_name(const struct worker *worker)
{
        return worker->info.name;
}

int worker_submit(struct worker *worker, struct chat *chat, job_fn fn, void *userdata, struct job **ret_job)
{
        struct job *job = calloc(1, sizeof(*job));
        bool full;

        if (!job)
                return -ENOMEM;
        *job = (struct job){ .worker = worker, .fn = fn, .userdata = userdata, .n_refs = 2 };
        job->last = &job->first;

        uv_mutex_lock(&worker->mutex);
        full = worker->n_jobs >= WORKER_JOBS_MAX;
        if (!full) {
                job->chat = *chat;
                *chat = CHAT_NULL;
                *worker->queue_last = job;
                worker->queue_last = &job->next_queued;
                worker->n_jobs++;
                uv_cond_signal(&worker->cond);
        }
        uv_mutex_unlock(&worker->mutex);
        if (full) {
                free(job);
                return -EBUSY;
        }

        job->next_submitted = worker->submitted;
        job->previous_submitted = &worker->submitted;
        if (job->next_submitted)
                job->next_submitted->previous_submitted = &job->next_submitted;
        worker->submitted = job;
        *ret_job = job;
        return 0;
}

bool job_take(struct job *job, struct piece *ret_piece)
{
        struct queued_piece *queued;
        bool taken = true;

        uv_mutex_lock(&job->worker->mutex);
        queued = job->first;
        if (queued) {
                job->first = queued->next;
                if (!job->first)
                        job->last = &job->first;
                *ret_piece = queued->piece;
        } else if (job->starved) {
                *ret_piece = (struct piece){ .type = PIECE_TYPE_FAILED, .error = -ENOMEM };
        } else {
                taken = false;
        }
        uv_mutex_unlock(&job->worker->mutex);
        free(queued);
        return taken;
}

struct job *job_release(struct job *job)
{
        struct worker *worker;

        if (!job)
                return NULL;
        worker = job->worker;

        *job->previous_submitted = job->next_submitted;
        if (job->next_submitted)
                job->next_submitted->previous_submitted = job->previous_submitted;

        uv_mutex_lock(&worker->mutex);
        job->cancelled = true;
        job_unref_locked(job);
        uv_mutex_unlock(&worker->mutex);
        return NULL;
}
