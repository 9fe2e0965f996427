/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * All timers of the daemon over one uv_timer_t: a sorted list of nodes that their owners embed, so that a request
 * needs no uv handle of its own and can be freed as plain memory. Loop thread only.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

typedef void (*timer_fn)(void *userdata);

struct timers;

struct timer_node {
        uint64_t deadline_us; /* on the clock of timers_now_us(); 0: not armed */
        timer_fn fn;
        void *userdata;
        struct timer_node *previous, *next;
};

int timers_new(struct timers **ret_timers, uv_loop_t *loop);

/* Closes the handle; memory goes in the close callback, so the loop must run once more. All nodes must be unset. */
void timers_close(struct timers *timers);

/* Microseconds on CLOCK_MONOTONIC, read anew. Any thread. */
uint64_t timers_now_us(void);

/* Arms, re-arms or (deadline 0) disarms. A callback may set or clear any node, its own too. */
void timers_set(struct timers *timers, struct timer_node *node, uint64_t deadline_us);
