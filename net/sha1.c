/* sha1.c - SHA-1 (RFC 3174) of a message that fits two blocks. It guards nothing here: RFC 6455 wants it so that a
 * server shows that it read the request. */
#include "net/sha1.h"

#include <string.h>

#define BLOCK 64u

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x << by | x >> (32u - by);
}

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void write_u32(uint8_t *p, uint32_t x)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(x >> (24 - 8 * i));
}

/* f and K of round t. */
static uint32_t choose(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    switch (t / 20) {
    case 0:
        return ((b & c) | (~b & d)) + 0x5A827999u;
    case 1:
        return (b ^ c ^ d) + 0x6ED9EBA1u;
    case 2:
        return ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDCu;
    default:
        return (b ^ c ^ d) + 0xCA62C1D6u;
    }
}

static void mix(uint32_t h[5], const uint8_t block[BLOCK])
{
    uint32_t w[16], s[5];
    memcpy(s, h, sizeof s);
    for (unsigned t = 0; t < 16; t++)
        w[t] = read_u32(block + (size_t)4 * t);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t *word = &w[t % 16];
        if (t >= 16)
            *word = rotate(w[(t - 3) % 16] ^ w[(t - 8) % 16] ^ w[(t - 14) % 16] ^ *word, 1);
        uint32_t a = rotate(s[0], 5) + choose(t, s[1], s[2], s[3]) + s[4] + *word;
        s[4] = s[3];
        s[3] = s[2];
        s[2] = rotate(s[1], 30);
        s[1] = s[0];
        s[0] = a;
    }
    for (unsigned i = 0; i < 5; i++)
        h[i] += s[i];
}

void midge_sha1_short(const void *message, size_t n, uint8_t digest[20])
{
    uint32_t h[5] = { 0x67452301u, 0xEFCDAB89u, 0x98BADCFEu, 0x10325476u, 0xC3D2E1F0u };
    uint8_t padded[2 * BLOCK] = { 0 };
    size_t size = n + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    memcpy(padded, message, n);
    padded[n] = 0x80;
    write_u32(padded + size - 4, (uint32_t)(8 * n));
    for (size_t at = 0; at < size; at += BLOCK)
        mix(h, padded + at);
    for (unsigned i = 0; i < 5; i++)
        write_u32(digest + (size_t)4 * i, h[i]);
}
