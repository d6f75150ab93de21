/* test_time.c - years: what is counted in 32-bit milliseconds inside is exact all the same, and a clock may jump. */
#include "more.h"
#include "morec.h"

#define CONNECT(...) (&(struct c_connect){ __VA_ARGS__ })
#define WILL(...) .will = &(struct c_will){ __VA_ARGS__ }
#define YEAR_S (365u * 86400u + 86400u / 4)
#define YEARS(n) ((midge_ms)(n) * YEAR_S * 1000u)

SPEC("MQTT-3.1.2-22")
TEST(a_hundred_years_of_pings_and_then_one_and_a_half_keep_alives_of_silence)
{
    struct peer *p = connect_as(&(struct c_connect){ .client_id = "p", .clean_start = true, .keepalive = 65535 });
    const midge_ms end = now + YEARS(100);
    while (now < end) {
        advance(65535000);
        send_ping(p);
        expect_packet(p, PK_PINGRESP);
    }
    advance(98302499);
    expect_nothing(p);
    advance(1);
    expect_disconnect(p, MIDGE_RC_KEEP_ALIVE_TIMEOUT);
}

SPEC("MQTT-3.1.2-22", "MQTT311-3.1.2-24")
TEST(a_keep_alive_is_exact_wherever_on_the_clock_it_falls)
{
    static const midge_ms starts[] = { 0, 0x7FFFFFFF - 7000, 0xFFFFFFFF - 7000, 0xFFFFFFFF, 0x1FFFFFFFF - 14999,
                                       YEARS(100) };
    start();
    for (unsigned i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        advance(starts[i] > now - 1000000 ? starts[i] - (now - 1000000) : 0); /* of the broker's own clock */
        struct peer *p = connect_as(&(struct c_connect){
            .version = 4, .client_id = format("p%u", i), .clean_start = true, .keepalive = 10 });
        advance(14999);
        expect_nothing(p);
        advance(1);
        expect_closed(p);
    }
}

SPEC("MQTT-3.1.2-23", "MQTT-3.1.3-9", "MQTT-3.3.2-6")
TEST(expiries_and_delays_of_decades_are_exact_to_the_millisecond)
{
    const uint32_t session_s = 3000000000u, message_s = 2000000000u, delay_s = 1000000000u;
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "will", 0);
    struct peer *p = connect_as(CONNECT(.client_id = "p",
                                        .props = PROPS(prop_num(PROP_SESSION_EXPIRY, session_s)),
                                        WILL(.topic = "will", .props = PROPS(prop_num(PROP_WILL_DELAY, delay_s)))));
    subscribe(p, "t", 1);
    drop(p);
    struct peer *writer = connect5("writer");
    send_publish(writer, &(struct c_publish){ .topic = "t", .payload = "x", .qos = 1, .pid = 1, .retain = true,
                                              .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, message_s)) });
    expect_ack(writer, PK_PUBACK, 1, 0);

    advance((midge_ms)delay_s * 1000 - 1);
    expect_nothing(watcher);
    advance(1);
    expect_publish(watcher, "will", "");
    advance(((midge_ms)message_s - delay_s) * 1000 - 1000);
    subscribe(watcher, "t", 0);
    const struct packet last = expect_packet(watcher, PK_PUBLISH);
    CHECK_EQ(prop_number(&last, PROP_MESSAGE_EXPIRY), 1);
    unsubscribe(watcher, "t");
    advance(1000);
    subscribe(watcher, "t", 0);
    expect_nothing(watcher);
    advance(((midge_ms)session_s - message_s) * 1000 - 1);
    CHECK_EQ(stats().sessions, 3);
    CHECK_EQ(books_of("p", 1).expired + books_of("p", 1).queued, 1);
    advance(1);
    CHECK_EQ(stats().sessions, 2);
}

SPEC("MQTT-3.1.2-22")
TEST(a_clock_that_steps_back_years_counts_as_no_time)
{
    struct peer *p = connect_as(&(struct c_connect){
        .version = 4, .client_id = "p", .clean_start = true, .keepalive = 10 });
    now = YEARS(50);
    midge_tick(broker, now);
    settle();
    expect_closed(p); /* forwards it is time like any other */

    p = connect_as(&(struct c_connect){ .version = 4, .client_id = "p", .clean_start = true, .keepalive = 10 });
    advance(5000);
    now -= YEARS(30);
    send_ping(p);
    expect_packet(p, PK_PINGRESP);
    advance(14999);
    expect_nothing(p);
    advance(1);
    expect_closed(p);
}

SPEC("MQTT-3.1.2-22")
TEST(a_jump_of_years_does_all_that_was_due_once)
{
    count_events();
    struct peer *watcher = connect311("watcher");
    subscribe(watcher, "will", 1);
    for (unsigned i = 0; i < 20; i++) {
        struct peer *p = connect_as(CONNECT(
            .client_id = format("p%u", i), .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 1000 * i + 1)),
            WILL(.topic = "will", .qos = 1, .props = PROPS(prop_num(PROP_WILL_DELAY, 100 * i)))));
        drop(p);
    }
    read_all(watcher);
    const uint64_t before = books_of("watcher", 1).enqueued;
    now += YEARS(100);
    midge_tick(broker, now);
    settle();
    CHECK_EQ(stats().sessions, 1);
    CHECK_EQ(books_of("watcher", 1).enqueued, 20); /* one will was not to wait */
    CHECK_EQ(before, 1);
    read_all(watcher);
    CHECK(midge_deadline(broker) == MIDGE_NEVER || midge_deadline(broker) > now);
}
