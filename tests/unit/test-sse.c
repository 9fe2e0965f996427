/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/sse.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

/* ------------------------------------------------------------------------------------------------- reading */

/* Appends each event that is due as "[name|data]". */
static void drain(struct sse *sse, struct buf *seen)
{
        struct sse_event event;
        int r;

        while ((r = sse_next(sse, &event)) > 0) {
                assert_int_equal(event.data[event.n_data], '\0');
                assert_int_equal(buf_printf(seen, "[%s|", event.name), 0);
                assert_int_equal(buf_add(seen, event.data, event.n_data), 0);
                assert_int_equal(buf_add_string(seen, "]"), 0);
        }
        assert_int_equal(r, 0);
}

static void feed(struct sse *sse, const char *bytes, size_t n, struct buf *seen)
{
        assert_int_equal(sse_feed(sse, bytes, n), 0);
        drain(sse, seen);
}

/* Reads the stream in pieces that end at `cuts`. */
static void read_cut(const char *stream, size_t n, const size_t *cuts, size_t n_cuts, struct buf *seen)
{
        struct sse sse;
        size_t from = 0;

        sse_init(&sse);
        buf_clear(seen);
        for (size_t i = 0; i <= n_cuts; i++) {
                size_t to = i < n_cuts ? cuts[i] : n;

                feed(&sse, stream + from, to - from, seen);
                from = to;
        }
        assert_int_equal(sse_end(&sse), 0);
        drain(&sse, seen);
        sse_done(&sse);
}

static void read_bytewise(const char *stream, size_t n, struct buf *seen)
{
        struct sse sse;

        sse_init(&sse);
        buf_clear(seen);
        for (size_t i = 0; i < n; i++)
                feed(&sse, stream + i, 1, seen);
        assert_int_equal(sse_end(&sse), 0);
        drain(&sse, seen);
        sse_done(&sse);
}

/* The stream gives these events in one piece, byte by byte, and cut in two or three anywhere. */
static void check_bytes(const char *stream, size_t n, const char *wanted, size_t n_wanted)
{
        _cleanup_(buf_done) struct buf seen = BUF_NULL;

        read_bytewise(stream, n, &seen);
        assert_int_equal(seen.n, n_wanted);
        assert_memory_equal(buf_string(&seen), wanted, n_wanted);
        for (size_t i = 0; i <= n; i++)
                for (size_t j = i; j <= n; j++) {
                        const size_t cuts[] = { i, j };

                        read_cut(stream, n, cuts, 2, &seen);
                        assert_int_equal(seen.n, n_wanted);
                        assert_memory_equal(buf_string(&seen), wanted, n_wanted);
                }
}

static void check(const char *stream, const char *wanted)
{
        check_bytes(stream, strlen(stream), wanted, strlen(wanted));
}

/* ---------------------------------------------------------------------------------------------------- lines */

static void test_each_kind_of_line_end_ends_a_line(void **state)
{
        (void)state;
        check("data: a\n\ndata: b\n\n", "[|a][|b]");
        check("data: a\r\n\r\ndata: b\r\n\r\n", "[|a][|b]");
        check("data: a\r\rdata: b\r\r", "[|a][|b]");
        check("data: a\r\ndata: b\rdata: c\n\r\n", "[|a\nb\nc]");
        check("data: a\r\n\ndata: b\r\r\n\n", "[|a][|b]");
}

static void test_cr_delivers_without_waiting_for_lf(void **state)
{
        _cleanup_(buf_done) struct buf seen = BUF_NULL;
        struct sse sse;

        (void)state;
        sse_init(&sse);
        feed(&sse, "data: a\r\n\r", 10, &seen);
        assert_string_equal(buf_string(&seen), "[|a]");
        feed(&sse, "\ndata: b\r\r", 10, &seen);
        assert_string_equal(buf_string(&seen), "[|a][|b]");
        sse_done(&sse);
}

static void test_leading_bom_is_dropped_and_a_later_one_kept(void **state)
{
        (void)state;
        check("\xef\xbb\xbf"
              "data: a\n\ndata: \xef\xbb\xbf"
              "b\n\n",
              "[|a][|\xef\xbb\xbf"
              "b]");
        check("\xef\xbb\xbf\xef\xbb\xbf"
              "data: a\n\n",
              "");
        check("\xef\xbb", "");
        check("\xef\xbb\ndata: a\n\n", "[|a]");
        check("", "");
}

/* --------------------------------------------------------------------------------------------------- fields */

static void test_comments_are_no_events(void **state)
{
        (void)state;
        check(": OPENROUTER PROCESSING\n\n: keep-alive\n\n:\n\n: OPENROUTER PROCESSING\ndata: a\n\n:\n\n", "[|a]");
}

static void test_one_blank_after_the_colon_is_dropped(void **state)
{
        (void)state;
        check("data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n", "[|a][|a][| a][|\ta]");
}

static void test_data_lines_are_joined(void **state)
{
        (void)state;
        check("data: a\ndata\ndata:\ndata: b\n\n", "[|a\n\n\nb]");
}

static void test_event_without_data_is_dropped(void **state)
{
        (void)state;
        check("data:\n\nevent: ping\n\ndata\n\ndata: a\n\n", "[|a]");
}

static void test_name_belongs_to_one_event(void **state)
{
        (void)state;
        check("event: x\nevent: error\ndata: a\n\ndata: b\n\nevent:ping\ndata: c\n\n", "[error|a][|b][ping|c]");
}

static void test_unknown_fields_are_ignored(void **state)
{
        (void)state;
        check("id: 7\nretry: 10\nerror: x\ndatax: y\nDATA: z\n data: w\ndata: a\n\n", "[|a]");
}

static void test_junk_comes_as_data_for_the_dialect_to_refuse(void **state)
{
        (void)state;
        check("data: : KEEP\n\ndata: data: {}\n\n", "[|: KEEP][|data: {}]");
}

static void test_text_passes_byte_for_byte(void **state)
{
        static const char stream[] = "data: a\0b\n\n";

        (void)state;
        check("data: Canberra \xe2\x80\x94 \xe2\x80\x9c"
              "bush capital\xe2\x80\x9d \xf0\x9f\xa6\x98\n\n",
              "[|Canberra \xe2\x80\x94 \xe2\x80\x9c"
              "bush capital\xe2\x80\x9d \xf0\x9f\xa6\x98]");
        check_bytes(stream, sizeof(stream) - 1, "[|a\0b]", 6);
}

/* ------------------------------------------------------------------------------------------ end of the stream */

static void test_last_event_needs_no_blank_line(void **state)
{
        (void)state;
        check("data: a\n\ndata: [DONE]", "[|a][|[DONE]]");
        check("data: a\n\nevent: x\ndata: b\n", "[|a][x|b]");
        check("data: a\n\ndata: b\r", "[|a][|b]");
        check("data: a\n\nevent: x\nda", "[|a]");
        check("data: a\n\n: bye", "[|a]");
}

static void test_nothing_is_taken_after_the_end(void **state)
{
        struct sse sse;
        struct sse_event event;

        (void)state;
        sse_init(&sse);
        assert_int_equal(sse_end(&sse), 0);
        assert_int_equal(sse_feed(&sse, "data: a\n\n", 9), -EINVAL);
        assert_int_equal(sse_next(&sse, &event), 0);
        sse_done(&sse);
}

/* --------------------------------------------------------------------------------------------------- limits */

/* "data: " and as many letters as make a line of `n` bytes. */
static char *long_line(size_t n)
{
        char *line = malloc(n + 3);

        assert_non_null(line);
        memset(line, 'a', n);
        memcpy(line, "data: ", 6);
        memcpy(line + n, "\n\n", 3);
        return line;
}

static void test_long_line_in_small_pieces_is_read_in_linear_time(void **state)
{
        const size_t n = 1500000;
        _cleanup_free_ char *line = long_line(n);
        _cleanup_(buf_done) struct buf seen = BUF_NULL;

        (void)state;
        read_bytewise(line, n + 2, &seen);
        assert_int_equal(seen.n, n - 6 + 3);
}

static void test_many_events_in_one_piece_are_read_in_linear_time(void **state)
{
        _cleanup_(buf_done) struct buf stream = BUF_NULL, seen = BUF_NULL;

        (void)state;
        for (unsigned i = 0; i < 200000; i++)
                assert_int_equal(buf_add_string(&stream, "data: a\n\n"), 0);
        read_cut(stream.data, stream.n, NULL, 0, &seen);
        assert_int_equal(seen.n, 200000 * 4);
}

static void test_line_at_the_limit_is_read_and_one_above_refused(void **state)
{
        struct sse_event event;
        struct sse sse;

        (void)state;
        for (size_t over = 0; over < 2; over++) {
                size_t n = SSE_EVENT_MAX + over;
                _cleanup_free_ char *line = long_line(n);

                sse_init(&sse);
                assert_int_equal(sse_feed(&sse, line, n + 2), 0);
                assert_int_equal(sse_next(&sse, &event), over ? -EMSGSIZE : 1);
                sse_done(&sse);
        }
}

/* Feeds the piece for ever; -EMSGSIZE must come, and with bounded memory. */
static void check_refused(const char *piece, size_t n)
{
        struct sse_event event;
        struct sse sse;
        int r = 0;

        sse_init(&sse);
        for (size_t fed = 0; r == 0; fed += n) {
                assert_true(fed < 8 * (size_t)SSE_EVENT_MAX);
                assert_int_equal(sse_feed(&sse, piece, n), 0);
                assert_true(sse.input.capacity + sse.data.capacity <= 4 * (size_t)SSE_EVENT_MAX);
                r = sse_next(&sse, &event);
        }
        assert_int_equal(r, -EMSGSIZE);
        assert_int_equal(sse_next(&sse, &event), -EMSGSIZE);
        assert_int_equal(sse_feed(&sse, "a", 1), -EMSGSIZE);
        assert_int_equal(sse_end(&sse), -EMSGSIZE);
        assert_int_equal(sse.input.capacity, 0);
        sse_done(&sse);
}

static void test_endless_line_and_endless_event_are_refused(void **state)
{
        _cleanup_free_ char *line = long_line(4096);

        (void)state;
        check_refused(line, 4096);
        check_refused(line, 4097);
        line[0] = ':';
        check_refused(line, 4096);
}

static void test_empty_data_lines_count_too(void **state)
{
        static const char line[] = "data\ndata\ndata\ndata\ndata\ndata\ndata\ndata\n";

        (void)state;
        check_refused(line, sizeof(line) - 1);
}

static void test_endless_comments_need_no_memory(void **state)
{
        _cleanup_(buf_done) struct buf seen = BUF_NULL;
        struct sse sse;

        (void)state;
        sse_init(&sse);
        for (size_t i = 0; i < 1000000; i++)
                feed(&sse, ": ping\n\n", 8, &seen);
        assert_int_equal(seen.n, 0);
        assert_true(sse.input.capacity <= 64);
        sse_done(&sse);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_kind_of_line_end_ends_a_line),
                cmocka_unit_test(test_cr_delivers_without_waiting_for_lf),
                cmocka_unit_test(test_leading_bom_is_dropped_and_a_later_one_kept),
                cmocka_unit_test(test_comments_are_no_events),
                cmocka_unit_test(test_one_blank_after_the_colon_is_dropped),
                cmocka_unit_test(test_data_lines_are_joined),
                cmocka_unit_test(test_event_without_data_is_dropped),
                cmocka_unit_test(test_name_belongs_to_one_event),
                cmocka_unit_test(test_unknown_fields_are_ignored),
                cmocka_unit_test(test_junk_comes_as_data_for_the_dialect_to_refuse),
                cmocka_unit_test(test_text_passes_byte_for_byte),
                cmocka_unit_test(test_last_event_needs_no_blank_line),
                cmocka_unit_test(test_nothing_is_taken_after_the_end),
                cmocka_unit_test(test_long_line_in_small_pieces_is_read_in_linear_time),
                cmocka_unit_test(test_many_events_in_one_piece_are_read_in_linear_time),
                cmocka_unit_test(test_line_at_the_limit_is_read_and_one_above_refused),
                cmocka_unit_test(test_endless_line_and_endless_event_are_refused),
                cmocka_unit_test(test_empty_data_lines_count_too),
                cmocka_unit_test(test_endless_comments_need_no_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
