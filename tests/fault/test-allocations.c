/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Every allocation of each public call fails in turn: -ENOMEM with a sentence, nothing left behind, outputs
 * untouched, and the same call succeeds afterwards with the result that it would have had.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libmulm/mulm.h"
#include "tests/fault/fault.h"
#include "tests/support/gguf-writer.h"
#include "tests/support/test.h"

#define TEXT "hello, hell: \xc3\xa9 12"

struct scene {
        int descriptor;
        char path[64];
        mulm_model *model;
        mulm_session *session;
        uint32_t tokens[64];
        size_t n_tokens;
        char said[512];
};

/* A call of the library: 0 or negative errno. */
typedef int (*call_fn)(struct scene *scene, struct mulm_error *error);

static const struct mulm_session_options small = { .n_threads = 1 };

static int scene_new(void **state)
{
        struct gguf_writer writer = { 0 };
        struct buf file = BUF_NULL;
        struct scene *scene = calloc(1, sizeof(*scene));

        assert_non_null(scene);
        gguf_writer_tiny_model(&writer);
        gguf_writer_finish(&writer, &file);
        scene->descriptor = memfd_create("model", MFD_CLOEXEC);
        assert_true(scene->descriptor >= 0);
        assert_int_equal(write(scene->descriptor, file.data, file.n), (ssize_t)file.n);
        (void)snprintf(scene->path, sizeof(scene->path), "/proc/self/fd/%d", scene->descriptor);
        buf_done(&file);
        gguf_writer_done(&writer);

        assert_int_equal(mulm_model_open(&scene->model, scene->path, NULL, NULL), 0);
        assert_int_equal(mulm_session_new(&scene->session, scene->model, &small, NULL), 0);
        *state = scene;
        return 0;
}

static int scene_free(void **state)
{
        struct scene *scene = *state;

        mulm_session_free(scene->session);
        mulm_model_free(scene->model);
        (void)close(scene->descriptor);
        free(scene);
        assert_int_equal(fault_n_held(), 0);
        return 0;
}

/* Fails allocation 0, 1, ... of a call until it gets through; `undo`, which may be NULL, gives back what it made. */
static void fail_each(struct scene *scene, call_fn call, void (*undo)(struct scene *), size_t at_least)
{
        long n_held = fault_n_held();

        for (size_t nth = 0;; nth++) {
                struct mulm_error error = { "" };
                int r;

                fault_arm(nth);
                r = call(scene, &error);
                if (!fault_disarm()) {
                        assert_int_equal(r, 0);
                        if (undo)
                                undo(scene);
                        assert_true(nth >= at_least);
                        return;
                }
                assert_int_equal(r, -ENOMEM);
                assert_non_null(strstr(error.sentence, "out of memory"));
                if (undo)
                        assert_int_equal(fault_n_held(), n_held);
        }
}

/* ------------------------------------------------------------------------------------------- what makes something */

static int open_model(struct scene *scene, struct mulm_error *error)
{
        mulm_model *model = NULL;
        int r;

        r = mulm_model_open(&model, scene->path, NULL, error);
        assert_int_equal(r < 0, model == NULL);
        mulm_model_free(model);
        return r;
}

static int open_session(struct scene *scene, struct mulm_error *error)
{
        mulm_session *session = NULL;
        int r;

        r = mulm_session_new(&session, scene->model, &small, error);
        assert_int_equal(r < 0, session == NULL);
        mulm_session_free(session);
        return r;
}

static int tokenize(struct scene *scene, struct mulm_error *error)
{
        size_t n = 1234;
        int r;

        r = mulm_tokenize(scene->model, TEXT, strlen(TEXT), scene->tokens, 64, &n, error);
        assert_int_equal(r < 0, n == 1234);
        return r;
}

static void made_nothing(struct scene *scene)
{
        (void)scene;
}

static void test_opening_a_model_without_memory(void **state)
{
        fail_each(*state, open_model, made_nothing, 10);
}

static void test_beginning_a_session_without_memory(void **state)
{
        fail_each(*state, open_session, made_nothing, 20);
}

static void test_tokenizing_without_memory(void **state)
{
        fail_each(*state, tokenize, made_nothing, 3);
}

/* ------------------------------------------------------------------------------------------ what a session says */

static int chat(struct scene *scene, struct mulm_error *error)
{
        const struct mulm_message messages[] = {
                { MULM_ROLE_USER, TEXT, strlen(TEXT) },
        };

        return mulm_session_chat(scene->session, messages, 1, "he", 2, error);
}

static int add_said(struct scene *scene, const char *text, size_t n)
{
        size_t n_said = strlen(scene->said);

        assert_true(n_said + n < sizeof(scene->said));
        memcpy(scene->said + n_said, text, n);
        scene->said[n_said + n] = '\0';
        return 0;
}

static int generate(struct scene *scene, struct mulm_error *error)
{
        const struct mulm_sampling sampling = {
                .temperature = 5.0f, .top_p = 1.0f, .repetition_penalty = 1.0f, .seed = 3
        };
        struct mulm_piece piece;
        int r;

        scene->said[0] = '\0';
        r = chat(scene, error);
        if (r < 0)
                return r;
        r = mulm_generate_begin(scene->session, &sampling, error);
        if (r < 0)
                return r;
        while ((r = mulm_generate_next(scene->session, &piece, error)) == MULM_GENERATE_PIECE)
                (void)add_said(scene, piece.text, piece.n_text);
        return r < 0 ? r : 0;
}

static int open_reply(struct scene *scene, struct mulm_error *error)
{
        struct mulm_opener_options options = MULM_OPENER_DEFAULTS;
        struct mulm_word word;
        int r;

        options.confidence = 0.0f;
        options.sampling.temperature = 5.0f;
        options.sampling.seed = 5;
        scene->said[0] = '\0';
        r = chat(scene, error);
        if (r < 0)
                return r;
        r = mulm_opener_begin(scene->session, &options, error);
        if (r < 0)
                return r;
        while ((r = mulm_opener_next(scene->session, &word, error)) == MULM_OPENER_WORD)
                (void)add_said(scene, word.text, word.n_text);
        return r < 0 ? r : 0;
}

/* The session that failed at every allocation says what one without failures says. */
static void says_the_same(struct scene *scene, call_fn call, size_t at_least)
{
        char expected[sizeof(scene->said)];
        mulm_session *untouched = scene->session;

        assert_int_equal(call(scene, NULL), 0);
        memcpy(expected, scene->said, sizeof(expected));
        assert_true(expected[0] != '\0');

        /* A new one, which has reserved nothing yet. */
        assert_int_equal(mulm_session_new(&scene->session, scene->model, &small, NULL), 0);
        fail_each(scene, call, NULL, at_least);
        assert_string_equal(scene->said, expected);
        assert_int_equal(call(scene, NULL), 0);
        assert_string_equal(scene->said, expected);
        mulm_session_free(untouched);
}

static void test_chatting_without_memory(void **state)
{
        fail_each(*state, chat, NULL, 3);
}

static void test_generating_without_memory(void **state)
{
        says_the_same(*state, generate, 3);
}

static void test_opening_a_reply_without_memory(void **state)
{
        says_the_same(*state, open_reply, 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_opening_a_model_without_memory, scene_new, scene_free),
                cmocka_unit_test_setup_teardown(test_beginning_a_session_without_memory, scene_new, scene_free),
                cmocka_unit_test_setup_teardown(test_tokenizing_without_memory, scene_new, scene_free),
                cmocka_unit_test_setup_teardown(test_chatting_without_memory, scene_new, scene_free),
                cmocka_unit_test_setup_teardown(test_generating_without_memory, scene_new, scene_free),
                cmocka_unit_test_setup_teardown(test_opening_a_reply_without_memory, scene_new, scene_free),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
