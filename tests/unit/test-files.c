/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Configuration from real trees of files in a temporary folder, and keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/io/files.h"
#include "tests/support/test.h"

/* A folder with the three trees in it; the working folder while a test runs. */
static char root[64];
static const char *const trees[] = { "usr", "run", "etc", NULL };

static int set_up(void **state)
{
        (void)state;
        (void)snprintf(root, sizeof(root), "/tmp/mulm-test-files.XXXXXX");
        return mkdtemp(root) && chdir(root) == 0 && mkdir("usr", 0755) == 0 && mkdir("run", 0755) == 0 &&
                               mkdir("etc", 0755) == 0
                       ? 0
                       : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
        (void)status;
        (void)type;
        (void)ftw;
        return remove(path);
}

static int tear_down(void **state)
{
        (void)state;
        return chdir("/") == 0 ? nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

static void write_bytes(const char *path, const void *bytes, size_t n, mode_t mode)
{
        char folder[64];
        int fd;

        if (strstr(path, "conf.d")) {
                (void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
                assert_true(mkdir(folder, 0755) == 0 || errno == EEXIST);
        }
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), n);
        assert_int_equal(fchmod(fd, mode), 0);
        assert_int_equal(close(fd), 0);
}

static void write_text(const char *path, const char *text)
{
        write_bytes(path, text, strlen(text), 0644);
}

/* Loads the trees, or the file where it is not NULL; `error` as wanted, "" for success. */
static int load(struct settings *settings, const char *path, const char *wanted)
{
        _cleanup_(buf_done) struct buf error = BUF_NULL;
        int r;

        assert_int_equal(settings_init(settings), 0);
        r = path ? files_load_settings(settings, path, &error) : files_load_settings_from(settings, trees, &error);
        assert_string_equal(buf_string(&error), wanted);
        return r;
}

static void test_no_file_at_all_means_defaults(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        assert_int_equal(load(&settings, NULL, ""), 0);
        assert_int_equal(settings.max_words, 8);
}

static void test_the_strongest_main_file_is_the_only_one(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        write_text("usr/mulmd.conf", "[Opener]\nMaxWords=5\nMinWords=2\n");
        write_text("run/mulmd.conf", "[Opener]\nMaxWords=6\n");
        assert_int_equal(load(&settings, NULL, ""), 0);
        assert_int_equal(settings.max_words, 6);
        assert_int_equal(settings.min_words, 4);
}

static void test_drop_ins_come_by_name_across_trees(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        write_text("etc/mulmd.conf", "[Opener]\nMaxWords=20\nMinWords=1\n[Limits]\nRequests=9\n");
        write_text("etc/mulmd.conf.d/10-a.conf", "[Opener]\nMaxWords=10\nMinWords=2\n");
        write_text("usr/mulmd.conf.d/20-b.conf", "[Opener]\nMaxWords=11\n");
        write_text("run/mulmd.conf.d/15-c.conf", "[Opener]\nMaxWords=12\n");
        write_text("run/mulmd.conf.d/30-d.txt", "nonsense");
        write_text("run/mulmd.conf.d/.40-hidden.conf", "nonsense");
        assert_int_equal(load(&settings, NULL, ""), 0);
        assert_int_equal(settings.max_words, 11);
        assert_int_equal(settings.min_words, 2);
        assert_int_equal(settings.requests, 9);
}

static void test_drop_in_of_the_same_name_replaces(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        write_text("usr/mulmd.conf.d/10-a.conf", "[Opener]\nMaxWords=10\nMinWords=2\n");
        write_text("etc/mulmd.conf.d/10-a.conf", "[Opener]\nMaxWords=11\n");
        assert_int_equal(load(&settings, NULL, ""), 0);
        assert_int_equal(settings.max_words, 11);
        assert_int_equal(settings.min_words, 4);
}

static void test_empty_file_and_dev_null_mask(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        write_text("usr/mulmd.conf", "[Limits]\nRequests=9\n");
        write_text("usr/mulmd.conf.d/10-a.conf", "[Opener]\nMaxWords=10\n");
        write_text("usr/mulmd.conf.d/20-b.conf", "[Opener]\nMinWords=3\n");
        write_text("etc/mulmd.conf.d/10-a.conf", "");
        assert_int_equal(symlink("/dev/null", "etc/mulmd.conf.d/20-b.conf"), 0);
        assert_int_equal(symlink("/dev/null", "etc/mulmd.conf"), 0);
        assert_int_equal(load(&settings, NULL, ""), 0);
        assert_int_equal(settings.max_words, 8);
        assert_int_equal(settings.min_words, 4);
        assert_int_equal(settings.requests, 16);
}

static void test_explicit_path_reads_nothing_else(void **state)
{
        _cleanup_(settings_done) struct settings settings, missing;

        (void)state;
        write_text("mine.conf", "[Opener]\nMaxWords=7\n");
        write_text("mine.conf.d/10-a.conf", "[Opener]\nMaxWords=9\n");
        assert_int_equal(load(&settings, "mine.conf", ""), 0);
        assert_int_equal(settings.max_words, 7);
        assert_int_equal(load(&missing, "none.conf", "none.conf: No such file or directory"), -ENOENT);
}

static void test_every_error_has_file_line_and_key(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        write_text("etc/mulmd.conf", "\xef\xbb\xbf; a remark\r\n\r\n[Opener]\r\nMaxWords=none\r\nMinWord=3\r\n");
        write_text("run/mulmd.conf.d/10-a.conf", "Requests=3\n\n[Limits]\nRequests=0\njunk\n[Opener\nMinWords=2\n");
        assert_int_equal(
                load(&settings, NULL,
                     "etc/mulmd.conf:4: [Opener] MaxWords: \"none\" is no whole number from 1 to 32\n"
                     "etc/mulmd.conf:5: [Opener] MinWord: unknown key; is MinWords meant?\n"
                     "run/mulmd.conf.d/10-a.conf:1: []: unknown section\n"
                     "run/mulmd.conf.d/10-a.conf:4: [Limits] Requests: \"0\" is no whole number from 1 to 1024\n"
                     "run/mulmd.conf.d/10-a.conf:7: [Limits] MinWords: unknown key\n"
                     "run/mulmd.conf.d/10-a.conf:5: neither [Section], Key=value nor a comment"),
                -EINVAL);
}

static void test_error_of_the_whole_names_where_it_was_set(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        write_text("etc/mulmd.conf", "[Cloud]\nEndpoints=a\n\n");
        assert_int_equal(
                load(&settings, NULL, "etc/mulmd.conf:2: [Cloud] Endpoints: there is no section [Endpoint a]"),
                -EINVAL);
}

static void test_indented_keys_are_keys(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        write_text("etc/mulmd.conf", "[Opener]\n  MinWords = 2\n\tMaxWords = 3 ; a remark\n  # another\n");
        assert_int_equal(load(&settings, NULL, ""), 0);
        assert_int_equal(settings.min_words, 2);
        assert_int_equal(settings.max_words, 3);
}

static void test_semicolons_and_equal_signs_in_values_survive(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        write_text("etc/mulmd.conf", "[Endpoint e]\nURL=http://h/a;b=c\nModel=m#1;x\n"
                                     "ExtraBody={\"a\":\"x;y\", \"b=c\": \"d # e\"}\n");
        assert_int_equal(load(&settings, NULL, ""), 0);
        assert_string_equal(settings.endpoints[0].url, "http://h/a;b=c");
        assert_string_equal(settings.endpoints[0].model, "m#1;x");
        assert_string_equal(settings.endpoints[0].extra_body, "{\"a\":\"x;y\", \"b=c\": \"d # e\"}");
}

/* Lines of all lengths around and beyond what inih reads at once, with blanks and comment signs where it would cut.
 */
static void test_long_lines_arrive_whole(void **state)
{
        (void)state;
        for (size_t n = 150; n < 900; n += n < 230 ? 1 : 37) {
                _cleanup_(settings_done) struct settings settings;
                _cleanup_(buf_done) struct buf json = BUF_NULL, file = BUF_NULL;

                assert_int_equal(buf_add_string(&json, "{\"a\":\"x"), 0);
                while (json.n < n)
                        assert_int_equal(buf_add_string(&json, json.n % 3 ? "  #e" : "\xc3\xa9;e "), 0);
                assert_int_equal(buf_add_string(&json, "x\"}"), 0);
                assert_int_equal(
                        buf_printf(&file,
                                   "[Endpoint e]\n# %0300d\n URL=http://h\nExtraBody=%s\n\nModel=m\nMaxTokens=z\n", 1,
                                   json.data),
                        0);
                write_text("etc/mulmd.conf", file.data);
                assert_int_equal(load(&settings, NULL,
                                      "etc/mulmd.conf:7: [Endpoint e] MaxTokens: \"z\" is no whole number from 1 to "
                                      "1000000"),
                                 -EINVAL);
                assert_string_equal(settings.endpoints[0].extra_body, json.data);
                assert_string_equal(settings.endpoints[0].model, "m");
        }
}

static void test_line_without_a_place_to_cut_is_refused(void **state)
{
        _cleanup_(settings_done) struct settings settings;
        _cleanup_(buf_done) struct buf file = BUF_NULL;

        (void)state;
        assert_int_equal(buf_printf(&file, "[Model]\nPath=/a%*sb\n", 400, ""), 0);
        write_text("etc/mulmd.conf", file.data);
        assert_int_equal(load(&settings, NULL, "etc/mulmd.conf:2: the line is too long"), -EINVAL);
}

static void test_what_is_no_text_is_refused(void **state)
{
        _cleanup_(settings_done) struct settings nul, latin, folder, large, section;
        _cleanup_(buf_done) struct buf file = BUF_NULL;

        (void)state;
        write_bytes("a.conf", "[Model]\n\0\n", 10, 0644);
        assert_int_equal(load(&nul, "a.conf", "a.conf:2: not UTF-8 text"), -EINVAL);
        write_text("a.conf", "#\n#\n[Model]\nPath=/\xe9\n");
        assert_int_equal(load(&latin, "a.conf", "a.conf:4: not UTF-8 text"), -EINVAL);
        assert_int_equal(load(&folder, "etc", "etc: Is a directory"), -EISDIR);
        assert_int_equal(buf_printf(&file, "#%*s\n", 70000, ""), 0);
        write_text("a.conf", file.data);
        assert_int_equal(load(&large, "a.conf", "a.conf: file too large"), -EFBIG);
        buf_clear(&file);
        assert_int_equal(buf_printf(&file, "\n[Endpoint %050d]\n", 1), 0);
        write_text("a.conf", file.data);
        assert_int_equal(load(&section, "a.conf", "a.conf:2: the section's name is too long"), -EINVAL);
}

/* A key from a file of this content and mode: what it is, or the sentence. */
static int read_key(const char *content, size_t n, mode_t mode, struct buf *key, struct buf *error)
{
        char path[128];
        struct settings_endpoint endpoint = { .key_file = path };

        (void)snprintf(path, sizeof(path), "%s/key", root);
        (void)unlink(path);
        write_bytes(path, content, n, mode);
        return files_read_key(&endpoint, key, error);
}

static void test_key_is_trimmed(void **state)
{
        _cleanup_(buf_done) struct buf key = BUF_NULL, error = BUF_NULL;

        (void)state;
        assert_int_equal(read_key(" \tsk-1 23\r\n\n", 12, 0600, &key, &error), 0);
        assert_string_equal(key.data, "sk-1 23");
        assert_int_equal(read_key("k", 1, 0400, &key, &error), 0);
        assert_string_equal(key.data, "sk-1 23k");
        assert_int_equal(error.n, 0);
}

static void test_key_that_others_may_read_is_refused(void **state)
{
        static const mode_t modes[] = { 0640, 0604, 0620, 0601, 0644 };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                _cleanup_(buf_done) struct buf key = BUF_NULL, error = BUF_NULL;

                assert_int_equal(read_key("secret", 6, modes[i], &key, &error), -EPERM);
                assert_int_equal(key.n, 0);
                assert_non_null(
                        strstr(error.data, "/key: group and others must have no access to a key (chmod 0600)"));
        }
}

static void test_bad_keys_are_refused_without_quoting_them(void **state)
{
        static const struct {
                const char *content;
                size_t n;
        } bad[] = { { "secret\r\nX-Evil: 1", 17 }, { "secret\nmore", 11 }, { "secret\0x", 8 }, { "secret\x7f!", 8 },
                    { "secret\xc3\xa9", 8 },       { " \n", 2 },           { "", 0 } };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _cleanup_(buf_done) struct buf key = BUF_NULL, error = BUF_NULL;

                assert_int_equal(read_key(bad[i].content, bad[i].n, 0600, &key, &error), -EINVAL);
                assert_int_equal(key.n, 0);
                assert_true(error.n > 0);
                assert_null(strstr(error.data, "secret"));
                assert_null(strstr(error.data, "Evil"));
        }
}

static void test_key_above_the_limit_is_refused(void **state)
{
        _cleanup_(buf_done) struct buf key = BUF_NULL, error = BUF_NULL;
        char large[4097];

        (void)state;
        memset(large, 'k', sizeof(large));
        assert_int_equal(read_key(large, sizeof(large) - 1, 0600, &key, &error), 0);
        assert_int_equal(key.n, 4096);
        assert_int_equal(read_key(large, sizeof(large), 0600, &key, &error), -EFBIG);
        assert_null(strstr(error.data, "kkk"));
}

static void test_missing_key_is_named_and_none_is_fine(void **state)
{
        _cleanup_(buf_done) struct buf key = BUF_NULL, error = BUF_NULL;
        char path[] = "/nonexistent/key";
        struct settings_endpoint endpoint = { 0 };

        (void)state;
        assert_int_equal(files_read_key(&endpoint, &key, &error), 0);
        assert_int_equal(key.n, 0);
        endpoint.key_file = path;
        assert_int_equal(files_read_key(&endpoint, &key, &error), -ENOENT);
        assert_string_equal(error.data, "/nonexistent/key: No such file or directory");
}

static void test_fifo_is_refused_without_waiting(void **state)
{
        _cleanup_(buf_done) struct buf content = BUF_NULL, error = BUF_NULL;

        (void)state;
        assert_int_equal(mkfifo("fifo", 0600), 0);
        assert_int_equal(files_read("fifo", 10, &content, &error), -EINVAL);
        assert_string_equal(error.data, "fifo: not a regular file");
}

static void test_credential_comes_from_the_service_manager(void **state)
{
        _cleanup_(buf_done) struct buf key = BUF_NULL, error = BUF_NULL;
        char name[] = "mulm.key", outside[] = "../key";
        struct settings_endpoint endpoint = { .key_credential = name };

        (void)state;
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        assert_int_equal(files_read_key(&endpoint, &key, &error), -ENOENT);
        assert_string_equal(error.data, "mulm.key: the service manager has passed no credentials");

        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", root, 1), 0);
        write_bytes("mulm.key", "sk-2\n", 5, 0440);
        assert_int_equal(files_read_key(&endpoint, &key, &error), 0);
        assert_string_equal(key.data, "sk-2");
        endpoint.key_credential = outside;
        assert_int_equal(files_read_key(&endpoint, &key, &error), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_no_file_at_all_means_defaults),
                TEST(test_the_strongest_main_file_is_the_only_one),
                TEST(test_drop_ins_come_by_name_across_trees),
                TEST(test_drop_in_of_the_same_name_replaces),
                TEST(test_empty_file_and_dev_null_mask),
                TEST(test_explicit_path_reads_nothing_else),
                TEST(test_every_error_has_file_line_and_key),
                TEST(test_error_of_the_whole_names_where_it_was_set),
                TEST(test_indented_keys_are_keys),
                TEST(test_semicolons_and_equal_signs_in_values_survive),
                TEST(test_long_lines_arrive_whole),
                TEST(test_line_without_a_place_to_cut_is_refused),
                TEST(test_what_is_no_text_is_refused),
                TEST(test_key_is_trimmed),
                TEST(test_key_that_others_may_read_is_refused),
                TEST(test_bad_keys_are_refused_without_quoting_them),
                TEST(test_key_above_the_limit_is_refused),
                TEST(test_missing_key_is_named_and_none_is_fine),
                TEST(test_fifo_is_refused_without_waiting),
                TEST(test_credential_comes_from_the_service_manager),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
