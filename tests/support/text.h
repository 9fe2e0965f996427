/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Strings in tests: made with printf's forms, and asserted about with the whole text in the message.
 */
#pragma once

#include <stddef.h>

#include "libmulm/base/macro.h"

/* The caller frees it. */
char *text_format(const char *form, ...) _printf_(1, 2);

void assert_contains(const char *text, const char *part);
void assert_lacks(const char *text, const char *part);

/* How often `part` occurs. */
size_t text_count(const char *text, const char *part);
