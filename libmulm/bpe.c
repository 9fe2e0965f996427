/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Byte pair encoding (Sennrich, Haddow, Birch, ACL 2016) over bytes, as GPT-2 does it: each word starts as its bytes,
 * and again and again the adjacent pair whose merge has the lowest rank becomes one token; of equal ones the
 * leftmost.
 *
 * Symbols are a linked list within an array; the candidates wait in a binary heap and are thrown away when they come
 * up stale, so that a word of n bytes takes O(n log n), whatever is in it.
 */
#include "libmulm/bpe.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "libmulm/base/checked.h"
#include "libmulm/base/utf8.h"
#include "libmulm/error.h"

#define BPE_NONE UINT32_MAX

struct bpe_symbol {
        uint32_t token;          /* VOCAB_NO_TOKEN: a byte without one */
        uint32_t previous, next; /* index, or BPE_NONE */
};

struct bpe_candidate {
        uint64_t order;       /* rank << 32 | index of the left symbol */
        uint32_t left, right; /* tokens that the two symbols had: it is stale when they have others now */
};

struct bpe {
        const struct vocab *vocab;
        struct token_list *list;
        struct bpe_symbol *symbols;
        size_t symbols_capacity;
        struct bpe_candidate *heap;
        size_t n_heap, heap_capacity;
};

static int grow(void **array, size_t *capacity, size_t n, size_t element)
{
        size_t wanted = *capacity, bytes;
        void *grown;

        if (n <= wanted)
                return 0;
        if (!checked_mul(wanted, 2, &wanted))
                return -ENOMEM;
        wanted = MAX(MAX(wanted, n), (size_t)64);
        if (!checked_mul(wanted, element, &bytes))
                return -ENOMEM;
        grown = realloc(*array, bytes);
        if (!grown)
                return -ENOMEM;
        *array = grown;
        *capacity = wanted;
        return 0;
}

int token_list_push(struct token_list *list, uint32_t token)
{
        void *tokens = list->tokens;
        int r;

        r = grow(&tokens, &list->capacity, list->n + 1, sizeof(*list->tokens));
        if (r < 0)
                return r;
        list->tokens = tokens;
        list->tokens[list->n++] = token;
        return 0;
}

void token_list_done(struct token_list *list)
{
        free(list->tokens);
        *list = TOKEN_LIST_NULL;
}

static void bpe_done(struct bpe *bpe)
{
        free(bpe->symbols);
        free(bpe->heap);
}

static int heap_push(struct bpe *bpe, struct bpe_candidate candidate)
{
        void *heap = bpe->heap;
        size_t i;
        int r;

        r = grow(&heap, &bpe->heap_capacity, bpe->n_heap + 1, sizeof(*bpe->heap));
        if (r < 0)
                return r;
        bpe->heap = heap;
        for (i = bpe->n_heap++; i > 0 && bpe->heap[(i - 1) / 2].order > candidate.order; i = (i - 1) / 2)
                bpe->heap[i] = bpe->heap[(i - 1) / 2];
        bpe->heap[i] = candidate;
        return 0;
}

static struct bpe_candidate heap_pop(struct bpe *bpe)
{
        struct bpe_candidate first = bpe->heap[0], last = bpe->heap[--bpe->n_heap];
        size_t i = 0;

        for (size_t child = 1; child < bpe->n_heap; child = 2 * i + 1) {
                if (child + 1 < bpe->n_heap && bpe->heap[child + 1].order < bpe->heap[child].order)
                        child++;
                if (last.order <= bpe->heap[child].order)
                        break;
                bpe->heap[i] = bpe->heap[child];
                i = child;
        }
        bpe->heap[i] = last;
        return first;
}

/* The pair that begins with symbol `left`, if there is one and it merges. */
static int offer_pair(struct bpe *bpe, uint32_t left)
{
        uint32_t rank, right;

        if (left == BPE_NONE)
                return 0;
        right = bpe->symbols[left].next;
        if (right == BPE_NONE)
                return 0;
        if (vocab_find_merge(bpe->vocab, bpe->symbols[left].token, bpe->symbols[right].token, &rank) ==
            VOCAB_NO_TOKEN)
                return 0;
        return heap_push(bpe, (struct bpe_candidate){
                                      .order = (uint64_t)rank << 32 | left,
                                      .left = bpe->symbols[left].token,
                                      .right = bpe->symbols[right].token,
                              });
}

static int merge_pairs(struct bpe *bpe)
{
        int r;

        while (bpe->n_heap > 0) {
                struct bpe_candidate candidate = heap_pop(bpe);
                uint32_t left = (uint32_t)candidate.order, right = bpe->symbols[left].next, rank;

                if (bpe->symbols[left].token != candidate.left || right == BPE_NONE ||
                    bpe->symbols[right].token != candidate.right)
                        continue;
                bpe->symbols[left].token = vocab_find_merge(bpe->vocab, candidate.left, candidate.right, &rank);
                bpe->symbols[left].next = bpe->symbols[right].next;
                if (bpe->symbols[right].next != BPE_NONE)
                        bpe->symbols[bpe->symbols[right].next].previous = left;
                bpe->symbols[right].token = VOCAB_NO_TOKEN; /* what waits for it is stale */

                r = offer_pair(bpe, bpe->symbols[left].previous);
                if (r < 0)
                        return r;
                r = offer_pair(bpe, left);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int encode_word(void *userdata, const char *word, size_t n_word)
{
        struct bpe *bpe = userdata;
        void *symbols = bpe->symbols;
        int r;

        r = grow(&symbols, &bpe->symbols_capacity, n_word, sizeof(*bpe->symbols));
        if (r < 0)
                return r;
        bpe->symbols = symbols;
        for (size_t i = 0; i < n_word; i++)
                bpe->symbols[i] = (struct bpe_symbol){
                        .token = vocab_byte_token(bpe->vocab, (unsigned char)word[i]),
                        .previous = i > 0 ? (uint32_t)i - 1 : BPE_NONE,
                        .next = i + 1 < n_word ? (uint32_t)i + 1 : BPE_NONE,
                };
        for (size_t i = 0; i < n_word; i++) {
                r = offer_pair(bpe, (uint32_t)i);
                if (r < 0)
                        return r;
        }
        r = merge_pairs(bpe);
        if (r < 0)
                return r;

        for (uint32_t i = 0; i != BPE_NONE; i = bpe->symbols[i].next) {
                if (bpe->symbols[i].token == VOCAB_NO_TOKEN)
                        continue;
                r = token_list_push(bpe->list, bpe->symbols[i].token);
                if (r < 0)
                        return r;
        }
        return 0;
}

int bpe_encode(const struct vocab *vocab, const char *text, size_t n_text, struct token_list *list,
               struct mulm_error *error)
{
        _cleanup_(bpe_done) struct bpe bpe = { .vocab = vocab, .list = list };
        size_t n_before = list->n, offset;
        int r;

        if (n_text >= BPE_NONE)
                return error_set(error, -EINVAL, "a text of %zu bytes; at most %u are encoded at once", n_text,
                                 BPE_NONE - 1);
        if (!utf8_is_valid(text, n_text, &offset))
                return error_set(error, -EBADMSG, "offset %zu of the text: not UTF-8", offset);
        r = pretokenizer_split(vocab_pretokenizer(vocab), text, n_text, encode_word, &bpe);
        if (r < 0) {
                list->n = n_before;
                return error_no_memory(error);
        }
        return 0;
}
