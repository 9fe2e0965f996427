/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See promptfiles.h.
 */
#include "daemon/io/promptfiles.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "daemon/io/files.h"

#define SUFFIX ".txt"

static int begin_sentence(struct buf *error, const char *path)
{
        return buf_printf(error, "%s%s: ", error->n > 0 ? "\n" : "", path);
}

/* Always fails. */
static int refuse(struct buf *error, int code, const char *path, const char *sentence)
{
        int r = begin_sentence(error, path);

        if (r == 0)
                r = buf_add_string(error, sentence);
        return r < 0 ? r : code;
}

static int load_file(struct prompts *prompts, enum prompts_text text, const char *path, struct buf *error)
{
        _cleanup_(buf_done) struct buf content = BUF_NULL, complaint = BUF_NULL;
        int r = files_read(path, PROMPTS_FILE_MAX, &content, error);

        if (r < 0)
                return r;
        r = prompts_set(prompts, text, buf_string(&content), content.n, &complaint);
        return r == -EINVAL ? refuse(error, r, path, buf_string(&complaint)) : r;
}

static bool is_text_file(const char *name)
{
        size_t n = strlen(name), n_suffix = strlen(SUFFIX);

        return name[0] != '.' && n > n_suffix && strcmp(name + n - n_suffix, SUFFIX) == 0;
}

static int load_entry(struct prompts *prompts, const char *folder, const char *name, struct buf *error)
{
        _cleanup_(buf_done) struct buf path = BUF_NULL;

        if (buf_printf(&path, "%s/%s", folder, name) < 0)
                return -ENOMEM;
        for (unsigned text = 0; text < _PROMPTS_TEXT_N; text++)
                if (strcmp(name, prompts_file((enum prompts_text)text)) == 0)
                        return load_file(prompts, (enum prompts_text)text, path.data, error);
        return refuse(error, -EINVAL, path.data, "no text is read from a file of this name");
}

int promptfiles_load(struct prompts *prompts, const char *folder, bool must, struct buf *error)
{
        struct dirent *entry;
        DIR *dir = opendir(folder);
        int r = 0, bad = 0;

        if (!dir)
                return errno == ENOENT && !must ? 0 : refuse(error, -errno, folder, strerror(errno));
        while (r != -ENOMEM && (entry = readdir(dir)) != NULL) {
                if (!is_text_file(entry->d_name))
                        continue;
                r = load_entry(prompts, folder, entry->d_name, error);
                bad = r < 0 ? r : bad;
        }
        (void)closedir(dir);
        return bad;
}
