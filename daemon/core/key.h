/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The keys of mulmd.conf: one table says section, name, type, range and default of each, and where its value stands
 * in struct settings or struct settings_endpoint. Pure; for `settings` alone.
 */
#pragma once

#include <stddef.h>

#include "libmulm/base/buf.h"

#define KEY_ENDPOINT_PREFIX "Endpoint " /* of the section of each endpoint; their keys have it for a section */
#define KEY_ENDPOINTS_MAX   16

enum key_kind {
        KEY_KIND_TEXT,     /* char *: any but empty */
        KEY_KIND_PATH,     /* char * */
        KEY_KIND_NAME,     /* char * */
        KEY_KIND_NAMES,    /* settings->endpoint_names */
        KEY_KIND_URL,      /* char *: without trailing slashes */
        KEY_KIND_JSON,     /* char *: an object */
        KEY_KIND_WORD,     /* char *: one of `words` */
        KEY_KIND_CHOICE,   /* an enum: the index in `words` */
        KEY_KIND_UNSIGNED, /* unsigned */
        KEY_KIND_SIZE,     /* size_t */
        KEY_KIND_INTEGER,  /* uint64_t */
        KEY_KIND_DECIMAL,  /* double; words[0], where there is one, stands for SETTINGS_OF_MODEL */
        KEY_KIND_SECONDS,  /* double */
};

struct key {
        const char *section, *name;
        enum key_kind kind;
        size_t offset;       /* in struct settings, or in struct settings_endpoint */
        const char *initial; /* as it would be written; NULL: none */
        double min, max;     /* of numbers */
        const char *const *words;
};

/* A table; `object` below is the struct that its keys lie in. */
struct key_table {
        const struct key *keys;
        size_t n;
};

extern const struct key_table key_settings;  /* of struct settings */
extern const struct key_table key_endpoints; /* of struct settings_endpoint */

/* NULL-terminated, in the order of the file: all sections but those of endpoints. */
extern const char *const key_sections[];

/* NULL where there is none of that name. */
const struct key *key_find(const struct key_table *table, const char *section, const char *name);

/* Sets the value from text. 0; -EINVAL for what is no such value, which changes nothing; -ENOMEM. */
int key_store(void *object, const struct key *key, const char *value);

/* Sets the default: of one key, of all. 0, -ENOMEM. */
int key_restore(void *object, const struct key *key);
int key_restore_all(void *object, const struct key_table *table);

/* Frees what all values own. */
void key_release_all(void *object, const struct key_table *table);

/* Appends "Key=value" of a section, a line for each key that has a value. 0, -ENOMEM. */
int key_print_section(const void *object, const struct key_table *table, const char *section, struct buf *text);
