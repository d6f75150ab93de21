/* test_will.c - wills: when they are published, with what, and when never. */
#include "harness.h"

#define CONNECT(...) (&(struct c_connect){ __VA_ARGS__ })
#define WILL(...)                                                                                            \
    .will = &(struct c_will)                                                                                 \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }
#define EXPIRY(s) PROPS(prop_num(PROP_SESSION_EXPIRY, s))
#define DELAY(s) PROPS(prop_num(PROP_WILL_DELAY, s))

static struct peer *watch(void)
{
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "#", 2);
    return watcher;
}

/* With the will "gone" to the topic "w". */
static struct peer *mortal(uint8_t version, const char *id)
{
    return connect_as(CONNECT(.version = version, .client_id = id, .clean_start = true,
                              WILL(.topic = "w", .payload = "gone")));
}

/* With a session, and the same will after a delay. */
static struct peer *mortal_later(uint32_t delay_s, uint32_t expiry_s)
{
    return connect_as(CONNECT(.client_id = "a", .props = EXPIRY(expiry_s),
                              WILL(.topic = "w", .payload = "gone", .props = DELAY(delay_s))));
}

/* ---- published at each end that is not a DISCONNECT ---------------------------------------------------- */

SPEC("MQTT-3.1.2-7", "MQTT311-3.1.2-8")
TEST(the_will_is_published_when_the_network_fails)
{
    for (uint8_t version = 4; version <= 5; version++) {
        struct peer *watcher = watch(), *a = mortal(version, "a");
        expect_nothing(watcher);
        drop(a);
        expect_publish(watcher, "w", "gone");
        leave(watcher);
    }
}

SPEC("MQTT311-3.1.2-8", "MQTT-3.1.2-7")
TEST(the_will_is_published_when_the_client_falls_silent)
{
    for (uint8_t version = 4; version <= 5; version++) {
        struct peer *watcher = watch();
        struct peer *a = connect_as(CONNECT(.version = version, .client_id = "a", .keepalive = 2,
                                            WILL(.topic = "w", .payload = "gone")));
        advance(2999);
        expect_nothing(watcher);
        advance(1);
        expect_disconnect(a, 0x8D);
        expect_publish(watcher, "w", "gone");
        leave(watcher);
        leave(connect_as(CONNECT(.version = version, .client_id = "a", .clean_start = true)));
    }
}

SPEC("MQTT311-3.1.2-8", "MQTT-3.1.2-7")
TEST(the_will_is_published_when_the_client_breaks_the_protocol)
{
    for (uint8_t version = 4; version <= 5; version++) {
        struct peer *watcher = watch(), *a = mortal(version, "a");
        send_hex(a, "00 00");
        expect_disconnect(a, 0x81);
        expect_publish(watcher, "w", "gone");
        leave(watcher);
    }
}

SPEC("MQTT311-3.1.2-8", "MQTT-3.1.2-7")
TEST(the_will_is_published_when_another_client_takes_over)
{
    for (uint8_t version = 4; version <= 5; version++) {
        struct peer *watcher = watch(), *a = mortal(version, "a");
        struct peer *b = connect_as(CONNECT(.version = version, .client_id = "a", .clean_start = true));
        expect_disconnect(a, 0x8E);
        expect_publish(watcher, "w", "gone");
        leave(b);
        expect_nothing(watcher);
        leave(watcher);
    }
}

SPEC("MQTT311-3.1.2-8", "MQTT-3.1.2-7")
TEST(the_will_is_published_when_the_broker_is_shut_down_even_if_it_was_to_wait)
{
    struct peer *watcher = connect_as(CONNECT(.version = 4, .client_id = "watcher"));
    subscribe(watcher, "w", 1);
    drop(watcher);
    struct peer *up = connect_as(CONNECT(.client_id = "up", WILL(.topic = "w", .qos = 1)));
    drop(connect_as(CONNECT(.client_id = "away", .props = EXPIRY(600),
                            WILL(.topic = "w", .qos = 1, .props = DELAY(100)))));
    CHECK_EQ(stats().books[1].enqueued, 0);
    shut_down();
    expect_disconnect(up, 0x8B);
    CHECK_EQ(stats().books[1].enqueued, config.store ? 1 : 2); /* one that waits is there after a restart, with a store */
}

SPEC("MQTT311-3.1.2-8", "MQTT-3.1.2-7")
TEST(the_will_is_published_when_the_host_puts_the_client_out)
{
    struct peer *watcher = watch(), *a = mortal(5, "a");
    CHECK_EQ(midge_kick(broker, (struct midge_slice){ (const uint8_t *)"a", 1 }, 0x98, false, now), MIDGE_OK);
    settle();
    expect_disconnect(a, 0x98);
    expect_publish(watcher, "w", "gone");
}

/* ---- and not after one --------------------------------------------------------------------------------- */

SPEC("MQTT-3.14.4-3", "MQTT311-3.14.4-3", "MQTT-3.1.2-10", "MQTT311-3.1.2-10")
TEST(disconnect_discards_the_will)
{
    for (uint8_t version = 4; version <= 5; version++) {
        struct peer *watcher = watch(), *a = mortal(version, "a");
        send_hex(a, "E0 00");
        expect_closed(a);
        advance(60000);
        expect_nothing(watcher);
        leave(watcher);
    }
}

SPEC("MQTT-3.14.4-3")
TEST(disconnect_discards_a_will_with_a_delay_too)
{
    struct peer *watcher = watch(), *a = mortal_later(5, 60);
    leave(a);
    advance(100000);
    expect_nothing(watcher);
}

SPEC("MQTT-3.14.4-3", "MQTT-3.1.2-10")
TEST(disconnect_with_will_publishes_it)
{
    struct peer *watcher = watch(), *a = mortal(5, "a");
    send_disconnect(a, 0x04, NO_PROPS);
    expect_closed(a);
    expect_publish(watcher, "w", "gone");
}

SPEC("MQTT-3.14.4-3")
TEST(a_disconnect_with_an_error_code_publishes_the_will)
{
    struct peer *watcher = watch(), *a = mortal(5, "a");
    send_disconnect(a, 0x80, NO_PROPS);
    expect_closed(a);
    expect_publish(watcher, "w", "gone");
}

SPEC("MQTT-3.1.2-10", "MQTT311-3.1.2-10")
TEST(a_will_is_published_once)
{
    for (uint8_t version = 4; version <= 5; version++) {
        struct peer *watcher = watch();
        struct peer *a = connect_as(CONNECT(.version = version, .client_id = "a", .props = EXPIRY(600),
                                            WILL(.topic = "w", .payload = "gone")));
        drop(a);
        expect_publish(watcher, "w", "gone");
        a = connect_as(CONNECT(.version = version, .client_id = "a", .props = EXPIRY(600)));
        CHECK(connack_of(a)->session_present);
        drop(a);
        advance(700000);
        expect_nothing(watcher);
        leave(connect_as(CONNECT(.version = version, .client_id = "a", .clean_start = true)));
        leave(watcher);
    }
}

SPEC("MQTT311-3.1.2-12")
TEST(without_will_flag_nothing_is_published_at_the_end)
{
    struct peer *watcher = watch();
    drop(connect311("a"));
    drop(connect5("b"));
    advance(60000);
    expect_nothing(watcher);
}

/* ---- delay --------------------------------------------------------------------------------------------- */

SPEC("MQTT-3.1.2-8")
TEST(the_will_comes_when_the_session_ends_if_that_is_before_the_delay)
{
    struct peer *watcher = watch();
    drop(mortal_later(5, 2));
    advance(1999);
    expect_nothing(watcher);
    advance(1);
    expect_publish(watcher, "w", "gone");
    advance(10000);
    expect_nothing(watcher);
}

SPEC("MQTT-3.1.2-8")
TEST(the_will_comes_after_its_delay_if_the_session_lives_longer)
{
    struct peer *watcher = watch();
    drop(mortal_later(2, 60));
    advance(1999);
    expect_nothing(watcher);
    advance(1);
    expect_publish(watcher, "w", "gone");
    advance(100000);
    expect_nothing(watcher);
}

SPEC("MQTT-3.1.2-8")
TEST(a_session_that_ends_with_its_connection_publishes_its_will_at_once_whatever_the_delay)
{
    struct peer *watcher = watch();
    drop(mortal_later(5, 0));
    expect_publish(watcher, "w", "gone");
}

SPEC("MQTT-3.1.2-8", "MQTT-3.1.3-9")
TEST(a_client_that_is_back_before_the_delay_ends_has_no_will_published)
{
    struct peer *watcher = watch();
    drop(mortal_later(5, 60));
    advance(2000);
    struct peer *a = connect_as(CONNECT(.client_id = "a", .props = EXPIRY(60)));
    CHECK(connack_of(a)->session_present);
    advance(100000);
    expect_nothing(watcher);
}

SPEC("MQTT-3.1.3-9")
TEST(a_client_that_is_back_has_the_will_of_its_new_connect)
{
    struct peer *watcher = watch();
    drop(mortal_later(5, 60));
    advance(2000);
    struct peer *a =
        connect_as(CONNECT(.client_id = "a", .props = EXPIRY(60), WILL(.topic = "w2", .payload = "new")));
    drop(a);
    expect_publish(watcher, "w2", "new");
    advance(100000);
    expect_nothing(watcher);
}

SPEC("MQTT-3.1.3-9", "MQTT-3.1.2-8")
TEST(a_client_that_is_back_with_clean_start_has_ended_its_session_and_so_its_will_is_published)
{
    struct peer *watcher = watch();
    drop(mortal_later(50, 600));
    advance(2000);
    connect5("a");
    expect_publish(watcher, "w", "gone");
    advance(1000000);
    expect_nothing(watcher);
}

SPEC("MQTT-3.1.2-8")
TEST(disconnect_with_will_waits_for_the_delay_too)
{
    struct peer *watcher = watch(), *a = mortal_later(5, 60);
    send_disconnect(a, 0x04, NO_PROPS);
    expect_closed(a);
    advance(4999);
    expect_nothing(watcher);
    advance(1);
    expect_publish(watcher, "w", "gone");
}

SPEC("MQTT-3.1.2-8")
TEST(a_delay_of_years_is_kept_by_a_session_that_never_expires)
{
    struct peer *watcher = watch();
    const uint32_t delay_s = 100000000; /* three years: longer than any timer runs */
    drop(mortal_later(delay_s, 0xFFFFFFFF));
    advance((midge_ms)delay_s * 1000 - 1);
    expect_nothing(watcher);
    advance(1);
    expect_publish(watcher, "w", "gone");
}

/* The session is taken over while its first connection is up. */
static bool will_after_takeover(uint32_t delay_s, bool clean_start)
{
    struct peer *watcher = watch(), *a = mortal_later(delay_s, 600);
    struct peer *b = connect_as(CONNECT(.client_id = "a", .clean_start = clean_start, .props = EXPIRY(600)));
    expect_disconnect(a, 0x8E);
    const bool published = unread(watcher) > 0;
    if (published)
        expect_publish(watcher, "w", "gone");
    advance(1000000);
    expect_nothing(watcher);
    send_disconnect(b, 0, EXPIRY(0));
    expect_closed(b);
    leave(watcher);
    return published;
}

SPEC("U5-3.1.4-takeover-will")
TEST(takeover_publishes_the_will_unless_it_has_a_delay_and_the_session_goes_on)
{
    CHECK(will_after_takeover(0, false));
    CHECK(will_after_takeover(0, true));
    CHECK(will_after_takeover(5, true));
    CHECK(!will_after_takeover(5, false));
}

/* ---- malformed wills ----------------------------------------------------------------------------------- */

static void malformed(const char *v5_body, const char *v311_body)
{
    struct peer *p = dial();
    send_body(p, 0x10, v5_body);
    expect_connack(p, 0x81);
    p = dial();
    send_body(p, 0x10, v311_body);
    expect_closed(p);
}

SPEC("MQTT-3.1.2-9", "MQTT311-3.1.2-9")
TEST(a_will_that_is_announced_has_to_be_there)
{
    malformed("00 04 'MQTT' 05 06 00 00 00 00 01 'a'", "00 04 'MQTT' 04 06 00 00 00 01 'a'");
    malformed("00 04 'MQTT' 05 06 00 00 00 00 01 'a' 00", "00 04 'MQTT' 04 06 00 00 00 01 'a' 00");
    malformed("00 04 'MQTT' 05 06 00 00 00 00 01 'a' 00 00 01 'w'",
              "00 04 'MQTT' 04 06 00 00 00 01 'a' 00 01 'w'");
    malformed("00 04 'MQTT' 05 06 00 00 00 00 01 'a' 00 00 01 'w' 00 02 'x'",
              "00 04 'MQTT' 04 06 00 00 00 01 'a' 00 01 'w' 00 02 'x'");
}

SPEC("MQTT311-3.1.2-9", "MQTT-3.1.2-9")
TEST(qos_and_retain_of_the_will_are_those_of_the_connect_flags)
{
    struct peer *watcher = connect5("watcher");
    send_subscribe(watcher, &(struct c_subscribe){ .pid = 1, FILTERS({ "w", 2 | OPT_RETAIN_AS_PUBLISHED }) });
    expect_packet(watcher, PK_SUBACK);
    for (uint8_t version = 4; version <= 5; version++) {
        for (uint8_t qos = 0; qos <= 2; qos++) {
            drop(connect_as(CONNECT(.version = version, .client_id = "a", .clean_start = true,
                                    WILL(.topic = "w", .payload = "gone", .qos = qos, .retain = qos == 1))));
            CHECK_EQ(take_publish(watcher, "w", "gone", qos).retain, qos == 1);
        }
    }
}

SPEC("MQTT-3.1.2-11", "MQTT311-3.1.2-11", "MQTT311-3.1.2-13")
TEST(a_will_qos_without_a_will_is_malformed)
{
    malformed("00 04 'MQTT' 05 0A 00 00 00 00 01 'a'", "00 04 'MQTT' 04 0A 00 00 00 01 'a'");
    malformed("00 04 'MQTT' 05 12 00 00 00 00 01 'a'", "00 04 'MQTT' 04 12 00 00 00 01 'a'");
    malformed("00 04 'MQTT' 05 1A 00 00 00 00 01 'a'", "00 04 'MQTT' 04 1A 00 00 00 01 'a'");
}

SPEC("MQTT311-3.1.2-11")
TEST(will_fields_without_a_will_are_malformed)
{
    malformed("00 04 'MQTT' 05 02 00 00 00 00 01 'a' 00 00 01 'w' 00 01 'x'",
              "00 04 'MQTT' 04 02 00 00 00 01 'a' 00 01 'w' 00 01 'x'");
}

SPEC("MQTT-3.1.2-12", "MQTT311-3.1.2-14")
TEST(a_will_qos_of_3_is_malformed)
{
    malformed("00 04 'MQTT' 05 1E 00 00 00 00 01 'a' 00 00 01 'w' 00 01 'x'",
              "00 04 'MQTT' 04 1E 00 00 00 01 'a' 00 01 'w' 00 01 'x'");
}

SPEC("MQTT-3.1.2-13", "MQTT311-3.1.2-15", "MQTT311-3.1.2-11")
TEST(a_will_retain_without_a_will_is_malformed)
{
    malformed("00 04 'MQTT' 05 22 00 00 00 00 01 'a'", "00 04 'MQTT' 04 22 00 00 00 01 'a'");
}

/* ---- retained or not ----------------------------------------------------------------------------------- */

static void check_retained(uint8_t version, bool retain)
{
    drop(connect_as(CONNECT(.version = version, .client_id = "a", .clean_start = true,
                            WILL(.topic = "w", .payload = "gone", .retain = retain))));
    struct peer *late = connect5("late");
    subscribe(late, "w", 0);
    if (retain)
        CHECK(expect_publish(late, "w", "gone").retain);
    expect_nothing(late);
    leave(late);
}

SPEC("MQTT-3.1.2-14", "MQTT311-3.1.2-16")
TEST(a_will_without_retain_is_not_stored)
{
    check_retained(4, false);
    check_retained(5, false);
}

SPEC("MQTT311-3.1.2-16", "MQTT-3.1.2-14")
TEST(a_will_without_retain_leaves_what_is_retained_alone)
{
    struct peer *p = connect5("p");
    publish_retained(p, "w", "older", 0);
    drop(mortal(4, "a"));
    subscribe(p, "w", 0);
    expect_publish(p, "w", "older");
}

SPEC("MQTT-3.1.2-15", "MQTT311-3.1.2-17")
TEST(a_will_with_retain_is_stored)
{
    check_retained(4, true);
    check_retained(5, true);
}

SPEC("MQTT-3.2.2-12")
TEST(a_will_of_a_qos_that_is_not_served_refuses_the_connect)
{
    limits.max_qos = 0;
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", WILL(.topic = "w", .qos = 1)));
    expect_connack(p, 0x9B);
    limits.max_qos = 1;
    p = dial();
    send_connect(p, CONNECT(.client_id = "a", WILL(.topic = "w", .qos = 2)));
    expect_connack(p, 0x9B);
    connect_as(CONNECT(.client_id = "a", WILL(.topic = "w", .qos = 1)));
}

SPEC("MQTT-3.2.2-13")
TEST(a_retained_will_where_nothing_is_retained_refuses_the_connect)
{
    limits.retain = false;
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", WILL(.topic = "w", .retain = true)));
    expect_connack(p, 0x9A);
    connect_as(CONNECT(.client_id = "a", WILL(.topic = "w")));
}

SPEC("MQTT-3.1.4-2")
TEST(a_will_topic_of_too_many_levels_refuses_the_connect)
{
    limits.topic_levels = 3;
    connect_as(CONNECT(.client_id = "a", WILL(.topic = "1/2/3")));
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "b", WILL(.topic = "1/2/3/4")));
    expect_connack(p, 0x90);
}

/* ---- properties and payload ---------------------------------------------------------------------------- */

SPEC("U5-3.1.3.2.4-exp")
TEST(the_message_expiry_of_a_will_counts_from_when_it_is_published)
{
    struct peer *watcher = watch();
    const struct props both = PROPS(prop_num(PROP_WILL_DELAY, 5), prop_num(PROP_MESSAGE_EXPIRY, 30));
    drop(connect_as(CONNECT(.client_id = "a", .props = EXPIRY(600),
                            WILL(.topic = "w", .payload = "gone", .props = both))));
    advance(5000);
    const struct packet pk = expect_publish(watcher, "w", "gone");
    CHECK_EQ(prop_number(&pk, PROP_MESSAGE_EXPIRY), 30);
    CHECK(!has_prop(&pk, PROP_WILL_DELAY));
}

SPEC("MQTT-3.1.2-9", "U5-3.1.3.2.4-exp")
TEST(the_properties_of_a_will_travel_with_it_in_their_order)
{
    struct peer *watcher = watch();
    const struct props all =
        PROPS(prop_user("b", "1"), prop_num(PROP_PAYLOAD_FORMAT, 1), prop_text(PROP_CONTENT_TYPE, "text"),
              prop_text(PROP_RESPONSE_TOPIC, "answer/here"), prop_binary(PROP_CORRELATION_DATA, "\0\1\2", 3),
              prop_user("a", "2"), prop_user("b", "1"));
    drop(connect_as(
        CONNECT(.client_id = "a", .clean_start = true, WILL(.topic = "w", .payload = "gone", .props = all))));
    const struct packet pk = expect_publish(watcher, "w", "gone");
    CHECK_EQ(prop_number(&pk, PROP_PAYLOAD_FORMAT), 1);
    CHECK_STR(prop_string(&pk, PROP_CONTENT_TYPE), "text");
    CHECK_STR(prop_string(&pk, PROP_RESPONSE_TOPIC), "answer/here");
    const struct prop *data = nth_prop(&pk, PROP_CORRELATION_DATA, 0);
    CHECK_BYTES(data->value, data->value_len, "\0\1\2", 3);
    CHECK_EQ(count_prop(&pk, PROP_USER), 3);
    CHECK_STR(nth_prop(&pk, PROP_USER, 0)->name, "b");
    CHECK_STR(nth_prop(&pk, PROP_USER, 1)->name, "a");
    CHECK_STR(nth_prop(&pk, PROP_USER, 2)->name, "b");
}

SPEC("U5-3.1.3.2.3-pfi")
TEST(a_will_that_says_it_is_text_and_is_not_is_published_as_it_is)
{
    struct peer *watcher = watch();
    struct peer *a = dial();
    send_connect(a, CONNECT(.client_id = "a", .clean_start = true,
                            WILL(.topic = "w", .payload = "\xC0\x80",
                                 .props = PROPS(prop_num(PROP_PAYLOAD_FORMAT, 1)))));
    const struct packet pk = expect_packet(a, PK_CONNACK);
    if (pk.reason == 0) {
        drop(a);
        expect_publish(watcher, "w", "\xC0\x80");
    } else {
        CHECK_EQ(pk.reason, 0x99);
        expect_closed(a);
    }
}

SPEC("MQTT-3.1.2-9", "MQTT311-3.1.2-9")
TEST(a_will_may_be_empty_and_hold_any_bytes)
{
    struct peer *watcher = watch();
    drop(connect_as(CONNECT(.version = 4, .client_id = "a", .clean_start = true, WILL(.topic = "w"))));
    CHECK_EQ(expect_publish(watcher, "w", "").payload_len, 0);
    drop(connect_as(CONNECT(.version = 4, .client_id = "a", .clean_start = true,
                            WILL(.topic = "w", .payload = "\0\xFF\0", .payload_len = 3))));
    const struct packet pk = expect_packet(watcher, PK_PUBLISH);
    CHECK_BYTES(pk.payload, pk.payload_len, "\0\xFF\0", 3);
}

/* ---- rights -------------------------------------------------------------------------------------------- */

static bool may_not_publish_secrets(void *user, const struct midge_who *who, enum midge_access what,
                                    struct midge_slice topic)
{
    (void)user;
    (void)who;
    return what != MIDGE_ACCESS_PUBLISH || topic.len != 6 || memcmp(topic.data, "secret", 6) != 0;
}

SPEC("MQTT-3.1.4-2")
TEST(a_will_that_the_client_may_not_publish_refuses_the_connect)
{
    hooks.allow = may_not_publish_secrets;
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", WILL(.topic = "secret")));
    expect_connack(p, 0x87);
    p = dial();
    send_connect(p, CONNECT(.version = 4, .client_id = "a", WILL(.topic = "secret")));
    expect_connack(p, 5);
    CHECK_EQ(stats().sessions, 0);
}
