/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulmd's interface on a real dbus-daemon, over scripted requests, whose limits are 3 requests, 2 per caller, 4096
 * bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "tests/integration/bus-fixture.h"
#include "tests/support/fake-requests.h"
#include "tests/support/test.h"

#define FINISHED_MAX 8 /* requests that are over and still answer, as the manual says */

#define assert_error(r, error, wanted_name, wanted_text)                                                             \
        do {                                                                                                         \
                assert_true((r) < 0);                                                                                \
                assert_string_equal((error).name, wanted_name);                                                      \
                if (!strstr((error).message, wanted_text))                                                           \
                        fail_msg("\"%s\" lacks \"%s\"", (error).message, wanted_text);                               \
                sd_bus_error_free(&(error));                                                                         \
        } while (0)

/* Ask with one option, which must be refused. */
#define assert_ask_refused(bus, name, text, ...)                                                                     \
        do {                                                                                                         \
                sd_bus_error error_ = SD_BUS_ERROR_NULL;                                                             \
                int r_ = sd_bus_call_method(bus, NAME, PATH, NAME, "Ask", &error_, NULL, "sa{sv}", __VA_ARGS__);     \
                assert_error(r_, error_, name, text);                                                                \
        } while (0)

/* -------------------------------------------------------------------------------------------------- tests */

static void test_reply_is_heard_word_by_word_from_first_to_last(void **state)
{
        struct bus_fixture *fixture = *state;
        _cleanup_free_ char *path = promised_path(fixture->bus, "t1");
        _cleanup_(heard_done) struct heard heard = { 0 };
        sd_bus_slot *slot = listen_to(fixture->bus, path, &heard);

        ask(fixture->bus, "what is the capital of australia", "t1");
        wait_finished(fixture->bus, &heard);
        assert_string_equal(buf_string(&heard.text), FAKE_REQUESTS_REPLY);
        assert_string_equal(buf_string(&heard.sources), "opener opener cloud cloud ");
        assert_int_equal(heard.n_handoffs, 1);
        assert_int_equal(heard.n_words, 5);
        assert_string_equal(heard.outcome, "complete");
        sd_bus_slot_unref(slot);
}

static int on_any(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        struct buf *order = userdata;

        if (sd_bus_message_is_signal(message, REQUEST, NULL))
                assert_int_equal(buf_add_string(order, "s"), 0);
        else if (!sd_bus_message_is_signal(message, NULL, NULL))
                assert_int_equal(buf_add_string(order, "r"), 0);
        return 0;
}

static int on_asked(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        const char *path;

        assert_true(sd_bus_message_read(message, "o", &path) > 0);
        assert_string_equal(path, userdata);
        return 0;
}

static void test_reply_to_ask_comes_before_the_first_signal(void **state)
{
        struct bus_fixture *fixture = *state;
        _cleanup_free_ char *path = promised_path(fixture->bus, "order");
        _cleanup_(heard_done) struct heard heard = { 0 };
        _cleanup_(buf_done) struct buf order = BUF_NULL;
        sd_bus_slot *slot = listen_to(fixture->bus, path, &heard), *filter;

        assert_true(sd_bus_add_filter(fixture->bus, &filter, on_any, &order) >= 0);
        assert_true(sd_bus_call_method_async(fixture->bus, NULL, NAME, PATH, NAME, "Ask", on_asked, path, "sa{sv}",
                                             "q", 1, "handle_token", "s", "order") >= 0);
        wait_finished(fixture->bus, &heard);
        assert_string_equal(buf_string(&order), "rssssss");
        sd_bus_slot_unref(filter);
        sd_bus_slot_unref(slot);
}

static int on_foreign(_unused_ sd_bus_message *message, void *userdata, _unused_ sd_bus_error *error)
{
        ++*(unsigned *)userdata;
        return 0;
}

static void test_signals_reach_the_caller_alone(void **state)
{
        struct bus_fixture *fixture = *state;
        sd_bus *other = connect_bus(fixture->address);
        _cleanup_free_ char *path = promised_path(fixture->bus, "mine");
        _cleanup_(heard_done) struct heard heard = { 0 };
        sd_bus_slot *slot = listen_to(fixture->bus, path, &heard), *foreign;
        unsigned n_foreign = 0;

        assert_true(sd_bus_match_signal(other, &foreign, NULL, NULL, REQUEST, NULL, on_foreign, &n_foreign) >= 0);
        ask(fixture->bus, "q", "mine");
        wait_finished(fixture->bus, &heard);
        (void)n_active(other); /* a round trip: what was sent before it has arrived */
        while (sd_bus_process(other, NULL) > 0)
                ;
        assert_int_equal(n_foreign, 0);
        sd_bus_slot_unref(foreign);
        sd_bus_slot_unref(slot);
        sd_bus_flush_close_unref(other);
}

static void test_text_is_there_after_the_end(void **state)
{
        struct bus_fixture *fixture = *state;
        _cleanup_free_ char *path = promised_path(fixture->bus, "late");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(heard_done) struct heard heard = { 0 };
        sd_bus_slot *slot = listen_to(fixture->bus, path, &heard);
        const char *text;

        ask(fixture->bus, "q", "late");
        wait_finished(fixture->bus, &heard);
        assert_true(call_request(fixture->bus, path, "GetText", NULL, &reply) >= 0);
        assert_true(sd_bus_message_read(reply, "s", &text) > 0);
        assert_string_equal(text, FAKE_REQUESTS_REPLY);
        sd_bus_slot_unref(slot);
}

static void test_oldest_of_too_many_finished_requests_is_forgotten(void **state)
{
        struct bus_fixture *fixture = *state;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        for (unsigned i = 0; i <= FINISHED_MAX; i++) {
                char token[8];
                _cleanup_free_ char *path = NULL;
                _cleanup_(heard_done) struct heard heard = { 0 };
                sd_bus_slot *slot;

                (void)snprintf(token, sizeof(token), "n%u", i);
                path = promised_path(fixture->bus, token);
                slot = listen_to(fixture->bus, path, &heard);
                ask(fixture->bus, "q", token);
                wait_finished(fixture->bus, &heard);
                sd_bus_slot_unref(slot);
        }
        for (unsigned i = 0; i <= FINISHED_MAX; i++) {
                char token[8];
                _cleanup_free_ char *path = NULL;

                (void)snprintf(token, sizeof(token), "n%u", i);
                path = promised_path(fixture->bus, token);
                r = call_request(fixture->bus, path, "GetText", &error, NULL);
                if (i == 0)
                        assert_error(r, error, ERROR("NoSuchRequest"), "/n0");
                else
                        assert_true(r >= 0);
        }
}

static void test_cancel_ends_a_request_once(void **state)
{
        struct bus_fixture *fixture = *state;
        _cleanup_free_ char *path = promised_path(fixture->bus, "c");
        _cleanup_(heard_done) struct heard heard = { 0 };
        sd_bus_slot *slot = listen_to(fixture->bus, path, &heard);
        _cleanup_free_ char *request_state = NULL;

        ask(fixture->bus, FAKE_REQUESTS_HOLD, "c");
        wait_text(fixture->bus, &heard);
        assert_int_equal(n_active(fixture->bus), 1);
        assert_true(call_request(fixture->bus, path, "Cancel", NULL, NULL) >= 0);
        assert_true(call_request(fixture->bus, path, "Cancel", NULL, NULL) >= 0);
        wait_finished(fixture->bus, &heard);
        assert_string_equal(heard.outcome, "cancelled");
        assert_int_equal(n_active(fixture->bus), 0);
        assert_true(sd_bus_get_property_string(fixture->bus, NAME, path, REQUEST, "State", NULL, &request_state) >=
                    0);
        assert_string_equal(request_state, "cancelled");
        sd_bus_slot_unref(slot);
}

static void test_only_the_owner_may_touch_a_request(void **state)
{
        struct bus_fixture *fixture = *state;
        sd_bus *other = connect_bus(fixture->address);
        _cleanup_free_ char *path = promised_path(fixture->bus, "own");
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        ask(fixture->bus, FAKE_REQUESTS_HOLD, "own");
        r = call_request(other, path, "Cancel", &error, NULL);
        assert_error(r, error, SD_BUS_ERROR_ACCESS_DENIED, unique_name(fixture->bus));
        r = call_request(other, path, "GetText", &error, NULL);
        assert_error(r, error, SD_BUS_ERROR_ACCESS_DENIED, unique_name(fixture->bus));
        assert_int_equal(n_active(fixture->bus), 1);
        sd_bus_flush_close_unref(other);
}

static void test_requests_of_a_caller_that_leaves_are_cancelled(void **state)
{
        struct bus_fixture *fixture = *state;
        sd_bus *other = connect_bus(fixture->address);
        _cleanup_free_ char *path = promised_path(other, "gone");
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        ask(other, FAKE_REQUESTS_HOLD, "gone");
        assert_int_equal(n_active(fixture->bus), 1);
        sd_bus_flush_close_unref(other);
        for (uint64_t i = 0; statistic(fixture->bus, "cancelled") == 0; i++)
                assert_true(i < 100000);
        assert_int_equal(n_active(fixture->bus), 0);
        r = call_request(fixture->bus, path, "GetText", &error, NULL);
        assert_error(r, error, ERROR("NoSuchRequest"), "/gone");
}

/* It may be gone before mulmd has begun to watch it. */
static void test_caller_that_leaves_right_after_asking_leaves_no_request(void **state)
{
        struct bus_fixture *fixture = *state;

        for (unsigned n = 1; n <= 20; n++) {
                sd_bus *other = connect_bus(fixture->address);

                assert_true(sd_bus_call_method_async(other, NULL, NAME, PATH, NAME, "Ask", NULL, NULL, "sa{sv}",
                                                     FAKE_REQUESTS_HOLD, 0) >= 0);
                sd_bus_flush_close_unref(other);
                for (uint64_t i = 0; statistic(fixture->bus, "cancelled") < n; i++)
                        assert_true(i < 100000);
        }
        assert_int_equal(n_active(fixture->bus), 0);
}

static void test_bad_options_are_refused_by_name(void **state)
{
        struct bus_fixture *fixture = *state;
        sd_bus *bus = fixture->bus;

        assert_ask_refused(bus, ERROR("UnknownOption"), "\"opner\"", "q", 1, "opner", "s", "auto");
        assert_ask_refused(bus, ERROR("InvalidOption"), "seed has type s; it must be u", "q", 1, "seed", "s", "1");
        assert_ask_refused(bus, ERROR("InvalidOption"), "opener is \"loud\"", "q", 1, "opener", "s", "loud");
        assert_ask_refused(bus, ERROR("InvalidOption"), "max_opener_words is 0", "q", 1, "max_opener_words", "u", 0);
        assert_ask_refused(bus, ERROR("InvalidToken"), "\"a/b\"", "q", 1, "handle_token", "s", "a/b");
        assert_int_equal(statistic(bus, "asked"), 0);
}

static void test_bad_prompts_are_refused_by_name(void **state)
{
        struct bus_fixture *fixture = *state;
        const size_t n = 1 << 20;
        _cleanup_free_ char *prompt = malloc(n + 1);

        assert_non_null(prompt);
        memset(prompt, 'a', n);
        prompt[n] = '\0';
        assert_ask_refused(fixture->bus, ERROR("PromptTooLong"), "1048576 bytes; 4096 are allowed", prompt, 0);
        assert_ask_refused(fixture->bus, ERROR("PromptEmpty"), "blank", " \n", 0);
        assert_int_equal(statistic(fixture->bus, "asked"), 0);
}

static void test_token_in_use_is_refused(void **state)
{
        struct bus_fixture *fixture = *state;

        ask(fixture->bus, FAKE_REQUESTS_HOLD, "twice");
        assert_ask_refused(fixture->bus, ERROR("TokenInUse"), "\"twice\"", "q", 1, "handle_token", "s", "twice");
}

static void test_limits_of_requests_are_kept_and_told(void **state)
{
        struct bus_fixture *fixture = *state;
        sd_bus *other = connect_bus(fixture->address);
        _cleanup_free_ char *service_state = NULL;

        ask(fixture->bus, FAKE_REQUESTS_HOLD, "a");
        ask(fixture->bus, FAKE_REQUESTS_HOLD, "b");
        assert_ask_refused(fixture->bus, ERROR("Busy"), "All 2 requests that are allowed per caller", "q", 0);
        ask(other, FAKE_REQUESTS_HOLD, "c");
        assert_ask_refused(other, ERROR("Busy"), "All 3 requests that are allowed in total", "q", 0);
        assert_true(sd_bus_get_property_string(other, NAME, PATH, NAME, "State", NULL, &service_state) >= 0);
        assert_string_equal(service_state, "busy");
        sd_bus_flush_close_unref(other);
}

static void test_refusal_from_below_has_a_name(void **state)
{
        struct bus_fixture *fixture = *state;

        assert_ask_refused(fixture->bus, ERROR("Busy"), "cannot be taken", FAKE_REQUESTS_REFUSE, 0);
}

static void test_change_of_the_cloud_is_announced(void **state)
{
        struct bus_fixture *fixture = *state;
        unsigned n_changes = 0;
        sd_bus_slot *slot;

        assert_true(sd_bus_match_signal(fixture->bus, &slot, NAME, PATH, "org.freedesktop.DBus.Properties",
                                        "PropertiesChanged", on_foreign, &n_changes) >= 0);
        ask(fixture->bus, FAKE_REQUESTS_FAIL, "f");
        while (n_changes == 0)
                turn(fixture->bus);
        sd_bus_slot_unref(slot);
}

/* -------------------------------------------------------------------------------------------------- busctl */

static void test_busctl_shows_tree_members_and_calls(void **state)
{
        struct bus_fixture *fixture = *state;
        _cleanup_free_ char *option = NULL, *path = promised_path(fixture->bus, "seen");
        _cleanup_free_ char *tree = NULL, *members = NULL, *called = NULL;

        assert_true(asprintf(&option, "--address=%s", fixture->address) > 0);
        ask(fixture->bus, FAKE_REQUESTS_HOLD, "seen");
        tree = process_run((const char *[]){ "busctl", option, "--list", "tree", NAME, NULL }, NULL);
        assert_non_null(strstr(tree, path));
        members = process_run((const char *[]){ "busctl", option, "introspect", NAME, path, REQUEST, NULL }, NULL);
        assert_non_null(strstr(members, ".GetText"));
        assert_non_null(strstr(members, ".Handoff"));
        assert_non_null(strstr(members, "\"opening\""));
        called = process_run((const char *[]){ "busctl", option, "call", NAME, PATH, NAME, "Ask", "sa{sv}", "q", "1",
                                               "handle_token", "s", "shell", NULL },
                             NULL);
        assert_non_null(strstr(called, "/shell\""));
}

static void test_busctl_monitor_shows_the_signals(void **state)
{
        struct bus_fixture *fixture = *state;
        _cleanup_free_ char *option = NULL;
        struct process *monitor;

        assert_true(asprintf(&option, "--address=%s", fixture->address) > 0);
        monitor = process_spawn((const char *[]){ "stdbuf", "-oL", "busctl", option, "monitor", NAME, NULL }, NULL);
        free(process_expect(monitor, PROCESS_STREAM_ERROR, "Monitoring bus message stream"));
        ask(fixture->bus, "q", "m");
        free(process_expect(monitor, PROCESS_STREAM_OUTPUT, "Member=Text"));
        free(process_expect(monitor, PROCESS_STREAM_OUTPUT, "Member=Handoff"));
        free(process_expect(monitor, PROCESS_STREAM_OUTPUT, "Member=Finished"));
        process_free(monitor);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bus_fixture_setup, bus_fixture_teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_reply_is_heard_word_by_word_from_first_to_last),
                TEST(test_reply_to_ask_comes_before_the_first_signal),
                TEST(test_signals_reach_the_caller_alone),
                TEST(test_text_is_there_after_the_end),
                TEST(test_oldest_of_too_many_finished_requests_is_forgotten),
                TEST(test_cancel_ends_a_request_once),
                TEST(test_only_the_owner_may_touch_a_request),
                TEST(test_requests_of_a_caller_that_leaves_are_cancelled),
                TEST(test_caller_that_leaves_right_after_asking_leaves_no_request),
                TEST(test_bad_options_are_refused_by_name),
                TEST(test_bad_prompts_are_refused_by_name),
                TEST(test_token_in_use_is_refused),
                TEST(test_limits_of_requests_are_kept_and_told),
                TEST(test_refusal_from_below_has_a_name),
                TEST(test_change_of_the_cloud_is_announced),
                TEST(test_busctl_shows_tree_members_and_calls),
                TEST(test_busctl_monitor_shows_the_signals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
