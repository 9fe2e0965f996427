/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Is the cloud saying again what was already said? Compares the head of the stream with the text before the seam:
 * exact, or with other case, blanks or punctuation, wrapped in quotes or markdown; the whole opener or only its tail.
 * Pure; decides as soon as the bytes suffice.
 */
#pragma once

#include <stddef.h>

enum echo_verdict {
        ECHO_VERDICT_OPEN,  /* more bytes are needed */
        ECHO_VERDICT_FRESH, /* new text from its first byte on */
        ECHO_VERDICT_ECHO,  /* the first *ret_skip bytes repeat what was said */
};

struct echo {
        char *said; /* owned: what the stream may repeat */
        size_t n_said;
};
