/* expire.c - what time does to wills, to sessions that are away, to retained messages. */
#include "broker/internal.h"

/* ---- wills -------------------------------------------------------------------------------------------- */

void midge_will_due(struct midge *m, struct midge_session *s)
{
    struct midge_will *w = s->will;
    if (!w)
        return;
    if (MIDGE_DURABLE)
        midge_durable_will_gone(m, s);
    s->will = NULL; /* [MQTT-3.1.2-10] [MQTT311-3.1.2-10] */
    midge_msg_set_origin(w->msg, midge_origin(m, s));
    w->session = s;
    w->next = NULL;
    *m->wills_tail = w;
    m->wills_tail = &w->next;
}

void midge_will_orphan(struct midge *m, const struct midge_session *s)
{
    for (struct midge_will *w = m->wills; w; w = w->next)
        if (w->session == s)
            w->session = NULL;
}

void midge_wills_publish(struct midge *m)
{
    while (m->wills) {
        struct midge_will *w = m->wills;
        struct midge_session *s = w->session;
        m->wills = w->next;
        if (!w->next)
            m->wills_tail = &m->wills;
        struct midge_msg *msg = midge_will_take(&m->mem, w);
        midge_msg_arrived(msg, m->age); /* its Message Expiry counts from now [U5-3.1.3.2.4-exp] */
        (void)midge_route(m, msg, s); /* refused for want of memory: counted and told there */
        midge_msg_drop(&m->mem, msg);
    }
}

struct midge_will *midge_will_make(struct midge *m, const struct midge_connect *pk, enum midge_reason *rc)
{
    if (!MIDGE_WILL || !pk->has_will)
        return NULL;
    *rc = MIDGE_RC_QUOTA_EXCEEDED;
    const struct midge_props *p = &pk->will_props;
    struct midge_msg_parts parts = { .topic = pk->will_topic,
                                     .payload = pk->will_payload,
                                     .qos = pk->will_qos,
                                     .retain = pk->will_retain };
    if (MIDGE_V5) {
        parts.props.len = midge_props_forward_size(p->section);
        parts.has_expiry = midge_props_has(p, PROP_MESSAGE_EXPIRY);
        parts.expiry_s = midge_props_number(p, PROP_MESSAGE_EXPIRY);
    }
    struct midge_msg *msg = midge_msg_new(&m->mem, &parts);
    if (!msg)
        return NULL;
    struct midge_wr w;
    midge_wr_init(&w, midge_msg_props_space(msg), parts.props.len, 0);
    midge_props_forward(p->section, &w); /* [MQTT-3.1.3-10] */
    struct midge_will *will = midge_will_new(&m->mem, msg, midge_props_number(p, PROP_WILL_DELAY));
    if (will)
        *rc = MIDGE_RC_SUCCESS;
    return will;
}

/* ---- sessions that are away --------------------------------------------------------------------------- */

static midge_ms after(midge_ms from, uint32_t s)
{
    return from + (midge_ms)s * 1000u;
}

/* The next thing that time does to it; MIDGE_NEVER = nothing. */
static midge_ms next_due(const struct midge_session *s)
{
    midge_ms end = s->expiry_s == UINT32_MAX ? MIDGE_NEVER : after(s->rest->gone_at, s->expiry_s);
    if (!s->will)
        return end;
    midge_ms will = after(s->rest->gone_at, s->will->delay_s);
    return will < end ? will : end;
}

void midge_session_arm(struct midge *m, struct midge_session *s)
{
    midge_ms due = next_due(s);
    if (due != MIDGE_NEVER)
        midge_arm(m, &m->away_timers, &s->rest->timer, due > m->age ? due - m->age : 0);
}

bool midge_session_expired(const struct midge *m, const struct midge_session *s)
{
    return s->rest && !s->conn && s->expiry_s != UINT32_MAX && m->age >= after(s->rest->gone_at, s->expiry_s);
}

void midge_session_timer(struct midge *m, struct midge_timer *t)
{
    struct midge_session *s = MIDGE_CONTAINER(struct midge_rest, timer, t)->session;
    if (midge_session_expired(m, s)) {
        midge_session_end(m, s, MIDGE_RC_SUCCESS); /* [MQTT-4.1.0-2] */
        return;
    }
    if (MIDGE_WILL && s->will && m->age >= after(s->rest->gone_at, s->will->delay_s))
        midge_will_due(m, s);
    midge_session_arm(m, s);
}

/* ---- retained messages -------------------------------------------------------------------------------- */

#define SWEEP_MS 1000u /* a sweep looks at every message: not more often than this */

midge_ms midge_retain_due(const struct midge *m)
{
    if (m->retain.next_expiry == MIDGE_NEVER)
        return MIDGE_NEVER;
    midge_ms soonest = m->retain_swept + SWEEP_MS;
    return m->retain.next_expiry > soonest ? m->retain.next_expiry : soonest;
}

static void forget_retained(void *arg, struct midge_msg *msg)
{
    if (MIDGE_DURABLE)
        midge_durable_not_retained(arg, msg, false);
}

void midge_retain_sweep(struct midge *m)
{
    midge_retain_expire(&m->retain, m->age, forget_retained, m);
    m->retain_swept = m->age;
}
