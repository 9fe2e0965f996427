/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Decisions at the seam and the moment they fall; what texts become is tested with the merge.
 */
#include <string.h>

#include "daemon/core/seam.h"
#include "tests/support/test.h"

/* One more byte at a time: decided from `at` bytes on, and the same from there on. */
static void assert_seam(const char *said, const char *text, size_t at, struct seam wanted)
{
        struct seam seam;

        for (size_t n = 0; n <= strlen(text); n++) {
                bool decided = seam_decide(said, strlen(said), text, n, false, &seam);

                assert_int_equal(decided, n >= at);
                if (!decided)
                        continue;
                assert_int_equal(seam.skip, wanted.skip);
                assert_int_equal(seam.blank, wanted.blank);
                assert_int_equal(seam.lower, wanted.lower);
        }
}

static void test_letters_decide_at_once(void **state)
{
        (void)state;
        assert_seam("It is", "red", 1, (struct seam){ .blank = true });
        assert_seam("It is", "  red", 3, (struct seam){ .skip = 2, .blank = true });
        assert_seam("It is ", " red", 2, (struct seam){ .skip = 1 });
        assert_seam("", "\n red", 3, (struct seam){ .skip = 2 });
}

static void test_signs_wait_for_what_follows(void **state)
{
        (void)state;
        assert_seam("It is", ", red", 1, (struct seam){ 0 });
        assert_seam("Rome", "-based", 2, (struct seam){ 0 });
        assert_seam("Rome", "- old", 2, (struct seam){ .blank = true });
        assert_seam("Rome", "'s old", 3, (struct seam){ 0 });
        assert_seam("Rome", "'slow'", 3, (struct seam){ .blank = true });
        assert_seam("It is", " .NET", 3, (struct seam){ .skip = 1, .blank = true });
        assert_seam("It is,", ", red", 3, (struct seam){ .skip = 2, .blank = true });
}

static void test_capitals_wait_for_the_whole_word(void **state)
{
        (void)state;
        assert_seam("It is", "It was", 3, (struct seam){ .blank = true, .lower = true });
        assert_seam("It is", "Italy", 3, (struct seam){ .blank = true });
        assert_seam("It is", "The red", 5, (struct seam){ .blank = true, .lower = true });
        assert_seam("It is", "The Hague", 5, (struct seam){ .blank = true });
        assert_seam("It is.", "The red", 1, (struct seam){ .blank = true });
        assert_seam("It is", "Rome", 1, (struct seam){ .blank = true });
}

static void test_the_end_decides_what_is_open(void **state)
{
        struct seam seam;

        (void)state;
        assert_true(seam_decide("It is", 5, "  ", 2, true, &seam));
        assert_int_equal(seam.skip, 2);
        assert_true(seam_decide("It is", 5, "-", 1, true, &seam));
        assert_true(seam.blank);
        assert_true(seam_decide("It is", 5, "It", 2, true, &seam));
        assert_true(seam.lower);
        assert_true(seam_decide("Rome", 4, "'s", 2, true, &seam));
        assert_false(seam.blank);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_letters_decide_at_once),
                cmocka_unit_test(test_signs_wait_for_what_follows),
                cmocka_unit_test(test_capitals_wait_for_the_whole_word),
                cmocka_unit_test(test_the_end_decides_what_is_open),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
