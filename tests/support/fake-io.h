/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Engine, cloud and clock for tests of `request`: they record what they are asked and say what the test makes them
 * say. Linked in place of daemon/io.
 */
#pragma once

#include "daemon/io/cloud.h"
#include "daemon/io/engine.h"
#include "daemon/io/timers.h"

/* The engine: the last job that was submitted, and which were cancelled. */
struct fake_engine {
        struct engine_job job; /* prompt owned here */
        unsigned n_submitted, n_cancelled;
        int submit_result; /* what engine_submit() is to return */
};

struct cloud_attempt {
        cloud_bytes_fn fn;
        void *userdata;
        const struct settings_endpoint *endpoint;
        struct cloud_request request;
        unsigned status;
        char *body;  /* NULL until released */
        char *again; /* what it is to say anew to the one who took it over */
        bool closed;
        struct cloud_times times;
};

#define FAKE_ATTEMPTS_MAX 16

struct fake_cloud {
        struct cloud_attempt attempts[FAKE_ATTEMPTS_MAX];
        unsigned n_attempts;
        int open_result;
};

/* The clock stands still but for fake_advance(). */
struct fake_clock {
        struct timer_node *armed[8];
        uint64_t now_us;
};

struct fake_io {
        struct fake_engine engine;
        struct fake_cloud cloud;
        struct fake_clock clock;
};

/* One for the process, since the functions under test take no fake as an argument. */
extern struct fake_io fake_io;

void fake_io_reset(void);
struct engine *fake_engine(void);
struct cloud *fake_cloud(void);
struct timers *fake_timers(void);

/* The attempt that was opened last. */
struct cloud_attempt *fake_attempt(void);
void fake_cloud_status(struct cloud_attempt *attempt, unsigned status);
void fake_cloud_retry(struct cloud_attempt *attempt, unsigned status, const struct retry_headers *headers);
void fake_cloud_bytes(struct cloud_attempt *attempt, const char *bytes, size_t n);
void fake_cloud_again(struct cloud_attempt *attempt); /* what it had said when it was handed over */
void fake_cloud_end(struct cloud_attempt *attempt);
void fake_cloud_fail(struct cloud_attempt *attempt, enum cloud_failure failure);

/* Moves the clock and calls the timers that are due, in their order. */
void fake_advance(uint64_t by_us);

/* How long until the next timer is due; a second where none is armed. */
uint64_t fake_next_us(void);
