/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What an answer teaches about how its endpoint wants to be asked. Each function gets the shape that was sent and, if
 * another one is worth trying, changes it and says true. The caller asks again, at most CAPABILITY_RESHAPED_MAX times
 * for one question, and remembers (learned.h) a shape that brought text. Pure.
 */
#pragma once

#include <stdbool.h>

#include "daemon/core/dialect.h"

#define CAPABILITY_RESHAPED_MAX 2

/* An HTTP error. `message` is the server's own, as dialect_error_message() found it, or "". With `fixed` the form and
 * the way of prefill stay as configured. */
bool capability_refused(const struct dialect *dialect, bool fixed, unsigned status, const char *message,
                        struct dialect_shape *shape);

/* The answer ended without text, after reasoning alone (DIALECT_EVENT_STARVED). */
bool capability_starved(const struct dialect *dialect, bool fixed, struct dialect_shape *shape);

/* The answer was a reply from its beginning instead of going on. Nothing is to be asked again: it is for the next
 * question. */
bool capability_restarted(bool fixed, struct dialect_shape *shape);
