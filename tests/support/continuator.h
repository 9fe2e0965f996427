/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The local continuator as a test's cloud, answering with the μLM of models/, and curl as its client. As in
 * process.h, what goes wrong fails the test.
 */
#pragma once

#include "tests/support/process.h"

struct continuator {
        struct process *process; /* with --trace on stderr */
        char *url;               /* .../v1 */
        char *folder;            /* for files of the test; removed with what is in it */
        char *certificate, *key; /* files in `folder`; after continuator_start_tls() */
};

#define CONTINUATOR_NULL ((struct continuator){ 0 })

/* Starts it on a free port; `options` ends with NULL. */
void continuator_start(struct continuator *continuator, const char *const options[]);

/* The same, over TLS with a new certificate for 127.0.0.1. */
void continuator_start_tls(struct continuator *continuator);

/* Stops it, if it runs, and removes the files. */
void continuator_done(struct continuator *continuator);

/* Writes a file into the folder; its path, which the caller frees. */
char *continuator_write(struct continuator *continuator, const char *name, const char *text);

/* Posts `body` to the URL with `path` behind it. Returns what curl prints: the body of the reply and, in a line of
 * its own, the status. `options` for curl, ended with NULL, win. The caller frees it. */
char *continuator_post(const struct continuator *continuator, const char *path, const char *body,
                       const char *const options[]);
