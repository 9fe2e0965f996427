/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Callers and their objects. See callers.h.
 *
 * sd_bus_track would do the watching, but it asks the bus for each name with a blocking call, in front of the first
 * word. So: subscribe to the name's owner, and then ask whether it is still there, both without waiting. The bus
 * answers in order, so whenever the caller leaves, one of the two tells.
 */
#include "daemon/bus/callers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"

#define BUS_NAME      "org.freedesktop.DBus"
#define BUS_PATH      "/org/freedesktop/DBus"
#define BUS_INTERFACE "org.freedesktop.DBus"

static struct caller *caller_free(struct caller *caller)
{
        for (struct reqobject *object = caller->oldest, *next; object; object = next) {
                next = object->next;
                reqobject_free(object);
        }
        sd_bus_slot_unref(caller->inquiry);
        sd_bus_slot_unref(caller->watch);
        free(caller->name);
        free(caller);
        return NULL;
}

DEFINE_CLEANUP(struct caller *, caller_free);

/* Nobody is left to hear of it: the requests end at once, the memory goes at the next reap. */
static void caller_left(struct caller *caller)
{
        caller->gone = true;
        for (struct reqobject *object = caller->oldest; object; object = object->next)
                object->request = request_release(object->request);
}

static int on_owner_changed(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        const char *name, *old_owner, *new_owner;

        if (sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) >= 0 && !*new_owner)
                caller_left(userdata);
        return 0;
}

/* Without a handler of its own, sd-bus would close the connection when the bus refuses (it limits match rules). */
static int on_watched(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        const struct caller *caller = userdata;
        const sd_bus_error *refusal = sd_bus_message_get_error(message);

        if (refusal)
                log_warning("Cannot watch caller %s, its requests will not end when it leaves: %s", caller->name,
                            refusal->message);
        return 0;
}

static int on_inquired(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        int is_there;

        if (!sd_bus_message_is_method_error(message, NULL) && sd_bus_message_read(message, "b", &is_there) >= 0 &&
            !is_there)
                caller_left(userdata);
        return 0;
}

static int caller_watch(struct caller *caller, sd_bus *bus)
{
        _cleanup_free_ char *match = NULL;
        int r;

        if (asprintf(&match,
                     "type='signal',sender='" BUS_NAME "',path='" BUS_PATH "',interface='" BUS_INTERFACE
                     "',member='NameOwnerChanged',arg0='%s'",
                     caller->name) < 0)
                return -ENOMEM;
        r = sd_bus_add_match_async(bus, &caller->watch, match, on_owner_changed, on_watched, caller);
        if (r < 0)
                return r;
        return sd_bus_call_method_async(bus, &caller->inquiry, BUS_NAME, BUS_PATH, BUS_INTERFACE, "NameHasOwner",
                                        on_inquired, caller, "s", caller->name);
}

int callers_get(struct callers *callers, const char *name, struct caller **ret_caller)
{
        _cleanup_(caller_freep) struct caller *caller = NULL;
        int r;

        for (struct caller *known = callers->first; known; known = known->next)
                if (!known->gone && strcmp(known->name, name) == 0) {
                        *ret_caller = known;
                        return 0;
                }

        caller = calloc(1, sizeof(*caller));
        if (!caller)
                return -ENOMEM;
        caller->name = strdup(name);
        if (!caller->name)
                return -ENOMEM;
        r = caller_watch(caller, callers->bus);
        if (r < 0)
                return r;
        caller->next = callers->first;
        callers->first = caller;
        *ret_caller = STEAL(caller);
        return 0;
}

void callers_add(struct callers *callers, struct caller *caller, struct reqobject *object)
{
        struct reqobject **end = &caller->oldest;

        while (*end)
                end = &(*end)->next;
        *end = object;
        object->serial = callers->n_objects++;
}

struct reqobject *callers_find(const struct callers *callers, const char *path)
{
        for (struct caller *caller = callers->first; caller; caller = caller->next)
                for (struct reqobject *object = caller->oldest; !caller->gone && object; object = object->next)
                        if (strcmp(object->path, path) == 0)
                                return object;
        return NULL;
}

static void paths_free(char **paths)
{
        for (char **path = paths; *path; path++)
                free(*path);
        free(paths);
}

DEFINE_CLEANUP(char **, paths_free);

char **callers_paths(const struct callers *callers)
{
        _cleanup_(paths_freep) char **paths = NULL;
        size_t n = 0;

        for (const struct caller *caller = callers->first; caller; caller = caller->next)
                for (const struct reqobject *object = caller->oldest; object; object = object->next)
                        n++;
        paths = calloc(n + 1, sizeof(*paths));
        if (!paths)
                return NULL;
        n = 0;
        for (const struct caller *caller = callers->first; caller; caller = caller->next)
                for (const struct reqobject *object = caller->oldest; !caller->gone && object;
                     object = object->next) {
                        paths[n] = strdup(object->path);
                        if (!paths[n++])
                                return NULL;
                }
        return STEAL(paths);
}

const char *caller_previous(const struct caller *caller)
{
        const char *previous = NULL;

        for (const struct reqobject *object = caller->oldest; object; object = object->next)
                if (*request_text(object->request))
                        previous = request_text(object->request);
        return previous;
}

unsigned caller_n_live(const struct caller *caller)
{
        unsigned n = 0;

        for (const struct reqobject *object = caller->oldest; object; object = object->next)
                n += !object->finished;
        return n;
}

/* Where the oldest finished object of this caller is linked; NULL where it has none. */
static struct reqobject **find_finished(struct caller *caller, unsigned *ret_n)
{
        struct reqobject **oldest = NULL;

        *ret_n = 0;
        for (struct reqobject **link = &caller->oldest; *link; link = &(*link)->next)
                if ((*link)->finished) {
                        oldest = oldest ?: link;
                        (*ret_n)++;
                }
        return oldest;
}

static void drop(struct reqobject **link)
{
        struct reqobject *object = *link;

        *link = object->next;
        reqobject_free(object);
}

/* Drops one object that is over and beyond a limit; false where there is none. */
static bool drop_finished(struct callers *callers)
{
        struct reqobject **oldest = NULL;
        unsigned n_all = 0, n;

        for (struct caller *caller = callers->first; caller; caller = caller->next) {
                struct reqobject **link = find_finished(caller, &n);

                if (n > CALLERS_FINISHED_MAX) {
                        drop(link);
                        return true;
                }
                if (link && (!oldest || (*link)->serial < (*oldest)->serial))
                        oldest = link;
                n_all += n;
        }
        if (n_all <= CALLERS_FINISHED_MAX_ALL)
                return false;
        drop(oldest);
        return true;
}

void callers_reap(struct callers *callers)
{
        while (drop_finished(callers))
                ;
        for (struct caller **link = &callers->first; *link;) {
                struct caller *caller = *link;

                if (!caller->gone && caller->oldest) {
                        link = &caller->next;
                        continue;
                }
                *link = caller->next;
                caller_free(caller);
        }
}

void callers_done(struct callers *callers)
{
        for (struct caller *caller = callers->first, *next; caller; caller = next) {
                next = caller->next;
                caller_free(caller);
        }
        callers->first = NULL;
}
