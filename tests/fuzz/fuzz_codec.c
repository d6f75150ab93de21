/* fuzz_codec.c - every decoder, on both sides and for each version; what is accepted means the same when it is written
 * and read again.
 *
 * Input: version, which side, then a packet from its first byte on, without the Remaining Length.
 */
#include "fuzz.h"

#include "base/slice.h"
#include "codec/packet.h"

static struct midge_slice written; /* the latest packet, without its fixed header */
static uint8_t first_byte;

static bool same(struct midge_slice a, struct midge_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Calls `write` with no room, then with what it said it needs, then in two halves; cuts the result. */
#define ENCODE(...)                                                                                          \
    do {                                                                                                     \
        static uint8_t whole[1u << 18], halves[1u << 18];                                                    \
        struct midge_wr w;                                                                                   \
        midge_wr_init(&w, whole, 0, 0);                                                                      \
        __VA_ARGS__;                                                                                         \
        const uint32_t need = w.total;                                                                       \
        MUST(need <= sizeof whole);                                                                          \
        midge_wr_init(&w, whole, need, 0);                                                                   \
        __VA_ARGS__;                                                                                         \
        MUST(w.total == need);                                                                               \
        midge_wr_init(&w, halves, need / 2, 0);                                                              \
        __VA_ARGS__;                                                                                         \
        midge_wr_init(&w, halves + need / 2, need - need / 2, need / 2);                                     \
        __VA_ARGS__;                                                                                         \
        MUST(memcmp(whole, halves, need) == 0);                                                              \
        cut(whole, need);                                                                                    \
    } while (0)

static void cut(const uint8_t *bytes, uint32_t n)
{
    struct midge_head head = { 0 };
    enum midge_reason rc = MIDGE_RC_SUCCESS;
    uint32_t at = 0;
    while (!head.complete && at < n) /* a byte at a time */
        at += midge_head_feed(&head, midge_slice_of(bytes + at, 1), &rc);
    MUST(rc == MIDGE_RC_SUCCESS && head.complete && head.remaining == n - at && midge_head_packet_bytes(&head) == n);
    first_byte = head.first;
    written = midge_slice_of(bytes + at, head.remaining);
}

static uint32_t walk(const struct midge_props *p)
{
    uint32_t at = 0, count = 0;
    struct midge_property one;
    while (midge_props_next(p->section, &at, &one)) {
        MUST(midge_props_has(p, one.id));
        count++;
    }
    MUST(at == p->section.len);
    for (unsigned id = 0; id < 0x2B; id++) {
        if (midge_props_has(p, id)) {
            (void)midge_props_number(p, id);
            (void)midge_props_text(p, id);
        }
    }
    return count;
}

/* ---- each packet --------------------------------------------------------------------------------------- */

static void connect(struct midge_slice body)
{
    struct midge_connect c, again;
    if (midge_decode_connect(body, &c) != MIDGE_RC_SUCCESS)
        return;
    walk(&c.props);
    walk(&c.will_props);
    ENCODE(midge_encode_connect(&w, &c));
    MUST(midge_decode_connect(written, &again) == MIDGE_RC_SUCCESS);
    MUST(again.version == c.version && again.keepalive_s == c.keepalive_s && again.clean_start == c.clean_start);
    MUST(again.has_will == c.has_will && again.will_qos == c.will_qos && again.will_retain == c.will_retain);
    MUST(same(again.client_id, c.client_id) && same(again.will_topic, c.will_topic));
    MUST(same(again.will_payload, c.will_payload) && same(again.username, c.username));
    MUST(same(again.password, c.password) && same(again.props.section, c.props.section));
    MUST(same(again.will_props.section, c.will_props.section));
}

static void connack(struct midge_slice body, uint8_t version)
{
    struct midge_connack a;
    struct midge_props props;
    if (midge_decode_connack(body, version, &a, &props) == MIDGE_RC_SUCCESS)
        walk(&props);
}

static void publish(uint8_t first, struct midge_slice body, uint8_t version)
{
    static uint8_t forwarded[1u << 18];
    struct midge_publish p, again;
    if (midge_decode_publish(first, body, version, &p) != MIDGE_RC_SUCCESS)
        return;
    walk(&p.props);
    const uint32_t size = midge_props_forward_size(p.props.section);
    struct midge_wr forward;
    MUST(size <= sizeof forwarded);
    midge_wr_init(&forward, forwarded, size, 0);
    midge_props_forward(p.props.section, &forward);
    MUST(forward.total == size);
    const uint32_t ids[] = { 1, 128, 268435455 };
    const struct midge_publish_out out = {
        .version = version, .dup = p.dup, .retain = p.retain, .qos = p.qos, .pid = p.pid,
        .topic_alias = version == 5 ? (uint16_t)midge_props_number(&p.props, PROP_TOPIC_ALIAS) : 0,
        .has_expiry = version == 5 && midge_props_has(&p.props, PROP_MESSAGE_EXPIRY),
        .expiry_s = midge_props_number(&p.props, PROP_MESSAGE_EXPIRY), .topic = p.topic,
        .props = midge_slice_of(forwarded, version == 5 ? size : 0), .subscription_ids = ids,
        .subscription_id_count = version == 5 ? p.payload.len % 4 : 0, .payload = p.payload,
    };
    ENCODE(midge_encode_publish(&w, &out));
    MUST(midge_publish_size(&out) >= written.len + 2);
    MUST(midge_decode_publish(first_byte, written, version, &again) == MIDGE_RC_SUCCESS);
    MUST(again.qos == p.qos && again.pid == p.pid && again.retain == p.retain && again.dup == p.dup);
    MUST(same(again.topic, p.topic) && same(again.payload, p.payload));
    MUST(midge_props_number(&again.props, PROP_MESSAGE_EXPIRY) == midge_props_number(&p.props, PROP_MESSAGE_EXPIRY));
}

static void ack(enum midge_packet type, struct midge_slice body, uint8_t version)
{
    struct midge_ack a, again;
    if (midge_decode_ack(type, body, version, &a) != MIDGE_RC_SUCCESS)
        return;
    MUST(a.pid != 0);
    const struct midge_ack_out out = {
        .type = type, .reason = a.reason, .pid = a.pid, .reason_string = a.reason_string
    };
    ENCODE(midge_encode_ack(&w, version, &out));
    MUST(midge_decode_ack(type, written, version, &again) == MIDGE_RC_SUCCESS);
    MUST(again.pid == a.pid && again.reason == a.reason && same(again.reason_string, a.reason_string));
}

static void subscribe(enum midge_packet type, struct midge_slice body, uint8_t version)
{
    static struct midge_filter_request filters[65536];
    struct midge_subscribe s, again;
    if (midge_decode_subscribe(type, body, version, &s) != MIDGE_RC_SUCCESS)
        return;
    MUST(s.pid != 0 && s.filters > 0 && s.filters <= 65536);
    walk(&s.props);
    uint32_t count = 0;
    while (count < s.filters && midge_next_filter(&s, &filters[count])) {
        MUST(filters[count].qos <= 2 && filters[count].retain_handling <= 2);
        count++;
    }
    struct midge_filter_request none;
    MUST(count == s.filters && !midge_next_filter(&s, &none));
    const uint32_t id = midge_props_number(&s.props, PROP_SUBSCRIPTION_ID);
    ENCODE(midge_encode_subscribe(&w, type, version, s.pid, filters, count, id));
    MUST(midge_decode_subscribe(type, written, version, &again) == MIDGE_RC_SUCCESS);
    MUST(again.pid == s.pid && again.filters == count);
}

static void suback(enum midge_packet type, struct midge_slice body, uint8_t version)
{
    struct midge_suback s;
    if (midge_decode_suback(type, body, version, &s) == MIDGE_RC_SUCCESS)
        walk(&s.props);
}

static void control(enum midge_packet type, struct midge_slice body, uint8_t version, bool from_client)
{
    struct midge_control c, again;
    if (midge_decode_control(type, body, version, from_client, &c) != MIDGE_RC_SUCCESS)
        return;
    walk(&c.props);
    const struct midge_control_out out = {
        .reason = c.reason, .has_session_expiry = midge_props_has(&c.props, PROP_SESSION_EXPIRY),
        .session_expiry_s = midge_props_number(&c.props, PROP_SESSION_EXPIRY),
        .reason_string = midge_props_text(&c.props, PROP_REASON_STRING),
        .server_reference = midge_props_text(&c.props, PROP_SERVER_REFERENCE),
        .auth_method = midge_props_text(&c.props, PROP_AUTH_METHOD),
        .auth_data = midge_props_text(&c.props, PROP_AUTH_DATA),
    };
    if (version < 5)
        return;
    ENCODE(midge_encode_control(&w, type, version, &out));
    MUST(midge_decode_control(type, written, version, from_client, &again) == MIDGE_RC_SUCCESS);
    MUST(again.reason == c.reason);
}

/* The same bytes as a stream: cut into fixed headers without end. */
static void frames(struct midge_slice in)
{
    while (in.len) {
        struct midge_head head = { 0 };
        enum midge_reason rc = MIDGE_RC_SUCCESS;
        const uint32_t taken = midge_head_feed(&head, in, &rc);
        if (rc != MIDGE_RC_SUCCESS || !head.complete)
            return;
        MUST(taken >= 2 && taken <= 5 && head.remaining <= 268435455);
        in = midge_slice_of(in.data + taken, in.len - taken);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in = { bytes, n };
    const uint8_t version = (uint8_t)(3 + choose(&in, 3));
    const bool from_client = choose(&in, 2);
    const uint8_t first = take_u8(&in);
    const struct midge_slice body = take_bytes(&in, 65536);
    const enum midge_packet type = (enum midge_packet)(first >> 4);
    switch (type) {
    case PK_CONNECT: connect(body); break;
    case PK_CONNACK: connack(body, version); break;
    case PK_PUBLISH: publish(first, body, version); break;
    case PK_PUBACK:
    case PK_PUBREC:
    case PK_PUBREL:
    case PK_PUBCOMP: ack(type, body, version); break;
    case PK_SUBSCRIBE:
    case PK_UNSUBSCRIBE: subscribe(type, body, version); break;
    case PK_SUBACK:
    case PK_UNSUBACK: suback(type, body, version); break;
    case PK_DISCONNECT: control(type, body, version, from_client); break;
    case PK_AUTH: control(type, body, 5, from_client); break;
    default: frames(body);
    }
    for (unsigned reason = 0; type == PK_RESERVED && reason < 256; reason++) {
        (void)midge_reason_connack_v3((uint8_t)reason);
        (void)midge_reason_suback_v3((uint8_t)reason);
        MUST(midge_reason_text((uint8_t)reason));
    }
    return 0;
}
