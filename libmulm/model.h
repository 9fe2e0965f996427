/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A Llama-shaped model: hyper-parameters and where its weights lie in the copy of its file. Immutable after opening,
 * so sessions on several threads share it. Refuses other architectures, rope scaling, missing tensors, tensors of a
 * wrong shape or type, and tensors that it has no use for (biases, rope factors, experts), each by name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libmulm/filecopy.h"
#include "libmulm/gguf.h"
#include "libmulm/kernels/kernels.h"
#include "libmulm/mulm.h"
#include "libmulm/template.h"
#include "libmulm/vocab.h"

struct model_matrix {
        enum quant_type type;
        uint32_t n_rows, n_columns; /* y[n_rows] = W x[n_columns]; n_columns is a multiple of the type's block */
        size_t n_row_bytes;
        const void *data; /* row-major, in the copy of the file */
};

struct model_layer {
        const float *attention_norm;    /* [n_embedding] */
        struct model_matrix query;      /* [n_heads * head_size x n_embedding] */
        struct model_matrix key, value; /* [n_kv_heads * head_size x n_embedding] */
        struct model_matrix output;     /* [n_embedding x n_heads * head_size] */
        const float *feed_forward_norm; /* [n_embedding] */
        struct model_matrix gate, up;   /* [n_feed_forward x n_embedding] */
        struct model_matrix down;       /* [n_embedding x n_feed_forward] */
};

struct mulm_model {
        struct filecopy file;
        struct vocab *vocab;
        struct chat_template *chat_template; /* NULL where the file has none or none that we know: chat is -ENOTSUP */
        const struct kernels *kernels;

        uint32_t n_layers, n_embedding, n_heads, n_kv_heads, head_size, n_feed_forward, n_vocabulary, n_context;
        uint32_t n_rope; /* leading dimensions of each head that are rotated */
        float rope_base, rms_epsilon;
        float confidence; /* below which an opener stops in front of a word, in [0, 1] */
        bool tied_embeddings;

        struct model_matrix embedding; /* [n_vocabulary x n_embedding], any type */
        struct model_layer *layers;    /* [n_layers] */
        const float *output_norm;      /* [n_embedding] */
        struct model_matrix logits;    /* [n_vocabulary x n_embedding]; the embedding where tied */

        uint64_t n_parameters;
        enum quant_type file_type; /* the type that most weight values have */
        char *name, *architecture, *license, *description;
};
