/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Bounds-checked reading. See reader.h.
 */
#include "libmulm/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "libmulm/base/checked.h"
#include "libmulm/error.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are used as they lie in the file");

size_t reader_left(const struct reader *reader)
{
        return reader->n_data - reader->offset;
}

int reader_skip(struct reader *reader, uint64_t n, const char *what, struct gguf_string owner)
{
        if (!checked_range(reader->offset, n, reader->n_data))
                return error_set(reader->error, -EBADMSG,
                                 "offset %zu: %s%s%.*s%s needs %" PRIu64 " bytes, the file has %zu left",
                                 reader->offset, what, owner.n_data > 0 ? " of '" : "", GGUF_STRING_ARGS(owner),
                                 owner.n_data > 0 ? "'" : "", n, reader_left(reader));
        reader->offset += (size_t)n;
        return 0;
}

int reader_u32(struct reader *reader, uint32_t *ret_value, const char *what, struct gguf_string owner)
{
        int r = reader_skip(reader, sizeof(*ret_value), what, owner);

        if (r < 0)
                return r;
        memcpy(ret_value, reader->data + reader->offset - sizeof(*ret_value), sizeof(*ret_value));
        return 0;
}

int reader_u64(struct reader *reader, uint64_t *ret_value, const char *what, struct gguf_string owner)
{
        int r = reader_skip(reader, sizeof(*ret_value), what, owner);

        if (r < 0)
                return r;
        memcpy(ret_value, reader->data + reader->offset - sizeof(*ret_value), sizeof(*ret_value));
        return 0;
}

int reader_string(struct reader *reader, struct gguf_string *ret_value, const char *what, struct gguf_string owner)
{
        uint64_t n;
        int r;

        r = reader_u64(reader, &n, what, owner);
        if (r < 0)
                return r;
        r = reader_skip(reader, n, what, owner);
        if (r < 0)
                return r;
        *ret_value = (struct gguf_string){
                .data = (const char *)reader->data + reader->offset - (size_t)n,
                .n_data = (size_t)n,
        };
        return 0;
}
