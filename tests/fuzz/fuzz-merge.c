/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Any bytes as an opener and its continuation, NUL between them, the latter in the pieces that the first byte names:
 * what is shown is UTF-8, only grows, and is the same for every cut.
 */
#include <string.h>

#include "daemon/core/merge.h"
#include "libmulm/base/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_shown(const struct merge *merge, const struct buf *delta)
{
        size_t offset;

        FUZZ_CHECK(merge->shown.n == delta->n);
        FUZZ_CHECK(delta->n == 0 || memcmp(merge->shown.data, delta->data, delta->n) == 0);
        FUZZ_CHECK(utf8_is_valid(buf_string(delta), delta->n, &offset));
}

static void merge_in_pieces(const char *opener, size_t n_opener, const char *cloud, size_t n_cloud, size_t piece,
                            struct buf *ret_shown)
{
        struct merge merge;

        merge_init(&merge);
        FUZZ_CHECK(merge_opener(&merge, opener, n_opener, ret_shown) == 0);
        for (size_t at = 0; at < n_cloud; at += piece) {
                FUZZ_CHECK(merge_cloud(&merge, cloud + at, MIN(piece, n_cloud - at), ret_shown) == 0);
                check_shown(&merge, ret_shown);
        }
        FUZZ_CHECK(merge_end(&merge, ret_shown) == 0);
        check_shown(&merge, ret_shown);
        merge_done(&merge);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        _cleanup_(buf_done) struct buf whole = BUF_NULL, pieces = BUF_NULL;
        const char *text = (const char *)data + 1, *seam;
        size_t n_opener, n_cloud;

        if (n < 3)
                return 0;
        seam = memchr(text, '\0', n - 1);
        n_opener = seam ? (size_t)(seam - text) : 0;
        n_cloud = seam ? n - 2 - n_opener : n - 1;
        seam = seam ? seam + 1 : text;
        merge_in_pieces(text, n_opener, seam, n_cloud, n, &whole);
        merge_in_pieces(text, n_opener, seam, n_cloud, 1 + data[0] % 16, &pieces);
        FUZZ_CHECK(whole.n == pieces.n);
        FUZZ_CHECK(whole.n == 0 || memcmp(whole.data, pieces.data, whole.n) == 0);
        return 0;
}
