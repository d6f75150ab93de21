/* test_connect.c - CONNECT and CONNACK of three versions. */
#include "codec/packet.h"
#include "wire.h"

static struct midge_slice last; /* what decode() kept */

/* Decodes from a block of its own, to be freed by the caller where slices are looked at. */
static enum midge_reason decode(struct midge_slice body, struct midge_connect *out, struct midge_slice *keep)
{
    struct midge_slice copy = wire_copy(body);
    memset(out, 1, sizeof *out); /* what is not set is seen */
    enum midge_reason rc = midge_decode_connect(copy, out);
    if (keep) {
        *keep = copy;
        return rc;
    }
    wire_free(last); /* values are read out of the section when they are asked for: it lives until the next call */
    last = copy;
    return rc;
}

#define MQTT4 0, 4, 'M', 'Q', 'T', 'T', 4
#define MQTT5 0, 4, 'M', 'Q', 'T', 'T', 5
#define MQISDP 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3

/* All fields: will QoS 2 retained, user name, password. */
#define FIELDS 0, 2, 'i', 'd', 0, 3, 'w', '/', 't', 0, 2, 0, 0xFF, 0, 1, 'u', 0, 2, 0, 0xFE
#define FIELDS5                                                                                              \
    0, 2, 'i', 'd', 5, 0x18, 0, 0, 0, 7, 0, 3, 'w', '/', 't', 0, 2, 0, 0xFF, 0, 1, 'u', 0, 2, 0, 0xFE

SPEC("MQTT-3.1.3-1", "MQTT-3.1.2-9", "MQTT-3.1.2-17", "MQTT-3.1.2-19", "MQTT311-3.1.3-1", "MQTT311-3.1.2-9",
     "V31-name")
static void every_field_lands_in_its_place(void **state)
{
    (void)state;
    const struct midge_slice bodies[] = {
        BYTES(MQISDP, 0xF6, 0x12, 0x34, FIELDS),
        BYTES(MQTT4, 0xF6, 0x12, 0x34, FIELDS),
        BYTES(MQTT5, 0xF6, 0x12, 0x34, 5, 0x11, 0, 0, 0, 9, FIELDS5),
    };
    for (uint8_t i = 0; i < COUNT(bodies); i++) {
        struct midge_connect c;
        struct midge_slice keep;
        assert_int_equal(decode(bodies[i], &c, &keep), MIDGE_RC_SUCCESS);
        assert_int_equal(c.version, i + 3);
        assert_false(c.bridge);
        assert_true(c.clean_start);
        assert_true(c.has_will && c.will_retain && c.has_username && c.has_password);
        assert_int_equal(c.will_qos, 2);
        assert_int_equal(c.keepalive_s, 0x1234);
        assert_slice(c.client_id, TEXT("id"));
        assert_slice(c.will_topic, TEXT("w/t"));
        assert_slice(c.will_payload, BYTES(0, 0xFF));
        assert_slice(c.username, TEXT("u"));
        assert_slice(c.password, BYTES(0, 0xFE));
        assert_int_equal(c.session_expiry_s, c.version == 5 ? 9 : 0);
        assert_int_equal(midge_props_number(&c.will_props, PROP_WILL_DELAY), c.version == 5 ? 7 : 0);
        assert_int_equal(midge_props_number(&c.props, PROP_RECEIVE_MAXIMUM), 65535);
        wire_free(keep);
    }
}

SPEC("MQTT311-3.1.2-4", "MQTT311-3.1.2-6")
static void clean_session_becomes_an_expiry(void **state)
{
    (void)state;
    struct midge_connect c;
    assert_int_equal(decode(BYTES(MQTT4, 0, 0, 0, 0, 0), &c, NULL), MIDGE_RC_SUCCESS);
    assert_false(c.clean_start);
    assert_int_equal(c.session_expiry_s, UINT32_MAX);
    assert_int_equal(decode(BYTES(MQISDP, 2, 0, 0, 0, 0), &c, NULL), MIDGE_RC_SUCCESS);
    assert_int_equal(c.session_expiry_s, 0);
    assert_int_equal(decode(BYTES(MQTT5, 0, 0, 0, 0, 0, 0), &c, NULL), MIDGE_RC_SUCCESS);
    assert_int_equal(c.session_expiry_s, 0);
}

static void connect_properties_are_read(void **state)
{
    (void)state;
    struct midge_connect c;
    assert_int_equal(decode(BYTES(MQTT5, 2, 0, 60, 25, 0x21, 0, 10, 0x27, 0, 1, 0, 0, 0x22, 0, 5, 0x19, 1,
                                  0x17, 0, 0x15, 0, 1, 'm', 0x16, 0, 1, 'd', 0, 0),
                            &c, NULL),
                     MIDGE_RC_MALFORMED); /* the length is one too large: it takes a byte of the client id */
    assert_int_equal(decode(BYTES(MQTT5, 2, 0, 60, 23, 0x21, 0, 10, 0x27, 0, 1, 0, 0, 0x22, 0, 5, 0x19, 1,
                                  0x17, 0, 0x15, 0, 1, 'm', 0x16, 0, 1, 'd', 0, 0),
                            &c, NULL),
                     MIDGE_RC_SUCCESS);
    assert_int_equal(midge_props_number(&c.props, PROP_RECEIVE_MAXIMUM), 10);
    assert_int_equal(midge_props_number(&c.props, PROP_MAXIMUM_PACKET_SIZE), 65536);
    assert_int_equal(midge_props_number(&c.props, PROP_TOPIC_ALIAS_MAXIMUM), 5);
    assert_int_equal(midge_props_number(&c.props, PROP_REQUEST_RESPONSE), 1);
    assert_int_equal(midge_props_number(&c.props, PROP_REQUEST_PROBLEM), 0);
    assert_int_equal(midge_props_text(&c.props, PROP_AUTH_METHOD).len, 1);
    assert_int_equal(c.client_id.len, 0);
    assert_int_equal(midge_props_number(&c.will_props, PROP_REQUEST_PROBLEM), 1); /* no will: the defaults */
}

struct versioned {
    struct midge_slice body;
    uint8_t version;
    bool bridge;
    enum midge_reason rc;
};

SPEC("MQTT-3.1.2-1", "MQTT-3.1.2-2", "MQTT311-3.1.2-1", "MQTT311-3.1.2-2", "V31-name")
static void names_levels_and_the_bridge_bit(void **state)
{
    (void)state;
#define REST 2, 0, 0, 0, 0
    const struct versioned rows[] = {
        { BYTES(0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 0x83, REST), 3, true, MIDGE_RC_SUCCESS },
        { BYTES(0, 4, 'M', 'Q', 'T', 'T', 0x84, REST), 4, true, MIDGE_RC_SUCCESS },
        { BYTES(0, 4, 'M', 'Q', 'T', 'T', 0x85, 2, 0, 0, 0, 0, 0), 5, true, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 4, 'M', 'Q', 'T', 'T', 6, REST), 5, false, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 4, 'M', 'Q', 'T', 'T', 0x7F), 5, false, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 4, 'M', 'Q', 'T', 'T', 3, REST), 4, false, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 4, 'M', 'Q', 'T', 'T', 0, REST), 4, false, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 4, REST), 3, false, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 4, 'M', 'Q', 'T', 'X', 4, REST), 0, false, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 4, 'm', 'q', 't', 't', 4, REST), 0, false, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 0, 4, REST), 0, false, MIDGE_RC_UNSUPPORTED_VERSION },
        { BYTES(0, 5, 'M', 'Q', 'T', 'T', 'S', 4, REST), 0, false, MIDGE_RC_UNSUPPORTED_VERSION },
    };
#undef REST
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_connect c;
        assert_int_equal(decode(rows[i].body, &c, NULL), rows[i].rc);
        assert_int_equal(c.version, rows[i].version);
        if (c.version)
            assert_int_equal(c.bridge, rows[i].bridge);
    }
}

/* Flags against what each version makes of them; the body carries the fields that the flags announce. */
static enum midge_reason decode_flags(uint8_t version, unsigned flags, struct midge_connect *c)
{
    uint8_t bytes[64];
    struct midge_wr w;
    midge_wr_init(&w, bytes, sizeof bytes, 0);
    midge_wr_string(&w, version == 3 ? TEXT("MQIsdp") : TEXT("MQTT"));
    midge_wr_u8(&w, version);
    midge_wr_u8(&w, (uint8_t)flags);
    midge_wr_u16(&w, 10);
    if (version == 5)
        midge_wr_u8(&w, 0);
    midge_wr_string(&w, TEXT("id"));
    if (flags & 0x04) {
        if (version == 5)
            midge_wr_u8(&w, 0);
        midge_wr_string(&w, TEXT("will"));
        midge_wr_string(&w, TEXT("gone"));
    }
    if (flags & 0x80)
        midge_wr_string(&w, TEXT("user"));
    if (flags & 0x40)
        midge_wr_string(&w, TEXT("pass"));
    return decode(midge_slice_of(bytes, w.total), c, NULL);
}

SPEC("MQTT-3.1.2-3", "MQTT-3.1.2-11", "MQTT-3.1.2-12", "MQTT-3.1.2-13", "MQTT311-3.1.2-3", "MQTT311-3.1.2-11",
     "MQTT311-3.1.2-13", "MQTT311-3.1.2-14", "MQTT311-3.1.2-15", "MQTT311-3.1.2-22", "MQTT-3.1.2-19")
static void all_256_flag_bytes(void **state)
{
    (void)state;
    for (uint8_t version = 3; version <= 5; version++) {
        for (unsigned flags = 0; flags < 256; flags++) {
            bool will = flags & 0x04, user = flags & 0x80, password = flags & 0x40;
            bool bad = will && (flags & 0x18) == 0x18;
            bad = bad || (version != 3 && ((flags & 0x01) || (!will && (flags & 0x38))));
            bad = bad || (version != 5 && password && !user);
            struct midge_connect c;
            enum midge_reason rc = decode_flags(version, flags, &c);
            assert_int_equal(rc, bad ? MIDGE_RC_MALFORMED : MIDGE_RC_SUCCESS);
            if (rc != MIDGE_RC_SUCCESS)
                continue;
            assert_int_equal(c.clean_start, (flags & 0x02) != 0);
            assert_int_equal(c.has_will, will);
            assert_int_equal(c.will_qos, will ? flags >> 3 & 3 : 0);
            assert_int_equal(c.will_retain, will && (flags & 0x20));
            assert_int_equal(c.has_username, user);
            assert_int_equal(c.has_password, password);
        }
    }
}

SPEC("MQTT-3.1.2-16", "MQTT-3.1.2-18", "MQTT311-3.1.2-18", "MQTT311-3.1.2-20")
static void bytes_that_no_flag_announces_are_malformed(void **state)
{
    (void)state;
    const struct midge_slice bodies[] = {
        BYTES(MQTT4, 2, 0, 0, 0, 0, 0),
        BYTES(MQTT4, 2, 0, 0, 0, 0, 0, 1, 'u'),
        BYTES(MQTT4, 0x82, 0, 0, 0, 0, 0, 1, 'u', 0, 1, 'p'),
        BYTES(MQISDP, 2, 0, 0, 0, 0, 0, 1, 'u'),
        BYTES(MQTT5, 2, 0, 0, 0, 0, 0, 0, 1, 'u'),
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct midge_connect c;
        assert_int_equal(decode(bodies[i], &c, NULL), MIDGE_RC_MALFORMED);
    }
}

SPEC("V31-userpass")
static void mqtt31_may_leave_out_user_name_and_password(void **state)
{
    (void)state;
    struct midge_connect c;
    assert_int_equal(decode(BYTES(MQISDP, 0xC2, 0, 0, 0, 1, 'i'), &c, NULL), MIDGE_RC_SUCCESS);
    assert_false(c.has_username || c.has_password);
    assert_int_equal(decode(BYTES(MQISDP, 0xC2, 0, 0, 0, 1, 'i', 0, 1, 'u'), &c, NULL), MIDGE_RC_SUCCESS);
    assert_true(c.has_username && !c.has_password);
    assert_int_equal(decode(BYTES(MQISDP, 0xC2, 0, 0, 0, 1, 'i', 0), &c, NULL), MIDGE_RC_MALFORMED);
    assert_int_equal(decode(BYTES(MQTT4, 0xC2, 0, 0, 0, 1, 'i'), &c, NULL), MIDGE_RC_MALFORMED);
    assert_int_equal(decode(BYTES(MQTT5, 0xC2, 0, 0, 0, 0, 1, 'i'), &c, NULL), MIDGE_RC_MALFORMED);
}

struct bad {
    struct midge_slice body;
    enum midge_reason rc;
};

SPEC("MQTT-3.1.3-4", "MQTT-3.1.3-11", "MQTT-3.1.3-12", "MQTT311-3.1.3-4", "MQTT311-3.1.3-10",
     "MQTT311-3.1.3-11", "MQTT-4.7.0-1", "MQTT-4.7.3-1", "MQTT-2.2.2-1", "U5-3.1.2.11.10-nomethod",
     "V31-utf8")
static void bad_texts_topics_and_properties(void **state)
{
    (void)state;
    const struct bad rows[] = {
        { BYTES(MQTT4, 2, 0, 0, 0, 1, 0xFF), MIDGE_RC_MALFORMED },
        { BYTES(MQISDP, 2, 0, 0, 0, 1, 0), MIDGE_RC_MALFORMED },
        { BYTES(MQTT4, 6, 0, 0, 0, 0, 0, 2, 0xC0, 0x80, 0, 0), MIDGE_RC_MALFORMED },
        { BYTES(MQTT4, 0x82, 0, 0, 0, 0, 0, 1, 0xFF), MIDGE_RC_MALFORMED },
        { BYTES(MQTT4, 6, 0, 0, 0, 0, 0, 1, '#', 0, 0), MIDGE_RC_TOPIC_NAME_INVALID },
        { BYTES(MQISDP, 6, 0, 0, 0, 0, 0, 3, 'a', '/', '+', 0, 0), MIDGE_RC_TOPIC_NAME_INVALID },
        { BYTES(MQTT4, 6, 0, 0, 0, 0, 0, 0, 0, 0), MIDGE_RC_TOPIC_NAME_INVALID },
        { BYTES(MQTT5, 6, 0, 0, 0, 0, 0, 4, 0x08, 0, 1, '+', 0, 1, 'w', 0, 0), MIDGE_RC_TOPIC_NAME_INVALID },
        { BYTES(MQTT5, 6, 0, 0, 0, 0, 0, 3, 0x23, 0, 1, 0, 1, 'w', 0, 0), MIDGE_RC_MALFORMED },
        { BYTES(MQTT5, 6, 0, 0, 0, 0, 0, 4, 0x01, 1, 0x01, 1, 0, 1, 'w', 0, 0), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(MQTT5, 2, 0, 0, 4, 0x16, 0, 1, 'd', 0, 0), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(MQTT5, 2, 0, 0, 3, 0x21, 0, 0, 0, 0), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(MQTT5, 2, 0, 0), MIDGE_RC_MALFORMED },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_connect c;
        assert_int_equal(decode(rows[i].body, &c, NULL), rows[i].rc);
    }
}

SPEC("MQTT-3.1.4-1", "MQTT311-3.1.4-1", "MQTT-3.1.3-3", "MQTT311-3.1.3-3", "U5-truncated")
static void each_truncation_fails_cleanly(void **state)
{
    (void)state;
    const struct midge_slice bodies[] = {
        BYTES(MQISDP, 0xF6, 0x12, 0x34, FIELDS),
        BYTES(MQTT4, 0xF6, 0x12, 0x34, FIELDS),
        BYTES(MQTT5, 0xF6, 0x12, 0x34, 9, 0x15, 0, 1, 'm', 0x11, 0, 0, 0, 9, FIELDS5),
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        for (uint32_t n = 0; n < bodies[i].len; n++) {
            struct midge_slice cut = wire_prefix(bodies[i], n);
            struct midge_connect c;
            uint32_t left = bodies[i].len - n; /* 3.1: without password, or without both */
            bool lawful = i == 0 && (left == 4 || left == 7);
            assert_int_equal(midge_decode_connect(cut, &c), lawful ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED);
            wire_free(cut);
        }
    }
}

/* ---- CONNECT out -------------------------------------------------------------------------------------- */

static void encode_connect(struct midge_wr *w, const void *from)
{
    midge_encode_connect(w, from);
}

static void what_is_written_is_what_is_read(void **state)
{
    (void)state;
    for (uint8_t version = 3; version <= 5; version++) {
        struct midge_connect c = {
            .version = version,
            .bridge = version != 5,
            .clean_start = true,
            .has_will = true,
            .will_retain = true,
            .will_qos = 1,
            .has_username = true,
            .has_password = true,
            .keepalive_s = 0x1234,
            .client_id = TEXT("me"),
            .will_topic = TEXT("w"),
            .will_payload = TEXT("gone"),
            .username = TEXT("user"),
            .password = BYTES(0, 1),
            .props = { .section = BYTES(0x11, 0, 0, 0, 9) },
            .will_props = { .section = BYTES(0x18, 0, 0, 0, 7) },
        };
        struct midge_slice got = wire_encode(encode_connect, &c);
        assert_int_equal(got.data[0], 0x10);
        struct midge_connect back;
        assert_int_equal(decode(wire_body(got), &back, NULL), MIDGE_RC_SUCCESS);
        assert_int_equal(midge_decode_connect(wire_body(got), &back), MIDGE_RC_SUCCESS);
        assert_int_equal(back.version, version);
        assert_int_equal(back.bridge, c.bridge);
        assert_true(back.clean_start && back.has_will && back.will_retain);
        assert_int_equal(back.will_qos, 1);
        assert_int_equal(back.keepalive_s, 0x1234);
        assert_slice(back.client_id, c.client_id);
        assert_slice(back.will_topic, c.will_topic);
        assert_slice(back.will_payload, c.will_payload);
        assert_slice(back.username, c.username);
        assert_slice(back.password, c.password);
        assert_int_equal(back.session_expiry_s, version == 5 ? 9 : 0);
        assert_int_equal(midge_props_number(&back.will_props, PROP_WILL_DELAY), version == 5 ? 7 : 0);
        wire_free(got);
    }
    struct midge_connect least = { .version = 4 };
    struct midge_slice got = wire_encode(encode_connect, &least);
    assert_slice(got, BYTES(0x10, 12, MQTT4, 0, 0, 0, 0, 0));
    wire_free(got);
}

/* ---- CONNACK ------------------------------------------------------------------------------------------- */

struct connack {
    struct midge_connack_out head;
    const struct midge_connack *p;
};

static void connack_props(struct midge_wr *w, const void *from)
{
    const struct midge_connack *p = ((const struct connack *)from)->p;
    if (p->has_session_expiry)
        midge_prop_number(w, PROP_SESSION_EXPIRY, p->session_expiry_s);
    midge_prop_unusual(w, PROP_RECEIVE_MAXIMUM, p->receive_maximum);
    midge_prop_unusual(w, PROP_MAXIMUM_QOS, p->maximum_qos);
    midge_prop_unusual(w, PROP_RETAIN_AVAILABLE, !p->no_retain);
    midge_prop_unusual(w, PROP_MAXIMUM_PACKET_SIZE, p->maximum_packet_size);
    midge_prop_unusual(w, PROP_TOPIC_ALIAS_MAXIMUM, p->topic_alias_maximum);
    midge_prop_unusual(w, PROP_WILDCARD_AVAILABLE, !p->no_wildcards);
    midge_prop_unusual(w, PROP_SUBSCRIPTION_ID_AVAILABLE, !p->no_subscription_ids);
    midge_prop_unusual(w, PROP_SHARED_AVAILABLE, !p->no_shared);
    if (p->has_server_keep_alive)
        midge_prop_number(w, PROP_SERVER_KEEP_ALIVE, p->server_keep_alive_s);
    midge_prop_string(w, PROP_ASSIGNED_ID, p->assigned_id);
    midge_prop_string(w, PROP_REASON_STRING, p->reason_string);
    midge_prop_string(w, PROP_AUTH_METHOD, p->auth_method);
    midge_prop_string(w, PROP_AUTH_DATA, p->auth_data);
    midge_prop_string(w, PROP_SERVER_REFERENCE, p->server_reference);
    midge_prop_string(w, PROP_RESPONSE_INFO, p->response_info);
}

static void encode_connack(struct midge_wr *w, const void *from)
{
    const struct midge_connack *p = from;
    const struct connack out = { .head = { .version = p->version,
                                           .session_present = p->session_present,
                                           .reason = p->reason,
                                           .props = connack_props },
                                 .p = p };
    midge_encode_connack(w, &out.head);
}

static void expect(const struct midge_connack *p, struct midge_slice wanted)
{
    struct midge_slice got = wire_encode(encode_connack, p);
    assert_slice(got, wanted);
    wire_free(got);
}

SPEC("MQTT-3.2.2-1", "V31-connack", "MQTT311-3.2.2-2", "MQTT311-3.2.2-4")
static void connack_without_properties(void **state)
{
    (void)state;
    struct midge_connack p = {
        .version = 3, .session_present = true, .maximum_qos = 2, .receive_maximum = 65535
    };
    expect(&p, BYTES(0x20, 2, 0, 0));
    p.version = 4;
    expect(&p, BYTES(0x20, 2, 1, 0));
    p.version = 5;
    expect(&p, BYTES(0x20, 3, 1, 0, 0));
    p = (struct midge_connack){ .version = 4, .reason = MIDGE_RC_BAD_USER_NAME_OR_PASSWORD };
    expect(&p, BYTES(0x20, 2, 0, 4));
    p = (struct midge_connack){ .version = 5, .reason = 0x86, .maximum_qos = 2, .receive_maximum = 65535 };
    expect(&p, BYTES(0x20, 3, 0, 0x86, 0));
}

SPEC("MQTT-3.2.2-9", "MQTT-3.2.2-16", "U5-3.2.2.3.2", "U5-3.2.2.3.11-13")
static void connack_with_every_property(void **state)
{
    (void)state;
    struct midge_connack p = {
        .version = 5,
        .has_session_expiry = true,
        .session_expiry_s = 0x01020304,
        .has_server_keep_alive = true,
        .server_keep_alive_s = 0x0506,
        .receive_maximum = 0x0708,
        .maximum_qos = 1,
        .no_retain = true,
        .no_wildcards = true,
        .no_subscription_ids = true,
        .no_shared = true,
        .maximum_packet_size = 0x090A0B0C,
        .topic_alias_maximum = 0x0D0E,
        .assigned_id = TEXT("auto-1"),
        .reason_string = TEXT("fine"),
        .auth_method = TEXT("m"),
        .auth_data = BYTES(0, 1),
        .server_reference = TEXT("else"),
        .response_info = TEXT("info"),
    };
    struct midge_slice got = wire_encode(encode_connack, &p);
    struct midge_connack back;
    struct midge_props props;
    assert_int_equal(midge_decode_connack(wire_body(got), 5, &back, &props), MIDGE_RC_SUCCESS);
    assert_true(back.has_session_expiry && back.has_server_keep_alive);
    assert_int_equal(back.session_expiry_s, p.session_expiry_s);
    assert_int_equal(back.server_keep_alive_s, p.server_keep_alive_s);
    assert_int_equal(back.receive_maximum, p.receive_maximum);
    assert_int_equal(back.maximum_qos, 1);
    assert_true(back.no_retain && back.no_wildcards && back.no_subscription_ids && back.no_shared);
    assert_int_equal(back.maximum_packet_size, p.maximum_packet_size);
    assert_int_equal(back.topic_alias_maximum, p.topic_alias_maximum);
    assert_slice(back.assigned_id, p.assigned_id);
    assert_slice(back.reason_string, p.reason_string);
    assert_slice(back.auth_method, p.auth_method);
    assert_slice(back.auth_data, p.auth_data);
    assert_slice(back.server_reference, p.server_reference);
    assert_slice(back.response_info, p.response_info);
    assert_true(midge_props_has(&props, PROP_RESPONSE_INFO));

    for (uint32_t n = 0; n < got.len - 2; n++) {
        struct midge_slice cut = wire_prefix(wire_body(got), n);
        bool as_3x = n == 2; /* 01 00 would be 3.1.1's; this one begins 00 00 */
        assert_int_equal(midge_decode_connack(cut, 5, &back, &props),
                         as_3x ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED);
        wire_free(cut);
    }
    wire_free(got);
}

struct ack_in {
    uint8_t version;
    struct midge_slice body;
    enum midge_reason rc;
    uint8_t reason;
    bool present;
};

SPEC("MQTT-3.2.2-1", "MQTT-3.2.2-6", "MQTT-3.2.2-8", "MQTT311-3.2.2-4", "V31-connack")
static void connack_in(void **state)
{
    (void)state;
    const struct ack_in rows[] = {
        { 4, BYTES(1, 0), MIDGE_RC_SUCCESS, 0, true },
        { 3, BYTES(1, 0), MIDGE_RC_SUCCESS, 0, false },
        { 4, BYTES(0, 1), MIDGE_RC_SUCCESS, MIDGE_RC_UNSUPPORTED_VERSION, false },
        { 4, BYTES(0, 2), MIDGE_RC_SUCCESS, MIDGE_RC_CLIENT_ID_NOT_VALID, false },
        { 4, BYTES(0, 3), MIDGE_RC_SUCCESS, MIDGE_RC_SERVER_UNAVAILABLE, false },
        { 4, BYTES(0, 4), MIDGE_RC_SUCCESS, MIDGE_RC_BAD_USER_NAME_OR_PASSWORD, false },
        { 4, BYTES(0, 5), MIDGE_RC_SUCCESS, MIDGE_RC_NOT_AUTHORIZED, false },
        { 4, BYTES(0, 6), MIDGE_RC_MALFORMED, 0, false },
        { 4, BYTES(2, 0), MIDGE_RC_MALFORMED, 0, false },
        { 4, BYTES(1, 5), MIDGE_RC_PROTOCOL_ERROR, 0, false },
        { 4, BYTES(0, 0, 0), MIDGE_RC_MALFORMED, 0, false },
        { 4, BYTES(0), MIDGE_RC_MALFORMED, 0, false },
        { 5, BYTES(0, 1), MIDGE_RC_SUCCESS, MIDGE_RC_UNSUPPORTED_VERSION,
          false }, /* a server that knows 3.1.1 only */
        { 5, BYTES(1, 0, 0), MIDGE_RC_SUCCESS, 0, true },
        { 5, BYTES(0, 0x87, 0), MIDGE_RC_SUCCESS, 0x87, false },
        { 5, BYTES(1, 0x87, 0), MIDGE_RC_PROTOCOL_ERROR, 0, false },
        { 5, BYTES(0, 0x8E, 0), MIDGE_RC_PROTOCOL_ERROR, 0, false },
        { 5, BYTES(0x80, 0, 0), MIDGE_RC_MALFORMED, 0, false },
        { 5, BYTES(0, 0, 0, 0), MIDGE_RC_MALFORMED, 0, false },
        { 5, BYTES(0, 0, 2, 0x24, 2), MIDGE_RC_PROTOCOL_ERROR, 0, false },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_connack p;
        struct midge_props props;
        struct midge_slice copy = wire_copy(rows[i].body);
        assert_int_equal(midge_decode_connack(copy, rows[i].version, &p, &props), rows[i].rc);
        if (rows[i].rc == MIDGE_RC_SUCCESS) {
            assert_int_equal(p.reason, rows[i].reason);
            assert_int_equal(p.session_present, rows[i].present);
            assert_int_equal(p.maximum_qos, 2);
            assert_int_equal(p.receive_maximum, 65535);
        }
        wire_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_lands_in_its_place),
        cmocka_unit_test(clean_session_becomes_an_expiry),
        cmocka_unit_test(connect_properties_are_read),
        cmocka_unit_test(names_levels_and_the_bridge_bit),
        cmocka_unit_test(all_256_flag_bytes),
        cmocka_unit_test(bytes_that_no_flag_announces_are_malformed),
        cmocka_unit_test(mqtt31_may_leave_out_user_name_and_password),
        cmocka_unit_test(bad_texts_topics_and_properties),
        cmocka_unit_test(each_truncation_fails_cleanly),
        cmocka_unit_test(what_is_written_is_what_is_read),
        cmocka_unit_test(connack_without_properties),
        cmocka_unit_test(connack_with_every_property),
        cmocka_unit_test(connack_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
