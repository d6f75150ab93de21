/* quota.c - every yes or no about limits: accept, read, remember, queue, pause. */
#include "broker/internal.h"

static bool unfinished(const struct midge_conn *c)
{
    return c->state < CONN_UP;
}

/* Somebody who has not finished CONNECT gives way. */
static void put_out(struct midge_conn *c, uint8_t reason)
{
    midge_conn_tell(c, MIDGE_EV_REFUSED, reason);
    midge_conn_abort(c, reason);
}

/* ---- connections -------------------------------------------------------------------------------------- */

/* The list has the newest first. */
static struct midge_conn *oldest_unfinished(const struct midge *m)
{
    struct midge_conn *found = NULL;
    for (struct midge_link *l = m->conns; l; l = l->next) {
        struct midge_conn *c = MIDGE_CONTAINER(struct midge_conn, all, l);
        if (unfinished(c))
            found = c;
    }
    return found;
}

static uint32_t count_address(const struct midge *m, uint32_t key)
{
    uint32_t n = 0;
    for (const struct midge_link *l = m->conns; l; l = l->next)
        n += MIDGE_CONTAINER(const struct midge_conn, all, l)->address_key == key;
    return n;
}

/* A few places more than clients may be: one who comes back while its old connection still hangs needs one. */
static uint32_t places(const struct midge_limits *l)
{
    return l->connections + l->connections / 16 + 1;
}

bool midge_quota_accept(struct midge *m, const struct midge_peer *peer)
{
    const struct midge_limits *l = m->limits;
    if (m->shutting_down || (MIDGE_DURABLE && !midge_durable_serves(m)))
        return false;
    uint32_t per_address = l->connections_per_address;
    if (per_address && peer->address_key && m->conn_count >= per_address &&
        count_address(m, peer->address_key) >= per_address)
        return false;
    if (m->conn_count - m->ending_count < places(l))
        return true;
    struct midge_conn *c = oldest_unfinished(m);
    if (!c)
        return false;
    put_out(c, MIDGE_RC_SERVER_BUSY);
    return true;
}

bool midge_quota_client(const struct midge *m)
{
    return m->client_count < m->limits->connections;
}

/* ---- packets as they arrive --------------------------------------------------------------------------- */

/* Without properties and a will a CONNECT has no reason to be larger than hello_bytes. */
#define LARGE_CONNECTS (MIDGE_V5 || MIDGE_WILL)

enum midge_reason midge_quota_packet(struct midge_conn *c)
{
    const struct midge_limits *l = midge_conn_limits(c->m, c);
    uint32_t hello = LARGE_CONNECTS ? l->connect_bytes : l->hello_bytes;
    uint32_t most = c->state == CONN_HELLO ? hello : l->packet_bytes;
    return midge_head_packet_bytes(&c->head) > most ? MIDGE_RC_PACKET_TOO_LARGE /* [MQTT-3.2.2-15] */
                                                    : MIDGE_RC_SUCCESS;
}

/* What an unfinished CONNECT takes out of the pool that all of them share. */
static uint32_t pool_share(const struct midge_conn *c, uint32_t cap)
{
    uint32_t own = c->m->limits->hello_bytes;
    return c->state == CONN_HELLO && cap > own ? cap - own : 0;
}

static struct midge_conn *largest_unfinished(const struct midge *m)
{
    struct midge_conn *found = NULL;
    for (struct midge_link *l = m->conns; l; l = l->next) {
        struct midge_conn *c = MIDGE_CONTAINER(struct midge_conn, all, l);
        if (c->frame && c->frame->pooled && (!found || c->frame->pooled > found->frame->pooled))
            found = c;
    }
    return found;
}

bool midge_quota_frame(struct midge_conn *c, uint32_t cap)
{
    struct midge *m = c->m;
    if (c->state == CONN_UP) /* the reserve is for small packets: they can be answered, if only with a refusal */
        return cap <= m->limits->hello_bytes || midge_mem_would_fit(&m->mem, cap - (c->frame ? c->frame->cap : 0));
    if (!LARGE_CONNECTS)
        return true;
    uint32_t want = pool_share(c, cap);
    uint32_t had = c->frame ? c->frame->pooled : 0;
    while (want > had && m->connect_pool - had + want > m->limits->connect_pool_bytes) {
        struct midge_conn *largest = largest_unfinished(m);
        if (!largest || largest == c)
            return false;
        put_out(largest, MIDGE_RC_QUOTA_EXCEEDED);
    }
    return true;
}

void midge_quota_frame_grown(struct midge_conn *c, uint32_t cap)
{
    if (!LARGE_CONNECTS)
        return;
    c->m->connect_pool -= c->frame->pooled;
    c->frame->pooled = pool_share(c, cap);
    c->m->connect_pool += c->frame->pooled;
}

/* ---- sessions ----------------------------------------------------------------------------------------- */

/* Of those that are away: first one that holds nothing, then one without messages, then the one away longest. */
static struct midge_session *least_missed(const struct midge *m)
{
    struct midge_session *found = NULL;
    bool found_empty = false;
    for (struct midge_link *l = m->sessions.away.head; l; l = l->next) {
        struct midge_session *s = MIDGE_CONTAINER(struct midge_rest, away, l)->session;
        bool empty = !s->outbox || !s->outbox->msgs;
        if (midge_inside_of(s))
            continue;
        if (empty && !s->subs)
            return s;
        if (!found || (empty && !found_empty)) {
            found = s;
            found_empty = empty;
        }
    }
    return found;
}

/* Half of the reserve is gone: what nobody came back for has to go before somebody new is turned away. */
static bool cramped(const struct midge *m)
{
    return m->mem.used > m->mem.limit - m->mem.reserve / 2;
}

bool midge_quota_session(struct midge *m)
{
    while (m->sessions.by_id.count >= m->limits->sessions || cramped(m)) {
        struct midge_session *s = MIDGE_PERSIST ? least_missed(m) : NULL;
        if (!s)
            return m->sessions.by_id.count < m->limits->sessions;
        midge_session_end(m, s, MIDGE_RC_QUOTA_EXCEEDED);
    }
    return true;
}

/* ---- messages ----------------------------------------------------------------------------------------- */

static size_t usable(const struct midge *m)
{
    return m->mem.limit - m->mem.reserve;
}

static bool above_high_water(const struct midge *m)
{
    return m->mem.used > usable(m) - usable(m) / 8;
}

/* The last sixteenth is for what passes through: were it given to what stays, one client that retains, or that does not
 * read, would silence all others. Publishers are paused before that. */
static bool is_full(const struct midge *m)
{
    return m->mem.used > usable(m) - usable(m) / 16;
}

bool midge_quota_room(const struct midge *m, const struct midge_session *s)
{
    const struct midge_outbox *ob = s->outbox;
    bool takes = s->conn || (MIDGE_LOCAL && s->local);
    bool behind = ob && ob->bytes > usable(m) / 128;
    return !is_full(m) || (takes && !behind);
}

#define FEW_SUBSCRIPTIONS 16u

bool midge_quota_subscribe(const struct midge *m, const struct midge_session *s)
{
    return s->sub_count < m->limits->subscriptions && (s->sub_count < FEW_SUBSCRIPTIONS || !is_full(m));
}

enum midge_reason midge_quota_retain(struct midge *m, const struct midge_msg *msg)
{
    const struct midge_msg *old = midge_retain_get(&m->retain, midge_msg_topic(msg));
    size_t bytes = m->retain.bytes - (old ? midge_msg_bytes(old) : 0) + midge_msg_bytes(msg);
    bool full = (!old && m->retain.count >= m->limits->retained_msgs) || bytes > m->limits->retained_bytes;
    full |= bytes > m->retain.bytes && is_full(m) && !midge_topic_reserved(midge_msg_topic(msg));
    return full ? MIDGE_RC_QUOTA_EXCEEDED : MIDGE_RC_SUCCESS;
}

/* An empty queue takes one message of any size: a limit below the packet size would starve the client for ever. */
enum midge_drop midge_quota_queue(const struct midge *m, const struct midge_session *s, uint32_t bytes)
{
    const struct midge_outbox *ob = s->outbox;
    const struct midge_inside *inside = midge_inside_of(s);
    uint32_t most_msgs = inside && inside->queue_msgs ? inside->queue_msgs : m->limits->queue_msgs;
    uint32_t most_bytes = inside && inside->queue_bytes ? inside->queue_bytes : m->limits->queue_bytes;
    if (!ob || !ob->msgs)
        return most_msgs ? MIDGE_DROP_REASONS : MIDGE_DROP_QUEUE_MSGS;
    if (ob->msgs >= most_msgs)
        return MIDGE_DROP_QUEUE_MSGS;
    if (ob->bytes + bytes > most_bytes || ob->bytes + bytes < bytes)
        return MIDGE_DROP_QUEUE_BYTES;
    return MIDGE_DROP_REASONS;
}

/* ---- memory: pause, relief, refusal ------------------------------------------------------------------- */

static bool below_low_water(const struct midge *m)
{
    return m->mem.used < usable(m) - usable(m) / 4;
}

/* Who has deliveries in flight is never paused: its acknowledgements are what frees memory. */
static bool may_pause(const struct midge_conn *c)
{
    const struct midge_outbox *ob = c->session->outbox;
    return c->published && c->m->limits->pause_ms && !c->m->pause_spent && !(ob && ob->inflight);
}

static void pause(struct midge_conn *c)
{
    struct midge *m = c->m;
    if (!m->pause_until)
        m->pause_until = m->age + m->limits->pause_ms; /* not 0: may_pause */
    c->paused = true;
    midge_conn_mark_ready(c); /* the port is to see it */
}

void midge_quota_pressure(struct midge_conn *c)
{
    struct midge *m = c->m;
    if ((m->pause_spent || m->low_memory) && below_low_water(m))
        m->pause_spent = m->low_memory = false;
    if (c->state != CONN_UP)
        return;
    if (MIDGE_PAUSE && above_high_water(m) && may_pause(c))
        pause(c);
    c->published = false;
    if (c->control && c->control->len - c->control->at > m->limits->control_bytes)
        c->choked = true;
}

void midge_quota_unchoke(struct midge_conn *c)
{
    if (!c->choked)
        return;
    c->choked = false;
    midge_conn_mark_ready(c);
}

static void resume_all(struct midge *m)
{
    for (struct midge_link *l = m->conns; l; l = l->next) {
        struct midge_conn *c = MIDGE_CONTAINER(struct midge_conn, all, l);
        if (!c->paused)
            continue;
        c->paused = false;
        c->heard = midge_age32(m);
        midge_conn_mark_ready(c);
    }
}

/* A pause ends when memory is free again, or when it has lasted long enough: then publishers are refused instead. */
void midge_quota_relief(struct midge *m)
{
    bool freed = below_low_water(m);
    if (!freed && m->age < m->pause_until)
        return;
    m->pause_until = 0;
    m->pause_spent = !freed;
    resume_all(m);
}

void midge_quota_starved(struct midge *m)
{
    m->starving = true;
    m->starved_at = m->mem.used;
}

void midge_quota_feed(struct midge *m)
{
    if (m->mem.used >= m->starved_at)
        return; /* nothing was freed: asking again would be asking for ever */
    m->starving = false;
    for (struct midge_link *l = m->conns; l; l = l->next) {
        struct midge_conn *c = MIDGE_CONTAINER(struct midge_conn, all, l);
        if (c->state == CONN_UP && c->session->outbox && c->session->outbox->replays)
            midge_conn_mark_ready(c);
    }
}

void midge_quota_refused(struct midge *m)
{
    if (MIDGE_STATS)
        m->counts->publish_refused++;
    if (m->low_memory || !above_high_water(m))
        return;
    m->low_memory = true;
    midge_tell_of(m, NULL, MIDGE_EV_LOW_MEMORY, MIDGE_RC_QUOTA_EXCEEDED, 0, (struct midge_slice){ 0 });
}
