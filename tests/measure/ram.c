/* ram.c - what a client, a subscription, a message cost: the reference's workloads without sockets.
 *
 * Built with -m32 the figures are those of a 32-bit chip. Two ways of counting: bytes asked for plus 4 a block (the
 * header of a chip's heap), and bytes of an arena (no headers, rounded up to 8).
 */
#include "midge/midge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory, counted two ways ---------------------------------------------------------------------------- */

static void *heap_alloc(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}
static void heap_free(void *user, void *p, size_t n)
{
    (void)user;
    (void)n;
    free(p);
}
static void *heap_resize(void *user, void *p, size_t old, size_t n)
{
    (void)user;
    (void)old;
    return realloc(p, n);
}
static size_t heap_cost(size_t n) /* a TLSF heap's: at least 12, rounded up to 4, and a 4-byte header */
{
    size_t up = (n + 3) & ~(size_t)3;
    return (up < 12 ? 12 : up) + 4;
}
static const struct midge_memory heap = {
    .alloc = heap_alloc, .free = heap_free, .resize = heap_resize, .cost = heap_cost
};

/* ---- a small client ---------------------------------------------------------------------------------------- */

static struct midge *broker;
static midge_ms now = 1000;

static void serve(void)
{
    struct midge_conn *c;
    uint8_t out[4096];
    while ((c = midge_ready(broker, now))) {
        while (midge_pull(c, out, sizeof out, now)) {
        }
        if (midge_status(c) & MIDGE_STATUS_CLOSE)
            midge_lost(c, now);
    }
}

static struct midge_conn *dial(void)
{
    struct midge_conn *c = midge_accept(broker, &(struct midge_peer){ .user = NULL }, now);
    if (!c) {
        fprintf(stderr, "ram: a connection was refused\n");
        exit(1);
    }
    return c;
}

static uint8_t packet[65536];
static size_t used;

static void begin(uint8_t first)
{
    packet[0] = first;
    used = 4; /* two bytes of remaining length are written by finish() */
}
static void put(const void *p, size_t n)
{
    memcpy(packet + used, p, n);
    used += n;
}
static void u8(unsigned v)
{
    packet[used++] = (uint8_t)v;
}
static void u16(unsigned v)
{
    u8(v >> 8);
    u8(v & 0xFF);
}
static void text(const char *s)
{
    u16((unsigned)strlen(s));
    put(s, strlen(s));
}
static void send_to(struct midge_conn *c)
{
    size_t n = used - 4;
    size_t from = n < 128 ? 2 : 1;
    packet[from] = packet[0];
    if (n < 128) {
        packet[3] = (uint8_t)n;
    } else {
        packet[2] = (uint8_t)(n & 127) | 128;
        packet[3] = (uint8_t)(n >> 7);
    }
    midge_recv(c, packet + from, used - from, now);
    serve();
}

static void connect_as(struct midge_conn *c, const char *id, bool clean)
{
    begin(0x10);
    text("MQTT");
    u8(4);
    u8(clean ? 2 : 0);
    u16(60);
    text(id);
    send_to(c);
}

static struct midge_conn *client(unsigned i, bool clean)
{
    char id[24];
    snprintf(id, sizeof id, "c0-%020u", i); /* 23 characters */
    struct midge_conn *c = dial();
    connect_as(c, id, clean);
    return c;
}

static void subscribe(struct midge_conn *c, const char *filter, unsigned qos)
{
    begin(0x82);
    u16(1);
    text(filter);
    u8(qos);
    send_to(c);
}

static void publish(struct midge_conn *c, const char *topic, unsigned payload, unsigned qos, bool retain)
{
    static const uint8_t zeros[4096];
    begin((uint8_t)(0x30 | qos << 1 | (retain ? 1 : 0)));
    text(topic);
    if (qos)
        u16(1);
    put(zeros, payload);
    send_to(c);
}

static void disconnect(struct midge_conn *c)
{
    begin(0xE0);
    send_to(c);
}

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

static size_t in_use(void)
{
    struct midge_stats s;
    midge_get_stats(broker, &s);
    return s.memory_used;
}

static void stop(void)
{
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
};

int main(void)
{
    printf("%zu-bit\n%-38s %10s %10s %10s\n", sizeof(void *) * 8, "bytes", "heap", "arena", "reference");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double got[2];
        for (int arena = 0; arena < 2; arena++) {
            start(arena);
            got[arena] = rows[i].run();
            stop();
        }
        printf("%-38s %10.0f %10.0f %10u\n", rows[i].name, got[0], got[1], rows[i].reference);
    }
    return 0;
}
