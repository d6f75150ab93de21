/* rules.c - what every packet of the broker has to obey, whatever the test is about. */
#include "rules.h"

/* Packet identifiers of one session, as the two ends have used them. */
#define OUT_QOS1 0x01u    /* PUBLISH from the broker, not acknowledged */
#define OUT_QOS2 0x02u    /* the same, at QoS 2 up to PUBCOMP */
#define OUT_RELEASE 0x04u /* ... and PUBREC was sent: PUBREL is due */
#define OUT_HERE 0x08u    /* ... and it came on this connection */
#define OUT (OUT_QOS1 | OUT_QOS2)
#define IN_QOS1 0x10u /* the client has used it on this connection: answers to it are lawful */
#define IN_QOS2 0x20u
#define IN_RELEASE 0x40u
#define IN_SUBSCRIBE 0x80u
#define IN_UNSUBSCRIBE 0x100u
#define IN_TWICE 0x200u /* for two of these at once, so nobody can tell which one is answered */

struct id_table {
    uint16_t flags[65536];
    uint16_t filters[65536]; /* of the SUBSCRIBE or UNSUBSCRIBE */
};

void rules_init(struct rules *r)
{
    *r = (struct rules){ .maximum_packet = UINT32_MAX, .receive_maximum = 65535 };
}

static struct id_table *ids(struct rules *r)
{
    if (!r->ids)
        r->ids = keep(sizeof *r->ids);
    return r->ids;
}

/* ---- the client's stream ------------------------------------------------------------------------------- */

static void note_connect_props(struct rules *r, const struct packet *pk)
{
    for (size_t i = 0; i < pk->prop_count; i++) {
        const struct prop *p = &pk->props[i];
        switch (p->id) {
        case PROP_MAXIMUM_PACKET_SIZE:
            r->maximum_packet = p->number ? p->number : UINT32_MAX;
            break;
        case PROP_RECEIVE_MAXIMUM:
            r->receive_maximum = p->number ? p->number : 65535;
            break;
        case PROP_TOPIC_ALIAS_MAXIMUM:
            r->alias_maximum = p->number;
            break;
        case PROP_REQUEST_PROBLEM:
            r->no_problem_information = p->number == 0;
            break;
        case PROP_REQUEST_RESPONSE:
            r->response_information = p->number == 1;
            break;
        case PROP_AUTH_METHOD:
            r->method = p->value;
            break;
        default:
            break;
        }
    }
}

static void note_connect(struct rules *r, struct cursor c)
{
    struct packet pk = { 0 };
    get_binary(&c);
    const unsigned level = get_u8(&c) & 0x7Fu;
    get_u8(&c);
    get_u16(&c);
    r->has_connect = true;
    r->version = level >= 3 && level <= 5 ? level : 0;
    if (level == 5 && parse_props(&c, &pk) == NULL)
        note_connect_props(r, &pk);
    const struct cursor id = get_binary(&c);
    char *text = keep(id.left + 1);
    if (id.left)
        memcpy(text, id.at, id.left);
    r->client_id = text;
}

static uint16_t count_filters(const struct rules *r, struct cursor c, bool options)
{
    struct packet pk = { 0 };
    uint16_t n = 0;
    if (r->version == 5)
        parse_props(&c, &pk);
    for (; c.left && !c.failed; n++) {
        get_binary(&c);
        if (options)
            get_u8(&c);
    }
    return n;
}

static void complete(struct rules *r, uint16_t pid, unsigned which)
{
    uint16_t *flags = &ids(r)->flags[pid];
    if (!(*flags & which))
        return;
    if (*flags & OUT_HERE)
        r->in_flight--;
    *flags &= (uint16_t) ~(OUT | OUT_RELEASE | OUT_HERE);
}

/* Only learns: what a client does wrong is the test's business. */
static void note_packet(struct rules *r, uint8_t first, struct cursor c)
{
    const enum packet_type type = (enum packet_type)(first >> 4);
    if (type == PK_CONNECT && !r->has_connect) {
        note_connect(r, c);
        return;
    }
    if (type == PK_DISCONNECT && first == 0xE0)
        r->client_left = true;
    if (type == PK_PUBLISH)
        get_binary(&c);
    if (type == PK_PUBLISH ? !(first & 6) : type > PK_UNSUBSCRIBE)
        return;
    const uint16_t pid = get_u16(&c);
    if (c.failed)
        return;
    const bool refused = r->version == 5 && c.left && c.at[0] >= 0x80;
    uint16_t *flags = &ids(r)->flags[pid];
    switch (type) {
    case PK_PUBLISH:
        *flags |= first >> 1 & 1 ? IN_QOS1 : IN_QOS2;
        break;
    case PK_PUBREL:
        *flags |= IN_RELEASE;
        break;
    case PK_SUBSCRIBE:
    case PK_UNSUBSCRIBE:
        if (*flags & (IN_SUBSCRIBE | IN_UNSUBSCRIBE))
            *flags |= IN_TWICE;
        *flags |= type == PK_SUBSCRIBE ? IN_SUBSCRIBE : IN_UNSUBSCRIBE;
        ids(r)->filters[pid] = count_filters(r, c, type == PK_SUBSCRIBE);
        break;
    case PK_PUBACK:
        complete(r, pid, OUT_QOS1);
        break;
    case PK_PUBCOMP:
        complete(r, pid, OUT_QOS2);
        break;
    case PK_PUBREC:
        if (refused)
            complete(r, pid, OUT_QOS2);
        else
            *flags |= OUT_RELEASE;
        break;
    default:
        break;
    }
}

void rules_sent(struct rules *r, const uint8_t *bytes, size_t n)
{
    size_t head = 0, size;
    put(&r->sent, bytes, n);
    while ((size = packet_length(r->sent.at, r->sent.len, &head)) > 0) {
        note_packet(r, r->sent.at[0], (struct cursor){ r->sent.at + head, size - head, false });
        r->sent.at += size;
        r->sent.len -= size;
        r->sent.cap -= size;
    }
}

/* ---- the broker's packets ------------------------------------------------------------------------------ */

static bool in_list(const char *list, unsigned code)
{
    for (; *list; list += list[2] ? 3 : 2) {
        unsigned one;
        if (sscanf(list, "%2x", &one) == 1 && one == code)
            return true;
    }
    return false;
}

/* MQTT 5.0 tables 3-1, 3-4 to 3-10; of DISCONNECT and AUTH what a server may send. */
static const char *const lawful_reasons[16] = {
    [PK_CONNACK] = "00 80 81 82 83 84 85 86 87 88 89 8A 8C 90 95 97 99 9A 9B 9C 9D 9F",
    [PK_PUBACK] = "00 10 80 83 87 90 91 97 99",
    [PK_PUBREC] = "00 10 80 83 87 90 91 97 99",
    [PK_PUBREL] = "00 92",
    [PK_PUBCOMP] = "00 92",
    [PK_SUBACK] = "00 01 02 80 83 87 8F 91 97 9E A1 A2",
    [PK_UNSUBACK] = "00 11 80 83 87 8F 91",
    [PK_DISCONNECT] = "80 81 82 83 87 89 8B 8C 8D 8E 8F 90 93 94 95 96 97 98 99 9A 9B 9C 9D 9E 9F A0 A1 A2",
    [PK_AUTH] = "00 18",
};
static const char *const lawful_codes_v3[16] = {
    [PK_CONNACK] = "00 01 02 03 04 05",
    [PK_SUBACK] = "00 01 02 80",
};
static const char *const lawful_props[16] = {
    [PK_CONNACK] = "11 12 13 15 16 1A 1C 1F 21 22 24 25 26 27 28 29 2A",
    [PK_PUBLISH] = "01 02 03 08 09 0B 23 26",
    [PK_PUBACK] = "1F 26",
    [PK_PUBREC] = "1F 26",
    [PK_PUBREL] = "1F 26",
    [PK_PUBCOMP] = "1F 26",
    [PK_SUBACK] = "1F 26",
    [PK_UNSUBACK] = "1F 26",
    [PK_DISCONNECT] = "1C 1F 26",
    [PK_AUTH] = "15 16 1F 26",
};

static const char *check_reasons(const struct rules *r, const struct packet *pk)
{
    const char *list = r->version == 5 ? lawful_reasons[pk->type] : lawful_codes_v3[pk->type];
    if (!list)
        return pk->code_count ? "UNSUBACK of 3.x has no payload" : NULL;
    if (pk->type != PK_SUBACK && pk->type != PK_UNSUBACK)
        return in_list(list, pk->reason) ? NULL : "reason code that this packet may not carry";
    for (size_t i = 0; i < pk->code_count; i++) {
        if (!in_list(list, pk->codes[i]))
            return "reason code that this packet may not carry";
    }
    return NULL;
}

static const char *check_value(const struct prop *p)
{
    switch (p->id) {
    case PROP_PAYLOAD_FORMAT:
    case PROP_MAXIMUM_QOS:
    case PROP_RETAIN_AVAILABLE:
    case PROP_WILDCARD_AVAILABLE:
    case PROP_SUBSCRIPTION_ID_AVAILABLE:
    case PROP_SHARED_AVAILABLE:
        return p->number <= 1 ? NULL : "property that is neither 0 nor 1";
    case PROP_RECEIVE_MAXIMUM:
    case PROP_MAXIMUM_PACKET_SIZE:
    case PROP_SUBSCRIPTION_ID:
    case PROP_TOPIC_ALIAS:
        return p->number ? NULL : "property that may not be 0";
    default:
        return NULL;
    }
}

static const char *check_props(const struct rules *r, const struct packet *pk)
{
    for (size_t i = 0; i < pk->prop_count; i++) {
        const struct prop *p = &pk->props[i];
        const bool many = p->id == PROP_USER || (p->id == PROP_SUBSCRIPTION_ID && pk->type == PK_PUBLISH);
        const bool told = pk->type == PK_PUBLISH || pk->type == PK_CONNACK || pk->type == PK_DISCONNECT;
        if (!lawful_props[pk->type] || !in_list(lawful_props[pk->type], p->id))
            return "property that this packet may not carry";
        if (!many && count_prop(pk, p->id) > 1)
            return "property that comes twice";
        if (r->no_problem_information && !told && (p->id == PROP_REASON_STRING || p->id == PROP_USER))
            return "problem information that the client did not ask for [MQTT-3.1.2-29]";
        if (p->id == PROP_RESPONSE_INFO && !r->response_information)
            return "Response Information that the client did not ask for [MQTT-3.1.2-28]";
        if (check_value(p))
            return check_value(p);
    }
    return NULL;
}

static void take_ids_over(struct rules *r, const struct rules *before)
{
    if (!before || !before->ids)
        return;
    for (unsigned i = 0; i < 65536; i++) {
        if (before->ids->flags[i] & (OUT | OUT_RELEASE))
            ids(r)->flags[i] = before->ids->flags[i] & (OUT | OUT_RELEASE);
    }
}

static const char *check_connack(struct rules *r, const struct rules *before, const struct packet *pk)
{
    if (r->greeted)
        return "a second CONNACK [MQTT-3.2.0-2]";
    r->greeted = true;
    r->refused = pk->reason != 0;
    r->resumed = pk->session_present;
    if (r->refused && pk->session_present)
        return "Session Present in a refusal [MQTT-3.2.2-6]";
    if (r->version == 3 && pk->session_present)
        return "Session Present to a 3.1 client [V31-connack]";
    if (r->resumed || r->version == 3)
        take_ids_over(r, before);
    return NULL;
}

static const char *check_method(const struct rules *r, const struct packet *pk)
{
    const bool named = has_prop(pk, PROP_AUTH_METHOD);
    if (!r->method)
        return named || pk->type == PK_AUTH ? "authentication that CONNECT did not ask for [MQTT-4.12.0-6]"
                                            : NULL;
    if (pk->type == PK_CONNACK && pk->reason)
        return NULL;
    if (!named || strcmp(nth_prop_at(HERE, pk, PROP_AUTH_METHOD, 0)->value, r->method) != 0)
        return "another Authentication Method than CONNECT's [MQTT-4.12.0-5]";
    return NULL;
}

static const char *check_alias(struct rules *r, struct packet *pk)
{
    pk->alias = has_prop(pk, PROP_TOPIC_ALIAS) ? (uint16_t)prop_number(pk, PROP_TOPIC_ALIAS) : 0;
    pk->alias_alone = pk->topic_len == 0;
    if (!pk->alias)
        return pk->alias_alone ? "PUBLISH without topic and alias" : NULL;
    if (pk->alias > r->alias_maximum)
        return "alias above the client's maximum [MQTT-3.1.2-26]";
    if (!r->aliases)
        r->aliases = keep((r->alias_maximum + 1) * sizeof *r->aliases);
    if (!pk->alias_alone)
        r->aliases[pk->alias] = pk->topic;
    if (!r->aliases[pk->alias])
        return "alias that was never given a topic";
    pk->topic = r->aliases[pk->alias];
    pk->topic_len = strlen(pk->topic);
    return NULL;
}

static const char *check_publish_id(struct rules *r, const struct packet *pk)
{
    uint16_t *flags = &ids(r)->flags[pk->pid];
    if (pk->pid == 0)
        return "packet identifier 0 [MQTT-2.2.1-3]";
    if (*flags & OUT_HERE)
        return "packet identifier that is in use [MQTT-2.2.1-4]";
    if (*flags & OUT && !pk->dup && r->version != 3)
        return "packet identifier of a message that waits to be sent again [MQTT-2.2.1-4]";
    if (pk->dup && !r->resumed && r->version != 3)
        return "DUP on the first sending [MQTT-3.3.1-1]";
    *flags = (uint16_t)((*flags & ~(OUT | OUT_RELEASE)) | OUT_HERE | (pk->qos == 1 ? OUT_QOS1 : OUT_QOS2));
    r->in_flight++;
    return r->in_flight > r->receive_maximum ? "more in flight than the Receive Maximum [MQTT-3.3.4-9]"
                                             : NULL;
}

static const char *check_publish(struct rules *r, struct packet *pk)
{
    const char *wrong = check_alias(r, pk);
    if (wrong)
        return wrong;
    if (pk->qos == 3)
        return "QoS 3 [MQTT-3.3.1-4]";
    if (!utf8_ok((const uint8_t *)pk->topic, pk->topic_len))
        return "topic with ill-formed UTF-8";
    if (strpbrk(pk->topic, "#+"))
        return "topic with a wildcard [MQTT-3.3.2-2]";
    if (pk->qos)
        return check_publish_id(r, pk);
    return pk->dup ? "DUP at QoS 0 [MQTT-3.3.1-2]" : NULL;
}

/* An answer needs a question on this connection; SUBACK and UNSUBACK use theirs up. */
static const char *check_answer(struct rules *r, const struct packet *pk)
{
    static const uint16_t question[16] = {
        [PK_PUBACK] = IN_QOS1,     [PK_PUBREC] = IN_QOS2,      [PK_PUBREL] = OUT_RELEASE,
        [PK_PUBCOMP] = IN_RELEASE, [PK_SUBACK] = IN_SUBSCRIBE, [PK_UNSUBACK] = IN_UNSUBSCRIBE,
    };
    uint16_t *flags = &ids(r)->flags[pk->pid];
    if (pk->pid == 0)
        return "packet identifier 0 [MQTT-2.2.1-3]";
    if (!(*flags & question[pk->type]))
        return "answer to something that was not sent";
    if ((pk->type != PK_SUBACK && pk->type != PK_UNSUBACK) || *flags & IN_TWICE)
        return NULL;
    *flags &= (uint16_t)~question[pk->type];
    if ((pk->type == PK_SUBACK || r->version == 5) && pk->code_count != ids(r)->filters[pk->pid])
        return "not one code for each filter [MQTT-3.8.4-6]";
    return NULL;
}

static const char *check_order(const struct rules *r, const struct packet *pk)
{
    if (r->refused || r->goodbye)
        return "a packet after the last word [MQTT-3.14.4-1]";
    if (!r->has_connect)
        return "a packet to a client that has not sent CONNECT";
    if (!r->greeted && pk->type != PK_CONNACK && pk->type != PK_AUTH)
        return "a packet before CONNACK [MQTT-3.2.0-1]";
    return NULL;
}

static const char *check_kind(struct rules *r, const struct rules *before, struct packet *pk)
{
    const char *wrong = NULL;
    switch (pk->type) {
    case PK_CONNACK:
        wrong = check_connack(r, before, pk);
        return wrong || r->version != 5 ? wrong : check_method(r, pk);
    case PK_AUTH:
        return check_method(r, pk);
    case PK_PUBLISH:
        return check_publish(r, pk);
    case PK_PINGRESP:
        return NULL;
    case PK_DISCONNECT:
        r->goodbye = true;
        return NULL;
    default:
        return check_answer(r, pk);
    }
}

const char *rules_check(struct rules *r, const struct rules *before, const uint8_t *bytes, size_t n,
                        struct packet *out)
{
    /* A CONNECT of a version that nobody knows may be answered in the form of 3.x or of 5.0. */
    if (!r->version && n >= 2)
        r->version = bytes[1] == 2 ? 4 : 5;
    const char *wrong = parse_packet(bytes, n, r->version, out);
    if (!wrong)
        wrong = check_order(r, out);
    /* of a CONNECT that is no CONNECT nothing counts */
    const bool unread = !wrong && out->type == PK_CONNACK && (out->reason == 0x81 || out->reason == 0x82);
    if (!wrong && !unread && n > r->maximum_packet)
        wrong = "larger than the client's Maximum Packet Size [MQTT-3.1.2-24]";
    if (!wrong && r->version == 5)
        wrong = check_props(r, out);
    if (!wrong && out->type != PK_PINGRESP && out->type != PK_PUBLISH &&
        (r->version == 5 || out->type != PK_PUBREL))
        wrong = check_reasons(r, out);
    return wrong ? wrong : check_kind(r, before, out);
}
