/* test_durable.c - what a store keeps: acknowledged means there after a crash, exactly once where QoS 2 says so. */
#include "more.h"
#include "store.h"

#include <string.h>

#define CONNECT(...) (&(struct c_connect){ __VA_ARGS__ })

static struct peer *back(const char *id, bool present)
{
    struct peer *p = connect_as(CONNECT(.version = 5, .client_id = id, .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 3600))));
    CHECK_EQ(connack_of(p)->session_present, present);
    return p;
}

static void begin(void)
{
    config.store = &test_store;
    start();
}

SPEC("MQTT-4.3.2-4", "MQTT311-4.3.2-2", "MQTT-3.1.2-23")
TEST(a_message_that_was_acknowledged_at_qos_1_is_there_after_a_crash)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    subscribe(s, "t", 1);
    leave(s);
    publish(p, "t", "kept", 1);
    crash(1000);
    s = back("s", true);
    take_publish(s, "t", "kept", 1);
    advance(1000); /* what nobody relies on is synced too */
    crash(1000);
    s = back("s", true);
    expect_nothing(s);
}

SPEC("MQTT-4.3.3-8", "MQTT-4.3.3-10", "MQTT-4.3.3-12")
TEST(a_qos_2_id_that_was_not_released_is_known_after_a_crash)
{
    begin();
    struct peer *s = back("s", false), *p = back("p", false);
    subscribe(s, "t", 2);
    leave(s);
    send_publish(p, &(struct c_publish){ .topic = "t", .payload = "once", .qos = 2, .pid = 7 });
    expect_ack(p, PK_PUBREC, 7, 0);
    crash(1000);
    p = back("p", true);
    send_publish(p, &(struct c_publish){ .topic = "t", .payload = "once", .qos = 2, .pid = 7, .dup = true });
    expect_ack(p, PK_PUBREC, 7, 0);
    send_ack(p, PK_PUBREL, 7, 0);
    expect_ack(p, PK_PUBCOMP, 7, 0);
    crash(1000);
    p = back("p", true);
    send_publish(p, &(struct c_publish){ .topic = "t", .payload = "again", .qos = 2, .pid = 7 });
    expect_ack(p, PK_PUBREC, 7, 0);
    s = back("s", true);
    take_publish(s, "t", "once", 2);
    take_publish(s, "t", "again", 2);
    expect_nothing(s);
}

SPEC("MQTT-4.4.0-1", "MQTT-4.3.3-6")
TEST(deliveries_go_on_where_they_were_after_a_crash)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    subscribe(s, "t", 2);
    publish(p, "t", "1", 1);
    publish(p, "t", "2", 2);
    publish(p, "t", "3", 2);
    struct packet one = expect_publish(s, "t", "1"), two = expect_publish(s, "t", "2");
    struct packet three = expect_publish(s, "t", "3");
    send_ack(s, PK_PUBREC, two.pid, 0);
    expect_ack(s, PK_PUBREL, two.pid, 0);
    crash(1000);
    s = back("s", true);
    expect_ack(s, PK_PUBREL, two.pid, 0);
    struct packet again = expect_publish(s, "t", "1");
    CHECK_EQ(again.pid, one.pid);
    CHECK(again.dup);
    again = expect_publish(s, "t", "3");
    CHECK_EQ(again.pid, three.pid);
    CHECK(again.dup);
    expect_nothing(s);
}

SPEC("MQTT-3.3.1-5")
TEST(retained_messages_are_there_after_a_crash_and_the_cleared_ones_are_not)
{
    begin();
    struct peer *p = connect5("p");
    publish_retained(p, "a", "old", 1);
    publish_retained(p, "a", "new", 1);
    publish_retained(p, "b", "gone", 1);
    publish_retained(p, "b", "", 1);
    CHECK_EQ(store_count('B'), 1);
    crash(1000);
    struct peer *s = connect5("s");
    subscribe(s, "#", 1);
    struct packet pk = take_publish(s, "a", "new", 1);
    CHECK(pk.retain);
    expect_nothing(s);
}

/* Its packet id may be the first that is used after the crash: the client would take another message for it. */
SPEC("MQTT-4.3.3-2", "MQTT-4.4.0-1")
TEST(a_retained_message_in_flight_at_qos_2_keeps_its_packet_id)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    publish_retained(p, "t", "x", 2);
    subscribe(s, "t", 2);
    uint16_t pid = expect_publish(s, "t", "x").pid;
    crash(1000);
    s = back("s", true);
    struct packet again = expect_publish(s, "t", "x");
    CHECK_EQ(again.pid, pid);
    CHECK(again.dup);
    expect_nothing(s);
}

SPEC("MQTT-3.3.2-5")
TEST(a_message_that_has_its_record_and_was_never_sent_expires)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    subscribe(s, "t", 2);
    hold(s);
    send_publish(p, &(struct c_publish){ .topic = "t", .payload = "x", .qos = 2, .pid = 1,
                                         .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 1)) });
    expect_taken(p, PK_PUBREC, 1);
    advance(1000);
    resume(s);
    expect_nothing(s);
    CHECK_EQ(store_count('H'), 0);
}

SPEC("MQTT-3.1.2-23")
TEST(two_crashes_do_not_let_a_session_live_longer_than_one)
{
    begin();
    (void)connect_as(CONNECT(.version = 5, .client_id = "s", .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 5))));
    crash(1000); /* gone as from here */
    advance(3000);
    crash(1000);
    advance(999);
    CHECK_EQ(stats().sessions, 1);
    advance(1);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-6")
TEST(properties_and_lifetime_go_through_a_restart)
{
    begin();
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "t", .payload = "x", .qos = 1, .pid = 1, .retain = true,
                                         .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 60), prop_user("a", "1"),
                                                        prop_user("a", "2")) });
    expect_taken(p, PK_PUBACK, 1);
    crash(10000);
    struct peer *s = connect5("s");
    subscribe(s, "t", 1);
    struct packet pk = take_publish(s, "t", "x", 1);
    CHECK_EQ(prop_number(&pk, PROP_MESSAGE_EXPIRY), 50);
    CHECK_STR(nth_prop(&pk, PROP_USER, 1)->value, "2");
    crash(60000);
    s = connect5("s");
    subscribe(s, "t", 1);
    expect_nothing(s);
    advance(2000);
    CHECK_EQ(stats().retained, 0);
    CHECK_EQ(store_count('G'), 0);
}

SPEC("MQTT-3.3.4-3", "U5-4.1-state")
TEST(subscriptions_come_back_with_their_options_and_identifiers)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    send_subscribe(s, &(struct c_subscribe){ .pid = 1, .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, 300)),
                                             FILTERS({ "t/+", 1 | OPT_NO_LOCAL | OPT_RETAIN_AS_PUBLISHED }) });
    expect_packet(s, PK_SUBACK);
    subscribe(s, "gone", 1);
    unsubscribe(s, "gone");
    crash(1000);
    p = connect5("p");
    s = back("s", true);
    publish_retained(p, "t/1", "x", 1);
    struct packet pk = take_publish(s, "t/1", "x", 1);
    CHECK(pk.retain);
    CHECK_EQ(prop_number(&pk, PROP_SUBSCRIPTION_ID), 300);
    publish(p, "gone", "x", 1);
    send_publish(s, &(struct c_publish){ .topic = "t/2", .payload = "own" });
    expect_nothing(s);
}

SPEC("MQTT-4.1.0-2", "MQTT-3.2.2-3")
TEST(a_session_expires_by_the_wall_clock_while_no_broker_runs)
{
    begin();
    leave(back("short", false));
    advance(1000);
    crash(3598000);
    leave(back("short", true));
    advance(1000);
    crash(3600000);
    leave(back("short", false));
}

SPEC("MQTT-3.1.2-8", "U5-4.1-state")
TEST(wills_are_published_after_a_crash_when_their_delay_is_over)
{
    begin();
    struct peer *w = back("w", false);
    subscribe(w, "will/#", 1);
    connect_as(CONNECT(.version = 4, .client_id = "a", .clean_start = true,
                       .will = &(struct c_will){ .topic = "will/a", .payload = "x", .qos = 1 }));
    connect_as(CONNECT(.version = 5, .client_id = "b", .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 600)),
                       .will = &(struct c_will){ .topic = "will/b", .payload = "y", .qos = 1,
                                                 .props = PROPS(prop_num(PROP_WILL_DELAY, 60)) }));
    crash(1000);
    w = back("w", true);
    advance(1);
    take_publish(w, "will/a", "x", 1);
    expect_nothing(w);
    advance(59000);
    expect_nothing(w);
    advance(1000);
    take_publish(w, "will/b", "y", 1);
    advance(1000);
    crash(1000);
    w = back("w", true);
    advance(1000000);
    expect_nothing(w);
}

TEST(a_session_that_was_discarded_does_not_come_back)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    subscribe(s, "t", 1);
    publish(p, "t", "x", 1);
    read_all(s);
    drop(s);
    leave(connect5("s"));
    crash(1000);
    s = back("s", false);
    expect_nothing(s);
    CHECK_EQ(store_count('E'), 0);
    CHECK_EQ(store_count('H'), 0);
    CHECK_EQ(store_count('B'), 0);
}

TEST(one_sync_does_for_all_of_a_turn)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    subscribe(s, "t", 2);
    hold(s);
    hold(p);
    unsigned before = store_syncs;
    struct bytes all = { 0 };
    for (uint16_t pid = 1; pid <= 10; pid++)
        all = join(all, publish_bytes(p, &(struct c_publish){ .topic = "t", .payload = "x", .qos = 2, .pid = pid }));
    send_all(p, all);
    resume(p);
    resume(s);
    CHECK(store_syncs - before <= 30); /* whole: 3 */
    for (uint16_t pid = 1; pid <= 10; pid++)
        expect_ack(p, PK_PUBREC, pid, 0);
    for (int i = 0; i < 10; i++)
        expect_publish(s, "t", "x");
}

TEST(nothing_that_a_peer_relies_on_leaves_before_the_sync)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    subscribe(s, "t", 2);
    store_kill(); /* the disk takes what is written no more, and says it does */
    publish(p, "t", "x", 0);
    expect_publish(s, "t", "x");
    store_fails_after = 0;
    store_begin();
    send_publish(p, &(struct c_publish){ .topic = "t", .payload = "y", .qos = 1, .pid = 1 });
    expect_closed(p);
    expect_closed(s);
    CHECK(!try_dial(0));
    advance(5000); /* nothing is due any more */
}

TEST(relaxed_answers_do_not_wait)
{
    test_store.relaxed_ms = 5000;
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    subscribe(s, "t", 2);
    unsigned before = store_syncs;
    publish(p, "t", "x", 2);
    take_publish(s, "t", "x", 2);
    CHECK_EQ(store_syncs, before);
    advance(5000);
    CHECK_EQ(store_syncs, before + 1);
}

/* ---- records that are not ours ---------------------------------------------------------------------------- */

static bool damage(void *arg, struct midge_slice key, struct midge_slice value)
{
    struct midge *other = *(struct midge **)arg;
    int tried = 0; /* whatever it says */
    uint8_t *copy = keep(value.len + 1);
    if (value.len)
        memcpy(copy, value.data, value.len);
    for (uint32_t n = 0; n < value.len; n++) /* a record that is cut short is refused, or is another lawful one */
        tried += midge_restore(other, key, (struct midge_slice){ copy, n });
    for (uint32_t n = 0; n + 1 < key.len; n++)
        tried += midge_restore(other, (struct midge_slice){ key.data, n }, value);
    for (uint32_t i = 0; i < value.len * 8; i++) {
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        tried += midge_restore(other, key, (struct midge_slice){ copy, value.len });
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    return tried <= 0;
}

TEST(damaged_records_harm_nobody)
{
    begin();
    struct peer *s = back("s", false), *p = connect5("p");
    subscribe(s, "t/#", 2);
    subscribe(s, "$share/g/u", 1);
    publish_retained(p, "t/1", "x", 2);
    publish(p, "u", "y", 1);
    send_publish(s, &(struct c_publish){ .topic = "q", .payload = "z", .qos = 2, .pid = 9 });
    read_all(s);
    drop(s);
    static struct midge_store nowhere;
    nowhere = test_store;
    struct midge *other = midge_new(&(struct midge_config){ .memory = config.memory, .limits = &limits, .hooks = &hooks,
                                                            .store = &nowhere }, now);
    CHECK(other);
    store_each(damage, &other);
    store_kill();
    midge_restored(other, now);
    midge_free(other);
    store_begin();
}
