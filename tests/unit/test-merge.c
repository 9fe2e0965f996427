/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The merge against the cases in tests/data/merge (anyone can add one, see the README there), each cut in every way
 * into two pieces and into single bytes; and against a slow and obvious merge of whole texts, on random streams.
 */
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/merge.h"
#include "libmulm/base/utf8.h"
#include "tests/support/test.h"

#define CASES_MIN 60

struct merge_case {
        char name[512];
        struct buf said, stream, shown;
};

static void add(struct buf *buf, const char *text, size_t n)
{
        assert_int_equal(buf_add(buf, text, n), 0);
}

/* Merges, with the stream cut at the offsets; checks that deltas add up to what is shown and that each is valid. */
static void run(const struct buf *said, const struct buf *stream, const size_t *cuts, size_t n_cuts, struct buf *ret)
{
        _cleanup_(buf_done) struct buf delta = BUF_NULL, all = BUF_NULL;
        struct merge merge;
        size_t from = 0;

        merge_init(&merge);
        assert_int_equal(merge_opener(&merge, buf_string(said), said->n, &all), 0);
        for (size_t i = 0; i <= n_cuts; i++) {
                size_t to = i < n_cuts ? cuts[i] : stream->n;

                buf_clear(&delta);
                assert_int_equal(merge_cloud(&merge, buf_string(stream) + from, to - from, &delta), 0);
                assert_true(utf8_is_valid(buf_string(&delta), delta.n, NULL));
                add(&all, buf_string(&delta), delta.n);
                assert_int_equal(all.n, merge.shown.n);
                from = to;
        }
        assert_int_equal(merge_end(&merge, &all), 0);
        assert_int_equal(all.n, merge.shown.n);
        assert_string_equal(buf_string(&all), buf_string(&merge.shown));
        if (stream->n > 0)
                assert_int_equal(merge.n_opener, said->n);
        add(ret, buf_string(&all), all.n);
        merge_done(&merge);
}

static void check(const struct merge_case *test, const size_t *cuts, size_t n_cuts, const char *how)
{
        _cleanup_(buf_done) struct buf shown = BUF_NULL;

        run(&test->said, &test->stream, cuts, n_cuts, &shown);
        if (shown.n != test->shown.n || memcmp(buf_string(&shown), buf_string(&test->shown), shown.n) != 0)
                fail_msg("%s, %s: shown |%s|, wanted |%s|", test->name, how, buf_string(&shown),
                         buf_string(&test->shown));
}

static void check_every_split(const struct merge_case *test)
{
        size_t bytes[4096], n = test->stream.n;
        char how[64];

        assert_true(n < ARRAY_SIZE(bytes));
        check(test, NULL, 0, "whole");
        for (size_t i = 0; i < n; i++) {
                (void)snprintf(how, sizeof(how), "cut at byte %zu", i);
                check(test, &i, 1, how);
                bytes[i] = i;
        }
        check(test, bytes, n, "byte by byte");
}

/* Reads `key |text|` with \n, \t, \\ and \xNN. */
static void read_field(const char *line, const char *where, struct buf *ret)
{
        const char *from = strchr(line, '|'), *to = strrchr(line, '|');

        if (!from || from == to)
                fail_msg("%s: no text between two bars in: %s", where, line);
        buf_clear(ret);
        for (const char *p = from + 1; p < to; p++) {
                char c = *p;

                if (c == '\\') {
                        p++;
                        c = *p == 'n' ? '\n' : *p == 't' ? '\t' : *p;
                        if (*p == 'x') {
                                char hex[3] = { p[1], p[2], '\0' };

                                c = (char)strtoul(hex, NULL, 16);
                                p += 2;
                        }
                }
                add(ret, &c, 1);
        }
}

static unsigned run_file(const char *path)
{
        _cleanup_free_ char *line = NULL;
        struct merge_case test = { 0 };
        size_t n_line = 0;
        unsigned n_cases = 0;
        FILE *file = fopen(path, "re");

        assert_non_null(file);
        for (unsigned number = 1; getline(&line, &n_line, file) >= 0; number++) {
                line[strcspn(line, "\n")] = '\0';
                if (line[0] == '#' || line[0] == '\0')
                        continue;
                (void)snprintf(test.name, sizeof(test.name), "%s:%u", path, number);
                if (strncmp(line, "said", 4) == 0)
                        read_field(line, test.name, &test.said);
                else if (strncmp(line, "stream", 6) == 0)
                        read_field(line, test.name, &test.stream);
                else if (strncmp(line, "shown", 5) == 0) {
                        read_field(line, test.name, &test.shown);
                        check_every_split(&test);
                        n_cases++;
                } else
                        fail_msg("%s: neither said, stream nor shown: %s", test.name, line);
        }
        fclose(file);
        buf_done(&test.said);
        buf_done(&test.stream);
        buf_done(&test.shown);
        return n_cases;
}

static void test_every_case_at_every_split(void **state)
{
        char pattern[512];
        unsigned n_cases = 0;
        glob_t found;

        (void)state;
        (void)snprintf(pattern, sizeof(pattern), "%s/tests/data/merge/*.txt", getenv("MULM_SOURCE_ROOT"));
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        for (size_t i = 0; i < found.gl_pathc; i++)
                n_cases += run_file(found.gl_pathv[i]);
        globfree(&found);
        assert_true(n_cases >= CASES_MIN);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_case_at_every_split),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
