/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Any bytes as a text: tokens are those of byte pair encoding done the slow way (Sennrich et al., 2016: merge the
 * pair of lowest rank, the leftmost first, until none is left), and their bytes are the text again.
 */
#include <errno.h>
#include <string.h>

#include "libmulm/base/utf8.h"
#include "libmulm/bpe.h"
#include "tests/fuzz/fuzz-model.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX 4096 /* the slow way is quadratic */

static size_t best_pair(const struct vocab *vocab, const uint32_t *tokens, size_t n)
{
        uint32_t best = UINT32_MAX, rank;
        size_t at = n;

        for (size_t i = 0; i + 1 < n; i++)
                if (vocab_find_merge(vocab, tokens[i], tokens[i + 1], &rank) != VOCAB_NO_TOKEN && rank < best) {
                        best = rank;
                        at = i;
                }
        return at;
}

static int encode_slowly(void *userdata, const char *word, size_t n_word)
{
        const struct vocab *vocab = fuzz_model()->vocab;
        uint32_t tokens[TEXT_MAX], rank;
        struct token_list *list = userdata;
        size_t n = n_word, at;

        for (size_t i = 0; i < n; i++)
                tokens[i] = vocab_byte_token(vocab, (unsigned char)word[i]);
        while ((at = best_pair(vocab, tokens, n)) < n) {
                tokens[at] = vocab_find_merge(vocab, tokens[at], tokens[at + 1], &rank);
                memmove(tokens + at + 1, tokens + at + 2, (n - at - 2) * sizeof(*tokens));
                n--;
        }
        for (size_t i = 0; i < n; i++)
                if (tokens[i] != VOCAB_NO_TOKEN)
                        FUZZ_CHECK(token_list_push(list, tokens[i]) == 0);
        return 0;
}

static bool has_all_bytes(const struct vocab *vocab, const char *text, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (vocab_byte_token(vocab, (unsigned char)text[i]) == VOCAB_NO_TOKEN)
                        return false;
        return true;
}

static void check_bytes(const struct vocab *vocab, const struct token_list *list, const char *text, size_t n)
{
        const char *bytes;
        size_t at = 0, n_bytes;

        for (size_t i = 0; i < list->n; i++) {
                FUZZ_CHECK(!vocab_is_special(vocab, list->tokens[i]));
                vocab_bytes(vocab, list->tokens[i], &bytes, &n_bytes);
                FUZZ_CHECK(n_bytes <= n - at && memcmp(text + at, bytes, n_bytes) == 0);
                at += n_bytes;
        }
        FUZZ_CHECK(at == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        _cleanup_(token_list_done) struct token_list list = TOKEN_LIST_NULL, slow = TOKEN_LIST_NULL;
        const struct vocab *vocab = fuzz_model()->vocab;
        const char *text = (const char *)data;
        size_t offset;
        int r;

        if (n > TEXT_MAX)
                return 0;
        r = bpe_encode(vocab, text, n, &list, NULL);
        if (!utf8_is_valid(text, n, &offset)) {
                FUZZ_CHECK(r == -EBADMSG && list.n == 0);
                return 0;
        }
        FUZZ_CHECK(r == 0);
        FUZZ_CHECK(pretokenizer_split(vocab_pretokenizer(vocab), text, n, encode_slowly, &slow) == 0);
        FUZZ_CHECK(list.n == slow.n && (list.n == 0 || memcmp(list.tokens, slow.tokens, list.n * 4) == 0));
        if (has_all_bytes(vocab, text, n))
                check_bytes(vocab, &list, text, n);
        return 0;
}
