/* test_session.c - sessions: made, resumed, taken over, expired; what is in them. */
#include "harness.h"

#define CONNECT(...) (&(struct c_connect){ __VA_ARGS__ })
#define EXPIRY(s) PROPS(prop_num(PROP_SESSION_EXPIRY, s))

/* A 5.0 session of so many seconds, resumed if it is there. */
static struct peer *stay(const char *id, uint32_t expiry_s)
{
    return connect_as(CONNECT(.client_id = id, .props = EXPIRY(expiry_s)));
}

static struct peer *stay311(const char *id)
{
    return connect_as(CONNECT(.version = 4, .client_id = id));
}

static struct peer *fresh(uint8_t version, const char *id)
{
    return connect_as(CONNECT(.version = version, .client_id = id, .clean_start = true));
}

static bool resumed(const struct peer *p)
{
    return connack_of(p)->session_present;
}

/* ---- Clean Start, Clean Session ------------------------------------------------------------------------ */

SPEC("MQTT-3.1.2-4", "MQTT-3.1.4-4", "MQTT-3.2.2-2")
TEST(clean_start_throws_the_stored_session_away)
{
    struct peer *p = connect5("p"), *a = stay("a", 3600);
    subscribe(a, "t", 1);
    drop(a);
    publish(p, "t", "waits", 1);
    a = fresh(5, "a");
    CHECK(!resumed(a));
    publish(p, "t", "again", 1);
    expect_nothing(a);
}

SPEC("MQTT311-3.1.2-6", "MQTT311-3.2.2-1", "MQTT311-3.1.4-3")
TEST(clean_session_erases_the_stored_session_and_leaves_nothing_behind)
{
    struct peer *p = connect5("p"), *a = stay311("a");
    subscribe(a, "t", 1);
    drop(a);
    publish(p, "t", "waits", 1);
    a = fresh(4, "a");
    CHECK(!resumed(a));
    expect_nothing(a);
    subscribe(a, "other", 1);
    leave(a);
    a = stay311("a");
    CHECK(!resumed(a));
    publish(p, "t", "again", 1);
    publish(p, "other", "again", 1);
    expect_nothing(a);
}

SPEC("MQTT-3.1.2-5", "MQTT-3.1.4-4", "MQTT-3.2.2-3")
TEST(without_clean_start_a_stored_session_is_resumed_with_what_waited)
{
    struct peer *p = connect5("p"), *a = stay("a", 3600);
    CHECK(!resumed(a));
    subscribe(a, "t", 2);
    drop(a);
    publish(p, "t", "one", 1);
    publish(p, "t", "two", 2);
    a = stay("a", 3600);
    CHECK(resumed(a));
    take_publish(a, "t", "one", 1);
    take_publish(a, "t", "two", 2);
    publish(p, "t", "three", 1);
    take_publish(a, "t", "three", 1);
}

SPEC("MQTT-3.1.2-6")
TEST(without_clean_start_an_unknown_client_gets_a_new_session_that_stays)
{
    struct peer *p = connect5("p"), *a = stay("a", 3600);
    CHECK(!resumed(a));
    subscribe(a, "t", 1);
    leave(a);
    publish(p, "t", "x", 1);
    a = stay("a", 3600);
    CHECK(resumed(a));
    take_publish(a, "t", "x", 1);
}

SPEC("MQTT311-3.1.2-4", "MQTT311-3.2.2-2", "MQTT311-3.2.2-3", "MQTT311-3.1.4-3")
TEST(without_clean_session_a_session_is_made_once_and_resumed_after)
{
    struct peer *p = connect311("p"), *a = dial();
    send_connect(a, CONNECT(.version = 4, .client_id = "a"));
    expect_hex(a, "20 02 00 00");
    subscribe(a, "t", 1);
    drop(a);
    publish(p, "t", "x", 1);
    a = dial();
    send_connect(a, CONNECT(.version = 4, .client_id = "a"));
    expect_hex(a, "20 02 01 00");
    take_publish(a, "t", "x", 1);
}

SPEC("MQTT311-3.1.2-5")
TEST(qos_1_and_2_messages_wait_for_a_client_that_is_away_in_their_order)
{
    struct peer *p = connect311("p"), *a = stay311("a");
    subscribe(a, "t", 2);
    leave(a);
    publish(p, "t", "1", 1);
    publish(p, "t", "0", 0);
    publish(p, "t", "2", 2);
    publish(p, "t", "3", 1);
    publish(p, "t", "4", 2);
    a = stay311("a");
    take_publish(a, "t", "1", 1);
    take_publish(a, "t", "2", 2);
    take_publish(a, "t", "3", 1);
    take_publish(a, "t", "4", 2);
    expect_nothing(a);
}

SPEC("MQTT-3.1.2-23", "MQTT311-4.1.0-1")
TEST(a_day_away_loses_nothing)
{
    struct peer *p = connect5("p"), *a = stay("a", 100000), *b = stay311("b");
    subscribe(a, "t", 1);
    subscribe(b, "t", 1);
    drop(a);
    drop(b);
    publish(p, "t", "x", 1);
    advance(24 * 3600 * 1000);
    publish(p, "t", "y", 1);
    a = stay("a", 100000);
    b = stay311("b");
    CHECK(resumed(a) && resumed(b));
    take_publish(a, "t", "x", 1);
    take_publish(a, "t", "y", 1);
    take_publish(b, "t", "x", 1);
    take_publish(b, "t", "y", 1);
}

/* ---- Session Present and clients that do not like it --------------------------------------------------- */

SPEC("MQTT-3.2.2-3", "MQTT-4.1.0-2", "MQTT-3.2.2-5")
TEST(session_present_is_0_then_1_then_0_once_the_session_has_expired)
{
    struct peer *p = connect5("p"), *a = stay("a", 2);
    CHECK(!resumed(a));
    subscribe(a, "t", 1);
    drop(a);
    advance(1000);
    a = stay("a", 2);
    CHECK(resumed(a));
    publish(p, "t", "x", 1);
    expect_publish(a, "t", "x"); /* never acknowledged */
    drop(a);
    advance(2000);
    a = stay("a", 2);
    CHECK(!resumed(a));
    publish(p, "t", "y", 1);
    expect_nothing(a);
}

SPEC("MQTT-3.2.2-5")
TEST(after_a_session_has_expired_no_packet_identifier_of_it_is_in_flight)
{
    struct peer *p = connect5("p"), *a = stay("a", 2);
    subscribe(a, "t", 2);
    publish(p, "t", "x", 2);
    const uint16_t pid = expect_publish(a, "t", "x").pid;
    send_publish(a, &(struct c_publish){ .topic = "q", .qos = 2, .pid = 77 });
    expect_packet(a, PK_PUBREC);
    drop(a);
    advance(2001);
    a = stay("a", 2);
    send_ack(a, PK_PUBREC, pid, 0);
    expect_ack(a, PK_PUBREL, pid, 0x92);
    send_ack(a, PK_PUBREL, 77, 0);
    expect_ack(a, PK_PUBCOMP, 77, 0x92);
    CHECK_EQ(stats().books[2].inflight, 0);
}

SPEC("MQTT-3.2.2-4")
TEST(a_client_that_closes_because_of_session_present_1_does_not_lose_its_session)
{
    struct peer *a = stay("a", 3600);
    subscribe(a, "t", 1);
    drop(a);
    a = stay("a", 3600);
    CHECK(resumed(a));
    drop(a);
    a = stay("a", 3600);
    CHECK(resumed(a));
}

/* ---- keyed by the client id alone ---------------------------------------------------------------------- */

SPEC("MQTT-3.1.3-2", "MQTT311-3.1.3-2")
TEST(the_client_id_alone_names_the_session)
{
    for (uint8_t version = 4; version <= 5; version++) {
        struct peer *a = dial_from(11);
        send_connect(a,
                     CONNECT(.version = version, .client_id = "same", .username = "u", .props = EXPIRY(60)));
        expect_connack(a, 0);
        drop(a);
        a = dial_from(22);
        send_connect(a,
                     CONNECT(.version = version, .client_id = "same", .username = "v", .props = EXPIRY(60)));
        CHECK(expect_connack(a, 0).session_present);
        drop(a);
        a = fresh(version, "Same");
        CHECK(!resumed(a));
        leave(a);
        leave(fresh(version, "same"));
    }
}

SPEC("MQTT-3.1.4-3")
TEST(a_client_that_comes_again_takes_its_session_over_and_the_older_connection_is_told)
{
    struct peer *p = connect5("p"), *old = stay("a", 3600);
    subscribe(old, "t", 1);
    struct peer *new = stay("a", 3600);
    expect_hex(old, "E0 ?? 8E");
    read_all(old);
    expect_closed(old);
    CHECK(resumed(new));
    publish(p, "t", "x", 1);
    take_publish(new, "t", "x", 1);
}

SPEC("MQTT311-3.1.4-2")
TEST(a_3_1_1_client_that_comes_again_puts_the_older_connection_out_and_gets_each_message_once)
{
    struct peer *p = connect311("p"), *old = stay311("a");
    subscribe(old, "t", 1);
    struct peer *new = stay311("a");
    expect_closed(old);
    CHECK(resumed(new));
    publish(p, "t", "x", 1);
    take_publish(new, "t", "x", 1);
    expect_nothing(new);
    CHECK_EQ(stats().clients, 2);
}

SPEC("MQTT-3.1.4-3", "MQTT311-3.1.4-2")
TEST(takeover_gives_the_new_connection_at_once_what_the_old_one_had_not_acknowledged)
{
    struct peer *p = connect5("p"), *old = stay("a", 3600);
    subscribe(old, "t", 1);
    publish(p, "t", "x", 1);
    expect_publish(old, "t", "x");
    struct peer *new = stay("a", 3600);
    expect_disconnect(old, 0x8E);
    CHECK(take_publish(new, "t", "x", 1).dup);
}

SPEC("MQTT-3.1.4-3", "MQTT-3.1.2-4")
TEST(takeover_with_clean_start_begins_anew)
{
    struct peer *p = connect5("p"), *old = stay("a", 3600);
    subscribe(old, "t", 1);
    struct peer *new = fresh(5, "a");
    expect_disconnect(old, 0x8E);
    CHECK(!resumed(new));
    publish(p, "t", "x", 1);
    expect_nothing(new);
}

SPEC("MQTT-3.1.4-3")
TEST(taking_over_a_session_that_ends_with_its_connection_begins_anew)
{
    struct peer *old = connect5("a");
    subscribe(old, "t", 1);
    struct peer *new = connect_as(CONNECT(.client_id = "a"));
    expect_disconnect(old, 0x8E);
    CHECK(!resumed(new));
}

SPEC("MQTT-3.1.4-3")
TEST(takeover_lets_a_packet_that_was_begun_come_to_its_end)
{
    struct peer *p = connect5("p"), *old = stay("a", 3600);
    uint8_t some[40];
    subscribe(old, "t", 1);
    hold(old);
    publish(p, "t", text_of('x', 500), 1);
    const size_t n = midge_pull(live_conn(old), some, sizeof some, now);
    CHECK_EQ(n, sizeof some);
    struct peer *new = stay("a", 3600);
    take_publish(new, "t", text_of('x', 500), 1);

    uint8_t rest[1000];
    const size_t left = midge_pull(live_conn(old), rest, sizeof rest, now);
    CHECK(left > 509 - n);
    const uint8_t *end = rest + 509 - n; /* of PUBLISH: header 3, topic 3, id 2, properties 1, payload 500 */
    CHECK_EQ(end[-1], 'x');
    CHECK_EQ(end[0], 0xE0);
    CHECK_EQ(end[2], 0x8E);
    drop(old);
}

/* ---- expiry -------------------------------------------------------------------------------------------- */

SPEC("MQTT-4.1.0-2", "MQTT-3.1.2-23")
TEST(a_session_is_there_up_to_its_expiry_and_gone_after_with_its_memory)
{
    connect5("p");
    struct peer *a = stay("b", 0); /* makes the first tables, which stay */
    subscribe(a, "some/topic", 1);
    leave(a);
    const size_t before = memory_used();
    a = stay("a", 2);
    subscribe(a, "some/topic", 1);
    drop(a);
    advance(1999);
    CHECK_EQ(stats().sessions, 2);
    advance(1);
    CHECK_EQ(stats().sessions, 1);
    CHECK_EQ(memory_used(), before);
}

SPEC("MQTT-4.1.0-2")
TEST(without_session_expiry_the_session_ends_with_its_connection)
{
    struct peer *a = connect_as(CONNECT(.client_id = "a"));
    subscribe(a, "t", 1);
    drop(a);
    CHECK_EQ(stats().sessions, 0);
    a = connect_as(CONNECT(.client_id = "a"));
    CHECK(!resumed(a));
}

SPEC("MQTT-4.1.0-1", "MQTT311-4.1.0-2")
TEST(a_session_does_not_expire_while_it_is_connected)
{
    struct peer *p = connect5("p"), *a = stay("a", 1), *b = stay311("b");
    subscribe(a, "t", 1);
    subscribe(b, "t", 1);
    advance(3600 * 1000);
    publish(p, "t", "x", 1);
    take_publish(a, "t", "x", 1);
    take_publish(b, "t", "x", 1);
}

SPEC("MQTT-4.1.0-1", "MQTT311-4.1.0-2")
TEST(no_connected_session_is_put_out_when_sessions_run_short)
{
    limits.sessions = 4;
    struct peer *a = stay("a", 60), *b = stay311("b");
    subscribe(a, "t", 1);
    subscribe(b, "t", 1);
    for (int i = 0; i < 20; i++)
        drop(stay(format("stranger %d", i), 3600));
    struct peer *p = connect5("p");
    publish(p, "t", "x", 1);
    take_publish(a, "t", "x", 1);
    take_publish(b, "t", "x", 1);
    CHECK(stats().sessions <= 4);
}

SPEC("MQTT-4.1.0-1", "MQTT311-4.1.0-2")
TEST(no_connected_session_is_put_out_when_memory_runs_short)
{
    limits.memory_bytes = 60000;
    limits.reserve_bytes = 10000;
    struct peer *a = stay("a", 60), *b = stay311("b"), *p = connect5("p");
    subscribe(a, "keep", 1);
    subscribe(b, "keep", 1);
    subscribe(a, "t", 1);
    hold(a);
    for (uint16_t i = 1; i < 100 && !is_closed(p); i++) {
        send_publish(p,
                     &(struct c_publish){ .topic = "t", .payload = text_of('x', 2000), .qos = 1, .pid = i });
        if (!is_paused(p) && expect_packet(p, PK_PUBACK).reason == 0x97)
            break;
        if (is_paused(p))
            break;
    }
    CHECK(!is_closed(a) && !is_closed(b));
    read_all(p);
    drop(p);
    resume(a);
    while (unread(a)) {
        const struct packet pk = expect_packet(a, PK_PUBLISH);
        send_ack(a, PK_PUBACK, pk.pid, 0);
    }
    p = connect5("q");
    publish(p, "keep", "y", 1);
    take_publish(a, "keep", "y", 1);
    take_publish(b, "keep", "y", 1);
}

SPEC("U5-3.1.2.11.2-max")
TEST(a_session_expiry_of_ffffffff_never_expires)
{
    struct peer *a = stay("a", 0xFFFFFFFF);
    CHECK(!has_prop(connack_of(a), PROP_SESSION_EXPIRY));
    drop(a);
    for (int year = 0; year < 200; year++)
        advance(365ull * 24 * 3600 * 1000);
    a = stay("a", 0xFFFFFFFF);
    CHECK(resumed(a));
}

SPEC("U5-3.1.2.11.2-max", "U5-3.2.2.3.2")
TEST(a_session_expiry_above_the_limit_is_capped_and_connack_says_so)
{
    limits.session_expiry_s = 3600;
    struct peer *a = stay("a", 0xFFFFFFFF), *b = stay("b", 86400), *c = stay("c", 3600);
    CHECK_EQ(prop_number(connack_of(a), PROP_SESSION_EXPIRY), 3600);
    CHECK_EQ(prop_number(connack_of(b), PROP_SESSION_EXPIRY), 3600);
    CHECK(!has_prop(connack_of(c), PROP_SESSION_EXPIRY));
    drop(a);
    drop(b);
    drop(c);
    advance(3599999);
    CHECK_EQ(stats().sessions, 3);
    advance(1);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("U5-3.2.2.3.2")
TEST(without_any_session_expiry_nothing_is_said_about_it)
{
    limits.session_expiry_s = 3600;
    struct peer *a = connect_as(CONNECT(.client_id = "a"));
    CHECK(!has_prop(connack_of(a), PROP_SESSION_EXPIRY));
}

/* ---- Session Expiry in DISCONNECT ---------------------------------------------------------------------- */

SPEC("U5-3.14.2.2.2")
TEST(disconnect_may_shorten_lengthen_and_end_the_session)
{
    struct peer *a = stay("a", 60), *b = stay("b", 60), *c = stay("c", 60);
    send_disconnect(a, 0, EXPIRY(0));
    expect_closed(a);
    CHECK_EQ(stats().sessions, 2);
    send_disconnect(b, 0, EXPIRY(5));
    send_disconnect(c, 0, EXPIRY(120));
    expect_closed(b);
    expect_closed(c);
    advance(5000);
    CHECK_EQ(stats().sessions, 1);
    advance(114999);
    CHECK_EQ(stats().sessions, 1);
    advance(1);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("U5-3.14.2.2.2")
TEST(disconnect_may_not_turn_a_session_that_ends_into_one_that_stays)
{
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "w", 0);
    struct peer *a =
        connect_as(CONNECT(.client_id = "a", .will = &(struct c_will){ .topic = "w", .payload = "kept" }));
    send_disconnect(a, 0, EXPIRY(60));
    expect_disconnect(a, 0x82);
    expect_publish(watcher, "w", "kept"); /* it was no valid DISCONNECT */
    CHECK_EQ(stats().sessions, 1);
}

SPEC("U5-3.14.2.2.2", "U5-3.1.2.11.2-max")
TEST(a_session_expiry_in_disconnect_is_capped_too)
{
    limits.session_expiry_s = 100;
    struct peer *a = stay("a", 60);
    send_disconnect(a, 0, EXPIRY(0xFFFFFFFF));
    expect_closed(a);
    advance(99999);
    CHECK_EQ(stats().sessions, 1);
    advance(1);
    CHECK_EQ(stats().sessions, 0);
}

/* ---- what is in a session ------------------------------------------------------------------------------ */

SPEC("U5-4.1-state")
TEST(a_session_keeps_subscriptions_with_their_options_and_identifiers)
{
    struct peer *p = connect5("p"), *a = stay("a", 60);
    send_subscribe(a, &(struct c_subscribe){ .pid = 1,
                                             .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, 300)),
                                             FILTERS({ "t", 1 | OPT_NO_LOCAL | OPT_RETAIN_AS_PUBLISHED }) });
    expect_packet(a, PK_SUBACK);
    drop(a);
    a = stay("a", 60);
    publish(a, "t", "own", 1);
    expect_nothing(a);
    publish_retained(p, "t", "x", 1);
    const struct packet pk = take_publish(a, "t", "x", 1);
    CHECK_EQ(prop_number(&pk, PROP_SUBSCRIPTION_ID), 300);
    CHECK(pk.retain);
}

SPEC("U5-4.1-state")
TEST(a_session_keeps_the_qos_2_messages_that_the_client_has_not_released)
{
    struct peer *sub = connect5("s"), *a = stay("a", 60);
    subscribe(sub, "t", 2);
    send_publish(a, &(struct c_publish){ .topic = "t", .payload = "once", .qos = 2, .pid = 5 });
    expect_packet(a, PK_PUBREC);
    take_publish(sub, "t", "once", 2);
    drop(a);
    a = stay("a", 60);
    send_publish(a, &(struct c_publish){ .topic = "t", .payload = "once", .qos = 2, .pid = 5, .dup = true });
    CHECK(expect_packet(a, PK_PUBREC).reason < 0x80);
    expect_nothing(sub);
    send_ack(a, PK_PUBREL, 5, 0);
    expect_ack(a, PK_PUBCOMP, 5, 0);
}

SPEC("U5-4.1-state")
TEST(a_session_keeps_its_will_and_its_delay)
{
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "w", 0);
    const struct props delay = PROPS(prop_num(PROP_WILL_DELAY, 10));
    struct peer *a =
        connect_as(CONNECT(.client_id = "a", .props = EXPIRY(60),
                           .will = &(struct c_will){ .topic = "w", .payload = "late", .props = delay }));
    drop(a);
    advance(9999);
    expect_nothing(watcher);
    advance(1);
    expect_publish(watcher, "w", "late");
    CHECK_EQ(stats().sessions, 2);
}

/* ---- sent again on a new connection, and never otherwise ----------------------------------------------- */

/* Ten at QoS 1, five at QoS 2, and three QoS 2 whose PUBREC has come; none complete. */
static void resend_after_reconnect(uint8_t version)
{
    const struct c_connect hello = { .version = version, .client_id = "a", .props = EXPIRY(60) };
    struct peer *p = connect5("p"), *a = connect_as(&hello);
    uint16_t pid[18];
    subscribe(a, "#", 2);
    for (int i = 0; i < 18; i++) {
        publish(p, "t", format("%d", i), i < 10 ? 1 : 2);
        pid[i] = expect_publish(a, "t", format("%d", i)).pid;
    }
    for (int i = 15; i < 18; i++) {
        send_ack(a, PK_PUBREC, pid[i], 0);
        expect_ack(a, PK_PUBREL, pid[i], 0);
    }
    drop(a);
    a = connect_as(&hello);
    int next_publish = 0, next_pubrel = 15; /* each kind in its order */
    while (unread(a)) {
        const struct packet pk = expect_packet(a, PK_ANY);
        if (pk.type == PK_PUBREL) {
            CHECK_EQ(pk.pid, pid[next_pubrel++]);
            continue;
        }
        CHECK_STR(pk.payload, format("%d", next_publish));
        CHECK(pk.dup);
        CHECK_EQ(pk.qos, next_publish < 10 ? 1 : 2);
        CHECK_EQ(pk.pid, pid[next_publish++]);
    }
    CHECK_EQ(next_publish, 15);
    CHECK_EQ(next_pubrel, 18);
    for (int i = 0; i < 10; i++)
        send_ack(a, PK_PUBACK, pid[i], 0);
    for (int i = 10; i < 15; i++) {
        send_ack(a, PK_PUBREC, pid[i], 0);
        expect_ack(a, PK_PUBREL, pid[i], 0);
    }
    for (int i = 10; i < 18; i++)
        send_ack(a, PK_PUBCOMP, pid[i], 0);
    expect_nothing(a);
    drop(a);
    a = connect_as(&hello);
    expect_nothing(a);
}

SPEC("MQTT-4.4.0-1")
TEST(all_that_was_not_acknowledged_is_sent_again_on_the_new_connection_with_its_ids)
{
    resend_after_reconnect(5);
}

SPEC("MQTT311-4.4.0-1")
TEST(all_that_a_3_1_1_client_has_not_acknowledged_is_sent_again_on_its_new_connection)
{
    resend_after_reconnect(4);
}

SPEC("MQTT-4.4.0-1")
TEST(nothing_is_sent_again_to_a_client_that_stays_connected_and_never_acknowledges)
{
    struct peer *p = connect5("p"), *a = connect5("a"), *b = connect311("b");
    subscribe(a, "t", 2);
    subscribe(b, "t", 2);
    publish(p, "t", "one", 1);
    publish(p, "t", "two", 2);
    expect_publish(a, "t", "one");
    send_ack(a, PK_PUBREC, expect_publish(a, "t", "two").pid, 0);
    expect_packet(a, PK_PUBREL);
    expect_publish(b, "t", "one");
    expect_publish(b, "t", "two");
    advance(3600 * 1000);
    expect_nothing(a);
    expect_nothing(b);
}
