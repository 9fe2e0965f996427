/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * continuator: a cloud model for the demo and the tests, on this machine. An HTTP/2 server that answers
 * POST /v1/chat/completions with a stream of chunks, made by any GGUF that libmulm runs, after the delay and at the
 * pace asked for. Serves 127.0.0.1 only.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "tests/continuator/server.h"

struct options {
        struct exchange_settings exchange;
        struct worker_options worker;
        const char *certificate, *key;
        unsigned port;
};

struct program {
        uv_loop_t loop;
        uv_signal_t sigint, sigterm;
        struct worker *worker;
        struct tls_context *tls;
        struct server *server;
};

static const char usage[] =
        "Usage: continuator --model FILE [OPTION...]\n"
        "Answers POST /v1/chat/completions on 127.0.0.1 over HTTP/2, streaming.\n"
        "\n"
        "  --model FILE            GGUF to answer with\n"
        "  --port N                port to listen on; 0, the default, takes a free one. \"listening on URL\" is "
        "printed\n"
        "  --tls CERT KEY          PEM files; without them clients need prior knowledge of HTTP/2 in plain text\n"
        "  --first-token-ms N      delay from the end of a request to the first token\n"
        "  --tokens-per-second R   pace of the others; 0, the default, is as fast as the model\n"
        "  --max-tokens N          of a reply, whatever the request says (256)\n"
        "  --threads N             for the model; 0, the default, lets libmulm choose\n"
        "  --no-prefill            answer 400 to a last assistant message\n"
        "  --api-key-file FILE     answer 401 to whoever does not send its first line as a bearer token\n"
        "  --one-paragraph         end a reply in front of its first line break\n"
        "  --trace                 say on stderr when requests are complete, in microseconds of CLOCK_MONOTONIC,\n"
        "                          and how generation ended\n"
        "  --help\n";

static int parse_number(const char *name, const char *text, double max, double *ret)
{
        char *end;
        double value;

        errno = 0;
        value = strtod(text, &end);
        if (errno || end == text || *end || !isfinite(value) || value < 0 || value > max) {
                fprintf(stderr, "continuator: --%s: '%s' is no number from 0 to %.0f\n", name, text, max);
                return -EINVAL;
        }
        *ret = value;
        return 0;
}

static int read_key(struct exchange_settings *exchange, const char *path)
{
        _cleanup_free_ char *line = NULL;
        size_t capacity = 0;
        FILE *file = fopen(path, "re");
        ssize_t n;

        n = file ? getline(&line, &capacity, file) : -1;
        if (file)
                fclose(file);
        if (n < 1) {
                fprintf(stderr, "continuator: %s: no key to be read\n", path);
                return -EINVAL;
        }
        line[strcspn(line, "\r\n")] = '\0';
        free(exchange->key);
        exchange->key = STEAL(line);
        return 0;
}

/* 0, or -EINVAL with a sentence on stderr. */
static int parse_option(struct options *options, const struct option *option, const char *value)
{
        double number = 0;
        int r = 0;

        switch (option->val) {
        case 'm': options->worker.model_path = value; break;
        case 'c': options->certificate = value; break;
        case 'n': options->exchange.prefill = false; break;
        case 'o': options->worker.one_paragraph = true; break;
        case 'v': options->exchange.trace = options->worker.trace = true; break;
        case 'k': r = read_key(&options->exchange, value); break;
        case 'p':
                r = parse_number(option->name, value, 65535, &number);
                options->port = (unsigned)number;
                break;
        case 'f':
                r = parse_number(option->name, value, 3600000, &number);
                options->exchange.first_token_us = (uint64_t)(number * 1000);
                break;
        case 's': r = parse_number(option->name, value, 1e6, &options->exchange.tokens_per_second); break;
        case 'x':
                r = parse_number(option->name, value, 1e6, &number);
                options->exchange.max_tokens = (unsigned)number;
                break;
        case 't':
                r = parse_number(option->name, value, 256, &number);
                options->worker.n_threads = (unsigned)number;
                break;
        }
        return r;
}

/* 0; 1: there is nothing to do; -EINVAL. */
static int parse_arguments(struct options *options, int argc, char **argv)
{
        static const struct option table[] = {
                { "model", required_argument, NULL, 'm' },
                { "port", required_argument, NULL, 'p' },
                { "tls", required_argument, NULL, 'c' }, /* its second value is the argument after */
                { "first-token-ms", required_argument, NULL, 'f' },
                { "tokens-per-second", required_argument, NULL, 's' },
                { "max-tokens", required_argument, NULL, 'x' },
                { "threads", required_argument, NULL, 't' },
                { "no-prefill", no_argument, NULL, 'n' },
                { "api-key-file", required_argument, NULL, 'k' },
                { "one-paragraph", no_argument, NULL, 'o' },
                { "trace", no_argument, NULL, 'v' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        int c, index;

        while ((c = getopt_long(argc, argv, "+", table, &index)) >= 0) {
                if (c == 'h') {
                        fputs(usage, stdout);
                        return 1;
                }
                if (c == '?' || parse_option(options, &table[index], optarg) < 0)
                        return -EINVAL;
                if (c == 'c')
                        options->key = argv[optind] ? argv[optind++] : NULL;
        }
        if (!options->worker.model_path || optind < argc || (options->certificate && !options->key)) {
                fputs(usage, stderr);
                return -EINVAL;
        }
        return 0;
}

static void on_signal(uv_signal_t *handle, int number _unused_)
{
        struct program *program = handle->data;

        if (uv_is_closing((uv_handle_t *)handle))
                return;
        uv_close((uv_handle_t *)&program->sigint, NULL);
        uv_close((uv_handle_t *)&program->sigterm, NULL);
        server_close(program->server);
        uv_stop(&program->loop); /* what is left to close is closed by finish() */
}

static int watch_signals(struct program *program)
{
        int r;

        signal(SIGPIPE, SIG_IGN);
        uv_signal_init(&program->loop, &program->sigint);
        uv_signal_init(&program->loop, &program->sigterm);
        program->sigint.data = program->sigterm.data = program;
        r = uv_signal_start(&program->sigint, on_signal, SIGINT);
        return r < 0 ? r : uv_signal_start(&program->sigterm, on_signal, SIGTERM);
}

/* 0, or -EINVAL with a sentence on stderr. */
static int start(struct program *program, const struct options *options)
{
        _cleanup_(buf_done) struct buf sentence = BUF_NULL;
        struct server_options server = { .port = options->port };
        struct mulm_error error;
        int r;

        if (options->certificate &&
            tls_context_new(&program->tls, options->certificate, options->key, &sentence) < 0) {
                fprintf(stderr, "continuator: %s\n", buf_string(&sentence));
                return -EINVAL;
        }
        if (worker_new(&program->worker, &program->loop, &options->worker, &error) < 0) {
                fprintf(stderr, "continuator: %s\n", error.sentence);
                return -EINVAL;
        }

        server.tls = program->tls;
        server.h2 = (struct h2_options){
                .loop = &program->loop,
                .settings = &options->exchange,
                .worker = program->worker,
        };
        r = server_new(&program->server, &server);
        if (r < 0) {
                fprintf(stderr, "continuator: port %u: %s\n", options->port, uv_strerror(r));
                return -EINVAL;
        }
        r = watch_signals(program);
        if (r < 0) {
                fprintf(stderr, "continuator: signals: %s\n", uv_strerror(r));
                return -EINVAL;
        }
        return 0;
}

/* Connections go first, then the worker that their exchanges used, then the last handles. */
static void finish(struct program *program)
{
        uv_run(&program->loop, UV_RUN_NOWAIT);
        if (program->worker)
                worker_close(program->worker);
        uv_run(&program->loop, UV_RUN_DEFAULT);
        uv_loop_close(&program->loop);
        tls_context_free(program->tls);
}

int main(int argc, char **argv)
{
        struct options options = { .exchange = { .prefill = true, .max_tokens = 256 } };
        struct program program = { 0 };
        int r;

        r = parse_arguments(&options, argc, argv);
        if (r != 0)
                return r < 0 ? 2 : EXIT_SUCCESS;

        uv_loop_init(&program.loop);
        r = start(&program, &options);
        if (r >= 0) {
                printf("listening on %s://127.0.0.1:%u/v1\n", options.certificate ? "https" : "http",
                       server_port(program.server));
                fflush(stdout);
                uv_run(&program.loop, UV_RUN_DEFAULT);
        } else if (program.server) {
                server_close(program.server);
        }
        finish(&program);
        free(options.exchange.key);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
