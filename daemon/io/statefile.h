/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the daemon keeps over a restart: one small text file in its state directory, replaced as a whole, so that a
 * reader finds the old text or the new one. Not synced to the disk: what is lost with the power is learned again.
 * Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libmulm/base/buf.h"

/* Appends the path of `name` in $STATE_DIRECTORY, which the service manager sets, else for a user's daemon in
 * $XDG_STATE_HOME/mulm or ~/.local/state/mulm. 0; -ENOENT where there is no such place; -ENOMEM. */
int statefile_path(bool is_user, const char *name, struct buf *path);

/* Creates the last directory of the path where it is missing. 0 or what the system said. */
int statefile_write(const char *path, const char *text, size_t n);
