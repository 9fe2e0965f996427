/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * HTTP requests to cloud endpoints over libcurl's multi interface: HTTP/2 with TLS, verified always; the request is
 * opened with its upload paused and released when its body is known (where HTTP/1.1 is known to be spoken, all of it
 * goes out at the release). Connections are kept warm for the next request, and let go when none comes; one that
 * turns out dead is replaced before anybody has waited for it. Knows bytes, statuses and errors, not dialects. Loop
 * thread only; callbacks come after libcurl has returned, so that any function here may be called from within them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/core/retry.h"
#include "daemon/core/settings.h"
#include "daemon/io/timers.h"
#include "libmulm/base/buf.h"

struct cloud;
struct cloud_attempt;

enum cloud_event_type {
        CLOUD_EVENT_HEADERS, /* status and content type are known */
        CLOUD_EVENT_BYTES,   /* some of the body */
        CLOUD_EVENT_END,     /* the body is whole, as far as HTTP knows */
        CLOUD_EVENT_FAILED,  /* the attempt is over; `message` names the cause */
};

enum cloud_failure {
        CLOUD_FAILURE_NONE,
        CLOUD_FAILURE_RESOLVE,  /* the host name has no address */
        CLOUD_FAILURE_CONNECT,  /* refused, unreachable, or not in time */
        CLOUD_FAILURE_NETWORK,  /* there is no way to any host of that kind: no route, no interface */
        CLOUD_FAILURE_TLS,      /* handshake or certificate */
        CLOUD_FAILURE_BROKEN,   /* the connection or the stream ended early */
        CLOUD_FAILURE_PROTOCOL, /* not HTTP, or HTTP broken */
        CLOUD_FAILURE_INTERNAL, /* no memory, bad URL */
};

struct cloud_event {
        enum cloud_event_type type;
        unsigned status;            /* from HEADERS on */
        const char *content_type;   /* HEADERS; "" if none */
        struct retry_headers retry; /* HEADERS: when the server wants to be asked again */
        const char *bytes;          /* BYTES */
        size_t n_bytes;
        enum cloud_failure failure; /* FAILED */
        const char *message;        /* FAILED: a sentence without secrets */
};

/* What the endpoint's dialect makes of its URL and headers. */
struct cloud_request {
        const char *path;       /* appended to endpoint->url: "/chat/completions" */
        const char *key_header; /* what stands before the key in its line: "Authorization: Bearer " */
        const char *header;     /* one more header line, or NULL */
        double connect_sec;
        double warm_sec, probe_sec; /* how long the connection is kept after the last request, how often probed */
};

typedef void (*cloud_bytes_fn)(void *userdata, const struct cloud_event *event);

/* When things happened, on timers_now_us()'s clock; 0: not yet. */
struct cloud_times {
        uint64_t opened_us, connected_us, released_us, body_sent_us, headers_us, first_byte_us, ended_us;
        bool reused;           /* on a connection that was already there */
        unsigned http_version; /* 11, 20; 0: not yet known */
};

int cloud_new(struct cloud **ret_cloud, uv_loop_t *loop, struct timers *timers);

/* Every attempt must be closed. Memory goes in close callbacks. */
void cloud_close(struct cloud *cloud);

/* Opens the POST with the key from key_credential or key_file, upload paused. The endpoint must outlive the attempt.
 * 0, -ENOMEM, or what reading the key gave, with a sentence appended to `error` that names the file. */
int cloud_open(struct cloud *cloud, const struct settings_endpoint *endpoint, const struct cloud_request *request,
               cloud_bytes_fn fn, void *userdata, struct cloud_attempt **ret_attempt, struct buf *error);

/* Moves the body in (it is emptied) and lets the upload go. Once per attempt. */
void cloud_release(struct cloud_attempt *attempt, struct buf *body);

/* From now on another hears of the attempt: anew from its headers on, with `bytes` (which are emptied) in front of
 * those that are still to come. 0, -ENOMEM. */
int cloud_attempt_hand_over(struct cloud_attempt *attempt, cloud_bytes_fn fn, void *userdata, struct buf *bytes);

const struct cloud_times *cloud_attempt_times(const struct cloud_attempt *attempt);

/* Ends the stream if it is still open, and no callback follows. The server hears of it at once: by RST_STREAM on a
 * connection that others use, else by the connection's end. Accepts NULL, returns NULL. */
struct cloud_attempt *cloud_attempt_close(struct cloud_attempt *attempt);

/* For a reply that is whole although its stream is not over: lets the stream end by itself, so that the connection is
 * kept; what still comes is dropped, and no callback follows. The attempt is gone for its owner. Accepts NULL,
 * returns NULL. */
struct cloud_attempt *cloud_attempt_leave(struct cloud_attempt *attempt);
