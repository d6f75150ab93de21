/* on_publish.c - PUBLISH: lawful, allowed, new? then one message, routed, and the answer. */
#include "broker/internal.h"

/* ---- what the standard and this broker ask of it ------------------------------------------------------ */

static enum midge_reason check(const struct midge_conn *c, const struct midge_publish *pk)
{
    const struct midge_limits *l = c->m->limits;
    if (pk->qos > midge_max_qos(midge_conn_limits(c->m, c)))
        return MIDGE_RC_QOS_NOT_SUPPORTED; /* [MQTT-3.2.2-11] */
    if (pk->retain && !(MIDGE_RETAIN && l->retain))
        return MIDGE_RC_RETAIN_NOT_SUPPORTED; /* [MQTT-3.2.2-14] */
    if (MIDGE_V5 && midge_props_has(&pk->props, PROP_SUBSCRIPTION_ID))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.3.4-6] */
    if (MIDGE_V5 && pk->props.user_count > l->user_properties)
        return MIDGE_RC_QUOTA_EXCEEDED;
    return MIDGE_RC_SUCCESS;
}

/* An alias stands for a topic, or is given one [MQTT-3.3.2-12]. */
static enum midge_reason resolve_topic(struct midge_conn *c, struct midge_publish *pk)
{
    uint16_t alias = MIDGE_V5 ? (uint16_t)midge_props_number(&pk->props, PROP_TOPIC_ALIAS) : 0;
    if (!alias)
        /* [U5-3.3.2.1-empty] [MQTT-4.7.3-1] */
        return pk->topic.len ? MIDGE_RC_SUCCESS : MIDGE_RC_PROTOCOL_ERROR;
    if (alias > midge_conn_limits(c->m, c)->alias_in)
        return MIDGE_RC_TOPIC_ALIAS_INVALID; /* [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-9] */
    if (pk->topic.len) {
        if (!midge_mem_would_fit(&c->m->mem, pk->topic.len))
            return MIDGE_RC_QUOTA_EXCEEDED; /* the reserve is not for aliases */
        enum midge_err err = midge_alias_set(&c->m->mem, &c->aliases, alias, pk->topic);
        return err == MIDGE_OK ? MIDGE_RC_SUCCESS : MIDGE_RC_QUOTA_EXCEEDED;
    }
    pk->topic = midge_alias_get(&c->aliases, alias);
    return pk->topic.data ? MIDGE_RC_SUCCESS : MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.3.2.3.4-unknown] */
}

/* ---- the message -------------------------------------------------------------------------------------- */

static uint32_t pack(struct midge_slice section, uint8_t *out)
{
    struct midge_wr w;
    midge_wr_init(&w, out, UINT32_MAX, 0);
    midge_props_forward(section, &w);
    return w.total;
}

/* A PUBLISH that came in pieces becomes its message in place; one that lies in the port's buffer is copied once. */
static struct midge_msg *make_msg(struct midge_conn *c, const struct midge_publish *pk)
{
    struct midge *m = c->m;
    struct midge_msg_parts parts = { .topic = pk->topic,
                                     .props = pk->props.section,
                                     .payload = pk->payload,
                                     .qos = pk->qos,
                                     .retain = pk->retain,
                                     .has_expiry = MIDGE_V5 && midge_props_has(&pk->props, PROP_MESSAGE_EXPIRY),
                                     .expiry_s = MIDGE_V5 ? midge_props_number(&pk->props, PROP_MESSAGE_EXPIRY) : 0,
                                     .bridged = c->bridge || midge_is_inside(c),
                                     .origin = pk->retain ? midge_origin(m, c->session) : 0,
                                     .age_base = m->age };
    bool whole = c->frame && pk->topic.data == c->frame->bytes + 2; /* not through an alias */
    if (whole && midge_mem_would_fit(&m->mem, 0)) {
        size_t size = sizeof *c->frame + c->frame->cap;
        struct midge_msg *msg = midge_msg_adopt(&m->mem, c->frame, size, &parts, MIDGE_V5 ? pack : NULL);
        c->frame = NULL;
        return msg;
    }
    parts.props = midge_slice_of(NULL, MIDGE_V5 ? midge_props_forward_size(pk->props.section) : 0);
    struct midge_msg *msg = midge_msg_new(&m->mem, &parts);
    if (MIDGE_V5 && msg && parts.props.len)
        (void)pack(pk->props.section, midge_msg_props_space(msg));
    return msg;
}

static void tell_message(struct midge_conn *c, const struct midge_msg *msg, bool dup)
{
    if (!c->m->hooks->event || c->m->hooks->no_messages)
        return;
    struct midge_message message;
    midge_show(c->m, msg, &message);
    message.dup = dup;
    struct midge_event ev = { .kind = MIDGE_EV_MESSAGE, .topic = message.topic, .qos = msg->qos, .message = &message };
    midge_tell(c->m, c->session, &ev);
}

bool midge_topic_reserved(struct midge_slice topic)
{
    return MIDGE_SYS && topic.len >= 5 && memcmp(topic.data, "$SYS/", 5) == 0;
}

/* Owns the message from here on, or says why not. */
static enum midge_reason accept(struct midge_conn *c, const struct midge_publish *pk)
{
    struct midge *m = c->m;
    if (midge_topic_reserved(pk->topic) || !midge_allowed(m, c->session, MIDGE_ACCESS_PUBLISH, pk->topic))
        return MIDGE_RC_NOT_AUTHORIZED; /* [U5-3.3.4-0x87] */
    if (m->limits->payload_bytes && pk->payload.len > m->limits->payload_bytes)
        return MIDGE_RC_IMPLEMENTATION_SPECIFIC; /* nobody gets it, and who cannot be told takes it for done */
    bool makes_room = pk->retain && !pk->payload.len; /* may use the reserve: midge_msg_new */
    if (!makes_room && !midge_mem_would_fit(&m->mem, 0)) {
        midge_quota_refused(m);
        return MIDGE_RC_QUOTA_EXCEEDED;
    }
    if (MIDGE_MAX_QOS == 2 && pk->qos == 2 && midge_ids_add(&m->mem, &c->session->received, pk->pid) != MIDGE_OK)
        return MIDGE_RC_QUOTA_EXCEEDED;
    if (MIDGE_DURABLE && pk->qos == 2)
        midge_durable_received(m, c->session, pk->pid, true);
    enum midge_reason rc = MIDGE_RC_QUOTA_EXCEEDED;
    struct midge_msg *msg = make_msg(c, pk);
    if (msg) {
        rc = midge_route(m, msg, c->session); /* [MQTT-4.5.0-1] [MQTT311-4.5.0-1] */
        if (rc < MIDGE_RC_UNSPECIFIED)
            tell_message(c, msg, pk->dup);
        midge_msg_drop(&m->mem, msg);
    } else {
        midge_quota_refused(m);
    }
    if (MIDGE_DURABLE && rc >= MIDGE_RC_UNSPECIFIED && pk->qos == 2)
        midge_durable_received(m, c->session, pk->pid, false);
    if (MIDGE_MAX_QOS == 2 && rc >= MIDGE_RC_UNSPECIFIED && pk->qos == 2)
        (void)midge_ids_remove(&m->mem, &c->session->received, pk->pid); /* [MQTT-4.3.3-9] */
    return rc;
}

/* ---- the answer --------------------------------------------------------------------------------------- */

/* [MQTT-3.3.4-1] [MQTT311-3.3.4-1]; acknowledgements leave in the order of what they acknowledge [MQTT311-4.6.0-2]. */
static enum midge_reason answer(struct midge_conn *c, const struct midge_publish *pk, enum midge_reason rc)
{
    if (!MIDGE_MAX_QOS || pk->qos == 0)
        return MIDGE_RC_SUCCESS; /* refused: at most once */
    if (!midge_served_v5(c) && rc == MIDGE_RC_QUOTA_EXCEEDED)
        return rc; /* 3.x cannot be told: it keeps the message and comes back [MQTT311-4.8.0-2] */
    midge_send_ack(c, pk->qos == 1 ? PK_PUBACK : PK_PUBREC, pk->pid, (uint8_t)rc); /* 3.x: [MQTT311-3.3.5-2] */
    return MIDGE_RC_SUCCESS;
}

/* QoS 2 that may not be taken in because of too many before it. */
static bool too_many(const struct midge_conn *c)
{
    if (midge_is_inside(c))
        return false; /* whom it speaks for knows no limit of ours, or keeps it */
    const struct midge_limits *l = midge_conn_limits(c->m, c);
    return midge_ids_count(c->session->received) >= (midge_served_v5(c) ? l->receive_maximum : l->inbound_qos2);
}

enum midge_reason midge_on_publish(struct midge_conn *c, struct midge_slice body)
{
    struct midge_publish pk;
    enum midge_reason rc = midge_decode_publish(c->head.first, body, c->version, &pk);
    if (rc == MIDGE_RC_SUCCESS)
        rc = check(c, &pk);
    if (rc == MIDGE_RC_SUCCESS)
        rc = resolve_topic(c, &pk);
    if (rc == MIDGE_RC_SUCCESS && midge_topic_levels(pk.topic) > c->m->limits->topic_levels)
        rc = MIDGE_RC_TOPIC_NAME_INVALID;
    if (rc != MIDGE_RC_SUCCESS)
        return rc;

    if (MIDGE_STATS)
        c->m->counts->publish_received++;
    c->published = true;
    if (MIDGE_MAX_QOS == 2 && pk.qos == 2 && midge_ids_has(c->session->received, pk.pid))
        /* seen before: no second delivery [MQTT-4.3.3-10] [MQTT311-4.3.3-2] */
        return answer(c, &pk, MIDGE_RC_SUCCESS);
    if (MIDGE_MAX_QOS == 2 && pk.qos == 2 && too_many(c))
        return midge_served_v5(c) ? MIDGE_RC_RECEIVE_MAXIMUM_EXCEEDED /* [MQTT-3.3.4-7] */
                                  : MIDGE_RC_QUOTA_EXCEEDED;
    return answer(c, &pk, accept(c, &pk));
}
