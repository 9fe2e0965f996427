/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Maps a file for reading. See mapfile.h.
 */
#include "libmulm/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "libmulm/error.h"

static void close_descriptorp(int *descriptor)
{
        if (*descriptor >= 0)
                (void)close(*descriptor);
}

int mapfile_init(struct mapfile *ret_file, const char *path, struct mulm_error *error)
{
        /* O_NONBLOCK: opening a FIFO must fail here rather than wait for a writer. */
        _cleanup_(close_descriptorp) int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        struct stat status;
        void *data;
        int r;

        if (descriptor < 0 || fstat(descriptor, &status) < 0) {
                r = -errno;
                return error_set(error, r, "%s: cannot be opened: %s", path, strerrordesc_np(-r));
        }
        if (!S_ISREG(status.st_mode))
                return error_set(error, -EINVAL, "%s: not a regular file", path);
        if (status.st_size == 0)
                return error_set(error, -EBADMSG, "%s: empty file", path);
        if ((uint64_t)status.st_size > SIZE_MAX)
                return error_set(error, -EFBIG, "%s: larger than the address space", path);

        data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (data == MAP_FAILED) {
                r = -errno;
                return error_set(error, r, "%s: cannot be mapped: %s", path, strerrordesc_np(-r));
        }
        *ret_file = (struct mapfile){ .data = data, .n_data = (size_t)status.st_size };
        return 0;
}

void mapfile_done(struct mapfile *file)
{
        if (file->data)
                (void)munmap((void *)(uintptr_t)file->data, file->n_data);
        *file = (struct mapfile){ 0 };
}
