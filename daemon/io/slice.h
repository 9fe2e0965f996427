/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * How long a thread may run before the scheduler looks for others. A thread that computes without pause asks for long
 * slices: Linux (EEVDF, since 6.12) then lets every thread with shorter ones, which is every thread that did not ask,
 * run the moment it wakes. Any thread, for itself and those it starts.
 */
#pragma once

/* Of a thread that computes. Without it a word waits up to 3 ms for a core at each of its hops, from the engine to
 * the loop, the message bus and the caller, when the model's threads keep all cores busy. */
#define SLICE_LONG_US 20000u

#define SLICE_DEFAULT 0u

/* Older kernels ignore or refuse it, and nothing depends on it but latency, so it has no result. */
void slice_set(unsigned slice_us);
