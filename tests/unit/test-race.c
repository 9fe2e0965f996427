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

#define N_PLANS 16

static struct race_plan plan_of(unsigned bits)
{
        return (struct race_plan){
                .opener = bits & 1,
                .cloud = bits & 2,
                .local = bits & 4,
                .hedge = bits & 8,
                .first_text_us = FIRST_TEXT_US,
                .gap_us = GAP_US,
                .total_us = TOTAL_US,
        };
}

/* ------------------------------------------------------------------------------- what must always be true */

/* What the caller has been told to do so far. */
struct history {
        unsigned n_openers, n_handoffs, n_locals, n_finishes;
        unsigned job;               /* 1 while out; no bool, so that memcmp() sees no padding */
        unsigned attempt, released; /* the attempt is open; its body was sent */
        unsigned hedge;             /* the hedge is open */
        unsigned lost;              /* CLOUD_LOST came, and no attempt since */
};

static void count(const struct history *history)
{
        assert_true(history->n_openers <= 1);
        assert_true(history->n_handoffs <= 1);
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
                assert_false(history->attempt);
                history->attempt = 1;
                history->released = history->lost = 0;
        }
        if (actions & RACE_ACTION_HEDGE_OPEN) {
                assert_true(history->attempt);
                assert_false(history->hedge);
                history->hedge = 1;
        }
        if (actions & RACE_ACTION_ENGINE_CANCEL) {
                assert_true(history->job);
                history->job = 0;
        }
        if (actions & RACE_ACTION_CLOUD_ABORT) {
                assert_true(history->attempt);
                history->attempt = 0;
        }
        if (actions & RACE_ACTION_HEDGE_ABORT) {
                assert_true(history->hedge);
                history->hedge = 0;
        }
        if (actions & RACE_ACTION_HANDOFF)
                history->n_handoffs++;
        if (actions & RACE_ACTION_HEDGE_ADOPT) {
                assert_true(history->hedge);
                assert_false(history->attempt || history->job);
                assert_int_equal(history->n_handoffs, 1);
                history->hedge = history->lost = 0;
                history->attempt = history->released = 1;
        }
        if (actions & RACE_ACTION_CLOUD_RELEASE) {
                assert_true(history->attempt);
                assert_int_equal(history->n_handoffs, 1);
                assert_false(history->released);
                history->released = 1;
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
        if (event == RACE_EVENT_CLOUD_TEXT || event == RACE_EVENT_CLOUD_END || event == RACE_EVENT_CLOUD_LOST ||
            event == RACE_EVENT_CLOUD_FAILED)
                return !history->attempt;
        if (event == RACE_EVENT_HEDGE_TEXT || event == RACE_EVENT_HEDGE_OVER)
                return !history->hedge;
        return false;
}

/* What an event itself says about job and attempt. */
static void note_event(struct history *history, enum race_event_type event, enum race_state state)
{
        if (event == RACE_EVENT_ENGINE_FAILED || (event == RACE_EVENT_OPENER_END && state <= RACE_STATE_OPENING) ||
            (event == RACE_EVENT_LOCAL_END && state == RACE_STATE_LOCAL))
                history->job = 0;
        if (event == RACE_EVENT_CLOUD_LOST && state < RACE_STATE_RESUMING)
                history->lost = 1;
        if (event == RACE_EVENT_CLOUD_END || event == RACE_EVENT_CLOUD_LOST || event == RACE_EVENT_CLOUD_FAILED)
                history->attempt = 0;
        if (event == RACE_EVENT_HEDGE_OVER)
                history->hedge = 0;
}

/* In all but times. */
static bool is_same_race(const struct race *a, const struct race *b)
{
        return a->plan.opener == b->plan.opener && a->plan.cloud == b->plan.cloud && a->plan.local == b->plan.local &&
               a->plan.hedge == b->plan.hedge && a->hedge_open == b->hedge_open && a->state == b->state &&
               a->outcome == b->outcome && a->asked == b->asked && a->said == b->said && a->answered == b->answered &&
               a->cloud_open == b->cloud_open && a->cloud_due == b->cloud_due && a->engine_busy == b->engine_busy;
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
        if (actions & RACE_ACTION_OPENER_START)
                assert_int_equal(event, RACE_EVENT_ASK);
        if (actions & RACE_ACTION_CLOUD_OPEN)
                assert_true(event == RACE_EVENT_ASK || (event == RACE_EVENT_TIMEOUT && before->cloud_due));
        assert_false(after->cloud_open && after->cloud_due);
        assert_false(after->hedge_open && (after->said || after->state > RACE_STATE_OPENING));
        if (actions & RACE_ACTION_HEDGE_ADOPT)
                assert_int_equal(after->state, RACE_STATE_REMOTE);
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

/* `late`: a timeout is the whole request's, and another attempt would be for later. */
static void walk_step(struct walk *walk, const struct node *from, enum race_event_type event, bool late)
{
        struct node node = *from;
        unsigned actions;

        if (event == RACE_EVENT_TIMEOUT && node.race.deadline_us > 0)
                node.now_us = late ? MAX(node.race.deadline_us, node.race.total_deadline_us) : node.race.deadline_us;
        race_resume_at(&node.race, late ? node.now_us + SECOND_US : node.now_us);
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

                        if (is_strict && is_impossible(&node.history, (enum race_event_type)event))
                                continue;
                        walk_step(walk, &node, (enum race_event_type)event, false);
                        walk_step(walk, &node, (enum race_event_type)event, true);
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
                assert_int_equal(node->race.hedge_open, node->history.hedge);
                if (node->race.cloud_due)
                        assert_true(node->history.lost);
                if (!RACE_STATE_IS_LIVE(node->race.state)) {
                        assert_int_equal(node->history.n_finishes, 1);
                        assert_false(node->history.job || node->history.attempt || node->history.hedge);
                        assert_false(node->race.cloud_due);
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

                for (unsigned n = 0; n < 4 && race.asked && RACE_STATE_IS_LIVE(race.state); n++) {
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
                        race_resume_at(&race, now_us + next_random(&seed) % (GAP_US * 2));
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
                cmocka_unit_test(test_every_value_has_a_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
