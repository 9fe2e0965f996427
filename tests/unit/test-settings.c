/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/dialect.h"
#include "daemon/core/settings.h"
#include "daemon/core/value.h"
#include "tests/support/test.h"

#define E "Endpoint primary"

static const struct settings_place place = { "mulmd.conf", 12 };

static void set(struct settings *settings, const char *section, const char *key, const char *value)
{
        _cleanup_(buf_done) struct buf error = BUF_NULL;
        int r = settings_set(settings, section, key, value, &place, &error);

        if (r != 0)
                fail_msg("[%s] %s=%s: %d %s", section, key, value, r, buf_string(&error));
        assert_int_equal(error.n, 0);
}

static void assert_refused(const char *section, const char *key, const char *value, const char *sentence)
{
        _cleanup_(settings_done) struct settings settings;
        _cleanup_(buf_done) struct buf error = BUF_NULL, before = BUF_NULL, after = BUF_NULL;

        assert_int_equal(settings_init(&settings), 0);
        assert_int_equal(settings_print(&settings, &before), 0);
        assert_int_equal(settings_set(&settings, section, key, value, &place, &error), -EINVAL);
        if (sentence)
                assert_string_equal(buf_string(&error), sentence);
        else
                assert_non_null(strstr(buf_string(&error), key));
        assert_int_equal(strncmp(buf_string(&error), "mulmd.conf:12: [", 16), 0);
        if (!strstr(section, "Endpoint")) {
                assert_int_equal(settings_print(&settings, &after), 0);
                assert_string_equal(before.data, after.data);
        }
}

static void test_defaults(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        assert_int_equal(settings_init(&settings), 0);
        assert_string_equal(settings.model_path, "/usr/share/mulm/models/mulm-28m.q8_0.gguf");
        assert_int_equal(settings.threads, 0);
        assert_int_equal(settings.min_words, 4);
        assert_int_equal(settings.max_words, 8);
        assert_true(settings.confidence == SETTINGS_OF_MODEL);
        assert_int_equal(settings.seed, 0);
        assert_int_equal(settings.n_endpoint_names, 0);
        assert_null(settings.endpoint_names[0]);
        assert_true(settings.first_text_sec == 5 && settings.gap_sec == 5 && settings.connect_sec == 5);
        assert_true(settings.total_sec == 60);
        assert_int_equal(settings.requests, 16);
        assert_int_equal(settings.requests_per_caller, 4);
        assert_int_equal(settings.prompt_bytes, 16384);
        assert_int_equal(settings.n_endpoints, 0);

        set(&settings, E, "Model", "m");
        assert_int_equal(settings.endpoints[0].prefill, SETTINGS_PREFILL_AUTO);
        assert_int_equal(settings.endpoints[0].http, SETTINGS_HTTP_2);
        assert_int_equal(settings.endpoints[0].max_tokens, 400);
        assert_string_equal(settings.endpoints[0].dialect, "chat");
        assert_non_null(dialect_find(settings.endpoints[0].dialect));
        assert_null(settings.endpoints[0].url);
}

static void test_every_key_is_taken(void **state)
{
        _cleanup_(settings_done) struct settings settings;
        const struct settings_endpoint *endpoint;

        (void)state;
        assert_int_equal(settings_init(&settings), 0);
        set(&settings, "Model", "Path", "/m.gguf");
        set(&settings, "Model", "Threads", "2");
        set(&settings, "Opener", "MinWords", "3");
        set(&settings, "Opener", "MaxWords", "6");
        set(&settings, "Opener", "Adaptive", "no");
        set(&settings, "Opener", "WordsPerSecond", "3.5");
        set(&settings, "Opener", "Confidence", "0.5");
        set(&settings, "Opener", "Seed", "4294967295");
        set(&settings, "Cloud", "Endpoints", "primary  backup,third");
        set(&settings, "Cloud", "Hedge", "yes");
        set(&settings, "Cloud", "Prompts", "/prompts");
        set(&settings, "Cloud", "ConnectSec", "1.5");
        set(&settings, "Cloud", "FirstTextSec", "900ms");
        set(&settings, "Cloud", "GapSec", "2 s");
        set(&settings, "Cloud", "TotalSec", "2min");
        set(&settings, "Limits", "Requests", "3");
        set(&settings, "Limits", "RequestsPerCaller", "2");
        set(&settings, "Limits", "PromptBytes", "1000");
        set(&settings, E, "URL", "https://host:8443/v1//");
        set(&settings, E, "Dialect", "chat");
        set(&settings, E, "Model", "some model");
        set(&settings, E, "KeyCredential", "key.primary");
        set(&settings, "Endpoint backup", "KeyFile", "/etc/mulm/key");
        set(&settings, E, "CAFile", "/ca.pem");
        set(&settings, E, "Prefill", "no");
        set(&settings, E, "HTTP", "2-prior-knowledge");
        set(&settings, E, "MaxTokens", "77");
        set(&settings, E, "ExtraBody", "{\"a\": \";x\"}");

        assert_string_equal(settings.model_path, "/m.gguf");
        assert_int_equal(settings.threads, 2);
        assert_int_equal(settings.min_words, 3);
        assert_int_equal(settings.max_words, 6);
        assert_int_equal(settings.adaptive, 0);
        assert_true(settings.words_per_second == 3.5);
        assert_true(settings.confidence == 0.5);
        assert_int_equal(settings.seed, 4294967295);
        assert_int_equal(settings.hedge, 1);
        assert_string_equal(settings.prompts_path, "/prompts");
        assert_int_equal(settings.n_endpoint_names, 3);
        assert_string_equal(settings.endpoint_names[2], "third");
        assert_null(settings.endpoint_names[3]);
        assert_true(settings.connect_sec == 1.5 && settings.first_text_sec == 0.9 && settings.gap_sec == 2);
        assert_true(settings.total_sec == 120);
        assert_int_equal(settings.requests, 3);
        assert_int_equal(settings.requests_per_caller, 2);
        assert_int_equal(settings.prompt_bytes, 1000);
        assert_int_equal(settings.n_endpoints, 2);
        endpoint = settings_find_endpoint(&settings, "primary");
        assert_non_null(endpoint);
        assert_string_equal(endpoint->url, "https://host:8443/v1");
        assert_string_equal(endpoint->model, "some model");
        assert_string_equal(endpoint->key_credential, "key.primary");
        assert_string_equal(endpoint->ca_file, "/ca.pem");
        assert_int_equal(endpoint->prefill, SETTINGS_PREFILL_NO);
        assert_int_equal(endpoint->http, SETTINGS_HTTP_2_PRIOR_KNOWLEDGE);
        assert_int_equal(endpoint->max_tokens, 77);
        assert_string_equal(endpoint->extra_body, "{\"a\": \";x\"}");
        assert_string_equal(settings_find_endpoint(&settings, "backup")->key_file, "/etc/mulm/key");
        assert_null(settings_find_endpoint(&settings, "third"));
}

static void test_later_wins_and_empty_restores_the_default(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        assert_int_equal(settings_init(&settings), 0);
        set(&settings, "Opener", "MaxWords", "6");
        set(&settings, "Opener", "MaxWords", "7");
        assert_int_equal(settings.max_words, 7);
        set(&settings, "Opener", "MaxWords", "");
        assert_int_equal(settings.max_words, 8);
        set(&settings, "Cloud", "Endpoints", "a b");
        set(&settings, "Cloud", "Endpoints", "");
        assert_int_equal(settings.n_endpoint_names, 0);
        set(&settings, E, "CAFile", "/ca.pem");
        set(&settings, E, "CAFile", "");
        assert_null(settings.endpoints[0].ca_file);
}

static void test_wrong_values_are_refused_by_name(void **state)
{
        static const struct {
                const char *section, *key, *value;
        } bad[] = {
                { "Model", "Path", "relative.gguf" },
                { "Model", "Path", "/" },
                { "Model", "Threads", "65" },
                { "Model", "Threads", "-1" },
                { "Model", "Threads", "1.0" },
                { "Model", "Threads", "0x2" },
                { "Opener", "MinWords", "0" },
                { "Opener", "MaxWords", "33" },
                { "Opener", "Confidence", "1.1" },
                { "Opener", "Confidence", "nan" },
                { "Opener", "Confidence", "1e-1" },
                { "Opener", "Confidence", "." },
                { "Opener", "Confidence", "0,5" },
                { "Opener", "Seed", "4294967296" },
                { "Opener", "Seed", "18446744073709551616" },
                { "Cloud", "Endpoints", "a a" },
                { "Cloud", "Endpoints", "a/b" },
                { "Cloud", "GapSec", "0" },
                { "Cloud", "GapSec", "5h" },
                { "Cloud", "GapSec", "s" },
                { "Cloud", "TotalSec", "61min" },
                { "Cloud", "GapSec", "1.2.3" },
                { "Limits", "PromptBytes", "1048577" },
                { E, "URL", "ftp://host/" },
                { E, "URL", "https://" },
                { E, "URL", "host/v1" },
                { E, "URL", "https://user:secret@host/" },
                { E, "URL", "https://host:0/" },
                { E, "URL", "https://host:65536/" },
                { E, "URL", "https://host/v1?key=x" },
                { E, "URL", "https://ho st/" },
                { E, "URL", "https://[::1/" },
                { E, "KeyCredential", "../key" },
                { E, "KeyCredential", "a/b" },
                { E, "KeyFile", "key" },
                { E, "Prefill", "maybe" },
                { E, "Prefill", "Auto" },
                { E, "HTTP", "3" },
                { E, "Dialect", "gopher" },
                { E, "MaxTokens", "0" },
                { E, "ExtraBody", "[1]" },
                { E, "ExtraBody", "{\"a\":}" },
                { E, "ExtraBody", "{} x" },
                { "Endpoint a/b", "URL", "https://h" },
                { "Endpoint ", "URL", "https://h" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_refused(bad[i].section, bad[i].key, bad[i].value, NULL);
        assert_refused("Opener", "MinWords", "many",
                       "mulmd.conf:12: [Opener] MinWords: \"many\" is no whole number from 1 to 32");
        assert_refused(
                "Cloud", "GapSec", "5h",
                "mulmd.conf:12: [Cloud] GapSec: \"5h\" is no time in seconds (or with s, ms, min) from 0.01 to 300");
        assert_refused(E, "HTTP", "3",
                       "mulmd.conf:12: [" E "] HTTP: \"3\" is none of \"2\", \"2-prior-knowledge\", \"1.1\"");
        assert_refused(E, "ExtraBody", "x", "mulmd.conf:12: [" E "] ExtraBody: wanted is a JSON object");
}

static void test_urls(void **state)
{
        static const char *const good[] = {
                "http://127.0.0.1:8080/v1", "https://api.example.com/v1", "HTTPS://h",
                "http://[::1]:8080/v1",     "https://h/a;b/%20c",         "http://localhost"
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                if (!value_is_url(good[i]))
                        fail_msg("%s", good[i]);
}

static void test_unknown_names_are_refused_with_the_nearest(void **state)
{
        (void)state;
        assert_refused("Opener", "MinWord", "4", "mulmd.conf:12: [Opener] MinWord: unknown key; is MinWords meant?");
        assert_refused("Opener", "minwords", "4",
                       "mulmd.conf:12: [Opener] minwords: unknown key; is MinWords meant?");
        assert_refused("Opener", "Whisper", "yes", "mulmd.conf:12: [Opener] Whisper: unknown key");
        assert_refused("Model", "KeepWarm", "yes", "mulmd.conf:12: [Model] KeepWarm: unknown key");
        assert_refused("Openers", "MinWords", "4", "mulmd.conf:12: [Openers]: unknown section; is [Opener] meant?");
        assert_refused("Conversation", "MaxTurns", "4", "mulmd.conf:12: [Conversation]: unknown section");
        assert_refused("", "MaxTurns", "4", "mulmd.conf:12: []: unknown section");
        assert_refused(E, "Url", "x", "mulmd.conf:12: [" E "] Url: unknown key; is URL meant?");
}

static void test_no_sentence_quotes_a_key(void **state)
{
        static const char *const keys[] = { "Key", "KeyFile", "KeyCredential", "URL", "ExtraBody", "CAFile" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                _cleanup_(settings_done) struct settings settings;
                _cleanup_(buf_done) struct buf error = BUF_NULL;

                assert_int_equal(settings_init(&settings), 0);
                assert_int_equal(settings_set(&settings, E, keys[i], "sk-secret/../", &place, &error), -EINVAL);
                assert_null(strstr(error.data, "secret"));
        }
}

static void assert_check(struct settings *settings, const char *sentences)
{
        _cleanup_(buf_done) struct buf error = BUF_NULL;

        assert_int_equal(settings_check(settings, &error), *sentences ? -EINVAL : 0);
        assert_string_equal(buf_string(&error), sentences);
}

static void test_what_only_the_whole_shows(void **state)
{
        _cleanup_(settings_done) struct settings settings;

        (void)state;
        assert_int_equal(settings_init(&settings), 0);
        assert_check(&settings, "");
        set(&settings, "Opener", "MinWords", "9");
        set(&settings, "Cloud", "TotalSec", "4");
        assert_check(&settings, "mulmd.conf:12: [Opener] MinWords: 9 is above MaxWords, which is 8\n"
                                "mulmd.conf:12: [Cloud] FirstTextSec: 5 is above TotalSec, which is 4");
        set(&settings, "Opener", "MinWords", "");
        set(&settings, "Cloud", "TotalSec", "");
        set(&settings, "Cloud", "Endpoints", "primary backup");
        set(&settings, E, "MaxTokens", "10");
        assert_check(&settings, "mulmd.conf:12: [Cloud] Endpoints: there is no section [Endpoint backup]\n"
                                "mulmd.conf:12: [" E "] URL: missing");
        set(&settings, "Cloud", "Endpoints", "primary");
        set(&settings, E, "URL", "https://host");
        assert_check(&settings, "mulmd.conf:12: [" E "] Model: missing");
        set(&settings, E, "Model", "m");
        assert_check(&settings, "");
        set(&settings, E, "KeyFile", "/key");
        set(&settings, E, "KeyCredential", "key");
        assert_check(&settings, "mulmd.conf:12: [" E
                                "] KeyFile: there is a KeyCredential too; only one of them can hold the key");
}

/* Feeds text in the form that settings_print() and mulmd.conf have; with `uncomment`, takes "#Key=" as "Key=". */
static void feed(struct settings *settings, const char *text, bool uncomment)
{
        _cleanup_free_ char *copy = strdup(text), *section = strdup("");
        char *rest = copy;

        for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
                char *value;

                if (uncomment && line[0] == '#' && line[1] != ' ')
                        line++;
                if (line[0] == '[') {
                        free(section);
                        section = strndup(line + 1, strcspn(line + 1, "]"));
                }
                value = strchr(line, '=');
                if (line[0] == '#' || line[0] == '[' || !value)
                        continue;
                *value = '\0';
                set(settings, section, line, value + 1);
        }
}

static void test_print_reads_back_the_same(void **state)
{
        _cleanup_(settings_done) struct settings settings, back;
        _cleanup_(buf_done) struct buf text = BUF_NULL, again = BUF_NULL;

        (void)state;
        assert_int_equal(settings_init(&settings), 0);
        assert_int_equal(settings_init(&back), 0);
        set(&settings, "Cloud", "FirstTextSec", "333ms");
        set(&settings, "Cloud", "Endpoints", "b primary");
        set(&settings, E, "URL", "https://host/v1/");
        set(&settings, E, "HTTP", "1.1");
        set(&settings, "Endpoint b", "ExtraBody", "{\"a\": 1}");
        assert_int_equal(settings_print(&settings, &text), 0);
        assert_non_null(strstr(text.data, "[Cloud]\nEndpoints=b primary\n"));
        assert_non_null(strstr(text.data, "\n\n[Endpoint primary]\nURL=https://host/v1\n"));
        feed(&back, text.data, false);
        assert_int_equal(settings_print(&back, &again), 0);
        assert_string_equal(text.data, again.data);
}

static void test_the_example_shows_every_key_at_its_default(void **state)
{
        _cleanup_(settings_done) struct settings settings, example;
        _cleanup_(buf_done) struct buf path = BUF_NULL, wanted = BUF_NULL, got = BUF_NULL;
        static const char *const empty[] = { "#Endpoints=\n", "#URL=\n",    "#Model=\n",    "#KeyCredential=\n",
                                             "#KeyFile=\n",   "#CAFile=\n", "#ExtraBody=\n" };
        char text[8192];
        FILE *file;
        size_t n;

        (void)state;
        assert_int_equal(buf_printf(&path, "%s/config/mulmd.conf", getenv("MULM_SOURCE_ROOT")), 0);
        file = fopen(path.data, "re");
        assert_non_null(file);
        n = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        text[n] = '\0';

        assert_int_equal(settings_init(&settings), 0);
        assert_int_equal(settings_init(&example), 0);
        feed(&example, text, true);
        set(&settings, E, "Dialect", "");
        assert_int_equal(settings_print(&settings, &wanted), 0);
        assert_int_equal(settings_print(&example, &got), 0);
        assert_string_equal(wanted.data, got.data);

        for (char *line = wanted.data; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                char key[128];

                (void)snprintf(key, sizeof(key), "\n#%.*s", (int)strcspn(line, "\n"), line);
                if (strchr(key, '=') && key[2] != 'E')
                        assert_non_null(strstr(text, key));
        }
        for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
                assert_non_null(strstr(text, empty[i]));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_every_key_is_taken),
                cmocka_unit_test(test_later_wins_and_empty_restores_the_default),
                cmocka_unit_test(test_wrong_values_are_refused_by_name),
                cmocka_unit_test(test_urls),
                cmocka_unit_test(test_unknown_names_are_refused_with_the_nearest),
                cmocka_unit_test(test_no_sentence_quotes_a_key),
                cmocka_unit_test(test_what_only_the_whole_shows),
                cmocka_unit_test(test_print_reads_back_the_same),
                cmocka_unit_test(test_the_example_shows_every_key_at_its_default),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
