/* connack.c - what this broker grants, and the CONNACK that says so. */
#include "broker/internal.h"

uint8_t midge_max_qos(const struct midge *m)
{
    const uint8_t built = MIDGE_MAX_QOS; /* a variable: gcc warns of a comparison with a constant 0 */
    return m->limits->max_qos < built ? m->limits->max_qos : built;
}

uint16_t midge_granted_keepalive(const struct midge *m, const struct midge_connect *pk)
{
    uint16_t most = m->limits->keepalive_s;
    bool over = most && (pk->keepalive_s == 0 || pk->keepalive_s > most);
    /* Only 5.0 clients can be told [MQTT-3.1.2-21] [MQTT-3.2.2-21]; to the others their own value applies. */
    return over && pk->version == MIDGE_V50 ? most : pk->keepalive_s;
}

uint32_t midge_granted_expiry(const struct midge_conn *c, uint32_t asked_s)
{
    uint32_t most = c->inside ? UINT32_MAX : c->m->limits->session_expiry_s;
    return asked_s < most ? asked_s : most;
}

static void encode_connack(struct midge_wr *w, const struct midge_conn *c, const void *arg)
{
    (void)c;
    midge_encode_connack(w, arg);
}

#define LARGEST_PACKET 268435460u /* five bytes of header and 268,435,455: as good as no limit */

/* All that differs from the protocol's defaults. */
static void announce(const struct midge_conn *c, const struct midge_connect *pk, struct midge_connack *out)
{
    const struct midge_limits *l = c->m->limits;
    out->has_session_expiry = c->session->expiry_s != pk->session_expiry_s; /* [U5-3.2.2.3.2] */
    out->session_expiry_s = c->session->expiry_s;
    out->has_server_keep_alive = c->keepalive_s != pk->keepalive_s;
    out->server_keep_alive_s = c->keepalive_s;
    out->receive_maximum = l->receive_maximum;
    out->maximum_qos = midge_max_qos(c->m); /* [MQTT-3.2.2-9] */
    out->no_retain = !(MIDGE_RETAIN && l->retain);
    out->no_wildcards = !l->wildcards; /* [U5-3.2.2.3.11-13] */
    out->no_subscription_ids = !l->subscription_ids;
    out->no_shared = !(MIDGE_SHARED && l->shared);
    out->maximum_packet_size = l->packet_bytes < LARGEST_PACKET ? l->packet_bytes : 0;
    out->topic_alias_maximum = l->alias_in;
}

void midge_send_connack(struct midge_conn *c, const struct midge_connect *pk, bool session_present,
                        struct midge_slice auth_data)
{
    struct midge_connack out = { .version = c->version,
                                 .session_present = session_present,
                                 .assigned_id = midge_names_assigned(c->names), /* [MQTT-3.1.3-7] */
                                 .auth_method = midge_names_method(c->names),   /* [MQTT-4.12.0-5] */
                                 .auth_data = auth_data };
    if (midge_served_v5(c))
        announce(c, pk, &out);
    if (!midge_conn_send(c, encode_connack, &out))
        midge_conn_break(c, MIDGE_RC_PACKET_TOO_LARGE);
}
