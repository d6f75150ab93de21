/* test_keepalive.c - keep alive: who is silent for one and a half times as long as it said is gone. */
#include "harness.h"

#define CONNECT(...) (&(struct c_connect){ __VA_ARGS__ })

static struct peer *alive_for(uint8_t version, const char *id, uint16_t keepalive)
{
    return connect_as(
        CONNECT(.version = version, .client_id = id, .clean_start = true, .keepalive = keepalive));
}

SPEC("MQTT-3.1.2-22", "MQTT311-3.1.2-24", "MQTT-3.2.2-22")
TEST(silence_of_one_and_a_half_times_the_keep_alive_ends_the_connection)
{
    struct peer *v5 = alive_for(5, "a", 2), *v311 = alive_for(4, "b", 2), *longer = alive_for(5, "c", 4);
    CHECK(!has_prop(connack_of(v5), PROP_SERVER_KEEP_ALIVE));
    advance(2999);
    expect_nothing(v5);
    expect_nothing(v311);
    advance(1);
    expect_disconnect(v5, 0x8D);
    expect_closed(v311);
    advance(2999);
    expect_nothing(longer);
    advance(1);
    expect_disconnect(longer, 0x8D);
}

SPEC("MQTT-3.1.2-22", "MQTT311-3.1.2-24")
TEST(silence_is_a_network_failure_so_the_will_is_published)
{
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "w", 0);
    struct peer *a = connect_as(CONNECT(.version = 4, .client_id = "a", .keepalive = 2,
                                        .will = &(struct c_will){ .topic = "w", .payload = "x" }));
    advance(3000);
    expect_closed(a);
    expect_publish(watcher, "w", "x");
}

SPEC("MQTT-3.1.2-22", "MQTT311-3.1.2-24")
TEST(a_keep_alive_of_0_never_ends_a_connection)
{
    struct peer *v5 = connect5("a"), *v311 = connect311("b");
    advance(30ull * 24 * 3600 * 1000);
    send_ping(v5);
    expect_packet(v5, PK_PINGRESP);
    send_ping(v311);
    expect_packet(v311, PK_PINGRESP);
}

SPEC("MQTT-3.1.2-20", "MQTT311-3.1.2-23")
TEST(a_client_that_only_pings_stays_up_for_a_hundred_periods)
{
    struct peer *v5 = alive_for(5, "a", 2), *v311 = alive_for(4, "b", 2);
    for (int i = 0; i < 100; i++) {
        advance(2000);
        send_ping(v5);
        expect_packet(v5, PK_PINGRESP);
        send_ping(v311);
        expect_packet(v311, PK_PINGRESP);
    }
}

SPEC("MQTT-3.1.2-20", "MQTT311-3.1.2-23")
TEST(any_packet_is_a_sign_of_life)
{
    static const char *const packets[] = {
        "30 03 00 01 't'",       "40 02 00 01", "82 06 00 01 00 01 't' 00",
        "A2 05 00 02 00 01 't'", "62 02 00 03", "C0 00",
    };
    struct peer *p = alive_for(4, "a", 2);
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        advance(2999);
        expect_nothing(p);
        send_hex(p, packets[i]);
        read_all(p);
    }
    advance(3000);
    expect_closed(p);
}

SPEC("MQTT-3.1.2-22", "MQTT311-3.1.2-24")
TEST(what_the_broker_sends_is_no_sign_of_life_of_the_client)
{
    struct peer *p = connect5("p"), *a = alive_for(5, "a", 2);
    subscribe(a, "t", 0);
    for (int i = 0; i < 2; i++) {
        advance(1000);
        publish(p, "t", "x", 0);
        expect_publish(a, "t", "x");
    }
    advance(1000);
    expect_disconnect(a, 0x8D);
}

SPEC("MQTT-3.1.2-22", "MQTT311-3.1.2-24")
TEST(single_bytes_of_a_packet_that_never_ends_are_no_sign_of_life)
{
    struct peer *a = alive_for(5, "a", 2);
    send_hex(a, "30 10");
    for (int i = 0; i < 5; i++) {
        advance(500);
        send_hex(a, "00");
    }
    advance(500);
    expect_disconnect(a, 0x8D);
}

SPEC("MQTT-3.1.2-20", "MQTT311-3.1.2-23")
TEST(a_long_packet_on_a_slow_line_is_a_sign_of_life)
{
    struct peer *a = alive_for(5, "a", 2);
    const struct bytes packet = publish_bytes(
        a, &(struct c_publish){ .topic = "t", .payload = text_of('x', 8000), .qos = 1, .pid = 1 });
    for (size_t sent = 0; sent < packet.len; sent += 2048) {
        send_bytes(a, packet.at + sent, packet.len - sent < 2048 ? packet.len - sent : 2048);
        advance(2500);
    }
    CHECK(expect_packet(a, PK_PUBACK).reason < 0x80);
}

SPEC("MQTT-3.1.2-21", "MQTT-3.2.2-21")
TEST(the_server_keep_alive_is_told_and_is_the_one_that_counts)
{
    limits.keepalive_s = 10;
    struct peer *a = alive_for(5, "a", 60), *none = alive_for(5, "b", 0), *less = alive_for(5, "c", 6);
    CHECK_EQ(prop_number(connack_of(a), PROP_SERVER_KEEP_ALIVE), 10);
    CHECK_EQ(prop_number(connack_of(none), PROP_SERVER_KEEP_ALIVE), 10);
    CHECK(!has_prop(connack_of(less), PROP_SERVER_KEEP_ALIVE));
    advance(9000);
    expect_disconnect(less, 0x8D);
    advance(5999);
    expect_nothing(a);
    expect_nothing(none);
    advance(1);
    expect_disconnect(a, 0x8D);
    expect_disconnect(none, 0x8D);
}

SPEC("MQTT-3.2.2-22", "MQTT311-3.1.2-24")
TEST(a_3_1_1_client_cannot_be_told_so_its_own_keep_alive_counts)
{
    limits.keepalive_s = 10;
    struct peer *a = alive_for(4, "a", 60);
    advance(89999);
    expect_nothing(a);
    advance(1);
    expect_closed(a);
}

SPEC("MQTT-3.1.2-22", "MQTT311-3.1.2-24")
TEST(the_longest_keep_alive_is_kept_exactly)
{
    struct peer *a = alive_for(5, "a", 65535);
    advance(65535ull * 1500 - 1);
    expect_nothing(a);
    advance(1);
    expect_disconnect(a, 0x8D);
}

SPEC("MQTT-3.1.2-22")
TEST(a_client_that_neither_reads_nor_writes_is_closed_without_waiting_for_it_to_read)
{
    struct peer *a = alive_for(5, "a", 2);
    hold(a);
    advance(3000 + limits.linger_ms);
    expect_closed(a);
}
