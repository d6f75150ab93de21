/* test_expiry.c - Message Expiry Interval: counted down, kept to, no longer asked once a message is out. */
#include "more.h"

#define EXPIRY(s) PROPS(prop_num(PROP_MESSAGE_EXPIRY, s))

static void publish_expiring(struct peer *p, const char *payload, uint8_t qos, bool retain, uint32_t expiry_s)
{
    send_publish(p, &(struct c_publish){ .topic = "a",
                                         .payload = payload,
                                         .qos = qos,
                                         .pid = 1,
                                         .retain = retain,
                                         .props = EXPIRY(expiry_s) });
    if (qos)
        expect_taken(p, qos == 1 ? PK_PUBACK : PK_PUBREC, 1);
    if (qos == 2) {
        send_ack(p, PK_PUBREL, 1, 0);
        expect_ack(p, PK_PUBCOMP, 1, 0);
    }
}

SPEC("MQTT-3.3.2-6")
TEST(expiry_is_passed_on_unchanged_without_waiting)
{
    static const uint32_t expiries[] = { 1, 60, 4294967295u };
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    for (size_t i = 0; i < 3; i++) {
        publish_expiring(p, "x", 0, false, expiries[i]);
        struct packet got = expect_publish(s, "a", "x");
        CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), expiries[i]);
    }
    publish(p, "a", "none", 0);
    struct packet got = expect_publish(s, "a", "none");
    CHECK(!has_prop(&got, PROP_MESSAGE_EXPIRY));
}

SPEC("MQTT-3.3.2-6")
TEST(expiry_is_reduced_by_the_time_waited)
{
    struct peer *s = stay5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    drop(s);
    publish_expiring(p, "x", 1, false, 60);
    advance(10 * 1000);
    s = stay5("s");
    struct packet got = take_publish(s, "a", "x", 1);
    CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), 50);
}

SPEC("MQTT-3.3.2-6")
TEST(expiry_of_a_retained_message_is_reduced_too)
{
    struct peer *p = connect5("p");
    publish_expiring(p, "x", 1, true, 60);
    for (uint32_t left = 60; left > 20; left -= 20) {
        struct peer *s = connect5("s");
        subscribe(s, "a", 0);
        struct packet got = expect_publish(s, "a", "x");
        CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), left);
        leave(s);
        advance(20 * 1000);
    }
}

SPEC("MQTT-3.3.2-6", "MQTT-3.3.4-9")
TEST(expiry_is_reduced_while_the_window_is_closed)
{
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 1));
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    publish(p, "a", "first", 1);
    publish_expiring(p, "x", 1, false, 100);
    uint16_t pid = expect_publish(s, "a", "first").pid;
    advance(30 * 1000);
    send_ack(s, PK_PUBACK, pid, 0);
    struct packet got = take_publish(s, "a", "x", 1);
    CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), 70);
}

SPEC("MQTT-3.3.2-6")
TEST(expiry_is_reduced_while_the_client_does_not_read)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    hold(s);
    publish_expiring(p, "x", 0, false, 100);
    publish_expiring(p, "late", 0, false, 20);
    advance(30 * 1000);
    resume(s);
    struct packet got = expect_publish(s, "a", "x");
    CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), 70);
    expect_nothing(s);
}

SPEC("MQTT-3.3.2-5", "U5-mixed-version")
TEST(what_has_expired_is_not_delivered_to_who_was_away)
{
    struct peer *s5 = stay5("s5");
    struct peer *s4 = stay311("s4");
    subscribe(s5, "a", 2);
    subscribe(s4, "a", 2);
    drop(s5);
    drop(s4);
    struct peer *p = connect5("p");
    publish_expiring(p, "gone", 1, false, 2);
    publish_expiring(p, "gone", 2, false, 3);
    publish_expiring(p, "here", 1, false, 60);
    publish(p, "a", "for ever", 1);
    advance(3000);
    s5 = stay5("s5");
    s4 = stay311("s4");
    take_publish(s5, "a", "here", 1);
    take_publish(s5, "a", "for ever", 1);
    take_publish(s4, "a", "here", 1);
    take_publish(s4, "a", "for ever", 1);
    expect_nothing(s5);
    expect_nothing(s4);
    CHECK_EQ(books_of("s5", 1).expired, 1);
    CHECK_EQ(books_of("s5", 2).expired, 1);
    check_all_books();
}

SPEC("MQTT-3.3.2-5")
TEST(a_message_is_delivered_until_its_last_second)
{
    struct peer *s = stay5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    drop(s);
    publish_expiring(p, "x", 1, false, 2);
    publish_expiring(p, "y", 1, false, 3);
    advance(2999);
    s = stay5("s");
    struct packet got = take_publish(s, "a", "y", 1);
    CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), 1);
    expect_nothing(s);
}

SPEC("MQTT-3.3.2-5")
TEST(a_retained_message_that_has_expired_is_gone)
{
    struct peer *p = connect5("p");
    publish_expiring(p, "x", 1, true, 5);
    struct peer *s = connect311("s");
    advance(5000);
    subscribe(s, "a", 0);
    expect_nothing(s);
    advance(2000);
    CHECK_EQ(stats().retained, 0);
    CHECK_EQ(stats().memory_by_tag[MIDGE_TAG_RETAIN], 0);
}

SPEC("MQTT-3.3.1-5", "MQTT-3.3.2-5")
TEST(a_new_retained_message_has_its_own_expiry)
{
    struct peer *p = connect5("p");
    publish_expiring(p, "x", 0, true, 5);
    publish_retained(p, "a", "y", 0);
    advance(3600 * 1000);
    struct peer *s = connect5("s");
    subscribe(s, "a", 0);
    struct packet got = expect_publish(s, "a", "y");
    CHECK(!has_prop(&got, PROP_MESSAGE_EXPIRY));
}

SPEC("MQTT-3.3.2-5")
TEST(a_message_without_expiry_does_not_expire)
{
    struct peer *s = stay311("s");
    subscribe(s, "a", 1);
    drop(s);
    struct peer *p = connect5("p");
    publish(p, "a", "x", 1);
    publish_retained(p, "b", "y", 1);
    advance(10ull * 365 * 86400 * 1000);
    s = stay311("s");
    take_publish(s, "a", "x", 1);
    subscribe(s, "b", 0);
    expect_publish(s, "b", "y");
}

SPEC("MQTT-4.3.3-7", "MQTT-4.4.0-1")
TEST(once_sent_a_message_does_not_expire)
{
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct peer *s = stay5("s");
        struct peer *p = connect5("p");
        subscribe(s, "a", 2);
        publish_expiring(p, "x", qos, false, 2);
        uint16_t pid = expect_publish(s, "a", "x").pid;
        drop(s);
        advance(10 * 1000);
        s = stay5("s");
        struct packet again = take_publish(s, "a", "x", qos);
        CHECK(again.dup);
        CHECK_EQ(again.pid, pid);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-4.3.3-7")
TEST(the_handshake_goes_on_after_the_expiry)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    publish_expiring(p, "x", 2, false, 2);
    uint16_t pid = expect_publish(s, "a", "x").pid;
    advance(10 * 1000);
    send_ack(s, PK_PUBREC, pid, 0);
    expect_ack(s, PK_PUBREL, pid, 0);
    advance(10 * 1000);
    send_ack(s, PK_PUBCOMP, pid, 0);
    expect_nothing(s);
}

SPEC("U5-3.1.3.2.4-exp", "MQTT-3.3.2-6")
TEST(the_expiry_of_a_will_counts_from_its_publication)
{
    struct peer *s = connect5("s");
    struct peer *away = stay5("away");
    subscribe(s, "will", 1);
    subscribe(away, "will", 1);
    drop(away);
    struct peer *p = connect_as(
        &(struct c_connect){ .version = 5,
                             .client_id = "p",
                             .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 1000)),
                             .will = &(struct c_will){ .topic = "will",
                                                       .payload = "x",
                                                       .qos = 1,
                                                       .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 30),
                                                                      prop_num(PROP_WILL_DELAY, 50)) } });
    advance(500 * 1000);
    drop(p);
    advance(50 * 1000);
    struct packet got = take_publish(s, "will", "x", 1);
    CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), 30);
    advance(10 * 1000);
    away = stay5("away");
    got = take_publish(away, "will", "x", 1);
    CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), 20);
}

SPEC("MQTT-3.3.2-5", "MQTT-3.3.2-6")
TEST(expired_messages_give_their_memory_back_to_who_returns)
{
    struct peer *s = stay5("s");
    subscribe(s, "a", 1);
    drop(s);
    struct peer *p = connect5("p");
    size_t before = stats().memory_by_tag[MIDGE_TAG_MSG];
    for (int i = 0; i < 50; i++)
        publish_expiring(p, "x", 1, false, 5);
    advance(6000);
    s = stay5("s");
    expect_nothing(s);
    CHECK_EQ(stats().memory_by_tag[MIDGE_TAG_MSG], before);
    CHECK_EQ(books_of("s", 1).expired, 50);
    CHECK_EQ(books_of("s", 1).queued, 0);
}
