/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include "tests/support/continuator.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/test.h"
#include "tests/support/text.h"

#define ARGUMENTS_MAX 32

static void append(const char *argv[], const char *const more[])
{
        size_t n = 0;

        while (argv[n])
                n++;
        for (; *more; more++) {
                assert_true(n < ARGUMENTS_MAX - 1);
                argv[n++] = *more;
        }
}

static const char *environment(const char *name)
{
        const char *value = getenv(name);

        assert_non_null(value);
        return value;
}

void continuator_start(struct continuator *continuator, const char *const options[])
{
        _cleanup_free_ char *model = text_format("%s/models/mulm-28m.q8_0.gguf", environment("MULM_SOURCE_ROOT"));
        const char *argv[ARGUMENTS_MAX] = {
                environment("CONTINUATOR"), "--model", model, "--threads", "1", "--trace"
        };

        append(argv, options);
        continuator->process = process_spawn(argv, NULL);
        continuator->url = process_expect(continuator->process, PROCESS_STREAM_OUTPUT, "^listening on (.*/v1)$");
}

static void make_folder(struct continuator *continuator)
{
        if (continuator->folder)
                return;
        continuator->folder = text_format("/tmp/mulm-test.XXXXXX");
        assert_non_null(mkdtemp(continuator->folder));
}

void continuator_start_tls(struct continuator *continuator)
{
        _cleanup_free_ char *output = NULL;

        make_folder(continuator);
        continuator->certificate = text_format("%s/certificate.pem", continuator->folder);
        continuator->key = text_format("%s/key.pem", continuator->folder);
        output = process_run((const char *[]){ "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                               "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                                               "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                                               continuator->key, "-out", continuator->certificate, NULL },
                             NULL);
        continuator_start(continuator, (const char *[]){ "--tls", continuator->certificate, continuator->key, NULL });
}

void continuator_done(struct continuator *continuator)
{
        process_free(continuator->process);
        if (continuator->folder)
                free(process_run((const char *[]){ "rm", "-r", continuator->folder, NULL }, NULL));
        free(continuator->url);
        free(continuator->folder);
        free(continuator->certificate);
        free(continuator->key);
        *continuator = CONTINUATOR_NULL;
}

char *continuator_write(struct continuator *continuator, const char *name, const char *text)
{
        char *path;
        FILE *file;

        make_folder(continuator);
        path = text_format("%s/%s", continuator->folder, name);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
        return path;
}

char *continuator_post(const struct continuator *continuator, const char *path, const char *body,
                       const char *const options[])
{
        _cleanup_free_ char *url = text_format("%s%s", continuator->url, path);
        const char *argv[ARGUMENTS_MAX] = {
                "curl",        "--silent",
                "--no-buffer", "--http2-prior-knowledge",
                "--write-out", "\n%{http_code}\n",
                "--url",       url,
                "--data",      body,
        };

        append(argv, options);
        return process_run(argv, NULL);
}
