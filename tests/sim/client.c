/* client.c - what the clients do: mostly what the standard allows, and now and then what it forbids. */
#include "world.h"

#define R (&W.rng)
#define UP_MAX 6000u /* bytes that a client writes ahead of the network */

/* ---- packets on their way ------------------------------------------------------------------------------ */

static struct record *new_record(enum packet_type type)
{
    struct record *r = make(sizeof *r);
    r->type = type;
    return r;
}

/* The bytes of `r` were appended to c->up behind `before`. */
static void written(struct conn *c, struct record *r, uint32_t before)
{
    c->written += c->up.len - before;
    r->end = c->written;
    *c->records_tail = r;
    c->records_tail = &r->next;
    if (!c->at)
        c->at = r;
}

static uint16_t new_pid(struct client *cl)
{
    for (;;) {
        const uint16_t pid = ++cl->next_pid;
        bool used = pid == 0;
        for (uint32_t i = 0; i < cl->outs; i++)
            used |= cl->out[i].pid == pid;
        if (!used)
            return pid;
    }
}

static void put_property(struct content *m, uint8_t id, const char *name, const char *value)
{
    uint8_t *at = m->props + m->props_len;
    const size_t n = strlen(name);
    const size_t v = strlen(value);
    *at++ = id;
    if (id == 0x26) {
        *at++ = 0;
        *at++ = (uint8_t)n;
        memcpy(at, name, n);
        at += n;
    }
    *at++ = 0;
    *at++ = (uint8_t)v;
    memcpy(at, value, v);
    at += v;
    m->props_len = (uint8_t)(at - m->props);
}

static void draw_properties(struct content *m)
{
    if (chance(R, 150)) {
        static const uint32_t expiry[] = { 0, 1, 2, 10, 60, 3600, 86400, UINT32_MAX };
        m->has_expiry = true;
        m->expiry_s = expiry[below(R, 8)];
    }
    if (chance(R, 700))
        return;
    if (chance(R, 300)) {
        m->props[m->props_len++] = 0x01;
        m->props[m->props_len++] = (uint8_t)below(R, 2);
    }
    if (chance(R, 300))
        put_property(m, 0x26, "k", "value");
    if (chance(R, 300))
        put_property(m, 0x03, "", "text/plain");
    if (chance(R, 300))
        put_property(m, 0x26, "", "");
    if (chance(R, 300))
        put_property(m, 0x08, "", "reply/to");
    if (chance(R, 300))
        put_property(m, 0x09, "", "\x01\x02\x03");
    if (chance(R, 300))
        put_property(m, 0x26, "k", "again");
}

static uint32_t draw_length(void)
{
    if (chance(R, 20))
        return between(R, 200, 3000);
    return between(R, 4, 60);
}

struct content *draw_message(struct client *cl, unsigned version)
{
    struct content *m = make(sizeof *m);
    m->refs = 1;
    m->number = ++W.numbers;
    m->publisher = cl->slot;
    const uint32_t a = below(R, W.topic_count), b = below(R, W.topic_count);
    m->topic = (uint8_t)(a < b ? a : b);
    m->qos = (uint8_t)(chance(R, cl->qos0 * 4u) ? 0 : chance(R, cl->qos1 * 4u) ? 1 : 2);
    m->retain = chance(R, 120);
    m->len = m->retain && chance(R, 200) ? 0 : chance(R, 5) ? 0 : draw_length();
    if (version == 5)
        draw_properties(m);
    return m;
}

/* ---- CONNECT ------------------------------------------------------------------------------------------- */

static void send_connect(struct client *cl, struct conn *c)
{
    static const uint32_t expiries[] = { 0, 1, 30, 300, 3600, 86400, UINT32_MAX, 100 };
    static const uint16_t receive[] = { 0, 0, 1, 2, 5, 20, 65535 };
    static const uint16_t keepalives[] = { 0, 0, 1, 5, 30, 60, 600, 65535 };
    struct record *r = new_record(PK_CONNECT);
    const uint32_t before = c->up.len;
    const bool anonymous = !cl->id[0];
    r->clean = cl->must_clean || chance(R, W.clean_rate) || (anonymous && c->version < 5);
    r->keepalive_s = keepalives[below(R, 8)];
    if (chance(R, 400)) {
        r->content = draw_message(cl, c->version);
        r->content->retain = chance(R, 200);
        r->content->len %= 500; /* CONNECT has a limit of its own */
        if (r->content->len < 4)
            r->content->len = 4;
        if (c->version == 5 && chance(R, 500))
            r->will_delay_s = chance(R, 500) ? between(R, 1, 20) : between(R, 20, 100000);
    }
    if (c->version == 5) {
        r->has_session_expiry = chance(R, 800) || anonymous;
        r->session_expiry_s = anonymous ? below(R, 60) : r->has_session_expiry ? expiries[below(R, 8)] : 0;
        r->receive_maximum = receive[below(R, 7)];
        r->alias_maximum = chance(R, 500) ? (uint16_t)between(R, 1, 20) : 0;
        r->packet_maximum = chance(R, 700) ? 0 : between(R, 160, 400);
    }
    if (r->clean) {
        cl->must_clean = true;
        client_forget(cl);
    }
    c->may_set_expiry = r->session_expiry_s && W.limits.session_expiry_s;
    c->sent_connect = true;
    TRACE("client  %d: CONNECT on %u, version %u%s%s, expiry %u, will %d delay %u", cl->slot, c->serial,
          c->version, r->clean ? ", clean" : "", anonymous ? ", no id" : "", r->session_expiry_s,
          r->content ? (int)r->content->number : -1, r->will_delay_s);
    c->bridge = c->version < 5 && chance(R, 20);
    put_connect(&c->up, c->version, r, cl->id, c->bridge);
    written(c, r, before);
}

/* ---- PUBLISH ------------------------------------------------------------------------------------------- */

static void send_publish_record(struct conn *c, struct content *m, uint16_t pid, bool dup)
{
    struct record *r = new_record(PK_PUBLISH);
    const uint32_t before = c->up.len;
    r->content = content_hold(m);
    r->pid = pid;
    r->dup = dup;
    const char *topic = W.topics[m->topic];
    uint16_t alias = 0;
    const uint16_t most = c->alias_up_maximum < 63 ? c->alias_up_maximum : 63;
    if (c->version == 5 && most && chance(R, 400)) {
        alias = (uint16_t)between(R, 1, most);
        for (uint16_t a = 1; a <= most; a++)
            if (c->alias_up[a] == m->topic + 1)
                alias = a;
        if (c->alias_up[alias] == m->topic + 1 && chance(R, 800))
            topic = "";
        c->alias_up[alias] = (uint8_t)(m->topic + 1);
    }
    TRACE("client  %d: PUBLISH #%u %s qos %u pid %u%s%s len %u%s", c->client->slot, m->number,
          W.topics[m->topic], m->qos, pid, dup ? " dup" : "", m->retain ? " retain" : "", m->len,
          m->has_expiry ? " expires" : "");
    put_publish(&c->up, c->version, r, topic, alias);
    written(c, r, before);
}

static void send_publish(struct client *cl, struct conn *c)
{
    struct content *m = draw_message(cl, c->version);
    if (m->len + 600u > c->largest_up)
        m->len = 4;
    const uint32_t window = c->receive_maximum < OUTGOING_MAX ? c->receive_maximum : OUTGOING_MAX;
    if (m->qos && cl->outs >= window)
        m->qos = 0;
    uint16_t pid = 0;
    if (m->qos) {
        pid = new_pid(cl);
        cl->out[cl->outs++] = (struct outgoing){ .content = content_hold(m), .pid = pid };
    }
    send_publish_record(c, m, pid, false);
    content_drop(m);
}

/* ---- SUBSCRIBE, UNSUBSCRIBE ---------------------------------------------------------------------------- */

/* Among the first n? */
static bool has_filter(const struct record *r, unsigned n, const struct filter_want *w)
{
    for (unsigned k = 0; k < n; k++)
        if (r->want[k].group == w->group && r->want[k].filter == w->filter)
            return true;
    return false;
}

/* Where requests may be refused: of two for the same filter it could not be told which one was. */
static bool is_asked_for(const struct conn *c, const struct filter_want *w)
{
    const bool refusals = W.tight || W.limits.subscriptions < FILTERS_MAX * GROUPS;
    for (const struct record *r = c->records; refusals && r; r = r->next)
        if (has_filter(r, r->wants, w))
            return true;
    return false;
}

/* Of what a member of two groups is sent it has to be seen which of them it is for: by an identifier, or because
 * it is in one only. */
static void want_shared(const struct client *cl, const struct conn *c, struct record *r)
{
    struct filter_want *w = &r->want[0];
    const bool many = c->version == 5 && W.limits.subscription_ids;
    r->wants = 1;
    w->group = (uint8_t)(many ? between(R, 1, GROUPS - 1) : 1u + (unsigned)cl->slot % (GROUPS - 1));
    w->filter = (uint8_t)(many ? below(R, W.filter_count) : (unsigned)cl->slot / 4 % W.filter_count);
    if (many && r->type == PK_SUBSCRIBE)
        r->sub_id = group_id(w->group, w->filter);
}

static void send_subscribe(struct client *cl, struct conn *c, enum packet_type type)
{
    struct record *r = new_record(type);
    const uint32_t before = c->up.len;
    r->pid = new_pid(cl);
    r->wants = (uint8_t)(chance(R, 700) ? 1 : between(R, 2, WANTS_MAX));
    if (c->version == 5 && type == PK_SUBSCRIBE && W.limits.subscription_ids && chance(R, 500))
        r->sub_id = chance(R, 900) ? between(R, 1, 200) : between(R, 10000, 268435455);
    if (W.limits.shared && chance(R, 150))
        want_shared(cl, c, r);
    for (unsigned i = 0; i < r->wants; i++) {
        struct filter_want *w = &r->want[i];
        for (unsigned tries = 0; !w->group && tries < 1000; tries++) {
            w->filter = (uint8_t)below(R, W.filter_count);
            if (!has_filter(r, i, w) && !is_asked_for(c, w))
                break;
        }
        if (type == PK_SUBSCRIBE) {
            w->qos = (uint8_t)below(R, 3);
            w->no_local = c->version == 5 && !w->group && chance(R, 150);
            w->retain_as_published = c->version == 5 && chance(R, 300);
            w->retain_handling = (uint8_t)(c->version == 5 ? below(R, 3) : 0);
        }
        TRACE("client  %d: %s group %u %s qos %u id %u rh %u%s%s", cl->slot,
              type == PK_SUBSCRIBE ? "SUBSCRIBE" : "UNSUBSCRIBE", w->group, W.filters[w->filter], w->qos,
              r->sub_id, w->retain_handling, w->no_local ? " no local" : "",
              w->retain_as_published ? " rap" : "");
    }
    put_subscribe(&c->up, c->version, r);
    written(c, r, before);
}

/* ---- small packets ------------------------------------------------------------------------------------- */

static void send_ping(struct conn *c)
{
    struct record *r = new_record(PK_PINGREQ);
    const uint32_t before = c->up.len;
    put_empty(&c->up, PK_PINGREQ);
    written(c, r, before);
}

static void send_ack(struct conn *c, enum packet_type type, uint16_t pid)
{
    struct record *r = new_record(type);
    const uint32_t before = c->up.len;
    r->pid = pid;
    TRACE("client  %d: ack %u pid %u", c->client->slot, type, pid);
    put_ack(&c->up, c->version, type, pid, 0);
    written(c, r, before);
}

/* In the order of what they acknowledge. */
void client_send_acks(struct conn *c, uint32_t n)
{
    while (n-- && c->ack_from != c->ack_to && c->up.len - c->up_at < 2 * UP_MAX) {
        const struct ack *a = &c->acks[c->ack_from++ % ACKS_MAX];
        send_ack(c, a->type, a->pid);
    }
}

static void send_disconnect(struct client *cl, struct conn *c)
{
    struct record *r = new_record(PK_DISCONNECT);
    const uint32_t before = c->up.len;
    if (c->version == 5) {
        r->reason = chance(R, 300) ? 0x04 : 0;
        r->has_session_expiry = c->may_set_expiry && chance(R, 300);
        r->session_expiry_s = chance(R, 300) ? 0 : between(R, 1, 1000);
    }
    TRACE("client  %d: DISCONNECT %02x on %u%s", cl->slot, r->reason, c->serial,
          r->has_session_expiry ? " expiry" : "");
    put_disconnect(&c->up, c->version, r);
    written(c, r, before);
    client_leave(cl);
}

/* ---- what is not allowed ------------------------------------------------------------------------------- */

#define EVIL(text)                                                                                           \
    {                                                                                                        \
        sizeof text - 1, text                                                                                \
    }
static const struct {
    size_t len;
    const char *bytes;
} evils[] = {
    EVIL("\x00\x00"),             /* no packet type */
    EVIL("\x20\x02\x00\x00"),     /* CONNACK */
    EVIL("\x90\x03\x00\x01\x00"), /* SUBACK */
    EVIL("\x80\x08\x00\x01\x00\x03"
         "a/b\x00"), /* SUBSCRIBE with the flags of 0 */
    EVIL("\x36\x05\x00\x01"
         "a\x00\x01"),                /* QoS 3 */
    EVIL("\x30\xFF\xFF\xFF\xFF\x01"), /* a length of five bytes */
    EVIL("\x30\x06\x00\x03"
         "a/#\x00"),                      /* wildcard in a topic name */
    EVIL("\x30\x05\x00\x02\xC3\x28\x00"), /* not UTF-8 */
    EVIL("\x32\x07\x00\x02"
         "ab\x00\x00\x00"),                               /* packet id 0 */
    EVIL("\x82\x02\x00\x01"),                             /* no filter */
    EVIL("\xD0\x00"),                                     /* PINGRESP */
    EVIL("\xC0\x01\x00"),                                 /* PINGREQ with a body */
    EVIL("\x40\x01\x00"),                                 /* PUBACK without an id */
    EVIL("\x60\x02\x00\x01"),                             /* PUBREL with the flags of 0 */
    EVIL("\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00"), /* a second CONNECT */
    EVIL("\x3C\x00"),                                     /* PUBLISH without anything */
};

static void be_evil(struct client *cl, struct conn *c)
{
    struct record *r = new_record(PK_EVIL);
    const uint32_t before = c->up.len;
    const uint32_t k = below(R, sizeof evils / sizeof *evils);
    TRACE("client  %d: evil %u on %u", cl->slot, k, c->serial);
    if (!c->sent_connect && evils[k].bytes[0] == 0x10)
        buffer_put(&c->up, evils[0].bytes, evils[0].len);
    else
        buffer_put(&c->up, evils[k].bytes, evils[k].len);
    c->evil = true;
    written(c, r, before);
    for (uint32_t n = below(R, 40); n; n--) {
        const uint8_t byte = (uint8_t)below(R, 256);
        buffer_put(&c->up, &byte, 1);
        c->written++;
    }
    W.evils++;
    W.faults++;
}

/* ---- what arrives -------------------------------------------------------------------------------------- */

void client_forget(struct client *cl)
{
    for (uint32_t i = 0; i < cl->outs; i++)
        content_drop(cl->out[i].content);
    cl->outs = cl->ins = 0;
    cl->generation++;
    cl->incarnation = 0;
}

void client_leave(struct client *cl)
{
    if (!cl->conn)
        return;
    cl->conn->client = NULL;
    cl->conn = NULL;
}

/* The same message with a number of its own. What is sent again at QoS 1 is a message more, at QoS 2 it is not looked
 * at: the broker cannot know the difference, and the model can tell which of them it sees. */
static void renumber(struct content **content)
{
    struct content *again = make(sizeof *again);
    *again = **content;
    again->refs = 1;
    again->number = ++W.numbers;
    content_drop(*content);
    *content = again;
}

/* Sent again in their order, publications and releases [MQTT-4.4.0-1]. */
static void resend(struct client *cl, struct conn *c)
{
    for (uint32_t i = 0; i < cl->outs; i++) {
        struct outgoing *o = &cl->out[i];
        if (o->released) {
            send_ack(c, PK_PUBREL, o->pid);
            continue;
        }
        renumber(&o->content);
        send_publish_record(c, o->content, o->pid, true);
    }
}

static void on_connack(struct client *cl, struct conn *c, const struct down *d)
{
    if (d->reason) {
        client_leave(cl);
        return;
    }
    c->connacked = true;
    c->receive_maximum = d->receive_maximum;
    c->alias_up_maximum = d->alias_maximum;
    if (d->packet_maximum)
        c->largest_up = d->packet_maximum;
    if (d->incarnation != cl->incarnation) /* session present alone does not tell whose it is */
        client_forget(cl);
    cl->incarnation = d->incarnation;
    cl->must_clean = false;
    resend(cl, c);
}

static void push_ack(struct conn *c, enum packet_type type, uint16_t pid)
{
    if (c->ack_to - c->ack_from == ACKS_MAX)
        client_send_acks(c, 1);
    if (c->ack_to - c->ack_from < ACKS_MAX)
        c->acks[c->ack_to++ % ACKS_MAX] = (struct ack){ .type = type, .pid = pid };
}

static bool has_in2(const struct client *cl, uint16_t pid)
{
    for (uint32_t i = 0; i < cl->ins; i++)
        if (cl->in2[i] == pid)
            return true;
    return false;
}

static void on_publish(struct client *cl, struct conn *c, const struct down *d)
{
    if (d->qos == 0)
        return;
    if (d->qos == 2 && !has_in2(cl, d->pid)) {
        if (cl->ins == sizeof cl->in2 / sizeof *cl->in2) {
            client_leave(cl); /* it has had enough */
            return;
        }
        cl->in2[cl->ins++] = d->pid;
        model_handed(cl, d);
    }
    push_ack(c, d->qos == 1 ? PK_PUBACK : PK_PUBREC, d->pid);
}

static void on_pubrel(struct client *cl, struct conn *c, uint16_t pid)
{
    for (uint32_t i = 0; i < cl->ins; i++)
        if (cl->in2[i] == pid)
            cl->in2[i--] = cl->in2[--cl->ins];
    push_ack(c, PK_PUBCOMP, pid);
}

static void on_answer(struct client *cl, struct conn *c, const struct down *d)
{
    uint32_t i = 0;
    while (i < cl->outs && cl->out[i].pid != d->pid)
        i++;
    if (i == cl->outs)
        return;
    struct outgoing *o = &cl->out[i];
    if (d->type == PK_PUBREC && d->reason < 0x80 && o->content->qos == 2) {
        o->released = true;
        send_ack(c, PK_PUBREL, d->pid);
        return;
    }
    if ((d->type == PK_PUBACK) != (o->content->qos == 1))
        diverge("client %d: pid %u is answered by a packet of type %u", cl->slot, d->pid, d->type);
    content_drop(o->content);
    memmove(o, o + 1, (cl->outs - i - 1) * sizeof *o);
    cl->outs--;
}

static void on_packet(struct client *cl, struct conn *c, const struct down *d)
{
    switch (d->type) {
    case PK_CONNACK:
        on_connack(cl, c, d);
        break;
    case PK_PUBLISH:
        on_publish(cl, c, d);
        break;
    case PK_PUBREL:
        on_pubrel(cl, c, d->pid);
        break;
    case PK_PUBACK:
    case PK_PUBREC:
    case PK_PUBCOMP:
        on_answer(cl, c, d);
        break;
    case PK_DISCONNECT:
        client_leave(cl);
        break;
    default:
        break;
    }
}

/* All that has come by the byte `upto` of the stream. */
void client_read(struct conn *c, uint64_t upto)
{
    c->read = upto;
    struct down *d;
    while ((d = c->downs) && d->end <= upto) {
        c->downs = d->next;
        if (!c->downs)
            c->downs_tail = &c->downs;
        if (c->client && !c->evil)
            on_packet(c->client, c, d);
        unmake(d);
    }
}

/* ---- what a client does next --------------------------------------------------------------------------- */

static bool act_connected(struct client *cl, struct conn *c)
{
    const uint32_t what = below(R, 1000);
    if (what < 30 && chance(R, W.evil_rate))
        be_evil(cl, c);
    else if (what < 40)
        send_disconnect(cl, c);
    else if (what < 60)
        send_ping(c);
    else if (what < 60 + cl->publish_rate)
        send_publish(cl, c);
    else if (what < 60 + cl->publish_rate + cl->subscribe_rate)
        send_subscribe(cl, c, chance(R, 750) ? PK_SUBSCRIBE : PK_UNSUBSCRIBE);
    else if (c->ack_from != c->ack_to)
        client_send_acks(c, 1 + below(R, 8));
    else
        return false;
    return true;
}

/* CONNACK has not come. */
static bool act_unanswered(struct client *cl, struct conn *c)
{
    if (chance(R, W.evil_rate / 4))
        be_evil(cl, c);
    else if (chance(R, 30) && c->version != 3) /* 3.1.1 and 5 need not wait for CONNACK */
        send_subscribe(cl, c, PK_SUBSCRIBE);
    else if (chance(R, 10))
        send_ping(c);
    else
        return false;
    return true;
}

/* False: there was nothing to do. */
bool client_act(struct client *cl)
{
    struct conn *c = cl->conn;
    if (c && chance(R, 4)) { /* it goes without a word, and the broker does not know */
        TRACE("client  %d: leaves %u", cl->slot, c->serial);
        client_leave(cl);
        return true;
    }
    if (!c) {
        if (chance(R, 600))
            return false;
        c = conn_open(cl);
        if (!c)
            return true;
        c->version = cl->version;
        W.connects++;
        TRACE("client  %d: opens %u", cl->slot, c->serial);
        if (chance(R, 100))
            return true;
    }
    if (c->evil || c->up.len - c->up_at > UP_MAX)
        return false;
    if (!c->sent_connect) {
        if (chance(R, W.evil_rate / 4))
            be_evil(cl, c);
        else
            send_connect(cl, c);
        return true;
    }
    return c->connacked ? act_connected(cl, c) : act_unanswered(cl, c);
}
