/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One question from Ask to the end: feeds the race, performs its actions with engine, cloud and timers, merges what
 * comes back, and tells the sink. Knows nothing of D-Bus. Loop thread only. Freed by `requests_reap()` alone, never
 * inside a callback.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/race.h"
#include "daemon/core/settings.h"
#include "daemon/io/cloud.h"
#include "daemon/io/engine.h"
#include "daemon/io/timers.h"

enum request_source {
        REQUEST_SOURCE_OPENER, /* "opener" */
        REQUEST_SOURCE_CLOUD,  /* "cloud" */
        REQUEST_SOURCE_LOCAL,  /* "local" */
        _REQUEST_SOURCE_N,     /* in the order in which they speak */
};

const char *request_source_name(enum request_source source);

enum request_opener {
        REQUEST_OPENER_AUTO,
        REQUEST_OPENER_ALWAYS, /* without regard to confidence, and to what silence.h and claim.h say */
        REQUEST_OPENER_NEVER,
};

enum request_cloud {
        REQUEST_CLOUD_AUTO,
        REQUEST_CLOUD_NEVER,
        REQUEST_CLOUD_ONLY, /* the μLM may open, but not finish */
};

struct request_options {
        enum request_opener opener;
        enum request_cloud cloud;
        unsigned max_opener_words; /* 0: as configured */
        uint64_t deadline_ms;      /* 0: as configured */
        uint32_t seed;             /* 0: as configured */
        bool redraw;               /* the caller can take back what it shows */
        const char *previous;      /* the caller's reply before, NULL for none; read during request_new() alone */
        double words_per_second;   /* the rate at which text is shown; 0: as it comes */
        unsigned min_interval_ms;  /* between two texts; 0: none */
};

#define REQUEST_OPTIONS_NULL ((struct request_options){ 0 })

/* Of the opener, told at the handoff. */
struct request_handoff {
        unsigned n_words;
        /* "limit", "end", "unsure", "full", "claim" (it was about to claim that something was done), "failed"; where
         * there is none, "never", "thanks" or "answer" (to those), "alike" (it opened as the reply before did),
         * "late" (the hedge spoke first) */
        const char *reason;
        size_t n_characters; /* code points of the reply so far, shown or about to be */
};

#define REQUEST_ATTEMPTS_MAX 16 /* that are told of; of more, the first ones and the last */

/* One HTTP request to the cloud. */
struct request_attempt {
        const char *endpoint;
        const char *form;     /* "" where its body was not sent */
        unsigned http_status; /* 0: no answer */
        /* "complete"; "cancelled"; "outrun": another stream of the request was faster; or an error's name as below */
        const char *reason;
        size_t n_said; /* code points of the reply that it was asked to go on from */
        uint64_t opened_us, released_us, first_text_us, ended_us; /* since Ask; 0: that did not happen */
        bool is_hedge;                                            /* it asked for a whole answer, beside an opener */
        unsigned n_tokens; /* of its answer, as far as it came: as the server counted, else pieces of text */
};

/* Microseconds since Ask; 0 where it did not happen. Those of the cloud are of its last attempt. */
struct request_timings {
        uint64_t first_word_us, last_opener_word_us, released_us, body_sent_us, cloud_first_byte_us,
                cloud_first_text_us, end_us;
        /* How long text was held back in all: until it was clear how it joins, and by the pace. */
        uint64_t undecided_us, paced_us;
        bool raced_opener, raced_cloud, raced_hedge; /* were to speak */
        const char *winner;     /* had the first word: "opener", "cloud", "hedge", "local"; "" where there was none */
        const char *opener_end; /* as in request_handoff */
        size_t n_seam, n_local_seam; /* code points before the cloud's first and the completion's; 0: none */
        unsigned n_lost_tokens;      /* of answers that were outrun */
        unsigned n_opener_words, n_input_tokens, n_output_tokens;
        const char *endpoint;   /* "" without a cloud */
        const char *form;       /* "prefill", "instruction", "anchor", "" */
        unsigned http_status;   /* 0: no answer */
        bool reused_connection; /* the cloud's connection was there already */
        /* What ended the cloud's part or the request, "" for none: Offline, Tls, Broken, Protocol, Timeout,
         * Unauthorized, RateLimited, Status, NotAStream, Starved, Refused, Cut, Key, Model, NoMemory. */
        const char *error;
        const char *message; /* its sentence; "" for none */
        const struct request_attempt *attempts;
        size_t n_attempts;
};

/* Upward calls, on the loop thread, in order; `finished` once and last. Texts are valid UTF-8 and live during the
 * call. `sequence` counts text, replaced and handoff together, from 1. */
struct request_sink {
        void (*text)(void *userdata, uint32_t sequence, const char *delta, size_t n_delta,
                     enum request_source source);
        /* Of what was shown, the first `keep` code points stay, and `text` takes the place of the rest. Only with
         * options.redraw. */
        void (*replaced)(void *userdata, uint32_t sequence, size_t keep, const char *text, size_t n_text);
        void (*handoff)(void *userdata, uint32_t sequence, const struct request_handoff *handoff);
        void (*state)(void *userdata, enum race_state state); /* after each change */
        void (*finished)(void *userdata, enum race_outcome outcome, const struct request_timings *timings);
};

struct request;

/* All requests and what they share. */
struct requests;

int requests_new(struct requests **ret_requests, const struct settings *settings, struct engine *engine,
                 struct cloud *cloud, struct timers *timers);
struct requests *requests_free(struct requests *requests); /* frees live ones without a word to their sinks */

/* Reads how endpoints turned out to want to be asked from a file, and keeps it there from now on. What cannot be read
 * or written is logged and costs an attempt later, no more. Their usual delays are kept with it. */
void requests_keep_state(struct requests *requests, const char *path);

/* Writes what was learned, where it is to be kept. At the daemon's end too: delays alone are not worth a write each.
 */
void requests_save_state(struct requests *requests);

/* For engine_new(): routes a word to its request; userdata is the struct requests. */
void requests_engine_word(void *userdata, const struct engine_word *word);

/* Frees requests that are over and that their owner has released. Called by the daemon from the loop, outside all
 * callbacks. */
void requests_reap(struct requests *requests);

unsigned requests_n_live(const struct requests *requests);

/* "ready", "failing" (the last attempt failed) or "off" (none configured). */
const char *requests_cloud_state(const struct requests *requests);

struct requests_statistics {
        uint64_t n_asked, n_complete, n_local, n_cancelled, n_failed;
};
void requests_statistics(const struct requests *requests, struct requests_statistics *ret_statistics);

/* How soon an endpoint gives its first text after the body, and what that means for openers. */
struct requests_delay {
        const char *endpoint;
        uint64_t mean_us, deviation_us;
        unsigned n_words; /* of an opener, at the configured rate */
};

/* Of the i-th endpoint in order of preference for which one is known; false past the last. */
bool requests_delay(const struct requests *requests, size_t i, struct requests_delay *ret_delay);

/* Accepts a question; nothing happens before request_start(), so that the caller can reply first. The prompt is
 * copied, valid UTF-8 without NUL and within the limits, as the caller has checked. `log_name` names the request in
 * logs. 0, -ENOMEM, -EBUSY (as many live requests as the settings allow). */
int request_new(struct request **ret_request, struct requests *requests, const char *prompt,
                const struct request_options *options, const struct request_sink *sink, void *userdata,
                const char *log_name);

/* Starts the race, once. The sink may hear something before this returns. */
void request_start(struct request *request);

/* Ends it with outcome cancelled, if `finished` has not been heard; what was not yet shown never is. The sink hears
 * `finished`. */
void request_cancel(struct request *request);

/* The owner lets go: the sink hears nothing more; a live request is cancelled. Freed at the next reap. Accepts NULL,
 * returns NULL. */
struct request *request_release(struct request *request);

/* All text shown so far; valid until the loop's next turn. */
const char *request_text(struct request *request);

/* An end is a state only from `finished` on: before that, the text may still be on its way. */
enum race_state request_state(const struct request *request);
