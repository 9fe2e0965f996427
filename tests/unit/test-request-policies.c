/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A request's opener: how long it is to be.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/request-fixture.h"

static void stop(struct fixture *fixture)
{
        fixture->request = request_release(fixture->request);
        requests_reap(fixture->requests);
        memset(&fixture->heard, 0, sizeof(fixture->heard));
}

/* ------------------------------------------------------------------------------------------- adaptive length */

/* Asks; the cloud gives its first text so long after the body. How many words the opener might have had. */
static unsigned ask(struct fixture *fixture, struct request_options options, uint64_t delay_us)
{
        unsigned max_words;

        fixture_ask(fixture, options);
        max_words = fake_io.engine.job.max_words;
        fixture_say_opener(fixture);
        fake_cloud_status(fake_attempt(), 200);
        fake_advance(delay_us);
        fixture_cloud_says(C(" Canberra.") FIN DONE);
        stop(fixture);
        fake_io_reset();
        return max_words;
}

static void test_opener_is_as_long_as_the_usual_delay(void **state)
{
        struct fixture *fixture = *state;
        struct requests_delay delay;

        assert_false(requests_delay(fixture->requests, 0, &delay));
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1000000), 8); /* nothing is known yet */
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1000000), 5); /* a second, deviating by half of it */
        for (unsigned i = 0; i < 20; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1000000);
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1000000), 4);
        for (unsigned i = 0; i < 40; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1900000);
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1900000), 5);
        assert_true(requests_delay(fixture->requests, 0, &delay));
        assert_string_equal(delay.endpoint, "primary");
        assert_int_equal(delay.n_words, 5);
        assert_false(requests_delay(fixture->requests, 1, &delay));
}

static void test_callers_rate_and_limit_count(void **state)
{
        struct fixture *fixture = *state;

        for (unsigned i = 0; i < 40; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1900000);
        assert_int_equal(ask(fixture, (struct request_options){ .words_per_second = 3.5 }, 1900000), 7);
        assert_int_equal(ask(fixture, (struct request_options){ .max_opener_words = 20 }, 1900000), 5);
        assert_int_equal(ask(fixture, (struct request_options){ .max_opener_words = 2 }, 1900000), 2);
        /* Without a cloud there is nothing to cover. */
        fixture_ask(fixture, (struct request_options){ .cloud = REQUEST_CLOUD_NEVER });
        assert_int_equal(fake_io.engine.job.max_words, 8);
}

static void test_usual_delay_outlives_the_daemon(void **state)
{
        struct fixture *fixture = *state;
        char folder[] = "/tmp/mulmd-state-XXXXXX", path[64];

        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/endpoints", folder);
        requests_keep_state(fixture->requests, path);
        requests_save_state(fixture->requests);
        assert_int_equal(access(path, F_OK), -1); /* nothing was learned */
        for (unsigned i = 0; i < 40; i++)
                (void)ask(fixture, REQUEST_OPTIONS_NULL, 1900000);
        requests_save_state(fixture->requests);

        requests_free(fixture->requests);
        assert_int_equal(
                requests_new(&fixture->requests, &fixture->settings, fake_engine(), fake_cloud(), fake_timers()), 0);
        requests_keep_state(fixture->requests, path);
        assert_int_equal(ask(fixture, REQUEST_OPTIONS_NULL, 1900000), 5);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0);
}

#define policy_test(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                policy_test(test_opener_is_as_long_as_the_usual_delay),
                policy_test(test_callers_rate_and_limit_count),
                policy_test(test_usual_delay_outlives_the_daemon),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
