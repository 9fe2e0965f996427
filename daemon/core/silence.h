/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * When the μLM had better not open its mouth: at a word of thanks and at a bare yes or no, which want the context of
 * what went before them, and no sentence. A table with a row for each language, to be added to. Pure.
 */
#pragma once

enum silence {
        SILENCE_NONE,
        SILENCE_THANKS, /* "Thank you very much!" */
        SILENCE_ANSWER, /* "No.", "ok" */
};

const char *silence_name(enum silence silence); /* "thanks", "answer"; "" for NONE */

/* Of what a person says, valid UTF-8: silenced only where every word of it is in one row of the table. */
enum silence silence_judge(const char *prompt);
