/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Tables of servers and models. See known.h. Sources: the vendors' documentation of chat completions (OpenAI,
 * Mistral, DeepSeek, OpenRouter) and Anthropic's guides to each model's migration.
 */
#include "daemon/core/known.h"

#include <ctype.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------- servers */

static const struct server {
        const char *host;
        const char *path; /* somewhere in the URL, or NULL */
        struct dialect_shape chat;
} servers[] = {
        /* No prefill exists there; max_tokens is refused by models that reason. */
        { "api.openai.com",
          NULL,
          { DIALECT_FORM_INSTRUCTION, DIALECT_PREFILL_PLAIN, DIALECT_THINKING_NONE, DIALECT_LENGTH_COMPLETION,
            DIALECT_OPTIONS_BARE } },
        /* Unknown members are refused. */
        { "api.mistral.ai",
          NULL,
          { DIALECT_FORM_PREFILL, DIALECT_PREFILL_PREFIX, DIALECT_THINKING_UNSAID, DIALECT_LENGTH_TOKENS,
            DIALECT_OPTIONS_NONE } },
        /* Prefill is a beta with a base URL of its own. */
        { "api.deepseek.com",
          "/beta",
          { DIALECT_FORM_PREFILL, DIALECT_PREFILL_PREFIX, DIALECT_THINKING_DISABLED, DIALECT_LENGTH_TOKENS,
            DIALECT_OPTIONS_USAGE } },
        { "api.deepseek.com",
          NULL,
          { DIALECT_FORM_INSTRUCTION, DIALECT_PREFILL_PLAIN, DIALECT_THINKING_DISABLED, DIALECT_LENGTH_TOKENS,
            DIALECT_OPTIONS_USAGE } },
};

static bool url_has_host(const char *url, const char *host)
{
        const char *begin = strstr(url, "://");
        size_t n = strlen(host);

        begin = begin ? begin + 3 : url;
        return strncasecmp(begin, host, n) == 0 && strchr(":/", begin[n]);
}

static void apply_server(const char *url, struct dialect_shape *shape)
{
        for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
                if (url_has_host(url, servers[i].host) && (!servers[i].path || strstr(url, servers[i].path))) {
                        *shape = servers[i].chat;
                        return;
                }
}

/* ----------------------------------------------------------------------------------------------------- models */

/* Anthropic's, by family and version. Those that are not here and have a newer version take no prefill. */
static const struct model {
        const char *family;
        unsigned major, minor;
        enum dialect_form form;
        enum dialect_thinking thinking; /* unsaid is off, unless noted */
} models[] = {
        { "haiku", 4, 5, DIALECT_FORM_PREFILL, DIALECT_THINKING_UNSAID },
        { "sonnet", 4, 5, DIALECT_FORM_PREFILL, DIALECT_THINKING_UNSAID },
        { "opus", 4, 5, DIALECT_FORM_PREFILL, DIALECT_THINKING_UNSAID },
        { "sonnet", 5, 0, DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_DISABLED }, /* on by default */
        { "opus", 5, 0, DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_DISABLED },   /* on by default */
        { "opus", 5, 5, DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_LOW },        /* cannot be switched off */
        { "fable", 5, 0, DIALECT_FORM_INSTRUCTION, DIALECT_THINKING_LOW },       /* cannot be switched off */
};

static const char *parse_number(const char *text, unsigned *ret_number)
{
        unsigned number = 0;

        if (!isdigit((unsigned char)*text))
                return NULL;
        for (; isdigit((unsigned char)*text); text++)
                number = MIN(number * 10 + (unsigned)(*text - '0'), 99999u);
        *ret_number = number;
        return text;
}

/* "claude-opus-4-5-20251101", "anthropic/claude-sonnet-4.5", "claude-opus-5": a date is no minor version. */
static bool parse_version(const char *name, const char *family, unsigned *ret_major, unsigned *ret_minor)
{
        const char *at = strstr(name, family);
        unsigned minor = 0;

        if (!at || at[strlen(family)] != '-')
                return false;
        at = parse_number(at + strlen(family) + 1, ret_major);
        if (!at || *ret_major >= 100)
                return false;
        if ((*at == '-' || *at == '.') && parse_number(at + 1, &minor) && minor >= 100)
                minor = 0;
        *ret_minor = minor;
        return true;
}

static const struct model *find_model(const char *name)
{
        unsigned major, minor;

        if (!strstr(name, "claude"))
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(models); i++)
                if (parse_version(name, models[i].family, &major, &minor) && models[i].major == major &&
                    models[i].minor == minor)
                        return &models[i];
        return NULL;
}

/* Through whatever dialect a model of Anthropic's is reached, it refuses prefill; but how it is kept from thinking is
 * a matter of the dialect. */
static void apply_model(const char *name, bool is_anthropic, struct dialect_shape *shape)
{
        const struct model *model = find_model(name);

        if (is_anthropic || strstr(name, "claude"))
                shape->form = model ? model->form : DIALECT_FORM_INSTRUCTION;
        if (is_anthropic)
                shape->thinking = model ? model->thinking : DIALECT_THINKING_UNSAID;
}

/* ----------------------------------------------------------------------------------------------------- shape */

static void apply_settings(enum settings_prefill prefill, struct dialect_shape *shape)
{
        switch (prefill) {
        case SETTINGS_PREFILL_AUTO: return;
        case SETTINGS_PREFILL_YES: shape->form = DIALECT_FORM_PREFILL; return;
        case SETTINGS_PREFILL_NO: shape->form = DIALECT_FORM_INSTRUCTION; return;
        case SETTINGS_PREFILL_PREFIX:
                shape->form = DIALECT_FORM_PREFILL;
                shape->prefill = DIALECT_PREFILL_PREFIX;
                return;
        case SETTINGS_PREFILL_CONTINUE:
                shape->form = DIALECT_FORM_PREFILL;
                shape->prefill = DIALECT_PREFILL_CONTINUE;
                return;
        case SETTINGS_PREFILL_ANCHOR: shape->form = DIALECT_FORM_ANCHOR; return;
        }
}

void known_shape(const struct settings_endpoint *endpoint, struct dialect_shape *ret_shape)
{
        const struct dialect *dialect = dialect_find(endpoint->dialect);
        const char *model = endpoint->model ? endpoint->model : "";
        struct dialect_shape shape = { .form = DIALECT_FORM_PREFILL };

        if (dialect == &dialect_chat && endpoint->url)
                apply_server(endpoint->url, &shape);
        /* OpenAI has no prefill, and its models reason unless told otherwise. */
        if (dialect == &dialect_responses)
                shape = (struct dialect_shape){ .form = DIALECT_FORM_INSTRUCTION, .thinking = DIALECT_THINKING_NONE };
        apply_model(model, dialect == &dialect_anthropic, &shape);
        apply_settings(endpoint->prefill, &shape);
        *ret_shape = shape;
}

bool known_form_is_fixed(const struct settings_endpoint *endpoint)
{
        return endpoint->prefill != SETTINGS_PREFILL_AUTO;
}
