/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include "daemon/core/race.h"
#include "tests/support/test.h"

#define SECOND_US     UINT64_C(1000000)
#define FIRST_TEXT_US (3 * SECOND_US)
#define GAP_US        (2 * SECOND_US)
#define TOTAL_US      (20 * SECOND_US)

/* Bits of a plan. */
#define OPENER 1
#define CLOUD  2
#define LOCAL  4

static struct race_plan plan_of(unsigned bits)
{
        return (struct race_plan){
                .opener = bits & OPENER,
                .cloud = bits & CLOUD,
                .local = bits & LOCAL,
                .first_text_us = FIRST_TEXT_US,
                .gap_us = GAP_US,
                .total_us = TOTAL_US,
        };
}

/* One step of a scenario: what happens, where that leads, what is to be done. */
struct scene {
        enum race_event_type event;
        uint64_t at_us;
        enum race_state state;
        unsigned actions;
};

static struct race play(unsigned plan_bits, const struct scene *scenes, size_t n_scenes)
{
        struct race_plan plan = plan_of(plan_bits);
        struct race race;

        race_init(&race, &plan);
        for (size_t i = 0; i < n_scenes; i++) {
                assert_int_equal(race_step(&race, scenes[i].event, scenes[i].at_us), scenes[i].actions);
                assert_string_equal(race_state_name(race.state), race_state_name(scenes[i].state));
        }
        return race;
}

#define PLAY(plan, ...)                                                                                              \
        play(plan, (const struct scene[]){ __VA_ARGS__ },                                                            \
             sizeof((const struct scene[]){ __VA_ARGS__ }) / sizeof(struct scene))

#define BOTH_START RACE_ACTION_OPENER_START | RACE_ACTION_CLOUD_OPEN
#define HAND_OVER  RACE_ACTION_HANDOFF | RACE_ACTION_CLOUD_RELEASE
#define GO_LOCAL   RACE_ACTION_HANDOFF | RACE_ACTION_LOCAL_START

#define OPENED                                                                                                       \
        { RACE_EVENT_ASK, SECOND_US, RACE_STATE_QUEUED, BOTH_START },                                                \
                { RACE_EVENT_ENGINE_STARTED, SECOND_US, RACE_STATE_OPENING, 0 },                                     \
        {                                                                                                            \
                RACE_EVENT_WORD, SECOND_US, RACE_STATE_OPENING, 0                                                    \
        }
#define HANDED_OVER                                                                                                  \
        OPENED,                                                                                                      \
        {                                                                                                            \
                RACE_EVENT_OPENER_END, 2 * SECOND_US, RACE_STATE_HANDOFF, HAND_OVER                                  \
        }

static void test_opener_then_cloud_is_complete(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(OPENER | CLOUD | LOCAL, HANDED_OVER,
                    { RACE_EVENT_CLOUD_TEXT, 3 * SECOND_US, RACE_STATE_CONTINUING, 0 },
                    { RACE_EVENT_CLOUD_TEXT, 4 * SECOND_US, RACE_STATE_CONTINUING, 0 },
                    { RACE_EVENT_CLOUD_END, 4 * SECOND_US, RACE_STATE_DONE, RACE_ACTION_FINISH },
                    { RACE_EVENT_CLOUD_END, 4 * SECOND_US, RACE_STATE_DONE, 0 });
        assert_int_equal(race.outcome, RACE_OUTCOME_COMPLETE);
}

static void test_declined_opener_leaves_the_cloud_alone(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(OPENER | CLOUD | LOCAL, { RACE_EVENT_ASK, 1, RACE_STATE_QUEUED, BOTH_START },
                    { RACE_EVENT_ENGINE_STARTED, 2, RACE_STATE_OPENING, 0 },
                    { RACE_EVENT_OPENER_END, 3, RACE_STATE_REMOTE, HAND_OVER },
                    { RACE_EVENT_CLOUD_TEXT, 4, RACE_STATE_REMOTE, 0 },
                    { RACE_EVENT_CLOUD_END, 5, RACE_STATE_DONE, RACE_ACTION_FINISH });
        assert_int_equal(race.outcome, RACE_OUTCOME_COMPLETE);
}

static void test_without_opener_the_body_goes_at_once(void **state)
{
        (void)state;
        PLAY(CLOUD | LOCAL, { RACE_EVENT_ASK, 1, RACE_STATE_REMOTE, RACE_ACTION_CLOUD_OPEN | HAND_OVER },
             { RACE_EVENT_CLOUD_FAILED, 1, RACE_STATE_LOCAL, RACE_ACTION_LOCAL_START });
}

static void test_with_local_alone_the_model_starts_at_once(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(LOCAL, { RACE_EVENT_ASK, 1, RACE_STATE_LOCAL, GO_LOCAL },
                    { RACE_EVENT_ENGINE_STARTED, 2, RACE_STATE_LOCAL, 0 },
                    { RACE_EVENT_WORD, 3, RACE_STATE_LOCAL, 0 },
                    { RACE_EVENT_LOCAL_END, 4, RACE_STATE_DONE, RACE_ACTION_FINISH });
        assert_int_equal(race.outcome, RACE_OUTCOME_LOCAL);
}

static void test_with_nobody_to_answer_it_fails_at_once(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(0, { RACE_EVENT_ASK, 1, RACE_STATE_FAILED, RACE_ACTION_FINISH });
        assert_int_equal(race.outcome, RACE_OUTCOME_FAILED);
}

static void test_cloud_lost_while_opening_ends_local_after_the_opener(void **state)
{
        (void)state;
        PLAY(OPENER | CLOUD | LOCAL, OPENED, { RACE_EVENT_CLOUD_FAILED, SECOND_US, RACE_STATE_OPENING, 0 },
             { RACE_EVENT_WORD, SECOND_US, RACE_STATE_OPENING, 0 },
             { RACE_EVENT_OPENER_END, SECOND_US, RACE_STATE_LOCAL, GO_LOCAL });
        PLAY(OPENER | CLOUD, OPENED, { RACE_EVENT_CLOUD_FAILED, SECOND_US, RACE_STATE_OPENING, 0 },
             { RACE_EVENT_OPENER_END, SECOND_US, RACE_STATE_FAILED, RACE_ACTION_FINISH });
}

static void test_cloud_that_speaks_before_it_is_asked_is_dropped(void **state)
{
        (void)state;
        PLAY(OPENER | CLOUD | LOCAL, OPENED,
             { RACE_EVENT_CLOUD_TEXT, SECOND_US, RACE_STATE_OPENING, RACE_ACTION_CLOUD_ABORT },
             { RACE_EVENT_OPENER_END, SECOND_US, RACE_STATE_LOCAL, GO_LOCAL });
}

static void test_silent_cloud_is_aborted_after_first_text_time(void **state)
{
        const uint64_t due_us = 2 * SECOND_US + FIRST_TEXT_US;
        struct race race;

        (void)state;
        race = PLAY(
                OPENER | CLOUD | LOCAL, HANDED_OVER, { RACE_EVENT_TIMEOUT, due_us - 1, RACE_STATE_HANDOFF, 0 },
                { RACE_EVENT_TIMEOUT, due_us, RACE_STATE_LOCAL, RACE_ACTION_CLOUD_ABORT | RACE_ACTION_LOCAL_START },
                { RACE_EVENT_CLOUD_TEXT, due_us, RACE_STATE_LOCAL, 0 },
                { RACE_EVENT_LOCAL_END, due_us, RACE_STATE_DONE, RACE_ACTION_FINISH });
        assert_int_equal(race.outcome, RACE_OUTCOME_LOCAL);
        PLAY(OPENER | CLOUD, HANDED_OVER,
             { RACE_EVENT_TIMEOUT, due_us, RACE_STATE_FAILED, RACE_ACTION_CLOUD_ABORT | RACE_ACTION_FINISH });
}

static void test_each_text_rearms_the_gap(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(OPENER | CLOUD | LOCAL, HANDED_OVER,
                    { RACE_EVENT_CLOUD_TEXT, 3 * SECOND_US, RACE_STATE_CONTINUING, 0 },
                    { RACE_EVENT_CLOUD_TEXT, 4 * SECOND_US, RACE_STATE_CONTINUING, 0 },
                    { RACE_EVENT_TIMEOUT, 3 * SECOND_US + GAP_US, RACE_STATE_CONTINUING, 0 });
        assert_int_equal(race_deadline_us(&race), 4 * SECOND_US + GAP_US);
        race = PLAY(CLOUD, { RACE_EVENT_ASK, 1, RACE_STATE_REMOTE, RACE_ACTION_CLOUD_OPEN | HAND_OVER },
                    { RACE_EVENT_CLOUD_TEXT, 2 * SECOND_US, RACE_STATE_REMOTE, 0 },
                    { RACE_EVENT_TIMEOUT, 1 + FIRST_TEXT_US, RACE_STATE_REMOTE, 0 });
        assert_int_equal(race_deadline_us(&race), 2 * SECOND_US + GAP_US);
}

static void test_total_time_bounds_first_text_and_gap(void **state)
{
        const uint64_t late_us = SECOND_US + TOTAL_US - 1;
        struct race race;

        (void)state;
        race = PLAY(OPENER | CLOUD, OPENED, { RACE_EVENT_OPENER_END, late_us, RACE_STATE_HANDOFF, HAND_OVER });
        assert_int_equal(race_deadline_us(&race), SECOND_US + TOTAL_US);
        (void)race_step(&race, RACE_EVENT_CLOUD_TEXT, late_us);
        assert_int_equal(race_deadline_us(&race), SECOND_US + TOTAL_US);
}

static void test_total_time_without_a_word_goes_local(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(OPENER | CLOUD | LOCAL, { RACE_EVENT_ASK, 1, RACE_STATE_QUEUED, BOTH_START },
                    { RACE_EVENT_TIMEOUT, 1 + TOTAL_US, RACE_STATE_LOCAL,
                      RACE_ACTION_ENGINE_CANCEL | RACE_ACTION_CLOUD_ABORT | GO_LOCAL });
        assert_int_equal(race_deadline_us(&race), 1 + 2 * TOTAL_US);
        assert_int_equal(race_step(&race, RACE_EVENT_TIMEOUT, 1 + 2 * TOTAL_US),
                         RACE_ACTION_ENGINE_CANCEL | RACE_ACTION_FINISH);
        assert_int_equal(race.outcome, RACE_OUTCOME_FAILED);
}

static void test_local_speech_cut_by_its_deadline_is_a_reply(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(LOCAL, { RACE_EVENT_ASK, 1, RACE_STATE_LOCAL, GO_LOCAL },
                    { RACE_EVENT_WORD, 2, RACE_STATE_LOCAL, 0 },
                    { RACE_EVENT_TIMEOUT, 1 + TOTAL_US, RACE_STATE_DONE,
                      RACE_ACTION_ENGINE_CANCEL | RACE_ACTION_FINISH });
        assert_int_equal(race.outcome, RACE_OUTCOME_LOCAL);
}

static void test_without_limits_there_is_no_deadline(void **state)
{
        struct race_plan plan = plan_of(OPENER | CLOUD | LOCAL);
        struct race race;

        (void)state;
        plan.first_text_us = plan.gap_us = plan.total_us = 0;
        race_init(&race, &plan);
        (void)race_step(&race, RACE_EVENT_ASK, 1);
        assert_int_equal(race_deadline_us(&race), 0);
        (void)race_step(&race, RACE_EVENT_OPENER_END, 2);
        assert_int_equal(race_deadline_us(&race), 0);
        assert_int_equal(race_step(&race, RACE_EVENT_TIMEOUT, UINT64_MAX), 0);
        plan.total_us = UINT64_MAX;
        race_init(&race, &plan);
        (void)race_step(&race, RACE_EVENT_ASK, 1);
        assert_int_equal(race_deadline_us(&race), 0);
}

static void test_broken_stream_is_finished_by_the_model(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(OPENER | CLOUD | LOCAL, HANDED_OVER,
                    { RACE_EVENT_CLOUD_TEXT, 3 * SECOND_US, RACE_STATE_CONTINUING, 0 },
                    { RACE_EVENT_CLOUD_FAILED, 3 * SECOND_US, RACE_STATE_LOCAL, RACE_ACTION_LOCAL_START },
                    { RACE_EVENT_LOCAL_END, 3 * SECOND_US, RACE_STATE_DONE, RACE_ACTION_FINISH });
        assert_int_equal(race.outcome, RACE_OUTCOME_LOCAL);
}

static void test_lost_stream_is_asked_for_again_at_its_time(void **state)
{
        const unsigned again = RACE_ACTION_CLOUD_OPEN | RACE_ACTION_CLOUD_RELEASE;
        struct race_plan plan = plan_of(OPENER | CLOUD | LOCAL);
        struct race race;

        (void)state;
        race_init(&race, &plan);
        (void)race_step(&race, RACE_EVENT_ASK, SECOND_US);
        (void)race_step(&race, RACE_EVENT_WORD, SECOND_US);
        (void)race_step(&race, RACE_EVENT_OPENER_END, SECOND_US);
        (void)race_step(&race, RACE_EVENT_CLOUD_TEXT, 2 * SECOND_US);
        race_resume_at(&race, 5 * SECOND_US);
        assert_int_equal(race_step(&race, RACE_EVENT_CLOUD_LOST, 3 * SECOND_US), 0);
        assert_int_equal(race.state, RACE_STATE_RESUMING);
        assert_int_equal(race_deadline_us(&race), 5 * SECOND_US);
        assert_int_equal(race_step(&race, RACE_EVENT_TIMEOUT, 5 * SECOND_US - 1), 0);
        assert_int_equal(race_step(&race, RACE_EVENT_TIMEOUT, 5 * SECOND_US), again);
        assert_int_equal(race.state, RACE_STATE_HANDOFF);
        assert_int_equal(race_deadline_us(&race), 5 * SECOND_US + FIRST_TEXT_US);

        race_resume_at(&race, 100 * SECOND_US);
        (void)race_step(&race, RACE_EVENT_CLOUD_LOST, 6 * SECOND_US);
        assert_int_equal(race_deadline_us(&race), SECOND_US + TOTAL_US);
        assert_int_equal(race_step(&race, RACE_EVENT_TIMEOUT, SECOND_US + TOTAL_US), RACE_ACTION_LOCAL_START);
        assert_int_equal(race.state, RACE_STATE_LOCAL);
}

static void test_cloud_lost_while_opening_is_opened_again_meanwhile(void **state)
{
        (void)state;
        PLAY(OPENER | CLOUD | LOCAL, OPENED, { RACE_EVENT_CLOUD_LOST, SECOND_US, RACE_STATE_OPENING, 0 },
             { RACE_EVENT_TIMEOUT, SECOND_US, RACE_STATE_OPENING, RACE_ACTION_CLOUD_OPEN },
             { RACE_EVENT_OPENER_END, SECOND_US, RACE_STATE_HANDOFF, HAND_OVER });
        PLAY(OPENER | CLOUD | LOCAL, OPENED, { RACE_EVENT_CLOUD_LOST, SECOND_US, RACE_STATE_OPENING, 0 },
             { RACE_EVENT_OPENER_END, SECOND_US, RACE_STATE_RESUMING, RACE_ACTION_HANDOFF },
             { RACE_EVENT_TIMEOUT, SECOND_US, RACE_STATE_HANDOFF,
               RACE_ACTION_CLOUD_OPEN | RACE_ACTION_CLOUD_RELEASE });
}

static void test_silence_is_told_from_the_end_of_all_time(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(OPENER | CLOUD | LOCAL, HANDED_OVER);
        assert_false(race_is_silent(&race, race.deadline_us - 1));
        assert_true(race_is_silent(&race, race.deadline_us));
        assert_false(race_is_silent(&race, SECOND_US + TOTAL_US));
        race = PLAY(OPENER | CLOUD | LOCAL, OPENED);
        assert_false(race_is_silent(&race, SECOND_US + TOTAL_US));
}

static void test_end_without_text_does_not_leave_half_a_sentence(void **state)
{
        struct race race;

        (void)state;
        PLAY(OPENER | CLOUD | LOCAL, HANDED_OVER,
             { RACE_EVENT_CLOUD_END, 3 * SECOND_US, RACE_STATE_LOCAL, RACE_ACTION_LOCAL_START });
        race = PLAY(OPENER | CLOUD, HANDED_OVER,
                    { RACE_EVENT_CLOUD_END, 3 * SECOND_US, RACE_STATE_DONE, RACE_ACTION_FINISH });
        assert_int_equal(race.outcome, RACE_OUTCOME_COMPLETE);
        PLAY(CLOUD | LOCAL, { RACE_EVENT_ASK, 1, RACE_STATE_REMOTE, RACE_ACTION_CLOUD_OPEN | HAND_OVER },
             { RACE_EVENT_CLOUD_END, 2, RACE_STATE_LOCAL, RACE_ACTION_LOCAL_START });
        PLAY(CLOUD, { RACE_EVENT_ASK, 1, RACE_STATE_REMOTE, RACE_ACTION_CLOUD_OPEN | HAND_OVER },
             { RACE_EVENT_CLOUD_END, 2, RACE_STATE_FAILED, RACE_ACTION_FINISH });
}

static void test_engine_failure_leaves_it_to_the_cloud(void **state)
{
        (void)state;
        PLAY(OPENER | CLOUD, OPENED, { RACE_EVENT_ENGINE_FAILED, SECOND_US, RACE_STATE_HANDOFF, HAND_OVER });
        PLAY(OPENER | CLOUD, { RACE_EVENT_ASK, 1, RACE_STATE_QUEUED, BOTH_START },
             { RACE_EVENT_ENGINE_FAILED, 1, RACE_STATE_REMOTE, HAND_OVER });
        PLAY(OPENER | LOCAL, { RACE_EVENT_ASK, 1, RACE_STATE_QUEUED, RACE_ACTION_OPENER_START },
             { RACE_EVENT_ENGINE_FAILED, 1, RACE_STATE_FAILED, RACE_ACTION_FINISH });
}

static void test_engine_failure_in_local_is_the_end(void **state)
{
        struct race race;

        (void)state;
        race = PLAY(OPENER | LOCAL, { RACE_EVENT_ASK, 1, RACE_STATE_QUEUED, RACE_ACTION_OPENER_START },
                    { RACE_EVENT_WORD, 2, RACE_STATE_OPENING, 0 },
                    { RACE_EVENT_OPENER_END, 3, RACE_STATE_LOCAL, GO_LOCAL },
                    { RACE_EVENT_ENGINE_FAILED, 4, RACE_STATE_FAILED, RACE_ACTION_FINISH });
        assert_true(race.said);
}

static void test_cancel_stops_what_runs(void **state)
{
        (void)state;
        PLAY(OPENER | CLOUD | LOCAL, OPENED,
             { RACE_EVENT_CANCEL, SECOND_US, RACE_STATE_CANCELLED,
               RACE_ACTION_ENGINE_CANCEL | RACE_ACTION_CLOUD_ABORT | RACE_ACTION_FINISH },
             { RACE_EVENT_WORD, SECOND_US, RACE_STATE_CANCELLED, 0 });
        PLAY(OPENER | CLOUD | LOCAL, HANDED_OVER,
             { RACE_EVENT_CANCEL, 3 * SECOND_US, RACE_STATE_CANCELLED,
               RACE_ACTION_CLOUD_ABORT | RACE_ACTION_FINISH });
        PLAY(LOCAL, { RACE_EVENT_CANCEL, 1, RACE_STATE_CANCELLED, RACE_ACTION_FINISH },
             { RACE_EVENT_ASK, 2, RACE_STATE_CANCELLED, 0 });
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_opener_then_cloud_is_complete),
                cmocka_unit_test(test_declined_opener_leaves_the_cloud_alone),
                cmocka_unit_test(test_without_opener_the_body_goes_at_once),
                cmocka_unit_test(test_with_local_alone_the_model_starts_at_once),
                cmocka_unit_test(test_with_nobody_to_answer_it_fails_at_once),
                cmocka_unit_test(test_cloud_lost_while_opening_ends_local_after_the_opener),
                cmocka_unit_test(test_cloud_that_speaks_before_it_is_asked_is_dropped),
                cmocka_unit_test(test_silent_cloud_is_aborted_after_first_text_time),
                cmocka_unit_test(test_each_text_rearms_the_gap),
                cmocka_unit_test(test_total_time_bounds_first_text_and_gap),
                cmocka_unit_test(test_total_time_without_a_word_goes_local),
                cmocka_unit_test(test_local_speech_cut_by_its_deadline_is_a_reply),
                cmocka_unit_test(test_without_limits_there_is_no_deadline),
                cmocka_unit_test(test_broken_stream_is_finished_by_the_model),
                cmocka_unit_test(test_lost_stream_is_asked_for_again_at_its_time),
                cmocka_unit_test(test_cloud_lost_while_opening_is_opened_again_meanwhile),
                cmocka_unit_test(test_silence_is_told_from_the_end_of_all_time),
                cmocka_unit_test(test_end_without_text_does_not_leave_half_a_sentence),
                cmocka_unit_test(test_engine_failure_leaves_it_to_the_cloud),
                cmocka_unit_test(test_engine_failure_in_local_is_the_end),
                cmocka_unit_test(test_cancel_stops_what_runs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
