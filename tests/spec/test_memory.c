/* test_memory.c - the memory limit: never passed, told to publishers, and no reason to stop serving. */
#include "morec.h"
#include "more.h"

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

/* One PUBLISH, and what became of it: the reason of its acknowledgement. One that arrives in pieces may be refused
 * before it is whole: then by DISCONNECT, and the client comes back. A pause is waited for. */
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

/* ---- refused -------------------------------------------------------------------------------------------- */

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
    CHECK_EQ(offer(&p, &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000), .qos = 2, .pid = 7 }),
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
        send_publish(q, &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000), .qos = qos, .pid = 1 });
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
    for (size_t len = 1; len < 2000; len += len / 3 + 1) { /* somewhere here some of the entries fit, but not all */
        const struct c_publish pub = { .topic = "b", .payload = text_of('y', len), .qos = 1, .pid = 1, .retain = true };
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

/* ---- PAUSE ---------------------------------------------------------------------------------------------- */

/* Publishes until p is paused. */
static void fill_until_paused(struct peer *p)
{
    for (unsigned n = 0; !is_paused(p); n++) {
        CHECK(n < 1000);
        send_publish(p, &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000), .qos = 1, .pid = 1 });
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
        send_publish(s, &(struct c_publish){ .topic = "a", .payload = text_of('x', 1000), .qos = 1, .pid = 1 });
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

/* ---- answers that are not read -------------------------------------------------------------------------- */

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
        CHECK_EQ(midge_pull(conn_of(p), two, sizeof two, now), 2);
    }
    CHECK(stats().memory_by_tag[MIDGE_TAG_CONTROL] < 1000);
}

/* ---- what is announced, what is unfinished -------------------------------------------------------------- */

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
    struct bytes big = publish_bytes(p, &(struct c_publish){ .topic = "a", .payload = text_of('x', 150000), .qos = 1, .pid = 1 });
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

/* ---- an allocator that says no -------------------------------------------------------------------------- */

static struct {
    const struct midge_memory *under;
    long countdown; /* allocations that still succeed; negative: all of them */
    bool once;      /* after one failure all is well again */
    bool said_no;
} scarce;

static bool refuse(void)
{
    if (scarce.countdown < 0)
        return false;
    if (scarce.countdown > 0) {
        scarce.countdown--;
        return false;
    }
    scarce.said_no = true;
    if (scarce.once)
        scarce.countdown = -1;
    return true;
}

static void *scarce_alloc(void *user, size_t n)
{
    (void)user;
    return refuse() ? NULL : scarce.under->alloc(scarce.under->user, n);
}

static void scarce_free(void *user, void *p, size_t n)
{
    (void)user;
    scarce.under->free(scarce.under->user, p, n);
}

static void *scarce_resize(void *user, void *p, size_t old, size_t n)
{
    (void)user;
    return n > old && refuse() ? NULL : scarce.under->resize(scarce.under->user, p, old, n);
}

static const struct midge_memory scarce_memory = { .alloc = scarce_alloc,
                                                   .free = scarce_free,
                                                   .resize = scarce_resize };

static void be_scarce(void)
{
    scarce.under = config.memory;
    scarce.countdown = -1;
    scarce.once = false;
    config.memory = &scarce_memory;
}

/* Sends `packet` as a client of this version to a broker that runs out of memory after 0, 1, 2.. allocations, until
 * there are enough. Each time the client is answered or cut off, everybody else is served, and nothing leaks. */
static void starve(uint8_t version, struct bytes (*packet)(struct peer *p))
{
    struct peer *s = connect_version(version, "watcher");
    subscribe(s, "a/#", 1);
    publish_retained(s, "r/1", "retained", 1);
    read_all(s);
    struct peer *warm = connect_version(version, "victim");
    leave(warm);
    size_t before = memory_used();
    for (long n = 0;; n++) {
        CHECK(n < 200);
        struct peer *p = connect_version(version, "victim");
        struct bytes b = packet(p);
        scarce.countdown = n;
        scarce.said_no = false;
        send_all(p, b);
        scarce.countdown = -1;
        settle();
        bool answered = unread(p) > 0;
        bool quiet = (b.at[0] & 0xF6) == 0x30; /* QoS 0 has no answer */
        CHECK(answered || is_closed(p) || quiet);
        read_all(p);
        if (is_closed(p))
            expect_closed(p);
        else
            leave(p);
        while (unread(s)) {
            struct packet got = expect_packet(s, PK_PUBLISH);
            if (got.qos)
                send_ack(s, PK_PUBACK, got.pid, 0);
        }
        send_ping(s);
        expect_packet(s, PK_PINGRESP);
        CHECK(memory_used() <= before + 400); /* tables may have grown */
        if (!scarce.said_no)
            break;
    }
    CHECK_EQ(stats().retained, 1);
    leave(s);
}

static struct bytes a_publish_0(struct peer *p)
{
    return publish_bytes(p, &(struct c_publish){ .topic = "a/b", .payload = text_of('x', 300) });
}

static struct bytes a_publish_1(struct peer *p)
{
    return publish_bytes(p, &(struct c_publish){ .topic = "a/b", .payload = text_of('x', 300), .qos = 1, .pid = 1 });
}

static struct bytes a_publish_2(struct peer *p)
{
    return publish_bytes(p, &(struct c_publish){ .topic = "a/b", .payload = text_of('x', 300), .qos = 2, .pid = 1 });
}

static struct bytes a_subscribe(struct peer *p)
{
    return hex_bytes(connack_of(p)->len > 4 ? "82 14 00 05 00 00 03 'r/+' 01 00 08 'a/b/c/d/' 02"
                                            : "82 13 00 05 00 03 'r/+' 01 00 08 'a/b/c/d/' 02");
}

static struct bytes a_ping(struct peer *p)
{
    (void)p;
    return hex_bytes("C0 00");
}

static struct bytes an_unsubscribe(struct peer *p)
{
    return hex_bytes(connack_of(p)->len > 4 ? "A2 08 00 05 00 00 03 'r/+'" : "A2 07 00 05 00 03 'r/+'");
}

static struct bytes a_pubrec(struct peer *p)
{
    (void)p;
    return hex_bytes("50 02 00 63");
}

SPEC("MQTT311-4.8.0-2", "MQTT-4.13.1-1")
TEST(want_of_memory_while_a_packet_is_handled_harms_nobody_else)
{
    struct bytes (*const packets[])(struct peer *) = { a_publish_0, a_publish_1, a_publish_2, a_subscribe,
                                                       an_unsubscribe, a_ping, a_pubrec };
    be_scarce();
    for (size_t i = 0; i < COUNT(packets); i++)
        for (uint8_t v = 4; v <= 5; v++)
            starve(v, packets[i]);
}

SPEC("MQTT311-4.8.0-2", "MQTT-3.1.4-2")
TEST(want_of_memory_at_connect_leaves_no_half_made_client)
{
    be_scarce();
    struct peer *s = connect5("watcher");
    subscribe(s, "#", 0);
    const struct c_will will = { .topic = "will", .payload = "x", .props = PROPS(prop_user("a", "b")) };
    const struct c_connect whole = { .version = 5,
                                     .client_id = "client",
                                     .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 100)),
                                     .will = &will,
                                     .username = "user",
                                     .password = "password" };
    size_t before = memory_used();
    for (long n = 0;; n++) {
        CHECK(n < 100);
        scarce.countdown = n;
        scarce.said_no = false;
        struct peer *p = try_dial(0);
        if (p)
            send_connect(p, &whole);
        scarce.countdown = -1;
        settle();
        if (p && !is_closed(p) && unread(p)) {
            expect_connack(p, 0);
            send_disconnect(p, 0, PROPS(prop_num(PROP_SESSION_EXPIRY, 0)));
        }
        if (p) {
            read_all(p);
            expect_closed(p);
        }
        /* Without memory for CONNACK the session is there, as after a network failure behind it: a whole one. */
        if (stats().sessions == 2)
            CHECK_EQ(midge_kick(broker, slice("client"), MIDGE_RC_ADMINISTRATIVE_ACTION, true, now), MIDGE_OK);
        else
            expect_nothing(s); /* no will of a client that never was */
        read_all(s);
        CHECK_EQ(stats().sessions, 1);
        CHECK_EQ(stats().connections, 1);
        CHECK(memory_used() <= before + 100);
        if (!scarce.said_no)
            break;
    }
}

/* ---- all of it at once ---------------------------------------------------------------------------------- */

/* Whatever has come is acknowledged, or not. */
static void read_some(struct peer *p, uint32_t *seed)
{
    while (!is_closed(p) && unread(p)) {
        struct packet pk = expect_packet(p, PK_ANY);
        if (roll(seed, 4) == 0)
            continue;
        if (pk.type == PK_PUBLISH && pk.qos)
            send_ack(p, pk.qos == 1 ? PK_PUBACK : PK_PUBREC, pk.pid, 0);
        else if (pk.type == PK_PUBREC && pk.reason < 0x80)
            send_ack(p, PK_PUBREL, pk.pid, 0);
        else if (pk.type == PK_PUBREL)
            send_ack(p, PK_PUBCOMP, pk.pid, 0);
    }
    read_all(p);
    if (is_closed(p))
        expect_closed(p);
}

static struct peer *come(uint32_t *seed, size_t i)
{
    const struct c_connect c = { .version = (uint8_t)(4 + i % 2),
                                 .client_id = format("c%zu", i),
                                 .clean_start = roll(seed, 4) == 0,
                                 .props = i % 2 ? PROPS(prop_num(PROP_SESSION_EXPIRY, 20),
                                                        prop_num(PROP_RECEIVE_MAXIMUM, 1 + roll(seed, 5)))
                                                : NO_PROPS };
    struct peer *p = try_dial(0);
    if (p)
        send_connect(p, &c);
    if (p && unread(p)) {
        struct packet got = expect_packet(p, PK_CONNACK);
        if (got.reason)
            expect_closed(p);
    }
    return p;
}

static void act(struct peer *p, uint32_t *seed)
{
    static uint16_t pid;
    const char *topic = format("t/%u", roll(seed, 5));
    pid = (uint16_t)(pid % 60000 + 1);
    switch (roll(seed, 8)) {
    case 0:
        send_subscribe(p, &(struct c_subscribe){
                              .pid = pid, FILTERS({ roll(seed, 3) ? topic : "t/#", (uint8_t)roll(seed, 3) }) });
        break;
    case 1:
        send_unsubscribe(p, &(struct c_subscribe){ .pid = pid, FILTERS({ topic, 0 }) });
        break;
    case 2:
        send_ping(p);
        break;
    case 3:
        send_subscribe(p, &(struct c_subscribe){
                              .pid = pid, FILTERS({ format("$share/g%u/t/+", roll(seed, 2)), (uint8_t)roll(seed, 3) }) });
        break;
    default: {
        uint8_t qos = (uint8_t)roll(seed, 3);
        send_publish(p, &(struct c_publish){ .topic = topic,
                                             .payload = text_of('x', roll(seed, 1500)),
                                             .qos = qos,
                                             .pid = pid,
                                             .retain = roll(seed, 10) == 0 });
    }
    }
}

/* The harness looks at the limit and at the books after every step of this. */
static void storm(uint32_t seed, unsigned steps)
{
    enum { N = 12 };
    struct peer *p[N] = { NULL };
    for (unsigned step = 0; step < steps; step++) {
        size_t i = roll(&seed, N);
        if (!p[i] || !conn_of(p[i])) {
            if (p[i])
                read_some(p[i], &seed);
            p[i] = come(&seed, i);
            continue;
        }
        switch (roll(&seed, 12)) {
        case 0:
            read_all(p[i]);
            drop(p[i]);
            break;
        case 1:
            hold(p[i]);
            break;
        case 2:
            resume(p[i]);
            break;
        case 3:
            advance(roll(&seed, 3000));
            break;
        default:
            act(p[i], &seed);
        }
        for (size_t k = 0; k < N; k++)
            if (p[k])
                read_some(p[k], &seed);
    }
    for (size_t i = 0; i < N; i++) {
        if (!p[i])
            continue;
        if (conn_of(p[i]))
            resume(p[i]);
        read_some(p[i], &seed);
        drop(p[i]);
    }
    advance(100 * 1000);
    for (size_t i = 0; i < N; i++)
        if (p[i])
            read_some(p[i], &seed);
    CHECK(stats().memory_peak <= limits.memory_bytes);
}

SPEC("U5-3.3.4-0x97", "MQTT-4.1.0-2")
TEST(the_limit_holds_and_the_books_close_in_a_storm)
{
    limits.memory_bytes = 60000;
    limits.reserve_bytes = 10000;
    limits.queue_msgs = 20;
    limits.inflight = 5;
    limits.pause_ms = 1000;
    storm(1, 4000);
}

SPEC("U5-3.3.4-0x97", "MQTT-4.1.0-2")
TEST(the_limit_holds_in_a_storm_that_drops_what_is_old)
{
    limits.memory_bytes = 60000;
    limits.reserve_bytes = 10000;
    limits.queue_msgs = 10;
    limits.queue_bytes = 4000;
    limits.queue_policy = MIDGE_QUEUE_DROP_OLD;
    storm(2, 4000);
}

SPEC("U5-3.3.4-0x97", "MQTT-4.1.0-2")
TEST(the_limit_holds_in_a_storm_that_ends_sessions)
{
    limits.memory_bytes = 60000;
    limits.reserve_bytes = 10000;
    limits.queue_msgs = 10;
    limits.queue_policy = MIDGE_QUEUE_END_SESSION;
    storm(3, 4000);
}

SPEC("U5-3.3.4-0x97", "MQTT-4.1.0-2")
TEST(the_limit_holds_in_a_storm_that_refuses)
{
    limits.memory_bytes = 40000;
    limits.reserve_bytes = 8000;
    limits.queue_msgs = 10;
    limits.queue_policy = MIDGE_QUEUE_REFUSE;
    storm(4, 4000);
}

SPEC("MQTT311-4.8.0-2", "MQTT-4.1.0-2")
TEST(a_storm_with_an_allocator_that_sometimes_fails)
{
    be_scarce();
    scarce.once = true;
    limits.queue_msgs = 20;
    start();
    for (uint32_t seed = 10; seed < 30; seed++) {
        scarce.countdown = (long)(seed * 37 % 1000); /* one failure some way into it */
        storm(seed, 300);
        scarce.countdown = -1;
    }
}
