/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One line a log call: to the journal with fields where stderr is the journal's, else to stderr as text. Levels are
 * syslog's. Healthy running is silent. Prompt and reply texts and keys never come here. Any thread.
 */
#pragma once

#include <stdint.h>
#include <syslog.h>

#include "libmulm/base/macro.h"

/* What a line is about; a member that is NULL is left out. */
struct log_about {
        const char *request;    /* REQUEST=, the object path */
        const char *endpoint;   /* ENDPOINT= */
        const char *message_id; /* MESSAGE_ID=, 32 hex digits */
};

void log_line(int level, const struct log_about *about, const char *format, ...) _printf_(3, 4);

#define log_error(...)   log_line(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, NULL, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, NULL, __VA_ARGS__)
