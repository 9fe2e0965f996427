/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Every scenario file at every split point, over the scripted engine, cloud and clock of fake-io.h: as it is written,
 * byte by byte, and cut in two at each place, the same text comes of it. tests/integration plays them over sockets.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "libmulm/base/macro.h"
#include "tests/support/fake-io.h"
#include "tests/support/scenario.h"
#include "tests/support/test.h"

#define GIVEN_UP_US 120000000ull

/* In place of the daemon's: each failure would be told thousands of times. */
void log_line(int level, const struct log_about *about, const char *format, ...)
{
        (void)level;
        (void)about;
        (void)format;
}

enum { CUT_WRITTEN = -1, CUT_BYTES = -2 };

struct play {
        const struct scenario *scenario;
        long cut; /* all in one piece but for a cut behind so many bytes, or a CUT_ */
        char how[48];
        struct settings settings;
        struct requests *requests;
        struct request *request;
        struct scenario_heard heard;
        unsigned n_spoken, n_answered; /* jobs and attempts that were seen to */
        size_t n_used[2];              /* answers of the endpoints */
};

/* ------------------------------------------------------------------------------------------------- answering */

static void say(struct cloud_attempt *attempt, const char *bytes, size_t n)
{
        if (n > 0 && !attempt->closed)
                fake_cloud_bytes(attempt, bytes, n);
}

/* What is written between two acts, of which the first byte is the answer's byte number `at`. */
static void say_in_pieces(const struct play *play, struct cloud_attempt *attempt, struct buf *bytes, size_t at)
{
        size_t first = bytes->n;

        if (play->cut == CUT_BYTES) {
                for (size_t i = 0; i < bytes->n; i++)
                        say(attempt, bytes->data + i, 1);
        } else {
                if (play->cut > (long)at && play->cut < (long)(at + bytes->n))
                        first = (size_t)play->cut - at;
                say(attempt, bytes->data, first);
                say(attempt, bytes->data + first, bytes->n - first);
        }
        buf_clear(bytes);
}

static double number(const cJSON *step, const char *name)
{
        const cJSON *value = cJSON_GetObjectItem(step, name);

        return value ? cJSON_GetNumberValue(value) : -1;
}

/* False where nothing more comes. */
static bool act(struct cloud_attempt *attempt, const cJSON *step, struct buf *bytes)
{
        if (cJSON_HasObjectItem(step, "reset") || cJSON_HasObjectItem(step, "close")) {
                fake_cloud_fail(attempt, CLOUD_FAILURE_BROKEN);
                return false;
        }
        if (cJSON_HasObjectItem(step, "stall"))
                return false;
        if (cJSON_HasObjectItem(step, "every")) {
                (void)scenario_step_bytes(step, bytes);
                while (!attempt->closed) {
                        say(attempt, bytes->data, bytes->n);
                        fake_advance((uint64_t)(number(step, "every") * 1e3));
                }
                return false;
        }
        assert_true(cJSON_HasObjectItem(step, "wait"));
        fake_advance((uint64_t)(number(step, "wait") * 1e3));
        return true;
}

static const char *header(const cJSON *answer, const char *name)
{
        return cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(answer, "headers"), name));
}

static void perform(const struct play *play, struct cloud_attempt *attempt, const cJSON *answer)
{
        const struct retry_headers headers = {
                .retry_after_ms = header(answer, "retry-after-ms"),
                .retry_after = header(answer, "retry-after"),
                .should_retry = header(answer, "x-should-retry"),
        };
        struct buf bytes = BUF_NULL;
        const cJSON *step;
        size_t at = 0;
        bool goes_on = true;

        fake_cloud_retry(attempt, (unsigned)number(answer, "status"), &headers);
        cJSON_ArrayForEach(step, cJSON_GetObjectItem(answer, "steps"))
        {
                size_t n = bytes.n;
                bool writes = !cJSON_HasObjectItem(step, "every") && scenario_step_bytes(step, &bytes);

                if (writes && play->cut != CUT_WRITTEN)
                        continue;
                if (!writes)
                        n = bytes.n;
                say_in_pieces(play, attempt, &bytes, at);
                at += n;
                if (attempt->closed || !goes_on)
                        break;
                if (!writes)
                        goes_on = act(attempt, step, &bytes);
        }
        say_in_pieces(play, attempt, &bytes, at);
        if (goes_on && !attempt->closed)
                fake_cloud_end(attempt);
        buf_done(&bytes);
}

static void answer(struct play *play, struct cloud_attempt *attempt)
{
        const char *endpoint = attempt->endpoint->name;
        const cJSON *answers = scenario_answers(play->scenario, endpoint);
        size_t *n_used = &play->n_used[strcmp(endpoint, "primary") != 0];
        int n = cJSON_GetArraySize(answers), i = (int)(*n_used)++;

        if (i >= n && !cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetArrayItem(answers, n - 1), "always")))
                fail_msg("%s, %s: %s was asked once too often", play->scenario->name, play->how, endpoint);
        scenario_check_ask(play->scenario, "ask", play->n_answered, attempt->body, play->how);
        perform(play, attempt, cJSON_GetArrayItem(answers, MIN(i, n - 1)));
}

/* ------------------------------------------------------------------------------------------------- playing */

static struct cloud_attempt *find_unanswered(struct play *play)
{
        struct cloud_attempt *attempt;

        if (play->n_answered == fake_io.cloud.n_attempts)
                return NULL;
        attempt = &fake_io.cloud.attempts[play->n_answered];
        if (!attempt->body)
                return NULL;
        play->n_answered++;
        return attempt->closed ? NULL : attempt;
}

static void ask(struct play *play)
{
        const struct request_options options = scenario_options(play->scenario);
        uint64_t begin_us = timers_now_us();
        struct cloud_attempt *attempt;

        assert_int_equal(request_new(&play->request, play->requests, "What is the capital of Australia?", &options,
                                     &scenario_sink, &play->heard, "/request/1"),
                         0);
        request_start(play->request);
        while (play->heard.n_finished == 0) {
                if (play->n_spoken < fake_io.engine.n_submitted) {
                        play->n_spoken++;
                        scenario_speak(play->scenario, &fake_io.engine.job, play->requests);
                } else if ((attempt = find_unanswered(play))) {
                        answer(play, attempt);
                } else {
                        if (timers_now_us() - begin_us > GIVEN_UP_US)
                                fail_msg("%s, %s: no end", play->scenario->name, play->how);
                        fake_advance(fake_next_us());
                }
        }
        play->request = request_release(play->request);
        requests_reap(play->requests);
}

static void run(const struct scenario *scenario, long cut)
{
        struct play play = { .scenario = scenario, .cut = cut };

        if (cut >= 0)
                (void)snprintf(play.how, sizeof(play.how), "cut behind %ld bytes", cut);
        else
                (void)snprintf(play.how, sizeof(play.how), cut == CUT_BYTES ? "byte by byte" : "as written");
        fake_io_reset();
        scenario_settings(scenario, "https://cloud.example", &play.settings);
        assert_int_equal(requests_new(&play.requests, &play.settings, fake_engine(), fake_cloud(), fake_timers()), 0);
        for (unsigned turn = 1; turn <= scenario_n_turns(scenario); turn++) {
                ask(&play);
                scenario_check(scenario, turn, &play.heard, play.how);
                scenario_heard_done(&play.heard);
                play.heard = (struct scenario_heard){ 0 };
        }
        requests_free(play.requests);
        settings_done(&play.settings);
        fake_io_reset();
}

static void test_scenario(void **state)
{
        const struct scenario *scenario = *state;
        size_t n = scenario_length(scenario);

        run(scenario, CUT_WRITTEN);
        if (n > 0)
                run(scenario, CUT_BYTES);
        for (size_t i = 0; i < n; i++)
                run(scenario, (long)i);
}

int main(void)
{
        struct scenarios scenarios;
        struct CMUnitTest *tests;
        size_t n = 0;
        int r;

        scenarios_load(&scenarios);
        tests = calloc(scenarios.n, sizeof(*tests));
        for (size_t i = 0; tests && i < scenarios.n; i++) {
                if (scenario_is_on(&scenarios.list[i], "memory"))
                        tests[n++] = (struct CMUnitTest){ .name = scenarios.list[i].name,
                                                          .test_func = test_scenario,
                                                          .initial_state = &scenarios.list[i] };
        }
        r = _cmocka_run_group_tests("scenarios", tests, n, NULL, NULL);
        free(tests);
        scenarios_done(&scenarios);
        return r;
}
