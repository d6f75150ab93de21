/* connect.c - CONNECT and CONNACK: three versions in, one struct out, and the way back. */
#include "codec/packet.h"

#include "base/slice.h"

enum flags {
    FLAG_RESERVED = 0x01,
    FLAG_CLEAN_START = 0x02,
    FLAG_WILL = 0x04,
    FLAG_WILL_QOS = 0x18,
    FLAG_WILL_RETAIN = 0x20,
    FLAG_PASSWORD = 0x40,
    FLAG_USERNAME = 0x80
};

#define BRIDGE 0x80 /* bit of the protocol level */
#define WILL_QOS_SHIFT 3
#define SESSION_PRESENT 0x01

/* ---- CONNECT in --------------------------------------------------------------------------------------- */

static bool is_name(struct midge_slice name, const char *wanted)
{
    return midge_slice_equal(name, midge_slice_str(wanted));
}

static enum midge_reason read_version(struct midge_rd *r, struct midge_connect *out)
{
    struct midge_slice name;
    midge_rd_binary(r, &name);
    uint8_t level = midge_rd_u8(r);
    if (!midge_rd_ok(r))
        return MIDGE_RC_MALFORMED;

    uint8_t plain = level & (uint8_t)~BRIDGE;
    bool v31 = is_name(name, "MQIsdp"); /* [V31-name] */
    if (!v31 && !is_name(name, "MQTT"))
        return MIDGE_RC_UNSUPPORTED_VERSION; /* [MQTT-3.1.2-1] [MQTT311-3.1.2-1] */

    out->version = v31 ? MIDGE_V31 : MIDGE_V5 && plain >= MIDGE_V50 ? MIDGE_V50 : MIDGE_V311;
    out->bridge = level != plain;
    if (plain != out->version || (out->bridge && plain == MIDGE_V50))
        return MIDGE_RC_UNSUPPORTED_VERSION; /* [MQTT-3.1.2-2] [MQTT311-3.1.2-2] */
    return MIDGE_RC_SUCCESS;
}

static bool flags_lawful(unsigned flags, uint8_t version)
{
    if ((flags & FLAG_WILL) && (flags & FLAG_WILL_QOS) == FLAG_WILL_QOS)
        return false; /* [MQTT-3.1.2-12] [MQTT311-3.1.2-14] */
    if (version < MIDGE_V50 && (flags & FLAG_PASSWORD) && !(flags & FLAG_USERNAME))
        return false; /* [MQTT311-3.1.2-22] */
    if (version == MIDGE_V31)
        return true; /* 3.1 disregards the bits that it does not use */
    if (flags & FLAG_RESERVED)
        return false; /* [MQTT-3.1.2-3] [MQTT311-3.1.2-3] */
    if (!(flags & FLAG_WILL) && (flags & (FLAG_WILL_QOS | FLAG_WILL_RETAIN)))
        return false; /* [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT311-3.1.2-13] [MQTT311-3.1.2-15] */
    return true;
}

static enum midge_reason read_props(struct midge_rd *r, struct midge_connect *out)
{
    enum midge_reason rc = midge_props_read(r, out->version, MIDGE_IN(PK_CONNECT), &out->props);
    if (MIDGE_V5 && out->version == MIDGE_V50)
        out->session_expiry_s = midge_props_number(&out->props, PROP_SESSION_EXPIRY);
    else
        out->session_expiry_s = out->clean_start ? 0 : UINT32_MAX; /* [MQTT311-3.1.2-4] [MQTT311-3.1.2-6] */
    return rc;
}

static enum midge_reason read_will(struct midge_rd *r, struct midge_connect *out, unsigned flags)
{
    if (!(flags & FLAG_WILL))
        return MIDGE_RC_SUCCESS;
    if (!MIDGE_WILL)
        return MIDGE_RC_IMPLEMENTATION_SPECIFIC;
    out->has_will = true;
    out->will_retain = (flags & FLAG_WILL_RETAIN) != 0;
    out->will_qos = (uint8_t)((flags & FLAG_WILL_QOS) >> WILL_QOS_SHIFT);

    enum midge_reason rc = midge_props_read(r, out->version, MIDGE_IN_WILL, &out->will_props);
    midge_rd_string(r, &out->will_topic);   /* [MQTT-3.1.3-11] [MQTT311-3.1.3-10] */
    midge_rd_binary(r, &out->will_payload); /* [MQTT-3.1.2-9] [MQTT311-3.1.2-9] */
    if (!midge_rd_ok(r))
        return MIDGE_RC_MALFORMED;
    /* [MQTT-4.7.0-1] [MQTT-3.3.2-14] [MQTT311-4.7.1-1] [MQTT311-4.7.3-1] */
    if (rc == MIDGE_RC_SUCCESS &&
        !(midge_topic_name_ok(out->will_topic) && midge_response_topic_ok(&out->will_props)))
        rc = MIDGE_RC_TOPIC_NAME_INVALID;
    return rc;
}

/* User name or password. */
static bool is_there(const struct midge_rd *r, unsigned flag, uint8_t version)
{
    return flag && !(version == MIDGE_V31 && midge_rd_left(r) == 0); /* [V31-userpass] */
}

/* [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT-3.1.3-12] [MQTT311-3.1.2-19] [MQTT311-3.1.2-21] [MQTT311-3.1.3-11] */
static void read_login(struct midge_rd *r, struct midge_connect *out, unsigned flags)
{
    out->has_username = is_there(r, flags & FLAG_USERNAME, out->version);
    if (out->has_username)
        midge_rd_string(r, &out->username);
    out->has_password = is_there(r, flags & FLAG_PASSWORD, out->version);
    if (out->has_password)
        midge_rd_binary(r, &out->password);
}

enum midge_reason midge_decode_connect(struct midge_slice body, struct midge_connect *out)
{
    struct midge_rd r;
    midge_rd_init(&r, body);
    *out = (struct midge_connect){ 0 };
    enum midge_reason rc = read_version(&r, out);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;

    uint8_t flags = midge_rd_u8(&r);
    out->clean_start = (flags & FLAG_CLEAN_START) != 0;
    out->keepalive_s = midge_rd_u16(&r);
    if (!flags_lawful(flags, out->version))
        return MIDGE_RC_MALFORMED;

    rc = read_props(&r, out);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    midge_rd_string(&r, &out->client_id); /* [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4] */
    rc = read_will(&r, out, flags);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    read_login(&r, out, flags);
    /* nothing that no flag announced [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT311-3.1.2-18] [MQTT311-3.1.2-20] */
    return midge_rd_done(&r) ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED;
}

/* ---- CONNACK in --------------------------------------------------------------------------------------- */

/* 3.x return codes 0 to 5. */
static const uint8_t return_codes[] = {
    MIDGE_RC_SUCCESS,
    MIDGE_RC_UNSUPPORTED_VERSION,
    MIDGE_RC_CLIENT_ID_NOT_VALID,
    MIDGE_RC_SERVER_UNAVAILABLE,
    MIDGE_RC_BAD_USER_NAME_OR_PASSWORD,
    MIDGE_RC_NOT_AUTHORIZED,
};

static bool read_return_code(struct midge_rd *r, uint8_t *reason)
{
    uint8_t code = midge_rd_u8(r);
    if (!midge_rd_done(r) || code >= sizeof return_codes)
        return false;
    *reason = return_codes[code];
    return true;
}

static void take_props(struct midge_connack *out, const struct midge_props *p)
{
    out->has_session_expiry = midge_props_has(p, PROP_SESSION_EXPIRY);
    out->session_expiry_s = midge_props_number(p, PROP_SESSION_EXPIRY);
    out->has_server_keep_alive = midge_props_has(p, PROP_SERVER_KEEP_ALIVE);
    out->server_keep_alive_s = (uint16_t)midge_props_number(p, PROP_SERVER_KEEP_ALIVE);
    out->receive_maximum = (uint16_t)midge_props_number(p, PROP_RECEIVE_MAXIMUM);
    out->maximum_qos = (uint8_t)midge_props_number(p, PROP_MAXIMUM_QOS);
    out->no_retain = !midge_props_number(p, PROP_RETAIN_AVAILABLE);
    out->no_wildcards = !midge_props_number(p, PROP_WILDCARD_AVAILABLE);
    out->no_subscription_ids = !midge_props_number(p, PROP_SUBSCRIPTION_ID_AVAILABLE);
    out->no_shared = !midge_props_number(p, PROP_SHARED_AVAILABLE);
    out->maximum_packet_size = midge_props_number(p, PROP_MAXIMUM_PACKET_SIZE);
    out->topic_alias_maximum = (uint16_t)midge_props_number(p, PROP_TOPIC_ALIAS_MAXIMUM);
    out->assigned_id = midge_props_text(p, PROP_ASSIGNED_ID);
    out->reason_string = midge_props_text(p, PROP_REASON_STRING);
    out->auth_method = midge_props_text(p, PROP_AUTH_METHOD);
    out->auth_data = midge_props_text(p, PROP_AUTH_DATA);
    out->server_reference = midge_props_text(p, PROP_SERVER_REFERENCE);
    out->response_info = midge_props_text(p, PROP_RESPONSE_INFO);
}

enum midge_reason midge_decode_connack(struct midge_slice body, uint8_t version, struct midge_connack *out,
                                       struct midge_props *props)
{
    struct midge_rd r;
    midge_rd_init(&r, body);
    *out = (struct midge_connack){ .version = version };
    *props = (struct midge_props){ 0 };
    uint8_t flags = midge_rd_u8(&r);
    enum midge_reason rc = MIDGE_RC_SUCCESS;
    if (MIDGE_V5 && version == MIDGE_V50 && body.len != 2) {
        out->reason = midge_rd_u8(&r);
        rc = midge_props_read(&r, version, MIDGE_IN(PK_CONNACK), props);
    } else if (!read_return_code(&r, &out->reason)) { /* 2 bytes: so refuses a server that knows 3.x only */
        return MIDGE_RC_MALFORMED;
    }
    take_props(out, props);
    if (version == MIDGE_V31)
        flags = 0; /* reserved [V31-connack] */
    out->session_present = (flags & SESSION_PRESENT) != 0;

    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (!midge_rd_done(&r) || (flags & ~SESSION_PRESENT))
        return MIDGE_RC_MALFORMED; /* [MQTT-3.2.2-1] */
    if (out->session_present && out->reason != MIDGE_RC_SUCCESS)
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.2.2-6] [MQTT311-3.2.2-4] */
    if (!midge_reason_lawful(out->reason, MIDGE_IN(PK_CONNACK)))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.2.2-8] */
    return MIDGE_RC_SUCCESS;
}

/* ---- CONNACK out -------------------------------------------------------------------------------------- */

static void connack_body(struct midge_wr *w, const void *from)
{
    const struct midge_connack_out *p = from;
    bool v5 = MIDGE_V5 && p->version == MIDGE_V50;
    midge_wr_u8(w, p->session_present && p->version != MIDGE_V31); /* [MQTT-3.2.2-1] [V31-connack] */
    midge_wr_u8(w, v5 ? p->reason : midge_reason_connack_v3(p->reason));
    if (MIDGE_V5 && v5)
        midge_write_sized(w, p->props, p);
}

void midge_encode_connack(struct midge_wr *w, const struct midge_connack_out *p)
{
    midge_wr_u8(w, PK_CONNACK << 4);
    midge_write_sized(w, connack_body, p);
}

/* ---- CONNECT out -------------------------------------------------------------------------------------- */

static unsigned connect_flags(const struct midge_connect *p)
{
    unsigned flags = p->clean_start ? FLAG_CLEAN_START : 0;
    if (p->has_will)
        flags |= FLAG_WILL | (unsigned)p->will_qos << WILL_QOS_SHIFT;
    if (p->has_will && p->will_retain)
        flags |= FLAG_WILL_RETAIN;
    return flags | (p->has_username ? FLAG_USERNAME : 0u) | (p->has_password ? FLAG_PASSWORD : 0u);
}

static void put_section(struct midge_wr *w, uint8_t version, struct midge_slice section)
{
    if (version != MIDGE_V50)
        return;
    midge_wr_varint(w, section.len);
    midge_wr_bytes(w, section);
}

static void connect_body(struct midge_wr *w, const void *from)
{
    const struct midge_connect *p = from;
    midge_wr_string(w, midge_slice_str(p->version == MIDGE_V31 ? "MQIsdp" : "MQTT"));
    midge_wr_u8(w, (uint8_t)(p->version | (p->bridge ? BRIDGE : 0)));
    midge_wr_u8(w, (uint8_t)connect_flags(p));
    midge_wr_u16(w, p->keepalive_s);
    put_section(w, p->version, p->props.section);
    midge_wr_string(w, p->client_id); /* [MQTT-3.1.3-1] [MQTT311-3.1.3-1] */
    if (p->has_will) {
        put_section(w, p->version, p->will_props.section);
        midge_wr_string(w, p->will_topic);
        midge_wr_string(w, p->will_payload);
    }
    if (p->has_username)
        midge_wr_string(w, p->username);
    if (p->has_password)
        midge_wr_string(w, p->password);
}

void midge_encode_connect(struct midge_wr *w, const struct midge_connect *p)
{
    midge_wr_u8(w, PK_CONNECT << 4);
    midge_write_sized(w, connect_body, p);
}
