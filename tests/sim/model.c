/* model.c - what MQTT says that each client may see: the reference that the broker is held against.
 *
 * It is driven by three things, and each has to be explained by the other two: the packets that the broker was
 * fed (records), what it told its host (events), and what it sent (packets).
 */
#include "world.h"

/* ---- small things -------------------------------------------------------------------------------------- */

static struct msg *hold(struct msg *m)
{
    m->refs++;
    return m;
}

static void drop(struct msg *m)
{
    if (!m || --m->refs)
        return;
    content_drop(m->content);
    unmake(m);
}

static void append(struct list *l, struct entry *e)
{
    if (e->state == WAITING)
        TRACE("model   owes #%u qos %u%s%s, %u ids: %u", e->msg->content->number, e->qos,
              e->retain ? ", retain" : "", e->replay ? ", replay" : "", e->id_count,
              e->id_count ? e->ids[0] : 0);
    e->next = NULL;
    if (l->head)
        l->last->next = e;
    else
        l->head = e;
    l->last = e;
}

static void cut(struct list *l, struct entry *before, struct entry *e)
{
    if (before)
        before->next = e->next;
    else
        l->head = e->next;
    if (l->last == e)
        l->last = before;
}

static void free_entry(struct entry *e)
{
    drop(e->msg);
    unmake(e);
}

/* It is done with; its record may still be there. */
static void bury(struct session *s, struct entry *e)
{
    if (!W.store || !e->qos) {
        free_entry(e);
        return;
    }
    e->of = s;
    e->next = W.ghosts;
    W.ghosts = e;
}

static void free_list(struct list *l)
{
    for (struct entry *e = l->head, *next; e; e = next) {
        next = e->next;
        free_entry(e);
    }
    l->head = l->last = NULL;
}

int topic_index(const uint8_t *topic, uint32_t len)
{
    for (uint32_t i = 0; i < W.topic_count; i++)
        if (W.topic_len[i] == len && memcmp(W.topics[i], topic, len) == 0)
            return (int)i;
    return -1;
}

static bool is_text(struct midge_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

static bool find_filter(struct midge_slice s, uint8_t *group, uint8_t *filter)
{
    static const char *const prefix[GROUPS] = { "", "$share/g1/", "$share/second/" };
    *group = 0;
    for (uint8_t g = 1; g < GROUPS; g++) {
        const size_t n = strlen(prefix[g]);
        if (s.len > n && memcmp(s.data, prefix[g], n) == 0) {
            *group = g;
            s.data += n;
            s.len -= (uint32_t)n;
            break;
        }
    }
    for (uint32_t f = 0; f < W.filter_count; f++) {
        if (is_text(s, W.filters[f])) {
            *filter = (uint8_t)f;
            return true;
        }
    }
    return false;
}

/* -1: its id was assigned. */
static int slot_of(struct midge_slice id)
{
    int slot = 0;
    if (id.len < 2 || id.data[0] != 'c')
        return -1;
    for (uint32_t i = 1; i < id.len; i++)
        slot = slot * 10 + (id.data[i] - '0');
    return slot < 64 ? slot : -1;
}

struct session *model_session(struct midge_slice id)
{
    const int slot = slot_of(id);
    if (slot >= 0)
        return W.by_slot[slot];
    for (struct session *s = W.sessions; s; s = s->next)
        if (is_text(id, s->id))
            return s;
    return NULL;
}

static int origin_of(const struct session *s)
{
    return s->slot >= 0 ? s->slot : 1000 + (int)s->incarnation;
}

static midge_ms lifetime(const struct msg *m)
{
    return m->content->expiry_s ? (midge_ms)m->content->expiry_s * 1000 : 1;
}

/* Has it expired for certain; may it have? */
static bool is_over(const struct msg *m, midge_ms age)
{
    return m->content->has_expiry && age >= m->to + lifetime(m);
}

static bool may_be_over(const struct msg *m, midge_ms age)
{
    return m->content->has_expiry && age >= m->from + lifetime(m);
}

static struct entry *new_entry(struct msg *m, uint8_t ids)
{
    struct entry *e = make(sizeof *e + ids * sizeof e->ids[0]);
    e->msg = hold(m);
    e->born = W.moment;
    e->id_count = ids;
    return e;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static struct answer *owe(struct conn *c, enum packet_type type, uint16_t pid, uint8_t reason)
{
    struct answer *a = make(sizeof *a);
    *a = (struct answer){ .type = type, .pid = pid, .reason = reason };
    *c->answers_tail = a;
    c->answers_tail = &a->next;
    return a;
}

static void answered(struct conn *c)
{
    struct answer *a = c->answers;
    c->answers = a->next;
    if (!c->answers)
        c->answers_tail = &c->answers;
    unmake(a->record);
    unmake(a);
}

/* ---- routing ------------------------------------------------------------------------------------------- */

static void lapse_replays(uint8_t topic)
{
    for (struct session *s = W.sessions; s; s = s->next) {
        for (struct entry *e = s->waiting.head; e; e = e->next) {
            if (e->replay && e->msg->content->topic == topic && !e->lapsed) {
                e->lapsed = W.routed;
                e->optional = true;
            }
        }
    }
}

static void retain(struct msg *m)
{
    const uint8_t t = m->content->topic;
    TRACE("model   %s is retained: #%u", W.topics[t], m->content->len ? m->content->number : 0);
    lapse_replays(t);
    drop(W.retained[t]);
    W.retained[t] = m->content->len ? hold(m) : NULL;
    if (W.retained_unsure[t])
        W.was_unsure[t] = W.routed;
    W.retained_unsure[t] = false;
}

static uint8_t lower(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

/* Retained while the session is away, and a replay has not come that far: it may still bring it. */
static void may_replay(struct session *s, struct msg *m)
{
    for (uint8_t f = 0; f < W.filter_count; f++) {
        if (!(s->replaying & s->mask[0] & W.matches[m->content->topic] & 1ull << f))
            continue;
        const struct sub *sub = &s->replay[f];
        struct entry *e = new_entry(m, sub->id ? 1 : 0);
        if (e->id_count)
            e->ids[0] = sub->id;
        e->qos = lower(sub->qos, m->content->qos);
        e->retain = e->replay = e->optional = e->guess = true;
        e->filter = f;
        append(&s->waiting, e);
    }
}

static void route_to(struct session *s, struct msg *m, const struct session *from, bool shared_too)
{
    const struct content *content = m->content;
    uint64_t mask = s->mask[0] & W.matches[content->topic];
    struct entry *e = NULL;
    uint32_t ids[IDS_MAX], n = 0;
    uint8_t qos = 0;
    bool retained = false, any = false;
    for (uint32_t f = 0; mask; f++, mask >>= 1) {
        if (!(mask & 1))
            continue;
        const struct sub *sub = &s->sub[0][f];
        const uint8_t q = lower(sub->qos, content->qos);
        if (sub->no_local && s == from)
            continue;
        if (!q && !s->conn)
            continue;
        any = true;
        qos = q > qos ? q : qos;
        retained |= sub->retain_as_published && content->retain;
        if (sub->id)
            ids[n++] = sub->id;
    }
    if (!any && content->retain && content->len)
        may_replay(s, m);
    if (!any)
        return;
    e = new_entry(m, (uint8_t)n);
    memcpy(e->ids, ids, n * sizeof *ids);
    e->qos = qos;
    e->retain = retained;
    e->ambiguous = shared_too;
    append(&s->waiting, e);
}

static void owe_groups(struct msg *m, uint32_t f, uint8_t g)
{
    bool somebody = false, here = false, at_most_once = false;
    for (const struct session *s = W.sessions; s; s = s->next) {
        if (!(s->mask[g] >> f & 1))
            continue;
        somebody = true;
        here |= s->conn != NULL;
        at_most_once |= !lower(s->sub[g][f].qos, m->content->qos);
    }
    if (!somebody)
        return;
    struct owed *o = make(sizeof *o);
    *o = (struct owed){ .msg = hold(m), .excused = !here || at_most_once };
    TRACE("model   #%u is owed to group %u %s%s", m->content->number, g, W.filters[f],
          o->excused ? ", excused" : "");
    struct owed **at = &W.owed[g][f];
    while (*at)
        at = &(*at)->next;
    *at = o;
}

static void route(struct msg *m, const struct session *from)
{
    const uint64_t mask = W.matches[m->content->topic];
    W.routed++;
    W.moment++;
    W.exposed = W.store;
    if (m->content->retain)
        retain(m);
    for (struct session *s = W.sessions; s; s = s->next) {
        const bool shared = ((s->mask[1] | s->mask[2]) & mask) != 0;
        if (s->mask[0] & mask)
            route_to(s, m, from, shared);
    }
    if (!(W.owed_any & mask))
        return;
    for (uint8_t g = 1; g < GROUPS; g++)
        for (uint32_t f = 0; f < W.filter_count; f++)
            if (mask >> f & 1)
                owe_groups(m, f, g);
}

static struct msg *new_msg(struct content *content, const struct session *from, midge_ms lo, midge_ms hi)
{
    struct msg *m = make(sizeof *m);
    m->refs = 1;
    m->content = content_hold(content);
    m->from = lo;
    m->to = hi;
    m->origin = from ? origin_of(from) : -1;
    return m;
}

/* Those that are due, in the order in which they became so. */
static void publish_wills(void)
{
    for (uint32_t i = 0; i < W.due_will_count; i++) {
        struct msg *m = W.due_wills[i].msg;
        route(m, W.due_wills[i].from);
        if (W.call_will_count < 128)
            W.call_wills[W.call_will_count++] = m;
        else
            drop(m);
    }
    W.due_will_count = 0;
}

/* It goes out when the present call is over. */
static void publish_will(struct session *s, midge_ms lo, midge_ms hi)
{
    struct content *will = s->will;
    if (!will)
        return;
    s->will = NULL;
    if (W.due_will_count == 128)
        publish_wills();
    W.due_wills[W.due_will_count].msg = new_msg(will, s, lo, hi);
    W.due_wills[W.due_will_count++].from = s;
    TRACE("model   will #%u of %s", will->number, s->id);
    content_drop(will);
}

static midge_ms call_from(void)
{
    return W.leap ? W.age_before : W.age;
}

/* ---- records: what the broker was fed ------------------------------------------------------------------ */

static struct entry *find_pid(struct session *s, uint16_t pid, struct entry **before)
{
    *before = NULL;
    struct entry *e = s->unacked.head;
    while (e && e->pid != pid) {
        *before = e;
        e = e->next;
    }
    return e;
}

/* The client has it for good. */
static void complete(struct conn *c, struct session *s, struct entry *before, struct entry *e)
{
    if (e->sent_on == c->serial && c->inflight)
        c->inflight--;
    cut(&s->unacked, before, e);
    bury(s, e);
}

static bool received_has(const struct session *s, uint16_t pid)
{
    return s->received[pid / 8] >> (pid % 8) & 1;
}

static void received_set(struct session *s, uint16_t pid, bool on)
{
    if (received_has(s, pid) == on)
        return;
    s->received[pid / 8] ^= (uint8_t)(1u << (pid % 8));
    s->received_count += on ? 1u : (uint32_t)-1;
}

static void on_ack(struct conn *c, struct session *s, const struct record *r)
{
    struct entry *before;
    struct entry *e = find_pid(s, r->pid, &before);
    const uint8_t qos = r->type == PK_PUBACK ? 1 : 2;
    if (e && e->qos != qos && r->type != PK_PUBREL)
        diverge("the simulator acknowledges pid %u of %s with a packet of type %u", r->pid, s->id, r->type);
    switch (r->type) {
    case PK_PUBACK:
        if (e)
            complete(c, s, before, e);
        break;
    case PK_PUBREC:
        if (e && !e->app_gen && !e->late && s->slot >= 0 && W.client[s->slot].incarnation == s->incarnation)
            diverge("message #%u of QoS 2 is acknowledged by %s, which took it for another",
                    e->msg->content->number, s->id);
        if (e)
            e->state = RELEASED;
        (void)owe(c, PK_PUBREL, r->pid, e ? 0 : 0x92);
        break;
    case PK_PUBCOMP:
        if (e)
            complete(c, s, before, e);
        break;
    default: /* PUBREL */
        (void)owe(c, PK_PUBCOMP, r->pid, received_has(s, r->pid) ? 0 : 0x92);
        received_set(s, r->pid, false);
    }
}

static bool may_publish(const struct session *s, uint8_t topic)
{
    return s->slot < 0 || !(W.no_publish[s->slot] >> topic & 1);
}

static bool refusal_is_lawful(const struct record *r)
{
    const struct midge_limits *l = &W.limits;
    return W.tight || l->queue_policy == MIDGE_QUEUE_REFUSE ||
           (r->content->retain && l->retained_msgs < TOPICS_MAX);
}

static void on_publish(struct conn *c, struct session *s, const struct record *r)
{
    const enum packet_type type = r->content->qos == 1 ? PK_PUBACK : PK_PUBREC;
    if (r->accepted) {
        if (r->content->qos)
            (void)owe(c, type, r->pid, 0);
        return;
    }
    if (r->content->qos == 2 && received_has(s, r->pid)) {
        (void)owe(c, PK_PUBREC, r->pid, 0); /* seen before */
        return;
    }
    if (!may_publish(s, r->content->topic)) {
        if (r->content->qos) /* 3.x is told nothing [MQTT311-3.3.5-2] */
            (void)owe(c, type, r->pid, c->version == 5 ? 0x87 : 0);
        return;
    }
    W.unaccepted0++;
    if (!refusal_is_lawful(r))
        diverge("PUBLISH #%u of %s is refused without a reason", r->content->number, s->id);
    if (r->content->qos && c->version == 5)
        (void)owe(c, type, r->pid, 0xFF);
    else if (r->content->qos && !c->ended)
        diverge("PUBLISH #%u of %s was not taken, and the 3.x client is not told by a close",
                r->content->number, s->id);
}

static void on_subscribe(struct conn *c, const struct record *r)
{
    struct answer *a = owe(c, r->type == PK_SUBSCRIBE ? PK_SUBACK : PK_UNSUBACK, r->pid, 0);
    a->record = make(sizeof *a->record);
    *a->record = *r;
    a->record->content = NULL;
}

static void settle_lawful(struct conn *c, struct session *s, struct record *r)
{
    switch (r->type) {
    case PK_PUBLISH:
        on_publish(c, s, r);
        break;
    case PK_PUBACK:
    case PK_PUBREC:
    case PK_PUBREL:
    case PK_PUBCOMP:
        on_ack(c, s, r);
        break;
    case PK_SUBSCRIBE:
    case PK_UNSUBSCRIBE:
        on_subscribe(c, r);
        break;
    case PK_PINGREQ:
        (void)owe(c, PK_PINGRESP, 0, 0);
        break;
    case PK_DISCONNECT:
        if (r->has_session_expiry)
            s->expiry_s = r->session_expiry_s < W.limits.session_expiry_s ? r->session_expiry_s
                                                                          : W.limits.session_expiry_s;
        if (r->reason == 0) {
            content_drop(s->will);
            s->will = NULL; /* [MQTT-3.14.4-3] */
        }
        break;
    default:
        break;
    }
}

/* The next record is through. */
static void settle(struct conn *c)
{
    struct record *r = c->at;
    c->at = r->next;
    c->heard = W.age;
    if (c->session)
        settle_lawful(c, c->session, r);
    else if (r->type == PK_CONNECT && !r->accepted && !c->ended)
        diverge("CONNECT on %u was neither accepted nor refused", c->serial);
}

/* One that may have been looked at before the connection ended, or not. */
static void settle_unsure(struct conn *c, struct session *s)
{
    static const enum packet_type reply[] = {
        [PK_PUBREC] = PK_PUBREL,        [PK_PUBREL] = PK_PUBCOMP,   [PK_SUBSCRIBE] = PK_SUBACK,
        [PK_UNSUBSCRIBE] = PK_UNSUBACK, [PK_PINGREQ] = PK_PINGRESP, [PK_PUBACK] = PK_EVIL,
        [PK_PUBCOMP] = PK_EVIL,         [PK_DISCONNECT] = PK_EVIL
    };
    struct record *r = c->at;
    struct entry *before;
    if (r->accepted || (r->wants && r->want[0].told)) {
        settle(c);
        return;
    }
    c->at = r->next;
    if (r->type == PK_PUBLISH && r->content->qos)
        owe(c, r->content->qos == 1 ? PK_PUBACK : PK_PUBREC, r->pid, 0xFF)->optional = true;
    else if (r->type != PK_PUBLISH && r->type != PK_EVIL && reply[r->type])
        owe(c, reply[r->type], r->pid, 0xFE)->optional = true;
    if (!s || r->type < PK_PUBACK || r->type > PK_PUBCOMP)
        return;
    s->loose_received |= r->type == PK_PUBREL;
    struct entry *e = r->type == PK_PUBREL ? NULL : find_pid(s, r->pid, &before);
    if (e)
        e->unsure = true;
}

static bool is_through(const struct conn *c)
{
    return c->at && c->at->end <= c->fed;
}

/* Beyond this the broker takes a leap in steps, and when things happened is known less well. */
#define LEAP (1ull << 30)

void model_before(struct conn *current)
{
    W.current = current;
    W.failed_now = 0;
    W.call_dropped = W.call_left = false;
    W.age_before = W.age;
    if (W.now > W.last_now) {
        W.age += W.now - W.last_now;
        W.leap = W.now - W.last_now >= LEAP;
    } else {
        W.leap = false;
    }
    W.last_now = W.now;
}

void model_fed(struct conn *c)
{
    while (is_through(c) && !c->ended) {
        if (c->at->type == PK_EVIL)
            diverge("connection %u goes on after what is not allowed", c->serial);
        settle(c);
        if (!c->ended && c->records->type == PK_DISCONNECT)
            diverge("connection %u goes on after DISCONNECT", c->serial);
    }
    while (is_through(c))
        c->at = c->at->next;
    while (c->records != c->at) {
        struct record *r = c->records;
        c->records = r->next;
        if (r->type == PK_PUBLISH && c->ended && r->content->qos && r->accepted && !r->done)
            r->done = true;
        content_drop(r->content);
        unmake(r);
    }
    if (!c->records)
        c->records_tail = &c->records;
}

/* ---- events -------------------------------------------------------------------------------------------- */

/* Of this session; NULL: of all. */
static void free_ghosts(const struct session *s)
{
    for (struct entry **at = &W.ghosts, *e; (e = *at);) {
        if (s && e->of != s) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        free_entry(e);
    }
}

static void free_session(struct session *s)
{
    struct session **at = &W.sessions;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    if (s->slot >= 0)
        W.by_slot[s->slot] = NULL;
    for (uint32_t i = 0; i < W.due_will_count; i++)
        if (W.due_wills[i].from == s)
            W.due_wills[i].from = NULL;
    content_drop(s->will);
    free_list(&s->waiting);
    free_list(&s->unacked);
    free_ghosts(s);
    unmake(s);
}

static struct session *new_session(struct midge_slice id)
{
    struct session *s = make(sizeof *s);
    s->slot = -1;
    if (id.len >= sizeof s->id)
        diverge("a client id of %u bytes", id.len);
    memcpy(s->id, id.data, id.len);
    if (s->id[0] == 'c')
        (void)sscanf(s->id + 1, "%d", &s->slot);
    if (s->slot >= 0)
        W.by_slot[s->slot] = s;
    s->incarnation = ++W.incarnations;
    s->least_maximum = UINT32_MAX;
    s->next = W.sessions;
    W.sessions = s;
    return s;
}

static void on_connected(struct conn *c, const struct midge_event *ev)
{
    struct record *r = c->at;
    if (!r || r->end > c->fed || r->type != PK_CONNECT)
        diverge("connection %u is told to be up, but has sent no CONNECT", c->serial);
    struct session *s = model_session(ev->who.client_id);
    if (s && s->conn)
        diverge("%s is connected while connection %u holds its session", s->id, s->conn->serial);
    if (s && r->clean)
        diverge("%s asked for a clean start, but the old session was not ended", s->id);
    if (ev->session_present != (s != NULL))
        diverge("session present is %d for %.*s", ev->session_present, (int)ev->who.client_id.len,
                (const char *)ev->who.client_id.data);
    if (ev->clean_start != r->clean || ev->keepalive_s != r->keepalive_s || ev->who.version != c->version)
        diverge("CONNECT of %u is told otherwise than it was sent", c->serial);
    if (!s)
        s = new_session(ev->who.client_id);
    if (c->client && c->client->id[0] && strcmp(c->client->id, s->id) != 0)
        diverge("connection %u of %s is told to be %s", c->serial, c->client->id, s->id);
    TRACE("event   connected %u as %s%s", c->serial, s->id, ev->session_present ? ", session present" : "");
    r->accepted = true;
    const uint32_t asked = c->version == 5 ? r->session_expiry_s : r->clean ? 0 : UINT32_MAX;
    s->expiry_s = asked < W.limits.session_expiry_s ? asked : W.limits.session_expiry_s;
    content_drop(s->will);
    s->will = content_hold(r->content);
    s->will_delay_s = r->will_delay_s;
    s->conn = c;
    s->version = (uint8_t)c->version;
    c->session = s;
    c->is_up = true;
    const uint16_t window = r->receive_maximum ? r->receive_maximum : UINT16_MAX;
    c->window = window < W.limits.inflight ? window : W.limits.inflight;
    c->packet_maximum = r->packet_maximum ? r->packet_maximum : UINT32_MAX;
    c->alias_maximum = r->alias_maximum;
    const uint16_t most = W.limits.keepalive_s;
    c->keepalive_s = r->keepalive_s;
    if (c->version == 5 && most && (!r->keepalive_s || r->keepalive_s > most))
        c->keepalive_s = most;
    (void)owe(c, PK_CONNACK, 0, ev->session_present ? 1 : 0);
    for (const struct entry *e = s->unacked.head; e; e = e->next)
        if (e->state == RELEASED || e->unsure)
            owe(c, PK_PUBREL, e->pid, 0)->optional = e->unsure;
}

static bool silent_too_long(const struct conn *c)
{
    return c->keepalive_s && W.age - c->heard >= (midge_ms)c->keepalive_s * 1500;
}

static bool connects_same_id(const struct session *s)
{
    const struct conn *c = W.current;
    return c && c != s->conn && c->at && c->at->type == PK_CONNECT && c->at->end <= c->fed &&
           (!c->client || strcmp(c->client->id, s->id) == 0);
}

static const char *unlawful_end(const struct conn *c, const struct session *s, uint8_t reason)
{
    switch (reason) {
    case 0x80:
        return c == W.losing ? NULL : "0x80";
    case 0x8B:
        return W.shutting_down ? NULL : "0x8B without a shutdown";
    case 0x98:
        return s == W.kicked ? NULL : "nobody kicked it";
    case 0x8D:
        return silent_too_long(c) ? NULL : "its keep alive has not run out";
    case 0x8E:
        return connects_same_id(s) ? NULL : "nobody takes it over";
    case 0x97:
        return W.tight || W.call_dropped || W.limits.queue_policy == MIDGE_QUEUE_REFUSE ||
                       W.limits.subscriptions < FILTERS_MAX * GROUPS || W.limits.retained_msgs < TOPICS_MAX
                   ? NULL
                   : "no limit was met";
    case 0x93:
        return s->received_count >= W.limits.receive_maximum ? NULL : "its window is open";
    case 0x87:
    case 0x9E:
    case 0xA2:
        return c->version == 3 && (reason != 0x87 || W.acl)
                   ? NULL
                   : "3.1 alone has no code for it"; /* [V31-suback] */
    case 0x95:
        return c->packet_maximum < 200 || c->evil ? NULL : "a size that is allowed";
    default:
        return c->evil && c == W.current ? NULL : "it did nothing wrong";
    }
}

static void settle_before_end(struct conn *c, const struct midge_event *ev)
{
    if (ev->by_client) {
        while (is_through(c) && c->at->type != PK_DISCONNECT)
            settle(c);
        if (!is_through(c))
            diverge("%u is told to have disconnected, but has not", c->serial);
        settle(c);
        return;
    }
    if (c->evil && ev->reason != 0x97 && ev->reason != 0x87 && ev->reason != 0x9E && ev->reason != 0xA2)
        while (is_through(c) && c->at->type != PK_EVIL)
            settle(c);
    while (is_through(c) && c->at->type != PK_EVIL)
        settle_unsure(c, c->session);
}

/* The others may have no room for what a member of their group leaves. */
static bool queues_are_short(void)
{
    return W.limits.queue_msgs < 200 || W.limits.queue_bytes < 100000;
}

static void excuse_owed(const struct session *s, bool all)
{
    for (uint8_t g = 1; g < GROUPS; g++) {
        for (uint32_t f = 0; f < W.filter_count; f++) {
            if (!(s->mask[g] >> f & 1))
                continue;
            bool here = false;
            for (const struct session *o = W.sessions; o; o = o->next)
                here |= o != s && o->conn && (o->mask[g] >> f & 1);
            if (all || !here || W.tight || queues_are_short())
                for (struct owed *o = W.owed[g][f]; o; o = o->next)
                    o->excused = true;
        }
    }
}

/* A PUBLISH is partly out. */
static bool has_begun(const struct conn *c)
{
    return c && c->in.len && (c->in.at[0] & 0xF0) == 0x30;
}

static void drop_qos0(struct session *s, bool begun)
{
    struct entry *before = NULL, *next;
    for (struct entry *e = s->waiting.head; e; e = next) {
        next = e->next;
        if (e->qos == 0 && e->replay) {
            e->optional = true;
            e->guess |= begun; /* the first may be the one that was partly out, and is lost */
            begun = false;
        } else if (e->qos == 0 && e->twin) {
            e->optional = true;
        } else if (e->qos == 0) {
            cut(&s->waiting, before, e);
            free_entry(e);
            continue;
        }
        before = e;
    }
}

static struct session *connect_unheard(struct conn *c, const struct midge_event *ev)
{
    const struct session *known = model_session(ev->who.client_id);
    const struct midge_event up = { .who = ev->who,
                                    .session_present = known != NULL,
                                    .clean_start = c->at->clean,
                                    .keepalive_s = c->at->keepalive_s };
    on_connected(c, &up);
    settle(c);
    return c->session;
}

static void on_disconnected(struct conn *c, const struct midge_event *ev)
{
    struct session *s = c->session;
    if (!s && W.tight && is_through(c) && c->at->type == PK_CONNECT && !c->at->accepted)
        s = connect_unheard(c, ev); /* there was no memory for CONNACK */
    if (!s || s->conn != c)
        diverge("connection %u is told to have ended (%02x), but was not up", c->serial, ev->reason);
    TRACE("event   disconnected %u %s reason %02x%s", c->serial, s->id, ev->reason,
          ev->by_client ? " by client" : "");
    const char *wrong = ev->by_client ? NULL : unlawful_end(c, s, ev->reason);
    if (wrong)
        diverge("connection %u of %s is ended with reason %02x: %s", c->serial, s->id, ev->reason, wrong);
    if (c == W.current)
        settle_before_end(c, ev);
    W.tick_changes = W.call_left = true;
    c->ended = true;
    c->ended_at = W.age;
    c->end_reason = ev->reason;
    s->conn = NULL;
    c->session = NULL;
    s->gone_at = W.age;
    if (has_begun(c)) {
        s->partial |= (c->in.at[0] & 6) != 0;
        excuse_owed(s, true);
    }
    excuse_owed(s, false);
    s->must_end = s->expiry_s == 0;
    if (s->must_end || s->will_delay_s == 0)
        publish_will(s, call_from(), W.age);
    if (ev->reason == 0x8E)
        publish_wills(); /* before the new connection is there */
    drop_qos0(s, has_begun(c) && !(c->in.at[0] & 6));
}

static bool is_expired(const struct session *s)
{
    return s->expiry_s != UINT32_MAX && W.age >= s->gone_at + (midge_ms)s->expiry_s * 1000;
}

static uint32_t session_count(void)
{
    uint32_t n = 0;
    for (const struct session *s = W.sessions; s; s = s->next)
        n++;
    return n;
}

static void release_list(const struct list *l)
{
    for (struct entry *e = l->head; e; e = e->next) {
        if (!e->group || (e->qos != 1 && e->state != WAITING))
            continue;
        struct owed *o = make(sizeof *o);
        *o = (struct owed){ .msg = hold(e->msg), .excused = true, .next = W.owed[e->group][e->filter] };
        W.owed[e->group][e->filter] = o;
    }
}

/* A member of a group is gone with what it was sent: QoS 1 may go to another, and what a kill made unsent again. */
static void release_owed(struct session *s)
{
    excuse_owed(s, false);
    release_list(&s->unacked);
    release_list(&s->waiting);
}

static void on_session_ended(struct session *s, const struct midge_event *ev)
{
    if (!s)
        diverge("a session is told to have ended that never was: %.*s", (int)ev->who.client_id.len,
                (const char *)ev->who.client_id.data);
    if (s->conn)
        diverge("the session of %s is told to have ended while it is connected", s->id);
    const struct conn *c = W.current;
    const bool clean = c && c->at && c->at->type == PK_CONNECT && c->at->clean && connects_same_id(s);
    const bool put_out =
        ev->reason == 0x97 && (W.tight || session_count() >= W.limits.sessions || W.call_dropped);
    const bool doomed = W.call_dropped && W.limits.queue_policy == MIDGE_QUEUE_END_SESSION;
    if (!s->must_end && s != W.kicked && !clean && !put_out && !is_expired(s) && !doomed &&
        !W.shutting_down && !W.leap)
        diverge("the session of %s is ended with reason %02x, and there is no reason", s->id, ev->reason);
    TRACE("event   session ended %s reason %02x", s->id, ev->reason);
    W.tick_changes = true;
    publish_will(s, call_from(), W.age);
    release_owed(s);
    free_session(s);
}

static void owed_clear(uint8_t g, uint32_t f)
{
    for (const struct session *s = W.sessions; s; s = s->next)
        if ((s->mask[g] | s->left[g]) >> f & 1)
            return;
    while (W.owed[g][f]) {
        struct owed *o = W.owed[g][f];
        W.owed[g][f] = o->next;
        drop(o->msg);
        unmake(o);
    }
}

static void clear_groups(void)
{
    W.owed_any = 0;
    for (const struct session *s = W.sessions; s; s = s->next)
        W.owed_any |= s->mask[1] | s->mask[2];
    for (uint8_t g = 1; g < GROUPS; g++)
        for (uint32_t f = 0; f < W.filter_count; f++)
            if (W.owed[g][f])
                owed_clear(g, f);
}

static struct filter_want *find_want(struct conn *c, enum packet_type type, uint8_t g, uint8_t f, uint8_t qos)
{
    while (is_through(c)) {
        struct record *r = c->at;
        if (r->type == type)
            for (unsigned i = 0; i < r->wants; i++)
                if (r->want[i].group == g && r->want[i].filter == f && !r->want[i].told &&
                    lower(r->want[i].qos, W.limits.max_qos) == qos)
                    return &r->want[i];
        settle(c);
    }
    return NULL;
}

static void stop_replays(struct session *s, uint8_t f)
{
    const bool begun = s->partial || has_begun(s->conn);
    s->replaying &= ~(1ull << f);
    if (has_begun(s->conn))
        s->conn->stopped = true;
    struct entry *before = NULL, *next;
    for (struct entry *e = s->waiting.head; e; e = next) {
        next = e->next;
        if (!e->replay || e->filter != f) {
            before = e;
            continue;
        }
        const uint8_t t = e->msg->content->topic;
        s->loose |= e->qos &&
                    (s->oversized[t][e->qos] || s->denied[e->qos] >> t & 1); /* the drop may be of this one */
        if (!begun && !e->twin && !e->again) {
            cut(&s->waiting, before, e);
            free_entry(e);
            continue;
        }
        e->optional = true; /* it may be the one that has begun */
        e->stopped = begun && !e->again;
        before = e;
    }
}

static void start_replays(struct session *s, uint8_t f)
{
    const struct sub *sub = &s->replay[f];
    s->replay[f] = s->sub[0][f];
    for (uint32_t t = 0; t < W.topic_count; t++) {
        struct msg *m = W.retained[t];
        if (!m || !(W.matches[t] >> f & 1) || is_over(m, W.age))
            continue;
        s->replaying |= 1ull << f;
        if (sub->no_local && m->origin == origin_of(s))
            continue;
        struct entry *e = new_entry(m, sub->id ? 1 : 0);
        if (sub->id)
            e->ids[0] = sub->id;
        e->qos = lower(sub->qos, m->content->qos);
        e->retain = true;
        e->replay = true;
        e->filter = f;
        append(&s->waiting, e);
    }
}

static void on_subscribed(struct conn *c, const struct midge_event *ev)
{
    uint8_t g, f;
    struct session *s = c->session;
    if (!s || c != W.current || !find_filter(ev->topic, &g, &f))
        diverge("a subscription is told that nobody made: %.*s", (int)ev->topic.len,
                (const char *)ev->topic.data);
    struct filter_want *w = find_want(c, PK_SUBSCRIBE, g, f, ev->qos);
    if (!w)
        diverge("a subscription is told that was not asked for: %.*s", (int)ev->topic.len,
                (const char *)ev->topic.data);
    if (ev->qos != lower(w->qos, W.limits.max_qos))
        diverge("QoS %u is granted where %u was asked for", ev->qos, w->qos);
    w->told = true;
    w->result = ev->qos;
    if (s->slot >= 0 && W.no_subscribe[s->slot] >> f & 1)
        diverge("%s has no right to subscribe to %s", s->id, W.filters[f]);
    TRACE("event   %s subscribed group %u %s qos %u", s->id, g, W.filters[f], ev->qos);
    const bool is_new = !(s->mask[g] >> f & 1);
    W.moment++;
    s->mask[g] |= 1ull << f;
    s->sub_count += is_new;
    s->had_shared |= g != 0;
    s->sub[g][f] = (struct sub){ .id = c->at->sub_id,
                                 .qos = ev->qos,
                                 .no_local = w->no_local || c->bridge,
                                 .retain_as_published = w->retain_as_published || c->bridge };
    s->had_changes |= g && !is_new;
    s->had_rap[s->sub[g][f].retain_as_published] |= g != 0;
    if (g)
        W.owed_any |= 1ull << f;
    if (!g && (w->retain_handling == 0 || (w->retain_handling == 1 && is_new))) {
        stop_replays(s, f);
        start_replays(s, f);
    }
}

static void on_unsubscribed(struct conn *c, const struct midge_event *ev)
{
    uint8_t g, f;
    struct session *s = c->session;
    if (!s || c != W.current || !find_filter(ev->topic, &g, &f))
        diverge("an unsubscription is told that nobody made: %.*s", (int)ev->topic.len,
                (const char *)ev->topic.data);
    struct filter_want *w = find_want(c, PK_UNSUBSCRIBE, g, f, 0);
    if (!w || !(s->mask[g] >> f & 1))
        diverge("an unsubscription is told that was not asked for: %.*s", (int)ev->topic.len,
                (const char *)ev->topic.data);
    w->told = true;
    if (g) {
        excuse_owed(s, false);
        s->left[g] |= 1ull << f;
        s->had_changes = true;
    }
    s->mask[g] &= ~(1ull << f);
    s->sub_count--;
    if (!g)
        stop_replays(s, f);
    else
        clear_groups();
}

static void on_message(struct conn *c, const struct midge_event *ev)
{
    const struct midge_message *message = ev->message;
    const uint32_t number = payload_number(message->payload.data, message->payload.len);
    const int topic = topic_index(message->topic.data, message->topic.len);
    if (c != W.current || !c->session)
        diverge("a message is told to be accepted that nobody sent");
    for (;;) {
        if (!is_through(c))
            diverge("message #%u of %s is told to be accepted, but was not published", number,
                    c->session->id);
        struct record *r = c->at;
        if (r->type == PK_PUBLISH && !r->accepted &&
            (r->content->len ? r->content->number == number : !number) && r->content->topic == topic &&
            r->content->qos == message->qos && r->content->retain == message->retain &&
            r->dup == message->dup && r->content->has_expiry == message->has_expiry)
            break;
        settle(c);
    }
    struct record *r = c->at;
    const struct content *m = r->content;
    if (m->len != message->payload.len)
        diverge("message #%u is told otherwise than it was published", number);
    if (!may_publish(c->session, m->topic))
        diverge("message #%u is accepted from %s, which has no right to publish it", number, c->session->id);
    if (m->qos == 2 && received_has(c->session, r->pid))
        diverge("message #%u of QoS 2 is accepted twice (pid %u)", number, r->pid);
    if (m->qos == 2)
        received_set(c->session, r->pid, true);
    r->accepted = true;
    W.published++;
    TRACE("event   message #%u of %s accepted", number, c->session->id);
    struct msg *msg = new_msg(r->content, c->session, W.age, W.age);
    route(msg, c->session);
    drop(msg);
}

/* It may have been what a group gave to this member. */
static void excuse_owed_on(const struct session *s, uint8_t topic)
{
    for (uint8_t g = 1; g < GROUPS; g++)
        for (uint32_t f = 0; f < W.filter_count; f++)
            for (struct owed *o = (s->mask[g] | s->left[g]) >> f & 1 ? W.owed[g][f] : NULL; o; o = o->next)
                o->excused |= o->msg->content->topic == topic;
}

static void on_dropped(struct session *s, const struct midge_event *ev)
{
    const int topic = topic_index(ev->topic.data, ev->topic.len);
    if (!s || topic < 0 || ev->qos < 1 || ev->qos > 2)
        diverge("a drop is told of what cannot be");
    if (ev->reason == MIDGE_DROP_PACKET_SIZE && (!s->conn || s->conn->packet_maximum == UINT32_MAX))
        diverge("a message for %s is dropped because of a packet size that it did not name", s->id);
    TRACE("event   dropped for %s: %s qos %u reason %u", s->id, W.topics[topic], ev->qos, ev->reason);
    if (ev->reason <= MIDGE_DROP_QUEUE_BYTES)
        W.call_dropped = true;
    if (ev->reason == MIDGE_DROP_RIGHT)
        s->denied[ev->qos] |= 1ull << topic;
    if (ev->reason == MIDGE_DROP_PACKET_SIZE) {
        s->oversized[topic][ev->qos]++;
        if (s->conn->packet_maximum < s->least_maximum)
            s->least_maximum = s->conn->packet_maximum;
    }
    s->credit[topic][ev->qos]++;
    s->credits++;
    W.dropped++;
    excuse_owed_on(s, (uint8_t)topic);
}

static void on_refused(struct conn *c, const struct midge_event *ev)
{
    TRACE("event   refused %u reason %02x", c->serial, ev->reason);
    c->ended = true;
    c->ended_at = W.age;
    c->end_reason = ev->reason;
    const bool late = W.age - c->opened >= W.limits.hello_ms;
    const bool full = W.conn_count > W.limits.connections || session_count() >= W.limits.sessions;
    const bool connect = c->at && c->at->type == PK_CONNECT && c->at->end <= c->fed;
    const bool will = ev->reason == 0x87 && W.acl && connect && c->at->content;
    if (!W.tight && !c->evil && !W.shutting_down && !full && !will && !(late && !connect))
        diverge("connection %u is refused with reason %02x, and there is no reason", c->serial, ev->reason);
    if (connect)
        owe(c, PK_CONNACK, 0, 0xFF)->optional = true;
}

/* In a call that the broker does not survive. What it dropped may be synced, or come back. */
static void overhear(const struct midge_event *ev)
{
    struct session *s = ev->kind == MIDGE_EV_DROPPED ? model_session(ev->who.client_id) : NULL;
    if (!s)
        return;
    s->loose = true;
    on_dropped(s, ev);
}

void model_event(void *user, const struct midge_event *ev)
{
    (void)user;
    struct conn *c = ev->who.peer;
    if (W.deaf) {
        overhear(ev);
        return;
    }
    W.exposed = W.store;
    switch (ev->kind) {
    case MIDGE_EV_CONNECTED:
        on_connected(c, ev);
        break;
    case MIDGE_EV_DISCONNECTED:
        on_disconnected(c, ev);
        break;
    case MIDGE_EV_REFUSED:
        on_refused(c, ev);
        break;
    case MIDGE_EV_SESSION_ENDED:
        on_session_ended(model_session(ev->who.client_id), ev);
        clear_groups();
        break;
    case MIDGE_EV_SUBSCRIBED:
        on_subscribed(c, ev);
        break;
    case MIDGE_EV_UNSUBSCRIBED:
        on_unsubscribed(c, ev);
        break;
    case MIDGE_EV_MESSAGE:
        on_message(c, ev);
        break;
    case MIDGE_EV_DROPPED:
        on_dropped(model_session(ev->who.client_id), ev);
        break;
    case MIDGE_EV_LOW_MEMORY:
        break;
    case MIDGE_EV_STORE_FAILED:
        diverge("the store is told to have failed, and has not");
    }
}

void model_lost(struct conn *c)
{
    if (c->session)
        diverge("connection %u was lost, and its session does not know", c->serial);
}

/* ---- a call of the core is over ------------------------------------------------------------------------ */

/* A will may have been refused: the topic has its message, or still the one before. */
static void doubt_retained(uint8_t topic)
{
    W.retained_unsure[topic] = true;
    for (struct session *s = W.sessions; s; s = s->next)
        for (struct entry *e = s->waiting.head; e; e = e->next)
            if (e->replay && e->msg->content->topic == topic)
                e->lapsed = 0;
}

void model_after(void)
{
    publish_wills();
    if (W.call_will_count) {
        bool maybe = false;
        if (W.tight || W.unaccepted0) {
            struct midge_stats stats;
            midge_get_stats(W.broker, &stats);
            maybe = stats.publish_refused != W.refused_before;
            W.refused_before = stats.publish_refused;
            W.unaccepted0 = 0;
        }
        for (uint32_t i = 0; i < W.call_will_count; i++) {
            struct msg *m = W.call_wills[i];
            m->maybe |= maybe || W.limits.queue_policy == MIDGE_QUEUE_REFUSE ||
                        (m->content->retain && W.limits.retained_msgs < TOPICS_MAX);
            if (m->maybe && m->content->retain)
                doubt_retained(m->content->topic);
            drop(m);
        }
        W.call_will_count = 0;
    }
    if (W.tick_changes) {
        for (const struct session *s = W.sessions; s; s = s->next)
            if (s->must_end && !s->conn)
                diverge("the session of %s should have ended with its connection", s->id);
        W.tick_changes = false;
    }
}

static void delayed_wills(bool maybe)
{
    for (struct session *s = W.sessions, *next; s; s = next) {
        next = s->next;
        const midge_ms due = s->gone_at + (midge_ms)s->will_delay_s * 1000;
        if (s->conn || !s->will || W.age < due)
            continue;
        publish_will(s, W.leap ? due : W.age, W.age);
        W.due_wills[W.due_will_count - 1].msg->maybe |= maybe;
    }
}

/* What time has to have done by now. */
void model_ticked(void)
{
    publish_wills();
    delayed_wills(W.tick_changes || W.leap);
    for (const struct session *s = W.sessions; s; s = s->next)
        if (!s->conn && is_expired(s))
            diverge("the session of %s should have expired", s->id);
    for (const struct conn *c = W.conns; c; c = c->next) {
        if (c->session && !c->paused && c->keepalive_s &&
            W.age - c->touched >= (midge_ms)c->keepalive_s * 1500)
            diverge("the keep alive of %u has run out", c->serial);
        if (!c->ended && !c->is_up && W.age - c->opened >= W.limits.hello_ms)
            diverge("connection %u has not sent CONNECT in time", c->serial);
        if (c->ended && !c->close && W.age - c->ended_at >= W.limits.linger_ms && c->served)
            diverge("connection %u lingers", c->serial);
    }
}

/* The earliest time at which the clock alone has to change something. */
midge_ms model_due(const char **what)
{
    midge_ms due = MIDGE_NEVER;
    for (const struct session *s = W.sessions; s; s = s->next) {
        if (s->conn)
            continue;
        midge_ms at = s->expiry_s == UINT32_MAX ? MIDGE_NEVER : s->gone_at + (midge_ms)s->expiry_s * 1000;
        if (s->will && s->gone_at + (midge_ms)s->will_delay_s * 1000 < at)
            at = s->gone_at + (midge_ms)s->will_delay_s * 1000;
        if (at < due)
            *what = s->id;
        due = at < due ? at : due;
    }
    for (const struct conn *c = W.conns; c; c = c->next) {
        midge_ms at = MIDGE_NEVER;
        if (c->session && c->keepalive_s && !c->paused)
            at = c->touched + (midge_ms)c->keepalive_s * 1500;
        else if (!c->ended && !c->is_up)
            at = c->opened + W.limits.hello_ms;
        if (at < due)
            *what = "a connection";
        due = at < due ? at : due;
    }
    return due;
}

/* ---- what the broker sends: answers -------------------------------------------------------------------- */

static void check_codes(const struct conn *c, const struct answer *a, const struct packet *p)
{
    const struct record *r = a->record;
    const uint32_t want = p->type == PK_SUBACK || c->version == 5 ? r->wants : 0;
    if (p->code_count != want)
        diverge("%u codes for %u filters", p->code_count, r->wants);
    for (uint32_t i = 0; i < want; i++) {
        const struct filter_want *w = &r->want[i];
        if (w->told && p->codes[i] != w->result && !W.tight)
            diverge("code %02x in packet type %u to %u, but the event told %02x", p->codes[i], p->type,
                    c->serial, w->result);
        if (p->type == PK_SUBACK && !w->told && p->codes[i] < 0x80 && !W.tight)
            diverge("SUBACK grants %02x, but nothing was told", p->codes[i]);
        if (p->type == PK_SUBACK && !w->told && !W.tight && W.limits.subscriptions >= FILTERS_MAX * GROUPS &&
            !(W.acl && p->codes[i] == (c->version == 5 ? 0x87 : 0x80)) && (W.limits.shared || !w->group) &&
            (W.limits.wildcards || !(W.wildcard >> w->filter & 1)))
            diverge("a subscription is refused with %02x, and there is no reason", p->codes[i]);
        if (p->type == PK_SUBACK && p->codes[i] == 0x87 && !W.acl)
            diverge("a subscription is refused with 87, and everything is allowed");
        if (p->type == PK_UNSUBACK && !w->told && p->codes[i] != 0x11)
            diverge("UNSUBACK says %02x, but nothing was told", p->codes[i]);
    }
}

static void check_connack(const struct conn *c, const struct answer *a, const struct packet *p)
{
    const struct midge_limits *l = &W.limits;
    if (a->reason == 0xFF) {
        if (!p->reason || p->session_present)
            diverge("CONNACK %02x to a connection that was refused", p->reason);
        return;
    }
    if (p->reason || p->session_present != (a->reason == 1 && c->version > 3)) /* 3.1 has no such flag */
        diverge("CONNACK %02x with session present %d to %u", p->reason, p->session_present, c->serial);
    if (c->version != 5)
        return;
    if (p->receive_maximum != l->receive_maximum || p->alias_maximum != l->alias_in ||
        p->max_qos != l->max_qos || p->no_shared == l->shared || p->no_wildcards == l->wildcards ||
        p->no_ids == l->subscription_ids || p->no_retain == l->retain)
        diverge("CONNACK to %u announces other limits than there are", c->serial);
}

static void check_answer(struct conn *c, const struct packet *p)
{
    while (c->answers && c->answers->optional && (c->answers->type != p->type || c->answers->pid != p->pid))
        answered(c);
    struct answer *a = c->answers;
    if (!a || a->type != p->type || a->pid != p->pid)
        diverge("packet type %u pid %u to %u, where type %u pid %u is due", p->type, p->pid, c->serial,
                a ? a->type : 0, a ? a->pid : 0);
    if (p->type == PK_CONNACK)
        check_connack(c, a, p);
    else if (a->record)
        check_codes(c, a, p);
    else if (a->optional && c->ended)
        ; /* it may have been sent before the end */
    else if (a->reason == 0xFF ? p->reason < 0x80 && !W.tight
                               : p->reason != a->reason && c->version == 5 &&
                                     !(p->type == PK_PUBACK && p->reason == 0x10) &&
                                     !(p->type == PK_PUBREC && p->reason == 0x10) && !W.tight &&
                                     !(p->type == PK_PUBCOMP && (!c->session || c->session->loose_received)))
        diverge("packet type %u pid %u to %u with reason %02x instead of %02x", p->type, p->pid, c->serial,
                p->reason, a->reason);
    if (p->type == PK_PUBREL && c->session) {
        struct entry *before;
        struct entry *e = find_pid(c->session, p->pid, &before);
        if (e && e->unsure) {
            e->state = RELEASED;
            e->unsure = false;
        }
    }
    answered(c);
}

/* ---- what the broker sends: PUBLISH -------------------------------------------------------------------- */

struct out {
    const struct packet *p;
    uint32_t number;
    uint8_t topic;
};

static bool same_ids(const struct entry *e, const struct packet *p)
{
    if (e->id_count != p->id_count)
        return false;
    for (uint32_t i = 0; i < e->id_count; i++) {
        uint32_t a = 0, b = 0;
        for (uint32_t k = 0; k < e->id_count; k++) {
            a += e->ids[k] == e->ids[i];
            b += p->ids[k] == e->ids[i];
        }
        if (a != b)
            return false;
    }
    return true;
}

static bool same_message(const struct msg *m, const struct out *o)
{
    return m->content->topic == o->topic && m->content->len == o->p->payload_len &&
           (m->content->len == 0 || m->content->number == o->number);
}

/* What is left of its lifetime is right, given when it may have arrived. */
static bool lifetime_fits(const struct conn *c, const struct msg *m, const struct packet *p, bool resent)
{
    if (c->version != 5)
        return true;
    if (p->has_expiry != m->content->has_expiry)
        return false;
    if (!p->has_expiry)
        return true;
    const uint32_t waited_most = (uint32_t)((c->first_age - m->from) / 1000);
    const uint32_t waited_least = (uint32_t)(c->first_age > m->to ? (c->first_age - m->to) / 1000 : 0);
    const uint32_t most = m->content->expiry_s > waited_least ? m->content->expiry_s - waited_least : 0;
    const uint32_t least = m->content->expiry_s > waited_most ? m->content->expiry_s - waited_most : 0;
    return p->expiry_s <= most && (p->expiry_s >= least || (resent && p->expiry_s == 0));
}

static bool same_props(const struct content *m, const struct packet *p)
{
    return p->props_len == m->props_len && memcmp(p->props, m->props, m->props_len) == 0;
}

static void check_content(const struct conn *c, const struct entry *e, const struct packet *p, bool resent)
{
    const struct content *m = e->msg->content;
    if (!lifetime_fits(c, e->msg, p, resent))
        diverge("message #%u to %u has %u s to live, of %u", m->number, c->serial, p->expiry_s, m->expiry_s);
    if (c->version == 5 && !same_props(m, p))
        diverge("message #%u to %u comes with other properties", m->number, c->serial);
}

static bool window_is_open(const struct conn *c)
{
    return c->inflight < c->window;
}

/* Sent again, for all that the broker knows: behind those that were, before those that will be. */
static void put_in_turn(const struct conn *c, struct session *s, struct entry *e)
{
    struct entry **at = &s->unacked.head;
    for (struct entry *x = *at; x; x = x->next)
        at = x->sent_on == c->serial ? &x->next : at;
    e->next = *at;
    *at = e;
    if (!e->next)
        s->unacked.last = e;
}

static void fly(struct conn *c, struct session *s, struct entry *e, uint16_t pid)
{
    e->state = FLYING;
    e->pid = pid;
    e->sent_on = c->serial;
    c->inflight++;
    if (c->inflight > c->window)
        diverge("connection %u has %u messages in flight, it allows %u", c->serial, c->inflight, c->window);
    if (e->late)
        put_in_turn(c, s, e);
    else
        append(&s->unacked, e);
}

/* Larger than the client allowed when it was told of a drop, in the least favourable encoding? */
static bool may_be_too_large(const struct session *s, const struct entry *e)
{
    const struct content *m = e->msg->content;
    const uint32_t head = 5 + 2 + W.topic_len[m->topic] + 2;
    const uint32_t props = s->version == 5 ? 4u + 5 + 3 + m->props_len + 5u * e->id_count : 0;
    return head + props + m->len > s->least_maximum;
}

/* Those that were sent before and are larger than this connection takes are dropped, and told. */
static void skip_dropped(struct conn *c, struct session *s, const struct entry *upto)
{
    struct entry *before = NULL, *next;
    for (struct entry *x = s->unacked.head; x != upto; x = next) {
        next = x->next;
        const uint8_t t = x->msg->content->topic;
        if (x->sent_on == c->serial || x->state != FLYING || !s->oversized[t][x->qos] ||
            !may_be_too_large(s, x)) {
            before = x;
            continue;
        }
        TRACE("model   #%u was too large for %s", x->msg->content->number, s->id);
        if (x->unsure) {
            s->loose = true; /* or it was acknowledged */
        } else {
            s->oversized[t][x->qos]--;
            s->credit[t][x->qos]--;
            s->credits--;
        }
        cut(&s->unacked, before, x);
        free_entry(x);
    }
}

/* The same packet id as on an earlier connection [MQTT-4.4.0-1]. */
static void resent(struct conn *c, struct session *s, struct entry *e, const struct out *o)
{
    const struct packet *p = o->p;
    if (e->sent_on == c->serial)
        diverge("pid %u is in use, and is sent to %u again", p->pid, c->serial);
    if (!same_message(e->msg, o) || p->qos != e->qos)
        diverge("pid %u is in use at %s, and is sent with another message", p->pid, s->id);
    if (e->state == RELEASED && !e->unsure)
        diverge("message #%u of QoS 2 is published again to %s after PUBREC", o->number, s->id);
    if (!p->dup)
        diverge("message #%u is sent again to %s without DUP", o->number, s->id);
    if (s->credits)
        skip_dropped(c, s, e);
    for (const struct entry *x = s->unacked.head; x != e; x = x->next)
        if (x->sent_on != c->serial && x->state == FLYING && !x->unsure)
            diverge("message #%u is sent again to %s before #%u", o->number, s->id, x->msg->content->number);
    if (p->retain != e->retain || (c->version == 5 && !same_ids(e, p)))
        diverge("message #%u is sent again to %s with other flags or identifiers", o->number, s->id);
    check_content(c, e, p, true);
    for (struct answer *a = c->answers; a && e->unsure; a = a->next)
        if (a->optional && a->type == PK_PUBREL && a->pid == e->pid)
            a->pid = 0; /* its PUBREC was not seen, after all */
    e->unsure = false;
    e->state = FLYING;
    e->sent_on = c->serial;
    if (++c->inflight > c->window)
        diverge("connection %u has %u messages in flight, it allows %u", c->serial, c->inflight, c->window);
}

static uint64_t dropped0_in_books(const struct session *s)
{
    struct midge_books books[3];
    const struct midge_slice id = { (const uint8_t *)s->id, (uint32_t)strlen(s->id) };
    if (midge_get_books(W.broker, id, books) != MIDGE_OK)
        return 0;
    uint64_t n = 0;
    for (unsigned i = 0; i < MIDGE_DROP_REASONS; i++)
        n += books[0].dropped[i];
    return n;
}

/* Why one that has not been sent need not be any more; NULL = it is owed. */
static const char *excuse(struct session *s, struct entry *e)
{
    const struct content *m = e->msg->content;
    if (e->optional || e->msg->maybe) {
        s->loose |= s->credit[m->topic][e->qos] != 0; /* the drop may have been of this one */
        return "optional";
    }
    if (may_be_over(e->msg, W.age)) {
        s->loose |= s->credit[m->topic][e->qos] != 0;
        return "expired";
    }
    if (e->qos && s->credit[m->topic][e->qos]) {
        if (s->oversized[m->topic][e->qos] == s->credit[m->topic][e->qos]--)
            s->oversized[m->topic][e->qos]--;
        s->credits--;
        return "dropped, and told";
    }
    if (e->qos == 0 && dropped0_in_books(s) > s->dropped0) {
        s->dropped0++;
        return "dropped, and in the books";
    }
    return NULL;
}

/* Of those before it in its line, none is owed any more [MQTT-4.6.0-5]. */
static void check_order(struct session *s, const struct entry *e)
{
    struct entry *before = NULL, *next;
    for (struct entry *x = s->waiting.head; x != e; x = next) {
        next = x->next;
        const struct content *a = x->msg->content, *b = e->msg->content;
        if (a->topic != b->topic || x->qos != e->qos || a->qos != b->qos ||
            x->msg->origin != e->msg->origin || x->replay != e->replay || x->ambiguous || e->ambiguous ||
            x->optional || x->twin || e->twin || x->msg == e->msg) {
            before = x;
            continue;
        }
        TRACE("model   skips #%u for %s", a->number, s->id);
        if (!excuse(s, x))
            diverge("message #%u overtakes #%u on the way to %s (%s, qos %u)", b->number, a->number, s->id,
                    W.topics[a->topic], e->qos);
        cut(&s->waiting, before, x);
        free_entry(x);
    }
}

/* Of two that look the same, the one that has to come is what came. `old`: it began before its subscription was
 * changed, and is sent again. */
static bool fits_better(const struct entry *e, const struct entry *found, bool old)
{
    if (old && e->stopped != found->stopped)
        return e->stopped;
    if (e->optional != found->optional)
        return found->optional;
    if (e->guess != found->guess)
        return found->guess;
    if ((e->lapsed != 0) != (found->lapsed != 0))
        return e->lapsed != 0;
    return !e->replay && found->replay;
}

/* To a client that cannot see what asked for it. */
static bool looks_like(const struct entry *a, const struct entry *b)
{
    if (a->msg != b->msg || a->qos != b->qos || a->retain != b->retain || a->id_count != b->id_count)
        return false;
    return memcmp(a->ids, b->ids, a->id_count * sizeof *a->ids) == 0;
}

static struct entry *find_waiting(struct conn *c, struct session *s, const struct out *o,
                                  struct entry **before, const char **why)
{
    const struct packet *p = o->p;
    struct entry *b = NULL, *found = NULL;
    const bool old = p->dup && (s->partial || s->restored);
    *before = NULL;
    for (struct entry *e = s->waiting.head; e; b = e, e = e->next) {
        if (!same_message(e->msg, o) || e->born > c->first_moment)
            continue;
        if (e->qos != p->qos)
            *why = "at another QoS";
        else if (e->retain != p->retain)
            *why = "with another RETAIN flag";
        else if (c->version == 5 && !same_ids(e, p))
            *why = "with other subscription identifiers";
        else if (!lifetime_fits(c, e->msg, p, old))
            *why = "with another lifetime";
        else if (!p->payload_len && c->version == 5 && !same_props(e->msg->content, p))
            *why = "with other properties";
        else if (e->lapsed && e->lapsed <= c->first_routed && !e->twin && !(old))
            *why = "though the retained value has changed (stale)";
        else if (is_over(e->msg, c->first_age) && !(old))
            *why = "though it has expired";
        else if (!found || fits_better(e, found, old)) {
            *before = b;
            found = e;
        }
    }
    return found;
}

/* Of those that look the same, which one came cannot be told: the others may come as late as any of them. */
static void mark_twins(struct session *s, struct entry *e)
{
    for (struct entry *x = s->waiting.head; x; x = x->next) {
        if (x == e || !looks_like(x, e))
            continue;
        x->twin = e->twin = true;
        x->optional |= e->optional;
    }
}

/* A 5.0 client that may name its subscriptions does so for each group (want_shared). */
static bool same_group(const struct packet *p, uint8_t g, uint32_t f)
{
    if (!W.limits.subscription_ids)
        return p->id_count == 0;
    return p->id_count == 1 && p->ids[0] == group_id(g, f);
}

static struct owed **find_owed(struct session *s, const struct out *o, bool partial, uint8_t *group,
                               uint8_t *filter)
{
    const struct packet *p = o->p;
    const uint64_t mask = W.matches[o->topic];
    struct owed **best = NULL;
    for (uint8_t g = 1; g < GROUPS; g++) {
        for (uint32_t f = 0; f < W.filter_count; f++) {
            if (!(mask >> f & 1) || !((s->mask[g] | s->left[g]) >> f & 1))
                continue;
            for (struct owed **at = &W.owed[g][f]; *at; at = &(*at)->next) {
                const struct sub *sub = &s->sub[g][f];
                const struct content *m = (*at)->msg->content;
                if (!same_message((*at)->msg, o) || (!partial && is_over((*at)->msg, s->conn->first_age)))
                    continue;
                if (!lifetime_fits(s->conn, (*at)->msg, p, true))
                    continue;
                if (!p->payload_len && s->version == 5 && !same_props(m, p))
                    continue;
                if (lower(sub->qos, m->qos) != p->qos && !s->had_changes)
                    continue;
                if (m->retain ? !s->had_rap[p->retain] : p->retain)
                    continue;
                if (s->version == 5 && !same_group(o->p, g, f))
                    continue;
                if (best) { /* the same message once more: which of them came cannot be told */
                    (*at)->excused = true;
                    continue;
                }
                *group = g;
                *filter = (uint8_t)f;
                best = at;
            }
        }
    }
    return best;
}

/* What came may have come for a group instead. */
static void doubt_owed(struct session *s, const struct out *o)
{
    uint8_t g, f;
    struct owed **at = find_owed(s, o, o->p->dup, &g, &f);
    if (at)
        (*at)->excused = true;
}

static struct entry *take_owed(struct session *s, const struct out *o)
{
    uint8_t g, f;
    struct owed **at = find_owed(s, o, o->p->dup, &g, &f);
    if (!at)
        return NULL;
    struct owed *w = *at;
    *at = w->next;
    TRACE("model   #%u goes to %s for group %u %s", w->msg->content->number, s->id, g, W.filters[f]);
    struct entry *e = new_entry(w->msg, (uint8_t)o->p->id_count);
    memcpy(e->ids, o->p->ids, o->p->id_count * sizeof e->ids[0]);
    e->qos = o->p->qos;
    e->retain = o->p->retain;
    e->group = g;
    e->filter = f;
    e->ambiguous = true;
    drop(w->msg);
    unmake(w);
    return e;
}

/* Which message the topic had when this began is not known. */
static bool is_unsure(const struct conn *c, const struct out *o)
{
    return W.retained_unsure[o->topic] || c->first_routed < W.was_unsure[o->topic] ||
           (o->p->dup && W.was_unsure[o->topic]);
}

static struct entry *take_unsure_retained(const struct conn *c, const struct session *s, const struct out *o)
{
    const bool nameless =
        !o->p->payload_len && s->had_shared; /* whose it is cannot be told from its payload */
    if (!(o->p->retain && is_unsure(c, o)) && !nameless)
        return NULL;
    struct content *content = make(sizeof *content);
    *content = (struct content){ .refs = 1,
                                 .number = o->number,
                                 .len = o->p->payload_len,
                                 .topic = o->topic,
                                 .qos = 2,
                                 .publisher = -1,
                                 .has_expiry = o->p->has_expiry,
                                 .expiry_s = o->p->expiry_s,
                                 .props_len = (uint8_t)o->p->props_len };
    memcpy(content->props, o->p->props, o->p->props_len);
    struct msg *m = new_msg(content, NULL, 0, W.age);
    struct entry *e = new_entry(m, (uint8_t)o->p->id_count);
    memcpy(e->ids, o->p->ids, o->p->id_count * sizeof e->ids[0]);
    e->qos = o->p->qos;
    e->retain = o->p->retain;
    drop(m);
    content_drop(content);
    return e;
}

static void sent_first(struct conn *c, struct session *s, const struct out *o)
{
    const struct packet *p = o->p;
    const char *why = "and is not owed to it";
    struct entry *before;
    const bool partial = p->dup && (s->partial || s->restored);
    if (p->dup && !partial)
        diverge("message #%u is sent to %s with DUP for the first time", o->number, s->id);
    if (s->credits && p->qos && !partial)
        skip_dropped(c, s, NULL);
    if (p->qos && !partial)
        for (const struct entry *x = s->unacked.head; x; x = x->next)
            if (x->sent_on != c->serial && x->state == FLYING && !x->unsure)
                diverge("message #%u goes to %s before #%u is sent again", o->number, s->id,
                        x->msg->content->number);
    struct entry *e = find_waiting(c, s, o, &before, &why);
    if (e) {
        mark_twins(s, e);
        for (struct entry *x = s->waiting.head; x && c->stopped && e->stopped; x = x->next)
            x->optional |= x->replay && x->msg == e->msg && x->qos == e->qos; /* it may have been that one */
        check_order(s, e);
        before = NULL;
        for (struct entry *x = s->waiting.head; x != e; x = x->next)
            before = x;
        cut(&s->waiting, before, e);
        check_content(c, e, p, partial);
        if (e->optional)
            doubt_owed(s, o);
    } else {
        if (p->retain && is_unsure(c, o))
            excuse_owed_on(s, o->topic); /* the retained one, or the group's */
        else
            e = take_owed(s, o);
        if (!e)
            e = take_unsure_retained(c, s, o);
        if (!e)
            diverge("message #%u on %s is sent to %s (qos %u%s%s) %s", o->number, W.topics[o->topic], s->id,
                    p->qos, p->retain ? ", retain" : "", p->dup ? ", dup" : "", why);
    }
    e->late = p->dup;
    if (partial && s->partial) {
        s->partial = false;
        c->stopped = true; /* what was kept for its sake goes */
    }
    if (e->qos == 0)
        free_entry(e);
    else
        fly(c, s, e, p->pid);
}

static uint8_t resolve_topic(struct conn *c, const struct packet *p)
{
    if (p->alias > c->alias_maximum || (p->alias && p->alias > 63))
        diverge("alias %u to %u, which allows %u", p->alias, c->serial, c->alias_maximum);
    if (!p->topic_len) {
        if (!p->alias || !c->alias[p->alias])
            diverge("a PUBLISH without a topic to %u, alias %u", c->serial, p->alias);
        return (uint8_t)(c->alias[p->alias] - 1);
    }
    const int topic = topic_index(p->topic, p->topic_len);
    if (topic < 0)
        diverge("a PUBLISH to %u on a topic that does not exist", c->serial);
    if (p->alias)
        c->alias[p->alias] = (uint8_t)(topic + 1);
    return (uint8_t)topic;
}

/* What had begun is out: of the replays that were called off nothing more comes. */
static void forget_stopped(struct session *s)
{
    struct entry *before = NULL, *next;
    for (struct entry *e = s->waiting.head; e; e = next) {
        next = e->next;
        if (e->stopped && !e->twin) {
            cut(&s->waiting, before, e);
            free_entry(e);
            continue;
        }
        before = e;
    }
}

/* The right was withdrawn before it began. */
static void check_right(const struct conn *c, const struct session *s, const struct out *o)
{
    if (s->slot >= 0 && W.no_deliver[s->slot] >> o->topic & 1 && W.rights_moment[s->slot] < c->first_moment)
        diverge("message #%u on %s is sent to %s, which has no right to it", o->number, W.topics[o->topic],
                s->id);
}

static void on_publish_out(struct conn *c, const struct packet *p)
{
    struct session *s = c->session;
    const struct out o = { .p = p,
                           .number = payload_number(p->payload, p->payload_len),
                           .topic = resolve_topic(c, p) };
    if (o.number == UINT32_MAX)
        diverge("a PUBLISH to %u with a payload that nobody sent", c->serial);
    TRACE("send    #%u %s to %u qos %u pid %u%s%s", o.number, W.topics[o.topic], c->serial, p->qos, p->pid,
          p->dup ? " dup" : "", p->retain ? " retain" : "");
    W.delivered++;
    W.sent0++;
    if (!s || W.shutting_down) {
        if (!c->is_up)
            diverge("a PUBLISH to %u, which is not up", c->serial);
        return; /* the rest of one that had begun */
    }
    struct entry *before;
    struct entry *e = p->qos ? find_pid(s, p->pid, &before) : NULL;
    if (e && e->unsure && e->again && !same_message(e->msg, &o)) { /* its record was gone, after all */
        cut(&s->unacked, before, e);
        free_entry(e);
        e = NULL;
    }
    if (!e && !p->dup)
        check_right(c, s, &o);
    if (e)
        resent(c, s, e, &o);
    else
        sent_first(c, s, &o);
    if (c->stopped && !s->partial)
        forget_stopped(s);
    c->stopped = false;
}

void model_output(struct conn *c, const struct packet *p)
{
    if (p->len > c->packet_maximum)
        diverge("a packet of %u bytes to %u, which allows %u", p->len, c->serial, c->packet_maximum);
    if (p->type == PK_PUBLISH) {
        on_publish_out(c, p);
        return;
    }
    TRACE("send    type %u pid %u reason %02x to %u", p->type, p->pid, p->reason, c->serial);
    if (p->type != PK_DISCONNECT) {
        check_answer(c, p);
        return;
    }
    if (!c->ended || p->reason != c->end_reason)
        diverge("DISCONNECT %02x to %u", p->reason, c->serial);
}

/* ---- nothing more comes out for now -------------------------------------------------------------------- */

static void forget_unsure(struct conn *c, struct session *s)
{
    struct entry *before = NULL, *next;
    for (struct entry *e = s->unacked.head; e; e = next) {
        next = e->next;
        if (e->unsure && e->sent_on != c->serial) {
            cut(&s->unacked, before, e);
            bury(s, e);
            continue;
        }
        before = e;
    }
}

void model_drained(struct conn *c)
{
    struct session *s = c->session;
    if (c->ended || !s)
        return;
    while (c->answers && c->answers->optional)
        answered(c);
    if (c->answers)
        diverge("packet type %u pid %u is due to %u, and does not come", c->answers->type, c->answers->pid,
                c->serial);
    const bool open = window_is_open(c);
    if (open)
        forget_unsure(c, s);
    if (open && s->credits)
        skip_dropped(c, s, NULL);
    for (const struct entry *e = s->unacked.head; open && e; e = e->next)
        if (e->state == FLYING && e->sent_on != c->serial)
            diverge("message #%u is not sent again to %s", e->msg->content->number, s->id);
    struct entry *before = NULL, *next;
    bool blocked = false; /* a replay that waits for the window holds back those behind it */
    for (const struct entry *e = s->waiting.head; !open && e; e = e->next)
        blocked |= e->qos && (e->replay || e->twin);
    for (struct entry *e = s->waiting.head; e; e = next) {
        next = e->next;
        if ((e->qos && !open) || ((e->replay || e->twin) && blocked)) {
            before = e;
            continue;
        }
        if ((s->partial && !open) || (W.tight && (e->replay || e->twin))) {
            before = e;
            continue;
        }
        const char *why = excuse(s, e);
        TRACE("model   excuses #%u for %s: %s", e->msg->content->number, s->id, why ? why : "no");
        if (!why)
            diverge("message #%u on %s (qos %u%s) is owed to %s, and does not come", e->msg->content->number,
                    W.topics[e->msg->content->topic], e->qos, e->replay ? ", replay" : "", s->id);
        cut(&s->waiting, before, e);
        bury(s, e);
    }
    if (open)
        s->partial = false;
    if (open && !W.tight)
        s->replaying = 0;
}

/* ---- now and then -------------------------------------------------------------------------------------- */

static uint64_t books_sum(const struct midge_books *b)
{
    uint64_t n = b->acknowledged + b->expired + b->ended + b->queued + b->inflight;
    for (unsigned i = 0; i < MIDGE_DROP_REASONS; i++)
        n += b->dropped[i];
    return n;
}

static void check_books(const struct midge_books books[3], const char *whose)
{
    for (unsigned q = 0; q < 3; q++)
        if (books[q].enqueued != books_sum(&books[q]))
            diverge("the books of %s at QoS %u do not close: %llu enqueued, %llu accounted for", whose, q,
                    (unsigned long long)books[q].enqueued, (unsigned long long)books_sum(&books[q]));
}

/* What the broker says it holds is what it owes. */
static void check_held(const struct session *s, const struct midge_books books[3])
{
    if (s->had_shared || s->partial || s->loose || has_begun(s->conn) || W.tight)
        return;
    for (uint8_t q = 1; q < 3; q++) {
        uint64_t n = 0, unsure = 0, replays = 0;
        for (const struct entry *e = s->waiting.head; e; e = e->next) {
            if (e->qos == q && e->replay)
                replays += s->credits + e->twin +
                           e->again; /* one that was dropped, or stands for a live one, or began */
            if (e->qos != q || e->replay)
                continue;
            n++;
            unsure += e->optional || e->twin || e->msg->maybe || may_be_over(e->msg, W.age);
        }
        for (const struct entry *e = s->unacked.head; e; e = e->next) {
            n += e->qos == q;
            unsure += e->qos == q && e->unsure;
        }
        uint64_t told = 0;
        for (uint32_t t = 0; s->credits && t < W.topic_count; t++)
            told += s->credit[t][q];
        if (told > n)
            continue; /* of replays */
        n -= told;
        const uint64_t held = books[q].queued + books[q].inflight;
        if (held > n + replays || held + unsure < n)
            diverge("%s is owed %llu messages of QoS %u, the books have %llu", s->id, (unsigned long long)n,
                    q, (unsigned long long)held);
    }
}

void model_check(void)
{
    struct midge_stats stats;
    midge_get_stats(W.broker, &stats);
    check_books(stats.books, "all");
    if (stats.memory_used != W.used)
        diverge("the statistics say %zu bytes in use, it is %zu", stats.memory_used, W.used);
    if (stats.bytes_received != W.fed_bytes || stats.bytes_sent != W.pulled_bytes)
        diverge("the statistics say %llu bytes in, %llu out; it is %llu, %llu",
                (unsigned long long)stats.bytes_received, (unsigned long long)stats.bytes_sent,
                (unsigned long long)W.fed_bytes, (unsigned long long)W.pulled_bytes);
    if (stats.publish_sent != W.sent0)
        diverge("the statistics say %llu PUBLISHes sent, it is %llu", (unsigned long long)stats.publish_sent,
                (unsigned long long)W.sent0);
    size_t tags = 0;
    for (unsigned i = 0; i < MIDGE_TAGS; i++)
        tags += stats.memory_by_tag[i];
    if (tags != stats.memory_used)
        diverge("memory by tag adds up to %zu of %zu", tags, stats.memory_used);
    uint32_t sessions = 0, up = 0, subs = 0;
    for (const struct session *s = W.sessions; s; s = s->next) {
        struct midge_books books[3];
        const struct midge_slice id = { (const uint8_t *)s->id, (uint32_t)strlen(s->id) };
        if (midge_get_books(W.broker, id, books) != MIDGE_OK)
            diverge("the session of %s is not there", s->id);
        check_books(books, s->id);
        check_held(s, books);
        sessions++;
        up += s->conn != NULL;
        subs += s->sub_count;
    }
    if (stats.sessions != sessions || stats.clients != up || stats.subscriptions != subs ||
        stats.connections != W.conn_count)
        diverge("the statistics say %u sessions, %u clients, %u subscriptions, %u connections; it is %u, %u, "
                "%u, %u",
                stats.sessions, stats.clients, stats.subscriptions, stats.connections, sessions, up, subs,
                W.conn_count);
    uint32_t retained = 0, unsure = 0;
    for (uint32_t t = 0; t < W.topic_count; t++) {
        retained += W.retained[t] != NULL;
        unsure += W.retained_unsure[t] ||
                  (W.retained[t] && (W.retained[t]->maybe || may_be_over(W.retained[t], W.age)));
    }
    if (stats.retained > retained + unsure || stats.retained + unsure < retained)
        diverge("%u messages are retained, it should be %u", stats.retained, retained);
}

static bool has_credit(uint8_t g, uint32_t f, const struct content *m)
{
    for (const struct session *s = W.sessions; s; s = s->next)
        if ((s->mask[g] >> f & 1) && (s->credit[m->topic][1] || s->credit[m->topic][2] || !s->conn ||
                                      m->qos == 0 || s->sub[g][f].qos == 0 || s->had_changes))
            return true;
    return false;
}

void model_quiet(void)
{
    for (struct conn *c = W.conns; c; c = c->next) {
        if (c->paused && !c->ended)
            diverge("connection %u is paused for ever", c->serial);
        if (c->served)
            model_drained(c);
    }
    for (const struct session *s = W.sessions; s; s = s->next) {
        if (!s->conn)
            continue;
        if (s->unacked.head)
            diverge("message #%u is in flight to %s for ever", s->unacked.head->msg->content->number, s->id);
        if (s->credits && !s->had_shared && !s->loose && !W.tight)
            diverge("%s was told of %u drops more than it had messages", s->id, s->credits);
    }
    for (uint8_t g = 1; g < GROUPS; g++)
        for (uint32_t f = 0; f < W.filter_count; f++)
            for (const struct owed *o = W.owed[g][f]; o; o = o->next)
                if (!o->excused && !o->msg->maybe && !may_be_over(o->msg, W.age) &&
                    !has_credit(g, f, o->msg->content))
                    diverge("message #%u is owed to group %u of %s, and nobody got it",
                            o->msg->content->number, g, W.filters[f]);
}

void model_handed(struct client *cl, const struct down *d)
{
    struct session *s = W.by_slot[cl->slot];
    if (!s || s->incarnation != cl->incarnation)
        return;
    struct entry *before;
    struct entry *e = find_pid(s, d->pid, &before);
    if (!e || e->qos != 2 || (e->msg->content->len && e->msg->content->number != d->number))
        return;
    if (e->app_gen == cl->generation + 1)
        diverge("message #%u of QoS 2 reaches %s twice", d->number, s->id);
    e->app_gen = cl->generation + 1;
}

/* ---- the host publishes -------------------------------------------------------------------------------- */

void model_host_published(struct content *content, enum midge_err err)
{
    const struct record r = { .content = content };
    if (err != MIDGE_OK && !refusal_is_lawful(&r))
        diverge("the host's message #%u is refused with %d, without a reason", content->number, err);
    W.unaccepted0 += err != MIDGE_OK;
    if (err != MIDGE_OK)
        return;
    struct msg *msg = new_msg(content, NULL, W.age, W.age);
    route(msg, NULL);
    drop(msg);
}

/* ---- the broker is gone, and comes back ---------------------------------------------------------------- */

/* Wills of those who are connected, before anything else. */
void model_shutdown(void)
{
    for (struct conn *c = W.conns; c; c = c->next)
        if (c->session)
            publish_will(c->session, W.age, W.age);
}

void model_synced(void)
{
    free_ghosts(NULL);
    W.exposed = W.must = false;
}

static void put_first(struct list *l, struct entry *e)
{
    e->next = l->head;
    l->head = e;
    if (!l->last || !e->next)
        l->last = e;
}

/* Without a wall clock no time counts as passed. */
static void stand_still(struct msg *m)
{
    if (!m || W.wall)
        return;
    m->maybe |= may_be_over(m, W.age_before); /* it may have been seen to, or begins anew */
    m->from = m->to = W.age;
}

/* QoS 0 is gone. The rest waits, and it is not known what was sent of it. */
static void shake_waiting(struct session *s)
{
    struct entry *before = NULL, *next;
    for (struct entry *e = s->waiting.head; e; e = next) {
        next = e->next;
        if (!e->qos) {
            cut(&s->waiting, before, e);
            free_entry(e);
            continue;
        }
        e->again = true;
        e->optional |= e->replay; /* a replay has no record: it may end here */
        stand_still(e->msg);
        before = e;
    }
}

/* Of QoS 2 the packet ids are known; QoS 1 may come under another. */
static void shake_unacked(struct session *s)
{
    struct list old = s->unacked;
    s->unacked = (struct list){ 0 };
    struct list again = { 0 };
    for (struct entry *e = old.head, *next; e; e = next) {
        next = e->next;
        e->again = true;
        stand_still(e->msg);
        if (e->qos == 2) {
            append(&s->unacked, e);
            continue;
        }
        e->optional |= e->unsure || e->replay;
        e->unsure = false;
        e->state = WAITING;
        append(&again, e);
    }
    if (!again.head)
        return;
    again.last->next = s->waiting.head;
    s->waiting.head = again.head;
    if (!s->waiting.last || !again.last->next)
        s->waiting.last = again.last;
}

static void raise_ghosts(void)
{
    while (W.ghosts) {
        struct entry *e = W.ghosts;
        W.ghosts = e->next;
        e->again = e->optional = true;
        stand_still(e->msg);
        if (e->qos == 2 && e->state == RELEASED) {
            e->unsure = true;
            put_first(&e->of->unacked, e);
        } else {
            e->state = WAITING;
            put_first(&e->of->waiting, e);
        }
    }
}

void model_killed(void)
{
    for (struct session *s = W.sessions; s; s = s->next) {
        if (s->conn || !W.wall)
            s->gone_at = W.age; /* as from now */
        s->conn = NULL;
        s->partial = s->must_end = false;
        s->restored = true;
        s->replaying = 0;
        s->dropped0 = 0;
        shake_unacked(s);
        shake_waiting(s);
    }
    raise_ghosts();
    for (uint32_t t = 0; t < W.topic_count; t++)
        stand_still(W.retained[t]);
    for (uint8_t g = 1; g < GROUPS; g++)
        for (uint32_t f = 0; f < W.filter_count; f++)
            for (const struct owed *o = W.owed[g][f]; o; o = o->next)
                stand_still(o->msg);
    W.exposed = W.must = W.tick_changes = false;
}

/* Sessions that were to end with their connection are not there, or end now. */
void model_restored(void)
{
    for (struct session *s = W.sessions, *next; s; s = next) {
        struct midge_books books[3];
        const struct midge_slice id = { (const uint8_t *)s->id, (uint32_t)strlen(s->id) };
        next = s->next;
        if (midge_get_books(W.broker, id, books) == MIDGE_OK)
            continue;
        if (s->expiry_s)
            diverge("the session of %s is lost", s->id);
        excuse_owed(s, true);
        free_session(s);
    }
    clear_groups();
}

void model_forget(void)
{
    while (W.sessions)
        free_session(W.sessions);
    for (uint32_t t = 0; t < TOPICS_MAX; t++) {
        drop(W.retained[t]);
        W.retained[t] = NULL;
        W.retained_unsure[t] = false;
    }
    clear_groups();
}

bool model_allow(void *user, const struct midge_who *who, enum midge_access what, struct midge_slice topic)
{
    (void)user;
    uint8_t group, filter;
    const int slot = slot_of(who->client_id);
    if (slot < 0)
        return true;
    if (what == MIDGE_ACCESS_SUBSCRIBE)
        return !find_filter(topic, &group, &filter) || !(W.no_subscribe[slot] >> filter & 1);
    const int t = topic_index(topic.data, topic.len);
    const uint64_t withheld = what == MIDGE_ACCESS_PUBLISH ? W.no_publish[slot] : W.no_deliver[slot];
    return t < 0 || !(withheld >> t & 1);
}
