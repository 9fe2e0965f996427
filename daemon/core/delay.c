/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See delay.h.
 */
#include "daemon/core/delay.h"

#include <math.h>
#include <string.h>

#include "daemon/core/value.h"

/* RFC 6298, section 2.3. */
#define GAIN           0.125
#define GAIN_DEVIATION 0.25

#define DEVIATIONS 2

#define SAMPLE_MAX_US 3.6e9 /* an hour: no delay but a fault, and still exact in a double */

static const char line_head[] = "delay ";

void delay_note(struct delay *delay, uint64_t sample_us)
{
        const double sample = fmin((double)sample_us, SAMPLE_MAX_US);

        if (!delay->is_known) {
                *delay = (struct delay){ .is_known = true, .mean_us = sample, .deviation_us = sample / 2 };
                return;
        }
        delay->deviation_us += GAIN_DEVIATION * (fabs(sample - delay->mean_us) - delay->deviation_us);
        delay->mean_us += GAIN * (sample - delay->mean_us);
}

uint64_t delay_expected_us(const struct delay *delay)
{
        return delay->is_known ? (uint64_t)(delay->mean_us + DEVIATIONS * delay->deviation_us) : 0;
}

unsigned delay_words(const struct delay *delay, double words_per_second, unsigned min, unsigned max)
{
        const double words = ceil((double)delay_expected_us(delay) / 1e6 * words_per_second);

        if (!delay->is_known || words >= max)
                return max;
        return words <= min ? MIN(min, max) : (unsigned)words;
}

int delay_print(const struct delay *delay, const char *key, struct buf *text)
{
        return delay->is_known
                       ? buf_printf(text, "%s%.0f %.0f %s\n", line_head, delay->mean_us, delay->deviation_us, key)
                       : 0;
}

/* The number in front of a blank; *line moves behind that. */
static bool parse_number(const char **line, const char *end, double *ret_number)
{
        const char *blank = memchr(*line, ' ', (size_t)(end - *line));
        char digits[16] = "";
        uint64_t number;

        if (!blank || (size_t)(blank - *line) >= sizeof(digits))
                return false;
        memcpy(digits, *line, (size_t)(blank - *line));
        if (!value_parse_integer(digits, &number) || (double)number > SAMPLE_MAX_US)
                return false;
        *ret_number = (double)number;
        *line = blank + 1;
        return true;
}

static bool parse_line(const char *line, const char *end, const char *key, struct delay *ret_delay)
{
        struct delay delay = { .is_known = true };

        if ((size_t)(end - line) < strlen(line_head) || memcmp(line, line_head, strlen(line_head)) != 0)
                return false;
        line += strlen(line_head);
        if (!parse_number(&line, end, &delay.mean_us) || !parse_number(&line, end, &delay.deviation_us) ||
            (size_t)(end - line) != strlen(key) || memcmp(line, key, strlen(key)) != 0)
                return false;
        *ret_delay = delay;
        return true;
}

bool delay_parse(const char *text, size_t n, const char *key, struct delay *ret_delay)
{
        for (const char *line = text, *end; line < text + n; line = end + 1) {
                end = memchr(line, '\n', (size_t)(text + n - line));
                if (!end)
                        return false;
                if (parse_line(line, end, key, ret_delay))
                        return true;
        }
        return false;
}
