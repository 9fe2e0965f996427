/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The one table of error names. See errors.h.
 */
#include "daemon/bus/errors.h"

#include <errno.h>
#include <stdarg.h>

#define ERRORS_PREFIX "org.mulm.Assistant1.Error."

static const struct {
        const char *name;
        int below; /* what the layers below call it; 0: only checked here */
        int error; /* for the handler to return */
} errors_table[_ERRORS_N] = {
        [ERRORS_UNKNOWN_OPTION] = { ERRORS_PREFIX "UnknownOption", 0, -EINVAL },
        [ERRORS_INVALID_OPTION] = { ERRORS_PREFIX "InvalidOption", 0, -EINVAL },
        [ERRORS_INVALID_TOKEN] = { ERRORS_PREFIX "InvalidToken", 0, -EINVAL },
        [ERRORS_TOKEN_IN_USE] = { ERRORS_PREFIX "TokenInUse", 0, -EEXIST },
        [ERRORS_PROMPT_EMPTY] = { ERRORS_PREFIX "PromptEmpty", 0, -EINVAL },
        [ERRORS_PROMPT_TOO_LONG] = { ERRORS_PREFIX "PromptTooLong", 0, -EMSGSIZE },
        [ERRORS_PROMPT_INVALID] = { ERRORS_PREFIX "PromptInvalid", 0, -EBADMSG },
        [ERRORS_BUSY] = { ERRORS_PREFIX "Busy", -EBUSY, -EBUSY },
        [ERRORS_NO_SUCH_REQUEST] = { ERRORS_PREFIX "NoSuchRequest", 0, -ENOENT },
};

const char *errors_name(enum errors_code code)
{
        return errors_table[code].name;
}

int errors_set(sd_bus_error *error, enum errors_code code, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)sd_bus_error_setfv(error, errors_table[code].name, format, ap);
        va_end(ap);
        return errors_table[code].error;
}

int errors_set_errno(sd_bus_error *error, int r, const char *sentence)
{
        for (size_t i = 0; i < ARRAY_SIZE(errors_table); i++)
                if (errors_table[i].below == r)
                        return errors_set(error, (enum errors_code)i, "%s", sentence);
        return sd_bus_error_set_errnof(error, r, "%s", sentence);
}
