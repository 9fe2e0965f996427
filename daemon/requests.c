/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The set of all requests: what they share, what they count, and the one place where they are freed. Loop thread
 * only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/io/files.h"
#include "daemon/io/statefile.h"
#include "daemon/log.h"
#include "daemon/request-private.h"

int requests_new(struct requests **ret_requests, const struct settings *settings, struct engine *engine,
                 struct cloud *cloud, struct timers *timers)
{
        struct requests *requests;

        requests = calloc(1, sizeof(*requests));
        if (!requests)
                return -ENOMEM;
        requests->endpoints = calloc(MAX(settings->n_endpoints, (size_t)1), sizeof(*requests->endpoints));
        if (!requests->endpoints) {
                free(requests);
                return -ENOMEM;
        }
        learned_init(&requests->learned);
        requests->settings = settings;
        requests->engine = engine;
        requests->cloud = cloud;
        requests->timers = timers;
        *ret_requests = requests;
        return 0;
}

static void unlink_and_free(struct requests *requests, struct request *request)
{
        if (request->previous)
                request->previous->next = request->next;
        else
                requests->first = request->next;
        if (request->next)
                request->next->previous = request->previous;
        request_free(request);
}

struct requests *requests_free(struct requests *requests)
{
        if (!requests)
                return NULL;
        while (requests->first)
                unlink_and_free(requests, requests->first);
        learned_done(&requests->learned);
        free(requests->endpoints);
        free(requests->state_path);
        free(requests);
        return NULL;
}

void requests_keep_state(struct requests *requests, const char *path)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL, error = BUF_NULL;
        int r;

        requests->state_path = strdup(path);
        if (!requests->state_path || access(path, F_OK) < 0)
                return;
        r = files_read(path, LEARNED_TEXT_MAX, &text, &error);
        if (r == 0)
                r = learned_parse(&requests->learned, buf_string(&text), text.n);
        if (r == 0 && text.n > 0 && requests->learned.n == 0)
                r = -EBADMSG;
        if (r < 0)
                log_warning("What was learned about endpoints cannot be read from %s: %s.", path, strerror(-r));
}

void requests_save_state(struct requests *requests)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        int r;

        if (!requests->state_path)
                return;
        r = learned_print(&requests->learned, &text);
        if (r == 0)
                r = statefile_write(requests->state_path, buf_string(&text), text.n);
        if (r < 0)
                log_warning("What was learned about endpoints cannot be kept in %s: %s.", requests->state_path,
                            strerror(-r));
}

void requests_reap(struct requests *requests)
{
        struct request *next;

        for (struct request *request = requests->first; request; request = next) {
                next = request->next;
                if (!request->sink && request->is_over)
                        unlink_and_free(requests, request);
        }
}

unsigned requests_n_live(const struct requests *requests)
{
        return requests->n_live;
}

const char *requests_cloud_state(const struct requests *requests)
{
        if (requests->settings->n_endpoint_names == 0)
                return "off";
        return requests->cloud_failing ? "failing" : "ready";
}

void requests_statistics(const struct requests *requests, struct requests_statistics *ret_statistics)
{
        *ret_statistics = requests->statistics;
}
