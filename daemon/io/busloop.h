/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * An sd-bus connection on the libuv loop: descriptor, events and timeout are asked for anew before every poll, as
 * sd_bus_get_fd(3) demands. Loop thread only.
 */
#pragma once

#include <systemd/sd-bus.h>
#include <uv.h>

struct busloop;

/* The connection ended (negative errno); the owner decides what now. */
typedef void (*busloop_fn)(void *userdata, int error);

/* Takes a reference to `bus`. */
int busloop_new(struct busloop **ret_busloop, uv_loop_t *loop, sd_bus *bus, busloop_fn fn, void *userdata);

/* Flushes what is queued, detaches, drops the reference; memory goes in the close callbacks. */
void busloop_close(struct busloop *busloop);
