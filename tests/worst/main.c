/* main.c - what is the most that a packet can cost? Counts the steps (edges of the control flow) that the core takes for
 * a packet, and climbs from a benign one towards the worst of the same type, size, matches and count of properties.
 *
 *     worst [ROUNDS]
 *
 * The core is compiled with -fsanitize-coverage=trace-pc, so each step is counted; a run differs from the next by a
 * hundredth, as addresses are hashed.
 * It fails where the worst that was found costs more than `limit` times the benign one (library calls like memcpy
 * count as one step).
 */
#include "midge/midge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long steps;
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    steps++;
}

static uint32_t dice_state = 2026;
static uint32_t dice(uint32_t n)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 17;
    dice_state ^= dice_state << 5;
    return dice_state % n;
}

/* ---- the broker, made anew for each packet -------------------------------------------------------------- */

static void *take(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}

static void give(void *user, void *p, size_t n)
{
    (void)user;
    (void)n;
    free(p);
}

static void *change(void *user, void *p, size_t old, size_t n)
{
    (void)user;
    (void)old;
    return realloc(p, n);
}

static const struct midge_memory memory = { .alloc = take, .free = give, .resize = change };
static const struct midge_config config = { .memory = &memory, .limits = &midge_limits_gateway };

static struct midge *broker;
static struct midge_conn *conn;

struct packet {
    uint8_t bytes[4096];
    size_t len;
};

static void put(struct packet *p, const void *bytes, size_t n)
{
    if (n > sizeof p->bytes - p->len)
        abort();
    memcpy(p->bytes + p->len, bytes, n);
    p->len += n;
}

static void put_u8(struct packet *p, unsigned v)
{
    const uint8_t byte = (uint8_t)v;
    put(p, &byte, 1);
}

static void put_u16(struct packet *p, unsigned v)
{
    put_u8(p, v >> 8);
    put_u8(p, v & 0xFF);
}

static void put_varint(struct packet *p, unsigned v)
{
    for (; v > 127; v /= 128)
        put_u8(p, v % 128 | 0x80);
    put_u8(p, v);
}

static void send_body(unsigned first, const struct packet *body)
{
    struct packet p = { .len = 0 };
    put_u8(&p, first);
    put_varint(&p, (unsigned)body->len);
    put(&p, body->bytes, body->len);
    midge_recv(conn, p.bytes, p.len, 1);
}

static void drain(void)
{
    static uint8_t out[65536];
    while (midge_ready(broker, 1)) {
    }
    while (midge_pull(conn, out, sizeof out, 1)) {
    }
}

static void body_of_connect(struct packet *b)
{
    static const uint8_t start[] = { 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 1, 'c' };
    b->len = 0;
    put(b, start, sizeof start);
}

static void open_broker(void)
{
    struct packet b;
    broker = midge_new(&config, 1);
    conn = broker ? midge_accept(broker, &(struct midge_peer){ 0 }, 1) : NULL;
    if (!conn)
        abort();
    body_of_connect(&b);
    send_body(0x10, &b);
    drain();
}

static void close_broker(void)
{
    midge_lost(conn, 1);
    midge_free(broker);
}

/* ---- kinds of packets: 1 kB each, shaped by genes ------------------------------------------------------- */

enum { GENES = 32, SIZE = 1000, PROPERTIES = 8, FILTERS = 8 };
typedef uint8_t genes[GENES];

/* Text of n bytes: how often there is a '/', and which letters. */
static void put_levels(struct packet *b, unsigned n, unsigned gene, bool plus)
{
    const unsigned level = gene == 0 ? n : 1 + gene % 50, most = 200 * (level + 1);
    for (unsigned i = 0; i < n; i++) {
        const bool slash = i % (level + 1) == level && i < most && i + 1 < n;
        put_u8(b, slash ? '/' : plus && level == 1 ? '+' : 'a' + (gene >> 4) % 4);
    }
}

static void put_properties(struct packet *b, const uint8_t *g, unsigned bytes)
{
    struct packet s = { .len = 0 };
    const unsigned each = bytes / PROPERTIES - 5;
    for (unsigned i = 0; i < PROPERTIES; i++) {
        const unsigned name = g[i] * each / 256;
        put_u8(&s, 0x26);
        put_u16(&s, name);
        for (unsigned k = 0; k < name; k++)
            put_u8(&s, 'n' + g[i] % 3);
        put_u16(&s, each - name);
        for (unsigned k = 0; k < each - name; k++)
            put_u8(&s, g[i] & 1 && k + 1 < each - name && (each - name) % 2 == 0 ? (k % 2 ? 0xA9 : 0xC3) : 'v');
    }
    put_varint(b, (unsigned)s.len);
    put(b, s.bytes, s.len);
}

static void publish(struct packet *b, const uint8_t *g)
{
    const unsigned topic = 100; /* the rest of the bytes are the payload's */
    put_u16(b, topic);
    put_levels(b, topic, g[0], false);
    put_u16(b, 1);
    put_properties(b, g + 8, 400);
    while (b->len < SIZE)
        put_u8(b, 'x');
}

static void subscribe(struct packet *b, const uint8_t *g)
{
    put_u16(b, 1);
    put_u8(b, 0);
    for (unsigned i = 0; i < FILTERS; i++) {
        put_u16(b, SIZE / FILTERS - 3);
        put_levels(b, SIZE / FILTERS - 3, g[i], g[8 + i] & 1);
        put_u8(b, 1);
    }
}

static void unsubscribe(struct packet *b, const uint8_t *g)
{
    put_u16(b, 1);
    put_u8(b, 0);
    for (unsigned i = 0; i < FILTERS; i++) {
        put_u16(b, SIZE / FILTERS - 2);
        put_levels(b, SIZE / FILTERS - 2, g[i], g[8 + i] & 1);
    }
}

static void disconnect(struct packet *b, const uint8_t *g)
{
    put_u8(b, 0);
    put_properties(b, g, SIZE);
}

static void puback(struct packet *b, const uint8_t *g)
{
    put_u16(b, 1 + g[8]);
    put_u8(b, 0);
    put_properties(b, g, SIZE);
}

static const struct kind {
    const char *name;
    unsigned first;
    void (*write)(struct packet *b, const uint8_t *g);
    double limit; /* worst by benign */
} kinds[] = {
    { "PUBLISH QoS 1", 0x32, publish, 3 },
    { "SUBSCRIBE", 0x82, subscribe, 5 }, /* each level of a filter is a node that is made: over the 3 that we want */
    { "UNSUBSCRIBE", 0xA2, unsubscribe, 3 },
    { "PUBACK", 0x40, puback, 3 },
    { "DISCONNECT", 0xE0, disconnect, 3 },
};

static unsigned long cost(const struct kind *k, const uint8_t *g)
{
    struct packet b = { .len = 0 };
    k->write(&b, g);
    open_broker();
    steps = 0;
    send_body(k->first, &b);
    drain();
    const unsigned long n = steps;
    close_broker();
    return n;
}

/* Benign: a topic of a few levels, everything ordinary. */
static const genes benign = { 19, 19, 19, 19, 19, 19, 19, 19 };

static unsigned long climb(const struct kind *k, unsigned rounds)
{
    genes best;
    memcpy(best, benign, sizeof best);
    unsigned long most = cost(k, best);
    for (unsigned i = 0; i < rounds; i++) {
        genes g;
        memcpy(g, best, sizeof g);
        for (unsigned n = 1 + dice(3); n; n--)
            g[dice(GENES)] = (uint8_t)(dice(4) ? dice(256) : 0);
        const unsigned long n = cost(k, g);
        if (n > most) {
            most = n;
            memcpy(best, g, sizeof best);
        }
    }
    return most;
}

/* ---- a topic that nobody subscribes to, among 256 filters ----------------------------------------------- */

enum { LEVELS = 8, MANY = 1 << LEVELS };

/* hostile: each level "a" or "+", in all ways, so that the match follows all of them, and none at the end. */
static void subscribe_many(bool hostile)
{
    for (unsigned i = 0; i < MANY; i++) {
        struct packet b = { .len = 0 };
        put_u16(&b, 1);
        put_u8(&b, 0);
        put_u16(&b, 2 * LEVELS + 1);
        for (unsigned level = 0; level < LEVELS; level++) {
            put_u8(&b, hostile ? (i >> level & 1 ? '+' : 'a') : 'c' + (i >> level & 1));
            put_u8(&b, '/');
        }
        put_u8(&b, 'x');
        put_u8(&b, 1);
        send_body(0x82, &b);
        drain();
    }
}

static unsigned long cost_of_match(bool hostile)
{
    struct packet b = { .len = 0 };
    put_u16(&b, 2 * LEVELS + 1);
    for (unsigned level = 0; level < LEVELS; level++)
        put(&b, "a/", 2);
    put_u8(&b, 'y');
    put_u8(&b, 0);
    open_broker();
    subscribe_many(hostile);
    steps = 0;
    send_body(0x30, &b);
    const unsigned long n = steps;
    close_broker();
    return n;
}

int main(int argc, char **argv)
{
    const unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
    int status = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const unsigned long usual = cost(&kinds[i], benign), most = climb(&kinds[i], rounds);
        const double ratio = (double)most / (double)usual;
        printf("%-14s %6lu steps usually, %6lu at worst: %.2f times\n", kinds[i].name, usual, most, ratio);
        status |= ratio > kinds[i].limit;
    }
    /* Not held against the limit: what a filter can cost a message is bounded by its levels, not by its matches. */
    const unsigned long usual = cost_of_match(false), most = cost_of_match(true);
    printf("PUBLISH among %d filters that do not match: %lu steps usually, %lu where they overlap: %.1f a filter\n", MANY,
           usual, most, (double)(most - usual) / MANY);
    return status;
}
