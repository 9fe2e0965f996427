/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * JSON from strangers, read by cJSON. What cJSON would refuse or cut short for one bad character is repaired first,
 * so that no piece of a reply is lost: half a surrogate pair and bytes that are no UTF-8 become U+FFFD, NULs go. Deep
 * nesting is refused (cJSON's CJSON_NESTING_LIMIT). Pure.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "libmulm/base/macro.h"

DEFINE_CLEANUP(cJSON *, cJSON_Delete)

/* All strings in the result are valid UTF-8. 0; -EBADMSG (not JSON, more than one value, or no memory for it, which
 * cJSON does not tell apart); -ENOMEM. */
int json_parse(const char *text, size_t n, cJSON **ret_root);

/* NULL where `object` is none (or NULL), or has no such member. */
const cJSON *json_member(const cJSON *object, const char *name);

/* The member if it is a string, else NULL. */
const char *json_string(const cJSON *object, const char *name);

/* The member if it is a number that an unsigned can hold, cut to a whole one, else 0. */
unsigned json_unsigned(const cJSON *object, const char *name);

/* Says anything at all: not absent, null, false, 0, "", [] or {}. */
bool json_is_something(const cJSON *item);
