/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Typed values of a configuration file, from text. Pure and independent of the locale. Each function returns true and
 * the value, or false for what is no such value; none accepts surrounding blanks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only. */
bool value_parse_integer(const char *text, uint64_t *ret_value);

/* Digits with at most one point among them: "0.2". */
bool value_parse_decimal(const char *text, double *ret_value);

/* A decimal with an optional unit: s (as without one), ms, min. */
bool value_parse_seconds(const char *text, double *ret_seconds);

/* http:// or https://, a host, perhaps a port and a path; without user, query and fragment. */
bool value_is_url(const char *text);

bool value_is_absolute_path(const char *text);

/* Letters, digits, dots, dashes and underscores, 1 to 64, not beginning with a dot: of an endpoint or a credential.
 */
bool value_is_name(const char *text);

bool value_is_json_object(const char *text);

/* Edits that make `b` of `a`, without regard to case; SIZE_MAX where either is longer than a name. */
size_t value_distance(const char *a, const char *b);
