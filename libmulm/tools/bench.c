/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulm bench: medians of a few rounds of what decides how soon a person reads the first words, beside the rate at
 * which this machine reads the weights from memory, which bounds decoding.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "libmulm/tools/tool.h"

#define ROUNDS        7
#define DECODE_TOKENS 64
#define DECODE_START  16 /* tokens of context before */
#define N_PREFILLS    3
#define MOST_THREADS  2
#define QUESTION      "why is the sky blue in the morning but red at night"

static const size_t prefill_sizes[N_PREFILLS] = { 16, 64, 256 };

struct bench_threads {
        uint32_t n_threads;
        double prefill[N_PREFILLS], decode; /* tokens a second */
        double first_word_ms, opener_ms;    /* from the question on, the template's head evaluated before */
        double lookup_ms;                   /* the same with prompt lookup */
        double read_gb;                     /* a second */
};

struct bench {
        const struct tool_options *options;
        mulm_model *model;
        struct mulm_model_info info;
        double open_ms, session_ms;
        uint64_t rss_bytes;
        struct bench_threads threads[MOST_THREADS];
        size_t n_threads;
};

static double now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
        qsort(values, n, sizeof(*values), compare);
        return values[n / 2];
}

static uint64_t resident_bytes(void)
{
        unsigned long long pages = 0;
        FILE *file = fopen("/proc/self/statm", "re");

        if (!file)
                return 0;
        if (fscanf(file, "%*u %llu", &pages) != 1)
                pages = 0;
        fclose(file);
        return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---------------------------------------------------------------------------------- the rate of the memory */

struct reader {
        const uint64_t *words;
        size_t n;
        uint64_t sum;
};

static void *read_words(void *userdata)
{
        struct reader *reader = userdata;
        uint64_t sums[8] = { 0 };

        for (size_t i = 0; i + 8 <= reader->n; i += 8)
                for (size_t k = 0; k < 8; k++)
                        sums[k] += reader->words[i + k];
        for (size_t k = 0; k < 8; k++)
                reader->sum += sums[k];
        return NULL;
}

static int read_all(const void *data, size_t n_bytes, size_t n_threads, double *ret_ms)
{
        struct reader readers[MOST_THREADS] = { { 0 } };
        pthread_t handles[MOST_THREADS];
        size_t n = n_bytes / sizeof(uint64_t) / n_threads, n_started = 1;
        double start = now_ms();
        int r = 0;

        for (size_t i = 0; i < n_threads; i++)
                readers[i] = (struct reader){ .words = (const uint64_t *)data + i * n, .n = n };
        for (; r == 0 && n_started < n_threads; n_started += r == 0)
                r = pthread_create(&handles[n_started], NULL, read_words, &readers[n_started]);
        (void)read_words(&readers[0]);
        for (size_t i = 1; i < n_started; i++)
                (void)pthread_join(handles[i], NULL);
        *ret_ms = now_ms() - start;
        return -r;
}

/* The best of a few rounds: the bound is what the machine can do. */
static int bench_read(const struct bench *bench, struct bench_threads *threads)
{
        int fd = open(bench->options->model_path, O_RDONLY | O_CLOEXEC), r = 0;
        size_t n_bytes = bench->info.n_file_bytes;
        double best = 0.0, ms;
        void *data;

        if (fd < 0)
                return -errno;
        data = mmap(NULL, n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        if (data == MAP_FAILED)
                return -errno;
        for (size_t i = 0; r == 0 && i < ROUNDS; i++) {
                r = read_all(data, n_bytes, threads->n_threads, &ms);
                best = MAX(best, (double)n_bytes / 1e6 / ms);
        }
        munmap(data, n_bytes);
        threads->read_gb = best;
        return r;
}

/* --------------------------------------------------------------------------------------------- the engine */

/* Tokens that share no prefix with those of another round. */
static void make_tokens(const struct bench *bench, size_t round, uint32_t *tokens, size_t n)
{
        for (size_t i = 0; i < n; i++)
                tokens[i] = (uint32_t)((round * 7919 + i * 31 + 300) % bench->info.n_vocabulary);
}

static int bench_prefill(const struct bench *bench, mulm_session *session, size_t n, double *ret_rate,
                         struct mulm_error *error)
{
        uint32_t tokens[256];
        double rates[ROUNDS];

        for (size_t round = 0; round < ROUNDS; round++) {
                double start;
                int r;

                make_tokens(bench, round + n, tokens, n);
                start = now_ms();
                r = mulm_session_evaluate(session, tokens, n, error);
                if (r < 0)
                        return r;
                rates[round] = (double)n * 1e3 / (now_ms() - start);
        }
        *ret_rate = median(rates, ROUNDS);
        return 0;
}

static int bench_decode(const struct bench *bench, mulm_session *session, double *ret_rate, struct mulm_error *error)
{
        uint32_t tokens[DECODE_START + DECODE_TOKENS];
        double rates[ROUNDS];

        for (size_t round = 0; round < ROUNDS; round++) {
                double start = 0.0;

                make_tokens(bench, round, tokens, ARRAY_SIZE(tokens));
                for (size_t n = DECODE_START; n <= ARRAY_SIZE(tokens); n++) {
                        int r = mulm_session_evaluate(session, tokens, n, error);

                        if (r < 0)
                                return r;
                        if (n == DECODE_START)
                                start = now_ms();
                }
                rates[round] = DECODE_TOKENS * 1e3 / (now_ms() - start);
        }
        *ret_rate = median(rates, ROUNDS);
        return 0;
}

static int run_opener(mulm_session *session, const char *question, double *ret_first_ms, double *ret_all_ms,
                      struct mulm_error *error)
{
        struct mulm_message message = { MULM_ROLE_USER, question, strlen(question) };
        struct mulm_opener_options options = MULM_OPENER_DEFAULTS;
        double start = now_ms(), first = 0.0;
        struct mulm_word word;
        int r;

        options.min_words = options.max_words;
        r = mulm_session_chat(session, &message, 1, NULL, 0, error);
        if (r < 0)
                return r;
        r = mulm_opener_begin(session, &options, error);
        if (r < 0)
                return r;
        while ((r = mulm_opener_next(session, &word, error)) == MULM_OPENER_WORD)
                if (first <= 0.0)
                        first = now_ms();
        if (r < 0)
                return r;
        *ret_first_ms = first - start;
        *ret_all_ms = now_ms() - start;
        return 0;
}

/* With and without lookup in turn, so that what else the machine does meets both. */
static int bench_opener(mulm_session *session, mulm_session *lookup, struct bench_threads *threads,
                        struct mulm_error *error)
{
        double first[ROUNDS], all[ROUNDS], drafted[ROUNDS], unused;

        for (size_t round = 0; round < ROUNDS; round++) {
                /* Something else in between, so that no more than the template's head is there already. */
                int r = run_opener(session, "hello", &unused, &unused, error);

                if (r == 0)
                        r = run_opener(session, QUESTION, &first[round], &all[round], error);
                if (r == 0)
                        r = run_opener(lookup, "hello", &unused, &unused, error);
                if (r == 0)
                        r = run_opener(lookup, QUESTION, &unused, &drafted[round], error);
                if (r < 0)
                        return r;
        }
        threads->first_word_ms = median(first, ROUNDS);
        threads->opener_ms = median(all, ROUNDS);
        threads->lookup_ms = median(drafted, ROUNDS);
        return 0;
}

static int bench_session(struct bench *bench, struct bench_threads *threads, struct mulm_error *error)
{
        struct mulm_session_options options = { .n_threads = threads->n_threads };
        _cleanup_(mulm_session_freep) mulm_session *session = NULL, *lookup = NULL;
        double start = now_ms();
        int r;

        r = mulm_session_new(&session, bench->model, &options, error);
        if (r < 0)
                return r;
        bench->session_ms = now_ms() - start;
        for (size_t i = 0; r == 0 && i < N_PREFILLS; i++)
                r = bench_prefill(bench, session, prefill_sizes[i], &threads->prefill[i], error);
        if (r == 0)
                r = bench_decode(bench, session, &threads->decode, error);
        bench->rss_bytes = resident_bytes();
        options.lookup = true;
        if (r == 0)
                r = mulm_session_new(&lookup, bench->model, &options, error);
        if (r == 0)
                r = bench_opener(session, lookup, threads, error);
        return r == -ENOTSUP ? 0 : r; /* without a chat template there is no opener */
}

/* ----------------------------------------------------------------------------------------------- the report */

static void print_text(const struct bench *bench)
{
        printf("%s, %s, %s\n", bench->info.name, bench->info.file_type, bench->info.isa);
        printf("open %.1f ms, session %.1f ms, resident %.1f MB for a file of %.1f MB\n", bench->open_ms,
               bench->session_ms, (double)bench->rss_bytes / 1e6, (double)bench->info.n_file_bytes / 1e6);
        for (size_t i = 0; i < bench->n_threads; i++) {
                const struct bench_threads *t = &bench->threads[i];

                printf("\n%" PRIu32 " thread%s\n", t->n_threads, t->n_threads > 1 ? "s" : "");
                for (size_t k = 0; k < N_PREFILLS; k++)
                        printf("  prefill %-4zu       %8.1f tokens/s\n", prefill_sizes[k], t->prefill[k]);
                printf("  decode             %8.1f tokens/s\n", t->decode);
                printf("  weights            %8.2f GB/s of the %.2f that reading them gives\n",
                       t->decode * (double)bench->info.n_file_bytes / 1e9, t->read_gb);
                printf("  first word         %8.2f ms\n", t->first_word_ms);
                printf("  opener of 8 words  %8.2f ms\n", t->opener_ms);
                printf("   with prompt lookup%8.2f ms\n", t->lookup_ms);
        }
}

static void print_json(const struct bench *bench)
{
        printf("{\"type\": \"%s\", \"isa\": \"%s\", \"file_bytes\": %" PRIu64 ", \"open_ms\": %.3f, "
               "\"session_ms\": %.3f, \"resident_bytes\": %" PRIu64 ", \"runs\": [",
               bench->info.file_type, bench->info.isa, bench->info.n_file_bytes, bench->open_ms, bench->session_ms,
               bench->rss_bytes);
        for (size_t i = 0; i < bench->n_threads; i++) {
                const struct bench_threads *t = &bench->threads[i];

                printf("%s{\"threads\": %" PRIu32, i > 0 ? ", " : "", t->n_threads);
                for (size_t k = 0; k < N_PREFILLS; k++)
                        printf(", \"prefill_%zu_tokens_per_second\": %.2f", prefill_sizes[k], t->prefill[k]);
                printf(", \"decode_tokens_per_second\": %.2f, \"weights_gb_per_second\": %.3f, "
                       "\"read_gb_per_second\": %.3f, \"first_word_ms\": %.3f, \"opener_ms\": %.3f, "
                       "\"opener_lookup_ms\": %.3f}",
                       t->decode, t->decode * (double)bench->info.n_file_bytes / 1e9, t->read_gb, t->first_word_ms,
                       t->opener_ms, t->lookup_ms);
        }
        printf("]}\n");
}

int tool_bench(const struct tool_options *options)
{
        _cleanup_(mulm_model_freep) mulm_model *model = NULL;
        struct bench bench = { .options = options };
        struct mulm_error error = { "" };
        double start = now_ms();
        int status;

        status = tool_open(&model, options);
        if (status != EXIT_SUCCESS)
                return status;
        bench.open_ms = now_ms() - start;
        bench.model = model;
        mulm_model_describe(model, &bench.info);

        for (uint32_t n = 1; n <= MOST_THREADS; n++) {
                struct bench_threads *threads = &bench.threads[bench.n_threads];

                threads->n_threads = options->session.n_threads ? options->session.n_threads : n;
                if (bench_session(&bench, threads, &error) < 0)
                        return tool_fail("bench", &error);
                bench.n_threads++;
                if (options->session.n_threads)
                        break;
        }
        for (size_t i = 0; i < bench.n_threads; i++)
                if (bench.threads[i].n_threads <= MOST_THREADS && bench_read(&bench, &bench.threads[i]) < 0) {
                        fprintf(stderr, "mulm: %s: cannot be read\n", options->model_path);
                        return EXIT_FAILURE;
                }
        if (options->json)
                print_json(&bench);
        else
                print_text(&bench);
        return EXIT_SUCCESS;
}
