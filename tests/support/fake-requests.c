/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A stand-in for daemon/request.c: what is asked decides what is said, without engine and cloud. See
 * fake-requests.h for the scripts.
 */
#include "tests/support/fake-requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

enum step_type {
        STEP_OPENER,
        STEP_HANDOFF,
        STEP_CLOUD,
        STEP_REPLACE, /* all behind the first four characters */
        STEP_LOCAL,
        STEP_COMPLETE,
        STEP_LOCAL_END,
        STEP_FAIL,
        STEP_HOLD, /* nothing more happens by itself */
};

struct step {
        enum step_type type;
        const char *text;
};

static const struct script {
        const char *prompt;
        struct step steps[8];
} scripts[] = {
        { FAKE_REQUESTS_HOLD, { { STEP_OPENER, "Well," }, { STEP_HOLD, NULL } } },
        { FAKE_REQUESTS_LOCAL,
          { { STEP_OPENER, "Bread is" },
            { STEP_HANDOFF, "limit" },
            { STEP_LOCAL, " made of flour." },
            { STEP_LOCAL_END, NULL } } },
        { FAKE_REQUESTS_REPLACE,
          { { STEP_OPENER, "D\xc3\xa9j\xc3\xa0 wrong" },
            { STEP_HANDOFF, "limit" },
            { STEP_REPLACE, " right" },
            { STEP_CLOUD, " now." },
            { STEP_COMPLETE, NULL } } },
        { FAKE_REQUESTS_FAIL, { { STEP_HANDOFF, "never" }, { STEP_FAIL, NULL } } },
        { FAKE_REQUESTS_CONTROL, { { STEP_CLOUD, "a\x1b[31mb\nc" }, { STEP_COMPLETE, NULL } } },
        { NULL, /* any other */
          { { STEP_OPENER, "The capital" },
            { STEP_OPENER, " of Australia is" },
            { STEP_HANDOFF, "unsure" },
            { STEP_CLOUD, " Canberra," },
            { STEP_CLOUD, " not Sydney \xe2\x80\x93 déjà vu." },
            { STEP_COMPLETE, NULL } } },
};

struct request {
        const struct request_sink *sink; /* NULL: released */
        void *userdata;
        struct requests *requests;
        const struct step *script;
        const struct step *step; /* the next; NULL before the start */
        struct buf text;
        enum race_state state;
        uint32_t sequence;
        struct request *next;
};

struct requests {
        const struct settings *settings;
        struct request *first;
        struct requests_statistics statistics;
        bool cloud_failed;
};

const char *request_source_name(enum request_source source)
{
        static const char *const names[] = {
                [REQUEST_SOURCE_OPENER] = "opener", [REQUEST_SOURCE_CLOUD] = "cloud", [REQUEST_SOURCE_LOCAL] = "local"
        };
        return names[source];
}

int requests_new(struct requests **ret_requests, const struct settings *settings, _unused_ struct engine *engine,
                 _unused_ struct cloud *cloud, _unused_ struct timers *timers)
{
        struct requests *requests = calloc(1, sizeof(*requests));

        if (!requests)
                return -ENOMEM;
        requests->settings = settings;
        *ret_requests = requests;
        return 0;
}

static void enter(struct request *request, enum race_state state)
{
        if (request->state == state)
                return;
        request->state = state;
        if (request->sink)
                request->sink->state(request->userdata, state);
}

/* Of a reply that was whole: the first attempt was refused, the second one went on. */
static const struct request_attempt finished_attempts[] = {
        { .endpoint = "broken",
          .form = "instruction",
          .http_status = 503,
          .reason = "Status",
          .opened_us = 1000,
          .released_us = 25000,
          .ended_us = 300000,
          .n_said = 27 },
        { .endpoint = "fake",
          .form = "prefill",
          .http_status = 200,
          .reason = "complete",
          .opened_us = 300000,
          .released_us = 300000,
          .first_text_us = 930000,
          .ended_us = 2100000,
          .n_said = 27,
          .n_tokens = 7 },
};

static struct request_timings make_timings(const struct request *request, enum race_outcome outcome)
{
        struct request_timings timings = {
                .first_word_us = request->text.n > 0 ? 12000 : 0,
                .last_opener_word_us = 24000,
                .released_us = 25000,
                .end_us = 2100000,
                .raced_opener = true,
                .raced_cloud = true,
                .winner = "opener",
                .opener_end = "unsure",
                .n_seam = 27,
                .undecided_us = 40000,
                .n_lost_tokens = 3,
                .n_opener_words = 5,
                .n_output_tokens = 7,
                .endpoint = "fake",
                .form = "prefill",
                .error = "",
                .message = "",
        };

        if (outcome == RACE_OUTCOME_FAILED) {
                timings.last_opener_word_us = 0;
                timings.n_opener_words = 0;
                timings.n_seam = 0;
                timings.winner = "";
                timings.http_status = 401;
                timings.error = "Unauthorized";
                timings.message = "The endpoint refused the key.";
        } else if (outcome == RACE_OUTCOME_LOCAL) {
                timings.error = "Offline";
                timings.message = "The network is unreachable.";
        } else {
                timings.http_status = 200;
                timings.cloud_first_byte_us = 905000;
                timings.cloud_first_text_us = 930000;
                timings.attempts = finished_attempts;
                timings.n_attempts = ARRAY_SIZE(finished_attempts);
        }
        return timings;
}

static void finish(struct request *request, enum race_state state, enum race_outcome outcome)
{
        struct requests_statistics *statistics = &request->requests->statistics;
        const struct request_timings timings = make_timings(request, outcome);

        switch (outcome) {
        case RACE_OUTCOME_NONE: break;
        case RACE_OUTCOME_COMPLETE: statistics->n_complete++; break;
        case RACE_OUTCOME_LOCAL: statistics->n_local++; break;
        case RACE_OUTCOME_CANCELLED: statistics->n_cancelled++; break;
        case RACE_OUTCOME_FAILED: statistics->n_failed++; break;
        }
        request->requests->cloud_failed = *timings.error;
        enter(request, state);
        if (request->sink)
                request->sink->finished(request->userdata, outcome, &timings);
}

static void say(struct request *request, enum race_state state, enum request_source source, const char *text)
{
        enter(request, state);
        if (buf_add_string(&request->text, text) < 0)
                abort();
        if (request->sink)
                request->sink->text(request->userdata, ++request->sequence, text, strlen(text), source);
}

static void replace(struct request *request, const char *text)
{
        enter(request, RACE_STATE_CONTINUING);
        buf_truncate(&request->text, 6); /* bytes of four characters, two of which have two */
        if (buf_add_string(&request->text, text) < 0)
                abort();
        if (request->sink)
                request->sink->replaced(request->userdata, ++request->sequence, 4, text, strlen(text));
}

static void hand_off(struct request *request, const char *reason)
{
        const struct request_handoff handoff = {
                .n_words = request->text.n > 0 ? 5 : 0,
                .reason = reason,
                .n_characters = utf8_count(buf_string(&request->text), request->text.n),
        };

        enter(request, RACE_STATE_HANDOFF);
        if (request->sink)
                request->sink->handoff(request->userdata, ++request->sequence, &handoff);
}

static void perform(struct request *request)
{
        const struct step *step = request->step;

        switch (step->type) {
        case STEP_OPENER: say(request, RACE_STATE_OPENING, REQUEST_SOURCE_OPENER, step->text); break;
        case STEP_HANDOFF: hand_off(request, step->text); break;
        case STEP_CLOUD: say(request, RACE_STATE_CONTINUING, REQUEST_SOURCE_CLOUD, step->text); break;
        case STEP_REPLACE: replace(request, step->text); break;
        case STEP_LOCAL: say(request, RACE_STATE_LOCAL, REQUEST_SOURCE_LOCAL, step->text); break;
        case STEP_COMPLETE: finish(request, RACE_STATE_DONE, RACE_OUTCOME_COMPLETE); return;
        case STEP_LOCAL_END: finish(request, RACE_STATE_DONE, RACE_OUTCOME_LOCAL); return;
        case STEP_FAIL: finish(request, RACE_STATE_FAILED, RACE_OUTCOME_FAILED); return;
        case STEP_HOLD: return;
        }
        request->step++;
}

static bool is_due(const struct request *request)
{
        return request->step && RACE_STATE_IS_LIVE(request->state) && request->step->type != STEP_HOLD;
}

bool fake_requests_are_due(const struct requests *requests)
{
        for (const struct request *request = requests->first; request; request = request->next)
                if (is_due(request))
                        return true;
        return false;
}

void fake_requests_turn(struct requests *requests)
{
        for (struct request *request = requests->first; request; request = request->next)
                if (is_due(request))
                        perform(request);
}

static void free_request(struct request *request)
{
        buf_done(&request->text);
        free(request);
}

struct requests *requests_free(struct requests *requests)
{
        for (struct request *request = requests->first, *next; request; request = next) {
                next = request->next;
                free_request(request);
        }
        free(requests);
        return NULL;
}

void requests_reap(struct requests *requests)
{
        for (struct request **link = &requests->first; *link;) {
                struct request *request = *link;

                if (request->sink || RACE_STATE_IS_LIVE(request->state)) {
                        link = &request->next;
                        continue;
                }
                *link = request->next;
                free_request(request);
        }
}

unsigned requests_n_live(const struct requests *requests)
{
        unsigned n = 0;

        for (const struct request *request = requests->first; request; request = request->next)
                n += RACE_STATE_IS_LIVE(request->state);
        return n;
}

const char *requests_cloud_state(const struct requests *requests)
{
        return requests->cloud_failed ? "failing" : "ready";
}

void requests_statistics(const struct requests *requests, struct requests_statistics *ret_statistics)
{
        *ret_statistics = requests->statistics;
}

bool requests_delay(_unused_ const struct requests *requests, size_t i, struct requests_delay *ret_delay)
{
        *ret_delay = (struct requests_delay){
                .endpoint = "fake", .mean_us = 905000, .deviation_us = 120000, .n_words = 4
        };
        return i == 0;
}

static const struct step *find_steps(const char *prompt)
{
        const struct script *script = scripts;

        while (script->prompt && strcmp(script->prompt, prompt) != 0)
                script++;
        return script->steps;
}

int request_new(struct request **ret_request, struct requests *requests, const char *prompt,
                _unused_ const struct request_options *options, const struct request_sink *sink, void *userdata,
                _unused_ const char *log_name)
{
        struct request *request;

        if (strcmp(prompt, FAKE_REQUESTS_REFUSE) == 0)
                return -EBUSY;
        request = calloc(1, sizeof(*request));
        if (!request)
                return -ENOMEM;
        request->requests = requests;
        request->sink = sink;
        request->userdata = userdata;
        request->state = RACE_STATE_QUEUED;
        request->script = find_steps(prompt);
        request->next = requests->first;
        requests->first = request;
        requests->statistics.n_asked++;
        *ret_request = request;
        return 0;
}

void request_start(struct request *request)
{
        request->step = request->script;
        perform(request);
}

void request_cancel(struct request *request)
{
        if (RACE_STATE_IS_LIVE(request->state))
                finish(request, RACE_STATE_CANCELLED, RACE_OUTCOME_CANCELLED);
}

struct request *request_release(struct request *request)
{
        if (!request)
                return NULL;
        request->sink = NULL;
        request_cancel(request);
        return NULL;
}

const char *request_text(struct request *request)
{
        return buf_string(&request->text);
}

enum race_state request_state(const struct request *request)
{
        return request->state;
}
