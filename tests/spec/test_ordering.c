/* test_ordering.c - order: of messages, of acknowledgements, of what is sent again. */
#include "more.h"

#include <stdlib.h>

static struct peer *stay(uint8_t version, const char *id)
{
    return version == 5 ? stay5(id) : stay311(id);
}

/* ---- acknowledgements ------------------------------------------------------------------------------ */

static struct bytes publishes(struct peer *p, uint8_t qos, const uint16_t *pids, size_t n)
{
    struct bytes all = { NULL, 0 };
    for (size_t i = 0; i < n; i++)
        all = join(all, publish_bytes(p, &(struct c_publish){ .topic = "a", .qos = qos, .pid = pids[i] }));
    return all;
}

SPEC("MQTT-4.6.0-2", "MQTT311-4.6.0-2")
TEST(pubacks_leave_in_the_order_of_the_publishes)
{
    static const uint16_t pids[] = { 9, 3, 7, 65535, 1 };
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *p = connect_version(v, "p");
        struct bytes all = publishes(p, 1, pids, 5);
        send_bytes(p, all.at, all.len);
        for (size_t i = 0; i < 5; i++)
            expect_taken(p, PK_PUBACK, pids[i]);
        leave(p);
    }
}

SPEC("MQTT-4.6.0-3", "MQTT311-4.6.0-3")
TEST(pubrecs_leave_in_the_order_of_the_publishes)
{
    static const uint16_t pids[] = { 9, 3, 7, 65535, 1 };
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *p = connect_version(v, "p");
        struct bytes all = publishes(p, 2, pids, 5);
        send_bytes(p, all.at, all.len);
        for (size_t i = 0; i < 5; i++)
            expect_taken(p, PK_PUBREC, pids[i]);
        struct bytes rels = hex_bytes("62 02 00 03 62 02 FF FF 62 02 00 09 62 02 00 01 62 02 00 07");
        send_bytes(p, rels.at, rels.len);
        static const uint16_t order[] = { 3, 65535, 9, 1, 7 };
        for (size_t i = 0; i < 5; i++)
            expect_ack(p, PK_PUBCOMP, order[i], 0);
        leave(p);
    }
}

SPEC("MQTT-4.6.0-2", "MQTT-4.6.0-3", "MQTT311-4.6.0-2", "MQTT311-4.6.0-3")
TEST(answers_to_mixed_publishes_leave_in_their_order)
{
    struct peer *p = connect5("p");
    struct bytes all = { NULL, 0 };
    for (uint16_t i = 1; i <= 20; i++)
        all =
            join(all, publish_bytes(p, &(struct c_publish){ .topic = "a", .qos = i % 3 ? 1 : 2, .pid = i }));
    send_bytes(p, all.at, all.len);
    for (uint16_t i = 1; i <= 20; i++)
        expect_taken(p, i % 3 ? PK_PUBACK : PK_PUBREC, i);
}

SPEC("MQTT-4.6.0-4", "MQTT311-4.6.0-4")
TEST(pubrels_leave_in_the_order_of_the_pubrecs)
{
    static const size_t order[] = { 4, 1, 0, 3, 2 };
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 2);
        uint16_t pids[5];
        for (size_t i = 0; i < 5; i++) {
            publish(p, "a", "x", 2);
            pids[i] = expect_publish(s, "a", "x").pid;
        }
        struct bytes all = { NULL, 0 };
        for (size_t i = 0; i < 5; i++)
            all = join(all, hex_bytes(format("50 02 %04X", pids[order[i]])));
        send_bytes(s, all.at, all.len);
        for (size_t i = 0; i < 5; i++)
            expect_ack(s, PK_PUBREL, pids[order[i]], 0);
        leave(s);
        leave(p);
    }
}

/* ---- sent again ------------------------------------------------------------------------------------ */

SPEC("MQTT-4.6.0-1", "MQTT-4.4.0-1", "MQTT311-4.6.0-1", "MQTT311-4.4.0-1")
TEST(what_is_sent_again_keeps_its_order)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = stay(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "#", 2);
        uint16_t pids[20];
        for (size_t i = 0; i < 20; i++) {
            publish(p, format("t%zu", i % 3), format("%zu", i), i % 2 ? 1 : 2);
            pids[i] = expect_packet(s, PK_PUBLISH).pid;
        }
        for (size_t i = 3; i < 20; i += 4) /* some are acknowledged, out of order */
            send_ack(s, PK_PUBACK, pids[i], 0);
        for (int round = 0; round < 2; round++) {
            drop(s);
            s = stay(v, "s");
            for (size_t i = 0; i < 20; i++) {
                if (i % 4 == 3)
                    continue;
                struct packet again = expect_publish(s, format("t%zu", i % 3), format("%zu", i));
                CHECK(again.dup);
                CHECK_EQ(again.pid, pids[i]);
            }
            expect_nothing(s);
        }
        leave(s);
        leave(p);
        leave(connect_version(v, "s"));
    }
}

SPEC("MQTT-4.6.0-1", "MQTT-4.6.0-5", "MQTT311-4.6.0-1", "MQTT311-4.6.0-6")
TEST(what_waited_follows_what_is_sent_again)
{
    struct peer *s = stay5_window("s", 4);
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    for (int i = 0; i < 10; i++)
        publish(p, "a", format("%d", i), 1);
    for (int i = 0; i < 4; i++)
        expect_publish(s, "a", format("%d", i));
    drop(s);
    publish(p, "a", "10", 1);
    s = stay5_window("s", 4);
    for (int i = 0; i <= 10; i++) {
        struct packet got = take_publish(s, "a", format("%d", i), 1);
        CHECK_EQ(got.dup, i < 4);
    }
    expect_nothing(s);
}

SPEC("MQTT-4.6.0-1", "MQTT-4.6.0-4", "MQTT311-4.6.0-1")
TEST(publishes_and_pubrels_are_sent_again_in_the_order_of_their_publishes)
{
    struct peer *s = stay311("s");
    struct peer *p = connect311("p");
    subscribe(s, "a", 2);
    uint16_t pids[6];
    for (size_t i = 0; i < 6; i++) {
        publish(p, "a", format("%zu", i), 2);
        pids[i] = expect_publish(s, "a", format("%zu", i)).pid;
    }
    for (size_t i = 0; i < 3; i++) { /* the first three wait for PUBCOMP */
        send_ack(s, PK_PUBREC, pids[i], 0);
        expect_ack(s, PK_PUBREL, pids[i], 0);
    }
    drop(s);
    s = stay311("s");
    for (size_t i = 0; i < 3; i++)
        expect_ack(s, PK_PUBREL, pids[i], 0);
    for (size_t i = 3; i < 6; i++)
        CHECK_EQ(expect_publish(s, "a", format("%zu", i)).pid, pids[i]);
    expect_nothing(s);
}

/* ---- messages -------------------------------------------------------------------------------------- */

/* Numbers in payloads: the first sending of each topic and QoS may only go up. */
struct watch {
    int last[2][3];
    unsigned got;
};

static void see(struct watch *w, struct packet pk)
{
    int n = atoi(pk.payload);
    int topic = pk.topic[0] == 'b';
    if (!pk.dup) {
        CHECK(n > w->last[topic][pk.qos]);
        w->last[topic][pk.qos] = n;
        w->got++;
    }
}

SPEC("MQTT-4.6.0-5", "MQTT-4.6.0-6", "MQTT311-4.6.0-5", "MQTT311-4.6.0-6")
TEST(a_publishers_messages_arrive_in_order_through_slow_acks_and_reconnects)
{
    enum { MESSAGES = 3000 };
    limits.queue_msgs = MESSAGES;
    uint32_t seed = 4711;
    for (uint8_t v = 4; v <= 5; v++) {
        limits.inflight = 7;
        struct peer *s = stay(v, "s");
        struct peer *p = connect_version(v, "p");
        struct watch w = { .last = { { -1, -1, -1 }, { -1, -1, -1 } } };
        subscribe(s, "+", 2);
        unsigned sent = 0, rounds = 0;
        while (sent < MESSAGES || unread(s)) {
            CHECK(++rounds < 10 * MESSAGES);
            for (uint32_t n = roll(&seed, 6); n && sent < MESSAGES; n--, sent++)
                publish(p, roll(&seed, 2) ? "a" : "b", format("%u", sent), (uint8_t)(1 + roll(&seed, 2)));
            while (unread(s)) { /* some are acknowledged, some wait for the next connection */
                struct packet pk = expect_packet(s, PK_ANY);
                if (pk.type == PK_PUBLISH) {
                    see(&w, pk);
                    if (roll(&seed, 8) || sent == MESSAGES)
                        send_ack(s, pk.qos == 1 ? PK_PUBACK : PK_PUBREC, pk.pid, 0);
                } else {
                    CHECK_EQ(pk.type, PK_PUBREL);
                    send_ack(s, PK_PUBCOMP, pk.pid, 0);
                }
            }
            if (roll(&seed, 20) == 0 || sent == MESSAGES) {
                drop(s);
                s = stay(v, "s");
            }
        }
        CHECK_EQ(w.got, MESSAGES);
        leave(p);
        leave(s);
        leave(connect_version(v, "s"));
    }
}

SPEC("MQTT-4.6.0-5", "MQTT-4.6.0-6", "MQTT311-4.6.0-5")
TEST(messages_of_all_qos_keep_their_order_while_the_window_is_open)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    hold(s);
    for (int i = 0; i < 30; i++)
        publish(p, "a", format("%d", i), (uint8_t)(i % 3));
    resume(s);
    for (int i = 0; i < 30; i++)
        CHECK_EQ(expect_publish(s, "a", format("%d", i)).qos, i % 3);
}

SPEC("MQTT-4.6.0-5", "MQTT311-4.6.0-5")
TEST(qos_0_stays_in_order_past_65536_messages)
{
    limits.queue_msgs = 200000;
    struct peer *s = connect5("s");
    subscribe(s, "a", 1);
    hold(s);
    for (unsigned i = 0; i < 70000; i++) {
        char text[12];
        snprintf(text, sizeof text, "%u", i);
        const struct midge_publication pub = { .topic = slice("a"), .payload = slice(text), .qos = i % 2 };
        CHECK_EQ(midge_publish(broker, NULL, &pub, now), MIDGE_OK);
    }
    resume(s);
    int last[2] = { -1, -1 };
    for (unsigned i = 0; i < 70000; i++) {
        if (!unread(s))
            break;
        struct packet pk = expect_packet(s, PK_PUBLISH);
        int n = atoi(pk.payload);
        CHECK(n > last[pk.qos]);
        last[pk.qos] = n;
        if (pk.qos)
            send_ack(s, PK_PUBACK, pk.pid, 0);
    }
    CHECK_EQ(last[0], 69998);
    CHECK_EQ(last[1], 69999);
}
