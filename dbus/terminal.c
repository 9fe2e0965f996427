/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Colours and control characters. See terminal.h. Escape sequences are those of ECMA-48, which every terminal of use
 * understands; conventions: no-color.org and bixense.com/clicolors.
 */
#include "dbus/terminal.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

#define STYLE_RESET  "\033[0m"
#define STYLE_OPENER "\033[1;36m" /* bold cyan */
#define STYLE_LOCAL  "\033[2;33m" /* dim yellow */
#define REPLACEMENT  "\xef\xbf\xbd"

static bool is_set(const char *name)
{
        const char *value = getenv(name);

        return value && *value;
}

static bool decide_color(enum terminal_color color, bool is_terminal)
{
        const char *force = getenv("CLICOLOR_FORCE");

        switch (color) {
        case TERMINAL_COLOR_ALWAYS: return true;
        case TERMINAL_COLOR_NEVER: return false;
        case TERMINAL_COLOR_AUTO: break;
        }
        if (is_set("NO_COLOR"))
                return false;
        if (force && *force && strcmp(force, "0") != 0)
                return true;
        return is_terminal;
}

void terminal_init(struct terminal *terminal, FILE *file, enum terminal_color color)
{
        const bool is_terminal = isatty(fileno(file));

        *terminal = (struct terminal){
                .file = file,
                .is_terminal = is_terminal,
                .color = decide_color(color, is_terminal),
                .style = "",
        };
}

unsigned terminal_columns(FILE *file)
{
        const char *columns = getenv("COLUMNS");
        struct winsize size;
        unsigned long n = columns ? strtoul(columns, NULL, 10) : 0;

        if (n > 0 && n <= USHRT_MAX)
                return (unsigned)n;
        return ioctl(fileno(file), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static const char *find_style(const char *source)
{
        if (strcmp(source, "opener") == 0)
                return STYLE_OPENER;
        if (strcmp(source, "local") == 0)
                return STYLE_LOCAL;
        return "";
}

static void set_style(struct terminal *terminal, const char *style)
{
        if (!terminal->color || strcmp(style, terminal->style) == 0)
                return;
        if (*terminal->style)
                fputs(STYLE_RESET, terminal->file);
        fputs(style, terminal->file);
        terminal->style = style;
}

/* C0 but tab and line feed, DEL, and C1, which some terminals obey in UTF-8 too. */
static bool is_control(uint32_t code_point)
{
        return (code_point < 0x20 && code_point != '\t' && code_point != '\n') ||
               (code_point >= 0x7f && code_point < 0xa0);
}

static void print_safely(const struct terminal *terminal, const char *text)
{
        size_t n = strlen(text), length;
        uint32_t code_point;

        for (size_t i = 0; i < n; i += length) {
                length = utf8_decode(text + i, n - i, &code_point);
                if (length > 0 && !is_control(code_point)) {
                        (void)fwrite(text + i, 1, length, terminal->file);
                        continue;
                }
                fputs(REPLACEMENT, terminal->file);
                length = MAX(length, (size_t)1);
        }
}

static int flush(const struct terminal *terminal)
{
        errno = 0;
        if (fflush(terminal->file) == 0 && !ferror(terminal->file))
                return 0;
        return errno > 0 ? -errno : -EIO;
}

int terminal_print(struct terminal *terminal, const char *source, const char *text)
{
        set_style(terminal, find_style(source));
        if (terminal->is_terminal)
                print_safely(terminal, text);
        else
                fputs(text, terminal->file);
        return flush(terminal);
}

void terminal_restart(struct terminal *terminal)
{
        set_style(terminal, "");
        fputc('\n', terminal->file);
}

int terminal_end(struct terminal *terminal)
{
        set_style(terminal, "");
        fputc('\n', terminal->file);
        return flush(terminal);
}
