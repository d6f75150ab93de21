/* deliver.c - bytes out: the port pulls, and only then is a packet written. */
#include "broker/internal.h"

void midge_session_mark_ready(struct midge *m, struct midge_session *s)
{
    if (s->conn)
        midge_conn_mark_ready(s->conn);
    else if (MIDGE_LOCAL && s->local)
        m->local_due = true;
}

/* ---- what comes next ---------------------------------------------------------------------------------- */

static bool older(const struct midge_entry *a, const struct midge_entry *b)
{
    return (int16_t)(a->pid - b->pid) < 0; /* stamps of arrival, modulo 65,536 */
}

/* The queue whose head is the oldest that may go now. A closed window holds back QoS 1 and 2 only [MQTT-3.3.4-10]
 * [MQTT-4.9.0-3]. */
static struct midge_queue *oldest(struct midge_outbox *ob, bool window_open)
{
    const struct midge_entry *a = MIDGE_MAX_QOS && window_open ? ob->waiting.head : NULL;
    const struct midge_entry *b = ob->waiting0.head;
    if (a && (!b || older(a, b)))
        return &ob->waiting;
    return b ? &ob->waiting0 : NULL;
}

/* Counted anew each time: few set this limit, and nobody else pays for it. */
static bool too_many_bytes(const struct midge_outbox *ob, uint32_t most)
{
    size_t n = 0;
    for (const struct midge_entry *e = ob->unacked.head; e && n < most; e = e->next)
        n += e->flying ? midge_msg_bytes(e->msg) : 0;
    return n >= most;
}

static bool window_open(const struct midge *m, const struct midge_session *s, uint32_t window)
{
    const struct midge_outbox *ob = s->outbox;
    uint32_t bytes = m->limits->inflight_bytes;
    return MIDGE_MAX_QOS && ob->inflight < window && !(bytes && too_many_bytes(ob, bytes)) &&
           midge_pid_next(s->last_pid, &ob->unacked);
}

bool midge_outbox_has_next(const struct midge *m, const struct midge_session *s, uint32_t window)
{
    const struct midge_outbox *ob = s->outbox;
    bool open = window_open(m, s, window);
    bool replays = ob->replays && !(MIDGE_RETAIN && m->starving);
    bool prepared = MIDGE_DURABLE && ob->resend && ob->resend->flying;
    return ob->waiting0.head || prepared || (open && (ob->resend || replays || ob->waiting.head));
}

/* Those of QoS 2 that are past PUBREC are not published again [MQTT-4.3.3-6]. */
static struct midge_entry *skip_released(struct midge_entry *e)
{
    while (e && e->released)
        e = e->next;
    return e;
}

/* One of those that an earlier connection left unacknowledged; NULL: all of them were PUBRELs. */
static struct midge_entry *next_resend(struct midge_outbox *ob)
{
    struct midge_entry *e = skip_released(ob->resend);
    ob->resend = e ? e->next : NULL;
    if (!e)
        return NULL;
    if (!MIDGE_DURABLE || !e->flying) {
        e->flying = true;
        ob->inflight++;
    }
    return e;
}

void midge_resend_pubrels(struct midge_conn *c)
{
    const struct midge_outbox *ob = c->session->outbox;
    for (const struct midge_entry *e = ob ? ob->unacked.head : NULL; e; e = e->next) {
        if (e->released)
            midge_send_ack(c, PK_PUBREL, e->pid, MIDGE_RC_SUCCESS);
    }
}

static struct midge_entry *next_fresh(struct midge *m, struct midge_session *s, bool open)
{
    struct midge_outbox *ob = s->outbox;
    struct midge_entry *e = MIDGE_RETAIN && ob->replays ? midge_replay_next(m, s, open) : NULL;
    if (e)
        return e;
    struct midge_queue *q = oldest(ob, open);
    if (!q)
        return NULL;
    e = midge_queue_pop(q);
    ob->msgs--;
    ob->bytes -= midge_msg_bytes(e->msg);
    return e;
}

static void free_entry(struct midge *m, struct midge_entry *e)
{
    if (MIDGE_DURABLE)
        midge_durable_entry_gone(m, e);
    midge_entry_free(&m->mem, e);
}

static void leave_unacked(struct midge_session *s, struct midge_entry *before, struct midge_entry *e)
{
    struct midge_outbox *ob = s->outbox;
    if (ob->resend == e)
        ob->resend = e->next;
    if (e->flying)
        ob->inflight--;
    ob->msgs--;
    ob->bytes -= midge_msg_bytes(e->msg);
    midge_queue_take(&ob->unacked, before, e);
}

static void take_back(struct midge_session *s, struct midge_entry *e)
{
    struct midge_entry *before;
    (void)midge_inflight_find(&s->outbox->unacked, e->pid, &before);
    leave_unacked(s, before, e);
}

/* Rights are asked for again, and lifetimes looked at, as late as can be. */
static bool still_wanted(struct midge *m, struct midge_session *s, struct midge_entry *e)
{
    uint32_t left_s;
    bool alive = midge_msg_left(e->msg, m->age, &left_s); /* [MQTT-3.3.2-5] */
    if (alive && midge_allowed(m, s, MIDGE_ACCESS_DELIVER, midge_msg_topic(e->msg)))
        return true;
    if (MIDGE_DURABLE && e->flying) /* it was prepared */
        take_back(s, e);
    if (alive) {
        midge_drop(m, s, e, MIDGE_DROP_RIGHT);
        return false;
    }
    midge_book(m, s, e->qos, BOOK_EXPIRED, 1);
    free_entry(m, e);
    return false;
}

/* It takes a packet id and its place among the unacknowledged [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]. */
static void fly(struct midge *m, struct midge_session *s, struct midge_entry *e)
{
    struct midge_outbox *ob = s->outbox;
    e->pid = s->last_pid = midge_pid_next(s->last_pid, &ob->unacked);
    e->flying = true;
    ob->inflight++;
    ob->msgs++;
    ob->bytes += midge_msg_bytes(e->msg);
    midge_queue_push(&ob->unacked, e);
    if (MIDGE_DURABLE)
        midge_durable_entry(m, e, e->qos == 2); /* a QoS 1 message may come twice after a crash, under a new id */
}

void midge_outbox_prepare(struct midge *m, struct midge_session *s, uint32_t window)
{
    struct midge_outbox *ob = s->outbox;
    struct midge_entry *e;
    if (!MIDGE_DURABLE || (ob->resend && !ob->resend->flying))
        return; /* those of an earlier connection come first, and have not taken their places yet */
    while (window_open(m, s, window) && oldest(ob, true) == &ob->waiting) {
        e = midge_queue_pop(&ob->waiting);
        ob->msgs--;
        ob->bytes -= midge_msg_bytes(e->msg);
        if (!still_wanted(m, s, e))
            continue;
        fly(m, s, e);
        ob->resend = ob->resend ? ob->resend : e; /* to be sent, if for the first time, and if it is wanted then */
    }
}

void midge_outbox_unprepare(struct midge *m, struct midge_session *s)
{
    struct midge_outbox *ob = s->outbox;
    struct midge_queue again = { 0 };
    struct midge_entry *before = NULL, *next;
    for (struct midge_entry *e = MIDGE_DURABLE ? ob->unacked.head : NULL; e; e = next) {
        next = e->next;
        if (e->sent) {
            before = e;
            continue;
        }
        midge_queue_take(&ob->unacked, before, e);
        e->flying = false;
        e->pid = ob->arrivals; /* before all that arrive from now on */
        midge_queue_push(&again, e);
        midge_durable_entry(m, e, false);
    }
    while ((next = midge_queue_pop(&ob->waiting)))
        midge_queue_push(&again, next);
    ob->waiting = again;
}

struct midge_entry *midge_outbox_next(struct midge *m, struct midge_session *s, uint32_t window, bool *owned)
{
    struct midge_outbox *ob = s->outbox;
    *owned = false;
    while (ob) {
        bool open = window_open(m, s, window);
        bool placed = MIDGE_DURABLE && ob->resend && ob->resend->flying;
        bool again = MIDGE_MAX_QOS && ob->resend && (open || placed);
        struct midge_entry *e = again ? next_resend(ob) : NULL;
        if (e && (e->sent || still_wanted(m, s, e)))
            return e;
        if (e)
            continue;
        e = next_fresh(m, s, open && !ob->resend);
        if (!e)
            return NULL;
        if (!still_wanted(m, s, e))
            continue;
        *owned = !MIDGE_MAX_QOS || e->qos == 0;
        if (!*owned)
            fly(m, s, e);
        if (MIDGE_DURABLE && e->qos == 2 && m->durable)
            midge_durable_sync(m); /* one that was not prepared: a retained message */
        return e;
    }
    return NULL;
}

void midge_outbox_done(struct midge *m, struct midge_session *s, struct midge_entry *before, struct midge_entry *e)
{
    leave_unacked(s, before, e);
    midge_book(m, s, e->qos, BOOK_ACKNOWLEDGED, 1);
    free_entry(m, e);
}

void midge_drop(struct midge *m, struct midge_session *s, struct midge_entry *e, enum midge_drop why)
{
    midge_book(m, s, e->qos, BOOK_DROPPED + (unsigned)why, 1);
    if (MIDGE_MAX_QOS && e->qos)
        midge_tell_of(m, s, MIDGE_EV_DROPPED, (uint8_t)why, e->qos, midge_msg_topic(e->msg));
    free_entry(m, e);
}

/* ---- one PUBLISH -------------------------------------------------------------------------------------- */

static void fill(const struct midge_conn *c, struct midge_publish_out *out, uint8_t age[MIDGE_AGE_PROP])
{
    const struct midge_entry *e = c->sending;
    const struct midge_msg *msg = e->msg;
    uint8_t hidden = MIDGE_SHARED && e->shared ? 1 : 0; /* ids[0] is the group's serial */
    *out = (struct midge_publish_out){ .version = c->version,
                                       .dup = e->dup,
                                       .retain = e->retain,
                                       .qos = e->qos,
                                       .pid = e->pid,
                                       .topic_alias = c->frozen_alias,
                                       .has_expiry = msg->has_expiry,
                                       .expiry_s = c->frozen_expiry_s, /* [MQTT-3.3.2-6] */
                                       .topic = midge_msg_topic(msg),
                                       .props = midge_msg_props(msg),
                                       .subscription_ids = e->ids + hidden,
                                       .subscription_id_count = (uint32_t)(e->id_count - hidden),
                                       .payload = midge_msg_payload(msg) };
    if (midge_is_inside(c))
        out->more_props = midge_inside_age(c, age);
    if (c->frozen_alias && !c->alias_new)
        out->topic = (struct midge_slice){ 0 };
}

static bool fits(const struct midge_conn *c)
{
    if (!MIDGE_V5 || c->maximum_packet == UINT32_MAX)
        return true;
    struct midge_publish_out out;
    uint8_t age[MIDGE_AGE_PROP];
    fill(c, &out, age);
    return midge_publish_size(&out) <= c->maximum_packet; /* [MQTT-3.1.2-24] */
}

/* An alias is taken only for a packet that will go out: a client cannot know one that it was never sent
 * [MQTT-3.1.2-26] [MQTT-3.1.2-27]. False: too large with and without. */
static bool choose_alias(struct midge_conn *c)
{
    struct midge_slice topic = midge_msg_topic(c->sending->msg);
    bool known = c->alias_max && midge_alias_knows(c->aliases, topic);
    c->frozen_alias = c->alias_max; /* all numbers take the same space */
    c->alias_new = !known;
    if (c->alias_max && fits(c)) {
        bool is_new;
        c->frozen_alias = midge_alias_use(&c->m->mem, &c->aliases, c->alias_max, topic, &is_new);
        return true;
    }
    c->frozen_alias = 0;
    return fits(c);
}

/* What would change between two encodings of this packet is settled once. False: too large for the client. */
static bool freeze(struct midge_conn *c)
{
    struct midge_entry *e = c->sending;
    c->sent = 0;
    e->dup = MIDGE_MAX_QOS && e->qos && e->sent; /* [MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT311-3.3.1-1] */
    c->frozen_expiry_s = 0; /* one that went out before keeps its place after its time [MQTT-4.3.3-7] */
    (void)midge_msg_left(e->msg, c->m->age, &c->frozen_expiry_s);
    c->frozen_alias = 0;
    if (midge_is_inside(c))
        ((struct midge_inside *)c->user)->frozen_age_s =
            (uint32_t)((c->m->age - midge_msg_arrival(e->msg)) / 1000u);
    return MIDGE_ALIAS_OUT ? choose_alias(c) : fits(c);
}

/* As if it had been delivered [MQTT-3.1.2-25]. */
static void give_up(struct midge_conn *c)
{
    struct midge_entry *e = c->sending;
    c->sending = NULL;
    if (MIDGE_MAX_QOS && !c->own_sending)
        take_back(c->session, e);
    c->own_sending = false;
    midge_drop(c->m, c->session, e, MIDGE_DROP_PACKET_SIZE);
}

/* Makes the next PUBLISH the one that is being sent; false = there is none. */
static bool begin(struct midge_conn *c)
{
    for (;;) {
        bool owned;
        struct midge_entry *e = midge_outbox_next(c->m, c->session, c->window, &owned);
        if (!e)
            return false;
        c->sending = e;
        c->own_sending = owned;
        if (freeze(c)) {
            e->sent = true;
            return true;
        }
        give_up(c);
    }
}

static void finish(struct midge_conn *c)
{
    struct midge_entry *e = c->sending;
    c->sending = NULL;
    if (MIDGE_STATS)
        c->m->counts->publish_sent++;
    if (!c->own_sending)
        return;
    c->own_sending = false;
    if (c->session)
        midge_book(c->m, c->session, 0, BOOK_ACKNOWLEDGED, 1); /* QoS 0 asks for no more */
    midge_entry_free(&c->m->mem, e);
}

static uint32_t put_publish(struct midge_conn *c, uint8_t *out, uint32_t room)
{
    struct midge_publish_out pk;
    uint8_t age[MIDGE_AGE_PROP];
    fill(c, &pk, age);
    struct midge_wr w;
    midge_wr_init(&w, out, room, c->sent);
    midge_encode_publish(&w, &pk);
    uint32_t n = room - w.room;
    c->sent += n;
    if (c->sent == w.total)
        finish(c);
    return n;
}

static uint32_t put_control(struct midge_conn *c, uint8_t *out, uint32_t room)
{
    struct midge_control_bytes *k = c->control;
    uint32_t n = k->len - k->at;
    n = n < room ? n : room;
    memcpy(out, k->bytes + k->at, n);
    k->at += n;
    if (k->at == k->len) {
        midge_mem_free(&c->m->mem, k, sizeof *k + k->cap, MIDGE_TAG_CONTROL);
        c->control = NULL;
        midge_quota_unchoke(c);
    }
    return n;
}

/* False: there is nothing. At the broker's end, when all that could go is out, the last word is. */
static bool next_publish(struct midge_conn *c)
{
    if (c->state != CONN_UP)
        return false;
    if (begin(c))
        return true;
    if (c->m->shutting_down)
        midge_conn_end(c, MIDGE_RC_SERVER_SHUTTING_DOWN);
    return c->control != NULL;
}

/* A PUBLISH that has begun goes on; then control bytes; then the next PUBLISH begins. */
static uint32_t put_some(struct midge_conn *c, uint8_t *out, uint32_t room)
{
    if (c->state == CONN_DEAD || c->broken)
        return 0;
    if (c->sending && c->sent)
        return put_publish(c, out, room);
    if (!c->control && !c->sending && !next_publish(c))
        return 0;
    return c->control ? put_control(c, out, room) : put_publish(c, out, room);
}

size_t midge_pull(struct midge_conn *c, void *out, size_t room, midge_ms now)
{
    uint32_t space = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
    uint32_t n = 0;
    midge_enter(c->m, now);
    if (MIDGE_DURABLE)
        midge_durable_before_pull(c);
    while (n < space) {
        uint32_t more = put_some(c, (uint8_t *)out + n, space - n);
        if (!more)
            break;
        n += more;
    }
    if (MIDGE_STATS)
        c->m->counts->bytes_sent += n;
    midge_leave(c->m);
    return n;
}
