/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * A cloud dialect is two functions: build a body, read an event. Pure; the facts are those of each vendor's API. How
 * one server of a dialect wants to be asked is a `dialect_shape`: known beforehand (known.h) or learned from its
 * refusals (capability.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/prompt.h"
#include "daemon/core/sse.h"
#include "libmulm/base/buf.h"

#define DIALECT_MESSAGE_MAX 200

struct cJSON;

/* How the cloud is told what was already said. */
enum dialect_form {
        DIALECT_FORM_PREFILL,     /* a last assistant message that the model goes on with */
        DIALECT_FORM_INSTRUCTION, /* the last user turn quotes it */
        DIALECT_FORM_ANCHOR,      /* it does, and asks for its last words again, which merge cuts off */
        _DIALECT_FORM_N,
};

/* How a server of chat completions is told to go on with a last assistant message. */
enum dialect_prefill {
        DIALECT_PREFILL_PLAIN,    /* not at all: llama.cpp, TGI, OpenRouter, Ollama */
        DIALECT_PREFILL_PREFIX,   /* "prefix": true on the message: Mistral, DeepSeek */
        DIALECT_PREFILL_CONTINUE, /* "continue_final_message": true, "add_generation_prompt": false: vLLM, SGLang */
        _DIALECT_PREFILL_N,
};

/* How reasoning, which costs seconds before the first word, is kept short. */
enum dialect_thinking {
        DIALECT_THINKING_UNSAID,   /* nothing is sent: the model does not reason, or cannot be told */
        DIALECT_THINKING_NONE,     /* effort "none" */
        DIALECT_THINKING_MINIMAL,  /* effort "minimal" */
        DIALECT_THINKING_LOW,      /* effort "low" */
        DIALECT_THINKING_TEMPLATE, /* "chat_template_kwargs": {"enable_thinking": false}: llama.cpp, vLLM, SGLang */
        DIALECT_THINKING_DISABLED, /* "thinking": {"type": "disabled"}: Anthropic, DeepSeek */
        _DIALECT_THINKING_N,
};

/* The name that chat completions give the longest reply. */
enum dialect_length {
        DIALECT_LENGTH_TOKENS,     /* max_tokens: nearly all servers */
        DIALECT_LENGTH_COMPLETION, /* max_completion_tokens: reasoning models at OpenAI know no other */
        _DIALECT_LENGTH_N,
};

/* What is sent as stream_options. */
enum dialect_options {
        DIALECT_OPTIONS_USAGE, /* include_usage, where the dialect has it */
        DIALECT_OPTIONS_BARE,  /* also no padding against eavesdroppers, which OpenAI adds to each event */
        DIALECT_OPTIONS_NONE,  /* Mistral knows no such member */
        _DIALECT_OPTIONS_N,
};

struct dialect_shape {
        enum dialect_form form;
        enum dialect_prefill prefill;
        enum dialect_thinking thinking;
        enum dialect_length length;
        enum dialect_options options;
};

struct dialect_request {
        const char *model;           /* "" or NULL: the server has but one */
        const struct prompt *prompt; /* who said what, and what was already said (may be nothing) */
        struct dialect_shape shape;
        unsigned max_tokens;    /* 0: as the server chooses */
        const char *extra_body; /* a JSON object or NULL: its members are added and win; null removes a member */
};

enum dialect_event_type {
        DIALECT_EVENT_NONE,    /* nothing for the person: role, usage, reasoning, ping, unknown */
        DIALECT_EVENT_TEXT,    /* `text` goes to the person */
        DIALECT_EVENT_CUT,     /* the reply was cut off by a length limit: an end, but not a whole reply */
        DIALECT_EVENT_STARVED, /* an end without any text: reasoning used up the limit, or the server took the reply
                                  for reasoning */
        DIALECT_EVENT_REFUSED, /* content filter or refusal */
        DIALECT_EVENT_ERROR, /* the server reports a failure inside the stream; `text` is its message, never empty */
        DIALECT_EVENT_END,   /* the reply is whole; may come with the last text before it, and more than once */
};

struct dialect_event {
        enum dialect_event_type type; /* END, CUT and REFUSED may carry text that came in the same event */
        struct buf text;              /* UTF-8; owned by the caller, cleared by each read */
        unsigned status;              /* ERROR: the HTTP status that it amounts to, else 0 */
        unsigned n_input_tokens, n_output_tokens; /* where usage came along; else 0 */
};

/* What a dialect remembers of one answer; DIALECT_STREAM_NULL at its start. */
struct dialect_stream {
        bool has_text;      /* something other than blanks came for the person */
        bool has_reasoning; /* the model was seen to reason */

        /* Of responses: which output items are commentary, a bit for each index, and which began last. */
        unsigned long long commentary;
        unsigned item;
};

#define DIALECT_STREAM_NULL ((struct dialect_stream){ 0 })

struct dialect {
        const char *name;       /* "chat" */
        const char *path;       /* appended to the endpoint's URL: "/chat/completions" */
        const char *key_header; /* what stands before the key in its line: "Authorization: Bearer " */
        const char *header;     /* one more header line, or NULL */

        /* Appends the JSON body. 0, -ENOMEM, -EINVAL (extra_body is no object). */
        int (*body)(const struct dialect_request *request, struct buf *body);

        /* Reads one event. 0, -ENOMEM, -EBADMSG (not JSON, or not of this dialect: skip it and count). */
        int (*read)(struct dialect_stream *stream, const struct sse_event *event, struct dialect_event *ret_event);
};

extern const struct dialect dialect_chat;
extern const struct dialect dialect_responses;
extern const struct dialect dialect_anthropic;

const char *dialect_form_name(enum dialect_form form); /* "prefill" */

/* "none", "minimal", "low"; NULL for what is no effort. */
const char *dialect_effort_name(enum dialect_thinking thinking);

/* NULL where there is none of that name. */
const struct dialect *dialect_find(const char *name);

/* A body that is no event stream. For an error (any HTTP status), appends the server's own message, in whatever shape
 * it wears, to `message`: one line of at most DIALECT_MESSAGE_MAX bytes. 0; -ENOENT where it names none; -ENOMEM. */
int dialect_error_message(const char *body, size_t n, struct buf *message);

/* The HTTP status that an error amounts to, from the type or code in its body: inside an answer with status 200 that
 * is all there is (500 where it names nothing known), and a 429 may be an empty account, which is a 402. */
unsigned dialect_error_status(const char *body, size_t n, unsigned status);
