/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Pre-tokenization by PCRE2, without its JIT (the daemon's sandbox forbids memory that is writable and executable).
 * The reference is what llama.cpp makes of the same names. It compares code points with Unicode's White_Space, which
 * PCRE2's \s is not (that one has U+180E too), so the class is spelt out. Its letters and digits are those of
 * Unicode 15.1; PCRE2 10.42 has Unicode 14 and takes what is newer for signs: the two differ in nothing else.
 */
#include "libmulm/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8

#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/error.h"

#define SPACE                                                                                                        \
        "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{"     \
        "3000}"

#define CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"

/* A word takes the blank in front of it with it; of a run of blanks all but the last stay together, or all where
 * nothing follows that could take the last one. With "smollm" a digit never does, so it counts as nothing there. */
static const struct {
        const char *name, *pattern;
} pretokenizers[] = {
        { "gpt-2",
          CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+" },
        { "smollm", CONTRACTIONS "| ?\\p{L}+|\\p{N}| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE
                                 "\\p{N}])|[" SPACE "]+" },
};

struct pretokenizer {
        const char *name;
        pcre2_code *pattern;
};

int pretokenizer_new(struct pretokenizer **ret_pretokenizer, struct gguf_string name, struct mulm_error *error)
{
        _cleanup_(pretokenizer_freep) struct pretokenizer *pretokenizer = NULL;
        PCRE2_SIZE offset;
        int code;

        pretokenizer = calloc(1, sizeof(*pretokenizer));
        if (!pretokenizer)
                return error_no_memory(error);
        for (size_t i = 0; i < ARRAY_SIZE(pretokenizers); i++) {
                if (name.n_data != strlen(pretokenizers[i].name) ||
                    memcmp(name.data, pretokenizers[i].name, name.n_data) != 0)
                        continue;
                pretokenizer->name = pretokenizers[i].name;
                pretokenizer->pattern = pcre2_compile((PCRE2_SPTR)pretokenizers[i].pattern, PCRE2_ZERO_TERMINATED,
                                                      PCRE2_UTF | PCRE2_UCP, &code, &offset, NULL);
                if (!pretokenizer->pattern)
                        return error_no_memory(error);
                *ret_pretokenizer = STEAL(pretokenizer);
                return 0;
        }
        return error_set(error, -ENOTSUP, "key 'tokenizer.ggml.pre' is '%.*s'; libmulm knows 'smollm' and 'gpt-2'",
                         GGUF_STRING_ARGS(name));
}

struct pretokenizer *pretokenizer_free(struct pretokenizer *pretokenizer)
{
        if (!pretokenizer)
                return NULL;
        pcre2_code_free(pretokenizer->pattern);
        free(pretokenizer);
        return NULL;
}

const char *pretokenizer_name(const struct pretokenizer *pretokenizer)
{
        return pretokenizer->name;
}

static void match_data_freep(pcre2_match_data **match_data)
{
        pcre2_match_data_free(*match_data);
}

int pretokenizer_split(const struct pretokenizer *pretokenizer, const char *text, size_t n_text,
                       pretokenizer_word_fn word_fn, void *userdata)
{
        /* Per call, because the pattern is shared by threads and this is not. */
        _cleanup_(match_data_freep) pcre2_match_data *match_data = pcre2_match_data_create(1, NULL);
        int r;

        if (!match_data)
                return -ENOMEM;
        for (size_t start = 0; start < n_text;) {
                size_t end;

                /* The alternatives cover every character, so what fails here is memory alone. */
                if (pcre2_match(pretokenizer->pattern, (PCRE2_SPTR)text, n_text, start,
                                PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, match_data, NULL) <= 0)
                        return -ENOMEM;
                end = pcre2_get_ovector_pointer(match_data)[1];
                r = word_fn(userdata, text + start, end - start);
                if (r < 0)
                        return r;
                start = end;
        }
        return 0;
}
