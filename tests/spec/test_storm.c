/* test_storm.c - allocations that fail, and everything at once: nothing leaks, books close. */
#include "more.h"
#include "morec.h"

/* ---- an allocator that says no --------------------------------------------------------------------- */

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

/* Sends `packet` as a client of this version to a broker that runs out of memory after 0, 1, 2.. allocations,
 * until there are enough. Each time the client is answered or cut off, everybody else is served, and nothing
 * leaks. */
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
    return publish_bytes(
        p, &(struct c_publish){ .topic = "a/b", .payload = text_of('x', 300), .qos = 1, .pid = 1 });
}

static struct bytes a_publish_2(struct peer *p)
{
    return publish_bytes(
        p, &(struct c_publish){ .topic = "a/b", .payload = text_of('x', 300), .qos = 2, .pid = 1 });
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
    struct bytes (*const packets[])(struct peer *) = { a_publish_0,    a_publish_1, a_publish_2, a_subscribe,
                                                       an_unsubscribe, a_ping,      a_pubrec };
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
        /* Without memory for CONNACK there is a session, as after a network failure behind it. */
        if (stats().sessions == 2)
            CHECK_EQ(midge_kick(broker, slice("client"), MIDGE_RC_ADMINISTRATIVE_ACTION, true, now),
                     MIDGE_OK);
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

/* ---- all of it at once ----------------------------------------------------------------------------- */

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
        send_subscribe(
            p, &(struct c_subscribe){ .pid = pid,
                                      FILTERS({ roll(seed, 3) ? topic : "t/#", (uint8_t)roll(seed, 3) }) });
        break;
    case 1:
        send_unsubscribe(p, &(struct c_subscribe){ .pid = pid, FILTERS({ topic, 0 }) });
        break;
    case 2:
        send_ping(p);
        break;
    case 3:
        send_subscribe(p, &(struct c_subscribe){
                              .pid = pid,
                              FILTERS({ format("$share/g%u/t/+", roll(seed, 2)), (uint8_t)roll(seed, 3) }) });
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
