/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Timers on a real loop: order, never early, and callbacks that change the list under way.
 */
#include <string.h>

#include "daemon/io/timers.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

struct fixture {
        uv_loop_t loop;
        struct timers *timers;
        char order[16]; /* names of the nodes that fired */
};

struct named {
        struct timer_node node;
        struct fixture *fixture;
        char name;
        uint64_t wanted_us;   /* where it was set: it must not fire before */
        struct named *victim; /* disarmed by this one's callback */
        struct named *again;  /* armed for the past by this one's callback */
};

static int setup(void **state)
{
        static struct fixture fixture;

        fixture = (struct fixture){ 0 };
        assert_int_equal(uv_loop_init(&fixture.loop), 0);
        assert_int_equal(timers_new(&fixture.timers, &fixture.loop), 0);
        *state = &fixture;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *fixture = *state;

        timers_close(fixture->timers);
        assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(uv_loop_close(&fixture->loop), 0);
        return 0;
}

static void named_arm(struct named *named, uint64_t deadline_us)
{
        named->wanted_us = deadline_us;
        timers_set(named->fixture->timers, &named->node, deadline_us);
}

static void on_named(void *userdata)
{
        struct named *named = userdata;
        struct fixture *fixture = named->fixture;
        size_t n = strlen(fixture->order);

        assert_true(timers_now_us() >= named->wanted_us);
        assert_int_equal(named->node.deadline_us, 0);
        assert_true(n + 1 < sizeof(fixture->order));
        fixture->order[n] = named->name;
        if (named->victim)
                named_arm(named->victim, 0);
        if (named->again)
                named_arm(STEAL(named->again), 1);
}

static struct named named_of(struct fixture *fixture, char name)
{
        return (struct named){ .node = { .fn = on_named }, .fixture = fixture, .name = name };
}

static void run(struct fixture *fixture)
{
        assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
}

#define NAMED(variable, name)                                                                                        \
        struct named variable = named_of(fixture, name);                                                             \
        variable.node.userdata = &variable

static void test_earlier_deadline_fires_first_whatever_the_order_of_setting(void **state)
{
        struct fixture *fixture = *state;
        uint64_t now_us = timers_now_us();
        NAMED(a, 'a');
        NAMED(b, 'b');
        NAMED(c, 'c');

        named_arm(&c, now_us + 3001);
        named_arm(&a, now_us + 1001);
        named_arm(&b, now_us + 2001);
        run(fixture);
        assert_string_equal(fixture->order, "abc");
}

static void test_equal_deadlines_fire_in_the_order_of_setting(void **state)
{
        struct fixture *fixture = *state;
        uint64_t deadline_us = timers_now_us() + 1500;
        NAMED(a, 'a');
        NAMED(b, 'b');

        named_arm(&b, deadline_us);
        named_arm(&a, deadline_us);
        run(fixture);
        assert_string_equal(fixture->order, "ba");
}

static void test_no_deadline_fires_early(void **state)
{
        struct fixture *fixture = *state;
        NAMED(a, 'a');

        /* Each fraction of a millisecond: on_named() compares with the clock. */
        for (uint64_t fraction_us = 1; fraction_us < 1000; fraction_us += 83) {
                memset(fixture->order, 0, sizeof(fixture->order));
                named_arm(&a, timers_now_us() + 1000 + fraction_us);
                run(fixture);
                assert_string_equal(fixture->order, "a");
        }
}

static void test_deadline_in_the_past_fires_at_the_next_turn(void **state)
{
        struct fixture *fixture = *state;
        NAMED(a, 'a');

        named_arm(&a, 1);
        assert_string_equal(fixture->order, "");
        run(fixture);
        assert_string_equal(fixture->order, "a");
}

static void test_node_set_anew_fires_once_at_its_last_deadline(void **state)
{
        struct fixture *fixture = *state;
        uint64_t now_us = timers_now_us();
        NAMED(a, 'a');
        NAMED(b, 'b');

        named_arm(&a, now_us + 1000);
        named_arm(&b, now_us + 2000);
        named_arm(&a, now_us + 4000);
        run(fixture);
        assert_string_equal(fixture->order, "ba");
}

static void test_cleared_node_does_not_fire(void **state)
{
        struct fixture *fixture = *state;
        NAMED(a, 'a');

        named_arm(&a, timers_now_us() + 1000);
        named_arm(&a, 0);
        named_arm(&a, 0);
        run(fixture);
        assert_string_equal(fixture->order, "");
}

static void test_callback_may_clear_a_node_that_is_due_with_it(void **state)
{
        struct fixture *fixture = *state;
        NAMED(a, 'a');
        NAMED(b, 'b');
        NAMED(c, 'c');

        a.victim = &b;
        named_arm(&a, 1);
        named_arm(&b, 2);
        named_arm(&c, 3);
        run(fixture);
        assert_string_equal(fixture->order, "ac");
}

static void test_callback_that_arms_itself_for_the_past_lets_others_run_first(void **state)
{
        struct fixture *fixture = *state;
        NAMED(a, 'a');
        NAMED(b, 'b');

        a.again = &a;
        named_arm(&a, 1);
        named_arm(&b, 2);
        run(fixture);
        assert_string_equal(fixture->order, "aba");
}

static void test_callback_may_arm_a_node_that_is_due_with_it_anew(void **state)
{
        struct fixture *fixture = *state;
        NAMED(a, 'a');
        NAMED(b, 'b');
        NAMED(c, 'c');

        a.again = &b;
        named_arm(&a, 1);
        named_arm(&b, 2);
        named_arm(&c, 3);
        run(fixture);
        assert_string_equal(fixture->order, "acb");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_earlier_deadline_fires_first_whatever_the_order_of_setting,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_equal_deadlines_fire_in_the_order_of_setting, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_deadline_fires_early, setup, teardown),
                cmocka_unit_test_setup_teardown(test_deadline_in_the_past_fires_at_the_next_turn, setup, teardown),
                cmocka_unit_test_setup_teardown(test_node_set_anew_fires_once_at_its_last_deadline, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cleared_node_does_not_fire, setup, teardown),
                cmocka_unit_test_setup_teardown(test_callback_may_clear_a_node_that_is_due_with_it, setup, teardown),
                cmocka_unit_test_setup_teardown(test_callback_that_arms_itself_for_the_past_lets_others_run_first,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_callback_may_arm_a_node_that_is_due_with_it_anew, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
