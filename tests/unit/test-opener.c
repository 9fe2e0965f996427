/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What an opener makes of the tokens a model yields: the generator below it is replaced (by the linker) by a script
 * of texts and probabilities. "|" in the expected text ends a word.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "libmulm/base/macro.h"
#include "libmulm/session.h"
#include "tests/support/test.h"

struct step {
        const char *text; /* NULL: the model ends its reply */
        float probability;
};

#define END ((struct step){ NULL, 0.0f })

static struct {
        const struct step *steps;
        size_t n_evaluated; /* tokens that cost a decode step */
        bool is_full;       /* the context is, where the script has an end */
} script;

int __wrap_generator_begin(struct mulm_session *session, const struct mulm_sampling *sampling,
                           struct mulm_error *error);
int __wrap_generator_next(struct mulm_session *session, uint32_t *ret_token, float *ret_probability);

int __wrap_generator_begin(struct mulm_session *session, const struct mulm_sampling *sampling,
                           struct mulm_error *error)
{
        (void)sampling;
        (void)error;
        session->generator.pending = VOCAB_NO_TOKEN;
        return 0;
}

int __wrap_generator_next(struct mulm_session *session, uint32_t *ret_token, float *ret_probability)
{
        struct generator *generator = &session->generator;
        const struct step *step = script.steps;

        if (generator->pending != VOCAB_NO_TOKEN) {
                session->n_tokens++;
                script.n_evaluated++;
        }
        generator->pending = VOCAB_NO_TOKEN;
        if (!step->text)
                return script.is_full ? MULM_GENERATE_FULL : MULM_GENERATE_END;

        script.steps++;
        buf_clear(&generator->text);
        assert_int_equal(buf_add_string(&generator->text, step->text), 0);
        generator->pending = 1;
        *ret_token = 1;
        *ret_probability = step->probability;
        return MULM_GENERATE_PIECE;
}

#define N_PROMPT 10

static struct mulm_session session;
static char shown[1024];

static void begin(const struct step *steps, struct mulm_opener_options options)
{
        script.steps = steps;
        script.n_evaluated = 0;
        script.is_full = false;
        session.n_tokens = N_PROMPT;
        session.is_fresh = true;
        session.has_logits = true;
        assert_int_equal(mulm_opener_begin(&session, &options, NULL), 0);
}

/* Runs the opener to its end, whose outcome must come again; what was said is in `shown`. */
static int run(const struct step *steps, struct mulm_opener_options options)
{
        struct mulm_word word;
        int r;

        begin(steps, options);
        shown[0] = '\0';
        while ((r = mulm_opener_next(&session, &word, NULL)) == MULM_OPENER_WORD) {
                const size_t n = strlen(shown);

                assert_true(n + word.n_text + 2 < sizeof(shown));
                snprintf(shown + n, sizeof(shown) - n, "%.*s|", (int)word.n_text, word.text);
        }
        assert_int_equal(mulm_opener_next(&session, &word, NULL), r);
        return r;
}

static int teardown(void **state)
{
        (void)state;
        buf_done(&session.generator.text);
        buf_done(&session.opener.word);
        buf_done(&session.opener.said);
        return 0;
}

static struct mulm_opener_options words(uint32_t least, uint32_t most, float confidence)
{
        return (struct mulm_opener_options){
                .min_words = least, .max_words = most, .confidence = confidence, .sampling = MULM_SAMPLING_GREEDY
        };
}

static void test_words_are_whole_and_keep_their_punctuation(void **state)
{
        static const struct step steps[] = { { " The", 1 }, { " Can", 1 }, { "ber", 1 }, { "ra", 1 },
                                             { ",", 1 },    { " it", 1 },  { "'s", 1 },  { " so", 1 },
                                             { "?", 1 },    { "!", 1 },    END };

        (void)state;
        assert_int_equal(run(steps, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "The| Canberra,| it's| so?!|");
}

static void test_first_word_of_a_continued_reply_keeps_its_blank(void **state)
{
        static const struct step steps[] = { { " is", 1 }, { " blue", 1 }, END };
        struct mulm_word word;

        (void)state;
        begin(steps, words(0, 8, 0));
        session.is_fresh = false;
        assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_WORD);
        assert_int_equal(word.n_text, 3);
        assert_memory_equal(word.text, " is", 3);
}

static void test_first_word_comes_after_one_decode_step(void **state)
{
        static const struct step steps[] = { { "The", 1 }, { " sky", 1 }, { " is", 1 }, END };
        struct mulm_word word;

        (void)state;
        begin(steps, words(0, 8, 0));
        assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_WORD);
        assert_memory_equal(word.text, "The", word.n_text);
        assert_int_equal(script.n_evaluated, 1);
}

static void test_last_word_at_the_limit_is_completed(void **state)
{
        static const struct step steps[] = {
                { "One", 1 }, { " two", 1 }, { "fold", 1 }, { ".", 1 }, { " no", 1 }, END
        };

        (void)state;
        assert_int_equal(run(steps, words(0, 2, 0)), MULM_OPENER_LIMIT);
        assert_string_equal(shown, "One| twofold.|");
        assert_int_equal(session.n_tokens, N_PROMPT + 4);
        assert_true(session.has_logits); /* " no" was taken, not evaluated */
}

static void test_probability_is_the_product_over_the_tokens(void **state)
{
        static const struct step steps[] = { { "A", 0.5f }, { "b", 0.5f }, { ",", 0.5f }, { " c", 0.25f }, END };
        struct mulm_word word;

        (void)state;
        begin(steps, words(8, 8, 0.9f));
        assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_WORD);
        assert_true(fabsf(word.probability - 0.125f) < 1e-6f);
        assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_WORD);
        assert_true(fabsf(word.probability - 0.25f) < 1e-6f);
}

static void test_opener_stops_in_front_of_an_unsure_word(void **state)
{
        static const struct step steps[] = {
                { "It", 0.1f }, { " is", 0.9f }, { " Can", 0.6f }, { "ber", 0.5f }, { "ra", 1 }, { " now", 1 }, END
        };

        (void)state;
        /* The first is said in any case; 0.6 would do, 0.6 * 0.5 does not. */
        assert_int_equal(run(steps, words(1, 8, 0.4f)), MULM_OPENER_UNSURE);
        assert_string_equal(shown, "It| is|");
        assert_int_equal(session.n_tokens, N_PROMPT + 2); /* " Can" was evaluated and is dropped */
        assert_false(session.has_logits);
        assert_int_equal(script.n_evaluated, 3); /* not one step more than it takes to know */
}

static void test_unsure_first_token_costs_no_evaluation(void **state)
{
        static const struct step steps[] = { { "It", 0.9f }, { " is", 0.9f }, { " Perth", 0.1f }, END };

        (void)state;
        assert_int_equal(run(steps, words(0, 8, 0.4f)), MULM_OPENER_UNSURE);
        assert_string_equal(shown, "It| is|");
        assert_int_equal(session.n_tokens, N_PROMPT + 2);
        assert_true(session.has_logits);
}

static void test_unsure_punctuation_withholds_the_word(void **state)
{
        static const struct step steps[] = { { "It", 0.9f }, { " rains", 0.9f }, { "?", 0.1f }, { " So", 1 }, END };

        (void)state;
        assert_int_equal(run(steps, words(0, 8, 0.4f)), MULM_OPENER_UNSURE);
        assert_string_equal(shown, "It|");
        assert_int_equal(session.n_tokens, N_PROMPT + 1);
}

static void test_even_the_first_word_may_be_withheld(void **state)
{
        static const struct step steps[] = { { "Hm", 0.1f }, END };

        (void)state;
        assert_int_equal(run(steps, words(0, 8, 0.2f)), MULM_OPENER_UNSURE);
        assert_string_equal(shown, "");
        assert_int_equal(session.n_tokens, N_PROMPT);
}

static void test_newline_ends_as_the_end_of_the_reply_does(void **state)
{
        static const struct step between[] = { { "Sure", 1 }, { ".\n\n", 1 }, { "1", 1 }, END };
        static const struct step alone[] = { { "Sure", 1 }, { "\n", 1 }, { "1", 1 }, END };
        static const struct step first[] = { { "\n", 1 }, { "So", 1 }, END };
        static const struct step behind[] = { { "Sure", 1 }, { " thing\r\n", 1 }, { "1", 1 }, END };

        (void)state;
        assert_int_equal(run(between, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "Sure.|");
        assert_int_equal(run(alone, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "Sure|");
        assert_int_equal(run(first, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "");
        assert_int_equal(run(behind, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "Sure| thing|");
}

static void test_blanks_alone_are_no_word(void **state)
{
        static const struct step digits[] = { { "In", 1 }, { " ", 1 }, { "1", 1 }, { "9", 1 }, { " days", 1 }, END };
        static const struct step last[] = { { "So", 1 }, { " ", 1 }, END };
        static const struct step several[] = { { "So", 1 }, { "  ", 1 }, { " it", 1 }, END };

        (void)state;
        assert_int_equal(run(digits, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "In| 19| days|");
        assert_int_equal(run(last, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "So|");
        assert_int_equal(run(several, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "So|   it|");
}

static void test_scripts_without_blanks_give_a_word_a_token(void **state)
{
        /* The second character comes in two tokens. */
        static const struct step steps[] = { { "天空", 1 }, { "", 0.5f }, { "是", 0.5f },
                                             { "蓝", 1 },   { "。", 1 },  END };

        (void)state;
        assert_int_equal(run(steps, words(0, 8, 0)), MULM_OPENER_END);
        assert_string_equal(shown, "天空|是|蓝。|");
}

static void test_unsure_character_of_two_tokens_is_dropped_whole(void **state)
{
        static const struct step steps[] = { { "天", 1 }, { "", 0.5f }, { "是", 0.5f }, { "蓝", 1 }, END };

        (void)state;
        assert_int_equal(run(steps, words(0, 8, 0.3f)), MULM_OPENER_UNSURE);
        assert_string_equal(shown, "天|");
        assert_int_equal(session.n_tokens, N_PROMPT + 1);
}

static void test_full_context_withholds_what_may_be_half_a_word(void **state)
{
        static const struct step steps[] = { { "The", 1 }, { " Can", 1 }, END };
        struct mulm_word word;

        (void)state;
        begin(steps, words(0, 8, 0));
        script.is_full = true;
        assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_WORD);
        assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_FULL);
        assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_FULL);
}

static void test_endless_word_is_handed_out(void **state)
{
        struct step steps[400];
        struct mulm_word word;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
                steps[i] = (struct step){ "ha", 1 };
        steps[ARRAY_SIZE(steps) - 1] = END;
        begin(steps, words(0, 2, 0));
        for (int i = 0; i < 2; i++) {
                assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_WORD);
                assert_int_equal(word.n_text, 128);
        }
        assert_int_equal(mulm_opener_next(&session, &word, NULL), MULM_OPENER_LIMIT);
}

static void test_no_words_asked_for_are_none(void **state)
{
        static const struct step steps[] = { { "The", 1 }, END };

        (void)state;
        assert_int_equal(run(steps, words(0, 0, 0)), MULM_OPENER_LIMIT);
        assert_string_equal(shown, "");
        assert_int_equal(script.n_evaluated, 0);
}

static void test_confidence_is_the_models_unless_another_is_asked_for(void **state)
{
        static const struct step steps[] = { { "The", 1 }, { " cat", 0.5f }, { " sat", 0.5f }, END };
        struct mulm_model model = { .confidence = 0.6f };

        (void)state;
        session.model = &model;
        assert_int_equal(run(steps, words(1, 4, MULM_CONFIDENCE_OF_MODEL)), MULM_OPENER_UNSURE);
        assert_string_equal(shown, "The|");
        model.confidence = 0.4f;
        assert_int_equal(run(steps, words(1, 4, MULM_CONFIDENCE_OF_MODEL)), MULM_OPENER_END);
        assert_string_equal(shown, "The| cat| sat|");
        assert_int_equal(run(steps, words(1, 4, 0.6f)), MULM_OPENER_UNSURE);
        session.model = NULL;
}

static void test_options_out_of_range_are_named(void **state)
{
        struct mulm_opener_options options = words(5, 4, 0);
        struct mulm_error error = { "" };

        (void)state;
        assert_int_equal(mulm_opener_begin(&session, &options, &error), -EINVAL);
        assert_string_equal(error.sentence, "min_words 5 is more than max_words 4");
        options = words(0, 4, 1.5f);
        assert_int_equal(mulm_opener_begin(&session, &options, &error), -EINVAL);
        assert_string_equal(error.sentence, "confidence 1.5 is not in [0, 1]");
        options = words(0, 4, NAN);
        assert_int_equal(mulm_opener_begin(&session, &options, &error), -EINVAL);
}

static void test_opener_that_was_not_begun_is_refused(void **state)
{
        struct mulm_session other = { 0 };
        struct mulm_word word;

        (void)state;
        assert_int_equal(mulm_opener_next(&other, &word, NULL), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words_are_whole_and_keep_their_punctuation),
                cmocka_unit_test(test_first_word_of_a_continued_reply_keeps_its_blank),
                cmocka_unit_test(test_first_word_comes_after_one_decode_step),
                cmocka_unit_test(test_last_word_at_the_limit_is_completed),
                cmocka_unit_test(test_probability_is_the_product_over_the_tokens),
                cmocka_unit_test(test_opener_stops_in_front_of_an_unsure_word),
                cmocka_unit_test(test_unsure_first_token_costs_no_evaluation),
                cmocka_unit_test(test_unsure_punctuation_withholds_the_word),
                cmocka_unit_test(test_even_the_first_word_may_be_withheld),
                cmocka_unit_test(test_newline_ends_as_the_end_of_the_reply_does),
                cmocka_unit_test(test_blanks_alone_are_no_word),
                cmocka_unit_test(test_scripts_without_blanks_give_a_word_a_token),
                cmocka_unit_test(test_unsure_character_of_two_tokens_is_dropped_whole),
                cmocka_unit_test(test_full_context_withholds_what_may_be_half_a_word),
                cmocka_unit_test(test_endless_word_is_handed_out),
                cmocka_unit_test(test_no_words_asked_for_are_none),
                cmocka_unit_test(test_confidence_is_the_models_unless_another_is_asked_for),
                cmocka_unit_test(test_options_out_of_range_are_named),
                cmocka_unit_test(test_opener_that_was_not_begun_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, teardown);
}
