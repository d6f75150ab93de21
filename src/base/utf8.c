/* utf8.c - UTF-8 by the table of well-formed byte sequences (Unicode, table 3-7). */
#include "base/utf8.h"

#include <string.h>

#define ONES (SIZE_MAX / 0xFF) /* 0x01 in each byte of a word */
#define HIGHS (ONES * 0x80)

/* Bytes up to the first word that has one which is 0 or not ASCII. In a word of ASCII, taking 1 from each byte sets a
 * top bit only where a byte is 0, or above one. */
static size_t ascii_words(const uint8_t *p, size_t len)
{
    size_t at = 0;
    for (size_t word; len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, p + at, sizeof word);
        if (((word | (word - ONES)) & HIGHS) != 0)
            break;
    }
    return at;
}

/* Length of the character of two to four bytes at p; 0 = malformed. */
static size_t multibyte(const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    if (lead < 0xC2 || lead > 0xF4) /* a continuation, an overlong form of ASCII, beyond U+10FFFF */
        return 0;
    size_t len = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (left < len)
        return 0;
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;  /* overlong below */
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF; /* surrogates, U+110000 above */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool midge_utf8_check(const uint8_t *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        at += ascii_words(text + at, len - at);
        while (at < len && text[at] < 0x80) {
            if (text[at] == 0)
                return false;
            at++;
        }
        if (at == len)
            return true;
        size_t n = multibyte(text + at, len - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}
