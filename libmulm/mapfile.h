/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A file mapped read-only and private. Refuses what is not a regular file or is empty.
 */
#pragma once

#include <stddef.h>

#include "libmulm/mulm.h"

struct mapfile {
        const void *data;
        size_t n_data;
};

int mapfile_init(struct mapfile *ret_file, const char *path, struct mulm_error *error);
void mapfile_done(struct mapfile *file);
