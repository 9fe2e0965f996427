/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect.h"
#include "tests/support/stream-check.h"
#include "tests/support/test.h"

#define E(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define HEAD                                                                                                         \
        E("message_start", ",\"message\":{\"id\":\"m\",\"role\":\"assistant\",\"content\":[],"                       \
                           "\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}")
#define START(i) E("content_block_start", ",\"index\":" #i ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}")
#define DELTA(i, x)                                                                                                  \
        E("content_block_delta", ",\"index\":" #i ",\"delta\":{\"type\":\"text_delta\",\"text\":\"" x "\"}")
#define BLOCK_END(i) E("content_block_stop", ",\"index\":" #i)
#define REASON(r)    E("message_delta", ",\"delta\":{\"stop_reason\":\"" r "\"},\"usage\":{\"output_tokens\":5}")
#define STOP         E("message_stop", "")
#define PING         E("ping", "")
#define THINKING                                                                                                     \
        E("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}")         \
        E("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}")         \
        E("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}")     \
        BLOCK_END(0)
#define REPLY " Canberra, not Sydney."

#define CHECK(stream, ...) stream_check(&dialect_anthropic, stream, &(struct stream_wanted){ __VA_ARGS__ })

static void test_text_is_spoken_until_the_message_stops(void **state)
{
        (void)state;
        CHECK(HEAD START(0) PING DELTA(0, " Canberra,") PING DELTA(0, " not Sydney.") BLOCK_END(0) REASON("end_turn")
                      STOP,
              .text = REPLY, .n_ends = 2, .n_input_tokens = 9, .n_output_tokens = 5);
}

static void test_thinking_and_unknown_events_say_nothing(void **state)
{
        (void)state;
        CHECK(HEAD THINKING START(1) DELTA(1, REPLY) BLOCK_END(1) E("future_event", "")
                      E("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}") STOP,
              .text = REPLY, .n_ends = 2);
        CHECK(E("content_block_delta", ",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}")
                      E("content_block_delta", ",\"delta\":{\"type\":\"citations_delta\",\"citation\":{}}")
                              E("content_block_start", ",\"content_block\":{\"type\":\"tool_use\",\"text\":\"x\"}")
                                      STOP,
              .text = "", .n_ends = 1);
}

static void test_text_in_a_block_start_is_spoken(void **state)
{
        (void)state;
        CHECK(HEAD E("content_block_start",
                     ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\" Canberra,\"}")
                      DELTA(0, " not Sydney.") STOP,
              .text = REPLY, .n_ends = 1);
}

static void test_end_without_any_block_is_an_end(void **state)
{
        (void)state;
        CHECK(HEAD REASON("end_turn") STOP, .text = "", .n_ends = 2);
}

static void test_end_without_its_reason_is_an_end(void **state)
{
        (void)state;
        CHECK(DELTA(0, REPLY) STOP, .text = REPLY, .n_ends = 1);
        CHECK(DELTA(0, REPLY) E("message_delta", ",\"delta\":{\"stop_reason\":null}"), .text = REPLY);
        CHECK(DELTA(0, REPLY) "data: [DONE]\n\n", .text = REPLY);
}

static void test_stop_reasons_have_their_meaning(void **state)
{
        (void)state;
        CHECK(DELTA(0, "a") REASON("stop_sequence"), .text = "a", .n_ends = 1);
        CHECK(DELTA(0, "a") REASON("tool_use"), .text = "a", .n_ends = 1);
        CHECK(DELTA(0, "a") REASON("something new"), .text = "a", .n_ends = 1);
        CHECK(DELTA(0, "a") REASON("max_tokens"), .text = "a", .n_others = 1, .other = DIALECT_EVENT_CUT);
        CHECK(DELTA(0, "a") REASON("model_context_window_exceeded"), .text = "a", .n_others = 1,
              .other = DIALECT_EVENT_CUT);
        CHECK(DELTA(0, "a") REASON("pause_turn"), .text = "a", .n_others = 1, .other = DIALECT_EVENT_CUT);
}

static void test_refusal_may_come_after_text(void **state)
{
        (void)state;
        CHECK(HEAD START(0) DELTA(0, " Canberra, and here is how") BLOCK_END(0)
                      E("message_delta", ",\"delta\":{\"stop_reason\":\"refusal\",\"stop_details\":{\"type\":"
                                         "\"refusal\",\"category\":null}},\"usage\":{\"output_tokens\":7}"),
              .text = " Canberra, and here is how", .n_others = 1, .other = DIALECT_EVENT_REFUSED,
              .n_output_tokens = 7);
}

static void test_thinking_that_ate_the_limit_is_an_outcome_of_its_own(void **state)
{
        (void)state;
        CHECK(HEAD THINKING REASON("max_tokens"), .text = "", .n_others = 1, .other = DIALECT_EVENT_STARVED);
        CHECK(HEAD E("content_block_start", ",\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"x\"}")
                      REASON("end_turn"),
              .text = "", .n_others = 1, .other = DIALECT_EVENT_STARVED);
        CHECK(HEAD THINKING START(1) DELTA(1, "a") REASON("max_tokens"), .text = "a", .n_others = 1,
              .other = DIALECT_EVENT_CUT);
}

static void test_errors_name_the_status_they_amount_to(void **state)
{
        static const struct {
                const char *type;
                unsigned status;
        } cases[] = {
                { "invalid_request_error", 400 }, { "authentication_error", 401 }, { "billing_error", 402 },
                { "permission_error", 403 },      { "not_found_error", 404 },      { "request_too_large", 413 },
                { "rate_limit_error", 429 },      { "timeout_error", 504 },        { "api_error", 500 },
                { "overloaded_error", 529 },      { "something_new", 500 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_(buf_done) struct buf stream = BUF_NULL;

                assert_int_equal(buf_printf(&stream,
                                            "%sevent: error\ndata: {\"type\":\"error\",\"error\":{\"details\":null,"
                                            "\"type\":\"%s\",\"message\":\"Overloaded\"}}\n\n",
                                            HEAD DELTA(0, " Canberra,"), cases[i].type),
                                 0);
                CHECK(stream.data, .text = " Canberra,", .status = cases[i].status, .error = "Overloaded");
        }
        CHECK("data: {\"error\":{\"message\":\"bad gateway\",\"code\":502}}\n\n", .text = "", .status = 502,
              .error = "bad gateway");
        CHECK("data: {\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}\n\n",
              .text = "", .status = 400, .error = "m");
        CHECK("event: error\ndata: gone\n\n", .text = "", .status = 500, .error = "gone");
}

static void test_whole_message_in_place_of_a_stream_is_read(void **state)
{
        (void)state;
        CHECK("data: "
              "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"x\"},"
              "{\"type\":\"text\",\"text\":\" Canberra,\"},{\"type\":\"text\",\"text\":\" not Sydney.\"}],"
              "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":2,\"output_tokens\":3}}\n\n",
              .text = REPLY, .n_ends = 1, .n_input_tokens = 2, .n_output_tokens = 3);
}

static void test_junk_is_skipped(void **state)
{
        (void)state;
        CHECK("data: junk\n\ndata: []\n\ndata: {}\n\n" DELTA(0, REPLY) STOP, .text = REPLY, .n_ends = 1,
              .n_skipped = 2);
}

/* ----------------------------------------------------------------------------------------------------- body */

struct turn {
        enum prompt_role role;
        const char *text;
};

static void check_body(const struct turn *turns, size_t n_turns, const struct dialect_shape *shape, const char *said,
                       unsigned max_tokens, const char *wanted)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        _cleanup_(buf_done) struct buf body = BUF_NULL;
        const struct dialect_request request = {
                .model = "m", .prompt = &prompt, .shape = *shape, .max_tokens = max_tokens
        };

        for (size_t i = 0; i < n_turns; i++)
                assert_int_equal(prompt_add(&prompt, turns[i].role, turns[i].text, strlen(turns[i].text)), 0);
        assert_int_equal(prompt_set_said(&prompt, said, strlen(said)), 0);
        prompt.system = strdup("Be short.");
        prompt.continuation = strdup("{question} / {said}");
        assert_int_equal(dialect_anthropic.body(&request, &body), 0);
        assert_string_equal(buf_string(&body), wanted);
}

static const struct turn conversation[] = {
        { PROMPT_ROLE_USER, "Hello " },
        { PROMPT_ROLE_ASSISTANT, "Hi. " },
        { PROMPT_ROLE_USER, "Capital?" },
};

#define BODY_HEAD                                                                                                    \
        "{\"model\":\"m\",\"max_tokens\":200,\"system\":\"Be short.\",\"messages\":[{\"role\":\"user\",\"content\":" \
        "\"Hello \"},{\"role\":\"assistant\",\"content\":\"Hi. \"},{\"role\":\"user\",\"content\":\"Capital?"
#define BODY_TAIL "],\"stream\":true"

static void test_body_has_its_system_text_apart(void **state)
{
        (void)state;
        check_body(conversation, 3, &(struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION }, "It is ", 200,
                   BODY_HEAD " / It is\"}" BODY_TAIL "}");
}

static void test_prefill_ends_without_blanks(void **state)
{
        (void)state;
        check_body(conversation, 3, &(struct dialect_shape){ .form = DIALECT_FORM_PREFILL }, "It is \n", 200,
                   BODY_HEAD "\"},{\"role\":\"assistant\",\"content\":\"It is\"}" BODY_TAIL "}");
        check_body(conversation, 3, &(struct dialect_shape){ .form = DIALECT_FORM_PREFILL }, " ", 200,
                   BODY_HEAD "\"}" BODY_TAIL "}");
}

static void test_thinking_is_kept_short(void **state)
{
        (void)state;
        check_body(conversation, 3,
                   &(struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_DISABLED },
                   "", 200, BODY_HEAD "\"}" BODY_TAIL ",\"thinking\":{\"type\":\"disabled\"}}");
        check_body(conversation, 3,
                   &(struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_LOW }, "",
                   200, BODY_HEAD "\"}" BODY_TAIL ",\"output_config\":{\"effort\":\"low\"}}");
}

static void test_turns_alternate_and_begin_with_the_user(void **state)
{
        static const struct turn turns[] = {
                { PROMPT_ROLE_ASSISTANT, "Welcome." }, { PROMPT_ROLE_USER, "One" },
                { PROMPT_ROLE_SYSTEM, "More." },       { PROMPT_ROLE_USER, "two" },
                { PROMPT_ROLE_ASSISTANT, " \n" },      { PROMPT_ROLE_ASSISTANT, "" },
                { PROMPT_ROLE_USER, "three?" },
        };

        (void)state;
        check_body(turns, 7, &(struct dialect_shape){ .form = DIALECT_FORM_PREFILL }, "It", 0,
                   "{\"model\":\"m\",\"max_tokens\":1024,\"system\":\"Be short.\\n\\nMore.\",\"messages\":["
                   "{\"role\":\"user\",\"content\":\"One\\n\\ntwo\\n\\nthree?\"},"
                   "{\"role\":\"assistant\",\"content\":\"It\"}],\"stream\":true}");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_is_spoken_until_the_message_stops),
                cmocka_unit_test(test_thinking_and_unknown_events_say_nothing),
                cmocka_unit_test(test_text_in_a_block_start_is_spoken),
                cmocka_unit_test(test_end_without_any_block_is_an_end),
                cmocka_unit_test(test_end_without_its_reason_is_an_end),
                cmocka_unit_test(test_stop_reasons_have_their_meaning),
                cmocka_unit_test(test_refusal_may_come_after_text),
                cmocka_unit_test(test_thinking_that_ate_the_limit_is_an_outcome_of_its_own),
                cmocka_unit_test(test_errors_name_the_status_they_amount_to),
                cmocka_unit_test(test_whole_message_in_place_of_a_stream_is_read),
                cmocka_unit_test(test_junk_is_skipped),
                cmocka_unit_test(test_body_has_its_system_text_apart),
                cmocka_unit_test(test_prefill_ends_without_blanks),
                cmocka_unit_test(test_thinking_is_kept_short),
                cmocka_unit_test(test_turns_alternate_and_begin_with_the_user),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
