/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include "tests/support/text.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/test.h"

char *text_format(const char *form, ...)
{
        va_list arguments;
        char *text;
        int r;

        va_start(arguments, form);
        r = vasprintf(&text, form, arguments);
        va_end(arguments);
        assert_true(r >= 0);
        return text;
}

void assert_contains(const char *text, const char *part)
{
        if (!strstr(text, part))
                fail_msg("no '%s' in: %s", part, text);
}

void assert_lacks(const char *text, const char *part)
{
        if (strstr(text, part))
                fail_msg("'%s' is in: %s", part, text);
}

size_t text_count(const char *text, const char *part)
{
        size_t n = 0;

        for (; (text = strstr(text, part)); text += strlen(part))
                n++;
        return n;
}
