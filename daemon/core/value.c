/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See value.h. The functions of libc are not used for numbers: strtod() hears the locale and takes "nan".
 */
#include "daemon/core/value.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <strings.h>

#include "libmulm/base/macro.h"

#define NAME_MAX_LENGTH 64
#define DIGITS_MAX      15 /* that a double holds exactly */
#define PORT_MAX        65535

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool value_parse_integer(const char *text, uint64_t *ret_value)
{
        uint64_t value = 0;

        if (!*text)
                return false;
        for (; *text; text++)
                if (!is_digit(*text) || __builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
                        return false;
        *ret_value = value;
        return true;
}

/* Reads a decimal at the head of `text`; what follows, or NULL. */
static const char *parse_decimal(const char *text, double *ret_value)
{
        uint64_t value = 0, scale = 1;
        unsigned n_digits = 0;
        bool point = false;

        for (; is_digit(*text) || (*text == '.' && !point); text++) {
                if (*text == '.') {
                        point = true;
                        continue;
                }
                if (++n_digits > DIGITS_MAX)
                        return NULL;
                value = value * 10 + (uint64_t)(*text - '0');
                scale *= point ? 10 : 1;
        }
        if (n_digits == 0)
                return NULL;
        *ret_value = (double)value / (double)scale;
        return text;
}

bool value_parse_decimal(const char *text, double *ret_value)
{
        double value;
        const char *end = parse_decimal(text, &value);

        if (!end || *end)
                return false;
        *ret_value = value;
        return true;
}

bool value_parse_seconds(const char *text, double *ret_seconds)
{
        static const struct {
                const char *name;
                double seconds;
        } units[] = { { "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "min", 60 } };
        double value;
        const char *unit = parse_decimal(text, &value);

        if (!unit)
                return false;
        while (*unit == ' ')
                unit++;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (strcmp(unit, units[i].name) == 0) {
                        *ret_seconds = value * units[i].seconds;
                        return true;
                }
        return false;
}

static bool is_port(const char *text, size_t n)
{
        unsigned port = 0;

        for (size_t i = 0; i < n; i++) {
                if (!is_digit(text[i]))
                        return false;
                port = port * 10 + (unsigned)(text[i] - '0');
                if (port > PORT_MAX)
                        return false;
        }
        return port > 0;
}

/* A name, an IPv4 address, or an IPv6 address in brackets; then perhaps a port. */
static bool is_authority(const char *text, size_t n)
{
        const char *allowed = "-._";
        size_t i = 0;

        if (n > 0 && text[0] == '[') {
                while (++i < n && text[i] != ']')
                        if (!is_alphanumeric(text[i]) && text[i] != ':' && text[i] != '.' && text[i] != '%')
                                return false;
                if (i++ >= n || i < 4)
                        return false;
        } else
                while (i < n && (is_alphanumeric(text[i]) || strchr(allowed, text[i])))
                        i++;
        if (i == 0)
                return false;
        return i == n || (text[i] == ':' && is_port(text + i + 1, n - i - 1));
}

bool value_is_url(const char *text)
{
        const char *host = strstr(text, "://");
        size_t n_scheme = host ? (size_t)(host - text) : 0;

        if (!(n_scheme == 4 && strncasecmp(text, "http", 4) == 0) &&
            !(n_scheme == 5 && strncasecmp(text, "https", 5) == 0))
                return false;
        host += strlen("://");
        for (const char *p = host; *p; p++)
                if (*p <= ' ' || *p >= 0x7f || strchr("?#@\\\"<>", *p))
                        return false;
        return is_authority(host, strcspn(host, "/"));
}

bool value_is_absolute_path(const char *text)
{
        return text[0] == '/' && text[1];
}

bool value_is_name(const char *text)
{
        size_t n = strlen(text);

        if (n == 0 || n > NAME_MAX_LENGTH || text[0] == '.')
                return false;
        for (; *text; text++)
                if (!is_alphanumeric(*text) && *text != '.' && *text != '-' && *text != '_')
                        return false;
        return true;
}

bool value_is_json_object(const char *text)
{
        cJSON *json = cJSON_ParseWithOpts(text, NULL, true);
        bool is_object = cJSON_IsObject(json);

        cJSON_Delete(json);
        return is_object;
}

/* Levenshtein's distance, one row of the matrix at a time. */
size_t value_distance(const char *a, const char *b)
{
        size_t row[NAME_MAX_LENGTH + 1], n_a = strlen(a), n_b = strlen(b);

        if (n_a > NAME_MAX_LENGTH || n_b > NAME_MAX_LENGTH)
                return SIZE_MAX;
        for (size_t j = 0; j <= n_b; j++)
                row[j] = j;
        for (size_t i = 1; i <= n_a; i++) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= n_b; j++) {
                        size_t replaced = diagonal + (strncasecmp(a + i - 1, b + j - 1, 1) != 0), moved;

                        diagonal = row[j];
                        moved = MIN(row[j], row[j - 1]) + 1;
                        row[j] = MIN(replaced, moved);
                }
        }
        return row[n_b];
}
