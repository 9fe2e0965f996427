/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Scenario files for tests in C. See scenario.h.
 */
#include "tests/support/scenario.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

#define QUESTION_JOB_PROBABILITY 0.9f

/* ------------------------------------------------------------------------------------------------- reading */

static const cJSON *member(const cJSON *object, const char *name)
{
        return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *string(const cJSON *object, const char *name)
{
        const char *value = cJSON_GetStringValue(member(object, name));

        assert_non_null(value);
        return value;
}

static char **find_files(const char *root, size_t *ret_n)
{
        struct buf pattern = BUF_NULL;
        char **paths;
        glob_t found;

        assert_int_equal(buf_printf(&pattern, "%s/tests/data/scenarios/*.scenario", root), 0);
        assert_int_equal(glob(pattern.data, 0, NULL, &found), 0);
        paths = calloc(found.gl_pathc + 1, sizeof(*paths));
        assert_non_null(paths);
        for (size_t i = 0; i < found.gl_pathc; i++)
                assert_non_null(paths[i] = strdup(found.gl_pathv[i]));
        *ret_n = found.gl_pathc;
        globfree(&found);
        buf_done(&pattern);
        return paths;
}

void scenarios_load(struct scenarios *ret_scenarios)
{
        const char *root = getenv("MULM_SOURCE_ROOT");
        struct buf script = BUF_NULL;
        const char **argv;
        const cJSON *json;
        char *printed;
        size_t n;

        assert_non_null(root);
        *ret_scenarios = (struct scenarios){ .paths = find_files(root, &n) };
        argv = calloc(n + 2, sizeof(*argv));
        assert_non_null(argv);
        assert_int_equal(buf_printf(&script, "%s/tests/support/scenario.py", root), 0);
        argv[0] = script.data;
        for (size_t i = 0; i < n; i++)
                argv[i + 1] = ret_scenarios->paths[i];
        printed = process_run(argv, NULL);
        ret_scenarios->root = cJSON_Parse(printed);
        ret_scenarios->n = (size_t)cJSON_GetArraySize(ret_scenarios->root);
        assert_true(ret_scenarios->n > 0);
        ret_scenarios->list = calloc(ret_scenarios->n, sizeof(*ret_scenarios->list));
        assert_non_null(ret_scenarios->list);
        n = 0;
        cJSON_ArrayForEach(json, ret_scenarios->root)
        {
                ret_scenarios->list[n] =
                        (struct scenario){ .json = json, .name = strdup(string(json, "name")), .index = n };
                n++;
        }
        free(printed);
        free(argv);
        buf_done(&script);
}

void scenarios_done(struct scenarios *scenarios)
{
        for (size_t i = 0; i < scenarios->n; i++)
                free(scenarios->list[i].name);
        for (char **path = scenarios->paths; *path; path++)
                free(*path);
        free(scenarios->list);
        free(scenarios->paths);
        cJSON_Delete(scenarios->root);
}

bool scenario_is_on(const struct scenario *scenario, const char *transport)
{
        const cJSON *on;

        cJSON_ArrayForEach(on, member(scenario->json, "on"))
        {
                if (strcmp(on->valuestring, transport) == 0)
                        return true;
        }
        return false;
}

unsigned scenario_n_turns(const struct scenario *scenario)
{
        return (unsigned)cJSON_GetArraySize(member(scenario->json, "turns"));
}

const cJSON *scenario_answers(const struct scenario *scenario, const char *endpoint)
{
        return member(member(scenario->json, "answers"), endpoint);
}

bool scenario_waits(const struct scenario *scenario)
{
        const cJSON *endpoint, *answer, *step;

        cJSON_ArrayForEach(endpoint, member(scenario->json, "answers"))
        {
                cJSON_ArrayForEach(answer, endpoint)
                {
                        cJSON_ArrayForEach(step, member(answer, "steps"))
                        {
                                if (!member(step, "hex") || member(step, "every"))
                                        return true;
                        }
                }
        }
        return false;
}

static unsigned hex_digit(char c)
{
        return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

bool scenario_step_bytes(const cJSON *step, struct buf *bytes)
{
        const char *hex = cJSON_GetStringValue(member(step, "hex"));

        if (!hex)
                return false;
        assert_int_equal(buf_reserve(bytes, strlen(hex) / 2), 0);
        for (; *hex; hex += 2) {
                char byte = (char)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));

                (void)buf_add(bytes, &byte, 1);
        }
        return true;
}

size_t scenario_length(const struct scenario *scenario)
{
        const cJSON *endpoint, *answer, *step;
        size_t longest = 0;

        if (!cJSON_IsTrue(member(scenario->json, "splits")))
                return 0;
        cJSON_ArrayForEach(endpoint, member(scenario->json, "answers"))
        {
                cJSON_ArrayForEach(answer, endpoint)
                {
                        size_t n = 0;

                        cJSON_ArrayForEach(step, member(answer, "steps"))
                        {
                                const char *hex = cJSON_GetStringValue(member(step, "hex"));

                                n += hex ? strlen(hex) / 2 : 0;
                        }
                        longest = MAX(longest, n);
                }
        }
        return longest;
}

/* ------------------------------------------------------------------------------------------------- asking */

static void set(struct settings *settings, const char *section, const char *key, const char *value)
{
        const struct settings_place place = { "scenario", 1 };
        struct buf error = BUF_NULL;

        if (settings_set(settings, section, key, value, &place, &error) < 0)
                fail_msg("%s", buf_string(&error));
        buf_done(&error);
}

static void set_pairs(struct settings *settings, const char *section, const cJSON *pairs)
{
        const cJSON *pair;

        cJSON_ArrayForEach(pair, pairs) set(settings, section, cJSON_GetArrayItem(pair, 0)->valuestring,
                                            cJSON_GetArrayItem(pair, 1)->valuestring);
}

static void set_endpoint(struct settings *settings, const struct scenario *scenario, const char *base,
                         const char *name)
{
        struct buf section = BUF_NULL, url = BUF_NULL;

        assert_int_equal(buf_printf(&section, "Endpoint %s", name), 0);
        assert_int_equal(buf_printf(&url, "%s/%s/v1", base, name), 0);
        set(settings, section.data, "URL", url.data);
        set(settings, section.data, "Dialect", string(scenario->json, "dialect"));
        set(settings, section.data, "Model", "m");
        set_pairs(settings, section.data, member(scenario->json, "endpoint"));
        buf_done(&section);
        buf_done(&url);
}

void scenario_settings(const struct scenario *scenario, const char *base, struct settings *settings)
{
        bool backup = scenario_answers(scenario, "backup") != NULL;

        assert_int_equal(settings_init(settings), 0);
        set(settings, "Cloud", "Endpoints", backup ? "primary backup" : "primary");
        set(settings, "Cloud", "FirstTextSec", "20");
        set(settings, "Cloud", "GapSec", "20");
        set_pairs(settings, "Cloud", member(scenario->json, "set"));
        set_endpoint(settings, scenario, base, "primary");
        if (backup)
                set_endpoint(settings, scenario, base, "backup");
}

struct request_options scenario_options(const struct scenario *scenario)
{
        struct request_options options = REQUEST_OPTIONS_NULL;

        options.redraw = cJSON_IsTrue(member(scenario->json, "redraw"));
        options.opener = *string(scenario->json, "opener") ? REQUEST_OPENER_ALWAYS : REQUEST_OPENER_NEVER;
        return options;
}

uint64_t scenario_late_ms(const struct scenario *scenario)
{
        return (uint64_t)cJSON_GetNumberValue(member(scenario->json, "late_ms"));
}

static void say(struct requests *requests, uint64_t job, enum engine_event event, const char *text, size_t n)
{
        const struct engine_word word = {
                .job = job,
                .event = event,
                .reason = ENGINE_REASON_UNSURE,
                .text = text,
                .n_text = n,
                .probability = QUESTION_JOB_PROBABILITY,
                .at_us = timers_now_us(),
        };

        requests_engine_word(requests, &word);
}

void scenario_speak(const struct scenario *scenario, const struct engine_job *job, struct requests *requests)
{
        const char *text = string(scenario->json, job->kind == ENGINE_JOB_OPENER ? "opener" : "local");
        uint64_t id = job->id;
        size_t n;

        say(requests, id, ENGINE_EVENT_STARTED, "", 0);
        for (; *text; text += n) {
                n = 1 + strcspn(text + 1, " ");
                say(requests, id, ENGINE_EVENT_WORD, text, n);
        }
        say(requests, id, ENGINE_EVENT_END, "", 0);
}

/* ------------------------------------------------------------------------------------------------ hearing */

static void hear_text(void *userdata, uint32_t sequence, const char *delta, size_t n, enum request_source source)
{
        struct scenario_heard *heard = userdata;

        (void)sequence;
        (void)source;
        assert_int_equal(heard->n_finished, 0);
        assert_int_equal(utf8_complete(delta, n), n);
        assert_int_equal(buf_add(&heard->text, delta, n), 0);
}

static void hear_replaced(void *userdata, uint32_t sequence, size_t keep, const char *text, size_t n)
{
        struct scenario_heard *heard = userdata;
        size_t kept = heard->text.n;

        (void)sequence;
        while (utf8_count(heard->text.data, kept) > keep)
                kept--;
        buf_truncate(&heard->text, kept);
        assert_int_equal(buf_add(&heard->text, text, n), 0);
}

static void hear_handoff(void *userdata, uint32_t sequence, const struct request_handoff *handoff)
{
        (void)userdata;
        (void)sequence;
        (void)handoff;
}

static void hear_state(void *userdata, enum race_state state)
{
        (void)userdata;
        (void)state;
}

static void hear_finished(void *userdata, enum race_outcome outcome, const struct request_timings *timings)
{
        struct scenario_heard *heard = userdata;

        heard->n_finished++;
        heard->outcome = outcome;
        heard->took_us = timings->end_us;
        (void)snprintf(heard->error, sizeof(heard->error), "%s", timings->error);
        for (size_t i = 0; i < timings->n_attempts; i++) {
                const struct request_attempt *attempt = &timings->attempts[i];
                bool is_primary = strcmp(attempt->endpoint, "primary") == 0;

                assert_int_equal(buf_printf(&heard->attempts, "%s%s%s%u/%s", i > 0 ? " " : "",
                                            is_primary ? "" : attempt->endpoint, is_primary ? "" : ":",
                                            attempt->http_status, attempt->reason),
                                 0);
        }
}

const struct request_sink scenario_sink = { hear_text, hear_replaced, hear_handoff, hear_state, hear_finished };

void scenario_heard_done(struct scenario_heard *heard)
{
        buf_done(&heard->text);
        buf_done(&heard->attempts);
}

/* ------------------------------------------------------------------------------------------------ checking */

static const char *outcome_name(enum race_outcome outcome)
{
        switch (outcome) {
        case RACE_OUTCOME_NONE: return "none";
        case RACE_OUTCOME_COMPLETE: return "complete";
        case RACE_OUTCOME_LOCAL: return "local";
        case RACE_OUTCOME_CANCELLED: return "cancelled";
        case RACE_OUTCOME_FAILED: return "failed";
        }
        return "";
}

static void expect(const struct scenario *scenario, const char *how, const char *what, const char *is,
                   const char *wanted)
{
        if (strcmp(is, wanted) != 0)
                fail_msg("%s, %s: %s is\n  %s\nand not\n  %s", scenario->name, how, what, is, wanted);
}

void scenario_check(const struct scenario *scenario, unsigned turn, const struct scenario_heard *heard,
                    const char *how)
{
        const cJSON *wanted = cJSON_GetArrayItem(member(scenario->json, "turns"), (int)turn - 1);
        double after_us = cJSON_GetNumberValue(member(scenario->json, "after_ms")) * 1e3;
        struct buf whole = BUF_NULL;

        assert_int_equal(heard->n_finished, 1);
        assert_int_equal(buf_printf(&whole, "%s%s", string(scenario->json, "opener"), string(wanted, "text")), 0);
        expect(scenario, how, "the text", buf_string(&heard->text), whole.data);
        expect(scenario, how, "the outcome", outcome_name(heard->outcome), string(wanted, "outcome"));
        expect(scenario, how, "the list of attempts", buf_string(&heard->attempts), string(wanted, "attempts"));
        expect(scenario, how, "the error", heard->error, string(wanted, "error"));
        if ((double)heard->took_us < after_us)
                fail_msg("%s, %s: took only %g ms", scenario->name, how, (double)heard->took_us / 1e3);
        buf_done(&whole);
}

void scenario_check_ask(const struct scenario *scenario, const char *part, unsigned n, const char *text,
                        const char *how)
{
        const cJSON *ask;

        cJSON_ArrayForEach(ask, member(scenario->json, "asks"))
        {
                const char *wanted = string(ask, "text");
                bool has = cJSON_IsTrue(member(ask, "has"));

                if (strcmp(string(ask, "part"), part) != 0 ||
                    (unsigned)cJSON_GetNumberValue(member(ask, "number")) != n)
                        continue;
                if (!strstr(text, wanted) == has)
                        fail_msg("%s, %s: %s %u %s <%s>:\n%s", scenario->name, how, part, n, has ? "lacks" : "has",
                                 wanted, text);
        }
}
