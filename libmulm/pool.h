/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A few threads that do one job together, many times a second: pool_run() runs a function on all of them and on the
 * caller, pool_barrier() lets them wait for each other inside it. Whoever waits spins for a fraction of a millisecond
 * (a decode step has dozens of barriers a few microseconds apart) and then sleeps, so an idle pool never wakes up. A
 * pool of one thread is the caller alone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libmulm/mulm.h"

#define POOL_MAX_THREADS 64

struct pool;

typedef void (*pool_fn)(void *userdata, uint32_t thread);

/* n_threads counts the caller, 1..POOL_MAX_THREADS. The threads take no signals. -ENOMEM, -EAGAIN. */
int pool_new(struct pool **ret_pool, uint32_t n_threads, struct mulm_error *error);
struct pool *pool_free(struct pool *pool);

uint32_t pool_n_threads(const struct pool *pool);

/* Runs fn(userdata, thread) once for each thread in [0, n_threads), 0 being the caller, and returns when all have. */
void pool_run(struct pool *pool, pool_fn fn, void *userdata);

/* Only within a function that pool_run() runs: returns when all threads have come here. */
void pool_barrier(struct pool *pool);

/* This thread's share of n items, in multiples of `unit`: [*ret_begin, *ret_end). */
static inline void pool_share(const struct pool *pool, uint32_t thread, size_t n, size_t unit, size_t *ret_begin,
                              size_t *ret_end)
{
        size_t n_units = (n + unit - 1) / unit, n_threads = pool_n_threads(pool);
        size_t begin = n_units * thread / n_threads * unit, end = n_units * (thread + 1) / n_threads * unit;

        *ret_begin = begin < n ? begin : n;
        *ret_end = end < n ? end : n;
}
