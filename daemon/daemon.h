/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Puts the parts together, runs the loop, and takes them apart in reverse order. The only file that knows them all.
 */
#pragma once

#include "daemon/core/settings.h"

enum daemon_bus {
        DAEMON_BUS_SYSTEM,
        DAEMON_BUS_USER,
        DAEMON_BUS_ADDRESS,
};

struct daemon_options {
        enum daemon_bus bus;
        const char *address; /* with DAEMON_BUS_ADDRESS */
};

/* Serves until SIGTERM or SIGINT (0) or until something it cannot do without is gone (negative errno, logged). */
int daemon_run(const struct daemon_options *options, const struct settings *settings);
