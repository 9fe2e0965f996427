/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A cursor over the bytes of a file: little-endian numbers and counted strings, never past the end. Used by gguf.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libmulm/mulm.h"

/* Bytes in the file, not terminated. */
struct gguf_string {
        const char *data;
        size_t n_data;
};

/* For "%.*s": as much of a string from a file as a sentence has room for. */
#define GGUF_STRING_ARGS(s) (int)((s).n_data < 80 ? (s).n_data : 80), (s).data

struct reader {
        const unsigned char *data;
        size_t n_data, offset;
        struct mulm_error *error;
};

size_t reader_left(const struct reader *reader);

/* Each moves the cursor behind what it read; -EBADMSG where the file ends before, with a sentence that calls what was
 * being read `what` and, where `owner` is not empty, names the key or tensor that it belongs to. */
int reader_skip(struct reader *reader, uint64_t n, const char *what, struct gguf_string owner);
int reader_u32(struct reader *reader, uint32_t *ret_value, const char *what, struct gguf_string owner);
int reader_u64(struct reader *reader, uint64_t *ret_value, const char *what, struct gguf_string owner);
int reader_string(struct reader *reader, struct gguf_string *ret_value, const char *what, struct gguf_string owner);
