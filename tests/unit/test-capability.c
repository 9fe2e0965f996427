/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <stdio.h>
#include <string.h>

#include "daemon/core/capability.h"
#include "daemon/core/known.h"
#include "daemon/core/learned.h"
#include "tests/support/test.h"

#define ANTHROPIC_REFUSAL                                                                                            \
        "This model does not support assistant message prefill. The conversation must end with a user message."
#define LLAMA_REFUSAL "Assistant response prefill is incompatible with enable_thinking."
#define MISTRAL_REFUSAL                                                                                              \
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"

static void check_shape(const struct dialect_shape *shape, const struct dialect_shape *wanted)
{
        assert_int_equal(shape->form, wanted->form);
        assert_int_equal(shape->prefill, wanted->prefill);
        assert_int_equal(shape->thinking, wanted->thinking);
        assert_int_equal(shape->length, wanted->length);
        assert_int_equal(shape->options, wanted->options);
}

#define SHAPE(...) (&(struct dialect_shape){ __VA_ARGS__ })

static void check_refused(const struct dialect *dialect, const struct dialect_shape *sent, unsigned status,
                          const char *message, const struct dialect_shape *wanted)
{
        struct dialect_shape shape = *sent;

        assert_int_equal(capability_refused(dialect, false, status, message, &shape), wanted != NULL);
        check_shape(&shape, wanted ? wanted : sent);
}

static void test_refused_prefill_becomes_an_instruction(void **state)
{
        static const char *const messages[] = {
                ANTHROPIC_REFUSAL,
                "{\"type\":\"error\",\"error\":{\"message\":\"" ANTHROPIC_REFUSAL "\"}}",
                "substring not found",
                "Cannot have 2 or more assistant messages at the end of the list.",
                "",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
                check_refused(&dialect_chat, SHAPE(0), 400, messages[i], SHAPE(.form = DIALECT_FORM_INSTRUCTION));
                check_refused(&dialect_anthropic, SHAPE(0), 400, messages[i],
                              SHAPE(.form = DIALECT_FORM_INSTRUCTION));
                check_refused(&dialect_chat, SHAPE(.form = DIALECT_FORM_INSTRUCTION), 400, messages[i], NULL);
        }
}

static void test_prefill_against_thinking_switches_thinking_off_first(void **state)
{
        (void)state;
        check_refused(&dialect_chat, SHAPE(0), 400, LLAMA_REFUSAL, SHAPE(.thinking = DIALECT_THINKING_TEMPLATE));
        check_refused(&dialect_chat, SHAPE(.thinking = DIALECT_THINKING_TEMPLATE), 400, LLAMA_REFUSAL,
                      SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_TEMPLATE));
        check_refused(&dialect_anthropic, SHAPE(0), 400, "prefill is not supported when thinking is enabled",
                      SHAPE(.thinking = DIALECT_THINKING_DISABLED));
}

static void test_server_that_wants_a_prefix_flag_gets_it(void **state)
{
        (void)state;
        check_refused(&dialect_chat, SHAPE(0), 400, MISTRAL_REFUSAL, SHAPE(.prefill = DIALECT_PREFILL_PREFIX));
        check_refused(&dialect_chat, SHAPE(.prefill = DIALECT_PREFILL_PREFIX), 400, MISTRAL_REFUSAL,
                      SHAPE(.form = DIALECT_FORM_INSTRUCTION, .prefill = DIALECT_PREFILL_PREFIX));
        check_refused(&dialect_chat, SHAPE(.prefill = DIALECT_PREFILL_CONTINUE), 422,
                      "continue_final_message: Extra inputs are not permitted",
                      SHAPE(.prefill = DIALECT_PREFILL_PLAIN));
}

static void test_unknown_members_are_left_out(void **state)
{
        (void)state;
        check_refused(&dialect_chat, SHAPE(.options = DIALECT_OPTIONS_BARE), 400,
                      "Unknown parameter: 'stream_options.include_obfuscation'.", SHAPE(0));
        check_refused(&dialect_chat, SHAPE(0), 422, "stream_options: Extra inputs are not permitted",
                      SHAPE(.options = DIALECT_OPTIONS_NONE));
        check_refused(&dialect_responses, SHAPE(.form = DIALECT_FORM_INSTRUCTION), 400,
                      "Unknown parameter: 'stream_options.include_obfuscation'.",
                      SHAPE(.form = DIALECT_FORM_INSTRUCTION, .options = DIALECT_OPTIONS_NONE));
        check_refused(&dialect_chat, SHAPE(.thinking = DIALECT_THINKING_NONE), 400,
                      "Unrecognized request argument supplied: reasoning_effort", SHAPE(0));
        check_refused(&dialect_chat, SHAPE(.thinking = DIALECT_THINKING_TEMPLATE), 422,
                      "chat_template_kwargs: Extra inputs are not permitted", SHAPE(0));
        check_refused(&dialect_chat, SHAPE(.thinking = DIALECT_THINKING_DISABLED), 400, "unknown field thinking",
                      SHAPE(0));
        check_refused(&dialect_anthropic, SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_LOW),
                      400, "output_config: Extra inputs are not permitted", SHAPE(.form = DIALECT_FORM_INSTRUCTION));
}

static void test_length_goes_by_the_name_that_the_server_knows(void **state)
{
        (void)state;
        check_refused(&dialect_chat, SHAPE(0), 400,
                      "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                      "'max_completion_tokens' instead.",
                      SHAPE(.length = DIALECT_LENGTH_COMPLETION));
        check_refused(&dialect_chat, SHAPE(.length = DIALECT_LENGTH_COMPLETION), 422,
                      "max_completion_tokens: Extra inputs are not permitted", SHAPE(0));
        check_refused(&dialect_chat, SHAPE(.form = DIALECT_FORM_INSTRUCTION), 400, "max_tokens is too large: 9000",
                      NULL);
}

static void test_effort_is_the_least_that_the_model_takes(void **state)
{
        (void)state;
        check_refused(&dialect_responses, SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_NONE),
                      400,
                      "Unsupported value: 'none' is not supported with the 'x' model for reasoning.effort. Supported "
                      "values are: 'minimal', 'low', 'medium', and 'high'.",
                      SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_MINIMAL));
        check_refused(
                &dialect_chat, SHAPE(.thinking = DIALECT_THINKING_NONE), 400,
                "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values "
                "are: 'low', 'medium', and 'high'.",
                SHAPE(.thinking = DIALECT_THINKING_LOW));
        check_refused(&dialect_anthropic,
                      SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_DISABLED), 400,
                      "thinking.type: disabled is not supported for this model",
                      SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_LOW));
}

static void test_what_no_shape_can_mend_is_given_up(void **state)
{
        static const char *const messages[] = {
                "This model's maximum context length is 8192 tokens.",
                "Your organization must be verified to stream this model.",
                "Your credit balance is too low to access the API.",
                "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
                "The model `x` does not exist",
        };
        static const unsigned statuses[] = { 200, 401, 402, 403, 404, 413, 429, 500, 503 };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
                check_refused(&dialect_chat, SHAPE(0), 400, messages[i], NULL);
        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
                check_refused(&dialect_chat, SHAPE(0), statuses[i], ANTHROPIC_REFUSAL, NULL);
}

static void test_configured_form_stays(void **state)
{
        struct dialect_shape shape = { .form = DIALECT_FORM_PREFILL };

        (void)state;
        assert_false(capability_refused(&dialect_chat, true, 400, ANTHROPIC_REFUSAL, &shape));
        assert_false(capability_refused(&dialect_chat, true, 400, MISTRAL_REFUSAL, &shape));
        assert_false(capability_restarted(true, &shape));
        assert_true(capability_starved(&dialect_chat, true, &shape));
        assert_true(capability_refused(&dialect_chat, true, 400, "Unknown parameter: 'stream_options'", &shape));
        assert_int_equal(shape.form, DIALECT_FORM_PREFILL);
}

/* Whatever is answered, again and again: it comes to an end. */
static void test_reshaping_comes_to_an_end(void **state)
{
        static const struct dialect *const dialects[] = { &dialect_chat, &dialect_responses, &dialect_anthropic };
        static const char *const messages[] = { ANTHROPIC_REFUSAL, LLAMA_REFUSAL, MISTRAL_REFUSAL, "" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(dialects); i++) {
                struct dialect_shape shape = { .form = DIALECT_FORM_PREFILL };
                unsigned n = 0;

                while (capability_starved(dialects[i], false, &shape))
                        assert_true(++n < 8);
                for (size_t j = 0; j < ARRAY_SIZE(messages); j++) {
                        shape = (struct dialect_shape){ .prefill = DIALECT_PREFILL_CONTINUE };
                        for (n = 0; capability_refused(dialects[i], false, 400, messages[j], &shape); n++)
                                assert_true(n < 4);
                }
        }
}

static void test_answer_of_reasoning_alone_switches_reasoning_off(void **state)
{
        struct dialect_shape shape = { .form = DIALECT_FORM_PREFILL };

        (void)state;
        assert_true(capability_starved(&dialect_chat, false, &shape));
        check_shape(&shape, SHAPE(.thinking = DIALECT_THINKING_TEMPLATE));
        assert_true(capability_starved(&dialect_chat, false, &shape));
        check_shape(&shape, SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_TEMPLATE));
        assert_true(capability_starved(&dialect_chat, false, &shape));
        check_shape(&shape, SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_NONE));

        shape = (struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION };
        assert_true(capability_starved(&dialect_anthropic, false, &shape));
        check_shape(&shape, SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_LOW));
}

static void test_reply_from_the_beginning_leads_to_an_anchor(void **state)
{
        struct dialect_shape shape = { .form = DIALECT_FORM_PREFILL };

        (void)state;
        assert_true(capability_restarted(false, &shape));
        assert_int_equal(shape.form, DIALECT_FORM_INSTRUCTION);
        assert_true(capability_restarted(false, &shape));
        assert_int_equal(shape.form, DIALECT_FORM_ANCHOR);
        assert_false(capability_restarted(false, &shape));
}

/* ------------------------------------------------------------------------------------------------ known before */

static char *text(const char *string)
{
        return (char *)(uintptr_t)string;
}

static void check_known(const char *dialect, const char *url, const char *model, enum settings_prefill prefill,
                        const struct dialect_shape *wanted)
{
        const struct settings_endpoint endpoint = {
                .dialect = text(dialect), .url = text(url), .model = text(model), .prefill = prefill
        };
        struct dialect_shape shape;

        known_shape(&endpoint, &shape);
        check_shape(&shape, wanted);
        assert_int_equal(known_form_is_fixed(&endpoint), prefill != SETTINGS_PREFILL_AUTO);
}

static void test_servers_that_are_known_are_asked_as_they_want(void **state)
{
        (void)state;
        check_known("chat", "http://127.0.0.1:8080/v1", "m", SETTINGS_PREFILL_AUTO, SHAPE(0));
        check_known("chat", "https://api.openai.com/v1", "m", SETTINGS_PREFILL_AUTO,
                    SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_NONE,
                          .length = DIALECT_LENGTH_COMPLETION, .options = DIALECT_OPTIONS_BARE));
        check_known("chat", "https://api.openai.com.example.org/v1", "m", SETTINGS_PREFILL_AUTO, SHAPE(0));
        check_known("chat", "https://API.mistral.ai:443/v1", "m", SETTINGS_PREFILL_AUTO,
                    SHAPE(.prefill = DIALECT_PREFILL_PREFIX, .options = DIALECT_OPTIONS_NONE));
        check_known("chat", "https://api.deepseek.com/beta", "m", SETTINGS_PREFILL_AUTO,
                    SHAPE(.prefill = DIALECT_PREFILL_PREFIX, .thinking = DIALECT_THINKING_DISABLED));
        check_known("chat", "https://api.deepseek.com", "m", SETTINGS_PREFILL_AUTO,
                    SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_DISABLED));
        check_known("responses", "https://api.openai.com/v1", "m", SETTINGS_PREFILL_AUTO,
                    SHAPE(.form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_NONE));
}

static void test_models_that_are_known_are_asked_as_they_want(void **state)
{
        static const struct {
                const char *model;
                enum dialect_form form;
                enum dialect_thinking thinking;
        } cases[] = {
                { "claude-haiku-4-5", DIALECT_FORM_PREFILL, DIALECT_THINKING_UNSAID },
                { "claude-sonnet-4-5-20250929", DIALECT_FORM_PREFILL, DIALECT_THINKING_UNSAID },
                { "claude-opus-4-6", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_UNSAID },
                { "claude-sonnet-5", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_DISABLED },
                { "claude-opus-5-20260801", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_DISABLED },
                { "claude-opus-5-5", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_LOW },
                { "claude-fable-5", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_LOW },
                { "claude-haiku-5-5", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_UNSAID },
                { "claude-sonnet-99999999999", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_UNSAID },
                { "claude-opus-", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_UNSAID },
                { "", DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_UNSAID },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                check_known("anthropic", "https://a/v1", cases[i].model, SETTINGS_PREFILL_AUTO,
                            SHAPE(.form = cases[i].form, .thinking = cases[i].thinking));
        check_known("chat", "https://openrouter.ai/api/v1", "anthropic/claude-sonnet-4.6", SETTINGS_PREFILL_AUTO,
                    SHAPE(.form = DIALECT_FORM_INSTRUCTION));
        check_known("chat", "https://openrouter.ai/api/v1", "anthropic/claude-sonnet-4.5", SETTINGS_PREFILL_AUTO,
                    SHAPE(0));
}

static void test_configuration_wins_over_what_is_known(void **state)
{
        (void)state;
        check_known("anthropic", "https://a/v1", "m", SETTINGS_PREFILL_YES, SHAPE(0));
        check_known("chat", "https://a/v1", "m", SETTINGS_PREFILL_NO, SHAPE(.form = DIALECT_FORM_INSTRUCTION));
        check_known("chat", "https://a/v1", "m", SETTINGS_PREFILL_PREFIX, SHAPE(.prefill = DIALECT_PREFILL_PREFIX));
        check_known("chat", "https://a/v1", "m", SETTINGS_PREFILL_CONTINUE,
                    SHAPE(.prefill = DIALECT_PREFILL_CONTINUE));
        check_known("chat", "https://a/v1", "m", SETTINGS_PREFILL_ANCHOR, SHAPE(.form = DIALECT_FORM_ANCHOR));
}

/* ----------------------------------------------------------------------------------------------------- learned */

static struct settings_endpoint endpoint_of(const char *model)
{
        return (struct settings_endpoint){ .url = text("https://a/v1"),
                                           .dialect = text("chat"),
                                           .model = text(model) };
}

static void test_what_was_learned_survives_its_text(void **state)
{
        static const struct dialect_shape sent = { DIALECT_FORM_ANCHOR, DIALECT_PREFILL_CONTINUE,
                                                   DIALECT_THINKING_DISABLED, DIALECT_LENGTH_COMPLETION,
                                                   DIALECT_OPTIONS_NONE };
        static const char *const models[] = { "m", "", "a b%\xc3\xa9\t", "%", "vendor/large:free" };
        _cleanup_(buf_done) struct buf printed = BUF_NULL, again = BUF_NULL;
        struct dialect_shape shape;
        struct learned learned, copy;

        (void)state;
        learned_init(&learned);
        learned_init(&copy);
        for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
                struct settings_endpoint endpoint = endpoint_of(models[i]);

                assert_false(learned_find(&learned, &endpoint, &shape));
                assert_int_equal(learned_note(&learned, &endpoint, &sent), 1);
                assert_int_equal(learned_note(&learned, &endpoint, &sent), 0);
        }
        assert_int_equal(learned_print(&learned, &printed), 0);
        assert_int_equal(learned_parse(&copy, printed.data, printed.n), 0);
        for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
                struct settings_endpoint endpoint = endpoint_of(models[i]);

                assert_true(learned_find(&copy, &endpoint, &shape));
                check_shape(&shape, &sent);
        }
        assert_int_equal(learned_print(&copy, &again), 0);
        assert_string_equal(again.data, printed.data);
        learned_done(&learned);
        learned_done(&copy);
}

static void test_what_is_learned_anew_replaces(void **state)
{
        struct settings_endpoint endpoint = endpoint_of("m");
        struct dialect_shape shape;
        struct learned learned;

        (void)state;
        learned_init(&learned);
        assert_int_equal(learned_note(&learned, &endpoint, SHAPE(0)), 1);
        assert_int_equal(learned_note(&learned, &endpoint, SHAPE(.form = DIALECT_FORM_ANCHOR)), 1);
        assert_int_equal(learned.n, 1);
        assert_true(learned_find(&learned, &endpoint, &shape));
        assert_int_equal(shape.form, DIALECT_FORM_ANCHOR);
        learned_done(&learned);
}

static void test_oldest_is_forgotten_first(void **state)
{
        struct settings_endpoint endpoint;
        struct dialect_shape shape;
        struct learned learned;
        char model[16];

        (void)state;
        learned_init(&learned);
        for (unsigned i = 0; i <= LEARNED_MAX; i++) {
                (void)snprintf(model, sizeof(model), "m%u", i);
                endpoint = endpoint_of(model);
                assert_int_equal(learned_note(&learned, &endpoint, SHAPE(0)), 1);
        }
        assert_int_equal(learned.n, LEARNED_MAX);
        endpoint = endpoint_of("m0");
        assert_false(learned_find(&learned, &endpoint, &shape));
        endpoint = endpoint_of("m1");
        assert_true(learned_find(&learned, &endpoint, &shape));
        learned_done(&learned);
}

static void test_lines_that_say_nothing_are_skipped(void **state)
{
        static const char lines[] = "# comment\n"
                                    "\n"
                                    "https://a/v1 chat m\n"
                                    "https://a/v1 chat m x prefill plain unsaid tokens usage\n"
                                    "https://a/v1 chat m telepathy plain unsaid tokens usage\n"
                                    "https://a/v1 chat  prefill plain unsaid tokens usage\n"
                                    "\xff\xfe garbage\n"
                                    "https://a/v1 chat m instruction plain unsaid tokens usage";
        struct settings_endpoint endpoint = endpoint_of("m");
        struct dialect_shape shape;

        (void)state;
        for (size_t n = 0; n < sizeof(lines); n++) {
                struct learned learned;

                learned_init(&learned);
                assert_int_equal(learned_parse(&learned, lines, n), 0);
                assert_int_equal(learned.n, n == sizeof(lines) - 1);
                if (n == sizeof(lines) - 1)
                        assert_true(learned_find(&learned, &endpoint, &shape));
                learned_done(&learned);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused_prefill_becomes_an_instruction),
                cmocka_unit_test(test_prefill_against_thinking_switches_thinking_off_first),
                cmocka_unit_test(test_server_that_wants_a_prefix_flag_gets_it),
                cmocka_unit_test(test_unknown_members_are_left_out),
                cmocka_unit_test(test_length_goes_by_the_name_that_the_server_knows),
                cmocka_unit_test(test_effort_is_the_least_that_the_model_takes),
                cmocka_unit_test(test_what_no_shape_can_mend_is_given_up),
                cmocka_unit_test(test_configured_form_stays),
                cmocka_unit_test(test_reshaping_comes_to_an_end),
                cmocka_unit_test(test_answer_of_reasoning_alone_switches_reasoning_off),
                cmocka_unit_test(test_reply_from_the_beginning_leads_to_an_anchor),
                cmocka_unit_test(test_servers_that_are_known_are_asked_as_they_want),
                cmocka_unit_test(test_models_that_are_known_are_asked_as_they_want),
                cmocka_unit_test(test_configuration_wins_over_what_is_known),
                cmocka_unit_test(test_what_was_learned_survives_its_text),
                cmocka_unit_test(test_what_is_learned_anew_replaces),
                cmocka_unit_test(test_oldest_is_forgotten_first),
                cmocka_unit_test(test_lines_that_say_nothing_are_skipped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
