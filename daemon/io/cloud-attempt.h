/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One POST as libcurl sees it: its options, and the callbacks that libcurl calls, which only record. Used by cloud.c
 * alone. Loop thread.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

#include "daemon/io/cloud.h"
#include "libmulm/base/buf.h"

/* Bytes of an answer that may wait for delivery; each turn of the loop delivers all, so that only a flood gets here.
 */
#define CLOUD_ATTEMPT_RECEIVED_MAX (8u << 20)

struct cloud_attempt {
        struct cloud *cloud;
        cloud_bytes_fn fn;
        void *userdata;

        CURL *easy;
        struct curl_slist *headers;
        char *host;
        char error[CURL_ERROR_SIZE];

        struct buf body; /* ours once released */
        size_t n_sent;   /* bytes of it that libcurl has taken */
        bool held;       /* HTTP/1.1: libcurl gets the transfer at its release */
        bool added;      /* libcurl has the transfer */
        bool released;
        bool left; /* nobody listens any more; it goes when it has ended */

        unsigned line_status;         /* of the status line last read; 1xx come before the one that counts */
        unsigned status;              /* 0 before the headers are whole */
        bool headers_due;             /* to be delivered */
        struct buf received;          /* to be delivered */
        bool received_lost, too_much; /* why the write callback refused: no memory, no room */
        bool ended, ended_told;
        CURLcode result; /* once ended */

        int local_port;             /* of its connection, once connected */
        struct timer_node reaching; /* when the kept connection must have shown that it lives */

        struct cloud_times times;
        struct cloud_attempt *previous, *next; /* the cloud's */
};

/* 0, -ENOMEM, -EINVAL (a URL or a key that cannot be), or what reading the key gave. Not yet with libcurl's multi. */
int cloud_attempt_new(struct cloud_attempt **ret_attempt, const struct settings_endpoint *endpoint,
                      const struct cloud_request *request, struct buf *error);
struct cloud_attempt *cloud_attempt_free(struct cloud_attempt *attempt);

/* Of a transfer that libcurl was given and has back: prepares it to be given again, for a connection of its own. */
int cloud_attempt_rewind(struct cloud_attempt *attempt);

/* Before a held attempt goes to libcurl: the body is whole, so that its length can be told. */
int cloud_attempt_set_body(struct cloud_attempt *attempt);
