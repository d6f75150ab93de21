/* test_ack.c - PUBACK, PUBREC, PUBREL, PUBCOMP. */
#include "codec/packet.h"
#include "wire.h"

static const enum midge_packet types[] = { PK_PUBACK, PK_PUBREC, PK_PUBREL, PK_PUBCOMP };

static enum midge_reason decode(enum midge_packet type, struct midge_slice body, uint8_t version,
                                struct midge_ack *out)
{
    struct midge_slice copy = wire_copy(body);
    enum midge_reason rc = midge_decode_ack(type, copy, version, out);
    wire_free(copy);
    return rc;
}

SPEC("U5-3.4.2.1-short")
static void short_forms_mean_success(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        struct midge_ack a;
        assert_int_equal(decode(types[i], BYTES(0x12, 0x34), 5, &a), MIDGE_RC_SUCCESS);
        assert_int_equal(a.pid, 0x1234);
        assert_int_equal(a.reason, 0);
        uint8_t failure = types[i] >= PK_PUBREL ? 0x92 : 0x97;
        assert_int_equal(decode(types[i], BYTES(0, 1, failure), 5, &a), MIDGE_RC_SUCCESS);
        assert_int_equal(a.reason, failure);
        assert_int_equal(decode(types[i], BYTES(0, 1, failure, 0), 5, &a), MIDGE_RC_SUCCESS);
        assert_int_equal(a.reason, failure);
        assert_int_equal(decode(types[i], BYTES(0, 1, failure, 5, 0x1F, 0, 2, 'n', 'o'), 5, &a),
                         MIDGE_RC_SUCCESS);
        assert_int_equal(a.reason_string.len, 2);
        assert_int_equal(decode(types[i], BYTES(0, 1, 0, 7, 0x26, 0, 1, 'k', 0, 1, 'v'), 5, &a),
                         MIDGE_RC_SUCCESS);
    }
}

SPEC("MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1", "MQTT-2.2.1-3", "U5-2.2.2.2-type")
static void what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        struct midge_ack a;
        for (unsigned code = 0; code < 256; code++) {
            bool lawful = midge_reason_lawful((uint8_t)code, MIDGE_IN(types[i]));
            assert_int_equal(decode(types[i], BYTES(0, 1, (uint8_t)code), 5, &a),
                             lawful ? MIDGE_RC_SUCCESS : MIDGE_RC_PROTOCOL_ERROR);
        }
        assert_int_equal(decode(types[i], BYTES(0, 0), 4, &a), MIDGE_RC_PROTOCOL_ERROR);
        assert_int_equal(decode(types[i], BYTES(0, 0), 5, &a), MIDGE_RC_PROTOCOL_ERROR);
        assert_int_equal(decode(types[i], BYTES(0, 1, 0), 4, &a), MIDGE_RC_MALFORMED);
        assert_int_equal(decode(types[i], BYTES(0, 1, 0), 3, &a), MIDGE_RC_MALFORMED);
        assert_int_equal(decode(types[i], BYTES(0, 1, 0, 0, 0), 5, &a), MIDGE_RC_MALFORMED);
        assert_int_equal(decode(types[i], BYTES(0, 1, 0, 2, 0x01, 0), 5, &a), MIDGE_RC_MALFORMED);
        assert_int_equal(decode(types[i], BYTES(0, 1, 0, 8, 0x1F, 0, 1, 'a', 0x1F, 0, 1, 'b'), 5, &a),
                         MIDGE_RC_PROTOCOL_ERROR);
    }
}

SPEC("U5-truncated")
static void each_truncation_fails_cleanly(void **state)
{
    (void)state;
    struct midge_slice whole = BYTES(0, 1, 0, 12, 0x1F, 0, 2, 'o', 'k', 0x26, 0, 1, 'k', 0, 1, 'v');
    for (size_t i = 0; i < COUNT(types); i++) {
        for (uint32_t n = 0; n <= whole.len; n++) {
            struct midge_slice cut = wire_prefix(whole, n);
            struct midge_ack a;
            bool lawful = n == 2 || n == 3 || n == whole.len;
            assert_int_equal(midge_decode_ack(types[i], cut, 5, &a),
                             lawful ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED);
            assert_int_equal(midge_decode_ack(types[i], cut, 4, &a),
                             n == 2 ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED);
            wire_free(cut);
        }
    }
}

struct args {
    uint8_t version;
    struct midge_ack_out ack;
};

static void encode(struct midge_wr *w, const void *from)
{
    const struct args *a = from;
    midge_encode_ack(w, a->version, &a->ack);
}

struct out {
    struct args args;
    struct midge_slice wanted;
};

SPEC("MQTT-2.1.3-1", "MQTT311-2.2.2-1", "MQTT-3.6.1-1", "MQTT-2.2.1-5", "MQTT-2.2.1-6", "MQTT311-2.3.1-6",
     "MQTT311-2.3.1-7", "MQTT-2.2.2-1")
static void the_shortest_form_is_written(void **state)
{
    (void)state;
    const struct out rows[] = {
        { { 4, { .type = PK_PUBACK, .pid = 1, .reason = 0x97, .reason_string = TEXT("x") } },
          BYTES(0x40, 2, 0, 1) },
        { { 3, { .type = PK_PUBREC, .pid = 0x1234 } }, BYTES(0x50, 2, 0x12, 0x34) },
        { { 4, { .type = PK_PUBREL, .pid = 65535 } }, BYTES(0x62, 2, 0xFF, 0xFF) },
        { { 5, { .type = PK_PUBCOMP, .pid = 1 } }, BYTES(0x70, 2, 0, 1) },
        { { 5, { .type = PK_PUBACK, .pid = 1, .reason = 0x10 } }, BYTES(0x40, 3, 0, 1, 0x10) },
        { { 5, { .type = PK_PUBREL, .pid = 1, .reason = 0x92 } }, BYTES(0x62, 3, 0, 1, 0x92) },
        { { 5, { .type = PK_PUBREC, .pid = 1, .reason = 0x87, .reason_string = TEXT("no") } },
          BYTES(0x50, 9, 0, 1, 0x87, 5, 0x1F, 0, 2, 'n', 'o') },
        { { 5, { .type = PK_PUBACK, .pid = 1, .reason_string = TEXT("ok") } },
          BYTES(0x40, 9, 0, 1, 0x00, 5, 0x1F, 0, 2, 'o', 'k') },
        { { 4, { .type = PK_SUBACK, .pid = 0x1234, .codes = 2, .reason_string = TEXT("no text on 3.x") } },
          BYTES(0x90, 4, 0x12, 0x34, 0, 0) },
        { { 5, { .type = PK_SUBACK, .pid = 1, .codes = 1 } }, BYTES(0x90, 4, 0, 1, 0, 0) },
        { { 5, { .type = PK_SUBACK, .pid = 1, .codes = 1, .reason_string = TEXT("why") } },
          BYTES(0x90, 10, 0, 1, 6, 0x1F, 0, 3, 'w', 'h', 'y', 0) },
        { { 4, { .type = PK_UNSUBACK, .pid = 65535 } }, BYTES(0xB0, 2, 0xFF, 0xFF) },
        { { 5, { .type = PK_UNSUBACK, .pid = 1, .codes = 2 } }, BYTES(0xB0, 5, 0, 1, 0, 0, 0) },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_slice got = wire_encode(encode, &rows[i].args);
        assert_slice(got, rows[i].wanted);
        wire_free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_forms_mean_success),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(each_truncation_fails_cleanly),
        cmocka_unit_test(the_shortest_form_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
