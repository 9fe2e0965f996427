/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One request over a scripted engine and cloud. See request-fixture.h.
 */
#include "tests/support/request-fixture.h"

#include <stdlib.h>
#include <string.h>

static void add(char *to, size_t size, const char *text, size_t n)
{
        size_t used = strlen(to);

        assert_true(used + n < size);
        memcpy(to + used, text, n);
        to[used + n] = '\0';
}

static void hear_text(void *userdata, uint32_t sequence, const char *delta, size_t n, enum request_source source)
{
        struct heard *heard = &((struct fixture *)userdata)->heard;
        const char *name = request_source_name(source);

        assert_int_equal(heard->n_finished, 0);
        assert_int_equal(sequence, heard->last_sequence + 1);
        heard->last_sequence = sequence;
        add(heard->text, sizeof(heard->text), name, 1);
        add(heard->text, sizeof(heard->text), ":", 1);
        add(heard->text, sizeof(heard->text), delta, n);
        add(heard->text, sizeof(heard->text), "|", 1);
}

static void hear_replaced(void *userdata, uint32_t sequence, size_t keep, const char *text, size_t n)
{
        struct heard *heard = &((struct fixture *)userdata)->heard;
        char offset[32];

        assert_int_equal(heard->n_finished, 0);
        assert_int_equal(sequence, heard->last_sequence + 1);
        heard->last_sequence = sequence;
        (void)snprintf(offset, sizeof(offset), "r%zu:", keep);
        add(heard->text, sizeof(heard->text), offset, strlen(offset));
        add(heard->text, sizeof(heard->text), text, n);
        add(heard->text, sizeof(heard->text), "|", 1);
}

static void hear_handoff(void *userdata, uint32_t sequence, const struct request_handoff *handoff)
{
        struct heard *heard = &((struct fixture *)userdata)->heard;

        assert_int_equal(heard->n_finished, 0);
        assert_int_equal(sequence, heard->last_sequence + 1);
        heard->last_sequence = sequence;
        heard->n_handoffs++;
        heard->handoff = *handoff;
        add(heard->reason, sizeof(heard->reason), handoff->reason, strlen(handoff->reason));
}

static void hear_state(void *userdata, enum race_state state)
{
        struct heard *heard = &((struct fixture *)userdata)->heard;

        assert_int_equal(heard->n_finished, 0);
        add(heard->states, sizeof(heard->states), race_state_name(state), strlen(race_state_name(state)));
        add(heard->states, sizeof(heard->states), " ", 1);
}

static void hear_finished(void *userdata, enum race_outcome outcome, const struct request_timings *timings)
{
        struct heard *heard = &((struct fixture *)userdata)->heard;

        heard->n_finished++;
        heard->outcome = outcome;
        heard->timings = *timings;
        add(heard->error, sizeof(heard->error), timings->error, strlen(timings->error));
        add(heard->message, sizeof(heard->message), timings->message, strlen(timings->message));
        add(heard->endpoint, sizeof(heard->endpoint), timings->endpoint, strlen(timings->endpoint));
        add(heard->form, sizeof(heard->form), timings->form, strlen(timings->form));
}

const struct request_sink fixture_sink = { hear_text, hear_replaced, hear_handoff, hear_state, hear_finished };

void fixture_set(struct settings *settings, const char *section, const char *key, const char *value)
{
        const struct settings_place place = { "test.conf", 1 };
        struct buf error = BUF_NULL;

        if (settings_set(settings, section, key, value, &place, &error) < 0)
                fail_msg("%s", buf_string(&error));
        buf_done(&error);
}

int fixture_set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof(*fixture));

        assert_non_null(fixture);
        fake_io_reset();
        assert_int_equal(settings_init(&fixture->settings), 0);
        fixture_set(&fixture->settings, "Cloud", "Endpoints", "primary");
        fixture_set(&fixture->settings, "Cloud", "FirstTextSec", "2");
        fixture_set(&fixture->settings, "Cloud", "GapSec", "3");
        fixture_set(&fixture->settings, "Endpoint primary", "URL", "https://cloud.example/v1");
        fixture_set(&fixture->settings, "Endpoint primary", "Model", "big");
        fixture_set(&fixture->settings, "Limits", "Requests", "1");
        assert_int_equal(
                requests_new(&fixture->requests, &fixture->settings, fake_engine(), fake_cloud(), fake_timers()), 0);
        *state = fixture;
        return 0;
}

int fixture_tear_down(void **state)
{
        struct fixture *fixture = *state;

        request_release(fixture->request);
        requests_reap(fixture->requests);
        assert_int_equal(requests_n_live(fixture->requests), 0);
        requests_free(fixture->requests);
        settings_done(&fixture->settings);
        free(fixture);
        fake_io_reset();
        return 0;
}

void fixture_ask(struct fixture *fixture, struct request_options options)
{
        assert_int_equal(request_new(&fixture->request, fixture->requests, "What is the capital of Australia?",
                                     &options, &fixture_sink, fixture, "/request/1"),
                         0);
        request_start(fixture->request);
}

void fixture_engine_says(struct fixture *fixture, enum engine_event event, const char *text,
                         enum engine_reason reason)
{
        const struct engine_word word = {
                .job = fake_io.engine.job.id,
                .event = event,
                .reason = reason,
                .text = text,
                .n_text = strlen(text),
                .probability = 0.9f,
                .at_us = timers_now_us(),
        };

        requests_engine_word(fixture->requests, &word);
}

void fixture_say_opener(struct fixture *fixture)
{
        fixture_engine_says(fixture, ENGINE_EVENT_STARTED, "", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, "The", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " capital", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " is", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_UNSURE);
}

void fixture_cloud_says(const char *bytes)
{
        fake_cloud_bytes(fake_attempt(), bytes, strlen(bytes));
}

void fixture_finish_locally(struct fixture *fixture)
{
        assert_int_equal(fake_io.engine.job.kind, ENGINE_JOB_COMPLETION);
        assert_string_equal(fake_io.engine.job.prompt.said, request_text(fixture->request));
        fixture_engine_says(fixture, ENGINE_EVENT_STARTED, "", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " a", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_WORD, " city.", 0);
        fixture_engine_says(fixture, ENGINE_EVENT_END, "", ENGINE_REASON_END);
        assert_int_equal(fixture->heard.n_finished, 1);
        assert_int_equal(fixture->heard.outcome, RACE_OUTCOME_LOCAL);
}
