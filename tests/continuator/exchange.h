/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One HTTP request and its reply: who may ask what, the delay to the first token and the pace of the others, as seen
 * from the other end of a mobile network. Knows HTTP's terms (status, header, body), not its wire format. Loop
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "libmulm/base/buf.h"
#include "tests/continuator/worker.h"

#define EXCHANGE_BODY_MAX (4u << 20)

/* The same for all requests. */
struct exchange_settings {
        uint64_t first_token_us;  /* from the end of the request's body */
        double tokens_per_second; /* 0: as fast as the model */
        unsigned max_tokens;      /* of a reply, whatever the request says */
        bool prefill;             /* false: 400, as servers have it that take none */
        bool trace;               /* say on stderr when bodies come in, on CLOCK_MONOTONIC */
        char *key;                /* owned; NULL: everybody is served */
};

struct exchange_request {
        const char *method, *path, *authorization; /* "" where the request has none */
};

/* What the reply is told through; all but `wake` may be called at any time before exchange_free(). */
struct exchange_sink {
        /* Once, first. */
        void (*head)(void *userdata, unsigned status, const char *content_type);
        /* Moves `bytes` out. `end`: nothing follows. */
        void (*body)(void *userdata, struct buf *bytes, bool end);
        /* After head() and body(), where no call into the exchange is going on. May free the exchange. */
        void (*wake)(void *userdata);
        /* Instead of anything else: the reply cannot be finished; wake() follows. */
        void (*reset)(void *userdata);
};

struct exchange;

/* `settings`, `worker` and `sink` outlive the exchange. */
int exchange_new(struct exchange **ret_exchange, uv_loop_t *loop, const struct exchange_settings *settings,
                 struct worker *worker, const struct exchange_sink *sink, void *userdata);

/* Stops generation. The sink hears nothing more. Accepts NULL, returns NULL. */
struct exchange *exchange_free(struct exchange *exchange);

/* The request's body, then its end. Above EXCHANGE_BODY_MAX, bytes are counted but not kept. */
void exchange_bytes(struct exchange *exchange, const char *bytes, size_t n);
void exchange_end(struct exchange *exchange, const struct exchange_request *request);
