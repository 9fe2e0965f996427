/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulm info, tokenize, generate and logits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/tools/tool.h"

int tool_info(const struct tool_options *options)
{
        _cleanup_(mulm_model_freep) mulm_model *model = NULL;
        struct mulm_model_info info;
        int status;

        status = tool_open(&model, options);
        if (status != EXIT_SUCCESS)
                return status;
        mulm_model_describe(model, &info);
        printf("name                %s\n", info.name);
        printf("description         %s\n", info.description);
        printf("license             %s\n", info.license);
        printf("architecture        %s\n", info.architecture);
        printf("type                %s\n", info.file_type);
        printf("parameters          %" PRIu64 "\n", info.n_parameters);
        printf("file bytes          %" PRIu64 "\n", info.n_file_bytes);
        printf("layers              %" PRIu32 "\n", info.n_layers);
        printf("embedding           %" PRIu32 "\n", info.n_embedding);
        printf("heads               %" PRIu32 "\n", info.n_heads);
        printf("key-value heads     %" PRIu32 "\n", info.n_kv_heads);
        printf("head size           %" PRIu32 "\n", info.head_size);
        printf("feed forward        %" PRIu32 "\n", info.n_feed_forward);
        printf("vocabulary          %" PRIu32 "\n", info.n_vocabulary);
        printf("pre-tokenizer       %s\n", info.pre_tokenizer);
        printf("context             %" PRIu32 "\n", info.n_context);
        printf("rope base           %g\n", (double)info.rope_base);
        printf("rms epsilon         %g\n", (double)info.rms_epsilon);
        printf("confidence          %g\n", (double)info.confidence);
        printf("tied embeddings     %s\n", info.tied_embeddings ? "yes" : "no");
        printf("isa                 %s\n", info.isa);
        return EXIT_SUCCESS;
}

/* A token's bytes on one line. */
static void print_escaped(const char *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char)bytes[i];

                if (c == '\\')
                        fputs("\\\\", stdout);
                else if (c == '\n')
                        fputs("\\n", stdout);
                else if (c < 0x20 || c >= 0x7f)
                        printf("\\x%02x", c);
                else
                        putchar(c);
        }
}

int tool_tokenize_text(const struct tool_options *options)
{
        _cleanup_(mulm_model_freep) mulm_model *model = NULL;
        _cleanup_free_ uint32_t *tokens = NULL;
        size_t n;
        int status;

        status = tool_open(&model, options);
        if (status != EXIT_SUCCESS)
                return status;
        status = tool_tokenize(model, options->argument, strlen(options->argument), &tokens, &n);
        if (status != EXIT_SUCCESS)
                return status;
        for (size_t i = 0; i < n; i++) {
                const char *bytes;
                size_t n_bytes;

                printf("%" PRIu32, tokens[i]);
                if (options->text && mulm_token_bytes(model, tokens[i], &bytes, &n_bytes) == 0) {
                        putchar('\t');
                        print_escaped(bytes, n_bytes);
                }
                putchar('\n');
        }
        return EXIT_SUCCESS;
}

/* Evaluates the prompt, as it is or as a chat's one user turn. */
static int evaluate_prompt(mulm_model *model, mulm_session *session, const struct tool_options *options)
{
        struct mulm_message message = { MULM_ROLE_USER, options->prompt, strlen(options->prompt) };
        _cleanup_free_ uint32_t *tokens = NULL;
        struct mulm_error error = { "" };
        size_t n;
        int status;

        if (options->chat) {
                if (mulm_session_chat(session, &message, 1, NULL, 0, &error) < 0)
                        return tool_fail("prompt", &error);
                return EXIT_SUCCESS;
        }
        status = tool_tokenize(model, options->prompt, strlen(options->prompt), &tokens, &n);
        if (status != EXIT_SUCCESS)
                return status;
        if (mulm_session_evaluate(session, tokens, n, &error) < 0)
                return tool_fail("prompt", &error);
        return EXIT_SUCCESS;
}

static int print_opener(mulm_session *session, const struct tool_options *options)
{
        static const char *const outcomes[] = {
                [MULM_OPENER_LIMIT] = "limit",
                [MULM_OPENER_END] = "end",
                [MULM_OPENER_UNSURE] = "unsure",
                [MULM_OPENER_FULL] = "full",
        };
        struct mulm_opener_options opener = options->opener_options;
        struct mulm_error error = { "" };
        struct mulm_word word;
        int r;

        opener.sampling = options->sampling;
        if (mulm_opener_begin(session, &opener, &error) < 0)
                return tool_fail("opener", &error);
        while ((r = mulm_opener_next(session, &word, &error)) == MULM_OPENER_WORD) {
                fwrite(word.text, 1, word.n_text, stdout);
                if (options->text)
                        printf("\t%.3f\n", (double)word.probability);
                fflush(stdout);
        }
        if (r < 0)
                return tool_fail("opener", &error);
        if (!options->text)
                putchar('\n');
        fprintf(stderr, "%s\n", outcomes[r]);
        return EXIT_SUCCESS;
}

static int print_pieces(mulm_session *session, const struct tool_options *options)
{
        struct mulm_error error = { "" };
        struct mulm_piece piece;
        int r = 0;

        if (mulm_generate_begin(session, &options->sampling, &error) < 0)
                return tool_fail("generate", &error);
        for (uint32_t i = 0; i < options->n_tokens; i++) {
                r = mulm_generate_next(session, &piece, &error);
                if (r != MULM_GENERATE_PIECE)
                        break;
                fwrite(piece.text, 1, piece.n_text, stdout);
                fflush(stdout);
        }
        if (r < 0)
                return tool_fail("generate", &error);
        putchar('\n');
        return EXIT_SUCCESS;
}

int tool_generate(const struct tool_options *options)
{
        _cleanup_(mulm_model_freep) mulm_model *model = NULL;
        _cleanup_(mulm_session_freep) mulm_session *session = NULL;
        int status;

        status = tool_open_session(&model, &session, options);
        if (status == EXIT_SUCCESS)
                status = evaluate_prompt(model, session, options);
        if (status != EXIT_SUCCESS)
                return status;
        return options->opener ? print_opener(session, options) : print_pieces(session, options);
}

int tool_logits(const struct tool_options *options)
{
        _cleanup_(mulm_model_freep) mulm_model *model = NULL;
        _cleanup_(mulm_session_freep) mulm_session *session = NULL;
        struct mulm_model_info info;
        const float *logits;
        int status;

        status = tool_open_session(&model, &session, options);
        if (status == EXIT_SUCCESS)
                status = evaluate_prompt(model, session, options);
        if (status != EXIT_SUCCESS)
                return status;
        mulm_model_describe(model, &info);
        logits = mulm_session_logits(session);
        for (uint32_t i = 0; i < info.n_vocabulary; i++)
                printf("%.9g\n", (double)logits[i]);
        return EXIT_SUCCESS;
}
