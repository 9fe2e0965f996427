/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The command line tool `mulm` as a person calls it: answers on stdout, and for each mistake its exit status and a
 * sentence that names it.
 */
#include <cjson/cJSON.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

#define MOST_ARGUMENTS 16

static char model[4096], readme[4096];

static int setup(void **state)
{
        const char *root = getenv("MULM_SOURCE_ROOT");

        (void)state;
        assert_non_null(root);
        assert_true(snprintf(model, sizeof(model), "%s/models/mulm-28m.q8_0.gguf", root) < (int)sizeof(model));
        assert_true(snprintf(readme, sizeof(readme), "%s/tests/data/golden/README.md", root) < (int)sizeof(readme));
        return 0;
}

/* argv with the tool in front; MODEL stands for the model's path. */
static void make_argv(const char *const arguments[], const char *argv[MOST_ARGUMENTS])
{
        size_t n = 0;

        argv[n++] = getenv("MULM");
        assert_non_null(argv[0]);
        for (; *arguments; arguments++) {
                assert_true(n + 1 < MOST_ARGUMENTS);
                argv[n++] = strcmp(*arguments, "MODEL") == 0    ? model
                            : strcmp(*arguments, "README") == 0 ? readme
                                                                : *arguments;
        }
        argv[n] = NULL;
}

static char *run(const char *const arguments[])
{
        const char *argv[MOST_ARGUMENTS];

        make_argv(arguments, argv);
        return process_run(argv, NULL);
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

static size_t count_lines(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += *text == '\n';
        return n;
}

static void test_info_tells_what_the_file_holds(void **state)
{
        _cleanup_free_ char *text = RUN("info", "MODEL");

        (void)state;
        assert_non_null(strstr(text, "\nvocabulary          12288\n"));
        assert_non_null(strstr(text, "\ntype                Q8_0\n"));
}

static void test_tokenize_prints_one_id_a_line_and_text_where_asked(void **state)
{
        _cleanup_free_ char *ids = RUN("tokenize", "-m", "MODEL", "hello <|im_end|>");
        _cleanup_free_ char *texts = RUN("tokenize", "-m", "MODEL", "--text", "hello\n");
        _cleanup_free_ char *empty = RUN("tokenize", "-m", "MODEL", "");

        (void)state;
        assert_null(strchr(ids, '\t'));
        assert_true(count_lines(ids) > 3); /* a special token's name is plain text */
        assert_non_null(strstr(texts, "\thello\n"));
        assert_non_null(strstr(texts, "\t\\n\n"));
        assert_string_equal(empty, "");
}

static void test_logits_are_one_number_a_token(void **state)
{
        _cleanup_free_ char *text = RUN("logits", "-m", "MODEL", "-p", "hello there");

        (void)state;
        assert_int_equal(count_lines(text), 12288);
}

static void test_generate_is_repeatable_and_kernels_are_forcible(void **state)
{
        _cleanup_free_ char *a =
                RUN("generate", "-m", "MODEL", "-p", "rain", "-n", "8", "--temp", "1", "--seed", "3");
        _cleanup_free_ char *b =
                RUN("generate", "-m", "MODEL", "-p", "rain", "-n", "8", "--temp", "1", "--seed", "3");
        _cleanup_free_ char *scalar = RUN("generate", "-m", "MODEL", "-p", "rain", "-n", "2", "--isa", "scalar");
        _cleanup_free_ char *half = RUN("generate", "-m", "MODEL", "-p", "rain", "-n", "2", "--kv", "f16");

        (void)state;
        assert_string_equal(a, b);
        assert_true(strlen(scalar) > 1);
        assert_true(strlen(half) > 1);
}

static void test_opener_says_no_more_words_than_asked(void **state)
{
        _cleanup_free_ char *text = RUN("generate", "-m", "MODEL", "-p", "why is the sky blue", "--opener", "--words",
                                        "3", "--min-words", "3", "--text");

        (void)state;
        assert_int_equal(count_lines(text), 3);
}

/* One word a line; the file's own confidence decides how many there are past the least. */
static void test_every_model_that_ships_says_an_opener(void **state)
{
        _cleanup_free_ char *pattern = NULL;
        glob_t found;

        (void)state;
        assert_true(asprintf(&pattern, "%s/models/*.gguf", getenv("MULM_SOURCE_ROOT")) > 0);
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        for (size_t i = 0; i < found.gl_pathc; i++) {
                _cleanup_free_ char *text =
                        RUN("generate", "-m", found.gl_pathv[i], "-p", "why is the sky blue", "--opener", "--text");
                size_t n = count_lines(text);

                print_message("# %s: %zu words\n", found.gl_pathv[i], n);
                assert_in_range(n, 4, 8);
        }
        globfree(&found);
}

static void test_perplexity_prints_an_object(void **state)
{
        _cleanup_free_ char *text = RUN("perplexity", "-m", "MODEL", "--json", "-c", "64", "README");
        cJSON *object = cJSON_Parse(text);

        (void)state;
        assert_non_null(object);
        assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(object, "perplexity")) > 1.0);
        assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(object, "tokens")) > 30.0);
        cJSON_Delete(object);
}

static void test_mistakes_are_named(void **state)
{
        static const struct {
                const char *arguments[8];
                int status;
                const char *sentence;
        } mistakes[] = {
                { { NULL }, 2, "needs a verb" },
                { { "frob" }, 2, "no verb 'frob'" },
                { { "info" }, 2, "mulm info: needs an argument" },
                { { "info", "a", "b" }, 2, "too many arguments" },
                { { "tokenize", "text" }, 2, "needs -m FILE" },
                { { "generate", "-m", "MODEL" }, 2, "needs -p TEXT" },
                { { "generate", "-n", "x" }, 2, "'x' is no value for -n" },
                { { "generate", "--temp=warm" }, 2, "'warm' is no value for --temp" },
                { { "bench", "-m", "MODEL", "--isa", "mmx" }, 2, "'mmx' is no value for --isa" },
                { { "bench", "-m", "MODEL", "--kv", "q8" }, 2, "'q8' is no value for --kv" },
                { { "generate", "--frob" }, 2, "--frob" },
                { { "info", "/nonexistent" }, 1, "/nonexistent: cannot be opened: No such file or directory" },
                { { "info", "README" }, 1, "not a GGUF file" },
                { { "tokenize", "-m", "MODEL", "a\xff" }, 1, "UTF-8" },
                { { "generate", "-m", "MODEL", "-p", "hi", "--temp=-1" }, 1, "temperature -1" },
                { { "generate", "-m", "MODEL", "-p", "hi", "-c", "99999" }, 1, "99999 tokens" },
                { { "logits", "-m", "MODEL", "-p", "" }, 1, "no tokens" },
                { { "perplexity", "-m", "MODEL", "/nonexistent" }, 1, "No such file" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
                const char *argv[MOST_ARGUMENTS];
                struct process *process;

                make_argv(mistakes[i].arguments, argv);
                process = process_spawn(argv, NULL);
                assert_int_equal(process_wait(process), mistakes[i].status);
                assert_non_null(strstr(process_output(process, PROCESS_STREAM_ERROR), mistakes[i].sentence));
                assert_string_equal(process_output(process, PROCESS_STREAM_OUTPUT), "");
                process_free(process);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_info_tells_what_the_file_holds),
                cmocka_unit_test(test_tokenize_prints_one_id_a_line_and_text_where_asked),
                cmocka_unit_test(test_logits_are_one_number_a_token),
                cmocka_unit_test(test_generate_is_repeatable_and_kernels_are_forcible),
                cmocka_unit_test(test_opener_says_no_more_words_than_asked),
                cmocka_unit_test(test_every_model_that_ships_says_an_opener),
                cmocka_unit_test(test_perplexity_prints_an_object),
                cmocka_unit_test(test_mistakes_are_named),
        };

        return cmocka_run_group_tests(tests, setup, NULL);
}
