/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Whole answers at every split point. See stream-check.h.
 */
#include "tests/support/stream-check.h"

#include <string.h>

#include "tests/support/test.h"

struct seen {
        const struct dialect *dialect;
        const struct stream_wanted *wanted;
        struct dialect_stream stream;
        struct dialect_event event;
        struct buf text;
        unsigned n_ends, n_others, n_errors, n_skipped, n_input_tokens, n_output_tokens;
};

static void take_event(struct seen *seen)
{
        const struct dialect_event *event = &seen->event;

        if (event->n_input_tokens > 0)
                seen->n_input_tokens = event->n_input_tokens;
        if (event->n_output_tokens > 0)
                seen->n_output_tokens = event->n_output_tokens;
        switch (event->type) {
        case DIALECT_EVENT_NONE: assert_int_equal(event->text.n, 0); return;
        case DIALECT_EVENT_ERROR:
                seen->n_errors++;
                assert_int_equal(event->status, seen->wanted->status);
                assert_true(event->text.n > 0);
                if (seen->wanted->error)
                        assert_string_equal(event->text.data, seen->wanted->error);
                return;
        case DIALECT_EVENT_TEXT: break;
        case DIALECT_EVENT_END: seen->n_ends++; break;
        case DIALECT_EVENT_CUT:
        case DIALECT_EVENT_STARVED:
        case DIALECT_EVENT_REFUSED:
                seen->n_others++;
                assert_int_equal(event->type, seen->wanted->other);
                break;
        }
        assert_int_equal(event->status, 0);
        assert_int_equal(buf_add(&seen->text, event->text.data, event->text.n), 0);
}

static void take_events(struct sse *sse, struct seen *seen)
{
        struct sse_event event;
        int r;

        while ((r = sse_next(sse, &event)) > 0) {
                if (seen->dialect->read(&seen->stream, &event, &seen->event) < 0)
                        seen->n_skipped++;
                else
                        take_event(seen);
        }
        assert_int_equal(r, 0);
}

/* In pieces of `size` bytes, the first one `first` bytes long. */
static void read_stream(struct seen *seen, const char *stream, size_t first, size_t size)
{
        size_t n = strlen(stream), piece;
        struct sse sse;

        sse_init(&sse);
        for (size_t i = 0; i < n; i += piece) {
                piece = MIN(i == 0 && first > 0 ? first : size, n - i);
                assert_int_equal(sse_feed(&sse, stream + i, piece), 0);
                take_events(&sse, seen);
        }
        assert_int_equal(sse_end(&sse), 0);
        take_events(&sse, seen);
        sse_done(&sse);
}

void stream_check(const struct dialect *dialect, const char *stream, const struct stream_wanted *wanted)
{
        size_t n = strlen(stream);

        for (size_t i = 0; i <= n; i++) {
                struct seen seen = { .dialect = dialect, .wanted = wanted };

                /* Split once at i; and at i = 0 byte by byte. */
                read_stream(&seen, stream, i, i == 0 ? 1 : n);
                assert_string_equal(buf_string(&seen.text), wanted->text);
                assert_int_equal(seen.n_ends, wanted->n_ends);
                assert_int_equal(seen.n_others, wanted->n_others);
                assert_int_equal(seen.n_errors, wanted->status > 0);
                assert_int_equal(seen.n_skipped, wanted->n_skipped);
                if (wanted->n_input_tokens > 0)
                        assert_int_equal(seen.n_input_tokens, wanted->n_input_tokens);
                if (wanted->n_output_tokens > 0)
                        assert_int_equal(seen.n_output_tokens, wanted->n_output_tokens);
                buf_done(&seen.text);
                buf_done(&seen.event.text);
        }
}
