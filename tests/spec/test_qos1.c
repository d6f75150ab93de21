/* test_qos1.c - at least once: packet ids, acknowledgement, sending again. */
#include "more.h"

static struct peer *stay(uint8_t version, const char *id)
{
    return version == 5 ? stay5(id) : stay311(id);
}

/* ---- towards the subscriber ------------------------------------------------------------------------ */

SPEC("MQTT-4.3.2-1", "MQTT-4.3.2-2", "MQTT-2.2.1-4", "MQTT311-4.3.2-1", "MQTT311-2.3.1-1", "MQTT311-2.3.1-4")
TEST(each_new_message_has_an_unused_id_and_dup_0)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 1);
        uint16_t pids[5];
        for (size_t i = 0; i < 5; i++) {
            publish(p, "a", "x", 1);
            struct packet got = expect_publish(s, "a", "x");
            CHECK_EQ(got.bytes[0], 0x32);
            CHECK(got.pid != 0);
            for (size_t k = 0; k < i; k++)
                CHECK(pids[k] != got.pid);
            pids[i] = got.pid;
        }
        leave(p);
        leave(s);
    }
}

static void publish_inside(const char *topic, uint8_t qos, unsigned times)
{
    const struct midge_publication p = { .topic = slice(topic), .qos = qos };
    for (unsigned i = 0; i < times; i++)
        CHECK_EQ(midge_publish(broker, NULL, &p, now), MIDGE_OK);
    settle();
}

SPEC("MQTT-2.2.1-4", "MQTT-4.3.2-1", "MQTT311-2.3.1-4")
TEST(no_id_is_used_twice_while_65535_are_unacknowledged)
{
    limits.inflight = 65535;
    limits.queue_msgs = 100000;
    struct peer *s = connect5("s");
    subscribe(s, "a", 1);
    bool *used = keep(65536);
    publish_inside("a", 1, 65540); /* five more than there are ids */
    for (unsigned i = 0; i < 65535; i++) {
        uint16_t pid = expect_packet(s, PK_PUBLISH).pid;
        CHECK(pid != 0 && !used[pid]);
        used[pid] = true;
    }
    expect_nothing(s);

    send_ack(s, PK_PUBACK, 1, 0); /* that one is free again, and no other */
    CHECK_EQ(expect_packet(s, PK_PUBLISH).pid, 1);
    expect_nothing(s);
}

SPEC("MQTT-4.3.2-3", "MQTT-3.3.1-1", "MQTT311-3.3.1-1", "MQTT311-4.3.2-1", "MQTT311-2.3.1-4")
TEST(what_was_not_acknowledged_is_sent_again_with_dup_and_the_same_id)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = stay(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 1);
        publish(p, "a", "x", 1);
        struct packet first = expect_publish(s, "a", "x");
        for (int i = 0; i < 3; i++) {
            drop(s);
            s = stay(v, "s");
            CHECK(connack_of(s)->session_present);
            struct packet again = expect_publish(s, "a", "x");
            CHECK_EQ(again.bytes[0], 0x3A);
            CHECK_EQ(again.pid, first.pid);
        }
        send_ack(s, PK_PUBACK, first.pid, 0);
        drop(s);
        s = stay(v, "s");
        CHECK(connack_of(s)->session_present);
        expect_nothing(s);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-4.4.0-1", "MQTT311-4.4.0-1")
TEST(all_that_is_unacknowledged_is_sent_again_with_its_id)
{
    struct peer *s = stay5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    uint16_t pids[18];
    for (size_t i = 0; i < 18; i++) {
        const char *payload = format("%zu", i);
        publish(p, "a", payload, i < 10 ? 1 : 2);
        pids[i] = expect_publish(s, "a", payload).pid;
    }
    for (size_t i = 15; i < 18; i++) { /* three wait for PUBCOMP */
        send_ack(s, PK_PUBREC, pids[i], 0);
        expect_ack(s, PK_PUBREL, pids[i], 0);
    }
    drop(s);
    s = stay5("s");
    for (size_t publishes = 0, pubrels = 15; publishes + pubrels < 15 + 18;) { /* each kind in its order */
        struct packet again = expect_packet(s, PK_ANY);
        if (again.type == PK_PUBREL) {
            CHECK_EQ(again.pid, pids[pubrels++]);
            continue;
        }
        CHECK(again.dup);
        CHECK_STR(again.payload, format("%zu", publishes));
        CHECK_EQ(again.qos, publishes < 10 ? 1 : 2);
        CHECK_EQ(again.pid, pids[publishes++]);
    }
    expect_nothing(s);
}

SPEC("MQTT-4.4.0-1", "MQTT311-4.4.0-1", "V31-retry")
TEST(nothing_is_sent_again_on_a_connection_that_stands)
{
    for (uint8_t v = 3; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 2);
        publish(p, "a", "1", 1);
        publish(p, "a", "2", 2);
        expect_publish(s, "a", "1");
        struct packet two = expect_publish(s, "a", "2");
        advance(3600 * 1000);
        expect_nothing(s);
        send_ack(s, PK_PUBREC, two.pid, 0);
        expect_ack(s, PK_PUBREL, two.pid, 0);
        advance(3600 * 1000);
        expect_nothing(s);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-4.4.0-1")
TEST(a_clean_start_is_sent_nothing_again)
{
    struct peer *s = stay5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    publish(p, "a", "x", 1);
    expect_publish(s, "a", "x");
    drop(s);
    s = connect5("s");
    CHECK(!connack_of(s)->session_present);
    expect_nothing(s);
}

SPEC("MQTT-4.4.0-2")
TEST(a_refusing_puback_acknowledges_too)
{
    static const uint8_t reasons[] = { 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99 };
    struct peer *s = stay5_window("s", 1);
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    for (size_t i = 0; i < sizeof reasons; i++) {
        publish(p, "a", "x", 1);
        send_ack(s, PK_PUBACK, expect_publish(s, "a", "x").pid, reasons[i]);
    }
    publish(p, "a", "last", 1); /* the window of one is open */
    take_publish(s, "a", "last", 1);
    drop(s);
    s = stay5_window("s", 1);
    CHECK(connack_of(s)->session_present);
    expect_nothing(s);
}

SPEC("MQTT-3.4.2-1")
TEST(a_puback_with_a_code_that_is_not_defined_ends_the_connection)
{
    static const uint8_t reasons[] = { 0x01, 0x11, 0x7F, 0x81, 0x92, 0xA2, 0xFF };
    struct peer *p = connect5("p");
    for (size_t i = 0; i < sizeof reasons; i++) {
        struct peer *s = connect5("s");
        subscribe(s, "a", 1);
        publish(p, "a", "x", 1);
        send_ack(s, PK_PUBACK, expect_publish(s, "a", "x").pid, reasons[i]);
        expect_disconnect(s, MIDGE_RC_PROTOCOL_ERROR);
    }
}

SPEC("U5-3.4.2.1-short")
TEST(acknowledgements_of_every_length_are_understood)
{
    /* Length, then what follows the id: no reason, one, no properties, a reason string, a user property. */
    static const char *const forms[][3] = {
        { "02", "", "" },
        { "03", "00", "" },
        { "04", "00 00", "" },
        { "08", "00 04", "1F 00 01 'x'" },
        { "0A", "00 06", "26 00 01 'k' 00 00" },
    };
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 1));
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    for (size_t i = 0; i < 5; i++) {
        const char *const *f = forms[i];
        publish(p, "a", "1", 1);
        unsigned pid = expect_publish(s, "a", "1").pid;
        send_hex(s, format("40 %s %04X %s %s", f[0], pid, f[1], f[2]));
        publish(p, "a", "2", 2); /* comes only if the window is open again */
        pid = expect_publish(s, "a", "2").pid;
        send_hex(s, format("50 %s %04X %s %s", f[0], pid, f[1], f[2]));
        expect_ack(s, PK_PUBREL, (uint16_t)pid, 0);
        send_hex(s, format("70 %s %04X %s %s", f[0], pid, f[1], f[2]));

        send_publish(s, &(struct c_publish){ .topic = "b", .qos = 2, .pid = 5 });
        expect_taken(s, PK_PUBREC, 5);
        send_hex(s, format("62 %s 0005 %s %s", f[0], f[1], f[2]));
        expect_ack(s, PK_PUBCOMP, 5, 0);
    }
    publish(p, "a", "last", 1);
    take_publish(s, "a", "last", 1);
}

SPEC("U5-truncated")
TEST(acknowledgements_that_are_too_short_or_too_long_end_the_connection)
{
    static const char *const bad[] = { "00", "01 00", "04 00 01 00 01", "05 00 01 00 00 00",
                                       "06 00 01 00 01 1F 00" };
    static const char *const first[] = { "40", "50", "62", "70" };
    for (size_t t = 0; t < 4; t++) {
        for (size_t i = 0; i < 5; i++) {
            struct peer *p = connect5("p");
            send_hex(p, format("%s %s", first[t], bad[i]));
            expect_disconnect(p, MIDGE_RC_MALFORMED);
        }
        struct peer *p = connect311("p");
        send_hex(p, format("%s 03 00 01 00", first[t])); /* 3.1.1 knows no reason */
        expect_closed(p);
    }
}

SPEC("U5-2.4-ack")
TEST(an_acknowledgement_of_the_wrong_kind_ends_the_connection)
{
    static const struct {
        uint8_t qos;
        enum packet_type type;
    } wrong[] = { { 1, PK_PUBREC }, { 1, PK_PUBCOMP }, { 2, PK_PUBACK }, { 2, PK_PUBCOMP } };
    struct peer *p = connect5("p");
    for (size_t i = 0; i < 4; i++) {
        struct peer *s = connect5("s");
        subscribe(s, "a", 2);
        publish(p, "a", "x", wrong[i].qos);
        send_ack(s, wrong[i].type, expect_publish(s, "a", "x").pid, 0);
        expect_disconnect(s, MIDGE_RC_PROTOCOL_ERROR);
    }
}

SPEC("MQTT-4.5.0-2", "MQTT311-4.5.0-2")
TEST(a_subscriber_that_never_acknowledges_harms_nobody_else)
{
    for (uint8_t v = 4; v <= 5; v++) {
        limits.inflight = 4;
        struct peer *silent = connect_version(v, "silent");
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(silent, "#", 1);
        subscribe(s, "#", 1);
        for (int i = 0; i < 50; i++) {
            publish(p, "a", format("%d", i), 1);
            take_publish(s, "a", format("%d", i), 1);
        }
        for (int i = 0; i < 4; i++)
            expect_publish(silent, "a", format("%d", i));
        expect_nothing(silent);
        send_ping(silent);
        expect_packet(silent, PK_PINGRESP);
        leave(silent);
        leave(s);
        leave(p);
    }
}

SPEC("U5-4.9-quota")
TEST(a_puback_for_an_id_that_is_not_in_use_does_nothing)
{
    struct peer *s = connect5("s");
    send_ack(s, PK_PUBACK, 77, 0);
    send_ack(s, PK_PUBCOMP, 78, 0);
    expect_nothing(s);
}

/* ---- from the publisher ---------------------------------------------------------------------------- */

SPEC("MQTT-4.3.2-4", "MQTT311-4.3.2-2")
TEST(puback_means_that_the_broker_has_the_message)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = stay(v, "s");
        subscribe(s, "a", 1);
        drop(s);
        struct peer *p = connect_version(v, "p");
        send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = 1, .pid = 3 });
        expect_ack(p, PK_PUBACK, 3, 0);
        drop(p); /* and is never seen again */
        s = stay(v, "s");
        take_publish(s, "a", "x", 1);
        leave(s);
    }
}

SPEC("MQTT-4.3.2-5", "MQTT311-4.3.2-2", "MQTT311-2.3.1-3")
TEST(after_puback_the_same_id_is_a_new_message_whatever_dup_says)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 1);
        for (int i = 0; i < 3; i++) {
            send_publish(
                p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = 1, .pid = 5, .dup = i > 0 });
            expect_ack(p, PK_PUBACK, 5, 0);
            take_publish(s, "a", "x", 1);
        }
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-4.3.2-4")
TEST(a_publish_that_was_cut_off_is_not_taken)
{
    struct peer *s = connect5("s");
    subscribe(s, "a", 1);
    struct peer *p = connect5("p");
    struct bytes b =
        publish_bytes(p, &(struct c_publish){ .topic = "a", .payload = "whole", .qos = 1, .pid = 1 });
    send_bytes(p, b.at, b.len - 1);
    drop(p);
    expect_nothing(s);
}
