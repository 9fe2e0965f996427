/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The parts of the command line tool `mulm`: what was asked for, and one function per verb.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/macro.h"
#include "libmulm/mulm.h"

#define TOOL_USAGE 2 /* exit status for a wrong command line; 1 for what went wrong later */

struct tool_options {
        const char *model_path; /* -m, or the argument of info */
        const char *prompt;     /* -p */
        const char *argument;   /* TEXT or TEXTFILE */
        uint32_t n_tokens;      /* -n */
        bool chat, opener, json, text;
        struct mulm_sampling sampling;
        struct mulm_opener_options opener_options;
        struct mulm_model_options model;
        struct mulm_session_options session;
};

/* Prints what went wrong, with what (may be NULL), to stderr; returns the exit status. */
int tool_fail(const char *what, const struct mulm_error *error);

int tool_open(mulm_model **ret_model, const struct tool_options *options);
int tool_open_session(mulm_model **ret_model, mulm_session **ret_session, const struct tool_options *options);

/* All tokens of a text, to be freed. */
int tool_tokenize(const mulm_model *model, const char *text, size_t n_text, uint32_t **ret_tokens, size_t *ret_n);

DEFINE_CLEANUP(mulm_model *, mulm_model_free)
DEFINE_CLEANUP(mulm_session *, mulm_session_free)

int tool_info(const struct tool_options *options);
int tool_tokenize_text(const struct tool_options *options);
int tool_generate(const struct tool_options *options);
int tool_logits(const struct tool_options *options);
int tool_perplexity(const struct tool_options *options);
int tool_bench(const struct tool_options *options);
