/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Copies a file. See filecopy.h.
 */
#include "libmulm/filecopy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "libmulm/error.h"

#define MAGIC_MAX 16

static void close_descriptorp(int *descriptor)
{
        if (*descriptor >= 0)
                (void)close(*descriptor);
}

/* How many bytes there were, fewer than n_data only where the file ends; negative errno. */
static ssize_t read_all(int descriptor, unsigned char *data, size_t n_data)
{
        size_t at = 0;

        while (at < n_data) {
                ssize_t n = pread(descriptor, data + at, n_data - at, (off_t)at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                at += (size_t)n;
        }
        return (ssize_t)at;
}

static int check_magic(int descriptor, const char *path, const char *magic, struct mulm_error *error)
{
        unsigned char begin[MAGIC_MAX];
        size_t n_magic = strlen(magic);
        ssize_t n = read_all(descriptor, begin, n_magic);

        if (n < 0)
                return error_set(error, (int)n, "%s: cannot be read: %m", path);
        if ((size_t)n < n_magic || memcmp(begin, magic, n_magic) != 0)
                return error_set(error, -EBADMSG, "%s: offset 0: not a %s file", path, magic);
        return 0;
}

static int fill(struct filecopy *copy, int descriptor, const char *path, struct mulm_error *error)
{
        void *data = (void *)(uintptr_t)copy->data;
        ssize_t n;

        /* Weights are read from end to end for every token: huge pages save most of the TLB's misses, and the work of
         * 512 page faults each. */
        (void)madvise(data, copy->n_data, MADV_HUGEPAGE);
        n = read_all(descriptor, data, copy->n_data);
        if (n < 0)
                return error_set(error, (int)n, "%s: cannot be read: %m", path);
        if ((size_t)n < copy->n_data)
                return error_set(error, -EBADMSG, "%s: offset %zd: the file ended while it was read", path, n);
        (void)mprotect(data, copy->n_data, PROT_READ);
        return 0;
}

int filecopy_init(struct filecopy *ret_copy, const char *path, const char *magic, struct mulm_error *error)
{
        /* O_NONBLOCK: opening a FIFO must fail here rather than wait for a writer. */
        _cleanup_(close_descriptorp) int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        struct filecopy copy;
        struct stat status;
        void *data;
        int r;

        if (descriptor < 0 || fstat(descriptor, &status) < 0) {
                r = -errno;
                return error_set(error, r, "%s: cannot be opened: %m", path);
        }
        if (!S_ISREG(status.st_mode))
                return error_set(error, -EINVAL, "%s: not a regular file", path);
        if (status.st_size == 0)
                return error_set(error, -EBADMSG, "%s: empty file", path);
        if ((uint64_t)status.st_size > PTRDIFF_MAX)
                return error_set(error, -EFBIG, "%s: larger than the address space", path);
        r = check_magic(descriptor, path, magic, error);
        if (r < 0)
                return r;

        data = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data == MAP_FAILED)
                return error_set(error, -ENOMEM, "%s: out of memory for its %lld bytes", path,
                                 (long long)status.st_size);
        copy = (struct filecopy){ .data = data, .n_data = (size_t)status.st_size };
        r = fill(&copy, descriptor, path, error);
        if (r < 0) {
                filecopy_done(&copy);
                return r;
        }
        *ret_copy = copy;
        return 0;
}

void filecopy_done(struct filecopy *copy)
{
        if (copy->data)
                (void)munmap((void *)(uintptr_t)copy->data, copy->n_data);
        *copy = (struct filecopy){ 0 };
}
