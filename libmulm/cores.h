/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Keeps threads that work in step on cores of their own. Threads that wait for each other every few microseconds must
 * not share a core, but the scheduler, which sees them sleep and wake, may leave two of them on one for seconds while
 * another is idle: measured on two cores with a bus, a loop and a client about, an opener took 80 ms instead of 35.
 * Nothing is pinned: a thread that finds another on its core steps aside, once, and may be moved again. Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* cores[i] is where thread i last was. Call it at the start of a job: notes where the caller is, and moves it where a
 * thread before it is on the same core and one of those that it may use is not taken. Costs some nanoseconds, and
 * some microseconds where it moves. A sandbox may forbid moving; then nothing happens. */
void cores_take(atomic_int *cores, uint32_t thread);
