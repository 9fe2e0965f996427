/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Any bytes as the answer of a cloud, read by the dialect and in the pieces that its first byte names: what goes to
 * the person is the same for every cut.
 */
#include <string.h>

#include "daemon/core/dialect.h"
#include "tests/fuzz/fuzz.h"

struct reading {
        const struct dialect *dialect;
        struct dialect_stream stream;
        struct dialect_event event;
        struct buf text;
        size_t n_events;
};

static void take_events(struct reading *reading, struct sse *sse)
{
        struct sse_event event;

        while (sse_next(sse, &event) > 0) {
                if (reading->dialect->read(&reading->stream, &event, &reading->event) < 0)
                        continue;
                FUZZ_CHECK(reading->event.type != DIALECT_EVENT_ERROR || reading->event.text.n > 0);
                FUZZ_CHECK(buf_add(&reading->text, reading->event.text.data, reading->event.text.n) == 0);
                reading->n_events++;
        }
}

static void read_answer(struct reading *reading, const char *bytes, size_t n, size_t piece)
{
        struct sse sse;

        sse_init(&sse);
        for (size_t at = 0; at < n; at += piece) {
                if (sse_feed(&sse, bytes + at, MIN(piece, n - at)) < 0)
                        break;
                take_events(reading, &sse);
        }
        if (sse_end(&sse) == 0)
                take_events(reading, &sse);
        sse_done(&sse);
        buf_done(&reading->event.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const struct dialect *const dialects[] = { &dialect_chat, &dialect_responses, &dialect_anthropic };
        struct reading whole = { 0 }, pieces = { 0 };
        const char *bytes = (const char *)data + 1;
        struct buf message = BUF_NULL;

        if (n < 2)
                return 0;
        whole.dialect = pieces.dialect = dialects[data[0] % ARRAY_SIZE(dialects)];
        read_answer(&whole, bytes, n - 1, n - 1);
        read_answer(&pieces, bytes, n - 1, 1 + data[0] / ARRAY_SIZE(dialects));
        FUZZ_CHECK(whole.n_events == pieces.n_events && whole.text.n == pieces.text.n);
        FUZZ_CHECK(whole.text.n == 0 || memcmp(whole.text.data, pieces.text.data, whole.text.n) == 0);
        buf_done(&whole.text);
        buf_done(&pieces.text);

        FUZZ_CHECK(dialect_error_message(bytes, n - 1, &message) <= 0);
        (void)dialect_error_status(bytes, n - 1, 200);
        buf_done(&message);
        return 0;
}
