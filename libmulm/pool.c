/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Threads that work in step. See pool.h.
 */
#include "libmulm/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "libmulm/base/macro.h"
#include "libmulm/cores.h"
#include "libmulm/error.h"

/* How long to spin before sleeping: longer than what lies between two steps of a decode loop (sampling, a softmax
 * over the vocabulary), so that workers stay awake in it, and short enough not to matter after it. */
#define SPIN_US 150

/* A number that threads wait on. */
struct gate {
        atomic_uint value;
        atomic_uint n_sleepers;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
};

struct worker {
        struct pool *pool;
        uint32_t thread;
        pthread_t handle;
};

struct pool {
        uint32_t n_threads; /* with the caller */
        uint32_t n_started; /* workers */

        struct gate job;     /* counts jobs */
        struct gate barrier; /* counts passed barriers */
        atomic_uint n_arrived;

        pool_fn fn; /* NULL: stop; written before `job` moves */
        void *userdata;
        atomic_int cores[POOL_MAX_THREADS];
        struct worker workers[]; /* n_threads - 1 */
};

static uint64_t now_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void gate_init(struct gate *gate)
{
        (void)pthread_mutex_init(&gate->mutex, NULL);
        (void)pthread_cond_init(&gate->changed, NULL);
}

static void gate_done(struct gate *gate)
{
        (void)pthread_cond_destroy(&gate->changed);
        (void)pthread_mutex_destroy(&gate->mutex);
}

static void gate_advance(struct gate *gate)
{
        (void)atomic_fetch_add(&gate->value, 1);

        /* A waiter announces itself before it looks at the value a last time: one of the two sees the other. */
        if (atomic_load(&gate->n_sleepers) == 0)
                return;
        (void)pthread_mutex_lock(&gate->mutex);
        (void)pthread_cond_broadcast(&gate->changed);
        (void)pthread_mutex_unlock(&gate->mutex);
}

static bool gate_spin(struct gate *gate, unsigned old)
{
        uint64_t deadline_us = now_us() + SPIN_US;

        do
                for (int i = 0; i < 64; i++) {
                        if (atomic_load_explicit(&gate->value, memory_order_acquire) != old)
                                return true;
                        spin_pause();
                }
        while (now_us() < deadline_us);
        return false;
}

/* Returns when the value is no longer `old`. */
static void gate_wait(struct gate *gate, unsigned old)
{
        if (gate_spin(gate, old))
                return;
        (void)pthread_mutex_lock(&gate->mutex);
        (void)atomic_fetch_add(&gate->n_sleepers, 1);
        while (atomic_load(&gate->value) == old)
                (void)pthread_cond_wait(&gate->changed, &gate->mutex);
        (void)atomic_fetch_sub(&gate->n_sleepers, 1);
        (void)pthread_mutex_unlock(&gate->mutex);
}

uint32_t pool_n_threads(const struct pool *pool)
{
        return pool->n_threads;
}

void pool_barrier(struct pool *pool)
{
        unsigned passed;

        if (pool->n_threads == 1)
                return;
        passed = atomic_load(&pool->barrier.value);
        if (atomic_fetch_add(&pool->n_arrived, 1) + 1 < pool->n_threads) {
                gate_wait(&pool->barrier, passed);
                return;
        }
        atomic_store(&pool->n_arrived, 0);
        gate_advance(&pool->barrier);
}

static void *worker_main(void *userdata)
{
        struct worker *worker = userdata;
        struct pool *pool = worker->pool;

        for (unsigned n_jobs = 0;; n_jobs++) {
                gate_wait(&pool->job, n_jobs);
                if (!pool->fn)
                        return NULL;
                cores_take(pool->cores, worker->thread);
                pool->fn(pool->userdata, worker->thread);
                pool_barrier(pool);
        }
}

void pool_run(struct pool *pool, pool_fn fn, void *userdata)
{
        if (pool->n_threads > 1) {
                pool->fn = fn;
                pool->userdata = userdata;
                cores_take(pool->cores, 0);
                gate_advance(&pool->job);
        }
        fn(userdata, 0);
        pool_barrier(pool);
}

static int start_workers(struct pool *pool, struct mulm_error *error)
{
        sigset_t all, old;
        int r = 0;

        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        for (uint32_t i = 0; r == 0 && i + 1 < pool->n_threads; i++) {
                pool->workers[i].pool = pool;
                pool->workers[i].thread = i + 1;
                r = pthread_create(&pool->workers[i].handle, NULL, worker_main, &pool->workers[i]);
                if (r == 0)
                        pool->n_started++;
        }
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        return r == 0 ? 0
                      : error_set(error, -r, "cannot start thread %u of %u", pool->n_started + 2, pool->n_threads);
}

int pool_new(struct pool **ret_pool, uint32_t n_threads, struct mulm_error *error)
{
        struct pool *pool = calloc(1, sizeof(*pool) + (n_threads - 1) * sizeof(pool->workers[0]));
        int r;

        if (!pool)
                return error_no_memory(error);
        pool->n_threads = n_threads;
        gate_init(&pool->job);
        gate_init(&pool->barrier);
        r = start_workers(pool, error);
        if (r < 0) {
                pool_free(pool);
                return r;
        }
        *ret_pool = pool;
        return 0;
}

struct pool *pool_free(struct pool *pool)
{
        if (!pool)
                return NULL;
        pool->fn = NULL;
        gate_advance(&pool->job);
        for (uint32_t i = 0; i < pool->n_started; i++)
                (void)pthread_join(pool->workers[i].handle, NULL);
        gate_done(&pool->barrier);
        gate_done(&pool->job);
        free(pool);
        return NULL;
}
