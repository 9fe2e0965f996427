/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Options and prompt of Ask. See options.h.
 */
#include "daemon/bus/options.h"

#include <errno.h>
#include <string.h>

#include "daemon/bus/errors.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

#define OPTIONS_SHOWN_MAX 64 /* bytes of a caller's own string that an error repeats */

/* A value out of its variant: `string` of type s, `number` of type u, `real` of type d, `flag` of type b. */
struct options_value {
        const char *string;
        uint32_t number;
        double real;
        int flag;
};

/* So much of `string` as an error may repeat, in whole characters: an error's text must be UTF-8 too. */
static int shown(const char *string)
{
        return (int)utf8_complete(string, strnlen(string, OPTIONS_SHOWN_MAX));
}

static int set_token(struct options *options, const struct options_value *value, sd_bus_error *error)
{
        size_t n = strlen(value->string);

        if (n == 0 || n > OPTIONS_TOKEN_MAX)
                return errors_set(error, ERRORS_INVALID_TOKEN,
                                  "Option handle_token has %zu characters; 1 to %d are allowed.", n,
                                  OPTIONS_TOKEN_MAX);
        for (size_t i = 0; i < n; i++) {
                char c = value->string[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
                        return errors_set(error, ERRORS_INVALID_TOKEN,
                                          "Option handle_token is \"%.*s\"; only A-Z, a-z, 0-9 and _ are allowed.",
                                          shown(value->string), value->string);
        }
        memcpy(options->token, value->string, n + 1);
        return 0;
}

/* The place of `string` among the words, which a NULL ends. */
static int find_word(const char *name, const char *string, const char *const *words, sd_bus_error *error)
{
        for (int i = 0; words[i]; i++)
                if (strcmp(words[i], string) == 0)
                        return i;
        return errors_set(error, ERRORS_INVALID_OPTION, "Option %s is \"%.*s\"; it must be %s, %s or %s.", name,
                          shown(string), string, words[0], words[1], words[2]);
}

static int set_opener(struct options *options, const struct options_value *value, sd_bus_error *error)
{
        static const char *const words[] = { [REQUEST_OPENER_AUTO] = "auto",
                                             [REQUEST_OPENER_ALWAYS] = "always",
                                             [REQUEST_OPENER_NEVER] = "never",
                                             NULL };
        int r = find_word("opener", value->string, words, error);

        if (r < 0)
                return r;
        options->request.opener = (enum request_opener)r;
        return 0;
}

static int set_cloud(struct options *options, const struct options_value *value, sd_bus_error *error)
{
        static const char *const words[] = {
                [REQUEST_CLOUD_AUTO] = "auto", [REQUEST_CLOUD_NEVER] = "never", [REQUEST_CLOUD_ONLY] = "only", NULL
        };
        int r = find_word("cloud", value->string, words, error);

        if (r < 0)
                return r;
        options->request.cloud = (enum request_cloud)r;
        return 0;
}

static int check_range(const char *name, uint32_t number, uint32_t max, sd_bus_error *error)
{
        if (number >= 1 && number <= max)
                return 0;
        return errors_set(error, ERRORS_INVALID_OPTION, "Option %s is %u; it must be 1 to %u.", name, number, max);
}

static int set_max_opener_words(struct options *options, const struct options_value *value, sd_bus_error *error)
{
        int r = check_range("max_opener_words", value->number, OPTIONS_WORDS_MAX, error);

        if (r < 0)
                return r;
        options->request.max_opener_words = value->number;
        return 0;
}

static int set_deadline_ms(struct options *options, const struct options_value *value, sd_bus_error *error)
{
        int r = check_range("deadline_ms", value->number, OPTIONS_DEADLINE_MS_MAX, error);

        if (r < 0)
                return r;
        options->request.deadline_ms = value->number;
        return 0;
}

static int set_min_interval_ms(struct options *options, const struct options_value *value, sd_bus_error *error)
{
        int r = check_range("min_interval_ms", value->number, OPTIONS_INTERVAL_MS_MAX, error);

        if (r < 0)
                return r;
        options->request.min_interval_ms = value->number;
        return 0;
}

static int set_words_per_second(struct options *options, const struct options_value *value, sd_bus_error *error)
{
        /* In this form a NaN is refused too. */
        if (!(value->real >= OPTIONS_RATE_MIN && value->real <= OPTIONS_RATE_MAX))
                return errors_set(error, ERRORS_INVALID_OPTION, "Option words_per_second is %g; it must be %g to %g.",
                                  value->real, OPTIONS_RATE_MIN, OPTIONS_RATE_MAX);
        options->request.words_per_second = value->real;
        return 0;
}

static int set_seed(struct options *options, const struct options_value *value, _unused_ sd_bus_error *error)
{
        options->request.seed = value->number;
        return 0;
}

static int set_redraw(struct options *options, const struct options_value *value, _unused_ sd_bus_error *error)
{
        options->request.redraw = value->flag;
        return 0;
}

static const struct option {
        const char *name;
        const char *type; /* "s", "u", "d" or "b" */
        int (*set)(struct options *options, const struct options_value *value, sd_bus_error *error);
} options_table[] = {
        { "cloud", "s", set_cloud },
        { "deadline_ms", "u", set_deadline_ms },
        { "handle_token", "s", set_token },
        { "max_opener_words", "u", set_max_opener_words },
        { "min_interval_ms", "u", set_min_interval_ms },
        { "opener", "s", set_opener },
        { "redraw", "b", set_redraw },
        { "seed", "u", set_seed },
        { "words_per_second", "d", set_words_per_second },
};

static const struct option *find_option(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(options_table); i++)
                if (strcmp(options_table[i].name, name) == 0)
                        return &options_table[i];
        return NULL;
}

/* One {sv}, whose container is entered. */
static int read_option(sd_bus_message *message, struct options *options, sd_bus_error *error)
{
        struct options_value value = { 0 };
        const struct option *option;
        const char *name, *type;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        option = find_option(name);
        if (!option)
                return errors_set(error, ERRORS_UNKNOWN_OPTION, "There is no option \"%.*s\".", shown(name), name);

        r = sd_bus_message_peek_type(message, NULL, &type);
        if (r < 0)
                return r;
        if (strcmp(type, option->type) != 0)
                return errors_set(error, ERRORS_INVALID_OPTION, "Option %s has type %.*s; it must be %s.", name,
                                  shown(type), type, option->type);
        switch (*option->type) {
        case 's': r = sd_bus_message_read(message, "v", "s", &value.string); break;
        case 'u': r = sd_bus_message_read(message, "v", "u", &value.number); break;
        case 'd': r = sd_bus_message_read(message, "v", "d", &value.real); break;
        default: r = sd_bus_message_read(message, "v", "b", &value.flag); break;
        }
        if (r < 0)
                return r;
        return option->set(options, &value, error);
}

int options_read(sd_bus_message *message, struct options *ret_options, sd_bus_error *error)
{
        struct options options = { .request = REQUEST_OPTIONS_NULL };
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_option(message, &options, error);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret_options = options;
        return 0;
}

int options_check_prompt(const char *prompt, size_t n, size_t max, sd_bus_error *error)
{
        size_t offset;

        if (n > max)
                return errors_set(error, ERRORS_PROMPT_TOO_LONG, "The prompt has %zu bytes; %zu are allowed.", n,
                                  max);
        /* The message bus and sd-bus have looked already; the models must not depend on both always doing so. */
        if (!utf8_is_valid(prompt, n, &offset))
                return errors_set(error, ERRORS_PROMPT_INVALID, "The prompt is not UTF-8: see its byte %zu.", offset);
        if (strspn(prompt, " \t\r\n\v\f") == n)
                return errors_set(error, ERRORS_PROMPT_EMPTY, "The prompt is empty or blank.");
        return 0;
}
