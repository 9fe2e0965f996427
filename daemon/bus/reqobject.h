/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One request as its caller sees it: org.mulm.Assistant1.Request at .../request/SENDER/TOKEN. Turns what the request
 * tells its sink into signals to the caller and nobody else, and calls from the bus into calls of the request.
 * Anyone may read its State; only the caller may cancel it or read its text. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "daemon/request.h"

#define REQOBJECT_ROOT      "/org/mulm/Assistant1/request"
#define REQOBJECT_INTERFACE "org.mulm.Assistant1.Request"

struct reqobject;

/* The request's state changed; the object's list and the service's properties may have to follow. */
typedef void (*reqobject_fn)(void *userdata);

struct reqobject {
        sd_bus *bus; /* borrowed, as are the two below */
        reqobject_fn changed;
        void *userdata;
        char *path;
        char *owner;             /* the caller's unique name */
        struct request *request; /* released with the object */
        struct reqobject *next;  /* a newer one of the same caller */
        uint64_t serial;         /* counts objects of all callers */
        bool finished;           /* the caller has been told the outcome */
        bool signal_lost;        /* so it is logged once */
};

extern const sd_bus_vtable reqobject_vtable[];

/* Makes object and request; the race does not start yet. What request_new() returns. */
int reqobject_new(struct reqobject **ret_object, sd_bus *bus, struct requests *requests, const char *path,
                  const char *owner, const char *prompt, const struct request_options *options, reqobject_fn changed,
                  void *userdata);

/* Releases the request. Never from within a callback. Returns NULL. */
struct reqobject *reqobject_free(struct reqobject *object);

/* The path for `sender`, as the desktop portals make it: ":1.42" becomes "1_42". Without a token, a random one. The
 * caller frees it; NULL without memory. */
char *reqobject_path(const char *sender, const char *token);
