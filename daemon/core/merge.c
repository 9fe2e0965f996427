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

/* The new stream goes on in the middle of a word, or has its own blank: nothing is to be mended. */
static bool joins_as_it_is(const struct merge *merge)
{
        uint32_t last = letter_before(buf_string(&merge->shown), merge->shown.n, NULL);
        uint32_t first = letter_at(merge->held.data, merge->held.n, 0, NULL);

        if (!merge->verbatim || letter_is_blank(last))
                return false;
        return letter_is_blank(first) ||
               (letter_is_word(last) && letter_is_word(first) && letter_lower(first) == first);
}

/* A resumed stream that repeats the last words repeats the marks behind them too, as far as they were shown. False
 * while more of them may come. */
static bool skip_repeated_marks(const struct merge *merge, bool ended, size_t *skip)
{
        const char *shown = buf_string(&merge->shown);
        size_t at = *skip, tail = merge->shown.n, length;
        uint32_t c, wanted;

        if (merge->shown.n == merge->n_opener)
                return true;
        while ((c = letter_before(shown, tail, &length)) != 0 && !letter_is_word(c))
                tail -= length;
        for (; (wanted = letter_at(shown, merge->shown.n, tail, &length)) != 0; tail += length) {
                if (letter_is_blank(wanted))
                        continue;
                while ((c = letter_at(merge->held.data, merge->held.n, at, &length)) != 0 && letter_is_blank(c))
                        at += length;
                if (c == 0)
                        return ended;
                if (c != wanted)
                        return true;
                at += length;
                *skip = at;
                (void)letter_at(shown, merge->shown.n, tail, &length);
        }
        return true;
}

/* What was cut off as an echo ended within a word. */
static bool is_in_word(const struct merge *merge, size_t skip)
{
        uint32_t next = letter_at(merge->held.data, merge->held.n, skip, NULL);

        return letter_is_word(next) && !letter_is_unspaced(next) &&
               letter_is_word(letter_before(merge->held.data, skip, NULL));
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
                if (verdict == ECHO_VERDICT_ECHO && !skip_repeated_marks(merge, ended, &skip))
                        return 0;
                if (verdict == ECHO_VERDICT_FRESH ? joins_as_it_is(merge) : is_in_word(merge, skip)) {
                        merge->at_seam = false;
                        return show(merge, skip, false, false, delta);
                }
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

        if (merge->source == source && !merge->resuming)
                return 0;
        if (merge->source == MERGE_SOURCE_OPENER)
                merge->n_opener = merge->shown.n;
        merge->echo.may_be_cut =
                merge->resuming && letter_is_word(letter_before(buf_string(&merge->shown), merge->shown.n, NULL));
        merge->resuming = false;
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

void merge_resume(struct merge *merge, bool verbatim)
{
        if (merge->source != MERGE_SOURCE_CLOUD)
                return;
        merge->resuming = true;
        merge->verbatim = verbatim;
        buf_clear(&merge->held);
        merge->clean = CLEAN_NULL;
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
