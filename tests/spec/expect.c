/* expect.c - what a test expects of its peers, and whole conversations. */
#include "peer.h"

void expect_hex_at(struct place at, struct peer *p, const char *hex)
{
    const uint8_t *any;
    const struct bytes want = parse_hex(at, hex, &any);
    const uint8_t *got = p->in.at + p->read;
    bool same = unread(p) >= want.len;
    for (size_t i = 0; same && i < want.len; i++)
        same = any[i] || got[i] == want.at[i];
    if (!same)
        fail_bytes(at, "other bytes than expected", got, unread(p), want.at, want.len);
    p->read += want.len;
}

static const struct arrived *next_arrived(const struct peer *p)
{
    const struct arrived *a = (const struct arrived *)(const void *)p->arrived.at;
    const size_t count = p->arrived.len / sizeof *a;
    size_t low = 0, high = count; /* they begin in ascending order */
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (a[middle].begin < p->read)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && a[low].begin == p->read ? &a[low] : NULL;
}

struct packet expect_packet_at(struct place at, struct peer *p, enum packet_type type)
{
    const struct arrived *a = next_arrived(p);
    if (!a && unread(p) == 0)
        fail_at(at, "nothing came%s, a packet of type %d was expected", p->closed ? " but the close" : "",
                (int)type);
    if (!a || (type != PK_ANY && a->packet.type != type))
        fail_bytes(at, "not a packet of the expected type", p->in.at + p->read, unread(p),
                   (const uint8_t[]){ (uint8_t)(type << 4) }, 1);
    p->read = a->end;
    return a->packet;
}

static void expect_no_bytes(struct place at, const struct peer *p)
{
    if (unread(p))
        fail_bytes(at, "bytes came, and none were expected", p->in.at + p->read, unread(p), NULL, 0);
}

void expect_nothing_at(struct place at, struct peer *p)
{
    expect_no_bytes(at, p);
    if (p->closed)
        fail_at(at, "the broker has closed the connection");
}

void expect_closed_at(struct place at, struct peer *p)
{
    expect_no_bytes(at, p);
    if (!p->closed)
        fail_at(at, "the broker has not closed the connection");
    p->close_expected = true;
}

void expect_disconnect_at(struct place at, struct peer *p, uint8_t reason)
{
    if (p->rules.version == 5)
        check_equal_at(at, "reason of DISCONNECT", expect_packet_at(at, p, PK_DISCONNECT).reason, reason);
    expect_closed_at(at, p);
}

struct packet expect_connack_at(struct place at, struct peer *p, uint8_t reason)
{
    p->connack = expect_packet_at(at, p, PK_CONNACK);
    check_equal_at(at, "code of CONNACK", p->connack.reason, reason);
    if (reason)
        expect_closed_at(at, p);
    return p->connack;
}

struct packet expect_ack_at(struct place at, struct peer *p, enum packet_type type, uint16_t pid,
                            uint8_t reason)
{
    const struct packet pk = expect_packet_at(at, p, type);
    check_equal_at(at, "packet identifier", pk.pid, pid);
    check_equal_at(at, "reason code", pk.reason, reason);
    return pk;
}

struct packet expect_publish_at(struct place at, struct peer *p, const char *topic, const char *payload)
{
    const struct packet pk = expect_packet_at(at, p, PK_PUBLISH);
    check_text_at(at, "topic", pk.topic, topic);
    check_text_at(at, "payload", pk.payload, payload);
    return pk;
}

/* ---- whole conversations ------------------------------------------------------------------------------- */

struct peer *connect_at(struct place at, const struct c_connect *c)
{
    struct peer *p = dial_at(at, 0);
    send_connect(p, c);
    expect_connack_at(at, p, 0);
    return p;
}

const struct packet *connack_of(const struct peer *p)
{
    return &p->connack;
}

static uint16_t next_pid(struct peer *p)
{
    if (++p->last_pid == 0)
        p->last_pid = 1;
    return p->last_pid;
}

void subscribe_at(struct place at, struct peer *p, const char *filter, uint8_t options)
{
    const uint16_t pid = next_pid(p);
    send_subscribe(p, &(struct c_subscribe){ .pid = pid, FILTERS({ filter, options }) });
    const struct packet pk = expect_packet_at(at, p, PK_SUBACK);
    check_equal_at(at, "packet identifier", pk.pid, pid);
    check_equal_at(at, "code of SUBACK", pk.codes[0], options & 3u);
}

void unsubscribe_at(struct place at, struct peer *p, const char *filter)
{
    const uint16_t pid = next_pid(p);
    send_unsubscribe(p, &(struct c_subscribe){ .pid = pid, FILTERS({ filter, 0 }) });
    const struct packet pk = expect_packet_at(at, p, PK_UNSUBACK);
    check_equal_at(at, "packet identifier", pk.pid, pid);
    if (pk.code_count)
        check_equal_at(at, "code of UNSUBACK", pk.codes[0], 0);
}

static void expect_success(struct place at, struct peer *p, enum packet_type type, uint16_t pid)
{
    const struct packet pk = expect_packet_at(at, p, type);
    check_equal_at(at, "packet identifier", pk.pid, pid);
    if (pk.reason >= 0x80)
        fail_at(at, "refused with 0x%02X", pk.reason);
}

void publish_at(struct place at, struct peer *p, const char *topic, const char *payload, uint8_t qos,
                bool retain)
{
    const uint16_t pid = qos ? next_pid(p) : 0;
    send_publish(p, &(struct c_publish){
                        .topic = topic, .payload = payload, .qos = qos, .pid = pid, .retain = retain });
    if (qos == 1)
        expect_success(at, p, PK_PUBACK, pid);
    if (qos != 2)
        return;
    expect_success(at, p, PK_PUBREC, pid);
    send_ack(p, PK_PUBREL, pid, 0);
    expect_success(at, p, PK_PUBCOMP, pid);
}

/* Takes the PUBREL of this id out of what has come, wherever it stands: others may have come before it. */
static void take_pubrel(struct place at, struct peer *p, uint16_t pid)
{
    struct arrived *a = (struct arrived *)(void *)p->arrived.at, *end = a + p->arrived.len / sizeof *a;
    while (a < end && (a->begin < p->read || a->packet.type != PK_PUBREL || a->packet.pid != pid))
        a++;
    if (a == end)
        fail_at(at, "no PUBREL %u came", pid);
    const size_t gone = a->end - a->begin;
    memmove(p->in.at + a->begin, p->in.at + a->end, p->in.len - a->end);
    p->in.len -= gone;
    p->checked -= gone;
    p->arrived.len -= sizeof *a;
    for (; a + 1 < end; a++) {
        a[0] = a[1];
        a->begin -= gone;
        a->end -= gone;
    }
}

struct packet take_publish_at(struct place at, struct peer *p, const char *topic, const char *payload,
                              uint8_t qos)
{
    const struct packet pk = expect_publish_at(at, p, topic, payload);
    check_equal_at(at, "QoS", pk.qos, qos);
    if (qos == 1)
        send_ack(p, PK_PUBACK, pk.pid, 0);
    if (qos != 2)
        return pk;
    send_ack(p, PK_PUBREC, pk.pid, 0);
    take_pubrel(at, p, pk.pid);
    send_ack(p, PK_PUBCOMP, pk.pid, 0);
    return pk;
}

void leave_at(struct place at, struct peer *p)
{
    send_disconnect(p, 0, NO_PROPS);
    expect_closed_at(at, p);
}
