/* test_shared.c - shared subscriptions: one copy a group, fair turns, and what happens when a member goes. */
#include "morec.h"

#include <stdlib.h>

/* ---- the form of the filter ---------------------------------------------------------------------------- */

SPEC("MQTT-3.8.3-4")
TEST(no_local_on_a_shared_subscription_is_a_protocol_error)
{
    struct peer *p = connect5("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", 0 }, { "$share/g/t", OPT_NO_LOCAL }) });
    expect_disconnect(p, 0x82);
}

SPEC("MQTT-4.8.2-1", "MQTT-4.8.2-2")
TEST(a_malformed_shared_filter_is_refused_and_not_stored)
{
    static const char *const bad[] = { "$share//t",   "$share/",    "$share/g",    "$share/g/",
                                       "$share/a+/t", "$share/+/t", "$share/#/t",  "$share/a#/t",
                                       "$share/#",    "$share/+",   "$share/g/t#", "$share/g/a+",
                                       "$share/g/#/t" };
    struct peer *p = connect5("a");
    for (size_t i = 0; i < COUNT(bad); i++) {
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ bad[i], 1 }) });
        expect_codes(p, PK_SUBACK, 1, "8F");
    }
    CHECK_EQ(stats().subscriptions, 0);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct peer *q = connect311("b");
        send_subscribe(q, &(struct c_subscribe){ .pid = 1, FILTERS({ bad[i], 1 }) });
        expect_closed(q);
    }
    CHECK_EQ(stats().subscriptions, 0);
}

SPEC("MQTT-4.8.2-1", "MQTT-4.8.2-2")
TEST(a_lawful_shared_filter_shares_any_filter)
{
    static const char *const good[] = { "$share/g/#",     "$share/g/t/+", "$share/g/t/x",
                                        "$share/a b/t/#", "$share/$/+/x", "$share/g//t" };
    struct peer *p = connect5("a");
    for (size_t i = 0; i < COUNT(good); i++) {
        subscribe(p, good[i], 0);
        publish(p, i < 5 ? "t/x" : "/t", "x", 0);
        expect_publish(p, i < 5 ? "t/x" : "/t", "x");
        unsubscribe(p, good[i]);
        publish(p, i < 5 ? "t/x" : "/t", "x", 0);
        expect_nothing(p);
    }
}

/* Only the first level makes it shared, and only as "$share". */
SPEC("MQTT-4.8.2-1")
TEST(filters_that_look_almost_shared_are_plain_ones)
{
    static const char *const plain[] = { "$SHARE/g/t", "share/g/t", "$sharex/g/t", "x/$share/g" };
    struct peer *p = connect5("a");
    for (size_t i = 0; i < COUNT(plain); i++) {
        subscribe(p, plain[i], 0);
        publish(p, "t", "x", 0);
        expect_nothing(p);
        publish(p, plain[i], "x", 0);
        expect_publish(p, plain[i], "x");
    }
}

/* ---- one copy a group ---------------------------------------------------------------------------------- */

SPEC("U5-4.8.2-group")
TEST(each_group_gets_one_copy_and_a_plain_subscription_its_own)
{
    struct peer *one[2] = { connect5("g1a"), connect5("g1b") };
    struct peer *two[2] = { connect5("g2a"), connect311("g2b") };
    struct peer *plain = connect5("plain");
    for (int i = 0; i < 2; i++) {
        subscribe(one[i], "$share/g1/t/+", 1);
        subscribe(two[i], "$share/g2/t/+", 1);
    }
    subscribe(plain, "t/+", 1);
    struct peer *q = connect5("q");
    for (int i = 0; i < 2; i++) {
        publish(q, "t/x", "x", 1);
        take_publish(plain, "t/x", "x", 1);
        expect_nothing(plain);
    }
    for (int i = 0; i < 2; i++) { /* two messages: one to each member of each group */
        take_publish(one[i], "t/x", "x", 1);
        take_publish(two[i], "t/x", "x", 1);
        expect_nothing(one[i]);
        expect_nothing(two[i]);
    }
}

SPEC("U5-4.8.2-group")
TEST(equal_names_with_other_filters_are_other_groups)
{
    struct peer *p = connect5("a");
    struct peer *q = connect5("b");
    struct peer *r = connect5("c");
    subscribe(p, "$share/g/t/x", 0);
    subscribe(q, "$share/g/t/+", 0);
    subscribe(r, "$share/g/t/#", 0);
    for (int i = 0; i < 3; i++) {
        publish(p, "t/x", "x", 0);
        expect_publish(p, "t/x", "x");
        expect_publish(q, "t/x", "x");
        expect_publish(r, "t/x", "x");
    }
}

SPEC("U5-4.8.2-group")
TEST(members_take_turns)
{
    struct peer *m[4];
    for (int i = 0; i < 4; i++) {
        m[i] = connect5(format("m%d", i));
        subscribe(m[i], "$share/g/t", 0);
    }
    struct peer *q = connect5("q");
    for (int n = 0; n < 40; n++)
        publish(q, "t", "x", 0);
    for (int i = 0; i < 4; i++) {
        for (int n = 0; n < 10; n++)
            expect_publish(m[i], "t", "x");
        expect_nothing(m[i]);
    }
}

SPEC("MQTT-3.8.4-3", "U5-4.8.2-group")
TEST(subscribing_again_to_the_group_changes_the_options_and_adds_no_turn)
{
    struct peer *p = connect5("a");
    struct peer *q = connect5("b");
    subscribe(p, "$share/g/t", 0);
    subscribe(q, "$share/g/t", 0);
    subscribe(p, "$share/g/t", 1);
    struct peer *from = connect5("c");
    for (int i = 0; i < 4; i++)
        publish(from, "t", "x", 1);
    for (int i = 0; i < 2; i++) {
        take_publish(p, "t", "x", 1);
        CHECK_EQ(expect_publish(q, "t", "x").qos, 0);
    }
}

SPEC("MQTT-4.8.2-3")
TEST(each_member_gets_at_its_own_granted_qos)
{
    struct peer *m[3];
    for (uint8_t i = 0; i < 3; i++) {
        m[i] = connect5(format("m%d", i));
        subscribe(m[i], "$share/g/t", i);
    }
    struct peer *q = connect5("q");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        for (int n = 0; n < 3; n++)
            publish(q, "t", "x", qos);
        for (uint8_t i = 0; i < 3; i++) {
            take_publish(m[i], "t", "x", i < qos ? i : qos);
            expect_nothing(m[i]);
        }
    }
}

SPEC("U5-3.8.4-shared-retain")
TEST(a_shared_subscription_gets_no_retained_messages)
{
    struct peer *p = connect5("a");
    publish_retained(p, "t", "x", 1);
    subscribe(p, "$share/g/t", 1);
    subscribe(p, "$share/g/t", 1 | OPT_RETAIN_HANDLING(1));
    expect_nothing(p);
}

/* ---- a member goes ------------------------------------------------------------------------------------- */

/* Puts a QoS 2 message in flight to the one of two members whose turn it is; which = 0 or 1. */
static uint16_t fly(struct peer *m[2], struct peer *q, int *which)
{
    publish(q, "t", "x", 2);
    *which = unread(m[0]) > 0 ? 0 : 1;
    return expect_publish(m[*which], "t", "x").pid;
}

SPEC("MQTT-4.8.2-4")
TEST(a_qos_2_delivery_is_finished_with_the_member_that_began_it)
{
    struct peer *m[2] = { connect_kept(5, "m0", 60), connect_kept(5, "m1", 60) };
    subscribe(m[0], "$share/g/t", 2);
    subscribe(m[1], "$share/g/t", 2);
    struct peer *q = connect5("q");
    int which;
    uint16_t pid = fly(m, q, &which);
    drop(m[which]);
    expect_nothing(m[!which]);
    advance(30000);
    expect_nothing(m[!which]);

    struct peer *back = connect_kept(5, which ? "m1" : "m0", 60);
    struct packet pk = expect_publish(back, "t", "x");
    CHECK(pk.dup);
    CHECK_EQ(pk.pid, pid);
    CHECK_EQ(pk.qos, 2);
    send_ack(back, PK_PUBREC, pid, 0);
    expect_ack(back, PK_PUBREL, pid, 0);
    drop(back);
    back = connect_kept(5, which ? "m1" : "m0", 60);
    expect_ack(back, PK_PUBREL, pid, 0);
    send_ack(back, PK_PUBCOMP, pid, 0);
    expect_nothing(back);
    expect_nothing(m[!which]);
}

SPEC("MQTT-4.8.2-5")
TEST(a_qos_2_message_ends_with_the_session_it_was_sent_to)
{
    struct peer *m[2] = { connect_kept(5, "m0", 10), connect_kept(5, "m1", 10) };
    subscribe(m[0], "$share/g/t", 2);
    subscribe(m[1], "$share/g/t", 2);
    struct peer *q = connect5("q");
    int which;
    (void)fly(m, q, &which);
    drop(m[which]);
    advance(11000);
    CHECK_EQ(stats().sessions, 2);
    expect_nothing(m[!which]);
}

SPEC("MQTT-4.8.2-5")
TEST(a_qos_2_message_in_flight_is_not_handed_over_by_an_unsubscribe)
{
    struct peer *m[2] = { connect_kept(5, "m0", 10), connect_kept(5, "m1", 10) };
    subscribe(m[0], "$share/g/t", 2);
    subscribe(m[1], "$share/g/t", 2);
    struct peer *q = connect5("q");
    int which;
    uint16_t pid = fly(m, q, &which);
    unsubscribe(m[which], "$share/g/t");
    expect_nothing(m[!which]);
    send_ack(m[which], PK_PUBREC, pid, 0);
    expect_ack(m[which], PK_PUBREL, pid, 0);
    send_ack(m[which], PK_PUBCOMP, pid, 0);
}

SPEC("MQTT-4.8.2-6")
TEST(a_message_that_a_member_refuses_goes_to_nobody_else)
{
    struct peer *m[2] = { connect5("m0"), connect5("m1") };
    subscribe(m[0], "$share/g/t", 2);
    subscribe(m[1], "$share/g/t", 2);
    struct peer *q = connect5("q");
    for (uint8_t qos = 1; qos <= 2; qos++) {
        publish(q, "t", "x", qos);
        int which = unread(m[0]) > 0 ? 0 : 1;
        uint16_t pid = expect_publish(m[which], "t", "x").pid;
        send_ack(m[which], qos == 1 ? PK_PUBACK : PK_PUBREC, pid, 0x80);
        expect_nothing(m[which]);
        expect_nothing(m[!which]);
        drop(m[which]);
        expect_nothing(m[!which]);
        m[which] = connect5(which ? "m1" : "m0");
        subscribe(m[which], "$share/g/t", 2);
        expect_nothing(m[which]);
    }
}

SPEC("MQTT-3.3.1-12", "MQTT-3.3.1-13", "MQTT-4.8.2-4")
TEST(what_is_handed_over_has_retain_as_its_new_member_asked)
{
    for (int rap = 0; rap < 2; rap++) {
        struct peer *gone = connect_kept(5, "m0", 60), *q = connect5("q");
        subscribe(gone, "$share/g/t", 1 | (rap ? 0 : OPT_RETAIN_AS_PUBLISHED));
        drop(gone);
        publish_retained(q, "t", "x", 1);
        struct peer *m = connect5("m1");
        subscribe(m, "$share/g/t", 1 | (rap ? OPT_RETAIN_AS_PUBLISHED : 0));
        gone = connect5("m0"); /* a clean start ends the session that holds it */
        CHECK_EQ(expect_publish(m, "t", "x").retain, rap);
        drop(m);
        drop(gone);
        drop(q);
    }
}

SPEC("U5-4.8.2-qos1")
TEST(a_qos_1_message_of_a_session_that_ends_goes_to_another_member)
{
    struct peer *m[2] = { connect5("m0"), connect5("m1") };
    subscribe(m[0], "$share/g/t", 1);
    subscribe(m[1], "$share/g/t", 1);
    struct peer *q = connect5("q");
    publish(q, "t", "x", 1);
    int which = unread(m[0]) > 0 ? 0 : 1;
    expect_publish(m[which], "t", "x");
    drop(m[which]);
    take_publish(m[!which], "t", "x", 1);
    expect_nothing(m[!which]);
}

SPEC("U5-4.8.2-qos1")
TEST(a_qos_1_message_waits_for_a_member_whose_session_lives)
{
    struct peer *m[2] = { connect_kept(5, "m0", 60), connect_kept(5, "m1", 60) };
    subscribe(m[0], "$share/g/t", 1);
    subscribe(m[1], "$share/g/t", 1);
    struct peer *q = connect5("q");
    publish(q, "t", "x", 1);
    int which = unread(m[0]) > 0 ? 0 : 1;
    uint16_t pid = expect_publish(m[which], "t", "x").pid;
    drop(m[which]);
    struct peer *back = connect_kept(5, which ? "m1" : "m0", 60);
    struct packet pk = take_publish(back, "t", "x", 1);
    CHECK(pk.dup);
    CHECK_EQ(pk.pid, pid);
    expect_nothing(back);
    expect_nothing(m[!which]);
}

/* What was not sent yet is free to go elsewhere: at once, whatever the QoS. */
SPEC("U5-4.8.2-qos1")
TEST(messages_not_yet_sent_go_to_another_member_at_once)
{
    struct peer *m[2] = { connect_kept(5, "m0", 60), connect_kept(5, "m1", 60) };
    subscribe(m[0], "$share/g/t", 2);
    subscribe(m[1], "$share/g/t", 2);
    struct peer *q = connect5("q");
    hold(m[0]);
    for (int i = 0; i < 6; i++) {
        publish(q, "t", format("%d", i), (uint8_t)(i / 2)); /* two of each QoS, one to each member */
    }
    for (uint8_t i = 0; i < 3; i++) {
        struct packet pk = expect_packet(m[1], PK_PUBLISH);
        CHECK_EQ(pk.qos, i);
        if (pk.qos == 1) {
            send_ack(m[1], PK_PUBACK, pk.pid, 0);
        } else if (pk.qos == 2) {
            send_ack(m[1], PK_PUBREC, pk.pid, 0);
            expect_ack(m[1], PK_PUBREL, pk.pid, 0);
            send_ack(m[1], PK_PUBCOMP, pk.pid, 0);
        }
    }
    expect_nothing(m[1]);
    drop(m[0]);
    int seen[3] = { 0 };
    for (int i = 0; i < 3; i++)
        seen[expect_packet(m[1], PK_PUBLISH).qos]++;
    CHECK(seen[0] == 1 && seen[1] == 1 && seen[2] == 1);
}

/* No QoS 1 message is lost while a member comes and goes under load. */
SPEC("U5-4.8.2-qos1")
TEST(no_qos_1_message_is_lost_while_members_come_and_go)
{
    struct peer *m = connect5("m0");
    subscribe(m, "$share/g/t", 1);
    struct peer *q = connect5("q");
    bool seen[60] = { false };
    for (int i = 0; i < 60; i++) {
        publish(q, "t", format("%d", i), 1);
        if (i % 7 != 3)
            continue;
        struct peer *next = connect5(format("m%d", i));
        subscribe(next, "$share/g/t", 1);
        struct packet pk = expect_packet(m, PK_PUBLISH); /* acknowledges one, and is gone with the rest */
        seen[strtol(pk.payload, NULL, 10)] = true;
        send_ack(m, PK_PUBACK, pk.pid, 0);
        read_all(m);
        drop(m);
        m = next;
    }
    while (unread(m) > 0) {
        struct packet pk = expect_packet(m, PK_PUBLISH);
        seen[strtol(pk.payload, NULL, 10)] = true;
        send_ack(m, PK_PUBACK, pk.pid, 0);
    }
    for (size_t i = 0; i < COUNT(seen); i++)
        CHECK(seen[i]);
}

/* A group lives as long as one of its members' sessions: what comes while all are away waits. */
SPEC("U5-4.8.2-qos1", "U5-4.8.2-group")
TEST(a_group_survives_the_reconnects_of_its_members)
{
    struct peer *p = connect_kept(5, "m0", 60);
    subscribe(p, "$share/g/t", 1);
    drop(p);
    struct peer *q = connect5("q");
    publish(q, "t", "x", 1);
    p = connect_kept(5, "m0", 60);
    CHECK(connack_of(p)->session_present);
    take_publish(p, "t", "x", 1);
    publish(q, "t", "y", 1);
    take_publish(p, "t", "y", 1);
}

/* Who is away gets nothing while others are here. */
SPEC("U5-4.8.2-qos1")
TEST(members_that_are_away_have_no_turn_while_others_are_here)
{
    struct peer *p = connect_kept(5, "m0", 60);
    struct peer *r = connect_kept(5, "m1", 60);
    subscribe(p, "$share/g/t", 1);
    subscribe(r, "$share/g/t", 1);
    drop(p);
    struct peer *q = connect5("q");
    for (int i = 0; i < 4; i++) {
        publish(q, "t", "x", 1);
        take_publish(r, "t", "x", 1);
    }
    p = connect_kept(5, "m0", 60);
    expect_nothing(p);
}

SPEC("U5-4.8.2-group")
TEST(clients_of_3_1_1_share_too)
{
    struct peer *p = connect311("a");
    struct peer *r = connect311("b");
    subscribe(p, "$share/g/t", 1);
    subscribe(r, "$share/g/t", 1);
    struct peer *q = connect311("c");
    for (int i = 0; i < 4; i++)
        publish(q, "t", "x", 1);
    for (int i = 0; i < 2; i++) {
        take_publish(p, "t", "x", 1);
        take_publish(r, "t", "x", 1);
    }
}
