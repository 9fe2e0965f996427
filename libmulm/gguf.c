/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * GGUF v3. The file is, all little-endian:
 *
 *      "GGUF"  u32 version  u64 n_tensors  u64 n_keys
 *      n_keys times:     string key, u32 type, value        string: u64 length, bytes
 *      n_tensors times:  string name, u32 n_dims, u64 dims[n_dims], u32 type, u64 offset
 *      padding to general.alignment, then the tensors' data; offsets count from here
 *
 * An array value is u32 element type, u64 count, elements. Keys are read by gguf-values.c. See gguf.h for what is
 * refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/checked.h"
#include "libmulm/error.h"
#include "libmulm/gguf-private.h"

#define GGUF_VERSION           3
#define GGUF_DEFAULT_ALIGNMENT 32

/* Limits with ample room above any model known; the largest have some hundred keys and a few thousand tensors. */
#define GGUF_MAX_KEYS      65536
#define GGUF_MAX_TENSORS   65536
#define GGUF_MAX_DIMS      4
#define GGUF_MAX_ALIGNMENT (1u << 20)

/* The fewest bytes that a key (length, one character, type, one byte) and a tensor (length, one character, n_dims,
 * one dimension, type, offset) take: a count beyond what is left of the file is a lie, found before any allocation.
 */
#define GGUF_MIN_KEY_BYTES    (8 + 1 + 4 + 1)
#define GGUF_MIN_TENSOR_BYTES (8 + 1 + 4 + 8 + 4 + 8)

static const struct gguf_string no_owner = { "", 0 };

static int compare_names(const void *a, const void *b)
{
        return gguf_compare_strings(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

static int compare_data(const void *a, const void *b)
{
        const struct gguf_tensor *left = a, *right = b;

        return (left->data > right->data) - (left->data < right->data);
}

/* dims and type to n_data. */
static int size_tensor(struct reader *reader, struct gguf_tensor *tensor, uint32_t type, size_t offset)
{
        size_t n_values = 1, n_blocks;

        for (uint32_t i = 0; i < tensor->n_dims; i++) {
                if (tensor->dims[i] == 0)
                        return error_set(reader->error, -EBADMSG,
                                         "offset %zu: tensor '%.*s' has no elements in dimension %" PRIu32, offset,
                                         GGUF_STRING_ARGS(tensor->name), i);
                if (tensor->dims[i] > SIZE_MAX || !checked_mul(n_values, (size_t)tensor->dims[i], &n_values))
                        return error_set(reader->error, -EBADMSG,
                                         "offset %zu: tensor '%.*s' has more elements than can be counted", offset,
                                         GGUF_STRING_ARGS(tensor->name));
        }
        if (!quant_name(type))
                return error_set(reader->error, -ENOTSUP,
                                 "offset %zu: tensor '%.*s' has type %" PRIu32
                                 " (%s); libmulm runs F32, F16, Q8_0, Q4_0 and Q4_1",
                                 offset, GGUF_STRING_ARGS(tensor->name), type, quant_any_name(type));
        tensor->type = (enum quant_type)type;
        if (tensor->dims[0] % quant_block_values(type) != 0)
                return error_set(reader->error, -EBADMSG,
                                 "offset %zu: tensor '%.*s' has rows of %" PRIu64
                                 " values, no multiple of the %zu in a block of %s",
                                 offset, GGUF_STRING_ARGS(tensor->name), tensor->dims[0], quant_block_values(type),
                                 quant_name(type));
        n_blocks = n_values / quant_block_values(type);
        if (!checked_mul(n_blocks, quant_block_bytes(type), &tensor->n_data))
                return error_set(reader->error, -EBADMSG, "offset %zu: tensor '%.*s' is larger than memory", offset,
                                 GGUF_STRING_ARGS(tensor->name));
        return 0;
}

static int read_tensor(struct reader *reader, struct gguf_tensor *tensor, uint64_t *ret_data_offset)
{
        size_t offset = reader->offset;
        uint32_t type;
        int r;

        *tensor = (struct gguf_tensor){ .dims = { 1, 1, 1, 1 } };
        r = reader_string(reader, &tensor->name, "a tensor name", no_owner);
        if (r < 0)
                return r;
        if (tensor->name.n_data == 0)
                return error_set(reader->error, -EBADMSG, "offset %zu: a tensor without a name", offset);
        r = reader_u32(reader, &tensor->n_dims, "the number of dimensions", tensor->name);
        if (r < 0)
                return r;
        if (tensor->n_dims == 0 || tensor->n_dims > GGUF_MAX_DIMS)
                return error_set(reader->error, -EBADMSG,
                                 "offset %zu: tensor '%.*s' has %" PRIu32 " dimensions; 1 to %d are possible", offset,
                                 GGUF_STRING_ARGS(tensor->name), tensor->n_dims, GGUF_MAX_DIMS);
        for (uint32_t i = 0; i < tensor->n_dims; i++) {
                r = reader_u64(reader, &tensor->dims[i], "a dimension", tensor->name);
                if (r < 0)
                        return r;
        }
        r = reader_u32(reader, &type, "the tensor type", tensor->name);
        if (r < 0)
                return r;
        r = reader_u64(reader, ret_data_offset, "the data offset", tensor->name);
        if (r < 0)
                return r;
        return size_tensor(reader, tensor, type, offset);
}

/* Where the tensors lie. Offsets in the file count from the aligned end of the tensor table. */
static int place_tensors(struct reader *reader, struct gguf *gguf, const uint64_t *data_offsets, size_t alignment)
{
        size_t start;

        if (!checked_align(reader->offset, alignment, &start) || start > reader->n_data)
                start = reader->n_data;
        for (size_t i = 0; i < gguf->n_tensors; i++) {
                struct gguf_tensor *tensor = &gguf->tensors[i];

                if (data_offsets[i] % alignment != 0)
                        return error_set(reader->error, -EBADMSG,
                                         "tensor '%.*s' lies at data offset %" PRIu64
                                         ", no multiple of the alignment %zu",
                                         GGUF_STRING_ARGS(tensor->name), data_offsets[i], alignment);
                if (!checked_range(data_offsets[i], tensor->n_data, reader->n_data - start))
                        return error_set(reader->error, -EBADMSG,
                                         "offset %zu: tensor '%.*s' of %zu bytes at data offset %" PRIu64
                                         " leaves the file of %zu bytes",
                                         start, GGUF_STRING_ARGS(tensor->name), tensor->n_data, data_offsets[i],
                                         reader->n_data);
                tensor->data = reader->data + start + (size_t)data_offsets[i];
        }
        return 0;
}

static int check_tensors(struct reader *reader, struct gguf *gguf)
{
        qsort(gguf->tensors, gguf->n_tensors, sizeof(*gguf->tensors), compare_data);
        for (size_t i = 1; i < gguf->n_tensors; i++) {
                const struct gguf_tensor *left = &gguf->tensors[i - 1], *right = &gguf->tensors[i];

                if ((const unsigned char *)left->data + left->n_data > (const unsigned char *)right->data)
                        return error_set(reader->error, -EBADMSG, "offset %td: tensors '%.*s' and '%.*s' overlap",
                                         (const unsigned char *)right->data - reader->data,
                                         GGUF_STRING_ARGS(left->name), GGUF_STRING_ARGS(right->name));
        }
        qsort(gguf->tensors, gguf->n_tensors, sizeof(*gguf->tensors), compare_names);
        for (size_t i = 1; i < gguf->n_tensors; i++)
                if (compare_names(&gguf->tensors[i - 1], &gguf->tensors[i]) == 0)
                        return error_set(reader->error, -EBADMSG, "tensor '%.*s' appears twice",
                                         GGUF_STRING_ARGS(gguf->tensors[i].name));
        return 0;
}

static int read_tensors(struct reader *reader, struct gguf *gguf, size_t n_tensors)
{
        _cleanup_free_ uint64_t *data_offsets = NULL;
        uint32_t alignment = GGUF_DEFAULT_ALIGNMENT;
        int r;

        r = gguf_get_u32(gguf, "general.alignment", &alignment, reader->error);
        if (r < 0 && r != -ENOENT)
                return r;
        if (alignment < 8 || alignment > GGUF_MAX_ALIGNMENT || (alignment & (alignment - 1)) != 0)
                return error_set(reader->error, -EBADMSG,
                                 "key 'general.alignment' is %" PRIu32 ", no power of two from 8 to %u", alignment,
                                 GGUF_MAX_ALIGNMENT);

        gguf->tensors = calloc(MAX(n_tensors, (size_t)1), sizeof(*gguf->tensors));
        data_offsets = calloc(MAX(n_tensors, (size_t)1), sizeof(*data_offsets));
        if (!gguf->tensors || !data_offsets)
                return error_no_memory(reader->error);
        for (size_t i = 0; i < n_tensors; i++) {
                r = read_tensor(reader, &gguf->tensors[i], &data_offsets[i]);
                if (r < 0)
                        return r;
        }
        gguf->n_tensors = n_tensors;
        r = place_tensors(reader, gguf, data_offsets, alignment);
        if (r < 0)
                return r;
        return check_tensors(reader, gguf);
}

static int check_count(struct reader *reader, uint64_t n, const char *what, uint64_t most, size_t bytes_each)
{
        if (n > reader_left(reader) / bytes_each)
                return error_set(reader->error, -EBADMSG,
                                 "the header claims %" PRIu64 " %s, more than a file of %zu bytes can hold", n, what,
                                 reader->n_data);
        if (n > most)
                return error_set(reader->error, -ENOTSUP,
                                 "the header claims %" PRIu64 " %s; libmulm reads at most %" PRIu64, n, what, most);
        return 0;
}

static int read_header(struct reader *reader, uint64_t *ret_n_tensors, uint64_t *ret_n_values)
{
        uint32_t version;
        int r;

        r = reader_skip(reader, 4, "the magic number", no_owner);
        if (r < 0)
                return r;
        if (memcmp(reader->data, "GGUF", 4) != 0)
                return error_set(reader->error, -EBADMSG, "offset 0: not a GGUF file");
        r = reader_u32(reader, &version, "the version", no_owner);
        if (r < 0)
                return r;
        if (version == __builtin_bswap32(GGUF_VERSION))
                return error_set(reader->error, -ENOTSUP, "offset 4: a big-endian GGUF file");
        if (version != GGUF_VERSION)
                return error_set(reader->error, -ENOTSUP, "offset 4: GGUF version %" PRIu32 "; libmulm reads %d",
                                 version, GGUF_VERSION);
        r = reader_u64(reader, ret_n_tensors, "the number of tensors", no_owner);
        if (r < 0)
                return r;
        r = reader_u64(reader, ret_n_values, "the number of keys", no_owner);
        if (r < 0)
                return r;
        r = check_count(reader, *ret_n_values, "keys", GGUF_MAX_KEYS, GGUF_MIN_KEY_BYTES);
        if (r < 0)
                return r;
        return check_count(reader, *ret_n_tensors, "tensors", GGUF_MAX_TENSORS, GGUF_MIN_TENSOR_BYTES);
}

static int refuse_split(const struct gguf *gguf, struct mulm_error *error)
{
        uint32_t n_files = 1;
        int r;

        r = gguf_get_u32(gguf, "split.count", &n_files, error);
        if (r < 0 && r != -ENOENT)
                return r;
        if (n_files > 1)
                return error_set(error, -ENOTSUP, "key 'split.count': one of %" PRIu32 " files; merge them first",
                                 n_files);
        return 0;
}

int gguf_new(struct gguf **ret_gguf, const void *data, size_t n_data, struct mulm_error *error)
{
        _cleanup_(gguf_freep) struct gguf *gguf = NULL;
        struct reader reader = { .data = data, .n_data = n_data, .error = error };
        uint64_t n_tensors, n_values;
        int r;

        gguf = calloc(1, sizeof(*gguf));
        if (!gguf)
                return error_no_memory(error);
        r = read_header(&reader, &n_tensors, &n_values);
        if (r < 0)
                return r;
        r = gguf_read_values(&reader, gguf, (size_t)n_values);
        if (r < 0)
                return r;
        r = refuse_split(gguf, error);
        if (r < 0)
                return r;
        r = read_tensors(&reader, gguf, (size_t)n_tensors);
        if (r < 0)
                return r;
        *ret_gguf = STEAL(gguf);
        return 0;
}

struct gguf *gguf_free(struct gguf *gguf)
{
        if (!gguf)
                return NULL;
        for (size_t i = 0; i < gguf->n_values; i++) {
                free(gguf->values[i].strings);
                free(gguf->values[i].integers);
        }
        free(gguf->values);
        free(gguf->tensors);
        free(gguf);
        return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name)
{
        struct gguf_tensor wanted = { .name = { name, strlen(name) } };

        return bsearch(&wanted, gguf->tensors, gguf->n_tensors, sizeof(*gguf->tensors), compare_names);
}

size_t gguf_n_tensors(const struct gguf *gguf)
{
        return gguf->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t i)
{
        return &gguf->tensors[i];
}
