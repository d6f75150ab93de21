/* restore.c - records of an earlier run become sessions, subscriptions, messages again.
 *
 * What a store gives back is not trusted: a record that is not whole, or names what is not there, is
 * MIDGE_ERR_INVALID, and the host refuses the store.
 */
#include "base/utf8.h"
#include "broker/durable.h"

typedef enum midge_err (*restorer)(struct midge *m, struct midge_rd *key, struct midge_rd *value);

static uint64_t read_u64(struct midge_rd *r)
{
    uint64_t high = midge_rd_u32(r);
    return high << 32 | midge_rd_u32(r);
}

static enum midge_err whole(const struct midge_rd *key, const struct midge_rd *value)
{
    return midge_rd_done(key) && midge_rd_done(value) ? MIDGE_OK : MIDGE_ERR_INVALID;
}

/* ---- what others name --------------------------------------------------------------------------------- */

static struct tracked *message_of(struct midge *m, uint64_t id)
{
    return midge_tracked_find(&m->durable->messages, (uintptr_t)id, midge_tracked_has_id);
}

static struct midge_session *session_of(struct midge *m, uint32_t id)
{
    struct tracked *t = midge_tracked_find(&m->durable->sessions, id, midge_tracked_has_id);
    return t ? t->what : NULL;
}

/* ---- META --------------------------------------------------------------------------------------------- */

static enum midge_err restore_meta(struct midge *m, struct midge_rd *key, struct midge_rd *value)
{
    const uint32_t mark = BYTE_ORDER_MARK;
    uint8_t format = midge_rd_u8(value);
    struct midge_slice theirs;
    midge_rd_bytes(value, sizeof mark, &theirs);
    m->origin_seed[0] = midge_rd_u32(value);
    m->origin_seed[1] = midge_rd_u32(value);
    if (whole(key, value) != MIDGE_OK || format != FORMAT)
        return MIDGE_ERR_INVALID;
    return memcmp(theirs.data, &mark, sizeof mark) == 0 ? MIDGE_OK : MIDGE_ERR_INVALID;
}

/* ---- messages ----------------------------------------------------------------------------------------- */

static bool parts_valid(const struct midge_msg_parts *p)
{
    struct midge_props props = { 0 };
    return midge_utf8_valid(p->topic) && midge_topic_name_ok(p->topic) && p->qos <= 2 &&
           midge_props_check(p->props, MIDGE_IN(PK_PUBLISH), &props) == MIDGE_RC_SUCCESS;
}

/* Description and body, as durable.c writes them. NULL and *err. */
static struct midge_msg *read_message(struct midge *m, struct midge_rd *value, enum midge_err *err)
{
    uint8_t flags = midge_rd_u8(value);
    uint16_t topic_len = midge_rd_u16(value);
    uint32_t props_len = midge_rd_u32(value);
    struct midge_msg_parts p = { .qos = flags & 3u, .retain = (flags & RETAIN) != 0 };
    p.expiry_s = midge_rd_u32(value);
    p.has_expiry = (flags & HAS_EXPIRY) != 0;
    p.age_base = midge_durable_age(m, read_u64(value));
    p.origin = midge_rd_u32(value);
    midge_rd_bytes(value, topic_len, &p.topic);
    midge_rd_bytes(value, props_len, &p.props);
    midge_rd_rest(value, &p.payload);
    *err = MIDGE_ERR_INVALID;
    if (!midge_rd_ok(value) || !parts_valid(&p))
        return NULL;
    *err = MIDGE_ERR_NO_MEMORY;
    struct midge_msg *msg = midge_msg_new(&m->mem, &p);
    *err = msg ? MIDGE_OK : *err;
    return msg;
}

static enum midge_err restore_message(struct midge *m, struct midge_rd *key, struct midge_rd *value)
{
    struct midge_durable *d = m->durable;
    enum midge_err err;
    uint64_t id = read_u64(key);
    struct midge_msg *msg = read_message(m, value, &err);
    if (!msg)
        return err;
    struct tracked *t = NULL;
    if (!midge_rd_done(key) || message_of(m, id))
        err = MIDGE_ERR_INVALID;
    else
        t = midge_track(m, &d->messages, msg, id, (uintptr_t)id);
    if (!t) {
        midge_msg_drop(&m->mem, msg);
        return err == MIDGE_OK ? MIDGE_ERR_NO_MEMORY : err;
    }
    t->written = true;
    d->last_id = id > d->last_id ? id : d->last_id;
    return MIDGE_OK;
}

static enum midge_err restore_retained(struct midge *m, struct midge_rd *key, struct midge_rd *value)
{
    struct tracked *t = message_of(m, read_u64(key));
    if (whole(key, value) != MIDGE_OK || !t)
        return MIDGE_ERR_INVALID;
    struct midge_msg *msg = t->what;
    if (!msg->retain || !msg->payload_len || midge_retain_get(&m->retain, midge_msg_topic(msg)))
        return MIDGE_ERR_INVALID;
    t->uses++;
    return midge_retain_set(&m->retain, msg);
}

/* ---- sessions ----------------------------------------------------------------------------------------- */

static enum midge_err restore_session(struct midge *m, struct midge_rd *key, struct midge_rd *value)
{
    uint32_t id = midge_rd_u32(key);
    uint8_t version = midge_rd_u8(value);
    uint32_t expiry_s = midge_rd_u32(value);
    uint64_t gone_ms = read_u64(value);
    struct midge_slice client_id;
    midge_rd_rest(value, &client_id);
    if (whole(key, value) != MIDGE_OK || !id || session_of(m, id) || version < MIDGE_V31 || version > MIDGE_V50 ||
        !client_id.len || client_id.len > UINT16_MAX || !midge_utf8_valid(client_id) ||
        midge_session_find(&m->sessions, client_id))
        return MIDGE_ERR_INVALID;
    struct midge_session *s = midge_session_new(&m->sessions, client_id);
    if (!s)
        return MIDGE_ERR_NO_MEMORY;
    if (midge_session_keep(&m->sessions, s) != MIDGE_OK ||
        !midge_track(m, &m->durable->sessions, s, id, id)) {
        midge_session_free(&m->sessions, s);
        return MIDGE_ERR_NO_MEMORY;
    }
    s->version = version & 0xFu;
    s->expiry_s = expiry_s;
    s->rest->store_id = id;
    s->rest->gone_at = gone_ms ? midge_durable_age(m, gone_ms) : m->age; /* it was connected: it is gone as from now */
    midge_fifo_push(&m->sessions.away, &s->rest->away);
    m->durable->last_session = id > m->durable->last_session ? id : m->durable->last_session;
    return MIDGE_OK;
}

static enum midge_err restore_will(struct midge *m, struct midge_rd *key, struct midge_rd *value)
{
    enum midge_err err;
    struct midge_session *s = session_of(m, midge_rd_u32(key));
    uint32_t delay_s = midge_rd_u32(value);
    if (!midge_rd_done(key) || !s || s->will)
        return MIDGE_ERR_INVALID;
    struct midge_msg *msg = read_message(m, value, &err);
    if (!msg)
        return err;
    s->will = midge_will_new(&m->mem, msg, delay_s);
    return s->will ? MIDGE_OK : MIDGE_ERR_NO_MEMORY;
}

static enum midge_err restore_subscription(struct midge *m, struct midge_rd *key, struct midge_rd *value)
{
    struct midge_filter f;
    struct midge_session *s = session_of(m, midge_rd_u32(key));
    struct midge_slice filter;
    midge_rd_rest(key, &filter);
    uint8_t flags = midge_rd_u8(value);
    uint32_t id = midge_rd_u32(value);
    if (whole(key, value) != MIDGE_OK || !s || (flags & 3) > 2 || !midge_utf8_valid(filter) ||
        midge_filter_parse(filter, UINT16_MAX, &f) != MIDGE_RC_SUCCESS ||
        midge_subtree_find(&m->subs, s, &f))
        return MIDGE_ERR_INVALID;
    struct midge_sub *sub = midge_subtree_add(&m->subs, s, &f);
    if (!sub)
        return MIDGE_ERR_NO_MEMORY;
    sub->qos = flags & 3u;
    sub->no_local = (flags & NO_LOCAL) != 0;
    sub->retain_as_published = (flags & RETAIN_AS_PUBLISHED) != 0;
    sub->id = id;
    return MIDGE_OK;
}

static enum midge_err restore_received(struct midge *m, struct midge_rd *key, struct midge_rd *value)
{
    struct midge_session *s = session_of(m, midge_rd_u32(key));
    uint16_t pid = midge_rd_u16(key);
    if (whole(key, value) != MIDGE_OK || !s || !pid || midge_ids_has(s->received, pid))
        return MIDGE_ERR_INVALID;
    return midge_ids_add(&m->mem, &s->received, pid);
}

/* ---- entries ------------------------------------------------------------------------------------------ */

struct membership {
    const struct midge_session *session;
    uint32_t serial;
};

static bool pass_over(void *arg, struct midge_sub *sub)
{
    (void)arg;
    (void)sub;
    return true;
}

static bool look_for_member(void *arg, struct midge_group *group)
{
    struct membership *is = arg;
    for (const struct midge_link *l = group->members; l; l = l->next)
        if (MIDGE_CONTAINER(const struct midge_sub, on_node, l)->session == is->session)
            is->serial = group->serial;
    return !is->serial;
}

/* Groups have other numbers now: the one of this session's that the message may have come through. 0 = none. */
static uint32_t group_serial(const struct midge *m, const struct midge_session *s, struct midge_slice topic)
{
    struct membership is = { .session = s };
    const struct midge_matcher matcher = { .sub = pass_over, .group = look_for_member, .arg = &is };
    (void)midge_subtree_match(&m->subs, topic, &matcher);
    return is.serial;
}

/* In the order of their packet ids; later ones are behind it, modulo 65,536. */
static void hang_unacked(struct midge_session *s, struct midge_entry *e)
{
    struct midge_queue *q = &s->outbox->unacked;
    struct midge_entry *before = NULL;
    for (struct midge_entry *at = q->head; at && (int16_t)(at->pid - e->pid) < 0; at = at->next)
        before = at;
    midge_queue_insert(q, before, e);
    s->last_pid = q->last->pid;
}

static void hang(struct midge *m, struct midge_entry *e)
{
    struct midge_outbox *ob = e->session->outbox;
    ob->msgs++;
    ob->bytes += midge_msg_bytes(e->msg);
    if (e->sent) {
        hang_unacked(e->session, e);
    } else {
        e->pid = ++ob->arrivals;
        midge_queue_push(&ob->waiting, e);
    }
    midge_book(m, e->session, e->qos, BOOK_ENQUEUED, 1);
}

/* NULL: no memory. */
static struct midge_entry *read_entry(struct midge *m, struct midge_session *s, struct midge_msg *msg,
                                      struct midge_slice ids, bool shared)
{
    struct midge_entry *e =
        midge_session_outbox(&m->sessions, s) ? midge_entry_new(&m->mem, s, msg, NULL, 0) : NULL;
    for (uint32_t at = 0; e && at < ids.len; at += sizeof(uint32_t)) {
        uint32_t id;
        memcpy(&id, ids.data + at, sizeof id);
        if (shared && at == 0)
            id = group_serial(m, s, midge_msg_topic(msg));
        struct midge_entry *grown = midge_entry_add_id(&m->mem, e, id);
        if (!grown)
            midge_entry_free(&m->mem, e);
        e = grown;
    }
    return e;
}

static enum midge_err restore_entry(struct midge *m, struct midge_rd *key, struct midge_rd *value)
{
    struct midge_durable *d = m->durable;
    struct midge_session *s = session_of(m, midge_rd_u32(key));
    uint64_t id = read_u64(key);
    struct tracked *msg = message_of(m, read_u64(value));
    uint8_t flags = midge_rd_u8(value);
    uint16_t pid = midge_rd_u16(value);
    struct midge_slice ids;
    midge_rd_rest(value, &ids);
    uint8_t qos = flags & 3u;
    if (whole(key, value) != MIDGE_OK || !s || !msg || qos < 1 || qos > 2 || ids.len % sizeof(uint32_t) ||
        ids.len > UINT8_MAX * sizeof(uint32_t) || ((flags & SENT) != 0) != (pid != 0) ||
        ((flags & RELEASED) && (qos != 2 || !pid)) || ((flags & SHARED) && !ids.len))
        return MIDGE_ERR_INVALID;
    struct midge_entry *e = read_entry(m, s, msg->what, ids, (flags & SHARED) != 0);
    struct tracked *t = e ? midge_track(m, &d->entries, e, id, (uintptr_t)e) : NULL;
    if (!t) {
        if (e)
            midge_entry_free(&m->mem, e);
        return MIDGE_ERR_NO_MEMORY;
    }
    t->written = true;
    msg->uses++;
    d->last_id = id > d->last_id ? id : d->last_id;
    e->qos = qos & 3u;
    e->retain = (flags & AS_RETAINED) != 0;
    e->shared = (flags & SHARED) != 0;
    e->sent = pid != 0;
    e->released = (flags & RELEASED) != 0;
    e->pid = pid;
    hang(m, e);
    return MIDGE_OK;
}

/* ---- the door ----------------------------------------------------------------------------------------- */

enum midge_err midge_restore(struct midge *m, struct midge_slice key, struct midge_slice value)
{
    /* In the order of enum kind. */
    static const restorer restorers[] = {
        restore_meta,         restore_message,  restore_session,  restore_will,
        restore_subscription, restore_received, restore_retained, restore_entry,
    };
    struct midge_rd k, v;
    if (!MIDGE_DURABLE || !m->durable || !m->durable->restoring)
        return MIDGE_ERR_INVALID;
    midge_rd_init(&k, key);
    midge_rd_init(&v, value);
    unsigned kind = midge_rd_u8(&k);
    if (kind < META || kind > ENTRY)
        return MIDGE_ERR_INVALID;
    return restorers[kind - META](m, &k, &v);
}

static void forget_sessions(struct midge *m)
{
    struct midge_map_node *n;
    uint32_t at = 0;
    while ((n = midge_map_some(&m->durable->sessions, &at)))
        midge_untrack(m, &m->durable->sessions, MIDGE_CONTAINER(struct tracked, node, n));
    midge_map_clear(&m->durable->sessions);
}

void midge_restored(struct midge *m, midge_ms now)
{
    if (!MIDGE_DURABLE || !m->durable || !m->durable->restoring)
        return;
    midge_enter(m, now);
    m->durable->restoring = false;
    forget_sessions(m);
    midge_durable_settle(m);
    midge_durable_meta(m);
    for (struct midge_link *l = m->sessions.away.head; l; l = l->next) {
        struct midge_rest *rest = MIDGE_CONTAINER(struct midge_rest, away, l);
        if (rest->gone_at == START_AGE) /* gone as from now, also for the one who restores after the next crash */
            midge_durable_session(m, rest->session);
        midge_session_arm(m, rest->session);
    }
    midge_leave(m);
}
