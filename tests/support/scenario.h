/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Scenario files (tests/data/scenarios/README.md) for tests in C: read by scenario.py, given to a request whose
 * engine the scenario's opener plays, and checked against what the person read and which attempts it took. Who plays
 * the clouds is the test's matter.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "daemon/request.h"
#include "libmulm/base/buf.h"

struct scenario {
        const cJSON *json;
        char *name;
        size_t index; /* in the order of all files */
};

struct scenarios {
        cJSON *root;
        struct scenario *list;
        size_t n;
        char **paths; /* of the files, NULL-terminated */
};

void scenarios_load(struct scenarios *ret_scenarios);
void scenarios_done(struct scenarios *scenarios);

bool scenario_is_on(const struct scenario *scenario, const char *transport);
unsigned scenario_n_turns(const struct scenario *scenario);

/* The answers of an endpoint, in order; NULL: it has none. */
const cJSON *scenario_answers(const struct scenario *scenario, const char *endpoint);

/* The bytes of a step that writes; false where it does not. */
bool scenario_step_bytes(const cJSON *step, struct buf *bytes);

/* The bytes that the longest answer writes. */
size_t scenario_length(const struct scenario *scenario);

/* An answer of it takes its time. */
bool scenario_waits(const struct scenario *scenario);

/* Settings in which each endpoint's URL is base/NAME/v1. */
void scenario_settings(const struct scenario *scenario, const char *base, struct settings *settings);

struct request_options scenario_options(const struct scenario *scenario);

/* What one request told its sink; `userdata` of the sink. */
struct scenario_heard {
        struct buf text;     /* as it stands, with what was replaced replaced */
        struct buf attempts; /* "200/complete backup:200/complete" */
        unsigned n_finished;
        enum race_outcome outcome;
        char error[32];
        uint64_t took_us; /* from asking */
};

extern const struct request_sink scenario_sink;

void scenario_heard_done(struct scenario_heard *heard);

/* How long the engine takes to begin. */
uint64_t scenario_late_ms(const struct scenario *scenario);

/* Plays the engine's part in the job: the opener, or the completion. */
void scenario_speak(const struct scenario *scenario, const struct engine_job *job, struct requests *requests);

/* Fails the test unless that is what the scenario says of the turn (from 1); `how` says how it was played. */
void scenario_check(const struct scenario *scenario, unsigned turn, const struct scenario_heard *heard,
                    const char *how);

/* The same for what the n-th request (from 1) had: its part is "ask" (the body) or "head". */
void scenario_check_ask(const struct scenario *scenario, const char *part, unsigned n, const char *text,
                        const char *how);
