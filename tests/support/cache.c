/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See cache.h.
 */
#include "tests/support/cache.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/test.h"

char *cache_path(const char *below)
{
        const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
        char *path;

        if (cache && *cache)
                assert_true(asprintf(&path, "%s/mulm/%s", cache, below) > 0);
        else
                assert_true(asprintf(&path, "%s/.cache/mulm/%s", home && *home ? home : "/tmp", below) > 0);
        return path;
}
