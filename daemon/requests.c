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

static void find_delays(struct requests *requests, const struct buf *text)
{
        for (size_t i = 0; i < requests->settings->n_endpoints; i++) {
                _cleanup_(buf_done) struct buf key = BUF_NULL;

                if (learned_key(&requests->settings->endpoints[i], &key) == 0)
                        (void)delay_parse(buf_string(text), text->n, key.data, &requests->endpoints[i].delay);
        }
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
        if (r == 0)
                find_delays(requests, &text);
        if (r == 0 && text.n > 0 && text.data[0] != '#') /* ours begins with a comment */
                r = -EBADMSG;
        if (r < 0)
                log_warning("What was learned about endpoints cannot be read from %s: %s.", path, strerror(-r));
}

static int print_delays(const struct requests *requests, struct buf *text)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < requests->settings->n_endpoints; i++) {
                _cleanup_(buf_done) struct buf key = BUF_NULL;

                r = learned_key(&requests->settings->endpoints[i], &key);
                if (r == 0)
                        r = delay_print(&requests->endpoints[i].delay, key.data, text);
        }
        return r;
}

void requests_save_state(struct requests *requests)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        int r;

        if (!requests->state_path || !requests->has_news)
                return;
        r = learned_print(&requests->learned, &text);
        if (r == 0)
                r = print_delays(requests, &text);
        if (r == 0)
                r = statefile_write(requests->state_path, buf_string(&text), text.n);
        if (r < 0)
                log_warning("What was learned about endpoints cannot be kept in %s: %s.", requests->state_path,
                            strerror(-r));
        requests->has_news = false;
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

unsigned requests_opener_words(const struct settings *settings, const struct delay *delay, double words_per_second,
                               unsigned max_words)
{
        return settings->adaptive ? delay_words(delay, words_per_second, settings->min_words, max_words) : max_words;
}

bool requests_delay(const struct requests *requests, size_t i, struct requests_delay *ret_delay)
{
        const struct settings *settings = requests->settings;

        for (size_t k = 0; k < settings->n_endpoint_names; k++) {
                const struct settings_endpoint *endpoint =
                        settings_find_endpoint(settings, settings->endpoint_names[k]);
                const struct delay *delay =
                        endpoint ? &requests->endpoints[endpoint - settings->endpoints].delay : NULL;

                if (!delay || !delay->is_known || i-- > 0)
                        continue;
                *ret_delay = (struct requests_delay){
                        .endpoint = endpoint->name,
                        .mean_us = (uint64_t)delay->mean_us,
                        .deviation_us = (uint64_t)delay->deviation_us,
                        .n_words = requests_opener_words(settings, delay, settings->words_per_second,
                                                         settings->max_words),
                };
                return true;
        }
        return false;
}
