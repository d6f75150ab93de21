/* on_connect.c - CONNECT, step by step: lawful here? who is it? which session? CONNACK. */
#include "broker/internal.h"

/* ---- what this broker does not serve ------------------------------------------------------------------ */

static enum midge_reason check_client_id(const struct midge_conn *c, const struct midge_connect *pk)
{
    if (pk->client_id.len > c->m->limits->client_id_bytes)
        return MIDGE_RC_CLIENT_ID_NOT_VALID; /* [MQTT-3.1.3-8] [MQTT311-3.1.3-9] */
    if (pk->client_id.len)
        return MIDGE_RC_SUCCESS; /* of any length and character [MQTT-3.1.3-5] [MQTT311-3.1.3-5] */
    if (pk->version == MIDGE_V31)
        return MIDGE_RC_CLIENT_ID_NOT_VALID; /* [V31-clientid] */
    if (pk->version == MIDGE_V311 && !pk->clean_start)
        return MIDGE_RC_CLIENT_ID_NOT_VALID; /* [MQTT311-3.1.3-8] */
    return MIDGE_RC_SUCCESS;
}

static enum midge_reason check_will(const struct midge_conn *c, const struct midge_connect *pk)
{
    const struct midge *m = c->m;
    if (!MIDGE_WILL || !pk->has_will)
        return MIDGE_RC_SUCCESS; /* without MIDGE_WILL it was not even read */
    if (pk->will_qos > midge_max_qos(midge_conn_limits(m, c)))
        return MIDGE_RC_QOS_NOT_SUPPORTED; /* [MQTT-3.2.2-12] */
    if (pk->will_retain && !(MIDGE_RETAIN && m->limits->retain))
        return MIDGE_RC_RETAIN_NOT_SUPPORTED; /* [MQTT-3.2.2-13] */
    if (midge_topic_levels(pk->will_topic) > m->limits->topic_levels)
        return MIDGE_RC_TOPIC_NAME_INVALID; /* without wildcards it was read [MQTT-4.7.0-1] [MQTT311-4.7.1-1] */
    if (pk->will_props.user_count > m->limits->user_properties)
        return MIDGE_RC_QUOTA_EXCEEDED;
    return MIDGE_RC_SUCCESS;
}

static enum midge_reason check(const struct midge_conn *c, const struct midge_connect *pk)
{
    const struct midge *m = c->m;
    if (m->shutting_down)
        return MIDGE_RC_SERVER_SHUTTING_DOWN;
    if (pk->props.user_count > m->limits->user_properties)
        return MIDGE_RC_QUOTA_EXCEEDED;
    enum midge_reason rc = check_client_id(c, pk);
    return rc != MIDGE_RC_SUCCESS ? rc : check_will(c, pk);
}

/* ---- CONNECT arrives ---------------------------------------------------------------------------------- */

void midge_hello(struct midge_conn *c, struct midge_connect *pk)
{
    if (!pk->client_id.len)
        pk->client_id = midge_names_assigned(c->names);
    c->m->hello = c;
    c->m->hello_id = pk->client_id;
}

enum midge_reason midge_on_connect(struct midge_conn *c, struct midge_slice body)
{
    struct midge_connect pk;
    enum midge_reason rc = midge_decode_connect(body, &pk);
    c->version = pk.version;
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    midge_hello(c, &pk);
    c->bridge = pk.bridge;
    c->request_problem = midge_served_v5(c) && midge_props_number(&pk.props, PROP_REQUEST_PROBLEM);
    if (MIDGE_V5 && midge_props_has(&pk.props, PROP_MAXIMUM_PACKET_SIZE)) /* CONNACK keeps to it too [MQTT-3.1.2-24] */
        c->maximum_packet = midge_props_number(&pk.props, PROP_MAXIMUM_PACKET_SIZE);
    rc = check(c, &pk);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (!midge_names_keep(c, &pk))
        return MIDGE_RC_QUOTA_EXCEEDED;
    midge_hello(c, &pk);
    return midge_login_ask(c, &pk, body);
}

/* ---- CONNECT is allowed ------------------------------------------------------------------------------- */

static bool will_allowed(struct midge_conn *c, const struct midge_connect *pk)
{
    const struct midge_hooks *h = c->m->hooks;
    if (!MIDGE_WILL || !pk->has_will || !h->allow)
        return true;
    struct midge_who who;
    midge_conn_who(c, &who);
    return h->allow(h->user, &who, MIDGE_ACCESS_PUBLISH, pk->will_topic);
}

/* What the client asks for, but no more than we allow. */
static uint16_t lower(const struct midge_connect *pk, enum midge_prop_id id, uint16_t limit)
{
    uint32_t asked = MIDGE_V5 ? midge_props_number(&pk->props, id) : limit;
    return asked < limit ? (uint16_t)asked : limit;
}

static void set_terms(struct midge_conn *c, const struct midge_connect *pk)
{
    const struct midge_limits *limits = midge_conn_limits(c->m, c);
    c->window = lower(pk, PROP_RECEIVE_MAXIMUM, limits->inflight);
    if (MIDGE_ALIAS_OUT)
        c->alias_max = lower(pk, PROP_TOPIC_ALIAS_MAXIMUM, limits->alias_out);
    c->keepalive_s = midge_granted_keepalive(c->m, pk);
}

static MIDGE_APART void tell_connected(struct midge_conn *c, const struct midge_connect *pk, bool present)
{
    struct midge_event ev = { .kind = MIDGE_EV_CONNECTED,
                              .session_present = present,
                              .clean_start = pk->clean_start,
                              .keepalive_s = pk->keepalive_s };
    midge_tell(c->m, c->session, &ev);
}

static void up(struct midge_conn *c, const struct midge_connect *pk, bool present,
               const struct midge_slice *auth_data)
{
    struct midge *m = c->m;
    c->state = CONN_UP;
    m->client_count++;
    midge_timer_cancel(&m->conn_timers, &c->timer);
    if (c->keepalive_s)
        midge_arm(m, &m->conn_timers, &c->timer, (midge_ms)c->keepalive_s * 1500u);
    tell_connected(c, pk, present); /* before CONNACK: without memory for it, DISCONNECTED follows */
    /* the first packet, the only one [MQTT-3.2.0-1] [MQTT-3.2.0-2] */
    midge_send_connack(c, pk, present, auth_data);
    if (MIDGE_MAX_QOS == 2)
        midge_resend_pubrels(c);
    midge_session_mark_ready(m, c->session);
}

enum midge_reason midge_connect_allowed(struct midge_conn *c, struct midge_connect *pk,
                                        const struct midge_login_answer *answer)
{
    struct midge *m = c->m;
    if (answer->client_id.data) {
        pk->client_id = answer->client_id;
        midge_hello(c, pk);
    }
    const bool may_be_ours = MIDGE_LOCAL || MIDGE_BRIDGE;
    const struct midge_session *known = may_be_ours ? midge_session_find(&m->sessions, pk->client_id) : NULL;
    if (MIDGE_LOCAL && known && known->local)
        /* the application's own client is not to be taken over from outside */
        return MIDGE_RC_CLIENT_ID_NOT_VALID;
    if (known && midge_inside_of(known) && !midge_is_inside(c))
        return MIDGE_RC_CLIENT_ID_NOT_VALID;
    if (!will_allowed(c, pk))
        return MIDGE_RC_NOT_AUTHORIZED;
    enum midge_reason rc = MIDGE_RC_SUCCESS;
    struct midge_will *will = midge_will_make(m, pk, &rc);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;

    bool present = false;
    struct midge_session *s = midge_session_take(c, pk, &present);
    if (!s) {
        if (MIDGE_WILL)
            midge_will_free(&m->mem, will);
        return MIDGE_RC_QUOTA_EXCEEDED;
    }
    s->will = will; /* [MQTT-3.1.2-7] */
    if (MIDGE_DURABLE)
        midge_durable_connected(m, s);
    set_terms(c, pk);
    up(c, pk, present, &answer->data);
    return MIDGE_RC_SUCCESS;
}
