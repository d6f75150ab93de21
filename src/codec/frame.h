/* frame.h - cuts a byte stream into packets, by the fixed header [MQTT 5.0 section 2.1]. */
#ifndef MIDGE_CODEC_FRAME_H
#define MIDGE_CODEC_FRAME_H

#include "base/writer.h"

enum midge_packet {
    PK_RESERVED, PK_CONNECT, PK_CONNACK, PK_PUBLISH, PK_PUBACK, PK_PUBREC, PK_PUBREL, PK_PUBCOMP,
    PK_SUBSCRIBE, PK_SUBACK, PK_UNSUBSCRIBE, PK_UNSUBACK, PK_PINGREQ, PK_PINGRESP, PK_DISCONNECT, PK_AUTH
};

#define MIDGE_V31 3
#define MIDGE_V311 4
#define MIDGE_V50 5

/* A fixed header as far as it has arrived: at most 5 bytes. */
struct midge_head {
    uint8_t first;      /* type and flags */
    uint8_t got;        /* header bytes seen, 0..5 */
    bool complete;
    uint32_t remaining; /* Remaining Length, when complete */
};

/* Feeds header bytes; returns how many were taken (stops when complete).
 * MIDGE_RC_MALFORMED: over-long Remaining Length [MQTT-1.5.5-1] [U5-1.5.5-long]. */
uint32_t midge_head_feed(struct midge_head *h, struct midge_slice in, enum midge_reason *rc);

static inline enum midge_packet midge_head_type(const struct midge_head *h)
{
    return (enum midge_packet)(h->first >> 4);
}

/* Size of the whole packet: header and remaining length. */
uint32_t midge_head_packet_bytes(const struct midge_head *h);

/* Writes a part of a packet out of `from`; called twice, so it writes the same both times. */
typedef void (*midge_write_fn)(struct midge_wr *w, const void *from);

/* Writes the length of what `part` writes, as a Variable Byte Integer, and then that: a packet after its first
 * byte, or a property section. */
void midge_write_sized(struct midge_wr *w, midge_write_fn part, const void *from);

#endif
