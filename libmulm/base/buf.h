/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A growing array of bytes, always terminated by a NUL that is not counted, so that text in it is a C string too.
 * A failed call leaves the content as it was.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "libmulm/base/macro.h"

struct buf {
        char *data; /* NULL while nothing was ever added */
        size_t n, capacity;
};

#define BUF_NULL ((struct buf){ 0 })

void buf_done(struct buf *buf);

/* Empties, keeps the memory. */
void buf_clear(struct buf *buf);

/* Room for `n` more bytes, so that as many can be added without failing. 0 or -ENOMEM, as below. */
int buf_reserve(struct buf *buf, size_t n);
int buf_add(struct buf *buf, const void *data, size_t n);
int buf_add_string(struct buf *buf, const char *string);
int buf_printf(struct buf *buf, const char *format, ...) _printf_(2, 3);

/* Drops the first or keeps only the first `n` bytes; n <= buf->n. */
void buf_drop_front(struct buf *buf, size_t n);
void buf_truncate(struct buf *buf, size_t n);

/* The content as a string, "" when empty. */
const char *buf_string(const struct buf *buf);

/* Moves the string out to the caller, who frees it; NULL without memory (only when empty and never used). */
char *buf_steal(struct buf *buf);
