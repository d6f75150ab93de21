/* writer.c - the window of writer.h. */
#include "base/writer.h"

#include <string.h>

void midge_wr_init(struct midge_wr *w, void *out, uint32_t room, uint32_t skip)
{
    *w = (struct midge_wr){ .out = out, .room = room, .skip = skip };
}

/* The source may lie further back in the same block (a PUBLISH that becomes its message). */
static void copy(struct midge_wr *w, const uint8_t *from, uint32_t n)
{
    memmove(w->out, from, n);
    w->out += n;
    w->room -= n;
}

/* What of these bytes lies in the window, when that is not all. */
static void copy_part(struct midge_wr *w, const uint8_t *from, uint32_t n)
{
    uint32_t passed = w->skip < n ? w->skip : n;
    w->skip -= passed;
    n -= passed;
    if (n > w->room)
        n = w->room;
    if (n > 0)
        copy(w, from + passed, n);
}

static inline void put(struct midge_wr *w, const uint8_t *from, uint32_t n)
{
    w->total += n;
    if (w->skip == 0 && n <= w->room)
        copy(w, from, n);
    else
        copy_part(w, from, n);
}

void midge_wr_u8(struct midge_wr *w, uint8_t v)
{
    put(w, &v, 1);
}

void midge_wr_u16(struct midge_wr *w, uint16_t v)
{
    uint8_t bytes[2] = { (uint8_t)(v >> 8), (uint8_t)v };
    put(w, bytes, sizeof bytes);
}

void midge_wr_u32(struct midge_wr *w, uint32_t v)
{
    uint8_t bytes[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
    put(w, bytes, sizeof bytes);
}

void midge_wr_varint(struct midge_wr *w, uint32_t v)
{
    while (v >= 0x80) {
        midge_wr_u8(w, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    midge_wr_u8(w, (uint8_t)v);
}

void midge_wr_bytes(struct midge_wr *w, struct midge_slice s)
{
    if (s.len > 0) /* data may be NULL, which memcpy must not see */
        put(w, s.data, s.len);
}

void midge_wr_string(struct midge_wr *w, struct midge_slice s)
{
    midge_wr_u16(w, (uint16_t)s.len);
    midge_wr_bytes(w, s);
}

uint32_t midge_varint_size(uint32_t v)
{
    uint32_t size = 1;
    while (v >= 0x80) {
        v >>= 7;
        size++;
    }
    return size;
}
