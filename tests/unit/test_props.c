/* test_props.c - the 27 properties of MQTT 5.0: where each may stand, its type, its range, how often. */
#include "codec/props.h"
#include "wire.h"

#define IN(type) MIDGE_IN(PK_##type)
#define ANSWERS                                                                                              \
    (IN(CONNACK) | IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK) |          \
     IN(DISCONNECT) | IN(AUTH))
#define EVERYWHERE (ANSWERS | IN(CONNECT) | MIDGE_IN_WILL | IN(PUBLISH) | IN(SUBSCRIBE) | IN(UNSUBSCRIBE))

/* Table 2-4 once more, with a value of each. */
struct row {
    enum midge_prop_id id;
    unsigned where;
    struct midge_slice value;
};

static size_t table(const struct row **rows)
{
    static const uint8_t one[] = { 1 }, two[] = { 1, 2 }, four[] = { 1, 2, 3, 4 }, varint[] = { 0xFF, 0x7F };
    static const uint8_t text[] = { 0, 2, 'h', 'i' }, pair[] = { 0, 1, 'k', 0, 1, 'v' };
#define V(a)                                                                                                 \
    {                                                                                                        \
        .data = (a), .len = sizeof(a)                                                                        \
    }
    static const struct row all[] = {
        { PROP_PAYLOAD_FORMAT, IN(PUBLISH) | MIDGE_IN_WILL, V(one) },
        { PROP_MESSAGE_EXPIRY, IN(PUBLISH) | MIDGE_IN_WILL, V(four) },
        { PROP_CONTENT_TYPE, IN(PUBLISH) | MIDGE_IN_WILL, V(text) },
        { PROP_RESPONSE_TOPIC, IN(PUBLISH) | MIDGE_IN_WILL, V(text) },
        { PROP_CORRELATION_DATA, IN(PUBLISH) | MIDGE_IN_WILL, V(text) },
        { PROP_SUBSCRIPTION_ID, IN(PUBLISH) | IN(SUBSCRIBE), V(varint) },
        { PROP_SESSION_EXPIRY, IN(CONNECT) | IN(CONNACK) | IN(DISCONNECT), V(four) },
        { PROP_ASSIGNED_ID, IN(CONNACK), V(text) },
        { PROP_SERVER_KEEP_ALIVE, IN(CONNACK), V(two) },
        { PROP_AUTH_METHOD, IN(CONNECT) | IN(CONNACK) | IN(AUTH), V(text) },
        { PROP_AUTH_DATA, IN(CONNECT) | IN(CONNACK) | IN(AUTH), V(text) },
        { PROP_REQUEST_PROBLEM, IN(CONNECT), V(one) },
        { PROP_WILL_DELAY, MIDGE_IN_WILL, V(four) },
        { PROP_REQUEST_RESPONSE, IN(CONNECT), V(one) },
        { PROP_RESPONSE_INFO, IN(CONNACK), V(text) },
        { PROP_SERVER_REFERENCE, IN(CONNACK) | IN(DISCONNECT), V(text) },
        { PROP_REASON_STRING, ANSWERS, V(text) },
        { PROP_RECEIVE_MAXIMUM, IN(CONNECT) | IN(CONNACK), V(two) },
        { PROP_TOPIC_ALIAS_MAXIMUM, IN(CONNECT) | IN(CONNACK), V(two) },
        { PROP_TOPIC_ALIAS, IN(PUBLISH), V(two) },
        { PROP_MAXIMUM_QOS, IN(CONNACK), V(one) },
        { PROP_RETAIN_AVAILABLE, IN(CONNACK), V(one) },
        { PROP_USER, EVERYWHERE, V(pair) },
        { PROP_MAXIMUM_PACKET_SIZE, IN(CONNECT) | IN(CONNACK), V(four) },
        { PROP_WILDCARD_AVAILABLE, IN(CONNACK), V(one) },
        { PROP_SUBSCRIPTION_ID_AVAILABLE, IN(CONNACK), V(one) },
        { PROP_SHARED_AVAILABLE, IN(CONNACK), V(one) },
    };
#undef V
    *rows = all;
    return COUNT(all);
}

static struct midge_slice last; /* what read_section() kept */

/* Reads `section` behind its length, in a block of its own, and checks that nothing else was taken. */
static enum midge_reason read_section(struct midge_slice section, unsigned where, struct midge_props *out)
{
    struct midge_wr w;
    uint8_t buffer[512];
    assert_true(section.len + 4 <= sizeof buffer);
    midge_wr_init(&w, buffer, sizeof buffer, 0);
    midge_wr_varint(&w, section.len);
    midge_wr_bytes(&w, section);

    struct midge_slice copy = wire_copy(midge_slice_of(buffer, w.total));
    struct midge_rd r;
    midge_rd_init(&r, copy);
    enum midge_reason rc = midge_props_read(&r, MIDGE_V50, where, out);
    if (rc == MIDGE_RC_SUCCESS) {
        assert_true(midge_rd_done(&r));
        assert_slice(out->section, section);
    }
    wire_free(last); /* values are read out of the section when they are asked for: it lives until the next call */
    last = copy;
    return rc;
}

/* One property of `row`, `times` over, with AUTH_METHOD before AUTH_DATA as it has to be. */
static struct midge_slice section_of(uint8_t *buffer, size_t room, const struct row *row, unsigned times)
{
    struct midge_wr w;
    midge_wr_init(&w, buffer, (uint32_t)room, 0);
    if (row->id == PROP_AUTH_DATA)
        midge_prop_string(&w, PROP_AUTH_METHOD, TEXT("m"));
    for (unsigned i = 0; i < times; i++) {
        midge_wr_u8(&w, (uint8_t)row->id);
        midge_wr_bytes(&w, row->value);
    }
    assert_true(w.total <= room);
    return midge_slice_of(buffer, w.total);
}

SPEC("U5-2.2.2.2-type")
static void each_property_is_taken_where_the_table_says_and_nowhere_else(void **state)
{
    (void)state;
    const struct row *rows;
    size_t count = table(&rows);
    assert_int_equal(count, 27);
    for (size_t i = 0; i < count; i++) {
        uint8_t buffer[64];
        struct midge_slice section = section_of(buffer, sizeof buffer, &rows[i], 1);
        for (unsigned type = PK_RESERVED; type <= PK_AUTH; type++) {
            struct midge_props p;
            enum midge_reason rc = read_section(section, MIDGE_IN(type), &p);
            bool allowed = (rows[i].where & MIDGE_IN(type)) != 0;
            assert_int_equal(rc, allowed ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED);
            if (allowed)
                assert_true(midge_props_has(&p, rows[i].id));
        }
    }
}

SPEC("U5-2.2.2.2-dup", "U5-3.8.2.1.2-multi")
static void a_repeated_property_is_a_protocol_error(void **state)
{
    (void)state;
    const struct row *rows;
    size_t count = table(&rows);
    for (size_t i = 0; i < count; i++) {
        uint8_t buffer[64];
        struct midge_slice section = section_of(buffer, sizeof buffer, &rows[i], 2);
        for (unsigned type = PK_RESERVED; type <= PK_AUTH; type++) {
            if (!(rows[i].where & MIDGE_IN(type)))
                continue;
            struct midge_props p;
            bool many = rows[i].id == PROP_USER || (rows[i].id == PROP_SUBSCRIPTION_ID && type == PK_PUBLISH);
            assert_int_equal(read_section(section, MIDGE_IN(type), &p),
                             many ? MIDGE_RC_SUCCESS : MIDGE_RC_PROTOCOL_ERROR);
        }
    }
}

SPEC("U5-2.2.2.2-type")
static void unknown_identifiers_are_malformed(void **state)
{
    (void)state;
    const struct row *rows;
    size_t count = table(&rows);
    for (unsigned id = 0; id < 256; id++) {
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known = known || (unsigned)rows[i].id == id;
        if (known)
            continue;
        struct midge_props p;
        struct midge_slice section =
            id < 128 ? BYTES((uint8_t)id, 0, 1, 'x', 0, 1, 'x') : BYTES((uint8_t)id, 1, 0, 1, 'x', 0, 1, 'x');
        for (unsigned type = PK_RESERVED; type <= PK_AUTH; type++)
            assert_int_equal(read_section(section, MIDGE_IN(type), &p), MIDGE_RC_MALFORMED);
    }
}

static void an_identifier_in_a_longer_form_is_malformed(void **state)
{
    (void)state;
    struct midge_props p;
    assert_int_equal(read_section(BYTES(0x81, 0x00, 1), IN(PUBLISH), &p), MIDGE_RC_MALFORMED);
    assert_int_equal(read_section(BYTES(0x81, 0x02, 1), IN(PUBLISH), &p),
                     MIDGE_RC_MALFORMED); /* 257 is not 1 */
}

SPEC("U5-2.2.2-len", "U5-truncated")
static void a_truncated_property_is_malformed(void **state)
{
    (void)state;
    const struct row *rows;
    size_t count = table(&rows);
    for (size_t i = 0; i < count; i++) {
        for (uint32_t n = 0; n < rows[i].value.len; n++) {
            struct row cut = rows[i];
            cut.value.len = n;
            uint8_t buffer[64];
            struct midge_props p;
            struct midge_slice section = section_of(buffer, sizeof buffer, &cut, 1);
            for (unsigned type = PK_RESERVED; type <= PK_AUTH; type++) {
                if (rows[i].where & MIDGE_IN(type))
                    assert_int_equal(read_section(section, MIDGE_IN(type), &p), MIDGE_RC_MALFORMED);
            }
        }
    }
}

SPEC("MQTT-2.2.2-1", "U5-2.2.2-len")
static void the_section_has_a_length_and_ends_inside_the_packet(void **state)
{
    (void)state;
    const struct midge_slice bad[] = {
        { 0 },
        BYTES(0x80),
        BYTES(0x01),
        BYTES(0x03, 0x01, 0x01),
        BYTES(0xFF, 0xFF, 0xFF, 0x7F, 0x01, 0x01),
        BYTES(0x80, 0x00),
        BYTES(0xFF, 0xFF, 0xFF, 0xFF, 0x01),
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct midge_slice copy = wire_copy(bad[i]);
        struct midge_rd r;
        struct midge_props p;
        midge_rd_init(&r, copy);
        assert_int_equal(midge_props_read(&r, MIDGE_V50, IN(PUBLISH), &p), MIDGE_RC_MALFORMED);
        wire_free(copy);
    }
}

static void what_follows_the_section_is_left_alone(void **state)
{
    (void)state;
    struct midge_rd r;
    struct midge_props p;
    midge_rd_init(&r, BYTES(0x02, 0x01, 0x01, 0x26, 'x'));
    assert_int_equal(midge_props_read(&r, MIDGE_V50, IN(PUBLISH), &p), MIDGE_RC_SUCCESS);
    assert_int_equal(midge_rd_left(&r), 2);
    assert_int_equal(midge_props_number(&p, PROP_PAYLOAD_FORMAT), 1);
    assert_int_equal(p.user_count, 0);
}

struct valued {
    struct midge_slice section;
    unsigned where;
    enum midge_reason rc;
};

SPEC("U5-3.1.2.11.3-zero", "U5-3.1.2.11.4-zero", "U5-3.1.2.11.6-bool", "U5-3.3.2.3.8-zero", "MQTT-3.3.2-8",
     "U5-3.1.2.11.10-nomethod")
static void values_out_of_range(void **state)
{
    (void)state;
    const struct valued rows[] = {
        { BYTES(0x21, 0, 0), IN(CONNECT), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x21, 0, 0), IN(CONNACK), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x27, 0, 0, 0, 0), IN(CONNECT), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x17, 2), IN(CONNECT), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x19, 2), IN(CONNECT), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x01, 2), IN(PUBLISH), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x01, 0xFF), MIDGE_IN_WILL, MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x24, 2), IN(CONNACK), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x25, 2), IN(CONNACK), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x28, 2), IN(CONNACK), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x29, 2), IN(CONNACK), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x2A, 2), IN(CONNACK), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x0B, 0), IN(SUBSCRIBE), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x0B, 0), IN(PUBLISH), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x23, 0, 0), IN(PUBLISH), MIDGE_RC_TOPIC_ALIAS_INVALID },
        { BYTES(0x16, 0, 1, 'd'), IN(CONNECT), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x16, 0, 0), IN(CONNACK), MIDGE_RC_PROTOCOL_ERROR },
        { BYTES(0x0B, 0x80, 0x00), IN(SUBSCRIBE), MIDGE_RC_MALFORMED },
        { BYTES(0x0B, 0xFF, 0xFF, 0xFF, 0xFF, 1), IN(SUBSCRIBE), MIDGE_RC_MALFORMED },
        /* the edges that are lawful */
        { BYTES(0x22, 0, 0), IN(CONNECT), MIDGE_RC_SUCCESS },
        { BYTES(0x13, 0, 0), IN(CONNACK), MIDGE_RC_SUCCESS },
        { BYTES(0x02, 0, 0, 0, 0), IN(PUBLISH), MIDGE_RC_SUCCESS },
        { BYTES(0x11, 0, 0, 0, 0), IN(CONNECT), MIDGE_RC_SUCCESS },
        { BYTES(0x16, 0, 1, 'd', 0x15, 0, 1, 'm'), IN(CONNECT), MIDGE_RC_SUCCESS },
        { BYTES(0x0B, 0xFF, 0xFF, 0xFF, 0x7F), IN(SUBSCRIBE), MIDGE_RC_SUCCESS },
        { BYTES(0x09, 0, 0), IN(PUBLISH), MIDGE_RC_SUCCESS },
        { BYTES(0x26, 0, 0, 0, 0), IN(PUBLISH), MIDGE_RC_SUCCESS },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_props p;
        assert_int_equal(read_section(rows[i].section, rows[i].where, &p), rows[i].rc);
    }
}

SPEC("MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-1.5.7-1", "MQTT-3.3.2-13", "MQTT-3.3.2-19")
static void texts_are_utf8_and_data_is_not_looked_at(void **state)
{
    (void)state;
    const struct row *rows;
    size_t count = table(&rows);
    const struct midge_slice bad[] = {
        BYTES(0, 2, 0xC0, 0x80),
        BYTES(0, 3, 0xED, 0xA0, 0x80),
        BYTES(0, 4, 0xF4, 0x90, 0x80, 0x80),
        BYTES(0, 2, 'a', 0x00),
        BYTES(0, 1, 0xFF),
    };
    for (size_t i = 0; i < count; i++) {
        bool text = rows[i].value.len == 4 && rows[i].value.data[1] == 2 && rows[i].value.data[2] == 'h';
        bool binary = rows[i].id == PROP_CORRELATION_DATA || rows[i].id == PROP_AUTH_DATA;
        for (size_t k = 0; text && k < COUNT(bad); k++) {
            struct row row = rows[i];
            row.value = bad[k];
            uint8_t buffer[64];
            struct midge_props p;
            struct midge_slice section = section_of(buffer, sizeof buffer, &row, 1);
            for (unsigned type = PK_RESERVED; type <= PK_AUTH; type++) {
                if (row.where & MIDGE_IN(type))
                    assert_int_equal(read_section(section, MIDGE_IN(type), &p),
                                     binary ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED);
            }
        }
    }
    struct midge_props p;
    assert_int_equal(read_section(BYTES(0x26, 0, 1, 0xFF, 0, 1, 'v'), IN(AUTH), &p), MIDGE_RC_MALFORMED);
    assert_int_equal(read_section(BYTES(0x26, 0, 1, 'k', 0, 1, 0xFF), IN(AUTH), &p), MIDGE_RC_MALFORMED);
}

static void absent_properties_have_the_standard_s_values(void **state)
{
    (void)state;
    struct midge_props p;
    assert_int_equal(read_section((struct midge_slice){ 0 }, IN(CONNACK), &p), MIDGE_RC_SUCCESS);
    assert_int_equal(p.section.len, 0);
    assert_int_equal(midge_props_number(&p, PROP_RECEIVE_MAXIMUM), 65535);
    assert_int_equal(midge_props_number(&p, PROP_REQUEST_PROBLEM), 1);
    assert_int_equal(midge_props_number(&p, PROP_REQUEST_RESPONSE), 0);
    assert_int_equal(midge_props_number(&p, PROP_MAXIMUM_QOS), 2);
    assert_int_equal(midge_props_number(&p, PROP_RETAIN_AVAILABLE), 1);
    assert_int_equal(midge_props_number(&p, PROP_WILDCARD_AVAILABLE), 1);
    assert_int_equal(midge_props_number(&p, PROP_SUBSCRIPTION_ID_AVAILABLE), 1);
    assert_int_equal(midge_props_number(&p, PROP_SHARED_AVAILABLE), 1);
    assert_int_equal(midge_props_number(&p, PROP_SESSION_EXPIRY), 0);
    assert_int_equal(midge_props_number(&p, PROP_MAXIMUM_PACKET_SIZE), 0);
    assert_int_equal(midge_props_number(&p, PROP_TOPIC_ALIAS_MAXIMUM), 0);
    assert_int_equal(p.user_count, 0);
    assert_false(midge_props_has(&p, PROP_AUTH_METHOD));
    assert_false(midge_props_has(&p, PROP_REASON_STRING));
}

static void each_value_arrives_in_its_field(void **state)
{
    (void)state;
    struct midge_props p;
    assert_int_equal(
        read_section(BYTES(0x11, 1, 2, 3, 4, 0x21, 5, 6, 0x24, 1, 0x25, 0, 0x27, 7, 8, 9, 10, 0x12, 0, 1, 'i',
                           0x22, 11, 12, 0x1F, 0, 1, 'r', 0x28, 0, 0x29, 0, 0x2A, 0, 0x13, 13, 14, 0x1A, 0, 1,
                           'R', 0x1C, 0, 1, 's', 0x15, 0, 1, 'm', 0x16, 0, 1, 'd'),
                     IN(CONNACK), &p),
        MIDGE_RC_SUCCESS);
    assert_int_equal(midge_props_number(&p, PROP_SESSION_EXPIRY), 0x01020304);
    assert_int_equal(midge_props_number(&p, PROP_RECEIVE_MAXIMUM), 0x0506);
    assert_int_equal(midge_props_number(&p, PROP_MAXIMUM_QOS), 1);
    assert_int_equal(midge_props_number(&p, PROP_RETAIN_AVAILABLE), 0);
    assert_int_equal(midge_props_number(&p, PROP_MAXIMUM_PACKET_SIZE), 0x0708090A);
    assert_int_equal(midge_props_number(&p, PROP_TOPIC_ALIAS_MAXIMUM), 0x0B0C);
    assert_int_equal(midge_props_number(&p, PROP_WILDCARD_AVAILABLE), 0);
    assert_int_equal(midge_props_number(&p, PROP_SUBSCRIPTION_ID_AVAILABLE), 0);
    assert_int_equal(midge_props_number(&p, PROP_SHARED_AVAILABLE), 0);
    assert_int_equal(midge_props_number(&p, PROP_SERVER_KEEP_ALIVE), 0x0D0E);
    assert_int_equal(midge_props_text(&p, PROP_ASSIGNED_ID).len, 1);
    assert_int_equal(midge_props_text(&p, PROP_REASON_STRING).len, 1);
    assert_int_equal(midge_props_text(&p, PROP_RESPONSE_INFO).len, 1);
    assert_int_equal(midge_props_text(&p, PROP_SERVER_REFERENCE).len, 1);
    assert_int_equal(midge_props_text(&p, PROP_AUTH_METHOD).len, 1);
    assert_int_equal(midge_props_text(&p, PROP_AUTH_DATA).len, 1);

    assert_int_equal(read_section(BYTES(0x17, 0, 0x19, 1), IN(CONNECT), &p), MIDGE_RC_SUCCESS);
    assert_int_equal(midge_props_number(&p, PROP_REQUEST_PROBLEM), 0);
    assert_int_equal(midge_props_number(&p, PROP_REQUEST_RESPONSE), 1);

    assert_int_equal(read_section(BYTES(0x18, 1, 2, 3, 4, 0x02, 5, 6, 7, 8), MIDGE_IN_WILL, &p),
                     MIDGE_RC_SUCCESS);
    assert_int_equal(midge_props_number(&p, PROP_WILL_DELAY), 0x01020304);
    assert_int_equal(midge_props_number(&p, PROP_MESSAGE_EXPIRY), 0x05060708);

    struct midge_rd r;
    midge_rd_init(&r, BYTES(30, 0x01, 1, 0x03, 0, 1, 'c', 0x08, 0, 1, 'r', 0x09, 0, 1, 'd', 0x0B, 7, 0x0B,
                            0x80, 1, 0x23, 0, 9, 0x26, 0, 1, 'k', 0, 1, 'v'));
    assert_int_equal(midge_props_read(&r, MIDGE_V50, IN(PUBLISH), &p),
                     MIDGE_RC_MALFORMED); /* the length says one more */
    midge_rd_init(&r, BYTES(29, 0x01, 1, 0x03, 0, 1, 'c', 0x08, 0, 1, 'r', 0x09, 0, 1, 'd', 0x0B, 7, 0x0B,
                            0x80, 1, 0x23, 0, 9, 0x26, 0, 1, 'k', 0, 1, 'v'));
    assert_int_equal(midge_props_read(&r, MIDGE_V50, IN(PUBLISH), &p), MIDGE_RC_SUCCESS);
    assert_int_equal(midge_props_number(&p, PROP_PAYLOAD_FORMAT), 1);
    assert_slice(midge_props_text(&p, PROP_CONTENT_TYPE), TEXT("c"));
    assert_slice(midge_props_text(&p, PROP_RESPONSE_TOPIC), TEXT("r"));
    assert_slice(midge_props_text(&p, PROP_CORRELATION_DATA), TEXT("d"));
    assert_int_equal(midge_props_number(&p, PROP_SUBSCRIPTION_ID), 7); /* the first */
    assert_int_equal(midge_props_number(&p, PROP_TOPIC_ALIAS), 9);
    assert_int_equal(p.user_count, 1);
}

SPEC("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20",
     "MQTT-3.1.3-10")
static void what_travels_with_a_message_travels_byte_for_byte_and_in_order(void **state)
{
    (void)state;
    struct midge_slice section =
        BYTES(0x26, 0, 1, 'z', 0, 1, '1', 0x0B, 5, 0x01, 1, 0x02, 0, 0, 0, 9, 0x26, 0, 1, 'a', 0, 1, '2',
              0x03, 0, 1, 'c', 0x23, 0, 1, 0x08, 0, 1, 'r', 0x09, 0, 2, 0, 0xFF, 0x26, 0, 1, 'z', 0, 1, '1');
    struct midge_slice wanted =
        BYTES(0x26, 0, 1, 'z', 0, 1, '1', 0x01, 1, 0x26, 0, 1, 'a', 0, 1, '2', 0x03, 0, 1, 'c', 0x08, 0, 1,
              'r', 0x09, 0, 2, 0, 0xFF, 0x26, 0, 1, 'z', 0, 1, '1');
    assert_int_equal(midge_props_forward_size(section), wanted.len);

    uint8_t out[64];
    struct midge_wr w;
    midge_wr_init(&w, out, sizeof out, 0);
    midge_props_forward(section, &w);
    assert_slice(midge_slice_of(out, w.total), wanted);

    assert_int_equal(midge_props_forward_size((struct midge_slice){ 0 }), 0);
    assert_int_equal(midge_props_forward_size(BYTES(0x02, 0, 0, 0, 9)), 0);
}

static void walking_a_section_names_each_property(void **state)
{
    (void)state;
    struct midge_slice section = BYTES(0x01, 1, 0x23, 1, 2, 0x02, 1, 2, 3, 4, 0x0B, 0x80, 1, 0x09, 0, 0, 0x26,
                                       0, 1, 'k', 0, 2, 'v', 'w');
    struct midge_property p;
    uint32_t at = 0;
    assert_true(midge_props_next(section, &at, &p));
    assert_int_equal(p.id, 0x01);
    assert_int_equal(p.number, 1);
    assert_true(midge_props_next(section, &at, &p));
    assert_int_equal(p.number, 0x0102);
    assert_true(midge_props_next(section, &at, &p));
    assert_int_equal(p.number, 0x01020304);
    assert_true(midge_props_next(section, &at, &p));
    assert_int_equal(p.number, 128);
    assert_true(midge_props_next(section, &at, &p));
    assert_int_equal(p.id, 0x09);
    assert_int_equal(p.value.len, 0);
    assert_non_null(p.value.data);
    assert_true(midge_props_next(section, &at, &p));
    assert_int_equal(p.id, PROP_USER);
    assert_slice(p.name, TEXT("k"));
    assert_slice(p.value, TEXT("vw"));
    assert_int_equal(at, section.len);
    assert_false(midge_props_next(section, &at, &p));
    at = 0;
    assert_false(midge_props_next((struct midge_slice){ 0 }, &at, &p));
}

static void more_user_properties_than_can_be_counted_are_still_read(void **state)
{
    (void)state;
    uint32_t count = 70000, size = count * 5;
    uint8_t *bytes = calloc(1, size + 4);
    assert_non_null(bytes);
    struct midge_wr w;
    midge_wr_init(&w, bytes, size + 4, 0);
    midge_wr_varint(&w, size);
    for (uint32_t i = 0; i < count; i++)
        midge_prop_pair(&w, PROP_USER, (struct midge_slice){ 0 }, (struct midge_slice){ 0 });

    struct midge_rd r;
    struct midge_props p;
    midge_rd_init(&r, midge_slice_of(bytes, w.total));
    assert_int_equal(midge_props_read(&r, MIDGE_V50, IN(PUBLISH), &p), MIDGE_RC_SUCCESS);
    assert_int_equal(p.user_count, UINT16_MAX);
    free(bytes);
}

static void write_one_of_each(struct midge_wr *w, const void *from)
{
    (void)from;
    midge_prop_number(w, PROP_MAXIMUM_QOS, 1);
    midge_prop_number(w, PROP_RECEIVE_MAXIMUM, 0x0102);
    midge_prop_number(w, PROP_SESSION_EXPIRY, 0x01020304);
    midge_prop_number(w, PROP_SUBSCRIPTION_ID, 268435455);
    midge_prop_string(w, PROP_REASON_STRING, TEXT("hi"));
    midge_prop_pair(w, PROP_USER, TEXT("k"), TEXT("v"));
}

static void properties_are_written_in_their_forms(void **state)
{
    (void)state;
    struct midge_slice got = wire_encode(write_one_of_each, NULL);
    assert_slice(got, BYTES(0x24, 1, 0x21, 1, 2, 0x11, 1, 2, 3, 4, 0x0B, 0xFF, 0xFF, 0xFF, 0x7F, 0x1F, 0, 2,
                            'h', 'i', 0x26, 0, 1, 'k', 0, 1, 'v'));
    wire_free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_property_is_taken_where_the_table_says_and_nowhere_else),
        cmocka_unit_test(a_repeated_property_is_a_protocol_error),
        cmocka_unit_test(unknown_identifiers_are_malformed),
        cmocka_unit_test(an_identifier_in_a_longer_form_is_malformed),
        cmocka_unit_test(a_truncated_property_is_malformed),
        cmocka_unit_test(the_section_has_a_length_and_ends_inside_the_packet),
        cmocka_unit_test(what_follows_the_section_is_left_alone),
        cmocka_unit_test(values_out_of_range),
        cmocka_unit_test(texts_are_utf8_and_data_is_not_looked_at),
        cmocka_unit_test(absent_properties_have_the_standard_s_values),
        cmocka_unit_test(each_value_arrives_in_its_field),
        cmocka_unit_test(what_travels_with_a_message_travels_byte_for_byte_and_in_order),
        cmocka_unit_test(walking_a_section_names_each_property),
        cmocka_unit_test(more_user_properties_than_can_be_counted_are_still_read),
        cmocka_unit_test(properties_are_written_in_their_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
