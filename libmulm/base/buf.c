/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A growing array of bytes. See buf.h.
 */
#include "libmulm/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libmulm/base/checked.h"

#define BUF_MIN_CAPACITY 64

void buf_done(struct buf *buf)
{
        free(buf->data);
        *buf = BUF_NULL;
}

void buf_clear(struct buf *buf)
{
        buf_truncate(buf, 0);
}

int buf_reserve(struct buf *buf, size_t n)
{
        size_t need, capacity;
        char *data;

        if (!checked_add(buf->n, n, &need) || !checked_add(need, 1, &need))
                return -ENOMEM;
        if (need <= buf->capacity)
                return 0;

        if (!checked_mul(buf->capacity, 2, &capacity))
                return -ENOMEM;
        capacity = MAX(MAX(capacity, need), (size_t)BUF_MIN_CAPACITY);
        data = realloc(buf->data, capacity);
        if (!data)
                return -ENOMEM;
        data[buf->n] = '\0';
        buf->data = data;
        buf->capacity = capacity;
        return 0;
}

int buf_add(struct buf *buf, const void *data, size_t n)
{
        int r;

        if (n == 0)
                return 0;
        r = buf_reserve(buf, n);
        if (r < 0)
                return r;
        memcpy(buf->data + buf->n, data, n);
        buf->n += n;
        buf->data[buf->n] = '\0';
        return 0;
}

int buf_add_string(struct buf *buf, const char *string)
{
        return buf_add(buf, string, strlen(string));
}

int buf_printf(struct buf *buf, const char *format, ...)
{
        va_list ap;
        int n, r;

        va_start(ap, format);
        n = vsnprintf(NULL, 0, format, ap);
        va_end(ap);
        if (n < 0)
                return -EINVAL;
        r = buf_reserve(buf, (size_t)n);
        if (r < 0)
                return r;
        va_start(ap, format);
        (void)vsnprintf(buf->data + buf->n, (size_t)n + 1, format, ap);
        va_end(ap);
        buf->n += (size_t)n;
        return 0;
}

void buf_drop_front(struct buf *buf, size_t n)
{
        if (n == 0)
                return;
        memmove(buf->data, buf->data + n, buf->n - n + 1);
        buf->n -= n;
}

void buf_truncate(struct buf *buf, size_t n)
{
        if (!buf->data)
                return;
        buf->n = n;
        buf->data[n] = '\0';
}

const char *buf_string(const struct buf *buf)
{
        return buf->data ? buf->data : "";
}

char *buf_steal(struct buf *buf)
{
        char *data;

        if (buf_reserve(buf, 0) < 0)
                return NULL;
        data = buf->data;
        *buf = BUF_NULL;
        return data;
}
