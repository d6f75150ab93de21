/* test_packet_id.c - packet identifiers: never zero, never in use twice, echoed in every answer. */
#include "morec.h"

static const uint16_t ids[] = { 1, 256, 0x1234, 65535 };

/* ---- from the client ----------------------------------------------------------------------------------- */

SPEC("MQTT-2.2.1-3", "MQTT311-2.3.1-1")
TEST(id_0_from_a_client_is_a_protocol_error)
{
    static const struct {
        unsigned first;
        const char *body5, *body3;
    } zero[] = {
        { 0x32, "00 01 't' 00 00 00 'x'", "00 01 't' 00 00 'x'" },
        { 0x34, "00 01 't' 00 00 00 'x'", "00 01 't' 00 00 'x'" },
        { 0x82, "00 00 00 00 01 't' 00", "00 00 00 01 't' 00" },
        { 0xA2, "00 00 00 00 01 't'", "00 00 00 01 't'" },
        { 0x40, "00 00", "00 00" },
        { 0x50, "00 00", "00 00" },
        { 0x62, "00 00", "00 00" },
        { 0x70, "00 00", "00 00" },
    };
    struct peer *watch = connect5("watch");
    subscribe(watch, "t", 0);
    for (size_t i = 0; i < COUNT(zero); i++) {
        struct peer *p = connect5("a");
        send_body(p, zero[i].first, zero[i].body5);
        expect_disconnect(p, 0x82);
        for (int v = 3; v <= 4; v++) {
            p = connect_v(v, "b");
            send_body(p, zero[i].first, zero[i].body3);
            expect_closed(p);
        }
    }
    expect_nothing(watch);
    CHECK_EQ(stats().subscriptions, 1);
}

/* What stands behind the topic of a QoS 0 PUBLISH is no identifier. */
SPEC("MQTT-2.2.1-2", "MQTT311-2.3.1-5")
TEST(a_qos_0_publish_has_no_id)
{
    struct peer *p = connect5("a");
    struct peer *q = connect311("b");
    subscribe(p, "t", 2);
    subscribe(q, "t", 2);
    send_hex(q, "30 05 00 01 't' 00 00");
    expect_hex(q, "30 05 00 01 't' 00 00");
    expect_hex(p, "30 06 00 01 't' 00 00 00");
    send_hex(p, "30 06 00 01 't' 00 00 07");
    expect_hex(q, "30 05 00 01 't' 00 07");
    expect_hex(p, "30 06 00 01 't' 00 00 07");
}

SPEC("MQTT-2.2.1-5", "MQTT311-2.3.1-6")
TEST(acknowledgements_of_a_publish_carry_its_id)
{
    for (int v = 3; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p, "s", 0);
        for (size_t i = 0; i < COUNT(ids); i++) {
            send_publish(p, &(struct c_publish){ .topic = "t", .qos = 1, .pid = ids[i] });
            CHECK_EQ(expect_packet(p, PK_PUBACK).pid, ids[i]);
            send_publish(p, &(struct c_publish){ .topic = "t", .qos = 2, .pid = ids[i] });
            CHECK_EQ(expect_packet(p, PK_PUBREC).pid, ids[i]);
            send_ack(p, PK_PUBREL, ids[i], 0);
            expect_ack(p, PK_PUBCOMP, ids[i], 0);
        }
        leave(p);
    }
}

SPEC("MQTT-2.2.1-6", "MQTT-3.8.4-2", "MQTT311-2.3.1-7", "MQTT311-3.8.4-2")
TEST(suback_and_unsuback_carry_the_id_of_the_request)
{
    for (int v = 3; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        for (size_t i = 0; i < COUNT(ids); i++) {
            send_subscribe(p, &(struct c_subscribe){ .pid = ids[i], FILTERS({ "t", 1 }) });
            expect_codes(p, PK_SUBACK, ids[i], "01");
            send_unsubscribe(p, &(struct c_subscribe){ .pid = ids[i], FILTERS({ "t", 0 }) });
            expect_codes(p, PK_UNSUBACK, ids[i], v == 5 ? "00" : "");
        }
        leave(p);
    }
}

SPEC("MQTT311-2.3.1-2", "MQTT-2.2.1-3")
TEST(a_qos_2_id_that_is_in_use_is_the_same_message)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct peer *q = connect_v(v, "b");
        subscribe(q, "#", 0);
        send_publish(p, &(struct c_publish){ .topic = "t", .payload = "one", .qos = 2, .pid = 9 });
        expect_ack(p, PK_PUBREC, 9, 0);
        expect_publish(q, "t", "one");
        send_publish(p, &(struct c_publish){ .topic = "other", .payload = "two", .qos = 2, .pid = 9 });
        expect_ack(p, PK_PUBREC, 9, 0);
        expect_nothing(q);
        send_ack(p, PK_PUBREL, 9, 0);
        expect_ack(p, PK_PUBCOMP, 9, 0);
        leave(p);
        leave(q);
    }
}

/* An id serves one packet of any kind at a time, says the client's rule; the broker keeps the kinds apart. */
SPEC("MQTT311-2.3.1-2", "MQTT-2.2.1-3")
TEST(one_id_in_packets_of_several_kinds_does_no_harm)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        send_publish(p, &(struct c_publish){ .topic = "t", .qos = 2, .pid = 1 });
        CHECK_EQ(expect_packet(p, PK_PUBREC).pid, 1);
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "s", 1 }) });
        expect_codes(p, PK_SUBACK, 1, "01");
        send_publish(p, &(struct c_publish){ .topic = "t", .qos = 1, .pid = 1 });
        CHECK_EQ(expect_packet(p, PK_PUBACK).pid, 1);
        send_ack(p, PK_PUBREL, 1, 0);
        expect_ack(p, PK_PUBCOMP, 1, 0);
        leave(p);
    }
}

SPEC("MQTT311-2.3.1-3")
TEST(an_id_is_free_again_after_the_last_acknowledgement)
{
    struct peer *p = connect311("a");
    struct peer *q = connect311("b");
    subscribe(q, "t", 0);
    for (int i = 0; i < 3; i++) {
        send_publish(p, &(struct c_publish){ .topic = "t", .payload = "1", .qos = 1, .pid = 5 });
        expect_ack(p, PK_PUBACK, 5, 0);
        expect_publish(q, "t", "1");
    }
    for (int i = 0; i < 3; i++) {
        send_publish(p, &(struct c_publish){ .topic = "t", .payload = "2", .qos = 2, .pid = 5 });
        expect_ack(p, PK_PUBREC, 5, 0);
        expect_publish(q, "t", "2");
        send_publish(p, &(struct c_publish){ .topic = "t", .payload = "2", .qos = 2, .pid = 5, .dup = true });
        expect_ack(p, PK_PUBREC, 5, 0);
        expect_nothing(q);
        send_ack(p, PK_PUBREL, 5, 0);
        expect_ack(p, PK_PUBCOMP, 5, 0);
    }
}

/* ---- from the broker ----------------------------------------------------------------------------------- */

static void publish_from_host(uint8_t qos)
{
    const struct midge_publication message = { .topic = { (const uint8_t *)"t", 1 }, .qos = qos };
    CHECK_EQ(midge_publish(broker, NULL, &message, now), MIDGE_OK);
}

/* As many unacknowledged as there are ids: each is used once, and then no more comes. */
SPEC("MQTT-2.2.1-4", "MQTT311-2.3.1-1", "MQTT311-2.3.1-4")
TEST(ids_of_the_broker_are_not_zero_and_not_in_use)
{
    limits.inflight = 65535;
    limits.queue_msgs = 70000;
    bool *used = keep(65536);
    struct peer *p = connect5("a");
    subscribe(p, "t", 2);
    for (unsigned i = 0; i < 65535 + 5; i++)
        publish_from_host(1 + i % 2);
    settle();
    uint16_t first = 0;
    for (unsigned i = 0; i < 65535; i++) {
        struct packet pk = expect_packet(p, PK_PUBLISH);
        CHECK(pk.pid != 0 && !used[pk.pid]);
        used[pk.pid] = true;
        first = i == 0 ? pk.pid : first;
    }
    expect_nothing(p);
    CHECK_EQ(first, 1);
    send_ack(p, PK_PUBACK, first, 0); /* the only id that is free now */
    struct packet pk = expect_packet(p, PK_PUBLISH);
    CHECK_EQ(pk.pid, first);
    expect_nothing(p);
}

/* The ids go round while one message is never acknowledged. */
SPEC("MQTT-2.2.1-4", "MQTT311-2.3.1-4")
TEST(an_id_that_is_in_use_is_passed_over_when_the_ids_go_round)
{
    struct peer *p = connect311("a");
    subscribe(p, "t", 1);
    uint16_t kept = 0;
    for (unsigned i = 0; i < 66000; i++) {
        publish_from_host(1);
        settle();
        if (unread(p) == 0)
            break; /* it may as well wait for the oldest */
        struct packet pk = expect_packet(p, PK_PUBLISH);
        CHECK(pk.pid != 0 && pk.pid != kept);
        if (i == 0)
            kept = pk.pid;
        else
            send_ack(p, PK_PUBACK, pk.pid, 0);
    }
    send_ack(p, PK_PUBACK, kept, 0);
    publish_from_host(1);
    settle();
    CHECK(expect_packet(p, PK_PUBLISH).pid != 0);
    read_all(p);
}

SPEC("MQTT311-2.3.1-4", "MQTT-2.2.1-4")
TEST(a_message_that_is_sent_again_keeps_its_id)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_kept(v, "a", 60);
        struct peer *q = connect_v(v, "b");
        subscribe(p, "t", 2);
        for (uint8_t i = 0; i < 6; i++)
            publish(q, "t", format("%u", i), 1 + i % 2);
        uint16_t sent[6];
        for (int i = 0; i < 6; i++)
            sent[i] = expect_packet(p, PK_PUBLISH).pid;
        for (int again = 0; again < 2; again++) {
            drop(p);
            p = connect_kept(v, "a", 60);
            for (int i = 0; i < 6; i++) {
                struct packet pk = expect_publish(p, "t", format("%d", i));
                CHECK_EQ(pk.pid, sent[i]);
                CHECK(pk.dup);
            }
            expect_nothing(p);
        }
        leave(q);
        leave(p);
        leave(connect_v(v, "a"));
    }
}

SPEC("MQTT-2.2.1-5", "MQTT311-2.3.1-6")
TEST(pubrel_of_the_broker_carries_the_id_of_the_publish)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct peer *q = connect_v(v, "b");
        subscribe(p, "t", 2);
        uint16_t sent[3];
        for (int i = 0; i < 3; i++) {
            publish(q, "t", "x", 2);
            sent[i] = expect_publish(p, "t", "x").pid;
        }
        for (int i = 2; i >= 0; i--) {
            send_ack(p, PK_PUBREC, sent[i], 0);
            expect_ack(p, PK_PUBREL, sent[i], 0);
        }
        for (int i = 0; i < 3; i++)
            send_ack(p, PK_PUBCOMP, sent[i], 0);
        expect_nothing(p);
        leave(p);
        leave(q);
    }
}

/* ---- acknowledgements that do not fit ------------------------------------------------------------------ */

SPEC("U5-2.4-ack")
TEST(an_acknowledgement_of_the_wrong_kind_is_a_protocol_error)
{
    static const struct {
        uint8_t qos;
        enum packet_type ack;
    } wrong[] = { { 2, PK_PUBACK }, { 1, PK_PUBREC }, { 1, PK_PUBCOMP }, { 2, PK_PUBCOMP } };
    for (int v = 4; v <= 5; v++) {
        for (size_t i = 0; i < COUNT(wrong); i++) {
            struct peer *p = connect_v(v, "a");
            struct peer *q = connect_v(v, "b");
            subscribe(p, "t", 2);
            publish(q, "t", "x", wrong[i].qos);
            send_ack(p, wrong[i].ack, expect_publish(p, "t", "x").pid, 0);
            expect_disconnect(p, 0x82);
            leave(q);
        }
    }
}

/* Who acknowledges what was never sent may have lost its memory; it does no harm. */
SPEC("MQTT311-2.3.1-2", "U5-4.9-quota")
TEST(acknowledgements_of_ids_that_are_not_in_use_do_no_harm)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        send_ack(p, PK_PUBACK, 7, 0);
        send_ack(p, PK_PUBCOMP, 7, 0);
        expect_nothing(p);
        subscribe(p, "t", 1);
        struct peer *q = connect_v(v, "b");
        publish(q, "t", "x", 1);
        uint16_t pid = expect_publish(p, "t", "x").pid;
        send_ack(p, PK_PUBACK, (uint16_t)(pid + 1), 0);
        expect_nothing(p);
        send_ack(p, PK_PUBACK, pid, 0);
        send_ack(p, PK_PUBACK, pid, 0); /* and once more */
        expect_nothing(p);
        leave(p);
        leave(q);
    }
}
