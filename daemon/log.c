/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One line a log call. See log.h. Whether stderr is the journal's is asked each time: lines are rare, and nothing
 * need be kept. Text may come from a server, so that control characters in it become blanks and one call stays one
 * line.
 */
#include "daemon/log.h"

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define LOG_LINE_MAX  2048 /* longer lines are cut */
#define LOG_FIELD_MAX 512

/* $JOURNAL_STREAM has device and inode of the journal's socket, as systemd.exec(5) says. */
static bool log_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        uintmax_t device, inode;
        struct stat st;

        return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
               device == (uintmax_t)st.st_dev && inode == (uintmax_t)st.st_ino;
}

static void log_clean(char *text)
{
        for (; *text; text++) {
                if ((unsigned char)*text < ' ' || *text == '\x7f')
                        *text = ' ';
        }
}

/* NAME=value as the journal wants it; an empty vector where there is no value. */
static struct iovec log_field(char field[static LOG_FIELD_MAX], const char *name, const char *value)
{
        if (!value)
                return (struct iovec){ .iov_base = field, .iov_len = 0 };
        snprintf(field, LOG_FIELD_MAX, "%s=%s", name, value);
        return (struct iovec){ .iov_base = field, .iov_len = strlen(field) };
}

static void log_to_journal(int level, const struct log_about *about, char *message)
{
        char request[LOG_FIELD_MAX], endpoint[LOG_FIELD_MAX], message_id[LOG_FIELD_MAX], priority[LOG_FIELD_MAX];
        char digit[2] = { (char)('0' + level), '\0' };
        struct iovec all[] = {
                { .iov_base = message, .iov_len = strlen(message) },
                log_field(priority, "PRIORITY", digit),
                log_field(request, "REQUEST", about ? about->request : NULL),
                log_field(endpoint, "ENDPOINT", about ? about->endpoint : NULL),
                log_field(message_id, "MESSAGE_ID", about ? about->message_id : NULL),
        };
        struct iovec given[ARRAY_SIZE(all)];
        int n_given = 0;

        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                if (all[i].iov_len)
                        given[n_given++] = all[i];
        }
        sd_journal_sendv(given, n_given);
}

void log_line(int level, const struct log_about *about, const char *format, ...)
{
        char line[LOG_LINE_MAX] = "MESSAGE=";
        const size_t n_prefix = strlen(line);
        va_list args;

        va_start(args, format);
        vsnprintf(line + n_prefix, sizeof(line) - n_prefix, format, args);
        va_end(args);
        log_clean(line);

        if (log_is_journal())
                log_to_journal(level, about, line);
        else
                dprintf(STDERR_FILENO, "mulmd: %s\n", line + n_prefix);
}
