/* control.c - PINGREQ, PINGRESP, DISCONNECT, AUTH: what keeps, proves and ends a connection. */
#include "codec/packet.h"

static unsigned where_lawful(enum midge_packet type, bool from_client)
{
    if (from_client)
        return MIDGE_IN(type);
    return type == PK_AUTH ? MIDGE_IN_SERVER_AUTH : MIDGE_IN_SERVER_DISCONNECT;
}

static enum midge_reason check(enum midge_packet type, bool from_client, const struct midge_control *p)
{
    if (!midge_reason_lawful(p->reason, where_lawful(type, from_client)))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.14.2-1] [MQTT-3.15.2-1] */
    if (type == PK_AUTH && !midge_props_has(&p->props, PROP_AUTH_METHOD))
        return MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.15-nomethod] */
    if (!from_client && midge_props_has(&p->props, PROP_SESSION_EXPIRY))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.14.2-2] */
    return MIDGE_RC_SUCCESS;
}

enum midge_reason midge_decode_control(enum midge_packet type, struct midge_slice body, uint8_t version,
                                       bool from_client, struct midge_control *out)
{
    struct midge_rd r;
    midge_rd_init(&r, body);
    out->reason = MIDGE_RC_SUCCESS; /* also when it is left out [U5-3.14.2.1-default] */
    out->props = (struct midge_props){ 0 };
    if (!MIDGE_V5 || version != MIDGE_V50)
        return type == PK_DISCONNECT && body.len == 0 ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED;

    if (body.len > 0)
        out->reason = midge_rd_u8(&r);
    if (body.len > 1 || (body.len == 1 && type == PK_AUTH)) {
        enum midge_reason rc = midge_props_read(&r, version, MIDGE_IN(type), &out->props);
        if (rc != MIDGE_RC_SUCCESS)
            return rc;
    }
    return midge_rd_done(&r) ? check(type, from_client, out) : MIDGE_RC_MALFORMED;
}

static void control_props(struct midge_wr *w, const void *from)
{
    const struct midge_control_out *p = from;
    if (p->has_session_expiry)
        midge_prop_number(w, PROP_SESSION_EXPIRY, p->session_expiry_s);
    midge_prop_string(w, PROP_AUTH_METHOD, p->auth_method);
    midge_prop_string(w, PROP_AUTH_DATA, p->auth_data);
    midge_prop_string(w, PROP_REASON_STRING, p->reason_string);
    midge_prop_string(w, PROP_SERVER_REFERENCE, p->server_reference);
}

static void control_body(struct midge_wr *w, const void *from)
{
    const struct midge_control_out *p = from;
    struct midge_wr props;
    midge_wr_init(&props, NULL, 0, 0);
    control_props(&props, p);
    if (p->reason != MIDGE_RC_SUCCESS || props.total > 0)
        midge_wr_u8(w, p->reason);
    if (props.total > 0)
        midge_write_sized(w, control_props, p);
}

static void write_empty(struct midge_wr *w, enum midge_packet type)
{
    midge_wr_u8(w, (uint8_t)(type << 4));
    midge_wr_u8(w, 0);
}

void midge_encode_control(struct midge_wr *w, enum midge_packet type, uint8_t version,
                          const struct midge_control_out *p)
{
    if (!MIDGE_V5 || version != MIDGE_V50) {
        write_empty(w, type);
        return;
    }
    midge_wr_u8(w, (uint8_t)(type << 4)); /* [MQTT-3.14.1-1] [MQTT-3.15.1-1] */
    midge_write_sized(w, control_body, p);
}

void midge_encode_ping(struct midge_wr *w, enum midge_packet type)
{
    write_empty(w, type);
}
