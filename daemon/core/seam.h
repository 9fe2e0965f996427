/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * How two texts become one sentence where they meet: a blank where and only where one is needed, no punctuation
 * twice, no capital in mid-sentence. Pure; decides as soon as the bytes suffice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct seam {
        size_t skip; /* leading bytes of the new text that are not wanted */
        bool blank;  /* a blank belongs in between */
        bool lower;  /* the first letter left, which is ASCII, becomes small */
};

/* Decides from what was said and the first bytes of the new text, both valid UTF-8; `ended`: no more will come. False
 * while more is needed; true stays true, and the decision the same, however the text goes on. */
bool seam_decide(const char *said, size_t n_said, const char *text, size_t n, bool ended, struct seam *ret_seam);
