/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulm perplexity: exp of the mean negative log-likelihood of a text, as llama-perplexity defines it: the text's
 * tokens in windows of the context's length that do not overlap, in each of which the second half counts, so that
 * every token that counts has at least half a window before it. A rest shorter than a window is left out; a text
 * shorter than one is one window, and all of its tokens but the first count.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/tools/tool.h"

#define DEFAULT_WINDOW 512

struct loss {
        double sum, sum_squares;
        size_t n;
};

static int read_text(const char *path, struct buf *text)
{
        FILE *file = fopen(path, "re");
        char chunk[65536];
        int r = 0;

        if (!file) {
                fprintf(stderr, "mulm: %s: %s\n", path, strerror(errno));
                return EXIT_FAILURE;
        }
        for (size_t n; r == 0 && (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
                r = buf_add(text, chunk, n);
        if (ferror(file))
                r = -errno;
        fclose(file);
        if (r < 0) {
                fprintf(stderr, "mulm: %s: %s\n", path, strerror(-r));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

static double negative_log_likelihood(const float *logits, size_t n, uint32_t token)
{
        double greatest = (double)logits[0], sum = 0.0;

        for (size_t i = 1; i < n; i++)
                greatest = fmax(greatest, (double)logits[i]);
        for (size_t i = 0; i < n; i++)
                sum += exp((double)logits[i] - greatest);
        return log(sum) + greatest - (double)logits[token];
}

/* Tokens [first, n) of a window count. */
static int add_window(mulm_session *session, const uint32_t *tokens, size_t first, size_t n, size_t n_vocabulary,
                      struct loss *loss)
{
        struct mulm_error error = { "" };

        for (size_t i = first; i < n; i++) {
                double nll;

                if (mulm_session_evaluate(session, tokens, i, &error) < 0)
                        return tool_fail("perplexity", &error);
                nll = negative_log_likelihood(mulm_session_logits(session), n_vocabulary, tokens[i]);
                loss->sum += nll;
                loss->sum_squares += nll * nll;
                loss->n++;
        }
        return EXIT_SUCCESS;
}

static int print_loss(const struct loss *loss, const struct tool_options *options)
{
        double n = (double)loss->n, mean = loss->sum / n, deviation;

        deviation = loss->n > 1 ? sqrt(fmax(0.0, loss->sum_squares / n - mean * mean) / (n - 1.0)) : 0.0;
        if (options->json)
                printf("{\"perplexity\": %.6f, \"error\": %.6f, \"nats_per_token\": %.6f, \"tokens\": %zu}\n",
                       exp(mean), exp(mean) * deviation, mean, loss->n);
        else
                printf("perplexity %.4f +/- %.4f over %zu tokens\n", exp(mean), exp(mean) * deviation, loss->n);
        return EXIT_SUCCESS;
}

int tool_perplexity(const struct tool_options *options)
{
        _cleanup_(mulm_model_freep) mulm_model *model = NULL;
        _cleanup_(mulm_session_freep) mulm_session *session = NULL;
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        _cleanup_free_ uint32_t *tokens = NULL;
        struct tool_options windowed = *options;
        struct mulm_model_info info;
        struct loss loss = { 0 };
        size_t n, n_window;
        int status;

        if (windowed.session.n_context == 0)
                windowed.session.n_context = DEFAULT_WINDOW;
        n_window = windowed.session.n_context;
        status = read_text(options->argument, &text);
        if (status == EXIT_SUCCESS)
                status = tool_open_session(&model, &session, &windowed);
        if (status == EXIT_SUCCESS)
                status = tool_tokenize(model, buf_string(&text), text.n, &tokens, &n);
        if (status != EXIT_SUCCESS)
                return status;
        if (n < 2) {
                fprintf(stderr, "mulm: %s: fewer than two tokens\n", options->argument);
                return EXIT_FAILURE;
        }

        mulm_model_describe(model, &info);
        if (n < n_window)
                status = add_window(session, tokens, 1, n, info.n_vocabulary, &loss);
        for (size_t at = 0; status == EXIT_SUCCESS && at + n_window <= n; at += n_window)
                status = add_window(session, tokens + at, n_window / 2 + 1, n_window, info.n_vocabulary, &loss);
        return status == EXIT_SUCCESS ? print_loss(&loss, options) : status;
}
