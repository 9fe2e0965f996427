/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What crosses between the threads: order, limits, and that nothing of a cancelled job arrives.
 */
#include <errno.h>
#include <string.h>

#include "daemon/io/engine-queue.h"
#include "tests/support/test.h"

static struct engine_task *new_task(uint64_t id)
{
        struct engine_job job = { .id = id };
        struct engine_task *task;

        assert_int_equal(prompt_add(&job.prompt, PROMPT_ROLE_USER, "why", 3), 0);
        task = engine_task_new(&job);
        assert_non_null(task);
        assert_int_equal(job.prompt.n_messages, 0);
        assert_int_equal(task->job.prompt.n_messages, 1);
        return task;
}

static void submit(struct engine_queue *queue, uint64_t id)
{
        assert_int_equal(engine_queue_submit(queue, new_task(id)), 0);
}

static bool send_word(struct engine_queue *queue, const struct engine_task *task)
{
        struct engine_item *item = engine_item_new(task, ENGINE_EVENT_WORD);

        assert_non_null(item);
        return engine_queue_send(queue, task, item);
}

/* 0 where there is none. */
static uint64_t take_word(struct engine_queue *queue)
{
        struct engine_item *item = engine_queue_take_item(queue);
        uint64_t id = item ? item->word.job : 0;

        engine_item_free(item);
        return id;
}

static void test_jobs_come_in_the_order_submitted(void **state)
{
        struct engine_queue queue;

        (void)state;
        assert_int_equal(engine_queue_init(&queue), 0);
        submit(&queue, 3);
        submit(&queue, 1);
        submit(&queue, 2);
        for (size_t i = 0; i < 3; i++) {
                struct engine_task *task = engine_queue_take_task(&queue);

                assert_int_equal(task->job.id, ((const uint64_t[]){ 3, 1, 2 })[i]);
                engine_queue_finish_task(&queue, task);
        }
        engine_queue_done(&queue);
}

static void test_full_queue_refuses_and_takes_again_after_a_cancel(void **state)
{
        struct engine_queue queue;
        struct engine_task *late = new_task(1000);

        (void)state;
        assert_int_equal(engine_queue_init(&queue), 0);
        for (uint64_t id = 1; id <= ENGINE_QUEUE_MAX; id++)
                submit(&queue, id);
        assert_int_equal(engine_queue_submit(&queue, late), -EBUSY);
        engine_queue_cancel(&queue, 7);
        assert_int_equal(engine_queue_submit(&queue, late), 0);
        engine_queue_done(&queue);
}

/* First, in the middle, last: the list stays whole. */
static void test_waiting_job_that_is_cancelled_is_never_taken(void **state)
{
        (void)state;
        for (uint64_t cancelled = 1; cancelled <= 3; cancelled++) {
                struct engine_queue queue;

                assert_int_equal(engine_queue_init(&queue), 0);
                for (uint64_t id = 1; id <= 3; id++)
                        submit(&queue, id);
                engine_queue_cancel(&queue, cancelled);
                submit(&queue, 4);
                for (uint64_t id = 1; id <= 4; id++) {
                        struct engine_task *task;

                        if (id == cancelled)
                                continue;
                        task = engine_queue_take_task(&queue);
                        assert_int_equal(task->job.id, id);
                        engine_queue_finish_task(&queue, task);
                }
                engine_queue_done(&queue);
        }
}

static void test_words_of_a_cancelled_job_neither_arrive_nor_are_accepted(void **state)
{
        struct engine_queue queue;
        struct engine_task *first, *second;

        (void)state;
        assert_int_equal(engine_queue_init(&queue), 0);
        submit(&queue, 1);
        submit(&queue, 2);
        first = engine_queue_take_task(&queue);
        assert_true(send_word(&queue, first));
        assert_true(send_word(&queue, first));
        engine_queue_cancel(&queue, 1);
        assert_false(send_word(&queue, first));
        engine_queue_finish_task(&queue, first);

        second = engine_queue_take_task(&queue);
        assert_true(send_word(&queue, second));
        assert_int_equal(take_word(&queue), 2);
        assert_int_equal(take_word(&queue), 0);
        engine_queue_finish_task(&queue, second);
        engine_queue_done(&queue);
}

/* The words of others, before, between and after, keep their order. */
static void test_cancel_takes_one_job_s_words_from_among_others(void **state)
{
        struct engine_queue queue;
        struct engine_task *tasks[3];
        const size_t order[] = { 0, 1, 2, 1, 0, 2, 1 };

        (void)state;
        assert_int_equal(engine_queue_init(&queue), 0);
        for (size_t i = 0; i < 3; i++)
                tasks[i] = new_task(i + 1);
        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
                assert_true(send_word(&queue, tasks[order[i]]));
        engine_queue_cancel(&queue, 2);
        assert_true(send_word(&queue, tasks[0]));
        for (size_t i = 0; i < 5; i++)
                assert_int_equal(take_word(&queue), ((const uint64_t[]){ 1, 3, 1, 3, 1 })[i]);
        assert_int_equal(take_word(&queue), 0);
        for (size_t i = 0; i < 3; i++)
                engine_task_free(tasks[i]);
        engine_queue_done(&queue);
}

static void test_cancel_of_an_unknown_job_changes_nothing(void **state)
{
        struct engine_queue queue;
        struct engine_task *task;

        (void)state;
        assert_int_equal(engine_queue_init(&queue), 0);
        engine_queue_cancel(&queue, 1);
        submit(&queue, 2);
        engine_queue_cancel(&queue, 1);
        task = engine_queue_take_task(&queue);
        assert_true(send_word(&queue, task));
        engine_queue_cancel(&queue, 1);
        assert_int_equal(take_word(&queue), 2);
        engine_queue_finish_task(&queue, task);
        engine_queue_done(&queue);
}

static void test_stopped_queue_gives_neither_jobs_nor_words(void **state)
{
        struct engine_queue queue;
        struct engine_task *task;

        (void)state;
        assert_int_equal(engine_queue_init(&queue), 0);
        submit(&queue, 1);
        submit(&queue, 2);
        task = engine_queue_take_task(&queue);
        assert_true(send_word(&queue, task));
        engine_queue_stop(&queue);
        assert_false(send_word(&queue, task));
        engine_queue_finish_task(&queue, task);
        assert_null(engine_queue_take_task(&queue));
        assert_int_equal(take_word(&queue), 0);
        engine_queue_done(&queue);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_jobs_come_in_the_order_submitted),
                cmocka_unit_test(test_full_queue_refuses_and_takes_again_after_a_cancel),
                cmocka_unit_test(test_waiting_job_that_is_cancelled_is_never_taken),
                cmocka_unit_test(test_words_of_a_cancelled_job_neither_arrive_nor_are_accepted),
                cmocka_unit_test(test_cancel_takes_one_job_s_words_from_among_others),
                cmocka_unit_test(test_cancel_of_an_unknown_job_changes_nothing),
                cmocka_unit_test(test_stopped_queue_gives_neither_jobs_nor_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
