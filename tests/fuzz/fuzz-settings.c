/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Any text as assignments, "section TAB key TAB value" on each line: refusals have a sentence, and what was taken is
 * printed in a form that is taken again.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/settings.h"
#include "libmulm/base/buf.h"
#include "tests/fuzz/fuzz.h"

static void set(struct settings *settings, char *line, unsigned number)
{
        const struct settings_place place = { "fuzz", number };
        _cleanup_(buf_done) struct buf error = BUF_NULL;
        char *key = strchr(line, '\t'), *value = key ? strchr(key + 1, '\t') : NULL;
        int r;

        if (!value)
                return;
        *key++ = '\0';
        *value++ = '\0';
        r = settings_set(settings, line, key, value, &place, &error);
        FUZZ_CHECK(r == 0 || r == -EINVAL);
        FUZZ_CHECK((r < 0) == (error.n > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL, error = BUF_NULL, printed = BUF_NULL;
        struct settings settings;
        char *rest, *line;
        unsigned number = 0;

        FUZZ_CHECK(buf_add(&text, data, n) == 0 && settings_init(&settings) == 0);
        rest = text.data;
        while (rest && (line = strsep(&rest, "\n")))
                set(&settings, line, ++number);
        FUZZ_CHECK(settings_check(&settings, &error) <= 0);
        FUZZ_CHECK(settings_print(&settings, &printed) == 0);
        settings_done(&settings);
        return 0;
}
