/* client.h - a client and a broker without sockets, for measuring: memory counted two ways, the stack painted. */
#ifndef MIDGE_TESTS_MEASURE_CLIENT_H
#define MIDGE_TESTS_MEASURE_CLIENT_H

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

/* ---- the stack, painted ------------------------------------------------------------------------------------ */

#define PAINTED 16384

static uintptr_t painted; /* the lowest byte of it */
static size_t stack_peak;

/* Paints what lies below the caller's frame. */
static __attribute__((noinline)) void paint(void)
{
    volatile uint8_t room[PAINTED];
    for (size_t i = 0; i < sizeof room; i++)
        room[i] = 0xA5;
    painted = (uintptr_t)room;
}

/* How far the calls since paint() went down. */
static __attribute__((noinline)) void look(void)
{
    const volatile uint8_t *room = (const volatile uint8_t *)painted;
    size_t i = 0;
    while (i < PAINTED && room[i] == 0xA5)
        i++;
    if (PAINTED - i > stack_peak)
        stack_peak = PAINTED - i;
}

/* ---- a small client ---------------------------------------------------------------------------------------- */

static struct midge *broker;
static midge_ms now = 1000;

static struct midge_conn *stalled; /* one that does not read */

static struct {
    struct midge_conn *conn;
    uint16_t pid;
} to_ack[64];
static unsigned acks;

/* Notes the QoS 1 messages among whole small packets. */
static void note(struct midge_conn *c, const uint8_t *p, size_t n)
{
    for (size_t at = 0; at + 4 < n && p[at + 1] < 128; at += 2u + p[at + 1]) {
        size_t pid = at + 4 + p[at + 3];
        if (p[at] >> 4 == 3 && (p[at] & 2) && acks < 64 && p[at + 2] == 0) {
            to_ack[acks].conn = c;
            to_ack[acks++].pid = (uint16_t)(p[pid] << 8 | p[pid + 1]);
        }
    }
}

static void serve(void)
{
    struct midge_conn *c;
    static uint8_t out[4096];
    paint();
    while ((c = midge_ready(broker, now))) {
        size_t n;
        while (c != stalled && (n = midge_pull(c, out, sizeof out, now)) > 0)
            note(c, out, n);
        if (midge_status(c) & MIDGE_STATUS_CLOSE)
            midge_lost(c, now);
    }
    look();
}

static struct midge_conn *dial(void)
{
    paint();
    struct midge_conn *c = midge_accept(broker, &(struct midge_peer){ .user = NULL }, now);
    look();
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
    paint();
    midge_recv(c, packet + from, used - from, now);
    look();
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

/* Answers each QoS 1 message that has come. */
static void acknowledge(void)
{
    while (acks > 0) {
        acks--;
        begin(0x40);
        u16(to_ack[acks].pid);
        send_to(to_ack[acks].conn);
    }
}

static void disconnect(struct midge_conn *c)
{
    begin(0xE0);
    send_to(c);
}

#endif
