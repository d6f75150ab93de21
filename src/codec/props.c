/* props.c - the property section: one table, and a reader, a walker and writers that go by it. */
#include "codec/props.h"

#include "base/slice.h"
#include "base/utf8.h"

/* What follows the identifier. */
enum type { NONE, BYTE, U16, U32, VARINT, BINARY, STRING, PAIR };

#define TYPE 0x0F
#define NONZERO 0x10 /* the value 0 is refused */
#define FORWARD 0x20 /* travels with a message */
#define ALL_ONES 0xFF

struct rule {
    uint16_t where; /* MIDGE_IN of the packets that may carry it */
    uint8_t kind;   /* type and flags */
    uint8_t absent; /* the number that an absent one stands for; ALL_ONES: 65535 */
};

#define IN(type) MIDGE_IN(PK_##type)
#define IN_MESSAGE (IN(PUBLISH) | MIDGE_IN_WILL)
#define IN_HELLO (IN(CONNECT) | IN(CONNACK))
#define IN_ANSWER                                                                                            \
    (IN(CONNACK) | IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK) |          \
     IN(DISCONNECT) | IN(AUTH))
#define IN_ALL (IN_MESSAGE | IN_ANSWER | IN(CONNECT) | IN(SUBSCRIBE) | IN(UNSUBSCRIBE))

/* MQTT 5.0 table 2-4, line by line. All its bytes are 0 or 1.
 * What is forwarded: [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20] */
static const struct rule rules[] = {
    [PROP_PAYLOAD_FORMAT] = { IN_MESSAGE, BYTE | FORWARD, 0 },
    [PROP_MESSAGE_EXPIRY] = { IN_MESSAGE, U32, 0 },
    [PROP_CONTENT_TYPE] = { IN_MESSAGE, STRING | FORWARD, 0 },
    [PROP_RESPONSE_TOPIC] = { IN_MESSAGE, STRING | FORWARD, 0 },
    [PROP_CORRELATION_DATA] = { IN_MESSAGE, BINARY | FORWARD, 0 },
    [PROP_SUBSCRIPTION_ID] = { IN(PUBLISH) | IN(SUBSCRIBE), VARINT | NONZERO, 0 },
    [PROP_SESSION_EXPIRY] = { IN_HELLO | IN(DISCONNECT), U32, 0 },
    [PROP_ASSIGNED_ID] = { IN(CONNACK), STRING, 0 },
    [PROP_SERVER_KEEP_ALIVE] = { IN(CONNACK), U16, 0 },
    [PROP_AUTH_METHOD] = { IN_HELLO | IN(AUTH), STRING, 0 },
    [PROP_AUTH_DATA] = { IN_HELLO | IN(AUTH), BINARY, 0 },
    [PROP_REQUEST_PROBLEM] = { IN(CONNECT), BYTE, 1 },
    [PROP_WILL_DELAY] = { MIDGE_IN_WILL, U32, 0 },
    [PROP_REQUEST_RESPONSE] = { IN(CONNECT), BYTE, 0 },
    [PROP_RESPONSE_INFO] = { IN(CONNACK), STRING, 0 },
    [PROP_SERVER_REFERENCE] = { IN(CONNACK) | IN(DISCONNECT), STRING, 0 },
    [PROP_REASON_STRING] = { IN_ANSWER, STRING, 0 },
    [PROP_RECEIVE_MAXIMUM] = { IN_HELLO, U16 | NONZERO, ALL_ONES },
    [PROP_TOPIC_ALIAS_MAXIMUM] = { IN_HELLO, U16, 0 },
    [PROP_TOPIC_ALIAS] = { IN(PUBLISH), U16 | NONZERO, 0 },
    [PROP_MAXIMUM_QOS] = { IN(CONNACK), BYTE, 2 },
    [PROP_RETAIN_AVAILABLE] = { IN(CONNACK), BYTE, 1 },
    [PROP_USER] = { IN_ALL, PAIR | FORWARD, 0 },
    [PROP_MAXIMUM_PACKET_SIZE] = { IN_HELLO, U32 | NONZERO, 0 },
    [PROP_WILDCARD_AVAILABLE] = { IN(CONNACK), BYTE, 1 },
    [PROP_SUBSCRIPTION_ID_AVAILABLE] = { IN(CONNACK), BYTE, 1 },
    [PROP_SHARED_AVAILABLE] = { IN(CONNACK), BYTE, 1 },
};

/* Reads an identifier and its value, of whatever type; texts are not yet checked. */
static const struct rule *read_property(struct midge_rd *r, struct midge_property *out)
{
    static const struct rule unknown = { 0 };
    uint32_t id = midge_rd_varint(r);
    const struct rule *rule = id < sizeof rules / sizeof rules[0] ? &rules[id] : &unknown;
    *out = (struct midge_property){ .id = (uint8_t)id };
    switch (rule->kind & TYPE) {
    case BYTE:
        out->number = midge_rd_u8(r);
        break;
    case U16:
        out->number = midge_rd_u16(r);
        break;
    case U32:
        out->number = midge_rd_u32(r);
        break;
    case VARINT:
        out->number = midge_rd_varint(r);
        break;
    case PAIR:
        midge_rd_binary(r, &out->name);
        midge_rd_binary(r, &out->value);
        break;
    case BINARY:
    case STRING:
        midge_rd_binary(r, &out->value);
        break;
    default:
        break; /* no such property: allowed nowhere */
    }
    return rule;
}

/* User Properties anywhere, Subscription Identifiers in PUBLISH [U5-2.2.2.2-dup] [U5-3.8.2.1.2-multi]. */
static bool may_repeat(uint8_t id, unsigned where)
{
    return id == PROP_USER || (id == PROP_SUBSCRIPTION_ID && where == MIDGE_IN(PK_PUBLISH));
}

static enum midge_reason check(const struct rule *rule, const struct midge_property *v, unsigned where,
                               const struct midge_props *so_far)
{
    unsigned type = rule->kind & TYPE;
    if ((rule->where & where) == 0)
        return MIDGE_RC_MALFORMED; /* [U5-2.2.2.2-type] */
    /* [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19] */
    if (type >= STRING && !(midge_utf8_valid(v->name) && midge_utf8_valid(v->value)))
        return MIDGE_RC_MALFORMED;
    if (midge_props_has(so_far, v->id) && !may_repeat(v->id, where))
        return MIDGE_RC_PROTOCOL_ERROR;
    if (type == BYTE && v->number > 1)
        return MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.1.2.11.6-bool] */
    if (!(rule->kind & NONZERO) || v->number != 0)
        return MIDGE_RC_SUCCESS;
    if (v->id == PROP_TOPIC_ALIAS)
        return MIDGE_RC_TOPIC_ALIAS_INVALID; /* [MQTT-3.3.2-8] */
    return MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.1.2.11.3-zero] [U5-3.1.2.11.4-zero] [U5-3.3.2.3.8-zero] */
}

static void note(struct midge_props *p, uint8_t id)
{
    p->present[id / 8] |= (uint8_t)(1u << id % 8);
    if (id == PROP_USER && p->user_count < UINT16_MAX)
        p->user_count++;
}

enum midge_reason midge_props_check(struct midge_slice section, unsigned where, struct midge_props *out)
{
    struct midge_rd r;
    midge_rd_init(&r, section);
    while (midge_rd_left(&r) > 0) {
        struct midge_property v;
        const struct rule *rule = read_property(&r, &v);
        if (!midge_rd_ok(&r))
            return MIDGE_RC_MALFORMED;
        enum midge_reason rc = check(rule, &v, where, out);
        if (rc != MIDGE_RC_SUCCESS)
            return rc;
        note(out, v.id);
    }
    if (midge_props_has(out, PROP_AUTH_DATA) && !midge_props_has(out, PROP_AUTH_METHOD))
        return MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.1.2.11.10-nomethod] */
    return MIDGE_RC_SUCCESS;
}

enum midge_reason midge_props_read(struct midge_rd *r, uint8_t version, unsigned where, struct midge_props *out)
{
    *out = (struct midge_props){ 0 };
    if (MIDGE_V5 && version == MIDGE_V50) {
        uint32_t len = midge_rd_varint(r);
        midge_rd_bytes(r, len, &out->section);
    }
    if (!midge_rd_ok(r))
        return MIDGE_RC_MALFORMED; /* no length [MQTT-2.2.2-1], or one beyond the packet [U5-2.2.2-len] */
    return MIDGE_V5 ? midge_props_check(out->section, where, out) : MIDGE_RC_SUCCESS;
}

bool midge_props_next(struct midge_slice section, uint32_t *at, struct midge_property *out)
{
    if (*at >= section.len)
        return false;
    struct midge_rd r;
    midge_rd_init(&r, midge_slice_of(section.data + *at, section.len - *at));
    read_property(&r, out);
    *at = section.len - midge_rd_left(&r);
    return midge_rd_ok(&r);
}

/* The first property of this id; false = there is none. */
static bool find(const struct midge_props *p, enum midge_prop_id id, struct midge_property *out)
{
    uint32_t at = 0;
    if (!midge_props_has(p, id))
        return false;
    while (midge_props_next(p->section, &at, out) && out->id != id) {
    }
    return true;
}

static uint32_t absent_number(enum midge_prop_id id)
{
    uint8_t absent = rules[id].absent;
    return absent == ALL_ONES ? UINT16_MAX : absent;
}

uint32_t midge_props_number(const struct midge_props *p, enum midge_prop_id id)
{
    struct midge_property v;
    return find(p, id, &v) ? v.number : absent_number(id);
}

struct midge_slice midge_props_text(const struct midge_props *p, enum midge_prop_id id)
{
    struct midge_property v;
    return find(p, id, &v) ? v.value : (struct midge_slice){ 0 };
}

void midge_props_forward(struct midge_slice section, struct midge_wr *w)
{
    struct midge_property v;
    for (uint32_t from = 0, to = 0; midge_props_next(section, &to, &v); from = to) {
        if (rules[v.id].kind & FORWARD)
            midge_wr_bytes(w, midge_slice_of(section.data + from, to - from));
    }
}

uint32_t midge_props_forward_size(struct midge_slice section)
{
    struct midge_wr measure;
    midge_wr_init(&measure, NULL, 0, 0);
    midge_props_forward(section, &measure);
    return measure.total;
}

void midge_prop_number(struct midge_wr *w, enum midge_prop_id id, uint32_t v)
{
    midge_wr_u8(w, (uint8_t)id);
    switch (rules[id].kind & TYPE) {
    case BYTE:
        midge_wr_u8(w, (uint8_t)v);
        break;
    case U16:
        midge_wr_u16(w, (uint16_t)v);
        break;
    case U32:
        midge_wr_u32(w, v);
        break;
    default:
        midge_wr_varint(w, v);
    }
}

void midge_prop_unusual(struct midge_wr *w, enum midge_prop_id id, uint32_t v)
{
    if (v != absent_number(id))
        midge_prop_number(w, id, v);
}

void midge_prop_string(struct midge_wr *w, enum midge_prop_id id, struct midge_slice v)
{
    if (!v.data)
        return;
    midge_wr_u8(w, (uint8_t)id);
    midge_wr_string(w, v);
}

void midge_prop_pair(struct midge_wr *w, enum midge_prop_id id, struct midge_slice name,
                     struct midge_slice value)
{
    midge_wr_u8(w, (uint8_t)id);
    midge_wr_string(w, name);
    midge_wr_string(w, value);
}
