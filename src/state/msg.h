/* msg.h - an application message: immutable, counted, topic, properties and payload in one block. */
#ifndef MIDGE_STATE_MSG_H
#define MIDGE_STATE_MSG_H

#include "base/mem.h"

/* One block:  header | topic | props | payload | expiry_s (4 bytes, only with has_expiry) | origin (4, only with
 * retain). 20 bytes of header. */
struct midge_msg {
    uint32_t refs;
    uint32_t payload_len;
    uint32_t props_len;      /* forwarded properties, encoded, without Message Expiry */
    uint32_t arrived_low;    /* milliseconds since midge_new when it arrived, in 42 bits: for 139 years */
    uint16_t topic_len;
    uint16_t arrived_high : 10;
    uint16_t qos : 2;
    uint16_t retain : 1;     /* as published */
    uint16_t has_expiry : 1;
    uint16_t bridged : 1;    /* came through a bridge */
    uint8_t bytes[];
};

struct midge_msg_parts {
    struct midge_slice topic, props, payload;
    uint8_t qos;
    bool retain;
    bool has_expiry;
    bool bridged;
    uint32_t expiry_s;
    uint32_t origin;         /* keyed hash of the publishing client id, for No Local on retained; 0 = the host */
    midge_ms age_base;       /* `now` in ms since midge_new */
};

/* Bytes of the block that midge_msg_new would draw. */
size_t midge_msg_size(const struct midge_msg_parts *p);

/* One reference, tag MIDGE_TAG_MSG; copies all. props: as midge_props_forward writes them; NULL data with a length
 * leaves that space for the caller to fill through midge_msg_props_space before anyone else sees the message. The same
 * for the payload is not offered. NULL: no memory. One that clears a retained message may use the reserve. */
struct midge_msg *midge_msg_new(struct midge_mem *mem, const struct midge_msg_parts *p);

/* A block whose first MIDGE_MSG_HEADROOM bytes are free and which holds topic, props and payload behind them, in this
 * order, becomes the message: the parts move together in place, the block shrinks. `p->props` may have gaps: `pack`
 * copies what is forwarded to `out` (below or at its source) and returns the size; not called without MIDGE_V5. Takes
 * the block (size bytes, tag MIDGE_TAG_FRAME); cannot fail. */
#define MIDGE_MSG_HEADROOM 28
struct midge_msg *midge_msg_adopt(struct midge_mem *mem, void *block, size_t size, const struct midge_msg_parts *p,
                                  uint32_t (*pack)(struct midge_slice props, uint8_t *out));

static inline uint8_t *midge_msg_props_space(struct midge_msg *m)
{
    return m->bytes + m->topic_len;
}

/* Only with these can a message have a Message Expiry. */
#define MIDGE_MSG_EXPIRY (MIDGE_V5 || MIDGE_LOCAL)

/* It arrives (again) now: its lifetime counts from here. */
void midge_msg_arrived(struct midge_msg *m, midge_ms age);
static inline midge_ms midge_msg_arrival(const struct midge_msg *m)
{
    return (midge_ms)m->arrived_high << 32 | m->arrived_low;
}

uint32_t midge_msg_expiry_s(const struct midge_msg *m); /* as it came; 0 without one */

/* Whose it is; kept of retained messages only, else 0. */
uint32_t midge_msg_origin(const struct midge_msg *m);
void midge_msg_set_origin(struct midge_msg *m, uint32_t origin);

static inline struct midge_msg *midge_msg_hold(struct midge_msg *m)
{
    m->refs++;
    return m;
}
void midge_msg_drop(struct midge_mem *mem, struct midge_msg *m); /* NULL is fine */

static inline struct midge_slice midge_msg_topic(const struct midge_msg *m)
{
    return (struct midge_slice){ .data = m->bytes, .len = m->topic_len };
}

static inline struct midge_slice midge_msg_props(const struct midge_msg *m)
{
    return (struct midge_slice){ .data = m->bytes + m->topic_len, .len = m->props_len };
}

static inline struct midge_slice midge_msg_payload(const struct midge_msg *m)
{
    return (struct midge_slice){ .data = m->bytes + m->topic_len + m->props_len, .len = m->payload_len };
}

/* What limits.queue_bytes and retained_bytes count: topic, properties, payload. */
uint32_t midge_msg_bytes(const struct midge_msg *m);

/* Lifetime left at `age` (ms since midge_new): seconds received minus whole seconds waited [MQTT-3.3.2-6].
 * False = expired [MQTT-3.3.2-5]. Without an expiry: true, *left_s untouched. */
bool midge_msg_left(const struct midge_msg *m, midge_ms age, uint32_t *left_s);

/* ms since midge_new at which it expires; MIDGE_NEVER without an expiry. One with 0 seconds lives for a
 * millisecond: those who can have it at once do. */
midge_ms midge_msg_expires(const struct midge_msg *m);

#endif
