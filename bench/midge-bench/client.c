/* client.c - one conversation, and the turn in which all clients talk. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)
#define EVENTS_A_TURN 1024

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool hub_init(struct hub *h)
{
    h->bytes = zeroed(READ_BYTES, 1);
    h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    h->now_ns = clock_ns();
    return h->epoll_fd >= 0;
}

void hub_free(struct hub *h)
{
    if (h->epoll_fd >= 0)
        close(h->epoll_fd);
    free(h->bytes);
}

/* The first reason is the one that is told. */
void hub_fail(struct hub *h, const char *format, ...)
{
    char text[sizeof h->failure];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args); // NOLINT(clang-analyzer-valist.Uninitialized): it is begun
    va_end(args);
    if (!*h->failure)
        memcpy(h->failure, text, sizeof text);
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static void hold(struct client *c)
{
    if (c->held)
        return;
    c->held = true;
    c->next_held = c->hub->held;
    c->hub->held = c;
}

static void flush(struct client *c)
{
    c->held = false;
    if (c->state == CLIENT_OFF || c->state == CLIENT_CONNECTING)
        return;
    const enum link_outcome o = link_send(&c->link);
    if (o == LINK_OVER)
        hub_fail(c->hub, "client %u: cannot send: %s", c->number, strerror(errno));
    else
        link_wait_for_room(&c->link, c->hub->epoll_fd, c, o == LINK_AGAIN);
}

static void flush_all(struct hub *h)
{
    while (h->held) {
        struct client *c = h->held;
        h->held = c->next_held;
        flush(c);
    }
}

static void answer(struct client *c, enum wire_type type, uint16_t id)
{
    wire_add_ack(&c->link.out, type, id);
    hold(c);
}

void client_subscribe(struct client *c, const char *const *filters, unsigned count, uint8_t qos)
{
    if (++c->next_id == 0)
        c->next_id = 1;
    wire_add_subscribe(&c->link.out, c->hub->version, c->next_id, filters, count, qos);
    hold(c);
}

uint8_t *client_publish(struct client *c, const struct wire_publish *p)
{
    hold(c);
    return wire_add_publish(&c->link.out, c->hub->version, p);
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static bool malformed(struct client *c, const char *name)
{
    hub_fail(c->hub, "client %u: the broker sent a %s that is none", c->number, name);
    return false;
}

static bool on_connack(struct client *c, const struct wire_packet *p)
{
    struct hub *h = c->hub;
    if (c->state != CLIENT_GREETING || !wire_read_connack(p, h->version, &c->granted))
        return malformed(c, "CONNACK");
    if (c->granted.reason) {
        hub_fail(h, "client %u: CONNECT refused with 0x%02x", c->number, c->granted.reason);
        return false;
    }
    c->state = CLIENT_ON;
    h->connecting--;
    if (h->calls->connected)
        h->calls->connected(h->user, c);
    return true;
}

static bool on_suback(struct client *c, const struct wire_packet *p)
{
    unsigned refused;
    if (!wire_read_suback(p, c->hub->version, &refused))
        return malformed(c, "SUBACK");
    if (refused)
        hub_fail(c->hub, "client %u: %u filters refused", c->number, refused);
    else if (c->hub->calls->subscribed)
        c->hub->calls->subscribed(c->hub->user, c);
    return refused == 0;
}

static bool on_publish(struct client *c, const struct wire_packet *packet)
{
    struct wire_publish p;
    if (!wire_read_publish(packet, c->hub->version, &p))
        return malformed(c, "PUBLISH");
    if (c->hub->calls->published)
        c->hub->calls->published(c->hub->user, c, &p);
    if (p.qos && c->state == CLIENT_ON)
        answer(c, p.qos == 1 ? WIRE_PUBACK : WIRE_PUBREC, p.id);
    return true;
}

static bool on_ack(struct client *c, const struct wire_packet *p)
{
    uint16_t id;
    uint8_t reason;
    if (!wire_read_ack(p, &id, &reason))
        return malformed(c, "acknowledgement");
    const enum wire_type type = wire_type_of(p);
    if (reason >= 0x80) {
        hub_fail(c->hub, "client %u: message refused with 0x%02x", c->number, reason);
        return false;
    }
    if (type == WIRE_PUBREC)
        answer(c, WIRE_PUBREL, id);
    else if (type == WIRE_PUBREL)
        answer(c, WIRE_PUBCOMP, id);
    else if (c->hub->calls->acknowledged)
        c->hub->calls->acknowledged(c->hub->user, c, id);
    return true;
}

static bool on_packet(struct client *c, const struct wire_packet *p)
{
    c->hub->heard++;
    switch (wire_type_of(p)) {
    case WIRE_CONNACK:
        return on_connack(c, p);
    case WIRE_SUBACK:
        return on_suback(c, p);
    case WIRE_PUBLISH:
        return on_publish(c, p);
    case WIRE_PUBACK:
    case WIRE_PUBREC:
    case WIRE_PUBREL:
    case WIRE_PUBCOMP:
        return on_ack(c, p);
    case WIRE_DISCONNECT:
        hub_fail(c->hub, "client %u: disconnected with 0x%02x", c->number, p->body_bytes ? p->body[0] : 0);
        return false;
    default:
        return true;
    }
}

/* Bytes of the whole packets at the front, which are handed over. *whole: how long the next one is. */
static size_t consume(struct client *c, const uint8_t *bytes, size_t n, size_t *whole)
{
    size_t at = 0;
    *whole = 0;
    while (at < n && c->state != CLIENT_OFF) {
        struct wire_packet p;
        const size_t taken = wire_cut(bytes + at, n - at, &p, whole);
        if (taken == 0)
            break;
        if (taken == SIZE_MAX) {
            malformed(c, "packet");
            break;
        }
        at += taken;
        if (!on_packet(c, &p))
            break;
    }
    return at;
}

/* The rest of a packet follows its beginning; all else is read into one buffer and used there. */
static enum link_outcome receive_once(struct client *c)
{
    struct hub *h = c->hub;
    struct buffer *in = &c->link.in;
    size_t n, whole;
    if (buffer_bytes(in) == 0) {
        const enum link_outcome o = link_receive(&c->link, h->bytes, READ_BYTES, &n);
        h->now_ns = clock_ns();
        const size_t used = consume(c, h->bytes, n, &whole);
        if (used < n && c->state != CLIENT_OFF) {
            buffer_room(in, whole > n - used ? whole : READ_BYTES);
            buffer_add(in, h->bytes + used, n - used);
        }
        return o;
    }
    uint8_t *room = buffer_room(in, READ_BYTES);
    const enum link_outcome o = link_receive(&c->link, room, in->size - in->len, &n);
    h->now_ns = clock_ns();
    in->len += n;
    const size_t used = consume(c, in->bytes + in->at, buffer_bytes(in), &whole);
    if (c->state != CLIENT_OFF)
        buffer_take(in, used);
    if (c->state != CLIENT_OFF && whole > buffer_bytes(in))
        buffer_room(in, whole - buffer_bytes(in));
    return o;
}

/* What TLS has read ahead wakes nobody again. */
static enum link_outcome receive(struct client *c)
{
    enum link_outcome o = receive_once(c);
    while (o == LINK_OK && c->link.tls)
        o = receive_once(c);
    if ((c->link.tls || c->link.ws) && link_waiting(&c->link))
        hold(c); /* a handshake may have ended */
    return o;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void add_connect(struct client *c)
{
    char id[CLIENT_ID_BYTES_MAX];
    snprintf(id, sizeof id, "%s-%06u", c->hub->prefix, c->number);
    const struct wire_connect connect = {
        .version = c->hub->version,
        .clean = !c->keep_session,
        .client_id = id,
        .user_name = c->hub->user_name,
        .password = c->hub->password,
    };
    wire_add_connect(&c->link.out, &connect);
}

void client_open(struct hub *h, struct client *c, uint32_t number)
{
    const bool keep_session = c->keep_session, held = c->held;
    struct client *next_held = c->next_held;
    *c = (struct client){
        .hub = h, .number = number, .keep_session = keep_session, .held = held, .next_held = next_held
    };
    const bool is_far = h->far && number >= h->near;
    if (!link_open(&c->link, h->epoll_fd, &h->transport, is_far ? h->far : h->address, c)) {
        hub_fail(h, "client %u: cannot connect: %s", number, strerror(errno));
        return;
    }
    c->state = CLIENT_CONNECTING;
    h->connecting++;
    add_connect(c);
}

void client_drop(struct client *c)
{
    if (c->state == CLIENT_OFF)
        return;
    if (c->state != CLIENT_ON)
        c->hub->connecting--;
    c->state = CLIENT_OFF;
    link_close(&c->link);
}

void client_close(struct client *c)
{
    if (c->state == CLIENT_ON) {
        wire_add_short(&c->link.out, WIRE_DISCONNECT);
        link_send(&c->link);
    }
    client_drop(c);
}

static void on_connected(struct client *c)
{
    const int err = link_connected(&c->link);
    if (err) {
        hub_fail(c->hub, "client %u: cannot connect: %s", c->number, strerror(err));
        return;
    }
    c->state = CLIENT_GREETING;
    hold(c);
}

static void on_event(struct client *c, uint32_t events)
{
    if (c->state == CLIENT_OFF)
        return;
    if (c->state == CLIENT_CONNECTING) {
        on_connected(c);
        return;
    }
    if (events & EPOLLOUT)
        hold(c);
    if (events & ~(uint32_t)EPOLLOUT && receive(c) == LINK_OVER)
        hub_fail(c->hub, "client %u: the broker closed the connection", c->number);
}

bool hub_turn(struct hub *h, int timeout_ms)
{
    struct epoll_event events[EVENTS_A_TURN];
    flush_all(h);
    const int n = epoll_wait(h->epoll_fd, events, EVENTS_A_TURN, h->spin ? 0 : timeout_ms);
    h->now_ns = clock_ns();
    for (int i = 0; i < n && !*h->failure; i++)
        on_event(events[i].data.ptr, events[i].events);
    flush_all(h);
    return !*h->failure;
}
