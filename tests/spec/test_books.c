/* test_books.c - no silent loss: subscribers that keep up, are slow, stall, or are away, at each version and QoS, while a
 * publisher pushes; then each message is accounted for, per session, in all, and in $SYS. */
#include "more.h"
#include "morec.h"

#include <stdlib.h>

enum { PUSHED = 300 };
enum manner { KEEPS_UP, SLOW, STALLS, AWAY, MANNERS };

static const uint8_t versions[] = { 3, 4, 5 };

static const char *name_of(uint8_t version, uint8_t qos, enum manner manner)
{
    return format("v%u q%u m%u", version, qos, manner);
}

static struct peer *come(uint8_t version, const char *id)
{
    return version == 5 ? stay5(id)
                        : connect_as(&(struct c_connect){ .version = version, .client_id = id });
}

/* Takes up to `most` messages, in order; how many there were. */
static unsigned take_up_to(struct peer *p, unsigned most, uint8_t qos)
{
    unsigned n = 0;
    while (n < most && unread(p)) {
        const struct packet pk = expect_packet(p, PK_ANY);
        if (pk.type == PK_PUBREL) {
            send_ack(p, PK_PUBCOMP, pk.pid, 0);
            continue;
        }
        if (pk.type == PK_DISCONNECT) { /* 5.0: it did not keep up, and is told */
            CHECK_EQ(pk.reason, MIDGE_RC_QUOTA_EXCEEDED);
            expect_closed(p);
            break;
        }
        CHECK_EQ(pk.type, PK_PUBLISH);
        CHECK_EQ(pk.qos, qos);
        if (qos)
            send_ack(p, qos == 1 ? PK_PUBACK : PK_PUBREC, pk.pid, 0);
        n++;
    }
    return n;
}

static unsigned take_all(struct peer *p, uint8_t qos)
{
    unsigned n = 0, more;
    while ((more = take_up_to(p, 1000000, qos)) > 0)
        n += more;
    return n;
}

static struct peer *everybody[3][3][MANNERS];
static unsigned got[3][3][MANNERS];

#define FOR_ALL                                                                                              \
    for (unsigned v = 0; v < 3; v++)                                                                         \
        for (uint8_t q = 0; q < 3; q++)                                                                      \
            for (enum manner m = 0; m < MANNERS; m++)

static void all_come(void)
{
    memset(got, 0, sizeof got);
    FOR_ALL {
        struct peer *p = come(versions[v], name_of(versions[v], q, m));
        subscribe(p, "t", q);
        if (m == STALLS)
            hold(p);
        if (m == AWAY)
            drop(p);
        everybody[v][q][m] = p;
    }
}

static void push_all(void)
{
    struct peer *writer = connect5("writer");
    for (unsigned i = 0; i < PUSHED; i++) {
        publish(writer, "t", format("%u", i), 2);
        FOR_ALL {
            if (m == KEEPS_UP)
                got[v][q][m] += take_all(everybody[v][q][m], q);
            if (m == SLOW && i % 7 == 0)
                got[v][q][m] += take_up_to(everybody[v][q][m], 3, q);
        }
    }
}

static void all_catch_up(void)
{
    FOR_ALL {
        if (m == STALLS && !is_closed(everybody[v][q][m]))
            resume(everybody[v][q][m]);
        if (m == AWAY)
            everybody[v][q][m] = come(versions[v], name_of(versions[v], q, m));
        got[v][q][m] += take_all(everybody[v][q][m], q);
    }
}

static uint64_t dropped_of(const struct midge_books *b)
{
    uint64_t n = 0;
    for (unsigned why = 0; why < MIDGE_DROP_REASONS; why++)
        n += b->dropped[why];
    return n;
}

static unsigned long sys_number(const char *name)
{
    struct peer *p = connect5("statistician");
    subscribe(p, format("$SYS/broker/%s", name), 0);
    const struct packet pk = expect_packet(p, PK_PUBLISH);
    const unsigned long n = strtoul(pk.payload, NULL, 10);
    leave(p);
    return n;
}

SPEC("MQTT-4.5.0-1", "MQTT311-4.5.0-1")
TEST(below_the_limits_nothing_is_lost_whoever_subscribes_and_however_it_reads)
{
    config.sys_interval_s = 1;
    count_events();
    all_come();
    push_all();
    all_catch_up();
    FOR_ALL {
        const struct midge_books b = books_of(name_of(versions[v], q, m), q);
        const bool lost = q == 0 && m == AWAY; /* QoS 0 does not wait for who is away */
        CHECK_EQ(got[v][q][m], lost ? 0 : PUSHED);
        CHECK_EQ(b.enqueued, lost ? 0 : PUSHED);
        CHECK_EQ(b.acknowledged, b.enqueued);
        CHECK_EQ(dropped_of(&b) + b.expired + b.ended + b.queued + b.inflight, 0);
    }
    CHECK_EQ(events.dropped, 0);
    check_all_books();
    advance(1000);
    CHECK_EQ(sys_number("publish/messages/dropped"), 0);
}

SPEC("MQTT-4.5.0-1", "MQTT311-4.5.0-1")
TEST(above_the_limits_each_loss_is_counted_told_and_has_its_reason)
{
    config.sys_interval_s = 1;
    limits.queue_msgs = 50;
    limits.inflight = 10;
    count_events();
    all_come();
    push_all();
    uint64_t told = 0, in_all = 0;
    FOR_ALL {
        const char *id = name_of(versions[v], q, m);
        if (m == STALLS)
            resume(everybody[v][q][m]);
        take_all(everybody[v][q][m], q);
        if (is_closed(everybody[v][q][m]) || m == AWAY)
            take_all(everybody[v][q][m] = come(versions[v], id), q);
        const struct midge_books b = books_of(id, q);
        CHECK_EQ(b.queued + b.inflight, 0);
        CHECK_EQ(b.enqueued, q == 0 && m == AWAY ? 0 : PUSHED);
        CHECK_EQ(b.enqueued, b.acknowledged + dropped_of(&b) + b.ended);
        CHECK_EQ(dropped_of(&b), b.dropped[MIDGE_DROP_QUEUE_MSGS]);
        CHECK_EQ(b.ended, 0);
        CHECK(m != KEEPS_UP || dropped_of(&b) == 0);
        CHECK((m != AWAY && m != STALLS) || q == 0 || dropped_of(&b) == PUSHED - 50);
        told += q ? dropped_of(&b) : 0;
        in_all += dropped_of(&b);
    }
    CHECK_EQ(events.dropped, told);
    check_all_books();
    advance(1000);
    CHECK_EQ(sys_number("publish/messages/dropped"), in_all);
}

/* The test in which two releases of another broker lost 18,960 and 18,980 of 20,000 without a word. */
SPEC("U5-3.3.4-0x97")
TEST(of_twenty_thousand_messages_to_a_stalled_reader_each_is_delivered_or_refused)
{
    limits.queue_policy = MIDGE_QUEUE_REFUSE;
    struct peer *reader = stay5("reader"), *writer = connect5("writer");
    subscribe(reader, "t", 1);
    hold(reader);
    unsigned taken = 0, refused = 0;
    for (unsigned i = 0; i < 20000; i++) {
        send_publish(writer, &(struct c_publish){ .topic = "t", .payload = text_of('x', 1000), .qos = 1, .pid = 1 });
        const uint8_t reason = expect_packet(writer, PK_PUBACK).reason;
        CHECK(reason == 0 || reason == MIDGE_RC_QUOTA_EXCEEDED);
        taken += reason == 0;
        refused += reason != 0;
    }
    CHECK_EQ(taken, limits.queue_msgs);
    CHECK_EQ(taken + refused, 20000);
    resume(reader);
    CHECK_EQ(take_all(reader, 1), taken);
    const struct midge_books b = books_of("reader", 1);
    CHECK_EQ(b.enqueued, taken);
    CHECK_EQ(b.acknowledged, taken);
    CHECK_EQ(dropped_of(&b), 0);
    CHECK_EQ(stats().publish_refused, refused);
}
