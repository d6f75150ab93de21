/* wire.c - the harness's own codec: packets to bytes and bytes to packets. */
#include "wire.h"

#include <ctype.h>
#include <stdlib.h>

enum prop_type prop_type(unsigned id)
{
    static const uint8_t types[0x2B] = {
        [PROP_PAYLOAD_FORMAT] = TYPE_U8,
        [PROP_MESSAGE_EXPIRY] = TYPE_U32,
        [PROP_CONTENT_TYPE] = TYPE_STRING,
        [PROP_RESPONSE_TOPIC] = TYPE_STRING,
        [PROP_CORRELATION_DATA] = TYPE_BINARY,
        [PROP_SUBSCRIPTION_ID] = TYPE_VARINT,
        [PROP_SESSION_EXPIRY] = TYPE_U32,
        [PROP_ASSIGNED_ID] = TYPE_STRING,
        [PROP_SERVER_KEEP_ALIVE] = TYPE_U16,
        [PROP_AUTH_METHOD] = TYPE_STRING,
        [PROP_AUTH_DATA] = TYPE_BINARY,
        [PROP_REQUEST_PROBLEM] = TYPE_U8,
        [PROP_WILL_DELAY] = TYPE_U32,
        [PROP_REQUEST_RESPONSE] = TYPE_U8,
        [PROP_RESPONSE_INFO] = TYPE_STRING,
        [PROP_SERVER_REFERENCE] = TYPE_STRING,
        [PROP_REASON_STRING] = TYPE_STRING,
        [PROP_RECEIVE_MAXIMUM] = TYPE_U16,
        [PROP_TOPIC_ALIAS_MAXIMUM] = TYPE_U16,
        [PROP_TOPIC_ALIAS] = TYPE_U16,
        [PROP_MAXIMUM_QOS] = TYPE_U8,
        [PROP_RETAIN_AVAILABLE] = TYPE_U8,
        [PROP_USER] = TYPE_PAIR,
        [PROP_MAXIMUM_PACKET_SIZE] = TYPE_U32,
        [PROP_WILDCARD_AVAILABLE] = TYPE_U8,
        [PROP_SUBSCRIPTION_ID_AVAILABLE] = TYPE_U8,
        [PROP_SHARED_AVAILABLE] = TYPE_U8,
    };
    return id < sizeof types ? (enum prop_type)types[id] : TYPE_NONE;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

void put(struct buffer *b, const void *bytes, size_t n)
{
    if (b->len + n > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < b->len + n)
            cap *= 2;
        uint8_t *bigger = keep(cap);
        if (b->len)
            memcpy(bigger, b->at, b->len);
        b->at = bigger;
        b->cap = cap;
    }
    if (n)
        memcpy(b->at + b->len, bytes, n);
    b->len += n;
}

void put_u8(struct buffer *b, unsigned v)
{
    const uint8_t byte = (uint8_t)v;
    put(b, &byte, 1);
}

static void put_u16(struct buffer *b, unsigned v)
{
    put_u8(b, v >> 8 & 0xFF);
    put_u8(b, v & 0xFF);
}

static void put_u32(struct buffer *b, uint32_t v)
{
    put_u16(b, v >> 16);
    put_u16(b, v & 0xFFFF);
}

static void put_varint(struct buffer *b, size_t v)
{
    for (; v > 127; v >>= 7)
        put_u8(b, (v & 127) | 128);
    put_u8(b, (unsigned)v);
}

static void put_binary(struct buffer *b, const void *bytes, size_t n)
{
    put_u16(b, (unsigned)n);
    put(b, bytes, n);
}

static void put_text(struct buffer *b, const char *text)
{
    put_binary(b, text, text ? strlen(text) : 0);
}

static void put_prop(struct buffer *b, const struct prop *p)
{
    put_u8(b, p->id);
    switch (prop_type(p->id)) {
    case TYPE_U8:
        put_u8(b, p->number);
        break;
    case TYPE_U16:
        put_u16(b, p->number);
        break;
    case TYPE_U32:
        put_u32(b, p->number);
        break;
    case TYPE_VARINT:
        put_varint(b, p->number);
        break;
    case TYPE_PAIR:
        put_binary(b, p->name, p->name_len);
        put_binary(b, p->value, p->value_len);
        break;
    case TYPE_STRING:
    case TYPE_BINARY:
        put_binary(b, p->value, p->value_len);
        break;
    case TYPE_NONE:
        break;
    }
}

static void put_props(struct buffer *b, struct props props)
{
    struct buffer section = { 0 };
    for (size_t i = 0; i < props.count; i++)
        put_prop(&section, &props.at[i]);
    put_varint(b, section.len);
    put(b, section.at, section.len);
}

static struct bytes finish(unsigned first, const struct buffer *body)
{
    struct buffer b = { 0 };
    put_u8(&b, first);
    put_varint(&b, body->len);
    put(&b, body->at, body->len);
    return (struct bytes){ b.at, b.len };
}

static size_t length_or_text(size_t len, const char *text)
{
    return len || !text ? len : strlen(text);
}

static unsigned connect_flags(const struct c_connect *c)
{
    unsigned flags = c->clean_start ? 0x02u : 0;
    if (c->will)
        flags |= 0x04u | (unsigned)c->will->qos << 3 | (c->will->retain ? 0x20u : 0);
    return flags | (c->password ? 0x40u : 0) | (c->username ? 0x80u : 0);
}

struct bytes connect_bytes(const struct c_connect *c)
{
    const unsigned version = c->version ? c->version : 5;
    struct buffer b = { 0 };
    put_text(&b, version == 3 ? "MQIsdp" : "MQTT");
    put_u8(&b, version);
    put_u8(&b, connect_flags(c));
    put_u16(&b, c->keepalive);
    if (version == 5)
        put_props(&b, c->props);
    put_text(&b, c->client_id);
    if (c->will) {
        if (version == 5)
            put_props(&b, c->will->props);
        put_text(&b, c->will->topic);
        put_binary(&b, c->will->payload, length_or_text(c->will->payload_len, c->will->payload));
    }
    if (c->username)
        put_text(&b, c->username);
    if (c->password)
        put_binary(&b, c->password, length_or_text(c->password_len, c->password));
    return finish(0x10, &b);
}

struct bytes encode_publish(unsigned version, const struct c_publish *c)
{
    struct buffer b = { 0 };
    put_text(&b, c->topic);
    if (c->qos)
        put_u16(&b, c->pid);
    if (version == 5)
        put_props(&b, c->props);
    put(&b, c->payload, length_or_text(c->payload_len, c->payload));
    return finish(0x30u | (c->dup ? 8u : 0) | (unsigned)c->qos << 1 | (c->retain ? 1u : 0), &b);
}

struct bytes encode_subscribe(unsigned version, enum packet_type type, const struct c_subscribe *c)
{
    struct buffer b = { 0 };
    put_u16(&b, c->pid);
    if (version == 5)
        put_props(&b, c->props);
    for (size_t i = 0; i < c->count; i++) {
        put_text(&b, c->filters[i].filter);
        if (type == PK_SUBSCRIBE)
            put_u8(&b, c->filters[i].options);
    }
    return finish((unsigned)type << 4 | 2, &b);
}

struct bytes encode_reason(unsigned version, enum packet_type type, uint8_t reason, struct props props)
{
    struct buffer b = { 0 };
    if (version == 5 && (reason || props.count)) {
        put_u8(&b, reason);
        if (props.count)
            put_props(&b, props);
    }
    return finish((unsigned)type << 4, &b);
}

struct bytes encode_ack(unsigned version, enum packet_type type, uint16_t pid, uint8_t reason)
{
    struct buffer b = { 0 };
    put_u16(&b, pid);
    if (version == 5 && reason)
        put_u8(&b, reason);
    return finish((unsigned)type << 4 | (type == PK_PUBREL ? 2 : 0), &b);
}

struct prop prop_num(enum prop_id id, uint32_t n)
{
    return (struct prop){ .id = id, .number = n };
}

struct prop prop_binary(enum prop_id id, const void *bytes, size_t n)
{
    return (struct prop){ .id = id, .value = bytes, .value_len = (uint32_t)n };
}

struct prop prop_text(enum prop_id id, const char *text)
{
    return prop_binary(id, text, strlen(text));
}

struct prop prop_user(const char *name, const char *value)
{
    struct prop p = prop_text(PROP_USER, value);
    p.name = name;
    p.name_len = (uint32_t)strlen(name);
    return p;
}

/* ---- hex ----------------------------------------------------------------------------------------------- */

static unsigned digit(struct place at, char c)
{
    if (!isxdigit((unsigned char)c))
        fail_at(at, "bad hex in the test: '%c'", c);
    return (unsigned)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
}

struct bytes parse_hex(struct place at, const char *hex, const uint8_t **any)
{
    struct buffer b = { 0 }, marks = { 0 };
    bool text = false;
    for (; *hex; hex++) {
        if (*hex == '\'') {
            text = !text;
        } else if (text) {
            put_u8(&b, (unsigned char)*hex);
            put_u8(&marks, 0);
        } else if (!isspace((unsigned char)*hex)) {
            const bool wild = *hex == '?';
            put_u8(&b, wild ? 0 : digit(at, hex[0]) << 4 | digit(at, hex[1]));
            put_u8(&marks, wild);
            hex++;
        }
    }
    if (any)
        *any = marks.at;
    return (struct bytes){ b.at, b.len };
}

struct bytes hex_bytes(const char *hex)
{
    return parse_hex(HERE, hex, NULL);
}

struct bytes body_bytes(unsigned first, const char *hex)
{
    const struct bytes body = hex_bytes(hex);
    return finish(first, &(struct buffer){ body.at, body.len, body.len });
}

struct bytes join(struct bytes a, struct bytes b)
{
    struct buffer both = { 0 };
    put(&both, a.at, a.len);
    put(&both, b.at, b.len);
    return (struct bytes){ both.at, both.len };
}

/* ---- reading ------------------------------------------------------------------------------------------- */

struct cursor get_bytes(struct cursor *c, size_t n)
{
    if (n > c->left || c->failed) {
        c->failed = true;
        return (struct cursor){ c->at, 0, true };
    }
    const struct cursor part = { c->at, n, false };
    c->at += n;
    c->left -= n;
    return part;
}

uint8_t get_u8(struct cursor *c)
{
    const struct cursor part = get_bytes(c, 1);
    return part.failed ? 0 : part.at[0];
}

uint16_t get_u16(struct cursor *c)
{
    const unsigned high = get_u8(c);
    return (uint16_t)(high << 8 | get_u8(c));
}

uint32_t get_u32(struct cursor *c)
{
    const uint32_t high = get_u16(c);
    return high << 16 | get_u16(c);
}

uint32_t get_varint(struct cursor *c, bool *minimal)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t byte = get_u8(c);
        value |= (uint32_t)(byte & 127u) << 7 * i;
        if (byte & 128u)
            continue;
        if (minimal)
            *minimal = i == 0 || byte != 0;
        return value;
    }
    c->failed = true;
    return 0;
}

struct cursor get_binary(struct cursor *c)
{
    return get_bytes(c, get_u16(c));
}

size_t packet_length(const uint8_t *bytes, size_t n, size_t *head)
{
    struct cursor c = { bytes, n, false };
    get_u8(&c);
    const uint32_t remaining = get_varint(&c, NULL);
    if (c.failed)
        return 0;
    *head = n - c.left;
    return c.left >= remaining ? *head + remaining : 0;
}

bool utf8_ok(const uint8_t *s, size_t n)
{
    static const uint32_t least[5] = { 0, 1, 0x80, 0x800, 0x10000 };
    for (size_t i = 0; i < n;) {
        const unsigned size = s[i] < 0x80       ? 1
                              : s[i] >> 5 == 6  ? 2
                              : s[i] >> 4 == 14 ? 3
                              : s[i] >> 3 == 30 ? 4
                                                : 0;
        if (size == 0 || size > n - i)
            return false;
        uint32_t code = size == 1 ? s[i] : s[i] & (0x7Fu >> size);
        for (unsigned k = 1; k < size; k++) {
            if (s[i + k] >> 6 != 2)
                return false;
            code = code << 6 | (s[i + k] & 0x3Fu);
        }
        if (code < least[size] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
            return false;
        i += size;
    }
    return true;
}

static const char *copy_text(struct cursor text)
{
    char *copy = keep(text.left + 1);
    if (text.left)
        memcpy(copy, text.at, text.left);
    return copy;
}

static const char *parse_prop(struct cursor *c, struct prop *p)
{
    bool minimal = true;
    const uint8_t id = get_u8(c);
    const enum prop_type type = prop_type(id);
    struct cursor name = { 0 }, value = { 0 };
    p->id = (enum prop_id)id;
    switch (type) {
    case TYPE_U8:
        p->number = get_u8(c);
        break;
    case TYPE_U16:
        p->number = get_u16(c);
        break;
    case TYPE_U32:
        p->number = get_u32(c);
        break;
    case TYPE_VARINT:
        p->number = get_varint(c, &minimal);
        break;
    case TYPE_PAIR:
        name = get_binary(c);
        value = get_binary(c);
        break;
    case TYPE_STRING:
    case TYPE_BINARY:
        value = get_binary(c);
        break;
    case TYPE_NONE:
        return "unknown property";
    }
    if (c->failed)
        return "property longer than its section";
    if (!minimal)
        return "Variable Byte Integer longer than needed";
    if (type != TYPE_BINARY && !(utf8_ok(name.at, name.left) && utf8_ok(value.at, value.left)))
        return "property with ill-formed UTF-8";
    p->name = copy_text(name);
    p->name_len = (uint32_t)name.left;
    p->value = copy_text(value);
    p->value_len = (uint32_t)value.left;
    return NULL;
}

const char *parse_props(struct cursor *c, struct packet *out)
{
    bool minimal = true;
    struct cursor section = get_bytes(c, get_varint(c, &minimal));
    struct buffer list = { 0 };
    if (c->failed)
        return "property section longer than the packet";
    if (!minimal)
        return "property length longer than needed";
    while (section.left) {
        struct prop p = { 0 };
        const char *wrong = parse_prop(&section, &p);
        if (wrong)
            return wrong;
        put(&list, &p, sizeof p);
        out->prop_count++;
    }
    out->props = (const struct prop *)(const void *)list.at;
    return NULL;
}

/* Reason code and properties, which 5.0 allows to be left out from the end. */
static const char *parse_reason(struct cursor *c, unsigned version, struct packet *out)
{
    if (version != 5 || !c->left)
        return NULL;
    out->reason = get_u8(c);
    return c->left ? parse_props(c, out) : NULL;
}

static const char *parse_publish(struct cursor *c, unsigned version, struct packet *out)
{
    const struct cursor topic = get_binary(c);
    out->topic = copy_text(topic);
    out->topic_len = topic.left;
    if (out->qos)
        out->pid = get_u16(c);
    const char *wrong = version == 5 ? parse_props(c, out) : NULL;
    const struct cursor payload = get_bytes(c, c->left);
    out->payload = copy_text(payload);
    out->payload_len = payload.left;
    return wrong;
}

static const char *parse_suback(struct cursor *c, unsigned version, struct packet *out)
{
    out->pid = get_u16(c);
    const char *wrong = version == 5 ? parse_props(c, out) : NULL;
    const struct cursor codes = get_bytes(c, c->left);
    out->codes = codes.at;
    out->code_count = codes.left;
    return wrong;
}

static const char *parse_body(struct cursor *c, unsigned version, struct packet *out)
{
    switch (out->type) {
    case PK_CONNACK: {
        const uint8_t flags = get_u8(c);
        out->session_present = flags & 1;
        out->reason = get_u8(c);
        return flags > 1      ? "CONNACK flag bits 7 to 1 are not zero"
               : version == 5 ? parse_props(c, out)
                              : NULL;
    }
    case PK_PUBLISH:
        return parse_publish(c, version, out);
    case PK_PUBACK:
    case PK_PUBREC:
    case PK_PUBREL:
    case PK_PUBCOMP:
        out->pid = get_u16(c);
        return parse_reason(c, version, out);
    case PK_SUBACK:
    case PK_UNSUBACK:
        return parse_suback(c, version, out);
    case PK_PINGRESP:
        return NULL;
    case PK_DISCONNECT:
    case PK_AUTH:
        return version == 5 ? parse_reason(c, version, out) : "packet that 3.x servers do not send";
    default:
        return "packet that a server does not send";
    }
}

const char *parse_packet(const uint8_t *bytes, size_t n, unsigned version, struct packet *out)
{
    uint8_t *copy = keep(n);
    memcpy(copy, bytes, n);
    struct cursor c = { copy, n, false };
    bool minimal = true;
    const uint8_t first = get_u8(&c);
    *out = (struct packet){ .type = (enum packet_type)(first >> 4), .bytes = copy, .len = n };
    get_varint(&c, &minimal);
    if (!minimal)
        return "Remaining Length longer than needed";
    if (out->type == PK_PUBLISH) {
        out->dup = first & 8;
        out->qos = first >> 1 & 3;
        out->retain = first & 1;
    } else if ((first & 15) != (out->type == PK_PUBREL ? 2 : 0)) {
        return "unlawful flags in the fixed header";
    }
    const char *wrong = parse_body(&c, version, out);
    if (wrong)
        return wrong;
    return c.failed ? "packet too short" : c.left ? "bytes behind the packet's fields" : NULL;
}

/* ---- properties of packets that arrived ---------------------------------------------------------------- */

size_t count_prop(const struct packet *pk, enum prop_id id)
{
    size_t n = 0;
    for (size_t i = 0; i < pk->prop_count; i++)
        n += pk->props[i].id == id;
    return n;
}

bool has_prop(const struct packet *pk, enum prop_id id)
{
    return count_prop(pk, id) > 0;
}

const struct prop *nth_prop_at(struct place at, const struct packet *pk, enum prop_id id, size_t n)
{
    for (size_t i = 0; i < pk->prop_count; i++) {
        if (pk->props[i].id == id && n-- == 0)
            return &pk->props[i];
    }
    fail_at(at, "the packet has too few properties 0x%02X", (unsigned)id);
}
