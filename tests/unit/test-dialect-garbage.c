/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Events of every dialect, damaged by chance and read by every dialect: what comes out is refused, or text that may
 * go on.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect.h"
#include "libmulm/base/utf8.h"
#include "tests/support/test.h"

#define N_ROUNDS 3000

static const struct sse_event samples[] = {
        { "", "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\" a\\ud83e\\udd98\"},\"finish_reason\":\"stop\"}]}",
          0 },
        { "",
          "{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"\xc3\xa9\"},\"x\"]}}],\"usage\":{}}",
          0 },
        { "error", "{\"error\":{\"message\":\"m\",\"code\":502,\"type\":null}}", 0 },
        { "", "{\"detail\":[{\"loc\":[\"body\",\"a\"],\"msg\":\"no\"}]}", 0 },
        { "response.output_item.added",
          "{\"type\":\"response.output_item.added\",\"output_index\":63,\"item\":{\"type\":\"message\",\"phase\":"
          "\"commentary\"}}",
          0 },
        { "", "{\"type\":\"response.output_text.delta\",\"output_index\":63,\"delta\":\" a\\u0000b\"}", 0 },
        { "",
          "{\"type\":\"response.completed\",\"response\":{\"status\":\"incomplete\",\"output\":[{\"type\":"
          "\"message\",\"content\":"
          "[{\"type\":\"output_text\",\"text\":\"x\"}]}],\"incomplete_details\":{\"reason\":\"max_output_tokens\"}}}",
          0 },
        { "", "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"m\"}}}",
          0 },
        { "message_start",
          "{\"type\":\"message_start\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"x\"}],\"usage\":{"
          "\"input_tokens\":9}}}",
          0 },
        { "", "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\" x\"}}", 0 },
        { "",
          "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":5}}",
          0 },
};

static uint32_t next_random(uint32_t *random)
{
        *random = *random * 1664525u + 1013904223u; /* Numerical Recipes, second edition, section 7.1 */
        return *random >> 8;
}

/* Changes, takes out or doubles a few bytes. */
static void damage(struct buf *data, uint32_t *random)
{
        static const char interesting[] = "{}[]\",:\\u0\xff\x80 ntf-9e";

        for (unsigned n = 1 + next_random(random) % 3; n > 0 && data->n > 1; n--) {
                size_t at = next_random(random) % (data->n - 1);
                size_t length = 1 + next_random(random) % MIN(data->n - at, (size_t)8);

                switch (next_random(random) % 3) {
                case 0: data->data[at] = interesting[next_random(random) % (sizeof(interesting) - 1)]; break;
                case 1:
                        memmove(data->data + at, data->data + at + length, data->n - at - length);
                        buf_truncate(data, data->n - length);
                        break;
                default:
                        assert_int_equal(buf_reserve(data, length), 0);
                        assert_int_equal(buf_add(data, data->data + at, length), 0);
                }
        }
}

static void check_event(int r, const struct dialect_event *event)
{
        assert_true(r == 0 || r == -EBADMSG);
        assert_true(utf8_is_valid(buf_string(&event->text), event->text.n, NULL));
        if (r < 0 || event->type == DIALECT_EVENT_NONE)
                assert_int_equal(event->text.n, 0);
        if (r == 0 && event->type == DIALECT_EVENT_ERROR) {
                assert_true(event->text.n > 0);
                assert_true(event->status >= 400 && event->status <= 599);
        } else {
                assert_int_equal(event->status, 0);
        }
}

static void check_dialect(const struct dialect *dialect)
{
        struct dialect_stream stream = DIALECT_STREAM_NULL;
        struct dialect_event event = { 0 };
        uint32_t random = 1;

        for (unsigned round = 0; round < N_ROUNDS; round++)
                for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
                        _cleanup_(buf_done) struct buf data = BUF_NULL;

                        assert_int_equal(buf_add_string(&data, samples[i].data), 0);
                        if (round > 0)
                                damage(&data, &random);
                        if (data.n == 0)
                                continue;
                        check_event(dialect->read(&stream, &(struct sse_event){ samples[i].name, data.data, data.n },
                                                  &event),
                                    &event);
                }
        buf_done(&event.text);
}

static void test_damaged_events_are_refused_or_read(void **state)
{
        (void)state;
        check_dialect(&dialect_chat);
        check_dialect(&dialect_responses);
        check_dialect(&dialect_anthropic);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_damaged_events_are_refused_or_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
