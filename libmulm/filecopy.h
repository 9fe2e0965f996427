/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The bytes of a file, copied once into read-only memory of our own. Refuses what is not a regular file, is empty,
 * begins with other bytes than it should, or ends before its size.
 *
 * Not a mapping of the file: where someone truncates a mapped file, or the disk fails, the next look at it is a
 * SIGBUS, which a library may not catch; and where someone writes to it, what was checked changes afterwards. Here
 * what was checked is what is used, whatever becomes of the file. docs/internals/model-file.md has what it costs.
 */
#pragma once

#include <stddef.h>

#include "libmulm/mulm.h"

struct filecopy {
        const void *data;
        size_t n_data;
};

/* `magic`: what the file begins with, looked at before the rest is read. -EBADMSG, -EINVAL, -ENOMEM, or what the
 * operating system says. */
int filecopy_init(struct filecopy *ret_copy, const char *path, const char *magic, struct mulm_error *error);
void filecopy_done(struct filecopy *copy);
