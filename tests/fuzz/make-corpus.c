/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Writes the GGUF files that the fuzzer begins with: a whole tiny model, one without weights, and one cut off.
 *
 *      make-corpus FOLDER
 */
#include <stdio.h>

#include "tests/support/gguf-writer.h"
#include "tests/support/test.h"

static int write_file(const char *folder, const char *name, const char *data, size_t n)
{
        char path[4096];
        FILE *file;
        bool written;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        file = fopen(path, "wbe");
        if (!file)
                return -1;
        written = fwrite(data, 1, n, file) == n;
        return fclose(file) == 0 && written ? 0 : -1;
}

int main(int argc, char **argv)
{
        struct gguf_writer model = { 0 }, keys = { 0 };
        struct buf model_file = BUF_NULL, keys_file = BUF_NULL;
        int r;

        if (argc != 2)
                return EXIT_FAILURE;
        gguf_writer_tiny_model(&model);
        gguf_writer_finish(&model, &model_file);
        gguf_writer_string(&keys, "general.architecture", "llama");
        gguf_writer_tiny_tokenizer(&keys);
        gguf_writer_finish(&keys, &keys_file);

        r = write_file(argv[1], "tiny-model", model_file.data, model_file.n);
        if (r == 0)
                r = write_file(argv[1], "no-weights", keys_file.data, keys_file.n);
        if (r == 0)
                r = write_file(argv[1], "cut-off", model_file.data, model_file.n / 2);
        buf_done(&keys_file);
        buf_done(&model_file);
        gguf_writer_done(&keys);
        gguf_writer_done(&model);
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
