/* test_control.c - PINGREQ, PINGRESP, DISCONNECT, AUTH. */
#include "codec/packet.h"
#include "wire.h"

struct in {
    enum midge_packet type;
    uint8_t version;
    bool from_client;
    struct midge_slice body;
    enum midge_reason rc;
};

static void check(const struct in *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct midge_control c;
        struct midge_slice copy = wire_copy(rows[i].body);
        assert_int_equal(midge_decode_control(rows[i].type, copy, rows[i].version, rows[i].from_client, &c),
                         rows[i].rc);
        wire_free(copy);
    }
}

SPEC("U5-3.14.2.1-default", "MQTT-3.14.2-1", "MQTT-3.14.2-2")
static void disconnect_in(void **state)
{
    (void)state;
    const struct in rows[] = {
        { PK_DISCONNECT, 4, true, { 0 }, MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 3, true, { 0 }, MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 4, true, BYTES(0), MIDGE_RC_MALFORMED },
        { PK_DISCONNECT, 5, true, { 0 }, MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 5, false, { 0 }, MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 5, true, BYTES(0x04), MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 5, false, BYTES(0x04), MIDGE_RC_PROTOCOL_ERROR },
        { PK_DISCONNECT, 5, true, BYTES(0x8E), MIDGE_RC_PROTOCOL_ERROR },
        { PK_DISCONNECT, 5, false, BYTES(0x8E), MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 5, true, BYTES(0x03), MIDGE_RC_PROTOCOL_ERROR },
        { PK_DISCONNECT, 5, true, BYTES(0, 0), MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 5, true, BYTES(0, 5, 0x11, 0, 0, 0, 60), MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 5, false, BYTES(0, 5, 0x11, 0, 0, 0, 60), MIDGE_RC_PROTOCOL_ERROR },
        { PK_DISCONNECT, 5, false, BYTES(0x9D, 4, 0x1C, 0, 1, 's'), MIDGE_RC_SUCCESS },
        { PK_DISCONNECT, 5, true, BYTES(0, 2, 0x17, 0), MIDGE_RC_MALFORMED },
        { PK_DISCONNECT, 5, true, BYTES(0, 0, 0), MIDGE_RC_MALFORMED },
    };
    check(rows, COUNT(rows));
}

SPEC("MQTT-3.15.2-1", "U5-3.15-nomethod", "U5-3.1.2.11.10-nomethod", "MQTT-4.12.0-2", "MQTT-4.12.0-3")
static void auth_in(void **state)
{
    (void)state;
    const struct in rows[] = {
        { PK_AUTH, 5, true, BYTES(0x18, 4, 0x15, 0, 1, 'm'), MIDGE_RC_SUCCESS },
        { PK_AUTH, 5, true, BYTES(0x19, 8, 0x15, 0, 1, 'm', 0x16, 0, 1, 'd'), MIDGE_RC_SUCCESS },
        { PK_AUTH, 5, true, BYTES(0x00, 4, 0x15, 0, 1, 'm'), MIDGE_RC_PROTOCOL_ERROR },
        { PK_AUTH, 5, true, BYTES(0x01, 4, 0x15, 0, 1, 'm'), MIDGE_RC_PROTOCOL_ERROR },
        { PK_AUTH, 5, false, BYTES(0x00, 4, 0x15, 0, 1, 'm'), MIDGE_RC_SUCCESS },
        { PK_AUTH, 5, false, BYTES(0x19, 4, 0x15, 0, 1, 'm'), MIDGE_RC_PROTOCOL_ERROR },
        { PK_AUTH, 5, true, BYTES(0x18, 0), MIDGE_RC_PROTOCOL_ERROR },
        { PK_AUTH, 5, true, BYTES(0x18, 4, 0x16, 0, 1, 'd'), MIDGE_RC_PROTOCOL_ERROR },
        { PK_AUTH, 5, false, { 0 }, MIDGE_RC_PROTOCOL_ERROR },
        { PK_AUTH, 5, true, BYTES(0x18), MIDGE_RC_MALFORMED },
        { PK_AUTH, 4, true, { 0 }, MIDGE_RC_MALFORMED },
    };
    check(rows, COUNT(rows));
}

static void fields_arrive(void **state)
{
    (void)state;
    struct midge_control c;
    memset(&c, 1, sizeof c); /* what is not set is seen */
    assert_int_equal(midge_decode_control(PK_DISCONNECT, (struct midge_slice){ 0 }, 5, true, &c),
                     MIDGE_RC_SUCCESS);
    assert_int_equal(c.reason, 0);
    assert_int_equal(c.props.section.len, 0);
    assert_int_equal(
        midge_decode_control(PK_DISCONNECT, BYTES(0x82, 9, 0x11, 0, 0, 0, 60, 0x1F, 0, 1, 'w'), 5, true, &c),
        MIDGE_RC_SUCCESS);
    assert_int_equal(c.reason, 0x82);
    assert_int_equal(midge_props_number(&c.props, PROP_SESSION_EXPIRY), 60);
    assert_true(midge_props_has(&c.props, PROP_SESSION_EXPIRY));
    assert_slice(midge_props_text(&c.props, PROP_REASON_STRING), TEXT("w"));
    assert_int_equal(
        midge_decode_control(PK_AUTH, BYTES(0x18, 8, 0x15, 0, 1, 'm', 0x16, 0, 1, 'd'), 5, false, &c),
        MIDGE_RC_SUCCESS);
    assert_slice(midge_props_text(&c.props, PROP_AUTH_METHOD), TEXT("m"));
    assert_slice(midge_props_text(&c.props, PROP_AUTH_DATA), TEXT("d"));
}

SPEC("U5-truncated")
static void each_truncation_fails_cleanly(void **state)
{
    (void)state;
    struct midge_slice whole = BYTES(0x00, 9, 0x11, 0, 0, 0, 60, 0x1F, 0, 1, 'w');
    struct midge_slice auth = BYTES(0x18, 8, 0x15, 0, 1, 'm', 0x16, 0, 1, 'd');
    struct midge_control c;
    for (uint32_t n = 0; n < whole.len; n++) {
        struct midge_slice cut = wire_prefix(whole, n);
        assert_int_equal(midge_decode_control(PK_DISCONNECT, cut, 5, true, &c),
                         n <= 1 ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED);
        wire_free(cut);
    }
    for (uint32_t n = 0; n < auth.len; n++) {
        struct midge_slice cut = wire_prefix(auth, n);
        assert_int_equal(midge_decode_control(PK_AUTH, cut, 5, true, &c),
                         n == 0 ? MIDGE_RC_PROTOCOL_ERROR : MIDGE_RC_MALFORMED);
        wire_free(cut);
    }
}

struct args {
    enum midge_packet type;
    uint8_t version;
    struct midge_control_out p;
};

static void encode(struct midge_wr *w, const void *from)
{
    const struct args *a = from;
    midge_encode_control(w, a->type, a->version, &a->p);
}

static void encode_ping(struct midge_wr *w, const void *from)
{
    midge_encode_ping(w, *(const enum midge_packet *)from);
}

struct out {
    struct args args;
    struct midge_slice wanted;
};

SPEC("MQTT-2.1.3-1", "MQTT-3.14.1-1", "MQTT-3.15.1-1", "U5-4.11-ref")
static void the_shortest_form_is_written(void **state)
{
    (void)state;
    const struct out rows[] = {
        { { PK_DISCONNECT, 4, { .reason = 0x8E, .reason_string = TEXT("x") } }, BYTES(0xE0, 0) },
        { { PK_DISCONNECT, 5, { 0 } }, BYTES(0xE0, 0) },
        { { PK_DISCONNECT, 5, { .reason = 0x8E } }, BYTES(0xE0, 1, 0x8E) },
        { { PK_DISCONNECT, 5, { .has_session_expiry = true, .session_expiry_s = 9 } },
          BYTES(0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9) },
        { { PK_DISCONNECT, 5, { .reason = 0x9D, .reason_string = TEXT("w"), .server_reference = TEXT("s") } },
          BYTES(0xE0, 10, 0x9D, 8, 0x1F, 0, 1, 'w', 0x1C, 0, 1, 's') },
        { { PK_AUTH, 5, { .reason = 0x18, .auth_method = TEXT("m"), .auth_data = TEXT("d") } },
          BYTES(0xF0, 10, 0x18, 8, 0x15, 0, 1, 'm', 0x16, 0, 1, 'd') },
        { { PK_AUTH, 5, { .auth_method = TEXT("m"), .auth_data = TEXT("") } },
          BYTES(0xF0, 9, 0, 7, 0x15, 0, 1, 'm', 0x16, 0, 0) },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_slice got = wire_encode(encode, &rows[i].args);
        assert_slice(got, rows[i].wanted);
        wire_free(got);
    }
}

static void pings_are_two_bytes(void **state)
{
    (void)state;
    enum midge_packet type = PK_PINGREQ;
    struct midge_slice got = wire_encode(encode_ping, &type);
    assert_slice(got, BYTES(0xC0, 0));
    wire_free(got);
    type = PK_PINGRESP;
    got = wire_encode(encode_ping, &type);
    assert_slice(got, BYTES(0xD0, 0));
    wire_free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disconnect_in),
        cmocka_unit_test(auth_in),
        cmocka_unit_test(fields_arrive),
        cmocka_unit_test(each_truncation_fails_cleanly),
        cmocka_unit_test(the_shortest_form_is_written),
        cmocka_unit_test(pings_are_two_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
