/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Any bytes as those of tokens, cut anywhere: what comes out is UTF-8 at every step, the same for every cut, and the
 * text itself where that was UTF-8. The first byte says where to cut.
 */
#include <string.h>

#include "libmulm/base/utf8.h"
#include "libmulm/detok.h"
#include "tests/fuzz/fuzz.h"

static void feed(const char *bytes, size_t n, size_t piece, struct buf *text)
{
        struct detok detok = DETOK_NULL;
        size_t offset;

        for (size_t at = 0; at < n; at += piece) {
                FUZZ_CHECK(detok_feed(&detok, bytes + at, MIN(piece, n - at), text) == 0);
                FUZZ_CHECK(utf8_is_valid(buf_string(text), text->n, &offset));
        }
        FUZZ_CHECK(detok_finish(&detok, text) == 0);
        FUZZ_CHECK(utf8_is_valid(buf_string(text), text->n, &offset));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        _cleanup_(buf_done) struct buf whole = BUF_NULL, pieces = BUF_NULL;
        size_t offset;

        if (n < 2)
                return 0;
        feed((const char *)data + 1, n - 1, n - 1, &whole);
        feed((const char *)data + 1, n - 1, 1 + data[0] % 8, &pieces);
        FUZZ_CHECK(whole.n == pieces.n && memcmp(buf_string(&whole), buf_string(&pieces), whole.n) == 0);
        if (utf8_is_valid((const char *)data + 1, n - 1, &offset))
                FUZZ_CHECK(whole.n == n - 1 && memcmp(whole.data, data + 1, n - 1) == 0);
        return 0;
}
