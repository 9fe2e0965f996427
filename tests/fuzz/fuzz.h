/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A fuzz target: one of the fuzz-NAME.c files. libFuzzer or driver.c calls it with any bytes; it aborts, or a
 * sanitizer does, where the code under test does something that it must not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Unlike assert(), also in release builds. */
#define FUZZ_CHECK(condition)                                                                                        \
        do {                                                                                                         \
                if (!(condition)) {                                                                                  \
                        (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
                        abort();                                                                                     \
                }                                                                                                    \
        } while (false)
