/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulm: looks at a model file and runs it, without the daemon. One verb per question; the answer goes to stdout, all
 * else to stderr. Reads the command line here; the verbs are in the other files of this folder. See mulm(1).
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/tools/tool.h"

struct verb {
        const char *name, *arguments, *help;
        bool takes_model, takes_prompt, takes_argument;
        int (*run)(const struct tool_options *options);
};

static const struct verb verbs[] = {
        { "info", "FILE", "what a model file holds", false, false, true, tool_info },
        { "tokenize", "-m FILE TEXT", "the token ids of a text, one a line", true, false, true, tool_tokenize_text },
        { "generate", "-m FILE -p TEXT", "go on from a prompt", true, true, false, tool_generate },
        { "logits", "-m FILE -p TEXT", "the logits after a prompt, one a line", true, true, false, tool_logits },
        { "perplexity", "-m FILE TEXTFILE", "how well a model expects a text", true, false, true, tool_perplexity },
        { "bench", "-m FILE", "how fast it runs here", true, false, false, tool_bench },
};

enum {
        OPTION_TEMP = 0x100,
        OPTION_SEED,
        OPTION_TOP_K,
        OPTION_TOP_P,
        OPTION_PENALTY,
        OPTION_CHAT,
        OPTION_OPENER,
        OPTION_WORDS,
        OPTION_MIN_WORDS,
        OPTION_CONFIDENCE,
        OPTION_ISA,
        OPTION_KV,
        OPTION_LOOKUP,
        OPTION_JSON,
        OPTION_TEXT,
        OPTION_VERSION,
};

static const struct option long_options[] = {
        { "model", required_argument, NULL, 'm' },
        { "prompt", required_argument, NULL, 'p' },
        { "tokens", required_argument, NULL, 'n' },
        { "threads", required_argument, NULL, 't' },
        { "context", required_argument, NULL, 'c' },
        { "temp", required_argument, NULL, OPTION_TEMP },
        { "seed", required_argument, NULL, OPTION_SEED },
        { "top-k", required_argument, NULL, OPTION_TOP_K },
        { "top-p", required_argument, NULL, OPTION_TOP_P },
        { "repetition-penalty", required_argument, NULL, OPTION_PENALTY },
        { "chat", no_argument, NULL, OPTION_CHAT },
        { "opener", no_argument, NULL, OPTION_OPENER },
        { "words", required_argument, NULL, OPTION_WORDS },
        { "min-words", required_argument, NULL, OPTION_MIN_WORDS },
        { "confidence", required_argument, NULL, OPTION_CONFIDENCE },
        { "isa", required_argument, NULL, OPTION_ISA },
        { "kv", required_argument, NULL, OPTION_KV },
        { "lookup", no_argument, NULL, OPTION_LOOKUP },
        { "json", no_argument, NULL, OPTION_JSON },
        { "text", no_argument, NULL, OPTION_TEXT },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, OPTION_VERSION },
        { NULL, 0, NULL, 0 },
};

static void print_help(void)
{
        printf("mulm VERB [OPTIONS]\n\nRuns a micro language model from a GGUF file.\n\nVerbs:\n");
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                printf("  %-10s %-18s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
        printf("\nOptions:\n"
               "  -m, --model FILE            the model\n"
               "  -p, --prompt TEXT           the prompt, as it is or, with --chat, as a question\n"
               "  -n, --tokens N              generate at most N tokens (default 64)\n"
               "      --chat                  put the prompt into the model's chat template\n"
               "      --opener                the first words of a reply, whole ones (implies --chat)\n"
               "      --words N               say at most N words (default 8)\n"
               "      --min-words N           and N without regard to confidence (default 4)\n"
               "      --confidence P          stop in front of a word less probable (default: the model's)\n"
               "      --temp T                0 is greedy (default)\n"
               "      --top-k N, --top-p P, --repetition-penalty R, --seed N\n"
               "  -t, --threads N             default: one per processor, at most 4\n"
               "  -c, --context N             tokens of context; perplexity: of a window (default 512)\n"
               "      --isa NAME              kernels: auto, scalar, avx2, neon, neon-dotprod\n"
               "      --kv TYPE               keep keys and values in f32 (default) or f16, half the memory\n"
               "      --lookup                draft words of the prompt: the same text, sooner on some machines\n"
               "      --text                  tokenize: the text of each token; --opener: probabilities\n"
               "      --json                  bench, perplexity: one JSON object\n"
               "  -h, --help\n"
               "      --version\n");
}

static bool parse_u64(const char *text, uint64_t most, uint64_t *ret_value)
{
        char *end;
        unsigned long long value;

        errno = 0;
        value = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno || value > most)
                return false;
        *ret_value = value;
        return true;
}

static bool parse_u32(const char *text, uint32_t *ret_value)
{
        uint64_t value;

        if (!parse_u64(text, UINT32_MAX, &value))
                return false;
        *ret_value = (uint32_t)value;
        return true;
}

static bool parse_float(const char *text, float *ret_value)
{
        char *end;
        float value = strtof(text, &end);

        if (end == text || *end)
                return false;
        *ret_value = value;
        return true;
}

static bool parse_isa(const char *text, enum mulm_isa *ret_isa)
{
        static const char *const names[] = {
                [MULM_ISA_AUTO] = "auto",
                [MULM_ISA_SCALAR] = "scalar",
                [MULM_ISA_AVX2] = "avx2",
                [MULM_ISA_NEON] = "neon",
                [MULM_ISA_NEON_DOTPROD] = "neon-dotprod",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret_isa = (enum mulm_isa)i;
                        return true;
                }
        return false;
}

static bool parse_kv(const char *text, enum mulm_kv *ret_kv)
{
        bool is_half = strcmp(text, "f16") == 0;

        if (!is_half && strcmp(text, "f32") != 0)
                return false;
        *ret_kv = is_half ? MULM_KV_F16 : MULM_KV_F32;
        return true;
}

/* False where the value is none of the option's. */
static bool take_option(struct tool_options *options, int option, const char *value)
{
        switch (option) {
        case 'm': options->model_path = value; return true;
        case 'p': options->prompt = value; return true;
        case 'n': return parse_u32(value, &options->n_tokens);
        case 't': return parse_u32(value, &options->session.n_threads) && options->session.n_threads > 0;
        case 'c': return parse_u32(value, &options->session.n_context) && options->session.n_context > 1;
        case OPTION_TEMP: return parse_float(value, &options->sampling.temperature);
        case OPTION_SEED: return parse_u64(value, UINT64_MAX, &options->sampling.seed);
        case OPTION_TOP_K: return parse_u32(value, &options->sampling.top_k);
        case OPTION_TOP_P: return parse_float(value, &options->sampling.top_p);
        case OPTION_PENALTY: return parse_float(value, &options->sampling.repetition_penalty);
        case OPTION_CHAT: options->chat = true; return true;
        case OPTION_OPENER: options->opener = options->chat = true; return true;
        case OPTION_WORDS: return parse_u32(value, &options->opener_options.max_words);
        case OPTION_MIN_WORDS: return parse_u32(value, &options->opener_options.min_words);
        case OPTION_CONFIDENCE: return parse_float(value, &options->opener_options.confidence);
        case OPTION_ISA: return parse_isa(value, &options->model.isa);
        case OPTION_KV: return parse_kv(value, &options->session.kv);
        case OPTION_LOOKUP: options->session.lookup = true; return true;
        case OPTION_JSON: options->json = true; return true;
        case OPTION_TEXT: options->text = true; return true;
        default: return false;
        }
}

static int usage(const char *verb, const char *what)
{
        fprintf(stderr, "mulm%s%s: %s; see mulm --help\n", verb ? " " : "", verb ? verb : "", what);
        return TOOL_USAGE;
}

static int bad_value(int option, int index, const char *value)
{
        if (index >= 0)
                fprintf(stderr, "mulm: '%s' is no value for --%s\n", value, long_options[index].name);
        else
                fprintf(stderr, "mulm: '%s' is no value for -%c\n", value, option);
        return TOOL_USAGE;
}

static const struct verb *find_verb(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}

static int run_verb(const struct verb *verb, struct tool_options *options, char **arguments, int n_arguments)
{
        if (verb->takes_model && !options->model_path)
                return usage(verb->name, "needs -m FILE");
        if (verb->takes_prompt && !options->prompt)
                return usage(verb->name, "needs -p TEXT");
        if (verb->takes_argument && n_arguments < 1)
                return usage(verb->name, "needs an argument");
        if (n_arguments > (verb->takes_argument ? 1 : 0))
                return usage(verb->name, "too many arguments");

        options->argument = arguments[0];
        if (!verb->takes_model)
                options->model_path = arguments[0];
        return verb->run(options);
}

int main(int argc, char **argv)
{
        struct tool_options options = {
                .n_tokens = 64,
                .sampling = MULM_SAMPLING_GREEDY,
                .opener_options = MULM_OPENER_DEFAULTS,
        };
        const struct verb *verb;
        int option;

        for (int index = -1; (option = getopt_long(argc, argv, "m:p:n:t:c:h", long_options, &index)) != -1;
             index = -1) {
                switch (option) {
                case 'h': print_help(); return EXIT_SUCCESS;
                case OPTION_VERSION: printf("mulm %s\n", mulm_version()); return EXIT_SUCCESS;
                case '?': return TOOL_USAGE; /* getopt has said what */
                default:
                        if (!take_option(&options, option, optarg))
                                return bad_value(option, index, optarg);
                }
        }

        if (optind == argc)
                return usage(NULL, "needs a verb");
        verb = find_verb(argv[optind]);
        if (!verb) {
                fprintf(stderr, "mulm: no verb '%s'; see mulm --help\n", argv[optind]);
                return TOOL_USAGE;
        }
        return run_verb(verb, &options, argv + optind + 1, argc - optind - 1);
}
