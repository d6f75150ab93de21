/* test_bridge.c - bridges between brokers in memory: what is carried, what is lost (nothing), what goes round (nothing).
 */
#include "midge/midge_bridge.h"
#include "support.h"

#define SPEC(...)

#include <stdio.h>

/* ---- the rig: brokers, bridges between them, and a diary of what subscribers got ----------------------- */

#define BROKERS 3
#define BRIDGES 6

struct rig;

/* One bridge from broker `home` to broker `away`, over a transport that is two pairs of functions. */
struct link {
    struct rig *r;
    struct midge_bridge_options o;
    struct midge_bridge *b;
    struct midge_conn *conn; /* at `away`; NULL = no transport */
    int home, away;
    bool cut; /* there is no way */
    char last[64];
};

struct rig {
    struct midge *m[BROKERS];
    struct midge_local *l[BROKERS];
    struct midge_limits limits;
    struct link link[BRIDGES];
    int links;
    midge_ms now;
    bool bare; /* no properties in the diary */
    char diary[BROKERS][4096];
    unsigned got[BROKERS];
};

static const char *const node_names[BROKERS] = { "A", "B", "C" };

static void note(char *diary, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(char *diary, const char *format, ...)
{
    size_t len = strlen(diary);
    va_list args;
    va_start(args, format);
    vsnprintf(diary + len, 4096 - len, format, args);
    va_end(args);
}

static struct rig *the_rig; /* of the running test: subscribers find their diary by number */

static void on_message(void *user, const struct midge_message *m)
{
    int i = (int)(intptr_t)user;
    char *diary = the_rig->diary[i];
    struct midge_property p;
    uint32_t at = 0;
    the_rig->got[i]++;
    note(diary, "%.*s q%d%s '%.*s'", (int)m->topic.len, (const char *)m->topic.data, m->qos,
         m->retain ? " retained" : "", (int)m->payload.len, (const char *)m->payload.data);
    if (m->has_expiry)
        note(diary, " expiry=%u", m->expiry_s);
    while (!the_rig->bare && midge_message_property(m, &at, &p)) {
        if (p.id == 0x26)
            note(diary, " %.*s=%.*s", (int)p.name.len, (const char *)p.name.data, (int)p.value.len,
                 (const char *)p.value.data);
        else if (p.id == 0x03)
            note(diary, " type=%.*s", (int)p.value.len, (const char *)p.value.data);
    }
    note(diary, "; ");
}

static void on_bridge(void *user, const struct midge_bridge_event *e)
{
    struct link *k = user;
    static const char *const names[] = { "up", "down", "failed", "no grant", "refused" };
    snprintf(k->last, sizeof k->last, "%s %02X", names[e->kind], e->reason);
}

static void start_broker(struct rig *r, int i)
{
    const struct midge_config config = { .memory = &midge_memory_libc, .limits = &r->limits };
    r->m[i] = midge_new(&config, r->now);
    assert_non_null(r->m[i]);
    enum midge_err err;
    r->l[i] = midge_local_open(r->m[i], &(struct midge_local_config){ .client_id = midge_slice_str("app") }, r->now, &err);
    assert_non_null(r->l[i]);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->now = 1000000;
    r->limits = midge_limits_gateway;
    for (int i = 0; i < BROKERS; i++)
        start_broker(r, i);
    *state = the_rig = r;
    return 0;
}

static void hang_up(struct link *k, const char *why)
{
    if (k->conn)
        midge_lost(k->conn, k->r->now);
    k->conn = NULL;
    midge_bridge_lost(k->b, why, k->r->now);
}

static int teardown(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < r->links; i++) {
        hang_up(&r->link[i], NULL);
        midge_bridge_free(r->link[i].b, false, r->now);
    }
    for (int i = 0; i < BROKERS; i++)
        midge_free(r->m[i]);
    free(r);
    return 0;
}

/* A bridge with everything on it but the maps. */
static struct link *new_link(struct rig *r, int home, int away, const struct midge_bridge_map *maps, size_t count)
{
    static const char *const names[BRIDGES] = { "one", "two", "three", "four", "five", "six" };
    struct link *k = &r->link[r->links];
    k->r = r;
    k->home = home;
    k->away = away;
    k->o = (struct midge_bridge_options){ .name = names[r->links],
                                          .node = node_names[home],
                                          .maps = maps,
                                          .map_count = count,
                                          .addresses = &node_names[away],
                                          .address_count = 1,
                                          .memory = &midge_memory_libc,
                                          .no_notifications = true,
                                          .user = k,
                                          .event = on_bridge };
    r->links++;
    return k;
}

static void start(struct link *k)
{
    const char *why;
    k->b = midge_bridge_new(&k->o, k->r->m[k->home], k->r->now, &why);
    if (!k->b)
        fail_msg("%s", why);
}

/* Bytes one way and the other. True: there were some. */
static bool shuttle(struct link *k)
{
    uint8_t bytes[512];
    size_t n;
    bool any = false;
    midge_bridge_turn(k->b, k->r->now);
    if (midge_bridge_dial(k->b, k->r->now) >= 0) {
        any = true;
        k->conn = k->cut ? NULL : midge_accept(k->r->m[k->away], &(struct midge_peer){ 0 }, k->r->now);
        if (k->conn)
            midge_bridge_connected(k->b, k->r->now);
        else
            midge_bridge_lost(k->b, "cut", k->r->now);
    }
    while (k->conn && (n = midge_bridge_pull(k->b, bytes, sizeof bytes, k->r->now)))
        midge_recv(k->conn, bytes, n, k->r->now), any = true;
    while (k->conn && (n = midge_pull(k->conn, bytes, sizeof bytes, k->r->now)))
        midge_bridge_recv(k->b, bytes, n, k->r->now), any = true;
    if (k->conn && ((midge_bridge_status(k->b) | midge_status(k->conn)) & MIDGE_STATUS_CLOSE)) {
        hang_up(k, NULL);
        any = true;
    }
    return any;
}

/* Until nothing moves. */
static void run(struct rig *r)
{
    bool any = true;
    for (int turns = 0; any; turns++) {
        assert_true(turns < 5000); /* or something goes round */
        any = false;
        for (int i = 0; i < r->links; i++)
            any |= shuttle(&r->link[i]);
        for (int i = 0; i < BROKERS; i++)
            midge_tick(r->m[i], r->now);
    }
}

static void wait_ms(struct rig *r, midge_ms ms)
{
    r->now += ms;
    run(r);
}

static void subscribe(struct rig *r, int i, const char *filter)
{
    const struct midge_subscription s = {
        .filter = midge_slice_str(filter), .qos = 2, .on_message = on_message, .user = (void *)(intptr_t)i
    };
    assert_int_equal(midge_local_subscribe(r->l[i], &s, r->now), MIDGE_OK);
}

static void say(struct rig *r, int i, const char *topic, uint8_t qos, const char *payload)
{
    const struct midge_publication p = { .topic = midge_slice_str(topic), .payload = midge_slice_str(payload), .qos = qos };
    assert_int_equal(midge_publish(r->m[i], NULL, &p, r->now), MIDGE_OK);
}

static void cut(struct link *k)
{
    k->cut = true;
    if (k->conn)
        hang_up(k, "cut");
}

#define FROM_B " midge-via=B midge-via=+A"
#define A 0
#define B 1
#define C 2
#define MAPS(name, ...)                                                                                                \
    static const struct midge_bridge_map name[] = { __VA_ARGS__ };                                                     \
    const size_t name##_count = sizeof name / sizeof name[0]

static const uint8_t versions[] = { 4, 5 };

/* ---- maps ---------------------------------------------------------------------------------------------- */

static void topics_change_their_prefixes_both_ways(void **state)
{
    struct rig *r = *state;
    MAPS(maps,
         { .pattern = "up/#", .local_prefix = "L/", .remote_prefix = "R/", .direction = MIDGE_BRIDGE_OUT, .qos = 1 },
         { .pattern = "down/+", .local_prefix = "L/", .remote_prefix = "R/", .direction = MIDGE_BRIDGE_IN, .qos = 2 },
         { .pattern = "", .local_prefix = "here", .remote_prefix = "there", .direction = MIDGE_BRIDGE_BOTH });
    struct link *k = new_link(r, A, B, maps, maps_count);
    start(k);
    run(r);
    assert_string_equal(k->last, "up 00");
    subscribe(r, A, "L/down/+");
    subscribe(r, A, "here");
    subscribe(r, B, "#");
    say(r, A, "L/up/x/y", 2, "1");
    say(r, A, "L/down/x", 2, "not out");
    say(r, A, "here", 1, "2");
    run(r);
    assert_string_equal(r->diary[B], "R/up/x/y q1 '1' midge-via=A; there q0 '2' midge-via=A; ");
    say(r, B, "R/down/t", 2, "3");
    say(r, B, "there", 2, "4");
    say(r, B, "R/up/x", 2, "not in");
    run(r);
    assert_string_equal(r->diary[A], "L/down/x q2 'not out'; here q1 '2'; L/down/t q2 '3'" FROM_B "; here q0 '4'" FROM_B "; ");
}

static void messages_keep_what_5_0_gives_them(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 2 });
    start(new_link(r, A, B, maps, maps_count));
    subscribe(r, B, "t");
    run(r);
    const struct midge_user_property own[] = { { midge_slice_str("k"), midge_slice_str("v") }, { midge_slice_str("k"), midge_slice_str("w") } };
    const struct midge_publication p = { .topic = midge_slice_str("t"),
                                         .payload = midge_slice_str("x"),
                                         .qos = 2,
                                         .retain = true,
                                         .has_expiry = true,
                                         .expiry_s = 60,
                                         .content_type = midge_slice_str("text"),
                                         .user_properties = own,
                                         .user_property_count = 2 };
    assert_int_equal(midge_publish(r->m[A], NULL, &p, r->now), MIDGE_OK);
    run(r);
    assert_string_equal(r->diary[B], "t q2 'x' expiry=60 type=text k=v k=w midge-via=A; ");
    r->diary[B][0] = '\0';
    subscribe(r, B, "#"); /* it was retained there too */
    run(r);
    assert_string_equal(r->diary[B], "t q2 retained 'x' expiry=60 type=text k=v k=w midge-via=A; ");
}

static void retain_is_kept_or_taken(void **state)
{
    struct rig *r = *state;
    for (size_t i = 0; i < 2; i++) {
        MAPS(maps, { .pattern = "kept", .direction = MIDGE_BRIDGE_BOTH, .qos = 1 },
             { .pattern = "taken", .direction = MIDGE_BRIDGE_BOTH, .qos = 1, .no_retain = true });
        struct link *k = new_link(r, A, i ? C : B, maps, maps_count);
        k->o.version = versions[i];
        start(k);
    }
    run(r);
    struct midge_publication p = { .topic = midge_slice_str("kept"), .payload = midge_slice_str("x"), .qos = 1, .retain = true };
    assert_int_equal(midge_publish(r->m[A], NULL, &p, r->now), MIDGE_OK);
    p.topic = midge_slice_str("taken");
    assert_int_equal(midge_publish(r->m[A], NULL, &p, r->now), MIDGE_OK);
    run(r);
    struct midge_stats stats;
    for (int i = B; i <= C; i++) {
        midge_get_stats(r->m[i], &stats);
        assert_int_equal(stats.retained, 1);
    }
}

/* ---- store and forward --------------------------------------------------------------------------------- */

static void what_waits_is_sent_when_the_other_is_back(void **state)
{
    struct rig *r = *state;
    for (size_t v = 0; v < 2; v++) {
        MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 2 });
        struct link *k = new_link(r, A, v ? C : B, maps, maps_count);
        k->o.version = versions[v];
        cut(k);
        start(k);
    }
    subscribe(r, B, "#");
    subscribe(r, C, "#");
    run(r);
    assert_string_equal(r->link[0].last, "failed 00");
    say(r, A, "t", 0, "0");
    say(r, A, "t", 1, "1");
    say(r, A, "t", 2, "2");
    wait_ms(r, 4000);
    assert_int_equal(r->got[B] + r->got[C], 0);
    r->link[0].cut = r->link[1].cut = false;
    wait_ms(r, 60000);
    assert_string_equal(r->diary[B], "t q1 '1'; t q2 '2'; ");
    assert_string_equal(r->diary[C], "t q1 '1' midge-age=64 midge-via=A; t q2 '2' midge-age=64 midge-via=A; ");
}

/* The transport is cut after each number of bytes: everything arrives once, in order. */
SPEC("MQTT311-7.0.0-1")
static void a_cut_anywhere_loses_and_doubles_nothing(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "out", .direction = MIDGE_BRIDGE_OUT, .qos = 2 },
         { .pattern = "in", .direction = MIDGE_BRIDGE_IN, .qos = 2 });
    struct link *k = new_link(r, A, B, maps, maps_count);
    r->bare = true;
    start(k);
    subscribe(r, B, "out");
    subscribe(r, A, "in");
    run(r);
    for (unsigned at = 1; at < 400; at++) {
        char payload[16], want[64];
        snprintf(payload, sizeof payload, "%u", at);
        r->diary[A][0] = r->diary[B][0] = '\0';
        say(r, A, "out", 2, payload);
        say(r, B, "in", 2, payload);
        unsigned left = at;
        uint8_t byte;
        for (bool any = true; any && left;) { /* a byte at a time, each way in turn */
            any = false;
            midge_bridge_turn(k->b, r->now);
            if (left && midge_bridge_pull(k->b, &byte, 1, r->now))
                midge_recv(k->conn, &byte, 1, r->now), any = true, left--;
            if (left && midge_pull(k->conn, &byte, 1, r->now))
                midge_bridge_recv(k->b, &byte, 1, r->now), any = true, left--;
        }
        hang_up(k, "cut");
        wait_ms(r, 30001);
        snprintf(want, sizeof want, "out q2 '%u'; ", at);
        assert_string_equal(r->diary[B], want);
        snprintf(want, sizeof want, "in q2 '%u'; ", at);
        assert_string_equal(r->diary[A], want);
    }
}

static struct midge_books books_of(struct rig *r, uint8_t qos)
{
    struct midge_books books[3];
    assert_int_equal(midge_get_books(r->m[A], midge_slice_str("local.one"), books), MIDGE_OK);
    const struct midge_books *b = &books[qos];
    uint64_t gone = b->acknowledged + b->expired + b->ended;
    for (int i = 0; i < MIDGE_DROP_REASONS; i++)
        gone += b->dropped[i];
    assert_int_equal(b->enqueued, gone + b->queued + b->inflight);
    return *b;
}

static void each_map_has_its_policy_and_the_books_close(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "old/#", .direction = MIDGE_BRIDGE_OUT, .qos = 1, .policy = MIDGE_QUEUE_DROP_OLD },
         { .pattern = "new/#", .direction = MIDGE_BRIDGE_OUT, .qos = 1, .policy = MIDGE_QUEUE_DROP_NEW },
         { .pattern = "last/#", .direction = MIDGE_BRIDGE_OUT, .qos = 1, .policy = MIDGE_QUEUE_LAST_VALUE },
         { .pattern = "no/#", .direction = MIDGE_BRIDGE_OUT, .qos = 1, .policy = MIDGE_QUEUE_REFUSE });
    struct link *k = new_link(r, A, B, maps, maps_count);
    k->o.queue_bytes = 200;
    k->o.version = 4;
    cut(k);
    start(k);
    run(r);
    for (int i = 0; i < 20; i++) {
        static const char *const topics[] = { "old/t", "new/t", "last/t" };
        char payload[8];
        snprintf(payload, sizeof payload, "%03d", i);
        for (int t = 0; t < 3; t++)
            say(r, A, topics[t], 1, payload);
    }
    const struct midge_publication p = { .topic = midge_slice_str("no/t"), .payload = midge_slice_str("xxxxxxxx"), .qos = 1 };
    assert_int_equal(midge_publish(r->m[A], NULL, &p, r->now), MIDGE_ERR_FULL);
    struct midge_books books = books_of(r, 1);
    assert_int_equal(books.enqueued, 60);
    assert_int_equal(books.dropped[MIDGE_DROP_REPLACED], 19);
    assert_int_equal(books.dropped[MIDGE_DROP_QUEUE_BYTES], 60 - 19 - books.queued);

    subscribe(r, B, "#");
    k->cut = false;
    wait_ms(r, 60000);
    assert_int_equal(books_of(r, 1).queued, 0);
    assert_non_null(strstr(r->diary[B], "old/t q1 '019'"));
    assert_null(strstr(r->diary[B], "old/t q1 '000'"));
    assert_non_null(strstr(r->diary[B], "new/t q1 '000'"));
    assert_null(strstr(r->diary[B], "new/t q1 '019'"));
    assert_non_null(strstr(r->diary[B], "last/t q1 '019'"));
    assert_null(strstr(r->diary[B], "last/t q1 '018'"));
    assert_int_equal(r->got[B], books.queued);
}

static void what_waited_is_replayed_no_faster_than_it_may(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    struct link *k = new_link(r, A, B, maps, maps_count);
    k->o.replay_per_s = 10;
    cut(k);
    start(k);
    subscribe(r, B, "#");
    run(r);
    for (int i = 0; i < 100; i++)
        say(r, A, "t", 1, "a message of some length, so that few fit into one read of the queue, or only one of them");
    k->cut = false;
    wait_ms(r, 30000);
    for (int i = 0; i < 50; i++)
        wait_ms(r, 100);
    assert_in_range(r->got[B], 45, 55);
    for (int i = 0; i < 80; i++)
        wait_ms(r, 100);
    assert_int_equal(r->got[B], 100);
    for (int i = 0; i < 100; i++) /* and what comes now goes at once */
        say(r, A, "t", 1, "x");
    run(r);
    assert_int_equal(r->got[B], 200);
}

/* ---- no circles ---------------------------------------------------------------------------------------- */

static void a_pair_bridged_twice_has_no_circle(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_BOTH, .qos = 1 });
    start(new_link(r, A, B, maps, maps_count));
    start(new_link(r, A, B, maps, maps_count));
    subscribe(r, A, "#");
    subscribe(r, B, "#");
    run(r);
    say(r, A, "t", 1, "a");
    say(r, B, "t", 1, "b");
    run(r);
    assert_int_equal(r->got[A], 1 + 2); /* its own, and the other's through both */
    assert_int_equal(r->got[B], 2 + 1);
}

static void a_pair_bridged_twice_on_3_1_1_has_no_circle(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_BOTH, .qos = 1 });
    for (int i = 0; i < 2; i++) {
        struct link *k = new_link(r, A, B, maps, maps_count);
        k->o.version = 4;
        start(k);
    }
    subscribe(r, A, "#");
    subscribe(r, B, "#");
    run(r);
    say(r, A, "t", 1, "a");
    say(r, B, "t", 1, "b");
    run(r);
    assert_in_range(r->got[A], 3, 5); /* what comes back comes back once: it is marked then */
    assert_in_range(r->got[B], 3, 3);
}

static void everybody_says_something(struct rig *r)
{
    for (int i = 0; i < BROKERS; i++)
        subscribe(r, i, "#");
    run(r);
    for (int i = 0; i < BROKERS; i++)
        say(r, i, "t", 1, node_names[i]);
    run(r);
}

static void a_ring_of_three_has_no_circle(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_BOTH, .qos = 1 });
    for (int i = 0; i < BROKERS; i++)
        start(new_link(r, i, (i + 1) % BROKERS, maps, maps_count));
    everybody_says_something(r);
    for (int i = 0; i < BROKERS; i++)
        assert_in_range(r->got[i], 3, 3 * 3); /* its own, and the others' by both ways round */
}

/* 3.1.1 has no place for marks: each broker sends to both others, and passes on nothing that came through a bridge. */
static void a_ring_of_three_on_3_1_1_has_no_circle(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    for (int i = 0; i < 2 * BROKERS; i++) {
        struct link *k = new_link(r, i / 2, (i / 2 + 1 + i % 2) % BROKERS, maps, maps_count);
        k->o.version = 4;
        k->o.split_horizon = true;
        start(k);
    }
    everybody_says_something(r);
    for (int i = 0; i < BROKERS; i++)
        assert_int_equal(r->got[i], 3); /* everything once */
}

/* ---- whom, and when ------------------------------------------------------------------------------------ */

static void the_first_address_is_returned_to(void **state)
{
    struct rig *r = *state;
    static const char *const addresses[] = { "first", "second" };
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    struct link *k = new_link(r, A, B, maps, maps_count);
    k->o.addresses = addresses;
    k->o.address_count = 2;
    start(k);
    assert_int_equal(midge_bridge_dial(k->b, r->now), 0);
    midge_bridge_lost(k->b, "refused", r->now);
    run(r); /* the second, at once */
    struct midge_bridge_stats stats;
    midge_bridge_get_stats(k->b, &stats);
    assert_true(stats.up);
    assert_int_equal(stats.address, 1);
    assert_false(midge_bridge_probe(k->b, r->now));
    wait_ms(r, 5000);
    assert_true(midge_bridge_probe(k->b, r->now));
    assert_false(midge_bridge_probe(k->b, r->now));
    midge_bridge_first_is_back(k->b, r->now);
    run(r);
    midge_bridge_get_stats(k->b, &stats);
    assert_true(stats.up);
    assert_int_equal(stats.address, 0);
    assert_int_equal(stats.ups, 2);
}

static void waits_grow_up_to_the_cap(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    struct link *k = new_link(r, A, B, maps, maps_count);
    k->o.restart_s = 2;
    k->o.restart_cap_s = 20;
    start(k);
    midge_ms last = 0;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(midge_bridge_dial(k->b, r->now), 0);
        midge_bridge_lost(k->b, "refused", r->now);
        midge_ms wait = midge_bridge_deadline(k->b) - r->now;
        assert_in_range(wait, 2000, 20000);
        assert_true(wait >= last); /* without a hook for chance */
        last = wait;
        assert_int_equal(midge_bridge_dial(k->b, r->now), -1);
        r->now += wait;
    }
    assert_int_equal(last, 20000);
}

/* RabbitMQ does so. */
static void one_that_hangs_up_on_the_bridge_bit_is_asked_without(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    struct link *k = new_link(r, A, B, maps, maps_count);
    k->o.version = 4;
    start(k);
    for (int i = 0; i < 2; i++) {
        uint8_t hello[64];
        assert_int_equal(midge_bridge_dial(k->b, r->now), 0);
        midge_bridge_connected(k->b, r->now);
        assert_true(midge_bridge_pull(k->b, hello, sizeof hello, r->now) > 8);
        assert_int_equal(hello[8], i == 0 ? 0x84 : 0x04);
        midge_bridge_lost(k->b, "closed", r->now);
        r->now += 60000;
    }
}

static void what_fits_no_map_is_not_kept_waiting(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .local_prefix = "a/", .remote_prefix = "", .direction = MIDGE_BRIDGE_OUT, .qos = 2 });
    struct link *k = new_link(r, A, B, maps, maps_count);
    start(k);
    subscribe(r, B, "#");
    run(r);
    say(r, A, "a/", 2, "its topic would be empty there");
    say(r, A, "a", 1, "a/# is a's filter too, and there is nothing to change");
    say(r, A, "a/b", 2, "x");
    run(r);
    assert_string_equal(r->diary[B], "b q2 'x' midge-via=A; ");
    struct midge_bridge_stats stats;
    midge_bridge_get_stats(k->b, &stats);
    assert_int_equal(stats.unmapped, 2);
    assert_int_equal(books_of(r, 2).queued + books_of(r, 2).inflight, 0);
}

static void one_with_other_maps_takes_over_what_waits(void **state)
{
    struct rig *r = *state;
    MAPS(old, { .pattern = "old", .direction = MIDGE_BRIDGE_OUT, .qos = 1 },
         { .pattern = "both", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    MAPS(new, { .pattern = "both", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    struct link *k = new_link(r, A, B, old, old_count);
    cut(k);
    start(k);
    run(r);
    say(r, A, "both", 1, "x");
    midge_bridge_unsubscribe(k->b, r->now);
    midge_bridge_free(k->b, false, r->now);
    k->o.maps = new;
    k->o.map_count = new_count;
    start(k);
    say(r, A, "old", 1, "nobody's any more");
    say(r, A, "both", 1, "y");
    assert_int_equal(books_of(r, 1).queued + books_of(r, 1).inflight, 2);
    r->bare = true;
    subscribe(r, B, "#");
    k->cut = false;
    wait_ms(r, 60000);
    assert_string_equal(r->diary[B], "both q1 'x'; both q1 'y'; ");
}

static void a_lazy_one_comes_and_goes(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    struct link *k = new_link(r, A, B, maps, maps_count);
    k->o.start = MIDGE_BRIDGE_LAZY;
    k->o.threshold = 3;
    k->o.idle_s = 10;
    start(k);
    subscribe(r, B, "#");
    run(r);
    for (int i = 0; i < 2; i++)
        say(r, A, "t", 1, "x");
    run(r);
    assert_int_equal(r->got[B], 0);
    say(r, A, "t", 1, "x");
    run(r);
    assert_int_equal(r->got[B], 3);
    wait_ms(r, 10000);
    struct midge_bridge_stats stats;
    midge_bridge_get_stats(k->b, &stats);
    assert_false(stats.up);
    assert_string_equal(k->last, "down 00");
}

static void a_silent_broker_is_noticed(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "#", .direction = MIDGE_BRIDGE_OUT, .qos = 1 });
    struct link *k = new_link(r, A, B, maps, maps_count);
    k->o.keepalive_s = 10;
    start(k);
    run(r);
    for (int i = 0; i < 20; i++) { /* what it sends goes nowhere */
        uint8_t bytes[64];
        r->now += 1000;
        midge_bridge_turn(k->b, r->now);
        while (midge_bridge_pull(k->b, bytes, sizeof bytes, r->now))
            continue;
    }
    assert_true(midge_bridge_status(k->b) & MIDGE_STATUS_CLOSE);
    hang_up(k, NULL);
    assert_string_equal(k->last, "down 8D");
}

static void both_brokers_are_told_how_it_stands(void **state)
{
    struct rig *r = *state;
    MAPS(maps, { .pattern = "t", .direction = MIDGE_BRIDGE_OUT });
    for (size_t v = 0; v < 2; v++) {
        struct link *k = new_link(r, A, v ? C : B, maps, maps_count);
        k->o.version = versions[v];
        k->o.no_notifications = false;
        k->o.notify_topic = v ? "state/two" : "state/one";
        start(k);
    }
    for (int i = A; i <= C; i++)
        subscribe(r, i, "state/#");
    run(r);
    assert_string_equal(r->diary[B], "state/one q0 '1'; ");
    assert_string_equal(r->diary[C], "state/two q0 '1'; ");
    for (int i = 0; i < 2; i++) {
        midge_bridge_stop(r->link[i].b, r->now);
        run(r);
    }
    assert_string_equal(r->diary[B], "state/one q0 '1'; state/one q0 '0'; ");
    assert_string_equal(r->diary[C], "state/two q0 '1'; state/two q0 '0'; ");
    assert_string_equal(r->diary[A], "state/one q1 '1'; state/two q1 '1'; state/one q1 '0'; state/two q1 '0'; ");
}

static void what_is_wrong_with_a_map_is_said(void **state)
{
    struct rig *r = *state;
    static const struct midge_bridge_map wrong[] = {
        { .pattern = "a#", .direction = MIDGE_BRIDGE_OUT },
        { .pattern = "#/a", .direction = MIDGE_BRIDGE_OUT },
        { .pattern = "#", .local_prefix = "a", .direction = MIDGE_BRIDGE_OUT },
        { .pattern = "a", .local_prefix = "+/", .direction = MIDGE_BRIDGE_OUT },
        { .pattern = "", .local_prefix = "a", .direction = MIDGE_BRIDGE_OUT },
        { .pattern = "a", .direction = MIDGE_BRIDGE_OUT, .qos = 3 },
        { .pattern = "a" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct link *k = new_link(r, A, B, &wrong[i], 1);
        const char *why = NULL;
        assert_null(midge_bridge_new(&k->o, r->m[A], r->now, &why));
        assert_non_null(why);
        r->links--;
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(topics_change_their_prefixes_both_ways),
        T(messages_keep_what_5_0_gives_them),
        T(retain_is_kept_or_taken),
        T(what_waits_is_sent_when_the_other_is_back),
        T(a_cut_anywhere_loses_and_doubles_nothing),
        T(each_map_has_its_policy_and_the_books_close),
        T(what_waited_is_replayed_no_faster_than_it_may),
        T(a_pair_bridged_twice_has_no_circle),
        T(a_pair_bridged_twice_on_3_1_1_has_no_circle),
        T(a_ring_of_three_has_no_circle),
        T(a_ring_of_three_on_3_1_1_has_no_circle),
        T(the_first_address_is_returned_to),
        T(waits_grow_up_to_the_cap),
        T(one_that_hangs_up_on_the_bridge_bit_is_asked_without),
        T(what_fits_no_map_is_not_kept_waiting),
        T(one_with_other_maps_takes_over_what_waits),
        T(a_lazy_one_comes_and_goes),
        T(a_silent_broker_is_noticed),
        T(both_brokers_are_told_how_it_stands),
        T(what_is_wrong_with_a_map_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
