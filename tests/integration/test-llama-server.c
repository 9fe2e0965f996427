/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A cloud that nobody scripted: llama.cpp's server with SmolLM2 behind nghttpx, which speaks TLS and HTTP/2, and
 * mulmd with its own model on a private bus. Skipped where one of the peers is not to be had: llama.cpp is built by
 * tests/support/build-llama (or is where MULM_LLAMA_BIN says), SmolLM2 is fetched by tests/support/fetch-smollm2.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "tests/integration/mulmd-fixture.h"
#include "tests/support/cache.h"
#include "tests/support/test.h"

#define LLAMA_VERSION "0.3.36" /* of llama-cpp-python, as in tests/support/build-llama */
#define SMOLLM2       "SmolLM2-135M-Instruct.Q4_1.gguf"

struct peers {
        struct mulmd_fixture *mulmd;
        struct process *llama, *front;
        char *port; /* of the front */
};

_printf_(1, 2) static char *format(const char *format, ...)
{
        va_list arguments;
        char *text;

        va_start(arguments, format);
        assert_true(vasprintf(&text, format, arguments) > 0);
        va_end(arguments);
        return text;
}

/* ------------------------------------------------------------------------------------------------- the peers */

/* nghttpx wants to be told one. */
static char *free_port(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
        close(fd);
        return format("%d", ntohs(address.sin_port));
}

static char *llama_program(void)
{
        const char *folder = getenv("MULM_LLAMA_BIN");

        return folder ? format("%s/llama-server", folder)
                      : cache_path("llama.cpp-" LLAMA_VERSION "/bin/llama-server");
}

/* One thread: two that wait for each other by spinning take seconds where other tests run beside. */
static struct process *start_llama(const char *folder)
{
        _cleanup_free_ char *program = llama_program(), *model = cache_path(SMOLLM2);
        _cleanup_free_ char *socket_path = format("%s/llama.sock", folder);
        struct process *llama = process_spawn((const char *[]){ program, "-m", model, "--host", socket_path, "-c",
                                                                "2048", "-np", "1", "-t", "1", "--no-webui", NULL },
                                              NULL);

        free(process_expect(llama, PROCESS_STREAM_ERROR, "listening on unix"));
        return llama;
}

static struct process *start_front(const char *folder, const char *port)
{
        _cleanup_free_ char *frontend = format("--frontend=127.0.0.1,%s", port);
        _cleanup_free_ char *backend = format("--backend=unix:%s/llama.sock", folder);
        _cleanup_free_ char *key = format("%s/good.key", folder), *chain = format("%s/good.pem", folder);
        struct process *front = process_spawn(
                (const char *[]){ "nghttpx", "--conf=/dev/null", frontend, backend, key, chain, NULL }, NULL);

        free(process_expect(front, PROCESS_STREAM_ERROR, "Created worker thread"));
        return front;
}

static int set_up_group(void **state)
{
        struct peers *peers = calloc(1, sizeof(*peers));
        void *mulmd;

        assert_non_null(peers);
        assert_int_equal(mulmd_set_up_group(&mulmd), 0);
        peers->mulmd = mulmd;
        peers->llama = start_llama(peers->mulmd->folder);
        peers->port = free_port();
        peers->front = start_front(peers->mulmd->folder, peers->port);
        *state = peers;
        return 0;
}

static int tear_down_group(void **state)
{
        struct peers *peers = *state;
        void *mulmd = peers->mulmd;

        process_free(peers->front);
        process_free(peers->llama);
        mulmd_tear_down_group(&mulmd);
        free(peers->port);
        free(peers);
        return 0;
}

static int tear_down(void **state)
{
        struct peers *peers = *state;
        void *mulmd = peers->mulmd;

        return mulmd_tear_down(&mulmd);
}

/* --------------------------------------------------------------------------------------------------- replies */

static void start(struct peers *peers, const char *endpoint)
{
        peers->mulmd->settings = "FirstTextSec=25\nGapSec=25";
        peers->mulmd->endpoint = endpoint;
        mulmd_run(peers->mulmd, "localhost", peers->port, NULL);
}

/* The opener, once and at the front, and more behind it. */
static void expect_continued(const struct mulmd_fixture *fixture, const char *outcome)
{
        const char *text = mulmd_answer_string(fixture, "text"), *opener = mulmd_answer_string(fixture, "opener");

        assert_string_equal(mulmd_answer_string(fixture, "outcome"), outcome);
        assert_true(*opener);
        assert_int_equal(strncmp(text, opener, strlen(opener)), 0);
        assert_true(strlen(text) > strlen(opener) + 10);
        assert_null(strstr(text + strlen(opener), opener));
        assert_null(strstr(text, "  "));
        assert_null(strstr(text, "<|"));
}

static void expect_whole_replies(struct mulmd_fixture *fixture, const char *form)
{
        for (unsigned i = 0; i < 2; i++) { /* the second on a warm connection */
                const cJSON *attempt;

                mulmd_take_answer(fixture, mulmd_ask(fixture));
                expect_continued(fixture, "complete");
                assert_int_equal(mulmd_n_attempts(fixture), 1);
                attempt = cJSON_GetArrayItem(cJSON_GetObjectItem(fixture->answer, "attempts"), 0);
                assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(attempt, "status")), 200);
                assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(attempt, "form")), form);
        }
}

static void test_sentence_is_continued_from_a_prefill(void **state)
{
        struct peers *peers = *state;

        start(peers, "Prefill=yes\nMaxTokens=24\nExtraBody={\"temperature\": 0}");
        expect_whole_replies(peers->mulmd, "prefill");
}

static void test_sentence_is_continued_by_instruction(void **state)
{
        struct peers *peers = *state;

        start(peers, "Prefill=no\nMaxTokens=24\nExtraBody={\"temperature\": 0}");
        expect_whole_replies(peers->mulmd, "instruction");
}

/* Behind a gateway that lives on and answers in its place. */
static void test_sentence_is_finished_when_the_server_is_killed(void **state)
{
        struct peers *peers = *state;
        struct process *asking;

        start(peers, "Prefill=yes\nMaxTokens=200\nExtraBody={\"temperature\": 0, \"ignore_eos\": true}");
        asking = process_spawn((const char *[]){ getenv("MULMCTL"), peers->mulmd->address, "ask",
                                                 "What is the capital of Australia?", NULL },
                               NULL);
        free(process_expect(asking, PROCESS_STREAM_OUTPUT, "(.|\n){60}"));
        process_signal(peers->llama, SIGKILL);
        assert_int_equal(process_wait(asking), 0);
        process_free(asking);
        mulmd_take_answer(peers->mulmd, mulmd_ask(peers->mulmd));
        expect_continued(peers->mulmd, "local");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_sentence_is_continued_from_a_prefill, tear_down),
                cmocka_unit_test_teardown(test_sentence_is_continued_by_instruction, tear_down),
                cmocka_unit_test_teardown(test_sentence_is_finished_when_the_server_is_killed, tear_down),
        };
        _cleanup_free_ char *program = llama_program(), *model = cache_path(SMOLLM2);

        if (access(program, X_OK) < 0) {
                printf("1..0 # SKIP llama.cpp's server is not built: tests/support/build-llama builds it\n");
                return EXIT_SUCCESS;
        }
        if (access(model, R_OK) < 0) {
                printf("1..0 # SKIP SmolLM2 is not there: tests/support/fetch-smollm2 fetches it\n");
                return EXIT_SUCCESS;
        }
        return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
