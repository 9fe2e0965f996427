/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the tests of the cloud client share. See cloud-fixture.h.
 */
#include "tests/integration/cloud-fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "tests/support/test.h"

#define DEADLINE_MS 30000

const struct cloud_request cloud_test_request = {
        .path = "/chat/completions",
        .key_header = "Authorization: Bearer ",
        .connect_sec = CLOUD_TEST_CONNECT_SEC,
        .warm_sec = 60,
        .probe_sec = 15,
};

char *format_path(const char *folder, const char *name)
{
        struct buf path = BUF_NULL;

        assert_int_equal(buf_printf(&path, "%s/%s", folder, name), 0);
        return path.data;
}

static void on_deadline(uv_timer_t *handle)
{
        (void)handle;
        fail_msg("nothing came in time");
}

int setup_group(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));
        const char *root = getenv("MULM_SOURCE_ROOT");
        char folder[] = "/tmp/mulmd-test-cloud-XXXXXX";

        assert_non_null(fixture);
        assert_non_null(root);
        assert_non_null(mkdtemp(folder));
        fixture->folder = strdup(folder);
        fixture->server_script = format_path(root, "tests/support/h2server.py");
        fixture->certificate_script = format_path(root, "tests/support/certificates.sh");
        free(process_run((const char *[]){ fixture->certificate_script, folder, NULL }, NULL));
        *state = fixture;
        return 0;
}

int teardown_group(void **state)
{
        struct fixture *fixture = *state;

        free(process_run((const char *[]){ "rm", "-r", fixture->folder, NULL }, NULL));
        free(fixture->folder);
        free(fixture->server_script);
        free(fixture->certificate_script);
        free(fixture);
        return 0;
}

int setup(void **state)
{
        struct fixture *fixture = *state;

        assert_int_equal(uv_loop_init(&fixture->loop), 0);
        uv_timer_init(&fixture->loop, &fixture->deadline);
        uv_timer_start(&fixture->deadline, on_deadline, DEADLINE_MS, 0);
        assert_int_equal(timers_new(&fixture->timers, &fixture->loop), 0);
        assert_int_equal(cloud_new(&fixture->cloud, &fixture->loop, fixture->timers), 0);
        fixture->endpoint = (struct settings_endpoint){ .name = strdup("test") };
        return 0;
}

int teardown(void **state)
{
        struct fixture *fixture = *state;

        cloud_close(fixture->cloud);
        timers_close(fixture->timers);
        uv_close((uv_handle_t *)&fixture->deadline, NULL);
        assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(uv_loop_close(&fixture->loop), 0);
        fixture->server = process_free(fixture->server);
        free(fixture->endpoint.name);
        free(fixture->endpoint.url);
        free(fixture->endpoint.key_file);
        free(fixture->endpoint.ca_file);
        buf_done(&fixture->error);
        return 0;
}

void set_url(struct fixture *fixture, const char *scheme, const char *host, const char *port)
{
        struct buf url = BUF_NULL;

        assert_int_equal(buf_printf(&url, "%s://%s:%s/v1", scheme, host, port), 0);
        free(fixture->endpoint.url);
        fixture->endpoint.url = url.data;
}

char *serve(struct fixture *fixture, const char *scenario, const char *const arguments[])
{
        const char *argv[16] = { fixture->server_script, scenario };
        size_t n = 2;

        for (size_t i = 0; arguments && arguments[i]; i++) {
                assert_true(n + 1 < ARRAY_SIZE(argv));
                argv[n++] = arguments[i];
        }
        fixture->server = process_spawn(argv, NULL);
        return process_expect(fixture->server, PROCESS_STREAM_OUTPUT, "\"port\": ([0-9]+)\\}");
}

void serve_tls(struct fixture *fixture, const char *scenario, const char *certificate, const char *http)
{
        char name[64];
        char *chain, *key, *port;

        snprintf(name, sizeof(name), "%s.pem", certificate);
        chain = format_path(fixture->folder, name);
        snprintf(name, sizeof(name), "%s.key", certificate);
        key = format_path(fixture->folder, name);
        port = serve(fixture, scenario, (const char *[]){ "--tls", chain, key, "--http", http, NULL });
        fixture->endpoint.ca_file = format_path(fixture->folder, "ca.pem");
        set_url(fixture, "https", "localhost", port);
        free(chain);
        free(key);
        free(port);
}

void serve_plain(struct fixture *fixture, const char *scenario, const char *http)
{
        char *port = serve(fixture, scenario, (const char *[]){ "--http", http, NULL });

        fixture->endpoint.http = strcmp(http, "2") == 0 ? SETTINGS_HTTP_2_PRIOR_KNOWLEDGE : SETTINGS_HTTP_1_1;
        set_url(fixture, "http", "127.0.0.1", port);
        free(port);
}

static const char *or_dash(const char *text)
{
        return text ? text : "-";
}

void on_cloud(void *userdata, const struct cloud_event *event)
{
        struct heard *heard = userdata;

        assert_int_equal(heard->n_end + heard->n_failed, 0);
        switch (event->type) {
        case CLOUD_EVENT_HEADERS:
                assert_int_equal(heard->n_bytes, 0);
                heard->n_headers++;
                heard->status = event->status;
                snprintf(heard->content_type, sizeof(heard->content_type), "%s", event->content_type);
                snprintf(heard->retry, sizeof(heard->retry), "%s\n%s\n%s\n", or_dash(event->retry.retry_after_ms),
                         or_dash(event->retry.retry_after), or_dash(event->retry.should_retry));
                break;
        case CLOUD_EVENT_BYTES:
                assert_int_equal(heard->n_headers, 1);
                assert_true(event->n_bytes > 0);
                heard->n_bytes++;
                assert_int_equal(buf_add(&heard->body, event->bytes, event->n_bytes), 0);
                if (heard->close_on_bytes)
                        heard->attempt = cloud_attempt_close(heard->attempt);
                break;
        case CLOUD_EVENT_END: heard->n_end++; break;
        case CLOUD_EVENT_FAILED:
                heard->n_failed++;
                heard->failure = event->failure;
                assert_int_equal(buf_add_string(&heard->message, event->message), 0);
                break;
        }
        uv_stop(&heard->fixture->loop);
}

void heard_open(struct heard *heard, struct fixture *fixture)
{
        *heard = (struct heard){ .fixture = fixture };
        assert_int_equal(cloud_open(fixture->cloud, &fixture->endpoint, &cloud_test_request, on_cloud, heard,
                                    &heard->attempt, &fixture->error),
                         0);
}

void heard_done(struct heard *heard)
{
        heard->attempt = cloud_attempt_close(heard->attempt);
        buf_done(&heard->body);
        buf_done(&heard->message);
}

void heard_release(struct heard *heard, const char *text)
{
        struct buf body = BUF_NULL;

        assert_int_equal(buf_add_string(&body, text), 0);
        cloud_release(heard->attempt, &body);
        assert_null(body.data);
}

void run_until(struct fixture *fixture, const unsigned *count, unsigned n)
{
        while (*count < n)
                uv_run(&fixture->loop, UV_RUN_DEFAULT);
}

void run_to_failure(struct heard *heard)
{
        run_until(heard->fixture, &heard->n_failed, 1);
        assert_int_equal(heard->n_end, 0);
        assert_null(strstr(buf_string(&heard->message), CLOUD_TEST_SECRET));
}

static void free_handle(uv_handle_t *handle)
{
        free(handle);
}

static void on_server_output(uv_poll_t *poll, int status, int events)
{
        (void)status;
        (void)events;
        uv_stop(poll->loop);
}

char *run_until_server(struct fixture *fixture, const char *pattern)
{
        uv_poll_t *poll = malloc(sizeof(*poll));
        char *match;

        assert_non_null(poll);
        assert_int_equal(uv_poll_init(&fixture->loop, poll, process_fd(fixture->server, PROCESS_STREAM_OUTPUT)), 0);
        uv_poll_start(poll, UV_READABLE, on_server_output);
        while (!(match = process_match(fixture->server, PROCESS_STREAM_OUTPUT, pattern)))
                uv_run(&fixture->loop, UV_RUN_DEFAULT);
        uv_close((uv_handle_t *)poll, free_handle);
        return match;
}

uint64_t run_until_server_at_us(struct fixture *fixture, const char *event)
{
        char pattern[128];
        char *match;
        uint64_t at_us;

        snprintf(pattern, sizeof(pattern), "^.\"t_us\": ([0-9]+), \"event\": \"%s\".*\n", event);
        match = run_until_server(fixture, pattern);
        at_us = strtoull(match, NULL, 10);
        free(match);
        return at_us;
}

void check_whole_stream(struct heard *heard)
{
        run_until(heard->fixture, &heard->n_end, 1);
        assert_int_equal(heard->n_failed, 0);
        assert_int_equal(heard->status, 200);
        assert_string_equal(heard->content_type, "text/event-stream");
        assert_string_equal(buf_string(&heard->body), "data: one\n\ndata: two\n\n");
}
