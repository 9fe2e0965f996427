/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulmctl: asks mulmd from a shell, and shows how it is. Reads the command line, opens the bus, calls the verb.
 * Answers go to stdout alone, everything else to stderr.
 */
#include "dbus/mulmctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

#define PROMPT_MAX  ((size_t)4 << 20) /* bytes read from stdin; the daemon's limit is far below and says so itself */
#define TIMEOUT_MAX 86400.0           /* seconds */

/* What strtod() and the option's type can hold; the daemon's limits are narrower. */
#define RATE_MAX     1e6
#define INTERVAL_MAX 4294967295.0

enum bus_choice {
        BUS_CHOICE_SYSTEM,
        BUS_CHOICE_USER,
        BUS_CHOICE_ADDRESS,
};

struct command_line {
        struct mulmctl mulmctl;
        enum bus_choice bus;
        const char *address;
};

static const char usage[] =
        "mulmctl [OPTIONS] ask TEXT...   asks, prints the reply as it comes; TEXT - reads stdin\n"
        "mulmctl [OPTIONS] [status]      shows the daemon's state\n"
        "\n"
        "  --system, --user, --address=ADDRESS   which message bus (system)\n"
        "  --timeout=SECONDS                     give up after so long\n"
        "  --json[=short|pretty], -j             one JSON object instead of text\n"
        "  --color=auto|always|never             tell opener and continuation apart (auto)\n"
        "  --help, --version\n"
        "of ask:\n"
        "  --timeline                            afterwards, draw what came when, on stderr\n"
        "  --redraw                              let the cloud take back a wrong opener\n"
        "  --opener=auto|always|never            shall the model on the device open the reply\n"
        "  --cloud=auto|never|only               shall the cloud, and only the cloud, finish it\n"
        "  --words-per-second=RATE               show the reply at this rate\n"
        "  --min-interval=MILLISECONDS           leave at least so long between two pieces of it\n"
        "\n"
        "Exit status: 0 ok, 1 failed, 2 usage, 3 timeout, 4 the request failed, 8 no daemon, 130 interrupted.\n";

int mulmctl_call_failed(const sd_bus_error *error, int r)
{
        static const struct {
                const char *prefix;
                int code;
        } codes[] = {
                { "org.mulm.Assistant1.Error.", EXIT_CODE_REQUEST_FAILED },
                { SD_BUS_ERROR_SERVICE_UNKNOWN, EXIT_CODE_NO_DAEMON },
                { SD_BUS_ERROR_NAME_HAS_NO_OWNER, EXIT_CODE_NO_DAEMON },
                { SD_BUS_ERROR_DISCONNECTED, EXIT_CODE_NO_DAEMON },
                { "org.freedesktop.DBus.Error.Spawn.", EXIT_CODE_NO_DAEMON },
                { "org.freedesktop.systemd1.", EXIT_CODE_NO_DAEMON },
                { SD_BUS_ERROR_NO_REPLY, EXIT_CODE_TIMEOUT },
                { SD_BUS_ERROR_TIMEOUT, EXIT_CODE_TIMEOUT },
        };
        int code = EXIT_CODE_FAILED;

        if (!sd_bus_error_is_set(error)) {
                fprintf(stderr, "mulmctl: %s\n", strerror(-r));
                return EXIT_CODE_FAILED;
        }
        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                if (strncmp(error->name, codes[i].prefix, strlen(codes[i].prefix)) == 0) {
                        code = codes[i].code;
                        break;
                }
        fprintf(stderr, "mulmctl: %s%s (%s)\n", code == EXIT_CODE_NO_DAEMON ? "There is no mulmd on this bus: " : "",
                error->message ?: "no reason given", error->name);
        return code;
}

/* ---------------------------------------------------------------------------------------------------- bus */

static int open_address(const char *address, sd_bus **ret_bus)
{
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        if ((r = sd_bus_new(&bus)) < 0 || (r = sd_bus_set_address(bus, address)) < 0 ||
            (r = sd_bus_set_bus_client(bus, 1)) < 0 || (r = sd_bus_start(bus)) < 0)
                return r;
        *ret_bus = STEAL(bus);
        return 0;
}

static int open_bus(const struct command_line *line, sd_bus **ret_bus)
{
        switch (line->bus) {
        case BUS_CHOICE_SYSTEM: return sd_bus_open_system(ret_bus);
        case BUS_CHOICE_USER: return sd_bus_open_user(ret_bus);
        case BUS_CHOICE_ADDRESS: return open_address(line->address, ret_bus);
        }
        return -EINVAL;
}

static int connect_bus(struct command_line *line)
{
        int r;

        r = open_bus(line, &line->mulmctl.bus);
        if (r >= 0 && line->mulmctl.timeout_us > 0)
                r = sd_bus_set_method_call_timeout(line->mulmctl.bus, line->mulmctl.timeout_us);
        if (r < 0) {
                fprintf(stderr, "mulmctl: There is no message bus: %s\n", strerror(-r));
                return EXIT_CODE_NO_DAEMON;
        }
        return EXIT_CODE_OK;
}

/* -------------------------------------------------------------------------------------------------- verbs */

static int read_stdin(struct buf *prompt)
{
        char block[4096];
        size_t n;

        while ((n = fread(block, 1, sizeof(block), stdin)) > 0) {
                if (buf_add(prompt, block, n) < 0 || prompt->n > PROMPT_MAX)
                        return -EMSGSIZE;
        }
        if (ferror(stdin))
                return -EIO;
        if (prompt->n > 0 && prompt->data[prompt->n - 1] == '\n')
                buf_truncate(prompt, prompt->n - 1);
        return 0;
}

static int read_prompt(char *const words[], struct buf *prompt)
{
        int r = 0;

        if (words[0] && strcmp(words[0], "-") == 0 && !words[1])
                return read_stdin(prompt);
        for (size_t i = 0; r >= 0 && words[i]; i++)
                r = buf_printf(prompt, "%s%s", i > 0 ? " " : "", words[i]);
        return r;
}

static int verb_ask(struct command_line *line, char *const words[])
{
        _cleanup_(buf_done) struct buf prompt = BUF_NULL;
        size_t offset;
        int r;

        if (!words[0]) {
                fputs("mulmctl: ask needs a question; see --help\n", stderr);
                return EXIT_CODE_USAGE;
        }
        r = read_prompt(words, &prompt);
        if (r < 0) {
                fprintf(stderr, "mulmctl: Cannot read the question: %s\n", strerror(-r));
                return EXIT_CODE_FAILED;
        }
        if (!utf8_is_valid(buf_string(&prompt), prompt.n, &offset)) {
                fprintf(stderr, "mulmctl: The question is not UTF-8: see its byte %zu.\n", offset);
                return EXIT_CODE_USAGE;
        }
        if (strlen(buf_string(&prompt)) < prompt.n) {
                fprintf(stderr, "mulmctl: The question has a NUL: see its byte %zu.\n", strlen(prompt.data));
                return EXIT_CODE_USAGE;
        }
        r = connect_bus(line);
        return r != EXIT_CODE_OK ? r : ask(&line->mulmctl, buf_string(&prompt));
}

static int verb_status(struct command_line *line, char *const words[])
{
        int r;

        if (words[0]) {
                fprintf(stderr, "mulmctl: status takes no argument, but got \"%s\"\n", words[0]);
                return EXIT_CODE_USAGE;
        }
        r = connect_bus(line);
        return r != EXIT_CODE_OK ? r : status(&line->mulmctl);
}

static const struct verb {
        const char *name;
        int (*run)(struct command_line *line, char *const words[]);
} verbs[] = {
        { "ask", verb_ask },
        { "status", verb_status },
};

static int run_verb(struct command_line *line, char *const words[])
{
        if (!words[0])
                return verb_status(line, words);
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (strcmp(verbs[i].name, words[0]) == 0)
                        return verbs[i].run(line, words + 1);
        fprintf(stderr, "mulmctl: There is no verb \"%s\"; see --help.\n", words[0]);
        return EXIT_CODE_USAGE;
}

/* ------------------------------------------------------------------------------------------- command line */

/* The place of `word` among the words, or -1 and a sentence. */
static int find_word(const char *option, const char *word, const char *const words[], size_t n_words)
{
        for (size_t i = 0; i < n_words; i++)
                if (strcmp(words[i], word) == 0)
                        return (int)i;
        fprintf(stderr, "mulmctl: --%s=%s is none of:", option, word);
        for (size_t i = 0; i < n_words; i++)
                fprintf(stderr, " %s", words[i]);
        fputc('\n', stderr);
        return -1;
}

static bool set_json(struct command_line *line, const char *word)
{
        static const char *const words[] = { "short", "pretty" };
        int r;

        if (!word) {
                line->mulmctl.json = isatty(STDOUT_FILENO) ? JSON_MODE_PRETTY : JSON_MODE_SHORT;
                return true;
        }
        r = find_word("json", word, words, ARRAY_SIZE(words));
        if (r >= 0)
                line->mulmctl.json = r == 0 ? JSON_MODE_SHORT : JSON_MODE_PRETTY;
        return r >= 0;
}

static bool set_color(struct command_line *line, const char *word)
{
        static const char *const words[] = {
                [TERMINAL_COLOR_AUTO] = "auto", [TERMINAL_COLOR_ALWAYS] = "always", [TERMINAL_COLOR_NEVER] = "never"
        };
        int r = find_word("color", word, words, ARRAY_SIZE(words));

        if (r >= 0)
                line->mulmctl.color = (enum terminal_color)r;
        return r >= 0;
}

static bool set_opener(struct command_line *line, const char *word)
{
        static const char *const words[] = { "auto", "always", "never" };

        line->mulmctl.opener = word;
        return find_word("opener", word, words, ARRAY_SIZE(words)) >= 0;
}

static bool set_cloud(struct command_line *line, const char *word)
{
        static const char *const words[] = { "auto", "never", "only" };

        line->mulmctl.cloud = word;
        return find_word("cloud", word, words, ARRAY_SIZE(words)) >= 0;
}

/* A number above 0 and up to `max`, or a sentence. */
static bool read_number(const char *option, const char *unit, const char *word, double max, double *ret_number)
{
        char *end;
        double number = strtod(word, &end);

        if (end == word || *end || !(number > 0 && number <= max)) {
                fprintf(stderr, "mulmctl: --%s=%s is no number of %s above 0 and up to %.0f\n", option, word, unit,
                        max);
                return false;
        }
        *ret_number = number;
        return true;
}

static bool set_timeout(struct command_line *line, const char *word)
{
        double seconds;

        if (!read_number("timeout", "seconds", word, TIMEOUT_MAX, &seconds))
                return false;
        line->mulmctl.timeout_us = MAX((uint64_t)(seconds * 1e6), (uint64_t)1);
        return true;
}

static bool set_interval(struct command_line *line, const char *word)
{
        double milliseconds;

        if (!read_number("min-interval", "milliseconds", word, INTERVAL_MAX, &milliseconds))
                return false;
        line->mulmctl.min_interval_ms = MAX((uint32_t)milliseconds, (uint32_t)1);
        return true;
}

/* One option; false, after a sentence, where it cannot be. */
static bool set_option(struct command_line *line, int option, const char *word)
{
        switch (option) {
        case 's': line->bus = BUS_CHOICE_SYSTEM; return true;
        case 'u': line->bus = BUS_CHOICE_USER; return true;
        case 'a':
                line->bus = BUS_CHOICE_ADDRESS;
                line->address = word;
                return true;
        case 't': return set_timeout(line, word);
        case 'j': return set_json(line, word);
        case 'C': return set_color(line, word);
        case 'o': return set_opener(line, word);
        case 'c': return set_cloud(line, word);
        case 'w': return read_number("words-per-second", "words", word, RATE_MAX, &line->mulmctl.words_per_second);
        case 'i': return set_interval(line, word);
        case 'T': line->mulmctl.timeline = true; return true;
        case 'r': line->mulmctl.redraw = true; return true;
        default: return false; /* getopt has said why */
        }
}

int main(int argc, char *argv[])
{
        static const struct option options[] = {
                { "system", no_argument, NULL, 's' },
                { "user", no_argument, NULL, 'u' },
                { "address", required_argument, NULL, 'a' },
                { "timeout", required_argument, NULL, 't' },
                { "json", optional_argument, NULL, 'j' },
                { "color", required_argument, NULL, 'C' },
                { "opener", required_argument, NULL, 'o' },
                { "cloud", required_argument, NULL, 'c' },
                { "words-per-second", required_argument, NULL, 'w' },
                { "min-interval", required_argument, NULL, 'i' },
                { "timeline", no_argument, NULL, 'T' },
                { "redraw", no_argument, NULL, 'r' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { NULL, 0, NULL, 0 },
        };
        struct command_line line = { 0 };
        int option, code;

        while ((option = getopt_long(argc, argv, "j", options, NULL)) >= 0) {
                if (option == 'h')
                        return fputs(usage, stdout) < 0;
                if (option == 'V')
                        return puts("mulmctl " MULMD_VERSION) < 0;
                if (!set_option(&line, option, optarg))
                        return EXIT_CODE_USAGE;
        }
        code = run_verb(&line, argv + optind);
        sd_bus_flush_close_unref(line.mulmctl.bus);
        return code;
}
