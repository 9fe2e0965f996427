/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The forward pass of many tokens. See prefill.h.
 */
#include "libmulm/prefill.h"

#include <cblas.h>
#include <stdlib.h>

#include "libmulm/base/checked.h"
#include "libmulm/base/macro.h"
#include "libmulm/error.h"
#include "libmulm/ops.h"

/* With AVX2 the quantised batch kernels are faster at every length. Tokens a second on a Zen 1 core at 2.5 GHz, the
 * 28M model in Q8_0, batch kernel against dequantising and SGEMM:
 *
 *      tokens          8    16    32    64   256
 *      batch         537   561   536   566   530
 *      SGEMM         421   402   462   452   404
 *
 * so SGEMM is for F16 and F32 weights, and for processors without kernels of their own. */

/* Tokens that go through together; more of them cost memory and gain nothing. */
#define BATCH 128

/* Rows of a panel: 64 rows of 1,536 floats are 384 KB, within the second-level cache. */
#define PANEL_ROWS 64

/* Rows are shared out in multiples of this, the lanes of the kernels, so that no result depends on how many threads
 * there are or which of the two ways computes it; even, so no rotated pair is split. */
#define ROW_UNIT 8

struct prefill_thread {
        enum quant_form form; /* that the input of the next products has */
        float *panel;         /* [PANEL_ROWS x widest matrix] */
        float *rows;          /* [BATCH x PANEL_ROWS]: a product that is then added */
        float *scores;        /* [n_context] */
        float *keys, *values; /* [n_context x head_size], where they are not kept as floats */
};

struct prefill {
        const struct mulm_model *model;
        struct pool *pool;
        const struct kv *kv;
        struct decode *decode;
        size_t n_query, n_widest;

        const uint32_t *tokens; /* the batch */
        uint32_t n_tokens, position;
        bool is_last;  /* it ends with the token whose logits are wanted */
        bool is_check; /* every token's are, and all numbers as decode computes them */

        float *x;                    /* [BATCH x n_embedding] */
        float *normed;               /* [BATCH x n_embedding] */
        float *query, *attention;    /* [BATCH x n_query] */
        float *key, *value;          /* [BATCH x kv.n_width] */
        float *gate, *up;            /* [BATCH x n_feed_forward] */
        float *rotations;            /* [BATCH x n_rope] */
        struct kernel_block *blocks; /* [BATCH x n_widest / QUANT_BLOCK]: the input of the next products, quantised */
        struct kernel_vector vectors[BATCH]; /* into it */
        float *logits;                       /* [PREFILL_CHECK_MAX x n_vocabulary], NULL where there are no checks */

        struct prefill_thread threads[];
};

static bool form_has_blocks(enum quant_form form)
{
        return form == QUANT_FORM_BLOCKS || form == QUANT_FORM_WIDE_BLOCKS;
}

/* Rounds this thread's rows of the input as decode does for this matrix, in place, and keeps the quantised form. */
static void prepare_input(struct prefill *prefill, uint32_t thread, float *input, size_t n,
                          const struct model_matrix *matrix)
{
        const struct kernels *kernels = prefill->model->kernels;
        enum quant_form form = quant_form(matrix->type);

        prefill->threads[thread].form = form;
        for (uint32_t t = thread; t < prefill->n_tokens; t += pool_n_threads(prefill->pool)) {
                struct kernel_block *blocks = prefill->blocks + t * (prefill->n_widest / QUANT_BLOCK);
                float *x = input + t * n;

                if (form_has_blocks(form)) {
                        ops_quantise(kernels, form, blocks, x, n);
                        if (!prefill->is_check)
                                kernels->dequantise_blocks(x, blocks, n);
                } else {
                        ops_round(kernels, form, x, x, n);
                }
        }
}

static void prepare_normed(struct prefill *prefill, uint32_t thread, const float *weight,
                           const struct model_matrix *matrix)
{
        const struct mulm_model *model = prefill->model;

        for (uint32_t t = thread; t < prefill->n_tokens; t += pool_n_threads(prefill->pool))
                model->kernels->rms_norm(prefill->normed + (size_t)t * model->n_embedding,
                                         prefill->x + (size_t)t * model->n_embedding, weight, model->n_embedding,
                                         model->rms_epsilon);
        prepare_input(prefill, thread, prefill->normed, model->n_embedding, matrix);
}

/* The same again where the next matrix of several with one input takes another form of it. All threads call it. */
static void prepare_again(struct prefill *prefill, uint32_t thread, const float *weight,
                          const struct model_matrix *matrix)
{
        if (quant_form(matrix->type) == prefill->threads[thread].form)
                return;
        pool_barrier(prefill->pool);
        prepare_normed(prefill, thread, weight, matrix);
        pool_barrier(prefill->pool);
}

/* y[t][i] (+)= matrix[begin + i] . input[t] for rows [begin, end) and tokens [0, n_tokens). */
static void multiply_panel(struct prefill *prefill, struct prefill_thread *own, const struct model_matrix *matrix,
                           const float *input, size_t n_tokens, size_t begin, size_t end, float *y, size_t n_stride,
                           float beta)
{
        kernel_dequantise_fn dequantise = prefill->model->kernels->dequantise[matrix->type];

        for (size_t i = begin; i < end; i++)
                dequantise(own->panel + (i - begin) * matrix->n_columns, ops_row(matrix, i), matrix->n_columns);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_tokens, (int)(end - begin),
                    (int)matrix->n_columns, 1.0f, input, (int)matrix->n_columns, own->panel, (int)matrix->n_columns,
                    beta, y, (int)n_stride);
}

/* The same by the batch kernel. */
static void multiply_quantised(struct prefill *prefill, struct prefill_thread *own, const struct model_matrix *matrix,
                               size_t n_tokens, size_t begin, size_t end, float *y, size_t n_stride, bool add)
{
        kernel_batch_fn batch = prefill->model->kernels->batch[matrix->type];
        size_t n = end - begin;

        if (!add) {
                batch(y, n_stride, ops_row(matrix, begin), matrix->n_row_bytes, n, matrix->n_columns,
                      prefill->vectors, n_tokens);
                return;
        }
        batch(own->rows, n, ops_row(matrix, begin), matrix->n_row_bytes, n, matrix->n_columns, prefill->vectors,
              n_tokens);
        for (size_t t = 0; t < n_tokens; t++)
                for (size_t i = 0; i < n; i++)
                        y[t * n_stride + i] += own->rows[t * n + i];
}

/* y is the output of row `begin`. */
static void multiply(struct prefill *prefill, struct prefill_thread *own, const struct model_matrix *matrix,
                     const float *input, size_t n_tokens, size_t begin, size_t end, float *y, size_t n_stride,
                     bool add)
{
        bool quantised = form_has_blocks(own->form) && prefill->model->kernels->batch[matrix->type] &&
                         n_tokens <= prefill->model->kernels->n_batch_most;

        if (n_tokens == 0)
                return;
        for (size_t next; begin < end; y += next - begin, begin = next) {
                next = MIN(begin + PANEL_ROWS, end);
                if (quantised)
                        multiply_quantised(prefill, own, matrix, n_tokens, begin, next, y, n_stride, add);
                else
                        multiply_panel(prefill, own, matrix, input, n_tokens, begin, next, y, n_stride,
                                       add ? 1.0f : 0.0f);
        }
}

/* ------------------------------------------------------------------------------------------------ a layer */

static void rope_tokens(struct prefill *prefill, size_t n_tokens, size_t begin, size_t end, float *x, size_t n_stride)
{
        for (size_t t = 0; t < n_tokens; t++)
                ops_rope(prefill->model, prefill->rotations + t * prefill->model->n_rope, begin, end,
                         x + t * n_stride);
}

/* Keys and values of the first n_tokens tokens. */
static void project_keys(struct prefill *prefill, uint32_t thread, uint32_t index, size_t n_tokens)
{
        const struct model_layer *layer = &prefill->model->layers[index];
        struct prefill_thread *own = &prefill->threads[thread];
        size_t n_kv = prefill->kv->n_width, begin, end;
        float *keys = prefill->key, *values = prefill->value;

        pool_share(prefill->pool, thread, n_kv, ROW_UNIT, &begin, &end);
        prepare_again(prefill, thread, layer->attention_norm, &layer->key);
        multiply(prefill, own, &layer->key, prefill->normed, n_tokens, begin, end, keys + begin, n_kv, false);
        rope_tokens(prefill, n_tokens, begin, end, keys + begin, n_kv);
        prepare_again(prefill, thread, layer->attention_norm, &layer->value);
        multiply(prefill, own, &layer->value, prefill->normed, n_tokens, begin, end, values + begin, n_kv, false);
        for (size_t t = 0; t < n_tokens; t++) {
                uint32_t position = prefill->position + (uint32_t)t;

                kv_write(prefill->kv, KV_KEYS, index, position, begin, end - begin, keys + t * n_kv + begin);
                kv_write(prefill->kv, KV_VALUES, index, position, begin, end - begin, values + t * n_kv + begin);
        }
}

static void project_queries(struct prefill *prefill, uint32_t thread, const struct model_layer *layer)
{
        struct prefill_thread *own = &prefill->threads[thread];
        size_t n_query = prefill->n_query, begin, end;

        pool_share(prefill->pool, thread, n_query, ROW_UNIT, &begin, &end);
        multiply(prefill, own, &layer->query, prefill->normed, prefill->n_tokens, begin, end, prefill->query + begin,
                 n_query, false);
        rope_tokens(prefill, prefill->n_tokens, begin, end, prefill->query + begin, n_query);
}

static void attend(struct prefill *prefill, uint32_t thread, uint32_t layer)
{
        const struct mulm_model *model = prefill->model;
        struct prefill_thread *own = &prefill->threads[thread];
        size_t n_group = model->n_heads / model->n_kv_heads, n_stride;
        uint32_t n_positions = prefill->position + prefill->n_tokens;

        for (size_t group = 0; group < model->n_kv_heads; group++) {
                const float *keys = kv_read(prefill->kv, KV_KEYS, layer, n_positions, group * model->head_size,
                                            model->head_size, own->keys, &n_stride, model->kernels);
                const float *values = kv_read(prefill->kv, KV_VALUES, layer, n_positions, group * model->head_size,
                                              model->head_size, own->values, &n_stride, model->kernels);

                for (uint32_t t = thread; t < prefill->n_tokens; t += pool_n_threads(prefill->pool)) {
                        size_t at = t * prefill->n_query + group * n_group * model->head_size;

                        model->kernels->attention(prefill->attention + at, own->scores, prefill->query + at, n_group,
                                                  keys, values, n_stride, prefill->position + t + 1, model->head_size,
                                                  !prefill->is_check);
                }
        }
}

/* x += matrix . input, this thread's rows of it, for all tokens. */
static void add_product(struct prefill *prefill, uint32_t thread, const struct model_matrix *matrix,
                        const float *input)
{
        size_t n_embedding = prefill->model->n_embedding, begin, end;

        pool_share(prefill->pool, thread, n_embedding, ROW_UNIT, &begin, &end);
        multiply(prefill, &prefill->threads[thread], matrix, input, prefill->n_tokens, begin, end, prefill->x + begin,
                 n_embedding, true);
}

static void run_attention(struct prefill *prefill, uint32_t thread, uint32_t index)
{
        const struct model_layer *layer = &prefill->model->layers[index];

        prepare_normed(prefill, thread, layer->attention_norm, &layer->query);
        pool_barrier(prefill->pool);
        project_queries(prefill, thread, layer);
        project_keys(prefill, thread, index, prefill->n_tokens);
        pool_barrier(prefill->pool);

        attend(prefill, thread, index);
        prepare_input(prefill, thread, prefill->attention, prefill->n_query, &layer->output);
        pool_barrier(prefill->pool);
        add_product(prefill, thread, &layer->output, prefill->attention);
        pool_barrier(prefill->pool);
}

static void run_feed_forward(struct prefill *prefill, uint32_t thread, uint32_t index)
{
        const struct model_layer *layer = &prefill->model->layers[index];
        struct prefill_thread *own = &prefill->threads[thread];
        size_t n = prefill->model->n_feed_forward, begin, end;

        prepare_normed(prefill, thread, layer->feed_forward_norm, &layer->gate);
        pool_barrier(prefill->pool);
        pool_share(prefill->pool, thread, n, ROW_UNIT, &begin, &end);
        multiply(prefill, own, &layer->gate, prefill->normed, prefill->n_tokens, begin, end, prefill->gate + begin, n,
                 false);
        prepare_again(prefill, thread, layer->feed_forward_norm, &layer->up);
        multiply(prefill, own, &layer->up, prefill->normed, prefill->n_tokens, begin, end, prefill->up + begin, n,
                 false);
        for (size_t t = 0; t < prefill->n_tokens; t++)
                prefill->model->kernels->swiglu(prefill->gate + t * n + begin, prefill->up + t * n + begin,
                                                end - begin);
        pool_barrier(prefill->pool);

        prepare_input(prefill, thread, prefill->gate, n, &layer->down);
        pool_barrier(prefill->pool);
        add_product(prefill, thread, &layer->down, prefill->gate);
        pool_barrier(prefill->pool);
}

static void embed(struct prefill *prefill, uint32_t thread)
{
        const struct mulm_model *model = prefill->model;

        for (uint32_t t = thread; t < prefill->n_tokens; t += pool_n_threads(prefill->pool)) {
                ops_embed(model, prefill->tokens[t], prefill->x + (size_t)t * model->n_embedding);
                ops_rotation(model, prefill->position + t, prefill->rotations + (size_t)t * model->n_rope);
        }
}

static void run(void *userdata, uint32_t thread)
{
        struct prefill *prefill = userdata;
        const struct mulm_model *model = prefill->model;
        uint32_t last = model->n_layers - 1;

        embed(prefill, thread);
        for (uint32_t layer = 0; layer < last; layer++) {
                run_attention(prefill, thread, layer);
                run_feed_forward(prefill, thread, layer);
        }

        /* Of the last layer, only keys and values are wanted, and from the last token on, decode goes on. */
        prepare_normed(prefill, thread, model->layers[last].attention_norm, &model->layers[last].query);
        pool_barrier(prefill->pool);
        project_keys(prefill, thread, last, prefill->n_tokens - (prefill->is_last ? 1 : 0));
}

void prefill_tokens(struct prefill *prefill, const uint32_t *tokens, uint32_t n_tokens, uint32_t position)
{
        const struct mulm_model *model = prefill->model;

        for (uint32_t n; n_tokens > 0; tokens += n, n_tokens -= n, position += n) {
                n = MIN(n_tokens, (uint32_t)BATCH);
                prefill->tokens = tokens;
                prefill->n_tokens = n;
                prefill->position = position;
                prefill->is_last = n == n_tokens;
                prefill->is_check = false;
                pool_run(prefill->pool, run, prefill);
                if (prefill->is_last)
                        decode_from_layer(prefill->decode, prefill->x + (size_t)(n - 1) * model->n_embedding,
                                          model->n_layers - 1, position + n - 1);
        }
}

/* ------------------------------------------------------------------------------------------------- checks */

static void run_check(void *userdata, uint32_t thread)
{
        struct prefill *prefill = userdata;
        const struct mulm_model *model = prefill->model;
        size_t begin, end;

        embed(prefill, thread);
        for (uint32_t layer = 0; layer < model->n_layers; layer++) {
                run_attention(prefill, thread, layer);
                run_feed_forward(prefill, thread, layer);
        }

        prepare_normed(prefill, thread, model->output_norm, &model->logits);
        pool_barrier(prefill->pool);
        pool_share(prefill->pool, thread, model->n_vocabulary, ROW_UNIT, &begin, &end);
        multiply(prefill, &prefill->threads[thread], &model->logits, prefill->normed, prefill->n_tokens, begin, end,
                 prefill->logits + begin, model->n_vocabulary, false);
}

void prefill_check(struct prefill *prefill, const uint32_t *tokens, uint32_t n_tokens, uint32_t position)
{
        prefill->tokens = tokens;
        prefill->n_tokens = n_tokens;
        prefill->position = position;
        prefill->is_check = true;
        pool_run(prefill->pool, run_check, prefill);
}

const float *prefill_logits(const struct prefill *prefill, uint32_t i)
{
        return prefill->logits + (size_t)i * prefill->model->n_vocabulary;
}

bool prefill_can_check(const struct prefill *prefill)
{
        return prefill->logits;
}

static bool has_batch(const struct mulm_model *model, const struct model_matrix *matrix)
{
        return quant_block_values(matrix->type) == QUANT_BLOCK && model->kernels->batch[matrix->type];
}

static bool all_have_batch(const struct mulm_model *model)
{
        for (uint32_t i = 0; i < model->n_layers; i++) {
                const struct model_layer *layer = &model->layers[i];

                if (!has_batch(model, &layer->query) || !has_batch(model, &layer->key) ||
                    !has_batch(model, &layer->value) || !has_batch(model, &layer->output) ||
                    !has_batch(model, &layer->gate) || !has_batch(model, &layer->up) ||
                    !has_batch(model, &layer->down))
                        return false;
        }
        return has_batch(model, &model->logits);
}

/* ------------------------------------------------------------------------------------------------- memory */

static float *new_floats(size_t n_rows, size_t n_columns)
{
        size_t n_bytes;

        if (!checked_mul(n_rows, n_columns, &n_bytes) || !checked_mul(n_bytes, sizeof(float), &n_bytes))
                return NULL;
        return malloc(n_bytes);
}

static int allocate_thread(struct prefill *prefill, struct prefill_thread *own)
{
        own->panel = new_floats(PANEL_ROWS, prefill->n_widest);
        own->rows = new_floats(BATCH, PANEL_ROWS);
        own->scores = new_floats(1, prefill->kv->n_context);
        if (!own->panel || !own->rows || !own->scores)
                return -1;
        if (prefill->kv->type == MULM_KV_F32)
                return 0;
        own->keys = new_floats(prefill->kv->n_context, prefill->model->head_size);
        own->values = new_floats(prefill->kv->n_context, prefill->model->head_size);
        return own->keys && own->values ? 0 : -1;
}

static int allocate(struct prefill *prefill, bool can_check)
{
        const struct mulm_model *model = prefill->model;
        size_t n_blocks = prefill->n_widest / QUANT_BLOCK;

        prefill->x = new_floats(BATCH, model->n_embedding);
        prefill->normed = new_floats(BATCH, model->n_embedding);
        prefill->key = new_floats(BATCH, prefill->kv->n_width);
        prefill->value = new_floats(BATCH, prefill->kv->n_width);
        prefill->query = new_floats(BATCH, prefill->n_query);
        prefill->attention = new_floats(BATCH, prefill->n_query);
        prefill->gate = new_floats(BATCH, model->n_feed_forward);
        prefill->up = new_floats(BATCH, model->n_feed_forward);
        prefill->rotations = new_floats(BATCH, model->n_rope);
        prefill->blocks = aligned_alloc(sizeof(*prefill->blocks), BATCH * n_blocks * sizeof(*prefill->blocks));
        if (!prefill->key || !prefill->value || !prefill->x || !prefill->normed || !prefill->query ||
            !prefill->attention || !prefill->gate || !prefill->up || !prefill->rotations || !prefill->blocks)
                return -1;
        if (can_check) {
                prefill->logits = new_floats(PREFILL_CHECK_MAX, model->n_vocabulary);
                if (!prefill->logits)
                        return -1;
        }

        for (size_t t = 0; t < BATCH; t++)
                prefill->vectors[t].blocks = prefill->blocks + t * n_blocks;
        for (uint32_t i = 0; i < pool_n_threads(prefill->pool); i++)
                if (allocate_thread(prefill, &prefill->threads[i]) < 0)
                        return -1;
        return 0;
}

int prefill_new(struct prefill **ret_prefill, const struct mulm_model *model, struct pool *pool, const struct kv *kv,
                struct decode *decode, bool can_check, struct mulm_error *error)
{
        uint32_t n_threads = pool_n_threads(pool);
        struct prefill *prefill = calloc(1, sizeof(*prefill) + n_threads * sizeof(prefill->threads[0]));
        size_t n_widest;

        if (!prefill)
                return error_no_memory(error);
        prefill->model = model;
        prefill->pool = pool;
        prefill->kv = kv;
        prefill->decode = decode;
        prefill->n_query = (size_t)model->n_heads * model->head_size;
        n_widest = MAX(MAX((size_t)model->n_embedding, (size_t)model->n_feed_forward), prefill->n_query);
        prefill->n_widest = (n_widest + QUANT_BLOCK - 1) / QUANT_BLOCK * QUANT_BLOCK;
        if (allocate(prefill, can_check && all_have_batch(model)) < 0) {
                prefill_free(prefill);
                return error_no_memory(error);
        }
        openblas_set_num_threads(1);
        *ret_prefill = prefill;
        return 0;
}

struct prefill *prefill_free(struct prefill *prefill)
{
        if (!prefill)
                return NULL;
        for (uint32_t i = 0; i < pool_n_threads(prefill->pool); i++) {
                free(prefill->threads[i].values);
                free(prefill->threads[i].keys);
                free(prefill->threads[i].scores);
                free(prefill->threads[i].rows);
                free(prefill->threads[i].panel);
        }
        free(prefill->logits);
        free(prefill->blocks);
        free(prefill->rotations);
        free(prefill->up);
        free(prefill->gate);
        free(prefill->attention);
        free(prefill->query);
        free(prefill->value);
        free(prefill->key);
        free(prefill->normed);
        free(prefill->x);
        free(prefill);
        return NULL;
}
