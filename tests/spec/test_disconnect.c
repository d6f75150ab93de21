/* test_disconnect.c - DISCONNECT from either side. */
#include "harness.h"

#define CONNECT(...) (&(struct c_connect){ __VA_ARGS__ })
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static struct peer *watch(void)
{
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "#", 0);
    return watcher;
}

static struct peer *mortal(uint8_t version)
{
    return connect_as(CONNECT(.version = version, .client_id = "a", .clean_start = true,
                              .will = &(struct c_will){ .topic = "w", .payload = "gone" }));
}

/* ---- from the client ----------------------------------------------------------------------------------- */

SPEC("U5-3.14.2.1-default")
TEST(a_disconnect_of_length_0_is_normal_and_of_length_1_has_no_properties)
{
    struct peer *watcher = watch(), *p = mortal(5);
    send_hex(p, "E0 00");
    expect_closed(p);
    expect_nothing(watcher);
    p = mortal(5);
    send_hex(p, "E0 01 00");
    expect_closed(p);
    expect_nothing(watcher);
    p = mortal(5);
    send_hex(p, "E0 01 04");
    expect_closed(p);
    expect_publish(watcher, "w", "gone");
    p = mortal(5);
    send_hex(p, "E0 02 00 00");
    expect_closed(p);
    expect_nothing(watcher);
}

SPEC("MQTT311-3.14.4-1", "MQTT-3.14.4-1")
TEST(the_broker_closes_after_a_disconnect_if_the_client_does_not)
{
    struct peer *v5 = connect5("a"), *v311 = connect311("b");
    send_hex(v5, "E0 00");
    send_hex(v311, "E0 00");
    expect_closed(v5);
    expect_closed(v311);
}

SPEC("MQTT-3.14.4-1", "MQTT311-3.14.4-2")
TEST(what_comes_behind_a_disconnect_in_the_same_segment_is_not_processed)
{
    struct peer *watcher = watch(), *v5 = connect5("a"), *v311 = connect311("b");
    send_hex(v5, "E0 00 30 04 00 01 't' 00");
    send_hex(v311, "E0 00 30 03 00 01 't'");
    expect_closed(v5);
    expect_closed(v311);
    expect_nothing(watcher);
}

SPEC("MQTT-3.14.1-1")
TEST(the_flags_of_disconnect_have_to_be_0)
{
    struct peer *watcher = watch();
    for (unsigned flags = 1; flags < 16; flags++) {
        struct peer *p = mortal(5);
        send_body(p, 0xE0 | flags, "");
        expect_disconnect(p, 0x81);
        expect_publish(watcher, "w", "gone");
    }
}

SPEC("MQTT311-3.14.1-1")
TEST(a_3_1_1_disconnect_with_flags_is_none_so_the_will_is_published)
{
    struct peer *watcher = watch();
    for (unsigned flags = 1; flags < 16; flags++) {
        struct peer *p = mortal(4);
        send_body(p, 0xE0 | flags, "");
        expect_closed(p);
        expect_publish(watcher, "w", "gone");
    }
}

SPEC("MQTT311-3.14.1-1")
TEST(a_3_1_1_disconnect_with_a_body_is_none)
{
    struct peer *watcher = watch(), *p = mortal(4);
    send_hex(p, "E0 01 00");
    expect_closed(p);
    expect_publish(watcher, "w", "gone");
}

SPEC("MQTT-3.14.2-1")
TEST(a_client_may_use_the_reason_codes_of_clients)
{
    static const uint8_t reasons[] = { 0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90,
                                       0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99 };
    for (size_t i = 0; i < COUNT(reasons); i++) {
        struct peer *p = connect5("a");
        send_disconnect(p, reasons[i], NO_PROPS);
        expect_closed(p);
    }
}

SPEC("MQTT-3.14.2-1")
TEST(a_reason_code_of_servers_or_of_nobody_is_a_protocol_error_and_the_will_is_published)
{
    static const uint8_t reasons[] = { 0x01, 0x03, 0x05, 0x10, 0x7F, 0x86, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F,
                                       0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2, 0xA3, 0xFF };
    struct peer *watcher = watch();
    for (size_t i = 0; i < COUNT(reasons); i++) {
        struct peer *p = mortal(5);
        send_disconnect(p, reasons[i], NO_PROPS);
        expect_disconnect(p, 0x82);
        expect_publish(watcher, "w", "gone");
    }
}

SPEC("MQTT-3.14.2-1")
TEST(a_disconnect_with_properties_that_it_may_not_carry_is_malformed)
{
    struct peer *p = connect5("a");
    send_hex(p, "E0 05 00 03 21 00 01"); /* Receive Maximum */
    const struct packet pk = expect_packet(p, PK_DISCONNECT);
    CHECK(pk.reason == 0x81 || pk.reason == 0x82);
    expect_closed(p);
}

/* ---- from the broker ----------------------------------------------------------------------------------- */

SPEC("MQTT-3.14.0-1")
TEST(before_connack_the_broker_never_sends_disconnect)
{
    static const char *const bodies[] = {
        "00 04 'MQTT' 05 03 00 00 00 00 01 'a'",
        "00 04 'MQTT' 05 02 00 00 00",
        "00 04 'MQTT' 05 02 00 00 02 21 00 00 01 'a'",
        "00 04 'MQTT' 05 06 00 00 00 00 01 'a' 00 00 02 'w#' 00 00",
        "00 04 'MQTT' 05 02 00 00 05 27 00 00 00 00 00 01 'a'",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct peer *p = dial();
        send_body(p, 0x10, bodies[i]);
        CHECK(expect_packet(p, PK_CONNACK).reason >= 0x80);
        expect_closed(p);
    }
}

SPEC("MQTT-3.14.2-2", "MQTT-3.14.4-1")
TEST(a_disconnect_of_the_broker_has_no_session_expiry_and_is_its_last_word)
{
    struct peer *p = connect_as(CONNECT(.client_id = "a", .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 60))));
    send_hex(p, "C0 00 C1 00 C0 00");
    expect_packet(p, PK_PINGRESP);
    const struct packet pk = expect_packet(p, PK_DISCONNECT);
    CHECK(!has_prop(&pk, PROP_SESSION_EXPIRY));
    expect_closed(p);
}

SPEC("MQTT-3.14.4-2")
TEST(the_broker_closes_after_its_disconnect_without_waiting_for_the_client)
{
    struct peer *p = connect5("a");
    send_hex(p, "C1 00");
    expect_disconnect(p, 0x81); /* and the close, at the same moment */
}

SPEC("MQTT-3.14.4-2")
TEST(a_client_that_does_not_take_the_disconnect_is_closed_after_the_linger_time)
{
    struct peer *p = connect5("a");
    hold(p);
    send_hex(p, "C1 00");
    CHECK(!is_closed(p));
    advance(limits.linger_ms - 1);
    CHECK(!is_closed(p));
    advance(1);
    expect_closed(p);
}

SPEC("U5-3.14-server-codes")
TEST(the_codes_of_the_brokers_disconnect_tell_the_true_reason)
{
    limits.packet_bytes = 1000;
    limits.receive_maximum = 2;
    struct peer *a = connect_as(CONNECT(.client_id = "a", .clean_start = true, .keepalive = 2));
    advance(3000);
    expect_disconnect(a, 0x8D);

    a = connect5("a");
    connect5("a");
    expect_disconnect(a, 0x8E);

    a = connect5("b");
    for (uint16_t pid = 1; pid <= 3; pid++)
        send_publish(a, &(struct c_publish){ .topic = "t", .qos = 2, .pid = pid });
    expect_packet(a, PK_PUBREC);
    expect_packet(a, PK_PUBREC);
    expect_disconnect(a, 0x93);

    a = connect5("b");
    send_publish(a, &(struct c_publish){ .topic = "t", .payload = text_of('x', 1000) });
    expect_disconnect(a, 0x95);
}

SPEC("U5-3.14-server-codes")
TEST(the_host_may_end_a_connection_with_a_reason)
{
    static const uint8_t reasons[] = { 0x87, 0x89, 0x96, 0x97, 0x98, 0x9C, 0x9D };
    const struct midge_slice id = { (const uint8_t *)"a", 1 };
    for (size_t i = 0; i < COUNT(reasons); i++) {
        struct peer *p =
            connect_as(CONNECT(.client_id = "a", .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 60))));
        CHECK_EQ(midge_kick(broker, id, reasons[i], false, now), MIDGE_OK);
        settle();
        expect_disconnect(p, reasons[i]);
        CHECK_EQ(stats().sessions, 1);
    }
    struct peer *p = connect_as(CONNECT(.client_id = "a", .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 60))));
    CHECK(connack_of(p)->session_present);
    CHECK_EQ(midge_kick(broker, id, 0x98, true, now), MIDGE_OK);
    settle();
    expect_disconnect(p, 0x98);
    CHECK_EQ(stats().sessions, 0);
    CHECK_EQ(midge_kick(broker, id, 0x98, true, now), MIDGE_ERR_NOT_FOUND);
}

SPEC("U5-3.14-server-codes")
TEST(a_shutdown_is_told_to_everybody_and_nobody_new_is_let_in)
{
    struct peer *v5 = connect5("a"), *v311 = connect311("b"), *stranger = dial();
    shut_down();
    expect_disconnect(v5, 0x8B);
    expect_closed(v311);
    expect_closed(stranger);
    CHECK(try_dial(0) == NULL);
}

SPEC("U5-3.14-server-codes")
TEST(a_session_whose_queue_is_full_can_be_ended_with_quota_exceeded)
{
    limits.queue_msgs = 3;
    limits.queue_policy = MIDGE_QUEUE_END_SESSION;
    struct peer *p = connect5("p");
    struct peer *slow =
        connect_as(CONNECT(.client_id = "slow", .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 600))));
    subscribe(slow, "t", 1);
    hold(slow);
    for (int i = 0; i < 5; i++)
        publish(p, "t", "x", 1);
    resume(slow);
    while (unread(slow)) {
        const struct packet pk = expect_packet(slow, PK_ANY);
        if (pk.type == PK_DISCONNECT)
            CHECK_EQ(pk.reason, 0x97);
        else
            CHECK_EQ(pk.type, PK_PUBLISH);
    }
    expect_closed(slow);
    CHECK_EQ(stats().sessions, 1);
}
