/* msg.c - messages: one block, one copy, one count. */
#include "state/msg.h"

#include "base/slice.h"

#define NUMBER ((uint32_t)sizeof(uint32_t))

static uint32_t expiry_bytes(bool has_expiry)
{
    return MIDGE_MSG_EXPIRY && has_expiry ? NUMBER : 0;
}

/* Of what stands behind the payload. */
static uint32_t number_bytes(bool has_expiry, bool retain)
{
    return expiry_bytes(has_expiry) + (MIDGE_RETAIN && retain ? NUMBER : 0);
}

uint32_t midge_msg_bytes(const struct midge_msg *m)
{
    return m->topic_len + m->props_len + m->payload_len;
}

static size_t block_size(const struct midge_msg *m)
{
    return sizeof *m + number_bytes(m->has_expiry, m->retain) + midge_msg_bytes(m);
}

size_t midge_msg_size(const struct midge_msg_parts *p)
{
    return sizeof(struct midge_msg) + number_bytes(p->has_expiry, p->retain) + p->topic.len + p->props.len +
           p->payload.len;
}

static void begin(struct midge_msg *m, const struct midge_msg_parts *p)
{
    *m = (struct midge_msg){
        .refs = 1,
        .payload_len = p->payload.len,
        .props_len = p->props.len,
        .topic_len = (uint16_t)p->topic.len,
        .qos = p->qos & 3u,
        .retain = p->retain,
        .has_expiry = p->has_expiry,
        .bridged = p->bridged,
    };
    midge_msg_arrived(m, p->age_base);
}

/* When the lengths stand: the numbers. */
static void end(struct midge_msg *m, const struct midge_msg_parts *p)
{
    if (MIDGE_MSG_EXPIRY && p->has_expiry)
        memcpy(m->bytes + midge_msg_bytes(m), &p->expiry_s, NUMBER);
    midge_msg_set_origin(m, p->origin);
}

static uint8_t *copy(uint8_t *to, struct midge_slice from)
{
    if (from.len > 0 && from.data)
        memmove(to, from.data, from.len);
    return to + from.len;
}

struct midge_msg *midge_msg_new(struct midge_mem *mem, const struct midge_msg_parts *p)
{
    /* A message that clears a retained one makes room: the reserve is open to it, as to control packets. */
    enum midge_tag tag = p->retain && !p->payload.len ? MIDGE_TAG_CONTROL : MIDGE_TAG_MSG;
    struct midge_msg *m = midge_mem_alloc(mem, midge_msg_size(p), tag);
    if (!m)
        return NULL;
    if (tag != MIDGE_TAG_MSG)
        midge_mem_retag(mem, midge_msg_size(p), tag, MIDGE_TAG_MSG);
    begin(m, p);
    copy(copy(copy(m->bytes, p->topic), p->props), p->payload);
    end(m, p);
    return m;
}

/* Every part moves towards the front, first the foremost, so none is overwritten before it has moved. */
struct midge_msg *midge_msg_adopt(struct midge_mem *mem, void *block, size_t size,
                                  const struct midge_msg_parts *p,
                                  uint32_t (*pack)(struct midge_slice props, uint8_t *out))
{
    _Static_assert(MIDGE_MSG_HEADROOM >= sizeof(struct midge_msg) + (size_t)2 * NUMBER,
                   "head and numbers need no more than the headroom");
    struct midge_msg *m = block;
    begin(m, p);
    uint8_t *at = copy(m->bytes, p->topic);
    m->props_len = MIDGE_V5 ? pack(p->props, at) : 0;
    copy(at + m->props_len, p->payload);
    end(m, p);

    size_t needed = block_size(m);
    midge_mem_retag(mem, size, MIDGE_TAG_FRAME, MIDGE_TAG_MSG);
    return midge_mem_resize(mem, m, size, needed, MIDGE_TAG_MSG);
}

void midge_msg_arrived(struct midge_msg *m, midge_ms age)
{
    m->arrived_low = (uint32_t)age;
    m->arrived_high = age >> 32 & 0x3FF;
}

void midge_msg_drop(struct midge_mem *mem, struct midge_msg *m)
{
    if (m && --m->refs == 0)
        midge_mem_free(mem, m, block_size(m), MIDGE_TAG_MSG);
}

/* Where the origin stands in `bytes`. */
static uint32_t origin_at(const struct midge_msg *m)
{
    return midge_msg_bytes(m) + expiry_bytes(m->has_expiry);
}

uint32_t midge_msg_origin(const struct midge_msg *m)
{
    uint32_t origin = 0;
    if (MIDGE_RETAIN && m->retain)
        memcpy(&origin, m->bytes + origin_at(m), NUMBER);
    return origin;
}

void midge_msg_set_origin(struct midge_msg *m, uint32_t origin)
{
    if (MIDGE_RETAIN && m->retain)
        memcpy(m->bytes + origin_at(m), &origin, NUMBER);
}

uint32_t midge_msg_expiry_s(const struct midge_msg *m)
{
    if (!m->has_expiry)
        return 0;
    uint32_t s;
    memcpy(&s, m->bytes + midge_msg_bytes(m), sizeof s);
    return s;
}

midge_ms midge_msg_expires(const struct midge_msg *m)
{
    if (!MIDGE_MSG_EXPIRY || !m->has_expiry)
        return MIDGE_NEVER;
    uint32_t s = midge_msg_expiry_s(m);
    return midge_msg_arrival(m) + (s > 0 ? (midge_ms)s * 1000 : 1);
}

bool midge_msg_left(const struct midge_msg *m, midge_ms age, uint32_t *left_s)
{
    if (!MIDGE_MSG_EXPIRY || !m->has_expiry)
        return true;
    if (age >= midge_msg_expires(m))
        return false; /* [MQTT-3.3.2-5] */
    midge_ms waited = age > midge_msg_arrival(m) ? age - midge_msg_arrival(m) : 0;
    *left_s = midge_msg_expiry_s(m) - (uint32_t)(waited / 1000); /* [MQTT-3.3.2-6] */
    return true;
}
