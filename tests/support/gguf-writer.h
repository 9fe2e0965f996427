/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Makes GGUF files, good and bad ones. Without memory it fails the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/buf.h"
#include "libmulm/gguf.h"

struct gguf_writer {
        struct buf keys, tensors, data;
        uint64_t n_keys, n_tensors;
        const char *without; /* the key or tensor that gguf_writer_tiny_model() leaves out; may be NULL */
};

void gguf_writer_done(struct gguf_writer *writer);

void gguf_writer_u32(struct gguf_writer *writer, const char *key, uint32_t value);
void gguf_writer_f32(struct gguf_writer *writer, const char *key, float value);
void gguf_writer_bool(struct gguf_writer *writer, const char *key, bool value);
void gguf_writer_string(struct gguf_writer *writer, const char *key, const char *value);
void gguf_writer_strings(struct gguf_writer *writer, const char *key, const char *const *values, size_t n);
void gguf_writer_i32s(struct gguf_writer *writer, const char *key, const int32_t *values, size_t n);

/* Any value: its bytes as they stand in the file. */
void gguf_writer_value(struct gguf_writer *writer, const char *key, uint32_t type, const void *value, size_t n_value);

/* n_rows 0: a vector. The data is zeros, aligned to 32. */
void gguf_writer_tensor(struct gguf_writer *writer, const char *name, uint32_t type, uint64_t n_columns,
                        uint64_t n_rows);

/* A table entry with any content; the data is what is there already. */
void gguf_writer_entry(struct gguf_writer *writer, const char *name, uint32_t n_dims, const uint64_t *dims,
                       uint32_t type, uint64_t offset);

/* The file, in *ret_file (BUF_NULL before). */
void gguf_writer_finish(const struct gguf_writer *writer, struct buf *ret_file);

/* The keys of a tokenizer: the 256 bytes as tokens 0 to 255 in the order of their stand-ins' code points, "he" 256,
 * "ll" 257, "hell" 258, then <|im_start|> 259, <|im_end|> 260, <|endoftext|> 261, and ChatML as the template. */
void gguf_writer_tiny_tokenizer(struct gguf_writer *writer);

/* A whole model of two layers, 32 dimensions, two heads, one KV head and 64 feed-forward dimensions. */
void gguf_writer_tiny_model(struct gguf_writer *writer);
