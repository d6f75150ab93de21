/* route.c - one message to the retained store, to sessions, to groups: all of them, or nobody.
 *
 * First an entry is made for every receiver and hung aside; overlapping subscriptions of one session share one
 * [MQTT-3.3.4-4]. Only when all entries are there, and the retained store has taken the message, do they go into their
 * queues: a publisher that is refused can try again, and nobody has seen the message.
 */
#include "broker/internal.h"

struct route {
    struct midge *m;
    struct midge_msg *msg;
    struct midge_session *from;  /* NULL = the host */
    struct midge_session *receivers; /* chained by outbox->next_receiver: their outbox->pending */
    struct midge_entry *others;  /* drawn from groups, or further copies; chained by `next` */
};

uint32_t midge_origin(const struct midge *m, const struct midge_session *s)
{
    return s ? midge_hash(m->origin_seed, midge_session_id(s)) | 1u : 0;
}

/* ---- making the entries ------------------------------------------------------------------------------- */

static bool is_here(const struct midge_session *s)
{
    return s->conn || (MIDGE_LOCAL && s->local);
}

static uint8_t lower(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static struct midge_entry *new_entry(struct route *r, struct midge_session *s, const uint32_t *ids, uint8_t id_count)
{
    if (!midge_session_outbox(&r->m->sessions, s))
        return NULL;
    return midge_entry_new(&r->m->mem, s, r->msg, ids, id_count);
}

static struct midge_entry *first_entry(struct route *r, struct midge_session *s, uint32_t id)
{
    struct midge_entry *e = new_entry(r, s, &id, id ? 1 : 0);
    if (e && !s->outbox->pending) {
        s->outbox->next_receiver = r->receivers;
        r->receivers = s;
    }
    return e;
}

static void set_aside(struct route *r, struct midge_entry *e)
{
    e->next = r->others;
    r->others = e;
}

/* The session's entry, made by the first of its subscriptions that match; each adds its identifier. One that is full
 * goes as a copy of its own [MQTT-3.3.4-5]. */
static struct midge_entry *pending(struct route *r, struct midge_session *s, uint32_t id)
{
    id = MIDGE_V5 || MIDGE_LOCAL ? id : 0;
    struct midge_entry *old = s->outbox ? s->outbox->pending : NULL;
    struct midge_entry *e = old;
    bool full = old && old->id_count == UINT8_MAX;
    if (!old || (id && full))
        e = first_entry(r, s, id);
    else if (id)
        e = midge_entry_add_id(&r->m->mem, old, id);
    if (!e)
        return NULL;
    if (e != old && full)
        set_aside(r, old);
    s->outbox->pending = e;
    return e;
}

static bool for_sub(void *arg, struct midge_sub *sub)
{
    struct route *r = arg;
    struct midge_session *s = sub->session;
    uint8_t qos = lower(sub->qos, r->msg->qos & 3); /* [MQTT-3.8.4-8] [MQTT311-3.8.4-6] */
    if (sub->no_local && s == r->from)
        return true; /* [MQTT-3.8.3-3] */
    if (r->msg->bridged && midge_inside_of(s) && midge_inside_of(s)->no_bridged)
        return true;
    if (MIDGE_PERSIST && qos == 0 && !is_here(s) && !r->m->limits->queue_qos0)
        return true; /* QoS 0 does not wait for who is away */

    if (qos && !midge_quota_room(r->m, s))
        return false;
    struct midge_entry *e = pending(r, s, sub->id);
    if (!e || (MIDGE_RETAIN && r->msg->retain && !midge_replay_seen(r->m, s, r->msg)))
        return false;
    /* the highest of those that match [MQTT-3.3.4-2] [MQTT311-3.3.5-1] */
    e->qos = qos > e->qos ? qos & 3u : e->qos;
    if (sub->retain_as_published && r->msg->retain)
        e->retain = true; /* [MQTT-3.3.1-13], else 0: [MQTT-3.3.1-12] [MQTT311-3.3.1-9] */
    return true;
}

/* ---- groups ------------------------------------------------------------------------------------------- */

/* Whose turn is it? Members that are here and have room come first; then one that is away and can wait. */
static struct midge_sub *pick(const struct midge *m, struct midge_group *g, const struct midge_msg *msg,
                              const struct midge_session *but)
{
    struct midge_sub *first = midge_group_turn(g);
    struct midge_sub *away = NULL;
    struct midge_sub *sub = first;
    do {
        const struct midge_session *s = sub->session;
        bool room = midge_quota_queue(m, s, midge_msg_bytes(msg)) == MIDGE_DROP_REASONS;
        if (s != but && room && is_here(s))
            return sub;
        if (s != but && !away && room && lower(sub->qos, msg->qos & 3))
            away = sub;
        sub = midge_group_turn(g);
    } while (sub != first);
    return away;
}

/* A full group: whoever's turn it is has a queue that says what happens then. */
static struct midge_sub *pick_any(struct midge_group *g, const struct midge_msg *msg)
{
    struct midge_sub *first = midge_group_turn(g);
    struct midge_sub *sub = first;
    do {
        if (is_here(sub->session) || lower(sub->qos, msg->qos & 3))
            return sub;
        sub = midge_group_turn(g);
    } while (sub != first);
    return NULL;
}

static bool for_group(void *arg, struct midge_group *g)
{
    struct route *r = arg;
    struct midge_sub *sub = pick(r->m, g, r->msg, NULL);
    if (!sub)
        sub = pick_any(g, r->msg);
    if (!sub)
        return true;
    uint32_t ids[2] = { g->serial, sub->id };
    uint8_t granted = lower(sub->qos, r->msg->qos & 3); /* [MQTT-4.8.2-3] */
    bool may = !granted || midge_quota_room(r->m, sub->session);
    struct midge_entry *e = may ? new_entry(r, sub->session, ids, sub->id ? 2 : 1) : NULL;
    if (!e)
        return false;
    set_aside(r, e);
    e->shared = true;
    e->qos = granted & 3u;
    e->retain = sub->retain_as_published && r->msg->retain;
    return true;
}

/* ---- all or nothing ----------------------------------------------------------------------------------- */

/* The next entry that was hung aside; NULL = all are taken. */
static struct midge_entry *take(struct route *r)
{
    struct midge_entry *e = r->others;
    if (e) {
        r->others = e->next;
        return e;
    }
    struct midge_session *s = r->receivers;
    if (!s)
        return NULL;
    r->receivers = s->outbox->next_receiver;
    e = s->outbox->pending;
    s->outbox->pending = NULL;
    return e;
}

static void undo(struct route *r)
{
    struct midge_entry *e;
    while ((e = take(r))) {
        if (MIDGE_DURABLE)
            midge_durable_entry_gone(r->m, e);
        midge_entry_free(&r->m->mem, e);
    }
}

/* Memory for the records of all that is to be written, before anybody has the message. */
static bool expect_records(const struct route *r)
{
    bool all = true;
    if (!MIDGE_DURABLE || !r->m->durable)
        return true;
    for (struct midge_session *s = r->receivers; all && s; s = s->outbox->next_receiver)
        all = midge_durable_expect(r->m, s->outbox->pending);
    for (struct midge_entry *e = r->others; all && e; e = e->next)
        all = midge_durable_expect(r->m, e);
    return all;
}

static bool is_full(const struct route *r, const struct midge_entry *e)
{
    return e->qos && midge_queue_policy_of(r->m, e) == MIDGE_QUEUE_REFUSE &&
           midge_quota_queue(r->m, e->session, midge_msg_bytes(r->msg)) != MIDGE_DROP_REASONS;
}

/* Under MIDGE_QUEUE_REFUSE one full session refuses the publisher for all. */
static bool some_refuses(const struct route *r)
{
    if (!MIDGE_MAX_QOS || (r->m->limits->queue_policy != MIDGE_QUEUE_REFUSE && !r->m->any_inside))
        return false;
    for (const struct midge_session *s = r->receivers; s; s = s->outbox->next_receiver)
        if (is_full(r, s->outbox->pending))
            return true;
    for (const struct midge_entry *e = r->others; e; e = e->next)
        if (is_full(r, e))
            return true;
    return false;
}

static bool retain(struct midge *m, struct midge_msg *msg)
{
    if (!MIDGE_RETAIN || !msg->retain)
        return true; /* [MQTT-3.3.1-8] [MQTT311-3.3.1-12] */
    struct midge_msg *old = MIDGE_DURABLE && m->durable ? midge_retain_get(&m->retain, midge_msg_topic(msg)) : NULL;
    if (msg->payload_len == 0) {
        if (MIDGE_DURABLE)
            midge_durable_not_retained(m, old, true);
        /* [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT311-3.3.1-10] */
        midge_retain_remove(&m->retain, midge_msg_topic(msg));
        return true;
    }
    if (midge_quota_retain(m, msg) != MIDGE_RC_SUCCESS || (MIDGE_DURABLE && !midge_durable_retained(m, msg)))
        return false;
    bool done = midge_retain_set(&m->retain, msg) == MIDGE_OK;
    if (MIDGE_DURABLE)
        midge_durable_not_retained(m, done ? old : msg, true); /* the old one was held by its record until now */
    return done;
}

enum midge_reason midge_route(struct midge *m, struct midge_msg *msg, struct midge_session *from)
{
    struct route r = { .m = m, .msg = msg, .from = from };
    const struct midge_matcher matcher = { .sub = for_sub, .group = MIDGE_SHARED ? for_group : NULL, .arg = &r };
    bool all = midge_subtree_match(&m->subs, midge_msg_topic(msg), &matcher);
    if (!all || some_refuses(&r) || !expect_records(&r) || !retain(m, msg)) {
        undo(&r);
        midge_quota_refused(m);
        return MIDGE_RC_QUOTA_EXCEEDED; /* [U5-3.3.4-0x97] */
    }
    bool somebody = r.receivers || r.others;
    struct midge_entry *e;
    while ((e = take(&r)))
        midge_enqueue(m, e);
    return somebody ? MIDGE_RC_SUCCESS : MIDGE_RC_NO_MATCHING_SUBSCRIBERS; /* [U5-3.3.4-0x10] */
}

/* ---- into the queue ----------------------------------------------------------------------------------- */

static void push(struct midge *m, struct midge_entry *e)
{
    struct midge_session *s = e->session;
    struct midge_outbox *ob = s->outbox;
    e->pid = ++ob->arrivals;
    ob->msgs++;
    ob->bytes += midge_msg_bytes(e->msg);
    midge_queue_push(e->qos ? &ob->waiting : &ob->waiting0, e); /* in the order of arrival [MQTT-4.6.0-5] */
    if (MIDGE_DURABLE)
        midge_durable_entry(m, e, true);
    midge_session_mark_ready(m, s);
}

static void doom(struct midge *m, struct midge_session *s, uint8_t how)
{
    s->doomed = how & 3u;
    m->any_doomed = true;
}

/* The oldest unsent one of this policy: of any, but in the queue of a bridge. */
static struct midge_entry *take_oldest(struct midge *m, struct midge_queue *q, enum midge_queue_policy policy)
{
    struct midge_entry *before = NULL;
    struct midge_entry *e = q->head;
    while (e && midge_queue_policy_of(m, e) != policy) {
        before = e;
        e = e->next;
    }
    if (e)
        midge_queue_take(q, before, e);
    return e;
}

static void give_way(struct midge *m, struct midge_session *s, struct midge_entry *old, enum midge_drop why)
{
    s->outbox->msgs--;
    s->outbox->bytes -= midge_msg_bytes(old->msg);
    midge_drop(m, s, old, why);
}

static bool drop_oldest(struct midge *m, struct midge_session *s, enum midge_queue_policy policy, enum midge_drop why)
{
    struct midge_entry *old = take_oldest(m, &s->outbox->waiting0, policy);
    if (!old)
        old = take_oldest(m, &s->outbox->waiting, policy);
    if (old)
        give_way(m, s, old, why);
    return old != NULL;
}

/* The session's own limit concerns that session alone. */
static void overflow(struct midge *m, struct midge_entry *e, enum midge_drop why)
{
    struct midge_session *s = e->session;
    uint8_t qos = e->qos;
    midge_drop(m, s, e, why);
    if (!MIDGE_MAX_QOS || midge_inside_of(s))
        return;
    if (m->limits->queue_policy == MIDGE_QUEUE_END_SESSION && qos)
        doom(m, s, 2);
    else if (qos && s->conn && s->version == MIDGE_V50)
        doom(m, s, 1); /* a reader that has stalled is told with 0x97; what it holds waits for it */
}

void midge_enqueue(struct midge *m, struct midge_entry *e)
{
    struct midge_session *s = e->session;
    uint32_t bytes = midge_msg_bytes(e->msg);
    midge_book(m, s, e->qos, BOOK_ENQUEUED, 1);
    enum midge_queue_policy policy = midge_queue_policy_of(m, e);
    bool replaces = MIDGE_BRIDGE && policy == MIDGE_QUEUE_LAST_VALUE;
    struct midge_entry *old = replaces ? midge_inside_replaced(m, e) : NULL;
    if (old)
        give_way(m, s, old, MIDGE_DROP_REPLACED);
    enum midge_drop why = midge_quota_queue(m, s, bytes);
    while (why != MIDGE_DROP_REASONS && (policy == MIDGE_QUEUE_DROP_OLD || replaces) && drop_oldest(m, s, policy, why))
        why = midge_quota_queue(m, s, bytes);
    if (why == MIDGE_DROP_REASONS && !e->qos && !midge_quota_room(m, s))
        why = MIDGE_DROP_QUEUE_BYTES;
    if (why != MIDGE_DROP_REASONS)
        overflow(m, e, why);
    else
        push(m, e);
}

/* ---- a member of a group goes ------------------------------------------------------------------------- */

static struct midge_group *find_group(const struct midge_session *s, uint32_t serial)
{
    for (struct midge_link *l = s->subs; l; l = l->next) {
        const struct midge_sub *sub = MIDGE_CONTAINER(struct midge_sub, on_session, l);
        if (sub->shared && sub->group->serial == serial)
            return sub->group;
    }
    return NULL;
}

/* A new entry for another member; NULL = there is none who could take it, or no memory. */
static struct midge_entry *pass_on(struct midge *m, const struct midge_entry *e)
{
    struct midge_group *g = find_group(e->session, e->ids[0]);
    struct midge_sub *sub = g ? pick(m, g, e->msg, e->session) : NULL;
    if (!sub || !midge_session_outbox(&m->sessions, sub->session))
        return NULL;
    uint32_t ids[2] = { g->serial, sub->id };
    struct midge_entry *copy = midge_entry_new(&m->mem, sub->session, e->msg, ids, sub->id ? 2 : 1);
    if (!copy)
        return NULL;
    copy->shared = true;
    copy->qos = lower(sub->qos, e->msg->qos & 3) & 3u;
    copy->retain = sub->retain_as_published && e->msg->retain;
    if (!MIDGE_DURABLE || midge_durable_expect(m, copy))
        return copy;
    midge_entry_free(&m->mem, copy);
    return NULL;
}

static void hand_over_queue(struct midge *m, struct midge_session *s, struct midge_queue *q, uint32_t serial)
{
    struct midge_entry *before = NULL;
    struct midge_entry *next;
    for (struct midge_entry *e = q->head; e; e = next) {
        next = e->next;
        /* [MQTT-4.8.2-5] */
        bool may = e->shared && (!serial || e->ids[0] == serial) && !(e->sent && e->qos == 2);
        struct midge_entry *copy = may ? pass_on(m, e) : NULL;
        if (!copy) {
            before = e;
            continue;
        }
        midge_queue_take(q, before, e);
        s->outbox->msgs--;
        s->outbox->bytes -= midge_msg_bytes(e->msg);
        midge_book(m, s, e->qos, BOOK_ENQUEUED, -1); /* it was never this session's to lose */
        if (MIDGE_DURABLE)
            midge_durable_entry_gone(m, e);
        midge_entry_free(&m->mem, e);
        midge_enqueue(m, copy);
    }
}

void midge_hand_over(struct midge *m, struct midge_session *s, uint32_t serial, bool sent)
{
    if (!s->outbox)
        return;
    if (sent)
        hand_over_queue(m, s, &s->outbox->unacked, serial);
    hand_over_queue(m, s, &s->outbox->waiting, serial);
    hand_over_queue(m, s, &s->outbox->waiting0, serial);
}
