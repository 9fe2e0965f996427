/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One sentence about what went wrong. See error.h.
 */
#include "libmulm/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int error_set(struct mulm_error *error, int r, const char *format, ...)
{
        va_list ap;

        if (!error)
                return r;
        va_start(ap, format);
        (void)vsnprintf(error->sentence, sizeof(error->sentence), format, ap);
        va_end(ap);
        for (char *c = error->sentence; *c; c++)
                if (*c < 0x20 || *c > 0x7e)
                        *c = '?';
        return r;
}

int error_no_memory(struct mulm_error *error)
{
        return error_set(error, -ENOMEM, "out of memory");
}

void error_prefix(struct mulm_error *error, const char *prefix)
{
        struct mulm_error before;

        if (!error)
                return;
        before = *error;
        (void)error_set(error, 0, "%.*s: %s", (int)sizeof(before.sentence) / 2, prefix, before.sentence);
}
