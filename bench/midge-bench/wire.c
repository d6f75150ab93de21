/* wire.c - MQTT packets to bytes and back, in place. */
#include "wire.h"

#include <string.h>

#define FIXED_HEADER_BYTES_MAX 5u
#define PROPERTY_SESSION_EXPIRY 0x11u
#define PROPERTY_RECEIVE_MAXIMUM 0x21u
#define PROPERTY_MAXIMUM_QOS 0x24u

/* ---- out ----------------------------------------------------------------------------------------------- */

static uint8_t *put_varint(uint8_t *at, size_t value)
{
    for (; value > 127; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t n)
{
    memcpy(at, bytes, n);
    return at + n;
}

static uint8_t *put_string(uint8_t *at, const char *text)
{
    const size_t n = strlen(text);
    return put_bytes(put_u16(at, n), text, n);
}

static uint8_t *begin(struct buffer *out, uint8_t first, size_t body_bytes)
{
    uint8_t *at = buffer_room(out, FIXED_HEADER_BYTES_MAX + body_bytes);
    *at++ = first;
    return put_varint(at, body_bytes);
}

static void end(struct buffer *out, const uint8_t *at)
{
    out->len = (size_t)(at - out->bytes);
}

static size_t string_bytes(const char *text)
{
    return text ? 2 + strlen(text) : 0;
}

/* A session that is to live gets 2^32 - 2 seconds, which is longer than any run, and not for ever. */
static uint8_t *put_connect_properties(uint8_t *at, bool clean)
{
    static const uint8_t expiry[] = { 5, PROPERTY_SESSION_EXPIRY, 0xff, 0xff, 0xff, 0xfe };
    return clean ? put_varint(at, 0) : put_bytes(at, expiry, sizeof expiry);
}

void wire_add_connect(struct buffer *out, const struct wire_connect *c)
{
    const bool v5 = c->version == WIRE_V5;
    const size_t properties = !v5 ? 0 : c->clean ? 1 : 6;
    const uint8_t flags =
        (uint8_t)((c->user_name ? 0x80 : 0) | (c->password ? 0x40 : 0) | (c->clean ? 2 : 0));
    uint8_t *at = begin(out, WIRE_CONNECT << 4,
                        10 + properties + string_bytes(c->client_id) + string_bytes(c->user_name) +
                            string_bytes(c->password));
    at = put_string(at, "MQTT");
    *at++ = c->version;
    *at++ = flags;
    at = put_u16(at, 0); /* no keep alive: an idle connection is to be idle */
    if (v5)
        at = put_connect_properties(at, c->clean);
    at = put_string(at, c->client_id);
    if (c->user_name)
        at = put_string(at, c->user_name);
    if (c->password)
        at = put_string(at, c->password);
    end(out, at);
}

void wire_add_subscribe(struct buffer *out, uint8_t version, uint16_t id, const char *const *filters,
                        unsigned count, uint8_t qos)
{
    size_t bytes = version == WIRE_V5 ? 3 : 2;
    for (unsigned i = 0; i < count; i++)
        bytes += string_bytes(filters[i]) + 1;
    uint8_t *at = put_u16(begin(out, WIRE_SUBSCRIBE << 4 | 2, bytes), id);
    if (version == WIRE_V5)
        *at++ = 0;
    for (unsigned i = 0; i < count; i++) {
        at = put_string(at, filters[i]);
        *at++ = qos;
    }
    end(out, at);
}

void wire_add_ack(struct buffer *out, enum wire_type type, uint16_t id)
{
    const uint8_t first = (uint8_t)(type << 4 | (type == WIRE_PUBREL ? 2 : 0));
    end(out, put_u16(begin(out, first, 2), id));
}

void wire_add_short(struct buffer *out, enum wire_type type)
{
    end(out, begin(out, (uint8_t)(type << 4), 0));
}

uint8_t *wire_add_publish(struct buffer *out, uint8_t version, const struct wire_publish *p)
{
    const size_t head = 2u + p->topic_bytes + (p->qos ? 2u : 0u) + (version == WIRE_V5 ? 1u : 0u);
    const uint8_t first = (uint8_t)(WIRE_PUBLISH << 4 | p->qos << 1 | (p->retain ? 1 : 0));
    uint8_t *at = put_u16(begin(out, first, head + p->payload_bytes), p->topic_bytes);
    at = put_bytes(at, p->topic, p->topic_bytes);
    if (p->qos)
        at = put_u16(at, p->id);
    if (version == WIRE_V5)
        *at++ = 0;
    end(out, at + p->payload_bytes);
    return at;
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* Bytes of the variable byte integer at `at`; 0: it goes on behind `n`; SIZE_MAX: it is none. */
static size_t get_varint(const uint8_t *at, size_t n, size_t *value)
{
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 4)
            return SIZE_MAX;
        *value |= (size_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80)
            return i + 1;
    }
    return 0;
}

size_t wire_cut(const uint8_t *bytes, size_t n, struct wire_packet *out, size_t *whole)
{
    size_t body;
    *whole = 0;
    const size_t length = n > 1 ? get_varint(bytes + 1, n - 1, &body) : 0;
    if (length == 0 || length == SIZE_MAX)
        return length;
    *whole = 1 + length + body;
    if (n < *whole)
        return 0;
    *out = (struct wire_packet){ .first = bytes[0], .body = bytes + 1 + length, .body_bytes = body };
    return *whole;
}

/* Past the properties at `at`; NULL: they do not end in the packet. */
static const uint8_t *skip_properties(const uint8_t *at, const uint8_t *limit)
{
    size_t bytes;
    const size_t length = get_varint(at, (size_t)(limit - at), &bytes);
    if (length == 0 || length == SIZE_MAX || bytes > (size_t)(limit - at) - length)
        return NULL;
    return at + length + bytes;
}

/* Bytes of the value of a property that a CONNACK may have; 0: there is no such. */
static size_t property_bytes(uint8_t id, const uint8_t *at, size_t n)
{
    switch (id) {
    case PROPERTY_MAXIMUM_QOS:
    case 0x25: /* Retain Available */
    case 0x28: /* Wildcard Subscription Available */
    case 0x29: /* Subscription Identifier Available */
    case 0x2a: /* Shared Subscription Available */
        return 1;
    case 0x13: /* Server Keep Alive */
    case 0x22: /* Topic Alias Maximum */
    case PROPERTY_RECEIVE_MAXIMUM:
        return 2;
    case PROPERTY_SESSION_EXPIRY:
    case 0x27: /* Maximum Packet Size */
        return 4;
    case 0x12: /* Assigned Client Identifier */
    case 0x15: /* Authentication Method */
    case 0x16: /* Authentication Data */
    case 0x1a: /* Response Information */
    case 0x1c: /* Server Reference */
    case 0x1f: /* Reason String */
        return n < 2 ? 0 : 2u + get_u16(at);
    case 0x26: /* User Property: name, value */
        return n < 4 || n < 4u + get_u16(at) ? 0 : 4u + get_u16(at) + get_u16(at + 2 + get_u16(at));
    default:
        return 0;
    }
}

static bool read_connack_properties(const uint8_t *at, const uint8_t *limit, struct wire_granted *out)
{
    while (at < limit) {
        const uint8_t id = *at++;
        const size_t n = property_bytes(id, at, (size_t)(limit - at));
        if (n == 0 || n > (size_t)(limit - at))
            return false;
        if (id == PROPERTY_RECEIVE_MAXIMUM)
            out->receive_maximum = get_u16(at);
        if (id == PROPERTY_MAXIMUM_QOS)
            out->maximum_qos = *at;
        at += n;
    }
    return true;
}

bool wire_read_connack(const struct wire_packet *p, uint8_t version, struct wire_granted *out)
{
    *out = (struct wire_granted){ .maximum_qos = 2, .receive_maximum = UINT16_MAX };
    if (p->body_bytes < 2)
        return false;
    out->session_present = p->body[0] & 1;
    out->reason = p->body[1];
    if (version != WIRE_V5 || p->body_bytes == 2)
        return true;
    const uint8_t *limit = p->body + p->body_bytes;
    const uint8_t *after = skip_properties(p->body + 2, limit);
    size_t bytes = 0;
    if (!after)
        return false;
    const size_t length = get_varint(p->body + 2, p->body_bytes - 2, &bytes);
    return read_connack_properties(p->body + 2 + length, after, out);
}

bool wire_read_publish(const struct wire_packet *p, uint8_t version, struct wire_publish *out)
{
    const uint8_t qos = p->first >> 1 & 3;
    const uint8_t *at = p->body, *limit = p->body + p->body_bytes;
    const size_t fixed = 2u + (qos ? 2u : 0u);
    if (qos == 3 || p->body_bytes < fixed || p->body_bytes - fixed < get_u16(at))
        return false;
    *out = (struct wire_publish){
        .qos = qos, .retain = p->first & 1, .topic_bytes = get_u16(at), .topic = at + 2
    };
    at += 2 + out->topic_bytes;
    if (qos) {
        out->id = get_u16(at);
        at += 2;
    }
    if (version == WIRE_V5 && !(at = skip_properties(at, limit)))
        return false;
    out->payload = at;
    out->payload_bytes = (size_t)(limit - at);
    return true;
}

bool wire_read_ack(const struct wire_packet *p, uint16_t *id, uint8_t *reason)
{
    if (p->body_bytes < 2)
        return false;
    *id = get_u16(p->body);
    *reason = p->body_bytes > 2 ? p->body[2] : 0;
    return true;
}

bool wire_read_suback(const struct wire_packet *p, uint8_t version, unsigned *refused)
{
    const uint8_t *at = p->body + 2, *limit = p->body + p->body_bytes;
    *refused = 0;
    if (p->body_bytes < 3 || (version == WIRE_V5 && !(at = skip_properties(at, limit))))
        return false;
    for (; at < limit; at++)
        *refused += *at >= 0x80;
    return true;
}
