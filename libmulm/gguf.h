/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Reads a GGUF v3 container (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata and tensor table.
 * Knows nothing of models. Every offset, count and length is checked against the bytes at hand, by checked
 * arithmetic; what it hands out points into them. Refuses big-endian files, versions other than 3, split files,
 * nested arrays, duplicate keys and tensors, tensors of a type that libmulm does not run, and tensors that are empty,
 * overlap or leave the file. Memory used grows with the file, never with what a count in it claims.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/macro.h"
#include "libmulm/mulm.h"
#include "libmulm/quant.h"
#include "libmulm/reader.h"

/* Values of gguf_metadata_value_type. */
enum gguf_type {
        GGUF_TYPE_UINT8,
        GGUF_TYPE_INT8,
        GGUF_TYPE_UINT16,
        GGUF_TYPE_INT16,
        GGUF_TYPE_UINT32,
        GGUF_TYPE_INT32,
        GGUF_TYPE_FLOAT32,
        GGUF_TYPE_BOOL,
        GGUF_TYPE_STRING,
        GGUF_TYPE_ARRAY,
        GGUF_TYPE_UINT64,
        GGUF_TYPE_INT64,
        GGUF_TYPE_FLOAT64,
        _GGUF_TYPE_N,
};

struct gguf_tensor {
        struct gguf_string name;
        enum quant_type type;
        uint32_t n_dims;
        uint64_t dims[4]; /* dims[0] is the contiguous one: a [rows x columns] matrix has dims { columns, rows };
                             unused ones are 1 */
        const void *data; /* in the file, n_data bytes, at a multiple of general.alignment from its start */
        size_t n_data;
};

struct gguf;

/* Parses; `data` must outlive the result. -EBADMSG, -ENOTSUP, -ENOMEM. */
int gguf_new(struct gguf **ret_gguf, const void *data, size_t n_data, struct mulm_error *error);
struct gguf *gguf_free(struct gguf *gguf);
DEFINE_CLEANUP(struct gguf *, gguf_free)

/* Look-ups by key: 0 and the value, -ENOENT where the key is missing, -EBADMSG where it has another type or does not
 * fit. Integers of any width are accepted where the value fits. No error sentence for -ENOENT. */
int gguf_get_u32(const struct gguf *gguf, const char *key, uint32_t *ret_value, struct mulm_error *error);
int gguf_get_f32(const struct gguf *gguf, const char *key, float *ret_value, struct mulm_error *error);
int gguf_get_bool(const struct gguf *gguf, const char *key, bool *ret_value, struct mulm_error *error);
int gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *ret_value,
                    struct mulm_error *error);

/* An array of strings, or of 32-bit integers (INT32 or UINT32); the arrays belong to the gguf. */
int gguf_get_strings(const struct gguf *gguf, const char *key, const struct gguf_string **ret_values, size_t *ret_n,
                     struct mulm_error *error);
int gguf_get_i32s(const struct gguf *gguf, const char *key, const int32_t **ret_values, size_t *ret_n,
                  struct mulm_error *error);

/* NULL where there is none. Tensors are ordered by name. */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name);
size_t gguf_n_tensors(const struct gguf *gguf);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t i);
