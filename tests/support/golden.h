/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The files of tests/data and the models that they are about. What cannot be read fails the test; but models in the
 * cache are no part of the source, and golden_run() leaves out the tests of those that are not there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/buf.h"
#include "libmulm/mulm.h"
#include "tests/support/test.h"

struct golden_model {
        const char *name;  /* folder below tests/data/golden, or below mulm/exactness in the cache */
        const char *path;  /* below the source root, or mulm in the cache */
        const char *maker; /* of a file in the cache; NULL: it is in the source */
        bool is_made;      /* the golden files are in the cache too */
};

extern const struct golden_model golden_mulm_28m, golden_smollm2;

/* What tests/data/make-exactness makes of the two. */
#define GOLDEN_N_EXACTNESS 7
extern const struct golden_model golden_exactness[GOLDEN_N_EXACTNESS];

mulm_model *golden_model_open(const struct golden_model *which);

/* A golden file of the model. */
struct buf golden_model_read(const struct golden_model *which, const char *name);

/* The content of a file below tests/data. */
struct buf golden_read(const char *path);

/* A walk through texts, each followed by `separator`: the next one, NULL at the end. */
struct golden_texts {
        struct buf file;
        const char *separator;
        size_t offset;
};

struct golden_texts golden_texts_open(const char *path, const char *separator);
const char *golden_texts_next(struct golden_texts *texts, size_t *ret_n);
void golden_texts_done(struct golden_texts *texts);

#define GOLDEN_LINES   "\n"
#define GOLDEN_AWKWARD "\n%%\n"

/* A walk through the lists of tokens in a file of tests/data/golden/MODEL: compares the next one. */
struct golden_tokens {
        struct buf file;
        size_t offset;
};

struct golden_tokens golden_tokens_open(const struct golden_model *which, const char *name);
void golden_tokens_expect(struct golden_tokens *golden, const uint32_t *tokens, size_t n_tokens, const char *text);
void golden_tokens_expect_end(struct golden_tokens *golden);
void golden_tokens_done(struct golden_tokens *golden);

/* cmocka_run_group_tests() of the tests whose names match `pattern` (NULL: all) and whose initial state, a model or
 * NULL, is at hand. What is left out is told, and if that is all, it is a test skipped. (In cmocka's own way to skip
 * a test, meson sees a failure.) */
int golden_run(const struct CMUnitTest *tests, size_t n_tests, const char *pattern);
