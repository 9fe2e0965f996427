/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One request drawn along a time axis that starts at Ask: who spoke when, which attempts it took, where the reply was
 * taken over, what was held back and what was paid for nothing; and what its opener was worth. Pure: times in, text
 * out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libmulm/base/buf.h"

#define TIMELINE_COLUMNS     80 /* where the width is not known */
#define TIMELINE_COLUMNS_MIN 60
#define TIMELINE_COLUMNS_MAX 160

/* Microseconds since Ask; 0: it did not happen. */
struct timeline_attempt {
        const char *endpoint, *reason;
        unsigned status;
        bool is_hedge;
        uint64_t characters; /* of the reply that it went on from */
        uint64_t opened_us, sent_us, first_text_us, ended_us;
};

/* Words are as the client heard them, the rest as the daemon told. */
struct timeline {
        uint64_t opener_first_us, opener_last_us;
        uint64_t released_us; /* the opener was over, the request's body sent */
        uint64_t cloud_first_text_us;
        uint64_t rest_first_us, rest_last_us; /* words after the opener */
        const char *rest_source;              /* "cloud" or "local" */
        uint64_t end_us;
        const char *reason;        /* why the cloud gave nothing; "" if unknown */
        const char *opener_end;    /* why the opener ended; "" if unknown */
        uint64_t seam, local_seam; /* characters in front of the cloud's first, of the completion's; 0: none */
        uint64_t undecided_us, paced_us, lost_tokens;

        const struct timeline_attempt *attempts;
        size_t n_attempts;

        unsigned n_columns; /* of the terminal; 0: TIMELINE_COLUMNS */
        bool color;
};

/* The moment at which the person would have read a first word of the cloud's without an opener; 0 where the cloud
 * gave no text. The body could have gone at Ask, so the cloud's delay alone counts. */
uint64_t timeline_without_opener_us(const struct timeline *timeline);

/* Appends several lines, plain ASCII but for colours; the picture is as wide as n_columns leave room for. 0 or
 * -ENOMEM. */
int timeline_render(const struct timeline *timeline, struct buf *text);
