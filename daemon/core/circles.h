/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Is a text going in circles? A small model that finishes a reply alone may: as soon as CIRCLES_WORDS words in a row
 * were all said before, in this order, it should stop. Pure; fed word by word.
 */
#pragma once

#include <stddef.h>

#include "libmulm/base/buf.h"

#define CIRCLES_WORDS 4

struct circles {
        struct buf hashes; /* uint64_t each: the words so far */
};

void circles_init(struct circles *circles);
void circles_done(struct circles *circles);

/* One word, its leading blank does not count. 1 where the last CIRCLES_WORDS were said before, without overlap; 0;
 * -ENOMEM. */
int circles_feed(struct circles *circles, const char *word, size_t n);
