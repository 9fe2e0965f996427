/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Every scenario file over sockets: libcurl and the daemon's side of a request against tests/support/player.py, as
 * HTTP/2 with TLS, by prior knowledge, and as HTTP/1.1. Over each, answers are written as the file has them and cut
 * at one place, another for each; and over one of them byte by byte. The engine's words are the scenario's.
 * tests/unit has every cut, without sockets.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "libmulm/base/macro.h"
#include "tests/support/process.h"
#include "tests/support/scenario.h"
#include "tests/support/test.h"

#define DEADLINE_MS 60000
#define N_BYTES     3 /* of the transports, one is used to write byte by byte */
#define FOLDER      "/tmp/mulmd-test-scenarios-XXXXXX"

static const struct transport {
        const char *name, *url;
        const char *http; /* HTTP= of the endpoint */
} transports[] = {
        { "h2", "https://localhost", "2" },
        { "h2c", "http://127.0.0.1", "2-prior-knowledge" },
        { "1.1", "https://localhost", "2" },
        { "plain", "http://127.0.0.1", "1.1" },
};

/* One for the process: the engine's functions take no test as an argument. */
static struct stage {
        char folder[sizeof(FOLDER)];
        struct process *player;
        char *ports[ARRAY_SIZE(transports)];
        unsigned n_runs;

        struct engine_job job; /* submitted, not yet spoken; its prompt is owned */
        bool has_job;
        uv_loop_t loop;
        uv_timer_t deadline, late;
        uv_prepare_t prepare;
        struct play *play;
} stage;

struct play {
        const struct scenario *scenario;
        const struct transport *transport;
        char cut[24], how[64], run[32];
        struct settings settings;
        struct requests *requests;
        struct scenario_heard heard;
};

/* ---------------------------------------------------------------------------------- in place of the daemon's */

/* Each failure would be told, and each is meant. */
void log_line(int level, const struct log_about *about, const char *format, ...)
{
        (void)level;
        (void)about;
        (void)format;
}

int engine_submit(struct engine *engine, struct engine_job *job)
{
        (void)engine;
        stage.job = *job;
        stage.has_job = true;
        job->prompt = PROMPT_NULL;
        return 0;
}

void engine_cancel(struct engine *engine, uint64_t id)
{
        (void)engine;
        if (stage.has_job && stage.job.id == id) {
                prompt_done(&stage.job.prompt);
                stage.has_job = false;
        }
}

/* ------------------------------------------------------------------------------------------------- playing */

static void speak(uv_timer_t *timer)
{
        (void)timer;
        while (stage.has_job) {
                struct engine_job job = stage.job;

                stage.has_job = false;
                scenario_speak(stage.play->scenario, &job, stage.play->requests);
                prompt_done(&job.prompt);
        }
}

/* The engine speaks in the loop's own turn, as it does through its queue. */
static void on_prepare(uv_prepare_t *prepare)
{
        uint64_t late_ms = scenario_late_ms(stage.play->scenario);

        if (late_ms == 0 || stage.job.kind == ENGINE_JOB_COMPLETION)
                speak(&stage.late);
        else if (stage.has_job && !uv_is_active((uv_handle_t *)&stage.late))
                uv_timer_start(&stage.late, speak, late_ms, 0);
        if (stage.play->heard.n_finished > 0)
                uv_stop(prepare->loop);
}

static void on_deadline(uv_timer_t *timer)
{
        (void)timer;
        fail_msg("%s, %s: no end", stage.play->scenario->name, stage.play->how);
}

static void ask(struct play *play)
{
        const struct request_options options = scenario_options(play->scenario);
        struct request *request;

        assert_int_equal(request_new(&request, play->requests, "What is the capital of Australia?", &options,
                                     &scenario_sink, &play->heard, "/request/1"),
                         0);
        request_start(request);
        while (play->heard.n_finished == 0)
                uv_run(&stage.loop, UV_RUN_ONCE);
        (void)request_release(request);
        requests_reap(play->requests);
}

/* What the player saw of the run's requests. */
static void check_asks(const struct play *play)
{
        unsigned n_heads = 0, n_bodies = 0;
        char pattern[64], *line;

        (void)snprintf(pattern, sizeof(pattern), "^.*\"/%s/.*\n", play->run);
        while ((line = process_match(stage.player, PROCESS_STREAM_OUTPUT, pattern))) {
                cJSON *seen = cJSON_Parse(line);
                const cJSON *body = cJSON_GetObjectItem(seen, "body");

                if (body)
                        scenario_check_ask(play->scenario, "ask", ++n_bodies, body->valuestring, play->how);
                else
                        scenario_check_ask(play->scenario, "head", ++n_heads, line, play->how);
                cJSON_Delete(seen);
                free(line);
        }
}

static void set_endpoints(struct play *play, size_t transport)
{
        const struct settings_place place = { "test", 1 };
        struct buf base = BUF_NULL, ca = BUF_NULL, section = BUF_NULL, error = BUF_NULL;

        assert_int_equal(buf_printf(&base, "%s:%s/%s/%zu/%s", play->transport->url, stage.ports[transport], play->run,
                                    play->scenario->index, play->cut),
                         0);
        assert_int_equal(buf_printf(&ca, "%s/ca.pem", stage.folder), 0);
        scenario_settings(play->scenario, base.data, &play->settings);
        for (size_t i = 0; i < play->settings.n_endpoints; i++) {
                buf_clear(&section);
                assert_int_equal(buf_printf(&section, "Endpoint %s", play->settings.endpoints[i].name), 0);
                assert_int_equal(
                        settings_set(&play->settings, section.data, "HTTP", play->transport->http, &place, &error),
                        0);
                assert_int_equal(settings_set(&play->settings, section.data, "CAFile", ca.data, &place, &error), 0);
        }
        buf_done(&base);
        buf_done(&ca);
        buf_done(&section);
        buf_done(&error);
}

static void play_turns(struct play *play)
{
        struct timers *timers;
        struct cloud *cloud;

        assert_int_equal(timers_new(&timers, &stage.loop), 0);
        assert_int_equal(cloud_new(&cloud, &stage.loop, timers), 0);
        assert_int_equal(requests_new(&play->requests, &play->settings, NULL, cloud, timers), 0);
        for (unsigned turn = 1; turn <= scenario_n_turns(play->scenario); turn++) {
                ask(play);
                scenario_check(play->scenario, turn, &play->heard, play->how);
                scenario_heard_done(&play->heard);
                play->heard = (struct scenario_heard){ 0 };
        }
        requests_free(play->requests);
        cloud_close(cloud);
        timers_close(timers);
}

static void run(const struct scenario *scenario, size_t transport, const char *cut)
{
        struct play play = { .scenario = scenario, .transport = &transports[transport] };

        (void)snprintf(play.cut, sizeof(play.cut), "%s", cut);
        (void)snprintf(play.how, sizeof(play.how), "over %s, %s", play.transport->name, cut);
        (void)snprintf(play.run, sizeof(play.run), "run-%u", ++stage.n_runs);
        stage.play = &play;
        set_endpoints(&play, transport);
        assert_int_equal(uv_loop_init(&stage.loop), 0);
        uv_timer_init(&stage.loop, &stage.deadline);
        uv_timer_start(&stage.deadline, on_deadline, DEADLINE_MS, 0);
        uv_timer_init(&stage.loop, &stage.late);
        uv_prepare_init(&stage.loop, &stage.prepare);
        uv_prepare_start(&stage.prepare, on_prepare);
        play_turns(&play);
        uv_close((uv_handle_t *)&stage.deadline, NULL);
        uv_close((uv_handle_t *)&stage.late, NULL);
        uv_close((uv_handle_t *)&stage.prepare, NULL);
        assert_int_equal(uv_run(&stage.loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(uv_loop_close(&stage.loop), 0);
        check_asks(&play);
        settings_done(&play.settings);
}

static void test_scenario(void **state)
{
        const struct scenario *scenario = *state;
        size_t n = scenario_length(scenario);
        char cut[24];

        for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
                if (!scenario_is_on(scenario, transports[i].name))
                        continue;
                run(scenario, i, "written");
                if (n == 0 || scenario_waits(scenario))
                        continue;
                (void)snprintf(cut, sizeof(cut), "%zu", (i + 1) * n / (ARRAY_SIZE(transports) + 1));
                run(scenario, i, cut);
                if (i == scenario->index % N_BYTES)
                        run(scenario, i, "bytes");
        }
}

/* ---------------------------------------------------------------------------------------------------- stage */

static void start_player(const struct scenarios *scenarios)
{
        const char *root = getenv("MULM_SOURCE_ROOT");
        struct buf script = BUF_NULL, certificates = BUF_NULL, chain = BUF_NULL, key = BUF_NULL;
        const char *argv[128] = { 0 };
        size_t n = 0;

        memcpy(stage.folder, FOLDER, sizeof(FOLDER));
        assert_non_null(mkdtemp(stage.folder));
        assert_int_equal(buf_printf(&script, "%s/tests/support/player.py", root), 0);
        assert_int_equal(buf_printf(&certificates, "%s/tests/support/certificates.sh", root), 0);
        assert_int_equal(buf_printf(&chain, "%s/good.pem", stage.folder), 0);
        assert_int_equal(buf_printf(&key, "%s/good.key", stage.folder), 0);
        free(process_run((const char *[]){ certificates.data, stage.folder, NULL }, NULL));
        argv[n++] = script.data;
        argv[n++] = "--tls";
        argv[n++] = chain.data;
        argv[n++] = key.data;
        for (char **path = scenarios->paths; *path; path++) {
                assert_true(n + 1 < ARRAY_SIZE(argv));
                argv[n++] = *path;
        }
        stage.player = process_spawn(argv, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
                char pattern[64];

                (void)snprintf(pattern, sizeof(pattern), "\"%s\": ([0-9]+)[,}]", transports[i].name);
                stage.ports[i] = process_expect(stage.player, PROCESS_STREAM_OUTPUT, pattern);
        }
        buf_done(&script);
        buf_done(&certificates);
        buf_done(&chain);
        buf_done(&key);
}

static void stop_player(void)
{
        process_free(stage.player);
        free(process_run((const char *[]){ "rm", "-r", stage.folder, NULL }, NULL));
        for (size_t i = 0; i < ARRAY_SIZE(transports); i++)
                free(stage.ports[i]);
}

static bool is_on_any(const struct scenario *scenario)
{
        for (size_t i = 0; i < ARRAY_SIZE(transports); i++)
                if (scenario_is_on(scenario, transports[i].name))
                        return true;
        return false;
}

int main(int argc, char *argv[])
{
        struct scenarios scenarios;
        struct CMUnitTest *tests;
        size_t n = 0;
        int r;

        if (argc > 1)
                cmocka_set_test_filter(argv[1]);
        scenarios_load(&scenarios);
        start_player(&scenarios);
        tests = calloc(scenarios.n, sizeof(*tests));
        for (size_t i = 0; tests && i < scenarios.n; i++) {
                if (is_on_any(&scenarios.list[i]))
                        tests[n++] = (struct CMUnitTest){ .name = scenarios.list[i].name,
                                                          .test_func = test_scenario,
                                                          .initial_state = &scenarios.list[i] };
        }
        r = _cmocka_run_group_tests("scenarios over sockets", tests, n, NULL, NULL);
        free(tests);
        stop_player();
        scenarios_done(&scenarios);
        return r;
}
