/* test_hostile.c - peers that take all they can get, on the fake clock: who behaves well goes on. The same with the real
 * program: tests/hostile. */
#include "more.h"
#include "morec.h"

enum { LIMIT = 200000, RESERVE = 20000 };

static void set_limit(void)
{
    limits.memory_bytes = LIMIT;
    limits.reserve_bytes = RESERVE;
    limits.pause_ms = 0;
}

/* Two well-behaved clients of 3.1.1, who cannot be told no, talk at QoS 1. */
static struct peer *reader, *writer;

static void begin_talk(void)
{
    set_limit();
    reader = connect311("reader");
    writer = connect311("writer");
    subscribe(reader, "talk", 1);
}

static void go_on_talking(void)
{
    for (unsigned i = 0; i < 20; i++) {
        publish(writer, "talk", text_of('x', 500), 1);
        take_publish(reader, "talk", text_of('x', 500), 1);
    }
    CHECK(stats().memory_used <= LIMIT);
    struct peer *newcomer = connect311("newcomer");
    subscribe(newcomer, "talk", 1);
    publish(writer, "talk", "hello", 1);
    take_publish(newcomer, "talk", "hello", 1);
    take_publish(reader, "talk", "hello", 1);
    leave(newcomer);
}

SPEC("U5-3.3.4-0x97")
TEST(a_flood_of_retained_messages_silences_nobody_else)
{
    begin_talk();
    struct peer *flood = connect5("flood");
    unsigned refused = 0;
    for (unsigned i = 0; i < 500; i++) {
        const struct c_publish p = {
            .topic = format("kept/%u", i), .payload = text_of('x', 900), .qos = 1, .pid = 1, .retain = true };
        send_publish(flood, &p);
        refused += expect_packet(flood, PK_PUBACK).reason == MIDGE_RC_QUOTA_EXCEEDED;
    }
    CHECK(refused > 300);
    for (unsigned i = 0; i < 100; i++) { /* nor by making larger what is there */
        send_publish(flood, &(struct c_publish){ .topic = format("kept/%u", i), .payload = text_of('x', 950),
                                                 .qos = 1, .pid = 1, .retain = true });
        CHECK_EQ(expect_packet(flood, PK_PUBACK).reason, MIDGE_RC_QUOTA_EXCEEDED);
    }
    go_on_talking();
}

SPEC("U5-3.3.4-0x97")
TEST(messages_for_who_is_away_silence_nobody_else)
{
    begin_talk();
    for (unsigned i = 0; i < 4; i++) {
        struct peer *away = stay5(format("away%u", i));
        subscribe(away, "away/#", 1);
        drop(away);
    }
    struct peer *flood = connect5("flood");
    unsigned refused = 0;
    for (unsigned i = 0; i < 500; i++) {
        send_publish(flood, &(struct c_publish){ .topic = "away/x", .payload = text_of('x', 900), .qos = 1,
                                                 .pid = 1 });
        refused += expect_packet(flood, PK_PUBACK).reason == MIDGE_RC_QUOTA_EXCEEDED;
    }
    CHECK(refused > 300);
    CHECK_EQ(stats().books[1].dropped[MIDGE_DROP_QUEUE_BYTES], 0); /* nothing that was taken is lost */
    go_on_talking();
}

SPEC("U5-3.3.4-0x97")
TEST(readers_that_never_read_silence_nobody_else)
{
    begin_talk();
    struct peer *flood = connect5("flood"), *deaf[4];
    for (unsigned i = 0; i < 4; i++) {
        deaf[i] = connect5(format("deaf%u", i));
        subscribe(deaf[i], format("deaf/%u", i), (uint8_t)(i % 2));
        hold(deaf[i]);
    }
    for (unsigned i = 0; i < 800; i++) {
        send_publish(flood, &(struct c_publish){ .topic = format("deaf/%u", i % 4), .payload = text_of('x', 900),
                                                 .qos = 1, .pid = 1 });
        expect_packet(flood, PK_PUBACK);
    }
    go_on_talking();
    for (unsigned i = 0; i < 4; i++)
        drop(deaf[i]);
}

SPEC("U5-3.3.4-0x97")
TEST(a_flood_of_subscriptions_silences_nobody_else)
{
    begin_talk();
    struct peer *flood = connect311("flood");
    unsigned refused = 0;
    for (unsigned i = 0; i < 3000; i++) {
        send_subscribe(flood, &(struct c_subscribe){ .pid = 1, FILTERS({ format("%u/+/a/b/c/d/e/#", i), 1 }) });
        refused += expect_packet(flood, PK_SUBACK).codes[0] == 0x80;
    }
    CHECK(refused > 1000);
    go_on_talking();
}

/* Strangers hold every place, and say nothing. */
SPEC("U5-3.1.4-limit")
TEST(a_newcomer_gets_in_at_once_though_strangers_hold_every_place)
{
    limits.connections = 32;
    begin_talk();
    struct peer *strangers[320];
    for (unsigned i = 0; i < 320; i++) {
        strangers[i] = dial();
        send_hex(strangers[i], "10 7F 00 04 'MQTT' 04");
    }
    go_on_talking();
    advance(limits.hello_ms + limits.linger_ms);
    CHECK_EQ(stats().connections, 2);
    for (unsigned i = 0; i < 320; i++)
        expect_closed(strangers[i]);
}
