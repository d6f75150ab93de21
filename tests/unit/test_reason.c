/* test_reason.c - which packet may carry which reason code, 3.x return codes, texts. */
#include "codec/packet.h"
#include "wire.h"

#define SERVER_DISCONNECT MIDGE_IN_SERVER_DISCONNECT
#define SERVER_AUTH MIDGE_IN_SERVER_AUTH

/* Each packet's own table of the standard (3.2.2.2, 3.4.2.1, ...), against the one of section 2.4 in the
 * code. */
struct packet_codes {
    unsigned where;
    struct midge_slice codes;
};

SPEC("MQTT-3.2.2-8", "MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1", "MQTT-3.9.3-2",
     "MQTT-3.11.3-2", "MQTT-3.14.2-1", "MQTT-3.15.2-1")
static void each_packet_has_its_own_codes(void **state)
{
    (void)state;
    const struct packet_codes rows[] = {
        { MIDGE_IN(PK_CONNACK), BYTES(0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A,
                                      0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F) },
        { MIDGE_IN(PK_PUBACK), BYTES(0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99) },
        { MIDGE_IN(PK_PUBREC), BYTES(0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99) },
        { MIDGE_IN(PK_PUBREL), BYTES(0x00, 0x92) },
        { MIDGE_IN(PK_PUBCOMP), BYTES(0x00, 0x92) },
        { MIDGE_IN(PK_SUBACK),
          BYTES(0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2) },
        { MIDGE_IN(PK_UNSUBACK), BYTES(0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91) },
        { MIDGE_IN(PK_DISCONNECT),
          BYTES(0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99) },
        { SERVER_DISCONNECT,
          BYTES(0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
                0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2) },
        { MIDGE_IN(PK_AUTH), BYTES(0x18, 0x19) },
        { SERVER_AUTH, BYTES(0x00, 0x18) },
        { MIDGE_IN(PK_PUBLISH), BYTES(0xFF) },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (unsigned code = 0; code < 256; code++) {
            bool wanted = code != 0xFF && memchr(rows[i].codes.data, (int)code, rows[i].codes.len) != NULL;
            if (midge_reason_lawful((uint8_t)code, rows[i].where) != wanted)
                fail_msg("row %u, code 0x%02X", (unsigned)i, code);
        }
    }
}

SPEC("MQTT311-3.1.2-2", "MQTT311-3.1.3-8", "MQTT311-3.1.4-4")
static void connack_codes_of_3x(void **state)
{
    (void)state;
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_SUCCESS), 0);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_UNSUPPORTED_VERSION), 1);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_CLIENT_ID_NOT_VALID), 2);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_SERVER_UNAVAILABLE), 3);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_SERVER_BUSY), 3);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_QUOTA_EXCEEDED), 3);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_BAD_USER_NAME_OR_PASSWORD), 4);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_NOT_AUTHORIZED), 5);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_BANNED), 5);
    assert_int_equal(midge_reason_connack_v3(MIDGE_RC_RETAIN_NOT_SUPPORTED), 5);
    for (unsigned code = 0x80; code < 256; code++) {
        uint8_t v3 = midge_reason_connack_v3((uint8_t)code);
        assert_true(v3 >= 1 && v3 <= 5);
    }
}

SPEC("MQTT311-3.9.3-2")
static void suback_codes_of_3x(void **state)
{
    (void)state;
    assert_int_equal(midge_reason_suback_v3(0), 0);
    assert_int_equal(midge_reason_suback_v3(1), 1);
    assert_int_equal(midge_reason_suback_v3(2), 2);
    for (unsigned code = 0x80; code < 256; code++)
        assert_int_equal(midge_reason_suback_v3((uint8_t)code), 0x80);
}

static void texts_name_every_code_that_exists(void **state)
{
    (void)state;
    if (!MIDGE_REASON_STRINGS) {
        assert_string_equal(midge_reason_text(MIDGE_RC_QUOTA_EXCEEDED), "");
        return;
    }
    assert_string_equal(midge_reason_text(MIDGE_RC_SUCCESS), "Success");
    assert_string_equal(midge_reason_text(MIDGE_RC_DISCONNECT_WITH_WILL), "Disconnect with will message");
    assert_string_equal(midge_reason_text(MIDGE_RC_UNSPECIFIED), "Unspecified error");
    assert_string_equal(midge_reason_text(MIDGE_RC_SESSION_TAKEN_OVER), "Session taken over");
    assert_string_equal(midge_reason_text(MIDGE_RC_QUOTA_EXCEEDED), "Quota exceeded");
    assert_string_equal(midge_reason_text(MIDGE_RC_WILDCARDS_NOT_SUPPORTED),
                        "Wildcard subscriptions not supported");
    for (unsigned code = 0; code < 256; code++) {
        bool exists = midge_reason_lawful((uint8_t)code, ~0u);
        assert_int_equal(midge_reason_text((uint8_t)code)[0] != '\0', exists);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_packet_has_its_own_codes),
        cmocka_unit_test(connack_codes_of_3x),
        cmocka_unit_test(suback_codes_of_3x),
        cmocka_unit_test(texts_name_every_code_that_exists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
