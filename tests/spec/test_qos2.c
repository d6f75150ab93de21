/* test_qos2.c - exactly once: both halves of the handshake, cut at every place. */
#include "more.h"

static struct peer *stay(uint8_t version, const char *id)
{
    return version == 5 ? stay5(id) : stay311(id);
}

/* ---- towards the subscriber ------------------------------------------------------------------------ */

SPEC("MQTT-4.3.3-1", "MQTT-4.3.3-2", "MQTT-2.2.1-4", "MQTT311-4.3.3-1")
TEST(each_new_qos_2_message_has_an_unused_id_and_dup_0)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 2);
        uint16_t pids[5];
        for (size_t i = 0; i < 5; i++) {
            publish(p, "a", "x", 2);
            struct packet got = expect_publish(s, "a", "x");
            CHECK_EQ(got.bytes[0], 0x34);
            CHECK(got.pid != 0);
            for (size_t k = 0; k < i; k++)
                CHECK(pids[k] != got.pid);
            pids[i] = got.pid;
            if (i == 1) { /* between PUBREC and PUBCOMP the id is in use as well */
                send_ack(s, PK_PUBREC, got.pid, 0);
                expect_ack(s, PK_PUBREL, got.pid, 0);
            }
        }
        leave(p);
        leave(s);
    }
}

SPEC("MQTT-4.3.3-3", "MQTT-3.3.1-1", "MQTT311-4.3.3-1", "MQTT311-3.3.1-1")
TEST(without_pubrec_the_publish_is_sent_again)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = stay(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 2);
        publish(p, "a", "x", 2);
        uint16_t pid = expect_publish(s, "a", "x").pid;
        drop(s);
        s = stay(v, "s");
        struct packet again = take_publish(s, "a", "x", 2);
        CHECK_EQ(again.bytes[0], 0x3C);
        CHECK_EQ(again.pid, pid);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-4.3.3-4", "MQTT311-4.3.3-1")
TEST(pubrec_is_answered_by_pubrel_with_the_same_id)
{
    static const uint8_t reasons[] = { 0x00, 0x10 };
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    for (size_t i = 0; i < 2; i++) {
        publish(p, "a", "x", 2);
        uint16_t pid = expect_publish(s, "a", "x").pid;
        send_ack(s, PK_PUBREC, pid, reasons[i]);
        expect_hex(s, format("62 02 %04X", pid));
        send_ack(s, PK_PUBCOMP, pid, 0);
    }
    expect_nothing(s);
}

SPEC("MQTT-4.3.3-4", "MQTT-4.4.0-2")
TEST(a_refusing_pubrec_ends_the_exchange)
{
    static const uint8_t reasons[] = { 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99 };
    struct peer *s = stay5_window("s", 1);
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    for (size_t i = 0; i < sizeof reasons; i++) {
        publish(p, "a", "x", 2);
        send_ack(s, PK_PUBREC, expect_publish(s, "a", "x").pid, reasons[i]);
        expect_nothing(s); /* no PUBREL */
    }
    publish(p, "a", "last", 2); /* the window of one is open */
    take_publish(s, "a", "last", 2);
    drop(s);
    s = stay5_window("s", 1);
    CHECK(connack_of(s)->session_present);
    expect_nothing(s);
}

SPEC("MQTT-4.3.3-5", "MQTT-4.3.3-6", "MQTT311-4.3.3-1")
TEST(after_pubrel_only_pubrel_is_sent_again)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = stay(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 2);
        publish(p, "a", "x", 2);
        uint16_t pid = expect_publish(s, "a", "x").pid;
        send_ack(s, PK_PUBREC, pid, 0);
        expect_ack(s, PK_PUBREL, pid, 0);
        for (int i = 0; i < 3; i++) {
            drop(s);
            s = stay(v, "s");
            expect_hex(s, format("62 02 %04X", pid));
            expect_nothing(s);
        }
        send_ack(s, PK_PUBCOMP, pid, 0);
        drop(s);
        s = stay(v, "s");
        expect_nothing(s);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-4.3.3-4", "MQTT-4.3.3-5")
TEST(a_second_pubrec_is_answered_by_pubrel_again)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    publish(p, "a", "x", 2);
    uint16_t pid = expect_publish(s, "a", "x").pid;
    for (int i = 0; i < 3; i++) {
        send_ack(s, PK_PUBREC, pid, 0);
        expect_ack(s, PK_PUBREL, pid, 0);
    }
    send_ack(s, PK_PUBCOMP, pid, 0);
    expect_nothing(s);
}

SPEC("MQTT-3.5.2-1", "MQTT-3.6.2-1", "MQTT-3.7.2-1")
TEST(pubrec_pubrel_and_pubcomp_with_a_code_that_is_not_defined_end_the_connection)
{
    static const struct {
        enum packet_type type;
        uint8_t reason;
    } bad[] = { { PK_PUBREC, 0x01 },  { PK_PUBREC, 0x92 },  { PK_PUBREC, 0x81 },  { PK_PUBREC, 0xFF },
                { PK_PUBREL, 0x10 },  { PK_PUBREL, 0x80 },  { PK_PUBREL, 0x97 },  { PK_PUBREL, 0xFF },
                { PK_PUBCOMP, 0x10 }, { PK_PUBCOMP, 0x80 }, { PK_PUBCOMP, 0x97 }, { PK_PUBCOMP, 0xFF } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct peer *p = connect5("p");
        send_ack(p, bad[i].type, 1, bad[i].reason);
        expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
    }
}

SPEC("U5-3.6-0x92", "MQTT-3.6.2-1")
TEST(a_pubrec_for_an_id_that_is_not_in_use_gets_pubrel_0x92)
{
    struct peer *s = connect5("s");
    send_ack(s, PK_PUBREC, 99, 0);
    expect_ack(s, PK_PUBREL, 99, MIDGE_RC_PACKET_ID_NOT_FOUND);
    send_ack(s, PK_PUBCOMP, 99, MIDGE_RC_PACKET_ID_NOT_FOUND);
    expect_nothing(s);
    s = connect311("s4");
    send_ack(s, PK_PUBREC, 99, 0);
    expect_hex(s, "62 02 00 63");
    send_ack(s, PK_PUBCOMP, 99, 0);
    expect_nothing(s);
}

SPEC("MQTT-3.6.2-1")
TEST(a_pubcomp_with_0x92_ends_the_exchange)
{
    struct peer *s = stay5_window("s", 1);
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    publish(p, "a", "x", 2);
    publish(p, "a", "y", 2);
    uint16_t pid = expect_publish(s, "a", "x").pid;
    send_ack(s, PK_PUBREC, pid, 0);
    expect_ack(s, PK_PUBREL, pid, 0);
    send_ack(s, PK_PUBCOMP, pid, MIDGE_RC_PACKET_ID_NOT_FOUND);
    take_publish(s, "a", "y", 2);
}

/* ---- from the publisher ---------------------------------------------------------------------------- */

SPEC("MQTT-4.3.3-8", "MQTT311-4.3.3-2")
TEST(pubrec_means_that_the_broker_has_the_message)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = stay(v, "s");
        subscribe(s, "a", 2);
        drop(s);
        struct peer *p = connect_version(v, "p");
        send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = 2, .pid = 3 });
        expect_ack(p, PK_PUBREC, 3, 0);
        drop(p); /* and never sends PUBREL */
        s = stay(v, "s");
        take_publish(s, "a", "x", 2);
        expect_nothing(s);
        leave(s);
    }
}

SPEC("MQTT-4.3.3-10", "MQTT311-4.3.3-2", "MQTT311-2.3.1-2", "MQTT311-2.3.1-3")
TEST(until_pubrel_the_same_id_is_the_same_message)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "#", 2);
        for (int i = 0; i < 5; i++) { /* even if a careless client changes what it says */
            send_publish(p, &(struct c_publish){ .topic = i == 3 ? "b" : "a",
                                                 .payload = i == 4 ? "y" : "x",
                                                 .qos = 2,
                                                 .pid = 9,
                                                 .dup = i > 0 });
            expect_ack(p, PK_PUBREC, 9, 0);
        }
        take_publish(s, "a", "x", 2);
        expect_nothing(s);
        send_ack(p, PK_PUBREL, 9, 0);
        expect_ack(p, PK_PUBCOMP, 9, 0);
        expect_nothing(s);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-4.3.3-10", "MQTT311-4.3.3-2")
TEST(the_same_id_is_the_same_message_on_the_next_connection_too)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = stay(v, "p");
        subscribe(s, "a", 2);
        const struct c_publish first = { .topic = "a", .payload = "x", .qos = 2, .pid = 9 };
        const struct c_publish again = { .topic = "a", .payload = "x", .qos = 2, .pid = 9, .dup = true };
        send_publish(p, &first);
        expect_ack(p, PK_PUBREC, 9, 0);
        take_publish(s, "a", "x", 2);
        drop(p);
        p = stay(v, "p");
        send_publish(p, &again);
        expect_ack(p, PK_PUBREC, 9, 0);
        expect_nothing(s);
        send_ack(p, PK_PUBREL, 9, 0);
        expect_ack(p, PK_PUBCOMP, 9, 0);
        drop(p);
        p = stay(v, "p");
        send_ack(p, PK_PUBREL, 9, 0); /* the PUBCOMP was lost on the way */
        expect_ack(p, PK_PUBCOMP, 9, v == 5 ? MIDGE_RC_PACKET_ID_NOT_FOUND : 0);
        leave(s);
        leave(p);
        p = connect_version(v, "p"); /* nothing left for the next version's turn */
        leave(p);
    }
}

SPEC("MQTT-4.3.3-10")
TEST(a_session_that_ended_has_forgotten_its_ids)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    const struct c_publish pub = { .topic = "a", .payload = "x", .qos = 2, .pid = 9 };
    send_publish(p, &pub);
    expect_ack(p, PK_PUBREC, 9, 0);
    take_publish(s, "a", "x", 2);
    drop(p);
    p = connect5("p");
    send_publish(p, &pub);
    expect_ack(p, PK_PUBREC, 9, 0);
    take_publish(s, "a", "x", 2);
}

SPEC("MQTT-4.3.3-11", "MQTT-3.7.2-1", "U5-3.6-0x92", "MQTT311-4.3.3-2")
TEST(pubrel_is_answered_by_pubcomp_with_0x92_where_the_id_is_unknown)
{
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = 5 });
    expect_taken(p, PK_PUBREC, 5);
    send_ack(p, PK_PUBREL, 5, 0);
    expect_hex(p, "70 02 00 05");
    send_ack(p, PK_PUBREL, 5, 0);
    expect_ack(p, PK_PUBCOMP, 5, MIDGE_RC_PACKET_ID_NOT_FOUND);
    send_ack(p, PK_PUBREL, 6, MIDGE_RC_PACKET_ID_NOT_FOUND);
    expect_ack(p, PK_PUBCOMP, 6, MIDGE_RC_PACKET_ID_NOT_FOUND);
    p = connect311("q");
    send_ack(p, PK_PUBREL, 6, 0);
    expect_hex(p, "70 02 00 06");
}

SPEC("MQTT-4.3.3-12", "MQTT311-4.3.3-2")
TEST(after_pubcomp_the_same_id_is_a_new_message)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 2);
        for (int i = 0; i < 3; i++) {
            send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = 2, .pid = 9 });
            expect_ack(p, PK_PUBREC, 9, 0);
            send_ack(p, PK_PUBREL, 9, 0);
            expect_ack(p, PK_PUBCOMP, 9, 0);
            take_publish(s, "a", "x", 2);
        }
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-4.3.3-9")
TEST(after_a_refusing_pubrec_the_same_id_is_a_new_message)
{
    deny(MIDGE_ACCESS_PUBLISH, "no");
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "#", 2);
    send_publish(p, &(struct c_publish){ .topic = "no", .payload = "x", .qos = 2, .pid = 9 });
    expect_ack(p, PK_PUBREC, 9, MIDGE_RC_NOT_AUTHORIZED);
    send_publish(p, &(struct c_publish){ .topic = "yes", .payload = "x", .qos = 2, .pid = 9 });
    expect_ack(p, PK_PUBREC, 9, 0);
    take_publish(s, "yes", "x", 2);
    expect_nothing(s);
}

SPEC("MQTT-4.3.3-13")
TEST(the_handshake_is_finished_though_the_message_has_expired)
{
    struct peer *s = stay5("s");
    subscribe(s, "a", 2);
    drop(s);
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){
                        .topic = "a", .qos = 2, .pid = 4, .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 1)) });
    expect_ack(p, PK_PUBREC, 4, 0);
    advance(2000);
    s = stay5("s");
    expect_nothing(s); /* expired */
    send_publish(p, &(struct c_publish){ .topic = "a",
                                         .qos = 2,
                                         .pid = 4,
                                         .dup = true,
                                         .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 1)) });
    expect_ack(p, PK_PUBREC, 4, 0);
    send_ack(p, PK_PUBREL, 4, 0);
    expect_ack(p, PK_PUBCOMP, 4, 0);
    expect_nothing(s);
}

SPEC("MQTT-3.6.1-1", "MQTT311-3.6.1-1")
TEST(pubrel_has_to_have_flags_0010)
{
    static const unsigned bad[] = { 0x60, 0x61, 0x63, 0x64, 0x66, 0x6A, 0x6F };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct peer *p = connect5("p");
        send_hex(p, format("%02X 02 00 01", bad[i]));
        expect_disconnect(p, MIDGE_RC_MALFORMED);
        p = connect311("p");
        send_hex(p, format("%02X 02 00 01", bad[i]));
        expect_closed(p);
    }
}

SPEC("V31-dup")
TEST(a_3_1_client_may_set_dup_on_pubrel)
{
    struct peer *p = connect31("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = 5 });
    expect_ack(p, PK_PUBREC, 5, 0);
    send_hex(p, "6A 02 00 05");
    expect_hex(p, "70 02 00 05");
}

SPEC("MQTT-4.3.3-8", "MQTT-4.3.3-10", "MQTT311-4.3.3-2")
TEST(thousands_of_ids_are_kept_apart)
{
    limits.inbound_qos2 = 3000;
    struct peer *s = connect311("s");
    struct peer *p = connect311("p");
    subscribe(s, "a", 0);
    uint32_t seed = 77;
    bool *open = keep(4001);
    unsigned opened = 0;
    for (int i = 0; i < 6000; i++) {
        uint16_t pid = (uint16_t)(1 + roll(&seed, 4000));
        if (roll(&seed, 3)) {
            if (!open[pid] && opened == 3000)
                continue;
            send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = 2, .pid = pid });
            expect_ack(p, PK_PUBREC, pid, 0);
            if (!open[pid])
                expect_publish(s, "a", "x");
            opened += !open[pid];
            open[pid] = true;
        } else {
            send_ack(p, PK_PUBREL, pid, 0);
            expect_ack(p, PK_PUBCOMP, pid, 0);
            opened -= open[pid];
            open[pid] = false;
        }
        expect_nothing(s);
    }
}
