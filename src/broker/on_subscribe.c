/* on_subscribe.c - SUBSCRIBE and UNSUBSCRIBE, filter by filter, one answer. */
#include "broker/internal.h"

/* ---- one filter --------------------------------------------------------------------------------------- */

static enum midge_reason parse(const struct midge *m, struct midge_slice text, struct midge_filter *f)
{
    return midge_filter_parse(text, m->limits->topic_levels, f);
}

static enum midge_reason check(struct midge *m, struct midge_session *s, const struct midge_filter *f, uint32_t id)
{
    const struct midge_limits *l = m->limits;
    if (MIDGE_SHARED && f->group.data && !l->shared)
        return MIDGE_RC_SHARED_NOT_SUPPORTED; /* [U5-3.2.2.3.11-13] */
    if (f->wildcard && !l->wildcards)
        return MIDGE_RC_WILDCARDS_NOT_SUPPORTED; /* [MQTT311-3.8.3-2] */
    if (id && !l->subscription_ids && !midge_inside_of(s))
        return MIDGE_RC_SUBSCRIPTION_IDS_NOT_SUPPORTED;
    if (!midge_allowed(m, s, MIDGE_ACCESS_SUBSCRIBE, f->whole))
        return MIDGE_RC_NOT_AUTHORIZED;
    return MIDGE_RC_SUCCESS;
}

/* Retained messages go to new subscriptions, to known ones again only with Retain Handling 0, never to shared ones. */
static bool wants_retained(const struct midge_filter_request *want, const struct midge_filter *f, bool is_new)
{
    if (!MIDGE_RETAIN || (MIDGE_SHARED && f->group.data)) /* [U5-3.8.4-shared-retain] */
        return false;
    return want->retain_handling == 0 ||          /* [MQTT-3.3.1-9] */
           (want->retain_handling == 1 && is_new); /* [MQTT-3.3.1-10], 2: [MQTT-3.3.1-11] */
}

enum midge_reason midge_subscribe(struct midge *m, struct midge_session *s, const struct midge_filter_request *want,
                                  uint32_t id)
{
    struct midge_filter f;
    enum midge_reason rc = parse(m, want->filter, &f);
    if (rc == MIDGE_RC_SUCCESS)
        rc = check(m, s, &f, id);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;

    struct midge_sub *sub = midge_subtree_find(&m->subs, s, &f);
    bool is_new = !sub;
    if (is_new && !midge_quota_subscribe(m, s))
        return MIDGE_RC_QUOTA_EXCEEDED;
    if (is_new)
        sub = midge_subtree_add(&m->subs, s, &f);
    if (!sub)
        return MIDGE_RC_QUOTA_EXCEEDED;
    const struct midge_sub old = *sub;
    uint8_t most = midge_max_qos(midge_conn_limits(m, s->conn));
    uint8_t granted = want->qos < most ? want->qos : most; /* [MQTT-3.2.2-10] */
    sub->qos = granted & 3u; /* an old one is replaced as it stands: no message slips through [MQTT-3.8.4-3] */
    sub->no_local = want->no_local;
    sub->retain_as_published = want->retain_as_published;
    sub->id = id; /* [U5-3.8.4-subid-replace] */

    if (wants_retained(want, &f, is_new) && midge_replay_start(m, sub, want->filter) != MIDGE_OK) {
        if (is_new)
            midge_subtree_remove(&m->subs, sub);
        else
            *sub = old; /* what is refused changes nothing */
        return MIDGE_RC_QUOTA_EXCEEDED;
    }
    if (MIDGE_DURABLE)
        midge_durable_sub(m, sub, want->filter);
    midge_tell_of(m, s, MIDGE_EV_SUBSCRIBED, 0, granted, want->filter);
    return (enum midge_reason)granted;
}

enum midge_reason midge_unsubscribe(struct midge *m, struct midge_session *s, struct midge_slice filter)
{
    struct midge_filter f;
    enum midge_reason rc = parse(m, filter, &f);
    if (rc == MIDGE_RC_QUOTA_EXCEEDED)
        return MIDGE_RC_NO_SUBSCRIPTION_EXISTED; /* with more levels than we have it cannot have been made */
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    /* byte for byte [MQTT-3.10.4-1] [MQTT311-3.10.4-1] */
    struct midge_sub *sub = midge_subtree_find(&m->subs, s, &f);
    if (!sub)
        return MIDGE_RC_NO_SUBSCRIPTION_EXISTED;
    if (MIDGE_SHARED && sub->shared)
        midge_hand_over(m, s, sub->group->serial, false);
    midge_replay_stop(m, s, filter); /* [MQTT-3.10.4-2] [MQTT311-3.10.4-2] */
    midge_subtree_remove(&m->subs, sub);
    if (MIDGE_DURABLE)
        midge_durable_sub_gone(m, s, filter);
    midge_tell_of(m, s, MIDGE_EV_UNSUBSCRIBED, 0, 0, filter);
    return MIDGE_RC_SUCCESS;
}

/* ---- the packet: one code a filter, in order [MQTT-3.9.3-1] [MQTT-3.11.3-1] --------------------------- */

/* A bridge of 3.x cannot ask for it, but means it: it wants nothing back that it brought, and RETAIN as published. */
static void ask_as_bridge(struct midge_filter_request *want)
{
    want->no_local = true;
    want->retain_as_published = true;
}

static enum midge_reason one(struct midge_conn *c, enum midge_packet type, const struct midge_subscribe *pk,
                             struct midge_filter_request *want)
{
    if (c->bridge)
        ask_as_bridge(want);
    if (type == PK_SUBSCRIBE)
        return midge_subscribe(c->m, c->session, want,
                               MIDGE_V5 ? midge_props_number(&pk->props, PROP_SUBSCRIPTION_ID) : 0);
    return midge_unsubscribe(c->m, c->session, want->filter);
}

/* 3.x has no code for an unlawful filter: it ends the connection, before any of its packet is done
 * [MQTT311-4.8.0-1]. */
static bool has_unlawful_v3(const struct midge_conn *c, struct midge_subscribe *pk)
{
    const struct midge_rd first = pk->list;
    struct midge_filter_request want;
    struct midge_filter f;
    while (!midge_served_v5(c) && midge_next_filter(pk, &want))
        if (parse(c->m, want.filter, &f) == MIDGE_RC_TOPIC_FILTER_INVALID)
            return true;
    pk->list = first;
    return false;
}

static uint32_t answer_size(const struct midge_conn *c, const struct midge_ack_out *out)
{
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    midge_conn_encode_ack(&w, c, out);
    return w.total;
}

/* The answer is the last packet in the control bytes; the text of what failed is put into it afterwards, if there is
 * room [MQTT-3.9.2-1] [MQTT-3.11.2-1]. */
static void add_text(struct midge_conn *c, struct midge_ack_out *out, enum midge_reason why)
{
    uint32_t plain = answer_size(c, out);
    out->reason_string = midge_slice_str(midge_reason_text((uint8_t)why));
    uint32_t longer = answer_size(c, out);
    if (longer > c->maximum_packet || !midge_conn_reserve(c, longer - plain))
        return;
    uint8_t *start = c->control->bytes + c->control->len - plain;
    uint8_t *codes = start + plain - out->codes;
    c->control->len += longer - plain;
    memmove(start + longer - out->codes, codes, out->codes);
    struct midge_wr w;
    midge_wr_init(&w, start, longer - out->codes, 0); /* the codes are there */
    midge_conn_encode_ack(&w, c, out);
}

/* Space for the whole answer is taken first: nothing that was done goes unanswered [MQTT-3.8.4-1]. */
static enum midge_reason each(struct midge_conn *c, enum midge_packet type, struct midge_slice body)
{
    struct midge_subscribe pk;
    enum midge_reason rc = midge_decode_subscribe(type, body, c->version, &pk);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (pk.filters > c->m->limits->filters || pk.props.user_count > c->m->limits->user_properties)
        return MIDGE_RC_QUOTA_EXCEEDED;
    if (has_unlawful_v3(c, &pk))
        return MIDGE_RC_TOPIC_FILTER_INVALID;
    bool codes = type == PK_SUBSCRIBE || midge_served_v5(c);
    enum midge_packet reply = type == PK_SUBSCRIBE ? PK_SUBACK : PK_UNSUBACK;
    struct midge_ack_out out = { .type = reply, .pid = pk.pid, .codes = codes ? pk.filters : 0 };
    if (!midge_conn_send(c, midge_conn_encode_ack, &out))
        return MIDGE_RC_PACKET_TOO_LARGE;
    if (c->broken)
        return MIDGE_RC_SUCCESS; /* there was no room even for the answer */

    enum midge_reason why = MIDGE_RC_SUCCESS;
    struct midge_filter_request want;
    for (uint32_t i = 0; midge_next_filter(&pk, &want); i++) {
        rc = one(c, type, &pk, &want);
        if (rc >= MIDGE_RC_UNSPECIFIED && c->version == MIDGE_V31) {
            midge_conn_break(c, (uint8_t)rc); /* 3.1 has no code that says no [V31-suback] */
            return MIDGE_RC_SUCCESS;
        }
        if (rc >= MIDGE_RC_UNSPECIFIED && why == MIDGE_RC_SUCCESS)
            why = rc;
        if (codes)
            c->control->bytes[c->control->len - out.codes + i] =
                midge_served_v5(c) ? (uint8_t)rc : midge_reason_suback_v3((uint8_t)rc);
    }
    if (MIDGE_REASON_STRINGS && why != MIDGE_RC_SUCCESS && midge_served_v5(c) && c->request_problem)
        add_text(c, &out, why);
    midge_session_mark_ready(c->m, c->session);
    return MIDGE_RC_SUCCESS;
}

enum midge_reason midge_on_subscribe(struct midge_conn *c, struct midge_slice body)
{
    return each(c, PK_SUBSCRIBE, body);
}

enum midge_reason midge_on_unsubscribe(struct midge_conn *c, struct midge_slice body)
{
    return each(c, PK_UNSUBSCRIBE, body);
}
