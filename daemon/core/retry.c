/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See retry.h. Delays are those of OpenAI's and Anthropic's clients (_base_client.py): retry-after-ms, retry-after in
 * seconds or as a date, else 0.5 s that doubles up to 8 s, less up to a quarter by chance. A delay of 0 is none:
 * there are servers that send it for ever.
 */
#include "daemon/core/retry.h"

#include <string.h>
#include <strings.h>

#include "daemon/core/httpdate.h"
#include "daemon/core/value.h"
#include "libmulm/base/macro.h"

#define BACK_OFF_US     500000ull
#define BACK_OFF_MAX_US 8000000ull
#define AWAY_US         250000ull /* asking costs nothing then, and finds the network as soon as it is back */
#define HEADER_MAX      64        /* bytes of a value that is worth reading */

/* The value without the blanks around it; false where it is too long to be one. */
static bool trim(const char *value, char ret_text[HEADER_MAX])
{
        size_t n;

        value += strspn(value, " \t");
        n = strlen(value);
        while (n > 0 && strchr(" \t\r\n", value[n - 1]))
                n--;
        if (n == 0 || n >= HEADER_MAX)
                return false;
        memcpy(ret_text, value, n);
        ret_text[n] = '\0';
        return true;
}

/* False for what is no time, for none at all, and for a time in the past. */
static bool parse_number(const char *value, double unit_us, uint64_t *ret_us)
{
        char text[HEADER_MAX];
        double number;

        if (!value || !trim(value, text) || !value_parse_decimal(text, &number) || !(number * unit_us >= 1))
                return false;
        *ret_us = number * unit_us < (double)RETRY_LONG_US ? (uint64_t)(number * unit_us) : RETRY_LONG_US;
        return true;
}

static bool parse_date(const char *value, uint64_t wall_us, uint64_t *ret_us)
{
        char text[HEADER_MAX];
        int64_t then;
        uint64_t then_us;

        if (!value || !trim(value, text) || !httpdate_parse(text, (int64_t)(wall_us / 1000000), &then))
                return false;
        then_us = (uint64_t)then * 1000000;
        if (then_us <= wall_us)
                return false;
        *ret_us = MIN(then_us - wall_us, RETRY_LONG_US);
        return true;
}

static bool named_delay(const struct retry_failure *failure, uint64_t *ret_us)
{
        const struct retry_headers *headers = &failure->headers;

        return parse_number(headers->retry_after_ms, 1e3, ret_us) ||
               parse_number(headers->retry_after, 1e6, ret_us) ||
               parse_date(headers->retry_after, failure->wall_us, ret_us);
}

static uint64_t back_off(unsigned n_retries, double chance)
{
        uint64_t delay_us = n_retries < 4 ? BACK_OFF_US << n_retries : BACK_OFF_MAX_US;

        /* Also where chance is no number. */
        if (!(chance >= 0 && chance <= 1))
                chance = 0;
        return delay_us - (uint64_t)((double)delay_us * 0.25 * chance);
}

static bool header_is(const char *value, const char *wanted)
{
        char text[HEADER_MAX];

        return value && trim(value, text) && strcasecmp(text, wanted) == 0;
}

/* Time may mend it. */
static bool is_transient(unsigned status)
{
        return status == 408 || status == 409 || status == 429 || (status >= 500 && status <= 599);
}

static bool may_repeat(const struct retry_failure *failure)
{
        if (header_is(failure->headers.should_retry, "true"))
                return true;
        return is_transient(failure->status) && !header_is(failure->headers.should_retry, "false");
}

/* Again if that is soon enough and was not tried too often. */
static struct retry_decision again(const struct retry_failure *failure, unsigned n_max, uint64_t delay_us)
{
        if (failure->n_retries < n_max && delay_us <= failure->left_us)
                return (struct retry_decision){ RETRY_ACTION_AGAIN, delay_us };
        return (struct retry_decision){ RETRY_ACTION_REST, MAX(delay_us, RETRY_REST_US) };
}

static struct retry_decision decide_by_status(const struct retry_failure *failure)
{
        uint64_t delay_us = 0;

        if (failure->status == 401 || failure->status == 402 || failure->status == 403)
                return (struct retry_decision){ .action = RETRY_ACTION_DOWN };
        if (!may_repeat(failure))
                return (struct retry_decision){ .action = RETRY_ACTION_NEXT };
        if (!named_delay(failure, &delay_us))
                delay_us = back_off(failure->n_retries, failure->chance);
        return again(failure, RETRY_MAX, delay_us);
}

struct retry_decision retry_decide(const struct retry_failure *failure)
{
        switch (failure->cause) {
        case RETRY_CAUSE_STATUS: return decide_by_status(failure);
        case RETRY_CAUSE_BROKEN:
                /* The first time at once: connections break for reasons of their own. */
                return again(failure, RETRY_MAX,
                             failure->n_retries == 0 ? 0 : back_off(failure->n_retries - 1, failure->chance));
        case RETRY_CAUSE_AWAY: return again(failure, RETRY_AWAY_MAX, AWAY_US);
        case RETRY_CAUSE_UNREACHABLE: break;
        }
        return (struct retry_decision){ RETRY_ACTION_REST, RETRY_REST_US };
}

bool retry_is_usable(const struct retry_health *health, uint64_t now_us)
{
        return !health->is_down && now_us >= health->rest_until_us;
}

void retry_note(struct retry_health *health, const struct retry_decision *decision, uint64_t now_us)
{
        switch (decision->action) {
        case RETRY_ACTION_AGAIN:
        case RETRY_ACTION_NEXT: return;
        case RETRY_ACTION_REST:
                health->rest_until_us = MAX(health->rest_until_us, now_us + decision->delay_us);
                return;
        case RETRY_ACTION_DOWN: health->is_down = true; return;
        }
}
