/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The whole path for a test. See mulmd-fixture.h.
 */
#include "tests/integration/mulmd-fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

#define ARGUMENTS_MAX 16

int mulmd_set_up_group(void **state)
{
        struct mulmd_fixture *fixture = calloc(1, sizeof(*fixture));
        _cleanup_free_ char *bus_address = NULL, *script = NULL;

        assert_non_null(fixture);
        memcpy(fixture->folder, MULMD_FOLDER, sizeof(MULMD_FOLDER));
        assert_non_null(mkdtemp(fixture->folder));
        assert_true(asprintf(&script, "%s/tests/support/certificates.sh", getenv("MULM_SOURCE_ROOT")) > 0);
        free(process_run((const char *[]){ script, fixture->folder, NULL }, NULL));
        fixture->dbus_daemon = process_spawn(
                (const char *[]){ "dbus-daemon", "--session", "--nofork", "--print-address", NULL }, NULL);
        bus_address = process_expect(fixture->dbus_daemon, PROCESS_STREAM_OUTPUT, "^(unix:.*)\n");
        assert_true(asprintf(&fixture->address, "--address=%s", bus_address) > 0);
        *state = fixture;
        return 0;
}

int mulmd_tear_down_group(void **state)
{
        struct mulmd_fixture *fixture = *state;

        process_free(fixture->dbus_daemon);
        free(process_run((const char *[]){ "rm", "-r", fixture->folder, NULL }, NULL));
        free(fixture->address);
        free(fixture);
        return 0;
}

/* That mulmd ends well also says that no sanitizer found anything. */
int mulmd_tear_down(void **state)
{
        struct mulmd_fixture *fixture = *state;

        cJSON_Delete(fixture->answer);
        fixture->answer = NULL;
        fixture->settings = fixture->endpoint = NULL;
        if (fixture->mulmd) {
                process_signal(fixture->mulmd, SIGTERM);
                assert_int_equal(process_wait(fixture->mulmd), 0);
        }
        fixture->mulmd = process_free(fixture->mulmd);
        for (size_t i = 0; i < ARRAY_SIZE(fixture->servers); i++)
                fixture->servers[i] = process_free(fixture->servers[i]);
        return 0;
}

char *mulmd_serve(const struct mulmd_fixture *fixture, const char *const before[], struct process **ret_server,
                  const char *scenario)
{
        _cleanup_free_ char *script = NULL, *chain = NULL, *key = NULL;
        const char *argv[ARGUMENTS_MAX] = { NULL };
        size_t n = 0;

        assert_true(asprintf(&script, "%s/tests/support/h2server.py", getenv("MULM_SOURCE_ROOT")) > 0);
        assert_true(asprintf(&chain, "%s/good.pem", fixture->folder) > 0);
        assert_true(asprintf(&key, "%s/good.key", fixture->folder) > 0);
        for (; before && before[n]; n++)
                argv[n] = before[n];
        assert_true(n + 8 < ARGUMENTS_MAX);
        memcpy(&argv[n],
               (const char *[]){ script, scenario, "--address", before ? "0.0.0.0" : "127.0.0.1", "--tls", chain,
                                 key },
               7 * sizeof(*argv));
        *ret_server = process_spawn(argv, NULL);
        return process_expect(*ret_server, PROCESS_STREAM_OUTPUT, "\"port\": ([0-9]+)\\}");
}

static void add_endpoint(const struct mulmd_fixture *fixture, FILE *file, const char *name, const char *host,
                         const char *port)
{
        fprintf(file, "[Endpoint %s]\nURL=https://%s:%s/v1\nCAFile=%s/ca.pem\nModel=m\n%s\n", name, host, port,
                fixture->folder, fixture->endpoint ? fixture->endpoint : "Prefill=yes");
}

void mulmd_run(struct mulmd_fixture *fixture, const char *host, const char *port, const char *backup_port)
{
        _cleanup_free_ char *path = NULL;
        FILE *file;

        assert_true(asprintf(&path, "%s/mulmd.conf", fixture->folder) > 0);
        file = fopen(path, "we");
        assert_non_null(file);
        fprintf(file, "[Model]\nPath=%s/models/mulm-28m.q8_0.gguf\n", getenv("MULM_SOURCE_ROOT"));
        fprintf(file, "[Cloud]\nEndpoints=primary%s\n%s\n", backup_port ? " backup" : "",
                fixture->settings ? fixture->settings : "FirstTextSec=20\nGapSec=0.3");
        add_endpoint(fixture, file, "primary", host, port);
        if (backup_port)
                add_endpoint(fixture, file, "backup", host, backup_port);
        assert_int_equal(fclose(file), 0);
        fixture->mulmd =
                process_spawn((const char *[]){ getenv("MULMD"), fixture->address, "--config", path, NULL }, NULL);
        free(process_expect(fixture->mulmd, PROCESS_STREAM_ERROR, "Serving on .*\n"));
}

void mulmd_start(struct mulmd_fixture *fixture, const char *scenario, const char *backup)
{
        _cleanup_free_ char *port = mulmd_serve(fixture, NULL, &fixture->servers[0], scenario);
        _cleanup_free_ char *other = backup ? mulmd_serve(fixture, NULL, &fixture->servers[1], backup) : NULL;

        mulmd_run(fixture, "localhost", port, other);
}

struct process *mulmd_ask(struct mulmd_fixture *fixture)
{
        return process_spawn((const char *[]){ getenv("MULMCTL"), fixture->address, "ask", "--json=short",
                                               "What is the capital of Australia?", NULL },
                             NULL);
}

static const char *string(const cJSON *object, const char *key)
{
        const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));

        assert_non_null(value);
        return value;
}

void mulmd_take_answer(struct mulmd_fixture *fixture, struct process *asking)
{
        assert_int_equal(process_wait(asking), 0);
        cJSON_Delete(fixture->answer);
        fixture->answer = cJSON_Parse(process_output(asking, PROCESS_STREAM_OUTPUT));
        assert_non_null(fixture->answer);
        process_free(asking);
}

const char *mulmd_answer_string(const struct mulmd_fixture *fixture, const char *key)
{
        return string(fixture->answer, key);
}

void mulmd_expect_answer(struct mulmd_fixture *fixture, struct process *asking, const char *rest)
{
        _cleanup_(buf_done) struct buf whole = BUF_NULL;

        mulmd_take_answer(fixture, asking);
        assert_int_equal(buf_printf(&whole, "%s%s", mulmd_answer_string(fixture, "opener"), rest), 0);
        assert_string_equal(mulmd_answer_string(fixture, "text"), whole.data);
        assert_string_equal(mulmd_answer_string(fixture, "outcome"), "complete");
}

void mulmd_expect_reply(struct mulmd_fixture *fixture, const char *rest)
{
        mulmd_expect_answer(fixture, mulmd_ask(fixture), rest);
}

int mulmd_n_attempts(const struct mulmd_fixture *fixture)
{
        return cJSON_GetArraySize(cJSON_GetObjectItem(fixture->answer, "attempts"));
}

void mulmd_expect_attempt(const struct mulmd_fixture *fixture, int n, const char *endpoint, int status,
                          const char *reason)
{
        const cJSON *attempt = cJSON_GetArrayItem(cJSON_GetObjectItem(fixture->answer, "attempts"), n);

        assert_string_equal(string(attempt, "endpoint"), endpoint);
        assert_int_equal((int)cJSON_GetNumberValue(cJSON_GetObjectItem(attempt, "status")), status);
        assert_string_equal(string(attempt, "reason"), reason);
}
