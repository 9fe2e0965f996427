/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What libmulm allocates with, wrapped. See fault.h.
 */
#include "tests/fault/fault.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <errno.h>
#include <pcre2.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

static size_t left = SIZE_MAX; /* allocations until one fails; SIZE_MAX: none will */
static bool has_failed;
static long n_held;

void fault_arm(size_t nth)
{
        left = nth;
        has_failed = false;
}

int fault_disarm(void)
{
        left = SIZE_MAX;
        return has_failed;
}

long fault_n_held(void)
{
        return n_held;
}

static bool fails(void)
{
        if (left == SIZE_MAX || left-- > 0)
                return false;
        left = SIZE_MAX;
        has_failed = true;
        errno = ENOMEM;
        return true;
}

static void *hold(void *block)
{
        n_held += block != NULL;
        return block;
}

/* The names are the linker's; mmap() is mmap64(), since files are large. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
char *__real_strndup(const char *text, size_t n);
void __real_free(void *block);
void *__real_mmap64(void *address, size_t n, int protection, int flags, int descriptor, off_t offset);
int __real_munmap(void *address, size_t n);
pcre2_code *__real_pcre2_compile_8(PCRE2_SPTR pattern, PCRE2_SIZE n, uint32_t options, int *code, PCRE2_SIZE *offset,
                                   pcre2_compile_context *context);
void __real_pcre2_code_free_8(pcre2_code *pattern);
pcre2_match_data *__real_pcre2_match_data_create_8(uint32_t n, pcre2_general_context *context);
void __real_pcre2_match_data_free_8(pcre2_match_data *data);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
char *__wrap_strndup(const char *text, size_t n);
void __wrap_free(void *block);
void *__wrap_mmap64(void *address, size_t n, int protection, int flags, int descriptor, off_t offset);
int __wrap_munmap(void *address, size_t n);
pcre2_code *__wrap_pcre2_compile_8(PCRE2_SPTR pattern, PCRE2_SIZE n, uint32_t options, int *code, PCRE2_SIZE *offset,
                                   pcre2_compile_context *context);
void __wrap_pcre2_code_free_8(pcre2_code *pattern);
pcre2_match_data *__wrap_pcre2_match_data_create_8(uint32_t n, pcre2_general_context *context);
void __wrap_pcre2_match_data_free_8(pcre2_match_data *data);

void *__wrap_malloc(size_t n)
{
        return fails() ? NULL : hold(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
        return fails() ? NULL : hold(__real_calloc(n, size));
}

void *__wrap_realloc(void *block, size_t n)
{
        if (fails())
                return NULL;
        return block ? __real_realloc(block, n) : hold(__real_realloc(block, n));
}

void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
        return fails() ? NULL : hold(__real_aligned_alloc(alignment, n));
}

char *__wrap_strndup(const char *text, size_t n)
{
        return fails() ? NULL : hold(__real_strndup(text, n));
}

void __wrap_free(void *block)
{
        n_held -= block != NULL;
        __real_free(block);
}

void *__wrap_mmap64(void *address, size_t n, int protection, int flags, int descriptor, off_t offset)
{
        void *memory = fails() ? MAP_FAILED : __real_mmap64(address, n, protection, flags, descriptor, offset);

        n_held += memory != MAP_FAILED;
        return memory;
}

int __wrap_munmap(void *address, size_t n)
{
        n_held--;
        return __real_munmap(address, n);
}

pcre2_code *__wrap_pcre2_compile_8(PCRE2_SPTR pattern, PCRE2_SIZE n, uint32_t options, int *code, PCRE2_SIZE *offset,
                                   pcre2_compile_context *context)
{
        return fails() ? NULL : hold(__real_pcre2_compile_8(pattern, n, options, code, offset, context));
}

void __wrap_pcre2_code_free_8(pcre2_code *pattern)
{
        n_held -= pattern != NULL;
        __real_pcre2_code_free_8(pattern);
}

pcre2_match_data *__wrap_pcre2_match_data_create_8(uint32_t n, pcre2_general_context *context)
{
        return fails() ? NULL : hold(__real_pcre2_match_data_create_8(n, context));
}

void __wrap_pcre2_match_data_free_8(pcre2_match_data *data)
{
        n_held -= data != NULL;
        __real_pcre2_match_data_free_8(data);
}
