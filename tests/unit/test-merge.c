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
#include "daemon/core/prompts.h"
#include "libmulm/base/utf8.h"
#include "tests/support/test.h"

#define CASES_MIN 200

/* Bytes beyond those of what was said that the longest decision may hold, blanks not counted: of an echo wrapped in
 * quotes and markdown, of a mark, a tag or the beginning of a refusal, and of the letters behind them that decide. */
#define HELD_MAX 64

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
        merge.refusals = prompts_get(&PROMPTS_NULL, PROMPTS_TEXT_REFUSALS);
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

/* What was read and is neither shown nor known to be dropped, byte by byte. */
static void check_held(const struct merge_case *test)
{
        _cleanup_(buf_done) struct buf delta = BUF_NULL;
        struct merge merge;

        merge_init(&merge);
        merge.refusals = prompts_get(&PROMPTS_NULL, PROMPTS_TEXT_REFUSALS);
        assert_int_equal(merge_opener(&merge, buf_string(&test->said), test->said.n, &delta), 0);
        for (size_t i = 0; i < test->stream.n; i++) {
                size_t n_held;

                assert_int_equal(merge_cloud(&merge, test->stream.data + i, 1, &delta), 0);
                n_held = merge.clean.n_tag + merge.clean.n_sequence;
                for (size_t k = 0; k < merge.held.n; k++)
                        n_held += !strchr(" \t\n", merge.held.data[k]);
                if (!merge.verdict.is_decided)
                        n_held += merge.verdict.n_head;
                if (n_held > test->said.n + HELD_MAX)
                        fail_msg("%s: %zu bytes held", test->name, n_held);
                assert_true(merge_is_holding(&merge) || n_held == 0 || merge.clean.in_reasoning);
        }
        merge_done(&merge);
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
        check_held(test);
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

/* What is shown after these deltas, without an end: tells how long text is held. */
static void assert_shown_after(const char *said, const char *const *deltas, const char *const *shown)
{
        _cleanup_(buf_done) struct buf delta = BUF_NULL;
        struct merge merge;

        merge_init(&merge);
        assert_int_equal(merge_opener(&merge, said, strlen(said), &delta), 0);
        for (size_t i = 0; deltas[i]; i++) {
                assert_int_equal(merge_cloud(&merge, deltas[i], strlen(deltas[i]), &delta), 0);
                assert_string_equal(buf_string(&merge.shown) + strlen(said), shown[i]);
        }
        merge_done(&merge);
}

#define TEXTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_text_is_held_no_longer_than_needed(void **state)
{
        static const char said[] = "The capital of Australia is";

        (void)state;
        assert_shown_after(said, TEXTS("Canb", "erra"), TEXTS(" Canb", " Canberra"));
        assert_shown_after(said, TEXTS("The", " cap", "e", " Town"), TEXTS("", "", " the cape", " the cape Town"));
        assert_shown_after(said, TEXTS("The", " capital of Aus", "tralia is", " Canberra,"),
                           TEXTS("", "", "", " Canberra,"));
        assert_shown_after(said, TEXTS(" ", "is", "l", "and"), TEXTS("", "", " isl", " island"));
        assert_shown_after(said, TEXTS("**", "Can"), TEXTS("", " **Can"));
        assert_shown_after(said, TEXTS(" where 3 <", " 5 holds."), TEXTS(" where 3 ", " where 3 < 5 holds."));
        assert_shown_after(said, TEXTS(" Z\xc3", "\xbc", "rich"), TEXTS(" Z", " Zü", " Zürich"));
        assert_shown_after("", TEXTS("\n", " The", " end"), TEXTS("", "The", "The end"));
}

static void test_the_tag_that_comes_too_late_is_not_shown(void **state)
{
        (void)state;
        assert_shown_after("It is", TEXTS("secret plan</thi", "nk>", " red."),
                           TEXTS(" secret plan", " secret plan", " secret plan \xe2\x80\x93 red."));
}

static void test_the_tag_that_comes_too_late_takes_back_what_it_can(void **state)
{
        _cleanup_(buf_done) struct buf delta = BUF_NULL;
        struct merge merge;

        (void)state;
        merge_init(&merge);
        merge.redraw = true;
        assert_int_equal(merge_opener(&merge, "It is", 5, &delta), 0);
        assert_int_equal(merge_cloud(&merge, "secret plan", 11, &delta), 0);
        assert_string_equal(merge.shown.data, "It is secret plan");
        assert_false(merge.is_replaced);
        buf_clear(&delta);
        assert_int_equal(merge_cloud(&merge, "</think>\n\nIt is", 15, &delta), 0);
        assert_true(merge.is_replaced);
        assert_int_equal(merge.n_kept, 5);
        assert_string_equal(merge.shown.data, "It is");
        merge.is_replaced = false;
        assert_int_equal(merge_cloud(&merge, " red.", 5, &delta), 0);
        assert_int_equal(merge_end(&merge, &delta), 0);
        assert_false(merge.is_replaced);
        assert_string_equal(merge.shown.data, "It is red.");
        assert_string_equal(delta.data, " red.");
        merge_done(&merge);
}

static void test_local_words_go_on_from_what_was_shown(void **state)
{
        _cleanup_(buf_done) struct buf delta = BUF_NULL;
        struct merge merge;

        (void)state;
        merge_init(&merge);
        assert_int_equal(merge_opener(&merge, "The", 3, &delta), 0);
        assert_int_equal(merge_opener(&merge, " capital is", 11, &delta), 0);
        assert_int_equal(merge_cloud(&merge, "The capi\xc3", 9, &delta), 0);
        assert_string_equal(delta.data, "The capital is");
        assert_int_equal(merge_local(&merge, " a", 2, &delta), 0);
        assert_int_equal(merge_local(&merge, " city", 5, &delta), 0);
        assert_int_equal(merge_local(&merge, ".", 1, &delta), 0);
        assert_int_equal(merge_end(&merge, &delta), 0);
        assert_string_equal(delta.data, "The capital is a city.");
        assert_string_equal(merge.shown.data, delta.data);
        assert_int_equal(merge.n_opener, 14);
        merge_done(&merge);

        merge_init(&merge);
        buf_clear(&delta);
        assert_int_equal(merge_opener(&merge, "It is", 5, &delta), 0);
        assert_int_equal(merge_cloud(&merge, " red,", 5, &delta), 0);
        assert_int_equal(merge_local(&merge, "or blue", 7, &delta), 0);
        assert_string_equal(delta.data, "It is red, or blue");
        merge_done(&merge);
}

/*
 * The slow and obvious merge of whole texts, for the words and signs that the random streams are made of. It takes
 * the reasoning out, finds the longest run of last words that the stream begins with, and asks for each pair of
 * neighbours at the seam what belongs between.
 */
#define WORDS_MAX 64

struct words {
        char text[WORDS_MAX][32]; /* small letters */
        size_t end[WORDS_MAX];    /* offset behind it */
        size_t n;
};

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

static void split_words(const char *text, struct words *ret)
{
        *ret = (struct words){ 0 };
        for (size_t i = 0; text[i] && ret->n < WORDS_MAX;) {
                size_t n = 0;

                if (!is_letter(text[i])) {
                        i++;
                        continue;
                }
                while (is_letter(text[i]) || (text[i] == '-' && is_letter(text[i + 1]))) {
                        char c = text[i++];

                        ret->text[ret->n][n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
                }
                ret->end[ret->n++] = i;
        }
}

/* How many bytes at the head of `text`, which begins with no blank, repeat what was said. */
static size_t find_echo(const char *said, const char *text)
{
        struct words all, head;
        size_t n_before = strspn(text, "*\". \n"), n_wrappers = 0, n_marks, skip;

        for (size_t i = 0; i < n_before; i++)
                n_wrappers += text[i] != ' ' && text[i] != '\n';
        split_words(said, &all);
        split_words(text + n_before, &head);
        if (!is_letter(text[n_before]) || n_wrappers > 8)
                return 0;
        for (size_t n = all.n; n > 0; n--) {
                bool same = n <= head.n;

                for (size_t i = 0; i < n && same; i++)
                        same = strcmp(all.text[all.n - n + i], head.text[i]) == 0;
                if (n == 1 && all.n > 1)
                        same = same && n_wrappers == 0 && is_letter(said[strlen(said) - 1]) &&
                               strstr(" is the of to a ", all.text[all.n - 1]) && all.text[all.n - 1][0] != 'w';
                if (!same)
                        continue;
                skip = n_before + head.end[n - 1];
                n_marks = strspn(text + skip, ",.");
                while (n_wrappers > 0 && text[skip + n_marks] && strchr("*\".", text[skip + n_marks])) {
                        skip += n_marks + 1;
                        n_marks = 0;
                        n_wrappers--;
                }
                for (size_t i = n_marks; i >= 2; i--)
                        if (text[skip + i - 1] == '.' && text[skip + i - 2] == '.')
                                return skip + i;
                return skip;
        }
        return 0;
}

static void merge_slowly(const char *said, const char *stream, struct buf *ret)
{
        _cleanup_(buf_done) struct buf plain = BUF_NULL;
        char last = *said ? said[strlen(said) - 1] : '\0';
        const char *text, *open, *before;
        bool blank, lower = false;
        struct words words;
        size_t n;

        for (text = stream; (open = strstr(text, "<think>")) != NULL;) {
                const char *close = strstr(open, "</think>");

                add(&plain, text, (size_t)(open - text));
                text = close ? close + strlen("</think>") : "";
        }
        add(&plain, text, strlen(text));

        add(ret, said, strlen(said));
        before = buf_string(&plain);
        text = before + strspn(before, " \n");
        blank = text > before;
        if (!*text)
                return;
        if (last) {
                n = find_echo(said, text);
                if (n > 0)
                        blank = text[n] == ' ' || text[n] == '\n';
                text += n;
                text += strspn(text, " \n");
                n = last == ',' || last == '.' ? strspn(text, ",.") : 0;
                if (n > 0 && !(blank && text[0] == '.' && is_letter(text[n]))) {
                        text += n;
                        blank = *text == ' ' || *text == '\n';
                        text += strspn(text, " \n");
                }
                if (!*text)
                        return;
                split_words(text, &words);
                if (is_letter(*text) && last != '.') {
                        n = words.end[0] + strspn(text + words.end[0], " \n");
                        if (strncmp(text, "It", 2) == 0 && !is_letter(text[2]))
                                lower = true;
                        if (strncmp(text, "The", 3) == 0 && words.end[0] == 3 && n > 3)
                                lower = (text[n] >= 'a' && text[n] <= 'z') || (text[n] & 0x80);
                }
                if (text[0] == ',')
                        blank = false;
                else if (text[0] == '.')
                        blank = blank && (is_letter(text[1]) || text[1] == '.');
                else if (!blank)
                        blank = text[0] != '-' || !is_letter(text[1]);
                if (blank)
                        add(ret, " ", 1);
        }
        n = ret->n;
        add(ret, text, strlen(text));
        if (lower)
                ret->data[n] = (char)(ret->data[n] + 32);
}

/* xorshift64: https://www.jstatsoft.org/article/view/v008i14 */
static unsigned draw(uint64_t *seed, unsigned n)
{
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        return (unsigned)(*seed % n);
}

static void test_random_streams_equal_the_slow_merge(void **state)
{
        static const char *const words[] = { "the", "city", "is",   "to",   "of",  "we",
                                             "The", "It",   "Rome", "tour", "isn", "Zürich" };
        static const char *const between[] = { " ",       " ",   " ", "\n",
                                               "  ",      ", ",  ",", ". ",
                                               ".",       "...", "-", " - ",
                                               "*",       "** ", "",  "<think>the city</think>",
                                               "<think>", " < ", "<" };
        uint64_t seed = 20240607;

        (void)state;
        for (unsigned round = 0; round < 20000; round++) {
                _cleanup_(buf_done) struct buf said = BUF_NULL, stream = BUF_NULL, wanted = BUF_NULL;
                struct merge_case test = { 0 };
                size_t cuts[8], n_cuts = 0;
                unsigned n_said = draw(&seed, 5), n_stream = draw(&seed, 8);

                for (unsigned i = 0; i < n_said; i++)
                        assert_int_equal(
                                buf_printf(&said, "%s%s", i > 0 ? " " : "", words[draw(&seed, ARRAY_SIZE(words))]),
                                0);
                if (n_said > 0 && draw(&seed, 4) == 0)
                        add(&said, draw(&seed, 2) ? "," : ".", 1);
                if (draw(&seed, 3) == 0)
                        add(&stream, "**", draw(&seed, 3));
                if (said.n > 0 && draw(&seed, 2) == 0) {
                        const char *tail = said.data + draw(&seed, (unsigned)said.n);

                        tail = strchr(tail, ' ') && draw(&seed, 2) ? strchr(tail, ' ') : said.data;
                        add(&stream, tail, strlen(tail));
                }
                for (unsigned i = 0; i < n_stream; i++)
                        assert_int_equal(buf_printf(&stream, "%s%s", between[draw(&seed, ARRAY_SIZE(between))],
                                                    words[draw(&seed, ARRAY_SIZE(words))]),
                                         0);
                merge_slowly(buf_string(&said), buf_string(&stream), &wanted);

                for (size_t at = draw(&seed, 6); n_cuts < ARRAY_SIZE(cuts) && at <= stream.n; at += draw(&seed, 6))
                        cuts[n_cuts++] = at;
                (void)snprintf(test.name, sizeof(test.name), "round %u: said |%s|, stream |%.300s|", round,
                               buf_string(&said), buf_string(&stream));
                test.said = said;
                test.stream = stream;
                test.shown = wanted;
                check(&test, cuts, n_cuts, "cut by chance");
                check(&test, NULL, 0, "whole");
        }
}

/* ------------------------------------------------------------------------------------------------ replacing */

/* Feeds in pieces; `seen` is what a caller has that follows deltas and replacements. */
static void feed_as_caller(struct merge *merge, const struct buf *stream, uint64_t *seed, struct buf *seen)
{
        _cleanup_(buf_done) struct buf delta = BUF_NULL;
        bool ended = false;

        for (size_t from = 0, to; !ended; from = to) {
                ended = from == stream->n;
                to = from + 1 + draw(seed, 7);
                to = MIN(to, stream->n);
                buf_clear(&delta);
                assert_int_equal(ended ? merge_end(merge, &delta)
                                       : merge_cloud(merge, stream->data + from, to - from, &delta),
                                 0);
                if (merge->is_replaced) {
                        size_t keep = 0;

                        assert_true(merge->redraw);
                        while (utf8_count(seen->data, keep) < merge->n_kept || (seen->data[keep] & 0xc0) == 0x80)
                                keep++;
                        assert_true(keep < seen->n);
                        buf_truncate(seen, keep);
                        merge->is_replaced = false;
                }
                add(seen, buf_string(&delta), delta.n);
                assert_int_equal(seen->n, merge->shown.n);
                assert_memory_equal(buf_string(seen), buf_string(&merge->shown), seen->n);
        }
}

/* With `redraw` the new reply stands alone; without, what was shown stands and only grows. */
static void test_random_replacements_end_in_the_new_text(void **state)
{
        static const char *const words[] = { "The",         " city", " is", " Rome", " Zürich",
                                             ", of course", ".",     " é",  "🦘" };
        uint64_t seed = 4711;

        (void)state;
        for (unsigned round = 0; round < 5000; round++) {
                _cleanup_(buf_done) struct buf said = BUF_NULL, stream = BUF_NULL, seen = BUF_NULL, wanted = BUF_NULL;
                struct merge merge;

                for (unsigned i = 0, n = 1 + draw(&seed, 5); i < n; i++)
                        assert_int_equal(buf_add_string(&said, words[draw(&seed, ARRAY_SIZE(words))]), 0);
                for (unsigned i = 0, n = 1 + draw(&seed, 6); i < n; i++)
                        assert_int_equal(buf_add_string(&wanted, words[draw(&seed, ARRAY_SIZE(words))]), 0);
                assert_int_equal(buf_printf(&stream, "%s[[replace]]%s%s", draw(&seed, 2) ? "\n" : "",
                                            draw(&seed, 2) ? " " : "", wanted.data),
                                 0);
                merge_init(&merge);
                merge.redraw = draw(&seed, 2);
                assert_int_equal(merge_opener(&merge, said.data, said.n, &seen), 0);
                buf_clear(&said);
                add(&said, seen.data, seen.n); /* without the blank at its head */
                feed_as_caller(&merge, &stream, &seed, &seen);
                if (merge.redraw)
                        assert_string_equal(seen.data, wanted.data + strspn(wanted.data, " "));
                else
                        assert_memory_equal(seen.data, said.data, said.n);
                merge_done(&merge);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_case_at_every_split),
                cmocka_unit_test(test_text_is_held_no_longer_than_needed),
                cmocka_unit_test(test_the_tag_that_comes_too_late_is_not_shown),
                cmocka_unit_test(test_the_tag_that_comes_too_late_takes_back_what_it_can),
                cmocka_unit_test(test_local_words_go_on_from_what_was_shown),
                cmocka_unit_test(test_random_streams_equal_the_slow_merge),
                cmocka_unit_test(test_random_replacements_end_in_the_new_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
