/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Opens a model: hyper-parameters and tensors of architecture "llama" by the names that llama.cpp gives them. See
 * model.h for what is refused.
 */
#include "libmulm/model.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/error.h"

/* Far above any model that a processor would run, low enough that products of two stay below 2^48. */
#define MODEL_MAX_LAYERS       1024u
#define MODEL_MAX_EMBEDDING    (1u << 20)
#define MODEL_MAX_HEADS        4096u
#define MODEL_MAX_HEAD_SIZE    4096u
#define MODEL_MAX_FEED_FORWARD (1u << 22)
#define MODEL_MAX_CONTEXT      (1u << 24)

#define MODEL_CONFIDENCE 0.2f /* of a file that does not say */

#define MODEL_MAX_DESCRIPTION 1024 /* bytes of a name or description that are kept */

DEFINE_CLEANUP(mulm_model *, mulm_model_free)

struct loader {
        mulm_model *model;
        const struct gguf *gguf;
        struct mulm_error *error;
        size_t n_used;                    /* tensors that the model has taken */
        uint64_t n_values[QUANT_N_TYPES]; /* weight values by type */
};

/* A number that must be there, in [1, most]. */
static int load_count(struct loader *loader, const char *key, uint32_t most, uint32_t *ret_value)
{
        uint32_t value;
        int r;

        r = gguf_get_u32(loader->gguf, key, &value, loader->error);
        if (r == -ENOENT)
                return error_set(loader->error, -EBADMSG, "key '%s' is missing", key);
        if (r < 0)
                return r;
        if (value == 0 || value > most)
                return error_set(loader->error, -ENOTSUP, "key '%s' is %" PRIu32 "; 1 to %" PRIu32 " are possible",
                                 key, value, most);
        *ret_value = value;
        return 0;
}

/* The same, with a default for where the key is missing. */
static int load_optional_count(struct loader *loader, const char *key, uint32_t most, uint32_t otherwise,
                               uint32_t *ret_value)
{
        uint32_t value;
        int r;

        r = gguf_get_u32(loader->gguf, key, &value, NULL);
        if (r != -ENOENT)
                return load_count(loader, key, most, ret_value);
        *ret_value = otherwise;
        return 0;
}

static int check_architecture(struct loader *loader)
{
        struct gguf_string architecture;
        int r;

        r = gguf_get_string(loader->gguf, "general.architecture", &architecture, loader->error);
        if (r == -ENOENT)
                return error_set(loader->error, -EBADMSG, "key 'general.architecture' is missing");
        if (r < 0)
                return r;
        if (architecture.n_data != 5 || memcmp(architecture.data, "llama", 5) != 0)
                return error_set(loader->error, -ENOTSUP,
                                 "key 'general.architecture' is '%.*s'; libmulm runs 'llama'",
                                 GGUF_STRING_ARGS(architecture));
        return 0;
}

static int load_heads(struct loader *loader)
{
        mulm_model *model = loader->model;
        uint32_t value_size = 0;
        int r;

        r = load_count(loader, "llama.attention.head_count", MODEL_MAX_HEADS, &model->n_heads);
        if (r < 0)
                return r;
        r = load_optional_count(loader, "llama.attention.head_count_kv", MODEL_MAX_HEADS, model->n_heads,
                                &model->n_kv_heads);
        if (r < 0)
                return r;
        if (model->n_heads % model->n_kv_heads != 0)
                return error_set(loader->error, -EBADMSG,
                                 "key 'llama.attention.head_count_kv' is %" PRIu32
                                 ", which does not divide the %" PRIu32 " heads",
                                 model->n_kv_heads, model->n_heads);
        r = load_optional_count(loader, "llama.attention.key_length", MODEL_MAX_HEAD_SIZE,
                                model->n_embedding / model->n_heads, &model->head_size);
        if (r < 0)
                return r;
        if (model->head_size == 0)
                return error_set(loader->error, -EBADMSG,
                                 "key 'llama.attention.head_count': %" PRIu32 " heads share %" PRIu32 " dimensions",
                                 model->n_heads, model->n_embedding);
        r = load_optional_count(loader, "llama.attention.value_length", MODEL_MAX_HEAD_SIZE, model->head_size,
                                &value_size);
        if (r < 0)
                return r;
        if (value_size != model->head_size)
                return error_set(loader->error, -ENOTSUP,
                                 "key 'llama.attention.value_length' is %" PRIu32 ", unlike the %" PRIu32 " of keys",
                                 value_size, model->head_size);
        return 0;
}

/* Positions stretched for a longer context change the arithmetic, and a model that needs it talks nonsense without.
 */
static int refuse_rope_scaling(struct loader *loader)
{
        static const char *const factors[] = { "llama.rope.scaling.factor", "llama.rope.scale_linear" };
        struct gguf_string type = { "none", 4 };
        float factor;
        int r;

        r = gguf_get_string(loader->gguf, "llama.rope.scaling.type", &type, loader->error);
        if (r < 0 && r != -ENOENT)
                return r;
        if (type.n_data != 4 || memcmp(type.data, "none", 4) != 0)
                return error_set(loader->error, -ENOTSUP,
                                 "key 'llama.rope.scaling.type' is '%.*s'; libmulm does not scale rope",
                                 GGUF_STRING_ARGS(type));
        for (size_t i = 0; i < ARRAY_SIZE(factors); i++) {
                r = gguf_get_f32(loader->gguf, factors[i], &factor, loader->error);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                if (factor != 0.0f && factor != 1.0f)
                        return error_set(loader->error, -ENOTSUP, "key '%s' is %g; libmulm does not scale rope",
                                         factors[i], (double)factor);
        }
        return 0;
}

static int load_rope(struct loader *loader)
{
        mulm_model *model = loader->model;
        int r;

        r = load_optional_count(loader, "llama.rope.dimension_count", model->head_size, model->head_size,
                                &model->n_rope);
        if (r < 0)
                return r;
        if (model->n_rope % 2 != 0)
                return error_set(loader->error, -EBADMSG, "key 'llama.rope.dimension_count' is %" PRIu32 ", not even",
                                 model->n_rope);
        model->rope_base = 10000.0f; /* of the RoFormer paper, and llama.cpp's default */
        r = gguf_get_f32(loader->gguf, "llama.rope.freq_base", &model->rope_base, loader->error);
        if (r < 0 && r != -ENOENT)
                return r;
        if (!isfinite(model->rope_base) || model->rope_base < 1.0f)
                return error_set(loader->error, -EBADMSG, "key 'llama.rope.freq_base' is %g; 1 and more are possible",
                                 (double)model->rope_base);
        return refuse_rope_scaling(loader);
}

static int load_epsilon(struct loader *loader)
{
        static const char key[] = "llama.attention.layer_norm_rms_epsilon";
        float epsilon;
        int r;

        r = gguf_get_f32(loader->gguf, key, &epsilon, loader->error);
        if (r == -ENOENT)
                return error_set(loader->error, -EBADMSG, "key '%s' is missing", key);
        if (r < 0)
                return r;
        if (!(epsilon > 0.0f && epsilon < 1.0f))
                return error_set(loader->error, -EBADMSG, "key '%s' is %g; it lies between 0 and 1", key,
                                 (double)epsilon);
        loader->model->rms_epsilon = epsilon;
        return 0;
}

/* Chosen for the model by models/eval/gate.py. */
static int load_confidence(struct loader *loader)
{
        static const char key[] = "mulm.opener.confidence";
        float confidence = MODEL_CONFIDENCE;
        int r;

        r = gguf_get_f32(loader->gguf, key, &confidence, loader->error);
        if (r < 0 && r != -ENOENT)
                return r;
        if (!(confidence >= 0.0f && confidence <= 1.0f))
                return error_set(loader->error, -EBADMSG, "key '%s' is %g, which is not in [0, 1]", key,
                                 (double)confidence);
        loader->model->confidence = confidence;
        return 0;
}

static int load_hyper_parameters(struct loader *loader)
{
        mulm_model *model = loader->model;
        int r;

        r = check_architecture(loader);
        if (r < 0)
                return r;
        r = load_count(loader, "llama.block_count", MODEL_MAX_LAYERS, &model->n_layers);
        if (r < 0)
                return r;
        r = load_count(loader, "llama.context_length", MODEL_MAX_CONTEXT, &model->n_context);
        if (r < 0)
                return r;
        r = load_count(loader, "llama.embedding_length", MODEL_MAX_EMBEDDING, &model->n_embedding);
        if (r < 0)
                return r;
        r = load_count(loader, "llama.feed_forward_length", MODEL_MAX_FEED_FORWARD, &model->n_feed_forward);
        if (r < 0)
                return r;
        r = load_heads(loader);
        if (r < 0)
                return r;
        r = load_rope(loader);
        if (r < 0)
                return r;
        r = load_epsilon(loader);
        if (r < 0)
                return r;
        return load_confidence(loader);
}

/* A tensor that must be there with these dimensions; n_rows 0: a vector. */
static int find_tensor(struct loader *loader, const char *name, uint32_t n_columns, uint32_t n_rows,
                       const struct gguf_tensor **ret_tensor)
{
        const struct gguf_tensor *tensor = gguf_find_tensor(loader->gguf, name);

        if (!tensor)
                return error_set(loader->error, -EBADMSG, "tensor '%s' is missing", name);
        if (tensor->n_dims != (n_rows > 0 ? 2u : 1u) || tensor->dims[0] != n_columns ||
            tensor->dims[1] != MAX(n_rows, 1u))
                return error_set(loader->error, -EBADMSG,
                                 "tensor '%s' has dimensions %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64
                                 ", not %" PRIu32 " x %" PRIu32,
                                 name, tensor->dims[0], tensor->dims[1], tensor->dims[2], tensor->dims[3], n_columns,
                                 MAX(n_rows, 1u));
        loader->n_used++;
        loader->model->n_parameters += tensor->dims[0] * tensor->dims[1];
        *ret_tensor = tensor;
        return 0;
}

static int load_matrix(struct loader *loader, const char *name, uint32_t n_rows, uint32_t n_columns,
                       struct model_matrix *ret_matrix)
{
        const struct gguf_tensor *tensor = NULL;
        int r;

        r = find_tensor(loader, name, n_columns, n_rows, &tensor);
        if (r < 0)
                return r;
        loader->n_values[tensor->type] += tensor->dims[0] * tensor->dims[1];
        *ret_matrix = (struct model_matrix){
                .type = tensor->type,
                .n_rows = n_rows,
                .n_columns = n_columns,
                .n_row_bytes = tensor->n_data / n_rows,
                .data = tensor->data,
        };
        return 0;
}

static int load_norm(struct loader *loader, const char *name, const float **ret_weights)
{
        const struct gguf_tensor *tensor = NULL;
        int r;

        r = find_tensor(loader, name, loader->model->n_embedding, 0, &tensor);
        if (r < 0)
                return r;
        if (tensor->type != QUANT_F32)
                return error_set(loader->error, -ENOTSUP, "tensor '%s' has type %s; norms are F32", name,
                                 quant_name(tensor->type));
        *ret_weights = tensor->data;
        return 0;
}

static int load_layer(struct loader *loader, uint32_t i)
{
        mulm_model *model = loader->model;
        struct model_layer *layer = &model->layers[i];
        const uint32_t n_query = model->n_heads * model->head_size, n_key = model->n_kv_heads * model->head_size;
        const struct {
                const char *name;
                uint32_t n_rows, n_columns;
                struct model_matrix *matrix;
        } matrices[] = {
                { "attn_q", n_query, model->n_embedding, &layer->query },
                { "attn_k", n_key, model->n_embedding, &layer->key },
                { "attn_v", n_key, model->n_embedding, &layer->value },
                { "attn_output", model->n_embedding, n_query, &layer->output },
                { "ffn_gate", model->n_feed_forward, model->n_embedding, &layer->gate },
                { "ffn_up", model->n_feed_forward, model->n_embedding, &layer->up },
                { "ffn_down", model->n_embedding, model->n_feed_forward, &layer->down },
        };
        char name[64];
        int r;

        for (size_t k = 0; k < ARRAY_SIZE(matrices); k++) {
                (void)snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s.weight", i, matrices[k].name);
                r = load_matrix(loader, name, matrices[k].n_rows, matrices[k].n_columns, matrices[k].matrix);
                if (r < 0)
                        return r;
        }
        (void)snprintf(name, sizeof(name), "blk.%" PRIu32 ".attn_norm.weight", i);
        r = load_norm(loader, name, &layer->attention_norm);
        if (r < 0)
                return r;
        (void)snprintf(name, sizeof(name), "blk.%" PRIu32 ".ffn_norm.weight", i);
        return load_norm(loader, name, &layer->feed_forward_norm);
}

static bool layer_has(const struct model_layer *layer, const void *data)
{
        return data == layer->attention_norm || data == layer->query.data || data == layer->key.data ||
               data == layer->value.data || data == layer->output.data || data == layer->feed_forward_norm ||
               data == layer->gate.data || data == layer->up.data || data == layer->down.data;
}

static bool model_has(const mulm_model *model, const void *data)
{
        for (uint32_t i = 0; i < model->n_layers; i++)
                if (layer_has(&model->layers[i], data))
                        return true;
        return data == model->embedding.data || data == model->logits.data || data == model->output_norm;
}

/* A tensor without a use means a model that computes something else: biases, rope factors, experts, a head more. */
static int refuse_other_tensors(struct loader *loader)
{
        if (loader->n_used == gguf_n_tensors(loader->gguf))
                return 0;
        for (size_t i = 0; i < gguf_n_tensors(loader->gguf); i++) {
                const struct gguf_tensor *tensor = gguf_tensor_at(loader->gguf, i);

                if (!model_has(loader->model, tensor->data))
                        return error_set(loader->error, -ENOTSUP,
                                         "tensor '%.*s' is none that a plain llama model has",
                                         GGUF_STRING_ARGS(tensor->name));
        }
        return 0;
}

static int load_tensors(struct loader *loader)
{
        mulm_model *model = loader->model;
        int r;

        r = load_matrix(loader, "token_embd.weight", model->n_vocabulary, model->n_embedding, &model->embedding);
        if (r < 0)
                return r;
        r = load_norm(loader, "output_norm.weight", &model->output_norm);
        if (r < 0)
                return r;
        model->tied_embeddings = !gguf_find_tensor(loader->gguf, "output.weight");
        model->logits = model->embedding;
        if (!model->tied_embeddings) {
                r = load_matrix(loader, "output.weight", model->n_vocabulary, model->n_embedding, &model->logits);
                if (r < 0)
                        return r;
        }
        model->layers = calloc(model->n_layers, sizeof(*model->layers));
        if (!model->layers)
                return error_no_memory(loader->error);
        for (uint32_t i = 0; i < model->n_layers; i++) {
                r = load_layer(loader, i);
                if (r < 0)
                        return r;
        }
        for (size_t type = 0; type < ARRAY_SIZE(loader->n_values); type++)
                if (loader->n_values[type] > loader->n_values[model->file_type])
                        model->file_type = (enum quant_type)type;
        return refuse_other_tensors(loader);
}

/* A text for people: "" where the key is missing or no string, '?' for what would upset a terminal. */
static int load_description(struct loader *loader, const char *key, char **ret_text)
{
        struct gguf_string string = { "", 0 };
        char *text;

        (void)gguf_get_string(loader->gguf, key, &string, NULL);
        text = strndup(string.data, MIN(string.n_data, (size_t)MODEL_MAX_DESCRIPTION));
        if (!text)
                return error_no_memory(loader->error);
        for (char *c = text; *c; c++)
                if (*c < 0x20 || *c > 0x7e)
                        *c = '?';
        *ret_text = text;
        return 0;
}

static int load_descriptions(struct loader *loader)
{
        mulm_model *model = loader->model;
        const struct {
                const char *key;
                char **text;
        } texts[] = {
                { "general.name", &model->name },
                { "general.architecture", &model->architecture },
                { "general.license", &model->license },
                { "general.description", &model->description },
        };
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                r = load_description(loader, texts[i].key, texts[i].text);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* One that is missing or unknown is no failure, so its sentence is not the caller's. */
static int load_template(struct loader *loader)
{
        struct mulm_error error = { "" };
        int r;

        r = chat_template_new(&loader->model->chat_template, loader->gguf, loader->model->vocab, &error);
        if (r == 0 || r == -ENOTSUP)
                return 0;
        return error_set(loader->error, r, "%s", error.sentence);
}

static int load(struct loader *loader)
{
        mulm_model *model = loader->model;
        int r;

        r = load_hyper_parameters(loader);
        if (r < 0)
                return r;
        r = vocab_new(&model->vocab, loader->gguf, loader->error);
        if (r < 0)
                return r;
        model->n_vocabulary = (uint32_t)vocab_size(model->vocab);
        r = load_tensors(loader);
        if (r < 0)
                return r;
        r = load_template(loader);
        if (r < 0)
                return r;
        return load_descriptions(loader);
}

int mulm_model_open(mulm_model **ret_model, const char *path, const struct mulm_model_options *options,
                    struct mulm_error *error)
{
        _cleanup_(mulm_model_freep) mulm_model *model = NULL;
        _cleanup_(gguf_freep) struct gguf *gguf = NULL;
        int r;

        model = calloc(1, sizeof(*model));
        if (!model)
                return error_no_memory(error);
        r = kernels_select(&model->kernels, options ? options->isa : MULM_ISA_AUTO, error);
        if (r < 0)
                return r;
        r = filecopy_init(&model->file, path, "GGUF", error);
        if (r < 0)
                return r;
        r = gguf_new(&gguf, model->file.data, model->file.n_data, error);
        if (r == 0)
                r = load(&(struct loader){ .model = model, .gguf = gguf, .error = error });
        if (r < 0) {
                error_prefix(error, path);
                return r;
        }
        *ret_model = STEAL(model);
        return 0;
}

mulm_model *mulm_model_free(mulm_model *model)
{
        if (!model)
                return NULL;
        free(model->name);
        free(model->architecture);
        free(model->license);
        free(model->description);
        free(model->layers);
        chat_template_free(model->chat_template);
        vocab_free(model->vocab);
        filecopy_done(&model->file);
        free(model);
        return NULL;
}

void mulm_model_describe(const mulm_model *model, struct mulm_model_info *ret_info)
{
        *ret_info = (struct mulm_model_info){
                .name = model->name,
                .architecture = model->architecture,
                .license = model->license,
                .description = model->description,
                .file_type = quant_name(model->file_type),
                .pre_tokenizer = pretokenizer_name(vocab_pretokenizer(model->vocab)),
                .isa = model->kernels->name,
                .n_parameters = model->n_parameters,
                .n_file_bytes = model->file.n_data,
                .n_layers = model->n_layers,
                .n_embedding = model->n_embedding,
                .n_heads = model->n_heads,
                .n_kv_heads = model->n_kv_heads,
                .head_size = model->head_size,
                .n_feed_forward = model->n_feed_forward,
                .n_vocabulary = model->n_vocabulary,
                .n_context = model->n_context,
                .rope_base = model->rope_base,
                .rms_epsilon = model->rms_epsilon,
                .confidence = model->confidence,
                .tied_embeddings = model->tied_embeddings,
        };
}
