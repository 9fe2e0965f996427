/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the sequence that `lead` opens, 1-4; 0 if it can open none. */
size_t utf8_length(unsigned char lead);

/* Reads one code point: its bytes (1-4), or 0 if the sequence is malformed or cut off. */
size_t utf8_decode(const char *text, size_t n, uint32_t *ret_code_point);

/* Writes 1-4 bytes and returns how many; 0 for what is no scalar value. */
size_t utf8_encode(uint32_t code_point, char ret_text[4]);

/* Valid as a whole; otherwise *ret_offset (may be NULL) is where the first bad sequence starts. */
bool utf8_is_valid(const char *text, size_t n, size_t *ret_offset);

/* The longest prefix that ends in no cut-off sequence: what a stream may show so far. A malformed sequence counts as
 * complete (its reader must deal with it), so that nothing waits for bytes that can never come. */
size_t utf8_complete(const char *text, size_t n);

/* Code points in valid text. */
size_t utf8_count(const char *text, size_t n);
