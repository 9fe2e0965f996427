/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Openers of real requests with prompt lookup and without: the same words with the same probabilities, bit for bit,
 * and lookup does draft. The argument N/M takes the N-th of M parts of the requests, so that parts run in parallel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmulm/session.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

#define N_REQUESTS 2000
#define N_LINES    23695 /* of the file: every eleventh is taken */
#define N_WORDS    5

static unsigned int part, n_parts;

struct opener_text {
        char text[512];
        float probabilities[N_WORDS];
        size_t n_words;
        int outcome;
};

/* Both ways start from the same numbers: the prompt's last token is evaluated once more. */
static void run_opener(mulm_session *session, bool lookup, size_t n_prompt, struct opener_text *ret, size_t *n_agreed)
{
        struct mulm_opener_options options = MULM_OPENER_DEFAULTS;
        size_t n_text = 0;

        *ret = (struct opener_text){ 0 };
        options.min_words = options.max_words = N_WORDS;
        session_truncate(session, n_prompt);
        session->has_logits = false;
        session->is_fresh = true;
        session->has_lookup = lookup;
        assert_int_equal(mulm_opener_begin(session, &options, NULL), 0);
        for (struct mulm_word word; (ret->outcome = mulm_opener_next(session, &word, NULL)) == MULM_OPENER_WORD;) {
                assert_true(n_text + word.n_text < sizeof(ret->text));
                memcpy(ret->text + n_text, word.text, word.n_text);
                n_text += word.n_text;
                ret->probabilities[ret->n_words++] = word.probability;
                *n_agreed += session->generator.n_agreed > 0;
        }
}

static void test_openers_are_the_same_with_and_without_lookup(void **state)
{
        mulm_model *model = golden_model_open(&golden_mulm_28m);
        struct golden_texts requests = golden_texts_open("prompts/clinc-oos.txt", GOLDEN_LINES);
        struct mulm_session_options options = { .n_context = 512, .n_threads = 1, .lookup = true };
        size_t n, n_compared = 0, n_agreed = 0;
        mulm_session *session = NULL;
        const char *text;

        (void)state;
        assert_int_equal(mulm_session_new(&session, model, &options, NULL), 0);
        for (size_t i = 0; (text = golden_texts_next(&requests, &n)) && n_compared < N_REQUESTS / n_parts; i++) {
                struct mulm_message message = { MULM_ROLE_USER, text, n };
                struct opener_text plain, lookup;
                size_t n_prompt;

                if (i % (N_LINES / N_REQUESTS) != 0 || i / (N_LINES / N_REQUESTS) % n_parts != part)
                        continue;
                assert_int_equal(mulm_session_chat(session, &message, 1, NULL, 0, NULL), 0);
                n_prompt = mulm_session_length(session);
                run_opener(session, false, n_prompt, &plain, &n_agreed);
                run_opener(session, true, n_prompt, &lookup, &n_agreed);
                if (plain.outcome != lookup.outcome || plain.n_words != lookup.n_words ||
                    strcmp(plain.text, lookup.text) != 0 ||
                    memcmp(plain.probabilities, lookup.probabilities, sizeof(plain.probabilities)) != 0)
                        fail_msg("'%.*s': '%s' without lookup, '%s' with it", (int)n, text, plain.text, lookup.text);
                n_compared++;
        }
        assert_int_equal(n_compared, N_REQUESTS / n_parts);
        assert_true(n_agreed > n_compared / 10);
        golden_texts_done(&requests);
        mulm_session_free(session);
        mulm_model_free(model);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_openers_are_the_same_with_and_without_lookup),
        };

        if (argc != 2 || sscanf(argv[1], "%u/%u", &part, &n_parts) != 2 || n_parts == 0)
                return EXIT_FAILURE;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
