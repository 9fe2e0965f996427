/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * How long an endpoint takes from a question's body to its first text: a running estimate, and how many words of an
 * opener it takes to cover that. The mean and its deviation move as those of a round trip do in TCP (RFC 6298,
 * section 2). Two deviations are covered, not four as there: what comes too late here is a pause, not a packet lost.
 * Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/buf.h"

struct delay {
        bool is_known;
        double mean_us, deviation_us;
};

#define DELAY_NULL ((struct delay){ 0 })

void delay_note(struct delay *delay, uint64_t sample_us);

/* What an opener should cover. 0 where nothing is known. */
uint64_t delay_expected_us(const struct delay *delay);

/* As many words, `min` to `max`, as take that long at a rate; `max` where nothing is known. */
unsigned delay_words(const struct delay *delay, double words_per_second, unsigned min, unsigned max);

/* A line of its own to be kept over a restart, with a key that has no line breaks: "delay 905000 120000 KEY\n".
 * Nothing where nothing is known. 0, -ENOMEM. */
int delay_print(const struct delay *delay, const char *key, struct buf *text);

/* False where `text`, n bytes, has no such line. */
bool delay_parse(const char *text, size_t n, const char *key, struct delay *ret_delay);
