/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * libmulm: runs a micro language model from a GGUF file on a CPU.
 *
 * This header is the whole public API. A model is immutable once opened and may be shared by threads; a session
 * (KV cache, logits, worker threads) belongs to one thread at a time. Nothing here logs, exits, reads the
 * environment or keeps global state.
 *
 * Errors: functions return 0 or a negative errno; positive values are the outcomes named beside the function.
 * Outputs are written only on success. `error`, where it is taken, may be NULL; on failure it holds one sentence
 * that names the cause and the place (file offset, tensor, key).
 *
 *      -EBADMSG   the file or the text is malformed          -ENOTSUP  well-formed, but not something libmulm runs
 *      -ENOMEM    no memory; nothing was left behind          -E2BIG    more tokens than the context holds
 *      -EINVAL    a parameter is out of its documented range  -ENOENT, -EACCES, ...  from the operating system
 *
 * A minimal program:
 *
 *      mulm_model *model = NULL; mulm_session *session = NULL; struct mulm_error error;
 *      if (mulm_model_open(&model, "models/mulm-28m.q8_0.gguf", NULL, &error) < 0) { puts(error.sentence); ... }
 *      mulm_session_new(&session, model, NULL, &error);
 *      mulm_session_chat(session, &(struct mulm_message){ MULM_ROLE_USER, "why is the sky blue", 19 }, 1, NULL, 0,
 *                        &error);
 *      mulm_opener_begin(session, &MULM_OPENER_DEFAULTS, &error);
 *      for (struct mulm_word word; mulm_opener_next(session, &word, &error) == MULM_OPENER_WORD;)
 *              printf("%.*s", (int)word.n_text, word.text);
 *      mulm_session_free(session); mulm_model_free(model);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MULM_API __attribute__((visibility("default")))

typedef struct mulm_model mulm_model;
typedef struct mulm_session mulm_session;

struct mulm_error {
        char sentence[320];
};

/* ------------------------------------------------------------------------------------------------- model */

enum mulm_isa {
        MULM_ISA_AUTO,         /* the best that this processor has; the others are -ENOTSUP where it lacks them */
        MULM_ISA_SCALAR,       /* the portable reference */
        MULM_ISA_AVX2,         /* x86-64 with AVX2, FMA and F16C */
        MULM_ISA_NEON,         /* 64-bit ARM */
        MULM_ISA_NEON_DOTPROD, /* the same with the dot products of ARMv8.2 */
};

struct mulm_model_options {
        enum mulm_isa isa;
};

struct mulm_model_info {
        const char *name, *architecture, *license, *description; /* "" where the file says nothing */
        const char *file_type;                                   /* type that most weights have, e.g. "Q8_0" */
        const char *pre_tokenizer;                               /* "smollm" or "gpt-2" */
        const char *isa;                                         /* kernels in use: "avx2", "neon-dotprod", ... */
        uint64_t n_parameters, n_file_bytes;
        uint32_t n_layers, n_embedding, n_heads, n_kv_heads, head_size, n_feed_forward, n_vocabulary, n_context;
        float rope_base, rms_epsilon;
        float confidence; /* of openers, by the file's `mulm.opener.confidence`; 0.2 where it has none */
        bool tied_embeddings;
};

/* Reads `path` into memory of its own and checks all of it; weights stay in the form that they have there. `options`
 * may be NULL. Whatever becomes of the file afterwards (replaced, rewritten, truncated, its disk gone), the model
 * goes on as it was. On failure *ret_model is untouched. */
MULM_API int mulm_model_open(mulm_model **ret_model, const char *path, const struct mulm_model_options *options,
                             struct mulm_error *error);

/* Accepts NULL; every session of the model must be gone. Returns NULL. */
MULM_API mulm_model *mulm_model_free(mulm_model *model);

/* Strings live as long as the model. */
MULM_API void mulm_model_describe(const mulm_model *model, struct mulm_model_info *ret_info);

/* -------------------------------------------------------------------------------------------------- text */

/* Tokens of plain text: special tokens are never recognised in it. Writes at most `capacity` of them (tokens may be
 * NULL if capacity is 0) and stores the full count. -EBADMSG: not UTF-8, the sentence has the offset. */
MULM_API int mulm_tokenize(const mulm_model *model, const char *text, size_t n_text, uint32_t *tokens,
                           size_t capacity, size_t *ret_n_tokens, struct mulm_error *error);

/* The bytes of one token, possibly part of a UTF-8 sequence; for a special token its name, e.g. "<|im_end|>".
 * -EINVAL: no such token. The bytes live as long as the model and are not terminated. */
MULM_API int mulm_token_bytes(const mulm_model *model, uint32_t token, const char **ret_bytes, size_t *ret_n_bytes);

enum mulm_role {
        MULM_ROLE_SYSTEM,
        MULM_ROLE_USER,
        MULM_ROLE_ASSISTANT,
};

struct mulm_message {
        enum mulm_role role;
        const char *text; /* UTF-8, `n_text` bytes; a special token's name in it is plain text */
        size_t n_text;
};

/* ----------------------------------------------------------------------------------------------- session */

/* How keys and values are kept. In half precision they take half the memory; results differ by that rounding. */
enum mulm_kv {
        MULM_KV_F32,
        MULM_KV_F16,
};

struct mulm_session_options {
        uint32_t n_context; /* tokens the KV cache holds; 0: what the model was trained for */
        uint32_t n_threads; /* including the caller; 0: one per core, at most 4 */

        /* Prompt lookup: generation drafts words of the prompt and evaluates them together with the word that they
         * may follow. What is generated is the same, bit for bit. It pays where two tokens together take less
         * than 1.4 times as long as one, that is where memory bounds decoding (`mulm bench` tells). Models with
         * matrices of other types than Q8_0, Q4_0 and Q4_1 are never drafted for. */
        bool lookup;

        enum mulm_kv kv;
};

/* `options` may be NULL. The fixed head of the chat template is evaluated here and kept. */
MULM_API int mulm_session_new(mulm_session **ret_session, mulm_model *model,
                              const struct mulm_session_options *options, struct mulm_error *error);
MULM_API mulm_session *mulm_session_free(mulm_session *session);

/* Makes the KV cache hold exactly tokens[0..n_tokens): keeps the longest common prefix with what it holds, evaluates
 * the rest (in one batch where that is more than one), and leaves the logits of the last token. n_tokens >= 1.
 * -E2BIG: more than the context; the cache is as before. */
MULM_API int mulm_session_evaluate(mulm_session *session, const uint32_t *tokens, size_t n_tokens,
                                   struct mulm_error *error);

/* Renders the messages with the model's chat template and an opened assistant turn that already says `prefix`
 * (n_prefix may be 0), then evaluates like mulm_session_evaluate(). */
MULM_API int mulm_session_chat(mulm_session *session, const struct mulm_message *messages, size_t n_messages,
                               const char *prefix, size_t n_prefix, struct mulm_error *error);

/* A user's turn that is evaluated while the person still talks. Begin with the messages before it, append pieces as
 * they are recognised, revise (keep the first n_keep bytes, replace the rest), commit, then begin an opener or
 * generation: what the cache then holds is, token by token, what mulm_session_chat() makes of the whole text.
 *
 * Each call but commit evaluates the turn as if it ended there, behind the longest common prefix with what is there
 * already, since only tokens up to the last word are sure to stay; so commit has nothing left to evaluate and the
 * first token is there at once. A piece is valid UTF-8 (-EBADMSG) and n_keep a boundary between characters (-EINVAL);
 * words may be cut anywhere. -E2BIG: more tokens than the context. After any error but that of begin, text and cache
 * are as before. mulm_session_evaluate() and mulm_session_chat() end a turn; -EINVAL where none is open. */
MULM_API int mulm_turn_begin(mulm_session *session, const struct mulm_message *messages, size_t n_messages,
                             struct mulm_error *error);
MULM_API int mulm_turn_append(mulm_session *session, const char *text, size_t n_text, struct mulm_error *error);
MULM_API int mulm_turn_revise(mulm_session *session, size_t n_keep, const char *text, size_t n_text,
                              struct mulm_error *error);
MULM_API int mulm_turn_commit(mulm_session *session, struct mulm_error *error);

/* n_vocabulary logits after the last evaluated token; valid until the session is next used. NULL before the first. */
MULM_API const float *mulm_session_logits(const mulm_session *session);

/* Tokens in the KV cache, and how many the last evaluate/chat call found there already. */
MULM_API size_t mulm_session_length(const mulm_session *session);
MULM_API size_t mulm_session_reused(const mulm_session *session);

/* --------------------------------------------------------------------------------------------- generation */

/* temperature 0 is greedy (the lowest token id wins a tie); then top_k (0: all), top_p (1: all) and
 * repetition_penalty (1: none; over the last 64 tokens) apply in this order: penalty, temperature, top_k, top_p. */
struct mulm_sampling {
        float temperature;
        uint32_t top_k;
        float top_p;
        float repetition_penalty;
        uint64_t seed; /* the same seed, model and input give the same tokens */
};

#define MULM_SAMPLING_GREEDY ((struct mulm_sampling){ .top_p = 1.0f, .repetition_penalty = 1.0f })

/* A step of token-wise generation. */
struct mulm_piece {
        const char *text; /* whole UTF-8 sequences only; may be empty while one is incomplete */
        size_t n_text;    /* valid until the next call on the session */
        uint32_t token;
        float probability; /* of this token among all, at temperature 1 */
};

enum mulm_generate {
        MULM_GENERATE_PIECE = 1, /* *ret_piece holds the next token */
        MULM_GENERATE_END = 2,   /* the model ended the text */
        MULM_GENERATE_FULL = 3,  /* the context is full */
};

/* Starts generation after the evaluated tokens; -EINVAL if there are none or a field is out of range. */
MULM_API int mulm_generate_begin(mulm_session *session, const struct mulm_sampling *sampling,
                                 struct mulm_error *error);

/* Takes one token, makes it part of the KV cache on the *next* call (so the last token costs no evaluation). */
MULM_API int mulm_generate_next(mulm_session *session, struct mulm_piece *ret_piece, struct mulm_error *error);

#define MULM_CONFIDENCE_OF_MODEL (-1.0f)

struct mulm_opener_options {
        uint32_t min_words; /* said without regard to confidence; 0: the first word may already be withheld */
        uint32_t max_words;
        float confidence; /* once min_words are said, stop in front of a word less probable than this; 0: never;
                             MULM_CONFIDENCE_OF_MODEL: what its file says */
        struct mulm_sampling sampling;

        /* The first word is not to be this one, with ASCII letters of either case, nor to begin with a token that
         * this one begins with; the next best is taken. NULL or "": any word. At most MULM_AVOID_MAX bytes, copied.
         */
        const char *avoid;
};

#define MULM_AVOID_MAX 63

#define MULM_OPENER_DEFAULTS                                                                                         \
        ((struct mulm_opener_options){ .min_words = 4,                                                               \
                                       .max_words = 8,                                                               \
                                       .confidence = MULM_CONFIDENCE_OF_MODEL,                                       \
                                       .sampling = { .top_p = 1.0f, .repetition_penalty = 1.0f } })

/* A whole word: its leading blank (except in front of the first word of a reply), its letters, and the punctuation
 * that clings to it. Probability is the product over the word's tokens. */
struct mulm_word {
        const char *text; /* valid until the next call on the session */
        size_t n_text;
        float probability;
};

enum mulm_opener {
        MULM_OPENER_WORD = 1,   /* *ret_word holds the next word */
        MULM_OPENER_LIMIT = 2,  /* max_words are said */
        MULM_OPENER_END = 3,    /* the model ended its reply */
        MULM_OPENER_UNSURE = 4, /* the next word is less probable than asked for and was not said */
        MULM_OPENER_FULL = 5,   /* the context is full */
};

MULM_API int mulm_opener_begin(mulm_session *session, const struct mulm_opener_options *options,
                               struct mulm_error *error);

/* Each call yields one word as soon as it is known to be whole; after any outcome but MULM_OPENER_WORD the opener is
 * over and the same outcome is returned again. */
MULM_API int mulm_opener_next(mulm_session *session, struct mulm_word *ret_word, struct mulm_error *error);

/* ------------------------------------------------------------------------------------------------ version */

/* "1.0.0" */
MULM_API const char *mulm_version(void);

#ifdef __cplusplus
}
#endif
