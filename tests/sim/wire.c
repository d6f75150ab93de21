/* wire.c - the simulator's own codec, written from the standards' tables; nothing of it is the broker's. */
#include "world.h"

#include <stdlib.h>

/* ---- buffers ------------------------------------------------------------------------------------------- */

void buffer_reserve(struct buffer *b, uint32_t n)
{
    if (b->len + n <= b->cap)
        return;
    b->cap = (b->len + n) * 2;
    b->at = realloc(b->at, b->cap);
    if (!b->at)
        abort();
}

void buffer_put(struct buffer *b, const void *bytes, size_t n)
{
    buffer_reserve(b, (uint32_t)n);
    if (n)
        memcpy(b->at + b->len, bytes, n);
    b->len += (uint32_t)n;
}

void buffer_drop(struct buffer *b, uint32_t n)
{
    memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
}

static void put8(struct buffer *b, unsigned v)
{
    const uint8_t byte = (uint8_t)v;
    buffer_put(b, &byte, 1);
}

static void put16(struct buffer *b, unsigned v)
{
    put8(b, v >> 8);
    put8(b, v & 0xFF);
}

static void put32(struct buffer *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b, v & 0xFFFF);
}

static void put_varint(struct buffer *b, uint32_t v)
{
    while (v >= 128) {
        put8(b, (v & 127) | 128);
        v >>= 7;
    }
    put8(b, v);
}

static void put_text(struct buffer *b, const char *text)
{
    const size_t n = strlen(text);
    put16(b, (unsigned)n);
    buffer_put(b, text, n);
}

/* The body is written first, into a scratch buffer; then the head and the body. */
static struct buffer body, section;

static void put_packet(struct buffer *b, unsigned first)
{
    put8(b, first);
    put_varint(b, body.len);
    buffer_put(b, body.at, body.len);
    body.len = 0;
}

static void put_section(struct buffer *b)
{
    put_varint(b, section.len);
    buffer_put(b, section.at, section.len);
    section.len = 0;
}

/* ---- encoders ------------------------------------------------------------------------------------------ */

uint8_t payload_byte(uint32_t number, uint32_t i)
{
    if (i < 4)
        return (uint8_t)(number >> (8 * i));
    return (uint8_t)(number * 31u + i * 7u);
}

static void put_payload(struct buffer *b, const struct content *m)
{
    buffer_reserve(b, m->len);
    for (uint32_t i = 0; i < m->len; i++)
        b->at[b->len + i] = payload_byte(m->number, i);
    b->len += m->len;
}

static void put_will(const struct record *r, unsigned version)
{
    const struct content *will = r->content;
    if (version == 5) {
        if (r->will_delay_s) {
            put8(&section, 0x18);
            put32(&section, r->will_delay_s);
        }
        if (will->has_expiry) {
            put8(&section, 0x02);
            put32(&section, will->expiry_s);
        }
        buffer_put(&section, will->props, will->props_len);
        put_section(&body);
    }
    put_text(&body, W.topics[will->topic]);
    put16(&body, will->len);
    put_payload(&body, will);
}

void put_connect(struct buffer *b, unsigned version, const struct record *r, const char *id, bool bridge)
{
    const struct content *will = r->content;
    put_text(&body, version == 3 ? "MQIsdp" : "MQTT");
    put8(&body, version | (bridge ? 0x80u : 0));
    put8(&body,
         (r->clean ? 2u : 0) | (will ? 4u | (unsigned)will->qos << 3 | (will->retain ? 0x20u : 0) : 0));
    put16(&body, r->keepalive_s);
    if (version == 5) {
        if (r->has_session_expiry) {
            put8(&section, 0x11);
            put32(&section, r->session_expiry_s);
        }
        if (r->receive_maximum) {
            put8(&section, 0x21);
            put16(&section, r->receive_maximum);
        }
        if (r->packet_maximum) {
            put8(&section, 0x27);
            put32(&section, r->packet_maximum);
        }
        if (r->alias_maximum) {
            put8(&section, 0x22);
            put16(&section, r->alias_maximum);
        }
        put_section(&body);
    }
    put_text(&body, id);
    if (will)
        put_will(r, version);
    put_packet(b, 0x10);
}

void put_publish(struct buffer *b, unsigned version, const struct record *r, const char *topic,
                 uint16_t alias)
{
    const struct content *m = r->content;
    put_text(&body, topic);
    if (m->qos)
        put16(&body, r->pid);
    if (version == 5) {
        if (m->has_expiry) {
            put8(&section, 0x02);
            put32(&section, m->expiry_s);
        }
        if (alias) {
            put8(&section, 0x23);
            put16(&section, alias);
        }
        buffer_put(&section, m->props, m->props_len);
        put_section(&body);
    }
    put_payload(&body, m);
    put_packet(b, 0x30u | (r->dup ? 8u : 0) | (unsigned)m->qos << 1 | (m->retain ? 1u : 0));
}

static void put_filter(const struct filter_want *w)
{
    static const char *const prefix[GROUPS] = { "", "$share/g1/", "$share/second/" };
    char text[420];
    (void)snprintf(text, sizeof text, "%s%s", prefix[w->group], W.filters[w->filter]);
    put_text(&body, text);
}

void put_subscribe(struct buffer *b, unsigned version, const struct record *r)
{
    put16(&body, r->pid);
    if (version == 5) {
        if (r->sub_id) {
            put8(&section, 0x0B);
            put_varint(&section, r->sub_id);
        }
        put_section(&body);
    }
    for (unsigned i = 0; i < r->wants; i++) {
        const struct filter_want *w = &r->want[i];
        put_filter(w);
        if (r->type == PK_SUBSCRIBE)
            put8(&body, w->qos | (w->no_local ? 4u : 0) | (w->retain_as_published ? 8u : 0) |
                            (unsigned)w->retain_handling << 4);
    }
    put_packet(b, (unsigned)r->type << 4 | 2);
}

void put_ack(struct buffer *b, unsigned version, enum packet_type type, uint16_t pid, uint8_t reason)
{
    put16(&body, pid);
    if (version == 5 && reason)
        put8(&body, reason);
    put_packet(b, (unsigned)type << 4 | (type == PK_PUBREL ? 2u : 0));
}

void put_empty(struct buffer *b, enum packet_type type)
{
    put_packet(b, (unsigned)type << 4);
}

void put_disconnect(struct buffer *b, unsigned version, const struct record *r)
{
    if (version == 5 && (r->reason || r->has_session_expiry)) {
        put8(&body, r->reason);
        if (r->has_session_expiry) {
            put8(&section, 0x11);
            put32(&section, r->session_expiry_s);
        }
        put_section(&body);
    }
    put_packet(b, 0xE0);
}

/* ---- decoder ------------------------------------------------------------------------------------------- */

struct cursor {
    const uint8_t *at;
    uint32_t left;
    bool failed;
};

static uint32_t get(struct cursor *c, unsigned bytes)
{
    if (c->left < bytes) {
        c->failed = true;
        c->left = 0;
        return 0;
    }
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | c->at[i];
    c->at += bytes;
    c->left -= bytes;
    return v;
}

static uint32_t get_varint(struct cursor *c)
{
    uint32_t v = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        const uint32_t byte = get(c, 1);
        v |= (byte & 127) << shift;
        if (byte < 128)
            return v;
    }
    c->failed = true;
    return 0;
}

static const uint8_t *get_bytes(struct cursor *c, uint32_t n)
{
    const uint8_t *at = c->at;
    if (c->left < n) {
        c->failed = true;
        return at;
    }
    c->at += n;
    c->left -= n;
    return at;
}

uint32_t packet_length(const uint8_t *bytes, uint32_t n)
{
    uint32_t v = 0;
    for (uint32_t i = 1; i < n && i < 5; i++) {
        v |= (uint32_t)(bytes[i] & 127) << (7 * (i - 1));
        if (bytes[i] < 128)
            return v + i + 1 <= n ? v + i + 1 : 0;
    }
    return n < 5 ? 0 : UINT32_MAX;
}

/* Properties that belong to the message itself. */
static bool is_forwarded(unsigned id)
{
    return id == 0x01 || id == 0x03 || id == 0x08 || id == 0x09 || id == 0x26;
}

static const char *parse_property(struct cursor *c, struct packet *out)
{
    const uint8_t *start = c->at;
    const unsigned id = get(c, 1);
    switch (id) {
    case 0x01:
        (void)get(c, 1);
        break;
    case 0x02:
        out->has_expiry = true;
        out->expiry_s = get(c, 4);
        break;
    case 0x03:
    case 0x08:
    case 0x09:
    case 0x1F:
        (void)get_bytes(c, get(c, 2));
        break;
    case 0x0B:
        if (out->id_count >= IDS_MAX)
            return "too many subscription identifiers";
        out->ids[out->id_count++] = get_varint(c);
        break;
    case 0x11:
        out->has_session_expiry = true;
        out->session_expiry_s = get(c, 4);
        break;
    case 0x12:
        out->assigned = true;
        (void)get_bytes(c, get(c, 2));
        break;
    case 0x13:
        out->has_keepalive = true;
        out->keepalive_s = (uint16_t)get(c, 2);
        break;
    case 0x21:
        out->receive_maximum = (uint16_t)get(c, 2);
        break;
    case 0x22:
        out->alias_maximum = (uint16_t)get(c, 2);
        break;
    case 0x23:
        out->alias = (uint16_t)get(c, 2);
        break;
    case 0x24:
        out->max_qos = (uint8_t)get(c, 1);
        break;
    case 0x25:
        out->no_retain = get(c, 1) == 0;
        break;
    case 0x26:
        (void)get_bytes(c, get(c, 2));
        (void)get_bytes(c, get(c, 2));
        break;
    case 0x27:
        out->packet_maximum = get(c, 4);
        break;
    case 0x28:
        out->no_wildcards = get(c, 1) == 0;
        break;
    case 0x29:
        out->no_ids = get(c, 1) == 0;
        break;
    case 0x2A:
        out->no_shared = get(c, 1) == 0;
        break;
    default:
        return "a property that does not belong there";
    }
    const uint32_t n = (uint32_t)(c->at - start);
    if (out->type == PK_PUBLISH && is_forwarded(id)) {
        if (out->props_len + n > PROPS_MAX)
            return "more properties than were published";
        memcpy(out->props + out->props_len, start, n);
        out->props_len += n;
    }
    return c->failed ? "a property that is cut off" : NULL;
}

static const char *parse_section(struct cursor *c, struct packet *out)
{
    const uint32_t n = get_varint(c);
    struct cursor inside = { .at = get_bytes(c, n), .left = n };
    if (c->failed)
        return "properties that are cut off";
    while (inside.left) {
        const char *wrong = parse_property(&inside, out);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *parse_publish(struct cursor *c, unsigned flags, unsigned version, struct packet *out)
{
    out->dup = flags & 8;
    out->qos = flags >> 1 & 3;
    out->retain = flags & 1;
    out->topic_len = get(c, 2);
    out->topic = get_bytes(c, out->topic_len);
    if (out->qos == 3 || (out->dup && !out->qos))
        return "flags of PUBLISH";
    if (out->qos) {
        out->pid = (uint16_t)get(c, 2);
        if (!out->pid)
            return "packet id 0";
    }
    const char *wrong = version == 5 ? parse_section(c, out) : NULL;
    out->payload = c->at;
    out->payload_len = c->left;
    c->left = 0;
    return wrong;
}

/* Reason and properties that may be left out. */
static const char *parse_reason(struct cursor *c, unsigned version, struct packet *out)
{
    if (version != 5 || !c->left)
        return NULL;
    out->reason = (uint8_t)get(c, 1);
    return c->left ? parse_section(c, out) : NULL;
}

static const char *parse_codes(struct cursor *c, unsigned version, struct packet *out)
{
    out->pid = (uint16_t)get(c, 2);
    const char *wrong = version == 5 ? parse_section(c, out) : NULL;
    while (!wrong && c->left) {
        if (out->code_count == WANTS_MAX)
            return "more codes than filters";
        out->codes[out->code_count++] = (uint8_t)get(c, 1);
    }
    return wrong;
}

static const char *parse_body(struct cursor *c, unsigned flags, unsigned version, struct packet *out)
{
    if (out->type != PK_PUBLISH && flags != (out->type == PK_PUBREL ? 2u : 0))
        return "reserved flags";
    const char *wrong = NULL;
    switch (out->type) {
    case PK_CONNACK: {
        const uint32_t ack = get(c, 1);
        if (ack > 1)
            return "flags of CONNACK";
        out->session_present = ack;
        out->reason = (uint8_t)get(c, 1);
        return version == 5 ? parse_section(c, out) : NULL;
    }
    case PK_PUBLISH:
        return parse_publish(c, flags, version, out);
    case PK_PUBACK:
    case PK_PUBREC:
    case PK_PUBREL:
    case PK_PUBCOMP:
        out->pid = (uint16_t)get(c, 2);
        return parse_reason(c, version, out);
    case PK_SUBACK:
    case PK_UNSUBACK:
        return parse_codes(c, version, out);
    case PK_PINGRESP:
        return NULL;
    case PK_DISCONNECT:
        wrong = parse_reason(c, version, out);
        return version == 5 ? wrong : "a DISCONNECT to a 3.x client";
    default:
        return "a packet that brokers do not send";
    }
}

const char *parse_packet(const uint8_t *bytes, uint32_t n, unsigned version, struct packet *out)
{
    /* not all of it: it is large, and the counts say what is valid */
    out->type = (enum packet_type)(bytes[0] >> 4);
    out->len = n;
    out->dup = out->retain = out->session_present = out->has_expiry = out->has_session_expiry = false;
    out->has_keepalive = out->assigned = out->no_retain = out->no_wildcards = out->no_ids = out->no_shared =
        false;
    out->qos = out->reason = 0;
    out->pid = out->alias = out->alias_maximum = 0;
    out->code_count = out->id_count = out->props_len = out->packet_maximum = 0;
    out->receive_maximum = UINT16_MAX;
    out->max_qos = 2;
    struct cursor c = { .at = bytes + 1, .left = n - 1 };
    (void)get_varint(&c);
    const char *wrong = parse_body(&c, bytes[0] & 0xFu, version, out);
    if (wrong)
        return wrong;
    return c.failed ? "a packet that is too short" : c.left ? "a packet that is too long" : NULL;
}

uint32_t payload_number(const uint8_t *payload, uint32_t n)
{
    if (n == 0)
        return 0;
    if (n < 4)
        return UINT32_MAX;
    const uint32_t number =
        payload[0] | (uint32_t)payload[1] << 8 | (uint32_t)payload[2] << 16 | (uint32_t)payload[3] << 24;
    for (uint32_t i = 4; i < n; i++)
        if (payload[i] != payload_byte(number, i))
            return UINT32_MAX;
    return number;
}
