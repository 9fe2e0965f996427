/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * All timers of the daemon over one uv_timer_t. See timers.h.
 *
 * libuv counts milliseconds on the same clock, so a deadline is rounded up to the next one and never comes early.
 * Nodes that are due leave the list together before the first of them is called: one that a callback arms for a
 * moment already past waits for the next turn of the loop, so that no callback can keep the loop from the rest.
 */
#include "daemon/io/timers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct timers {
        uv_timer_t timer;
        struct timer_node armed; /* head of a ring, the earliest deadline first */
};

static void ring_init(struct timer_node *head)
{
        head->previous = head->next = head;
}

/* Puts `node` in front of `next`. */
static void ring_insert(struct timer_node *next, struct timer_node *node)
{
        node->previous = next->previous;
        node->next = next;
        next->previous->next = node;
        next->previous = node;
}

static void ring_remove(struct timer_node *node)
{
        node->previous->next = node->next;
        node->next->previous = node->previous;
        node->previous = node->next = NULL;
}

uint64_t timers_now_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Sets the handle to the earliest deadline. */
static void timers_arm(struct timers *timers, uv_timer_cb fire)
{
        uint64_t due_ms, now_ms = uv_now(timers->timer.loop);

        if (timers->armed.next == &timers->armed) {
                uv_timer_stop(&timers->timer);
                return;
        }
        due_ms = timers->armed.next->deadline_us / 1000 + (timers->armed.next->deadline_us % 1000 != 0);
        uv_timer_start(&timers->timer, fire, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

static void timers_fire(uv_timer_t *handle)
{
        struct timers *timers = handle->data;
        struct timer_node due;
        uint64_t now_us = timers_now_us();

        ring_init(&due);
        while (timers->armed.next != &timers->armed && timers->armed.next->deadline_us <= now_us) {
                struct timer_node *node = timers->armed.next;

                ring_remove(node);
                ring_insert(&due, node);
        }
        while (due.next != &due) {
                struct timer_node *node = due.next;

                ring_remove(node);
                node->deadline_us = 0;
                node->fn(node->userdata);
        }
        timers_arm(timers, timers_fire);
}

int timers_new(struct timers **ret_timers, uv_loop_t *loop)
{
        struct timers *timers = calloc(1, sizeof(*timers));

        if (!timers)
                return -ENOMEM;
        ring_init(&timers->armed);
        uv_timer_init(loop, &timers->timer);
        timers->timer.data = timers;
        *ret_timers = timers;
        return 0;
}

void timers_set(struct timers *timers, struct timer_node *node, uint64_t deadline_us)
{
        struct timer_node *next;

        if (node->deadline_us)
                ring_remove(node);
        node->deadline_us = deadline_us;
        if (deadline_us) {
                for (next = timers->armed.next; next != &timers->armed && next->deadline_us <= deadline_us;)
                        next = next->next;
                ring_insert(next, node);
        }
        timers_arm(timers, timers_fire);
}

static void timers_closed(uv_handle_t *handle)
{
        free(handle->data);
}

void timers_close(struct timers *timers)
{
        assert(timers->armed.next == &timers->armed);
        uv_close((uv_handle_t *)&timers->timer, timers_closed);
}
