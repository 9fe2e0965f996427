/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Text on its way to a person's terminal or into a pipe: who says it shows by colour, and a reply cannot command the
 * terminal. Into a pipe it goes as it is.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum terminal_color {
        TERMINAL_COLOR_AUTO, /* NO_COLOR and CLICOLOR_FORCE decide, else whether it is a terminal */
        TERMINAL_COLOR_ALWAYS,
        TERMINAL_COLOR_NEVER,
};

struct terminal {
        FILE *file;
        bool color;
        bool is_terminal;  /* control characters are replaced */
        const char *style; /* of the last text */
};

void terminal_init(struct terminal *terminal, FILE *file, enum terminal_color color);

/* Its width; 0 where that is not known. $COLUMNS wins. */
unsigned terminal_columns(FILE *file);

/* Prints UTF-8 at once, in the colour of `source` ("opener", "cloud", "local"). 0 or what writing gave. */
int terminal_print(struct terminal *terminal, const char *source, const char *text);

/* What was printed no longer holds: the reply begins again on a line of its own. */
void terminal_restart(struct terminal *terminal);

/* Ends colour and line. */
int terminal_end(struct terminal *terminal);
