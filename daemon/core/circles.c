/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Is a text going in circles? See circles.h. Words are compared by 64-bit hashes: that two different runs of four
 * collide is not to be expected in the life of the universe, and would end a reply early, nothing worse.
 */
#include "daemon/core/circles.h"

#include <stdint.h>
#include <string.h>

#define RUN (CIRCLES_WORDS * sizeof(uint64_t))

/* FNV-1a, as http://www.isthe.com/chongo/tech/comp/fnv/ gives it. */
static uint64_t hash_word(const char *word, size_t n)
{
        uint64_t hash = 0xcbf29ce484222325;

        for (size_t i = n > 0 && word[0] == ' ' ? 1 : 0; i < n; i++)
                hash = (hash ^ (unsigned char)word[i]) * 0x100000001b3;
        return hash;
}

void circles_init(struct circles *circles)
{
        circles->hashes = BUF_NULL;
}

void circles_done(struct circles *circles)
{
        buf_done(&circles->hashes);
}

int circles_feed(struct circles *circles, const char *word, size_t n)
{
        const uint64_t hash = hash_word(word, n);
        int r = buf_add(&circles->hashes, &hash, sizeof(hash));

        if (r < 0)
                return r;
        for (size_t at = 0; at + 2 * RUN <= circles->hashes.n; at += sizeof(hash)) {
                if (memcmp(circles->hashes.data + at, circles->hashes.data + circles->hashes.n - RUN, RUN) == 0)
                        return 1;
        }
        return 0;
}
