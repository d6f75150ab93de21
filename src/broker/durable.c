/* durable.c - change to record: what the store is told, and that it is told before a peer is.
 *
 * Records, by the first byte of their key (in this order they come back):
 *
 *     A                 what wrote this: version, byte order
 *     B message         a message that something below names
 *     C session         a session: expiry, when it was left, client id
 *     D session         its will
 *     E session filter  a subscription
 *     F session id      a QoS 2 packet id from the client, not yet released
 *     G message         retained
 *     H session entry   a message on its way to the session's client
 *
 * Numbers are big-endian: 8 bytes for messages and entries, 4 for sessions, 2 for packet ids.
 */
#include "broker/durable.h"

/* ---- the wall clock ----------------------------------------------------------------------------------- */

static void read_wall(struct midge *m)
{
    const struct midge_hooks *h = m->hooks;
    m->durable->wall_ms = h->wall_ms ? h->wall_ms(h->user) : 0;
    m->durable->wall_age = m->age;
}

/* 0 = not known. */
static uint64_t wall_of(const struct midge *m, midge_ms age)
{
    const struct midge_durable *d = m->durable;
    return d->wall_ms ? d->wall_ms + age - d->wall_age : 0;
}

/* Not known, or in the future: as if it were now. */
midge_ms midge_durable_age(const struct midge *m, uint64_t wall_ms)
{
    const struct midge_durable *d = m->durable;
    uint64_t ago = d->wall_ms && wall_ms && wall_ms < d->wall_ms ? d->wall_ms - wall_ms : 0;
    return ago < m->age ? m->age - ago : 0;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static void fail(struct midge *m)
{
    if (m->durable->failed)
        return;
    m->durable->failed = m->store_failed = true;
    for (struct midge_link *l = m->conns; l; l = l->next)
        midge_conn_break(MIDGE_CONTAINER(struct midge_conn, all, l), MIDGE_RC_SERVER_UNAVAILABLE);
}

void midge_durable_tell(struct midge *m)
{
    m->store_failed = false;
    midge_tell_of(m, NULL, MIDGE_EV_STORE_FAILED, 0, 0, (struct midge_slice){ 0 });
}

bool midge_durable_serves(const struct midge *m)
{
    return !m->durable || (!m->durable->failed && !m->durable->restoring);
}

static void put_u64(struct midge_wr *w, uint64_t v)
{
    midge_wr_u32(w, (uint32_t)(v >> 32));
    midge_wr_u32(w, (uint32_t)v);
}

/* The next record. */
static struct draft *begin(struct midge *m, enum kind kind)
{
    struct draft *d = &m->durable->draft;
    d->r = (struct midge_record){ 0 };
    midge_wr_init(&d->k, d->key, sizeof d->key, 0);
    midge_wr_init(&d->h, d->head, sizeof d->head, 0);
    midge_wr_u8(&d->k, (uint8_t)kind);
    return d;
}

static struct draft *begin_of(struct midge *m, enum kind kind, uint32_t session)
{
    struct draft *d = begin(m, kind);
    midge_wr_u32(&d->k, session);
    return d;
}

static struct draft *begin_at(struct midge *m, enum kind kind, uint64_t id)
{
    struct draft *d = begin(m, kind);
    put_u64(&d->k, id);
    return d;
}

#define LAZY_MS 1000u

enum verb { PUT, DEL, DEL_ALL };

/* What was begun goes to the store. must: a peer may rely on it, so nothing goes out before it is synced. */
static void finish(struct midge *m, enum verb verb, bool must)
{
    struct midge_durable *d = m->durable;
    const struct midge_store *store = d->store;
    struct midge_record *r = &d->draft.r;
    if (d->failed)
        return;
    r->key[0] = midge_slice_of(d->draft.key, d->draft.k.total);
    r->value[0] = midge_slice_of(d->draft.head, d->draft.h.total);
    if (!(verb == PUT ? store->put(store->user, r) : store->del(store->user, r, verb == DEL_ALL)))
        fail(m);
    d->dirty |= must && !store->relaxed_ms;
    midge_ms due = m->age + (store->relaxed_ms ? store->relaxed_ms : LAZY_MS);
    d->lazy_due = due < d->lazy_due ? due : d->lazy_due;
}

static bool strict(const struct midge *m)
{
    return m->durable && !m->durable->store->relaxed_ms;
}

static void sync_all(struct midge *m)
{
    struct midge_durable *d = m->durable;
    if (d->failed)
        return;
    d->dirty = false;
    d->lazy_due = MIDGE_NEVER;
    if (!d->store->sync(d->store->user))
        fail(m);
    read_wall(m);
}

void midge_durable_sync(struct midge *m)
{
    if (m->durable->dirty)
        sync_all(m);
}

midge_ms midge_durable_due(const struct midge *m)
{
    return m->durable && !m->durable->failed ? m->durable->lazy_due : MIDGE_NEVER;
}

void midge_durable_tick(struct midge *m)
{
    if (m->age >= midge_durable_due(m))
        sync_all(m);
}

/* ---- messages and entries: which record stands for which ---------------------------------------------- */

bool midge_tracked_is_at(const struct midge_map_node *n, uintptr_t address, struct midge_slice none)
{
    (void)none;
    return (uintptr_t)MIDGE_CONTAINER(const struct tracked, node, n)->what == address;
}

bool midge_tracked_has_id(const struct midge_map_node *n, uintptr_t id, struct midge_slice none)
{
    (void)none;
    return (uintptr_t)MIDGE_CONTAINER(const struct tracked, node, n)->id == id;
}

struct tracked *midge_tracked_find(const struct midge_map *map, uintptr_t number, midge_map_equal equal)
{
    const struct midge_slice none = { 0 };
    struct midge_map_node *n = midge_map_find(map, midge_map_hash_number(0, number), number, none, equal);
    return n ? MIDGE_CONTAINER(struct tracked, node, n) : NULL;
}

struct tracked *midge_track(struct midge *m, struct midge_map *map, void *what, uint64_t id, uintptr_t number)
{
    struct tracked *t = midge_mem_alloc(&m->mem, sizeof *t, MIDGE_TAG_QUEUE);
    if (!t)
        return NULL;
    *t = (struct tracked){ .what = what, .id = id };
    if (midge_map_insert(map, &t->node, midge_map_hash_number(0, number)))
        return t;
    midge_mem_free(&m->mem, t, sizeof *t, MIDGE_TAG_QUEUE);
    return NULL;
}

void midge_untrack(struct midge *m, struct midge_map *map, struct tracked *t)
{
    midge_map_remove(map, &t->node);
    midge_mem_free(&m->mem, t, sizeof *t, MIDGE_TAG_QUEUE);
}

static struct tracked *message_record(const struct midge *m, const struct midge_msg *msg)
{
    return m->durable ? midge_tracked_find(&m->durable->messages, (uintptr_t)msg, midge_tracked_is_at) : NULL;
}

static struct tracked *entry_record(const struct midge *m, const struct midge_entry *e)
{
    return m->durable ? midge_tracked_find(&m->durable->entries, (uintptr_t)e, midge_tracked_is_at) : NULL;
}

static struct tracked *track_message(struct midge *m, struct midge_msg *msg)
{
    struct midge_durable *d = m->durable;
    struct tracked *t = message_record(m, msg);
    if (t)
        return t;
    t = midge_track(m, &d->messages, msg, d->last_id + 1, (uintptr_t)msg);
    if (t) {
        d->last_id++;
        midge_msg_hold(msg); /* so that no other can have its address */
    }
    return t;
}

/* ---- messages ----------------------------------------------------------------------------------------- */

static void describe(const struct midge *m, struct midge_wr *w, const struct midge_msg *msg)
{
    midge_wr_u8(w, (uint8_t)(msg->qos | (msg->has_expiry ? HAS_EXPIRY : 0) | (msg->retain ? RETAIN : 0)));
    midge_wr_u16(w, msg->topic_len);
    midge_wr_u32(w, msg->props_len);
    midge_wr_u32(w, midge_msg_expiry_s(msg));
    put_u64(w, wall_of(m, midge_msg_arrival(msg)));
    midge_wr_u32(w, midge_msg_origin(msg));
}

static struct midge_slice body_of(const struct midge_msg *msg)
{
    return midge_slice_of(midge_msg_topic(msg).data, midge_msg_bytes(msg));
}

/* Before the first record that names it. */
static void write_message(struct midge *m, struct tracked *t)
{
    if (t->written)
        return;
    t->written = true;
    struct draft *d = begin_at(m, MESSAGE, t->id);
    describe(m, &d->h, t->what);
    d->r.value[1] = body_of(t->what);
    finish(m, PUT, true);
}

static void release_message(struct midge *m, struct tracked *t)
{
    if (!t || --t->uses)
        return;
    struct midge_msg *msg = t->what;
    if (t->written) {
        begin_at(m, MESSAGE, t->id);
        finish(m, DEL, false);
    }
    midge_untrack(m, &m->durable->messages, t);
    midge_msg_drop(&m->mem, msg);
}

/* ---- retained messages -------------------------------------------------------------------------------- */

bool midge_durable_retained(struct midge *m, struct midge_msg *msg)
{
    if (!m->durable || midge_topic_reserved(midge_msg_topic(msg)))
        return true; /* $SYS is made anew */
    struct tracked *t = track_message(m, msg);
    if (!t)
        return false;
    t->uses++;
    write_message(m, t);
    begin_at(m, RETAINED, t->id);
    finish(m, PUT, true);
    return true;
}

void midge_durable_not_retained(struct midge *m, struct midge_msg *msg, bool must)
{
    struct tracked *t = message_record(m, msg);
    if (!t)
        return;
    begin_at(m, RETAINED, t->id);
    finish(m, DEL, must);
    release_message(m, t);
}

/* ---- entries ------------------------------------------------------------------------------------------ */

static uint32_t session_id(const struct midge_session *s)
{
    return s->rest ? s->rest->store_id : 0;
}

bool midge_durable_expect(struct midge *m, struct midge_entry *e)
{
    struct midge_durable *d = m->durable;
    if (!d || !e->qos || !session_id(e->session))
        return true;
    struct tracked *msg = track_message(m, e->msg);
    if (!msg)
        return false;
    msg->uses++;
    if (midge_track(m, &d->entries, e, d->last_id + 1, (uintptr_t)e)) {
        d->last_id++;
        return true;
    }
    release_message(m, msg);
    return false;
}

static struct draft *begin_entry(struct midge *m, const struct midge_entry *e, const struct tracked *t)
{
    struct draft *d = begin(m, ENTRY);
    midge_wr_u32(&d->k, session_id(e->session));
    put_u64(&d->k, t->id);
    return d;
}

static void write_entry(struct midge *m, const struct midge_entry *e, const struct tracked *t, bool must)
{
    const struct tracked *msg = message_record(m, e->msg);
    struct draft *d = begin_entry(m, e, t);
    put_u64(&d->h, msg->id);
    midge_wr_u8(&d->h, (uint8_t)(e->qos | (e->retain ? AS_RETAINED : 0) | (e->flying || e->sent ? SENT : 0) |
                                (e->released ? RELEASED : 0) | (e->shared ? SHARED : 0)));
    midge_wr_u16(&d->h, e->flying || e->sent ? e->pid : 0);
    d->r.value[1] = midge_slice_of(e->ids, e->id_count * sizeof e->ids[0]); /* of this machine's byte order: META */
    finish(m, PUT, must);
}

void midge_durable_entry(struct midge *m, struct midge_entry *e, bool must)
{
    struct tracked *t = entry_record(m, e);
    if (!t)
        return;
    write_message(m, message_record(m, e->msg));
    t->written = true;
    write_entry(m, e, t, must);
}

void midge_durable_entry_gone(struct midge *m, const struct midge_entry *e)
{
    struct tracked *t = entry_record(m, e);
    if (!t)
        return;
    if (t->written) {
        begin_entry(m, e, t);
        finish(m, DEL, false); /* lost in a crash: it is sent once more, as QoS 1 may be, or only its PUBREL */
    }
    midge_untrack(m, &m->durable->entries, t);
    release_message(m, message_record(m, e->msg));
}

/* ---- sessions ----------------------------------------------------------------------------------------- */

void midge_durable_session(struct midge *m, struct midge_session *s)
{
    if (!m->durable || !s->rest)
        return;
    if (!s->rest->store_id)
        s->rest->store_id = ++m->durable->last_session;
    struct draft *d = begin_of(m, SESSION, s->rest->store_id);
    midge_wr_u8(&d->h, s->version);
    midge_wr_u32(&d->h, s->expiry_s);
    put_u64(&d->h, s->conn ? 0 : wall_of(m, s->rest->gone_at));
    d->r.value[1] = midge_session_id(s);
    finish(m, PUT, s->conn != NULL);
}

void midge_durable_will(struct midge *m, const struct midge_session *s)
{
    if (!m->durable || !s->will || !session_id(s))
        return;
    struct draft *d = begin_of(m, WILL, session_id(s));
    midge_wr_u32(&d->h, s->will->delay_s);
    describe(m, &d->h, s->will->msg);
    d->r.value[1] = body_of(s->will->msg);
    finish(m, PUT, true);
}

void midge_durable_will_gone(struct midge *m, const struct midge_session *s)
{
    if (!m->durable || !s->will || !session_id(s))
        return;
    begin_of(m, WILL, session_id(s));
    finish(m, DEL, true);
}

void midge_durable_connected(struct midge *m, struct midge_session *s)
{
    if (!m->durable)
        return;
    if (s->will && midge_session_keep(&m->sessions, s) != MIDGE_OK)
        return; /* no memory: a will that a crash would take along */
    midge_durable_session(m, s);
    midge_durable_will(m, s);
}

static void forget_queue(struct midge *m, const struct midge_queue *q)
{
    for (const struct midge_entry *e = q->head; e; e = e->next)
        midge_durable_entry_gone(m, e);
}

void midge_durable_session_gone(struct midge *m, struct midge_session *s)
{
    static const enum kind of_session[] = { SUBSCRIPTION, RECEIVED, WILL, SESSION };
    uint32_t id = session_id(s);
    if (!m->durable || !id)
        return;
    if (s->outbox) {
        forget_queue(m, &s->outbox->unacked);
        forget_queue(m, &s->outbox->waiting);
    }
    for (size_t i = 0; i < sizeof of_session / sizeof *of_session; i++) {
        begin_of(m, of_session[i], id);
        finish(m, DEL_ALL, true); /* a new session of this client must not find the old one */
    }
}

void midge_durable_sub(struct midge *m, const struct midge_sub *sub, struct midge_slice filter)
{
    if (!m->durable || !session_id(sub->session))
        return;
    struct draft *d = begin_of(m, SUBSCRIPTION, session_id(sub->session));
    midge_wr_u8(&d->h, (uint8_t)(sub->qos | (sub->no_local ? NO_LOCAL : 0) |
                                (sub->retain_as_published ? RETAIN_AS_PUBLISHED : 0)));
    midge_wr_u32(&d->h, sub->id);
    d->r.key[1] = filter;
    finish(m, PUT, true);
}

void midge_durable_sub_gone(struct midge *m, const struct midge_session *s, struct midge_slice filter)
{
    if (!m->durable || !session_id(s))
        return;
    struct draft *d = begin_of(m, SUBSCRIPTION, session_id(s));
    d->r.key[1] = filter;
    finish(m, DEL, true);
}

void midge_durable_received(struct midge *m, const struct midge_session *s, uint16_t pid, bool there)
{
    if (!m->durable || !session_id(s))
        return;
    struct draft *d = begin_of(m, RECEIVED, session_id(s));
    midge_wr_u16(&d->k, pid);
    if (there)
        finish(m, PUT, true);
    else
        finish(m, DEL, true); /* the id is new again for the client: it has to be for us */
}

/* ---- what goes out ------------------------------------------------------------------------------------ */

/* The first sending of a QoS 2 PUBLISH needs its record; ids are given to all that may go, so that one sync does for
 * all of a turn. */
static void prepare(struct midge_conn *c)
{
    if (c->state == CONN_UP && c->session->outbox)
        midge_outbox_prepare(c->m, c->session, c->window);
}

void midge_durable_turn(struct midge *m)
{
    if (!strict(m))
        return;
    for (struct midge_link *l = m->ready.head; l; l = l->next)
        prepare(MIDGE_CONTAINER(struct midge_conn, ready, l));
    midge_durable_sync(m);
}

void midge_durable_before_pull(struct midge_conn *c)
{
    if (!strict(c->m))
        return;
    prepare(c);
    midge_durable_sync(c->m);
}

/* ---- after the last record ---------------------------------------------------------------------------- */

void midge_durable_meta(struct midge *m)
{
    const uint32_t mark = BYTE_ORDER_MARK;
    struct draft *d = begin(m, META);
    midge_wr_u8(&d->h, FORMAT);
    midge_wr_bytes(&d->h, midge_slice_of(&mark, sizeof mark));
    midge_wr_u32(&d->h, m->origin_seed[0]);
    midge_wr_u32(&d->h, m->origin_seed[1]);
    finish(m, PUT, true);
}

void midge_durable_settle(struct midge *m)
{
    struct midge_durable *d = m->durable;
    struct midge_map_node *list = NULL, *n;
    uint32_t at = 0;
    while ((n = midge_map_some(&d->messages, &at))) {
        midge_map_remove(&d->messages, n);
        n->next = list;
        list = n;
    }
    while ((n = list)) {
        struct tracked *t = MIDGE_CONTAINER(struct tracked, node, n);
        list = n->next;
        uintptr_t address = (uintptr_t)t->what;
        (void)midge_map_insert(&d->messages, n, midge_map_hash_number(0, address));
        if (!t->uses++) /* nothing names it: a crash came between two deletions */
            release_message(m, t);
        else
            t->uses--;
    }
    read_wall(m);
}

/* ---- life --------------------------------------------------------------------------------------------- */

bool midge_durable_start(struct midge *m, const struct midge_store *store)
{
    struct midge_durable *d = midge_mem_zalloc(&m->mem, sizeof *d, MIDGE_TAG_BROKER);
    if (!d)
        return false;
    d->store = store;
    midge_map_init(&d->messages, &m->mem, MIDGE_TAG_QUEUE, m->seed);
    midge_map_init(&d->entries, &m->mem, MIDGE_TAG_QUEUE, m->seed);
    midge_map_init(&d->sessions, &m->mem, MIDGE_TAG_QUEUE, m->seed);
    m->durable = d;
    m->age = START_AGE;
    d->restoring = true;
    d->lazy_due = MIDGE_NEVER;
    read_wall(m);
    return true;
}

static void forget_all(struct midge *m, struct midge_map *map, bool hold_messages)
{
    struct midge_map_node *n;
    uint32_t at = 0;
    while ((n = midge_map_some(map, &at))) {
        struct tracked *t = MIDGE_CONTAINER(struct tracked, node, n);
        if (hold_messages)
            midge_msg_drop(&m->mem, t->what);
        midge_untrack(m, map, t);
    }
    midge_map_clear(map);
}

/* The broker ends, its records stay. */
void midge_durable_stop(struct midge *m)
{
    struct midge_durable *d = m->durable;
    if (d->lazy_due != MIDGE_NEVER)
        sync_all(m);
    forget_all(m, &d->messages, true);
    forget_all(m, &d->entries, false);
    forget_all(m, &d->sessions, false);
    m->durable = NULL;
    midge_mem_free(&m->mem, d, sizeof *d, MIDGE_TAG_BROKER);
}
