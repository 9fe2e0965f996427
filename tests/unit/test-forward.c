/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The forward pass against one written to be obvious: weights as floats, everything in double, every token from
 * scratch. Models are random and small, in each weight type and in mixtures as llama.cpp's quantiser makes them, tied
 * and untied, with one KV head for all, for some, and for each head, and with heads of sizes that no kernel likes.
 *
 * Activations are quantised in libmulm and not here, so logits differ by a little; `tolerance` is relative to their
 * spread. In steps and in a batch, and with each kind of kernels, they are compared.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "libmulm/kernels/half.h"
#include "libmulm/model.h"
#include "tests/support/gguf-writer.h"
#include "tests/support/test.h"

#define N_VOCABULARY 262 /* of gguf_writer_tiny_tokenizer() */
#define N_LAYERS     2
#define N_TOKENS     9
#define MOST         1024 /* values of a vector here */

struct shape {
        const char *name;
        uint32_t n_embedding, n_heads, n_kv_heads, head_size, n_feed_forward;
        /* of query, key, value, output, gate, up, down, embedding, and of untied logits (QUANT_N_TYPES: tied) */
        uint32_t types[9];
        double tolerance;
};

#define ALL(type)                                                                                                    \
        {                                                                                                            \
                type, type, type, type, type, type, type, type, QUANT_N_TYPES                                        \
        }

static const struct shape shapes[] = {
        { "F32", 64, 4, 2, 16, 96, ALL(QUANT_F32), 1e-5 },
        { "F32, untied, MHA, odd sizes",
          36,
          3,
          3,
          10,
          52,
          { QUANT_F32, QUANT_F32, QUANT_F32, QUANT_F32, QUANT_F32, QUANT_F32, QUANT_F32, QUANT_F32, QUANT_F32 },
          1e-5 },
        { "F16, one KV head, heads of 6", 48, 8, 1, 6, 80, ALL(QUANT_F16), 3e-3 },
        { "BF16, heads of 2", 32, 16, 4, 2, 64, ALL(QUANT_BF16), 2e-2 },
        { "Q8_0", 64, 4, 2, 16, 96, ALL(QUANT_Q8_0), 3e-2 },
        { "Q4_0", 64, 4, 4, 16, 96, ALL(QUANT_Q4_0), 3e-2 },
        { "Q4_1", 64, 2, 1, 32, 96, ALL(QUANT_Q4_1), 3e-2 },
        { "Q5_0", 64, 4, 2, 16, 96, ALL(QUANT_Q5_0), 3e-2 },
        { "Q5_1, heads wider than the model", 64, 4, 2, 24, 96, ALL(QUANT_Q5_1), 3e-2 },
        { "Q4_K", 256, 4, 2, 64, 512, ALL(QUANT_Q4_K), 6e-2 },
        { "Q5_K, untied",
          512,
          8,
          2,
          64,
          256,
          { QUANT_Q5_K, QUANT_Q5_K, QUANT_Q5_K, QUANT_Q5_K, QUANT_Q5_K, QUANT_Q5_K, QUANT_Q5_K, QUANT_Q5_K,
            QUANT_Q6_K },
          6e-2 },
        { "Q6_K", 768, 6, 6, 128, 256, ALL(QUANT_Q6_K), 6e-2 },
        { "as Q4_K_M with 576 dimensions",
          576,
          9,
          3,
          64,
          768,
          { QUANT_Q5_0, QUANT_Q5_0, QUANT_Q8_0, QUANT_Q5_0, QUANT_Q5_0, QUANT_Q5_0, QUANT_Q6_K, QUANT_Q8_0,
            QUANT_N_TYPES },
          3e-2 },
        { "another form for each matrix",
          256,
          4,
          2,
          64,
          256,
          { QUANT_Q8_0, QUANT_F32, QUANT_Q4_K, QUANT_BF16, QUANT_Q6_K, QUANT_F16, QUANT_Q4_1, QUANT_F16, QUANT_Q5_K },
          6e-2 },
};

/* ---------------------------------------------------------------------------------------------- random models */

static uint64_t random_state;

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t random_bits(void)
{
        uint64_t z = random_state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
}

/* About normal, with this deviation. */
static float random_weight(float deviation)
{
        float sum = 0.0f;

        for (int i = 0; i < 4; i++)
                sum += (float)(int32_t)random_bits() * 0x1p-31f;
        return sum * deviation * 0.87f;
}

/* A block of any bytes whose weights are about +-`size`. */
static void fill_block(uint32_t type, char *block, float size)
{
        size_t n_bytes = quant_block_bytes(type);
        quant_half halves[2];

        for (size_t i = 0; i < n_bytes; i++)
                block[i] = (char)random_bits();
        switch ((enum quant_type)type) {
        case QUANT_Q8_0: halves[0] = half_from_float(size / 74.0f); break;
        case QUANT_Q4_0: halves[0] = half_from_float(size / 4.6f); break;
        case QUANT_Q5_0: halves[0] = half_from_float(size / 9.2f); break;
        case QUANT_Q4_1: halves[0] = half_from_float(size / 4.6f), halves[1] = half_from_float(-size * 1.6f); break;
        case QUANT_Q5_1: halves[0] = half_from_float(size / 9.2f), halves[1] = half_from_float(-size * 1.6f); break;
        case QUANT_Q4_K: halves[0] = half_from_float(size / 300.0f), halves[1] = half_from_float(size / 40.0f); break;
        case QUANT_Q5_K: halves[0] = half_from_float(size / 600.0f), halves[1] = half_from_float(size / 40.0f); break;
        case QUANT_Q6_K:
                halves[0] = half_from_float(size / 1400.0f);
                memcpy(block + offsetof(struct quant_q6_k, scale), halves, sizeof(halves[0]));
                return;
        case QUANT_F32:
        case QUANT_F16:
        case QUANT_BF16:
        case QUANT_N_TYPES: break;
        }
        memcpy(block, halves, quant_block_bytes(type) % 4 == 2 ? sizeof(halves[0]) : sizeof(halves));
}

static void fill(uint32_t type, char *data, size_t n, float size)
{
        for (size_t i = 0; i < n / quant_block_values(type); i++, data += quant_block_bytes(type)) {
                float value = random_weight(size);
                uint16_t half = half_from_float(value), bfloat = bfloat_from_float(value);

                if (type == QUANT_F32)
                        memcpy(data, &value, sizeof(value));
                else if (type == QUANT_F16)
                        memcpy(data, &half, sizeof(half));
                else if (type == QUANT_BF16)
                        memcpy(data, &bfloat, sizeof(bfloat));
                else
                        fill_block(type, data, size);
        }
}

static void add_tensor(struct gguf_writer *writer, const char *name, uint32_t type, uint32_t n_columns,
                       uint32_t n_rows)
{
        size_t offset = writer->data.n;

        gguf_writer_tensor(writer, name, type, n_columns, n_rows);
        fill(type, writer->data.data + offset, (size_t)n_columns * MAX(n_rows, 1u),
             n_rows > 0 ? 1.0f / sqrtf((float)n_columns) : 1.0f);
}

static void add_layer(struct gguf_writer *writer, const struct shape *shape, unsigned layer)
{
        const uint32_t n_query = shape->n_heads * shape->head_size, n_kv = shape->n_kv_heads * shape->head_size;
        const struct {
                const char *name;
                uint32_t n_columns, n_rows;
        } tensors[] = {
                { "attn_q", shape->n_embedding, n_query },
                { "attn_k", shape->n_embedding, n_kv },
                { "attn_v", shape->n_embedding, n_kv },
                { "attn_output", n_query, shape->n_embedding },
                { "ffn_gate", shape->n_embedding, shape->n_feed_forward },
                { "ffn_up", shape->n_embedding, shape->n_feed_forward },
                { "ffn_down", shape->n_feed_forward, shape->n_embedding },
        };
        char name[64];

        for (size_t i = 0; i < ARRAY_SIZE(tensors); i++) {
                (void)snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, tensors[i].name);
                add_tensor(writer, name, shape->types[i], tensors[i].n_columns, tensors[i].n_rows);
        }
        (void)snprintf(name, sizeof(name), "blk.%u.attn_norm.weight", layer);
        add_tensor(writer, name, QUANT_F32, shape->n_embedding, 0);
        (void)snprintf(name, sizeof(name), "blk.%u.ffn_norm.weight", layer);
        add_tensor(writer, name, QUANT_F32, shape->n_embedding, 0);
}

static void write_model(struct buf *file, const struct shape *shape)
{
        struct gguf_writer writer = { 0 };

        gguf_writer_string(&writer, "general.architecture", "llama");
        gguf_writer_u32(&writer, "llama.block_count", N_LAYERS);
        gguf_writer_u32(&writer, "llama.context_length", 64);
        gguf_writer_u32(&writer, "llama.embedding_length", shape->n_embedding);
        gguf_writer_u32(&writer, "llama.feed_forward_length", shape->n_feed_forward);
        gguf_writer_u32(&writer, "llama.attention.head_count", shape->n_heads);
        gguf_writer_u32(&writer, "llama.attention.head_count_kv", shape->n_kv_heads);
        gguf_writer_u32(&writer, "llama.attention.key_length", shape->head_size);
        gguf_writer_u32(&writer, "llama.attention.value_length", shape->head_size);
        gguf_writer_u32(&writer, "llama.rope.dimension_count", shape->head_size);
        gguf_writer_f32(&writer, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
        gguf_writer_tiny_tokenizer(&writer);
        add_tensor(&writer, "token_embd.weight", shape->types[7], shape->n_embedding, N_VOCABULARY);
        add_tensor(&writer, "output_norm.weight", QUANT_F32, shape->n_embedding, 0);
        if (shape->types[8] != QUANT_N_TYPES)
                add_tensor(&writer, "output.weight", shape->types[8], shape->n_embedding, N_VOCABULARY);
        for (unsigned layer = 0; layer < N_LAYERS; layer++)
                add_layer(&writer, shape, layer);
        gguf_writer_finish(&writer, file);
        gguf_writer_done(&writer);
}

static mulm_model *open_model(const struct shape *shape, enum mulm_isa isa)
{
        struct mulm_model_options options = { .isa = isa };
        struct buf file = BUF_NULL;
        struct mulm_error error;
        mulm_model *model = NULL;
        char path[64];
        int descriptor = memfd_create("model", MFD_CLOEXEC);

        assert_true(descriptor >= 0);
        write_model(&file, shape);
        for (size_t offset = 0; offset < file.n;) {
                ssize_t n = write(descriptor, file.data + offset, file.n - offset);

                assert_true(n > 0);
                offset += (size_t)n;
        }
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
        if (mulm_model_open(&model, path, &options, &error) < 0)
                fail_msg("%s: %s", shape->name, error.sentence);
        (void)close(descriptor);
        buf_done(&file);
        return model;
}

/* -------------------------------------------------------------------------------------------- the reference */

static void multiply(double *y, const struct model_matrix *matrix, const double *x)
{
        static float row[MOST];

        assert_true(matrix->n_columns <= MOST && matrix->n_rows <= MOST);
        for (uint32_t i = 0; i < matrix->n_rows; i++) {
                kernels_scalar.dequantise[matrix->type](row, (const char *)matrix->data + i * matrix->n_row_bytes,
                                                        matrix->n_columns);
                y[i] = 0.0;
                for (uint32_t k = 0; k < matrix->n_columns; k++)
                        y[i] += (double)row[k] * x[k];
        }
}

static void normalise(double *y, const double *x, const float *weight, uint32_t n)
{
        double sum = 0.0;

        for (uint32_t i = 0; i < n; i++)
                sum += x[i] * x[i];
        for (uint32_t i = 0; i < n; i++)
                y[i] = x[i] / sqrt(sum / n + 1e-5) * (double)weight[i];
}

/* Pairs (2 i, 2 i + 1) turned by position * 10000^(-2 i / head_size). */
static void rotate(double *x, uint32_t n_heads, uint32_t head_size, uint32_t position)
{
        for (uint32_t h = 0; h < n_heads; h++, x += head_size)
                for (uint32_t i = 0; i < head_size; i += 2) {
                        double angle = position * pow(10000.0, -(double)i / head_size), a = x[i], b = x[i + 1];

                        x[i] = a * cos(angle) - b * sin(angle);
                        x[i + 1] = a * sin(angle) + b * cos(angle);
                }
}

struct reference {
        const struct mulm_model *model;
        double keys[N_LAYERS][N_TOKENS][MOST], values[N_LAYERS][N_TOKENS][MOST];
        double x[MOST], normed[MOST], query[MOST], attention[MOST], gate[MOST], up[MOST], product[MOST];
        double logits[N_VOCABULARY];
};

static void attend(struct reference *r, uint32_t layer, uint32_t head, uint32_t position)
{
        uint32_t size = r->model->head_size, shared = head / (r->model->n_heads / r->model->n_kv_heads) * size;
        const double *query = r->query + head * size;
        double weights[N_TOKENS], sum = 0.0, *out = r->attention + head * size;

        for (uint32_t p = 0; p <= position; p++) {
                weights[p] = 0.0;
                for (uint32_t i = 0; i < size; i++)
                        weights[p] += query[i] * r->keys[layer][p][shared + i];
                weights[p] = exp(weights[p] / sqrt(size));
                sum += weights[p];
        }
        for (uint32_t i = 0; i < size; i++) {
                out[i] = 0.0;
                for (uint32_t p = 0; p <= position; p++)
                        out[i] += weights[p] / sum * r->values[layer][p][shared + i];
        }
}

static void run_layer(struct reference *r, uint32_t index, uint32_t position)
{
        const struct mulm_model *model = r->model;
        const struct model_layer *layer = &model->layers[index];

        normalise(r->normed, r->x, layer->attention_norm, model->n_embedding);
        multiply(r->query, &layer->query, r->normed);
        multiply(r->keys[index][position], &layer->key, r->normed);
        multiply(r->values[index][position], &layer->value, r->normed);
        rotate(r->query, model->n_heads, model->head_size, position);
        rotate(r->keys[index][position], model->n_kv_heads, model->head_size, position);
        for (uint32_t head = 0; head < model->n_heads; head++)
                attend(r, index, head, position);
        multiply(r->product, &layer->output, r->attention);
        for (uint32_t i = 0; i < model->n_embedding; i++)
                r->x[i] += r->product[i];

        normalise(r->normed, r->x, layer->feed_forward_norm, model->n_embedding);
        multiply(r->gate, &layer->gate, r->normed);
        multiply(r->up, &layer->up, r->normed);
        for (uint32_t i = 0; i < model->n_feed_forward; i++)
                r->gate[i] = r->gate[i] / (1.0 + exp(-r->gate[i])) * r->up[i];
        multiply(r->product, &layer->down, r->gate);
        for (uint32_t i = 0; i < model->n_embedding; i++)
                r->x[i] += r->product[i];
}

static void run_reference(struct reference *r, const struct mulm_model *model, const uint32_t *tokens)
{
        float embedding[MOST];

        r->model = model;
        for (uint32_t position = 0; position < N_TOKENS; position++) {
                kernels_scalar.dequantise[model->embedding.type](
                        embedding,
                        (const char *)model->embedding.data + tokens[position] * model->embedding.n_row_bytes,
                        model->n_embedding);
                for (uint32_t i = 0; i < model->n_embedding; i++)
                        r->x[i] = (double)embedding[i];
                for (uint32_t layer = 0; layer < N_LAYERS; layer++)
                        run_layer(r, layer, position);
        }
        normalise(r->normed, r->x, model->output_norm, model->n_embedding);
        multiply(r->logits, &model->logits, r->normed);
}

/* ------------------------------------------------------------------------------------------------- the tests */

static void expect_logits(const struct shape *shape, const char *how, const float *logits, const double *expected)
{
        double difference = 0.0, spread = 0.0;

        for (size_t i = 0; i < N_VOCABULARY; i++) {
                difference += pow((double)logits[i] - expected[i], 2.0);
                spread += pow(expected[i], 2.0);
        }
        if (!(sqrt(difference / spread) <= shape->tolerance))
                fail_msg("%s, %s: logits are off by %g of their size", shape->name, how, sqrt(difference / spread));
}

static void check_shape(const struct shape *shape, enum mulm_isa isa)
{
        struct mulm_session_options options = { .n_threads = 2 };
        struct reference *reference = calloc(1, sizeof(*reference));
        mulm_session *session = NULL;
        uint32_t tokens[N_TOKENS];
        mulm_model *model;

        assert_non_null(reference);
        random_state = 1;
        model = open_model(shape, isa);
        for (size_t i = 0; i < N_TOKENS; i++)
                tokens[i] = (uint32_t)(random_bits() % N_VOCABULARY);
        run_reference(reference, model, tokens);

        assert_int_equal(mulm_session_new(&session, model, &options, NULL), 0);
        assert_int_equal(mulm_session_evaluate(session, tokens, N_TOKENS, NULL), 0);
        expect_logits(shape, "in a batch", mulm_session_logits(session), reference->logits);
        session = mulm_session_free(session);

        assert_int_equal(mulm_session_new(&session, model, &options, NULL), 0);
        for (size_t n = 1; n <= N_TOKENS; n++)
                assert_int_equal(mulm_session_evaluate(session, tokens, n, NULL), 0);
        expect_logits(shape, "in steps", mulm_session_logits(session), reference->logits);
        mulm_session_free(session);
        mulm_model_free(model);
        free(reference);
}

static void test_best_kernels_compute_what_the_formulas_say(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
                check_shape(shapes + i, MULM_ISA_AUTO);
}

static void test_scalar_kernels_compute_what_the_formulas_say(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
                check_shape(shapes + i, MULM_ISA_SCALAR);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_best_kernels_compute_what_the_formulas_say),
                cmocka_unit_test(test_scalar_kernels_compute_what_the_formulas_say),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
