/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The first words of a reply, as soon as each is whole.
 *
 *      cc opener.c $(pkg-config --cflags --libs libmulm) -o opener
 *      ./opener models/mulm-28m.q8_0.gguf "why is the sky blue"
 */
#include <mulm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int speak(mulm_session *session, const char *question, struct mulm_error *error)
{
        const struct mulm_message message = { MULM_ROLE_USER, question, strlen(question) };
        struct mulm_word word;
        int r;

        /* Evaluates the question; what the model's chat template begins with is evaluated already. */
        r = mulm_session_chat(session, &message, 1, NULL, 0, error);
        if (r < 0)
                return r;
        r = mulm_opener_begin(session, &MULM_OPENER_DEFAULTS, error);
        if (r < 0)
                return r;
        while ((r = mulm_opener_next(session, &word, error)) == MULM_OPENER_WORD) {
                (void)printf("%.*s", (int)word.n_text, word.text);
                (void)fflush(stdout);
        }
        if (r < 0)
                return r;
        (void)printf("%s\n", r == MULM_OPENER_END ? "" : " ...");
        return 0;
}

int main(int argc, char **argv)
{
        struct mulm_error error = { "" };
        mulm_session *session = NULL;
        mulm_model *model = NULL;
        int r;

        if (argc != 3) {
                (void)fprintf(stderr, "Usage: opener MODEL QUESTION\n");
                return 2;
        }
        r = mulm_model_open(&model, argv[1], NULL, &error);
        if (r >= 0)
                r = mulm_session_new(&session, model, NULL, &error);
        if (r >= 0)
                r = speak(session, argv[2], &error);
        if (r < 0)
                (void)fprintf(stderr, "opener: %s\n", error.sentence);

        mulm_session_free(session); /* before its model */
        mulm_model_free(model);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
