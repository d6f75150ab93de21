/* soak.c - the long quiet run: all publish once a second and hear each other; now and then one is gone for 10 s.
 *
 * All of it in one arena: at the end as much memory is in use as at the start, and the largest free block is as
 * large.
 */
#include "soak.h"

#include "world.h"

#include <stdlib.h>

#define AWAY_S 10  /* how long a client is gone */
#define EVERY_S 13 /* how often one goes */
#define SOAK_CLIENTS 1000
#define BATCH 16 /* clients whose bytes a port reads before it serves what is ready */

struct guest {
    struct midge_conn *c;
    struct buffer in;
    unsigned version;
    uint8_t qos;
    uint32_t back_s; /* 0: it is there */
    uint16_t pid;
    uint64_t got;
};

static struct soak_state {
    struct midge *m;
    struct midge_memory arena;
    struct guest guest[SOAK_CLIENTS];
    uint32_t guests;
    midge_ms now;
    uint64_t published, delivered;
} soaked;

static void feed(struct guest *g, struct buffer *b)
{
    if (g->c)
        midge_recv(g->c, b->at, b->len, soaked.now);
    b->len = 0;
}

static uint16_t pid_at(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* Answers one packet as a client has to. */
static void answer(struct guest *g, const uint8_t *packet, struct buffer *b)
{
    uint32_t head = 2;
    while (packet[head - 1] & 0x80)
        head++;
    const uint8_t *body = packet + head;
    const unsigned type = packet[0] >> 4, qos = packet[0] >> 1 & 3;
    if (type == PK_PUBLISH) {
        g->got++;
        soaked.delivered++;
        if (qos)
            put_ack(b, g->version, qos == 1 ? PK_PUBACK : PK_PUBREC, pid_at(body + 2 + pid_at(body)), 0);
    } else if (type == PK_PUBREL) {
        put_ack(b, g->version, PK_PUBCOMP, pid_at(body), 0);
    } else if (type == PK_PUBREC) {
        put_ack(b, g->version, PK_PUBREL, pid_at(body), 0);
    }
}

static void read_all(struct guest *g)
{
    static struct buffer reply;
    uint8_t out[16384];
    size_t n;
    while (g->c && (n = midge_pull(g->c, out, sizeof out, soaked.now))) {
        buffer_put(&g->in, out, n);
        uint32_t at = 0, len;
        while (at < g->in.len && (len = packet_length(g->in.at + at, g->in.len - at))) {
            answer(g, g->in.at + at, &reply);
            at += len;
        }
        buffer_drop(&g->in, at);
        if (reply.len)
            feed(g, &reply);
    }
}

static void serve(void)
{
    struct midge_conn *c;
    while ((c = midge_ready(soaked.m, soaked.now))) {
        struct guest *g = midge_conn_user(c);
        read_all(g);
        if (g->c && (midge_status(g->c) & MIDGE_STATUS_CLOSE)) {
            midge_lost(g->c, soaked.now);
            g->c = NULL;
        }
    }
}

static bool arrive(struct guest *g)
{
    static struct buffer b;
    char id[16];
    const struct midge_peer peer = { .user = g };
    const struct record r = {
        .clean = false, .keepalive_s = 60, .has_session_expiry = true, .session_expiry_s = 3600
    };
    (void)snprintf(id, sizeof id, "c%u", (unsigned)(g - soaked.guest));
    g->c = midge_accept(soaked.m, &peer, soaked.now);
    g->in.len = 0;
    if (!g->c)
        return false;
    put_connect(&b, g->version, &r, id, false);
    feed(g, &b);
    serve();
    return true;
}

static void subscribe(struct guest *g)
{
    static struct buffer b;
    struct record r = { .type = PK_SUBSCRIBE, .pid = 1, .wants = 1, .want = { { .qos = g->qos } } };
    put_subscribe(&b, g->version, &r);
    feed(g, &b);
    serve();
}

static void publish(struct guest *g)
{
    static struct buffer b;
    char topic[32];
    struct content m = { .number = (uint32_t)soaked.published, .len = 24, .qos = g->qos };
    if (++g->pid == 0)
        g->pid = 1;
    const struct record r = { .content = &m, .pid = g->pid };
    (void)snprintf(topic, sizeof topic, "soak/%u", (unsigned)(g - soaked.guest));
    put_publish(&b, g->version, &r, topic, 0);
    feed(g, &b);
    soaked.published++;
}

/* A client is suspended: its connection is cut, and it comes back later. */
static void leave(struct guest *g, uint32_t second)
{
    g->back_s = second + AWAY_S;
    midge_lost(g->c, soaked.now);
    g->c = NULL;
}

static bool one_second(uint32_t second)
{
    for (uint32_t i = 0; i < soaked.guests; i++) {
        struct guest *g = &soaked.guest[i];
        if (g->back_s && g->back_s <= second) {
            g->back_s = 0;
            if (!arrive(g))
                return false;
        }
        if (g->c)
            publish(g);
        if (!g->back_s && !g->c)
            return false; /* it was put out */
        if (i % BATCH == BATCH - 1)
            serve();
    }
    serve();
    if (second % EVERY_S == 0 && soaked.guest[second / EVERY_S % soaked.guests].c)
        leave(&soaked.guest[second / EVERY_S % soaked.guests], second);
    soaked.now += 1000;
    while (midge_deadline(soaked.m) <= soaked.now)
        midge_tick(soaked.m, soaked.now);
    serve();
    return true;
}

/* Everybody is there, and nothing is under way. */
static bool settle(uint32_t second)
{
    for (uint32_t i = 0; i < soaked.guests; i++)
        if (soaked.guest[i].back_s) {
            soaked.guest[i].back_s = 0;
            if (!arrive(&soaked.guest[i]))
                return false;
        }
    (void)second;
    serve();
    return true;
}

struct measure {
    size_t used, largest;
    uint64_t dropped;
};

static struct measure measure(void)
{
    struct midge_stats stats;
    midge_get_stats(soaked.m, &stats);
    struct measure out = { .used = stats.memory_used, .largest = midge_arena_largest(&soaked.arena) };
    for (unsigned q = 1; q < 3; q++)
        for (unsigned i = 0; i < MIDGE_DROP_REASONS; i++)
            out.dropped += stats.books[q].dropped[i];
    return out;
}

static bool run(uint32_t seconds, size_t arena_bytes)
{
    static struct midge_limits limits;
    void *block = malloc(arena_bytes);
    if (!block || !midge_arena_memory(block, arena_bytes, &soaked.arena))
        return false;
    limits = midge_limits_chip;
    limits.connections = limits.sessions = soaked.guests + 10;
    limits.connections_per_address = 0;
    limits.queue_msgs = 2 * AWAY_S * (soaked.guests > 50 ? soaked.guests : 50);
    limits.queue_bytes = 1u << 20;
    limits.inflight = 20;
    const struct midge_config config = { .memory = &soaked.arena, .limits = &limits };
    soaked.m = midge_new(&config, soaked.now);
    if (!soaked.m)
        return false;
    for (uint32_t i = 0; i < soaked.guests; i++) {
        struct guest *g = &soaked.guest[i];
        g->version = 3 + i % 3;
        g->qos = (uint8_t)(i % 3);
        if (!arrive(g))
            return false;
        subscribe(g);
    }
    uint32_t second = 1;
    for (; second <= EVERY_S * soaked.guests && second <= seconds / 2; second++) /* everybody was gone once */
        if (!one_second(second) || (second % EVERY_S == 0 && !soaked.m))
            return false;
    if (!settle(second))
        return false;
    const struct measure start = measure();
    for (; second <= seconds; second++)
        if (!one_second(second))
            return false;
    if (!settle(second))
        return false;
    const struct measure end = measure();
    printf(
        "%u s simulated, %u clients, %llu messages published, %llu delivered, %llu dropped at QoS 1 and 2\n",
        seconds, soaked.guests, (unsigned long long)soaked.published, (unsigned long long)soaked.delivered,
        (unsigned long long)end.dropped);
    printf("memory in use: %zu bytes at the start, %zu at the end\n", start.used, end.used);
    printf("largest free block: %zu bytes at the start, %zu at the end (%.1f %%)\n", start.largest,
           end.largest, 100.0 * (double)end.largest / (double)start.largest);
    for (uint32_t i = 0; i < soaked.guests; i++)
        if (soaked.guest[i].c)
            midge_lost(soaked.guest[i].c, soaked.now);
    midge_free(soaked.m);
    free(block);
    return end.used == start.used && end.largest >= start.largest / 100 * 95;
}

int soak(int argc, char **argv)
{
    uint32_t seconds = 3600;
    soaked.guests = 5;
    for (int i = 0; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        const uint32_t n = value ? (uint32_t)strtoul(value + 1, NULL, 0) : 0;
        if (strncmp(argv[i], "days=", 5) == 0)
            seconds = n * 86400;
        else if (strncmp(argv[i], "hours=", 6) == 0)
            seconds = n * 3600;
        else if (strncmp(argv[i], "clients=", 8) == 0)
            soaked.guests = n < SOAK_CLIENTS ? n : SOAK_CLIENTS;
    }
    strcpy(W.filters[0], "#");
    const bool ok = run(seconds, soaked.guests > 10 ? 15u << 20 : 64u << 10);
    puts(ok ? "1 passed, 0 failed" : "0 passed, 1 failed");
    return !ok;
}
