/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <errno.h>
#include <string.h>

#include "daemon/core/dialect.h"
#include "tests/support/stream-check.h"
#include "tests/support/test.h"

#define FFFD "\xef\xbf\xbd"

/* ----------------------------------------------------------------------------------------------------- body */

static void init_prompt(struct prompt *prompt, const char *said)
{
        static const struct {
                enum prompt_role role;
                const char *text;
        } turns[] = {
                { PROMPT_ROLE_USER, "Hello " },
                { PROMPT_ROLE_ASSISTANT, "Hi. " },
                { PROMPT_ROLE_USER, "Capital of \"Australia\"?" },
        };

        *prompt = PROMPT_NULL;
        for (size_t i = 0; i < ARRAY_SIZE(turns); i++)
                assert_int_equal(prompt_add(prompt, turns[i].role, turns[i].text, strlen(turns[i].text)), 0);
        assert_int_equal(prompt_set_said(prompt, said, strlen(said)), 0);
        prompt->system = strdup("Be short.");
        prompt->continuation = strdup("{question} / {said}");
        assert_non_null(prompt->system);
        assert_non_null(prompt->continuation);
}

static int build(enum dialect_form form, const char *said, const char *extra_body, struct buf *body)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        struct dialect_request request = {
                .model = "large",
                .prompt = &prompt,
                .shape = { .form = form },
                .max_tokens = 200,
                .extra_body = extra_body,
        };

        init_prompt(&prompt, said);
        return dialect_chat.body(&request, body);
}

static void check_body(enum dialect_form form, const char *said, const char *extra_body, const char *wanted)
{
        _cleanup_(buf_done) struct buf body = BUF_NULL;

        assert_int_equal(build(form, said, extra_body, &body), 0);
        assert_string_equal(buf_string(&body), wanted);
}

#define HEAD                                                                                                         \
        "{\"model\":\"large\",\"messages\":[{\"role\":\"system\",\"content\":\"Be short.\"},"                        \
        "{\"role\":\"user\",\"content\":\"Hello \"},{\"role\":\"assistant\",\"content\":\"Hi. \"},"                  \
        "{\"role\":\"user\",\"content\":\"Capital of \\\"Australia\\\"?"
#define TAIL "],\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":200}"

static void test_prefill_ends_with_what_was_said_without_blanks(void **state)
{
        (void)state;
        check_body(DIALECT_FORM_PREFILL, "It is \n", NULL,
                   HEAD "\"},{\"role\":\"assistant\",\"content\":\"It is\"}" TAIL);
}

static void test_prefill_with_nothing_said_ends_with_the_question(void **state)
{
        (void)state;
        check_body(DIALECT_FORM_PREFILL, "", NULL, HEAD "\"}" TAIL);
        check_body(DIALECT_FORM_PREFILL, " \n", "", HEAD "\"}" TAIL);
}

static void test_instruction_is_the_last_user_turn(void **state)
{
        (void)state;
        check_body(DIALECT_FORM_INSTRUCTION, "It is ", NULL, HEAD " / It is\"}" TAIL);
        check_body(DIALECT_FORM_INSTRUCTION, "", NULL, HEAD "\"}" TAIL);
}

static void test_extra_body_adds_overrides_and_removes(void **state)
{
        (void)state;
        check_body(DIALECT_FORM_PREFILL, "",
                   "{\"max_tokens\":null,\"max_completion_tokens\":9,\"model\":\"m\",\"messages\":[],"
                   "\"stream_options\":null,\"absent\":null,\"a\":{\"b\":[1.5,true,\"\xc3\xa9\"]}}",
                   "{\"stream\":true,\"max_completion_tokens\":9,\"model\":\"m\",\"messages\":[],"
                   "\"a\":{\"b\":[1.5,true,\"\xc3\xa9\"]}}");
}

static void test_extra_body_that_is_no_object_is_refused(void **state)
{
        static const char *const bad[] = { "[]", "1", "{", "{} x", "null", "max_tokens=3" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _cleanup_(buf_done) struct buf body = BUF_NULL;

                assert_int_equal(build(DIALECT_FORM_PREFILL, "", bad[i], &body), -EINVAL);
                assert_int_equal(body.n, 0);
        }
}

static void test_body_leaves_out_what_is_not_set(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        _cleanup_(buf_done) struct buf body = BUF_NULL;
        struct dialect_request request = { .model = "",
                                           .prompt = &prompt,
                                           .shape = { .form = DIALECT_FORM_INSTRUCTION } };

        (void)state;
        assert_int_equal(prompt_add(&prompt, PROMPT_ROLE_USER, "Q\n\x01", 3), 0);
        assert_int_equal(buf_add_string(&body, "kept:"), 0);
        assert_int_equal(dialect_chat.body(&request, &body), 0);
        assert_string_equal(body.data, "kept:{\"messages\":[{\"role\":\"user\",\"content\":\"Q\\n\\u0001\"}],"
                                       "\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}

static void check_shape(const struct dialect_shape *shape, const char *said, const char *wanted)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        _cleanup_(buf_done) struct buf body = BUF_NULL;
        struct dialect_request request = { .prompt = &prompt, .shape = *shape, .max_tokens = 9 };

        assert_int_equal(prompt_add(&prompt, PROMPT_ROLE_USER, "Q", 1), 0);
        assert_int_equal(prompt_set_said(&prompt, said, strlen(said)), 0);
        prompt.anchor = strdup("{anchor}?");
        assert_int_equal(dialect_chat.body(&request, &body), 0);
        assert_string_equal(body.data, wanted);
}

#define Q "{\"messages\":[{\"role\":\"user\",\"content\":\"Q\"}"
#define S ",{\"role\":\"assistant\",\"content\":\"It\""
#define F "],\"stream\":true"
#define U F ",\"stream_options\":{\"include_usage\":true}"
#define L U ",\"max_tokens\":9"

static void test_shape_says_how_to_go_on(void **state)
{
        (void)state;
        check_shape(&(struct dialect_shape){ .prefill = DIALECT_PREFILL_PREFIX }, "It",
                    Q S ",\"prefix\":true}" L "}");
        check_shape(&(struct dialect_shape){ .prefill = DIALECT_PREFILL_PREFIX }, " ", Q L "}");
        check_shape(&(struct dialect_shape){ .prefill = DIALECT_PREFILL_CONTINUE }, "It",
                    Q S "}" L ",\"continue_final_message\":true,\"add_generation_prompt\":false}");
        check_shape(&(struct dialect_shape){ .prefill = DIALECT_PREFILL_CONTINUE }, "", Q L "}");
        check_shape(&(struct dialect_shape){ .form = DIALECT_FORM_ANCHOR, .prefill = DIALECT_PREFILL_PREFIX }, "It",
                    "{\"messages\":[{\"role\":\"user\",\"content\":\"It?\"}" L "}");
}

static void test_shape_says_what_the_server_knows(void **state)
{
        (void)state;
        check_shape(&(struct dialect_shape){ .length = DIALECT_LENGTH_COMPLETION }, "",
                    Q U ",\"max_completion_tokens\":9}");
        check_shape(&(struct dialect_shape){ .options = DIALECT_OPTIONS_NONE }, "", Q F ",\"max_tokens\":9}");
        check_shape(&(struct dialect_shape){ .options = DIALECT_OPTIONS_BARE }, "",
                    Q F ",\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false},"
                        "\"max_tokens\":9}");
        check_shape(&(struct dialect_shape){ .thinking = DIALECT_THINKING_NONE }, "",
                    Q L ",\"reasoning_effort\":\"none\"}");
        check_shape(&(struct dialect_shape){ .thinking = DIALECT_THINKING_TEMPLATE }, "",
                    Q L ",\"chat_template_kwargs\":{\"enable_thinking\":false}}");
        check_shape(&(struct dialect_shape){ .thinking = DIALECT_THINKING_DISABLED }, "",
                    Q L ",\"thinking\":{\"type\":\"disabled\"}}");
}

#undef Q
#undef S
#undef F
#undef U
#undef L

/* ---------------------------------------------------------------------------------------------- one event */

static int read_event(const char *name, const char *data, size_t n, struct dialect_event *event)
{
        struct sse_event sse_event = { .name = name, .data = data, .n_data = n };
        struct dialect_stream stream = { .has_text = true };

        return dialect_chat.read(&stream, &sse_event, event);
}

static void check_event(const char *data, enum dialect_event_type type, const char *text)
{
        struct dialect_event event = { .type = DIALECT_EVENT_END, .n_input_tokens = 99 };

        assert_int_equal(buf_add_string(&event.text, "left over"), 0);
        assert_int_equal(read_event("", data, strlen(data), &event), 0);
        assert_string_equal(buf_string(&event.text), text);
        assert_int_equal(event.type, type);
        assert_int_equal(event.n_input_tokens, 0);
        buf_done(&event.text);
}

static void check_choice(const char *choice, enum dialect_event_type type, const char *text)
{
        _cleanup_(buf_done) struct buf data = BUF_NULL;

        assert_int_equal(buf_printf(&data, "{\"choices\":[%s]}", choice), 0);
        check_event(data.data, type, text);
}

static void test_content_is_text_parts_or_nothing(void **state)
{
        (void)state;
        check_choice("{\"delta\":{\"content\":\" Canberra\"},\"finish_reason\":null}", DIALECT_EVENT_TEXT,
                     " Canberra");
        check_choice("{\"delta\":{\"content\":\" \"}}", DIALECT_EVENT_TEXT, " ");
        check_choice(
                "{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]},"
                "{\"type\":\"text\",\"text\":\" not\"},\" "
                "Syd\",{\"text\":\"ney\"},{\"type\":\"reasoning\",\"text\":\"hm\"},3,null,{\"type\":\"text\"}]}}",
                DIALECT_EVENT_TEXT, " not Sydney");
        check_choice("{\"delta\":{\"role\":\"assistant\",\"content\":null}}", DIALECT_EVENT_NONE, "");
        check_choice("{\"delta\":{\"content\":\"\"}}", DIALECT_EVENT_NONE, "");
        check_choice("{\"delta\":{\"content\":{\"a\":1}}}", DIALECT_EVENT_NONE, "");
        check_choice("{\"delta\":{}}", DIALECT_EVENT_NONE, "");
        check_choice("{\"delta\":null}", DIALECT_EVENT_NONE, "");
        check_choice("{\"index\":0,\"content_filter_offsets\":{}}", DIALECT_EVENT_NONE, "");
        check_choice("null", DIALECT_EVENT_NONE, "");
        check_choice("", DIALECT_EVENT_NONE, "");
}

static void test_finish_reasons_have_their_meaning(void **state)
{
        static const struct {
                const char *reason;
                enum dialect_event_type type;
        } cases[] = {
                { "null", DIALECT_EVENT_TEXT },      { "\"\"", DIALECT_EVENT_TEXT },
                { "\"null\"", DIALECT_EVENT_TEXT },  { "\"stop\"", DIALECT_EVENT_END },
                { "\"eos\"", DIALECT_EVENT_END },    { "\"something new\"", DIALECT_EVENT_END },
                { "\"length\"", DIALECT_EVENT_CUT }, { "\"content_filter\"", DIALECT_EVENT_REFUSED },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_(buf_done) struct buf choice = BUF_NULL;

                assert_int_equal(
                        buf_printf(&choice, "{\"delta\":{\"content\":\"x\"},\"finish_reason\":%s}", cases[i].reason),
                        0);
                check_choice(choice.data, cases[i].type, "x");
        }
        check_choice("{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}", DIALECT_EVENT_ERROR,
                     "the server ended the reply with \"error\"");
        check_choice("{\"finish_reason\":\"abort\"}", DIALECT_EVENT_ERROR,
                     "the server ended the reply with \"abort\"");
}

static void test_refusal_is_not_spoken(void **state)
{
        (void)state;
        check_choice("{\"delta\":{\"refusal\":\"I can't\"},\"finish_reason\":null}", DIALECT_EVENT_REFUSED, "");
        check_choice("{\"message\":{\"content\":null,\"refusal\":\"no\"},\"finish_reason\":\"stop\"}",
                     DIALECT_EVENT_REFUSED, "");
        check_choice("{\"delta\":{\"content\":\"a\",\"refusal\":null}}", DIALECT_EVENT_TEXT, "a");
}

static void test_reasoning_and_tool_calls_are_not_spoken(void **state)
{
        (void)state;
        check_choice("{\"delta\":{\"content\":\"\",\"reasoning\":\"a\",\"reasoning_content\":\"b\","
                     "\"reasoning_details\":[{\"text\":\"c\"}],\"tool_calls\":[{\"function\":{\"name\":\"d\"}}]}}",
                     DIALECT_EVENT_NONE, "");
}

static void test_end_marker_ends(void **state)
{
        (void)state;
        check_event("[DONE]", DIALECT_EVENT_END, "");
        check_event(" [DONE] ", DIALECT_EVENT_END, "");
}

static void test_whole_message_in_place_of_a_stream_is_read(void **state)
{
        (void)state;
        check_event("{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":"
                    "{\"role\":\"assistant\",\"content\":\" Canberra.\"},\"finish_reason\":\"stop\"}]}",
                    DIALECT_EVENT_END, " Canberra.");
}

static void test_usage_is_counted(void **state)
{
        struct dialect_event event = { 0 };
        static const char usage[] = "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":15}}";
        static const char with_text[] = "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],"
                                        "\"usage\":{\"prompt_tokens\":1e99,\"completion_tokens\":-1}}";

        (void)state;
        assert_int_equal(read_event("", usage, strlen(usage), &event), 0);
        assert_int_equal(event.type, DIALECT_EVENT_NONE);
        assert_int_equal(event.n_input_tokens, 9);
        assert_int_equal(event.n_output_tokens, 15);
        assert_int_equal(read_event("", with_text, strlen(with_text), &event), 0);
        assert_int_equal(event.type, DIALECT_EVENT_END);
        assert_int_equal(event.n_input_tokens, 0);
        assert_int_equal(event.n_output_tokens, 0);
        buf_done(&event.text);
}

static void test_error_in_a_stream_wins_over_choices(void **state)
{
        (void)state;
        check_event("{\"error\":{\"code\":\"server_error\",\"message\":\"gone\"},"
                    "\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"error\"}]}",
                    DIALECT_EVENT_ERROR, "gone");
        check_event("{\"error\":{\"code\":502,\"message\":\"bad gateway\"}}", DIALECT_EVENT_ERROR, "bad gateway");
        check_event("{\"error\":\"out of memory\"}", DIALECT_EVENT_ERROR, "out of memory");
        check_event("{\"error\":{\"code\":502,\"message\":null}}", DIALECT_EVENT_ERROR, "no details");
        check_event("{\"error\":true}", DIALECT_EVENT_ERROR, "no details");
        check_event("{\"object\":\"error\",\"message\":\"flat\",\"code\":400}", DIALECT_EVENT_ERROR, "flat");
        check_event("{\"type\":\"error\",\"code\":\"x\"}", DIALECT_EVENT_ERROR, "no details");
        check_event("{\"detail\":\"Not Found\"}", DIALECT_EVENT_ERROR, "Not Found");
        check_event("{\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", DIALECT_EVENT_TEXT, "a");
        check_event("{\"error\":{},\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", DIALECT_EVENT_TEXT, "a");
        check_event("{\"message\":\"hint\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", DIALECT_EVENT_TEXT, "a");
}

static void test_event_named_error_is_one(void **state)
{
        struct dialect_event event = { 0 };

        (void)state;
        assert_int_equal(read_event("error", "overloaded", 10, &event), 0);
        assert_int_equal(event.type, DIALECT_EVENT_ERROR);
        assert_string_equal(buf_string(&event.text), "overloaded");
        assert_int_equal(read_event("error", "{\"error\":{\"message\":\"m\"}}", 25, &event), 0);
        assert_string_equal(buf_string(&event.text), "m");
        assert_int_equal(read_event("error", "<html>", 6, &event), 0);
        assert_string_equal(buf_string(&event.text), "no details");
        buf_done(&event.text);
}

static void test_unknown_objects_say_nothing(void **state)
{
        (void)state;
        check_event("{}", DIALECT_EVENT_NONE, "");
        check_event("{\"type\":\"ping\"}", DIALECT_EVENT_NONE, "");
        check_event("{\"choices\":null}", DIALECT_EVENT_NONE, "");
        check_event("{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"}}", DIALECT_EVENT_NONE,
                    "");
}

static void check_refused(const char *data, size_t n)
{
        struct dialect_event event = { .type = DIALECT_EVENT_END };

        assert_int_equal(buf_add_string(&event.text, "left over"), 0);
        assert_int_equal(read_event("", data, n, &event), -EBADMSG);
        assert_int_equal(event.type, DIALECT_EVENT_NONE);
        assert_int_equal(event.text.n, 0);
        assert_int_equal(event.n_input_tokens, 0);
        buf_done(&event.text);
}

static void test_what_is_no_json_of_this_dialect_is_refused(void **state)
{
        static const char *const bad[] = {
                ": OPENROUTER PROCESSING",
                "data: {}",
                "{\"choices\":[{\"delta\":",
                "{} {}",
                "[]",
                "1",
                "\"text\"",
                "{\"choices\":1}",
                "{\"choices\":1,\"usage\":{\"prompt_tokens\":5}}",
                "DONE",
                "[DONE] x",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                check_refused(bad[i], strlen(bad[i]));
}

static void test_depth_bomb_is_refused(void **state)
{
        static char bomb[200000];

        (void)state;
        memset(bomb, '[', sizeof(bomb) - 1);
        check_refused(bomb, sizeof(bomb) - 1);
        for (size_t i = 0; i + 5 < sizeof(bomb); i += 5)
                memcpy(bomb + i, "{\"a\":", 5);
        check_refused(bomb, sizeof(bomb) - 1);
}

/* --------------------------------------------------------------------------------------------------- repair */

static void check_content(const char *content, const char *text)
{
        _cleanup_(buf_done) struct buf choice = BUF_NULL;

        assert_int_equal(buf_printf(&choice, "{\"delta\":{\"content\":\"%s\"}}", content), 0);
        check_choice(choice.data, DIALECT_EVENT_TEXT, text);
}

static void test_half_a_surrogate_pair_becomes_a_replacement_character(void **state)
{
        (void)state;
        check_content("a\\ud83e\\udd98b", "a\xf0\x9f\xa6\x98"
                                          "b");
        check_content("a\\uD83E\\uDD98b", "a\xf0\x9f\xa6\x98"
                                          "b");
        check_content("a\\ud83eb", "a" FFFD "b");
        check_content("a\\ud83e", "a" FFFD);
        check_content("a\\udd98b", "a" FFFD "b");
        check_content("a\\udd98\\ud83eb", "a" FFFD FFFD "b");
        check_content("a\\ud83e\\ud83e\\udd98", "a" FFFD "\xf0\x9f\xa6\x98");
        check_content("a\\ud83e\\u0062", "a" FFFD "b");
        check_content("a\\ud83e\\n", "a" FFFD "\n");
}

static void test_nul_is_taken_out(void **state)
{
        static const char raw[] = "{\"choices\":[{\"delta\":{\"content\":\"a\0b\"}}]}";
        struct dialect_event event = { 0 };

        (void)state;
        check_content("a\\u0000b", "ab");
        check_content("a\\u0000\\u0001", "a\x01");
        assert_int_equal(read_event("", raw, sizeof(raw) - 1, &event), 0);
        assert_string_equal(buf_string(&event.text), "ab");
        buf_done(&event.text);
}

static void test_escaped_backslash_is_no_escape(void **state)
{
        (void)state;
        check_content("a\\\\u0000", "a\\u0000");
        check_content("a\\\\ud83e", "a\\ud83e");
        check_content("a\\\\\\ud83e", "a\\" FFFD);
        check_content("a\\\"b", "a\"b");
}

static void test_bytes_that_are_no_utf8_become_replacement_characters(void **state)
{
        (void)state;
        check_content("a\xff"
                      "b",
                      "a" FFFD "b");
        check_content("a\xc3", "a" FFFD);
        check_content("\xed\xa0\x80", FFFD FFFD FFFD);
        check_content("\xe2\x82\xac", "\xe2\x82\xac");
}

static void test_broken_escapes_are_refused(void **state)
{
        static const char *const bad[] = { "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}",      "{\"a\":\"\\",
                                           "{\"a\":\"\\x\"}",   "{\"a\":\"\\ud83e\\u12\"}", "{\"a\":\"\\ud83e\\" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                check_refused(bad[i], strlen(bad[i]));
}

static void test_every_prefix_of_an_event_is_read_or_refused(void **state)
{
        static const char whole[] = "{\"choices\":[{\"delta\":{\"content\":\"a\\ud83e\\udd98\xe2\x82\xac\"}}]}";
        struct dialect_event event = { 0 };

        (void)state;
        for (size_t n = 1; n < sizeof(whole) - 1; n++) {
                char *prefix = strndup(whole, n);

                assert_non_null(prefix);
                check_refused(prefix, n);
                free(prefix);
        }
        assert_int_equal(read_event("", whole, sizeof(whole) - 1, &event), 0);
        buf_done(&event.text);
}

/* -------------------------------------------------------------------------------------------- whole streams */

static void check_stream(const char *stream, const char *text, unsigned n_ends, unsigned n_skipped, unsigned n_errors)
{
        stream_check(&dialect_chat, stream,
                     &(struct stream_wanted){
                             .text = text,
                             .n_ends = n_ends,
                             .n_skipped = n_skipped,
                             .status = n_errors > 0 ? 500 : 0,
                     });
}

#define DELTA(x) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" x "\"},\"finish_reason\":null}]}\n\n"
#define STOP     "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE     "data: [DONE]\n\n"
#define REPLY    " Canberra, not Sydney."

static void test_stream_with_comments_and_junk_gives_its_text(void **state)
{
        (void)state;
        check_stream(": OPENROUTER PROCESSING\n\n: keep-alive\n\n: x\n" DELTA(" Canberra,") ":\n\n" DELTA(
                             " not Sydney.") STOP DONE,
                     REPLY, 2, 0, 0);
        check_stream("data: : OPENROUTER PROCESSING\n\ndata:\n\n" DELTA(" Canberra,") "data: " DELTA(" not")
                             DELTA(" not Sydney.") STOP DONE,
                     REPLY, 2, 2, 0);
}

static void test_stream_with_crlf_and_bom_gives_its_text(void **state)
{
        (void)state;
        check_stream(
                "data:{\"choices\":[{\"delta\":{\"content\":\" Canberra,\"}}]}\r\n\r\n: ping\r\n\r\n"
                "data:{\"choices\":[{\"delta\":{\"content\":\" not Sydney.\"},\"finish_reason\":\"stop\"}]}\r\n\r\n"
                "data:[DONE]\r\n\r\n",
                REPLY, 2, 0, 0);
        check_stream("\xef\xbb\xbf" DELTA(" Canberra,") DELTA(" not Sydney.") STOP DONE, REPLY, 2, 0, 0);
}

static void test_stream_may_end_in_many_ways(void **state)
{
        (void)state;
        check_stream(DELTA(REPLY) STOP "data: [DONE]", REPLY, 2, 0, 0);
        check_stream(DELTA(REPLY) STOP, REPLY, 1, 0, 0);
        check_stream(DELTA(" Canberra,") "data: {\"choices\":[{\"delta\":{\"content\":\" not Sydney.\"},"
                                         "\"finish_reason\":\"stop\"}]}\n",
                     REPLY, 1, 0, 0);
        check_stream(DELTA(" Canberra,") "data: {\"choices\":[{\"delta\":{\"content\":\" not", " Canberra,", 0, 1, 0);
}

static void test_stream_of_azure_gives_its_text(void **state)
{
        (void)state;
        check_stream("data: "
                     "{\"id\":\"\",\"choices\":[],\"created\":0,\"prompt_filter_results\":[{\"prompt_index\":0}]}"
                     "\n\n" DELTA(REPLY) "data: "
                                         "{\"choices\":[{\"index\":0,\"finish_reason\":null,\"content_filter_"
                                         "offsets\":{}}]}\n\n" STOP
                                         "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9}}\n\n" DONE,
                     REPLY, 2, 0, 0);
}

static void test_stream_of_blanks_and_raw_utf8_keeps_each_byte(void **state)
{
        (void)state;
        check_stream(DELTA(" ") DELTA("Canberra,") DELTA(" ") DELTA("not") DELTA(" ") DELTA("Sydney.") STOP DONE,
                     REPLY, 2, 0, 0);
        check_stream(DELTA(" \xe2\x80\x9c"
                           "bush capital\xe2\x80\x9d \xf0\x9f\xa6\x98\\n") STOP,
                     " \xe2\x80\x9c"
                     "bush capital\xe2\x80\x9d \xf0\x9f\xa6\x98\n",
                     1, 0, 0);
}

static void test_stream_with_an_error_reports_it(void **state)
{
        (void)state;
        check_stream(
                DELTA(" Canberra,") "data: {\"error\":{\"code\":\"server_error\",\"message\":\"lost\"},\"choices\":"
                                    "[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n" DONE,
                " Canberra,", 1, 0, 1);
}

static void test_dialect_is_found_by_name(void **state)
{
        (void)state;
        assert_ptr_equal(dialect_find("chat"), &dialect_chat);
        assert_string_equal(dialect_chat.path, "/chat/completions");
        assert_null(dialect_find("Chat"));
        assert_null(dialect_find(""));
        assert_null(dialect_find(NULL));
}

static void check_status(const char *data, unsigned status)
{
        _cleanup_(buf_done) struct buf stream = BUF_NULL;

        assert_int_equal(buf_printf(&stream, "data: %s\n\n", data), 0);
        stream_check(&dialect_chat, stream.data, &(struct stream_wanted){ .text = "", .status = status });
}

static void test_errors_name_the_status_they_amount_to(void **state)
{
        (void)state;
        check_status(
                "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
                402);
        check_status("{\"error\":{\"message\":\"m\",\"code\":\"rate_limit_exceeded\"}}", 429);
        check_status("{\"error\":{\"message\":\"m\",\"code\":502}}", 502);
        check_status("{\"error\":{\"message\":\"m\",\"code\":7}}", 500);
        check_status("{\"error\":{\"message\":\"m\",\"http_status_code\":422}}", 422);
        check_status("{\"error\":\"m\",\"error_type\":\"overloaded\"}", 503);
        check_status("{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}", 400);
        check_status("{\"choices\":[{\"delta\":{},\"finish_reason\":\"insufficient_system_resource\"}]}", 500);
}

static void test_reasoning_that_ate_the_reply_is_an_outcome_of_its_own(void **state)
{
        static const char *const reasoning[] = {
                "\"reasoning_content\":\"hm\"",
                "\"reasoning\":\"hm\"",
                "\"reasoning_details\":[{\"text\":\"hm\"}]",
                "\"content\":[{\"type\":\"thinking\",\"thinking\":[]}]",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(reasoning); i++) {
                _cleanup_(buf_done) struct buf stream = BUF_NULL;

                assert_int_equal(
                        buf_printf(&stream, "data: {\"choices\":[{\"delta\":{%s}}]}\n\n%s", reasoning[i], STOP), 0);
                stream_check(&dialect_chat, stream.data,
                             &(struct stream_wanted){ .text = "", .n_others = 1, .other = DIALECT_EVENT_STARVED });
        }
        stream_check(&dialect_chat, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n",
                     &(struct stream_wanted){ .text = "", .n_others = 1, .other = DIALECT_EVENT_STARVED });
        check_stream("data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n" DELTA(REPLY) STOP, REPLY, 1, 0,
                     0);
        check_stream(STOP, "", 1, 0, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_prefill_ends_with_what_was_said_without_blanks),
                cmocka_unit_test(test_prefill_with_nothing_said_ends_with_the_question),
                cmocka_unit_test(test_instruction_is_the_last_user_turn),
                cmocka_unit_test(test_extra_body_adds_overrides_and_removes),
                cmocka_unit_test(test_extra_body_that_is_no_object_is_refused),
                cmocka_unit_test(test_body_leaves_out_what_is_not_set),
                cmocka_unit_test(test_shape_says_how_to_go_on),
                cmocka_unit_test(test_shape_says_what_the_server_knows),
                cmocka_unit_test(test_content_is_text_parts_or_nothing),
                cmocka_unit_test(test_finish_reasons_have_their_meaning),
                cmocka_unit_test(test_refusal_is_not_spoken),
                cmocka_unit_test(test_reasoning_and_tool_calls_are_not_spoken),
                cmocka_unit_test(test_end_marker_ends),
                cmocka_unit_test(test_whole_message_in_place_of_a_stream_is_read),
                cmocka_unit_test(test_usage_is_counted),
                cmocka_unit_test(test_error_in_a_stream_wins_over_choices),
                cmocka_unit_test(test_event_named_error_is_one),
                cmocka_unit_test(test_unknown_objects_say_nothing),
                cmocka_unit_test(test_what_is_no_json_of_this_dialect_is_refused),
                cmocka_unit_test(test_depth_bomb_is_refused),
                cmocka_unit_test(test_half_a_surrogate_pair_becomes_a_replacement_character),
                cmocka_unit_test(test_nul_is_taken_out),
                cmocka_unit_test(test_escaped_backslash_is_no_escape),
                cmocka_unit_test(test_bytes_that_are_no_utf8_become_replacement_characters),
                cmocka_unit_test(test_broken_escapes_are_refused),
                cmocka_unit_test(test_every_prefix_of_an_event_is_read_or_refused),
                cmocka_unit_test(test_stream_with_comments_and_junk_gives_its_text),
                cmocka_unit_test(test_stream_with_crlf_and_bom_gives_its_text),
                cmocka_unit_test(test_stream_may_end_in_many_ways),
                cmocka_unit_test(test_stream_of_azure_gives_its_text),
                cmocka_unit_test(test_stream_of_blanks_and_raw_utf8_keeps_each_byte),
                cmocka_unit_test(test_stream_with_an_error_reports_it),
                cmocka_unit_test(test_errors_name_the_status_they_amount_to),
                cmocka_unit_test(test_reasoning_that_ate_the_reply_is_an_outcome_of_its_own),
                cmocka_unit_test(test_dialect_is_found_by_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
