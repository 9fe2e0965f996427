/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The container: what is in it comes out, what is wrong with it is named.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/gguf.h"
#include "tests/support/gguf-writer.h"
#include "tests/support/test.h"

/* Parses a copy of exactly n_data bytes, so that a sanitizer sees each byte read behind them. */
static int parse(const void *data, size_t n_data, struct gguf **ret_gguf, struct mulm_error *error)
{
        void *copy = malloc(n_data > 0 ? n_data : 1);
        int r;

        assert_non_null(copy);
        memcpy(copy, data, n_data);
        r = gguf_new(ret_gguf, copy, n_data, error);
        if (r < 0)
                free(copy);
        return r;
}

static void expect_refusal(const struct gguf_writer *writer, int r, const char *words)
{
        struct mulm_error error = { "" };
        struct gguf *gguf = NULL;
        struct buf file = BUF_NULL;

        gguf_writer_finish(writer, &file);
        assert_int_equal(parse(file.data, file.n, &gguf, &error), r);
        assert_null(gguf);
        if (!strstr(error.sentence, words))
                fail_msg("'%s' is not in '%s'", words, error.sentence);
        buf_done(&file);
}

static void test_values_of_every_type_come_out(void **state)
{
        static const char *const strings[] = { "one", "", "three" };
        static const int32_t integers[] = { 1, -2, 3 };
        static const int64_t wide = 7;
        static const int8_t narrow = 5;
        static const double real = 0.5;
        struct gguf_writer writer = { 0 };
        struct buf file = BUF_NULL;
        struct gguf *gguf = NULL;
        const struct gguf_string *ret_strings;
        const int32_t *ret_integers;
        struct gguf_string string;
        uint32_t number;
        float fraction;
        bool flag;
        size_t n;

        (void)state;
        gguf_writer_strings(&writer, "strings", strings, 3);
        gguf_writer_value(&writer, "wide", GGUF_TYPE_INT64, &wide, sizeof(wide));
        gguf_writer_u32(&writer, "number", 4000000000u);
        gguf_writer_f32(&writer, "fraction", 0.25f);
        gguf_writer_value(&writer, "real", GGUF_TYPE_FLOAT64, &real, sizeof(real));
        gguf_writer_bool(&writer, "flag", true);
        gguf_writer_string(&writer, "string", "text");
        gguf_writer_value(&writer, "narrow", GGUF_TYPE_INT8, &narrow, sizeof(narrow));
        gguf_writer_i32s(&writer, "integers", integers, 3);
        gguf_writer_finish(&writer, &file);
        assert_int_equal(gguf_new(&gguf, file.data, file.n, NULL), 0);

        assert_int_equal(gguf_get_u32(gguf, "number", &number, NULL), 0);
        assert_int_equal(number, 4000000000u);
        assert_int_equal(gguf_get_u32(gguf, "wide", &number, NULL), 0);
        assert_int_equal(number, 7);
        assert_int_equal(gguf_get_u32(gguf, "narrow", &number, NULL), 0);
        assert_int_equal(number, 5);
        assert_int_equal(gguf_get_f32(gguf, "fraction", &fraction, NULL), 0);
        assert_true(fraction == 0.25f);
        assert_int_equal(gguf_get_f32(gguf, "real", &fraction, NULL), 0);
        assert_true(fraction == 0.5f);
        assert_int_equal(gguf_get_bool(gguf, "flag", &flag, NULL), 0);
        assert_true(flag);
        assert_int_equal(gguf_get_string(gguf, "string", &string, NULL), 0);
        assert_int_equal(string.n_data, 4);
        assert_memory_equal(string.data, "text", 4);
        assert_int_equal(gguf_get_strings(gguf, "strings", &ret_strings, &n, NULL), 0);
        assert_int_equal(n, 3);
        assert_memory_equal(ret_strings[2].data, "three", 5);
        assert_int_equal(gguf_get_i32s(gguf, "integers", &ret_integers, &n, NULL), 0);
        assert_int_equal(n, 3);
        assert_memory_equal(ret_integers, integers, sizeof(integers));
        assert_int_equal(gguf_get_u32(gguf, "nothing", &number, NULL), -ENOENT);
        gguf_free(gguf);
        gguf_writer_done(&writer);
        buf_done(&file);
}

static void test_value_of_another_type_is_refused_by_name(void **state)
{
        static const int32_t negative = -1;
        struct gguf_writer writer = { 0 };
        struct buf file = BUF_NULL;
        struct gguf *gguf = NULL;
        struct mulm_error error;
        const struct gguf_string *strings;
        const int32_t *integers;
        struct gguf_string string;
        uint32_t number;
        float fraction;
        bool flag;
        size_t n;

        (void)state;
        gguf_writer_value(&writer, "negative", GGUF_TYPE_INT32, &negative, sizeof(negative));
        gguf_writer_string(&writer, "string", "text");
        gguf_writer_i32s(&writer, "integers", &negative, 1);
        gguf_writer_finish(&writer, &file);
        assert_int_equal(gguf_new(&gguf, file.data, file.n, NULL), 0);

        assert_int_equal(gguf_get_u32(gguf, "negative", &number, &error), -EBADMSG);
        assert_non_null(strstr(error.sentence, "key 'negative' is -1, out of range"));
        assert_int_equal(gguf_get_u32(gguf, "string", &number, &error), -EBADMSG);
        assert_non_null(strstr(error.sentence, "key 'string' is string, not an integer"));
        assert_int_equal(gguf_get_f32(gguf, "negative", &fraction, &error), -EBADMSG);
        assert_int_equal(gguf_get_bool(gguf, "negative", &flag, &error), -EBADMSG);
        assert_int_equal(gguf_get_string(gguf, "integers", &string, &error), -EBADMSG);
        assert_non_null(strstr(error.sentence, "key 'integers' is an array of int32, not a string"));
        assert_int_equal(gguf_get_strings(gguf, "integers", &strings, &n, &error), -EBADMSG);
        assert_int_equal(gguf_get_i32s(gguf, "string", &integers, &n, &error), -EBADMSG);
        gguf_free(gguf);
        gguf_writer_done(&writer);
        buf_done(&file);
}

static void test_tensors_come_out_by_name(void **state)
{
        struct gguf_writer writer = { 0 };
        struct buf file = BUF_NULL;
        struct gguf *gguf = NULL;
        const struct gguf_tensor *tensor;

        (void)state;
        gguf_writer_tensor(&writer, "b", QUANT_Q8_0, 64, 3);
        gguf_writer_tensor(&writer, "a", QUANT_F32, 5, 0);
        gguf_writer_finish(&writer, &file);
        assert_int_equal(gguf_new(&gguf, file.data, file.n, NULL), 0);

        assert_int_equal(gguf_n_tensors(gguf), 2);
        assert_null(gguf_find_tensor(gguf, "c"));
        tensor = gguf_find_tensor(gguf, "b");
        assert_non_null(tensor);
        assert_int_equal(tensor->type, QUANT_Q8_0);
        assert_int_equal(tensor->n_dims, 2);
        assert_int_equal(tensor->dims[0], 64);
        assert_int_equal(tensor->dims[1], 3);
        assert_int_equal(tensor->dims[3], 1);
        assert_int_equal(tensor->n_data, 3 * 2 * 34);
        assert_int_equal(((const char *)tensor->data - file.data) % 32, 0);
        tensor = gguf_find_tensor(gguf, "a");
        assert_non_null(tensor);
        assert_int_equal(tensor->n_data, 20);
        gguf_free(gguf);
        gguf_writer_done(&writer);
        buf_done(&file);
}

static void test_bad_tensors_are_refused_by_name(void **state)
{
        static const struct {
                uint32_t n_dims;
                uint64_t dims[5];
                uint32_t type;
                uint64_t offset;
                int r;
                const char *words;
        } cases[] = {
                { 0, { 0 }, QUANT_F32, 0, -EBADMSG, "tensor 'bad' has 0 dimensions" },
                { 5, { 1, 1, 1, 1, 1 }, QUANT_F32, 0, -EBADMSG, "tensor 'bad' has 5 dimensions" },
                { 2, { 4, 0 }, QUANT_F32, 0, -EBADMSG, "tensor 'bad' has no elements in dimension 1" },
                { 2, { UINT64_C(1) << 33, UINT64_C(1) << 33 }, QUANT_F32, 0, -EBADMSG, "than can be counted" },
                { 1, { UINT64_C(1) << 62 }, QUANT_F32, 0, -EBADMSG, "'bad' is larger than memory" },
                { 1,
                  { 1024 },
                  QUANT_F32,
                  0,
                  -EBADMSG,
                  "tensor 'bad' of 4096 bytes at data offset 0 leaves the file" },
                { 1,
                  { 4 },
                  QUANT_F32,
                  UINT64_MAX - 31,
                  -EBADMSG,
                  "'bad' of 16 bytes at data offset 184467440737095515" },
                { 1, { 4 }, QUANT_F32, 4, -EBADMSG, "'bad' lies at data offset 4, no multiple of the alignment 32" },
                { 1, { 33 }, QUANT_Q8_0, 0, -EBADMSG, "'bad' has rows of 33 values, no multiple of the 32" },
                { 1, { 256 }, 11, 0, -ENOTSUP, "tensor 'bad' has type 11 (Q3_K)" },
                { 1, { 256 }, 4, 0, -ENOTSUP, "tensor 'bad' has type 4 (unknown)" },
                { 1, { 256 }, UINT32_MAX, 0, -ENOTSUP, "tensor 'bad' has type 4294967295 (unknown)" },
                { 1, { 4 }, QUANT_F32, 0, -EBADMSG, "overlap" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct gguf_writer writer = { 0 };

                gguf_writer_tensor(&writer, "good", QUANT_F32, 16, 0);
                gguf_writer_entry(&writer, "bad", cases[i].n_dims, cases[i].dims, cases[i].type, cases[i].offset);
                expect_refusal(&writer, cases[i].r, cases[i].words);
                gguf_writer_done(&writer);
        }
}

static void test_names_that_repeat_or_are_empty_are_refused(void **state)
{
        struct gguf_writer keys = { 0 }, tensors = { 0 }, empty_key = { 0 }, empty_tensor = { 0 };

        (void)state;
        gguf_writer_u32(&keys, "same", 1);
        gguf_writer_u32(&keys, "other", 2);
        gguf_writer_u32(&keys, "same", 3);
        expect_refusal(&keys, -EBADMSG, "key 'same' appears twice");
        gguf_writer_tensor(&tensors, "same", QUANT_F32, 8, 0);
        gguf_writer_tensor(&tensors, "same", QUANT_F32, 8, 0);
        expect_refusal(&tensors, -EBADMSG, "tensor 'same' appears twice");
        gguf_writer_u32(&empty_key, "", 1);
        expect_refusal(&empty_key, -EBADMSG, "offset 24: a key without a name");
        gguf_writer_tensor(&empty_tensor, "", QUANT_F32, 8, 0);
        expect_refusal(&empty_tensor, -EBADMSG, "offset 24: a tensor without a name");
        gguf_writer_done(&keys);
        gguf_writer_done(&tensors);
        gguf_writer_done(&empty_key);
        gguf_writer_done(&empty_tensor);
}

static void test_bad_values_are_refused_by_name(void **state)
{
        static const struct {
                uint32_t type;
                const char *value;
                size_t n_value;
                int r;
                const char *words;
        } cases[] = {
                { 13, "", 0, -EBADMSG, "the type of 'bad' is 13, which is no GGUF type" },
                { GGUF_TYPE_STRING, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, -EBADMSG,
                  "the string of 'bad' needs 18446744073709551615 bytes" },
                { GGUF_TYPE_STRING, "\0\0\0\0\0\0\0\x10", 8, -EBADMSG,
                  "the string of 'bad' needs 1152921504606846976" },
                { GGUF_TYPE_ARRAY, "\x09\0\0\0\x01\0\0\0\0\0\0\0", 12, -ENOTSUP, "key 'bad' is an array of arrays" },
                { GGUF_TYPE_ARRAY, "\x0d\0\0\0\x01\0\0\0\0\0\0\0", 12, -EBADMSG, "the element type of 'bad' is 13" },
                { GGUF_TYPE_ARRAY, "\x08\0\0\0\0\0\0\0\0\0\0\x10", 12, -EBADMSG,
                  "array 'bad' claims 1152921504606846976" },
                { GGUF_TYPE_ARRAY, "\x04\0\0\0\0\0\0\0\0\0\0\x40", 12, -EBADMSG, "the array of 'bad' needs" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct gguf_writer writer = { 0 };

                gguf_writer_value(&writer, "bad", cases[i].type, cases[i].value, cases[i].n_value);
                expect_refusal(&writer, cases[i].r, cases[i].words);
                gguf_writer_done(&writer);
        }
}

static void test_headers_that_libmulm_does_not_read_are_refused(void **state)
{
        static const struct {
                const char *header;
                int r;
                const char *words;
        } cases[] = {
                { "GGML\3\0\0\0"
                  "\0\0\0\0\0\0\0\0"
                  "\0\0\0\0\0\0\0\0",
                  -EBADMSG, "offset 0: not a GGUF file" },
                { "GGUF\0\0\0\3"
                  "\0\0\0\0\0\0\0\0"
                  "\0\0\0\0\0\0\0\0",
                  -ENOTSUP, "offset 4: a big-endian GGUF file" },
                { "GGUF\2\0\0\0"
                  "\0\0\0\0\0\0\0\0"
                  "\0\0\0\0\0\0\0\0",
                  -ENOTSUP, "offset 4: GGUF version 2" },
                { "GGUF\3\0\0\0"
                  "\0\0\0\0\0\0\0\x10"
                  "\0\0\0\0\0\0\0\0",
                  -EBADMSG, "claims 1152921504606846976 tensors, more than a file of 37 bytes can hold" },
                { "GGUF\3\0\0\0"
                  "\0\0\0\0\0\0\0\0"
                  "\xff\xff\xff\xff\xff\xff\xff\xff",
                  -EBADMSG, "claims 18446744073709551615 keys, more than a file of 37 bytes can hold" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct mulm_error error;
                struct gguf *gguf = NULL;
                char file[37] = { 0 };

                memcpy(file, cases[i].header, 24);
                assert_int_equal(parse(file, sizeof(file), &gguf, &error), cases[i].r);
                if (!strstr(error.sentence, cases[i].words))
                        fail_msg("'%s' is not in '%s'", cases[i].words, error.sentence);
        }
}

static void test_split_files_and_odd_alignments_are_refused(void **state)
{
        static const uint32_t bad[] = { 0, 4, 24, 33, 1u << 30 };
        struct gguf_writer split = { 0 };

        (void)state;
        gguf_writer_u32(&split, "split.count", 3);
        expect_refusal(&split, -ENOTSUP, "key 'split.count': one of 3 files");
        gguf_writer_done(&split);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct gguf_writer writer = { 0 };

                gguf_writer_u32(&writer, "general.alignment", bad[i]);
                expect_refusal(&writer, -EBADMSG, "key 'general.alignment' is ");
                gguf_writer_done(&writer);
        }
}

static void test_alignment_of_the_file_is_honoured(void **state)
{
        struct gguf_writer writer = { 0 };
        struct buf file = BUF_NULL;
        struct gguf *gguf = NULL;

        (void)state;
        gguf_writer_u32(&writer, "general.alignment", 8);
        gguf_writer_entry(&writer, "a", 1, &(uint64_t){ 2 }, QUANT_F32, 0);
        gguf_writer_entry(&writer, "b", 1, &(uint64_t){ 2 }, QUANT_F32, 8);
        assert_int_equal(buf_add(&writer.data, "0123456789abcdefghijklmnopqrstuvwxyz", 36), 0);
        gguf_writer_finish(&writer, &file);
        assert_int_equal(gguf_new(&gguf, file.data, file.n, NULL), 0);
        assert_ptr_equal((const char *)gguf_find_tensor(gguf, "b")->data,
                         (const char *)gguf_find_tensor(gguf, "a")->data + 8);
        assert_int_equal(((const char *)gguf_find_tensor(gguf, "a")->data - file.data) % 8, 0);
        gguf_free(gguf);
        gguf_writer_done(&writer);
        buf_done(&file);
}

/* Whatever a file looks like: it opens or it is refused with a sentence, and nothing is read behind its end. */
static void expect_verdict(const char *data, size_t n_data)
{
        struct mulm_error error = { "" };
        struct gguf *gguf = NULL;
        void *copy = malloc(n_data > 0 ? n_data : 1);
        int r;

        assert_non_null(copy);
        memcpy(copy, data, n_data);
        r = gguf_new(&gguf, copy, n_data, &error);
        if (r < 0) {
                assert_true(r == -EBADMSG || r == -ENOTSUP);
                assert_true(error.sentence[0] != '\0');
        }
        gguf_free(gguf);
        free(copy);
}

static void test_file_cut_anywhere_is_refused(void **state)
{
        struct gguf_writer writer = { 0 };
        struct buf file = BUF_NULL;
        struct mulm_error error;

        (void)state;
        gguf_writer_tiny_model(&writer);
        gguf_writer_finish(&writer, &file);
        for (size_t n = 0; n < file.n - 64; n += n < file.n - writer.data.n ? 1 : 97) {
                struct gguf *gguf = NULL;

                assert_true(parse(file.data, n, &gguf, &error) < 0);
                assert_true(strstr(error.sentence, "offset ") || strstr(error.sentence, "can hold"));
        }
        gguf_writer_done(&writer);
        buf_done(&file);
}

static void test_file_with_any_byte_changed_gets_a_verdict(void **state)
{
        static const char changes[] = { 1, 0x10, (char)0x80, (char)0xff };
        struct gguf_writer writer = { 0 };
        struct buf file = BUF_NULL;

        (void)state;
        gguf_writer_tiny_model(&writer);
        gguf_writer_finish(&writer, &file);
        for (size_t i = 0; i < file.n - writer.data.n; i++)
                for (size_t k = 0; k < ARRAY_SIZE(changes); k++) {
                        file.data[i] = (char)(file.data[i] ^ changes[k]);
                        expect_verdict(file.data, file.n);
                        file.data[i] = (char)(file.data[i] ^ changes[k]);
                }
        gguf_writer_done(&writer);
        buf_done(&file);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values_of_every_type_come_out),
                cmocka_unit_test(test_value_of_another_type_is_refused_by_name),
                cmocka_unit_test(test_tensors_come_out_by_name),
                cmocka_unit_test(test_bad_tensors_are_refused_by_name),
                cmocka_unit_test(test_names_that_repeat_or_are_empty_are_refused),
                cmocka_unit_test(test_bad_values_are_refused_by_name),
                cmocka_unit_test(test_headers_that_libmulm_does_not_read_are_refused),
                cmocka_unit_test(test_split_files_and_odd_alignments_are_refused),
                cmocka_unit_test(test_alignment_of_the_file_is_honoured),
                cmocka_unit_test(test_file_cut_anywhere_is_refused),
                cmocka_unit_test(test_file_with_any_byte_changed_gets_a_verdict),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
