/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
#include <stdio.h>
#include <string.h>

#include "daemon/core/prompt.h"
#include "tests/support/test.h"

#define BUILTIN(text) prompts_get(&PROMPTS_NULL, PROMPTS_TEXT_##text)

DEFINE_CLEANUP(FILE *, fclose)

static void add(struct prompt *prompt, enum prompt_role role, const char *text)
{
        assert_int_equal(prompt_add(prompt, role, text, strlen(text)), 0);
}

static void say(struct prompt *prompt, const char *text)
{
        assert_int_equal(prompt_set_said(prompt, text, strlen(text)), 0);
}

static void set_template(struct prompt *prompt, const char *template)
{
        free(prompt->continuation);
        prompt->continuation = strdup(template);
        assert_non_null(prompt->continuation);
}

static void check_instruction(const struct prompt *prompt, const char *wanted)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        assert_int_equal(prompt_instruction(prompt, &text), 0);
        assert_string_equal(buf_string(&text), wanted);
}

static void test_messages_are_copied_in_order(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;

        (void)state;
        assert_int_equal(prompt_add(&prompt, PROMPT_ROLE_USER, "Hello there", 5), 0);
        add(&prompt, PROMPT_ROLE_ASSISTANT, "Hi.");
        assert_int_equal(prompt_add(&prompt, PROMPT_ROLE_USER, NULL, 0), 0);
        assert_int_equal(prompt.n_messages, 3);
        assert_string_equal(prompt.messages[0].text, "Hello");
        assert_int_equal(prompt.messages[1].role, PROMPT_ROLE_ASSISTANT);
        assert_string_equal(prompt.messages[2].text, "");
}

static void test_last_user_message_is_found(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;

        (void)state;
        assert_int_equal(prompt_last_user(&prompt), 0);
        add(&prompt, PROMPT_ROLE_ASSISTANT, "Hi.");
        assert_int_equal(prompt_last_user(&prompt), 1);
        add(&prompt, PROMPT_ROLE_USER, "One?");
        add(&prompt, PROMPT_ROLE_USER, "Two?");
        add(&prompt, PROMPT_ROLE_ASSISTANT, "Hm.");
        assert_int_equal(prompt_last_user(&prompt), 2);
}

static void test_said_is_measured_without_its_last_blanks(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;

        (void)state;
        assert_int_equal(prompt_said_length(&prompt), 0);
        say(&prompt, "The capital is \n\t ");
        assert_int_equal(prompt_said_length(&prompt), 14);
        say(&prompt, " \n");
        assert_int_equal(prompt_said_length(&prompt), 0);
        say(&prompt, "");
        assert_int_equal(prompt_said_length(&prompt), 0);
}

static void test_instruction_fills_in_question_and_said(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;

        (void)state;
        add(&prompt, PROMPT_ROLE_USER, "Earlier?");
        add(&prompt, PROMPT_ROLE_ASSISTANT, "Yes.");
        add(&prompt, PROMPT_ROLE_USER, "Capital?");
        say(&prompt, "It is ");
        set_template(&prompt, "{said}: {question} ({said}|{question})");
        check_instruction(&prompt, "It is: Capital? (It is|Capital?)");
}

static void test_braces_that_are_no_place_stay(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;

        (void)state;
        add(&prompt, PROMPT_ROLE_USER, "Q");
        say(&prompt, "S");
        set_template(&prompt, "{ {} {said {{said}} {Said} }{");
        check_instruction(&prompt, "{ {} {said {S} {Said} }{");
        set_template(&prompt, "");
        check_instruction(&prompt, "");
}

static void test_places_in_the_question_are_plain_text(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;

        (void)state;
        add(&prompt, PROMPT_ROLE_USER, "What is {said}?");
        say(&prompt, "{question}");
        set_template(&prompt, "{question}/{said}");
        check_instruction(&prompt, "What is {said}?/{question}");
}

static void test_without_anything_said_the_question_stands_alone(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;

        (void)state;
        add(&prompt, PROMPT_ROLE_USER, "Capital?");
        check_instruction(&prompt, "Capital?");
        say(&prompt, " ");
        check_instruction(&prompt, "Capital?");
}

static void test_instruction_without_a_question_is_possible(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;

        (void)state;
        say(&prompt, "S");
        set_template(&prompt, "[{question}]{said}");
        check_instruction(&prompt, "[]S");
}

static void test_builtin_instruction_quotes_both(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        (void)state;
        add(&prompt, PROMPT_ROLE_USER, "What is the capital of Australia?");
        say(&prompt, "The capital of Australia is");
        assert_int_equal(prompt_instruction(&prompt, &text), 0);
        assert_non_null(strstr(text.data, "\nWhat is the capital of Australia?\n"));
        assert_non_null(strstr(text.data, "\nThe capital of Australia is\n"));
        assert_null(strchr(text.data, '{'));
}

static void check_file(const char *name, const char *wanted)
{
        char path[4096], content[4096];
        _cleanup_(fclosep) FILE *file = NULL;
        size_t n;

        (void)snprintf(path, sizeof(path), "%s/config/prompts/%s", getenv("MULM_SOURCE_ROOT"), name);
        file = fopen(path, "re");
        assert_non_null(file);
        n = fread(content, 1, sizeof(content), file);
        assert_int_equal(n, strlen(wanted) + 1);
        assert_memory_equal(content, wanted, n - 1);
        assert_int_equal(content[n - 1], '\n');
}

static void check_anchor(const char *said, const char *wanted)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        add(&prompt, PROMPT_ROLE_USER, "Q");
        say(&prompt, said);
        prompt.anchor = strdup("{question}|{said}|{anchor}");
        assert_non_null(prompt.anchor);
        assert_int_equal(prompt_anchor(&prompt, &text), 0);
        assert_string_equal(buf_string(&text), wanted);
}

static void test_anchor_is_the_last_words_of_what_was_said(void **state)
{
        (void)state;
        check_anchor("The capital of Australia is ", "Q|The capital of Australia is|capital of Australia is");
        check_anchor("It is", "Q|It is|It is");
        check_anchor("", "Q");
        check_anchor("a  b\n c d e", "Q|a  b\n c d e|b\n c d e");
}

static void test_anchor_without_blanks_is_cut_at_a_whole_character(void **state)
{
        _cleanup_(buf_done) struct buf said = BUF_NULL, wanted = BUF_NULL;

        (void)state;
        for (unsigned i = 0; i < 50; i++)
                assert_int_equal(buf_add_string(&said, "\xe9\xa6\x96"), 0);
        assert_int_equal(buf_printf(&wanted, "Q|%s|%.120s", said.data, said.data), 0);
        check_anchor(said.data, wanted.data);
}

static void test_builtin_anchor_asks_for_the_last_words(void **state)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        (void)state;
        add(&prompt, PROMPT_ROLE_USER, "What is the capital of Australia?");
        say(&prompt, "The capital of Australia is");
        assert_int_equal(prompt_anchor(&prompt, &text), 0);
        assert_non_null(strstr(text.data, "\nThe capital of Australia is\n"));
        assert_non_null(strstr(text.data, "\ncapital of Australia is\n"));
        assert_null(strchr(text.data, '{'));
}

static void check_system(enum prompt_correction correction, const char *wanted)
{
        _cleanup_(prompt_done) struct prompt prompt = PROMPT_NULL;
        _cleanup_(buf_done) struct buf text = BUF_NULL;

        assert_int_equal(prompt_set_texts(&prompt, &PROMPTS_NULL, correction), 0);
        assert_int_equal(buf_printf(&text, "%s\n%s", BUILTIN(SYSTEM), wanted), 0);
        assert_string_equal(prompt.system, text.data);
}

static void test_system_text_says_how_to_correct(void **state)
{
        (void)state;
        check_system(PROMPT_CORRECTION_MEND, BUILTIN(MEND));
        check_system(PROMPT_CORRECTION_PIVOT, BUILTIN(PIVOT));
        check_system(PROMPT_CORRECTION_REPLACE, BUILTIN(REPLACE));
}

static void test_marks_are_named_where_they_are_asked_for_only(void **state)
{
        (void)state;
        assert_null(strstr(BUILTIN(SYSTEM), "[["));
        assert_null(strstr(BUILTIN(MEND), "[["));
        assert_non_null(strstr(BUILTIN(PIVOT), "[[pivot]]"));
        assert_null(strstr(BUILTIN(PIVOT), "[[replace]]"));
        assert_non_null(strstr(BUILTIN(REPLACE), "[[pivot]]"));
        assert_non_null(strstr(BUILTIN(REPLACE), "[[replace]]"));
}

static void test_builtin_texts_equal_the_files(void **state)
{
        (void)state;
        check_file("system.txt", BUILTIN(SYSTEM));
        check_file("mend.txt", BUILTIN(MEND));
        check_file("pivot.txt", BUILTIN(PIVOT));
        check_file("replace.txt", BUILTIN(REPLACE));
        check_file("continuation.txt", BUILTIN(CONTINUATION));
        check_file("anchor.txt", BUILTIN(ANCHOR));
        check_file("refused.txt", BUILTIN(REFUSED));
        check_file("refusals.txt", BUILTIN(REFUSALS));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_messages_are_copied_in_order),
                cmocka_unit_test(test_last_user_message_is_found),
                cmocka_unit_test(test_said_is_measured_without_its_last_blanks),
                cmocka_unit_test(test_instruction_fills_in_question_and_said),
                cmocka_unit_test(test_braces_that_are_no_place_stay),
                cmocka_unit_test(test_places_in_the_question_are_plain_text),
                cmocka_unit_test(test_without_anything_said_the_question_stands_alone),
                cmocka_unit_test(test_instruction_without_a_question_is_possible),
                cmocka_unit_test(test_builtin_instruction_quotes_both),
                cmocka_unit_test(test_anchor_is_the_last_words_of_what_was_said),
                cmocka_unit_test(test_anchor_without_blanks_is_cut_at_a_whole_character),
                cmocka_unit_test(test_builtin_anchor_asks_for_the_last_words),
                cmocka_unit_test(test_system_text_says_how_to_correct),
                cmocka_unit_test(test_marks_are_named_where_they_are_asked_for_only),
                cmocka_unit_test(test_builtin_texts_equal_the_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
