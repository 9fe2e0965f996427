/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Implements daemon/request.h with scripted replies, so that the bus and its clients are tested without models. The
 * first step of a reply is performed by request_start(), each further one by a turn.
 */
#pragma once

#include <stdbool.h>

#include "daemon/request.h"

/* Prompts with a script of their own; any other gets an opener, a handoff and a cloud's continuation. */
#define FAKE_REQUESTS_HOLD    "hold"    /* says one word and waits to be cancelled */
#define FAKE_REQUESTS_LOCAL   "local"   /* the μLM finishes */
#define FAKE_REQUESTS_REPLACE "replace" /* the cloud takes the opener back */
#define FAKE_REQUESTS_FAIL    "fail"    /* nobody answers */
#define FAKE_REQUESTS_CONTROL "control" /* a reply with control characters, without an opener */
#define FAKE_REQUESTS_REFUSE  "refuse"  /* request_new() returns -EBUSY */

/* What those without a script of their own say. */
#define FAKE_REQUESTS_OPENER "The capital of Australia is"
#define FAKE_REQUESTS_REPLY  FAKE_REQUESTS_OPENER " Canberra, not Sydney \xe2\x80\x93 déjà vu."

/* Whether a step is to be performed. */
bool fake_requests_are_due(const struct requests *requests);

/* Performs one step of each request that has one. */
void fake_requests_turn(struct requests *requests);
