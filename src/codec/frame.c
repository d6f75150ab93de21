/* frame.c - the fixed header, read byte by byte as it arrives, and lengths measured before they are
 * written. */
#include "codec/frame.h"

#define LENGTH_BYTES_MAX 4

/* One byte of the Remaining Length, least significant first. False: not a Variable Byte Integer. */
static bool take_length(struct midge_head *h, uint8_t byte)
{
    unsigned index = h->got - 1u; /* of this byte among those of the length */
    h->remaining |= (uint32_t)(byte & 0x7F) << (7 * index);
    h->complete = (byte & 0x80) == 0;
    if (!h->complete)
        return index + 1 < LENGTH_BYTES_MAX; /* [U5-1.5.5-long] */
    return byte != 0 || index == 0;          /* the shortest form only [MQTT-1.5.5-1] */
}

uint32_t midge_head_feed(struct midge_head *h, struct midge_slice in, enum midge_reason *rc)
{
    uint32_t taken = 0;
    *rc = MIDGE_RC_SUCCESS;
    while (taken < in.len && !h->complete) {
        uint8_t byte = in.data[taken++];
        if (h->got == 0) {
            h->first = byte;
            h->remaining = 0;
        } else if (!take_length(h, byte)) {
            h->complete = false;
            *rc = MIDGE_RC_MALFORMED;
            return taken;
        }
        h->got++;
    }
    return taken;
}

uint32_t midge_head_packet_bytes(const struct midge_head *h)
{
    return h->got + h->remaining;
}

void midge_write_sized(struct midge_wr *w, midge_write_fn part, const void *from)
{
    struct midge_wr measure;
    midge_wr_init(&measure, NULL, 0, 0);
    part(&measure, from);
    midge_wr_varint(w, measure.total);
    part(w, from);
}
