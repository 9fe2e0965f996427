/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Fills the caller's struct mulm_error. The text may quote a file's own strings: what is not printable ASCII in them
 * is shown as '?', so that a sentence can go to a terminal or a log as it is.
 */
#pragma once

#include "libmulm/base/macro.h"
#include "libmulm/mulm.h"

/* Returns `r`, so that a failure is one statement: return error_set(error, -EBADMSG, "..."). `error` may be NULL. */
int error_set(struct mulm_error *error, int r, const char *format, ...) _printf_(3, 4);

/* -ENOMEM. */
int error_no_memory(struct mulm_error *error);

/* Puts "prefix: " in front of the sentence. */
void error_prefix(struct mulm_error *error, const char *prefix);
