/* subscribe.c - SUBSCRIBE, UNSUBSCRIBE, and their answers as a client reads them. */
#include "codec/packet.h"

#include "base/slice.h"

/* Subscription options of 5.0; 3.x has the QoS alone. */
enum options {
    OPT_QOS = 0x03,
    OPT_NO_LOCAL = 0x04,
    OPT_RETAIN_AS_PUBLISHED = 0x08,
    OPT_RETAIN_HANDLING = 0x30,
    OPT_RESERVED = 0xC0
};

#define RETAIN_HANDLING_SHIFT 4
#define FLAGS 0x02 /* of the first byte of both requests [MQTT-3.8.1-1] [MQTT-3.10.1-1] */

static bool is_shared(struct midge_slice filter)
{
    static const char prefix[] = "$share/";
    uint32_t len = sizeof prefix - 1;
    return filter.len >= len && memcmp(filter.data, prefix, len) == 0;
}

static enum midge_reason check_options(unsigned options, uint8_t version, struct midge_slice filter)
{
    if (!MIDGE_V5 || version != MIDGE_V50)
        return options <= 2 ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED; /* [MQTT311-3.8.3-4] */
    if (options & OPT_RESERVED)
        return MIDGE_RC_MALFORMED; /* [MQTT-3.8.3-5] */
    if ((options & OPT_QOS) == OPT_QOS || (options & OPT_RETAIN_HANDLING) == OPT_RETAIN_HANDLING)
        return MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.8.3.1-qos3] [U5-3.8.3.1-rh3] */
    if ((options & OPT_NO_LOCAL) && is_shared(filter))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.8.3-4] */
    return MIDGE_RC_SUCCESS;
}

/* A filter and its options; UNSUBSCRIBE has none. */
static unsigned read_filter(struct midge_rd *r, bool has_options, struct midge_slice *filter)
{
    midge_rd_string(r, filter);
    return has_options ? midge_rd_u8(r) : 0;
}

/* Walks the list once; what it finds is then true for every midge_next_filter.
 * [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT311-3.8.3-1] [MQTT311-3.10.3-1] */
static enum midge_reason check_list(uint8_t version, struct midge_subscribe *out)
{
    struct midge_rd r = out->list;
    while (midge_rd_left(&r) > 0) {
        struct midge_slice filter;
        unsigned options = read_filter(&r, out->has_options, &filter);
        if (!midge_rd_ok(&r))
            return MIDGE_RC_MALFORMED;
        enum midge_reason rc = check_options(options, version, filter);
        if (rc != MIDGE_RC_SUCCESS)
            return rc;
        if (filter.len == 0)
            return MIDGE_RC_TOPIC_FILTER_INVALID; /* [MQTT-4.7.3-1] [MQTT311-4.7.3-1] */
        out->filters++;
    }
    /* [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT311-3.8.3-3] [MQTT311-3.10.3-2] */
    return out->filters > 0 ? MIDGE_RC_SUCCESS : MIDGE_RC_PROTOCOL_ERROR;
}

enum midge_reason midge_decode_subscribe(enum midge_packet type, struct midge_slice body, uint8_t version,
                                         struct midge_subscribe *out)
{
    struct midge_rd *r = &out->list;
    midge_rd_init(r, body);
    out->filters = 0;
    out->has_options = type == PK_SUBSCRIBE;
    out->pid = midge_rd_u16(r);
    enum midge_reason rc = midge_props_read(r, version, MIDGE_IN(type), &out->props);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (out->pid == 0)
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-2.2.1-3] [MQTT311-2.3.1-1] */
    return check_list(version, out);
}

bool midge_next_filter(struct midge_subscribe *s, struct midge_filter_request *out)
{
    if (midge_rd_left(&s->list) == 0)
        return false;
    unsigned options = read_filter(&s->list, s->has_options, &out->filter);
    out->qos = options & OPT_QOS; /* on 3.x all else is 0: the list was checked */
    out->no_local = (options & OPT_NO_LOCAL) != 0;
    out->retain_as_published = (options & OPT_RETAIN_AS_PUBLISHED) != 0;
    out->retain_handling = (uint8_t)((options & OPT_RETAIN_HANDLING) >> RETAIN_HANDLING_SHIFT);
    return true;
}

/* ---- the client's side -------------------------------------------------------------------------------- */

struct request {
    const struct midge_filter_request *filters;
    uint32_t count;
    uint32_t subscription_id;
    enum midge_packet type;
    uint16_t pid;
    uint8_t version;
};

static uint8_t options_of(const struct midge_filter_request *f, uint8_t version)
{
    if (version != MIDGE_V50)
        return f->qos;
    return (uint8_t)(f->qos | (f->no_local ? OPT_NO_LOCAL : 0) |
                     (f->retain_as_published ? OPT_RETAIN_AS_PUBLISHED : 0) |
                     f->retain_handling << RETAIN_HANDLING_SHIFT);
}

static void request_props(struct midge_wr *w, const void *from)
{
    const struct request *q = from;
    if (q->subscription_id)
        midge_prop_number(w, PROP_SUBSCRIPTION_ID, q->subscription_id);
}

static void request_body(struct midge_wr *w, const void *from)
{
    const struct request *q = from;
    midge_wr_u16(w, q->pid);
    if (q->version == MIDGE_V50)
        midge_write_sized(w, request_props, q);
    for (uint32_t i = 0; i < q->count; i++) {
        midge_wr_string(w, q->filters[i].filter);
        if (q->type == PK_SUBSCRIBE)
            midge_wr_u8(w, options_of(&q->filters[i], q->version));
    }
}

void midge_encode_subscribe(struct midge_wr *w, enum midge_packet type, uint8_t version, uint16_t pid,
                            const struct midge_filter_request *filters, uint32_t count,
                            uint32_t subscription_id)
{
    struct request q = {
        .filters = filters,
        .count = count,
        .subscription_id = type == PK_SUBSCRIBE ? subscription_id : 0,
        .type = type,
        .pid = pid,
        .version = version,
    };
    midge_wr_u8(w, (uint8_t)(type << 4 | FLAGS)); /* [MQTT-2.1.3-1] [MQTT311-2.2.2-1] */
    midge_write_sized(w, request_body, &q);
}

static bool codes_lawful(enum midge_packet type, uint8_t version, struct midge_slice codes)
{
    if (version != MIDGE_V50 && type == PK_UNSUBACK)
        return codes.len == 0;
    for (uint32_t i = 0; i < codes.len; i++) {
        uint8_t code = codes.data[i];
        if (!midge_reason_lawful(code, MIDGE_IN(type)) ||
            (version != MIDGE_V50 && code > MIDGE_RC_UNSPECIFIED)) /* [MQTT311-3.9.3-2] */
            return false;
    }
    return codes.len > 0;
}

enum midge_reason midge_decode_suback(enum midge_packet type, struct midge_slice body, uint8_t version,
                                      struct midge_suback *out)
{
    struct midge_rd r;
    midge_rd_init(&r, body);
    *out = (struct midge_suback){ .pid = midge_rd_u16(&r) };
    enum midge_reason rc = midge_props_read(&r, version, MIDGE_IN(type), &out->props);
    midge_rd_rest(&r, &out->codes);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (out->pid == 0 || !codes_lawful(type, version, out->codes))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.9.3-2] [MQTT-3.11.3-2] */
    return MIDGE_RC_SUCCESS;
}
