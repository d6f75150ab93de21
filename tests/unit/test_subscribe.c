/* test_subscribe.c - SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK. */
#include "codec/packet.h"
#include "wire.h"

static enum midge_reason decode(enum midge_packet type, struct midge_slice body, uint8_t version)
{
    struct midge_subscribe s;
    struct midge_slice copy = wire_copy(body);
    enum midge_reason rc = midge_decode_subscribe(type, copy, version, &s);
    wire_free(copy);
    return rc;
}

SPEC("MQTT-3.8.3-1", "MQTT-3.8.4-5", "MQTT311-3.8.4-4")
static void filters_come_in_order_with_their_options(void **state)
{
    (void)state;
    struct midge_slice body =
        BYTES(0x12, 0x34, 9, 0x0B, 7, 0x26, 0, 1, 'k', 0, 1, 'v', 0, 3, 'a', '/', '#', 0x2E, 0, 1, '+', 0x11,
              0, 9, '$', 's', 'h', 'a', 'r', 'e', '/', 'g', '/', 0x08);
    struct midge_subscribe s;
    assert_int_equal(midge_decode_subscribe(PK_SUBSCRIBE, body, 5, &s), MIDGE_RC_SUCCESS);
    assert_int_equal(s.pid, 0x1234);
    assert_int_equal(s.filters, 3);
    assert_int_equal(midge_props_number(&s.props, PROP_SUBSCRIPTION_ID), 7);
    struct midge_filter_request f;
    assert_true(midge_next_filter(&s, &f));
    assert_slice(f.filter, TEXT("a/#"));
    assert_int_equal(f.qos, 2);
    assert_true(f.no_local && f.retain_as_published);
    assert_int_equal(f.retain_handling, 2);
    assert_true(midge_next_filter(&s, &f));
    assert_slice(f.filter, TEXT("+"));
    assert_int_equal(f.qos, 1);
    assert_false(f.no_local || f.retain_as_published);
    assert_int_equal(f.retain_handling, 1);
    assert_true(midge_next_filter(&s, &f));
    assert_slice(f.filter, TEXT("$share/g/"));
    assert_true(f.retain_as_published);
    assert_false(midge_next_filter(&s, &f));
    assert_false(midge_next_filter(&s, &f));
}

static void unsubscribe_has_filters_alone(void **state)
{
    (void)state;
    struct midge_subscribe s;
    struct midge_filter_request f;
    assert_int_equal(midge_decode_subscribe(PK_UNSUBSCRIBE, BYTES(0, 1, 0, 1, 'a', 0, 1, 'b'), 4, &s),
                     MIDGE_RC_SUCCESS);
    assert_int_equal(s.filters, 2);
    assert_int_equal(midge_props_number(&s.props, PROP_RECEIVE_MAXIMUM), 65535); /* 3.x: the defaults */
    assert_true(midge_next_filter(&s, &f));
    assert_slice(f.filter, TEXT("a"));
    assert_true(midge_next_filter(&s, &f));
    assert_slice(f.filter, TEXT("b"));
    assert_int_equal(f.qos, 0);
    assert_false(midge_next_filter(&s, &f));
}

SPEC("MQTT-3.8.3-5", "U5-3.8.3.1-qos3", "U5-3.8.3.1-rh3", "MQTT311-3.8.3-4")
static void all_256_options(void **state)
{
    (void)state;
    for (unsigned o = 0; o < 256; o++) {
        enum midge_reason v5 = o & 0xC0                             ? MIDGE_RC_MALFORMED
                               : (o & 3) == 3 || (o & 0x30) == 0x30 ? MIDGE_RC_PROTOCOL_ERROR
                                                                    : MIDGE_RC_SUCCESS;
        enum midge_reason v3 = o > 2 ? MIDGE_RC_MALFORMED : MIDGE_RC_SUCCESS;
        assert_int_equal(decode(PK_SUBSCRIBE, BYTES(0, 1, 0, 0, 1, 't', (uint8_t)o), 5), v5);
        assert_int_equal(decode(PK_SUBSCRIBE, BYTES(0, 1, 0, 1, 't', (uint8_t)o), 4), v3);
        assert_int_equal(decode(PK_SUBSCRIBE, BYTES(0, 1, 0, 1, 't', (uint8_t)o), 3), v3);
    }
}

struct bad {
    enum midge_packet type;
    uint8_t version;
    struct midge_slice body;
    enum midge_reason rc;
};

SPEC("MQTT-3.8.3-2", "MQTT-3.10.3-2", "MQTT311-3.8.3-3", "MQTT311-3.10.3-2", "MQTT-2.2.1-3",
     "MQTT311-2.3.1-1", "MQTT-3.8.3-4", "U5-3.8.2.1.2-multi", "U5-3.3.2.3.8-zero", "MQTT-4.7.3-1",
     "MQTT311-4.7.3-1", "MQTT-3.10.3-1", "MQTT311-3.8.3-1", "MQTT311-3.10.3-1")
static void what_is_refused(void **state)
{
    (void)state;
    const struct bad rows[] = {
        { PK_SUBSCRIBE, 4, BYTES(0, 1), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBSCRIBE, 5, BYTES(0, 1, 0), MIDGE_RC_PROTOCOL_ERROR },
        { PK_UNSUBSCRIBE, 4, BYTES(0, 1), MIDGE_RC_PROTOCOL_ERROR },
        { PK_UNSUBSCRIBE, 5, BYTES(0, 1, 0), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBSCRIBE, 4, BYTES(0, 0, 0, 1, 't', 0), MIDGE_RC_PROTOCOL_ERROR },
        { PK_UNSUBSCRIBE, 5, BYTES(0, 0, 0, 0, 1, 't'), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBSCRIBE, 5, BYTES(0, 1, 0, 0, 10, '$', 's', 'h', 'a', 'r', 'e', '/', 'g', '/', 't', 4),
          MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBSCRIBE, 5, BYTES(0, 1, 4, 0x0B, 1, 0x0B, 2, 0, 1, 't', 0), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBSCRIBE, 5, BYTES(0, 1, 2, 0x0B, 0, 0, 1, 't', 0), MIDGE_RC_PROTOCOL_ERROR },
        { PK_UNSUBSCRIBE, 5, BYTES(0, 1, 2, 0x0B, 1, 0, 1, 't'), MIDGE_RC_MALFORMED },
        { PK_SUBSCRIBE, 4, BYTES(0, 1, 0, 0, 0), MIDGE_RC_TOPIC_FILTER_INVALID },
        { PK_UNSUBSCRIBE, 4, BYTES(0, 1, 0, 0), MIDGE_RC_TOPIC_FILTER_INVALID },
        { PK_SUBSCRIBE, 4, BYTES(0, 1, 0, 1, 0xFF, 0), MIDGE_RC_MALFORMED },
        { PK_UNSUBSCRIBE, 3, BYTES(0, 1, 0, 1, 0), MIDGE_RC_MALFORMED },
        { PK_UNSUBSCRIBE, 4, BYTES(0, 1, 0, 1, 't', 0), MIDGE_RC_MALFORMED },
        /* the second filter is bad: the first must not take effect either */
        { PK_SUBSCRIBE, 4, BYTES(0, 1, 0, 1, 't', 0, 0, 1, 'u', 3), MIDGE_RC_MALFORMED },
        /* and what only looks like a shared one is none */
        { PK_SUBSCRIBE, 5, BYTES(0, 1, 0, 0, 6, '$', 's', 'h', 'a', 'r', 'e', 4), MIDGE_RC_SUCCESS },
        { PK_SUBSCRIBE, 5, BYTES(0, 1, 0, 0, 8, '$', 's', 'h', 'a', 'r', 'e', 'd', '/', 4),
          MIDGE_RC_SUCCESS },
        { PK_SUBSCRIBE, 5, BYTES(0, 1, 0, 0, 7, '$', 's', 'h', 'a', 'r', 'e', '/', 4),
          MIDGE_RC_PROTOCOL_ERROR },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(decode(rows[i].type, rows[i].body, rows[i].version), rows[i].rc);
}

SPEC("U5-truncated")
static void each_truncation_fails_cleanly(void **state)
{
    (void)state;
    struct midge_slice v5 = BYTES(0, 1, 2, 0x0B, 7, 0, 3, 'a', '/', 'b', 1, 0, 1, 'c', 2);
    struct midge_slice v4 = BYTES(0, 1, 0, 3, 'a', '/', 'b', 0, 1, 'c');
    struct midge_subscribe s;
    for (uint32_t n = 0; n < v5.len; n++) {
        struct midge_slice cut = wire_prefix(v5, n);
        enum midge_reason rc = n == 11  ? MIDGE_RC_SUCCESS
                               : n == 5 ? MIDGE_RC_PROTOCOL_ERROR
                                        : MIDGE_RC_MALFORMED;
        assert_int_equal(midge_decode_subscribe(PK_SUBSCRIBE, cut, 5, &s), rc);
        wire_free(cut);
    }
    for (uint32_t n = 0; n < v4.len; n++) {
        struct midge_slice cut = wire_prefix(v4, n);
        enum midge_reason rc = n == 7   ? MIDGE_RC_SUCCESS
                               : n == 2 ? MIDGE_RC_PROTOCOL_ERROR
                                        : MIDGE_RC_MALFORMED;
        assert_int_equal(midge_decode_subscribe(PK_UNSUBSCRIBE, cut, 4, &s), rc);
        wire_free(cut);
    }
}

/* ---- out ---------------------------------------------------------------------------------------------- */

struct request {
    enum midge_packet type;
    uint8_t version;
    uint32_t subscription_id;
    struct midge_filter_request filters[2];
};

static void encode_request(struct midge_wr *w, const void *from)
{
    const struct request *q = from;
    midge_encode_subscribe(w, q->type, q->version, 0x0102, q->filters, 2, q->subscription_id);
}

SPEC("MQTT-2.1.3-1", "MQTT311-2.2.2-1", "MQTT-3.8.1-1", "MQTT-3.10.1-1")
static void requests_are_written(void **state)
{
    (void)state;
    struct request q = {
        .type = PK_SUBSCRIBE, .version = 4, .subscription_id = 200,
        .filters = {
            { .filter = TEXT("a"), .qos = 1, .no_local = true, .retain_as_published = true, .retain_handling = 2 },
            { .filter = TEXT("b/#"), .qos = 2 },
        },
    };
    struct midge_slice got = wire_encode(encode_request, &q);
    assert_slice(got, BYTES(0x82, 12, 1, 2, 0, 1, 'a', 1, 0, 3, 'b', '/', '#', 2));
    wire_free(got);
    q.version = 5;
    got = wire_encode(encode_request, &q);
    assert_slice(got, BYTES(0x82, 16, 1, 2, 3, 0x0B, 0xC8, 1, 0, 1, 'a', 0x2D, 0, 3, 'b', '/', '#', 2));
    wire_free(got);
    q.type = PK_UNSUBSCRIBE;
    got = wire_encode(encode_request, &q);
    assert_slice(got, BYTES(0xA2, 11, 1, 2, 0, 0, 1, 'a', 0, 3, 'b', '/', '#'));
    wire_free(got);
    q.version = 3;
    got = wire_encode(encode_request, &q);
    assert_slice(got, BYTES(0xA2, 10, 1, 2, 0, 1, 'a', 0, 3, 'b', '/', '#'));
    wire_free(got);
}

SPEC("MQTT-3.9.3-2", "MQTT-3.11.3-2", "MQTT311-3.9.3-2")
static void answers_are_read(void **state)
{
    (void)state;
    const struct bad rows[] = {
        { PK_SUBACK, 4, BYTES(0, 1, 0, 1, 2, 0x80), MIDGE_RC_SUCCESS },
        { PK_SUBACK, 4, BYTES(0, 1, 0x87), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBACK, 4, BYTES(0, 1, 3), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBACK, 4, BYTES(0, 1), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBACK, 4, BYTES(0, 0, 1), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBACK, 4, BYTES(0), MIDGE_RC_MALFORMED },
        { PK_SUBACK, 5, BYTES(0, 1, 0, 2, 0x87), MIDGE_RC_SUCCESS },
        { PK_SUBACK, 5, BYTES(0, 1, 0, 0x11), MIDGE_RC_PROTOCOL_ERROR },
        { PK_SUBACK, 5, BYTES(0, 1), MIDGE_RC_MALFORMED },
        { PK_SUBACK, 5, BYTES(0, 1, 2, 0x0B, 1, 0), MIDGE_RC_MALFORMED },
        { PK_UNSUBACK, 4, BYTES(0, 1), MIDGE_RC_SUCCESS },
        { PK_UNSUBACK, 4, BYTES(0, 1, 0), MIDGE_RC_PROTOCOL_ERROR },
        { PK_UNSUBACK, 5, BYTES(0, 1, 0, 0, 0x11), MIDGE_RC_SUCCESS },
        { PK_UNSUBACK, 5, BYTES(0, 1, 0, 1), MIDGE_RC_PROTOCOL_ERROR },
        { PK_UNSUBACK, 5, BYTES(0, 1, 0), MIDGE_RC_PROTOCOL_ERROR },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_suback s;
        struct midge_slice copy = wire_copy(rows[i].body);
        assert_int_equal(midge_decode_suback(rows[i].type, copy, rows[i].version, &s), rows[i].rc);
        if (rows[i].rc == MIDGE_RC_SUCCESS) {
            assert_int_equal(midge_props_number(&s.props, PROP_RECEIVE_MAXIMUM), 65535);
            assert_slice(s.codes, midge_slice_of(rows[i].body.data + (rows[i].version == 5 ? 3 : 2),
                                                 rows[i].body.len - (rows[i].version == 5 ? 3 : 2)));
        }
        wire_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_come_in_order_with_their_options),
        cmocka_unit_test(unsubscribe_has_filters_alone),
        cmocka_unit_test(all_256_options),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(each_truncation_fails_cleanly),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(answers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
