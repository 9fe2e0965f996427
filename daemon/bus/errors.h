/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The errors that callers see, org.mulm.Assistant1.Error.*, and which outcome of the layers below becomes which.
 * Sentences name the value that was refused, never a prompt's text. Any thread.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "libmulm/base/macro.h"

enum errors_code {
        ERRORS_UNKNOWN_OPTION, /* an option of that name does not exist */
        ERRORS_INVALID_OPTION, /* an option has the wrong type or a value out of its range */
        ERRORS_INVALID_TOKEN,  /* handle_token cannot be part of an object path */
        ERRORS_TOKEN_IN_USE,   /* the caller has a request with this token */
        ERRORS_PROMPT_EMPTY,
        ERRORS_PROMPT_TOO_LONG,
        ERRORS_PROMPT_INVALID, /* not UTF-8 */
        ERRORS_BUSY,           /* as many requests as are allowed, in all or of this caller */
        ERRORS_NO_SUCH_REQUEST,
        _ERRORS_N,
};

/* "org.mulm.Assistant1.Error.Busy" */
const char *errors_name(enum errors_code code);

/* Sets the error for sd-bus to reply with; returns a negative errno for the handler to return. */
int errors_set(sd_bus_error *error, enum errors_code code, const char *format, ...) _printf_(3, 4);

/* What a layer below returned. One that has no name of ours gets the name that sd-bus has for the errno. */
int errors_set_errno(sd_bus_error *error, int r, const char *sentence);
