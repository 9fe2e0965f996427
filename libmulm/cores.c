/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Keeps threads that work in step on cores of their own. See cores.h.
 */
#include "libmulm/cores.h"

#include <sched.h>
#include <stdbool.h>

static bool is_taken(atomic_int *cores, uint32_t thread, int core)
{
        for (uint32_t i = 0; i < thread; i++)
                if (atomic_load_explicit(&cores[i], memory_order_relaxed) == core)
                        return true;
        return false;
}

/* A thread whose allowed cores no longer include the one it is on is moved at once. */
static void step_aside(atomic_int *cores, uint32_t thread)
{
        cpu_set_t allowed, rest;

        if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
                return;
        rest = allowed;
        for (size_t core = 0; core < CPU_SETSIZE; core++)
                if (CPU_ISSET(core, &allowed) && is_taken(cores, thread, (int)core))
                        CPU_CLR(core, &rest);
        if (CPU_COUNT(&rest) > 0 && sched_setaffinity(0, sizeof(rest), &rest) == 0)
                (void)sched_setaffinity(0, sizeof(allowed), &allowed);
}

void cores_take(atomic_int *cores, uint32_t thread)
{
        int core = sched_getcpu();

        if (core >= 0 && is_taken(cores, thread, core)) {
                step_aside(cores, thread);
                core = sched_getcpu();
        }
        atomic_store_explicit(&cores[thread], core, memory_order_relaxed);
}
