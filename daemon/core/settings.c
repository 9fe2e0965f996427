/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One table says what every key is; all else walks it. See settings.h.
 */
#include "daemon/core/settings.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/value.h"
#include "libmulm/base/macro.h"

#define ENDPOINT_PREFIX "Endpoint "
#define ENDPOINTS_MAX   16
#define DISTANCE_MAX    2 /* edits up to which a misspelt name is taken for a known one */

#define DEFAULT_MODEL_PATH "/usr/share/mulm/models/mulm-28m.q8_0.gguf"

enum kind {
        KIND_TEXT,     /* char *: any but empty */
        KIND_PATH,     /* char * */
        KIND_NAME,     /* char * */
        KIND_NAMES,    /* settings->endpoint_names */
        KIND_URL,      /* char *: without trailing slashes */
        KIND_JSON,     /* char *: an object */
        KIND_WORD,     /* char *: one of `words` */
        KIND_CHOICE,   /* an enum: the index in `words` */
        KIND_UNSIGNED, /* unsigned */
        KIND_SIZE,     /* size_t */
        KIND_INTEGER,  /* uint64_t */
        KIND_DECIMAL,  /* double */
        KIND_SECONDS,  /* double */
};

struct key {
        const char *section, *name;
        enum kind kind;
        size_t offset;       /* in struct settings, or in struct settings_endpoint */
        const char *initial; /* as it would be written; NULL: none */
        double min, max;     /* of numbers */
        const char *const *words;
};

static const char *const dialect_words[] = { "chat", NULL };
static const char *const prefill_words[] = { "auto", "yes", "no", NULL };          /* enum settings_prefill */
static const char *const http_words[] = { "2", "2-prior-knowledge", "1.1", NULL }; /* enum settings_http */

static_assert(sizeof(enum settings_prefill) == sizeof(unsigned) && sizeof(enum settings_http) == sizeof(unsigned),
              "a choice is stored as unsigned");

#define AT(field) offsetof(struct settings, field)

static const struct key keys[] = {
        { "Model", "Path", KIND_PATH, AT(model_path), DEFAULT_MODEL_PATH, 0, 0, NULL },
        { "Model", "Threads", KIND_UNSIGNED, AT(threads), "0", 0, 64, NULL },
        { "Opener", "MinWords", KIND_UNSIGNED, AT(min_words), "4", 1, 32, NULL },
        { "Opener", "MaxWords", KIND_UNSIGNED, AT(max_words), "8", 1, 32, NULL },
        { "Opener", "Confidence", KIND_DECIMAL, AT(confidence), "0.2", 0, 1, NULL },
        { "Opener", "Seed", KIND_INTEGER, AT(seed), "0", 0, 4294967295, NULL },
        { "Cloud", "Endpoints", KIND_NAMES, AT(endpoint_names), NULL, 0, 0, NULL },
        { "Cloud", "ConnectSec", KIND_SECONDS, AT(connect_sec), "5", 0.01, 300, NULL },
        { "Cloud", "FirstTextSec", KIND_SECONDS, AT(first_text_sec), "5", 0.01, 300, NULL },
        { "Cloud", "GapSec", KIND_SECONDS, AT(gap_sec), "5", 0.01, 300, NULL },
        { "Cloud", "TotalSec", KIND_SECONDS, AT(total_sec), "60", 0.01, 3600, NULL },
        { "Limits", "Requests", KIND_UNSIGNED, AT(requests), "16", 1, 1024, NULL },
        { "Limits", "RequestsPerCaller", KIND_UNSIGNED, AT(requests_per_caller), "4", 1, 1024, NULL },
        { "Limits", "PromptBytes", KIND_SIZE, AT(prompt_bytes), "16384", 1, 1048576, NULL },
};
static_assert(ARRAY_SIZE(keys) <= SETTINGS_PLACES_MAX, "a place for every key");

#undef AT
#define AT(field) offsetof(struct settings_endpoint, field)

static const struct key endpoint_keys[] = {
        { ENDPOINT_PREFIX, "URL", KIND_URL, AT(url), NULL, 0, 0, NULL },
        { ENDPOINT_PREFIX, "Dialect", KIND_WORD, AT(dialect), "chat", 0, 0, dialect_words },
        { ENDPOINT_PREFIX, "Model", KIND_TEXT, AT(model), NULL, 0, 0, NULL },
        { ENDPOINT_PREFIX, "KeyCredential", KIND_NAME, AT(key_credential), NULL, 0, 0, NULL },
        { ENDPOINT_PREFIX, "KeyFile", KIND_PATH, AT(key_file), NULL, 0, 0, NULL },
        { ENDPOINT_PREFIX, "CAFile", KIND_PATH, AT(ca_file), NULL, 0, 0, NULL },
        { ENDPOINT_PREFIX, "Prefill", KIND_CHOICE, AT(prefill), "auto", 0, 0, prefill_words },
        { ENDPOINT_PREFIX, "HTTP", KIND_CHOICE, AT(http), "2", 0, 0, http_words },
        { ENDPOINT_PREFIX, "MaxTokens", KIND_UNSIGNED, AT(max_tokens), "400", 1, 1000000, NULL },
        { ENDPOINT_PREFIX, "ExtraBody", KIND_JSON, AT(extra_body), NULL, 0, 0, NULL },
};

#undef AT

static const char *const section_names[] = { "Model", "Opener", "Cloud", "Limits" };

static void *field_of(void *object, const struct key *key)
{
        return (char *)object + key->offset;
}

static const void *const_field_of(const void *object, const struct key *key)
{
        return (const char *)object + key->offset;
}

static void free_names(char **names)
{
        for (char **name = names; name && *name; name++)
                free(*name);
        free(names);
}

static int find_word(const char *const *words, const char *value, unsigned *ret_index)
{
        for (unsigned i = 0; words[i]; i++)
                if (strcmp(words[i], value) == 0) {
                        *ret_index = i;
                        return 0;
                }
        return -EINVAL;
}

static int store_names(struct settings *settings, const char *value)
{
        _cleanup_free_ char *copy = strdup(value);
        char **names = calloc(ENDPOINTS_MAX + 1, sizeof(*names)), *rest = copy;
        size_t n = 0;
        int r = copy && names ? 0 : -ENOMEM;

        for (char *name; r == 0 && (name = strsep(&rest, " \t,")) != NULL;) {
                if (!*name)
                        continue;
                for (size_t i = 0; i < n; i++)
                        if (strcmp(names[i], name) == 0)
                                r = -EINVAL;
                if (n == ENDPOINTS_MAX || !value_is_name(name))
                        r = -EINVAL;
                if (r == 0) {
                        names[n] = strdup(name);
                        r = names[n++] ? 0 : -ENOMEM;
                }
        }
        if (r < 0) {
                free_names(names);
                return r;
        }
        free_names(settings->endpoint_names);
        settings->endpoint_names = names;
        settings->n_endpoint_names = n;
        return 0;
}

static int store_string(char **field, const struct key *key, const char *value)
{
        size_t n = strlen(value);
        unsigned index;
        char *copy;

        if ((key->kind == KIND_PATH && !value_is_absolute_path(value)) ||
            (key->kind == KIND_NAME && !value_is_name(value)) || (key->kind == KIND_URL && !value_is_url(value)) ||
            (key->kind == KIND_JSON && !value_is_json_object(value)) ||
            (key->kind == KIND_WORD && find_word(key->words, value, &index) < 0))
                return -EINVAL;
        while (key->kind == KIND_URL && value[n - 1] == '/')
                n--;
        copy = strndup(value, n);
        if (!copy)
                return -ENOMEM;
        free(*field);
        *field = copy;
        return 0;
}

static int store_integer(void *field, const struct key *key, const char *value)
{
        uint64_t number;

        if (!value_parse_integer(value, &number) || (double)number < key->min || (double)number > key->max)
                return -EINVAL;
        if (key->kind == KIND_UNSIGNED)
                *(unsigned *)field = (unsigned)number;
        else if (key->kind == KIND_SIZE)
                *(size_t *)field = (size_t)number;
        else
                *(uint64_t *)field = number;
        return 0;
}

/* Sets the field of `object` that the key stands for; -EINVAL for a wrong value. */
static int store(void *object, const struct key *key, const char *value)
{
        void *field = field_of(object, key);
        double number;

        switch (key->kind) {
        case KIND_NAMES: return store_names(object, value);
        case KIND_TEXT:
        case KIND_PATH:
        case KIND_NAME:
        case KIND_URL:
        case KIND_JSON:
        case KIND_WORD: return store_string(field, key, value);
        case KIND_CHOICE: return find_word(key->words, value, field);
        case KIND_UNSIGNED:
        case KIND_SIZE:
        case KIND_INTEGER: return store_integer(field, key, value);
        case KIND_DECIMAL:
        case KIND_SECONDS:
                if (!(key->kind == KIND_DECIMAL ? value_parse_decimal : value_parse_seconds)(value, &number) ||
                    number < key->min || number > key->max)
                        return -EINVAL;
                *(double *)field = number;
                return 0;
        }
        return -EINVAL;
}

static int restore(void *object, const struct key *key)
{
        char **field = field_of(object, key);

        if (key->initial)
                return store(object, key, key->initial);
        if (key->kind == KIND_NAMES)
                return store_names(object, "");
        free(*field);
        *field = NULL;
        return 0;
}

static int restore_all(void *object, const struct key *table, size_t n)
{
        int r = 0;

        for (size_t i = 0; i < n && r == 0; i++)
                r = restore(object, &table[i]);
        return r;
}

/* Frees the strings of an object, by its table. */
static void release_all(void *object, const struct key *table, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (table[i].kind == KIND_NAMES)
                        free_names(*(char ***)field_of(object, &table[i]));
                else if (table[i].kind <= KIND_WORD)
                        free(*(char **)field_of(object, &table[i]));
        }
}

int settings_init(struct settings *settings)
{
        int r;

        *settings = (struct settings){ 0 };
        r = restore_all(settings, keys, ARRAY_SIZE(keys));
        if (r < 0)
                settings_done(settings);
        return r;
}

void settings_done(struct settings *settings)
{
        release_all(settings, keys, ARRAY_SIZE(keys));
        for (size_t i = 0; i < settings->n_endpoints; i++) {
                release_all(&settings->endpoints[i], endpoint_keys, ARRAY_SIZE(endpoint_keys));
                free(settings->endpoints[i].name);
                free(settings->endpoints[i].place);
        }
        free(settings->endpoints);
        for (size_t i = 0; i < SETTINGS_PLACES_MAX; i++)
                free(settings->places[i]);
        *settings = (struct settings){ 0 };
}

const struct settings_endpoint *settings_find_endpoint(const struct settings *settings, const char *name)
{
        for (size_t i = 0; i < settings->n_endpoints; i++)
                if (strcmp(settings->endpoints[i].name, name) == 0)
                        return &settings->endpoints[i];
        return NULL;
}

/* "FILE:LINE", to be freed; NULL without memory. */
static char *format_place(const struct settings_place *place)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        if (place && place->file && buf_printf(&text, "%s:%u", place->file, place->line) < 0)
                return NULL;
        return buf_steal(&text);
}

static int add_endpoint(struct settings *settings, const char *name, const struct settings_place *place,
                        struct settings_endpoint **ret_endpoint)
{
        struct settings_endpoint *endpoints, *endpoint;
        int r;

        endpoints = reallocarray(settings->endpoints, settings->n_endpoints + 1, sizeof(*endpoints));
        if (!endpoints)
                return -ENOMEM;
        settings->endpoints = endpoints;
        endpoint = &endpoints[settings->n_endpoints++];
        *endpoint = (struct settings_endpoint){ .name = strdup(name), .place = format_place(place) };
        r = endpoint->name && endpoint->place ? restore_all(endpoint, endpoint_keys, ARRAY_SIZE(endpoint_keys))
                                              : -ENOMEM;
        if (r < 0) {
                release_all(endpoint, endpoint_keys, ARRAY_SIZE(endpoint_keys));
                free(endpoint->name);
                free(endpoint->place);
                settings->n_endpoints--;
                return r;
        }
        *ret_endpoint = endpoint;
        return 0;
}

static const struct key *find_key(const struct key *table, size_t n, const char *section, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(table[i].section, section) == 0 && strcmp(table[i].name, name) == 0)
                        return &table[i];
        return NULL;
}

/* Begins a sentence on a line of its own; `place` as text, "" for none. */
static int begin_error(struct buf *error, const char *place)
{
        int r = error->n > 0 ? buf_add_string(error, "\n") : 0;

        return r < 0 || !*place ? r : buf_printf(error, "%s: ", place);
}

/* Always fails; -EINVAL unless there is no memory for the sentence. */
static int refuse_value(const struct key *key, const char *section, const char *value, const char *place,
                        struct buf *error)
{
        static const char *const expected[] = {
                [KIND_TEXT] = "text",
                [KIND_PATH] = "an absolute path",
                [KIND_NAME] = "a name of letters, digits, '.', '-' and '_'",
                [KIND_NAMES] = "up to 16 different names of letters, digits, '.', '-' and '_'",
                [KIND_URL] = "http:// or https://, a host and perhaps a path, without user, query and fragment",
                [KIND_JSON] = "a JSON object",
        };
        int r = begin_error(error, place);

        if (r >= 0)
                r = buf_printf(error, "[%s] %s: ", section, key->name);
        if (r < 0)
                return r;
        if (key->kind <= KIND_JSON)
                r = buf_printf(error, "wanted is %s", expected[key->kind]);
        else if (key->words) {
                r = buf_printf(error, "\"%s\" is none of", value);
                for (size_t i = 0; r >= 0 && key->words[i]; i++)
                        r = buf_printf(error, "%s \"%s\"", i > 0 ? "," : "", key->words[i]);
        } else
                r = buf_printf(error, "\"%s\" is no %s from %.10g to %.10g", value,
                               key->kind == KIND_SECONDS   ? "time in seconds (or with s, ms, min)"
                               : key->kind == KIND_DECIMAL ? "number"
                                                           : "whole number",
                               key->min, key->max);
        return r < 0 ? r : -EINVAL;
}

/* The known name that is nearest to a misspelt one. */
static void consider(const char *name, const char *known, const char **best, size_t *best_distance)
{
        size_t distance = value_distance(name, known);

        if (distance < *best_distance && distance < strlen(known)) {
                *best = known;
                *best_distance = distance;
        }
}

static int refuse_unknown(const char *section, const char *key, const char *best, const char *place,
                          struct buf *error)
{
        int r = begin_error(error, place);

        if (r >= 0)
                r = key ? buf_printf(error, "[%s] %s: unknown key", section, key)
                        : buf_printf(error, "[%s]: unknown section", section);
        if (r >= 0 && best)
                r = buf_printf(error, key ? "; is %s meant?" : "; is [%s] meant?", best);
        return r < 0 ? r : -EINVAL;
}

static int refuse_key(const struct key *table, size_t n, const char *table_section, const char *section,
                      const char *name, const char *place, struct buf *error)
{
        const char *best = NULL;
        size_t distance = DISTANCE_MAX + 1;

        for (size_t i = 0; i < n; i++)
                if (strcmp(table[i].section, table_section) == 0)
                        consider(name, table[i].name, &best, &distance);
        return refuse_unknown(section, name, best, place, error);
}

static int set_endpoint(struct settings *settings, const char *section, const char *name, const char *value,
                        const struct settings_place *place, const char *place_text, struct buf *error)
{
        const char *endpoint_name = section + strlen(ENDPOINT_PREFIX);
        const struct key *key = find_key(endpoint_keys, ARRAY_SIZE(endpoint_keys), ENDPOINT_PREFIX, name);
        struct settings_endpoint *endpoint = NULL;
        int r;

        if (!value_is_name(endpoint_name) || settings->n_endpoints == ENDPOINTS_MAX) {
                r = begin_error(error, place_text);
                if (r >= 0)
                        r = buf_printf(error, "[%s] %s: wanted are up to %d endpoints with %s", section, name,
                                       ENDPOINTS_MAX, "names of letters, digits, '.', '-' and '_'");
                return r < 0 ? r : -EINVAL;
        }
        if (!key)
                return refuse_key(endpoint_keys, ARRAY_SIZE(endpoint_keys), ENDPOINT_PREFIX, section, name,
                                  place_text, error);

        for (size_t i = 0; i < settings->n_endpoints; i++)
                if (strcmp(settings->endpoints[i].name, endpoint_name) == 0)
                        endpoint = &settings->endpoints[i];
        r = endpoint ? 0 : add_endpoint(settings, endpoint_name, place, &endpoint);
        if (r < 0)
                return r;
        r = *value ? store(endpoint, key, value) : restore(endpoint, key);
        return r == -EINVAL ? refuse_value(key, section, value, place_text, error) : r;
}

int settings_set(struct settings *settings, const char *section, const char *name, const char *value,
                 const struct settings_place *place, struct buf *error)
{
        _cleanup_free_ char *place_text = format_place(place);
        const char *best = NULL;
        size_t distance = DISTANCE_MAX + 1;
        const struct key *key;
        int r;

        if (!place_text)
                return -ENOMEM;
        if (strncmp(section, ENDPOINT_PREFIX, strlen(ENDPOINT_PREFIX)) == 0)
                return set_endpoint(settings, section, name, value, place, place_text, error);

        for (size_t i = 0; i < ARRAY_SIZE(section_names); i++)
                consider(section, section_names[i], &best, &distance);
        if (!best || strcmp(section, best) != 0)
                return refuse_unknown(section, NULL, best, place_text, error);
        key = find_key(keys, ARRAY_SIZE(keys), section, name);
        if (!key)
                return refuse_key(keys, ARRAY_SIZE(keys), section, section, name, place_text, error);

        r = *value ? store(settings, key, value) : restore(settings, key);
        if (r == -EINVAL)
                return refuse_value(key, section, value, place_text, error);
        if (r >= 0) {
                free(settings->places[key - keys]);
                settings->places[key - keys] = STEAL(place_text);
        }
        return r;
}

/* Where a key outside of endpoints was set; "" where it has its default. */
static const char *place_of(const struct settings *settings, const char *section, const char *name)
{
        const char *place = settings->places[find_key(keys, ARRAY_SIZE(keys), section, name) - keys];

        return place ? place : "";
}

static int check_numbers(const struct settings *settings, struct buf *error)
{
        const char *place;
        int r = 0, bad = 0;

        if (settings->min_words > settings->max_words) {
                place = place_of(settings, "Opener", "MinWords");
                r = begin_error(error, *place ? place : place_of(settings, "Opener", "MaxWords"));
                if (r >= 0)
                        r = buf_printf(error, "[Opener] MinWords: %u is above MaxWords, which is %u",
                                       settings->min_words, settings->max_words);
                bad = -EINVAL;
        }
        if (r >= 0 && settings->first_text_sec > settings->total_sec) {
                place = place_of(settings, "Cloud", "FirstTextSec");
                r = begin_error(error, *place ? place : place_of(settings, "Cloud", "TotalSec"));
                if (r >= 0)
                        r = buf_printf(error, "[Cloud] FirstTextSec: %g is above TotalSec, which is %g",
                                       settings->first_text_sec, settings->total_sec);
                bad = -EINVAL;
        }
        return r < 0 ? r : bad;
}

static int check_endpoint(const struct settings_endpoint *endpoint, struct buf *error)
{
        const char *key = NULL, *problem = NULL;
        int r;

        if (!endpoint->url) {
                key = "URL";
                problem = "missing";
        } else if (!endpoint->model) {
                key = "Model";
                problem = "missing";
        } else if (endpoint->key_credential && endpoint->key_file) {
                key = "KeyFile";
                problem = "there is a KeyCredential too; only one of them can hold the key";
        }
        if (!key)
                return 0;
        r = begin_error(error, endpoint->place);
        if (r >= 0)
                r = buf_printf(error, "[" ENDPOINT_PREFIX "%s] %s: %s", endpoint->name, key, problem);
        return r < 0 ? r : -EINVAL;
}

int settings_check(const struct settings *settings, struct buf *error)
{
        int r = check_numbers(settings, error), bad = r;

        for (size_t i = 0; i < settings->n_endpoint_names && r != -ENOMEM; i++) {
                if (settings_find_endpoint(settings, settings->endpoint_names[i]))
                        continue;
                r = begin_error(error, place_of(settings, "Cloud", "Endpoints"));
                if (r >= 0)
                        r = buf_printf(error, "[Cloud] Endpoints: there is no section [" ENDPOINT_PREFIX "%s]",
                                       settings->endpoint_names[i]);
                bad = -EINVAL;
        }
        for (size_t i = 0; i < settings->n_endpoints && r != -ENOMEM; i++) {
                r = check_endpoint(&settings->endpoints[i], error);
                bad = r < 0 ? r : bad;
        }
        return r == -ENOMEM ? r : bad;
}

static int print_names(char *const *names, struct buf *text)
{
        int r = 0;

        for (size_t i = 0; names[i] && r >= 0; i++)
                r = buf_printf(text, "%s%s", i > 0 ? " " : "", names[i]);
        return r;
}

static int print_value(const void *field, const struct key *key, struct buf *text)
{
        switch (key->kind) {
        case KIND_NAMES: return print_names(*(char *const *const *)field, text);
        case KIND_TEXT:
        case KIND_PATH:
        case KIND_NAME:
        case KIND_URL:
        case KIND_JSON:
        case KIND_WORD: return buf_add_string(text, *(char *const *)field);
        case KIND_CHOICE: return buf_add_string(text, key->words[*(const unsigned *)field]);
        case KIND_UNSIGNED: return buf_printf(text, "%u", *(const unsigned *)field);
        case KIND_SIZE: return buf_printf(text, "%zu", *(const size_t *)field);
        case KIND_INTEGER: return buf_printf(text, "%llu", (unsigned long long)*(const uint64_t *)field);
        case KIND_DECIMAL:
        case KIND_SECONDS: return buf_printf(text, "%.15g", *(const double *)field);
        }
        return -EINVAL;
}

static int print_section(const void *object, const struct key *table, size_t n, const char *section, struct buf *text)
{
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++) {
                const void *field = const_field_of(object, &table[i]);

                if (strcmp(table[i].section, section) != 0)
                        continue;
                if (table[i].kind <= KIND_WORD && !*(const void *const *)field)
                        continue;
                r = buf_printf(text, "%s=", table[i].name);
                if (r >= 0)
                        r = print_value(field, &table[i], text);
                if (r >= 0)
                        r = buf_add_string(text, "\n");
        }
        return r;
}

int settings_print(const struct settings *settings, struct buf *text)
{
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(section_names) && r >= 0; i++) {
                r = buf_printf(text, "%s[%s]\n", i > 0 ? "\n" : "", section_names[i]);
                if (r >= 0)
                        r = print_section(settings, keys, ARRAY_SIZE(keys), section_names[i], text);
        }
        for (size_t i = 0; i < settings->n_endpoints && r >= 0; i++) {
                const struct settings_endpoint *endpoint = &settings->endpoints[i];

                r = buf_printf(text, "\n[" ENDPOINT_PREFIX "%s]\n", endpoint->name);
                if (r >= 0)
                        r = print_section(endpoint, endpoint_keys, ARRAY_SIZE(endpoint_keys), ENDPOINT_PREFIX, text);
        }
        return r;
}
