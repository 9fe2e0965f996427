/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Does the cloud's text begin as a refusal does ("I'm sorry, but I can't")? Behind a spoken beginning that is no
 * continuation, and merge puts a turn in front of it. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum refusal {
        REFUSAL_NONE,
        REFUSAL_PART, /* with more text it may become one */
        REFUSAL_WHOLE,
};

/* `beginnings`: a line each, as prompts.h has them. The first letter counts as it is written, which keeps ordinary
 * words in mid-sentence from being held; else case, blanks at the head and the form of apostrophes do not. */
enum refusal refusal_match(const char *beginnings, const char *text, size_t n);
