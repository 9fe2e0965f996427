/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Finds the key that an assignment is for and says what is wrong with it; `key` knows the values. See settings.h.
 */
#include "daemon/core/settings.h"

#include <errno.h>
#include <string.h>

#include "daemon/core/key.h"
#include "daemon/core/value.h"
#include "libmulm/base/macro.h"

#define DISTANCE_MAX 2 /* edits up to which a misspelt name is taken for a known one */

int settings_init(struct settings *settings)
{
        int r;

        *settings = (struct settings){ 0 };
        r = key_restore_all(settings, &key_settings);
        if (r < 0)
                settings_done(settings);
        return r;
}

void settings_done(struct settings *settings)
{
        key_release_all(settings, &key_settings);
        for (size_t i = 0; i < settings->n_endpoints; i++) {
                key_release_all(&settings->endpoints[i], &key_endpoints);
                free(settings->endpoints[i].name);
                free(settings->endpoints[i].place);
        }
        free(settings->endpoints);
        prompts_done(&settings->prompts);
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
        r = endpoint->name && endpoint->place ? key_restore_all(endpoint, &key_endpoints) : -ENOMEM;
        if (r < 0) {
                key_release_all(endpoint, &key_endpoints);
                free(endpoint->name);
                free(endpoint->place);
                settings->n_endpoints--;
                return r;
        }
        *ret_endpoint = endpoint;
        return 0;
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
                [KEY_KIND_TEXT] = "text",
                [KEY_KIND_PATH] = "an absolute path",
                [KEY_KIND_NAME] = "a name of letters, digits, '.', '-' and '_'",
                [KEY_KIND_NAMES] = "up to 16 different names of letters, digits, '.', '-' and '_'",
                [KEY_KIND_URL] = "http:// or https://, a host and perhaps a path, without user, query and fragment",
                [KEY_KIND_JSON] = "a JSON object",
        };
        int r = begin_error(error, place);

        if (r >= 0)
                r = buf_printf(error, "[%s] %s: ", section, key->name);
        if (r < 0)
                return r;
        if (key->kind == KEY_KIND_DECIMAL && key->words)
                r = buf_printf(error, "\"%s\" is neither \"%s\" nor a number from %.10g to %.10g", value,
                               key->words[0], key->min, key->max);
        else if (key->kind <= KEY_KIND_JSON)
                r = buf_printf(error, "wanted is %s", expected[key->kind]);
        else if (key->words) {
                r = buf_printf(error, "\"%s\" is none of", value);
                for (size_t i = 0; r >= 0 && key->words[i]; i++)
                        r = buf_printf(error, "%s \"%s\"", i > 0 ? "," : "", key->words[i]);
        } else
                r = buf_printf(error, "\"%s\" is no %s from %.10g to %.10g", value,
                               key->kind == KEY_KIND_SECONDS   ? "time in seconds (or with s, ms, min)"
                               : key->kind == KEY_KIND_DECIMAL ? "number"
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

static int refuse_key(const struct key_table *table, const char *table_section, const char *section, const char *name,
                      const char *place, struct buf *error)
{
        const char *best = NULL;
        size_t distance = DISTANCE_MAX + 1;

        for (size_t i = 0; i < table->n; i++)
                if (strcmp(table->keys[i].section, table_section) == 0)
                        consider(name, table->keys[i].name, &best, &distance);
        return refuse_unknown(section, name, best, place, error);
}

static int set_endpoint(struct settings *settings, const char *section, const char *name, const char *value,
                        const struct settings_place *place, const char *place_text, struct buf *error)
{
        const char *endpoint_name = section + strlen(KEY_ENDPOINT_PREFIX);
        const struct key *key = key_find(&key_endpoints, KEY_ENDPOINT_PREFIX, name);
        struct settings_endpoint *endpoint = NULL;
        int r;

        if (!value_is_name(endpoint_name) || settings->n_endpoints == KEY_ENDPOINTS_MAX) {
                r = begin_error(error, place_text);
                if (r >= 0)
                        r = buf_printf(error, "[%s] %s: wanted are up to %d endpoints with %s", section, name,
                                       KEY_ENDPOINTS_MAX, "names of letters, digits, '.', '-' and '_'");
                return r < 0 ? r : -EINVAL;
        }
        if (!key)
                return refuse_key(&key_endpoints, KEY_ENDPOINT_PREFIX, section, name, place_text, error);

        for (size_t i = 0; i < settings->n_endpoints; i++)
                if (strcmp(settings->endpoints[i].name, endpoint_name) == 0)
                        endpoint = &settings->endpoints[i];
        r = endpoint ? 0 : add_endpoint(settings, endpoint_name, place, &endpoint);
        if (r < 0)
                return r;
        r = *value ? key_store(endpoint, key, value) : key_restore(endpoint, key);
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
        if (strncmp(section, KEY_ENDPOINT_PREFIX, strlen(KEY_ENDPOINT_PREFIX)) == 0)
                return set_endpoint(settings, section, name, value, place, place_text, error);

        for (size_t i = 0; key_sections[i]; i++)
                consider(section, key_sections[i], &best, &distance);
        if (!best || strcmp(section, best) != 0)
                return refuse_unknown(section, NULL, best, place_text, error);
        key = key_find(&key_settings, section, name);
        if (!key)
                return refuse_key(&key_settings, section, section, name, place_text, error);

        r = *value ? key_store(settings, key, value) : key_restore(settings, key);
        if (r == -EINVAL)
                return refuse_value(key, section, value, place_text, error);
        if (r >= 0) {
                free(settings->places[key - key_settings.keys]);
                settings->places[key - key_settings.keys] = STEAL(place_text);
        }
        return r;
}

/* Where a key outside of endpoints was set; "" where it has its default. */
static const char *place_of(const struct settings *settings, const char *section, const char *name)
{
        const char *place = settings->places[key_find(&key_settings, section, name) - key_settings.keys];

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
                r = buf_printf(error, "[" KEY_ENDPOINT_PREFIX "%s] %s: %s", endpoint->name, key, problem);
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
                        r = buf_printf(error, "[Cloud] Endpoints: there is no section [" KEY_ENDPOINT_PREFIX "%s]",
                                       settings->endpoint_names[i]);
                bad = -EINVAL;
        }
        for (size_t i = 0; i < settings->n_endpoints && r != -ENOMEM; i++) {
                r = check_endpoint(&settings->endpoints[i], error);
                bad = r < 0 ? r : bad;
        }
        return r == -ENOMEM ? r : bad;
}

int settings_print(const struct settings *settings, struct buf *text)
{
        int r = 0;

        for (size_t i = 0; key_sections[i] && r >= 0; i++) {
                r = buf_printf(text, "%s[%s]\n", i > 0 ? "\n" : "", key_sections[i]);
                if (r >= 0)
                        r = key_print_section(settings, &key_settings, key_sections[i], text);
        }
        for (size_t i = 0; i < settings->n_endpoints && r >= 0; i++) {
                const struct settings_endpoint *endpoint = &settings->endpoints[i];

                r = buf_printf(text, "\n[" KEY_ENDPOINT_PREFIX "%s]\n", endpoint->name);
                if (r >= 0)
                        r = key_print_section(endpoint, &key_endpoints, KEY_ENDPOINT_PREFIX, text);
        }
        return r;
}
