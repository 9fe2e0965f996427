/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * JSON from strangers. See json.h. The repair looks at units: an escape, a sequence of UTF-8, or a byte that is
 * neither; clean runs are copied whole.
 */
#include "daemon/core/json.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/utf8.h"

#define N_ESCAPE 6 /* \uXXXX */

/* The UTF-16 unit of a \uXXXX at the head of `text`, or -1. */
static int32_t read_escape(const char *text, size_t n)
{
        int32_t unit = 0;

        if (n < N_ESCAPE || text[0] != '\\' || text[1] != 'u')
                return -1;
        for (size_t i = 2; i < N_ESCAPE; i++) {
                char c = text[i];

                if (c >= '0' && c <= '9')
                        unit = unit * 16 + (c - '0');
                else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                        unit = unit * 16 + ((c | 0x20) - 'a' + 10);
                else
                        return -1;
        }
        return unit;
}

static bool is_high_surrogate(int32_t unit)
{
        return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low_surrogate(int32_t unit)
{
        return unit >= 0xdc00 && unit < 0xe000;
}

/* Bytes of the escape at the head; *ret_replacement as in next_unit(). */
static size_t next_escape(const char *text, size_t n, const char **ret_replacement)
{
        int32_t unit = read_escape(text, n);

        if (unit < 0) {
                /* cJSON takes a \u without its digits for NUL; an escape that does not exist it refuses. */
                if (n >= 2 && text[1] == 'u')
                        *ret_replacement = "\\?";
                return MIN(n, (size_t)2);
        }
        if (is_high_surrogate(unit) && is_low_surrogate(read_escape(text + N_ESCAPE, n - N_ESCAPE)))
                return 2 * (size_t)N_ESCAPE;
        if (is_high_surrogate(unit) || is_low_surrogate(unit))
                *ret_replacement = "\\ufffd";
        else if (unit == 0)
                *ret_replacement = "";
        return N_ESCAPE;
}

/* Bytes of the unit at the head of `text`; *ret_replacement is set where it must not stay. */
static size_t next_unit(const char *text, size_t n, const char **ret_replacement)
{
        uint32_t code_point;
        size_t length;

        if (*text == '\\')
                return next_escape(text, n, ret_replacement);
        length = utf8_decode(text, n, &code_point);
        if (length == 0) {
                *ret_replacement = "\xef\xbf\xbd";
                return 1;
        }
        if (code_point == 0)
                *ret_replacement = "";
        return length;
}

static int repair(const char *text, size_t n, struct buf *repaired)
{
        size_t clean = 0, i = 0, length;
        int r = 0;

        while (i < n && r == 0) {
                const char *replacement = NULL;

                length = next_unit(text + i, n - i, &replacement);
                if (replacement) {
                        r = buf_add(repaired, text + clean, i - clean);
                        if (r == 0)
                                r = buf_add_string(repaired, replacement);
                        clean = i + length;
                }
                i += length;
        }
        return r < 0 ? r : buf_add(repaired, text + clean, n - clean);
}

int json_parse(const char *text, size_t n, cJSON **ret_root)
{
        _cleanup_(buf_done) struct buf repaired = BUF_NULL;
        cJSON *root;
        int r;

        r = repair(text, n, &repaired);
        if (r < 0)
                return r;
        /* With its NUL, by which cJSON knows that nothing comes after the value. */
        root = cJSON_ParseWithLengthOpts(buf_string(&repaired), repaired.n + 1, NULL, true);
        if (!root)
                return -EBADMSG;
        *ret_root = root;
        return 0;
}

const cJSON *json_member(const cJSON *object, const char *name)
{
        return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

const char *json_string(const cJSON *object, const char *name)
{
        return cJSON_GetStringValue(json_member(object, name));
}

unsigned json_unsigned(const cJSON *object, const char *name)
{
        const cJSON *item = json_member(object, name);

        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= UINT_MAX))
                return 0;
        return (unsigned)item->valuedouble;
}

bool json_is_something(const cJSON *item)
{
        if (cJSON_IsString(item))
                return *item->valuestring != '\0';
        if (cJSON_IsObject(item) || cJSON_IsArray(item))
                return item->child != NULL;
        return cJSON_IsTrue(item) || (cJSON_IsNumber(item) && item->valuedouble != 0);
}
