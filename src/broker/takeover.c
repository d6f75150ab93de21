/* takeover.c - sessions change hands: found or made at CONNECT, left when a connection ends, discarded. */
#include "broker/internal.h"

/* ---- CONNECT ------------------------------------------------------------------------------------------ */

/* On a new connection all that is unacknowledged is sent again, in order [MQTT-4.4.0-1] [MQTT311-4.4.0-1]. */
static void rewind_outbox(struct midge_outbox *ob)
{
    ob->resend = ob->unacked.head;
    ob->inflight = 0;
    for (struct midge_entry *e = ob->unacked.head; e; e = e->next)
        e->flying = false;
}

static void back_from_away(struct midge *m, struct midge_session *s)
{
    if (!s->rest)
        return;
    midge_fifo_remove(&m->sessions.away, &s->rest->away);
    midge_timer_cancel(&m->away_timers, &s->rest->timer);
}

struct midge_session *midge_session_take(struct midge_conn *c, const struct midge_connect *pk, bool *present)
{
    struct midge *m = c->m;
    uint32_t expiry_s = MIDGE_PERSIST ? midge_granted_expiry(c, pk->session_expiry_s) : 0;
    struct midge_session *s = midge_session_find(&m->sessions, pk->client_id);
    if (s && s->conn) {
        midge_conn_end(s->conn, MIDGE_RC_SESSION_TAKEN_OVER); /* [MQTT-3.1.4-3] [MQTT311-3.1.4-2] */
        if (MIDGE_WILL)
            midge_wills_publish(m); /* the old connection's, before the new one is there */
        s = midge_session_find(&m->sessions, pk->client_id);  /* it may have ended with its connection */
    }
    if (s && (pk->clean_start || (MIDGE_PERSIST && midge_session_expired(m, s)))) { /* its timer may be late */
        midge_session_end(m, s, MIDGE_RC_SUCCESS); /* [MQTT-3.1.2-4] [MQTT311-3.1.2-6] */
        s = NULL;
    }
    if (!midge_is_inside(c) && !midge_quota_client(m))
        return NULL;
    *present = s != NULL; /* [MQTT-3.2.2-3] */
    if (!s && midge_quota_session(m))
        s = midge_session_new(&m->sessions, pk->client_id);
    if (!s)
        return NULL;
    if (MIDGE_PERSIST && expiry_s && midge_session_keep(&m->sessions, s) != MIDGE_OK) {
        if (!*present)
            midge_session_free(&m->sessions, s);
        return NULL;
    }
    if (MIDGE_PERSIST)
        back_from_away(m, s);
    if (MIDGE_DURABLE)
        midge_durable_will_gone(m, s);
    if (MIDGE_WILL)
        midge_will_free(&m->mem, s->will); /* [MQTT-3.1.3-9] */
    s->will = NULL;
    s->conn = c;
    s->version = c->version & 0xFu;
    s->expiry_s = expiry_s;
    s->doomed = 0;
    c->session = s;
    if (midge_is_inside(c))
        midge_inside_take(c, s);
    if (MIDGE_PERSIST && s->outbox)
        rewind_outbox(s->outbox);
    return s;
}

/* ---- the connection is gone --------------------------------------------------------------------------- */

/* QoS 0 is not kept for who is away. */
static void drop_qos0(struct midge *m, struct midge_session *s)
{
    struct midge_entry *e;
    while (s->outbox && (e = midge_queue_pop(&s->outbox->waiting0))) {
        s->outbox->msgs--;
        s->outbox->bytes -= midge_msg_bytes(e->msg);
        midge_book(m, s, 0, BOOK_ENDED, 1);
        midge_entry_free(&m->mem, e);
    }
}

void midge_session_leave(struct midge *m, struct midge_session *s)
{
    if (MIDGE_DURABLE && m->durable && s->outbox)
        midge_outbox_unprepare(m, s);
    if (MIDGE_SHARED)
        midge_hand_over(m, s, 0, false);
    bool ends = s->expiry_s == 0 || !s->rest;
    if (MIDGE_WILL && s->will && (s->will->delay_s == 0 || ends))
        midge_will_due(m, s); /* [MQTT-3.1.2-8] [MQTT311-3.1.2-8] */
    if (!MIDGE_PERSIST || ends) {
        midge_session_end(m, s, MIDGE_RC_SUCCESS);
        return;
    }
    if (!m->limits->queue_qos0)
        drop_qos0(m, s);
    midge_session_tidy(&m->sessions, s);
    s->rest->gone_at = m->age;
    midge_fifo_push(&m->sessions.away, &s->rest->away);
    midge_session_arm(m, s); /* [MQTT-3.1.2-23] */
    if (MIDGE_DURABLE)
        midge_durable_session(m, s);
}

/* ---- the session is gone ------------------------------------------------------------------------------ */

static void count_ended(struct midge *m, struct midge_session *s, const struct midge_queue *q)
{
    for (const struct midge_entry *e = q->head; e; e = e->next)
        midge_book(m, s, e->qos, BOOK_ENDED, 1);
}

void midge_session_end(struct midge *m, struct midge_session *s, uint8_t reason)
{
    if (MIDGE_WILL) {
        midge_will_due(m, s); /* [MQTT-3.1.2-8] */
        midge_will_orphan(m, s);
    }
    if (MIDGE_SHARED)
        midge_hand_over(m, s, 0, true);
    if (MIDGE_LOCAL && s->local)
        midge_local_lost(m, s);
    midge_replay_stop(m, s, (struct midge_slice){ 0 });
    if (MIDGE_BOOKS && s->outbox) {
        count_ended(m, s, &s->outbox->unacked);
        count_ended(m, s, &s->outbox->waiting);
        count_ended(m, s, &s->outbox->waiting0);
    }
    if (MIDGE_DURABLE)
        midge_durable_session_gone(m, s);
    while (s->subs)
        midge_subtree_remove(&m->subs, MIDGE_CONTAINER(struct midge_sub, on_session, s->subs));
    if (MIDGE_PERSIST)
        back_from_away(m, s);
    midge_tell_of(m, s, MIDGE_EV_SESSION_ENDED, reason, 0, (struct midge_slice){ 0 });
    midge_session_free(&m->sessions, s);
}

/* A full queue asked for it while a message was on its way to others, so it is done now. */
static void end_doomed(struct midge *m, struct midge_session *s)
{
    bool ends = s->doomed == 2;
    s->doomed = 0;
    if (ends)
        s->expiry_s = 0;
    if (s->conn)
        midge_conn_end(s->conn, MIDGE_RC_QUOTA_EXCEEDED);
    else if (ends)
        midge_session_end(m, s, MIDGE_RC_QUOTA_EXCEEDED);
}

static struct midge_session *find_doomed(const struct midge *m)
{
    const struct midge_map *all = &m->sessions.by_id;
    for (uint32_t i = 0; all->table && i <= all->mask; i++) {
        for (struct midge_map_node *n = all->table[i]; n; n = n->next) {
            struct midge_session *s = MIDGE_CONTAINER(struct midge_session, by_id, n);
            if (s->doomed)
                return s;
        }
    }
    return NULL;
}

void midge_end_doomed(struct midge *m)
{
    struct midge_session *s;
    while ((s = find_doomed(m)))
        end_doomed(m, s);
    m->any_doomed = false;
}
