/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The whole path for a test: mulmd with its model on a private bus, scripted clouds over HTTP/2 with TLS, and mulmctl
 * that asks.
 */
#pragma once

#include <cjson/cJSON.h>

#include "tests/support/process.h"

#define MULMD_FOLDER "/tmp/mulmd-test-XXXXXX"

/* Steps of a scenario. */
#define DELTA(text) "\"data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"" text "\\\"}}]}\\n\\n\""
#define MARK        "\"data: [DONE]\\n\\n\""

struct mulmd_fixture {
        char folder[sizeof(MULMD_FOLDER)]; /* certificates, configuration */
        struct process *dbus_daemon, *servers[2], *mulmd;
        char *address;        /* --address=... */
        const char *settings; /* lines of [Cloud]; NULL: a long FirstTextSec, a short GapSec */
        const char *endpoint; /* more lines of each endpoint; NULL: those of prefill */
        cJSON *answer;        /* of the last ask */
};

int mulmd_set_up_group(void **state);
int mulmd_tear_down_group(void **state);

/* Ends mulmd, which must end well, and the servers. */
int mulmd_tear_down(void **state);

/* Starts a server with arguments in front of its own (NULL-terminated); returns its port. */
char *mulmd_serve(const struct mulmd_fixture *fixture, const char *const before[], struct process **ret_server,
                  const char *scenario);

/* Starts mulmd with the endpoint "primary" on that host and port and, where not NULL, "backup". */
void mulmd_run(struct mulmd_fixture *fixture, const char *host, const char *port, const char *backup_port);

/* Both: a cloud that plays `scenario` and, where not NULL, another that plays `backup`. */
void mulmd_start(struct mulmd_fixture *fixture, const char *scenario, const char *backup);

/* mulmctl ask --json: one object at its end. */
struct process *mulmd_ask(struct mulmd_fixture *fixture);

/* Its end, whatever the reply: it is in `answer`. Frees the process. */
void mulmd_take_answer(struct mulmd_fixture *fixture, struct process *asking);
const char *mulmd_answer_string(const struct mulmd_fixture *fixture, const char *key);

/* Its end: the reply must be the opener and `rest`, ended by the cloud. Frees the process. */
void mulmd_expect_answer(struct mulmd_fixture *fixture, struct process *asking, const char *rest);

void mulmd_expect_reply(struct mulmd_fixture *fixture, const char *rest); /* asks for it first */
void mulmd_expect_attempt(const struct mulmd_fixture *fixture, int n, const char *endpoint, int status,
                          const char *reason);
int mulmd_n_attempts(const struct mulmd_fixture *fixture);
