/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What the dialects have in common and nobody else needs: pieces of bodies, and the ends of answers.
 */
#pragma once

#include "daemon/core/dialect.h"
#include "daemon/core/json.h"

/* ---- bodies: false or NULL without memory ---- */

const char *dialect_role_name(enum prompt_role role);

/* The last user turn as the shape's form has it. 0, -ENOMEM. */
int dialect_last_turn(const struct dialect_request *request, struct buf *text);

/* What was said, without the blanks at its end, which some servers refuse and the templates of others cut off; empty
 * where there is nothing or the form is no prefill. 0, -ENOMEM. */
int dialect_prefix(const struct dialect_request *request, struct buf *text);

/* {"role": ..., "content": text}; text NULL: without content. Owned by `messages`. */
cJSON *dialect_add_message(cJSON *messages, const char *role, const char *text);

bool dialect_add_model(cJSON *body, const struct dialect_request *request);

/* {"name": {"member": "value"}}. */
bool dialect_add_object(cJSON *body, const char *name, const char *member, const char *value);
bool dialect_add_template_kwargs(cJSON *body);

/* Merges extra_body in and appends the whole. 0, -ENOMEM, -EINVAL. */
int dialect_print_body(cJSON *body, const struct dialect_request *request, struct buf *text);

/* ---- events ---- */

void dialect_event_clear(struct dialect_event *event);

/* Sets the type, now that the event's text is there: `end` is NONE while the answer goes on. */
void dialect_event_settle(struct dialect_stream *stream, enum dialect_event_type end, struct dialect_event *event);

/* As dialect_error_message() and dialect_error_status(), of JSON that was parsed already. */
int dialect_error_find(const cJSON *root, struct buf *message);
unsigned dialect_error_status_of(const cJSON *root, unsigned status);

/* An error event of what was parsed, or of an event's data in whatever shape. 0, -ENOMEM. */
int dialect_event_fail(const cJSON *root, struct dialect_event *event);
int dialect_event_fail_raw(const struct sse_event *data, struct dialect_event *event);

/* An error of something in front of the service, which knows nothing of types of events. */
bool dialect_is_foreign_error(const cJSON *root);

/* [DONE], with blanks around it. */
bool dialect_is_done(const struct sse_event *event);

/* Parses the event's data as an object. 0, -ENOMEM, -EBADMSG. */
int dialect_parse(const struct sse_event *event, cJSON **ret_root);

/* Reads an event of a dialect that names the type of each: by `read_root` where it is JSON; what calls itself an
 * error, in whatever shape; and no [DONE], which is none of theirs. As dialect.read(). */
typedef int (*dialect_root_fn)(struct dialect_stream *stream, const struct sse_event *sse, const cJSON *root,
                               struct dialect_event *event);
int dialect_read_typed(struct dialect_stream *stream, const struct sse_event *sse, dialect_root_fn read_root,
                       struct dialect_event *ret_event);

/* The member is this string. */
bool dialect_is(const cJSON *object, const char *member, const char *value);
