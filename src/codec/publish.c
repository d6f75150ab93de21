/* publish.c - PUBLISH, in and out: the packet that all speed hangs on. */
#include "codec/packet.h"

#include "base/slice.h"

#define DUP 0x08
#define RETAIN 0x01

bool midge_topic_name_ok(struct midge_slice topic)
{
    return topic.len > 0 && !memchr(topic.data, '+', topic.len) && !memchr(topic.data, '#', topic.len);
}

bool midge_response_topic_ok(const struct midge_props *p)
{
    return !MIDGE_V5 || !midge_props_has(p, PROP_RESPONSE_TOPIC) ||
           midge_topic_name_ok(midge_props_text(p, PROP_RESPONSE_TOPIC));
}

/* What a PUBLISH of sound form may still break. */
static enum midge_reason check(const struct midge_publish *p)
{
    if (p->qos > 0 && p->pid == 0)
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-2.2.1-3] [MQTT311-2.3.1-1] */
    if (p->topic.len == 0 && !(MIDGE_V5 && midge_props_has(&p->props, PROP_TOPIC_ALIAS)))
        return MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.3.2.1-empty] [MQTT311-4.7.3-1] */
    if (p->topic.len > 0 && !midge_topic_name_ok(p->topic))
        return MIDGE_RC_TOPIC_NAME_INVALID; /* [MQTT-3.3.2-2] [MQTT311-3.3.2-2] */
    if (!midge_response_topic_ok(&p->props))
        return MIDGE_RC_TOPIC_NAME_INVALID; /* [MQTT-3.3.2-14] */
    return MIDGE_RC_SUCCESS;
}

enum midge_reason midge_decode_publish(uint8_t first, struct midge_slice body, uint8_t version,
                                       struct midge_publish *out)
{
    out->dup = (first & DUP) != 0;
    out->retain = (first & RETAIN) != 0;
    out->qos = first >> 1 & 3;
    if (out->qos > 2 || (out->dup && out->qos == 0))
        return MIDGE_RC_MALFORMED; /* [MQTT-3.3.1-4] [MQTT-3.3.1-2] [MQTT311-3.3.1-4] [MQTT311-3.3.1-2] */

    struct midge_rd r;
    midge_rd_init(&r, body);
    midge_rd_string(&r, &out->topic);               /* [MQTT-3.3.2-1] [MQTT311-3.3.2-1] */
    out->pid = out->qos > 0 ? midge_rd_u16(&r) : 0; /* [MQTT-2.2.1-2] [MQTT311-2.3.1-5] */
    enum midge_reason rc = midge_props_read(&r, version, MIDGE_IN(PK_PUBLISH), &out->props);
    midge_rd_rest(&r, &out->payload);
    return rc != MIDGE_RC_SUCCESS ? rc : check(out);
}

static uint32_t subscription_ids_size(const struct midge_publish_out *p)
{
    uint32_t n = p->subscription_id_count;
    for (uint32_t i = 0; i < p->subscription_id_count; i++)
        n += midge_varint_size(p->subscription_ids[i]);
    return n;
}

static uint32_t props_size(const struct midge_publish_out *p)
{
    return (p->topic_alias ? 3u : 0u) + (p->has_expiry ? 5u : 0u) + subscription_ids_size(p) + p->props.len +
           p->more_props.len;
}

/* Remaining Length; *props is the length of the property section. */
static uint32_t remaining(const struct midge_publish_out *p, uint32_t *props)
{
    uint32_t n = 2 + p->topic.len + (p->qos > 0 ? 2u : 0u) + p->payload.len;
    *props = 0;
    if (MIDGE_V5 && p->version == MIDGE_V50) {
        *props = props_size(p);
        n += midge_varint_size(*props) + *props;
    }
    return n;
}

uint32_t midge_publish_size(const struct midge_publish_out *p)
{
    uint32_t props;
    uint32_t n = remaining(p, &props);
    return 1 + midge_varint_size(n) + n;
}

static void write_props(struct midge_wr *w, const struct midge_publish_out *p, uint32_t size)
{
    midge_wr_varint(w, size); /* 0 when there are none [MQTT-2.2.2-1] */
    if (p->topic_alias)
        midge_prop_number(w, PROP_TOPIC_ALIAS, p->topic_alias);
    if (p->has_expiry)
        midge_prop_number(w, PROP_MESSAGE_EXPIRY, p->expiry_s);
    for (uint32_t i = 0; i < p->subscription_id_count; i++)
        midge_prop_number(w, PROP_SUBSCRIPTION_ID, p->subscription_ids[i]);
    midge_wr_bytes(w, p->props);
    midge_wr_bytes(w, p->more_props);
}

void midge_encode_publish(struct midge_wr *w, const struct midge_publish_out *p)
{
    uint32_t props;
    uint32_t n = remaining(p, &props);
    midge_wr_u8(w, (uint8_t)(PK_PUBLISH << 4 | (p->dup ? DUP : 0) | p->qos << 1 | (p->retain ? RETAIN : 0)));
    midge_wr_varint(w, n);
    midge_wr_string(w, p->topic);
    if (p->qos > 0)
        midge_wr_u16(w, p->pid);
    if (MIDGE_V5 && p->version == MIDGE_V50)
        write_props(w, p, props);
    midge_wr_bytes(w, p->payload);
}
