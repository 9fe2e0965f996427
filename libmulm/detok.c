/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Streaming detokenizer. See detok.h.
 */
#include "libmulm/detok.h"

#include <errno.h>

#include "libmulm/base/checked.h"
#include "libmulm/base/utf8.h"

#define REPLACEMENT   "\xef\xbf\xbd"
#define N_REPLACEMENT 3

/* Memory for every byte added here was reserved by the caller. */
static void feed_byte(struct detok *detok, char byte, struct buf *text)
{
        uint32_t code_point;

        detok->pending[detok->n_pending++] = byte;
        if (utf8_decode(detok->pending, detok->n_pending, &code_point) > 0) {
                (void)buf_add(text, detok->pending, detok->n_pending);
                detok->n_pending = 0;
        } else if (utf8_complete(detok->pending, detok->n_pending) > 0) { /* it is not one that is only cut off */
                bool alone = detok->n_pending == 1;

                (void)buf_add(text, REPLACEMENT, N_REPLACEMENT);
                detok->n_pending = 0;
                if (!alone)
                        feed_byte(detok, byte, text); /* it may open the next sequence */
        }
}

int detok_feed(struct detok *detok, const char *bytes, size_t n_bytes, struct buf *text)
{
        size_t most;
        int r;

        if (!checked_add(detok->n_pending, n_bytes, &most) || !checked_mul(most, N_REPLACEMENT, &most))
                return -ENOMEM;
        r = buf_reserve(text, most);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_bytes; i++)
                feed_byte(detok, bytes[i], text);
        return 0;
}

int detok_finish(struct detok *detok, struct buf *text)
{
        int r;

        if (detok->n_pending == 0)
                return 0;
        r = buf_add(text, REPLACEMENT, N_REPLACEMENT);
        if (r < 0)
                return r;
        detok->n_pending = 0;
        return 0;
}
