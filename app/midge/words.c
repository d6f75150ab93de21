/* words.c - bytes as words of a line, and back. */
#include "words.h"

void words_put(FILE *out, struct midge_slice bytes)
{
    for (uint32_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        if (c > ' ' && c < 0x7f && c != '%' && c != '=')
            fputc(c, out);
        else
            fprintf(out, "%%%02X", c);
    }
}

/* -1: it is none. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct midge_slice words_get(char *word)
{
    char *to = word;
    for (const char *p = word; *p; to++) {
        int high = *p == '%' ? digit(p[1]) : -1, low = high >= 0 ? digit(p[2]) : -1;
        *to = low >= 0 ? (char)(high << 4 | low) : *p;
        p += low >= 0 ? 3 : 1;
    }
    return (struct midge_slice){ (const uint8_t *)word, (uint32_t)(to - word) };
}
