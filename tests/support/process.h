/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A child process of a test: its output is captured, and every wait has a deadline. What goes wrong fails the test
 * there and then, with the child's output in the message. The child dies with the test, even if that is killed.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Far above what a loaded machine needs: a test that waits this long has failed. */
#define PROCESS_DEADLINE_MS 30000

enum process_stream {
        PROCESS_STREAM_OUTPUT, /* stdout */
        PROCESS_STREAM_ERROR,  /* stderr */
        _PROCESS_STREAM_N,
};

struct process;

/* Starts argv[0], found by PATH; both arrays end with NULL. `environment` ("NAME=value" strings, or NULL) adds to the
 * test's own. */
struct process *process_spawn(const char *const argv[], const char *const environment[]);

/* Waits until the stream has text that matches the extended regular expression, beyond what the last call matched on
 * that stream. Returns the first group, or all that matched where there is none; the caller frees it. `^` and `$`
 * match at lines, but the child may have written only a part of its last one: a pattern that reads a number must also
 * match what follows it. */
char *process_expect(struct process *process, enum process_stream stream, const char *pattern);

/* The same without waiting: NULL where no such text has come yet. */
char *process_match(struct process *process, enum process_stream stream, const char *pattern);

/* Readable when the child has written or closed the stream; for a test with a loop of its own. */
int process_fd(const struct process *process, enum process_stream stream);

/* All that the stream gave so far. Valid until the next call. */
const char *process_output(struct process *process, enum process_stream stream);

pid_t process_pid(const struct process *process);
void process_signal(struct process *process, int number);

/* Waits until it ended by itself or by process_signal(): its exit status, or minus the signal's number. */
int process_wait(struct process *process);

/* SIGTERM, SIGKILL if that does not help, reaps. Accepts NULL, returns NULL. */
struct process *process_free(struct process *process);

/* Runs to the end; fails the test unless it exits with 0. Returns its stdout, which the caller frees. */
char *process_run(const char *const argv[], const char *const environment[]);
