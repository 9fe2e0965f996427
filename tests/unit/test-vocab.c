/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The vocabulary: bytes behind the stand-ins, special tokens, merges, and what a broken one is refused with.
 */
#include <errno.h>
#include <string.h>

#include "libmulm/bpe.h"
#include "libmulm/vocab.h"
#include "tests/support/gguf-writer.h"
#include "tests/support/test.h"

/* The writer's file must stay while the gguf does; a vocabulary needs neither any more. */
static int load(const struct gguf_writer *writer, struct vocab **ret_vocab, struct mulm_error *error)
{
        struct buf file = BUF_NULL;
        struct gguf *gguf = NULL;
        int r;

        gguf_writer_finish(writer, &file);
        assert_int_equal(gguf_new(&gguf, file.data, file.n, NULL), 0);
        r = vocab_new(ret_vocab, gguf, error);
        gguf_free(gguf);
        buf_done(&file);
        return r;
}

static struct vocab *load_tiny(void)
{
        struct gguf_writer writer = { 0 };
        struct vocab *vocab = NULL;

        gguf_writer_tiny_tokenizer(&writer);
        assert_int_equal(load(&writer, &vocab, NULL), 0);
        gguf_writer_done(&writer);
        return vocab;
}

static void expect_refusal(const struct gguf_writer *writer, int r, const char *words)
{
        struct mulm_error error = { "" };
        struct vocab *vocab = NULL;

        assert_int_equal(load(writer, &vocab, &error), r);
        assert_null(vocab);
        if (!strstr(error.sentence, words))
                fail_msg("'%s' is not in '%s'", words, error.sentence);
}

static void test_every_byte_has_its_token(void **state)
{
        struct vocab *vocab = load_tiny();
        const char *bytes;
        size_t n;

        (void)state;
        assert_int_equal(vocab_size(vocab), 262);
        for (unsigned byte = 0; byte < 256; byte++) {
                uint32_t token = vocab_byte_token(vocab, (unsigned char)byte);

                assert_true(token < 256);
                vocab_bytes(vocab, token, &bytes, &n);
                assert_int_equal(n, 1);
                assert_int_equal((unsigned char)bytes[0], byte);
        }
        vocab_free(vocab);
}

static void test_special_tokens_are_known_by_name(void **state)
{
        struct vocab *vocab = load_tiny();
        const char *bytes;
        size_t n;

        (void)state;
        assert_int_equal(vocab_find_special(vocab, "<|im_start|>"), 259);
        assert_int_equal(vocab_find_special(vocab, "hell"), VOCAB_NO_TOKEN);
        assert_true(vocab_is_special(vocab, 261));
        assert_false(vocab_is_special(vocab, 258));
        assert_true(vocab_is_end(vocab, 260));
        assert_true(vocab_is_end(vocab, 261));
        assert_false(vocab_is_end(vocab, 259));
        assert_int_equal(vocab_begin_token(vocab), VOCAB_NO_TOKEN);
        vocab_bytes(vocab, 259, &bytes, &n);
        assert_int_equal(n, 12);
        assert_memory_equal(bytes, "<|im_start|>", n);
        vocab_free(vocab);
}

static void test_pairs_merge_by_rank(void **state)
{
        struct vocab *vocab = load_tiny();
        struct token_list list = TOKEN_LIST_NULL;

        (void)state;
        /* "h e" comes before "l l", and "he ll" joins what they made: hell o. */
        assert_int_equal(bpe_encode(vocab, "hello", 5, &list, NULL), 0);
        assert_int_equal(list.n, 2);
        assert_int_equal(list.tokens[0], 258);
        list.n = 0;
        assert_int_equal(bpe_encode(vocab, "lllhe", 5, &list, NULL), 0);
        assert_int_equal(list.n, 3);
        assert_int_equal(list.tokens[0], 257);
        assert_int_equal(list.tokens[2], 256);
        token_list_done(&list);
        vocab_free(vocab);
}

static void test_name_of_a_special_token_in_a_text_is_plain(void **state)
{
        struct vocab *vocab = load_tiny();
        struct token_list list = TOKEN_LIST_NULL;

        (void)state;
        assert_int_equal(bpe_encode(vocab, "<|im_end|>", 10, &list, NULL), 0);
        assert_int_equal(list.n, 10);
        for (size_t i = 0; i < list.n; i++)
                assert_true(list.tokens[i] < 256);
        token_list_done(&list);
        vocab_free(vocab);
}

static void test_begin_token_is_used_where_the_file_asks_for_it(void **state)
{
        struct gguf_writer writer = { 0 };
        struct vocab *vocab = NULL;

        (void)state;
        gguf_writer_tiny_tokenizer(&writer);
        gguf_writer_bool(&writer, "tokenizer.ggml.add_bos_token", true);
        expect_refusal(&writer, -EBADMSG, "'bos_token_id' does not name");
        gguf_writer_u32(&writer, "tokenizer.ggml.bos_token_id", 261);
        assert_int_equal(load(&writer, &vocab, NULL), 0);
        assert_int_equal(vocab_begin_token(vocab), 261);
        vocab_free(vocab);
        gguf_writer_done(&writer);
}

static void test_broken_tokens_are_refused(void **state)
{
        static const char *const none[] = { "" };
        static const char *const no_stand_in[] = { "a", "\xe4\xbd\xa0" };
        static const char *const few[] = { "a", "b" };
        static const struct {
                const char *const *tokens;
                size_t n;
                int r;
                const char *words;
        } cases[] = {
                { none, 0, -EBADMSG, "'tokenizer.ggml.tokens' is missing or empty" },
                { no_stand_in, 2, -EBADMSG,
                  "token 1, '?"
                  "?"
                  "?', has characters that stand for no byte" },
                { few, 2, -ENOTSUP, "has no token for the byte 0x0a" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct gguf_writer writer = { 0 };

                gguf_writer_string(&writer, "tokenizer.ggml.model", "gpt2");
                gguf_writer_string(&writer, "tokenizer.ggml.pre", "gpt-2");
                gguf_writer_strings(&writer, "tokenizer.ggml.tokens", cases[i].tokens, cases[i].n);
                expect_refusal(&writer, cases[i].r, cases[i].words);
                gguf_writer_done(&writer);
        }
}

static void test_token_that_appears_twice_is_refused(void **state)
{
        struct gguf_writer writer = { 0 };
        char *token;

        (void)state;
        gguf_writer_tiny_tokenizer(&writer);
        /* Token 1 is '"': make it '!', which is token 0. Each is a length of eight bytes and itself. */
        token = memmem(writer.keys.data, writer.keys.n, "\1\0\0\0\0\0\0\0!\1\0\0\0\0\0\0\0\"", 18);
        assert_non_null(token);
        token[17] = '!';
        expect_refusal(&writer, -ENOTSUP, "no token for the byte 0x22");
        /* The same with one that has no byte to itself: "ll" becomes "he". */
        token[17] = '"';
        token = memmem(writer.keys.data, writer.keys.n, "\2\0\0\0\0\0\0\0ll", 10);
        assert_non_null(token);
        memcpy(token + 8, "he", 2);
        expect_refusal(&writer, -EBADMSG, "tokens 256 and 257 are both 'he'");
        gguf_writer_done(&writer);
}

static void test_broken_types_are_refused(void **state)
{
        int32_t types[262] = { 0 };
        struct gguf_writer writer = { .without = "tokenizer.ggml.token_type" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                types[i] = 1;
        types[17] = 9;
        gguf_writer_tiny_tokenizer(&writer);
        writer.without = NULL;
        gguf_writer_i32s(&writer, "tokenizer.ggml.token_type", types, ARRAY_SIZE(types));
        expect_refusal(&writer, -EBADMSG, "token 17 has type 9");
        gguf_writer_done(&writer);
}

static void test_broken_merges_are_refused(void **state)
{
        static const struct {
                const char *merges[2];
                const char *words;
        } cases[] = {
                { { "h e", "hell" }, "number 1, 'hell', is no pair" },
                { { "h e", "h o" }, "number 1, 'h o', names no token" },
                { { "hh e", "l l" }, "number 0, 'hh e', names no token" },
                { { "h e", "h e" }, "numbers 0 and 1 are the same" },
                { { "<| im_end|>", "l l" }, "names no token" },
                { { "h  e", "l l" }, "names no token" },
                { { " ", "l l" }, "names no token" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct gguf_writer writer = { .without = "tokenizer.ggml.merges" };

                gguf_writer_tiny_tokenizer(&writer);
                writer.without = NULL;
                gguf_writer_strings(&writer, "tokenizer.ggml.merges", cases[i].merges, 2);
                expect_refusal(&writer, -EBADMSG, cases[i].words);
                gguf_writer_done(&writer);
        }
}

static void test_ids_beyond_the_vocabulary_are_refused(void **state)
{
        static const char *const keys[] = { "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                            "tokenizer.ggml.bos_token_id" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                struct gguf_writer writer = { .without = keys[i] };

                gguf_writer_tiny_tokenizer(&writer);
                writer.without = NULL;
                gguf_writer_u32(&writer, keys[i], 262);
                expect_refusal(&writer, -EBADMSG, keys[i]);
                gguf_writer_done(&writer);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_byte_has_its_token),
                cmocka_unit_test(test_special_tokens_are_known_by_name),
                cmocka_unit_test(test_pairs_merge_by_rank),
                cmocka_unit_test(test_name_of_a_special_token_in_a_text_is_plain),
                cmocka_unit_test(test_begin_token_is_used_where_the_file_asks_for_it),
                cmocka_unit_test(test_broken_tokens_are_refused),
                cmocka_unit_test(test_token_that_appears_twice_is_refused),
                cmocka_unit_test(test_broken_types_are_refused),
                cmocka_unit_test(test_broken_merges_are_refused),
                cmocka_unit_test(test_ids_beyond_the_vocabulary_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
