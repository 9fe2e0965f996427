/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <stdio.h>
#include <string.h>

#include "daemon/core/race.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

#define SECOND_US     UINT64_C(1000000)
#define FIRST_TEXT_US (3 * SECOND_US)
#define GAP_US        (2 * SECOND_US)
#define TOTAL_US      (20 * SECOND_US)

#define N_PLANS 8

static struct race_plan plan_of(unsigned bits)
{
        return (struct race_plan){
                .opener = bits & 1,
                .cloud = bits & 2,
                .local = bits & 4,
                .first_text_us = FIRST_TEXT_US,
                .gap_us = GAP_US,
                .total_us = TOTAL_US,
        };
}

/* ------------------------------------------------------------------------------- what must always be true */

/* What the caller has been told to do so far. */
struct history {
        unsigned n_openers, n_opens, n_handoffs, n_releases, n_locals, n_finishes;
        unsigned job, attempt; /* 1 while out; no bool, so that memcmp() sees no padding */
};

static void count(const struct history *history)
{
        assert_true(history->n_openers <= 1);
        assert_true(history->n_opens <= 1);
        assert_true(history->n_handoffs <= 1);
        assert_true(history->n_releases <= 1);
        assert_true(history->n_locals <= 1);
        assert_true(history->n_finishes <= 1);
}

/* Performs the actions as `request` does, in the order of their bits, and checks that each makes sense. */
static void perform(struct history *history, unsigned actions)
{
        assert_true(actions < RACE_ACTION_FINISH << 1);
        if (actions & RACE_ACTION_OPENER_START) {
                history->n_openers++;
                history->job = 1;
        }
        if (actions & RACE_ACTION_CLOUD_OPEN) {
                history->n_opens++;
                history->attempt = 1;
        }
        if (actions & RACE_ACTION_ENGINE_CANCEL) {
                assert_true(history->job);
                history->job = 0;
        }
        if (actions & RACE_ACTION_CLOUD_ABORT) {
                assert_true(history->attempt);
                history->attempt = 0;
        }
        if (actions & RACE_ACTION_HANDOFF)
                history->n_handoffs++;
        if (actions & RACE_ACTION_CLOUD_RELEASE) {
                assert_true(history->attempt);
                assert_int_equal(history->n_handoffs, 1);
                history->n_releases++;
        }
        if (actions & RACE_ACTION_LOCAL_START) {
                assert_false(history->job);
                assert_int_equal(history->n_handoffs, 1);
                history->n_locals++;
                history->job = 1;
        }
        if (actions & RACE_ACTION_FINISH)
                history->n_finishes++;
        count(history);
}

/* Events that engine and cloud could no longer send, for want of a job or an attempt. */
static bool is_impossible(const struct history *history, enum race_event_type event)
{
        if (event == RACE_EVENT_ENGINE_STARTED || event == RACE_EVENT_WORD || event == RACE_EVENT_OPENER_END ||
            event == RACE_EVENT_LOCAL_END || event == RACE_EVENT_ENGINE_FAILED)
                return !history->job;
        if (event == RACE_EVENT_CLOUD_TEXT || event == RACE_EVENT_CLOUD_END || event == RACE_EVENT_CLOUD_FAILED)
                return !history->attempt;
        return false;
}

/* What an event itself says about job and attempt. */
static void note_event(struct history *history, enum race_event_type event, enum race_state state)
{
        if (event == RACE_EVENT_ENGINE_FAILED || (event == RACE_EVENT_OPENER_END && state <= RACE_STATE_OPENING) ||
            (event == RACE_EVENT_LOCAL_END && state == RACE_STATE_LOCAL))
                history->job = 0;
        if (event == RACE_EVENT_CLOUD_END || event == RACE_EVENT_CLOUD_FAILED)
                history->attempt = 0;
}

/* In all but times. */
static bool is_same_race(const struct race *a, const struct race *b)
{
        return a->plan.opener == b->plan.opener && a->plan.cloud == b->plan.cloud && a->plan.local == b->plan.local &&
               a->state == b->state && a->outcome == b->outcome && a->asked == b->asked && a->said == b->said &&
               a->answered == b->answered && a->cloud_open == b->cloud_open && a->engine_busy == b->engine_busy;
}

static void check_step(const struct race *before, const struct race *after, enum race_event_type event,
                       unsigned actions)
{
        bool is_live = RACE_STATE_IS_LIVE(after->state);

        if (!RACE_STATE_IS_LIVE(before->state)) {
                assert_int_equal(actions, 0);
                assert_true(is_same_race(before, after));
                return;
        }
        assert_int_equal(is_live, after->outcome == RACE_OUTCOME_NONE);
        assert_int_equal(is_live, !(actions & RACE_ACTION_FINISH));
        assert_int_equal(is_live && after->asked, race_deadline_us(after) != 0);
        if (actions & (RACE_ACTION_OPENER_START | RACE_ACTION_CLOUD_OPEN))
                assert_int_equal(event, RACE_EVENT_ASK);
        if (event == RACE_EVENT_CANCEL) {
                assert_int_equal(after->state, RACE_STATE_CANCELLED);
                assert_int_equal(after->outcome, RACE_OUTCOME_CANCELLED);
        }
}

/* ---------------------------------------------------------------------------------------- the complete walk */

/* One configuration that can be reached; times are left out, since only their order matters. */
struct node {
        struct race race;
        struct history history;
        uint64_t now_us;
};

#define MAX_NODES 4096

struct walk {
        struct node nodes[MAX_NODES];
        size_t n_nodes;
        bool visited[_RACE_STATE_N][_RACE_EVENT_N];              /* the event was fed in the state */
        bool edges[_RACE_STATE_N][_RACE_STATE_N][_RACE_EVENT_N]; /* [from][to][by] was seen */
};

static bool is_same(const struct node *a, const struct node *b)
{
        return is_same_race(&a->race, &b->race) && !memcmp(&a->history, &b->history, sizeof(a->history));
}

static void walk_add(struct walk *walk, const struct node *node)
{
        for (size_t i = 0; i < walk->n_nodes; i++)
                if (is_same(&walk->nodes[i], node))
                        return;
        assert_true(walk->n_nodes < MAX_NODES);
        walk->nodes[walk->n_nodes++] = *node;
}

static void walk_step(struct walk *walk, const struct node *from, enum race_event_type event)
{
        struct node node = *from;
        unsigned actions;

        if (event == RACE_EVENT_TIMEOUT && node.race.deadline_us > 0)
                node.now_us = node.race.deadline_us;
        note_event(&node.history, event, node.race.state);
        actions = race_step(&node.race, event, node.now_us);
        check_step(&from->race, &node.race, event, actions);
        perform(&node.history, actions);

        walk->visited[from->race.state][event] = true;
        if (node.race.state != from->race.state)
                walk->edges[from->race.state][node.race.state][event] = true;
        walk_add(walk, &node);
}

/* Breadth first from every plan. Where `is_strict`, only events that engine and cloud can send. */
static struct walk *walk_all(bool is_strict)
{
        struct walk *walk = calloc(1, sizeof(*walk));

        assert_non_null(walk);
        for (unsigned bits = 0; bits < N_PLANS; bits++) {
                struct race_plan plan = plan_of(bits);
                struct node node;

                memset(&node, 0, sizeof(node));
                node.now_us = SECOND_US;
                race_init(&node.race, &plan);
                walk_add(walk, &node);
        }
        for (size_t i = 0; i < walk->n_nodes; i++)
                for (unsigned event = 0; event < _RACE_EVENT_N; event++) {
                        const struct node node = walk->nodes[i];

                        if (!is_strict || !is_impossible(&node.history, (enum race_event_type)event))
                                walk_step(walk, &node, (enum race_event_type)event);
                }
        return walk;
}

static void test_every_event_in_every_state_keeps_the_rules(void **state)
{
        _cleanup_free_ struct walk *walk = walk_all(false);

        (void)state;
        for (unsigned from = 0; from < _RACE_STATE_N; from++)
                for (unsigned event = 0; event < _RACE_EVENT_N; event++)
                        assert_true(walk->visited[from][event]);
}

static void test_job_and_attempt_are_known_exactly(void **state)
{
        _cleanup_free_ struct walk *walk = walk_all(true);

        (void)state;
        for (size_t i = 0; i < walk->n_nodes; i++) {
                const struct node *node = &walk->nodes[i];

                assert_int_equal(node->race.engine_busy, node->history.job);
                assert_int_equal(node->race.cloud_open, node->history.attempt);
                if (!RACE_STATE_IS_LIVE(node->race.state)) {
                        assert_int_equal(node->history.n_finishes, 1);
                        assert_false(node->history.job || node->history.attempt);
                }
        }
}

static void test_every_request_ends_by_its_deadlines_alone(void **state)
{
        _cleanup_free_ struct walk *walk = walk_all(true);

        (void)state;
        for (size_t i = 0; i < walk->n_nodes; i++) {
                struct race race = walk->nodes[i].race;
                uint64_t now_us = walk->nodes[i].now_us;

                for (unsigned n = 0; n < 2 && race.asked && RACE_STATE_IS_LIVE(race.state); n++) {
                        assert_true(race.deadline_us >= now_us && race.deadline_us <= now_us + TOTAL_US);
                        now_us = race.deadline_us;
                        (void)race_step(&race, RACE_EVENT_TIMEOUT, now_us);
                }
                assert_true(!race.asked || !RACE_STATE_IS_LIVE(race.state));
        }
}

/* ------------------------------------------------------------------------------------------- the diagram */

static unsigned find_state(const char *name)
{
        for (unsigned i = 0; i < _RACE_STATE_N; i++)
                if (!strcmp(race_state_name((enum race_state)i), name))
                        return i;
        fail_msg("race.md names a state that does not exist: %s", name);
        return 0;
}

static unsigned find_event(const char *name)
{
        for (unsigned i = 0; i < _RACE_EVENT_N; i++)
                if (!strcmp(race_event_name((enum race_event_type)i), name))
                        return i;
        fail_msg("race.md names an event that does not exist: %s", name);
        return 0;
}

/* Lines of the form "from --> to : event, event". */
static void read_diagram(struct walk *diagram)
{
        const char *root = getenv("MULM_SOURCE_ROOT");
        char path[4096], line[512], from[32], to[32], events[256], *rest, *name;
        FILE *file;

        assert_non_null(root);
        (void)snprintf(path, sizeof(path), "%s/docs/internals/race.md", root);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                if (sscanf(line, " %31s --> %31s : %255[^\n]", from, to, events) != 3)
                        continue;
                for (name = strtok_r(events, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
                        diagram->edges[find_state(from)][find_state(to)][find_event(name)] = true;
        }
        (void)fclose(file);
}

static void test_diagram_and_code_have_the_same_transitions(void **state)
{
        _cleanup_free_ struct walk *walk = walk_all(true), *diagram = calloc(1, sizeof(*diagram));

        (void)state;
        assert_non_null(diagram);
        read_diagram(diagram);
        for (unsigned from = 0; from < _RACE_STATE_N; from++)
                for (unsigned to = 0; to < _RACE_STATE_N; to++)
                        for (unsigned event = 0; event < _RACE_EVENT_N; event++)
                                if (walk->edges[from][to][event] != diagram->edges[from][to][event])
                                        fail_msg("%s --> %s : %s is %s", race_state_name((enum race_state)from),
                                                 race_state_name((enum race_state)to),
                                                 race_event_name((enum race_event_type)event),
                                                 walk->edges[from][to][event] ? "missing in race.md"
                                                                              : "not in the code");
}

/* --------------------------------------------------------------------------------------- random sequences */

static uint64_t next_random(uint64_t *seed)
{
        /* xorshift64, Marsaglia 2003. */
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        return *seed;
}

static void test_random_sequences_keep_the_rules(void **state)
{
        uint64_t seed = 0x6d756c6d;
        unsigned n_steps = 0, n_over = 0;

        (void)state;
        while (n_steps < 100000) {
                struct race_plan plan = plan_of((unsigned)(next_random(&seed) % N_PLANS));
                struct history history = { 0 };
                struct race race;
                uint64_t now_us = SECOND_US;

                race_init(&race, &plan);
                for (unsigned i = 0; i < 24; i++, n_steps++) {
                        enum race_event_type event =
                                i == 0 ? RACE_EVENT_ASK : (enum race_event_type)(next_random(&seed) % _RACE_EVENT_N);
                        struct race before = race;
                        unsigned actions;

                        now_us += next_random(&seed) % (GAP_US * 2);
                        note_event(&history, event, race.state);
                        actions = race_step(&race, event, now_us);
                        check_step(&before, &race, event, actions);
                        perform(&history, actions);
                }
                n_over += history.n_finishes;
                assert_int_equal(history.n_finishes, !RACE_STATE_IS_LIVE(race.state));
        }
        assert_true(n_over > 1000);
}

/* --------------------------------------------------------------------------------------- named scenarios */

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

#define OPENER 1
#define CLOUD  2
#define LOCAL  4
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

static void test_every_value_has_a_name(void **state)
{
        (void)state;
        for (unsigned i = 0; i < _RACE_STATE_N; i++)
                assert_string_not_equal(race_state_name((enum race_state)i), "");
        for (unsigned i = 0; i < _RACE_EVENT_N; i++)
                assert_string_not_equal(race_event_name((enum race_event_type)i), "");
        assert_string_equal(race_outcome_name(RACE_OUTCOME_NONE), "");
        assert_string_equal(race_outcome_name(RACE_OUTCOME_COMPLETE), "complete");
        assert_string_equal(race_outcome_name(RACE_OUTCOME_LOCAL), "local");
        assert_string_equal(race_outcome_name(RACE_OUTCOME_CANCELLED), "cancelled");
        assert_string_equal(race_outcome_name(RACE_OUTCOME_FAILED), "failed");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_event_in_every_state_keeps_the_rules),
                cmocka_unit_test(test_job_and_attempt_are_known_exactly),
                cmocka_unit_test(test_every_request_ends_by_its_deadlines_alone),
                cmocka_unit_test(test_diagram_and_code_have_the_same_transitions),
                cmocka_unit_test(test_random_sequences_keep_the_rules),
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
                cmocka_unit_test(test_end_without_text_does_not_leave_half_a_sentence),
                cmocka_unit_test(test_engine_failure_leaves_it_to_the_cloud),
                cmocka_unit_test(test_engine_failure_in_local_is_the_end),
                cmocka_unit_test(test_cancel_stops_what_runs),
                cmocka_unit_test(test_every_value_has_a_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
