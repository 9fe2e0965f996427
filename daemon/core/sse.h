/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) from bytes in any pieces: LF,
 * CR and CRLF, also split over two reads; one leading BOM; comments; several data lines joined; unknown fields
 * ignored. At the end of the stream a whole trailing event without its blank line is delivered too, since servers
 * leave it out. Pure: feed bytes, take events.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "libmulm/base/buf.h"

#define SSE_EVENT_MAX (4u << 20) /* bytes of one line, or of one event's data; more is -EMSGSIZE, for good */

struct sse_event {
        const char *name; /* "" where the event has none */
        const char *data; /* terminated, but may hold NULs; never empty */
        size_t n_data;
};

struct sse {
        struct buf input;                  /* fed, not yet dropped */
        size_t parsed;                     /* bytes of `input` that whole lines have used up */
        size_t scanned;                    /* from `parsed` up to here there is no end of a line */
        struct buf name, data;             /* of the event being read */
        struct buf event_name, event_data; /* of the event handed out */
        bool started;                      /* the BOM question is decided */
        bool after_cr;                     /* a LF that comes next belongs to the CR before */
        bool has_data;                     /* a data line has come, maybe an empty one */
        bool ended;                        /* no more bytes will come */
        bool broken;                       /* -EMSGSIZE was answered */
};

void sse_init(struct sse *sse);
void sse_done(struct sse *sse);

/* Takes the bytes; all events in them are to be taken before the next bytes, so that memory stays bounded. 0,
 * -ENOMEM, -EMSGSIZE; -EINVAL after sse_end(). */
int sse_feed(struct sse *sse, const char *bytes, size_t n);

/* The stream is over: a last event may now be due. */
int sse_end(struct sse *sse);

/* 1 and the next event, valid until the next call; 0 when more bytes are needed; -ENOMEM, -EMSGSIZE. */
int sse_next(struct sse *sse, struct sse_event *ret_event);
