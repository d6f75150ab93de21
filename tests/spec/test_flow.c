/* test_flow.c - Receive Maximum, both ways: how much may be on its way, and what never waits for it. */
#include "more.h"

/* ---- towards the client ---------------------------------------------------------------------------- */

SPEC("U5-3.1.2.11.3-zero")
TEST(receive_maximum_0_is_refused)
{
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){
                        .version = 5, .client_id = "p", .props = PROPS(prop_num(PROP_RECEIVE_MAXIMUM, 0)) });
    expect_connack(p, MIDGE_RC_PROTOCOL_ERROR);
}

SPEC("MQTT-3.3.4-9", "MQTT-4.9.0-1", "MQTT-4.9.0-2")
TEST(no_more_than_receive_maximum_is_sent_unacknowledged)
{
    for (uint16_t most = 1; most <= 3; most++) {
        struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, most));
        struct peer *p = connect5("p");
        subscribe(s, "a", 2);
        for (int i = 0; i < 10; i++)
            publish(p, "a", format("%d", i), (uint8_t)(1 + i % 2));
        struct packet flying[3];
        for (int i = 0; i < 10; i++) {
            struct packet *slot = &flying[i % most];
            if (i >= most) { /* the oldest is acknowledged, and only then the next one comes */
                expect_nothing(s);
                send_ack(s, slot->qos == 1 ? PK_PUBACK : PK_PUBREC, slot->pid, 0);
                if (slot->qos == 2) {
                    expect_ack(s, PK_PUBREL, slot->pid, 0);
                    expect_nothing(s); /* not yet: PUBCOMP opens the window */
                    send_ack(s, PK_PUBCOMP, slot->pid, 0);
                }
            }
            *slot = expect_publish(s, "a", format("%d", i));
        }
        expect_nothing(s);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-3.3.4-9", "MQTT-4.9.0-1")
TEST(the_brokers_own_limit_holds_where_the_client_names_none)
{
    limits.inflight = 5;
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 1);
        for (int i = 0; i < 10; i++)
            publish(p, "a", format("%d", i), 1);
        for (int i = 0; i < 5; i++)
            expect_publish(s, "a", format("%d", i));
        expect_nothing(s);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-3.3.4-10", "MQTT-4.9.0-3", "MQTT-3.12.4-1", "MQTT311-3.12.4-1")
TEST(a_closed_window_holds_back_nothing_but_qos_1_and_2)
{
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 2));
    struct peer *p = connect5("p");
    subscribe(s, "#", 2);
    publish(p, "a", "1", 1);
    publish(p, "a", "2", 2);
    publish(p, "a", "3", 1);
    uint16_t one = expect_publish(s, "a", "1").pid;
    uint16_t two = expect_publish(s, "a", "2").pid;
    expect_nothing(s);

    send_ping(s);
    expect_packet(s, PK_PINGRESP);
    publish(p, "a", "0", 0);
    expect_publish(s, "a", "0");
    subscribe(s, "b", 1);
    unsubscribe(s, "b");
    send_publish(s, &(struct c_publish){ .topic = "c", .payload = "own", .qos = 1, .pid = 8 });
    expect_ack(s, PK_PUBACK, 8, 0);
    send_publish(s, &(struct c_publish){ .topic = "c", .payload = "own", .qos = 2, .pid = 9 });
    expect_ack(s, PK_PUBREC, 9, 0);
    send_ack(s, PK_PUBREL, 9, 0);
    expect_ack(s, PK_PUBCOMP, 9, 0);
    send_ack(s, PK_PUBREC, two, 0);
    expect_ack(s, PK_PUBREL, two, 0);
    expect_nothing(s);

    send_ack(s, PK_PUBACK, one, 0);
    expect_publish(s, "a", "3");
    expect_nothing(s);
}

SPEC("MQTT-3.3.4-10")
TEST(a_closed_window_does_not_hold_back_retained_qos_0)
{
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 1));
    struct peer *p = connect5("p");
    publish_retained(p, "r", "x", 1);
    subscribe(s, "a", 1);
    publish(p, "a", "1", 1);
    expect_publish(s, "a", "1");
    subscribe(s, "r", 0);
    expect_publish(s, "r", "x");
    expect_nothing(s);
}

SPEC("MQTT-3.3.4-10", "MQTT-4.9.0-3")
TEST(a_retained_message_that_waits_for_the_window_does_not_hold_back_qos_0)
{
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 1));
    struct peer *p = connect5("p");
    publish_retained(p, "r", "x", 1);
    subscribe(s, "a", 1);
    publish(p, "a", "1", 1);
    uint16_t pid = expect_publish(s, "a", "1").pid;
    subscribe(s, "r", 1);
    expect_nothing(s);
    publish(p, "a", "0", 0);
    expect_publish(s, "a", "0");
    send_ack(s, PK_PUBACK, pid, 0);
    take_publish(s, "r", "x", 1);
}

SPEC("U5-4.9-quota", "MQTT-4.9.0-1")
TEST(acknowledgements_out_of_the_blue_do_not_widen_the_window)
{
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 2));
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    for (uint16_t i = 100; i < 110; i++) {
        send_ack(s, PK_PUBACK, i, 0);
        send_ack(s, PK_PUBREC, i, 0x80);
    }
    for (int i = 0; i < 5; i++)
        publish(p, "a", format("%d", i), 1);
    uint16_t pid = expect_publish(s, "a", "0").pid;
    expect_publish(s, "a", "1");
    expect_nothing(s);
    send_ack(s, PK_PUBACK, pid, 0);
    send_ack(s, PK_PUBACK, pid, 0); /* twice: it opens the window once */
    expect_publish(s, "a", "2");
    expect_nothing(s);
}

SPEC("MQTT-3.3.4-9", "MQTT-4.4.0-1")
TEST(what_is_sent_again_keeps_within_the_window_of_the_new_connection)
{
    struct peer *s = stay5_window("s", 10);
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    for (int i = 0; i < 6; i++) {
        publish(p, "a", format("%d", i), 1);
        expect_publish(s, "a", format("%d", i));
    }
    drop(s);
    s = stay5_window("s", 2);
    struct packet first = expect_publish(s, "a", "0");
    struct packet second = expect_publish(s, "a", "1");
    expect_nothing(s);
    send_ack(s, PK_PUBACK, second.pid, 0);
    take_publish(s, "a", "2", 1);
    take_publish(s, "a", "3", 1);
    send_ack(s, PK_PUBACK, first.pid, 0);
    take_publish(s, "a", "4", 1);
    take_publish(s, "a", "5", 1);
    expect_nothing(s);
}

SPEC("MQTT-3.3.4-10", "MQTT-4.4.0-1")
TEST(pubrels_that_are_sent_again_do_not_wait_for_the_window)
{
    struct peer *s = stay5_window("s", 10);
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    publish(p, "a", "1", 1);
    publish(p, "a", "2", 2);
    uint16_t one = expect_publish(s, "a", "1").pid;
    uint16_t two = expect_publish(s, "a", "2").pid;
    send_ack(s, PK_PUBREC, two, 0);
    expect_ack(s, PK_PUBREL, two, 0);
    drop(s);
    s = stay5_window("s", 1);
    bool released = false; /* in which order they come is not said */
    for (int i = 0; i < 2; i++) {
        struct packet pk = expect_packet(s, PK_ANY);
        released = released || pk.type == PK_PUBREL;
        CHECK_EQ(pk.pid, pk.type == PK_PUBREL ? two : one);
    }
    CHECK(released);
    send_ack(s, PK_PUBCOMP, two, 0);
    send_ack(s, PK_PUBACK, one, 0);
    publish(p, "a", "3", 1);
    take_publish(s, "a", "3", 1);
}

SPEC("MQTT-3.3.4-9")
TEST(a_dropped_connection_leaves_no_hole_in_the_next_ones_window)
{
    struct peer *p = connect5("p");
    struct peer *s = stay5_window("s", 3);
    subscribe(s, "a", 2);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++)
            publish(p, "a", "x", 2);
        for (int i = 0; i < 3; i++)
            expect_publish(s, "a", "x");
        expect_nothing(s);
        drop(s);
        s = stay5_window("s", 3);
        uint16_t pids[3];
        for (int i = 0; i < 3; i++)
            pids[i] = expect_publish(s, "a", "x").pid;
        expect_nothing(s);
        for (int i = 0; i < 3; i++) {
            send_ack(s, PK_PUBREC, pids[i], 0);
            expect_ack(s, PK_PUBREL, pids[i], 0);
            send_ack(s, PK_PUBCOMP, pids[i], 0);
        }
    }
}

/* ---- from the client ------------------------------------------------------------------------------- */

SPEC("MQTT-3.3.4-7")
TEST(more_than_the_brokers_receive_maximum_ends_the_connection)
{
    limits.receive_maximum = 5;
    struct peer *p = connect5("p");
    CHECK_EQ(prop_number(connack_of(p), PROP_RECEIVE_MAXIMUM), 5);
    for (uint16_t i = 1; i <= 5; i++) {
        send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = i });
        expect_taken(p, PK_PUBREC, i);
    }
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = 6 });
    expect_disconnect(p, MIDGE_RC_RECEIVE_MAXIMUM_EXCEEDED);
}

SPEC("MQTT-3.3.4-7")
TEST(what_is_complete_makes_room_in_the_brokers_receive_maximum)
{
    deny(MIDGE_ACCESS_PUBLISH, "no");
    limits.receive_maximum = 2;
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = 1 });
    expect_taken(p, PK_PUBREC, 1);
    for (uint16_t i = 2; i < 20; i++) {
        send_publish(p, &(struct c_publish){ .topic = "a", .qos = 1, .pid = i });
        expect_taken(p, PK_PUBACK, i);
        send_publish(p, &(struct c_publish){ .topic = "no", .qos = 2, .pid = i });
        expect_ack(p, PK_PUBREC, i, MIDGE_RC_NOT_AUTHORIZED);
        send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = i });
        expect_taken(p, PK_PUBREC, i);
        send_publish(p, &(struct c_publish){
                            .topic = "a", .qos = 2, .pid = i, .dup = true }); /* again: not one more */
        expect_ack(p, PK_PUBREC, i, 0);
        send_ack(p, PK_PUBREL, i, 0);
        expect_ack(p, PK_PUBCOMP, i, 0);
    }
}

SPEC("MQTT-3.3.4-8")
TEST(a_client_at_the_brokers_receive_maximum_is_served_otherwise)
{
    limits.receive_maximum = 1;
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = 1 });
    expect_taken(p, PK_PUBREC, 1);
    send_ping(p);
    expect_packet(p, PK_PINGRESP);
    subscribe(p, "b", 1);
    send_publish(p, &(struct c_publish){ .topic = "b", .payload = "0" });
    expect_publish(p, "b", "0");
    unsubscribe(p, "b");
    send_ack(p, PK_PUBREL, 1, 0);
    expect_ack(p, PK_PUBCOMP, 1, 0);
}

SPEC("MQTT-3.3.4-7")
TEST(a_3_1_1_client_has_a_limit_of_its_own)
{
    limits.receive_maximum = 2;
    limits.inbound_qos2 = 4;
    struct peer *p = connect311("p");
    for (uint16_t i = 1; i <= 4; i++) {
        send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = i });
        expect_ack(p, PK_PUBREC, i, 0);
    }
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = 3, .dup = true });
    expect_ack(p, PK_PUBREC, 3, 0);
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = 5 });
    expect_closed(p);
}
