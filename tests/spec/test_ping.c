/* test_ping.c - PINGREQ is answered, whatever else goes on. */
#include "morec.h"

SPEC("MQTT-3.12.4-1", "MQTT311-3.12.4-1")
TEST(pingreq_is_answered_with_pingresp)
{
    for (int v = 3; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        send_hex(p, "C0 00");
        expect_hex(p, "D0 00");
        send_hex(p, "C0 00 C0 00");
        expect_hex(p, "D0 00 D0 00");
        leave(p);
    }
}

SPEC("MQTT-3.12.4-1", "MQTT311-3.12.4-1")
TEST(pingreq_is_answered_before_a_full_window_moves)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct peer *q = connect_v(v, "b");
        subscribe(p, "t", 1);
        for (unsigned i = 0; i < 3u * limits.inflight; i++)
            publish(q, "t", "x", 1);
        read_all(p);
        send_hex(p, "C0 00");
        expect_hex(p, "D0 00");
        leave(p);
        leave(q);
    }
}

/* A client that has not read for long finds its answer before the messages that wait for it. */
SPEC("MQTT-3.12.4-1", "MQTT311-3.12.4-1")
TEST(pingreq_is_answered_before_what_waits)
{
    struct peer *p = connect311("a");
    struct peer *q = connect311("b");
    subscribe(p, "t", 0);
    hold(p);
    for (int i = 0; i < 20; i++)
        publish(q, "t", "x", 0);
    send_hex(p, "C0 00");
    resume(p);
    expect_hex(p, "D0 00");
    read_all(p);
}

/* When memory is used up publishers are refused, nobody's PINGREQ is. */
SPEC("MQTT-3.12.4-1", "MQTT311-3.12.4-1")
TEST(pingreq_is_answered_when_memory_is_used_up)
{
    limits.memory_bytes = 64 * 1024;
    limits.reserve_bytes = 8 * 1024;
    limits.queue_msgs = 100000;
    limits.pause_ms = 1;
    struct peer *away = connect_kept(4, "away", 0);
    subscribe(away, "t", 1);
    drop(away);
    struct peer *p = connect5("a");
    struct peer *r = connect311("c");
    struct peer *q = connect5("b");
    char *payload = text_of('x', 1000);
    uint8_t reason = 0;
    for (uint16_t pid = 1; reason == 0 && pid < 200; pid++) {
        send_publish(q, &(struct c_publish){ .topic = "t", .payload = payload, .qos = 1, .pid = pid });
        advance(2);
        struct packet pk = expect_packet(q, PK_ANY);
        reason = pk.reason;
        if (pk.type == PK_DISCONNECT) /* there was no room for one that came in pieces */
            expect_closed(q);
    }
    CHECK_EQ(reason, 0x97);
    send_hex(p, "C0 00");
    expect_hex(p, "D0 00");
    send_hex(r, "C0 00");
    expect_hex(r, "D0 00");
}

/* A PINGREQ has no body. */
SPEC("MQTT-3.12.4-1", "MQTT-4.13.1-1")
TEST(pingreq_with_a_body_is_malformed)
{
    struct peer *p = connect5("a");
    send_hex(p, "C0 01 00");
    expect_disconnect(p, 0x81);
    p = connect311("a");
    send_hex(p, "C0 01 00");
    expect_closed(p);
}
