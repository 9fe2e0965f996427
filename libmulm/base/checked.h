/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Arithmetic on numbers that came from outside: true and the result, or false on overflow.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_add(size_t a, size_t b, size_t *ret)
{
        return !__builtin_add_overflow(a, b, ret);
}

static inline bool checked_mul(size_t a, size_t b, size_t *ret)
{
        return !__builtin_mul_overflow(a, b, ret);
}

/* [offset, offset + length) lies within a buffer of `size` bytes. */
static inline bool checked_range(uint64_t offset, uint64_t length, size_t size)
{
        return offset <= size && length <= size - offset;
}

/* Rounds up to a multiple of `alignment`, a power of two. */
static inline bool checked_align(size_t value, size_t alignment, size_t *ret)
{
        size_t sum;

        if (!checked_add(value, alignment - 1, &sum))
                return false;
        *ret = sum & ~(alignment - 1);
        return true;
}
