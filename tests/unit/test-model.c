/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Opening models: the real one, tiny ones that lack or have one thing, and damaged ones. Files are in memory
 * (memfd_create), opened through /proc.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmulm/model.h"
#include "tests/support/gguf-writer.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

struct memory_file {
        int descriptor;
        char path[64];
};

static struct memory_file memory_file_new(const char *data, size_t n_data)
{
        struct memory_file file = { .descriptor = memfd_create("model", MFD_CLOEXEC) };

        assert_true(file.descriptor >= 0);
        (void)snprintf(file.path, sizeof(file.path), "/proc/self/fd/%d", file.descriptor);
        for (size_t offset = 0; offset < n_data;) {
                ssize_t n = write(file.descriptor, data + offset, n_data - offset);

                assert_true(n > 0);
                offset += (size_t)n;
        }
        return file;
}

static int open_written(const struct gguf_writer *writer, mulm_model **ret_model, struct mulm_error *error)
{
        struct buf data = BUF_NULL;
        struct memory_file file;
        int r;

        gguf_writer_finish(writer, &data);
        file = memory_file_new(data.data, data.n);
        r = mulm_model_open(ret_model, file.path, NULL, error);
        (void)close(file.descriptor);
        buf_done(&data);
        return r;
}

static void test_our_model_describes_itself(void **state)
{
        mulm_model *model = golden_model_open(&golden_mulm_28m);
        struct mulm_model_info info;

        (void)state;
        mulm_model_describe(model, &info);
        assert_string_equal(info.architecture, "llama");
        assert_string_equal(info.license, "apache-2.0");
        assert_string_equal(info.file_type, "Q8_0");
        assert_string_equal(info.pre_tokenizer, "smollm");
        assert_int_equal(info.n_parameters, 28319040);
        assert_int_equal(info.n_layers, 6);
        assert_int_equal(info.n_embedding, 576);
        assert_int_equal(info.n_heads, 9);
        assert_int_equal(info.n_kv_heads, 3);
        assert_int_equal(info.head_size, 64);
        assert_int_equal(info.n_feed_forward, 1536);
        assert_int_equal(info.n_vocabulary, 12288);
        assert_int_equal(info.n_context, 2048);
        assert_true(info.rope_base == 100000.0f);
        assert_true(info.tied_embeddings);
        assert_non_null(model->chat_template);
        mulm_model_free(model);
}

static void test_tiny_model_opens_with_defaults(void **state)
{
        struct gguf_writer writer = { 0 };
        mulm_model *model = NULL;
        struct mulm_error error = { "" };

        (void)state;
        gguf_writer_tiny_model(&writer);
        if (open_written(&writer, &model, &error) < 0)
                fail_msg("%s", error.sentence);
        assert_int_equal(model->head_size, 16);
        assert_int_equal(model->n_rope, 16);
        assert_true(model->rope_base == 10000.0f);
        assert_string_equal(model->name, "tiny?[31m");
        assert_string_equal(model->license, "");
        assert_true(model->tied_embeddings);
        assert_ptr_equal(model->logits.data, model->embedding.data);
        assert_int_equal(model->layers[1].query.n_row_bytes, 34);
        assert_int_equal(model->layers[1].value.type, QUANT_Q4_1);
        assert_int_equal(model->layers[1].down.n_columns, 64);
        mulm_model_free(model);
        gguf_writer_done(&writer);
}

static void test_untied_embeddings_and_partial_rope_open(void **state)
{
        struct gguf_writer writer = { 0 };
        mulm_model *model = NULL;

        (void)state;
        gguf_writer_tiny_model(&writer);
        gguf_writer_u32(&writer, "llama.attention.key_length", 16);
        gguf_writer_u32(&writer, "llama.rope.dimension_count", 4);
        gguf_writer_tensor(&writer, "output.weight", QUANT_F16, 32, 262);
        assert_int_equal(open_written(&writer, &model, NULL), 0);
        assert_false(model->tied_embeddings);
        assert_int_equal(model->logits.type, QUANT_F16);
        assert_int_equal(model->n_rope, 4);
        mulm_model_free(model);
        gguf_writer_done(&writer);
}

static void test_missing_keys_and_tensors_are_named(void **state)
{
        static const char *const names[] = {
                "general.architecture",      "llama.block_count",
                "llama.context_length",      "llama.embedding_length",
                "llama.feed_forward_length", "llama.attention.head_count",
                "tokenizer.ggml.model",      "llama.attention.layer_norm_rms_epsilon",
                "tokenizer.ggml.pre",        "tokenizer.ggml.tokens",
                "tokenizer.ggml.merges",     "token_embd.weight",
                "output_norm.weight",        "blk.0.attn_norm.weight",
                "blk.1.attn_q.weight",       "blk.0.attn_k.weight",
                "blk.0.attn_v.weight",       "blk.1.attn_output.weight",
                "blk.0.ffn_norm.weight",     "blk.0.ffn_gate.weight",
                "blk.0.ffn_up.weight",       "blk.1.ffn_down.weight",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct gguf_writer writer = { .without = names[i] };
                struct mulm_error error = { "" };
                mulm_model *model = NULL;

                gguf_writer_tiny_model(&writer);
                assert_true(open_written(&writer, &model, &error) < 0);
                assert_null(model);
                if (!strstr(error.sentence, names[i]) || !strstr(error.sentence, "missing"))
                        fail_msg("%s: '%s'", names[i], error.sentence);
                gguf_writer_done(&writer);
        }
}

/* The tiny model but for one key or tensor, which the caller writes in its own way. */
static void write_without(struct gguf_writer *writer, const char *what)
{
        *writer = (struct gguf_writer){ .without = what };
        gguf_writer_tiny_model(writer);
        writer->without = NULL;
}

/* It is refused with `r`, or for any reason where that is 0, in a sentence that names `what`. */
static void expect_refused(struct gguf_writer *writer, int r, const char *what)
{
        struct mulm_error error = { "" };
        mulm_model *model = NULL;
        int opened = open_written(writer, &model, &error);

        assert_true(r == 0 ? opened < 0 : opened == r);
        if (!strstr(error.sentence, what))
                fail_msg("%s: '%s'", what, error.sentence);
        gguf_writer_done(writer);
}

static void test_numbers_out_of_range_are_named(void **state)
{
        static const struct {
                const char *key;
                uint32_t value;
        } cases[] = {
                { "llama.block_count", 0 },
                { "llama.block_count", UINT32_MAX },
                { "llama.context_length", 0 },
                { "llama.context_length", UINT32_MAX },
                { "llama.embedding_length", 0 },
                { "llama.embedding_length", UINT32_MAX },
                { "llama.feed_forward_length", UINT32_MAX },
                { "llama.attention.head_count", 0 },
                { "llama.attention.head_count", UINT32_MAX },
                { "llama.attention.head_count", 33 },
                { "llama.attention.head_count_kv", 0 },
                { "llama.attention.head_count_kv", 3 },
                { "llama.attention.key_length", UINT32_MAX },
                { "llama.attention.value_length", 8 },
                { "llama.rope.dimension_count", 7 },
                { "llama.rope.dimension_count", 18 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct gguf_writer writer;

                write_without(&writer, cases[i].key);
                gguf_writer_u32(&writer, cases[i].key, cases[i].value);
                expect_refused(&writer, 0, cases[i].key);
        }
}

static void test_fractions_out_of_range_are_named(void **state)
{
        static const struct {
                const char *key;
                float value;
        } cases[] = {
                { "llama.rope.freq_base", 0.0f },
                { "llama.rope.freq_base", -1.0f },
                { "llama.rope.freq_base", __builtin_inff() },
                { "llama.rope.freq_base", __builtin_nanf("") },
                { "llama.attention.layer_norm_rms_epsilon", 0.0f },
                { "llama.attention.layer_norm_rms_epsilon", 2.0f },
                { "llama.attention.layer_norm_rms_epsilon", __builtin_nanf("") },
                { "mulm.opener.confidence", -0.1f },
                { "mulm.opener.confidence", 1.1f },
                { "mulm.opener.confidence", __builtin_nanf("") },
                { "llama.rope.scaling.factor", 4.0f },
                { "llama.rope.scale_linear", 2.0f },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct gguf_writer writer;

                write_without(&writer, cases[i].key);
                gguf_writer_f32(&writer, cases[i].key, cases[i].value);
                expect_refused(&writer, 0, cases[i].key);
        }
}

static void test_other_architectures_and_scaled_rope_are_refused(void **state)
{
        static const struct {
                const char *key, *value;
        } cases[] = {
                { "general.architecture", "qwen2" },   { "general.architecture", "llama4" },
                { "llama.rope.scaling.type", "yarn" }, { "tokenizer.ggml.model", "llama" },
                { "tokenizer.ggml.pre", "qwen2" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct gguf_writer writer;
                struct mulm_error error = { "" };
                mulm_model *model = NULL;

                write_without(&writer, cases[i].key);
                gguf_writer_string(&writer, cases[i].key, cases[i].value);
                assert_int_equal(open_written(&writer, &model, &error), -ENOTSUP);
                assert_non_null(strstr(error.sentence, cases[i].key));
                assert_non_null(strstr(error.sentence, cases[i].value));
                gguf_writer_done(&writer);
        }
}

static void test_tensors_of_another_shape_type_or_purpose_are_named(void **state)
{
        static const struct {
                const char *name;
                uint32_t type;
                uint64_t n_columns, n_rows;
                int r;
        } cases[] = {
                { "token_embd.weight", QUANT_Q8_0, 32, 261, -EBADMSG },
                { "token_embd.weight", QUANT_Q8_0, 64, 262, -EBADMSG },
                { "blk.0.attn_k.weight", QUANT_Q8_0, 32, 32, -EBADMSG },
                { "blk.1.ffn_down.weight", QUANT_Q8_0, 32, 64, -EBADMSG },
                { "blk.1.ffn_norm.weight", QUANT_F16, 32, 0, -ENOTSUP },
                { "output_norm.weight", QUANT_F32, 32, 1, -EBADMSG },
                { "blk.0.attn_q.bias", QUANT_F32, 32, 0, -ENOTSUP },
                { "blk.1.ffn_up.bias", QUANT_F32, 64, 0, -ENOTSUP },
                { "rope_freqs.weight", QUANT_F32, 8, 0, -ENOTSUP },
                { "rope_factors_long.weight", QUANT_F32, 8, 0, -ENOTSUP },
                { "blk.2.attn_q.weight", QUANT_Q8_0, 32, 32, -ENOTSUP },
                { "blk.0.ffn_gate_inp.weight", QUANT_F32, 32, 8, -ENOTSUP },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct gguf_writer writer;

                write_without(&writer, cases[i].name);
                gguf_writer_tensor(&writer, cases[i].name, cases[i].type, cases[i].n_columns, cases[i].n_rows);
                expect_refused(&writer, cases[i].r, cases[i].name);
        }
}

static void test_model_without_a_known_template_opens_without_chat(void **state)
{
        struct gguf_writer writer = { .without = "tokenizer.chat_template" };
        struct mulm_error error = { "" };
        mulm_model *model = NULL;

        (void)state;
        gguf_writer_tiny_model(&writer);
        assert_int_equal(open_written(&writer, &model, &error), 0);
        assert_string_equal(error.sentence, "");
        assert_null(model->chat_template);
        mulm_model_free(model);
        gguf_writer_done(&writer);
}

static void test_what_is_no_file_is_refused_with_its_path(void **state)
{
        static const struct {
                const char *path;
                int r;
        } cases[] = {
                { "/nowhere/model.gguf", -ENOENT },
                { "/", -EINVAL },
                { "/dev/null", -EINVAL },
                { "/proc/version", -EBADMSG },
        };
        struct mulm_error error;
        mulm_model *model = NULL;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                assert_int_equal(mulm_model_open(&model, cases[i].path, NULL, &error), cases[i].r);
                assert_null(model);
                assert_int_equal(strncmp(error.sentence, cases[i].path, strlen(cases[i].path)), 0);
        }
}

/* The header of our model is 370 kB, its data the rest: both are cut in many places, from behind. */
static void test_our_model_cut_anywhere_is_refused(void **state)
{
        struct buf data = golden_read("../../models/mulm-28m.q8_0.gguf");
        struct memory_file file = memory_file_new(data.data, data.n);
        struct mulm_error error;
        mulm_model *model = NULL;

        (void)state;
        for (size_t n = data.n - 64; n > 0; n = n > 1000000 ? n - 999983 : n > 4999 ? n - 4999 : n - 1) {
                assert_int_equal(ftruncate(file.descriptor, (off_t)n), 0);
                assert_int_equal(mulm_model_open(&model, file.path, NULL, &error), -EBADMSG);
                assert_null(model);
        }
        (void)close(file.descriptor);
        buf_done(&data);
}

/* Changes a byte here and there in the header; most changes hit the text of a token and may do no harm. */
static void test_our_model_with_a_byte_changed_gets_a_verdict(void **state)
{
        struct buf data = golden_read("../../models/mulm-28m.q8_0.gguf");
        struct memory_file file = memory_file_new(data.data, data.n);
        size_t n_refused = 0;

        (void)state;
        for (size_t offset = 0; offset < 400000; offset += offset < 100 ? 1 : 1999) {
                char changed = (char)(data.data[offset] ^ 0x81);
                struct mulm_error error = { "" };
                mulm_model *model = NULL;
                int r;

                assert_int_equal(pwrite(file.descriptor, &changed, 1, (off_t)offset), 1);
                r = mulm_model_open(&model, file.path, NULL, &error);
                assert_int_equal(pwrite(file.descriptor, data.data + offset, 1, (off_t)offset), 1);
                if (r < 0) {
                        n_refused++;
                        assert_true(r == -EBADMSG || r == -ENOTSUP);
                        assert_int_equal(strncmp(error.sentence, file.path, strlen(file.path)), 0);
                }
                mulm_model_free(model);
        }
        assert_true(n_refused > 100);
        (void)close(file.descriptor);
        buf_done(&data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_our_model_describes_itself),
                cmocka_unit_test(test_tiny_model_opens_with_defaults),
                cmocka_unit_test(test_untied_embeddings_and_partial_rope_open),
                cmocka_unit_test(test_missing_keys_and_tensors_are_named),
                cmocka_unit_test(test_numbers_out_of_range_are_named),
                cmocka_unit_test(test_fractions_out_of_range_are_named),
                cmocka_unit_test(test_other_architectures_and_scaled_rope_are_refused),
                cmocka_unit_test(test_tensors_of_another_shape_type_or_purpose_are_named),
                cmocka_unit_test(test_model_without_a_known_template_opens_without_chat),
                cmocka_unit_test(test_what_is_no_file_is_refused_with_its_path),
                cmocka_unit_test(test_our_model_cut_anywhere_is_refused),
                cmocka_unit_test(test_our_model_with_a_byte_changed_gets_a_verdict),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
