/* test_publish.c - PUBLISH, in and out. */
#include "codec/packet.h"
#include "wire.h"

static struct midge_slice last; /* what decode() kept */

/* Decodes from a block of its own; the slices of *out are dead afterwards unless *keep takes the block. */
static enum midge_reason decode(uint8_t first, struct midge_slice body, uint8_t version,
                                struct midge_publish *out, struct midge_slice *keep)
{
    struct midge_slice copy = wire_copy(body);
    memset(out, 1, sizeof *out); /* what is not set is seen */
    enum midge_reason rc = midge_decode_publish(first, copy, version, out);
    if (keep) {
        *keep = copy;
        return rc;
    }
    wire_free(last); /* values are read out of the section when they are asked for: it lives until the next call */
    last = copy;
    return rc;
}

SPEC("MQTT-3.3.2-1", "MQTT-2.2.1-2", "MQTT311-2.3.1-5", "MQTT311-3.3.2-1")
static void qos0_has_no_packet_id(void **state)
{
    (void)state;
    struct midge_publish p;
    struct midge_slice keep;
    assert_int_equal(decode(0x31, BYTES(0, 3, 'a', '/', 'b', 0, 7, 'x'), 4, &p, &keep), MIDGE_RC_SUCCESS);
    assert_int_equal(p.qos, 0);
    assert_int_equal(p.pid, 0);
    assert_true(p.retain);
    assert_false(p.dup);
    assert_slice(p.topic, TEXT("a/b"));
    assert_slice(p.payload, BYTES(0, 7, 'x'));
    assert_int_equal(midge_props_number(&p.props, PROP_RECEIVE_MAXIMUM), 65535);
    wire_free(keep);
}

static void the_first_byte_tells_qos_dup_and_retain(void **state)
{
    (void)state;
    struct midge_publish p;
    struct midge_slice keep;
    assert_int_equal(decode(0x3C, BYTES(0, 1, 't', 0x12, 0x34, 0), 5, &p, &keep), MIDGE_RC_SUCCESS);
    assert_int_equal(p.qos, 2);
    assert_true(p.dup);
    assert_false(p.retain);
    assert_int_equal(p.pid, 0x1234);
    assert_int_equal(p.payload.len, 0);
    wire_free(keep);
    assert_int_equal(decode(0x33, BYTES(0, 1, 't', 0, 1), 3, &p, NULL), MIDGE_RC_SUCCESS);
    assert_int_equal(p.qos, 1);
    assert_true(p.retain);
}

SPEC("MQTT-3.3.1-2", "MQTT-3.3.1-4", "MQTT311-3.3.1-2", "MQTT311-3.3.1-4")
static void unlawful_first_bytes_are_malformed(void **state)
{
    (void)state;
    for (uint8_t version = 3; version <= 5; version++) {
        for (unsigned first = 0x30; first < 0x40; first++) {
            struct midge_publish p;
            bool bad = (first & 0x06) == 0x06 || (first & 0x0E) == 0x08;
            struct midge_slice body = (first & 6) ? BYTES(0, 1, 't', 0, 1, 0) : BYTES(0, 1, 't', 0);
            assert_int_equal(decode((uint8_t)first, body, version, &p, NULL),
                             bad ? MIDGE_RC_MALFORMED : MIDGE_RC_SUCCESS);
        }
    }
}

struct bad {
    uint8_t version;
    uint8_t first;
    struct midge_slice body;
    enum midge_reason rc;
};

SPEC("MQTT-2.2.1-3", "MQTT311-2.3.1-1", "MQTT-3.3.2-2", "MQTT311-3.3.2-2", "MQTT-3.3.2-14", "MQTT-4.7.0-1",
     "MQTT-4.7.3-1", "MQTT311-4.7.3-1", "U5-3.3.2.1-empty", "MQTT-3.3.2-8", "MQTT-1.5.4-1", "MQTT-1.5.4-2",
     "MQTT311-1.5.3-1", "MQTT311-1.5.3-2")
static void what_is_refused(void **state)
{
    (void)state;
    const struct bad rows[] = {
        { 4, 0x32, BYTES(0, 1, 't', 0, 0), MIDGE_RC_PROTOCOL_ERROR },
        { 5, 0x34, BYTES(0, 1, 't', 0, 0, 0), MIDGE_RC_PROTOCOL_ERROR },
        { 3, 0x30, BYTES(0, 1, '#'), MIDGE_RC_TOPIC_NAME_INVALID },
        { 4, 0x30, BYTES(0, 3, 'a', '/', '+'), MIDGE_RC_TOPIC_NAME_INVALID },
        { 5, 0x30, BYTES(0, 3, '+', '/', 'b', 0), MIDGE_RC_TOPIC_NAME_INVALID },
        { 5, 0x30, BYTES(0, 2, 'a', '#', 0), MIDGE_RC_TOPIC_NAME_INVALID },
        { 4, 0x30, BYTES(0, 0, 'x'), MIDGE_RC_PROTOCOL_ERROR },
        { 5, 0x30, BYTES(0, 0, 0, 'x'), MIDGE_RC_PROTOCOL_ERROR },
        { 5, 0x30, BYTES(0, 0, 3, 0x23, 0, 0), MIDGE_RC_TOPIC_ALIAS_INVALID },
        { 5, 0x30, BYTES(0, 1, 't', 6, 0x08, 0, 3, 'a', '/', '+'), MIDGE_RC_TOPIC_NAME_INVALID },
        { 5, 0x30, BYTES(0, 1, 't', 3, 0x08, 0, 0), MIDGE_RC_TOPIC_NAME_INVALID },
        { 4, 0x30, BYTES(0, 2, 0xC0, 0x80), MIDGE_RC_MALFORMED },
        { 5, 0x30, BYTES(0, 3, 0xED, 0xA0, 0x80, 0), MIDGE_RC_MALFORMED },
        { 3, 0x30, BYTES(0, 2, 'a', 0), MIDGE_RC_MALFORMED },
        { 4, 0x30, BYTES(0, 9, 't'), MIDGE_RC_MALFORMED },
        { 5, 0x30, BYTES(0, 1, 't'), MIDGE_RC_MALFORMED },
        { 5, 0x30, BYTES(0, 1, 't', 1), MIDGE_RC_MALFORMED },
        { 5, 0x30, BYTES(0, 1, 't', 2, 0x17, 0), MIDGE_RC_MALFORMED },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_publish p;
        assert_int_equal(decode(rows[i].first, rows[i].body, rows[i].version, &p, NULL), rows[i].rc);
    }
}

static void an_alias_may_stand_for_the_topic(void **state)
{
    (void)state;
    struct midge_publish p;
    assert_int_equal(decode(0x30, BYTES(0, 0, 3, 0x23, 0, 7, 'x'), 5, &p, NULL), MIDGE_RC_SUCCESS);
    assert_int_equal(p.topic.len, 0);
    assert_int_equal(midge_props_number(&p.props, PROP_TOPIC_ALIAS), 7);
    assert_int_equal(p.payload.len, 1);
}

SPEC("U5-2.2.2.2-dup")
static void several_subscription_ids_may_come(void **state)
{
    (void)state;
    struct midge_publish p;
    assert_int_equal(decode(0x30, BYTES(0, 1, 't', 4, 0x0B, 1, 0x0B, 2), 5, &p, NULL), MIDGE_RC_SUCCESS);
    assert_int_equal(midge_props_number(&p.props, PROP_SUBSCRIPTION_ID), 1); /* the first */
}

SPEC("U5-truncated")
static void each_truncation_fails_cleanly(void **state)
{
    (void)state;
    struct midge_slice head4 = BYTES(0, 3, 'a', '/', 'b', 0, 1);
    struct midge_slice head5 = BYTES(0, 3, 'a', '/', 'b', 0, 1, 9, 0x26, 0, 1, 'k', 0, 3, 'v', 'v', 'v');
    struct midge_publish p;
    for (uint32_t n = 0; n < head4.len; n++) {
        struct midge_slice cut = wire_prefix(head4, n);
        assert_int_equal(midge_decode_publish(0x32, cut, 4, &p), MIDGE_RC_MALFORMED);
        wire_free(cut);
    }
    assert_int_equal(decode(0x32, head4, 4, &p, NULL), MIDGE_RC_SUCCESS);
    for (uint32_t n = 0; n < head5.len; n++) {
        struct midge_slice cut = wire_prefix(head5, n);
        assert_int_equal(midge_decode_publish(0x32, cut, 5, &p), MIDGE_RC_MALFORMED);
        wire_free(cut);
    }
    assert_int_equal(decode(0x32, head5, 5, &p, NULL), MIDGE_RC_SUCCESS);
    assert_int_equal(p.props.user_count, 1);
}

/* ---- out ---------------------------------------------------------------------------------------------- */

static void encode(struct midge_wr *w, const void *from)
{
    midge_encode_publish(w, from);
}

static void expect(const struct midge_publish_out *p, struct midge_slice wanted)
{
    struct midge_slice got = wire_encode(encode, p);
    assert_slice(got, wanted);
    assert_int_equal(midge_publish_size(p), wanted.len);
    wire_free(got);
}

SPEC("MQTT-4.3.1-1", "MQTT311-4.3.1-1", "MQTT-2.2.1-2")
static void plain_publishes(void **state)
{
    (void)state;
    struct midge_publish_out p = { .version = 4, .topic = TEXT("a/b"), .payload = TEXT("hi") };
    expect(&p, BYTES(0x30, 7, 0, 3, 'a', '/', 'b', 'h', 'i'));
    p.version = 3;
    p.retain = true;
    expect(&p, BYTES(0x31, 7, 0, 3, 'a', '/', 'b', 'h', 'i'));
    p.qos = 1;
    p.pid = 0x0102;
    expect(&p, BYTES(0x33, 9, 0, 3, 'a', '/', 'b', 1, 2, 'h', 'i'));
    p = (struct midge_publish_out){ .version = 4, .qos = 2, .dup = true, .pid = 65535, .topic = TEXT("t") };
    expect(&p, BYTES(0x3C, 5, 0, 1, 't', 0xFF, 0xFF));
}

SPEC("MQTT-2.2.2-1")
static void no_properties_is_a_length_of_0(void **state)
{
    (void)state;
    struct midge_publish_out p = { .version = 5, .topic = TEXT("t"), .payload = TEXT("x") };
    expect(&p, BYTES(0x30, 5, 0, 1, 't', 0, 'x'));
}

SPEC("MQTT-3.3.4-4", "MQTT-3.3.2-6")
static void properties_of_all_kinds(void **state)
{
    (void)state;
    const uint32_t ids[] = { 1, 128, 268435455 };
    struct midge_publish_out p = {
        .version = 5,
        .qos = 1,
        .pid = 9,
        .topic_alias = 0x0102,
        .has_expiry = true,
        .expiry_s = 0x01020304,
        .props = BYTES(0x26, 0, 1, 'k', 0, 1, 'v'),
        .subscription_ids = ids,
        .subscription_id_count = 3,
        .payload = TEXT("x"),
    };
    expect(&p, BYTES(0x32, 31, 0, 0, 0, 9, 25, 0x23, 1, 2, 0x02, 1, 2, 3, 4, 0x0B, 1, 0x0B, 0x80, 1, 0x0B,
                     0xFF, 0xFF, 0xFF, 0x7F, 0x26, 0, 1, 'k', 0, 1, 'v', 'x'));
    p.version = 4; /* and none of them towards 3.1.1 [U5-mixed-version] */
    p.topic = TEXT("t");
    expect(&p, BYTES(0x32, 6, 0, 1, 't', 0, 9, 'x'));
}

static void an_expiry_of_0_is_written(void **state)
{
    (void)state;
    struct midge_publish_out p = { .version = 5, .topic = TEXT("t"), .has_expiry = true };
    expect(&p, BYTES(0x30, 9, 0, 1, 't', 5, 0x02, 0, 0, 0, 0));
}

SPEC("MQTT-1.5.5-1")
static void lengths_take_as_many_bytes_as_they_need(void **state)
{
    (void)state;
    static uint8_t payload[20000];
    const uint32_t sizes[] = { 123, 124, 125, 16379, 16380, 16381 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct midge_publish_out p = { .version = 5,
                                       .topic = TEXT("t"),
                                       .payload = midge_slice_of(payload, sizes[i]) };
        uint32_t rest = 4 + sizes[i];
        uint32_t size = 1 + (rest < 128 ? 1u : rest < 16384 ? 2u : 3u) + rest;
        assert_int_equal(midge_publish_size(&p), size);

        uint8_t *out = malloc(size);
        assert_non_null(out);
        struct midge_wr w;
        midge_wr_init(&w, out, size, 0);
        midge_encode_publish(&w, &p);
        assert_int_equal(w.total, size);
        assert_int_equal(w.room, 0);
        struct midge_head h = { 0 };
        enum midge_reason rc;
        midge_head_feed(&h, midge_slice_of(out, size), &rc);
        assert_int_equal(rc, MIDGE_RC_SUCCESS);
        assert_int_equal(h.remaining, rest);
        free(out);
    }
}

static void a_long_property_section_has_a_long_length(void **state)
{
    (void)state;
    uint8_t section[200];
    struct midge_wr w;
    midge_wr_init(&w, section, sizeof section, 0);
    uint8_t value[120] = { 0 };
    memset(value, 'v', sizeof value);
    midge_prop_pair(&w, PROP_USER, TEXT("k"), midge_slice_of(value, sizeof value));
    midge_prop_pair(&w, PROP_USER, TEXT("key"), TEXT("w"));
    struct midge_publish_out p = {
        .version = 5,
        .qos = 2,
        .pid = 1,
        .topic = TEXT("topic"),
        .props = midge_slice_of(section, w.total),
        .payload = TEXT("payload"),
    };
    struct midge_slice got = wire_encode(encode, &p);
    struct midge_publish back;
    assert_int_equal(got.data[1], (got.len - 3) | 0x80);
    assert_int_equal(midge_decode_publish(got.data[0], midge_slice_of(got.data + 3, got.len - 3), 5, &back),
                     MIDGE_RC_SUCCESS);
    assert_slice(back.props.section, p.props);
    assert_slice(back.topic, p.topic);
    assert_slice(back.payload, p.payload);
    assert_int_equal(back.props.user_count, 2);
    wire_free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qos0_has_no_packet_id),
        cmocka_unit_test(the_first_byte_tells_qos_dup_and_retain),
        cmocka_unit_test(unlawful_first_bytes_are_malformed),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(an_alias_may_stand_for_the_topic),
        cmocka_unit_test(several_subscription_ids_may_come),
        cmocka_unit_test(each_truncation_fails_cleanly),
        cmocka_unit_test(plain_publishes),
        cmocka_unit_test(no_properties_is_a_length_of_0),
        cmocka_unit_test(properties_of_all_kinds),
        cmocka_unit_test(an_expiry_of_0_is_written),
        cmocka_unit_test(lengths_take_as_many_bytes_as_they_need),
        cmocka_unit_test(a_long_property_section_has_a_long_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
