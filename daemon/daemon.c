/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Puts the parts together: engine, cloud, requests, bus; the bus name is taken last, when all can serve. Everything
 * that is over is freed in one place, the check handle, outside all callbacks. Loop thread.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <uv.h>

#include "daemon/bus/service.h"
#include "daemon/io/busloop.h"
#include "daemon/io/cloud.h"
#include "daemon/io/engine.h"
#include "daemon/io/statefile.h"
#include "daemon/io/timers.h"
#include "daemon/log.h"
#include "daemon/request.h"

#define N_SIGNALS 2

struct daemon {
        uv_loop_t loop;
        uv_check_t reaper;
        uv_signal_t signals[N_SIGNALS];
        bool has_loop, has_handles;
        int error; /* why the loop stopped */

        struct timers *timers;
        struct cloud *cloud;
        struct engine *engine;
        struct requests *requests;
        sd_bus *bus;
        struct busloop *busloop;
        struct service *service;
};

static void on_signal(uv_signal_t *handle, int number)
{
        (void)number;
        uv_stop(handle->loop);
}

static void on_turn(uv_check_t *handle)
{
        struct daemon *daemon = handle->data;

        if (daemon->service)
                service_reap(daemon->service);
        if (daemon->requests)
                requests_reap(daemon->requests);
}

static void on_bus_lost(void *userdata, int error)
{
        struct daemon *daemon = userdata;

        log_error("The message bus is gone: %s.", strerror(-error));
        daemon->error = error;
        uv_stop(&daemon->loop);
}

static void on_engine_word(void *userdata, const struct engine_word *word)
{
        struct daemon *daemon = userdata;

        requests_engine_word(daemon->requests, word);
}

/* ---------------------------------------------------------------------------------------------------- start */

static int start_loop(struct daemon *daemon)
{
        static const int numbers[N_SIGNALS] = { SIGTERM, SIGINT };
        int r;

        r = uv_loop_init(&daemon->loop);
        if (r < 0)
                return r;
        daemon->has_loop = true;

        (void)uv_check_init(&daemon->loop, &daemon->reaper);
        daemon->reaper.data = daemon;
        (void)uv_check_start(&daemon->reaper, on_turn);
        for (size_t i = 0; i < N_SIGNALS; i++)
                (void)uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->has_handles = true;
        for (size_t i = 0; i < N_SIGNALS; i++) {
                r = uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
                if (r < 0)
                        return r;
        }
        return timers_new(&daemon->timers, &daemon->loop);
}

static int start_engine(struct daemon *daemon, const struct settings *settings)
{
        _cleanup_(buf_done) struct buf error = BUF_NULL;
        const struct engine_options options = {
                .model_path = settings->model_path,
                .n_threads = settings->threads,
        };
        int r;

        r = engine_new(&daemon->engine, &daemon->loop, &options, on_engine_word, daemon, &error);
        if (r < 0)
                log_error("The model cannot be used: %s", error.n > 0 ? error.data : strerror(-r));
        return r;
}

static int open_bus(const struct daemon_options *options, sd_bus **ret_bus)
{
        sd_bus *bus = NULL;
        int r = 0;

        switch (options->bus) {
        case DAEMON_BUS_SYSTEM: return sd_bus_open_system(ret_bus);
        case DAEMON_BUS_USER: return sd_bus_open_user(ret_bus);
        case DAEMON_BUS_ADDRESS: break;
        }
        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, options->address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, 1);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret_bus = bus;
        return 0;
}

static int start_bus(struct daemon *daemon, const struct daemon_options *options, const struct settings *settings)
{
        int r;

        r = open_bus(options, &daemon->bus);
        if (r < 0) {
                log_error("No message bus: %s.", strerror(-r));
                return r;
        }
        r = service_new(&daemon->service, daemon->bus, settings, daemon->requests, engine_model_name(daemon->engine));
        if (r >= 0)
                r = busloop_new(&daemon->busloop, &daemon->loop, daemon->bus, on_bus_lost, daemon);
        if (r < 0) {
                log_error("The service cannot be put on the bus: %s.", strerror(-r));
                return r;
        }
        r = sd_bus_request_name(daemon->bus, SERVICE_NAME, 0);
        if (r < 0)
                log_error("The name %s cannot be had: %s.", SERVICE_NAME, strerror(-r));
        return r;
}

/* Without a place for it, what is learned lasts as long as the daemon. */
static void keep_state(const struct daemon *daemon, const struct daemon_options *options)
{
        _cleanup_(buf_done) struct buf path = BUF_NULL;

        if (statefile_path(options->bus == DAEMON_BUS_USER, "endpoints", &path) == 0)
                requests_keep_state(daemon->requests, path.data);
}

static int start(struct daemon *daemon, const struct daemon_options *options, const struct settings *settings)
{
        int r;

        r = start_loop(daemon);
        if (r >= 0)
                r = cloud_new(&daemon->cloud, &daemon->loop, daemon->timers);
        if (r < 0) {
                log_error("The event loop cannot be set up: %s.", strerror(-r));
                return r;
        }
        r = start_engine(daemon, settings);
        if (r < 0)
                return r;
        r = requests_new(&daemon->requests, settings, daemon->engine, daemon->cloud, daemon->timers);
        if (r < 0) {
                log_error("No memory for requests.");
                return r;
        }
        keep_state(daemon, options);
        return start_bus(daemon, options, settings);
}

/* ----------------------------------------------------------------------------------------------------- stop */

static void close_handle(uv_handle_t *handle)
{
        if (!uv_is_closing(handle))
                uv_close(handle, NULL);
}

/* In reverse order. Each part gives its memory back in its close callbacks, so the loop runs once more. */
static void stop(struct daemon *daemon)
{
        if (daemon->engine)
                engine_close(daemon->engine);
        service_free(daemon->service);
        if (daemon->requests)
                requests_save_state(daemon->requests);
        requests_free(daemon->requests);
        daemon->service = NULL;
        daemon->requests = NULL;
        if (daemon->busloop)
                busloop_close(daemon->busloop);
        sd_bus_flush_close_unref(daemon->bus);
        if (daemon->cloud)
                cloud_close(daemon->cloud);
        if (daemon->timers)
                timers_close(daemon->timers);
        if (daemon->has_handles) {
                close_handle((uv_handle_t *)&daemon->reaper);
                for (size_t i = 0; i < N_SIGNALS; i++)
                        close_handle((uv_handle_t *)&daemon->signals[i]);
        }
        if (!daemon->has_loop)
                return;
        (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
        if (uv_loop_close(&daemon->loop) < 0)
                log_error("A handle of the event loop was left open.");
}

int daemon_run(const struct daemon_options *options, const struct settings *settings)
{
        struct daemon daemon = { 0 };
        int r;

        r = start(&daemon, options, settings);
        if (r >= 0) {
                log_info("Serving on %s with model %s.", SERVICE_NAME, engine_model_name(daemon.engine));
                (void)sd_notify(0, "READY=1");
                (void)uv_run(&daemon.loop, UV_RUN_DEFAULT);
                (void)sd_notify(0, "STOPPING=1");
                r = daemon.error;
        }
        stop(&daemon);
        return r < 0 ? r : 0;
}
