/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The engine thread with the default model: what each job tells and in which order, cancellation at every point,
 * limits, and an end that leaves nothing behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/io/engine.h"
#include "daemon/io/timers.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"
#include "tests/support/test.h"

#define DEADLINE_MS 60000
#define JOBS_MAX    80

struct heard { /* of one job */
        unsigned n_started, n_words, n_end, n_failed;
        enum engine_reason reason;
        struct buf text;
        uint64_t last_us;
};

struct fixture {
        char *model;
        uv_loop_t loop;
        uv_timer_t deadline;
        struct engine *engine;
        struct buf error;
        struct heard heard[JOBS_MAX]; /* by id */
        uint64_t cancel;              /* this job, at its first word ... */
        uint64_t submit;              /* ... and submit this one */
        bool close;                   /* at the first word */
};

static void on_deadline(uv_timer_t *handle)
{
        (void)handle;
        fail_msg("nothing came in time");
}

static int setup(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        struct buf path = BUF_NULL;

        assert_non_null(fixture);
        assert_non_null(getenv("MULM_SOURCE_ROOT"));
        assert_int_equal(buf_printf(&path, "%s/models/mulm-28m.q8_0.gguf", getenv("MULM_SOURCE_ROOT")), 0);
        fixture->model = path.data;
        assert_int_equal(uv_loop_init(&fixture->loop), 0);
        uv_timer_init(&fixture->loop, &fixture->deadline);
        uv_timer_start(&fixture->deadline, on_deadline, DEADLINE_MS, 0);
        *state = fixture;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *fixture = *state;

        if (fixture->engine)
                engine_close(fixture->engine);
        uv_close((uv_handle_t *)&fixture->deadline, NULL);
        assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(uv_loop_close(&fixture->loop), 0);
        for (size_t i = 0; i < JOBS_MAX; i++)
                buf_done(&fixture->heard[i].text);
        buf_done(&fixture->error);
        free(fixture->model);
        free(fixture);
        return 0;
}

static struct engine_job job_of(uint64_t id, const char *question)
{
        struct engine_job job = { .id = id, .kind = ENGINE_JOB_OPENER, .min_words = 4, .max_words = 8 };

        assert_int_equal(prompt_add(&job.prompt, PROMPT_ROLE_USER, question, strlen(question)), 0);
        return job;
}

static void submit(struct fixture *fixture, struct engine_job job)
{
        assert_int_equal(engine_submit(fixture->engine, &job), 0);
        assert_null(job.prompt.messages);
}

/* What the test wants done at a word. */
static void act(struct fixture *fixture, uint64_t id)
{
        uint64_t next = fixture->submit;

        if (fixture->cancel == id)
                engine_cancel(fixture->engine, id);
        if (next) {
                fixture->submit = 0;
                submit(fixture, job_of(next, "why is the sky blue"));
        }
        if (fixture->close)
                engine_close(STEAL(fixture->engine));
}

static void on_word(void *userdata, const struct engine_word *word)
{
        struct fixture *fixture = userdata;
        struct heard *heard = &fixture->heard[word->job];

        assert_int_equal(heard->n_end + heard->n_failed, 0);
        assert_int_equal(heard->n_started, word->event != ENGINE_EVENT_STARTED);
        assert_true(heard->last_us <= word->at_us && word->at_us <= timers_now_us());
        heard->last_us = word->at_us;
        switch (word->event) {
        case ENGINE_EVENT_STARTED: heard->n_started++; break;
        case ENGINE_EVENT_WORD:
                assert_true(word->n_text > 0 && strlen(word->text) == word->n_text);
                assert_true(utf8_is_valid(word->text, word->n_text, NULL));
                assert_true(word->probability > 0 && word->probability <= 1);
                heard->n_words++;
                assert_int_equal(buf_add(&heard->text, word->text, word->n_text), 0);
                break;
        case ENGINE_EVENT_END:
                heard->n_end++;
                heard->reason = word->reason;
                break;
        case ENGINE_EVENT_FAILED:
                heard->n_failed++;
                assert_int_equal(buf_add(&heard->text, word->text, word->n_text), 0);
                break;
        }

        if (word->event == ENGINE_EVENT_WORD)
                act(fixture, word->job);
        uv_stop(&fixture->loop);
}

static void open_engine(struct fixture *fixture, unsigned n_context)
{
        const struct engine_options options = { .model_path = fixture->model, .n_context = n_context };

        if (engine_new(&fixture->engine, &fixture->loop, &options, on_word, fixture, &fixture->error) < 0)
                fail_msg("%s", buf_string(&fixture->error));
}

static int setup_engine(void **state)
{
        setup(state);
        open_engine(*state, 0);
        return 0;
}

static struct heard *run_to_end(struct fixture *fixture, uint64_t id)
{
        struct heard *heard = &fixture->heard[id];

        while (!heard->n_end && !heard->n_failed)
                uv_run(&fixture->loop, UV_RUN_DEFAULT);
        return heard;
}

static void test_opener_says_as_many_words_as_it_may(void **state)
{
        struct fixture *fixture = *state;
        struct heard *heard;

        submit(fixture, job_of(1, "what is the capital of australia"));
        heard = run_to_end(fixture, 1);
        assert_int_equal(heard->n_started, 1);
        assert_int_equal(heard->n_failed, 0);
        assert_true(heard->n_words >= 1 && heard->n_words <= 8);
        assert_true(heard->n_words == 8 || heard->reason != ENGINE_REASON_LIMIT);
        assert_true(heard->text.data[0] != ' ');
}

static void test_limit_of_two_words_is_kept(void **state)
{
        struct fixture *fixture = *state;
        struct engine_job job = job_of(1, "what is the capital of australia");

        job.min_words = job.max_words = 2;
        submit(fixture, job);
        assert_int_equal(run_to_end(fixture, 1)->n_words, 2);
        assert_int_equal(fixture->heard[1].reason, ENGINE_REASON_LIMIT);
}

/* No word has probability 1: with no minimum and full confidence asked for, nothing is said. */
static void test_unsure_opener_says_nothing(void **state)
{
        struct fixture *fixture = *state;
        struct engine_job job = job_of(1, "what is the capital of australia");

        job.min_words = 0;
        job.confidence = 1.0;
        submit(fixture, job);
        assert_int_equal(run_to_end(fixture, 1)->reason, ENGINE_REASON_UNSURE);
        assert_int_equal(fixture->heard[1].n_words, 0);
}

static void test_avoided_word_is_not_the_first(void **state)
{
        struct fixture *fixture = *state;
        char first[ENGINE_AVOID_MAX];
        struct engine_job job;

        for (uint64_t id = 1; id <= 3; id++) {
                job = job_of(id, "what is the capital of australia");
                if (id > 1)
                        memcpy(job.avoid, first, sizeof(first));
                submit(fixture, job);
                (void)run_to_end(fixture, id);
                if (id == 1)
                        (void)snprintf(first, sizeof(first), "%.*s", (int)strcspn(fixture->heard[1].text.data, " ,"),
                                       fixture->heard[1].text.data);
        }
        assert_true(fixture->heard[2].n_words > 0);
        assert_int_not_equal(strncasecmp(fixture->heard[2].text.data, first, strlen(first)), 0);
        assert_string_equal(fixture->heard[2].text.data, fixture->heard[3].text.data);
}

static void test_jobs_run_in_order_and_repeat_themselves(void **state)
{
        struct fixture *fixture = *state;
        struct engine_job job;

        for (uint64_t id = 1; id <= 4; id++) {
                job = job_of(id, "why is the sky blue");
                job.seed = id > 2 ? 4711 : 0;
                submit(fixture, job);
        }
        run_to_end(fixture, 4);
        assert_string_equal(buf_string(&fixture->heard[1].text), buf_string(&fixture->heard[2].text));
        assert_string_equal(buf_string(&fixture->heard[3].text), buf_string(&fixture->heard[4].text));
        for (uint64_t id = 2; id <= 4; id++)
                assert_true(fixture->heard[id - 1].last_us <= fixture->heard[id].last_us);
}

static void test_completion_goes_on_after_what_was_said(void **state)
{
        struct fixture *fixture = *state;
        const char *said = "The sky is blue because";
        struct engine_job job;

        for (uint64_t id = 1; id <= 2; id++) {
                job = job_of(id, "why is the sky blue");
                job.kind = ENGINE_JOB_COMPLETION;
                job.max_words = 60;
                if (id == 1)
                        assert_int_equal(prompt_set_said(&job.prompt, said, strlen(said)), 0);
                submit(fixture, job);
                assert_int_equal(run_to_end(fixture, id)->n_failed, 0);
                assert_true(fixture->heard[id].n_words >= 1 && fixture->heard[id].n_words <= 60);
                assert_true(fixture->heard[id].reason != ENGINE_REASON_UNSURE);
        }
        /* Without anything said it is a reply from its beginning. */
        assert_string_not_equal(buf_string(&fixture->heard[1].text), buf_string(&fixture->heard[2].text));
}

static void test_cancelled_job_says_nothing_more_and_the_next_one_runs(void **state)
{
        struct fixture *fixture = *state;

        fixture->cancel = 1;
        submit(fixture, job_of(1, "tell me a long story about the sea"));
        submit(fixture, job_of(2, "why is the sky blue"));
        run_to_end(fixture, 2);
        assert_int_equal(fixture->heard[1].n_words, 1);
        assert_int_equal(fixture->heard[1].n_end + fixture->heard[1].n_failed, 0);
        assert_int_equal(fixture->heard[2].n_failed, 0);
}

static void test_waiting_job_that_is_cancelled_is_never_heard_of(void **state)
{
        struct fixture *fixture = *state;

        submit(fixture, job_of(1, "why is the sky blue"));
        submit(fixture, job_of(2, "why is the sky blue"));
        submit(fixture, job_of(3, "why is the sky blue"));
        engine_cancel(fixture->engine, 2);
        run_to_end(fixture, 3);
        assert_int_equal(fixture->heard[1].n_end, 1);
        assert_int_equal(fixture->heard[2].n_started, 0);
}

static void test_job_may_be_submitted_in_a_callback(void **state)
{
        struct fixture *fixture = *state;

        fixture->submit = 2;
        submit(fixture, job_of(1, "why is the sky blue"));
        run_to_end(fixture, 2);
        assert_string_equal(buf_string(&fixture->heard[1].text), buf_string(&fixture->heard[2].text));
}

static void test_engine_may_be_closed_in_a_callback(void **state)
{
        struct fixture *fixture = *state;

        fixture->close = true;
        submit(fixture, job_of(1, "why is the sky blue"));
        submit(fixture, job_of(2, "why is the sky blue"));
        while (fixture->engine)
                uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(fixture->heard[1].n_words, 1);
        assert_int_equal(fixture->heard[2].n_started, 0);
}

static void test_full_queue_is_busy_and_takes_the_prompt_all_the_same(void **state)
{
        struct fixture *fixture = *state;
        struct engine_job job;
        uint64_t id = 0;
        int r;

        do {
                job = job_of(++id, "why is the sky blue");
                r = engine_submit(fixture->engine, &job);
                assert_null(job.prompt.messages);
        } while (r == 0 && id + 1 < JOBS_MAX);
        assert_int_equal(r, -EBUSY);
}

static void fill(struct buf *text, unsigned n_words)
{
        for (unsigned i = 0; i < n_words; i++)
                assert_int_equal(buf_add_string(text, i ? " swordfish" : "swordfish"), 0);
}

static void test_question_longer_than_the_context_fails_with_a_sentence(void **state)
{
        struct fixture *fixture = *state;
        struct buf text = BUF_NULL;

        open_engine(fixture, 128);
        fill(&text, 1000);
        submit(fixture, job_of(1, text.data));
        submit(fixture, job_of(2, "why is the sky blue"));
        run_to_end(fixture, 2);
        assert_int_equal(fixture->heard[1].n_failed, 1);
        assert_true(fixture->heard[1].text.n > 0);
        assert_int_equal(fixture->heard[2].n_failed, 0);
        assert_true(fixture->heard[2].n_words > 0);
        buf_done(&text);
}

/* What is left of it is the question that fits alone. */
static void test_conversation_longer_than_the_context_loses_its_oldest_turns(void **state)
{
        struct fixture *fixture = *state;
        struct engine_job job = { .id = 1, .kind = ENGINE_JOB_OPENER, .min_words = 4, .max_words = 4 };
        const char *question = "why is the sky blue";
        struct buf text = BUF_NULL;

        open_engine(fixture, 128);
        fill(&text, 40);
        for (unsigned i = 0; i < 4; i++) {
                assert_int_equal(prompt_add(&job.prompt, PROMPT_ROLE_USER, text.data, text.n), 0);
                assert_int_equal(prompt_add(&job.prompt, PROMPT_ROLE_ASSISTANT, text.data, text.n), 0);
        }
        assert_int_equal(prompt_add(&job.prompt, PROMPT_ROLE_USER, question, strlen(question)), 0);
        submit(fixture, job);
        assert_int_equal(run_to_end(fixture, 1)->n_failed, 0);
        assert_int_equal(fixture->heard[1].n_words, 4);
        buf_done(&text);
}

static void test_model_is_named(void **state)
{
        struct fixture *fixture = *state;

        assert_true(strlen(engine_model_name(fixture->engine)) > 0);
}

static void check_refused(struct fixture *fixture, const char *path, int error)
{
        const struct engine_options options = { .model_path = path };

        assert_int_equal(engine_new(&fixture->engine, &fixture->loop, &options, on_word, fixture, &fixture->error),
                         error);
        assert_null(fixture->engine);
        assert_ptr_equal(strstr(buf_string(&fixture->error), path), fixture->error.data);
        assert_null(strstr(fixture->error.data + strlen(path), path));
}

static void test_missing_model_is_an_error_that_names_the_file(void **state)
{
        check_refused(*state, "/nonexistent/model.gguf", -ENOENT);
}

static void test_file_that_is_no_model_is_an_error_that_names_it(void **state)
{
        check_refused(*state, "/proc/self/exe", -EBADMSG);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_opener_says_as_many_words_as_it_may, setup_engine),
                TEST(test_limit_of_two_words_is_kept, setup_engine),
                TEST(test_unsure_opener_says_nothing, setup_engine),
                TEST(test_avoided_word_is_not_the_first, setup_engine),
                TEST(test_jobs_run_in_order_and_repeat_themselves, setup_engine),
                TEST(test_completion_goes_on_after_what_was_said, setup_engine),
                TEST(test_cancelled_job_says_nothing_more_and_the_next_one_runs, setup_engine),
                TEST(test_waiting_job_that_is_cancelled_is_never_heard_of, setup_engine),
                TEST(test_job_may_be_submitted_in_a_callback, setup_engine),
                TEST(test_engine_may_be_closed_in_a_callback, setup_engine),
                TEST(test_full_queue_is_busy_and_takes_the_prompt_all_the_same, setup_engine),
                TEST(test_question_longer_than_the_context_fails_with_a_sentence, setup),
                TEST(test_conversation_longer_than_the_context_loses_its_oldest_turns, setup),
                TEST(test_model_is_named, setup_engine),
                TEST(test_missing_model_is_an_error_that_names_the_file, setup),
                TEST(test_file_that_is_no_model_is_an_error_that_names_it, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
