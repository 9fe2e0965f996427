/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The μLM on a thread of its own. See engine.h; how jobs and words cross is engine-queue.h's. The thread looks for a
 * cancellation whenever it has a word to send, so that a cancelled job costs one word more at most.
 */
#include "daemon/io/engine.h"

#include <errno.h>
#include <string.h>

#include "daemon/core/circles.h"
#include "daemon/io/engine-queue.h"
#include "daemon/io/slice.h"
#include "daemon/io/timers.h"
#include "libmulm/base/macro.h"
#include "libmulm/mulm.h"

struct engine {
        mulm_model *model;
        mulm_session *session; /* the engine thread's, while that runs */
        char *name;
        struct engine_queue queue;
        uv_async_t async; /* words are there */
        uv_thread_t thread;
        engine_word_fn fn;
        void *userdata;
};

/* Takes the item over. False where the job was cancelled. */
static bool engine_send(struct engine *engine, const struct engine_task *task, struct engine_item *item)
{
        item->word.at_us = timers_now_us();
        if (!engine_queue_send(&engine->queue, task, item))
                return false;
        uv_async_send(&engine->async);
        return true;
}

static void engine_send_end(struct engine *engine, struct engine_task *task, enum engine_reason reason)
{
        struct engine_item *last = STEAL(task->last);

        last->word.event = ENGINE_EVENT_END;
        last->word.reason = reason;
        engine_send(engine, task, last);
}

static void engine_send_failure(struct engine *engine, struct engine_task *task, const char *sentence)
{
        struct engine_item *last = STEAL(task->last);

        last->word.event = ENGINE_EVENT_FAILED;
        buf_add_string(&last->text, sentence); /* without memory: the event alone */
        engine_send(engine, task, last);
}

/* 1; 0 where the job was cancelled; -ENOMEM. */
static int engine_send_word(struct engine *engine, struct engine_task *task, const struct mulm_word *word)
{
        struct engine_item *item = engine_item_new(task, ENGINE_EVENT_WORD);

        if (!item)
                return -ENOMEM;
        if (buf_add(&item->text, word->text, word->n_text) < 0) {
                engine_item_free(item);
                return -ENOMEM;
        }
        item->word.probability = word->probability;
        return engine_send(engine, task, item);
}

static enum mulm_role role_of(enum prompt_role role)
{
        switch (role) {
        case PROMPT_ROLE_SYSTEM: return MULM_ROLE_SYSTEM;
        case PROMPT_ROLE_USER: return MULM_ROLE_USER;
        case PROMPT_ROLE_ASSISTANT: break;
        }
        return MULM_ROLE_ASSISTANT;
}

/* Drops the oldest turn: what was asked and what was answered. Never a system text at the head, never the last
 * message. False where nothing can be dropped. */
static bool messages_drop_oldest(struct mulm_message *messages, size_t *n_messages)
{
        size_t first = *n_messages > 0 && messages[0].role == MULM_ROLE_SYSTEM ? 1 : 0, next = first + 1;

        while (next + 1 < *n_messages && messages[next].role == MULM_ROLE_ASSISTANT)
                next++;
        if (next >= *n_messages)
                return false;
        memmove(&messages[first], &messages[next], (*n_messages - next) * sizeof(*messages));
        *n_messages -= next - first;
        return true;
}

/* Evaluates the conversation, as much of it as fits, and what was already said of the reply. */
static int engine_read_prompt(struct engine *engine, const struct engine_job *job, struct mulm_error *error)
{
        _cleanup_free_ struct mulm_message *messages = NULL;
        const char *said = job->kind == ENGINE_JOB_COMPLETION && job->prompt.said ? job->prompt.said : "";
        size_t n_messages = job->prompt.n_messages;
        int r;

        messages = calloc(MAX(n_messages, (size_t)1), sizeof(*messages));
        if (!messages)
                return -ENOMEM;
        for (size_t i = 0; i < n_messages; i++)
                messages[i] = (struct mulm_message){ .role = role_of(job->prompt.messages[i].role),
                                                     .text = job->prompt.messages[i].text,
                                                     .n_text = strlen(job->prompt.messages[i].text) };
        do {
                r = mulm_session_chat(engine->session, messages, n_messages, said, strlen(said), error);
        } while (r == -E2BIG && messages_drop_oldest(messages, &n_messages));
        return r;
}

/* A completion is an opener that is never unsure, and kept from going in circles. */
static struct mulm_opener_options opener_options(const struct engine_job *job)
{
        struct mulm_opener_options options = { .min_words = job->min_words,
                                               .max_words = job->max_words,
                                               .confidence = job->confidence < 0 ? MULM_CONFIDENCE_OF_MODEL
                                                                                 : (float)job->confidence,
                                               .sampling = MULM_SAMPLING_GREEDY,
                                               .avoid = job->avoid };

        if (job->kind == ENGINE_JOB_COMPLETION) {
                options.min_words = job->max_words;
                options.confidence = 0;
                options.sampling.repetition_penalty = 1.1f;
        }
        if (job->seed) {
                options.sampling.temperature = 0.7f;
                options.sampling.top_p = 0.9f;
                options.sampling.seed = job->seed;
        }
        return options;
}

static enum engine_reason reason_of(enum mulm_opener outcome)
{
        switch (outcome) {
        case MULM_OPENER_LIMIT: return ENGINE_REASON_LIMIT;
        case MULM_OPENER_UNSURE: return ENGINE_REASON_UNSURE;
        case MULM_OPENER_FULL: return ENGINE_REASON_FULL;
        case MULM_OPENER_WORD:
        case MULM_OPENER_END: break;
        }
        return ENGINE_REASON_END;
}

/* Sends words until the model, its limits or a circle end it. An outcome of mulm_opener_next(); 0 where the job was
 * cancelled; or a negative errno. */
static int engine_say_words(struct engine *engine, struct engine_task *task, struct circles *circles,
                            struct mulm_error *error)
{
        struct mulm_word word;
        int r, outcome;

        while ((outcome = mulm_opener_next(engine->session, &word, error)) == MULM_OPENER_WORD) {
                r = engine_send_word(engine, task, &word);
                if (r <= 0)
                        return r;
                if (task->job.kind == ENGINE_JOB_OPENER)
                        continue;
                r = circles_feed(circles, word.text, word.n_text);
                if (r != 0)
                        return r < 0 ? r : MULM_OPENER_END;
        }
        return outcome;
}

static int engine_speak(struct engine *engine, struct engine_task *task, struct mulm_error *error)
{
        const struct mulm_opener_options options = opener_options(&task->job);
        struct circles circles;
        int r = mulm_opener_begin(engine->session, &options, error);

        if (r < 0)
                return r;
        circles_init(&circles);
        r = engine_say_words(engine, task, &circles, error);
        circles_done(&circles);
        if (r > 0)
                engine_send_end(engine, task, reason_of((enum mulm_opener)r));
        return r;
}

static void engine_run(struct engine *engine, struct engine_task *task)
{
        struct mulm_error error = { .sentence = "" };
        struct engine_item *started = engine_item_new(task, ENGINE_EVENT_STARTED);
        int r = -ENOMEM;

        if (started && !engine_send(engine, task, started))
                return;
        if (started)
                r = engine_read_prompt(engine, &task->job, &error);
        if (r >= 0)
                r = engine_speak(engine, task, &error);
        if (r < 0)
                engine_send_failure(engine, task, *error.sentence ? error.sentence : strerror(-r));
}

static void engine_thread(void *userdata)
{
        struct engine *engine = userdata;
        struct engine_task *task;

        slice_set(SLICE_LONG_US);
        while ((task = engine_queue_take_task(&engine->queue))) {
                engine_run(engine, task);
                engine_queue_finish_task(&engine->queue, task);
        }
}

/* One at a time: a callback may cancel what is still queued, or close the engine, which ends the queue. */
static void engine_on_async(uv_async_t *handle)
{
        struct engine *engine = handle->data;
        struct engine_item *item;

        while ((item = engine_queue_take_item(&engine->queue))) {
                item->word.text = buf_string(&item->text);
                item->word.n_text = item->text.n;
                engine->fn(engine->userdata, &item->word);
                engine_item_free(item);
        }
}

static void engine_free(struct engine *engine)
{
        mulm_session_free(engine->session);
        mulm_model_free(engine->model);
        free(engine->name);
        free(engine);
}

static int engine_open_model(struct engine *engine, const struct engine_options *options, struct mulm_error *error)
{
        const struct mulm_session_options session = { .n_context = options->n_context,
                                                      .n_threads = options->n_threads };
        struct mulm_model_info info;
        int r = mulm_model_open(&engine->model, options->model_path, NULL, error);

        if (r < 0)
                return r;
        slice_set(SLICE_LONG_US); /* which the session's threads inherit */
        r = mulm_session_new(&engine->session, engine->model, &session, error);
        slice_set(SLICE_DEFAULT);
        if (r < 0)
                return r;
        mulm_model_describe(engine->model, &info);
        engine->name = strdup(*info.name ? info.name : basename(options->model_path));
        return engine->name ? 0 : -ENOMEM;
}

static void engine_stop(struct engine *engine)
{
        engine_queue_stop(&engine->queue);
        uv_thread_join(&engine->thread);
}

/* The handle comes last: all that is before it can be undone at once. */
static int engine_start(struct engine *engine, uv_loop_t *loop)
{
        int r = engine_queue_init(&engine->queue);

        if (r < 0)
                return r;
        r = uv_thread_create(&engine->thread, engine_thread, engine);
        if (r < 0) {
                engine_queue_done(&engine->queue);
                return r;
        }
        r = uv_async_init(loop, &engine->async, engine_on_async);
        if (r < 0) {
                engine_stop(engine);
                engine_queue_done(&engine->queue);
        }
        return r;
}

/* libmulm names the file only where it could not open it. */
static void describe_failure(const char *path, const char *sentence, struct buf *error)
{
        if (strncmp(sentence, path, strlen(path)) != 0)
                buf_printf(error, "%s: ", path);
        buf_add_string(error, sentence);
}

int engine_new(struct engine **ret_engine, uv_loop_t *loop, const struct engine_options *options, engine_word_fn fn,
               void *userdata, struct buf *error)
{
        struct mulm_error cause = { .sentence = "" };
        struct engine *engine = calloc(1, sizeof(*engine));
        int r;

        if (!engine)
                return -ENOMEM;
        engine->fn = fn;
        engine->userdata = userdata;
        r = engine_open_model(engine, options, &cause);
        if (r >= 0)
                r = engine_start(engine, loop);
        if (r < 0) {
                describe_failure(options->model_path, *cause.sentence ? cause.sentence : strerror(-r), error);
                engine_free(engine);
                return r;
        }
        engine->async.data = engine;
        *ret_engine = engine;
        return 0;
}

static void engine_closed(uv_handle_t *handle)
{
        struct engine *engine = handle->data;

        engine_queue_done(&engine->queue);
        engine_free(engine);
}

void engine_close(struct engine *engine)
{
        engine_stop(engine);
        uv_close((uv_handle_t *)&engine->async, engine_closed);
}

int engine_submit(struct engine *engine, struct engine_job *job)
{
        struct engine_task *task = engine_task_new(job);
        int r;

        if (!task) {
                prompt_done(&job->prompt);
                return -ENOMEM;
        }
        r = engine_queue_submit(&engine->queue, task);
        if (r < 0)
                engine_task_free(task);
        return r;
}

void engine_cancel(struct engine *engine, uint64_t id)
{
        engine_queue_cancel(&engine->queue, id);
}

const char *engine_model_name(const struct engine *engine)
{
        return engine->name;
}
