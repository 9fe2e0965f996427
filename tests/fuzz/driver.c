/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Runs a fuzz target over the files of its corpus, without libFuzzer: the corpus as a plain test, in TAP.
 *
 *      fuzz-NAME-corpus FOLDER
 */
#include <dirent.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "tests/fuzz/fuzz.h"

static int read_file(const char *path, struct buf *data)
{
        char piece[4096];
        FILE *file = fopen(path, "rbe");
        size_t n;
        int r = 0;

        if (!file)
                return -1;
        while (r == 0 && (n = fread(piece, 1, sizeof(piece), file)) > 0)
                r = buf_add(data, piece, n);
        if (ferror(file))
                r = -1;
        (void)fclose(file);
        return r;
}

/* From a block of its own size, so that a sanitizer sees a read beyond it. */
static void run(const struct buf *data)
{
        uint8_t *copy = malloc(MAX(data->n, (size_t)1));

        FUZZ_CHECK(copy);
        memcpy(copy, buf_string(data), data->n);
        (void)LLVMFuzzerTestOneInput(copy, data->n);
        free(copy);
}

static int is_file(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
        struct dirent **entries;
        int n = argc == 2 ? scandir(argv[1], &entries, is_file, alphasort) : -1;

        if (n <= 0) {
                (void)printf("Bail out! no corpus\n");
                return EXIT_FAILURE;
        }
        (void)printf("1..%d\n", n);
        for (int i = 0; i < n; i++) {
                _cleanup_(buf_done) struct buf path = BUF_NULL, data = BUF_NULL;

                if (buf_printf(&path, "%s/%s", argv[1], entries[i]->d_name) < 0 || read_file(path.data, &data) < 0)
                        return EXIT_FAILURE;
                run(&data);
                (void)printf("ok %d - %s\n", i + 1, entries[i]->d_name);
                (void)fflush(stdout);
                free(entries[i]);
        }
        free(entries);
        return EXIT_SUCCESS;
}
