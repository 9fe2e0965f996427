/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A turn that comes in pieces and is revised: tokens, logits and reply are those of the whole text evaluated at once,
 * bit for bit, and after the end of the turn nothing is left to evaluate. What evaluates is counted by the linker's
 * --wrap.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"
#include "libmulm/session.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

static size_t n_evaluated; /* tokens */

void __real_decode_token(struct decode *decode, uint32_t token, uint32_t position);
void __real_prefill_tokens(struct prefill *prefill, const uint32_t *tokens, uint32_t n_tokens, uint32_t position);
void __wrap_decode_token(struct decode *decode, uint32_t token, uint32_t position);
void __wrap_prefill_tokens(struct prefill *prefill, const uint32_t *tokens, uint32_t n_tokens, uint32_t position);

void __wrap_decode_token(struct decode *decode, uint32_t token, uint32_t position)
{
        n_evaluated++;
        __real_decode_token(decode, token, position);
}

void __wrap_prefill_tokens(struct prefill *prefill, const uint32_t *tokens, uint32_t n_tokens, uint32_t position)
{
        n_evaluated += n_tokens;
        __real_prefill_tokens(prefill, tokens, n_tokens, position);
}

#define N_CONTEXT 128

static mulm_model *model;
static mulm_session *spoken, *fresh;
static size_t n_head;

static mulm_session *new_session(void)
{
        struct mulm_session_options options = { .n_context = N_CONTEXT, .n_threads = 1 };
        mulm_session *session = NULL;

        assert_int_equal(mulm_session_new(&session, model, &options, NULL), 0);
        return session;
}

static int setup(void **state)
{
        (void)state;
        model = golden_model_open(&golden_mulm_28m);
        spoken = new_session();
        fresh = new_session();
        n_head = mulm_session_length(fresh);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        spoken = mulm_session_free(spoken);
        fresh = mulm_session_free(fresh);
        model = mulm_model_free(model);
        return 0;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t random_below(uint64_t n)
{
        static uint64_t state;
        uint64_t z = state += 0x9e3779b97f4a7c15;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return (z ^ z >> 31) % n;
}

/* The largest boundary between characters that is at most n. */
static size_t boundary(const char *text, size_t n)
{
        while (!utf8_is_valid(text, n, NULL))
                n--;
        return n;
}

static void assert_equal_to_whole(const char *text, size_t n_text, size_t n_reply)
{
        struct mulm_message message = { MULM_ROLE_USER, text, n_text };

        session_truncate(fresh, n_head);
        assert_int_equal(mulm_session_chat(fresh, &message, 1, NULL, 0, NULL), 0);
        assert_int_equal(spoken->n_tokens, fresh->n_tokens);
        assert_memory_equal(spoken->tokens, fresh->tokens, fresh->n_tokens * sizeof(*fresh->tokens));
        assert_memory_equal(mulm_session_logits(spoken), mulm_session_logits(fresh),
                            model->n_vocabulary * sizeof(float));

        assert_int_equal(mulm_generate_begin(spoken, &MULM_SAMPLING_GREEDY, NULL), 0);
        assert_int_equal(mulm_generate_begin(fresh, &MULM_SAMPLING_GREEDY, NULL), 0);
        for (size_t i = 0; i < n_reply; i++) {
                struct mulm_piece a = { .token = 0 }, b = { .token = 0 };
                int r = mulm_generate_next(fresh, &b, NULL);

                assert_int_equal(mulm_generate_next(spoken, &a, NULL), r);
                if (r != MULM_GENERATE_PIECE)
                        break;
                assert_int_equal(a.token, b.token);
        }
}

static void begin(void)
{
        assert_int_equal(mulm_turn_begin(spoken, NULL, 0, NULL), 0);
}

/* A person who says `text` but sometimes something of `other` first, and is misheard. */
static void speak_at_random(const char *text, size_t n_text, const char *other, size_t n_other)
{
        char said[1024]; /* what the session has been told */
        size_t n_said = 0, n_right = 0;

        begin();
        while (n_said != n_text || n_right != n_text) {
                size_t n = 1 + random_below(12), keep = n_said;

                if (n_right < n_said || random_below(4) == 0) {
                        keep = boundary(said, random_below(MIN(n_right, n_said) + 1));
                        n_right = MIN(n_right, keep);
                }
                if (random_below(4) == 0 && n_other > 0) {
                        n = boundary(other, MIN(n, n_other));
                        assert_int_equal(mulm_turn_revise(spoken, keep, other, n, NULL), 0);
                        memcpy(said + keep, other, n);
                } else {
                        n = boundary(text + keep, MIN(n, n_text - keep));
                        if (keep == n_said)
                                assert_int_equal(mulm_turn_append(spoken, text + keep, n, NULL), 0);
                        else
                                assert_int_equal(mulm_turn_revise(spoken, keep, text + keep, n, NULL), 0);
                        memcpy(said + keep, text + keep, n);
                        n_right = keep + n;
                }
                n_said = keep + n;
                while (n_right < n_said && n_right < n_text && said[n_right] == text[n_right])
                        n_right++;
                n_right = boundary(text, n_right);
        }
}

/* --------------------------------------------------------------------------------------------------- tests */

static void test_random_edits_of_real_requests_give_what_the_whole_text_gives(void **state)
{
        struct golden_texts texts = golden_texts_open("prompts/clinc-oos.txt", GOLDEN_LINES);
        const char *text, *other = "";
        size_t n, n_other = 0;

        (void)state;
        for (size_t i = 0; (text = golden_texts_next(&texts, &n)); i++) {
                if (i % 3000 != 0 || n > 200)
                        continue;
                speak_at_random(text, n, other, n_other);
                assert_int_equal(mulm_turn_commit(spoken, NULL), 0);
                assert_equal_to_whole(text, n, 6);
                other = text;
                n_other = n;
        }
        golden_texts_done(&texts);
}

static void test_characters_of_several_bytes_may_stand_at_every_cut(void **state)
{
        static const char *const texts[] = { "Wie schön ist's in Zürich, 12 °C?", "天空为什么是蓝色的",
                                             "emoji 👩‍🚀 and é twice é", "  two  blanks\n\n\tand 3 4  ",
                                             "" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                size_t n = strlen(texts[i]);

                speak_at_random(texts[i], n, "öäü 漢字", strlen("öäü 漢字"));
                assert_int_equal(mulm_turn_commit(spoken, NULL), 0);
                assert_equal_to_whole(texts[i], n, 2);
        }
}

static void test_nothing_is_left_to_evaluate_when_the_turn_ends(void **state)
{
        struct mulm_piece piece;

        (void)state;
        begin();
        assert_int_equal(mulm_turn_append(spoken, "why is the sk", 13, NULL), 0);
        assert_int_equal(mulm_turn_append(spoken, "y blue", 6, NULL), 0);
        n_evaluated = 0;
        assert_int_equal(mulm_turn_commit(spoken, NULL), 0);
        assert_int_equal(mulm_generate_begin(spoken, &MULM_SAMPLING_GREEDY, NULL), 0);
        assert_int_equal(mulm_generate_next(spoken, &piece, NULL), MULM_GENERATE_PIECE);
        assert_int_equal(n_evaluated, 0);
}

static void test_a_piece_evaluates_no_more_than_its_words_and_the_closing(void **state)
{
        (void)state;
        begin();
        assert_int_equal(mulm_turn_append(spoken, "tell me why the sky is blue in the", 34, NULL), 0);
        n_evaluated = 0;
        assert_int_equal(mulm_turn_append(spoken, " morning", 8, NULL), 0);
        assert_true(n_evaluated <= 2 + 6);
        n_evaluated = 0;
        assert_int_equal(mulm_turn_append(spoken, "", 0, NULL), 0);
        assert_int_equal(n_evaluated, 0);
}

static void test_messages_before_the_turn_are_those_of_a_chat(void **state)
{
        static const struct mulm_message messages[] = {
                { MULM_ROLE_SYSTEM, "Be brief.", 9 },
                { MULM_ROLE_USER, "hello", 5 },
                { MULM_ROLE_ASSISTANT, "Hello to you.", 13 },
                { MULM_ROLE_USER, "and now?", 8 },
        };

        (void)state;
        assert_int_equal(mulm_turn_begin(spoken, messages, 3, NULL), 0);
        assert_int_equal(mulm_turn_append(spoken, "and now?", 8, NULL), 0);
        assert_int_equal(mulm_turn_commit(spoken, NULL), 0);
        assert_int_equal(mulm_session_chat(fresh, messages, 4, NULL, 0, NULL), 0);
        assert_int_equal(spoken->n_tokens, fresh->n_tokens);
        assert_memory_equal(spoken->tokens, fresh->tokens, fresh->n_tokens * sizeof(*fresh->tokens));
}

static void test_more_than_the_context_is_refused_and_changes_nothing(void **state)
{
        static const char text[] = "why is the sky blue";
        char flood[4 * N_CONTEXT];
        struct mulm_error error = { "" };

        (void)state;
        memset(flood, '7', sizeof(flood)); /* a token each, or two together */
        begin();
        assert_int_equal(mulm_turn_append(spoken, text, strlen(text), NULL), 0);
        assert_int_equal(mulm_turn_append(spoken, flood, sizeof(flood), &error), -E2BIG);
        assert_non_null(strstr(error.sentence, "more than the context of 128"));
        assert_int_equal(mulm_turn_revise(spoken, 3, flood, sizeof(flood), &error), -E2BIG);
        n_evaluated = 0;
        assert_int_equal(mulm_turn_commit(spoken, NULL), 0);
        assert_int_equal(n_evaluated, 0);
        assert_equal_to_whole(text, strlen(text), 2);
}

static void test_bad_pieces_are_named_and_change_nothing(void **state)
{
        struct mulm_error error = { "" };

        (void)state;
        begin();
        assert_int_equal(mulm_turn_append(spoken, "sch\xc3\xb6n", 6, NULL), 0);
        assert_int_equal(mulm_turn_append(spoken, "a\xc3", 2, &error), -EBADMSG);
        assert_string_equal(error.sentence, "offset 1 of the text: not UTF-8");
        assert_int_equal(mulm_turn_revise(spoken, 4, "a", 1, &error), -EINVAL);
        assert_string_equal(error.sentence, "4 bytes to be kept end inside a character");
        assert_int_equal(mulm_turn_revise(spoken, 7, "a", 1, &error), -EINVAL);
        assert_string_equal(error.sentence, "7 bytes are to be kept of 6");
        assert_int_equal(mulm_turn_commit(spoken, NULL), 0);
        assert_equal_to_whole("sch\xc3\xb6n", 6, 2);
}

static void test_pieces_without_a_turn_are_refused(void **state)
{
        struct mulm_error error = { "" };

        (void)state;
        begin();
        assert_int_equal(mulm_turn_commit(spoken, NULL), 0);
        assert_int_equal(mulm_turn_commit(spoken, &error), -EINVAL);
        assert_string_equal(error.sentence, "no turn is open");
        assert_int_equal(mulm_turn_append(spoken, "a", 1, &error), -EINVAL);
        begin();
        assert_int_equal(mulm_session_evaluate(spoken, (const uint32_t[]){ 300 }, 1, NULL), 0);
        assert_int_equal(mulm_turn_append(spoken, "a", 1, &error), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_random_edits_of_real_requests_give_what_the_whole_text_gives),
                cmocka_unit_test(test_characters_of_several_bytes_may_stand_at_every_cut),
                cmocka_unit_test(test_nothing_is_left_to_evaluate_when_the_turn_ends),
                cmocka_unit_test(test_a_piece_evaluates_no_more_than_its_words_and_the_closing),
                cmocka_unit_test(test_messages_before_the_turn_are_those_of_a_chat),
                cmocka_unit_test(test_more_than_the_context_is_refused_and_changes_nothing),
                cmocka_unit_test(test_bad_pieces_are_named_and_change_nothing),
                cmocka_unit_test(test_pieces_without_a_turn_are_refused),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
