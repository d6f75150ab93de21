/* test_unsubscribe.c - UNSUBSCRIBE: what goes, what has begun and is finished, and the answer. */
#include "morec.h"

/* ---- the answer ---------------------------------------------------------------------------------------- */

SPEC("MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT311-3.10.4-4", "MQTT311-3.10.4-5")
TEST(an_unsubscribe_is_answered_whether_or_not_something_went)
{
    struct peer *p = connect5("a");
    subscribe(p, "t", 1);
    send_hex(p, "A2 06 12 34 00 00 01 't'");
    expect_hex(p, "B0 04 12 34 00 00");
    send_hex(p, "A2 06 12 35 00 00 01 't'");
    expect_hex(p, "B0 04 12 35 00 11");
    for (int v = 3; v <= 4; v++) {
        p = connect_v(v, "b");
        subscribe(p, "t", 1);
        send_hex(p, "A2 05 12 34 00 01 't'");
        expect_hex(p, "B0 02 12 34");
        send_hex(p, "A2 05 12 35 00 01 't'");
        expect_hex(p, "B0 02 12 35");
        leave(p);
    }
}

SPEC("MQTT-3.11.3-1", "MQTT-3.11.3-2", "MQTT-3.10.4-6")
TEST(codes_of_an_unsuback_stand_in_the_order_of_the_filters)
{
    struct peer *p = connect5("a");
    subscribe(p, "one", 1);
    subscribe(p, "three/#", 1);
    send_unsubscribe(p, &(struct c_subscribe){ .pid = 300,
                                               FILTERS({ "one", 0 }, { "two", 0 }, { "three/#", 0 },
                                                       { "bad#", 0 }, { "one", 0 }) });
    expect_codes(p, PK_UNSUBACK, 300, "00 11 00 8F 11");
}

/* A filter that cannot have been subscribed to has a lawful code too. */
SPEC("MQTT-3.11.3-2", "MQTT-3.10.4-5")
TEST(a_filter_with_too_many_levels_gets_a_code_that_an_unsuback_may_carry)
{
    limits.topic_levels = 4;
    struct peer *p = connect5("a");
    send_unsubscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "a/b/c/d/e", 0 }, { "a/b/c/d/#", 0 }) });
    struct packet ack = expect_packet(p, PK_UNSUBACK);
    CHECK_EQ(ack.code_count, 2);
    CHECK(ack.codes[0] == 0x11 || ack.codes[0] == 0x8F);
    CHECK_EQ(ack.codes[1], 0x11);
}

SPEC("MQTT-3.10.4-6", "MQTT311-3.10.4-6")
TEST(many_filters_are_unsubscribed_in_one_packet)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct c_filter filters[10];
        for (size_t i = 0; i < COUNT(filters); i++)
            filters[i] = (struct c_filter){ format("f/%zu", i), 0 };
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, .filters = filters, .count = COUNT(filters) });
        expect_packet(p, PK_SUBACK);
        subscribe(p, "stays", 0);
        send_unsubscribe(p, &(struct c_subscribe){ .pid = 2, .filters = filters, .count = COUNT(filters) });
        expect_codes(p, PK_UNSUBACK, 2, v == 5 ? "00 00 00 00 00 00 00 00 00 00" : "");
        CHECK_EQ(stats().subscriptions, 1);
        for (size_t i = 0; i < COUNT(filters); i++)
            publish(p, format("f/%zu", i), "x", 0);
        expect_nothing(p);
        publish(p, "stays", "x", 0);
        expect_publish(p, "stays", "x");
        leave(p);
    }
}

SPEC("MQTT-3.10.3-2", "MQTT311-3.10.3-2")
TEST(an_unsubscribe_without_filters_is_an_error)
{
    struct peer *p = connect5("a");
    send_hex(p, "A2 03 00 01 00");
    expect_disconnect(p, 0x82);
    for (int v = 3; v <= 4; v++) {
        p = connect_v(v, "a");
        send_hex(p, "A2 02 00 01");
        expect_closed(p);
    }
}

/* ---- what goes ----------------------------------------------------------------------------------------- */

SPEC("MQTT-3.10.4-1", "MQTT311-3.10.4-1")
TEST(only_the_very_same_filter_is_unsubscribed)
{
    static const char *const near[] = { "a/+", "a/#", "A/b", "a/b/", "/a/b",
                                        "a",   "a/B", "+/b", "#",    "$share/g/a/b" };
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p, "a/b", 0);
        for (size_t i = 0; i < COUNT(near); i++) {
            send_unsubscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ near[i], 0 }) });
            expect_codes(p, PK_UNSUBACK, 1, v == 5 ? "11" : "");
        }
        publish(p, "a/b", "x", 0);
        expect_publish(p, "a/b", "x");
        unsubscribe(p, "a/b");
        publish(p, "a/b", "x", 0);
        expect_nothing(p);
        leave(p);
    }
}

SPEC("MQTT-3.10.4-1", "MQTT311-3.10.4-1")
TEST(a_wildcard_is_unsubscribed_without_what_it_covers)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p, "a/+", 0);
        subscribe(p, "a/#", 0);
        subscribe(p, "a/b", 1);
        unsubscribe(p, "a/+");
        unsubscribe(p, "a/#");
        publish(p, "a/b", "x", 1);
        take_publish(p, "a/b", "x", 1);
        publish(p, "a/c", "x", 1);
        expect_nothing(p);
        leave(p);
    }
}

SPEC("MQTT-3.10.4-1", "MQTT311-3.10.4-1")
TEST(others_keep_their_subscriptions)
{
    struct peer *p = connect5("a");
    struct peer *q = connect311("b");
    subscribe(p, "t/#", 0);
    subscribe(q, "t/#", 0);
    unsubscribe(p, "t/#");
    publish(p, "t/x", "x", 0);
    expect_publish(q, "t/x", "x");
    expect_nothing(p);
}

/* ---- what comes after, and what has begun -------------------------------------------------------------- */

SPEC("MQTT-3.10.4-2", "MQTT311-3.10.4-2")
TEST(nothing_new_comes_after_the_unsuback)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p, "t", 2);
        struct peer *q = connect_v(v, "b");
        publish(q, "t", "1", 2);
        take_publish(p, "t", "1", 2);
        unsubscribe(p, "t");
        for (uint8_t qos = 0; qos <= 2; qos++)
            publish(q, "t", "2", qos);
        expect_nothing(p);
        leave(p);
        leave(q);
    }
}

/* Retained messages that were to be sent for the subscription are new ones too. */
SPEC("MQTT-3.10.4-2", "MQTT311-3.10.4-2")
TEST(retained_messages_not_yet_sent_stay_away)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        publish_retained(p, "t/1", "x", 1);
        hold(p);
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t/#", 1 }) });
        send_unsubscribe(p, &(struct c_subscribe){ .pid = 2, FILTERS({ "t/#", 0 }) });
        resume(p);
        expect_codes(p, PK_SUBACK, 1, "01");
        expect_codes(p, PK_UNSUBACK, 2, v == 5 ? "00" : "");
        expect_nothing(p);
        leave(p);
    }
}

SPEC("MQTT-3.10.4-3", "MQTT311-3.10.4-3")
TEST(a_qos_2_delivery_that_has_begun_is_finished)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p, "t", 2);
        struct peer *q = connect_v(v, "b");
        publish(q, "t", "x", 2);
        uint16_t pid = expect_publish(p, "t", "x").pid;
        unsubscribe(p, "t");
        send_ack(p, PK_PUBREC, pid, 0);
        expect_ack(p, PK_PUBREL, pid, 0);
        send_ack(p, PK_PUBCOMP, pid, 0);
        expect_nothing(p);
        leave(p);
        leave(q);
    }
}

SPEC("MQTT-3.10.4-3", "MQTT311-3.10.4-3")
TEST(a_delivery_that_has_begun_is_finished_on_the_next_connection_too)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_kept(v, "a", 60);
        subscribe(p, "t", 2);
        struct peer *q = connect_v(v, "b");
        publish(q, "t", "1", 1);
        publish(q, "t", "2", 2);
        uint16_t one = expect_publish(p, "t", "1").pid;
        uint16_t two = expect_publish(p, "t", "2").pid;
        send_ack(p, PK_PUBREC, two, 0);
        expect_ack(p, PK_PUBREL, two, 0);
        unsubscribe(p, "t");
        drop(p);
        p = connect_kept(v, "a", 60);
        for (int i = 0; i < 2; i++) { /* in this order or the other */
            struct packet pk = expect_packet(p, PK_ANY);
            CHECK_EQ(pk.pid, pk.type == PK_PUBREL ? two : one);
            CHECK(pk.type == PK_PUBREL || (pk.type == PK_PUBLISH && pk.dup));
        }
        send_ack(p, PK_PUBACK, one, 0);
        send_ack(p, PK_PUBCOMP, two, 0);
        expect_nothing(p);
        leave(p);
        leave(q);
        leave(connect_v(v, "a"));
    }
}
