/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Who has asked: one entry for each bus connection with requests, watched so that its requests end when it leaves.
 * Keeps request objects that are over for a while, so that GetText still answers. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "daemon/bus/reqobject.h"

/* Objects that are over and still answer, of one caller and of all; the oldest goes first. */
#define CALLERS_FINISHED_MAX     8
#define CALLERS_FINISHED_MAX_ALL 64

struct caller {
        char *name;               /* unique bus name */
        sd_bus_slot *watch;       /* for its leaving */
        sd_bus_slot *inquiry;     /* whether it had left before the watch was set up */
        bool gone;                /* has left; freed at the next reap */
        struct reqobject *oldest; /* its objects by age, owned */
        struct caller *next;
};

struct callers {
        sd_bus *bus; /* borrowed */
        struct caller *first;
        uint64_t n_objects; /* ever added */
};

/* Frees every object. */
void callers_done(struct callers *callers);

/* The entry for `name`, a new one if need be. */
int callers_get(struct callers *callers, const char *name, struct caller **ret_caller);

/* Takes the object over. */
void callers_add(struct callers *callers, struct caller *caller, struct reqobject *object);

/* NULL where there is none. */
struct reqobject *callers_find(const struct callers *callers, const char *path);

/* The paths of all objects as an array that a NULL ends; the caller frees it and them. NULL without memory. */
char **callers_paths(const struct callers *callers);

/* What this caller was shown of its newest reply; NULL where it has none. Valid until the loop's next turn. */
const char *caller_previous(const struct caller *caller);

/* Requests of this caller that are not yet over. */
unsigned caller_n_live(const struct caller *caller);

/* Frees what left, what has been over for long, and entries without objects. Outside all callbacks. */
void callers_reap(struct callers *callers);
