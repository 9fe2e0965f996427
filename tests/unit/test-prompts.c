/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Texts that an integrator edits: what is taken from which folder, and what is refused by name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/core/refusal.h"
#include "daemon/io/files.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

#define FOLDER "/tmp/mulmd-prompts-XXXXXX"

struct fixture {
        char folder[sizeof(FOLDER)];
        struct settings settings;
        struct buf error;
};

static int set_up(void **state)
{
        static const char *const folders[] = { "usr", "usr/prompts", "etc", "etc/prompts", "own" };
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        char path[128];

        assert_non_null(fixture);
        memcpy(fixture->folder, FOLDER, sizeof(FOLDER));
        assert_non_null(mkdtemp(fixture->folder));
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", fixture->folder, folders[i]);
                assert_int_equal(mkdir(path, 0700), 0);
        }
        assert_int_equal(settings_init(&fixture->settings), 0);
        *state = fixture;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *fixture = *state;

        free(process_run((const char *[]){ "rm", "-r", fixture->folder, NULL }, NULL));
        settings_done(&fixture->settings);
        buf_done(&fixture->error);
        free(fixture);
        return 0;
}

static void write_file(const struct fixture *fixture, const char *name, const char *content)
{
        char path[128];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", fixture->folder, name);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(content, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static int load(struct fixture *fixture)
{
        char usr[64], etc[64];
        const char *const trees[] = { usr, etc, NULL };

        (void)snprintf(usr, sizeof(usr), "%s/usr", fixture->folder);
        (void)snprintf(etc, sizeof(etc), "%s/etc", fixture->folder);
        return files_load_settings_from(&fixture->settings, trees, &fixture->error);
}

static void assert_text(const struct fixture *fixture, enum prompts_text text, const char *wanted)
{
        assert_string_equal(prompts_get(&fixture->settings.prompts, text), wanted);
}

static void test_without_files_the_built_in_texts_hold(void **state)
{
        struct fixture *fixture = *state;

        assert_int_equal(load(fixture), 0);
        for (unsigned text = 0; text < _PROMPTS_TEXT_N; text++) {
                assert_text(fixture, text, prompts_get(&PROMPTS_NULL, text));
                assert_true(strlen(prompts_get(&PROMPTS_NULL, text)) > 0);
        }
}

static void test_stronger_folders_win_file_by_file(void **state)
{
        struct fixture *fixture = *state;
        char config[128];

        write_file(fixture, "usr/prompts/system.txt", "vendor\n");
        write_file(fixture, "usr/prompts/mend.txt", "vendor\r\n\n");
        write_file(fixture, "etc/prompts/mend.txt", "administrator");
        write_file(fixture, "etc/prompts/README", "no text of ours");
        assert_int_equal(load(fixture), 0);
        assert_text(fixture, PROMPTS_TEXT_SYSTEM, "vendor");
        assert_text(fixture, PROMPTS_TEXT_MEND, "administrator");

        write_file(fixture, "own/mend.txt", "own");
        (void)snprintf(config, sizeof(config), "[Cloud]\nPrompts=%s/own\n", fixture->folder);
        write_file(fixture, "etc/mulmd.conf", config);
        assert_int_equal(load(fixture), 0);
        assert_text(fixture, PROMPTS_TEXT_SYSTEM, "vendor");
        assert_text(fixture, PROMPTS_TEXT_MEND, "own");
}

static void test_empty_file_brings_the_built_in_text_back(void **state)
{
        struct fixture *fixture = *state;

        write_file(fixture, "usr/prompts/system.txt", "vendor\n");
        write_file(fixture, "etc/prompts/system.txt", "\n");
        assert_int_equal(load(fixture), 0);
        assert_text(fixture, PROMPTS_TEXT_SYSTEM, prompts_get(&PROMPTS_NULL, PROMPTS_TEXT_SYSTEM));
}

static void test_single_configuration_file_brings_its_own_folder_alone(void **state)
{
        struct fixture *fixture = *state;
        char config[128], path[64];

        write_file(fixture, "own/mend.txt", "own");
        (void)snprintf(config, sizeof(config), "[Cloud]\nPrompts=%s/own\n", fixture->folder);
        write_file(fixture, "mulmd.conf", config);
        (void)snprintf(path, sizeof(path), "%s/mulmd.conf", fixture->folder);
        assert_int_equal(files_load_settings(&fixture->settings, path, &fixture->error), 0);
        assert_text(fixture, PROMPTS_TEXT_MEND, "own");
}

static void test_bad_files_are_named_with_what_is_wrong(void **state)
{
        static const struct {
                const char *name, *content, *complaint;
        } bad[] = {
                { "pivot.txt", "turn around", "/etc/prompts/pivot.txt: lacks [[pivot]]" },
                { "replace.txt", "[[pivot]]", "/replace.txt: lacks [[replace]]" },
                { "continuation.txt", "{question}", "/continuation.txt: lacks {said}" },
                { "anchor.txt", "{question} {said}", "/anchor.txt: lacks {anchor}" },
                { "system.txt", "caf\xe9", "/system.txt: not UTF-8 text: see its byte 3" },
                { "refused.txt", "en fine\n\nlonger", "/refused.txt: line 3 is not the code of a language" },
                { "refused.txt", "en", "/refused.txt: line 1 is not" },
                { "sytem.txt", "x", "/sytem.txt: no text is read from a file of this name" },
        };
        struct fixture *fixture = *state;
        char name[64], command[128];

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                (void)snprintf(name, sizeof(name), "etc/prompts/%s", bad[i].name);
                write_file(fixture, name, bad[i].content);
                buf_clear(&fixture->error);
                assert_int_equal(load(fixture), -EINVAL);
                if (!strstr(buf_string(&fixture->error), bad[i].complaint))
                        fail_msg("\"%s\" lacks \"%s\"", buf_string(&fixture->error), bad[i].complaint);
                (void)snprintf(command, sizeof(command), "%s/%s", fixture->folder, name);
                assert_int_equal(remove(command), 0);
        }
}

static void test_all_bad_files_are_named_at_once(void **state)
{
        struct fixture *fixture = *state;

        write_file(fixture, "etc/mulmd.conf", "[Cloud]\nPrompts=/nonexistent/folder\n[Opener]\nMaxWords=lots\n");
        write_file(fixture, "etc/prompts/pivot.txt", "x");
        write_file(fixture, "usr/prompts/replace.txt", "x");
        assert_true(load(fixture) < 0);
        assert_non_null(strstr(buf_string(&fixture->error), "MaxWords"));
        assert_non_null(strstr(buf_string(&fixture->error), "etc/prompts/pivot.txt"));
        assert_non_null(strstr(buf_string(&fixture->error), "usr/prompts/replace.txt"));
        assert_non_null(strstr(buf_string(&fixture->error), "/nonexistent/folder: No such file"));
}

static void test_file_that_is_too_long_is_refused(void **state)
{
        struct fixture *fixture = *state;
        _cleanup_free_ char *content = malloc(PROMPTS_FILE_MAX + 2);

        assert_non_null(content);
        memset(content, 'a', PROMPTS_FILE_MAX + 1);
        content[PROMPTS_FILE_MAX + 1] = '\0';
        write_file(fixture, "etc/prompts/system.txt", content);
        assert_int_equal(load(fixture), -EFBIG);
}

static void assert_refused_in(const struct prompts *prompts, const char *language, const char *wanted)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        assert_int_equal(prompts_add_refused(prompts, language, &text), 0);
        assert_string_equal(buf_string(&text), wanted);
}

static void test_refused_is_said_in_the_language_or_the_first_one(void **state)
{
        static const char lines[] = "\r\nfr  assez\r\nde genug \xe2\x80\x93 Ende\n";
        struct fixture *fixture = *state;
        struct prompts *prompts = &fixture->settings.prompts;

        assert_int_equal(prompts_set(prompts, PROMPTS_TEXT_REFUSED, lines, strlen(lines), &fixture->error), 0);
        assert_refused_in(prompts, "de", "genug \xe2\x80\x93 Ende");
        assert_refused_in(prompts, "fr", "assez");
        assert_refused_in(prompts, "en", "assez");
        assert_refused_in(prompts, "d", "assez");
}

static void test_refusals_are_known_by_their_beginning(void **state)
{
        static const char lines[] = "I can't help\n\nAs an AI\r\n抱歉，我\n죄송하지만";
        static const struct {
                const char *text;
                enum refusal wanted;
        } texts[] = {
                { "", REFUSAL_PART },
                { " I", REFUSAL_PART },
                { "I CAN’T help", REFUSAL_PART },
                { "i can't help you", REFUSAL_NONE },
                { "a", REFUSAL_NONE },
                { "\nI CAN'T HELP.", REFUSAL_WHOLE },
                { "I can't help you", REFUSAL_WHOLE },
                { "I can't helpfully", REFUSAL_NONE },
                { "I can do it", REFUSAL_NONE },
                { "As an airline", REFUSAL_NONE },
                { "As an AI,", REFUSAL_WHOLE },
                { "抱歉，我们", REFUSAL_WHOLE },
                { "죄송하지만요", REFUSAL_WHOLE },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                if (refusal_match(lines, texts[i].text, strlen(texts[i].text)) != texts[i].wanted)
                        fail_msg("\"%s\"", texts[i].text);
        assert_int_equal(refusal_match("", "I can't", 7), REFUSAL_NONE);
}

#define prompts_test(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                prompts_test(test_without_files_the_built_in_texts_hold),
                prompts_test(test_stronger_folders_win_file_by_file),
                prompts_test(test_empty_file_brings_the_built_in_text_back),
                prompts_test(test_single_configuration_file_brings_its_own_folder_alone),
                prompts_test(test_bad_files_are_named_with_what_is_wrong),
                prompts_test(test_all_bad_files_are_named_at_once),
                prompts_test(test_file_that_is_too_long_is_refused),
                prompts_test(test_refused_is_said_in_the_language_or_the_first_one),
                prompts_test(test_refusals_are_known_by_their_beginning),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
