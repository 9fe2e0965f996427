/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the verbs of mulm share.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/tools/tool.h"

int tool_fail(const char *what, const struct mulm_error *error)
{
        fprintf(stderr, "mulm: %s%s%s\n", what ? what : "", what ? ": " : "", error->sentence);
        return EXIT_FAILURE;
}

int tool_open(mulm_model **ret_model, const struct tool_options *options)
{
        struct mulm_error error = { "" };

        if (mulm_model_open(ret_model, options->model_path, &options->model, &error) < 0)
                return tool_fail(NULL, &error); /* the sentence has the path */
        return EXIT_SUCCESS;
}

int tool_open_session(mulm_model **ret_model, mulm_session **ret_session, const struct tool_options *options)
{
        struct mulm_error error = { "" };
        int status;

        status = tool_open(ret_model, options);
        if (status != EXIT_SUCCESS)
                return status;
        if (mulm_session_new(ret_session, *ret_model, &options->session, &error) < 0)
                return tool_fail(options->model_path, &error);
        return EXIT_SUCCESS;
}

int tool_tokenize(const mulm_model *model, const char *text, size_t n_text, uint32_t **ret_tokens, size_t *ret_n)
{
        _cleanup_free_ uint32_t *tokens = NULL;
        struct mulm_error error = { "" };
        size_t n;

        if (mulm_tokenize(model, text, n_text, NULL, 0, &n, &error) < 0)
                return tool_fail("text", &error);
        tokens = calloc(n + 1, sizeof(*tokens));
        if (!tokens || mulm_tokenize(model, text, n_text, tokens, n, &n, &error) < 0) {
                fprintf(stderr, "mulm: %s\n", strerror(ENOMEM));
                return EXIT_FAILURE;
        }
        *ret_tokens = STEAL(tokens);
        *ret_n = n;
        return EXIT_SUCCESS;
}
