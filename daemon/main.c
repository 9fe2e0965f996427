/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * mulmd: command line and configuration. Exit codes: 0 stopped as asked, 1 failed, 2 usage.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/io/files.h"
#include "daemon/log.h"

#define EXIT_USAGE 2

enum task {
        TASK_SERVE,
        TASK_CHECK_CONFIG,
        TASK_SHOW_CONFIG,
        TASK_EXIT, /* all was said */
        TASK_USAGE,
};

struct command_line {
        enum task task;
        struct daemon_options daemon;
        const char *config;
};

static void print_help(void)
{
        puts("Usage: mulmd [--system|--user|--address ADDRESS] [--config FILE] [--check-config|--show-config]\n"
             "\n"
             "Gives smart glasses an assistant that answers at once, over D-Bus.\n"
             "\n"
             "  --system          serve on the system bus (default)\n"
             "  --user            serve on the user's bus\n"
             "  --address ADDRESS serve on the bus at this D-Bus address\n"
             "  --config FILE     read this file and no other\n"
             "  --check-config    read the configuration, name its errors, exit\n"
             "  --show-config     print the configuration in effect, exit\n"
             "  --help, --version\n"
             "\n"
             "See mulmd(8) and mulmd.conf(5).");
}

static struct command_line parse(int argc, char *argv[])
{
        enum { OPTION_SYSTEM = 256, OPTION_USER, OPTION_ADDRESS, OPTION_CONFIG, OPTION_CHECK, OPTION_SHOW };
        static const struct option options[] = {
                { "system", no_argument, NULL, OPTION_SYSTEM },
                { "user", no_argument, NULL, OPTION_USER },
                { "address", required_argument, NULL, OPTION_ADDRESS },
                { "config", required_argument, NULL, OPTION_CONFIG },
                { "check-config", no_argument, NULL, OPTION_CHECK },
                { "show-config", no_argument, NULL, OPTION_SHOW },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        struct command_line line = { 0 };
        int c;

        while ((c = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
                switch (c) {
                case OPTION_SYSTEM: line.daemon.bus = DAEMON_BUS_SYSTEM; break;
                case OPTION_USER: line.daemon.bus = DAEMON_BUS_USER; break;
                case OPTION_ADDRESS:
                        line.daemon.bus = DAEMON_BUS_ADDRESS;
                        line.daemon.address = optarg;
                        break;
                case OPTION_CONFIG: line.config = optarg; break;
                case OPTION_CHECK: line.task = TASK_CHECK_CONFIG; break;
                case OPTION_SHOW: line.task = TASK_SHOW_CONFIG; break;
                case 'h': print_help(); return (struct command_line){ .task = TASK_EXIT };
                case 'V': puts("mulmd " MULMD_VERSION); return (struct command_line){ .task = TASK_EXIT };
                default: return (struct command_line){ .task = TASK_USAGE };
                }
        }
        if (optind < argc) {
                fprintf(stderr, "mulmd: unexpected argument '%s'\n", argv[optind]);
                return (struct command_line){ .task = TASK_USAGE };
        }
        return line;
}

static int show_config(const struct settings *settings)
{
        _cleanup_(buf_done) struct buf text = BUF_NULL;
        int r;

        r = settings_print(settings, &text);
        if (r < 0)
                return r;
        fputs(buf_string(&text), stdout);
        return fflush(stdout) == EOF ? -errno : 0;
}

static int perform(const struct command_line *line, const struct settings *settings)
{
        switch (line->task) {
        case TASK_SERVE: return daemon_run(&line->daemon, settings);
        case TASK_SHOW_CONFIG: return show_config(settings);
        case TASK_CHECK_CONFIG:
        case TASK_EXIT:
        case TASK_USAGE: return 0;
        }
        return -EINVAL;
}

/* One log line for each sentence. */
static void log_sentences(const struct buf *sentences)
{
        const char *sentence = buf_string(sentences);

        while (*sentence) {
                size_t n = strcspn(sentence, "\n");

                if (n > 0)
                        log_error("%.*s", (int)n, sentence);
                sentence += n;
                sentence += *sentence == '\n';
        }
}

int main(int argc, char *argv[])
{
        _cleanup_(buf_done) struct buf error = BUF_NULL;
        struct command_line line;
        struct settings settings;
        int r;

        line = parse(argc, argv);
        if (line.task == TASK_EXIT)
                return EXIT_SUCCESS;
        if (line.task == TASK_USAGE) {
                fputs("Try 'mulmd --help'.\n", stderr);
                return EXIT_USAGE;
        }

        r = settings_init(&settings);
        if (r >= 0)
                r = files_load_settings(&settings, line.config, &error);
        if (r < 0 && error.n == 0)
                log_error("The configuration cannot be read: %s.", strerror(-r));
        log_sentences(&error);
        if (r >= 0)
                r = perform(&line, &settings);
        settings_done(&settings);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
