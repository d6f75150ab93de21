/* fuzz_ws.c - the HTTP upgrade, WebSocket frames and PROXY headers, cut anywhere; what goes out must be frames of a
 * server.
 *
 * Input: which layers, how much is fed and pulled at once, then steps: raw bytes, a good upgrade, a frame with its mask
 * and length put right, bytes from above.
 */
#include "fuzz.h"

#include "net/layer.h"
#include "net/proxy.h"
#include "net/ws.h"

static const char request[] = "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

static struct fuzz_heap heap;
static size_t feed_max, room, to_send, came;
static uint8_t wire[1u << 14];
static size_t wire_len;
static bool has_ws, answered, closed;

static void top_feed(void *user, uint8_t *bytes, size_t n)
{
    (void)user;
    for (size_t i = 0; i < n; i++)
        came += bytes[i]; /* reads them all */
}

static size_t top_pull(void *user, uint8_t *out, size_t space)
{
    (void)user;
    const size_t n = to_send < space ? to_send : space;
    memset(out, 'o', n);
    to_send -= n;
    return n;
}

static void drop_wire(size_t n)
{
    if (n < wire_len)
        memmove(wire, wire + n, wire_len - n);
    wire_len -= n;
}

/* The answer to the request, then unmasked frames; nothing after a close. */
static void check_wire(void)
{
    if (!has_ws) {
        wire_len = 0;
        return;
    }
    while (wire_len && !answered) {
        size_t n = 0;
        while (n + 4 <= wire_len && memcmp(wire + n, "\r\n\r\n", 4) != 0)
            n++;
        if (n + 4 > wire_len)
            return;
        MUST(memcmp(wire, "HTTP/1.1 ", 9) == 0);
        answered = true;
        if (memcmp(wire + 9, "101", 3) != 0) { /* a refusal may have a body */
            closed = true;
            wire_len = 0;
            return;
        }
        drop_wire(n + 4);
    }
    while (wire_len >= 2 && !closed) {
        const uint8_t opcode = wire[0] & 0x0F;
        size_t len = wire[1] & 0x7F, head = 2;
        MUST((wire[1] & 0x80) == 0 && (wire[0] & 0x70) == 0);
        MUST(opcode == 2 || opcode == 0 || opcode == 8 || opcode == 9 || opcode == 10);
        if (len >= 126) {
            const size_t bytes = len == 126 ? 2 : 8;
            if (wire_len < 2 + bytes)
                return;
            len = 0;
            for (size_t i = 0; i < bytes; i++)
                len = len << 8 | wire[2 + i];
            MUST(len >= (bytes == 2 ? 126u : 65536u));
            head += bytes;
        }
        if (wire_len < head + len)
            return;
        MUST(opcode < 8 || (len <= 125 && wire[0] & 0x80));
        closed = opcode == 8;
        drop_wire(head + len);
    }
    MUST(!closed || wire_len == 0);
}

static void pull(struct midge_chain *c)
{
    size_t n;
    while (wire_len + room <= sizeof wire && (n = midge_chain_pull(c, wire + wire_len, room)) > 0) {
        MUST(n <= room);
        wire_len += n;
    }
    check_wire();
}

static void feed(struct midge_chain *c, const uint8_t *bytes, size_t n)
{
    while (n && !c->ended) {
        const size_t now = feed_max && feed_max < n ? feed_max : n;
        uint8_t *copy = copy_of((struct midge_slice){ bytes, (uint32_t)now });
        midge_chain_feed(c, copy, now);
        free(copy);
        bytes += now;
        n -= now;
    }
}

static void feed_frame(struct midge_chain *c, struct input *in)
{
    uint8_t frame[14 + 255];
    const uint8_t first = choose(in, 4) ? (uint8_t)(0x80 | (choose(in, 2) ? 2 : choose(in, 16))) : take_u8(in);
    const struct midge_slice body = take_bytes(in, take_u8(in));
    const bool masked = choose(in, 16) != 0, wide = choose(in, 8) == 1;
    size_t n = 0;
    frame[n++] = first;
    if (body.len > 125 || wide) {
        frame[n++] = (uint8_t)(masked ? 0xFE : 0x7E);
        frame[n++] = 0;
        frame[n++] = (uint8_t)body.len;
    } else {
        frame[n++] = (uint8_t)((masked ? 0x80 : 0) | body.len);
    }
    for (unsigned i = 0; masked && i < 4; i++)
        frame[n++] = (uint8_t)(i * 17);
    for (uint32_t i = 0; i < body.len; i++)
        frame[n++] = (uint8_t)(body.data[i] ^ (masked ? i % 4 * 17 : 0));
    feed(c, frame, n);
}

static void step(struct midge_chain *c, struct input *in)
{
    struct midge_slice raw;
    switch (choose(in, 8)) {
    case 0: feed(c, (const uint8_t *)request, sizeof request - 1); break;
    case 1: to_send += take_u8(in) * 10u; break;
    case 2: pull(c); break;
    case 3: midge_chain_close(c); break;
    case 4:
        raw = take_bytes(in, take_u8(in));
        feed(c, raw.data, raw.len);
        break;
    default: feed_frame(c, in); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const origins[] = { "https://x" };
    static const struct midge_chain_top top = { .feed = top_feed, .pull = top_pull };
    struct input in = { bytes, n };
    const unsigned flags = take_u8(&in);
    const struct midge_ws_options options = {
        .path = flags & 1 ? "/mqtt" : NULL, .origins = origins, .origin_count = flags & 2 ? 1 : 0,
        .header_bytes = flags & 4 ? 300 : 0,
    };
    struct midge_chain c = { .top = &top };
    fuzz_heap_open(&heap, flags & 8 ? 2 + choose(&in, 4) : 0);
    feed_max = choose(&in, 64);
    room = 1 + take_u8(&in) * 5u;
    to_send = came = wire_len = 0;
    answered = closed = false;
    bool pushed = !(flags & 16) || midge_chain_push(&c, midge_proxy_new(&heap.memory));
    has_ws = (flags & 48) != 16;
    pushed = pushed && (!has_ws || midge_chain_push(&c, midge_ws_new(&options, &heap.memory)));
    while (pushed && in.left)
        step(&c, &in);
    if (pushed)
        pull(&c);
    midge_chain_free(&c);
    MUST(heap.used == 0);
    return 0;
}
