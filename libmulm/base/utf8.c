/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * UTF-8 after RFC 3629, section 4. See utf8.h.
 */
#include "libmulm/base/utf8.h"

size_t utf8_length(unsigned char lead)
{
        if (lead < 0x80)
                return 1;
        if (lead < 0xc2)
                return 0;
        if (lead < 0xe0)
                return 2;
        if (lead < 0xf0)
                return 3;
        return lead < 0xf5 ? 4 : 0;
}

/* Whether byte `i` (1-3) of a sequence opened by `lead` is possible: the second byte of E0, ED, F0 and F4 is
 * restricted, which excludes overlong forms, surrogates and code points above U+10FFFF. */
static bool continuation_is_valid(unsigned char lead, size_t i, unsigned char byte)
{
        unsigned char low = 0x80, high = 0xbf;

        if (i == 1) {
                if (lead == 0xe0)
                        low = 0xa0;
                else if (lead == 0xed)
                        high = 0x9f;
                else if (lead == 0xf0)
                        low = 0x90;
                else if (lead == 0xf4)
                        high = 0x8f;
        }
        return byte >= low && byte <= high;
}

size_t utf8_decode(const char *text, size_t n, uint32_t *ret_code_point)
{
        static const unsigned char lead_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
        const unsigned char *bytes = (const unsigned char *)text;
        size_t length;
        uint32_t code_point;

        if (n == 0)
                return 0;
        length = utf8_length(bytes[0]);
        if (length == 0 || length > n)
                return 0;
        code_point = bytes[0] & lead_mask[length];
        for (size_t i = 1; i < length; i++) {
                if (!continuation_is_valid(bytes[0], i, bytes[i]))
                        return 0;
                code_point = code_point << 6 | (bytes[i] & 0x3f);
        }
        *ret_code_point = code_point;
        return length;
}

size_t utf8_encode(uint32_t code_point, char ret_text[4])
{
        if (code_point < 0x80) {
                ret_text[0] = (char)code_point;
                return 1;
        }
        if (code_point < 0x800) {
                ret_text[0] = (char)(0xc0 | code_point >> 6);
                ret_text[1] = (char)(0x80 | (code_point & 0x3f));
                return 2;
        }
        if (code_point >= 0xd800 && code_point < 0xe000)
                return 0;
        if (code_point < 0x10000) {
                ret_text[0] = (char)(0xe0 | code_point >> 12);
                ret_text[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
                ret_text[2] = (char)(0x80 | (code_point & 0x3f));
                return 3;
        }
        if (code_point >= 0x110000)
                return 0;
        ret_text[0] = (char)(0xf0 | code_point >> 18);
        ret_text[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
        ret_text[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
        ret_text[3] = (char)(0x80 | (code_point & 0x3f));
        return 4;
}

bool utf8_is_valid(const char *text, size_t n, size_t *ret_offset)
{
        uint32_t code_point;
        size_t length;

        for (size_t i = 0; i < n; i += length) {
                length = utf8_decode(text + i, n - i, &code_point);
                if (length == 0) {
                        if (ret_offset)
                                *ret_offset = i;
                        return false;
                }
        }
        return true;
}

size_t utf8_complete(const char *text, size_t n)
{
        const unsigned char *bytes = (const unsigned char *)text;

        /* Only the last three bytes can belong to a sequence that is not yet whole. */
        for (size_t back = 1; back <= 3 && back <= n; back++) {
                unsigned char lead = bytes[n - back];
                bool valid = true;

                if ((lead & 0xc0) == 0x80)
                        continue;
                if (utf8_length(lead) <= back)
                        return n;
                for (size_t i = 1; i < back; i++)
                        valid = valid && continuation_is_valid(lead, i, bytes[n - back + i]);
                return valid ? n - back : n;
        }
        return n;
}

size_t utf8_count(const char *text, size_t n)
{
        size_t count = 0;

        for (size_t i = 0; i < n; i++)
                count += ((unsigned char)text[i] & 0xc0) != 0x80;
        return count;
}
