/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A child process of a test. See process.h. Both pipes are drained in every wait, so that a child which talks much on
 * one of them does not stop while the test reads the other.
 */
#include "tests/support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libmulm/base/buf.h"
#include "libmulm/base/macro.h"
#include "tests/support/test.h"

struct process {
        char *name;
        pid_t pid;
        int pidfd;
        int fds[_PROCESS_STREAM_N]; /* -1 once at its end */
        struct buf output[_PROCESS_STREAM_N];
        size_t matched[_PROCESS_STREAM_N]; /* bytes up to the end of the last match */
        bool ended;
        int status; /* exit status or minus a signal, once ended */
};

static long now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Between fork and exec of a child of a single-threaded or forked test: only what is needed. */
static void process_become(const char *const argv[], const char *const environment[], pid_t parent, int output,
                           int error)
{
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(127);
        dup2(output, STDOUT_FILENO);
        dup2(error, STDERR_FILENO);
        for (size_t i = 0; environment && environment[i]; i++)
                putenv((char *)(uintptr_t)environment[i]);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

struct process *process_spawn(const char *const argv[], const char *const environment[])
{
        struct process *process = calloc(1, sizeof(*process));
        int pipes[_PROCESS_STREAM_N][2];
        pid_t parent = getpid();

        assert_non_null(process);
        process->name = strdup(argv[0]);
        assert_non_null(process->name);
        for (size_t i = 0; i < _PROCESS_STREAM_N; i++)
                assert_return_code(pipe2(pipes[i], O_CLOEXEC), errno);

        process->pid = fork();
        assert_return_code(process->pid, errno);
        if (process->pid == 0)
                process_become(argv, environment, parent, pipes[PROCESS_STREAM_OUTPUT][1],
                               pipes[PROCESS_STREAM_ERROR][1]);

        for (size_t i = 0; i < _PROCESS_STREAM_N; i++) {
                close(pipes[i][1]);
                process->fds[i] = pipes[i][0];
                assert_return_code(fcntl(process->fds[i], F_SETFL, O_NONBLOCK), errno);
        }
        process->pidfd = pidfd_open(process->pid, 0);
        assert_return_code(process->pidfd, errno);
        return process;
}

static void process_drain(struct process *process)
{
        char chunk[4096];

        for (size_t i = 0; i < _PROCESS_STREAM_N; i++) {
                while (process->fds[i] >= 0) {
                        ssize_t n = read(process->fds[i], chunk, sizeof(chunk));

                        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                                break;
                        if (n <= 0) {
                                close(process->fds[i]);
                                process->fds[i] = -1;
                                break;
                        }
                        assert_int_equal(buf_add(&process->output[i], chunk, (size_t)n), 0);
                }
        }
}

static void process_reap(struct process *process)
{
        int status;

        if (process->ended || waitpid(process->pid, &status, WNOHANG) != process->pid)
                return;
        process->ended = true;
        process->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        process_drain(process);
}

/* Waits for output or the end. False once the deadline has passed. */
static bool process_turn(struct process *process, long deadline_ms)
{
        struct pollfd polls[_PROCESS_STREAM_N + 1];
        long left = deadline_ms - now_ms();

        if (left <= 0)
                return false;
        for (size_t i = 0; i < _PROCESS_STREAM_N; i++)
                polls[i] = (struct pollfd){ .fd = process->fds[i], .events = POLLIN };
        polls[_PROCESS_STREAM_N] = (struct pollfd){ .fd = process->pidfd, .events = POLLIN };
        poll(polls, ARRAY_SIZE(polls), (int)left);
        process_drain(process);
        process_reap(process);
        return true;
}

static void process_fail(struct process *process, const char *what, const char *detail)
{
        fail_msg("%s %s%s\n--- stdout\n%s\n--- stderr\n%s", process->name, what, detail,
                 buf_string(&process->output[PROCESS_STREAM_OUTPUT]),
                 buf_string(&process->output[PROCESS_STREAM_ERROR]));
}

char *process_match(struct process *process, enum process_stream stream, const char *pattern)
{
        regex_t regex;
        regmatch_t groups[2];
        const char *text;
        char *match = NULL;

        process_drain(process);
        text = buf_string(&process->output[stream]) + process->matched[stream];
        assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE), 0);
        if (regexec(&regex, text, ARRAY_SIZE(groups), groups, 0) == 0) {
                const regmatch_t *group = &groups[groups[1].rm_so >= 0 ? 1 : 0];

                match = strndup(text + group->rm_so, (size_t)(group->rm_eo - group->rm_so));
                assert_non_null(match);
                process->matched[stream] += (size_t)groups[0].rm_eo;
        }
        regfree(&regex);
        return match;
}

char *process_expect(struct process *process, enum process_stream stream, const char *pattern)
{
        long deadline_ms = now_ms() + PROCESS_DEADLINE_MS;
        char *match;

        while (!(match = process_match(process, stream, pattern))) {
                if (process->ended)
                        process_fail(process, "ended without a word like ", pattern);
                if (!process_turn(process, deadline_ms))
                        process_fail(process, "did not in time say a word like ", pattern);
        }
        return match;
}

int process_fd(const struct process *process, enum process_stream stream)
{
        return process->fds[stream];
}

const char *process_output(struct process *process, enum process_stream stream)
{
        process_drain(process);
        return buf_string(&process->output[stream]);
}

pid_t process_pid(const struct process *process)
{
        return process->pid;
}

void process_signal(struct process *process, int number)
{
        if (!process->ended)
                assert_return_code(kill(process->pid, number), errno);
}

int process_wait(struct process *process)
{
        long deadline_ms = now_ms() + PROCESS_DEADLINE_MS;

        while (!process->ended) {
                if (!process_turn(process, deadline_ms))
                        process_fail(process, "did not end in time", "");
        }
        return process->status;
}

struct process *process_free(struct process *process)
{
        if (!process)
                return NULL;

        if (!process->ended) {
                long deadline_ms = now_ms() + 5000;

                kill(process->pid, SIGTERM);
                while (!process->ended && process_turn(process, deadline_ms))
                        ;
        }
        if (!process->ended) {
                kill(process->pid, SIGKILL);
                waitpid(process->pid, NULL, 0);
        }
        for (size_t i = 0; i < _PROCESS_STREAM_N; i++) {
                if (process->fds[i] >= 0)
                        close(process->fds[i]);
                buf_done(&process->output[i]);
        }
        close(process->pidfd);
        free(process->name);
        free(process);
        return NULL;
}

char *process_run(const char *const argv[], const char *const environment[])
{
        struct process *process = process_spawn(argv, environment);
        char *output;

        if (process_wait(process) != 0)
                process_fail(process, "failed", "");
        output = buf_steal(&process->output[PROCESS_STREAM_OUTPUT]);
        assert_non_null(output);
        process_free(process);
        return output;
}
