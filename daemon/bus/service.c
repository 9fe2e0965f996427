/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * org.mulm.Assistant1. See service.h.
 *
 * The objects of requests are not registered one by one: everything below .../request is found by path, so that a
 * call on a request that is over gets a named error and nothing has to be unregistered from within a callback.
 */
#include "daemon/bus/service.h"

#include <errno.h>
#include <string.h>

#include "daemon/bus/callers.h"
#include "daemon/bus/dictionary.h"
#include "daemon/bus/errors.h"
#include "daemon/bus/options.h"
#include "daemon/bus/reqobject.h"
#include "libmulm/base/macro.h"

struct service {
        sd_bus *bus; /* all borrowed but the slots and callers */
        const struct settings *settings;
        struct requests *requests;
        const char *model_name;
        const char *cloud_state; /* the last that was announced; a constant of request */
        struct callers callers;
        sd_bus_slot *object, *request_objects, *enumerator;
};

DEFINE_CLEANUP(struct service *, service_free);

/* The one property that is announced: rare, of use to a UI, and it tells nothing of what anyone asked. */
static void on_request_changed(void *userdata)
{
        struct service *service = userdata;
        const char *cloud_state = requests_cloud_state(service->requests);

        if (strcmp(cloud_state, service->cloud_state) == 0)
                return;
        service->cloud_state = cloud_state;
        (void)sd_bus_emit_properties_changed(service->bus, SERVICE_PATH, SERVICE_NAME, "CloudState", NULL);
}

/* ---------------------------------------------------------------------------------------------------- Ask */

static bool is_full(const struct service *service)
{
        return requests_n_live(service->requests) >= service->settings->requests;
}

static int check_busy(const struct service *service, const struct caller *caller, sd_bus_error *error)
{
        if (is_full(service))
                return errors_set(error, ERRORS_BUSY, "All %u requests that are allowed in total are in use.",
                                  service->settings->requests);
        if (caller_n_live(caller) >= service->settings->requests_per_caller)
                return errors_set(error, ERRORS_BUSY, "All %u requests that are allowed per caller are in use.",
                                  service->settings->requests_per_caller);
        return 0;
}

static int accept_request(struct service *service, const char *sender, const char *prompt,
                          const struct options *options, struct reqobject **ret_object, sd_bus_error *error)
{
        struct request_options request = options->request;
        _cleanup_free_ char *path = NULL;
        struct caller *caller;
        int r;

        path = reqobject_path(sender, options->token);
        if (!path)
                return -ENOMEM;
        r = callers_get(&service->callers, sender, &caller);
        if (r < 0)
                return r;
        if (callers_find(&service->callers, path))
                return errors_set(error, ERRORS_TOKEN_IN_USE, "There is a request with handle_token \"%s\" already.",
                                  options->token);
        r = check_busy(service, caller, error);
        if (r < 0)
                return r;
        request.previous = caller_previous(caller);
        r = reqobject_new(ret_object, service->bus, service->requests, path, sender, prompt, &request,
                          on_request_changed, service);
        if (r < 0)
                return errors_set_errno(error, r, "The request cannot be taken.");
        callers_add(&service->callers, caller, *ret_object);
        return 0;
}

static int method_ask(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
        struct service *service = userdata;
        struct reqobject *object;
        struct options options;
        const char *prompt;
        int r;

        r = sd_bus_message_read(message, "s", &prompt);
        if (r < 0)
                return r;
        r = options_read(message, &options, error);
        if (r < 0)
                return r;
        r = options_check_prompt(prompt, strlen(prompt), service->settings->prompt_bytes, error);
        if (r < 0)
                return r;
        r = accept_request(service, sd_bus_message_get_sender(message), prompt, &options, &object, error);
        if (r < 0)
                return r;

        /* The reply goes first, so that the caller knows the path before it hears a word. */
        r = sd_bus_reply_method_return(message, "o", object->path);
        if (r < 0) {
                request_cancel(object->request);
                return r;
        }
        request_start(object->request);
        return 1;
}

/* --------------------------------------------------------------------------------------------- properties */

static int property_version(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                            _unused_ const char *property, sd_bus_message *reply, _unused_ void *userdata,
                            _unused_ sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", MULMD_VERSION);
}

static int property_model(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                          _unused_ const char *property, sd_bus_message *reply, void *userdata,
                          _unused_ sd_bus_error *error)
{
        struct service *service = userdata;

        return sd_bus_message_append(reply, "s", service->model_name);
}

static int property_state(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                          _unused_ const char *property, sd_bus_message *reply, void *userdata,
                          _unused_ sd_bus_error *error)
{
        return sd_bus_message_append(reply, "s", is_full(userdata) ? "busy" : "ready");
}

static int property_cloud_state(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                                _unused_ const char *property, sd_bus_message *reply, void *userdata,
                                _unused_ sd_bus_error *error)
{
        struct service *service = userdata;

        return sd_bus_message_append(reply, "s", requests_cloud_state(service->requests));
}

static int property_active_requests(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                                    _unused_ const char *property, sd_bus_message *reply, void *userdata,
                                    _unused_ sd_bus_error *error)
{
        struct service *service = userdata;

        return sd_bus_message_append(reply, "u", (uint32_t)requests_n_live(service->requests));
}

static int append_delay(sd_bus_message *message, const struct requests_delay *delay)
{
        return sd_bus_message_append(message, "a{sv}", 4, "endpoint", "s", delay->endpoint, "first_text_us", "t",
                                     delay->mean_us, "deviation_us", "t", delay->deviation_us, "opener_words", "u",
                                     (uint32_t)delay->n_words);
}

/* An entry of its own: aa{sv}, in order of preference. */
static int append_delays(sd_bus_message *message, const struct requests *requests)
{
        struct requests_delay delay;
        int r;

        r = dictionary_open_array(message, "delays", "a{sv}");
        if (r < 0)
                return r;
        for (size_t i = 0; requests_delay(requests, i, &delay); i++) {
                r = append_delay(message, &delay);
                if (r < 0)
                        return r;
        }
        return dictionary_close_array(message);
}

static int append_counts(sd_bus_message *message, const struct requests_statistics *statistics)
{
        const struct {
                const char *key;
                uint64_t n;
        } counts[] = {
                { "asked", statistics->n_asked },   { "complete", statistics->n_complete },
                { "local", statistics->n_local },   { "cancelled", statistics->n_cancelled },
                { "failed", statistics->n_failed },
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(counts); i++)
                r = sd_bus_message_append(message, "{sv}", counts[i].key, "t", counts[i].n);
        return r;
}

static int property_statistics(_unused_ sd_bus *bus, _unused_ const char *path, _unused_ const char *interface,
                               _unused_ const char *property, sd_bus_message *reply, void *userdata,
                               _unused_ sd_bus_error *error)
{
        struct service *service = userdata;
        struct requests_statistics statistics;
        int r;

        requests_statistics(service->requests, &statistics);
        if ((r = sd_bus_message_open_container(reply, 'a', "{sv}")) < 0 ||
            (r = append_counts(reply, &statistics)) < 0 || (r = append_delays(reply, service->requests)) < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Ask", SD_BUS_ARGS("s", prompt, "a{sv}", options), SD_BUS_RESULT("o", request),
                                method_ask, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_PROPERTY("Version", "s", property_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Model", "s", property_model, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", property_state, 0, 0),
        SD_BUS_PROPERTY("CloudState", "s", property_cloud_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ActiveRequests", "u", property_active_requests, 0, 0),
        SD_BUS_PROPERTY("Statistics", "a{sv}", property_statistics, 0, 0),
        SD_BUS_VTABLE_END,
};

/* -------------------------------------------------------------------------------------- request objects */

/* .../request/SENDER/TOKEN, and not one of the nodes above it, which introspection asks for as well. */
static bool is_request_path(const char *path)
{
        const char *slash = strchr(path + strlen(REQOBJECT_ROOT "/"), '/');

        return slash && !strchr(slash + 1, '/');
}

static int find_request(_unused_ sd_bus *bus, const char *path, _unused_ const char *interface, void *userdata,
                        void **ret_found, sd_bus_error *error)
{
        struct service *service = userdata;
        struct reqobject *object;

        if (strlen(path) <= strlen(REQOBJECT_ROOT "/") || !is_request_path(path))
                return 0;
        object = callers_find(&service->callers, path);
        if (!object)
                return errors_set(error, ERRORS_NO_SUCH_REQUEST, "There is no request %s.", path);
        *ret_found = object;
        return 1;
}

static int enumerate_requests(_unused_ sd_bus *bus, _unused_ const char *prefix, void *userdata, char ***ret_nodes,
                              _unused_ sd_bus_error *error)
{
        struct service *service = userdata;
        char **paths = callers_paths(&service->callers);

        if (!paths)
                return -ENOMEM;
        *ret_nodes = paths;
        return 0;
}

/* --------------------------------------------------------------------------------------------------- life */

int service_new(struct service **ret_service, sd_bus *bus, const struct settings *settings, struct requests *requests,
                const char *model_name)
{
        _cleanup_(service_freep) struct service *service = NULL;
        int r;

        service = calloc(1, sizeof(*service));
        if (!service)
                return -ENOMEM;
        service->bus = bus;
        service->settings = settings;
        service->requests = requests;
        service->model_name = model_name;
        service->cloud_state = requests_cloud_state(requests);
        service->callers.bus = bus;

        r = sd_bus_add_object_vtable(bus, &service->object, SERVICE_PATH, SERVICE_NAME, service_vtable, service);
        if (r < 0)
                return r;
        r = sd_bus_add_fallback_vtable(bus, &service->request_objects, REQOBJECT_ROOT, REQOBJECT_INTERFACE,
                                       reqobject_vtable, find_request, service);
        if (r < 0)
                return r;
        r = sd_bus_add_node_enumerator(bus, &service->enumerator, REQOBJECT_ROOT, enumerate_requests, service);
        if (r < 0)
                return r;
        *ret_service = STEAL(service);
        return 0;
}

struct service *service_free(struct service *service)
{
        if (!service)
                return NULL;
        sd_bus_slot_unref(service->enumerator);
        sd_bus_slot_unref(service->request_objects);
        sd_bus_slot_unref(service->object);
        callers_done(&service->callers);
        free(service);
        return NULL;
}

void service_reap(struct service *service)
{
        callers_reap(&service->callers);
}
