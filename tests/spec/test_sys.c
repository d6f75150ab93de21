/* test_sys.c - the numbers below $SYS are those of midge_get_stats. */
#include "more.h"
#include "morec.h"

#include <stdlib.h>

static unsigned long number(struct peer *p, const char *name)
{
    const char *topic = format("$SYS/broker/%s", name);
    subscribe(p, topic, 0);
    const struct packet pk = expect_packet(p, PK_PUBLISH);
    CHECK_STR(pk.topic, topic);
    CHECK(pk.retain);
    const unsigned long n = strtoul(pk.payload, NULL, 10);
    unsubscribe(p, topic);
    return n;
}

SPEC("MQTT-4.7.2-1")
TEST(every_number_below_sys_is_the_one_that_the_host_gets)
{
    config.sys_interval_s = 10;
    limits.queue_msgs = 3;
    struct peer *p = connect5("p"), *away = stay5("away");
    subscribe(away, "t", 1);
    drop(away);
    for (unsigned i = 0; i < 5; i++)
        publish(p, "t", "some text", 1);
    publish_retained(p, "kept", "x", 1);
    leave(connect5("gone"));
    subscribe(p, "kept", 0);
    take_publish(p, "kept", "x", 0);
    advance(9999);
    const struct midge_stats s = stats();
    advance(1);
    CHECK_EQ(number(p, "uptime"), 10);
    CHECK_EQ(number(p, "clients/connected"), 1);
    CHECK_EQ(number(p, "clients/disconnected"), 1);
    CHECK_EQ(number(p, "clients/total"), 2);
    CHECK_EQ(number(p, "subscriptions/count"), s.subscriptions);
    CHECK_EQ(number(p, "retained messages/count"), s.retained);
    CHECK_EQ(number(p, "bytes/received"), s.bytes_received);
    CHECK_EQ(number(p, "bytes/sent"), s.bytes_sent);
    CHECK_EQ(number(p, "publish/messages/received"), s.publish_received);
    CHECK_EQ(number(p, "publish/messages/sent"), s.publish_sent);
    CHECK_EQ(number(p, "publish/messages/dropped"), 2);
    CHECK_EQ(number(p, "heap/current"), s.memory_used);
    CHECK_EQ(number(p, "heap/maximum"), s.memory_peak);
    CHECK(s.bytes_received > 100 && s.bytes_sent > 50 && s.publish_sent == 1 && s.publish_received == 6);
}

SPEC("U5-3.3.4-0x97")
TEST(a_session_that_is_not_there_has_no_books)
{
    struct midge_books books[3];
    start();
    CHECK_EQ(midge_get_books(broker, slice("nobody"), books), MIDGE_ERR_NOT_FOUND);
}
