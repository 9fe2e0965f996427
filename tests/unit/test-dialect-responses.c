/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect.h"
#include "tests/support/stream-check.h"
#include "tests/support/test.h"

#define E(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define HEAD          E("response.created", ",\"response\":{\"id\":\"r\",\"status\":\"in_progress\",\"output\":[]}")
#define ITEM(n, phase)                                                                                               \
        E("response.output_item.added",                                                                              \
          ",\"output_index\":" #n ",\"item\":{\"id\":\"i" #n "\",\"type\":\"message\",\"role\":\"assistant\","       \
          "\"phase\":" phase ",\"content\":[]}")
#define FINAL "\"final_answer\""
#define DELTA(n, x)                                                                                                  \
        E("response.output_text.delta",                                                                              \
          ",\"item_id\":\"i" #n "\",\"output_index\":" #n ",\"content_index\":0,\"delta\":\"" x "\"")
#define COMPLETED                                                                                                    \
        E("response.completed", ",\"response\":{\"id\":\"r\",\"status\":\"completed\",\"output\":[],"                \
                                "\"usage\":{\"input_tokens\":9,\"output_tokens\":6}}")
#define INCOMPLETE(reason, output)                                                                                   \
        E("response.incomplete",                                                                                     \
          ",\"response\":{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"" reason                    \
          "\"},\"output\":[" output "]}")
#define REASONING                                                                                                    \
        E("response.output_item.added", ",\"output_index\":0,\"item\":{\"id\":\"i0\",\"type\":\"reasoning\"}")       \
        E("response.reasoning_summary_text.delta", ",\"item_id\":\"i0\",\"output_index\":0,\"delta\":\"hm\"")
#define REPLY " Canberra, not Sydney."
#define DONE  "data: [DONE]\n\n"

#define CHECK(stream, ...) stream_check(&dialect_responses, stream, &(struct stream_wanted){ __VA_ARGS__ })

static void test_deltas_are_spoken_until_completed(void **state)
{
        (void)state;
        CHECK(HEAD E("response.in_progress", "") ITEM(0, FINAL)
                      E("response.content_part.added", ",\"part\":{\"type\":\"output_text\",\"text\":\"\"}")
                              DELTA(0, " Canberra,") DELTA(0, " not Sydney.") COMPLETED,
              .text = REPLY, .n_ends = 1, .n_input_tokens = 9, .n_output_tokens = 6);
}

static void test_empty_done_events_wipe_nothing_and_full_ones_repeat_nothing(void **state)
{
        (void)state;
        CHECK(ITEM(0, FINAL) DELTA(0, REPLY) E("response.output_text.done", ",\"output_index\":0,\"text\":\"\"")
                      COMPLETED,
              .text = REPLY, .n_ends = 1);
        CHECK(ITEM(0, FINAL) DELTA(0, REPLY) E("response.output_text.done",
                                               ",\"output_index\":0,\"text\":\"" REPLY "\"")
                      E("response.output_item.done", ",\"item\":{\"type\":\"message\",\"content\":[{\"type\":"
                                                     "\"output_text\",\"text\":\"" REPLY "\"}]}")
                              E("response.completed",
                                ",\"response\":{\"status\":\"completed\",\"output\":[{\"type\":"
                                "\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"" REPLY "\"}]}]}"),
              .text = REPLY, .n_ends = 1);
}

static void test_text_that_comes_only_with_the_end_is_spoken(void **state)
{
        (void)state;
        CHECK(HEAD E("response.completed",
                     ",\"response\":{\"status\":\"completed\",\"output\":[{\"type\":\"message\",\"phase\":"
                     "\"commentary\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hm.\"}]},{\"type\":"
                     "\"message\","
                     "\"content\":[{\"type\":\"output_text\",\"text\":\"" REPLY "\"}]}]}"),
              .text = REPLY, .n_ends = 1);
}

static void test_commentary_is_not_spoken(void **state)
{
        (void)state;
        CHECK(ITEM(0, "\"commentary\"") DELTA(0, "Let me see.") ITEM(1, FINAL) DELTA(1, REPLY) COMPLETED,
              .text = REPLY, .n_ends = 1);
        /* An index may come anew, and need not come with the delta. */
        CHECK(ITEM(0, "\"commentary\"") DELTA(0, "Let me see.") ITEM(0, "null") DELTA(0, REPLY) COMPLETED,
              .text = REPLY, .n_ends = 1);
        CHECK(ITEM(1, "\"commentary\"") E("response.output_text.delta", ",\"delta\":\"Hm\"") ITEM(2, FINAL)
                      E("response.output_text.delta", ",\"delta\":\"" REPLY "\"") COMPLETED,
              .text = REPLY, .n_ends = 1);
        CHECK(ITEM(99, "\"commentary\"") DELTA(99, REPLY) COMPLETED, .text = REPLY, .n_ends = 1);
}

static void test_reasoning_is_not_spoken(void **state)
{
        (void)state;
        CHECK(HEAD REASONING E("response.reasoning_text.delta", ",\"delta\":\"the user\"") ITEM(1, FINAL)
                      DELTA(1, REPLY) COMPLETED,
              .text = REPLY, .n_ends = 1);
}

static void test_done_marker_of_gateways_ends_nothing(void **state)
{
        (void)state;
        CHECK(ITEM(0, FINAL) DELTA(0, " Canberra,") DONE, .text = " Canberra,");
        CHECK(ITEM(0, FINAL) DELTA(0, REPLY) COMPLETED DONE, .text = REPLY, .n_ends = 1);
}

static void test_refusal_is_not_spoken(void **state)
{
        (void)state;
        CHECK(ITEM(0, FINAL) DELTA(0, " Canberra,") E("response.refusal.delta", ",\"delta\":\"I can't\""),
              .text = " Canberra,", .n_others = 1, .other = DIALECT_EVENT_REFUSED);
        CHECK(E("response.completed", ",\"response\":{\"status\":\"completed\",\"output\":[{\"type\":\"message\","
                                      "\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}]}"),
              .text = "", .n_others = 1, .other = DIALECT_EVENT_REFUSED);
        CHECK(DELTA(0, "a") INCOMPLETE("content_filter", ""), .text = "a", .n_others = 1,
              .other = DIALECT_EVENT_REFUSED);
}

static void test_limit_that_cuts_text_is_a_cut(void **state)
{
        (void)state;
        CHECK(REASONING ITEM(1, FINAL) DELTA(1, " Canberra,") INCOMPLETE("max_output_tokens", ""),
              .text = " Canberra,", .n_others = 1, .other = DIALECT_EVENT_CUT);
}

static void test_reasoning_that_ate_the_limit_is_an_outcome_of_its_own(void **state)
{
        (void)state;
        CHECK(INCOMPLETE("max_output_tokens", "{\"type\":\"reasoning\",\"summary\":[]}"), .text = "", .n_others = 1,
              .other = DIALECT_EVENT_STARVED);
        CHECK(REASONING COMPLETED, .text = "", .n_others = 1, .other = DIALECT_EVENT_STARVED);
        CHECK(HEAD COMPLETED, .text = "", .n_ends = 1);
}

static void test_errors_are_read_in_every_shape(void **state)
{
        (void)state;
        CHECK(E("error", ",\"code\":\"rate_limit_exceeded\",\"message\":\"slow\",\"param\":null"), .text = "",
              .status = 429, .error = "slow");
        CHECK(E("error", ",\"error\":{\"type\":\"server_error\",\"code\":null,\"message\":\"boom\"}"), .text = "",
              .status = 500, .error = "boom");
        CHECK(E("response.failed", ",\"response\":{\"id\":\"r\",\"status\":\"failed\",\"error\":null}"), .text = "",
              .status = 500, .error = "no details");
        CHECK(DELTA(0, "a") E("response.failed", ",\"response\":{\"status\":\"failed\",\"error\":{\"code\":"
                                                 "\"invalid_prompt\",\"message\":\"no\"}}"),
              .text = "a", .status = 400, .error = "no");
        CHECK("data: {\"error\":{\"message\":\"quota\",\"type\":\"insufficient_quota\"}}\n\n", .text = "",
              .status = 402, .error = "quota");
        CHECK("data: {\"detail\":\"Not Found\"}\n\n", .text = "", .status = 500, .error = "Not Found");
        CHECK("data: {\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}\n\n",
              .text = "", .status = 400, .error = "m");
        CHECK("event: message\ndata: {\"error\":{\"message\":\"m\",\"code\":503}}\n\n", .text = "", .status = 503,
              .error = "m");
        CHECK("event: error\ndata: overloaded\n\n", .text = "", .status = 500, .error = "overloaded");
}

static void test_type_may_be_only_the_name_of_the_event(void **state)
{
        (void)state;
        CHECK("event: response.output_text.delta\ndata: {\"delta\":\"" REPLY "\"}\n\n"
              "event: response.completed\ndata: {\"response\":{\"status\":\"completed\"}}\n\n",
              .text = REPLY, .n_ends = 1);
}

static void test_unknown_events_and_junk_say_nothing(void **state)
{
        (void)state;
        CHECK(E("keepalive", "") E("response.future",
                                   ",\"delta\":\"x\"") "data: {}\n\ndata: junk\n\ndata: []\n\n" DELTA(0, REPLY)
                      COMPLETED,
              .text = REPLY, .n_ends = 1, .n_skipped = 2);
        CHECK(E("response.output_text.delta", ",\"delta\":{\"a\":1}") E("response.output_item.added", "")
                      E("response.completed", ",\"response\":[]"),
              .text = "", .n_ends = 1);
}

static void test_whole_response_in_place_of_a_stream_is_read(void **state)
{
        (void)state;
        CHECK("data: "
              "{\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"type\":\"reasoning\"},{\"type\":"
              "\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"" REPLY "\"}]}],\"usage\":"
              "{\"input_tokens\":2,\"output_tokens\":3}}\n\n",
              .text = REPLY, .n_ends = 1, .n_input_tokens = 2, .n_output_tokens = 3);
        CHECK("data: {\"object\":\"response\",\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":"
              "\"m\"}}\n\n",
              .text = "", .status = 500, .error = "m");
        CHECK("data: {\"object\":\"response\",\"status\":\"queued\",\"output\":[]}\n\n", .text = "");
}

/* ----------------------------------------------------------------------------------------------------- body */

static void check_body(const struct dialect_shape *shape, const char *said, const char *wanted)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        _cleanup_(buf_done) struct buf body = BUF_NULL;
        const struct dialect_request request = {
                .model = "large", .prompt = &prompt, .shape = *shape, .max_tokens = 200
        };

        assert_int_equal(prompt_add(&prompt, PROMPT_ROLE_USER, "Hello ", 6), 0);
        assert_int_equal(prompt_add(&prompt, PROMPT_ROLE_ASSISTANT, "Hi. ", 4), 0);
        assert_int_equal(prompt_add(&prompt, PROMPT_ROLE_USER, "Capital?", 8), 0);
        assert_int_equal(prompt_set_said(&prompt, said, strlen(said)), 0);
        prompt.system = strdup("Be short.");
        prompt.continuation = strdup("{question} / {said}");
        prompt.anchor = strdup("{question} / {said} / {anchor}");
        assert_int_equal(dialect_responses.body(&request, &body), 0);
        assert_string_equal(buf_string(&body), wanted);
}

#define BODY_HEAD                                                                                                    \
        "{\"model\":\"large\",\"instructions\":\"Be short.\",\"input\":[{\"role\":\"user\",\"content\":\"Hello \"}," \
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi. \"}],\"type\":\"message\"},"  \
        "{\"role\":\"user\",\"content\":\"Capital?"
#define BODY_FLAGS "],\"stream\":true,\"store\":false"
#define BODY_TAIL  BODY_FLAGS ",\"stream_options\":{\"include_obfuscation\":false},\"max_output_tokens\":200"

static void test_body_has_full_assistant_items_and_is_not_stored(void **state)
{
        (void)state;
        check_body(&(struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION }, "It is ",
                   BODY_HEAD " / It is\"}" BODY_TAIL "}");
        check_body(&(struct dialect_shape){ .form = DIALECT_FORM_ANCHOR }, "It is",
                   BODY_HEAD " / It is / It is\"}" BODY_TAIL "}");
}

static void test_prefill_is_an_item_in_progress(void **state)
{
        (void)state;
        check_body(&(struct dialect_shape){ .form = DIALECT_FORM_PREFILL }, "It is ",
                   BODY_HEAD
                   "\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"It is\"}],"
                   "\"type\":\"message\",\"status\":\"in_progress\"}" BODY_TAIL "}");
        check_body(&(struct dialect_shape){ .form = DIALECT_FORM_PREFILL }, "", BODY_HEAD "\"}" BODY_TAIL "}");
}

static void test_shape_keeps_reasoning_short(void **state)
{
        (void)state;
        check_body(&(struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_NONE }, "",
                   BODY_HEAD "\"}" BODY_TAIL ",\"reasoning\":{\"effort\":\"none\"}}");
        check_body(&(struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_TEMPLATE },
                   "", BODY_HEAD "\"}" BODY_TAIL ",\"chat_template_kwargs\":{\"enable_thinking\":false}}");
        check_body(&(struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION, .options = DIALECT_OPTIONS_NONE }, "",
                   BODY_HEAD "\"}" BODY_FLAGS ",\"max_output_tokens\":200}");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_deltas_are_spoken_until_completed),
                cmocka_unit_test(test_empty_done_events_wipe_nothing_and_full_ones_repeat_nothing),
                cmocka_unit_test(test_text_that_comes_only_with_the_end_is_spoken),
                cmocka_unit_test(test_commentary_is_not_spoken),
                cmocka_unit_test(test_reasoning_is_not_spoken),
                cmocka_unit_test(test_done_marker_of_gateways_ends_nothing),
                cmocka_unit_test(test_refusal_is_not_spoken),
                cmocka_unit_test(test_limit_that_cuts_text_is_a_cut),
                cmocka_unit_test(test_reasoning_that_ate_the_limit_is_an_outcome_of_its_own),
                cmocka_unit_test(test_errors_are_read_in_every_shape),
                cmocka_unit_test(test_type_may_be_only_the_name_of_the_event),
                cmocka_unit_test(test_unknown_events_and_junk_say_nothing),
                cmocka_unit_test(test_whole_response_in_place_of_a_stream_is_read),
                cmocka_unit_test(test_body_has_full_assistant_items_and_is_not_stored),
                cmocka_unit_test(test_prefill_is_an_item_in_progress),
                cmocka_unit_test(test_shape_keeps_reasoning_short),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
