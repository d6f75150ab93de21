/* props.h - the property section: one table says type, where allowed, may repeat, forwarded [MQTT 5.0 2.2.2]. */
#ifndef MIDGE_CODEC_PROPS_H
#define MIDGE_CODEC_PROPS_H

#include "base/reader.h"
#include "base/writer.h"
#include "codec/frame.h"
#include "midge/midge.h"

enum midge_prop_id {
    PROP_PAYLOAD_FORMAT = 0x01, PROP_MESSAGE_EXPIRY = 0x02, PROP_CONTENT_TYPE = 0x03, PROP_RESPONSE_TOPIC = 0x08,
    PROP_CORRELATION_DATA = 0x09, PROP_SUBSCRIPTION_ID = 0x0B, PROP_SESSION_EXPIRY = 0x11, PROP_ASSIGNED_ID = 0x12,
    PROP_SERVER_KEEP_ALIVE = 0x13, PROP_AUTH_METHOD = 0x15, PROP_AUTH_DATA = 0x16, PROP_REQUEST_PROBLEM = 0x17,
    PROP_WILL_DELAY = 0x18, PROP_REQUEST_RESPONSE = 0x19, PROP_RESPONSE_INFO = 0x1A, PROP_SERVER_REFERENCE = 0x1C,
    PROP_REASON_STRING = 0x1F, PROP_RECEIVE_MAXIMUM = 0x21, PROP_TOPIC_ALIAS_MAXIMUM = 0x22, PROP_TOPIC_ALIAS = 0x23,
    PROP_MAXIMUM_QOS = 0x24, PROP_RETAIN_AVAILABLE = 0x25, PROP_USER = 0x26, PROP_MAXIMUM_PACKET_SIZE = 0x27,
    PROP_WILDCARD_AVAILABLE = 0x28, PROP_SUBSCRIPTION_ID_AVAILABLE = 0x29, PROP_SHARED_AVAILABLE = 0x2A
};

/* Where a section stands: a packet type, or the will inside CONNECT. */
#define MIDGE_IN(type) (1u << (type))
#define MIDGE_IN_WILL MIDGE_IN(PK_RESERVED)

/* A property section that was read and found lawful; values are looked up in it when they are asked for. All zero
 * is an absent section. */
struct midge_props {
    struct midge_slice section; /* all properties as they came, without the length; into the packet */
    uint8_t present[6];         /* bit per property id */
    uint16_t user_count;        /* User Properties seen */
};

static inline bool midge_props_has(const struct midge_props *p, enum midge_prop_id id)
{
    return (p->present[id / 8] & 1u << id % 8) != 0;
}

/* The value of a number; of an absent one the value that the standard gives it (Receive Maximum 65535, Maximum QoS 2,
 * Request Problem Information and what is "available" 1, else 0). Of those that may repeat, the first. */
uint32_t midge_props_number(const struct midge_props *p, enum midge_prop_id id);
/* The value of a string or binary property, into the packet; data NULL = absent. */
struct midge_slice midge_props_text(const struct midge_props *p, enum midge_prop_id id);

/* Reads length and section; below 5.0 there is neither, and nothing is read. The reader may have failed before.
 * where: MIDGE_IN(packet type) or MIDGE_IN_WILL.
 * MIDGE_RC_MALFORMED: the reader has failed, unknown or misplaced property, wrong type, bad string, section longer
 * than the packet.
 * MIDGE_RC_PROTOCOL_ERROR: repeated property, value out of its range (0/1 flags, zero Receive Maximum, zero Maximum
 * Packet Size, zero Subscription Identifier), Authentication Data without Method.
 * MIDGE_RC_TOPIC_ALIAS_INVALID: Topic Alias 0 [MQTT-3.3.2-8]. */
MIDGE_MUST_USE enum midge_reason midge_props_read(struct midge_rd *r, uint8_t version, unsigned where,
                                                  struct midge_props *out);

/* Bytes of those properties of `section` that travel with a message (payload format, content type, response topic,
 * correlation data, user properties), and the copy of them, in their order [MQTT-3.3.2-18]. Message Expiry does not:
 * it is counted down by the broker. `section` was accepted by midge_props_read. */
uint32_t midge_props_forward_size(struct midge_slice section);
void midge_props_forward(struct midge_slice section, struct midge_wr *w);

/* Writers of single properties; a section is written as: varint of the size, then these. */
void midge_prop_number(struct midge_wr *w, enum midge_prop_id id, uint32_t v);
void midge_prop_unusual(struct midge_wr *w, enum midge_prop_id id, uint32_t v); /* unless its absence says the same */
void midge_prop_string(struct midge_wr *w, enum midge_prop_id id, struct midge_slice v); /* data NULL: nothing */
void midge_prop_pair(struct midge_wr *w, enum midge_prop_id id, struct midge_slice name, struct midge_slice value);

/* The same for a section without its length; out is zeroed before. */
MIDGE_MUST_USE enum midge_reason midge_props_check(struct midge_slice section, unsigned where, struct midge_props *out);

/* Walks a section that was accepted by midge_props_read: next property from *at on; false at the end. */
bool midge_props_next(struct midge_slice section, uint32_t *at, struct midge_property *out);

#endif
