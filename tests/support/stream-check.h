/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Reads a whole answer of a cloud through sse and a dialect, at every split point and byte by byte, and compares.
 */
#pragma once

#include "daemon/core/dialect.h"

struct stream_wanted {
        const char *text;  /* all that goes to the person */
        unsigned n_ends;   /* END events */
        unsigned n_others; /* CUT, STARVED and REFUSED events, all of type `other` */
        enum dialect_event_type other;
        unsigned status;   /* of the only ERROR; 0: there is none */
        const char *error; /* its message; NULL: any */
        unsigned n_skipped;
        unsigned n_input_tokens, n_output_tokens; /* of the last events that count them */
};

void stream_check(const struct dialect *dialect, const char *stream, const struct stream_wanted *wanted);
