/* ws.c - RFC 6455, as far as a client that measures needs it: binary frames, no pings. */
#include "ws.h"

#include <stdio.h>
#include <string.h>

#define FIN_BINARY 0x82
#define OPCODE 0x0f
#define OPCODE_BINARY 2
#define MASKED 0x80
#define LENGTH_16 126
#define LENGTH_64 127

void ws_add_upgrade(struct buffer *out, const char *host)
{
    char text[512];
    const int n = snprintf(text, sizeof text,
                           "GET /mqtt HTTP/1.1\r\nHost: %.200s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Key: bWlkZ2UtYmVuY2gtcnVucw==\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
                           host);
    buffer_add(out, text, (size_t)n);
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static size_t put_head(uint8_t *at, size_t n)
{
    size_t bytes = n < LENGTH_16 ? 0 : n <= UINT16_MAX ? 2 : 8;
    at[0] = FIN_BINARY;
    at[1] = (uint8_t)(MASKED | (bytes == 0 ? n : bytes == 2 ? LENGTH_16 : LENGTH_64));
    for (size_t i = 0; i < bytes; i++)
        at[2 + i] = (uint8_t)((uint64_t)n >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

/* The mask is always the same: it is there for proxies, and the broker's work does not depend on it. */
void ws_add_frame(struct buffer *out, const uint8_t *bytes, size_t n)
{
    static const uint8_t mask[8] = { 0x5a, 0xc3, 0x96, 0x0f, 0x5a, 0xc3, 0x96, 0x0f };
    uint64_t wide;
    memcpy(&wide, mask, sizeof wide);
    uint8_t *at = buffer_room(out, 14 + n);
    at += put_head(at, n);
    memcpy(at, mask, 4);
    at += 4;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        word ^= wide;
        memcpy(at + i, &word, 8);
    }
    for (; i < n; i++)
        at[i] = bytes[i] ^ mask[i % 4];
    out->len = (size_t)(at + n - out->bytes);
}

/* ---- in ------------------------------------------------------------------------------------------------ */

/* Bytes of the answer to the upgrade at the front. */
static size_t pass_answer(struct ws *w, const uint8_t *bytes, size_t n)
{
    static const uint8_t end[] = { '\r', '\n', '\r', '\n' };
    size_t at = 0;
    while (at < n && w->seen < sizeof end) {
        w->seen = (uint8_t)(bytes[at] == end[w->seen] ? w->seen + 1 : bytes[at] == '\r');
        at++;
    }
    w->greeted = w->seen == sizeof end;
    return at;
}

static size_t head_bytes(const struct ws *w)
{
    if (w->head_len < 2)
        return 2;
    return w->head[1] == LENGTH_64 ? 10 : w->head[1] == LENGTH_16 ? 4 : 2;
}

/* The head is whole. False: not a frame of data. */
static bool begin_frame(struct ws *w)
{
    const size_t bytes = w->head_len - 2u;
    w->left = bytes ? 0 : w->head[1];
    for (size_t i = 0; i < bytes; i++)
        w->left = w->left << 8 | w->head[2 + i];
    w->head_len = 0;
    return (w->head[0] & OPCODE) <= OPCODE_BINARY && !(w->head[1] & MASKED);
}

bool ws_strip(struct ws *w, uint8_t *bytes, size_t *n)
{
    size_t at = w->greeted ? 0 : pass_answer(w, bytes, *n), kept = 0;
    while (at < *n) {
        if (w->left == 0) {
            w->head[w->head_len++] = bytes[at++];
            if (w->head_len == head_bytes(w) && !begin_frame(w))
                return false;
            continue;
        }
        const size_t take = w->left < *n - at ? (size_t)w->left : *n - at;
        memmove(bytes + kept, bytes + at, take);
        kept += take;
        at += take;
        w->left -= take;
    }
    *n = kept;
    return true;
}
