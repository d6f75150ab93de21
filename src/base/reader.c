/* reader.c - the cursor of reader.h. */
#include "base/reader.h"

#include "base/slice.h"
#include "base/utf8.h"

#define VARINT_BITS 28 /* four bytes of 7 */

void midge_rd_start(struct midge_rd *r, const uint8_t *bytes, uint32_t len)
{
    static const uint8_t nothing[1];
    r->at = bytes ? bytes : nothing; /* so that an empty field still has an address */
    r->end = r->at + len;
    r->failed = false;
}

/* The next n bytes; NULL and failed when there are fewer. */
static const uint8_t *take(struct midge_rd *r, uint32_t n)
{
    if (n > midge_rd_left(r))
        r->failed = true;
    if (r->failed)
        return NULL;
    r->at += n;
    return r->at - n;
}

uint8_t midge_rd_u8(struct midge_rd *r)
{
    const uint8_t *p = take(r, 1);
    return p ? p[0] : 0;
}

uint16_t midge_rd_u16(struct midge_rd *r)
{
    const uint8_t *p = take(r, 2);
    return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

uint32_t midge_rd_u32(struct midge_rd *r)
{
    const uint8_t *p = take(r, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

uint32_t midge_rd_varint(struct midge_rd *r)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < VARINT_BITS; shift += 7) {
        uint8_t byte = midge_rd_u8(r);
        value |= (uint32_t)(byte & 0x7F) << shift;
        if (byte == 0 && shift > 0)
            break; /* a shorter form exists [MQTT-1.5.5-1] */
        if (byte < 0x80)
            return value;
    }
    r->failed = true;
    return 0;
}

void midge_rd_bytes(struct midge_rd *r, uint32_t n, struct midge_slice *out)
{
    out->data = take(r, n);
    out->len = out->data ? n : 0;
}

void midge_rd_binary(struct midge_rd *r, struct midge_slice *out)
{
    midge_rd_bytes(r, midge_rd_u16(r), out);
}

void midge_rd_string(struct midge_rd *r, struct midge_slice *out)
{
    midge_rd_binary(r, out);
    if (midge_utf8_valid(*out))
        return;
    r->failed = true; /* [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT311-1.5.3-1] [MQTT311-1.5.3-2] */
    *out = (struct midge_slice){ 0 };
}

void midge_rd_rest(struct midge_rd *r, struct midge_slice *out)
{
    midge_rd_bytes(r, midge_rd_left(r), out);
}

uint32_t midge_rd_left(const struct midge_rd *r)
{
    return r->failed ? 0 : (uint32_t)(r->end - r->at);
}
