/* test_memory.c - the memory limit: never passed, told to publishers, and no reason to stop serving. */
#include "more.h"
#include "morec.h"

enum { LIMIT = 100000, RESERVE = 20000 };

static void set_limit(void)
{
    limits.memory_bytes = LIMIT;
    limits.reserve_bytes = RESERVE;
    limits.pause_ms = 5000;
}

static struct peer *away_subscriber(uint8_t version)
{
    struct peer *s = version == 5 ? stay5("s") : stay311("s");
    subscribe(s, "a", 2);
    drop(s);
    return s;
}

/* One PUBLISH, and what became of it: the reason of its acknowledgement. One that arrives in pieces may be
 * refused before it is whole: then by DISCONNECT, and the client comes back. A pause is waited for. */
static uint8_t offer(struct peer **p, const struct c_publish *pub)
{
    send_publish(*p, pub);
    if (is_paused(*p))
        advance(limits.pause_ms);
    struct packet got = expect_packet(*p, PK_ANY);
    if (got.type != PK_DISCONNECT) {
        CHECK_EQ(got.type, pub->qos == 1 ? PK_PUBACK : PK_PUBREC);
        return got.reason;
    }
    CHECK_EQ(got.reason, MIDGE_RC_QUOTA_EXCEEDED);
    expect_closed(*p);
    *p = connect5("p");
    return got.reason;
}

/* QoS 1 of a kilobyte each until one is refused; returns how many were taken. */
static unsigned fill(struct peer **p)
{
    const struct c_publish pub = { .topic = "a", .payload = text_of('x', 1000), .qos = 1, .pid = 1 };
    for (unsigned n = 0; n < 1000; n++) {
        uint8_t reason = offer(p, &pub);
        if (reason == MIDGE_RC_QUOTA_EXCEEDED)
            return n;
        CHECK_EQ(reason, 0);
    }
    fail_at(HERE, "the memory limit does not hold");
}

/* ---- refused --------------------------------------------------------------------------------------- */

SPEC("U5-3.3.4-0x97")
TEST(at_the_memory_limit_publishers_are_refused_and_what_was_taken_is_delivered)
{
    set_limit();
    count_events();
    away_subscriber(5);
    struct peer *p = connect5("p");
    unsigned n = fill(&p);
    CHECK(n > 50 && n < (LIMIT - RESERVE) / 1000);
    CHECK(stats().memory_peak <= LIMIT - RESERVE + 4000); /* messages stay out of the reserve */
    CHECK_EQ(events.low_memory, 1);
    CHECK(stats().publish_refused >= 1);
    CHECK_EQ(
        offer(&p, &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000), .qos = 2, .pid = 7 }),
        MIDGE_RC_QUOTA_EXCEEDED);
    CHECK_EQ(events.low_memory, 1); /* told once */

    struct peer *s = stay5("s");
    for (unsigned i = 0; i < n; i++)
        take_publish(s, "a", text_of('x', 1000), 1);
    expect_nothing(s);
    CHECK_EQ(books_of("s", 1).acknowledged, n);
    drop(s);
    CHECK(fill(&p) >= n - 2); /* all of it can be used again */
    CHECK_EQ(events.low_memory, 2);
}

SPEC("MQTT311-4.8.0-2", "U5-3.3.4-0x97")
TEST(a_3_1_1_publisher_is_cut_off_at_the_memory_limit)
{
    set_limit();
    away_subscriber(4);
    struct peer *p = connect5("p");
    fill(&p);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct peer *q = connect311("q");
        send_publish(
            q, &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000), .qos = qos, .pid = 1 });
        expect_closed(q);
    }
    struct peer *q = connect311("q"); /* QoS 0 may be lost */
    send_publish(q, &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000) });
    if (is_closed(q)) /* it came in pieces: nobody can tell yet that it may be dropped */
        expect_closed(q);
    else
        expect_nothing(q);
}

SPEC("U5-3.3.4-0x97", "MQTT-4.5.0-1")
TEST(a_refused_message_reaches_nobody_and_is_not_retained)
{
    set_limit();
    away_subscriber(5);
    struct peer *p = connect5("p");
    struct peer *here[20];
    for (size_t i = 0; i < 20; i++) {
        here[i] = connect5(format("here%zu", i));
        subscribe(here[i], "b", 1);
    }
    fill(&p);
    for (size_t len = 1; len < 2000;
         len += len / 3 + 1) { /* somewhere here some of the entries fit, but not all */
        const struct c_publish pub = {
            .topic = "b", .payload = text_of('y', len), .qos = 1, .pid = 1, .retain = true
        };
        bool taken = offer(&p, &pub) == 0;
        for (size_t i = 0; i < 20; i++) {
            if (taken)
                take_publish(here[i], "b", text_of('y', len), 1);
            expect_nothing(here[i]);
        }
        CHECK(taken || stats().retained <= 1);
    }
    struct peer *late = connect5("late");
    CHECK(stats().memory_used <= LIMIT);
    leave(late);
}

SPEC("MQTT-3.12.4-1", "MQTT-4.1.0-1", "MQTT311-4.1.0-2", "MQTT-3.1.2-5", "MQTT-3.10.4-4", "MQTT-3.8.4-1")
TEST(a_full_broker_goes_on_answering)
{
    set_limit();
    struct peer *quiet = connect311("quiet");
    subscribe(quiet, "q", 1);
    away_subscriber(5);
    struct peer *p = connect5("p");
    fill(&p);
    for (size_t len = 900; len > 0; len = len * 3 / 4) { /* and now the last gap */
        const struct c_publish pub = { .topic = "a", .payload = text_of('x', len), .qos = 1, .pid = 1 };
        offer(&p, &pub);
    }
    send_ping(quiet);
    expect_packet(quiet, PK_PINGRESP);
    unsubscribe(quiet, "q");
    send_subscribe(quiet, &(struct c_subscribe){ .pid = 3, FILTERS({ "w", 1 }) });
    expect_packet(quiet, PK_SUBACK); /* granted or not: answered */
    leave(quiet);

    struct peer *other = connect5("other"); /* somebody new */
    send_ping(other);
    expect_packet(other, PK_PINGRESP);
    leave(other);
    struct peer *s = stay5("s"); /* and the one whose messages fill the memory */
    CHECK(connack_of(s)->session_present);
    while (unread(s)) {
        struct packet got = expect_packet(s, PK_PUBLISH);
        send_ack(s, PK_PUBACK, got.pid, 0);
    }
    expect_nothing(s);
}

/* ---- PAUSE ----------------------------------------------------------------------------------------- */

/* Publishes until p is paused. */
static void fill_until_paused(struct peer *p)
{
    for (unsigned n = 0; !is_paused(p); n++) {
        CHECK(n < 1000);
        send_publish(p,
                     &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000), .qos = 1, .pid = 1 });
        expect_ack(p, PK_PUBACK, 1, 0); /* what was read is taken */
    }
}

SPEC("U5-3.3.4-0x97")
TEST(a_publisher_is_paused_before_it_is_refused_and_goes_on_when_there_is_room)
{
    set_limit();
    away_subscriber(5);
    struct peer *p = connect5("p");
    fill_until_paused(p);
    CHECK_EQ(stats().publish_refused, 0);
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "waits", .qos = 1, .pid = 2 });
    advance(2000);
    CHECK(is_paused(p));
    expect_nothing(p);
    struct peer *s = stay5("s");
    while (unread(s))
        send_ack(s, PK_PUBACK, expect_packet(s, PK_PUBLISH).pid, 0);
    expect_ack(p, PK_PUBACK, 2, 0);
    CHECK(!is_paused(p));
    CHECK_EQ(stats().publish_refused, 0);
}

SPEC("U5-3.3.4-0x97")
TEST(a_pause_ends_by_itself_and_then_publishers_are_refused)
{
    set_limit();
    away_subscriber(5);
    struct peer *p = connect5("p");
    fill_until_paused(p);
    midge_ms due = midge_deadline(broker);
    CHECK(due > now && due <= now + 5000); /* the host knows when to come back */
    advance(4999);
    CHECK(is_paused(p));
    advance(1);
    CHECK(!is_paused(p));
    fill(&p); /* up to the refusal, without another pause */
    CHECK(!is_paused(p));
}

SPEC("U5-3.3.4-0x97")
TEST(a_pause_of_no_length_is_none)
{
    set_limit();
    limits.pause_ms = 0;
    away_subscriber(5);
    struct peer *p = connect5("p");
    CHECK(fill(&p) > 50);
    send_ping(p);
    expect_packet(p, PK_PINGRESP);
}

SPEC("MQTT-3.1.2-22", "MQTT311-3.1.2-24")
TEST(the_keep_alive_of_a_paused_publisher_stands_still)
{
    set_limit();
    limits.pause_ms = 60000;
    away_subscriber(5);
    struct peer *p = connect_as(
        &(struct c_connect){ .version = 5, .client_id = "p", .clean_start = true, .keepalive = 4 });
    fill_until_paused(p);
    advance(50000);
    CHECK(is_paused(p) && !is_closed(p));
    advance(10000); /* the pause is over: from here on it counts */
    CHECK(!is_paused(p) && !is_closed(p));
    advance(5000);
    CHECK(!is_closed(p));
    advance(1500);
    expect_disconnect(p, MIDGE_RC_KEEP_ALIVE_TIMEOUT);
}

SPEC("MQTT-3.3.4-10", "U5-3.3.4-0x97")
TEST(a_client_with_deliveries_in_flight_is_not_paused)
{
    set_limit();
    struct peer *s = stay5("s");
    subscribe(s, "a", 1);
    unsigned taken = 0;
    for (;;) { /* it publishes to itself, and acknowledges nothing */
        send_publish(s,
                     &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000), .qos = 1, .pid = 1 });
        CHECK(!is_paused(s));
        bool refused = false;
        while (unread(s)) {
            struct packet pk = expect_packet(s, PK_ANY);
            refused = refused || (pk.type != PK_PUBLISH && pk.reason == MIDGE_RC_QUOTA_EXCEEDED);
        }
        if (is_closed(s)) { /* it came in pieces */
            expect_closed(s);
            s = stay5("s");
            read_all(s);
        }
        if (refused)
            break;
        CHECK(++taken < 1000);
    }
    for (uint16_t i = 1; i <= taken; i++) {
        send_ack(s, PK_PUBACK, i, 0);
        read_all(s);
    }
    publish(s, "b", "x", 1);
}

SPEC("MQTT-3.12.4-1")
TEST(only_publishers_are_paused)
{
    set_limit();
    away_subscriber(5);
    struct peer *p = connect5("p");
    struct peer *q = connect5("q");
    fill_until_paused(p);
    send_ping(q);
    expect_packet(q, PK_PINGRESP);
    CHECK(!is_paused(q));
    struct peer *r = connect311("r");
    CHECK(!is_paused(r));
    leave(r);
}

/* ---- answers that are not read --------------------------------------------------------------------- */

SPEC("U5-3.1.4-limit", "MQTT-3.12.4-1")
TEST(who_does_not_read_its_answers_is_not_read_any_more)
{
    limits.control_bytes = 200;
    struct peer *p = connect5("p");
    hold(p);
    for (int i = 0; i < 1000; i++)
        send_ping(p);
    CHECK(is_paused(p));
    CHECK(stats().memory_by_tag[MIDGE_TAG_CONTROL] < 1000);
    resume(p);
    CHECK(!is_paused(p));
    for (int i = 0; i < 1000; i++)
        expect_packet(p, PK_PINGRESP);
}

SPEC("U5-3.1.4-limit")
TEST(answers_to_who_always_leaves_some_do_not_pile_up)
{
    limits.control_bytes = 200;
    struct peer *p = connect5("p");
    hold(p);
    send_ping(p);
    for (int i = 0; i < 5000; i++) {
        uint8_t two[2];
        send_ping(p);
        CHECK_EQ(midge_pull(live_conn(p), two, sizeof two, now), 2);
    }
    CHECK(stats().memory_by_tag[MIDGE_TAG_CONTROL] < 1000);
}

/* ---- what is announced, what is unfinished --------------------------------------------------------- */

SPEC("MQTT-3.2.2-15", "U5-3.1.4-limit")
TEST(a_length_that_is_announced_and_not_sent_pins_nothing)
{
    struct peer *p = connect5("p");
    size_t before = memory_used();
    send_hex(p, "30 FF FF FF 7F 00 01 'a' 00 'some of it'");
    CHECK(memory_used() < before + 200);
    drop(p);
    p = dial();
    before = memory_used();
    send_hex(p, "10 80 80 02 00 04 'MQTT' 05 02 00 00 00 00 01 'x'");
    CHECK(memory_used() < before + 200);
}

SPEC("U5-3.1.4-limit", "MQTT311-4.8.0-2")
TEST(a_publish_that_grows_past_the_memory_limit_ends_its_connection_only)
{
    set_limit();
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "b", 0);
    struct bytes big = publish_bytes(
        p, &(struct c_publish){ .topic = "a", .payload = text_of('x', 150000), .qos = 1, .pid = 1 });
    for (size_t at = 0; at < big.len && !is_closed(p); at += 1000)
        send_bytes(p, big.at + at, big.len - at < 1000 ? big.len - at : 1000);
    expect_disconnect(p, MIDGE_RC_QUOTA_EXCEEDED);
    p = connect5("p");
    publish(p, "b", "small", 0);
    expect_publish(s, "b", "small");
}

SPEC("U5-3.1.4-limit")
TEST(connects_that_are_not_finished_are_bounded_together)
{
    limits.hello_bytes = 1000;
    limits.connect_bytes = 20000;
    limits.connect_pool_bytes = 30000;
    struct peer *good = connect5("good");
    size_t before = memory_used();
    struct peer *p[40];
    const struct bytes half = join(hex_bytes("10 B8 94 01 00 04 'MQTT' 05 02 00 00 00 3A 98"),
                                   (struct bytes){ (uint8_t *)text_of('x', 10000), 10000 });
    for (size_t i = 0; i < COUNT(p); i++) {
        p[i] = dial();
        for (size_t at = 0; at < half.len && !is_closed(p[i]); at += 500)
            send_bytes(p[i], half.at + at, half.len - at < 500 ? half.len - at : 500);
        CHECK(memory_used() < before + COUNT(p) * 2000 + 30000);
    }
    unsigned open = 0;
    for (size_t i = 0; i < COUNT(p); i++) {
        open += !is_closed(p[i]);
        if (is_closed(p[i]))
            expect_closed(p[i]);
    }
    CHECK(open >= 1 && open < COUNT(p));
    struct peer *q = connect5("q"); /* a small one is always served */
    send_ping(q);
    expect_packet(q, PK_PINGRESP);
    send_ping(good);
    expect_packet(good, PK_PINGRESP);
    advance(limits.hello_ms);
    for (size_t i = 0; i < COUNT(p); i++)
        if (conn_of(p[i]) || is_closed(p[i]))
            expect_closed(p[i]);
}
