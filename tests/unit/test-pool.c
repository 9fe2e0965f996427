/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Threads in step: each runs each job once, nobody passes a barrier early, and an idle pool uses no processor time.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libmulm/base/macro.h"
#include "libmulm/pool.h"
#include "tests/support/test.h"

#define N_STEPS 200

struct job {
        struct pool *pool;
        atomic_uint n_calls[POOL_MAX_THREADS];
        atomic_uint n_here;
        atomic_bool passed_early;
};

static void count_call(void *userdata, uint32_t thread)
{
        struct job *job = userdata;

        (void)atomic_fetch_add(&job->n_calls[thread], 1);
}

static void walk_in_step(void *userdata, uint32_t thread)
{
        struct job *job = userdata;
        uint32_t n = pool_n_threads(job->pool);

        (void)thread;
        for (unsigned step = 1; step <= N_STEPS; step++) {
                (void)atomic_fetch_add(&job->n_here, 1);
                pool_barrier(job->pool);
                if (atomic_load(&job->n_here) != step * n)
                        atomic_store(&job->passed_early, true);
                pool_barrier(job->pool);
        }
}

static struct job *new_job(uint32_t n_threads)
{
        struct job *job = calloc(1, sizeof(*job));

        assert_non_null(job);
        assert_int_equal(pool_new(&job->pool, n_threads, NULL), 0);
        assert_int_equal(pool_n_threads(job->pool), n_threads);
        return job;
}

static void free_job(struct job *job)
{
        assert_null(pool_free(job->pool));
        free(job);
}

static void test_every_thread_runs_every_job_once(void **state)
{
        (void)state;
        for (uint32_t n = 1; n <= 5; n++) {
                struct job *job = new_job(n);

                for (unsigned run = 1; run <= 300; run++) {
                        pool_run(job->pool, count_call, job);
                        for (uint32_t i = 0; i < n; i++)
                                assert_int_equal(atomic_load(&job->n_calls[i]), run);
                }
                free_job(job);
        }
}

static void test_nobody_passes_a_barrier_early(void **state)
{
        (void)state;
        for (uint32_t n = 1; n <= 4; n++) {
                struct job *job = new_job(n);

                pool_run(job->pool, walk_in_step, job);
                assert_int_equal(atomic_load(&job->n_here), N_STEPS * n);
                assert_false(atomic_load(&job->passed_early));
                free_job(job);
        }
}

static void test_a_pool_without_a_job_ends(void **state)
{
        (void)state;
        free_job(new_job(3));
        assert_null(pool_free(NULL));
}

static double processor_seconds(void)
{
        struct timespec used;

        assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
        return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static void test_an_idle_pool_sleeps(void **state)
{
        struct job *job = new_job(4);
        double before;

        (void)state;
        pool_run(job->pool, count_call, job);
        before = processor_seconds();
        (void)nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL); /* what is measured is doing nothing */
        assert_true(processor_seconds() - before < 0.02);
        free_job(job);
}

static void test_shares_cover_all_rows_once_in_whole_units(void **state)
{
        struct job *job = new_job(3);

        (void)state;
        for (size_t n = 0; n < 60; n++) {
                size_t expected = 0, begin, end;

                for (uint32_t i = 0; i < 3; i++) {
                        pool_share(job->pool, i, n, 4, &begin, &end);
                        assert_int_equal(begin, expected);
                        assert_true(end >= begin && (end % 4 == 0 || end == n));
                        expected = end;
                }
                assert_int_equal(expected, n);
        }
        free_job(job);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_thread_runs_every_job_once),
                cmocka_unit_test(test_nobody_passes_a_barrier_early),
                cmocka_unit_test(test_a_pool_without_a_job_ends),
                cmocka_unit_test(test_an_idle_pool_sleeps),
                cmocka_unit_test(test_shares_cover_all_rows_once_in_whole_units),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
