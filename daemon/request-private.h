/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What request.c (the race and its actions), continuation.c (the cloud's part) and requests.c (the set) share, and
 * nobody else includes.
 */
#pragma once

#include "daemon/core/dialect.h"
#include "daemon/core/learned.h"
#include "daemon/core/merge.h"
#include "daemon/core/sse.h"
#include "daemon/request.h"

/* The cloud's part of one request: one attempt at a time. */
struct continuation {
        const struct settings_endpoint *endpoint; /* NULL: no cloud for this request */
        const struct dialect *dialect;
        struct dialect_shape shape;
        struct cloud_attempt *attempt; /* NULL while none is open */
        struct cloud_times times;      /* of the attempt, also after it was closed */
        bool released;
        unsigned n_reshaped; /* times that this question was asked again in another shape */

        struct sse sse;
        struct dialect_stream stream;
        struct dialect_event event;
        struct buf whole; /* a body that is no event stream */
        bool is_whole;    /* the body goes to `whole` */
        bool sniffed;     /* what kind of body it is has been decided */
        bool is_ended;    /* the end marker came; what else is at hand may still count tokens */
        unsigned status;
        unsigned n_input_tokens, n_output_tokens;
        uint64_t first_text_us;
};

struct request {
        struct requests *owner;
        struct request *previous, *next;

        char *log_name;
        struct request_options options;
        const struct request_sink *sink; /* NULL once released */
        void *userdata;

        struct race race;
        struct merge merge;
        struct prompt prompt;
        struct continuation continuation;
        struct timer_node timer;
        uint64_t job; /* of the engine; 0: none */
        bool opening; /* the job is the opener's, not the completion's */
        bool started;

        uint32_t sequence;
        uint64_t asked_us, first_word_us, last_opener_word_us, released_us;
        unsigned n_opener_words;
        const char *opener_reason;
        const char *error;  /* a REQUEST_ERROR_ name or "" */
        struct buf message; /* its sentence */
        struct buf delta;   /* scratch */
};

struct requests {
        const struct settings *settings;
        struct engine *engine;
        struct cloud *cloud;
        struct timers *timers;

        struct request *first;
        unsigned n_live;
        uint64_t last_job;
        struct learned learned;    /* how endpoints want to be asked */
        const char *cloud_failing; /* the name of the last attempt's failure, NULL after a success */
        struct requests_statistics statistics;
};

/* request.c */

/* Feeds one event to the race and performs what it answers; the only way to move a request. */
void request_step(struct request *request, enum race_event_type event);

/* Shows what is in request->delta, and empties it. */
void request_show(struct request *request, enum request_source source);

/* Remembers why something ended, for Finished; the first reason of the cloud's stays. */
void request_note(struct request *request, const char *error, const char *format, ...) _printf_(3, 4);

struct request *request_free(struct request *request);

/* continuation.c */
void continuation_init(struct request *request);
void continuation_done(struct request *request);

/* Opens the attempt, its upload paused; false where that failed at once (request_note() has the cause). */
bool continuation_open(struct request *request);

/* Builds the body from what was shown and lets it go. False on failure. */
bool continuation_release(struct request *request);

/* The race gave the cloud up at its deadline: notes and logs it. */
void continuation_note_timeout(struct request *request);

/* Resets the stream where one is open; after its end marker it is left to end by itself. */
void continuation_close(struct request *request);
