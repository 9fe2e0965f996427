/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The table and the walks over it. See key.h.
 */
#include "daemon/core/key.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/settings.h"
#include "daemon/core/value.h"

#define DEFAULT_MODEL_PATH "/usr/share/mulm/models/mulm-28m.q8_0.gguf"

static const char *const dialect_words[] = { "chat", "responses", "anthropic", NULL };
static const char *const prefill_words[] = {
        "auto", "yes", "no", "prefix", "continue", "anchor", NULL, /* enum settings_prefill */
};
static const char *const http_words[] = { "2", "2-prior-knowledge", "1.1", NULL }; /* enum settings_http */

static const char *const boolean_words[] = { "no", "yes", NULL };
static const char *const confidence_words[] = { "model", NULL };

static_assert(sizeof(enum settings_prefill) == sizeof(unsigned) && sizeof(enum settings_http) == sizeof(unsigned),
              "a choice is stored as unsigned");

#define AT(field) offsetof(struct settings, field)

static const struct key settings_keys[] = {
        { "Model", "Path", KEY_KIND_PATH, AT(model_path), DEFAULT_MODEL_PATH, 0, 0, NULL },
        { "Model", "Threads", KEY_KIND_UNSIGNED, AT(threads), "0", 0, 64, NULL },
        { "Opener", "MinWords", KEY_KIND_UNSIGNED, AT(min_words), "4", 1, 32, NULL },
        { "Opener", "MaxWords", KEY_KIND_UNSIGNED, AT(max_words), "8", 1, 32, NULL },
        { "Opener", "Adaptive", KEY_KIND_CHOICE, AT(adaptive), "yes", 0, 0, boolean_words },
        { "Opener", "WordsPerSecond", KEY_KIND_DECIMAL, AT(words_per_second), "2.5", 0.5, 50, NULL },
        { "Opener", "Confidence", KEY_KIND_DECIMAL, AT(confidence), "model", 0, 1, confidence_words },
        { "Opener", "Seed", KEY_KIND_INTEGER, AT(seed), "0", 0, 4294967295, NULL },
        { "Cloud", "Endpoints", KEY_KIND_NAMES, AT(endpoint_names), NULL, 0, 0, NULL },
        { "Cloud", "Hedge", KEY_KIND_CHOICE, AT(hedge), "no", 0, 0, boolean_words },
        { "Cloud", "ConnectSec", KEY_KIND_SECONDS, AT(connect_sec), "5", 0.01, 300, NULL },
        { "Cloud", "FirstTextSec", KEY_KIND_SECONDS, AT(first_text_sec), "5", 0.01, 300, NULL },
        { "Cloud", "GapSec", KEY_KIND_SECONDS, AT(gap_sec), "5", 0.01, 300, NULL },
        { "Cloud", "TotalSec", KEY_KIND_SECONDS, AT(total_sec), "60", 0.01, 3600, NULL },
        { "Cloud", "Prompts", KEY_KIND_PATH, AT(prompts_path), NULL, 0, 0, NULL },
        { "Cloud", "WarmSec", KEY_KIND_SECONDS, AT(warm_sec), "60", 0, 3600, NULL },
        { "Cloud", "ProbeSec", KEY_KIND_SECONDS, AT(probe_sec), "15", 1, 300, NULL },
        { "Limits", "Requests", KEY_KIND_UNSIGNED, AT(requests), "16", 1, 1024, NULL },
        { "Limits", "RequestsPerCaller", KEY_KIND_UNSIGNED, AT(requests_per_caller), "4", 1, 1024, NULL },
        { "Limits", "PromptBytes", KEY_KIND_SIZE, AT(prompt_bytes), "16384", 1, 1048576, NULL },
};
static_assert(ARRAY_SIZE(settings_keys) <= SETTINGS_PLACES_MAX, "a place for every key");

#undef AT
#define AT(field) offsetof(struct settings_endpoint, field)

static const struct key endpoint_keys[] = {
        { KEY_ENDPOINT_PREFIX, "URL", KEY_KIND_URL, AT(url), NULL, 0, 0, NULL },
        { KEY_ENDPOINT_PREFIX, "Dialect", KEY_KIND_WORD, AT(dialect), "chat", 0, 0, dialect_words },
        { KEY_ENDPOINT_PREFIX, "Model", KEY_KIND_TEXT, AT(model), NULL, 0, 0, NULL },
        { KEY_ENDPOINT_PREFIX, "KeyCredential", KEY_KIND_NAME, AT(key_credential), NULL, 0, 0, NULL },
        { KEY_ENDPOINT_PREFIX, "KeyFile", KEY_KIND_PATH, AT(key_file), NULL, 0, 0, NULL },
        { KEY_ENDPOINT_PREFIX, "CAFile", KEY_KIND_PATH, AT(ca_file), NULL, 0, 0, NULL },
        { KEY_ENDPOINT_PREFIX, "Prefill", KEY_KIND_CHOICE, AT(prefill), "auto", 0, 0, prefill_words },
        { KEY_ENDPOINT_PREFIX, "HTTP", KEY_KIND_CHOICE, AT(http), "2", 0, 0, http_words },
        { KEY_ENDPOINT_PREFIX, "MaxTokens", KEY_KIND_UNSIGNED, AT(max_tokens), "400", 1, 1000000, NULL },
        { KEY_ENDPOINT_PREFIX, "ExtraBody", KEY_KIND_JSON, AT(extra_body), NULL, 0, 0, NULL },
};

#undef AT

const struct key_table key_settings = { settings_keys, ARRAY_SIZE(settings_keys) };
const struct key_table key_endpoints = { endpoint_keys, ARRAY_SIZE(endpoint_keys) };

const char *const key_sections[] = { "Model", "Opener", "Cloud", "Limits", NULL };

const struct key *key_find(const struct key_table *table, const char *section, const char *name)
{
        for (size_t i = 0; i < table->n; i++)
                if (strcmp(table->keys[i].section, section) == 0 && strcmp(table->keys[i].name, name) == 0)
                        return &table->keys[i];
        return NULL;
}

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
        char **names = calloc(KEY_ENDPOINTS_MAX + 1, sizeof(*names)), *rest = copy;
        size_t n = 0;
        int r = copy && names ? 0 : -ENOMEM;

        for (char *name; r == 0 && (name = strsep(&rest, " \t,")) != NULL;) {
                if (!*name)
                        continue;
                for (size_t i = 0; i < n; i++)
                        if (strcmp(names[i], name) == 0)
                                r = -EINVAL;
                if (n == KEY_ENDPOINTS_MAX || !value_is_name(name))
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

        if ((key->kind == KEY_KIND_PATH && !value_is_absolute_path(value)) ||
            (key->kind == KEY_KIND_NAME && !value_is_name(value)) ||
            (key->kind == KEY_KIND_URL && !value_is_url(value)) ||
            (key->kind == KEY_KIND_JSON && !value_is_json_object(value)) ||
            (key->kind == KEY_KIND_WORD && find_word(key->words, value, &index) < 0))
                return -EINVAL;
        while (key->kind == KEY_KIND_URL && value[n - 1] == '/')
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
        if (key->kind == KEY_KIND_UNSIGNED)
                *(unsigned *)field = (unsigned)number;
        else if (key->kind == KEY_KIND_SIZE)
                *(size_t *)field = (size_t)number;
        else
                *(uint64_t *)field = number;
        return 0;
}

static int store_decimal(double *field, const struct key *key, const char *value)
{
        double number;
        unsigned index;

        if (key->words && find_word(key->words, value, &index) == 0) {
                *field = SETTINGS_OF_MODEL;
                return 0;
        }
        if (!(key->kind == KEY_KIND_DECIMAL ? value_parse_decimal : value_parse_seconds)(value, &number) ||
            number < key->min || number > key->max)
                return -EINVAL;
        *field = number;
        return 0;
}

int key_store(void *object, const struct key *key, const char *value)
{
        void *field = field_of(object, key);

        switch (key->kind) {
        case KEY_KIND_NAMES: return store_names(object, value);
        case KEY_KIND_TEXT:
        case KEY_KIND_PATH:
        case KEY_KIND_NAME:
        case KEY_KIND_URL:
        case KEY_KIND_JSON:
        case KEY_KIND_WORD: return store_string(field, key, value);
        case KEY_KIND_CHOICE: return find_word(key->words, value, field);
        case KEY_KIND_UNSIGNED:
        case KEY_KIND_SIZE:
        case KEY_KIND_INTEGER: return store_integer(field, key, value);
        case KEY_KIND_DECIMAL:
        case KEY_KIND_SECONDS: return store_decimal(field, key, value);
        }
        return -EINVAL;
}

int key_restore(void *object, const struct key *key)
{
        char **field = field_of(object, key);

        if (key->initial)
                return key_store(object, key, key->initial);
        if (key->kind == KEY_KIND_NAMES)
                return store_names(object, "");
        free(*field);
        *field = NULL;
        return 0;
}

int key_restore_all(void *object, const struct key_table *table)
{
        int r = 0;

        for (size_t i = 0; i < table->n && r == 0; i++)
                r = key_restore(object, &table->keys[i]);
        return r;
}

void key_release_all(void *object, const struct key_table *table)
{
        for (size_t i = 0; i < table->n; i++) {
                if (table->keys[i].kind == KEY_KIND_NAMES)
                        free_names(*(char ***)field_of(object, &table->keys[i]));
                else if (table->keys[i].kind <= KEY_KIND_WORD)
                        free(*(char **)field_of(object, &table->keys[i]));
        }
}

static int print_names(char *const *names, struct buf *text)
{
        int r = 0;

        for (size_t i = 0; names[i] && r >= 0; i++)
                r = buf_printf(text, "%s%s", i > 0 ? " " : "", names[i]);
        return r;
}

static int print_decimal(double value, const struct key *key, struct buf *text)
{
        if (key->words && value == SETTINGS_OF_MODEL)
                return buf_add_string(text, key->words[0]);
        return buf_printf(text, "%.15g", value);
}

static int print_value(const void *field, const struct key *key, struct buf *text)
{
        switch (key->kind) {
        case KEY_KIND_NAMES: return print_names(*(char *const *const *)field, text);
        case KEY_KIND_TEXT:
        case KEY_KIND_PATH:
        case KEY_KIND_NAME:
        case KEY_KIND_URL:
        case KEY_KIND_JSON:
        case KEY_KIND_WORD: return buf_add_string(text, *(char *const *)field);
        case KEY_KIND_CHOICE: return buf_add_string(text, key->words[*(const unsigned *)field]);
        case KEY_KIND_UNSIGNED: return buf_printf(text, "%u", *(const unsigned *)field);
        case KEY_KIND_SIZE: return buf_printf(text, "%zu", *(const size_t *)field);
        case KEY_KIND_INTEGER: return buf_printf(text, "%llu", (unsigned long long)*(const uint64_t *)field);
        case KEY_KIND_DECIMAL:
        case KEY_KIND_SECONDS: return print_decimal(*(const double *)field, key, text);
        }
        return -EINVAL;
}

int key_print_section(const void *object, const struct key_table *table, const char *section, struct buf *text)
{
        int r = 0;

        for (size_t i = 0; i < table->n && r >= 0; i++) {
                const void *field = const_field_of(object, &table->keys[i]);

                if (strcmp(table->keys[i].section, section) != 0)
                        continue;
                if (table->keys[i].kind <= KEY_KIND_WORD && !*(const void *const *)field)
                        continue;
                r = buf_printf(text, "%s=", table->keys[i].name);
                if (r >= 0)
                        r = print_value(field, &table->keys[i], text);
                if (r >= 0)
                        r = buf_add_string(text, "\n");
        }
        return r;
}
