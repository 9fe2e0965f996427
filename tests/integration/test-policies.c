/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Policies as a caller on the bus meets them: mulmd with its model and a scripted cloud.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "libmulm/base/macro.h"
#include "tests/integration/bus-fixture.h"
#include "tests/integration/mulmd-fixture.h"
#include "tests/support/test.h"

#define CANBERRA "[{\"steps\": [" DELTA(" Canb") ", " DELTA("erra, not") ", " DELTA(" Sydney.") ", " MARK "]}]"
#define QUESTION "What is the capital of Australia?"

struct fixture {
        struct mulmd_fixture *mulmd;
        char *settings;   /* of [Cloud] */
        bool has_prompts; /* in the folder's prompts */
        const char *address;
        sd_bus *bus;
};

static int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        void *mulmd;

        assert_non_null(fixture);
        assert_int_equal(mulmd_set_up_group(&mulmd), 0);
        fixture->mulmd = mulmd;
        fixture->address = fixture->mulmd->address + strlen("--address=");
        fixture->bus = connect_bus(fixture->address);
        *state = fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;
        void *mulmd = fixture->mulmd;

        sd_bus_flush_close_unref(fixture->bus);
        mulmd_tear_down(&mulmd);
        mulmd_tear_down_group(&mulmd);
        free(fixture->settings);
        free(fixture);
        return 0;
}

/* Starts mulmd with a cloud that plays `scenario`. */
static void start(struct fixture *fixture, const char *scenario)
{
        const char *folder = fixture->mulmd->folder;

        assert_true(asprintf(&fixture->settings, "FirstTextSec=20\nGapSec=20\n%s%s%s",
                             fixture->has_prompts ? "Prompts=" : "", fixture->has_prompts ? folder : "",
                             fixture->has_prompts ? "/prompts" : "") > 0);
        fixture->mulmd->settings = fixture->settings;
        mulmd_start(fixture->mulmd, scenario, NULL);
}

static uint64_t now_us(void)
{
        struct timespec now;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static unsigned count(const char *text, const char *part)
{
        unsigned n = 0;

        for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
                n++;
        return n;
}

/* Asks with one option more and waits for the end. */
#define ask_with(fixture, heard, token, ...)                                                                         \
        do {                                                                                                         \
                _cleanup_free_ char *path_ = promised_path((fixture)->bus, token);                                   \
                sd_bus_slot *slot_ = listen_to((fixture)->bus, path_, heard);                                        \
                                                                                                                     \
                assert_true(sd_bus_call_method((fixture)->bus, NAME, PATH, NAME, "Ask", NULL, NULL, "sa{sv}",        \
                                               QUESTION, 2, "handle_token", "s", token, __VA_ARGS__) >= 0);          \
                wait_finished((fixture)->bus, heard);                                                                \
                sd_bus_slot_unref(slot_);                                                                            \
        } while (0)

static void test_reply_is_heard_word_by_word_at_the_rate(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(heard_done) struct heard heard = { 0 };
        uint64_t asked_us;
        unsigned n_words;

        start(fixture, CANBERRA);
        asked_us = now_us();
        ask_with(fixture, &heard, "paced", "words_per_second", "d", 40.0);
        assert_string_equal(heard.outcome, "complete");
        assert_non_null(strstr(buf_string(&heard.text), " Canberra, not Sydney."));
        n_words = count(buf_string(&heard.text), " ") + 1;
        /* A late timer lets two words go together, but none goes early. */
        assert_true(count(buf_string(&heard.sources), " ") <= n_words);
        assert_true(now_us() - asked_us >= (n_words - 1) * 25000);
}

static void test_two_replies_in_a_row_do_not_open_alike(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *before = NULL;
        sd_bus *other;

        start(fixture, CANBERRA);
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_(heard_done) struct heard heard = { 0 };
                char token[8];

                (void)snprintf(token, sizeof(token), "q%u", i);
                ask_with(fixture, &heard, token, "cloud", "s", "auto");
                assert_string_equal(heard.outcome, "complete");
                assert_true(heard.n_words > 0);
                if (before)
                        assert_int_not_equal(strncasecmp(before, heard.text.data, strcspn(before, " ,") + 1), 0);
                free(before);
                before = strdup(heard.text.data);
        }

        /* Another caller hears what the first one heard first. */
        other = fixture->bus;
        fixture->bus = connect_bus(fixture->address);
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(heard_done) struct heard heard = { 0 };

                ask_with(fixture, &heard, i == 0 ? "a" : "b", "cloud", "s", "auto");
                if (i == 1)
                        assert_string_equal(heard.text.data, before);
        }
        sd_bus_flush_close_unref(other);
}

static void test_thanks_are_answered_by_the_cloud_alone(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *path = promised_path(fixture->bus, "t");
        _cleanup_(heard_done) struct heard heard = { 0 };
        sd_bus_slot *slot = listen_to(fixture->bus, path, &heard);

        start(fixture, CANBERRA);
        ask(fixture->bus, "Thank you very much!", "t");
        wait_finished(fixture->bus, &heard);
        assert_string_equal(buf_string(&heard.sources), "cloud cloud cloud ");
        sd_bus_slot_unref(slot);
}

static void test_reply_comes_in_few_pieces_of_whole_words(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(heard_done) struct heard heard = { 0 };

        start(fixture, CANBERRA);
        ask_with(fixture, &heard, "few", "min_interval_ms", "u", 10000);
        assert_string_equal(heard.outcome, "complete");
        /* The first word at once; the rest when the reply has ended, each speaker's in one piece. */
        assert_string_equal(buf_string(&heard.sources), "opener opener cloud ");
}

static void test_quick_cloud_shortens_the_next_opener(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *said = NULL;
        unsigned n_words[2] = { 0 };

        start(fixture, CANBERRA);
        for (unsigned i = 0; i < ARRAY_SIZE(n_words); i++) {
                _cleanup_(heard_done) struct heard heard = { 0 };
                char token[8];

                (void)snprintf(token, sizeof(token), "q%u", i);
                ask_with(fixture, &heard, token, "opener", "s", "always"); /* as many words as it may */
                n_words[i] = heard.n_words;
        }
        assert_int_equal(n_words[0], 8);
        assert_int_equal(n_words[1], 4);
        said = process_run((const char *[]){ getenv("MULMCTL"), fixture->mulmd->address, NULL }, NULL);
        assert_non_null(strstr(said, "primary: first text after"));
        assert_non_null(strstr(said, "openers of 4 words"));
}

static void write_prompt(struct fixture *fixture, const char *name, const char *text)
{
        _cleanup_free_ char *path = NULL;
        FILE *file;

        assert_true(asprintf(&path, "%s/prompts", fixture->mulmd->folder) > 0);
        assert_int_equal(fixture->has_prompts ? 0 : mkdir(path, 0700), 0);
        fixture->has_prompts = true;
        free(path);
        assert_true(asprintf(&path, "%s/prompts/%s", fixture->mulmd->folder, name) > 0);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

#define FILTERED                                                                                                     \
        "[{\"steps\": [\"data: {\\\"choices\\\":[{\\\"delta\\\":{},"                                                 \
        "\\\"finish_reason\\\":\\\"content_filter\\\"}]}\\n\\n\"]}]"

static void test_edited_prompts_are_told_and_said(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_(heard_done) struct heard heard = { 0 };

        write_prompt(fixture, "system.txt", "Speak like a pirate.\n");
        write_prompt(fixture, "refused.txt", "en - but that is for landlubbers.\n");
        start(fixture, FILTERED);
        ask_with(fixture, &heard, "q", "cloud", "s", "auto");
        free(process_expect(fixture->mulmd->servers[0], PROCESS_STREAM_OUTPUT, "Speak like a pirate"));
        assert_string_equal(heard.outcome, "complete");
        assert_non_null(strstr(buf_string(&heard.text), " - but that is for landlubbers."));
}

static void test_bad_prompt_is_named_and_nothing_starts(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *path = NULL;
        struct process *mulmd;
        FILE *file;

        write_prompt(fixture, "continuation.txt", "Go on.\n");
        assert_true(asprintf(&path, "%s/mulmd.conf", fixture->mulmd->folder) > 0);
        file = fopen(path, "we");
        assert_non_null(file);
        fprintf(file, "[Cloud]\nPrompts=%s/prompts\n", fixture->mulmd->folder);
        assert_int_equal(fclose(file), 0);
        mulmd = process_spawn((const char *[]){ getenv("MULMD"), "--config", path, "--check-config", NULL }, NULL);
        assert_int_equal(process_wait(mulmd), 1);
        assert_non_null(
                strstr(process_output(mulmd, PROCESS_STREAM_ERROR), "/prompts/continuation.txt: lacks {question}"));
        process_free(mulmd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(test_reply_is_heard_word_by_word_at_the_rate),
                TEST(test_quick_cloud_shortens_the_next_opener),
                TEST(test_two_replies_in_a_row_do_not_open_alike),
                TEST(test_thanks_are_answered_by_the_cloud_alone),
                TEST(test_edited_prompts_are_told_and_said),
                TEST(test_bad_prompt_is_named_and_nothing_starts),
                TEST(test_reply_comes_in_few_pieces_of_whole_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
