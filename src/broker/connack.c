/* connack.c - what this broker grants, or refuses, and the CONNACK that says so. */
#include "broker/internal.h"

const struct midge_limits *midge_own_limits(const struct midge *m, const struct midge_conn *c)
{
    const struct midge_hooks *h = m->hooks;
    return c && !midge_is_inside(c) && h->limits ? h->limits(h->user, c->user) : m->limits;
}

uint8_t midge_max_qos(const struct midge_limits *l)
{
    const uint8_t built = MIDGE_MAX_QOS; /* a variable: gcc warns of a comparison with a constant 0 */
    return l->max_qos < built ? l->max_qos : built;
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
    uint32_t most = midge_is_inside(c) ? UINT32_MAX : c->m->limits->session_expiry_s;
    return asked_s < most ? asked_s : most;
}

/* ---- the packet --------------------------------------------------------------------------------------- */

struct connack {
    struct midge_connack_out head;
    const struct midge_conn *c;
    const struct midge_connect *pk; /* NULL: CONNECT is refused */
    struct midge_slice reason_string;
    const struct midge_slice *auth_data, *server_reference; /* NULL = none, of both */
};

#define LARGEST_PACKET 268435460u /* five bytes of header and 268,435,455: as good as no limit */

/* All that differs from the protocol's defaults, and from what was asked for. */
static void put_terms(struct midge_wr *w, const struct midge_conn *c, const struct midge_connect *pk)
{
    const struct midge_limits *l = midge_conn_limits(c->m, c);
    if (c->session->expiry_s != pk->session_expiry_s)
        midge_prop_number(w, PROP_SESSION_EXPIRY, c->session->expiry_s); /* [U5-3.2.2.3.2] */
    if (c->keepalive_s != pk->keepalive_s)
        midge_prop_number(w, PROP_SERVER_KEEP_ALIVE, c->keepalive_s);
    midge_prop_unusual(w, PROP_RECEIVE_MAXIMUM, l->receive_maximum);
    midge_prop_unusual(w, PROP_MAXIMUM_QOS, midge_max_qos(l)); /* [MQTT-3.2.2-9] */
    midge_prop_unusual(w, PROP_RETAIN_AVAILABLE, MIDGE_RETAIN && l->retain);
    midge_prop_unusual(w, PROP_MAXIMUM_PACKET_SIZE, l->packet_bytes < LARGEST_PACKET ? l->packet_bytes : 0);
    midge_prop_unusual(w, PROP_TOPIC_ALIAS_MAXIMUM, l->alias_in);
    midge_prop_unusual(w, PROP_WILDCARD_AVAILABLE, l->wildcards); /* [U5-3.2.2.3.11-13] */
    midge_prop_unusual(w, PROP_SUBSCRIPTION_ID_AVAILABLE, l->subscription_ids);
    midge_prop_unusual(w, PROP_SHARED_AVAILABLE, MIDGE_SHARED && l->shared);
    /* The host may have chosen another than the one that was made up [MQTT-3.1.3-7]. */
    if (midge_names_assigned(c->names).len)
        midge_prop_string(w, PROP_ASSIGNED_ID, midge_session_id(c->session));
    if (MIDGE_AUTH)
        midge_prop_string(w, PROP_AUTH_METHOD, midge_names_method(c->names)); /* [MQTT-4.12.0-5] */
}

static void put_props(struct midge_wr *w, const void *from)
{
    const struct connack *a = from;
    if (a->pk)
        put_terms(w, a->c, a->pk);
    midge_prop_string(w, PROP_REASON_STRING, a->reason_string);
    if (MIDGE_AUTH && a->auth_data)
        midge_prop_string(w, PROP_AUTH_DATA, *a->auth_data);
    if (a->server_reference)
        midge_prop_string(w, PROP_SERVER_REFERENCE, *a->server_reference);
}

static void encode_connack(struct midge_wr *w, const struct midge_conn *c, const void *arg)
{
    (void)c;
    midge_encode_connack(w, arg);
}

#define PROPS (MIDGE_V5 ? put_props : NULL)

void midge_send_connack(struct midge_conn *c, const struct midge_connect *pk, bool session_present,
                        const struct midge_slice *auth_data)
{
    struct connack a = { .head = { .version = c->version, .session_present = session_present, .props = PROPS },
                         .c = c,
                         .pk = pk,
                         .auth_data = auth_data };
    if (!midge_conn_send(c, encode_connack, &a))
        midge_conn_break(c, MIDGE_RC_PACKET_TOO_LARGE);
}

/* 3.x has codes for what a broker decides, silence for what a client breaks [MQTT311-3.2.2-6]. */
static bool has_v3_code(uint8_t reason)
{
    return reason != MIDGE_RC_MALFORMED && reason != MIDGE_RC_PROTOCOL_ERROR && reason != MIDGE_RC_PACKET_TOO_LARGE &&
           reason != MIDGE_RC_TOPIC_NAME_INVALID;
}

void midge_connect_refuse(struct midge_conn *c, uint8_t reason, const struct midge_slice *server_reference)
{
    /* Session Present 0 [MQTT-3.2.2-6] [MQTT311-3.2.2-4] */
    struct connack a = { .head = { .version = c->version, .reason = reason, .props = PROPS },
                         .server_reference = server_reference };
    if (c->version && (c->version == MIDGE_V50 || has_v3_code(reason)))
        midge_conn_send_text(c, encode_connack, &a, &a.reason_string, reason); /* [MQTT-3.2.2-19] */
    midge_conn_tell(c, MIDGE_EV_REFUSED, reason);
    midge_conn_end(c, reason); /* [MQTT-3.2.2-7] [MQTT311-3.2.2-5] */
}
