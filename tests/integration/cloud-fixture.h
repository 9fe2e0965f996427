/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the tests of the cloud client share: a loop, a scripted server with or without TLS, an endpoint that points at
 * it, and a record of what an attempt told. Every wait has a deadline and fails the test when it is over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/core/settings.h"
#include "daemon/io/cloud.h"
#include "libmulm/base/buf.h"
#include "tests/support/process.h"

#define CLOUD_TEST_CONNECT_SEC 10.0

/* As the chat dialect asks. */
extern const struct cloud_request cloud_test_request;
#define CLOUD_TEST_SECRET "sk-swordfish"

/* The usual answer, for check_whole_stream(). */
#define STREAM "[{\"steps\": [\"data: one\\n\\n\", {\"wait\": 20}, \"data: two\\n\\n\"]}]"

struct fixture {
        char *folder; /* certificates, keys */
        char *certificate_script, *server_script;
        uv_loop_t loop;
        uv_timer_t deadline;
        struct timers *timers;
        struct cloud *cloud;
        struct process *server;
        struct settings_endpoint endpoint;
        struct buf error;
};

/* What one attempt told, in order. */
struct heard {
        struct fixture *fixture;
        struct cloud_attempt *attempt;
        unsigned n_headers, n_bytes, n_end, n_failed;
        unsigned status;
        char content_type[64];
        char retry[128]; /* the headers about it that came, a line each */
        struct buf body;
        enum cloud_failure failure;
        struct buf message;
        bool close_on_bytes; /* close the attempt when its first bytes come */
};

int setup_group(void **state);
int teardown_group(void **state);
int setup(void **state);

/* The loop must end clean: no handle of the cloud may be left. */
int teardown(void **state);

/* Allocated; the caller frees it. */
char *format_path(const char *folder, const char *name);

void set_url(struct fixture *fixture, const char *scheme, const char *host, const char *port);

/* Each starts the server. serve() takes its arguments (NULL-terminated) after the scenario and returns its port;
 * serve_tls() makes the endpoint trust the test's authority; serve_plain() sets its HTTP version. */
char *serve(struct fixture *fixture, const char *scenario, const char *const arguments[]);
void serve_tls(struct fixture *fixture, const char *scenario, const char *certificate, const char *http);
void serve_plain(struct fixture *fixture, const char *scenario, const char *http);

/* Records; also checks that events come in their order. */
void on_cloud(void *userdata, const struct cloud_event *event);

void heard_open(struct heard *heard, struct fixture *fixture);
void heard_release(struct heard *heard, const char *text);
void heard_done(struct heard *heard);

/* Run the loop until the count (of the heard) has risen to `n`; until the failure; until the end of STREAM. */
void run_until(struct fixture *fixture, const unsigned *count, unsigned n);
void run_to_failure(struct heard *heard);
void check_whole_stream(struct heard *heard);

/* Run the loop, since the client must turn for it to happen, until the server says a line that matches, or tells of
 * that event; the latter gives its time. */
char *run_until_server(struct fixture *fixture, const char *pattern);
uint64_t run_until_server_at_us(struct fixture *fixture, const char *event);
