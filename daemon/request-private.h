/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What request.c (the race and its actions), speech.c (the μLM's part), continuation.c and continuation-life.c (the
 * cloud's part), hedge.c (its rival), recovery.c (whom it asks next), showing.c (what the caller sees, and when) and
 * requests.c (the set) share, and nobody else includes.
 */
#pragma once

#include "daemon/core/delay.h"
#include "daemon/core/dialect.h"
#include "daemon/core/learned.h"
#include "daemon/core/merge.h"
#include "daemon/core/pace.h"
#include "daemon/core/retry.h"
#include "daemon/core/sse.h"
#include "daemon/core/vet.h"
#include "daemon/request.h"

/* Values of an answer's headers that say when to ask again; longer ones are none. */
struct continuation_headers {
        char retry_after_ms[64], retry_after[64], should_retry[64];
};

/* What an answer cost, as far as it came: output tokens as the server counted them, else pieces of text, which are
 * about as many. */
struct stream_cost {
        unsigned n_counted, n_pieces;
};

void stream_cost_add(struct stream_cost *cost, const struct dialect_event *event);
unsigned stream_cost_tokens(const struct stream_cost *cost);

/* The cloud's part of one request: one attempt at a time. */
struct continuation {
        const struct settings_endpoint *endpoint; /* that was asked last; NULL: none */
        const struct dialect *dialect;
        struct dialect_shape shape;
        struct cloud_attempt *attempt; /* NULL while none is open */
        struct cloud_times times;      /* of the attempt, also after it was closed */
        bool released;
        bool is_hedge;       /* the attempt began as the hedge */
        unsigned n_reshaped; /* times that this endpoint was asked again in another shape */

        struct sse sse;
        struct dialect_stream stream;
        struct dialect_event event;
        struct buf whole; /* a body that is no event stream */
        bool is_whole;    /* the body goes to `whole` */
        bool sniffed;     /* what kind of body it is has been decided */
        bool is_ended;    /* the end marker came; what else is at hand may still count tokens */
        bool has_text;    /* this attempt has brought some */
        unsigned status;
        struct continuation_headers headers;
        size_t n_said;    /* code points of the reply that this attempt goes on from */
        uint64_t text_us; /* of this attempt's first text; 0: none yet */
        unsigned n_input_tokens, n_output_tokens;
        struct stream_cost cost; /* of this attempt */
        uint64_t first_text_us;
};

/* A stream beside the continuation that asks for the whole answer, until one of the two is dropped. What it says is
 * read only to know when it has begun, and kept for the continuation. */
struct hedge {
        const struct settings_endpoint *endpoint;
        const struct dialect *dialect;
        struct dialect_shape shape;
        struct cloud_attempt *attempt; /* NULL while none is open */
        struct sse sse;
        struct dialect_stream stream;
        struct dialect_event event;
        struct buf bytes; /* all that came, for the continuation */
        unsigned status;
        struct stream_cost cost;
};

/* An endpoint as one request may ask it. */
struct recovery_candidate {
        const struct settings_endpoint *endpoint;
        unsigned n_retries;
        uint64_t due_us; /* not before */
        bool is_spent;   /* of no more use to this request */
};

struct recovery {
        struct recovery_candidate *candidates; /* in the order of preference */
        size_t n_candidates;
        struct request_attempt attempts[REQUEST_ATTEMPTS_MAX]; /* that are over */
        size_t n_attempts;
};

/* From merge to the sink. */
struct showing {
        struct pace pace;
        struct timer_node timer;
        size_t n_merged[_REQUEST_SOURCE_N];          /* bytes of merge.shown to the end of what each source said */
        size_t n_whole;                              /* bytes of it that end with a whole word, whatever follows */
        bool is_ended;                               /* nothing more is going to be merged */
        bool is_hurried;                             /* what merge holds now was asked for and cannot be had */
        uint64_t hurry_us;                           /* when merge is asked for what it holds */
        uint64_t undecided_since_us, paced_since_us; /* text has waited in merge, in pace; 0: none waits */
        uint64_t undecided_us, paced_us;             /* in all */
        struct buf text;                             /* for request_text() */
};

struct recovery_failure {
        enum retry_cause cause;
        unsigned status;
        struct retry_headers headers;
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
        struct hedge hedge;
        struct recovery recovery;
        struct showing showing;
        struct timer_node timer;
        struct vet vet; /* of the opener's words */
        uint64_t job;   /* of the engine; 0: none */
        bool opening;   /* the job is the opener's, not the completion's */
        bool started;
        bool is_over;               /* the sink has been told the outcome */
        enum race_state told_state; /* what the caller knows of the race: an end only with its outcome */

        uint32_t sequence;
        uint64_t asked_us, first_word_us, last_opener_word_us, released_us;
        unsigned n_opener_words;
        const char *winner;        /* who had the first word; "" before */
        const char *opener_reason; /* why it ended, or why there is none; "" before */
        const char *error;         /* a REQUEST_ERROR_ name or "" */
        struct buf message;        /* its sentence */
        struct buf delta;          /* scratch */
};

/* What all requests know of an endpoint. */
struct requests_endpoint {
        struct retry_health health;
        struct delay delay;  /* from the body to the first text */
        const char *failing; /* the name of its last attempt's failure, NULL after a success */
};

struct requests {
        const struct settings *settings;
        struct engine *engine;
        struct cloud *cloud;
        struct timers *timers;

        struct request *first;
        unsigned n_live;
        uint64_t last_job;
        struct learned learned;              /* how endpoints want to be asked */
        char *state_path;                    /* where that is kept; NULL: nowhere */
        struct requests_endpoint *endpoints; /* in the order of settings->endpoints */
        bool cloud_failing;                  /* the last attempt of any request did */
        bool has_news;                       /* something was learned that is not in the file */
        struct requests_statistics statistics;
};

/* request.c */

/* Feeds one event to the race and performs what it answers; the only way to move a request. */
void request_step(struct request *request, enum race_event_type event);

/* Tells the sink how it ended, once and last. */
void request_conclude(struct request *request, enum race_outcome outcome);

/* Remembers why something ended, for Finished; the first reason stays until it is forgotten for another attempt. */
void request_note(struct request *request, const char *error, const char *format, ...) _printf_(3, 4);
void request_forget_note(struct request *request);

/* Microseconds from Ask to a moment; 0 where that did not come. */
uint64_t request_since_ask(const struct request *request, uint64_t at_us);

struct request *request_free(struct request *request);

/* continuation.c */

/* The cloud_bytes_fn of the attempt. */
void continuation_on_cloud(void *userdata, const struct cloud_event *event);

/* Ends the attempt for the reason that was noted; the event is for the race. */
enum race_event_type continuation_lose(struct request *request, enum retry_cause cause, unsigned status);

/* The cloud was silent for too long: gives the attempt up and steps the race. */
void continuation_stall(struct request *request);

/* The race gave the cloud up at the end of its time: notes and logs it. */
void continuation_note_timeout(struct request *request);

/* continuation-life.c */
void continuation_init(struct request *request);
void continuation_done(struct request *request);

/* Opens an attempt at the endpoint that is due, its upload paused. False where that failed at once (request_note()
 * has the cause), with an event for the race. */
bool continuation_open(struct request *request, enum race_event_type *ret_event);

/* Builds the body from what was shown and lets it go. False on failure. */
bool continuation_release(struct request *request);

/* Opens a stream at the continuation's endpoint; builds the body of a question to it. As cloud_open(); 0, -ENOMEM,
 * -EINVAL. */
int continuation_connect(struct request *request, cloud_bytes_fn fn, struct cloud_attempt **ret_attempt,
                         struct buf *error);
int continuation_build(struct request *request, struct buf *body);

/* Goes on with the hedge's stream, from its beginning. False on failure. */
bool continuation_adopt(struct request *request);

/* Ends the attempt where one is open and records why: by a reset, or after its end marker by itself. */
void continuation_close(struct request *request, const char *reason);

/* hedge.c */
void hedge_init(struct request *request);
void hedge_done(struct request *request);

/* Asks for the whole answer. False where that failed at once. */
bool hedge_open(struct request *request);

/* Resets the stream, where one is open, and records why. */
void hedge_close(struct request *request, const char *reason);

/* speech.c */
void speech_init(struct request *request, const char *prompt);
void speech_done(struct request *request);

/* Submits a job: the opener's, or the completion's. False where that failed. */
bool speech_start(struct request *request, bool opening);

/* The job's further words are not wanted. */
void speech_stop(struct request *request);

/* showing.c */
void showing_init(struct request *request);
void showing_done(struct request *request);

/* Takes what merge has just put into request->delta, which is emptied, and releases what is due. */
void showing_take(struct request *request, enum request_source source);

/* The race is over: what is merged is all there is going to be. */
void showing_end(struct request *request);

/* All that was merged was released. */
bool showing_is_over(const struct request *request);

/* What was not yet released never is. */
void showing_drop(struct request *request);

/* requests.c */

/* How many words an opener may have where an endpoint's usual delay is this, at most max_words. */
unsigned requests_opener_words(const struct settings *settings, const struct delay *delay, double words_per_second,
                               unsigned max_words);

/* recovery.c */
int recovery_init(struct request *request); /* 0, -ENOMEM */
void recovery_done(struct request *request);

/* The endpoint to be asked next and when, which may be now; NULL where there is none. */
const struct settings_endpoint *recovery_choose(struct request *request, uint64_t *ret_at_us);

/* The attempt at continuation.endpoint is over: CLOUD_LOST, where the race was told when to make another, or
 * CLOUD_FAILED. */
enum race_event_type recovery_decide(struct request *request, const struct recovery_failure *failure);

/* Words of an opener that covers the delay of the endpoint that is to be asked. */
unsigned recovery_opener_words(struct request *request, unsigned max_words);

/* The attempt has brought its first text, so long after its body was sent. */
void recovery_note_delay(struct request *request, uint64_t delay_us);

void recovery_record(struct request *request, const struct request_attempt *attempt);
void recovery_note_failure(struct request *request); /* request_note() has it */
void recovery_note_success(struct request *request);
