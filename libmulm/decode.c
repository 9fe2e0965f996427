/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The forward pass of one token. See decode.h.
 */
#include "libmulm/decode.h"

#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/error.h"
#include "libmulm/ops.h"

/* Rows are shared out in multiples of this, the lanes of the kernels, so that no result depends on how many threads
 * there are or which of the two ways computes it; even, so no rotated pair is split. */
#define ROW_UNIT 8

/* What a thread has for itself. */
struct decode_thread {
        struct activations activations;
        float *normed;        /* [n_embedding] */
        float *rows;          /* [n_embedding]: this thread's rows of a product that is then added to x */
        float *scores;        /* [n_context] */
        float *keys, *values; /* [n_context x head_size], where they are not kept as floats */
};

struct decode {
        const struct mulm_model *model;
        struct pool *pool;
        const struct kv *kv;

        uint32_t position, first_layer;
        bool is_batch;      /* the token came with others */
        float *x;           /* [n_embedding], the residual stream */
        float *query;       /* [n_heads * head_size] */
        float *key, *value; /* [n_kv_heads * head_size] */
        float *attention;   /* [n_heads * head_size] */
        float *gate, *up;   /* [n_feed_forward] */
        float *rotation;    /* [n_rope] */
        float *logits;      /* [n_vocabulary] */

        struct decode_thread threads[]; /* one for each of the pool */
};

static size_t query_width(const struct mulm_model *model)
{
        return (size_t)model->n_heads * model->head_size;
}

static size_t kv_width(const struct mulm_model *model)
{
        return (size_t)model->n_kv_heads * model->head_size;
}

/* Rows [begin, end) of query, key and value laid end to end. */
static void project_attention(struct decode *decode, const struct model_layer *layer, uint32_t index,
                              struct activations *activations, size_t begin, size_t end)
{
        const struct mulm_model *model = decode->model;
        size_t n_query = query_width(model), n_kv = kv_width(model), first, last;

        if (ops_overlap(begin, end, 0, n_query, &first, &last)) {
                activations_multiply(activations, &layer->query, first, last, decode->query + first);
                ops_rope(model, decode->rotation, first, last, decode->query + first);
        }
        if (ops_overlap(begin, end, n_query, n_kv, &first, &last)) {
                activations_multiply(activations, &layer->key, first, last, decode->key + first);
                ops_rope(model, decode->rotation, first, last, decode->key + first);
                kv_write(decode->kv, KV_KEYS, index, decode->position, first, last - first, decode->key + first);
        }
        if (ops_overlap(begin, end, n_query + n_kv, n_kv, &first, &last)) {
                activations_multiply(activations, &layer->value, first, last, decode->value + first);
                kv_write(decode->kv, KV_VALUES, index, decode->position, first, last - first, decode->value + first);
        }
}

/* Heads [begin, end). */
static void attend(struct decode *decode, uint32_t layer, const struct decode_thread *own, size_t begin, size_t end)
{
        const struct mulm_model *model = decode->model;
        size_t n_group = model->n_heads / model->n_kv_heads, first, last;

        for (size_t group = begin / n_group; group < model->n_kv_heads; group++) {
                size_t head, offset = group * model->head_size, n_stride;
                const float *keys, *values;

                if (!ops_overlap(begin, end, group * n_group, n_group, &first, &last))
                        break;
                head = (group * n_group + first) * model->head_size;
                keys = kv_read(decode->kv, KV_KEYS, layer, decode->position + 1, offset, model->head_size, own->keys,
                               &n_stride, model->kernels);
                values = kv_read(decode->kv, KV_VALUES, layer, decode->position + 1, offset, model->head_size,
                                 own->values, &n_stride, model->kernels);
                model->kernels->attention(decode->attention + head, own->scores, decode->query + head, last - first,
                                          keys, values, n_stride, decode->position + 1, model->head_size,
                                          decode->is_batch);
        }
}

/* x += matrix . values, this thread's rows of it. */
static void add_product(struct decode *decode, uint32_t thread, const struct model_matrix *matrix,
                        const float *values)
{
        struct decode_thread *own = &decode->threads[thread];
        size_t begin, end;

        pool_share(decode->pool, thread, matrix->n_rows, ROW_UNIT, &begin, &end);
        activations_set(&own->activations, values, matrix->n_columns);
        activations_multiply(&own->activations, matrix, begin, end, own->rows);
        for (size_t i = begin; i < end; i++)
                decode->x[i] += own->rows[i - begin];
}

static void set_normed(struct decode *decode, struct decode_thread *own, const float *weight)
{
        const struct mulm_model *model = decode->model;

        model->kernels->rms_norm(own->normed, decode->x, weight, model->n_embedding, model->rms_epsilon);
        activations_set(&own->activations, own->normed, model->n_embedding);
}

static void run_attention(struct decode *decode, uint32_t index, uint32_t thread)
{
        const struct model_layer *layer = &decode->model->layers[index];
        struct decode_thread *own = &decode->threads[thread];
        size_t begin, end;

        set_normed(decode, own, layer->attention_norm);
        pool_share(decode->pool, thread, query_width(decode->model) + 2 * kv_width(decode->model), ROW_UNIT, &begin,
                   &end);
        project_attention(decode, layer, index, &own->activations, begin, end);
        pool_barrier(decode->pool);

        pool_share(decode->pool, thread, decode->model->n_heads, 1, &begin, &end);
        attend(decode, index, own, begin, end);
        pool_barrier(decode->pool);

        add_product(decode, thread, &layer->output, decode->attention);
        pool_barrier(decode->pool);
}

static void run_feed_forward(struct decode *decode, uint32_t index, uint32_t thread)
{
        const struct model_layer *layer = &decode->model->layers[index];
        struct decode_thread *own = &decode->threads[thread];
        size_t begin, end;

        set_normed(decode, own, layer->feed_forward_norm);
        pool_share(decode->pool, thread, decode->model->n_feed_forward, ROW_UNIT, &begin, &end);
        activations_multiply(&own->activations, &layer->gate, begin, end, decode->gate + begin);
        activations_multiply(&own->activations, &layer->up, begin, end, decode->up + begin);
        decode->model->kernels->swiglu(decode->gate + begin, decode->up + begin, end - begin);
        pool_barrier(decode->pool);

        add_product(decode, thread, &layer->down, decode->gate);
        pool_barrier(decode->pool);
}

static void run(void *userdata, uint32_t thread)
{
        struct decode *decode = userdata;
        struct decode_thread *own = &decode->threads[thread];
        size_t begin, end;

        for (uint32_t layer = decode->first_layer; layer < decode->model->n_layers; layer++) {
                run_attention(decode, layer, thread);
                run_feed_forward(decode, layer, thread);
        }

        set_normed(decode, own, decode->model->output_norm);
        pool_share(decode->pool, thread, decode->model->n_vocabulary, ROW_UNIT, &begin, &end);
        activations_multiply(&own->activations, &decode->model->logits, begin, end, decode->logits + begin);
}

void decode_from_layer(struct decode *decode, const float *x, uint32_t layer, uint32_t position)
{
        memcpy(decode->x, x, decode->model->n_embedding * sizeof(*x));
        ops_rotation(decode->model, position, decode->rotation);
        decode->position = position;
        decode->first_layer = layer;
        decode->is_batch = true;
        pool_run(decode->pool, run, decode);
}

void decode_token(struct decode *decode, uint32_t token, uint32_t position)
{
        ops_embed(decode->model, token, decode->x);
        ops_rotation(decode->model, position, decode->rotation);
        decode->position = position;
        decode->first_layer = 0;
        decode->is_batch = false;
        pool_run(decode->pool, run, decode);
}

const float *decode_logits(const struct decode *decode)
{
        return decode->logits;
}

static int allocate_thread(struct decode *decode, struct decode_thread *own)
{
        const struct mulm_model *model = decode->model;
        size_t n_max = MAX(MAX((size_t)model->n_embedding, (size_t)model->n_feed_forward), query_width(model));

        own->normed = malloc(model->n_embedding * sizeof(float));
        own->rows = malloc(model->n_embedding * sizeof(float));
        own->scores = malloc(decode->kv->n_context * sizeof(float));
        if (!own->normed || !own->rows || !own->scores)
                return -1;
        if (decode->kv->type != MULM_KV_F32) {
                size_t n_bytes = (size_t)decode->kv->n_context * model->head_size * sizeof(float);

                own->keys = malloc(n_bytes);
                own->values = malloc(n_bytes);
                if (!own->keys || !own->values)
                        return -1;
        }
        return activations_init(&own->activations, model->kernels, n_max);
}

static int allocate(struct decode *decode)
{
        const struct mulm_model *model = decode->model;

        decode->x = malloc(model->n_embedding * sizeof(float));
        decode->key = malloc(kv_width(model) * sizeof(float));
        decode->value = malloc(kv_width(model) * sizeof(float));
        decode->query = malloc(query_width(model) * sizeof(float));
        decode->attention = malloc(query_width(model) * sizeof(float));
        decode->gate = malloc(model->n_feed_forward * sizeof(float));
        decode->up = malloc(model->n_feed_forward * sizeof(float));
        decode->rotation = malloc(model->n_rope * sizeof(float));
        decode->logits = malloc(model->n_vocabulary * sizeof(float));
        if (!decode->key || !decode->value || !decode->x || !decode->query || !decode->attention || !decode->gate ||
            !decode->up || !decode->rotation || !decode->logits)
                return -1;

        for (uint32_t i = 0; i < pool_n_threads(decode->pool); i++)
                if (allocate_thread(decode, &decode->threads[i]) < 0)
                        return -1;
        return 0;
}

int decode_new(struct decode **ret_decode, const struct mulm_model *model, struct pool *pool, const struct kv *kv,
               struct mulm_error *error)
{
        uint32_t n_threads = pool_n_threads(pool);
        struct decode *decode = calloc(1, sizeof(*decode) + n_threads * sizeof(decode->threads[0]));

        if (!decode)
                return error_no_memory(error);
        decode->model = model;
        decode->pool = pool;
        decode->kv = kv;
        if (allocate(decode) < 0) {
                decode_free(decode);
                return error_no_memory(error);
        }
        *ret_decode = decode;
        return 0;
}

struct decode *decode_free(struct decode *decode)
{
        if (!decode)
                return NULL;
        for (uint32_t i = 0; i < pool_n_threads(decode->pool); i++) {
                struct decode_thread *own = &decode->threads[i];

                activations_done(&own->activations);
                free(own->values);
                free(own->keys);
                free(own->scores);
                free(own->rows);
                free(own->normed);
        }
        free(decode->logits);
        free(decode->rotation);
        free(decode->up);
        free(decode->gate);
        free(decode->attention);
        free(decode->query);
        free(decode->value);
        free(decode->key);
        free(decode->x);
        free(decode);
        return NULL;
}
