/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The meaning of mulmd.conf: sections, keys, values, limits, defaults. Pure: `io/files` reads the files and feeds one
 * assignment at a time, later ones winning. Every error sentence names file, line, section and key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/prompts.h"
#include "libmulm/base/buf.h"

enum settings_prefill {
        SETTINGS_PREFILL_AUTO, /* try it, and remember when the endpoint refuses */
        SETTINGS_PREFILL_YES,
        SETTINGS_PREFILL_NO,
        SETTINGS_PREFILL_PREFIX,   /* yes, and say so as Mistral and DeepSeek want it */
        SETTINGS_PREFILL_CONTINUE, /* yes, and say so as vLLM and SGLang want it */
        SETTINGS_PREFILL_ANCHOR,   /* no, and ask for the last words again */
};

enum settings_http {
        SETTINGS_HTTP_2,                 /* by ALPN over TLS, 1.1 where the server has no 2 */
        SETTINGS_HTTP_2_PRIOR_KNOWLEDGE, /* h2c on http:// */
        SETTINGS_HTTP_1_1,
};

#define SETTINGS_OF_MODEL (-1.0) /* in place of a number that the model's file says */

struct settings_endpoint {
        char *name;
        char *url; /* http:// or https://, without a trailing slash; the dialect appends its path */
        char *dialect;
        char *model;
        char *key_credential; /* name of a systemd credential */
        char *key_file;       /* absolute path, mode 0600 */
        char *ca_file;        /* absolute path of a PEM bundle; NULL: the system's */
        char *extra_body;     /* JSON object */
        enum settings_prefill prefill;
        enum settings_http http;
        unsigned max_tokens;
        char *place; /* where its section was first seen: "FILE:LINE" */
};

#define SETTINGS_PLACES_MAX 32

struct settings {
        /* [Model] */
        char *model_path;
        unsigned threads; /* 0: as libmulm chooses */

        /* [Opener] */
        unsigned min_words, max_words;
        unsigned adaptive; /* 1: as many words as cover the cloud's delay */
        double words_per_second;
        double confidence; /* or SETTINGS_OF_MODEL */
        uint64_t seed;     /* 0: greedy */

        /* [Cloud] */
        char **endpoint_names; /* NULL-terminated, in order of preference; empty: no cloud */
        size_t n_endpoint_names;
        unsigned hedge; /* 1: a second stream asks for the whole answer, in case no opener comes in time */
        double first_text_sec, gap_sec, total_sec, connect_sec;
        double warm_sec, probe_sec; /* how long connections are kept after a request, how often they are probed */

        char *prompts_path;     /* a folder whose texts win over all others; NULL: none */
        struct prompts prompts; /* filled from files, not by a key */

        struct settings_endpoint *endpoints; /* one for each [Endpoint NAME] section, in the order they appear */
        size_t n_endpoints;

        /* [Limits] */
        unsigned requests, requests_per_caller;
        size_t prompt_bytes;

        char *places[SETTINGS_PLACES_MAX]; /* where each key outside of endpoints was last set: "FILE:LINE"; NULL:
                                              default */
};

/* Where an assignment stands; file may be NULL in tests. */
struct settings_place {
        const char *file;
        unsigned line;
};

int settings_init(struct settings *settings); /* defaults; -ENOMEM */
void settings_done(struct settings *settings);

/* 0; -EINVAL with a sentence appended to `error`, on a line of its own; -ENOMEM. An empty value restores the default.
 * No sentence quotes what may be a secret. */
int settings_set(struct settings *settings, const char *section, const char *key, const char *value,
                 const struct settings_place *place, struct buf *error);

/* After the last assignment: what only the whole can show (an endpoint named but not described, no URL, MinWords
 * above MaxWords, ...). As above. */
int settings_check(const struct settings *settings, struct buf *error);

/* NULL where there is none of that name. */
const struct settings_endpoint *settings_find_endpoint(const struct settings *settings, const char *name);

/* The whole in mulmd.conf's own syntax, with every key that has a value: for --show-config. Keys themselves
 * are never among the settings, so nothing needs hiding. */
int settings_print(const struct settings *settings, struct buf *text);
