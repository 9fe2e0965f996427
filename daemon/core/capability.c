/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * From refusals to the next shape. See capability.h. Servers name what they did not like in their message only, so
 * that is searched for the members that were sent:
 *
 *     Anthropic    This model does not support assistant message prefill. The conversation must end with a user
 * message. gateways     the same, as JSON inside a message llama.cpp    Assistant response prefill is incompatible
 * with enable_thinking. Mistral      Expected last role User or Tool (or Assistant with prefix True) for serving but
 * got assistant vLLM         substring not found OpenAI       Unsupported parameter: 'max_tokens' is not supported
 * with this model. Use 'max_completion_tokens' OpenAI       Unsupported value: 'none' is not supported ... Supported
 * values are: 'minimal', 'low', ... FastAPI      stream_options: Extra inputs are not permitted
 *
 * A message that names nothing of this is taken for a refusal of prefill, once, unless it is known to be about
 * something that no shape can mend.
 */
#include "daemon/core/capability.h"

#include <stdio.h>
#include <string.h>

static bool has(const char *message, const char *words)
{
        return strcasestr(message, words) != NULL;
}

static bool has_any(const char *message, const char *const *words)
{
        for (; *words; words++)
                if (has(message, *words))
                        return true;
        return false;
}

/* About the question, the account or the model, not about how it was asked. */
static bool is_final(const char *message)
{
        static const char *const words[] = {
                "context length",   "context_length",
                "context window",   "prompt is too long",
                "must be verified", /* OpenAI: no streaming for unknown organisations */
                "credit",           "quota",
                "billing",          "content management policy", /* Azure: the question was filtered */
                "does not exist",   NULL,
        };

        return has_any(message, words);
}

/* ---------------------------------------------------------------------------------------------------- members */

static bool reshape_length(const struct dialect *dialect, const char *message, struct dialect_shape *shape)
{
        static const char *const unknown[] = { "unsupported", "not supported", "not permitted",
                                               "unknown",     "unrecognized",  NULL };

        if (dialect != &dialect_chat)
                return false;
        if (shape->length == DIALECT_LENGTH_COMPLETION) {
                if (!has(message, "max_completion_tokens"))
                        return false;
                shape->length = DIALECT_LENGTH_TOKENS;
                return true;
        }
        if (!has(message, "max_completion_tokens") && !(has(message, "max_tokens") && has_any(message, unknown)))
                return false;
        shape->length = DIALECT_LENGTH_COMPLETION;
        return true;
}

static bool reshape_options(const struct dialect *dialect, const char *message, struct dialect_shape *shape)
{
        static const char *const members[] = { "stream_options", "include_usage", "include_obfuscation", NULL };

        if (dialect == &dialect_anthropic || shape->options == DIALECT_OPTIONS_NONE || !has_any(message, members))
                return false;
        shape->options = shape->options == DIALECT_OPTIONS_BARE && has(message, "include_obfuscation")
                                 ? DIALECT_OPTIONS_USAGE
                                 : DIALECT_OPTIONS_NONE;
        return true;
}

/* --------------------------------------------------------------------------------------------------- thinking */

/* The message is about what was sent to keep reasoning short. */
static bool blames_thinking(const struct dialect *dialect, const char *message, enum dialect_thinking thinking)
{
        switch (thinking) {
        case DIALECT_THINKING_UNSAID:
        case _DIALECT_THINKING_N: return false;
        case DIALECT_THINKING_NONE:
        case DIALECT_THINKING_MINIMAL:
        case DIALECT_THINKING_LOW:
                return has(message, "effort") ||
                       has(message, dialect == &dialect_anthropic ? "output_config" : "reasoning");
        case DIALECT_THINKING_TEMPLATE:
                return has(message, "chat_template_kwargs") || has(message, "enable_thinking");
        case DIALECT_THINKING_DISABLED: return has(message, "thinking");
        }
        return false;
}

/* "Supported values are: 'minimal', 'low'": the least one that was not refused just now. */
static bool find_effort(const char *message, enum dialect_thinking refused, enum dialect_thinking *ret_thinking)
{
        const char *values = strcasestr(message, "supported values are");
        char quoted[16];

        for (unsigned i = DIALECT_THINKING_NONE; values && i <= DIALECT_THINKING_LOW; i++) {
                (void)snprintf(quoted, sizeof(quoted), "'%s'", dialect_effort_name((enum dialect_thinking)i));
                if (i != (unsigned)refused && strstr(values, quoted)) {
                        *ret_thinking = (enum dialect_thinking)i;
                        return true;
                }
        }
        return false;
}

static bool reshape_thinking(const struct dialect *dialect, const char *message, struct dialect_shape *shape)
{
        enum dialect_thinking off =
                dialect == &dialect_anthropic ? DIALECT_THINKING_DISABLED : DIALECT_THINKING_TEMPLATE;

        /* A reply that is to begin with thoughts cannot begin with words. */
        if (shape->form == DIALECT_FORM_PREFILL && has(message, "thinking") && has(message, "prefill")) {
                if (shape->thinking == off)
                        return false;
                shape->thinking = off;
                return true;
        }
        if (!blames_thinking(dialect, message, shape->thinking))
                return false;
        if (find_effort(message, shape->thinking, &shape->thinking))
                return true;
        shape->thinking = dialect == &dialect_anthropic && shape->thinking == DIALECT_THINKING_DISABLED
                                  ? DIALECT_THINKING_LOW
                                  : DIALECT_THINKING_UNSAID;
        return true;
}

/* --------------------------------------------------------------------------------------------------- prefill */

static bool reshape_prefill(const struct dialect *dialect, bool fixed, const char *message,
                            struct dialect_shape *shape)
{
        if (fixed || shape->form != DIALECT_FORM_PREFILL)
                return false;
        if (dialect == &dialect_chat && shape->prefill != DIALECT_PREFILL_PREFIX && has(message, "prefix")) {
                shape->prefill = DIALECT_PREFILL_PREFIX;
                return true;
        }
        if (shape->prefill == DIALECT_PREFILL_CONTINUE &&
            (has(message, "continue_final_message") || has(message, "add_generation_prompt"))) {
                shape->prefill = DIALECT_PREFILL_PLAIN;
                return true;
        }
        shape->form = DIALECT_FORM_INSTRUCTION;
        return true;
}

bool capability_refused(const struct dialect *dialect, bool fixed, unsigned status, const char *message,
                        struct dialect_shape *shape)
{
        if ((status != 400 && status != 422) || is_final(message))
                return false;
        return reshape_length(dialect, message, shape) || reshape_options(dialect, message, shape) ||
               reshape_thinking(dialect, message, shape) || reshape_prefill(dialect, fixed, message, shape);
}

/* ------------------------------------------------------------------------------------------- what answers show */

/* What to try after `thinking`, the likeliest to help first; false at the end. */
static bool next_thinking(const struct dialect *dialect, enum dialect_thinking *thinking)
{
        static const enum dialect_thinking chat[] = { DIALECT_THINKING_UNSAID, DIALECT_THINKING_TEMPLATE,
                                                      DIALECT_THINKING_NONE, DIALECT_THINKING_LOW },
                                           responses[] = { DIALECT_THINKING_UNSAID, DIALECT_THINKING_NONE,
                                                           DIALECT_THINKING_TEMPLATE, DIALECT_THINKING_LOW },
                                           anthropic[] = { DIALECT_THINKING_UNSAID, DIALECT_THINKING_LOW,
                                                           DIALECT_THINKING_DISABLED };
        const enum dialect_thinking *chain = chat;
        size_t n = ARRAY_SIZE(chat);

        if (dialect == &dialect_responses)
                chain = responses;
        if (dialect == &dialect_anthropic) {
                chain = anthropic;
                n = ARRAY_SIZE(anthropic);
        }
        for (size_t i = 0; i + 1 < n; i++)
                if (chain[i] == *thinking) {
                        *thinking = chain[i + 1];
                        return true;
                }
        return false;
}

bool capability_starved(const struct dialect *dialect, bool fixed, struct dialect_shape *shape)
{
        /* vLLM's parsers take what continues a prefill for reasoning, also where there is none. */
        if (!fixed && shape->form == DIALECT_FORM_PREFILL && shape->thinking != DIALECT_THINKING_UNSAID) {
                shape->form = DIALECT_FORM_INSTRUCTION;
                return true;
        }
        return next_thinking(dialect, &shape->thinking);
}

bool capability_restarted(bool fixed, struct dialect_shape *shape)
{
        if (fixed)
                return false;
        switch (shape->form) {
        case DIALECT_FORM_PREFILL: shape->form = DIALECT_FORM_INSTRUCTION; return true;
        case DIALECT_FORM_INSTRUCTION: shape->form = DIALECT_FORM_ANCHOR; return true;
        case DIALECT_FORM_ANCHOR:
        case _DIALECT_FORM_N: break;
        }
        return false;
}
