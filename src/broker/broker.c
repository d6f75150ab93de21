/* broker.c - a broker from midge_new to midge_free: its clock, its timers, what it tells the host. */
#include "broker/internal.h"

static const struct midge_hooks no_hooks = { .user = NULL };

/* ---- clock -------------------------------------------------------------------------------------------- */

static struct midge_timer *due(const struct midge *m, struct midge_timers *timers)
{
    struct midge_timer *t = midge_timer_first(timers);
    if (!t || midge_before(midge_age32(m), t->due))
        return NULL;
    midge_timer_cancel(timers, t);
    return t;
}

static void run_due(struct midge *m)
{
    struct midge_timer *t;
    while ((t = due(m, &m->conn_timers)))
        midge_conn_timer(m, t);
    while (MIDGE_PERSIST && (t = due(m, &m->away_timers)))
        midge_session_timer(m, t);
    if (MIDGE_RETAIN && MIDGE_MSG_EXPIRY && m->age >= midge_retain_due(m))
        midge_retain_sweep(m);
    if (MIDGE_SYS && m->age >= m->sys_due)
        midge_sys_tick(m);
}

/* Deadlines are compared modulo 2^32 ms, so a leap is taken in steps that no deadline can hide behind. */
static void advance(struct midge *m, midge_ms by)
{
    while (by > MIDGE_TIMER_MAX) {
        m->age += MIDGE_TIMER_MAX;
        by -= MIDGE_TIMER_MAX;
        run_due(m);
    }
    m->age += by;
}

void midge_enter(struct midge *m, midge_ms now)
{
    if (m->busy++)
        return; /* a call from inside a hook: the time is that of the call around it */
    /* A clock that steps back counts as no time passed, and goes on from where it stepped to. */
    midge_ms by = now > m->host_now ? now - m->host_now : 0;
    m->host_now = now;
    if (by)
        advance(m, by);
}

void midge_leave(struct midge *m)
{
    while (m->busy == 1 && (m->any_broken || (MIDGE_WILL && m->wills) || (MIDGE_MAX_QOS && m->any_doomed))) {
        midge_end_broken(m);
        if (MIDGE_WILL)
            midge_wills_publish(m);
        if (MIDGE_MAX_QOS && m->any_doomed)
            midge_end_doomed(m);
    }
    if (MIDGE_DURABLE && m->busy == 1 && m->store_failed)
        midge_durable_tell(m);
    if (MIDGE_LOCAL && m->busy == 1 && m->ops)
        midge_run_ops(m);
    if (MIDGE_LOCAL && m->busy == 1 && m->any_closing)
        midge_local_sweep(m);
    m->busy--;
}

void midge_arm(struct midge *m, struct midge_timers *timers, struct midge_timer *t, midge_ms ms)
{
    midge_timer_set(timers, t, midge_age32(m) + (ms < MIDGE_TIMER_MAX ? (uint32_t)ms : MIDGE_TIMER_MAX));
}

void midge_tick(struct midge *m, midge_ms now)
{
    midge_enter(m, now);
    run_due(m);
    if (MIDGE_PAUSE && m->pause_until)
        midge_quota_relief(m);
    if (MIDGE_LOCAL && m->local_due)
        midge_local_deliver(m);
    if (MIDGE_DURABLE && m->durable)
        midge_durable_tick(m);
    midge_leave(m);
}

static midge_ms earlier(midge_ms a, midge_ms b)
{
    return a < b ? a : b;
}

static midge_ms timer_age(const struct midge *m, const struct midge_timers *timers)
{
    const struct midge_timer *t = midge_timer_first(timers);
    if (!t)
        return MIDGE_NEVER;
    return midge_before(midge_age32(m), t->due) ? m->age + (t->due - midge_age32(m)) : m->age;
}

midge_ms midge_deadline(const struct midge *m)
{
    if (MIDGE_LOCAL && (m->local_due || m->ops))
        return m->host_now;
    midge_ms next = timer_age(m, &m->conn_timers);
    if (MIDGE_PERSIST)
        next = earlier(next, timer_age(m, &m->away_timers));
    if (MIDGE_RETAIN && MIDGE_MSG_EXPIRY)
        next = earlier(next, midge_retain_due(m));
    if (MIDGE_SYS)
        next = earlier(next, m->sys_due);
    if (MIDGE_DURABLE)
        next = earlier(next, midge_durable_due(m));
    if (MIDGE_PAUSE && m->pause_until)
        next = earlier(next, m->pause_until);
    if (next == MIDGE_NEVER)
        return MIDGE_NEVER;
    return m->host_now + (next > m->age ? next - m->age : 0);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static size_t broker_size(void)
{
    return sizeof(struct midge) + (MIDGE_STATS ? sizeof(struct midge_counts) : 0);
}

void midge_random(struct midge *m, void *out, size_t n)
{
    if (m->hooks->random) {
        m->hooks->random(m->hooks->user, out, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)(m->auto_ids + i); /* tests only: midge_hooks.h says so */
}

struct midge *midge_new(const struct midge_config *config, midge_ms now)
{
    const struct midge_limits *limits = config->limits ? config->limits : &midge_limits_chip;
    struct midge_mem mem;
    midge_mem_init(&mem, config->memory, limits->memory_bytes, limits->reserve_bytes);
    struct midge *m = midge_mem_zalloc(&mem, broker_size(), MIDGE_TAG_BROKER);
    if (!m)
        return NULL;

    m->mem = mem;
    if (MIDGE_STATS)
        midge_mem_count(&m->mem, &m->counts->memory, MIDGE_TAG_BROKER);
    m->limits = limits;
    m->hooks = config->hooks ? config->hooks : &no_hooks;
    m->auto_id_prefix = config->auto_id_prefix ? config->auto_id_prefix : "auto-";
    m->host_now = now;
    m->ops_tail = &m->ops;
    m->wills_tail = &m->wills;
    m->sys_due = MIDGE_NEVER;
    midge_fifo_init(&m->ready);
    midge_random(m, m->seed, sizeof m->seed);
    midge_random(m, m->origin_seed, sizeof m->origin_seed);
    midge_sessions_init(&m->sessions, &m->mem, m->seed);
    midge_retain_init(&m->retain, &m->mem);
    if (!midge_subtree_init(&m->subs, &m->mem, m->seed)) {
        midge_free(m);
        return NULL;
    }
    if (MIDGE_DURABLE && config->store && !midge_durable_start(m, config->store)) {
        midge_free(m);
        return NULL;
    }
    m->sys_interval_s = config->sys_interval_s;
    if (MIDGE_SYS && m->sys_interval_s)
        midge_sys_start(m);
    return m;
}

/* Sessions end without a word: there is nobody left to hear it. */
static void free_sessions(struct midge *m)
{
    struct midge_map_node *n;
    uint32_t at = 0;
    while ((n = midge_map_some(&m->sessions.by_id, &at))) {
        midge_session_end(m, MIDGE_CONTAINER(struct midge_session, by_id, n), MIDGE_RC_SERVER_SHUTTING_DOWN);
        if (MIDGE_WILL)
            midge_wills_publish(m);
    }
}

void midge_free(struct midge *m)
{
    m->shutting_down = true;
    m->hooks = &no_hooks;
    while (m->conns)
        midge_lost(MIDGE_CONTAINER(struct midge_conn, all, m->conns), m->host_now);
    if (MIDGE_LOCAL)
        midge_drop_ops(m);
    if (MIDGE_DURABLE && m->durable)
        midge_durable_stop(m);
    free_sessions(m);
    midge_sessions_clear(&m->sessions);
    midge_retain_clear(&m->retain);
    if (m->subs.root)
        midge_subtree_clear(&m->subs);
    if (MIDGE_SYS && m->sys)
        midge_sys_stop(m);

    struct midge_mem mem = m->mem;
    midge_mem_free(&mem, m, broker_size(), MIDGE_TAG_BROKER);
}

/* Who is up still gets what is queued, wills of the others among it, and is told when that is out (deliver.c). */
static void say_goodbye(struct midge_conn *c)
{
    if (c->state != CONN_UP) {
        midge_conn_end(c, MIDGE_RC_SERVER_SHUTTING_DOWN);
        return;
    }
    midge_arm(c->m, &c->m->conn_timers, &c->timer, c->m->limits->linger_ms);
    midge_conn_mark_ready(c);
}

void midge_shutdown(struct midge *m, midge_ms now)
{
    midge_enter(m, now);
    m->shutting_down = true;
    /* Wills go out now, delayed ones too, unless their sessions will be there later. */
    struct midge_link *away = MIDGE_DURABLE && m->durable ? NULL : m->sessions.away.head;
    for (struct midge_link *l = away; MIDGE_WILL && MIDGE_PERSIST && l; l = l->next)
        midge_will_due(m, MIDGE_CONTAINER(struct midge_rest, away, l)->session);
    for (struct midge_link *l = m->conns; MIDGE_WILL && l; l = l->next) {
        struct midge_conn *c = MIDGE_CONTAINER(struct midge_conn, all, l);
        if (c->session)
            midge_will_due(m, c->session);
    }
    for (struct midge_link *l = m->conns; l; l = l->next) /* ending one does not free it: only midge_lost does */
        say_goodbye(MIDGE_CONTAINER(struct midge_conn, all, l));
    midge_leave(m);
}

void midge_set_limits(struct midge *m, const struct midge_limits *limits)
{
    m->limits = limits;
    midge_mem_set_limit(&m->mem, limits->memory_bytes, limits->reserve_bytes);
}

/* ---- what the host is told ---------------------------------------------------------------------------- */

void midge_tell(struct midge *m, const struct midge_session *s, struct midge_event *event)
{
    if (!m->hooks->event)
        return;
    if (s)
        midge_session_who(s, &event->who);
    m->hooks->event(m->hooks->user, event);
}

void midge_tell_of(struct midge *m, const struct midge_session *s, enum midge_event_kind kind, uint8_t reason,
                   uint8_t qos, struct midge_slice topic)
{
    midge_tell(m, s, &(struct midge_event){ .kind = kind, .reason = reason, .qos = qos, .topic = topic });
}

void midge_session_who(const struct midge_session *s, struct midge_who *who)
{
    *who = (struct midge_who){ .client_id = midge_session_id(s), .version = s->version };
    if (s->conn)
        midge_conn_who(s->conn, who);
    else if (MIDGE_LOCAL && s->local)
        who->tag = midge_local_tag(s->local);
}

void midge_show(const struct midge *m, const struct midge_msg *msg, struct midge_message *out)
{
    *out = (struct midge_message){ .topic = midge_msg_topic(msg),
                                   .payload = midge_msg_payload(msg),
                                   .props = midge_msg_props(msg),
                                   .qos = msg->qos,
                                   .retain = msg->retain,
                                   .has_expiry = msg->has_expiry };
    (void)midge_msg_left(msg, m->age, &out->expiry_s);
}

/* ---- the books ---------------------------------------------------------------------------------------- */

static void add(struct midge_books *books, unsigned line, int n)
{
    _Static_assert(offsetof(struct midge_books, dropped) == BOOK_DROPPED * sizeof(uint64_t), "lines are counters");
    uint64_t *counters = (uint64_t *)(void *)books;
    counters[line] += (uint64_t)(int64_t)n;
}

void midge_book(struct midge *m, struct midge_session *s, uint8_t qos, unsigned line, int n)
{
    if (!MIDGE_BOOKS)
        return;
    add(&m->counts->books[qos], line, n);
    if (s->outbox)
        add(&s->outbox->books[qos], line, n);
}

/* ---- looking inside ----------------------------------------------------------------------------------- */

static void count(const struct midge_queue *q, struct midge_books *books, bool inflight)
{
    for (const struct midge_entry *e = q->head; e; e = e->next)
        ++*(inflight ? &books[e->qos].inflight : &books[e->qos].queued);
}

/* What is under way now, added to out. */
static void count_outbox(const struct midge_session *s, struct midge_books out[3])
{
    const struct midge_outbox *ob = s->outbox;
    if (!MIDGE_BOOKS || !ob)
        return;
    count(&ob->unacked, out, true);
    count(&ob->waiting, out, false);
    count(&ob->waiting0, out, false);
    if (s->conn && s->conn->own_sending)
        out[0].inflight++;
}

static void count_all(const struct midge *m, struct midge_books out[3])
{
    const struct midge_map *all = &m->sessions.by_id;
    for (uint32_t i = 0; all->table && i <= all->mask; i++)
        for (struct midge_map_node *n = all->table[i]; n; n = n->next)
            count_outbox(MIDGE_CONTAINER(struct midge_session, by_id, n), out);
}

static void copy_books(struct midge_books out[3], const struct midge_books *in)
{
    memset(out, 0, 3 * sizeof *out);
    if (MIDGE_BOOKS)
        memcpy(out, in, 3 * sizeof *out);
}

void midge_get_stats(const struct midge *m, struct midge_stats *out)
{
    *out = (struct midge_stats){
        .memory_used = m->mem.used,
        .connections = m->conn_count,
        .clients = m->client_count,
        .sessions = m->sessions.by_id.count,
        .subscriptions = m->subs.subs,
        .retained = m->retain.count,
    };
    if (!MIDGE_STATS)
        return;
    out->memory_peak = m->counts->memory.peak;
    out->bytes_received = m->counts->bytes_received;
    out->bytes_sent = m->counts->bytes_sent;
    out->publish_received = m->counts->publish_received;
    out->publish_sent = m->counts->publish_sent;
    out->publish_refused = m->counts->publish_refused;
    memcpy(out->memory_by_tag, m->counts->memory.by_tag, sizeof m->counts->memory.by_tag);
    memcpy(out->memory_peak_by_tag, m->counts->memory.peak_by_tag, sizeof m->counts->memory.peak_by_tag);
    copy_books(out->books, m->counts->books);
    count_all(m, out->books);
}

enum midge_err midge_get_books(const struct midge *m, struct midge_slice client_id, struct midge_books out[3])
{
    const struct midge_session *s = midge_session_find(&m->sessions, client_id);
    if (!MIDGE_BOOKS || !s)
        return MIDGE_ERR_NOT_FOUND;
    memset(out, 0, 3 * sizeof *out);
    if (s->outbox)
        copy_books(out, s->outbox->books);
    count_outbox(s, out);
    return MIDGE_OK;
}

bool midge_message_property(const struct midge_message *message, uint32_t *at, struct midge_property *out)
{
    return (MIDGE_V5 || MIDGE_LOCAL) && midge_props_next(message->props, at, out);
}

enum midge_err midge_kick(struct midge *m, struct midge_slice client_id, uint8_t reason, bool end_session,
                          midge_ms now)
{
    midge_enter(m, now);
    struct midge_session *s = midge_session_find(&m->sessions, client_id);
    enum midge_err err = !s ? MIDGE_ERR_NOT_FOUND : s->local || reason < 0x80 ? MIDGE_ERR_INVALID : MIDGE_OK;
    if (err == MIDGE_OK && end_session)
        s->expiry_s = 0;
    if (err == MIDGE_OK && s->conn)
        midge_conn_end(s->conn, reason);
    else if (err == MIDGE_OK && end_session)
        midge_session_end(m, s, reason);
    midge_leave(m);
    return err;
}
