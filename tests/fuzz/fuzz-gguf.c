/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Any bytes as a model file: opened, described and, where that works, tokenized with, chatted with and generated
 * from, in a short context.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libmulm/mulm.h"
#include "tests/fuzz/fuzz.h"

#define CONTEXT_MAX 24
#define PIECES_MAX  4

static const char text[] = "hello, \xc3\xa9\xf0\x9f\x99\x82";

static int open_bytes(mulm_model **ret_model, const uint8_t *data, size_t n)
{
        int descriptor = memfd_create("model", MFD_CLOEXEC), r;
        struct mulm_error error = { "" };
        char path[64];

        FUZZ_CHECK(descriptor >= 0);
        for (size_t at = 0; at < n;) {
                ssize_t written = write(descriptor, data + at, n - at);

                FUZZ_CHECK(written > 0);
                at += (size_t)written;
        }
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
        r = mulm_model_open(ret_model, path, NULL, &error);
        (void)close(descriptor);
        FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -ENOTSUP || r == -ENOMEM);
        FUZZ_CHECK((r < 0) == (error.sentence[0] != '\0'));
        return r;
}

static void generate(mulm_session *session)
{
        struct mulm_sampling sampling = MULM_SAMPLING_GREEDY;
        struct mulm_piece piece;

        sampling.temperature = 0.7f;
        sampling.top_k = 3;
        sampling.top_p = 0.9f;
        sampling.repetition_penalty = 1.1f;
        FUZZ_CHECK(mulm_generate_begin(session, &sampling, NULL) == 0);
        for (int i = 0; i < PIECES_MAX; i++)
                if (mulm_generate_next(session, &piece, NULL) != MULM_GENERATE_PIECE)
                        return;
}

static void open_reply(mulm_session *session)
{
        struct mulm_opener_options options = MULM_OPENER_DEFAULTS;
        struct mulm_word word;

        options.max_words = PIECES_MAX;
        FUZZ_CHECK(mulm_opener_begin(session, &options, NULL) == 0);
        for (int i = 0; i <= PIECES_MAX; i++)
                if (mulm_opener_next(session, &word, NULL) != MULM_OPENER_WORD)
                        return;
        FUZZ_CHECK(false);
}

static void use(mulm_model *model)
{
        const struct mulm_message message = { MULM_ROLE_USER, "he", 2 };
        struct mulm_session_options options = { .n_threads = 1 };
        uint32_t tokens[CONTEXT_MAX];
        struct mulm_model_info info;
        mulm_session *session;
        size_t n_tokens;

        mulm_model_describe(model, &info);
        options.n_context = info.n_context < CONTEXT_MAX ? info.n_context : CONTEXT_MAX;
        FUZZ_CHECK(mulm_tokenize(model, text, strlen(text), tokens, options.n_context, &n_tokens, NULL) == 0);
        if (mulm_session_new(&session, model, &options, NULL) < 0)
                return;
        if (n_tokens > 0 && n_tokens <= options.n_context &&
            mulm_session_evaluate(session, tokens, n_tokens, NULL) == 0)
                generate(session);
        if (mulm_session_chat(session, &message, 1, NULL, 0, NULL) == 0)
                open_reply(session);
        mulm_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        mulm_model *model;

        if (open_bytes(&model, data, n) < 0)
                return 0;
        use(model);
        mulm_model_free(model);
        return 0;
}
