/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What a caller says in Ask: the a{sv} of options, by one table of names, types and ranges, and the prompt itself.
 * Refuses every option that is not in the table, and names it, so that a misspelt one is never silently without
 * effect. Loop thread only.
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

#include "daemon/request.h"

#define OPTIONS_TOKEN_MAX       64     /* characters of a handle_token */
#define OPTIONS_WORDS_MAX       32     /* of max_opener_words: an opener is no reply */
#define OPTIONS_DEADLINE_MS_MAX 600000 /* of deadline_ms: ten minutes */
#define OPTIONS_INTERVAL_MS_MAX 10000  /* of min_interval_ms */
#define OPTIONS_RATE_MIN        0.5    /* of words_per_second: slower is no reading */
#define OPTIONS_RATE_MAX        50.0   /* faster is no pace */

struct options {
        struct request_options request;
        char token[OPTIONS_TOKEN_MAX + 1]; /* "" where the caller gave none */
};

/* Reads an a{sv} at the message's cursor. A negative errno comes with a named error. */
int options_read(sd_bus_message *message, struct options *ret_options, sd_bus_error *error);

/* UTF-8, not blank, and at most `max` bytes. */
int options_check_prompt(const char *prompt, size_t n, size_t max, sd_bus_error *error);
