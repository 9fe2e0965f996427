/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See statefile.h. The new text goes into a file beside the old one, which rename(2) then puts in its place.
 */
#include "daemon/io/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmulm/base/macro.h"

static const char *absolute(const char *name)
{
        const char *value = getenv(name);

        return value && *value == '/' ? value : NULL;
}

int statefile_path(bool is_user, const char *name, struct buf *path)
{
        const char *directory = absolute("STATE_DIRECTORY"), *home;

        /* More than one is separated by colons: systemd.exec(5). */
        if (directory)
                return buf_printf(path, "%.*s/%s", (int)strcspn(directory, ":"), directory, name);
        if (!is_user)
                return -ENOENT;
        home = absolute("XDG_STATE_HOME");
        if (home)
                return buf_printf(path, "%s/mulm/%s", home, name);
        home = absolute("HOME");
        return home ? buf_printf(path, "%s/.local/state/mulm/%s", home, name) : -ENOENT;
}

static int write_all(int fd, const char *text, size_t n)
{
        while (n > 0) {
                ssize_t written = write(fd, text, n);

                if (written < 0 && errno == EINTR)
                        continue;
                if (written <= 0)
                        return written < 0 ? -errno : -EIO;
                text += written;
                n -= (size_t)written;
        }
        return 0;
}

static int make_directory(const char *path)
{
        _cleanup_free_ char *directory = strdup(path);
        char *slash;

        if (!directory)
                return -ENOMEM;
        slash = strrchr(directory, '/');
        if (!slash)
                return -EINVAL;
        *slash = '\0';
        return mkdir(directory, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int statefile_write(const char *path, const char *text, size_t n)
{
        _cleanup_(buf_done) struct buf temporary = BUF_NULL;
        int fd, r;

        r = make_directory(path);
        if (r == 0)
                r = buf_printf(&temporary, "%s.new", path);
        if (r < 0)
                return r;
        fd = open(temporary.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, text, n);
        if (close(fd) < 0 && r == 0)
                r = -errno;
        if (r == 0 && rename(temporary.data, path) < 0)
                r = -errno;
        if (r < 0)
                (void)unlink(temporary.data);
        return r;
}
