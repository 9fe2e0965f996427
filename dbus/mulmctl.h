/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What mulmctl's verbs share: the command line as it was read, exit codes, the bus. The client knows mulmd by its
 * D-Bus interface alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "dbus/terminal.h"

#define ASSISTANT_NAME         "org.mulm.Assistant1"
#define ASSISTANT_PATH         "/org/mulm/Assistant1"
#define ASSISTANT_REQUEST      "org.mulm.Assistant1.Request"
#define ASSISTANT_REQUEST_ROOT ASSISTANT_PATH "/request"

/* As nmcli has them. */
enum exit_code {
        EXIT_CODE_OK = 0,
        EXIT_CODE_FAILED = 1,
        EXIT_CODE_USAGE = 2,
        EXIT_CODE_TIMEOUT = 3,
        EXIT_CODE_REQUEST_FAILED = 4,
        EXIT_CODE_NO_DAEMON = 8,
        EXIT_CODE_INTERRUPTED = 130,
};

enum json_mode {
        JSON_MODE_OFF,
        JSON_MODE_SHORT,
        JSON_MODE_PRETTY,
};

struct mulmctl {
        sd_bus *bus;
        uint64_t timeout_us; /* for all that a verb does; 0: no end for a reply, sd-bus's own for a call */
        enum json_mode json;
        enum terminal_color color;
        bool timeline;
        bool redraw;                /* let the daemon take back what was printed */
        const char *opener, *cloud; /* Ask's options; NULL: not given */
        double words_per_second;    /* the same; 0: not given */
        uint32_t min_interval_ms;
};

/* Verbs: an exit code; what went wrong has been said on stderr. */
int ask(const struct mulmctl *mulmctl, const char *prompt);
int status(const struct mulmctl *mulmctl);

/* Says it and picks the exit code. */
int mulmctl_call_failed(const sd_bus_error *error, int r);
