/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Engine, cloud and clock for tests of `request`. See fake-io.h.
 */
#include "tests/support/fake-io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "tests/support/test.h"

struct fake_io fake_io;

/* Handles that only have to be different from NULL. */
static char engine_handle, cloud_handle, timers_handle;

void fake_io_reset(void)
{
        prompt_done(&fake_io.engine.job.prompt);
        for (unsigned i = 0; i < fake_io.cloud.n_attempts; i++) {
                free(fake_io.cloud.attempts[i].body);
                free(fake_io.cloud.attempts[i].again);
        }
        fake_io = (struct fake_io){ .clock.now_us = 1000000 };
}

struct engine *fake_engine(void)
{
        return (struct engine *)(void *)&engine_handle;
}

struct cloud *fake_cloud(void)
{
        return (struct cloud *)(void *)&cloud_handle;
}

struct timers *fake_timers(void)
{
        return (struct timers *)(void *)&timers_handle;
}

/* --------------------------------------------------------------------------------------------------- engine */

int engine_submit(struct engine *engine, struct engine_job *job)
{
        (void)engine;
        prompt_done(&fake_io.engine.job.prompt);
        fake_io.engine.job = *job;
        job->prompt = PROMPT_NULL;
        fake_io.engine.n_submitted++;
        return fake_io.engine.submit_result;
}

void engine_cancel(struct engine *engine, uint64_t id)
{
        (void)engine;
        (void)id;
        fake_io.engine.n_cancelled++;
}

/* ---------------------------------------------------------------------------------------------------- cloud */

int cloud_open(struct cloud *cloud, const struct settings_endpoint *endpoint, const struct cloud_request *request,
               cloud_bytes_fn fn, void *userdata, struct cloud_attempt **ret_attempt, struct buf *error)
{
        struct cloud_attempt *attempt;

        (void)cloud;
        if (fake_io.cloud.open_result < 0) {
                (void)buf_add_string(error, "The key file cannot be read.");
                return fake_io.cloud.open_result;
        }
        assert_true(fake_io.cloud.n_attempts < FAKE_ATTEMPTS_MAX);
        attempt = &fake_io.cloud.attempts[fake_io.cloud.n_attempts++];
        *attempt =
                (struct cloud_attempt){ .fn = fn, .userdata = userdata, .endpoint = endpoint, .request = *request };
        attempt->times.opened_us = fake_io.clock.now_us;
        *ret_attempt = attempt;
        return 0;
}

void cloud_release(struct cloud_attempt *attempt, struct buf *body)
{
        assert_null(attempt->body);
        assert_false(attempt->closed);
        attempt->body = buf_steal(body);
        attempt->times.released_us = fake_io.clock.now_us;
}

int cloud_attempt_hand_over(struct cloud_attempt *attempt, cloud_bytes_fn fn, void *userdata, struct buf *bytes)
{
        assert_false(attempt->closed);
        attempt->fn = fn;
        attempt->userdata = userdata;
        free(attempt->again);
        attempt->again = buf_steal(bytes);
        return 0;
}

const struct cloud_times *cloud_attempt_times(const struct cloud_attempt *attempt)
{
        return &attempt->times;
}

struct cloud_attempt *cloud_attempt_close(struct cloud_attempt *attempt)
{
        if (attempt) {
                assert_false(attempt->closed);
                attempt->closed = true;
        }
        return NULL;
}

struct cloud_attempt *cloud_attempt_leave(struct cloud_attempt *attempt)
{
        return cloud_attempt_close(attempt);
}

struct cloud_attempt *fake_attempt(void)
{
        assert_true(fake_io.cloud.n_attempts > 0);
        return &fake_io.cloud.attempts[fake_io.cloud.n_attempts - 1];
}

static void tell(struct cloud_attempt *attempt, const struct cloud_event *event)
{
        assert_false(attempt->closed);
        attempt->fn(attempt->userdata, event);
}

void fake_cloud_retry(struct cloud_attempt *attempt, unsigned status, const struct retry_headers *headers)
{
        attempt->status = status;
        tell(attempt, &(struct cloud_event){ .type = CLOUD_EVENT_HEADERS,
                                             .status = status,
                                             .content_type = "text/event-stream",
                                             .retry = *headers });
}

void fake_cloud_status(struct cloud_attempt *attempt, unsigned status)
{
        fake_cloud_retry(attempt, status, &(struct retry_headers){ 0 });
}

void fake_cloud_bytes(struct cloud_attempt *attempt, const char *bytes, size_t n)
{
        tell(attempt, &(struct cloud_event){ .type = CLOUD_EVENT_BYTES, .bytes = bytes, .n_bytes = n });
}

void fake_cloud_again(struct cloud_attempt *attempt)
{
        _cleanup_free_ char *again = STEAL(attempt->again);

        if (attempt->status > 0)
                fake_cloud_status(attempt, attempt->status);
        if (again && *again)
                fake_cloud_bytes(attempt, again, strlen(again));
}

void fake_cloud_end(struct cloud_attempt *attempt)
{
        tell(attempt, &(struct cloud_event){ .type = CLOUD_EVENT_END });
}

void fake_cloud_fail(struct cloud_attempt *attempt, enum cloud_failure failure)
{
        tell(attempt,
             &(struct cloud_event){ .type = CLOUD_EVENT_FAILED, .failure = failure, .message = "the test says so" });
}

/* ---------------------------------------------------------------------------------------------------- clock */

uint64_t timers_now_us(void)
{
        return fake_io.clock.now_us;
}

void timers_set(struct timers *timers, struct timer_node *node, uint64_t deadline_us)
{
        struct timer_node **free_slot = NULL;

        (void)timers;
        node->deadline_us = deadline_us;
        for (size_t i = 0; i < ARRAY_SIZE(fake_io.clock.armed); i++) {
                if (fake_io.clock.armed[i] == node)
                        fake_io.clock.armed[i] = NULL;
                if (!fake_io.clock.armed[i])
                        free_slot = &fake_io.clock.armed[i];
        }
        if (deadline_us == 0)
                return;
        assert_non_null(free_slot);
        *free_slot = node;
}

static struct timer_node *next_due(void)
{
        struct timer_node *due = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(fake_io.clock.armed); i++) {
                struct timer_node *node = fake_io.clock.armed[i];

                if (node && node->deadline_us <= fake_io.clock.now_us &&
                    (!due || node->deadline_us < due->deadline_us))
                        due = node;
        }
        return due;
}

void fake_advance(uint64_t by_us)
{
        struct timer_node *node;

        fake_io.clock.now_us += by_us;
        while ((node = next_due())) {
                timers_set(NULL, node, 0);
                node->fn(node->userdata);
        }
}

uint64_t fake_next_us(void)
{
        uint64_t next_us = 1000000;

        for (size_t i = 0; i < ARRAY_SIZE(fake_io.clock.armed); i++) {
                const struct timer_node *node = fake_io.clock.armed[i];

                if (node && node->deadline_us < fake_io.clock.now_us + next_us)
                        next_us = MAX(node->deadline_us, fake_io.clock.now_us) - fake_io.clock.now_us;
        }
        return next_us;
}
