/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One request over the scripted engine, cloud and clock of fake-io.h, with a sink that writes down what it hears and
 * checks that it comes in order. The endpoint "primary" is configured.
 */
#pragma once

#include "daemon/request.h"
#include "tests/support/fake-io.h"
#include "tests/support/test.h"

struct heard {
        char text[1024]; /* "opener:..|cloud:..|" */
        char states[256];
        unsigned n_handoffs, n_finished;
        uint32_t last_sequence;
        struct request_handoff handoff;
        enum race_outcome outcome;
        struct request_timings timings;
        char error[32], message[256], endpoint[32], form[32], reason[32];
};

struct fixture {
        struct settings settings;
        struct requests *requests;
        struct request *request;
        struct heard heard;
};

#define C(x)  "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" x "\"},\"finish_reason\":null}]}\n\n"
#define FIN   "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":6}}\n\n"
#define DONE  "data: [DONE]\n\n"

extern const struct request_sink fixture_sink; /* its userdata is the fixture */

int fixture_set_up(void **state);
int fixture_tear_down(void **state);
void fixture_set(struct settings *settings, const char *section, const char *key, const char *value);
void fixture_ask(struct fixture *fixture, struct request_options options);
void fixture_engine_says(struct fixture *fixture, enum engine_event event, const char *text,
                         enum engine_reason reason);
void fixture_say_opener(struct fixture *fixture); /* "The capital is" */
void fixture_cloud_says(const char *bytes);       /* by the attempt that was opened last */

/* The completion " a city." ends the reply. */
void fixture_finish_locally(struct fixture *fixture);
