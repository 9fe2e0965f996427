/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the language lacks: cleanup attributes, array length, minimum and maximum. The only place for compiler
 * attributes outside kernels/.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each argument is evaluated twice: no side effects in them. <sys/param.h>, which <uv.h> brings in, has them too. */
#undef MIN
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define _cleanup_(fn)     __attribute__((cleanup(fn)))
#define _printf_(fmt, va) __attribute__((format(printf, fmt, va)))
#define _unused_          __attribute__((unused))
#define _fallthrough_     __attribute__((fallthrough))

/* `static inline void nameP(type *p)` for _cleanup_: frees *p where it is not NULL. */
#define DEFINE_CLEANUP(type, free_fn)                                                                                \
        _unused_ static inline void free_fn##p(type *p)                                                              \
        {                                                                                                            \
                if (*p)                                                                                              \
                        free_fn(*p);                                                                                 \
        }

_unused_ static inline void freep(void *p)
{
        free(*(void **)p);
}

#define _cleanup_free_ _cleanup_(freep)

/* Moves a pointer out of a variable that a cleanup attribute guards. */
#define STEAL(p)                                                                                                     \
        ({                                                                                                           \
                __typeof__(p) steal_ = (p);                                                                          \
                (p) = NULL;                                                                                          \
                steal_;                                                                                              \
        })

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Tells the processor that this is a spin loop. */
static inline void spin_pause(void)
{
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
}
