/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Classes of code points, by blocks of the Unicode Standard, version 15. See letter.h.
 */
#include "daemon/core/letter.h"

#include "libmulm/base/macro.h"
#include "libmulm/base/utf8.h"

struct range {
        uint32_t first, last;
};

static bool in_ranges(const struct range *ranges, size_t n, uint32_t c)
{
        for (size_t i = 0; i < n; i++)
                if (c >= ranges[i].first && c <= ranges[i].last)
                        return true;
        return false;
}

static bool in_set(const uint32_t *set, size_t n, uint32_t c)
{
        for (size_t i = 0; i < n; i++)
                if (c == set[i])
                        return true;
        return false;
}

bool letter_is_blank(uint32_t c)
{
        static const struct range blanks[] = {
                { '\t', '\n' },     { ' ', ' ' },       { 0xa0, 0xa0 },     { 0x2000, 0x200a },
                { 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 },
        };

        return in_ranges(blanks, ARRAY_SIZE(blanks), c);
}

bool letter_is_word(uint32_t c)
{
        /* What is neither letter nor digit above ASCII: punctuation, symbols, pictures. */
        static const struct range others[] = {
                { 0x80, 0xa9 },       { 0xab, 0xb4 },     { 0xb6, 0xb9 },     { 0xbb, 0xbf },     { 0xd7, 0xd7 },
                { 0xf7, 0xf7 },       { 0x589, 0x58a },   { 0x60c, 0x60d },   { 0x61b, 0x61f },   { 0x66a, 0x66d },
                { 0x6d4, 0x6d4 },     { 0x964, 0x965 },   { 0xe5a, 0xe5b },   { 0x2000, 0x206f }, { 0x20a0, 0x20cf },
                { 0x2190, 0x2bff },   { 0x2e00, 0x2e7f }, { 0x3000, 0x3004 }, { 0x3008, 0x3020 }, { 0x3030, 0x3030 },
                { 0x303d, 0x303f },   { 0x30fb, 0x30fb }, { 0xfe10, 0xfe1f }, { 0xfe30, 0xfe6f }, { 0xfeff, 0xfeff },
                { 0xff00, 0xff0f },   { 0xff1a, 0xff20 }, { 0xff3b, 0xff40 }, { 0xff5b, 0xff65 }, { 0xfff0, 0xffff },
                { 0x1f000, 0x1faff },
        };

        if (c < 0x80)
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return !in_ranges(others, ARRAY_SIZE(others), c);
}

bool letter_is_unspaced(uint32_t c)
{
        static const struct range scripts[] = {
                { 0xe01, 0xeff },   /* Thai, Lao */
                { 0x1000, 0x109f }, /* Myanmar */
                { 0x1780, 0x17ff }, /* Khmer */
                { 0x2e80, 0x312f }, /* CJK radicals and punctuation, kana, Bopomofo */
                { 0x31f0, 0x9fff }, /* kana extensions, Han */
                { 0xf900, 0xfaff }, /* Han compatibility */
                { 0xfe30, 0xfe4f }, /* CJK compatibility forms */
                { 0xff00, 0xffef }, /* half and full width forms */
                { 0x20000, 0x3ffff },
        };

        return in_ranges(scripts, ARRAY_SIZE(scripts), c);
}

bool letter_is_joiner(uint32_t c)
{
        return c == '-' || c == '\'' || c == 0x2019 || c == 0x2010 || c == 0x2011;
}

bool letter_ends_sentence(uint32_t c)
{
        static const uint32_t ends[] = { '.',    '!',    '?',   ':',   0x2026, 0x3002, 0xff01,
                                         0xff1f, 0xff1a, 0x61f, 0x6d4, 0x964,  0x965,  0x589 };

        return in_set(ends, ARRAY_SIZE(ends), c);
}

bool letter_is_mark(uint32_t c)
{
        static const uint32_t pauses[] = { ',', ';', 0x60c, 0x61b, 0x3001, 0xff0c, 0xff1b };

        return letter_ends_sentence(c) || in_set(pauses, ARRAY_SIZE(pauses), c);
}

uint32_t letter_lower(uint32_t c)
{
        if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7))
                return c + 0x20;
        /* Latin Extended-A has pairs, capital first: even below U+0138 and from U+014A on, odd between and at its
         * end. */
        if ((c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131) || (c >= 0x14a && c <= 0x177))
                return c | 1;
        if (((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e)) && c % 2 == 1)
                return c + 1;
        if (c == 0x178)
                return 0xff;
        if (c == 0x386)
                return 0x3ac;
        if (c == 0x38c)
                return 0x3cc;
        if (c == 0x38e || c == 0x38f)
                return c + 0x3f;
        if (c >= 0x388 && c <= 0x38a)
                return c + 0x25;
        if ((c >= 0x391 && c <= 0x3ab && c != 0x3a2) || (c >= 0x410 && c <= 0x42f))
                return c + 0x20;
        if (c >= 0x400 && c <= 0x40f)
                return c + 0x50;
        return c;
}

uint32_t letter_fold(uint32_t c)
{
        return c == 0x2019 ? '\'' : letter_lower(c);
}

uint32_t letter_before(const char *text, size_t offset, size_t *ret_length)
{
        uint32_t c = 0;
        size_t length = 0;

        while (length < offset && length < 4) {
                length++;
                if (utf8_decode(text + offset - length, length, &c) == length)
                        break;
        }
        if (ret_length)
                *ret_length = length;
        return c;
}

uint32_t letter_at(const char *text, size_t n, size_t offset, size_t *ret_length)
{
        uint32_t c = 0;
        size_t length = 0;

        if (offset < n)
                length = utf8_decode(text + offset, n - offset, &c);
        if (ret_length)
                *ret_length = length;
        return c;
}
