/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A real peer: llama.cpp's server with SmolLM2 behind nghttpx, which gives it TLS and HTTP/2. Skipped where they are
 * not at hand: $MULM_LLAMA_BIN names the folder with llama-server. None is built here, since that takes long.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "tests/integration/mulmd-fixture.h"
#include "tests/support/test.h"

#define PATIENCE "FirstTextSec=100\nGapSec=100\nTotalSec=200"

/* Why there is no peer; NULL: there is one. */
static const char *lacking(char server[static 512], char **ret_model)
{
        const char *folder = getenv("MULM_LLAMA_BIN"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

        if (!folder)
                return "MULM_LLAMA_BIN is not set";
        (void)snprintf(server, 512, "%s/llama-server", folder);
        if (access(server, X_OK) < 0)
                return "MULM_LLAMA_BIN has no llama-server";
        if (access("/usr/sbin/nghttpx", X_OK) < 0)
                return "nghttpx is not installed";
        assert_true(asprintf(ret_model, "%s%s/mulm/SmolLM2-135M-Instruct.Q4_1.gguf",
                             cache  ? cache
                             : home ? home
                                    : "",
                             cache ? "" : "/.cache") > 0);
        return access(*ret_model, R_OK) < 0 ? "SmolLM2 was not fetched (tests/support/fetch-smollm2)" : NULL;
}

/* One that nobody listens on just now. */
static unsigned find_port(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_return_code(fd, 0);
        assert_return_code(bind(fd, (struct sockaddr *)&address, n), 0);
        assert_return_code(getsockname(fd, (struct sockaddr *)&address, &n), 0);
        close(fd);
        return ntohs(address.sin_port);
}

static void start_peer(struct mulmd_fixture *fixture, const char *server, const char *model)
{
        unsigned port = find_port(), front = find_port();
        char *numbers[2], *frontend, *backend, *key, *certificate;

        assert_true(asprintf(&numbers[0], "%u", port) > 0);
        assert_true(asprintf(&numbers[1], "%u", front) > 0);
        assert_true(asprintf(&frontend, "-f127.0.0.1,%u", front) > 0);
        assert_true(asprintf(&backend, "-b127.0.0.1,%u", port) > 0);
        assert_true(asprintf(&key, "%s/good.key", fixture->folder) > 0);
        assert_true(asprintf(&certificate, "%s/good.pem", fixture->folder) > 0);
        fixture->servers[0] =
                process_spawn((const char *[]){ server, "-m", model, "--host", "127.0.0.1", "--port", numbers[0],
                                                "-c", "2048", "-np", "1", "-t", "2", "--no-warmup", NULL },
                              NULL);
        free(process_expect(fixture->servers[0], PROCESS_STREAM_ERROR, "server is listening"));
        fixture->servers[1] = process_spawn((const char *[]){ "/usr/sbin/nghttpx", "--conf=/dev/null", "--workers=1",
                                                              "--errorlog-file=/dev/stderr", "-LNOTICE", "--no-ocsp",
                                                              frontend, backend, key, certificate, NULL },
                                            NULL);
        free(process_expect(fixture->servers[1], PROCESS_STREAM_ERROR, "Listening on"));
        mulmd_run(fixture, "localhost", numbers[1], NULL);
        free(numbers[0]);
        free(numbers[1]);
        free(frontend);
        free(backend);
        free(key);
        free(certificate);
}

static const char *string(const cJSON *object, const char *key)
{
        const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));

        assert_non_null(value);
        return value;
}

/* What the model says is its own; but it is one text, begun by the opener and ended by the peer in this form. */
static void reply(struct mulmd_fixture *fixture, const char *prefill, const char *form)
{
        char server[512];
        char *model = NULL;
        const char *why = lacking(server, &model), *opener, *text;
        struct process *asking;
        cJSON *answer;

        if (why) {
                print_message("skipped: %s\n", why);
                free(model);
                skip();
        }
        fixture->settings = PATIENCE;
        fixture->prefill = prefill;
        start_peer(fixture, server, model);
        free(model);
        asking = mulmd_ask(fixture);
        assert_int_equal(process_wait(asking), 0);
        answer = cJSON_Parse(process_output(asking, PROCESS_STREAM_OUTPUT));
        process_free(asking);
        assert_non_null(answer);
        opener = string(answer, "opener");
        text = string(answer, "text");
        assert_true(strlen(opener) > 0 && strlen(text) > strlen(opener));
        assert_memory_equal(text, opener, strlen(opener));
        assert_null(strstr(text + strlen(opener), opener));
        assert_string_equal(string(answer, "outcome"), "complete");
        assert_string_equal(string(cJSON_GetArrayItem(cJSON_GetObjectItem(answer, "attempts"), 0), "form"), form);
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(answer, "attempts")), 1);
        cJSON_Delete(answer);
}

static void test_llama_cpp_goes_on_from_a_prefill(void **state)
{
        reply(*state, "yes", "prefill");
}

static void test_llama_cpp_goes_on_by_instruction(void **state)
{
        reply(*state, "no", "instruction");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_llama_cpp_goes_on_from_a_prefill, mulmd_tear_down),
                cmocka_unit_test_teardown(test_llama_cpp_goes_on_by_instruction, mulmd_tear_down),
        };

        return cmocka_run_group_tests(tests, mulmd_set_up_group, mulmd_tear_down_group);
}
