/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Bytes become text in `clean`, lose a mark in `verdict`, wait in `held` until `echo` and `seam` have decided how
 * they join what was said, and are then shown. See merge.h.
 */
#include "daemon/core/merge.h"

#include <errno.h>
#include <stdint.h>

#include "daemon/core/letter.h"
#include "daemon/core/refusal.h"
#include "daemon/core/seam.h"
#include "libmulm/base/utf8.h"

#define DASH " \xe2\x80\x93 " /* an en dash between blanks: a turn in any language that is written with blanks */

void merge_init(struct merge *merge)
{
        *merge = (struct merge){ .at_seam = true };
}

void merge_done(struct merge *merge)
{
        buf_done(&merge->shown);
        buf_done(&merge->held);
        buf_done(&merge->head);
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

        if (!merge->verbatim || merge->verdict.kind != VERDICT_CONTINUE || letter_is_blank(last))
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

/* ------------------------------------------------------------------------------------------- replacing */

/* What was shown behind the first `n` bytes is taken back. */
static void take_back(struct merge *merge, size_t n, struct buf *delta)
{
        merge->n_kept = utf8_count(buf_string(&merge->shown), n);
        merge->is_replaced = true;
        merge->n_opener = MIN(merge->n_opener, n);
        merge->n_seam = MIN(merge->n_seam, n);
        buf_truncate(&merge->shown, n);
        buf_clear(delta);
}

/* Bytes that both begin with, in whole code points. */
static size_t common_bytes(const struct buf *shown, const char *text, size_t n)
{
        size_t i = 0;

        while (i < n && i < shown->n && text[i] == shown->data[i])
                i++;
        while (i > 0 && ((i < n && (text[i] & 0xc0) == 0x80) || (i < shown->n && (shown->data[i] & 0xc0) == 0x80)))
                i--;
        return i;
}

/* `held` is the whole reply from its beginning: what was shown of it stays, the rest takes the place of what differs.
 */
static int decide_replacement(struct merge *merge, bool ended, struct buf *delta)
{
        size_t skip = 0, n, common;

        while (skip < merge->held.n && letter_is_blank((unsigned char)merge->held.data[skip]))
                skip++;
        n = merge->held.n - skip;
        common = common_bytes(&merge->shown, merge->held.data + skip, n);
        if (n == 0 || (common == n && n < merge->shown.n && !ended))
                return 0;
        merge->at_seam = false;
        if (common < merge->shown.n)
                take_back(merge, common, delta);
        return show(merge, skip + common, false, false, delta);
}

/* A reply from its beginning that may not take its place. */
static int show_behind_dash(struct merge *merge, size_t skip, struct buf *delta)
{
        int r;

        if (!letter_ends_sentence(letter_before(buf_string(&merge->shown), merge->shown.n, NULL))) {
                r = buf_add_string(&merge->shown, DASH);
                if (r >= 0)
                        r = buf_add_string(delta, DASH);
                return r < 0 ? r : show(merge, skip, false, false, delta);
        }
        return show(merge, skip, true, false, delta);
}

/* What comes behind reasoning that was shown is the reply; a mark would be none. */
static bool begins_behind_reasoning(const struct merge *merge, size_t skip)
{
        return merge->turns && !letter_is_mark(letter_at(merge->held.data, merge->held.n, skip, NULL));
}

/* All that the stream has said was reasoning. */
static void forget_reasoning(struct merge *merge, struct buf *delta)
{
        buf_clear(&merge->held);
        if (!merge->at_seam && merge->redraw)
                take_back(merge, merge->n_seam, delta);
        else if (!merge->at_seam)
                merge->turns = true;
        merge->at_seam = true;
        merge->verdict = VERDICT_NULL;
}

/* -------------------------------------------------------------------------------------------- deciding */

/* Is the head of `held` an echo, and how much of it? 1 where that is known, 0 where more is needed, -ENOMEM. */
static int judge_echo(struct merge *merge, bool ended, enum echo_verdict *ret_verdict, size_t *ret_skip)
{
        int r;

        *ret_verdict = ECHO_VERDICT_FRESH;
        *ret_skip = 0;
        if (merge->source != MERGE_SOURCE_CLOUD || merge->verdict.kind == VERDICT_PIVOT)
                return 1;
        r = echo_judge(&merge->echo, merge->held.data, merge->held.n, ended, ret_verdict, ret_skip);
        if (r < 0)
                return r;
        if (*ret_verdict == ECHO_VERDICT_FRESH)
                *ret_skip = 0;
        if (*ret_verdict == ECHO_VERDICT_ECHO)
                return skip_repeated_marks(merge, ended, ret_skip);
        return *ret_verdict != ECHO_VERDICT_OPEN;
}

/* Is the head of `held`, which repeats nothing, a refusal behind something that was said? */
static enum refusal judge_refusal(const struct merge *merge)
{
        if (!merge->refusals || merge->shown.n == 0 || merge->source != MERGE_SOURCE_CLOUD ||
            merge->verdict.kind != VERDICT_CONTINUE)
                return REFUSAL_NONE;
        return refusal_match(merge->refusals, merge->held.data, merge->held.n);
}

/* How much of an end of the text is to be assumed. */
enum end {
        END_NONE, /* more may come */
        END_SEAM, /* more may come, but not in time for the seam */
        END_TEXT,
};

/* Shows what is held as soon as it is known how. */
static int decide(struct merge *merge, enum end end, struct buf *delta)
{
        bool replaces = merge->verdict.kind == VERDICT_REPLACE && merge->shown.n > 0;
        enum refusal refusal;
        enum echo_verdict echo;
        struct seam seam;
        size_t skip;
        int r;

        if (merge->held.n == 0)
                return 0;
        if (!merge->at_seam)
                return show(merge, 0, false, false, delta);
        if (replaces && merge->redraw)
                return decide_replacement(merge, end == END_TEXT, delta);

        r = judge_echo(merge, end == END_TEXT, &echo, &skip);
        if (r <= 0)
                return r;
        refusal = echo == ECHO_VERDICT_FRESH ? judge_refusal(merge) : REFUSAL_NONE;
        if (refusal == REFUSAL_PART && end == END_NONE)
                return 0;
        if (refusal != REFUSAL_WHOLE &&
            (echo == ECHO_VERDICT_FRESH ? joins_as_it_is(merge) : is_in_word(merge, skip))) {
                merge->at_seam = false;
                return show(merge, skip, false, false, delta);
        }
        if (!seam_decide(buf_string(&merge->shown), merge->shown.n, merge->held.data + skip, merge->held.n - skip,
                         end != END_NONE, &seam))
                return 0;
        /* Blanks and marks that are left out do not make the seam: what follows them does. */
        if (end == END_SEAM && skip + seam.skip == merge->held.n)
                return 0;

        merge->at_seam = false;
        if (echo == ECHO_VERDICT_FRESH && begins_behind_reasoning(merge, seam.skip))
                replaces = true;
        if ((replaces && echo == ECHO_VERDICT_FRESH) || refusal == REFUSAL_WHOLE)
                return show_behind_dash(merge, seam.skip, delta);
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
        merge->verdict = VERDICT_NULL;
        merge->source = source;
        merge->at_seam = true;
        merge->turns = false;
        merge->n_seam = merge->shown.n;
        return 0;
}

/* The cloud's head goes through the verdict. */
static bool is_judging(const struct merge *merge)
{
        return merge->source == MERGE_SOURCE_CLOUD && !merge->verdict.is_decided;
}

static int feed_byte(struct merge *merge, char byte, struct buf *delta)
{
        bool judging = is_judging(merge);
        int r = clean_byte(&merge->clean, byte, judging ? &merge->head : &merge->held), judged;

        if (judging && r >= 0) {
                judged = verdict_feed(&merge->verdict, buf_string(&merge->head), merge->head.n, &merge->held);
                buf_clear(&merge->head);
                r = judged < 0 ? judged : r;
        }
        if (r > 0) {
                r = decide(merge, END_NONE, delta);
                forget_reasoning(merge, delta);
        }
        return r;
}

static int feed(struct merge *merge, enum merge_source source, const char *text, size_t n, struct buf *delta)
{
        int r = begin(merge, source);

        for (size_t i = 0; i < n && r >= 0; i++)
                r = feed_byte(merge, text[i], delta);
        if (r >= 0)
                r = decide(merge, END_NONE, delta);
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
        merge->verdict = VERDICT_NULL;
}

int merge_local(struct merge *merge, const char *text, size_t n, struct buf *delta)
{
        return feed(merge, MERGE_SOURCE_LOCAL, text, n, delta);
}

int merge_hurry(struct merge *merge, struct buf *delta)
{
        return decide(merge, END_SEAM, delta);
}

bool merge_is_holding(const struct merge *merge)
{
        return merge->held.n > 0 || merge->clean.n_tag > 0 || merge->clean.n_sequence > 0 ||
               (is_judging(merge) && merge->verdict.n_head > 0);
}

int merge_end(struct merge *merge, struct buf *delta)
{
        int r;

        if (is_judging(merge)) {
                r = clean_end(&merge->clean, &merge->head);
                if (r >= 0)
                        r = verdict_feed(&merge->verdict, buf_string(&merge->head), merge->head.n, &merge->held);
                buf_clear(&merge->head);
                if (r >= 0)
                        r = verdict_end(&merge->verdict, &merge->held);
        } else {
                r = clean_end(&merge->clean, &merge->held);
        }
        return r < 0 ? r : decide(merge, END_TEXT, delta);
}

int merge_aside(struct merge *merge, const char *text, size_t n, struct buf *delta)
{
        int r = merge_end(merge, delta);

        if (r < 0)
                return r;
        merge->at_seam = true;
        merge->verdict = (struct verdict){ .is_decided = true, .kind = VERDICT_PIVOT };
        return feed(merge, MERGE_SOURCE_CLOUD, text, n, delta);
}
