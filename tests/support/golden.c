/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Golden files. See golden.h; tests/data/golden/README.md has the formats.
 */
#include "tests/support/golden.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "tests/support/cache.h"
#include "tests/support/test.h"

#define MAKE_EXACTNESS "tests/data/make-exactness"

const struct golden_model golden_mulm_28m = { "mulm-28m", "models/mulm-28m.q8_0.gguf", NULL, false };
const struct golden_model golden_smollm2 = { "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf",
                                             "tests/support/fetch-smollm2", false };

#define MADE(name)                                                                                                   \
        {                                                                                                            \
                name, "exactness/" name "/model.gguf", MAKE_EXACTNESS, true                                          \
        }
const struct golden_model golden_exactness[GOLDEN_N_EXACTNESS] = {
        MADE("mulm-28m-q8_0"), MADE("mulm-28m-q4_0"),  MADE("smollm2-q8_0"),    MADE("smollm2-q4_0"),
        MADE("smollm2-q4_1"),  MADE("smollm2-q4_k_m"), MADE("mulm-28m-q5_k_m"),
};

static const char *source_root(void)
{
        const char *root = getenv("MULM_SOURCE_ROOT");

        return root ? root : ".";
}

static char *source_path(const char *below)
{
        char *path;

        assert_true(asprintf(&path, "%s/%s", source_root(), below) > 0);
        return path;
}

mulm_model *golden_model_open(const struct golden_model *which)
{
        _cleanup_free_ char *path = which->maker ? cache_path(which->path) : source_path(which->path);
        struct mulm_error error;
        mulm_model *model = NULL;

        if (mulm_model_open(&model, path, NULL, &error) < 0)
                fail_msg("%s", error.sentence);
        return model;
}

static struct buf read_file(const char *path)
{
        struct buf content = BUF_NULL;
        char chunk[65536];
        FILE *file = fopen(path, "rb");

        if (!file)
                fail_msg("cannot open %s", path);
        for (size_t n; (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
                assert_int_equal(buf_add(&content, chunk, n), 0);
        assert_false(ferror(file));
        (void)fclose(file);
        return content;
}

struct buf golden_read(const char *path)
{
        _cleanup_(buf_done) struct buf below = BUF_NULL;
        _cleanup_free_ char *full = NULL;

        assert_int_equal(buf_printf(&below, "tests/data/%s", path), 0);
        full = source_path(below.data);
        return read_file(full);
}

struct buf golden_model_read(const struct golden_model *which, const char *name)
{
        _cleanup_(buf_done) struct buf below = BUF_NULL;
        _cleanup_free_ char *full = NULL;

        assert_int_equal(
                buf_printf(&below, "%s/%s/%s", which->is_made ? "exactness" : "tests/data/golden", which->name, name),
                0);
        full = which->is_made ? cache_path(below.data) : source_path(below.data);
        return read_file(full);
}

struct golden_texts golden_texts_open(const char *path, const char *separator)
{
        return (struct golden_texts){ .file = golden_read(path), .separator = separator };
}

const char *golden_texts_next(struct golden_texts *texts, size_t *ret_n)
{
        const char *text = texts->file.data + texts->offset;
        size_t n_separator = strlen(texts->separator);
        const char *end = memmem(text, texts->file.n - texts->offset, texts->separator, n_separator);

        if (!end)
                return NULL;
        *ret_n = (size_t)(end - text);
        texts->offset += *ret_n + n_separator;
        return text;
}

void golden_texts_done(struct golden_texts *texts)
{
        buf_done(&texts->file);
}

struct golden_tokens golden_tokens_open(const struct golden_model *which, const char *name)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "golden/%s/%s.tokens", which->name, name);
        return (struct golden_tokens){ .file = golden_read(path) };
}

static uint32_t next_number(struct golden_tokens *golden)
{
        const unsigned char *bytes = (const unsigned char *)golden->file.data + golden->offset;

        assert_true(golden->offset + 2 <= golden->file.n);
        golden->offset += 2;
        return bytes[0] | (uint32_t)bytes[1] << 8;
}

void golden_tokens_expect(struct golden_tokens *golden, const uint32_t *tokens, size_t n_tokens, const char *text)
{
        size_t n = next_number(golden);

        for (size_t i = 0; i < n; i++) {
                uint32_t wanted = next_number(golden);

                if (i >= n_tokens || tokens[i] != wanted)
                        fail_msg("token %zu is %d, llama.cpp has %u: '%.60s'", i, i < n_tokens ? (int)tokens[i] : -1,
                                 wanted, text);
        }
        if (n != n_tokens)
                fail_msg("%zu tokens, llama.cpp has %zu: '%.60s'", n_tokens, n, text);
}

void golden_tokens_expect_end(struct golden_tokens *golden)
{
        assert_int_equal(golden->offset, golden->file.n);
}

void golden_tokens_done(struct golden_tokens *golden)
{
        buf_done(&golden->file);
}

/* Says so where it is not. */
static bool is_at_hand(const struct golden_model *which, const char *test)
{
        _cleanup_free_ char *path = NULL;

        if (!which || !which->maker)
                return true;
        path = cache_path(which->path);
        if (access(path, R_OK) == 0)
                return true;
        printf("# %s is left out: %s is missing; %s makes it\n", test, path, which->maker);
        return false;
}

int golden_run(const struct CMUnitTest *tests, size_t n_tests, const char *pattern)
{
        struct CMUnitTest *chosen = calloc(n_tests, sizeof(*chosen));
        size_t n_chosen = 0;
        int r = 0;

        assert_non_null(chosen);
        for (size_t i = 0; i < n_tests; i++)
                if ((!pattern || fnmatch(pattern, tests[i].name, 0) == 0) &&
                    is_at_hand(tests[i].initial_state, tests[i].name))
                        chosen[n_chosen++] = tests[i];
        if (n_chosen > 0)
                r = _cmocka_run_group_tests("tests", chosen, n_chosen, NULL, NULL);
        else
                printf("1..0 # SKIP a model is not at hand\n");
        free(chosen);
        return r;
}
