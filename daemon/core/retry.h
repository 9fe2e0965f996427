/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What to do after an attempt that failed: again here, after how long; not here for a while; never here. Decides by
 * status and headers as the vendors' own clients do, but a person waits: what takes longer than the request has time
 * is left to the next endpoint or the μLM at once. Pure: clocks and chance are arguments.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RETRY_MAX      2                   /* repeats at one endpoint for one request */
#define RETRY_AWAY_MAX 12                  /* the same where the network is away */
#define RETRY_REST_US  5000000ull          /* rest of an endpoint that names no time */
#define RETRY_LONG_US  (3600 * 1000000ull) /* no rest is longer, whatever a server says */

enum retry_cause {
        RETRY_CAUSE_STATUS,      /* an HTTP status, or an error inside a stream that amounts to one */
        RETRY_CAUSE_BROKEN,      /* the answer ended early, stalled, or was none that can be read */
        RETRY_CAUSE_UNREACHABLE, /* no address, no connection, no TLS */
        RETRY_CAUSE_AWAY,        /* no network, in the middle of a reply: it may be back in a moment */
};

/* Values of an answer's headers; NULL: not there. */
struct retry_headers {
        const char *retry_after_ms; /* retry-after-ms */
        const char *retry_after;    /* retry-after */
        const char *should_retry;   /* x-should-retry */
};

struct retry_failure {
        enum retry_cause cause;
        unsigned status;
        struct retry_headers headers;
        unsigned n_retries; /* repeats at this endpoint for this request so far */
        uint64_t left_us;   /* what the request may still wait */
        uint64_t wall_us;   /* since 1970: dates in headers are compared with it */
        double chance;      /* 0 to 1 */
};

enum retry_action {
        RETRY_ACTION_AGAIN, /* at this endpoint, after delay_us */
        RETRY_ACTION_REST,  /* elsewhere; this endpoint is to be left alone for delay_us */
        RETRY_ACTION_NEXT,  /* elsewhere; nothing is wrong with this endpoint but for this request */
        RETRY_ACTION_DOWN,  /* elsewhere; this endpoint is of no use until the configuration is read anew */
};

struct retry_decision {
        enum retry_action action;
        uint64_t delay_us; /* AGAIN, REST */
};

struct retry_decision retry_decide(const struct retry_failure *failure);

/* Of one endpoint; zero at the start and after a reload. */
struct retry_health {
        bool is_down;
        uint64_t rest_until_us; /* on the clock of the daemon; 0: not resting */
};

bool retry_is_usable(const struct retry_health *health, uint64_t now_us);
void retry_note(struct retry_health *health, const struct retry_decision *decision, uint64_t now_us);
