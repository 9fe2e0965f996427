/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * The dialects, and their terms, by name. See dialect.h.
 */
#include "daemon/core/dialect.h"

#include <string.h>

const struct dialect *dialect_find(const char *name)
{
        static const struct dialect *const dialects[] = { &dialect_chat, &dialect_responses, &dialect_anthropic };

        for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
                if (name && strcmp(dialects[i]->name, name) == 0)
                        return dialects[i];
        return NULL;
}

const char *dialect_form_name(enum dialect_form form)
{
        switch (form) {
        case DIALECT_FORM_PREFILL: return "prefill";
        case DIALECT_FORM_INSTRUCTION: return "instruction";
        case DIALECT_FORM_ANCHOR: return "anchor";
        case _DIALECT_FORM_N: break;
        }
        return "";
}

const char *dialect_effort_name(enum dialect_thinking thinking)
{
        switch (thinking) {
        case DIALECT_THINKING_NONE: return "none";
        case DIALECT_THINKING_MINIMAL: return "minimal";
        case DIALECT_THINKING_LOW: return "low";
        case DIALECT_THINKING_UNSAID:
        case DIALECT_THINKING_TEMPLATE:
        case DIALECT_THINKING_DISABLED:
        case _DIALECT_THINKING_N: break;
        }
        return NULL;
}
