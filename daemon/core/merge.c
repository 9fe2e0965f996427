/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Bytes become text in `clean`, wait in `held` until `echo` and `seam` have decided how they join what was said, and
 * are then shown. See merge.h.
 */
#include "daemon/core/merge.h"

#include <errno.h>
#include <stdint.h>

#include "daemon/core/letter.h"
#include "daemon/core/seam.h"

void merge_init(struct merge *merge)
{
        *merge = (struct merge){ .at_seam = true };
}

void merge_done(struct merge *merge)
{
        buf_done(&merge->shown);
        buf_done(&merge->held);
        echo_done(&merge->echo);
}

/* Shows `held` from `skip` on. */
static int show(struct merge *merge, size_t skip, bool blank, bool lower, struct buf *delta)
{
        size_t n = merge->held.n - skip;
        int r;

        if (lower && n > 0)
                merge->held.data[skip] = (char)letter_lower((unsigned char)merge->held.data[skip]);
        r = buf_reserve(&merge->shown, n + 1);
        if (r >= 0)
                r = buf_reserve(delta, n + 1);
        if (r < 0)
                return r;
        if (n > 0 && blank) {
                (void)buf_add(&merge->shown, " ", 1);
                (void)buf_add(delta, " ", 1);
        }
        if (n > 0) {
                (void)buf_add(&merge->shown, merge->held.data + skip, n);
                (void)buf_add(delta, merge->held.data + skip, n);
        }
        buf_clear(&merge->held);
        return 0;
}

/* Shows what is held as soon as it is known how. */
static int decide(struct merge *merge, bool ended, struct buf *delta)
{
        enum echo_verdict verdict = ECHO_VERDICT_FRESH;
        struct seam seam;
        size_t skip = 0;
        int r;

        if (merge->held.n == 0)
                return 0;
        if (!merge->at_seam)
                return show(merge, 0, false, false, delta);

        if (merge->source == MERGE_SOURCE_CLOUD) {
                r = echo_judge(&merge->echo, merge->held.data, merge->held.n, ended, &verdict, &skip);
                if (r < 0)
                        return r;
                if (verdict == ECHO_VERDICT_OPEN)
                        return 0;
                if (verdict == ECHO_VERDICT_FRESH)
                        skip = 0;
        }
        if (!seam_decide(buf_string(&merge->shown), merge->shown.n, merge->held.data + skip, merge->held.n - skip,
                         ended, &seam))
                return 0;

        merge->at_seam = false;
        return show(merge, skip + seam.skip, seam.blank, seam.lower, delta);
}

/* Text of another source than before: a new seam. */
static int begin(struct merge *merge, enum merge_source source)
{
        int r;

        if (merge->source == source)
                return 0;
        if (merge->source == MERGE_SOURCE_OPENER)
                merge->n_opener = merge->shown.n;
        if (source == MERGE_SOURCE_CLOUD) {
                r = echo_set_said(&merge->echo, buf_string(&merge->shown), merge->shown.n);
                if (r < 0)
                        return r;
        }
        buf_clear(&merge->held);
        merge->clean = CLEAN_NULL;
        merge->source = source;
        merge->at_seam = true;
        return 0;
}

static int feed(struct merge *merge, enum merge_source source, const char *text, size_t n, struct buf *delta)
{
        int r = begin(merge, source);

        for (size_t i = 0; i < n && r >= 0; i++) {
                r = clean_byte(&merge->clean, text[i], &merge->held);
                if (r > 0) {
                        r = decide(merge, false, delta);
                        buf_clear(&merge->held);
                }
        }
        if (r >= 0)
                r = decide(merge, false, delta);
        if (r < 0)
                buf_clear(&merge->held);
        return r;
}

int merge_opener(struct merge *merge, const char *text, size_t n, struct buf *delta)
{
        return feed(merge, MERGE_SOURCE_OPENER, text, n, delta);
}

int merge_cloud(struct merge *merge, const char *text, size_t n, struct buf *delta)
{
        return feed(merge, MERGE_SOURCE_CLOUD, text, n, delta);
}

int merge_local(struct merge *merge, const char *text, size_t n, struct buf *delta)
{
        return feed(merge, MERGE_SOURCE_LOCAL, text, n, delta);
}

int merge_end(struct merge *merge, struct buf *delta)
{
        int r = clean_end(&merge->clean, &merge->held);

        return r < 0 ? r : decide(merge, true, delta);
}
