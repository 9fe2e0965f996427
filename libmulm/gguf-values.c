/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The keys of a GGUF file and their values: reading, and looking up by binary search. See gguf.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/checked.h"
#include "libmulm/error.h"
#include "libmulm/gguf-private.h"

static const size_t type_bytes[_GGUF_TYPE_N] = {
        [GGUF_TYPE_UINT8] = 1,  [GGUF_TYPE_INT8] = 1,  [GGUF_TYPE_UINT16] = 2,  [GGUF_TYPE_INT16] = 2,
        [GGUF_TYPE_UINT32] = 4, [GGUF_TYPE_INT32] = 4, [GGUF_TYPE_FLOAT32] = 4, [GGUF_TYPE_BOOL] = 1,
        [GGUF_TYPE_UINT64] = 8, [GGUF_TYPE_INT64] = 8, [GGUF_TYPE_FLOAT64] = 8,
};

static const char *const type_names[_GGUF_TYPE_N] = {
        [GGUF_TYPE_UINT8] = "uint8",     [GGUF_TYPE_INT8] = "int8",     [GGUF_TYPE_UINT16] = "uint16",
        [GGUF_TYPE_INT16] = "int16",     [GGUF_TYPE_UINT32] = "uint32", [GGUF_TYPE_INT32] = "int32",
        [GGUF_TYPE_FLOAT32] = "float32", [GGUF_TYPE_BOOL] = "bool",     [GGUF_TYPE_STRING] = "string",
        [GGUF_TYPE_ARRAY] = "array",     [GGUF_TYPE_UINT64] = "uint64", [GGUF_TYPE_INT64] = "int64",
        [GGUF_TYPE_FLOAT64] = "float64",
};

int gguf_compare_strings(struct gguf_string a, struct gguf_string b)
{
        int order = memcmp(a.data, b.data, MIN(a.n_data, b.n_data));

        if (order != 0)
                return order;
        return (a.n_data > b.n_data) - (a.n_data < b.n_data);
}

static int compare_keys(const void *a, const void *b)
{
        return gguf_compare_strings(((const struct gguf_value *)a)->key, ((const struct gguf_value *)b)->key);
}

static int read_type(struct reader *reader, enum gguf_type *ret_type, const char *what, struct gguf_string key)
{
        size_t offset = reader->offset;
        uint32_t type;
        int r;

        r = reader_u32(reader, &type, what, key);
        if (r < 0)
                return r;
        if (type >= _GGUF_TYPE_N)
                return error_set(reader->error, -EBADMSG,
                                 "offset %zu: %s of '%.*s' is %" PRIu32 ", which is no GGUF type", offset, what,
                                 GGUF_STRING_ARGS(key), type);
        *ret_type = (enum gguf_type)type;
        return 0;
}

static int read_strings(struct reader *reader, struct gguf_value *value)
{
        int r;

        if (value->n > reader_left(reader) / sizeof(uint64_t))
                return error_set(reader->error, -EBADMSG,
                                 "offset %zu: array '%.*s' claims %zu strings, the file has %zu bytes left",
                                 reader->offset, GGUF_STRING_ARGS(value->key), value->n, reader_left(reader));
        value->strings = calloc(MAX(value->n, (size_t)1), sizeof(*value->strings));
        if (!value->strings)
                return error_no_memory(reader->error);
        for (size_t i = 0; i < value->n; i++) {
                r = reader_string(reader, &value->strings[i], "a string", value->key);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_numbers(struct reader *reader, struct gguf_value *value)
{
        size_t n_bytes;
        int r;

        if (!checked_mul(value->n, type_bytes[value->element_type], &n_bytes))
                n_bytes = SIZE_MAX;
        value->data = reader->data + reader->offset;
        r = reader_skip(reader, n_bytes, "the array", value->key);
        if (r < 0)
                return r;
        if (value->element_type != GGUF_TYPE_INT32 && value->element_type != GGUF_TYPE_UINT32)
                return 0;

        value->integers = malloc(MAX(n_bytes, (size_t)1));
        if (!value->integers)
                return error_no_memory(reader->error);
        memcpy(value->integers, value->data, n_bytes);
        return 0;
}

static int read_array(struct reader *reader, struct gguf_value *value)
{
        size_t offset = reader->offset;
        uint64_t n;
        int r;

        r = read_type(reader, &value->element_type, "the element type", value->key);
        if (r < 0)
                return r;
        if (value->element_type == GGUF_TYPE_ARRAY)
                return error_set(reader->error, -ENOTSUP, "offset %zu: key '%.*s' is an array of arrays", offset,
                                 GGUF_STRING_ARGS(value->key));
        r = reader_u64(reader, &n, "the array length", value->key);
        if (r < 0)
                return r;
        if (n > SIZE_MAX)
                return error_set(reader->error, -EBADMSG, "offset %zu: array '%.*s' claims %" PRIu64 " elements",
                                 offset, GGUF_STRING_ARGS(value->key), n);
        value->n = (size_t)n;
        return value->element_type == GGUF_TYPE_STRING ? read_strings(reader, value) : read_numbers(reader, value);
}

static int read_value(struct reader *reader, struct gguf_value *value)
{
        int r;

        value->offset = reader->offset;
        r = reader_string(reader, &value->key, "a key", (struct gguf_string){ "", 0 });
        if (r < 0)
                return r;
        if (value->key.n_data == 0)
                return error_set(reader->error, -EBADMSG, "offset %zu: a key without a name", value->offset);
        r = read_type(reader, &value->type, "the type", value->key);
        if (r < 0)
                return r;
        if (value->type == GGUF_TYPE_STRING)
                return reader_string(reader, &value->string, "the string", value->key);
        if (value->type == GGUF_TYPE_ARRAY)
                return read_array(reader, value);
        value->data = reader->data + reader->offset;
        return reader_skip(reader, type_bytes[value->type], "the value", value->key);
}

int gguf_read_values(struct reader *reader, struct gguf *gguf, size_t n_values)
{
        int r;

        gguf->values = calloc(MAX(n_values, (size_t)1), sizeof(*gguf->values));
        if (!gguf->values)
                return error_no_memory(reader->error);
        for (size_t i = 0; i < n_values; i++) {
                gguf->n_values = i + 1;
                r = read_value(reader, &gguf->values[i]);
                if (r < 0)
                        return r;
        }
        qsort(gguf->values, n_values, sizeof(*gguf->values), compare_keys);
        for (size_t i = 1; i < n_values; i++)
                if (compare_keys(&gguf->values[i - 1], &gguf->values[i]) == 0)
                        return error_set(reader->error, -EBADMSG, "offset %zu: key '%.*s' appears twice",
                                         MAX(gguf->values[i - 1].offset, gguf->values[i].offset),
                                         GGUF_STRING_ARGS(gguf->values[i].key));
        return 0;
}

static const struct gguf_value *find_value(const struct gguf *gguf, const char *key)
{
        struct gguf_value wanted = { .key = { key, strlen(key) } };

        return bsearch(&wanted, gguf->values, gguf->n_values, sizeof(*gguf->values), compare_keys);
}

static int wrong_type(const struct gguf_value *value, const char *wanted, struct mulm_error *error)
{
        return error_set(error, -EBADMSG, "offset %zu: key '%.*s' is %s%s, not %s", value->offset,
                         GGUF_STRING_ARGS(value->key), value->type == GGUF_TYPE_ARRAY ? "an array of " : "",
                         type_names[value->type == GGUF_TYPE_ARRAY ? value->element_type : value->type], wanted);
}

/* An integer of any width, sign-extended; false for other types. Negative ones come out above INT64_MAX. */
static bool widen(const struct gguf_value *value, uint64_t *ret_value)
{
        union {
                uint8_t u8;
                int8_t i8;
                uint16_t u16;
                int16_t i16;
                uint32_t u32;
                int32_t i32;
                uint64_t u64;
        } number = { 0 };

        if (value->type < _GGUF_TYPE_N && type_bytes[value->type] > 0)
                memcpy(&number, value->data, type_bytes[value->type]);
        switch (value->type) {
        case GGUF_TYPE_UINT8: *ret_value = number.u8; return true;
        case GGUF_TYPE_INT8: *ret_value = (uint64_t)(int64_t)number.i8; return true;
        case GGUF_TYPE_UINT16: *ret_value = number.u16; return true;
        case GGUF_TYPE_INT16: *ret_value = (uint64_t)(int64_t)number.i16; return true;
        case GGUF_TYPE_UINT32: *ret_value = number.u32; return true;
        case GGUF_TYPE_INT32: *ret_value = (uint64_t)(int64_t)number.i32; return true;
        case GGUF_TYPE_UINT64:
        case GGUF_TYPE_INT64: *ret_value = number.u64; return true;
        case GGUF_TYPE_FLOAT32:
        case GGUF_TYPE_BOOL:
        case GGUF_TYPE_STRING:
        case GGUF_TYPE_ARRAY:
        case GGUF_TYPE_FLOAT64:
        case _GGUF_TYPE_N: return false;
        }
        return false;
}

int gguf_get_u32(const struct gguf *gguf, const char *key, uint32_t *ret_value, struct mulm_error *error)
{
        const struct gguf_value *value = find_value(gguf, key);
        uint64_t number;

        if (!value)
                return -ENOENT;
        if (!widen(value, &number))
                return wrong_type(value, "an integer", error);
        if (number > UINT32_MAX)
                return error_set(error, -EBADMSG, "offset %zu: key '%s' is %" PRId64 ", out of range", value->offset,
                                 key, (int64_t)number);
        *ret_value = (uint32_t)number;
        return 0;
}

int gguf_get_f32(const struct gguf *gguf, const char *key, float *ret_value, struct mulm_error *error)
{
        const struct gguf_value *value = find_value(gguf, key);
        double wide;

        if (!value)
                return -ENOENT;
        if (value->type == GGUF_TYPE_FLOAT64) {
                memcpy(&wide, value->data, sizeof(wide));
                *ret_value = (float)wide;
                return 0;
        }
        if (value->type != GGUF_TYPE_FLOAT32)
                return wrong_type(value, "a float", error);
        memcpy(ret_value, value->data, sizeof(*ret_value));
        return 0;
}

int gguf_get_bool(const struct gguf *gguf, const char *key, bool *ret_value, struct mulm_error *error)
{
        const struct gguf_value *value = find_value(gguf, key);

        if (!value)
                return -ENOENT;
        if (value->type != GGUF_TYPE_BOOL)
                return wrong_type(value, "a bool", error);
        *ret_value = value->data[0] != 0;
        return 0;
}

int gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *ret_value, struct mulm_error *error)
{
        const struct gguf_value *value = find_value(gguf, key);

        if (!value)
                return -ENOENT;
        if (value->type != GGUF_TYPE_STRING)
                return wrong_type(value, "a string", error);
        *ret_value = value->string;
        return 0;
}

int gguf_get_strings(const struct gguf *gguf, const char *key, const struct gguf_string **ret_values, size_t *ret_n,
                     struct mulm_error *error)
{
        const struct gguf_value *value = find_value(gguf, key);

        if (!value)
                return -ENOENT;
        if (!value->strings)
                return wrong_type(value, "an array of strings", error);
        *ret_values = value->strings;
        *ret_n = value->n;
        return 0;
}

int gguf_get_i32s(const struct gguf *gguf, const char *key, const int32_t **ret_values, size_t *ret_n,
                  struct mulm_error *error)
{
        const struct gguf_value *value = find_value(gguf, key);

        if (!value)
                return -ENOENT;
        if (!value->integers)
                return wrong_type(value, "an array of 32-bit integers", error);
        *ret_values = value->integers;
        *ret_n = value->n;
        return 0;
}
