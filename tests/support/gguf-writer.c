/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Makes GGUF files. See gguf-writer.h.
 */
#include "tests/support/gguf-writer.h"

#include <stdio.h>
#include <string.h>

#include "libmulm/base/utf8.h"
#include "tests/support/test.h"

#define ALIGNMENT 32

static void put(struct buf *buf, const void *data, size_t n)
{
        assert_int_equal(buf_add(buf, data, n), 0);
}

static void put_u32(struct buf *buf, uint32_t value)
{
        put(buf, &value, sizeof(value));
}

static void put_u64(struct buf *buf, uint64_t value)
{
        put(buf, &value, sizeof(value));
}

static void put_string(struct buf *buf, const char *string)
{
        put_u64(buf, strlen(string));
        put(buf, string, strlen(string));
}

static void put_zeros(struct buf *buf, size_t n)
{
        assert_int_equal(buf_reserve(buf, n), 0);
        for (size_t i = 0; i < n; i++)
                put(buf, "", 1);
}

static bool is_left_out(const struct gguf_writer *writer, const char *name)
{
        return writer->without && strcmp(writer->without, name) == 0;
}

void gguf_writer_done(struct gguf_writer *writer)
{
        buf_done(&writer->keys);
        buf_done(&writer->tensors);
        buf_done(&writer->data);
}

void gguf_writer_value(struct gguf_writer *writer, const char *key, uint32_t type, const void *value, size_t n_value)
{
        put_string(&writer->keys, key);
        put_u32(&writer->keys, type);
        put(&writer->keys, value, n_value);
        writer->n_keys++;
}

void gguf_writer_u32(struct gguf_writer *writer, const char *key, uint32_t value)
{
        if (!is_left_out(writer, key))
                gguf_writer_value(writer, key, GGUF_TYPE_UINT32, &value, sizeof(value));
}

void gguf_writer_f32(struct gguf_writer *writer, const char *key, float value)
{
        if (!is_left_out(writer, key))
                gguf_writer_value(writer, key, GGUF_TYPE_FLOAT32, &value, sizeof(value));
}

void gguf_writer_bool(struct gguf_writer *writer, const char *key, bool value)
{
        uint8_t byte = value;

        if (!is_left_out(writer, key))
                gguf_writer_value(writer, key, GGUF_TYPE_BOOL, &byte, sizeof(byte));
}

void gguf_writer_string(struct gguf_writer *writer, const char *key, const char *value)
{
        if (is_left_out(writer, key))
                return;
        gguf_writer_value(writer, key, GGUF_TYPE_STRING, "", 0);
        put_string(&writer->keys, value);
}

void gguf_writer_strings(struct gguf_writer *writer, const char *key, const char *const *values, size_t n)
{
        if (is_left_out(writer, key))
                return;
        gguf_writer_value(writer, key, GGUF_TYPE_ARRAY, "", 0);
        put_u32(&writer->keys, GGUF_TYPE_STRING);
        put_u64(&writer->keys, n);
        for (size_t i = 0; i < n; i++)
                put_string(&writer->keys, values[i]);
}

void gguf_writer_i32s(struct gguf_writer *writer, const char *key, const int32_t *values, size_t n)
{
        if (is_left_out(writer, key))
                return;
        gguf_writer_value(writer, key, GGUF_TYPE_ARRAY, "", 0);
        put_u32(&writer->keys, GGUF_TYPE_INT32);
        put_u64(&writer->keys, n);
        put(&writer->keys, values, n * sizeof(*values));
}

void gguf_writer_entry(struct gguf_writer *writer, const char *name, uint32_t n_dims, const uint64_t *dims,
                       uint32_t type, uint64_t offset)
{
        put_string(&writer->tensors, name);
        put_u32(&writer->tensors, n_dims);
        for (uint32_t i = 0; i < n_dims; i++)
                put_u64(&writer->tensors, dims[i]);
        put_u32(&writer->tensors, type);
        put_u64(&writer->tensors, offset);
        writer->n_tensors++;
}

void gguf_writer_tensor(struct gguf_writer *writer, const char *name, uint32_t type, uint64_t n_columns,
                        uint64_t n_rows)
{
        const uint64_t dims[] = { n_columns, n_rows };
        size_t n_data =
                (size_t)(n_columns * (n_rows > 0 ? n_rows : 1)) / quant_block_values(type) * quant_block_bytes(type);

        if (is_left_out(writer, name))
                return;
        gguf_writer_entry(writer, name, n_rows > 0 ? 2 : 1, dims, type, writer->data.n);
        put_zeros(&writer->data, (n_data + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void gguf_writer_finish(const struct gguf_writer *writer, struct buf *ret_file)
{
        put(ret_file, "GGUF", 4);
        put_u32(ret_file, 3);
        put_u64(ret_file, writer->n_tensors);
        put_u64(ret_file, writer->n_keys);
        put(ret_file, writer->keys.data, writer->keys.n);
        put(ret_file, writer->tensors.data, writer->tensors.n);
        put_zeros(ret_file, (ALIGNMENT - ret_file->n % ALIGNMENT) % ALIGNMENT);
        put(ret_file, writer->data.data, writer->data.n);
}

void gguf_writer_tiny_tokenizer(struct gguf_writer *writer)
{
        static const char *const merges[] = { "h e", "l l", "he ll" };
        static const char *const others[] = { "he", "ll", "hell", "<|im_start|>", "<|im_end|>", "<|endoftext|>" };
        char stand_ins[256][5] = { 0 };
        const char *tokens[256 + ARRAY_SIZE(others)];
        int32_t types[ARRAY_SIZE(tokens)];
        size_t n = 0;

        for (uint32_t c = 0x21; n < 256; c++)
                if (c <= 0x7e || (c >= 0xa1 && c != 0xad))
                        (void)utf8_encode(c, stand_ins[n++]);
        for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
                tokens[i] = i < 256 ? stand_ins[i] : others[i - 256];
                types[i] = i < 259 ? 1 : 3;
        }
        gguf_writer_string(writer, "tokenizer.ggml.model", "gpt2");
        gguf_writer_string(writer, "tokenizer.ggml.pre", "smollm");
        gguf_writer_strings(writer, "tokenizer.ggml.tokens", tokens, ARRAY_SIZE(tokens));
        gguf_writer_i32s(writer, "tokenizer.ggml.token_type", types, ARRAY_SIZE(types));
        gguf_writer_strings(writer, "tokenizer.ggml.merges", merges, ARRAY_SIZE(merges));
        gguf_writer_u32(writer, "tokenizer.ggml.eos_token_id", 260);
        gguf_writer_string(writer, "tokenizer.chat_template",
                           "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
                           "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
                           "{{ '<|im_start|>assistant\\n' }}{% endif %}");
}

static void add_layer(struct gguf_writer *writer, unsigned layer)
{
        static const struct {
                const char *name;
                uint32_t type;
                uint64_t n_columns, n_rows;
        } tensors[] = {
                { "attn_norm", QUANT_F32, 32, 0 },    { "attn_q", QUANT_Q8_0, 32, 32 },
                { "attn_k", QUANT_Q4_0, 32, 16 },     { "attn_v", QUANT_Q4_1, 32, 16 },
                { "attn_output", QUANT_F16, 32, 32 }, { "ffn_norm", QUANT_F32, 32, 0 },
                { "ffn_gate", QUANT_Q8_0, 32, 64 },   { "ffn_up", QUANT_F32, 32, 64 },
                { "ffn_down", QUANT_Q8_0, 64, 32 },
        };
        char name[64];

        for (size_t i = 0; i < ARRAY_SIZE(tensors); i++) {
                (void)snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, tensors[i].name);
                gguf_writer_tensor(writer, name, tensors[i].type, tensors[i].n_columns, tensors[i].n_rows);
        }
}

void gguf_writer_tiny_model(struct gguf_writer *writer)
{
        gguf_writer_string(writer, "general.architecture", "llama");
        gguf_writer_string(writer, "general.name", "tiny\033[31m");
        gguf_writer_u32(writer, "llama.block_count", 2);
        gguf_writer_u32(writer, "llama.context_length", 64);
        gguf_writer_u32(writer, "llama.embedding_length", 32);
        gguf_writer_u32(writer, "llama.feed_forward_length", 64);
        gguf_writer_u32(writer, "llama.attention.head_count", 2);
        gguf_writer_u32(writer, "llama.attention.head_count_kv", 1);
        gguf_writer_f32(writer, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
        gguf_writer_tiny_tokenizer(writer);
        gguf_writer_tensor(writer, "token_embd.weight", QUANT_Q8_0, 32, 262);
        gguf_writer_tensor(writer, "output_norm.weight", QUANT_F32, 32, 0);
        for (unsigned layer = 0; layer < 2; layer++)
                add_layer(writer, layer);
}
