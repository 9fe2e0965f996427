/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Builds the vocabulary from the file's tokenizer keys. See vocab.h.
 *
 * The file writes a token's bytes with stand-ins: printable Latin-1 bytes stand for themselves, the 68 others, in
 * ascending order, for U+0100, U+0101, ... (bytes_to_unicode() of GPT-2's encoder.py). Merges name pairs of tokens in
 * the same writing, separated by a blank, which is no stand-in.
 */
#include "libmulm/vocab.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/checked.h"
#include "libmulm/base/utf8.h"
#include "libmulm/error.h"

#define VOCAB_MAX_TOKENS (1u << 20)
#define VOCAB_MAX_ENDS   4
#define N_STAND_INS      (256 + 68)

/* Values of tokenizer.ggml.token_type (llama_token_type). */
enum vocab_type {
        VOCAB_TYPE_NORMAL = 1,
        VOCAB_TYPE_UNKNOWN,
        VOCAB_TYPE_CONTROL,
        VOCAB_TYPE_USER_DEFINED,
        VOCAB_TYPE_UNUSED,
        VOCAB_TYPE_BYTE,
};

struct vocab_merge {
        uint32_t left, right, rank;
        uint32_t result; /* VOCAB_NO_TOKEN: a free slot */
};

struct vocab {
        struct pretokenizer *pretokenizer;
        size_t n_tokens;
        char *bytes;       /* of all tokens, one after the other */
        uint32_t *offsets; /* [n_tokens + 1] into bytes */
        uint8_t *types;    /* [n_tokens] enum vocab_type */
        uint32_t byte_tokens[256];
        struct vocab_merge *merges; /* hash table by (left, right), open addressing */
        size_t merges_mask;
        uint32_t ends[VOCAB_MAX_ENDS];
        size_t n_ends;
        uint32_t begin;
};

/* Token by its written form; alive only while the vocabulary is built. */
struct index {
        const struct gguf_string *strings;
        uint32_t *slots; /* [mask + 1] VOCAB_NO_TOKEN: free */
        size_t mask;
};

static void index_done(struct index *index)
{
        free(index->slots);
}

/* A power of two with at most three quarters in use, less one. */
static size_t table_mask(size_t n)
{
        size_t size = 16;

        while (size / 4 * 3 < n)
                size *= 2;
        return size - 1;
}

/* FNV-1a, to be carried on from `hash`. */
static uint64_t hash_bytes(uint64_t hash, const char *data, size_t n)
{
        for (size_t i = 0; i < n; i++)
                hash = (hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
        return hash;
}

/* The slot of the string a+b, taken or free. */
static uint32_t *index_slot(const struct index *index, struct gguf_string a, struct gguf_string b)
{
        uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), a.data, a.n_data);

        hash = hash_bytes(hash, b.data, b.n_data);
        for (size_t i = (size_t)(hash ^ hash >> 32) & index->mask;; i = (i + 1) & index->mask) {
                uint32_t *slot = &index->slots[i];
                const struct gguf_string *string;

                if (*slot == VOCAB_NO_TOKEN)
                        return slot;
                string = &index->strings[*slot];
                if (string->n_data == a.n_data + b.n_data && memcmp(string->data, a.data, a.n_data) == 0 &&
                    memcmp(string->data + a.n_data, b.data, b.n_data) == 0)
                        return slot;
        }
}

static int index_init(struct index *index, const struct gguf_string *strings, size_t n, struct mulm_error *error)
{
        index->strings = strings;
        index->mask = table_mask(n);
        index->slots = malloc((index->mask + 1) * sizeof(*index->slots));
        if (!index->slots)
                return error_no_memory(error);
        memset(index->slots, 0xff, (index->mask + 1) * sizeof(*index->slots));
        for (size_t i = 0; i < n; i++) {
                uint32_t *slot = index_slot(index, strings[i], (struct gguf_string){ "", 0 });

                if (*slot != VOCAB_NO_TOKEN)
                        return error_set(error, -EBADMSG,
                                         "key 'tokenizer.ggml.tokens': tokens %" PRIu32 " and %zu are both '%.*s'",
                                         *slot, i, GGUF_STRING_ARGS(strings[i]));
                *slot = (uint32_t)i;
        }
        return 0;
}

/* Byte by stand-in, -1 where a code point is none. */
static void fill_stand_ins(int16_t ret_bytes[N_STAND_INS])
{
        size_t n = 256;

        memset(ret_bytes, 0xff, N_STAND_INS * sizeof(*ret_bytes));
        for (int16_t byte = 0; byte < 256; byte++) {
                bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);

                ret_bytes[printable ? (size_t)byte : n++] = byte;
        }
}

/* Appends the bytes that a normal token's stand-ins mean; false where it has other characters. */
static bool add_stand_ins(const int16_t *stand_ins, struct gguf_string string, char *bytes, uint32_t *n_bytes)
{
        uint32_t code_point;
        size_t n;

        for (size_t i = 0; i < string.n_data; i += n) {
                n = utf8_decode(string.data + i, string.n_data - i, &code_point);
                if (n == 0 || code_point >= N_STAND_INS || stand_ins[code_point] < 0)
                        return false;
                bytes[(*n_bytes)++] = (char)stand_ins[code_point];
        }
        return true;
}

static int load_types(struct vocab *vocab, const struct gguf *gguf, struct mulm_error *error)
{
        const int32_t *types;
        size_t n;
        int r;

        vocab->types = malloc(vocab->n_tokens);
        if (!vocab->types)
                return error_no_memory(error);
        memset(vocab->types, VOCAB_TYPE_NORMAL, vocab->n_tokens);
        r = gguf_get_i32s(gguf, "tokenizer.ggml.token_type", &types, &n, error);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (n != vocab->n_tokens)
                return error_set(error, -EBADMSG, "key 'tokenizer.ggml.token_type' has %zu entries for %zu tokens", n,
                                 vocab->n_tokens);
        for (size_t i = 0; i < n; i++) {
                if (types[i] < VOCAB_TYPE_NORMAL || types[i] > VOCAB_TYPE_BYTE)
                        return error_set(error, -EBADMSG,
                                         "key 'tokenizer.ggml.token_type': token %zu has type %" PRId32
                                         ", which does not exist",
                                         i, types[i]);
                vocab->types[i] = (uint8_t)types[i];
        }
        return 0;
}

static int load_tokens(struct vocab *vocab, const struct gguf_string *strings, struct mulm_error *error)
{
        int16_t stand_ins[N_STAND_INS];
        size_t n_bytes = 0;
        uint32_t at = 0;

        /* A token never has more bytes than its written form. */
        for (size_t i = 0; i < vocab->n_tokens; i++)
                if (!checked_add(n_bytes, strings[i].n_data, &n_bytes) || n_bytes > UINT32_MAX)
                        return error_set(error, -EBADMSG, "key 'tokenizer.ggml.tokens' is larger than 4 GiB");
        vocab->bytes = malloc(MAX(n_bytes, (size_t)1));
        vocab->offsets = calloc(vocab->n_tokens + 1, sizeof(*vocab->offsets));
        if (!vocab->bytes || !vocab->offsets)
                return error_no_memory(error);

        fill_stand_ins(stand_ins);
        for (size_t i = 0; i < vocab->n_tokens; i++) {
                if (vocab_is_special(vocab, (uint32_t)i)) {
                        memcpy(vocab->bytes + at, strings[i].data, strings[i].n_data);
                        at += (uint32_t)strings[i].n_data;
                } else if (!add_stand_ins(stand_ins, strings[i], vocab->bytes, &at)) {
                        return error_set(error, -EBADMSG,
                                         "key 'tokenizer.ggml.tokens': token %zu, '%.*s', has characters that stand "
                                         "for no byte",
                                         i, GGUF_STRING_ARGS(strings[i]));
                }
                vocab->offsets[i + 1] = at;
        }
        return 0;
}

static int load_byte_tokens(struct vocab *vocab, struct mulm_error *error)
{
        for (size_t byte = 0; byte < 256; byte++)
                vocab->byte_tokens[byte] = VOCAB_NO_TOKEN;
        for (uint32_t i = 0; i < vocab->n_tokens; i++)
                if (!vocab_is_special(vocab, i) && vocab->offsets[i + 1] - vocab->offsets[i] == 1)
                        vocab->byte_tokens[(unsigned char)vocab->bytes[vocab->offsets[i]]] = i;
        for (size_t byte = 0; byte < 0x7f; byte++)
                if ((byte >= 0x20 || byte == '\n') && vocab->byte_tokens[byte] == VOCAB_NO_TOKEN)
                        return error_set(error, -ENOTSUP,
                                         "key 'tokenizer.ggml.tokens' has no token for the byte 0x%02zx", byte);
        return 0;
}

static struct vocab_merge *merge_slot(const struct vocab *vocab, uint32_t left, uint32_t right)
{
        uint64_t hash = ((uint64_t)left << 32 | right) * UINT64_C(0x9e3779b97f4a7c15);

        for (size_t i = (size_t)(hash >> 32) & vocab->merges_mask;; i = (i + 1) & vocab->merges_mask) {
                struct vocab_merge *slot = &vocab->merges[i];

                if (slot->result == VOCAB_NO_TOKEN || (slot->left == left && slot->right == right))
                        return slot;
        }
}

static int add_merge(struct vocab *vocab, const struct index *index, struct gguf_string merge, uint32_t rank,
                     struct mulm_error *error)
{
        static const struct gguf_string nothing = { "", 0 };
        const char *blank = memchr(merge.data, ' ', merge.n_data);
        struct gguf_string left, right;
        struct vocab_merge *slot, new = { .rank = rank };

        if (!blank)
                return error_set(error, -EBADMSG,
                                 "key 'tokenizer.ggml.merges': number %" PRIu32 ", '%.*s', is no pair", rank,
                                 GGUF_STRING_ARGS(merge));
        left = (struct gguf_string){ merge.data, (size_t)(blank - merge.data) };
        right = (struct gguf_string){ blank + 1, merge.n_data - left.n_data - 1 };
        new.left = *index_slot(index, left, nothing);
        new.right = *index_slot(index, right, nothing);
        new.result = *index_slot(index, left, right);
        if (new.left == VOCAB_NO_TOKEN || new.right == VOCAB_NO_TOKEN || new.result == VOCAB_NO_TOKEN ||
            vocab_is_special(vocab, new.left) || vocab_is_special(vocab, new.right) ||
            vocab_is_special(vocab, new.result))
                return error_set(error, -EBADMSG,
                                 "key 'tokenizer.ggml.merges': number %" PRIu32 ", '%.*s', names no token", rank,
                                 GGUF_STRING_ARGS(merge));
        slot = merge_slot(vocab, new.left, new.right);
        if (slot->result != VOCAB_NO_TOKEN)
                return error_set(error, -EBADMSG,
                                 "key 'tokenizer.ggml.merges': numbers %" PRIu32 " and %" PRIu32 " are the same",
                                 slot->rank, rank);
        *slot = new;
        return 0;
}

static int load_merges(struct vocab *vocab, const struct gguf *gguf, const struct gguf_string *tokens,
                       struct mulm_error *error)
{
        _cleanup_(index_done) struct index index = { 0 };
        const struct gguf_string *merges;
        size_t n;
        int r;

        r = gguf_get_strings(gguf, "tokenizer.ggml.merges", &merges, &n, error);
        if (r == -ENOENT)
                return error_set(error, -EBADMSG, "key 'tokenizer.ggml.merges' is missing");
        if (r < 0)
                return r;
        if (n > VOCAB_MAX_TOKENS)
                return error_set(error, -ENOTSUP, "key 'tokenizer.ggml.merges' has %zu entries; at most %u are read",
                                 n, VOCAB_MAX_TOKENS);
        r = index_init(&index, tokens, vocab->n_tokens, error);
        if (r < 0)
                return r;
        vocab->merges_mask = table_mask(n);
        vocab->merges = malloc((vocab->merges_mask + 1) * sizeof(*vocab->merges));
        if (!vocab->merges)
                return error_no_memory(error);
        memset(vocab->merges, 0xff, (vocab->merges_mask + 1) * sizeof(*vocab->merges));
        for (size_t i = 0; i < n; i++) {
                r = add_merge(vocab, &index, merges[i], (uint32_t)i, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A key that holds a token id; VOCAB_NO_TOKEN where it is missing. */
static int load_id(const struct vocab *vocab, const struct gguf *gguf, const char *key, uint32_t *ret_token,
                   struct mulm_error *error)
{
        uint32_t token;
        int r;

        r = gguf_get_u32(gguf, key, &token, error);
        if (r == -ENOENT) {
                *ret_token = VOCAB_NO_TOKEN;
                return 0;
        }
        if (r < 0)
                return r;
        if (token >= vocab->n_tokens)
                return error_set(error, -EBADMSG, "key '%s' is %" PRIu32 ", beyond the %zu tokens", key, token,
                                 vocab->n_tokens);
        *ret_token = token;
        return 0;
}

static int load_ends(struct vocab *vocab, const struct gguf *gguf, struct mulm_error *error)
{
        uint32_t ends[VOCAB_MAX_ENDS];
        int r;

        r = load_id(vocab, gguf, "tokenizer.ggml.eos_token_id", &ends[0], error);
        if (r < 0)
                return r;
        r = load_id(vocab, gguf, "tokenizer.ggml.eot_token_id", &ends[1], error);
        if (r < 0)
                return r;
        ends[2] = vocab_find_special(vocab, "<|im_end|>");
        ends[3] = vocab_find_special(vocab, "<|endoftext|>");
        for (size_t i = 0; i < VOCAB_MAX_ENDS; i++)
                if (ends[i] != VOCAB_NO_TOKEN)
                        vocab->ends[vocab->n_ends++] = ends[i];
        if (vocab->n_ends == 0)
                return error_set(error, -ENOTSUP,
                                 "key 'tokenizer.ggml.eos_token_id' is missing: nothing would end a "
                                 "text");
        return 0;
}

static int load_begin(struct vocab *vocab, const struct gguf *gguf, struct mulm_error *error)
{
        bool wanted = false;
        int r;

        r = gguf_get_bool(gguf, "tokenizer.ggml.add_bos_token", &wanted, error);
        if (r < 0 && r != -ENOENT)
                return r;
        r = load_id(vocab, gguf, "tokenizer.ggml.bos_token_id", &vocab->begin, error);
        if (r < 0)
                return r;
        if (!wanted)
                vocab->begin = VOCAB_NO_TOKEN;
        else if (vocab->begin == VOCAB_NO_TOKEN)
                return error_set(error, -EBADMSG,
                                 "key 'tokenizer.ggml.add_bos_token' asks for a token that 'bos_token_id' does not "
                                 "name");
        return 0;
}

static int load_pretokenizer(struct vocab *vocab, const struct gguf *gguf, struct mulm_error *error)
{
        struct gguf_string model, pre;
        int r;

        r = gguf_get_string(gguf, "tokenizer.ggml.model", &model, error);
        if (r == -ENOENT)
                return error_set(error, -EBADMSG, "key 'tokenizer.ggml.model' is missing");
        if (r < 0)
                return r;
        if (model.n_data != 4 || memcmp(model.data, "gpt2", 4) != 0)
                return error_set(error, -ENOTSUP,
                                 "key 'tokenizer.ggml.model' is '%.*s'; libmulm knows byte-level BPE, 'gpt2'",
                                 GGUF_STRING_ARGS(model));
        r = gguf_get_string(gguf, "tokenizer.ggml.pre", &pre, error);
        if (r == -ENOENT)
                return error_set(error, -ENOTSUP, "key 'tokenizer.ggml.pre' is missing");
        if (r < 0)
                return r;
        return pretokenizer_new(&vocab->pretokenizer, pre, error);
}

int vocab_new(struct vocab **ret_vocab, const struct gguf *gguf, struct mulm_error *error)
{
        _cleanup_(vocab_freep) struct vocab *vocab = NULL;
        const struct gguf_string *tokens;
        int r;

        vocab = calloc(1, sizeof(*vocab));
        if (!vocab)
                return error_no_memory(error);
        r = load_pretokenizer(vocab, gguf, error);
        if (r < 0)
                return r;
        r = gguf_get_strings(gguf, "tokenizer.ggml.tokens", &tokens, &vocab->n_tokens, error);
        if (r == -ENOENT || (r == 0 && vocab->n_tokens == 0))
                return error_set(error, -EBADMSG, "key 'tokenizer.ggml.tokens' is missing or empty");
        if (r < 0)
                return r;
        if (vocab->n_tokens > VOCAB_MAX_TOKENS)
                return error_set(error, -ENOTSUP, "key 'tokenizer.ggml.tokens' has %zu entries; at most %u are read",
                                 vocab->n_tokens, VOCAB_MAX_TOKENS);
        r = load_types(vocab, gguf, error);
        if (r < 0)
                return r;
        r = load_tokens(vocab, tokens, error);
        if (r < 0)
                return r;
        r = load_byte_tokens(vocab, error);
        if (r < 0)
                return r;
        r = load_merges(vocab, gguf, tokens, error);
        if (r < 0)
                return r;
        r = load_ends(vocab, gguf, error);
        if (r < 0)
                return r;
        r = load_begin(vocab, gguf, error);
        if (r < 0)
                return r;
        *ret_vocab = STEAL(vocab);
        return 0;
}

struct vocab *vocab_free(struct vocab *vocab)
{
        if (!vocab)
                return NULL;
        pretokenizer_free(vocab->pretokenizer);
        free(vocab->bytes);
        free(vocab->offsets);
        free(vocab->types);
        free(vocab->merges);
        free(vocab);
        return NULL;
}

size_t vocab_size(const struct vocab *vocab)
{
        return vocab->n_tokens;
}

const struct pretokenizer *vocab_pretokenizer(const struct vocab *vocab)
{
        return vocab->pretokenizer;
}

void vocab_bytes(const struct vocab *vocab, uint32_t token, const char **ret_bytes, size_t *ret_n)
{
        *ret_bytes = vocab->bytes + vocab->offsets[token];
        *ret_n = vocab->offsets[token + 1] - vocab->offsets[token];
}

bool vocab_is_special(const struct vocab *vocab, uint32_t token)
{
        return vocab->types[token] != VOCAB_TYPE_NORMAL;
}

bool vocab_is_end(const struct vocab *vocab, uint32_t token)
{
        for (size_t i = 0; i < vocab->n_ends; i++)
                if (vocab->ends[i] == token)
                        return true;
        return false;
}

uint32_t vocab_begin_token(const struct vocab *vocab)
{
        return vocab->begin;
}

uint32_t vocab_find_special(const struct vocab *vocab, const char *name)
{
        size_t n_name = strlen(name), n;
        const char *bytes;

        for (uint32_t i = 0; i < vocab->n_tokens; i++) {
                if (!vocab_is_special(vocab, i))
                        continue;
                vocab_bytes(vocab, i, &bytes, &n);
                if (n == n_name && memcmp(bytes, name, n) == 0)
                        return i;
        }
        return VOCAB_NO_TOKEN;
}

uint32_t vocab_byte_token(const struct vocab *vocab, unsigned char byte)
{
        return vocab->byte_tokens[byte];
}

uint32_t vocab_find_merge(const struct vocab *vocab, uint32_t left, uint32_t right, uint32_t *ret_rank)
{
        const struct vocab_merge *slot = merge_slot(vocab, left, right);

        if (slot->result != VOCAB_NO_TOKEN)
                *ret_rank = slot->rank;
        return slot->result;
}
