/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * See httpdate.h. The name of the weekday says nothing that the date does not, and is not checked.
 */
#include "daemon/core/httpdate.h"

#include <stdio.h>
#include <string.h>

struct fields {
        unsigned year, day, hour, minute, second;
        char month[4];
};

static bool is_whole(const char *text, int end)
{
        return end >= 0 && text[end] == '\0';
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool scan_imf(const char *text, struct fields *f)
{
        int end = -1;

        (void)sscanf(text, "%*3[A-Za-z], %2u %3[A-Za-z] %4u %2u:%2u:%2u GMT%n", &f->day, f->month, &f->year, &f->hour,
                     &f->minute, &f->second, &end);
        return is_whole(text, end);
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool scan_rfc850(const char *text, struct fields *f)
{
        int end = -1;

        (void)sscanf(text, "%*9[A-Za-z], %2u-%3[A-Za-z]-%2u %2u:%2u:%2u GMT%n", &f->day, f->month, &f->year, &f->hour,
                     &f->minute, &f->second, &end);
        return is_whole(text, end);
}

/* Sun Nov  6 08:49:37 1994 */
static bool scan_asctime(const char *text, struct fields *f)
{
        int end = -1;

        (void)sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2u %2u:%2u:%2u %4u%n", f->month, &f->day, &f->hour, &f->minute,
                     &f->second, &f->year, &end);
        return is_whole(text, end);
}

static bool find_month(const char *name, unsigned *ret_month)
{
        static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

        for (unsigned i = 0; i < 12; i++)
                if (memcmp(names + 3 * (size_t)i, name, 3) == 0) {
                        *ret_month = i + 1;
                        return true;
                }
        return false;
}

/* Days since 1970-01-01 in the Gregorian calendar, year >= 1: "days_from_civil" of Howard Hinnant's
 * https://howardhinnant.github.io/date_algorithms.html */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
        int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
        int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

        return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_day(int64_t year, unsigned month, unsigned day)
{
        int64_t first = days_of(year, month, 1), next = month < 12 ? days_of(year, month + 1, 1) : first + 31;

        return day >= 1 && day <= next - first;
}

/* "a year that appears to be more than 50 years in the future [is] the most recent year in the past that had the same
 * last two digits" */
static int64_t whole_year(unsigned year, int64_t now)
{
        int64_t this_year = 1970 + now / 31556952, whole = this_year - this_year % 100 + year;

        if (whole <= this_year - 50)
                return whole + 100;
        return whole > this_year + 50 ? whole - 100 : whole;
}

bool httpdate_parse(const char *text, int64_t now, int64_t *ret_seconds)
{
        struct fields f = { 0 };
        unsigned month;
        int64_t year;

        if (scan_imf(text, &f) || scan_asctime(text, &f))
                year = f.year;
        else if (scan_rfc850(text, &f))
                year = whole_year(f.year, now);
        else
                return false;
        if (!find_month(f.month, &month) || year < 1970 || !is_day(year, month, f.day) || f.hour > 23 ||
            f.minute > 59 || f.second > 60)
                return false;
        *ret_seconds = ((days_of(year, month, f.day) * 24 + f.hour) * 60 + f.minute) * 60 + f.second;
        return true;
}
