/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Chat template: messages to tokens. The one place where special tokens enter. ChatML is recognised from the Jinja
 * text in the file (its literals, including a default system turn), not interpreted; anything else is -ENOTSUP, and
 * so is a vocabulary without ChatML's special tokens. Immutable, hence shared by threads.
 *
 * A turn is <|im_start|> ROLE newline TEXT <|im_end|> newline. What stands between special tokens is encoded in one
 * piece, because a text that begins with blanks shares tokens with the newline in front of it.
 */
#pragma once

#include <stddef.h>

#include "libmulm/base/macro.h"
#include "libmulm/bpe.h"
#include "libmulm/gguf.h"
#include "libmulm/mulm.h"
#include "libmulm/vocab.h"

struct chat_template;

int chat_template_new(struct chat_template **ret_template, const struct gguf *gguf, const struct vocab *vocab,
                      struct mulm_error *error);
struct chat_template *chat_template_free(struct chat_template *chat_template);
DEFINE_CLEANUP(struct chat_template *, chat_template_free)

/* Appends the tokens of all messages and an opened assistant turn that begins with `prefix`. -EBADMSG: a text is not
 * UTF-8 (its offset counts from the role's name); -EINVAL: no such role. On failure the list is as it was. */
int chat_template_render(const struct chat_template *chat_template, const struct vocab *vocab,
                         const struct mulm_message *messages, size_t n_messages, const char *prefix, size_t n_prefix,
                         struct token_list *list, struct mulm_error *error);

/* The same in two parts: what is in front of the user's last turn, and that turn with an opened assistant turn behind
 * it. */
int chat_template_before(const struct chat_template *chat_template, const struct vocab *vocab,
                         const struct mulm_message *messages, size_t n_messages, struct token_list *list,
                         struct mulm_error *error);
int chat_template_turn(const struct chat_template *chat_template, const struct vocab *vocab, const char *text,
                       size_t n_text, struct token_list *list, struct mulm_error *error);

/* Appends the tokens with which every conversation without a system message of its own begins, up to the first user
 * text. */
int chat_template_head(const struct chat_template *chat_template, const struct vocab *vocab, struct token_list *list,
                       struct mulm_error *error);
