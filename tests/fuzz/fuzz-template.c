/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Any bytes as a file's chat template and, where that is one, as what is said with it: special tokens stand where the
 * template puts them and nowhere else.
 */
#include <errno.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/template.h"
#include "tests/fuzz/fuzz-model.h"
#include "tests/fuzz/fuzz.h"

/* A GGUF file with one key. */
static struct gguf *new_gguf(const uint8_t *jinja, size_t n, struct buf *file)
{
        static const char key[] = "tokenizer.chat_template";
        const uint64_t n_tensors = 0, n_keys = 1, n_key = sizeof(key) - 1, n_jinja = n;
        const uint32_t version = 3, type = GGUF_TYPE_STRING;
        const struct {
                const void *data;
                size_t n;
        } parts[] = {
                { "GGUF", 4 },  { &version, sizeof(version) }, { &n_tensors, sizeof(n_tensors) },
                { &n_keys, 8 }, { &n_key, sizeof(n_key) },     { key, sizeof(key) - 1 },
                { &type, 4 },   { &n_jinja, sizeof(n_jinja) }, { jinja, n },
        };
        struct gguf *gguf;

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                FUZZ_CHECK(buf_add(file, parts[i].data, parts[i].n) == 0);
        FUZZ_CHECK(gguf_new(&gguf, file->data, file->n, NULL) == 0);
        return gguf;
}

static size_t count_special(const struct vocab *vocab, const struct token_list *list)
{
        size_t n = 0;

        for (size_t i = 0; i < list->n; i++)
                n += vocab_is_special(vocab, list->tokens[i]);
        return n;
}

static void check_rendering(const struct chat_template *chat_template, const char *text, size_t n)
{
        const struct mulm_message messages[] = {
                { MULM_ROLE_USER, text, n },
                { MULM_ROLE_ASSISTANT, "<|im_end|>", 10 },
                { MULM_ROLE_USER, text, n / 2 },
        };
        _cleanup_(token_list_done) struct token_list list = TOKEN_LIST_NULL, head = TOKEN_LIST_NULL;
        const struct vocab *vocab = fuzz_model()->vocab;
        size_t n_special;
        int r;

        r = chat_template_head(chat_template, vocab, &head, NULL);
        if (r < 0) {
                FUZZ_CHECK(r == -EBADMSG && head.n == 0); /* a default system turn that is not UTF-8 */
                return;
        }
        n_special = count_special(vocab, &head);
        r = chat_template_render(chat_template, vocab, messages, ARRAY_SIZE(messages), text, n, &list, NULL);
        if (r < 0) {
                FUZZ_CHECK(r == -EBADMSG && list.n == 0);
                return;
        }
        /* The head opens the first turn; then come its end, two whole turns, and the start of the reply. */
        FUZZ_CHECK(count_special(vocab, &list) == n_special + 1 + 2 * 2 + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const char chatml[] = "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
                                     "'<|im_end|>' + '\\n'}}{{ '<|im_start|>assistant\\n' }}";
        _cleanup_(chat_template_freep) struct chat_template *chat_template = NULL, *known = NULL;
        _cleanup_(gguf_freep) struct gguf *gguf = NULL, *known_gguf = NULL;
        _cleanup_(buf_done) struct buf file = BUF_NULL, known_file = BUF_NULL;
        const struct vocab *vocab = fuzz_model()->vocab;
        int r;

        gguf = new_gguf(data, n, &file);
        r = chat_template_new(&chat_template, gguf, vocab, NULL);
        FUZZ_CHECK(r == 0 || r == -ENOTSUP || r == -EBADMSG);
        if (r == 0)
                check_rendering(chat_template, (const char *)data, n);

        known_gguf = new_gguf((const uint8_t *)chatml, sizeof(chatml) - 1, &known_file);
        FUZZ_CHECK(chat_template_new(&known, known_gguf, vocab, NULL) == 0);
        check_rendering(known, (const char *)data, n);
        return 0;
}
