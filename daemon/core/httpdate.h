/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The dates of HTTP (RFC 9110, section 5.6.7), in the one form that is sent today and the two that must still be
 * understood. Pure and independent of the locale.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Seconds since 1970. The date of today is wanted for years of two digits. */
bool httpdate_parse(const char *text, int64_t now, int64_t *ret_seconds);
