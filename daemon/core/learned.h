/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * How endpoints turned out to want to be asked, for each URL, dialect and model; with a text form to be kept in the
 * state directory. Bounded: the shape that was learned first goes first. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/dialect.h"
#include "daemon/core/settings.h"

#define LEARNED_MAX      64
#define LEARNED_TEXT_MAX (128u << 10) /* bytes of the text form that are read */

struct learned_entry {
        char *key; /* URL, dialect and model, as in the text form */
        struct dialect_shape shape;
};

struct learned {
        struct learned_entry entries[LEARNED_MAX]; /* oldest first */
        size_t n;
};

void learned_init(struct learned *learned);
void learned_done(struct learned *learned);

/* Appends what an endpoint is known by: URL, dialect and model, one line. 0, -ENOMEM. */
int learned_key(const struct settings_endpoint *endpoint, struct buf *key);

/* False where nothing was learned. */
bool learned_find(const struct learned *learned, const struct settings_endpoint *endpoint,
                  struct dialect_shape *ret_shape);

/* 1 where that is news, 0 where it was known, -ENOMEM. */
int learned_note(struct learned *learned, const struct settings_endpoint *endpoint,
                 const struct dialect_shape *shape);

/* Appends a line for each: URL, dialect, model, then the five parts of the shape by name. 0, -ENOMEM. */
int learned_print(const struct learned *learned, struct buf *text);

/* Notes what the text says. Lines that cannot be understood, as of a newer version, are skipped. 0, -ENOMEM. */
int learned_parse(struct learned *learned, const char *text, size_t n);
