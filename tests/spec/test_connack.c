/* test_connack.c - CONNACK: first, once, and what it announces. */
#include "harness.h"

#define CONNECT(...) (&(struct c_connect){ __VA_ARGS__ })

/* An hour's session. */
static struct peer *stay(const char *id)
{
    return connect_as(CONNECT(.client_id = id, .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 3600))));
}

static void deny(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    (void)in;
    *out = (struct midge_login_answer){ .answer = MIDGE_DENY, .reason = 0x86 };
}

SPEC("MQTT-3.2.0-1", "MQTT311-3.2.0-1")
TEST(connack_comes_before_a_hundred_messages_that_waited)
{
    for (uint8_t version = 4; version <= 5; version++) {
        const struct c_connect hello = { .version = version,
                                         .client_id = "sleeper",
                                         .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 3600)) };
        struct peer *sleeper = connect_as(&hello), *p = connect5("p");
        subscribe(sleeper, "t", 1);
        drop(sleeper);
        for (int i = 0; i < 100; i++)
            publish(p, "t", format("%d", i), 1);
        sleeper = dial();
        send_connect(sleeper, &hello);
        CHECK(expect_connack(sleeper, 0).session_present);
        for (int i = 0; i < 100; i++)
            take_publish(sleeper, "t", format("%d", i), 1);
        unsubscribe(sleeper, "t");
        drop(sleeper);
        leave(p);
    }
}

/* The rules fail every test that sees a second CONNACK, other flags, or a code that is not defined. */
SPEC("MQTT-3.2.0-2", "MQTT-3.2.2-1", "MQTT-3.2.2-8")
TEST(one_connack_comes_with_flags_0_or_1_and_nothing_else)
{
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 60))));
    expect_hex(p, "20 ?? 00 00");
    read_all(p);
    send_ping(p);
    expect_hex(p, "D0 00");
    drop(p);
    p = dial();
    send_connect(p, CONNECT(.client_id = "a"));
    expect_hex(p, "20 ?? 01 00");
    read_all(p);
    send_ping(p);
    expect_hex(p, "D0 00");
}

SPEC("MQTT-3.2.2-6", "MQTT311-3.2.2-4")
TEST(a_refusal_says_session_present_0_even_where_there_is_a_session)
{
    drop(stay("a"));
    hooks.login = deny;
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a"));
    expect_hex(p, "20 ?? 00 86");
    read_all(p);
    expect_closed(p);
    p = dial();
    send_connect(p, CONNECT(.version = 4, .client_id = "a"));
    expect_hex(p, "20 02 00 04");
    expect_closed(p);
    CHECK_EQ(stats().sessions, 1);
}

SPEC("MQTT-3.2.2-7", "MQTT311-3.2.2-5")
TEST(every_refusal_is_followed_by_the_close)
{
    limits.max_qos = 0;
    limits.retain = false;
    const struct c_connect refused[] = {
        { .client_id = "a", .will = &(struct c_will){ .topic = "w", .qos = 1 } },
        { .client_id = "a", .will = &(struct c_will){ .topic = "w", .retain = true } },
        { .client_id = "a", .will = &(struct c_will){ .topic = "w/#" } },
        { .client_id = "a", .will = &(struct c_will){ .topic = "" } },
    };
    const uint8_t codes[] = { 0x9B, 0x9A, 0x90, 0x90 };
    for (size_t i = 0; i < sizeof codes; i++) {
        struct peer *p = dial();
        send_connect(p, &refused[i]);
        expect_connack(p, codes[i]); /* and closed */
    }
    CHECK_EQ(stats().connections, 0);
}

/* ---- what it announces --------------------------------------------------------------------------------- */

SPEC("MQTT-3.1.2-28")
TEST(response_information_is_not_sent_to_who_did_not_ask)
{
    struct peer *a = connect5("a");
    CHECK(!has_prop(connack_of(a), PROP_RESPONSE_INFO));
    struct peer *b =
        connect_as(CONNECT(.client_id = "b", .props = PROPS(prop_num(PROP_REQUEST_RESPONSE, 0))));
    CHECK(!has_prop(connack_of(b), PROP_RESPONSE_INFO));
}

SPEC("MQTT-3.1.2-28")
TEST(whoever_asks_for_response_information_is_served)
{
    struct peer *p =
        connect_as(CONNECT(.client_id = "b", .props = PROPS(prop_num(PROP_REQUEST_RESPONSE, 1))));
    send_ping(p);
    expect_packet(p, PK_PINGRESP);
}

SPEC("MQTT-3.2.2-1", "MQTT-3.2.2-8")
TEST(what_a_limit_changes_is_announced)
{
    limits.max_qos = 1;
    limits.retain = limits.wildcards = limits.shared = limits.subscription_ids = false;
    limits.receive_maximum = 7;
    limits.packet_bytes = 4096;
    limits.alias_in = 3;
    limits.keepalive_s = 30;
    limits.session_expiry_s = 100;
    struct peer *p = connect_as(
        CONNECT(.client_id = "a", .keepalive = 60, .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 200))));
    const struct packet *pk = connack_of(p);
    CHECK_EQ(prop_number(pk, PROP_MAXIMUM_QOS), 1);
    CHECK_EQ(prop_number(pk, PROP_RETAIN_AVAILABLE), 0);
    CHECK_EQ(prop_number(pk, PROP_WILDCARD_AVAILABLE), 0);
    CHECK_EQ(prop_number(pk, PROP_SHARED_AVAILABLE), 0);
    CHECK_EQ(prop_number(pk, PROP_SUBSCRIPTION_ID_AVAILABLE), 0);
    CHECK_EQ(prop_number(pk, PROP_RECEIVE_MAXIMUM), 7);
    CHECK_EQ(prop_number(pk, PROP_MAXIMUM_PACKET_SIZE), 4096);
    CHECK_EQ(prop_number(pk, PROP_TOPIC_ALIAS_MAXIMUM), 3);
    CHECK_EQ(prop_number(pk, PROP_SERVER_KEEP_ALIVE), 30);
    CHECK_EQ(prop_number(pk, PROP_SESSION_EXPIRY), 100);
}

SPEC("MQTT-3.2.2-1")
TEST(what_is_as_the_standard_presumes_is_not_announced)
{
    limits.receive_maximum = 65535;
    limits.alias_in = 0;
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", .keepalive = 60));
    expect_hex(p, "20 03 00 00 00");
}

/* ---- Maximum Packet Size ------------------------------------------------------------------------------- */

SPEC("U5-3.1.2.11.4-zero")
TEST(a_maximum_packet_size_of_0_is_a_protocol_error)
{
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", .props = PROPS(prop_num(PROP_MAXIMUM_PACKET_SIZE, 0))));
    expect_connack(p, 0x82);
}

static size_t refusal_bytes(uint32_t maximum_packet_size)
{
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a",
                            .props = PROPS(prop_num(PROP_MAXIMUM_PACKET_SIZE, maximum_packet_size))));
    return expect_connack(p, 0x86).len;
}

SPEC("MQTT-3.2.2-19", "MQTT-3.2.2-20", "MQTT-3.1.2-24")
TEST(the_reason_string_of_connack_is_left_out_where_it_would_not_fit)
{
    hooks.login = deny;
    const size_t whole = refusal_bytes(1000);
    CHECK(whole > 5);
    CHECK_EQ(refusal_bytes((uint32_t)whole), whole);
    CHECK_EQ(refusal_bytes((uint32_t)whole - 1), 5);
    CHECK_EQ(refusal_bytes(5), 5);
}

SPEC("MQTT-3.2.2-19", "MQTT-3.1.2-24")
TEST(a_refusal_that_the_broker_decides_itself_keeps_to_the_maximum_packet_size_too)
{
    limits.client_id_bytes = 10;
    struct peer *p = dial();
    send_connect(
        p, CONNECT(.client_id = text_of('x', 11), .props = PROPS(prop_num(PROP_MAXIMUM_PACKET_SIZE, 5))));
    expect_hex(p, "20 03 00 85 00");
    expect_closed(p);
}

SPEC("MQTT-3.1.2-24")
TEST(a_client_that_cannot_take_any_connack_is_closed_without_one)
{
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", .props = PROPS(prop_num(PROP_MAXIMUM_PACKET_SIZE, 4))));
    expect_closed(p);
}

SPEC("MQTT-3.1.2-24")
TEST(a_message_larger_than_the_client_takes_does_not_reach_it_and_one_that_fits_does)
{
    struct peer *p = connect5("p");
    struct peer *small = connect_as(CONNECT(.client_id = "s", .clean_start = true,
                                            .props = PROPS(prop_num(PROP_MAXIMUM_PACKET_SIZE, 64))));
    subscribe(small, "t", 0);
    publish(p, "t", text_of('x', 100), 0);
    expect_nothing(small);
    publish(p, "t", text_of('x', 59), 0); /* 2 + 3 + 1 + 59 = 65 */
    expect_nothing(small);
    publish(p, "t", text_of('x', 58), 0);
    expect_publish(small, "t", text_of('x', 58));
    send_ping(small);
    expect_packet(small, PK_PINGRESP);
}

SPEC("MQTT-3.1.2-25")
TEST(a_message_too_large_for_its_client_does_not_hold_up_the_next_one)
{
    struct peer *p = connect5("p");
    struct peer *small = connect_as(
        CONNECT(.client_id = "s", .clean_start = true,
                .props = PROPS(prop_num(PROP_MAXIMUM_PACKET_SIZE, 64), prop_num(PROP_RECEIVE_MAXIMUM, 1))));
    subscribe(small, "t", 2);
    publish(p, "t", text_of('x', 100), 1);
    publish(p, "t", text_of('x', 100), 2);
    publish(p, "t", "fits", 1);
    take_publish(small, "t", "fits", 1);
    CHECK_EQ(stats().books[1].dropped[MIDGE_DROP_PACKET_SIZE], 1);
    CHECK_EQ(stats().books[2].dropped[MIDGE_DROP_PACKET_SIZE], 1);
    CHECK_EQ(stats().books[1].queued + stats().books[1].inflight, 0);
}

SPEC("MQTT-3.1.2-25")
TEST(a_message_too_large_for_one_client_reaches_the_others)
{
    struct peer *p = connect5("p"), *large = connect5("l"), *old = connect311("o");
    struct peer *small = connect_as(CONNECT(.client_id = "s", .clean_start = true,
                                            .props = PROPS(prop_num(PROP_MAXIMUM_PACKET_SIZE, 20))));
    subscribe(small, "t", 1);
    subscribe(large, "t", 1);
    subscribe(old, "t", 1);
    publish(p, "t", text_of('x', 100), 1);
    expect_nothing(small);
    take_publish(large, "t", text_of('x', 100), 1);
    take_publish(old, "t", text_of('x', 100), 1);
}

SPEC("MQTT-3.2.2-15")
TEST(a_packet_larger_than_the_broker_said_is_refused_by_its_header)
{
    limits.packet_bytes = 4096;
    struct peer *p = connect5("p"), *old = connect311("o");
    CHECK_EQ(prop_number(connack_of(p), PROP_MAXIMUM_PACKET_SIZE), 4096);
    const size_t before = memory_used();
    send_hex(p, "30 80 80 40"); /* 1 MB is announced */
    CHECK(memory_used() <= before);
    expect_disconnect(p, 0x95);
    send_hex(old, "30 80 80 40");
    expect_closed(old);
}

SPEC("MQTT-3.2.2-15")
TEST(a_packet_just_as_large_as_the_broker_said_is_accepted)
{
    limits.packet_bytes = 4096;
    struct peer *p = connect5("p"), *sub = connect5("s");
    subscribe(sub, "t", 0);
    char *payload = text_of('x', 4096 - 3 - 3 - 1);
    publish(p, "t", payload, 0);
    expect_publish(sub, "t", payload);
    send_bytes(p, "\x30\xFE\x1F", 3); /* 3 + 4094 = 4097 */
    expect_disconnect(p, 0x95);
}

static struct peer *narrow(const char *id, uint32_t most)
{
    return connect_as(CONNECT(.client_id = id, .clean_start = true,
                              .props = PROPS(prop_num(PROP_MAXIMUM_PACKET_SIZE, most))));
}

#define LEAST 16 /* room for the CONNACK, and for no text */

SPEC("MQTT-3.14.2-3", "MQTT-3.14.2-4")
TEST(the_reason_string_of_disconnect_is_left_out_where_it_would_not_fit)
{
    struct peer *wide = narrow("wide", 65535), *thin = narrow("thin", LEAST);
    send_hex(wide, "C1 00");
    send_hex(thin, "C1 00");
    const struct packet long_one = expect_packet(wide, PK_DISCONNECT);
    CHECK_EQ(long_one.reason, 0x81);
    CHECK(has_prop(&long_one, PROP_REASON_STRING));
    CHECK(long_one.len > LEAST);
    const struct packet short_one = expect_packet(thin, PK_DISCONNECT);
    CHECK_EQ(short_one.reason, 0x81);
    CHECK(!has_prop(&short_one, PROP_REASON_STRING));
    expect_closed(wide);
    expect_closed(thin);
}

static bool deny_access(void *user, const struct midge_who *who, enum midge_access what,
                        struct midge_slice topic)
{
    (void)user;
    (void)who;
    (void)topic;
    return what == MIDGE_ACCESS_DELIVER;
}

/* The same packets, once where all fits and once where the text does not. */
static void check_text(enum packet_type type, unsigned first, const char *body, uint8_t reason)
{
    struct peer *wide = narrow("wide", 65535), *thin = narrow("thin", LEAST);
    send_body(wide, first, body);
    send_body(thin, first, body);
    const struct packet long_one = expect_packet(wide, type), short_one = expect_packet(thin, type);
    CHECK_EQ(long_one.codes ? long_one.codes[0] : long_one.reason, reason);
    CHECK_EQ(short_one.codes ? short_one.codes[0] : short_one.reason, reason);
    CHECK(!has_prop(&short_one, PROP_REASON_STRING) && !has_prop(&short_one, PROP_USER));
    CHECK(reason < 0x80 || (long_one.len > LEAST && has_prop(&long_one, PROP_REASON_STRING)));
    leave(wide);
    leave(thin);
}

SPEC("MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2", "MQTT-3.5.2-3", "MQTT-3.9.2-1", "MQTT-3.9.2-2")
TEST(the_reason_strings_of_refusals_are_left_out_where_they_would_not_fit)
{
    hooks.allow = deny_access;
    check_text(PK_PUBACK, 0x32, "00 01 't' 00 09 00 'x'", 0x87);
    check_text(PK_PUBREC, 0x34, "00 01 't' 00 09 00 'x'", 0x87);
    check_text(PK_SUBACK, 0x82, "00 09 00 00 01 't' 00", 0x87);
}

SPEC("MQTT-3.6.2-2", "MQTT-3.6.2-3", "MQTT-3.7.2-2", "MQTT-3.7.2-3", "MQTT-3.11.2-1", "MQTT-3.11.2-2")
TEST(the_reason_strings_of_unknown_packet_identifiers_are_left_out_where_they_would_not_fit)
{
    check_text(PK_PUBREL, 0x50, "00 09", 0x92);
    check_text(PK_PUBCOMP, 0x62, "00 09", 0x92);
    check_text(PK_UNSUBACK, 0xA2, "00 09 00 00 01 't'", 0x11);
}
