/* ram.c - what a client, a subscription, a message cost: the reference's workloads without sockets.
 *
 * Built with -m32 the figures are those of a 32-bit chip. Two ways of counting: bytes asked for plus 4 a block (the
 * header of a chip's heap), and bytes of an arena (no headers, rounded up to 8). `stack` is how deep the broker's own
 * calls went, on this machine.
 */
#include "client.h"

/* ---- the workloads ------------------------------------------------------------------------------------------- */

static struct midge_limits limits;
static uint8_t block[4 * 1024 * 1024];

static void start(bool arena)
{
    static struct midge_memory memory;
    limits = midge_limits_chip;
    limits.connections = limits.sessions = 1000;
    limits.retained_msgs = limits.queue_msgs = 1000;
    limits.retained_bytes = limits.queue_bytes = 1000000;
    limits.connections_per_address = 0;
    if (arena)
        midge_arena_memory(block, sizeof block, &memory);
    else
        memory = heap;
    broker = midge_new(&(struct midge_config){ .memory = &memory, .limits = &limits }, now);
    if (!broker) {
        fprintf(stderr, "ram: no broker\n");
        exit(1);
    }
}

static void expect(bool held, const char *what)
{
    if (held)
        return;
    fprintf(stderr, "ram: %s\n", what);
    exit(1);
}

static size_t in_use(void)
{
    struct midge_stats s;
    midge_get_stats(broker, &s);
    return s.memory_used;
}

static void stop(void)
{
    acks = 0;
    midge_shutdown(broker, now);
    serve();
    midge_free(broker);
}

static double idle(void)
{
    (void)client(0, true);
    size_t before = in_use();
    for (unsigned i = 1; i <= 50; i++)
        (void)client(i, true);
    return (double)(in_use() - before) / 50;
}

static double idle_subscribed(unsigned topics)
{
    size_t before = 0;
    for (unsigned i = 0; i <= 50; i++) {
        if (i == 1)
            before = in_use();
        struct midge_conn *c = client(i, true);
        for (unsigned k = 0; k < topics; k++) {
            char filter[32];
            snprintf(filter, sizeof filter, "home/%03u/t%u", i, k);
            subscribe(c, filter, 0);
        }
    }
    return (double)(in_use() - before) / 50;
}

static double subscribed_1(void)
{
    return idle_subscribed(1);
}
static double subscribed_5(void)
{
    return idle_subscribed(5);
}

static double retained_of(const char *format, bool twice)
{
    struct midge_conn *c = client(0, true);
    size_t before = 0;
    for (unsigned i = 0; i <= 100; i++) {
        char topic[64];
        if (twice)
            snprintf(topic, sizeof topic, "home/r%04u/s%05u/temperature%03u", i, i, i);
        else
            snprintf(topic, sizeof topic, format, i);
        publish(c, topic, 64, 1, true);
        if (i == 0)
            before = in_use();
    }
    return (double)(in_use() - before) / 100;
}

static double retained_flat(void)
{
    return retained_of("retained_topic_%017u", false);
}
static double retained_deep(void)
{
    return retained_of("", true);
}

static double queued_for(unsigned sessions)
{
    for (unsigned i = 0; i < sessions; i++) {
        struct midge_conn *s = client(i + 1, false);
        subscribe(s, "home/room0001/sensor00001/temp_v", 1);
        disconnect(s);
    }
    struct midge_conn *c = client(0, true);
    publish(c, "home/room0001/sensor00001/temp_v", 64, 1, false);
    size_t before = in_use();
    for (unsigned i = 0; i < 100; i++)
        publish(c, "home/room0001/sensor00001/temp_v", 64, 1, false);
    return (double)(in_use() - before) / 100;
}

static double queued(void)
{
    return queued_for(1);
}
static double further_session(void)
{
    double five = queued_for(5);
    stop();
    start(false);
    double one = queued_for(1);
    return (five - one) / 4;
}

static double at_start(void)
{
    return (double)in_use();
}

static double levels_200(void)
{
    char topic[401] = "";
    for (int i = 0; i < 200; i++)
        memcpy(topic + 2 * i, i < 199 ? "a/" : "a", i < 199 ? 2 : 2);
    struct midge_conn *c = client(0, true);
    size_t before = in_use();
    subscribe(c, topic, 1);
    publish(c, topic, 1, 1, true);
    return (double)(in_use() - before);
}

/* Five clients, each publishes once a second, all get all: what the busiest moment takes beyond the start. */
static double soak(unsigned qos)
{
    size_t before = in_use(), peak = before;
    struct midge_conn *c[5];
    for (unsigned i = 0; i < 5; i++) {
        c[i] = client(i, true);
        subscribe(c[i], "soak/#", qos);
    }
    for (unsigned second = 0; second < 60; second++) {
        now += 1000;
        for (unsigned i = 0; i < 5; i++) {
            char topic[32];
            snprintf(topic, sizeof topic, "soak/client%u/state", i);
            publish(c[i], topic, 64, qos, false);
            peak = in_use() > peak ? in_use() : peak;
            acknowledge();
        }
        midge_tick(broker, now);
    }
    return (double)(peak - before);
}
static double soak_0(void)
{
    return soak(0);
}
static double soak_1(void)
{
    return soak(1);
}

/* A client is back before its old connection is known to be gone. */
static double back(unsigned id, bool lasting)
{
    (void)client(0, true);
    size_t before = in_use();
    struct midge_conn *c = dial();
    size_t with_both = in_use();
    char text[24];
    snprintf(text, sizeof text, "c0-%020u", id);
    connect_as(c, text, true);
    size_t after = in_use();
    return (double)((lasting ? after : with_both > after ? with_both : after) - before);
}
static double back_same_lasting(void)
{
    return back(0, true);
}
static double back_same_transient(void)
{
    return back(0, false);
}
static double back_new(void)
{
    return back(1, true);
}

/* 1,000 messages of 1 kB for a reader that has stopped: its session's limits say how many wait. */
static double stalled_reader(void)
{
    struct midge_conn *reader = client(1, true);
    subscribe(reader, "big", 0);
    struct midge_conn *c = client(0, true);
    limits.queue_bytes = midge_limits_chip.queue_bytes;
    limits.queue_msgs = midge_limits_chip.queue_msgs;
    stalled = reader;
    size_t before = in_use();
    for (unsigned i = 0; i < 1000; i++)
        publish(c, "big", 1024, 0, false);
    size_t held = in_use() - before;
    expect(held < 2 * (size_t)limits.queue_bytes, "a stalled reader holds more than its limit");
    stalled = NULL;
    return (double)held;
}

static const struct row {
    const char *name;
    double (*run)(void);
    unsigned reference; /* bytes asked for by the reference */
} rows[] = {
    { "start", at_start, 2237 },
    { "idle client (23-character id)", idle, 410 },
    { "the same, one own 3-level topic", subscribed_1, 1001 },
    { "the same, five", subscribed_5, 1413 },
    { "retained 32 + 64 B, one level", retained_flat, 273 },
    { "retained 32 + 64 B, four levels", retained_deep, 1228 },
    { "queued QoS 1 message 32 + 64 B", queued, 256 },
    { "the same for each further session", further_session, 68 },
    { "200 levels, subscribed and retained", levels_200, 0 },
    { "soak of five at QoS 0, peak", soak_0, 8752 },
    { "soak of five at QoS 1, peak", soak_1, 21931 },
    { "back with the same id, lasting", back_same_lasting, 0 },
    { "back with the same id, transient", back_same_transient, 664 },
    { "back with a new id", back_new, 622 },
    { "a stalled reader of 1 kB messages", stalled_reader, 1050000 },
};

int main(void)
{
    printf("%zu-bit\n%-38s %10s %10s %10s %10s\n", sizeof(void *) * 8, "bytes", "heap", "arena", "stack", "reference");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double got[2];
        stack_peak = 0;
        for (int arena = 0; arena < 2; arena++) {
            start(arena);
            got[arena] = rows[i].run();
            stop();
        }
        printf("%-38s %10.0f %10.0f %10zu %10u\n", rows[i].name, got[0], got[1], stack_peak, rows[i].reference);
    }
    return 0;
}
