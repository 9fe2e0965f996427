/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * One request drawn along a time axis that starts at Ask, and what its opener was worth. Pure: times in, text out.
 */
#pragma once

#include <stdint.h>

#include "libmulm/base/buf.h"

/* Microseconds since Ask; 0: it did not happen. Words are as the client heard them, the rest as the daemon told. */
struct timeline {
        uint64_t opener_first_us, opener_last_us;
        uint64_t released_us; /* the opener was over, the request's body sent */
        uint64_t cloud_first_byte_us, cloud_first_text_us;
        uint64_t rest_first_us, rest_last_us; /* words after the opener */
        const char *rest_source;              /* "cloud" or "local" */
        uint64_t end_us;
        const char *reason; /* why the cloud gave nothing; "" if unknown */
};

/* The moment at which the person would have read a first word of the cloud's without an opener; 0 where the cloud
 * gave no text. The body could have gone at Ask, so the cloud's delay alone counts. */
uint64_t timeline_without_opener_us(const struct timeline *timeline);

/* Appends several lines, plain ASCII, at most 80 columns. 0 or -ENOMEM. */
int timeline_render(const struct timeline *timeline, struct buf *text);
