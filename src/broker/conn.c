/* conn.c - one connection from accept to lost: bytes become packets, packets find their handler. */
#include "broker/internal.h"

/* ---- the dispatch table ------------------------------------------------------------------------------- */

#define IN(state) (1u << (state))
#define ANY_FLAGS 0xFF

/* Packets that only a server sends have no handler: a protocol error [U5-wrongdir]. */
static const struct row {
    uint8_t flags;  /* what the low nibble has to be [MQTT-2.1.3-1] [MQTT311-2.2.2-2] */
    uint8_t states; /* where it may come */
    midge_handler handler;
} rows[16] = {
    [PK_CONNECT] = { 0x0, IN(CONN_HELLO), midge_on_connect },       /* a second one: [MQTT-3.1.0-2] */
    [PK_PUBLISH] = { ANY_FLAGS, IN(CONN_UP), midge_on_publish },
    [PK_PUBACK] = { 0x0, IN(CONN_UP), MIDGE_MAX_QOS >= 1 ? midge_on_puback : NULL },
    [PK_PUBREC] = { 0x0, IN(CONN_UP), MIDGE_MAX_QOS == 2 ? midge_on_pubrec : NULL },
    /* [MQTT-3.6.1-1] [MQTT311-3.6.1-1] */
    [PK_PUBREL] = { 0x2, IN(CONN_UP), MIDGE_MAX_QOS == 2 ? midge_on_pubrel : NULL },
    [PK_PUBCOMP] = { 0x0, IN(CONN_UP), MIDGE_MAX_QOS == 2 ? midge_on_pubcomp : NULL },
    [PK_SUBSCRIBE] = { 0x2, IN(CONN_UP), midge_on_subscribe },      /* [MQTT-3.8.1-1] [MQTT311-3.8.1-1] */
    [PK_UNSUBSCRIBE] = { 0x2, IN(CONN_UP), midge_on_unsubscribe },  /* [MQTT-3.10.1-1] [MQTT311-3.10.1-1] */
    [PK_PINGREQ] = { 0x0, IN(CONN_UP), midge_on_pingreq },
    [PK_DISCONNECT] = { 0x0, IN(CONN_UP) | IN(CONN_LOGIN), midge_on_disconnect }, /* [MQTT-3.14.1-1] */
    [PK_AUTH] = { 0x0, IN(CONN_UP) | IN(CONN_LOGIN), MIDGE_AUTH ? midge_on_auth : NULL }, /* [MQTT-3.15.1-1] */
};

/* What the first byte alone tells. */
static enum midge_reason check_head(struct midge_conn *c)
{
    enum midge_packet type = midge_head_type(&c->head);
    const struct row *row = &rows[type];
    uint8_t flags = c->head.first & 0x0F;

    if (type == PK_RESERVED)
        return MIDGE_RC_MALFORMED; /* [U5-2.1.2-0] */
    if (!row->handler || !(row->states & IN(c->state)))
        return MIDGE_RC_PROTOCOL_ERROR; /* also: CONNECT has to be first [MQTT-3.1.0-1] [MQTT311-3.1.0-1] */
    if (c->version == MIDGE_V31 && row->flags == 0x2)
        flags &= 0x7; /* 3.1 clients may set DUP on what they send again [V31-dup] */
    if (row->flags != ANY_FLAGS && flags != row->flags)
        return MIDGE_RC_MALFORMED;
    if (type == PK_AUTH && !midge_served_v5(c))
        return MIDGE_RC_MALFORMED; /* type 15 is reserved in 3.x */
    return midge_quota_packet(c);
}

static void free_frame(struct midge_conn *c)
{
    if (!c->frame)
        return;
    midge_quota_frame_grown(c, 0);
    midge_mem_free(&c->m->mem, c->frame, sizeof *c->frame + c->frame->cap, MIDGE_TAG_FRAME);
    c->frame = NULL;
}

/* A failure before CONNECT was understood is answered with silence [MQTT-3.14.0-1] [MQTT311-3.1.4-1]. */
void midge_conn_fail(struct midge_conn *c, uint8_t reason)
{
    if (c->state < CONN_UP)
        midge_connect_refuse(c, reason, NULL);
    else
        midge_conn_end(c, reason);
}

static void dispatch(struct midge_conn *c, const uint8_t *body)
{
    enum midge_reason rc = rows[midge_head_type(&c->head)].handler(c, midge_slice_of(body, c->head.remaining));
    c->heard = midge_age32(c->m);
    c->head = (struct midge_head){ 0 };
    if (rc >= MIDGE_RC_UNSPECIFIED)
        midge_conn_fail(c, (uint8_t)rc);
    c->m->hello = NULL; /* what it named lies in the packet */
    free_frame(c);
}

/* ---- bytes in ----------------------------------------------------------------------------------------- */

#define FRAME_FIRST 96u

/* Grows with what arrives, not with what was announced: a length that is not sent pins nothing. */
static bool grow_frame(struct midge_conn *c, uint32_t need)
{
    uint32_t cap = c->frame ? c->frame->cap : 0;
    if (need <= cap)
        return true;
    uint32_t want = cap ? cap * 2 : FRAME_FIRST;
    want = want < need ? need : want;
    want = want < c->head.remaining ? want : c->head.remaining;
    if (!midge_quota_frame(c, want))
        return false;
    struct midge_frame *f =
        midge_mem_resize(&c->m->mem, c->frame, sizeof *f + cap, sizeof *f + want, MIDGE_TAG_FRAME);
    if (!f)
        return false;
    if (!c->frame)
        f->len = f->pooled = 0;
    f->cap = want;
    c->frame = f;
    midge_quota_frame_grown(c, want);
    return true;
}

/* Takes what there is of the packet's body. */
static uint32_t assemble(struct midge_conn *c, const uint8_t *bytes, uint32_t n)
{
    uint32_t have = c->frame ? c->frame->len : 0;
    uint32_t take = c->head.remaining - have;
    take = take < n ? take : n;
    if (!grow_frame(c, have + take)) {
        midge_conn_fail(c, MIDGE_RC_QUOTA_EXCEEDED); /* [MQTT311-4.8.0-2] */
        return n;
    }
    memcpy(c->frame->bytes + have, bytes, take);
    c->frame->len = have + take;
    if (have >> 10 != c->frame->len >> 10)
        /* a long packet on a slow line is a sign of life, a byte a minute is not */
        c->heard = midge_age32(c->m);
    if (c->frame->len == c->head.remaining)
        dispatch(c, c->frame->bytes);
    return take;
}

/* One step: header bytes, or a body. Returns how much was taken. */
static uint32_t step(struct midge_conn *c, struct midge_slice in)
{
    if (c->head.complete) {
        if (c->frame || in.len < c->head.remaining)
            return assemble(c, in.data, in.len);
        uint32_t n = c->head.remaining;
        dispatch(c, in.data);
        return n;
    }
    enum midge_reason rc = MIDGE_RC_SUCCESS;
    uint32_t n = midge_head_feed(&c->head, in, &rc);
    if (rc == MIDGE_RC_SUCCESS && c->head.complete)
        rc = check_head(c);
    if (rc != MIDGE_RC_SUCCESS)
        midge_conn_fail(c, (uint8_t)rc);
    else if (c->head.complete && c->head.remaining == 0)
        dispatch(c, NULL);
    return n;
}

void midge_conn_take(struct midge_conn *c, struct midge_slice in)
{
    while (in.len && c->state < CONN_ENDING && !c->broken) {
        if (MIDGE_LOGIN_LATER && midge_login_waits(c)) {
            if (!midge_login_hold(c, in))
                midge_conn_end(c, MIDGE_RC_QUOTA_EXCEEDED);
            return;
        }
        uint32_t n = step(c, in);
        in.data += n;
        in.len -= n;
    }
}

void midge_recv(struct midge_conn *c, const void *bytes, size_t n, midge_ms now)
{
    midge_enter(c->m, now);
    if (MIDGE_STATS)
        c->m->counts->bytes_received += n;
    if (!c->m->shutting_down) /* what comes now is not taken, and not acknowledged */
        midge_conn_take(c, midge_slice_of(bytes, n));
    midge_quota_pressure(c);
    midge_leave(c->m);
}

/* ---- bytes out: control packets ----------------------------------------------------------------------- */

#define CONTROL_FIRST 20u

/* What went out already makes room before more memory does. */
static void compact_control(struct midge_control_bytes *k)
{
    k->len -= k->at;
    memmove(k->bytes, k->bytes + k->at, k->len);
    k->at = 0;
}

bool midge_conn_reserve(struct midge_conn *c, uint32_t n)
{
    struct midge_control_bytes *k = c->control;
    uint32_t cap = k ? k->cap : 0;
    if (k && k->len + n > cap && k->at)
        compact_control(k);
    uint32_t len = k ? k->len : 0;
    if (len + n <= cap)
        return true;
    uint32_t want = cap ? cap * 2 : CONTROL_FIRST;
    want = want < len + n ? len + n : want;
    struct midge_control_bytes *grown =
        midge_mem_resize(&c->m->mem, k, sizeof *k + cap, sizeof *k + want, MIDGE_TAG_CONTROL);
    if (!grown)
        return false;
    if (!k)
        grown->at = grown->len = 0;
    grown->cap = want;
    c->control = grown;
    return true;
}

bool midge_conn_send(struct midge_conn *c, midge_encoder encode, const void *arg)
{
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    encode(&w, c, arg);
    uint32_t n = w.total;
    if (n > c->maximum_packet)
        return false;
    if (!midge_conn_reserve(c, n)) {
        midge_conn_break(c, MIDGE_RC_QUOTA_EXCEEDED);
        return true;
    }
    midge_wr_init(&w, c->control->bytes + c->control->len, n, 0);
    encode(&w, c, arg);
    c->control->len += n;
    midge_conn_mark_ready(c);
    return true;
}

void midge_conn_send_text(struct midge_conn *c, midge_encoder encode, const void *arg, struct midge_slice *text,
                          uint8_t reason)
{
    bool wanted = MIDGE_REASON_STRINGS && midge_served_v5(c) && reason >= MIDGE_RC_UNSPECIFIED;
    *text = wanted ? midge_slice_str(midge_reason_text(reason)) : (struct midge_slice){ 0 };
    if (midge_conn_send(c, encode, arg) || !text->len)
        return;
    *text = (struct midge_slice){ 0 }; /* [MQTT-3.4.2-2] and its like for each packet */
    (void)midge_conn_send(c, encode, arg);
}

void midge_conn_encode_ack(struct midge_wr *w, const struct midge_conn *c, const void *ack)
{
    midge_encode_ack(w, c->version, ack);
}

void midge_send_ack(struct midge_conn *c, enum midge_packet type, uint16_t pid, uint8_t reason)
{
    struct midge_ack_out a = { .type = type, .pid = pid, .reason = reason };
    /* [MQTT-3.1.2-29]: no text in acknowledgements for who does not ask for problem information */
    midge_conn_send_text(c, midge_conn_encode_ack, &a, &a.reason_string, c->request_problem ? reason : 0);
}

/* ---- the end ------------------------------------------------------------------------------------------ */

static void encode_disconnect(struct midge_wr *w, const struct midge_conn *c, const void *arg)
{
    midge_encode_control(w, PK_DISCONNECT, c->version, arg);
}

static void arm(struct midge_conn *c, midge_ms ms)
{
    midge_arm(c->m, &c->m->conn_timers, &c->timer, ms);
}

static void free_control(struct midge_conn *c)
{
    if (c->control)
        midge_mem_free(&c->m->mem, c->control, sizeof *c->control + c->control->cap, MIDGE_TAG_CONTROL);
    c->control = NULL;
}

static void free_sending(struct midge_conn *c)
{
    if (c->sending && c->own_sending)
        midge_entry_free(&c->m->mem, c->sending);
    c->sending = NULL;
    c->own_sending = false;
}

/* A packet that is partly out has to be finished or nothing can follow it. Its entry goes with the session (it will be
 * sent again), so the connection takes a copy; without memory for one, its last word is unsaid. */
static void keep_sending(struct midge_conn *c)
{
    struct midge_entry *e = c->sending;
    if (e && c->own_sending)
        /* QoS 0: whether all of it goes out is nobody's concern any more */
        midge_book(c->m, c->session, 0, BOOK_ENDED, 1);
    if (!MIDGE_MAX_QOS || !e || c->own_sending)
        return;
    struct midge_entry *copy = midge_entry_new(&c->m->mem, e->session, e->msg, e->ids, e->id_count);
    if (!copy) {
        c->state = CONN_DEAD;
        c->sending = NULL;
        return;
    }
    copy->pid = e->pid;
    copy->qos = e->qos;
    copy->retain = e->retain;
    copy->dup = e->dup;
    copy->shared = e->shared;
    c->sending = copy;
    c->own_sending = true;
}

static void leave_session(struct midge_conn *c)
{
    struct midge_session *s = c->session;
    if (!s)
        return;
    keep_sending(c);
    c->m->client_count--;
    s->conn = NULL;
    midge_conn_tell(c, MIDGE_EV_DISCONNECTED, c->reason);
    c->session = NULL;
    midge_session_leave(c->m, s);
}

/* What only a connection that goes on needs. */
static void let_go(struct midge_conn *c)
{
    free_frame(c);
    if (MIDGE_LOGIN_STATE)
        midge_login_free(c);
    if (MIDGE_V5)
        midge_alias_free(&c->m->mem, &c->aliases); /* [MQTT-3.3.2-7] */
    c->paused = c->choked = false;
}

/* Nothing more is read; the session goes its way. */
static void part(struct midge_conn *c, uint8_t reason, enum midge_conn_state state)
{
    c->m->ending_count++;
    c->reason = reason;
    c->state = (uint8_t)state;
    leave_session(c);
    let_go(c);
    arm(c, c->m->limits->linger_ms);
    midge_conn_mark_ready(c);
}

static MIDGE_APART void send_disconnect(struct midge_conn *c, uint8_t reason)
{
    struct midge_control_out d = { .reason = reason };
    midge_conn_send_text(c, encode_disconnect, &d, &d.reason_string, reason);
}

void midge_conn_end(struct midge_conn *c, uint8_t reason)
{
    if (c->state >= CONN_ENDING)
        return;
    bool told = c->state == CONN_UP && midge_served_v5(c) && reason >= MIDGE_RC_UNSPECIFIED;
    part(c, reason, CONN_ENDING);
    if (MIDGE_V5 && told && c->state == CONN_ENDING) /* not when a packet that is partly out cannot be finished */
        send_disconnect(c, reason);
}

void midge_conn_abort(struct midge_conn *c, uint8_t reason)
{
    if (c->state < CONN_ENDING)
        part(c, reason, CONN_DEAD);
    c->state = CONN_DEAD;
}

void midge_conn_break(struct midge_conn *c, uint8_t reason)
{
    if (c->state >= CONN_ENDING) {
        c->state = CONN_DEAD;
        return;
    }
    c->reason = reason;
    c->broken = c->m->any_broken = true;
}

void midge_end_broken(struct midge *m)
{
    m->any_broken = false;
    for (struct midge_link *l = m->conns; l; l = l->next) {
        struct midge_conn *c = MIDGE_CONTAINER(struct midge_conn, all, l);
        if (!c->broken)
            continue;
        c->broken = false;
        midge_conn_abort(c, c->reason);
    }
}

/* ---- the connection's timer: hello, keep alive, linger ------------------------------------------------ */

static void check_keepalive(struct midge_conn *c)
{
    /* one and a half times, in ms [MQTT-3.1.2-22] [MQTT311-3.1.2-24] */
    uint32_t allowed = (uint32_t)c->keepalive_s * 1500u;
    uint32_t silent = midge_age32(c->m) - c->heard;
    if (MIDGE_PAUSE && c->paused)
        arm(c, allowed); /* we do not listen: its clock stands still */
    else if (silent >= allowed)
        midge_conn_end(c, MIDGE_RC_KEEP_ALIVE_TIMEOUT);
    else
        arm(c, allowed - silent);
}

void midge_conn_timer(struct midge *m, struct midge_timer *t)
{
    (void)m;
    struct midge_conn *c = MIDGE_CONTAINER(struct midge_conn, timer, t);
    if (c->state == CONN_UP && m->shutting_down) {
        midge_conn_end(c, MIDGE_RC_SERVER_SHUTTING_DOWN);
    } else if (c->state == CONN_UP) {
        check_keepalive(c);
    } else if (c->state >= CONN_ENDING) {
        c->state = CONN_DEAD;
        midge_conn_mark_ready(c);
    } else {
        midge_conn_tell(c, MIDGE_EV_REFUSED, MIDGE_RC_MAXIMUM_CONNECT_TIME);
        midge_conn_abort(c, MIDGE_RC_MAXIMUM_CONNECT_TIME);
    }
}

/* ---- accept, ready, lost ------------------------------------------------------------------------------ */

struct midge_conn *midge_accept(struct midge *m, const struct midge_peer *peer, midge_ms now)
{
    midge_enter(m, now);
    struct midge_conn *c = NULL;
    if (midge_quota_accept(m, peer))
        c = midge_mem_zalloc(&m->mem, sizeof *c, MIDGE_TAG_CONN);
    if (c) {
        c->m = m;
        c->user = MIDGE_BRIDGE && peer->inside ? (void *)peer->inside : peer->user;
        c->inside = MIDGE_BRIDGE && peer->inside;
        c->forgets = peer->forgets;
        c->address_key = peer->address_key;
        c->maximum_packet = UINT32_MAX;
            c->heard = midge_age32(m);
        midge_link_insert(&m->conns, &c->all);
        m->conn_count++;
        arm(c, m->limits->hello_ms);
    }
    midge_leave(m);
    return c;
}

void midge_conn_mark_ready(struct midge_conn *c)
{
    if (!c->ready.pprev && !midge_is_inside(c))
        midge_fifo_push(&c->m->ready, &c->ready);
}

struct midge_conn *midge_ready(struct midge *m, midge_ms now)
{
    midge_enter(m, now);
    if (MIDGE_PAUSE && m->pause_until)
        midge_quota_relief(m);
    if (MIDGE_RETAIN && m->starving)
        midge_quota_feed(m);
    struct midge_link *l = m->ready.head;
    if (MIDGE_DURABLE) {
        if (l && !m->turn_synced)
            midge_durable_turn(m);
        m->turn_synced = l != NULL;
    }
    if (l)
        midge_fifo_remove(&m->ready, l);
    midge_leave(m);
    return l ? MIDGE_CONTAINER(struct midge_conn, ready, l) : NULL;
}

void midge_lost(struct midge_conn *c, midge_ms now)
{
    struct midge *m = c->m;
    midge_enter(m, now);
    midge_conn_abort(c, MIDGE_RC_UNSPECIFIED); /* a network failure, if nothing ended it before */
    if (m->hooks->lost && !midge_is_inside(c))
        m->hooks->lost(m->hooks->user, c);
    free_sending(c);
    free_control(c);
    midge_names_free(c);
    midge_timer_cancel(&m->conn_timers, &c->timer);
    midge_fifo_remove(&m->ready, &c->ready);
    midge_link_remove(&c->all);
    m->conn_count--;
    m->ending_count--; /* midge_conn_abort saw to it */
    midge_mem_free(&m->mem, c, sizeof *c, MIDGE_TAG_CONN);
    midge_leave(m);
}

unsigned midge_status(const struct midge_conn *c)
{
    bool bytes = c->state != CONN_DEAD && (c->sending || c->control);
    bool more = c->state == CONN_UP && c->session->outbox && midge_outbox_has_next(c->m, c->session, c->window);
    more |= c->state == CONN_UP && c->m->shutting_down; /* the last word, at least */
    if (c->state >= CONN_ENDING && !bytes)
        return MIDGE_STATUS_CLOSE;
    bool deaf = (MIDGE_PAUSE && c->paused) || c->choked || (MIDGE_LOGIN_LATER && midge_login_waits(c));
    return (bytes || more ? MIDGE_STATUS_PULL : 0) | (deaf ? MIDGE_STATUS_PAUSED : 0);
}

void *midge_conn_user(const struct midge_conn *c)
{
    return c->user;
}

struct midge *midge_conn_broker(const struct midge_conn *c)
{
    return c->m;
}

/* ---- who it is ---------------------------------------------------------------------------------------- */

void midge_conn_who(const struct midge_conn *c, struct midge_who *who)
{
    *who = (struct midge_who){ .peer = midge_is_inside(c) ? NULL : c->user, .tag = c->tag, .version = c->version };
    if (c->session)
        who->client_id = midge_session_id(c->session);
    else if (c->m->hello == c)
        who->client_id = c->m->hello_id;
    if (c->names && c->names->has_username)
        who->username = midge_slice_of(c->names->bytes, c->names->username_len);
}

void midge_conn_tell(struct midge_conn *c, enum midge_event_kind kind, uint8_t reason)
{
    if (!c->m->hooks->event)
        return;
    struct midge_event ev = { .kind = kind, .reason = reason, .by_client = c->by_client };
    midge_conn_who(c, &ev.who);
    midge_tell(c->m, NULL, &ev);
}

bool midge_allowed(struct midge *m, const struct midge_session *s, enum midge_access what, struct midge_slice topic)
{
    if (!m->hooks->allow || midge_inside_of(s))
        return true;
    struct midge_who who;
    midge_session_who(s, &who);
    return m->hooks->allow(m->hooks->user, &who, what, topic);
}

/* ---- the smallest conversations ----------------------------------------------------------------------- */

static void encode_pingresp(struct midge_wr *w, const struct midge_conn *c, const void *arg)
{
    (void)c;
    (void)arg;
    midge_encode_ping(w, PK_PINGRESP);
}

enum midge_reason midge_on_pingreq(struct midge_conn *c, struct midge_slice body)
{
    if (body.len)
        return MIDGE_RC_MALFORMED;
    (void)midge_conn_send(c, encode_pingresp, NULL); /* [MQTT-3.12.4-1] [MQTT311-3.12.4-1] */
    return MIDGE_RC_SUCCESS;
}

/* DISCONNECT: the will is forgotten unless the reason asks for it; the session may get another expiry. */
enum midge_reason midge_on_disconnect(struct midge_conn *c, struct midge_slice body)
{
    struct midge_control pk;
    enum midge_reason rc = midge_decode_control(PK_DISCONNECT, body, c->version, true, &pk);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    struct midge_session *s = c->session;
    if (MIDGE_V5 && MIDGE_PERSIST && s && midge_props_has(&pk.props, PROP_SESSION_EXPIRY)) {
        if (s->expiry_s == 0 && midge_props_number(&pk.props, PROP_SESSION_EXPIRY) != 0)
            return MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.14.2.2.2]: the packet is not valid, so the will stays */
        s->expiry_s = midge_granted_expiry(c, midge_props_number(&pk.props, PROP_SESSION_EXPIRY));
    }
    if (MIDGE_WILL && s && pk.reason == MIDGE_RC_SUCCESS) {
        if (MIDGE_DURABLE)
            midge_durable_will_gone(c->m, s);
        midge_will_free(&c->m->mem, s->will); /* [MQTT-3.14.4-3] [MQTT-3.1.2-10] [MQTT311-3.14.4-3] */
        s->will = NULL;
    }
    c->by_client = true;
    midge_conn_abort(c, pk.reason); /* the client reads no more: nothing is left to say [MQTT-3.14.4-1] */
    return MIDGE_RC_SUCCESS;
}
