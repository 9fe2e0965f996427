/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Text to tokens: the same as llama.cpp's on every line of the prompts and on awkward texts, and back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/bpe.h"
#include "libmulm/model.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

static void expect_llama_cpp_tokens(const struct golden_model *which, const char *texts_path, const char *separator,
                                    const char *name)
{
        mulm_model *model = golden_model_open(which);
        struct golden_texts texts = golden_texts_open(texts_path, separator);
        struct golden_tokens golden = golden_tokens_open(which, name);
        struct token_list list = TOKEN_LIST_NULL;
        struct mulm_error error;
        size_t n, n_texts = 0;

        for (const char *text; (text = golden_texts_next(&texts, &n)); n_texts++) {
                list.n = 0;
                assert_int_equal(bpe_encode(model->vocab, text, n, &list, &error), 0);
                golden_tokens_expect(&golden, list.tokens, list.n, text);
        }
        assert_true(n_texts > 100);
        golden_tokens_expect_end(&golden);
        token_list_done(&list);
        golden_tokens_done(&golden);
        golden_texts_done(&texts);
        mulm_model_free(model);
}

static void expect_llama_cpp_tokens_of_all(const struct golden_model *which)
{
        expect_llama_cpp_tokens(which, "prompts/clinc-oos.txt", GOLDEN_LINES, "clinc-oos");
        expect_llama_cpp_tokens(which, "prompts/nlu-evaluation-data.txt", GOLDEN_LINES, "nlu-evaluation-data");
        expect_llama_cpp_tokens(which, "golden/awkward-texts.txt", GOLDEN_AWKWARD, "awkward");
}

static void test_tokens_of_our_model_are_those_of_llama_cpp(void **state)
{
        (void)state;
        expect_llama_cpp_tokens_of_all(&golden_mulm_28m);
}

static void test_tokens_of_smollm2_are_those_of_llama_cpp(void **state)
{
        (void)state;
        expect_llama_cpp_tokens_of_all(&golden_smollm2);
}

/* Our vocabulary has every byte, so nothing may be lost. */
static void expect_round_trip(const mulm_model *model, const char *text, size_t n_text)
{
        struct token_list list = TOKEN_LIST_NULL;
        size_t offset = 0, n;
        const char *bytes;

        assert_int_equal(bpe_encode(model->vocab, text, n_text, &list, NULL), 0);
        for (size_t i = 0; i < list.n; i++) {
                assert_false(vocab_is_special(model->vocab, list.tokens[i]));
                vocab_bytes(model->vocab, list.tokens[i], &bytes, &n);
                assert_true(offset + n <= n_text);
                assert_memory_equal(text + offset, bytes, n);
                offset += n;
        }
        assert_int_equal(offset, n_text);
        token_list_done(&list);
}

static void test_tokens_spell_the_text(void **state)
{
        mulm_model *model = golden_model_open(&golden_mulm_28m);
        struct golden_texts texts = golden_texts_open("golden/awkward-texts.txt", GOLDEN_AWKWARD);
        size_t n;

        (void)state;
        for (const char *text; (text = golden_texts_next(&texts, &n));)
                expect_round_trip(model, text, n);
        golden_texts_done(&texts);
        mulm_model_free(model);
}

/* An O(n^2) merge would run into the timeout. */
static void test_word_of_a_megabyte_is_encoded(void **state)
{
        static const char *const words[] = { "la", "hello", "\xe6\xbc\xa2", "!", " " };
        mulm_model *model = golden_model_open(&golden_mulm_28m);
        size_t n_text = 1 << 20;
        char *text = malloc(n_text);

        (void)state;
        assert_non_null(text);
        for (size_t k = 0; k < ARRAY_SIZE(words); k++) {
                size_t n = n_text / strlen(words[k]) * strlen(words[k]);

                for (size_t i = 0; i < n; i++)
                        text[i] = words[k][i % strlen(words[k])];
                expect_round_trip(model, text, n);
        }
        free(text);
        mulm_model_free(model);
}

static void test_text_that_is_not_utf8_is_refused_with_its_offset(void **state)
{
        static const char *const bad[] = { "good \xff", "good \xc0\x80", "good \xed\xa0\x80 more", "good \xe2\x82" };
        mulm_model *model = golden_model_open(&golden_mulm_28m);
        struct token_list list = TOKEN_LIST_NULL;
        struct mulm_error error;

        (void)state;
        assert_int_equal(token_list_push(&list, 7), 0);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(bpe_encode(model->vocab, bad[i], strlen(bad[i]), &list, &error), -EBADMSG);
                assert_non_null(strstr(error.sentence, "offset 5 "));
        }
        assert_int_equal(list.n, 1);
        token_list_done(&list);
        mulm_model_free(model);
}

static void test_tokenize_counts_more_than_it_stores(void **state)
{
        mulm_model *model = golden_model_open(&golden_mulm_28m);
        uint32_t all[8], some[2] = { 1, 2 };
        size_t n, n_all;

        (void)state;
        assert_int_equal(mulm_tokenize(model, "hello there world", 17, all, 8, &n_all, NULL), 0);
        assert_true(n_all > 1 && n_all <= 8);
        assert_int_equal(mulm_tokenize(model, "hello there world", 17, NULL, 0, &n, NULL), 0);
        assert_int_equal(n, n_all);
        assert_int_equal(mulm_tokenize(model, "hello there world", 17, some, 1, &n, NULL), 0);
        assert_int_equal(n, n_all);
        assert_int_equal(some[0], all[0]);
        assert_int_equal(some[1], 2);
        mulm_model_free(model);
}

static void test_token_bytes_of_no_token_are_refused(void **state)
{
        mulm_model *model = golden_model_open(&golden_mulm_28m);
        const char *bytes;
        size_t n;

        (void)state;
        assert_int_equal(mulm_token_bytes(model, 2, &bytes, &n), 0);
        assert_int_equal(n, strlen("<|im_end|>"));
        assert_memory_equal(bytes, "<|im_end|>", n);
        assert_int_equal(mulm_token_bytes(model, model->n_vocabulary, &bytes, &n), -EINVAL);
        mulm_model_free(model);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tokens_of_our_model_are_those_of_llama_cpp),
                cmocka_unit_test_prestate(test_tokens_of_smollm2_are_those_of_llama_cpp, (void *)&golden_smollm2),
                cmocka_unit_test(test_tokens_spell_the_text),
                cmocka_unit_test(test_word_of_a_megabyte_is_encoded),
                cmocka_unit_test(test_text_that_is_not_utf8_is_refused_with_its_offset),
                cmocka_unit_test(test_tokenize_counts_more_than_it_stores),
                cmocka_unit_test(test_token_bytes_of_no_token_are_refused),
        };

        return golden_run(tests, ARRAY_SIZE(tests), NULL);
}
