/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <sched.h>
#include <stdlib.h>

#include "libmulm/cores.h"
#include "tests/support/test.h"

static void test_thread_steps_off_a_core_that_is_taken(void **state)
{
        atomic_int cores[2];
        cpu_set_t before, after;

        (void)state;
        assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
        atomic_init(&cores[0], sched_getcpu());
        atomic_init(&cores[1], -1);
        cores_take(cores, 1);
        assert_int_not_equal(atomic_load(&cores[1]), -1);
        assert_int_not_equal(atomic_load(&cores[1]), atomic_load(&cores[0]));

        /* It may go wherever it might before. */
        assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
        assert_true(CPU_EQUAL(&before, &after));
}

static void test_thread_stays_where_no_core_is_free(void **state)
{
        atomic_int cores[2];
        cpu_set_t before, one;

        (void)state;
        assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
        CPU_ZERO(&one);
        CPU_SET((unsigned)sched_getcpu(), &one);
        assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
        atomic_init(&cores[0], sched_getcpu());
        cores_take(cores, 1);
        assert_int_equal(atomic_load(&cores[1]), atomic_load(&cores[0]));
        assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void test_first_thread_never_moves(void **state)
{
        atomic_int cores[2];

        (void)state;
        atomic_init(&cores[0], -1);
        atomic_init(&cores[1], sched_getcpu());
        cores_take(cores, 0);
        assert_int_not_equal(atomic_load(&cores[0]), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_thread_stays_where_no_core_is_free),
                cmocka_unit_test(test_first_thread_never_moves),
                cmocka_unit_test(test_thread_steps_off_a_core_that_is_taken), /* where there are two */
        };
        cpu_set_t cores;

        if (sched_getaffinity(0, sizeof(cores), &cores) < 0)
                return EXIT_FAILURE;
        return _cmocka_run_group_tests("tests", tests, CPU_COUNT(&cores) < 2 ? 2 : 3, NULL, NULL);
}
