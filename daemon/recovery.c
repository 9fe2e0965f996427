/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Which endpoint is asked next, and when: the configured ones in their order, without those that are down, at rest,
 * or of no more use to this request. Keeps the record of attempts. `core/retry` judges each failure. Loop thread
 * only.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "daemon/log.h"
#include "daemon/request-private.h"

#define MESSAGE_ID_CLOUD_FAILED "5b0c7ef2a5a04b0c9d3f6f5c5e7b1a90"

int recovery_init(struct request *request)
{
        const struct settings *settings = request->owner->settings;
        struct recovery *recovery = &request->recovery;

        if (request->options.cloud == REQUEST_CLOUD_NEVER || settings->n_endpoint_names == 0)
                return 0;
        recovery->candidates = calloc(settings->n_endpoint_names, sizeof(*recovery->candidates));
        if (!recovery->candidates)
                return -ENOMEM;
        for (size_t i = 0; i < settings->n_endpoint_names; i++) {
                const struct settings_endpoint *endpoint =
                        settings_find_endpoint(settings, settings->endpoint_names[i]);

                if (endpoint)
                        recovery->candidates[recovery->n_candidates++].endpoint = endpoint;
        }
        return 0;
}

void recovery_done(struct request *request)
{
        free(request->recovery.candidates);
}

static struct requests_endpoint *shared_state(const struct request *request, const struct settings_endpoint *endpoint)
{
        return &request->owner->endpoints[endpoint - request->owner->settings->endpoints];
}

static struct recovery_candidate *find_candidate(struct request *request, const struct settings_endpoint *endpoint)
{
        struct recovery_candidate *candidates = request->recovery.candidates;

        for (size_t i = 0; i < request->recovery.n_candidates; i++)
                if (candidates[i].endpoint == endpoint)
                        return &candidates[i];
        return NULL;
}

/* Nobody is asked, and not for want of a configuration: Finished then says what keeps the first one from it. */
static void note_rest(struct request *request)
{
        const struct settings_endpoint *endpoint = request->recovery.candidates[0].endpoint;
        const struct requests_endpoint *shared = shared_state(request, endpoint);

        if (shared->failing)
                request_note(request, shared->failing, "Endpoint %s is left alone after it failed.", endpoint->name);
}

const struct settings_endpoint *recovery_choose(struct request *request, uint64_t *ret_at_us)
{
        const struct recovery *recovery = &request->recovery;
        const struct recovery_candidate *best = NULL;
        uint64_t now_us = timers_now_us();

        for (size_t i = 0; i < recovery->n_candidates; i++) {
                const struct recovery_candidate *candidate = &recovery->candidates[i];

                if (candidate->is_spent ||
                    !retry_is_usable(&shared_state(request, candidate->endpoint)->health, now_us))
                        continue;
                if (!best || MAX(candidate->due_us, now_us) < MAX(best->due_us, now_us))
                        best = candidate;
        }
        if (!best) {
                if (recovery->n_candidates > 0 && recovery->n_attempts == 0)
                        note_rest(request);
                return NULL;
        }
        *ret_at_us = MAX(best->due_us, now_us);
        return best->endpoint;
}

unsigned recovery_opener_words(struct request *request, unsigned max_words)
{
        const struct settings *settings = request->owner->settings;
        const double rate = request->options.words_per_second;
        const struct settings_endpoint *endpoint;
        uint64_t at_us;

        endpoint = recovery_choose(request, &at_us);
        if (!endpoint)
                return max_words;
        return requests_opener_words(settings, &shared_state(request, endpoint)->delay,
                                     rate > 0 ? rate : settings->words_per_second, max_words);
}

void recovery_note_delay(struct request *request, uint64_t delay_us)
{
        delay_note(&shared_state(request, request->continuation.endpoint)->delay, delay_us);
        request->owner->has_news = true;
}

/* What a person may be kept waiting: as long as for any first text, within the request's time. */
static uint64_t patience_us(const struct race *race, uint64_t now_us)
{
        uint64_t left_us = UINT64_MAX;

        if (race->total_deadline_us > 0)
                left_us = race->total_deadline_us > now_us ? race->total_deadline_us - now_us : 0;
        return race->plan.first_text_us > 0 ? MIN(left_us, race->plan.first_text_us) : left_us;
}

static uint64_t wall_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* 0 to 1, of the job's number: spreads the requests of one daemon; those of many start at different times. */
static double chance(const struct request *request)
{
        return (double)((timers_now_us() ^ request->owner->last_job) % 1024) / 1023;
}

enum race_event_type recovery_decide(struct request *request, const struct recovery_failure *what)
{
        const struct settings_endpoint *endpoint = request->continuation.endpoint;
        struct recovery_candidate *candidate = find_candidate(request, endpoint);
        uint64_t now_us = timers_now_us(), at_us;
        const struct retry_failure failure = {
                .cause = what->cause,
                .status = what->status,
                .headers = what->headers,
                .n_retries = candidate->n_retries,
                .left_us = patience_us(&request->race, now_us),
                .wall_us = wall_us(),
                .chance = chance(request),
        };
        struct retry_decision decision = retry_decide(&failure);

        retry_note(&shared_state(request, endpoint)->health, &decision, now_us);
        if (decision.action == RETRY_ACTION_AGAIN) {
                candidate->n_retries++;
                candidate->due_us = now_us + decision.delay_us;
        } else {
                candidate->is_spent = true;
        }
        if (!recovery_choose(request, &at_us))
                return RACE_EVENT_CLOUD_FAILED;
        race_resume_at(&request->race, at_us);
        return RACE_EVENT_CLOUD_LOST;
}

/* --------------------------------------------------------------------------------------------------- records */

void recovery_record(struct request *request, const struct request_attempt *attempt)
{
        struct recovery *recovery = &request->recovery;
        /* The last place is for the last attempt, which says how it ended. */
        size_t i = MIN(recovery->n_attempts, (size_t)REQUEST_ATTEMPTS_MAX - 1);

        recovery->attempts[i] = *attempt;
        recovery->n_attempts = i + 1;
}

/* One log line when an endpoint begins to fail in this way, not one for each request that meets it. */
void recovery_note_failure(struct request *request)
{
        const struct settings_endpoint *endpoint = request->continuation.endpoint;
        struct requests_endpoint *shared = shared_state(request, endpoint);
        const struct log_about about = {
                .request = request->log_name,
                .endpoint = endpoint->name,
                .message_id = MESSAGE_ID_CLOUD_FAILED,
        };

        request->owner->cloud_failing = true;
        if (shared->failing && !strcmp(shared->failing, request->error))
                return;
        shared->failing = request->error;
        log_line(LOG_WARNING, &about, "Endpoint %s: %s: %s", endpoint->name, request->error,
                 buf_string(&request->message));
}

void recovery_note_success(struct request *request)
{
        shared_state(request, request->continuation.endpoint)->failing = NULL;
        request->owner->cloud_failing = false;
}
