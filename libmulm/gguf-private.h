/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What gguf.c (header and tensors) and gguf-values.c (keys) share; nobody else includes it.
 */
#pragma once

#include "libmulm/gguf.h"
#include "libmulm/reader.h"

struct gguf_value {
        struct gguf_string key;
        enum gguf_type type, element_type; /* the latter for arrays */
        const unsigned char *data;         /* of a number; of an array's elements */
        size_t n;                          /* elements of an array */
        struct gguf_string string;         /* GGUF_TYPE_STRING */
        struct gguf_string *strings;       /* array of strings: [n], allocated */
        int32_t *integers;                 /* array of 32-bit integers: [n], allocated because aligned */
        size_t offset;                     /* of the key in the file, for error sentences */
};

struct gguf {
        struct gguf_value *values; /* [n_values], sorted by key */
        size_t n_values;
        struct gguf_tensor *tensors; /* [n_tensors], sorted by name */
        size_t n_tensors;
};

/* Order of bytes, for sorting and searching. */
int gguf_compare_strings(struct gguf_string a, struct gguf_string b);

/* Reads the keys, which follow the header, into gguf->values. -EBADMSG, -ENOTSUP, -ENOMEM. */
int gguf_read_values(struct reader *reader, struct gguf *gguf, size_t n_values);
