/* relay.c - the limit that a broker is measured against: cuts frames, copies them on, remembers nothing.
 *
 *     midge_relay PORT
 *
 * Whatever is published goes to everybody who has subscribed to anything. QoS handshakes are answered, packet
 * ids passed on as they are. Frames are cut out of large reads by their length and go out in one write a batch.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "midge-bench/buffer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)
#define EVENTS_A_TURN 512

enum type {
    CONNECT = 1,
    CONNACK,
    PUBLISH,
    PUBACK,
    PUBREC,
    PUBREL,
    PUBCOMP,
    SUBSCRIBE,
    SUBACK,
    PINGREQ = 12,
    PINGRESP
};

struct peer {
    int fd;
    bool v5, subscribed, held, waits_for_room;
    struct buffer in, out;
    struct peer *next_held;
    struct peer *next_subscriber;
    struct peer *next; /* of `peers`, or of `gone` */
    struct peer **pprev;
};

static int epoll_fd;
static struct peer *held; /* have something to send */
static struct peer *subscribers;
static struct peer *peers;
static struct peer *gone; /* freed at the end of the turn: an event of it may still name them */
static uint8_t input[READ_BYTES];

/* ---- out ----------------------------------------------------------------------------------------------- */

static void add(struct peer *p, const uint8_t *bytes, size_t n)
{
    buffer_add(&p->out, bytes, n);
    if (p->held)
        return;
    p->held = true;
    p->next_held = held;
    held = p;
}

static void forward(const uint8_t *bytes, size_t n)
{
    for (struct peer *p = subscribers; n && p; p = p->next_subscriber)
        add(p, bytes, n);
}

static void flush(struct peer *p)
{
    struct buffer *out = &p->out;
    p->held = false;
    const ssize_t n = p->fd >= 0 ? send(p->fd, out->bytes + out->at, buffer_bytes(out), MSG_NOSIGNAL) : -1;
    buffer_take(out, n > 0 ? (size_t)n : 0);
    const bool waits = buffer_bytes(out);
    if (waits == p->waits_for_room || p->fd < 0)
        return;
    struct epoll_event event = { .events = EPOLLIN | (waits ? (uint32_t)EPOLLOUT : 0), .data.ptr = p };
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &event);
    p->waits_for_room = waits;
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static void acknowledge(struct peer *p, enum type type, const uint8_t *id)
{
    const uint8_t packet[] = { (uint8_t)(type << 4 | (type == PUBREL ? 2 : 0)), 2, id[0], id[1] };
    add(p, packet, sizeof packet);
}

/* Each filter is granted what it asks for. */
static void on_subscribe(struct peer *p, const uint8_t *body, size_t n)
{
    uint8_t codes[256] = { 0 };
    size_t count = 0;
    for (size_t at = p->v5 ? 3 : 2; at + 2 < n && count < sizeof codes;) {
        at += 2u + (size_t)(body[at] << 8 | body[at + 1]);
        codes[count++] = at < n ? body[at++] & 3 : 0;
    }
    const uint8_t head[] = { SUBACK << 4, (uint8_t)(2 + p->v5 + count), body[0], body[1], 0 };
    add(p, head, p->v5 ? 5 : 4);
    add(p, codes, count);
    if (p->subscribed)
        return;
    p->subscribed = true;
    p->next_subscriber = subscribers;
    subscribers = p;
}

static void on_connect(struct peer *p, const uint8_t *body)
{
    static const uint8_t v311[] = { CONNACK << 4, 2, 0, 0 }, v5[] = { CONNACK << 4, 3, 0, 0, 0 };
    p->v5 = body[6] == 5;
    add(p, p->v5 ? v5 : v311, p->v5 ? sizeof v5 : sizeof v311);
}

static void on_packet(struct peer *p, uint8_t first, const uint8_t *body, size_t n)
{
    static const uint8_t pong[] = { PINGRESP << 4, 0 };
    switch (first >> 4) {
    case CONNECT:
        on_connect(p, body);
        break;
    case SUBSCRIBE:
        on_subscribe(p, body, n);
        break;
    case PUBREC:
        acknowledge(p, PUBREL, body);
        break;
    case PUBREL:
        acknowledge(p, PUBCOMP, body);
        break;
    case PINGREQ:
        add(p, pong, sizeof pong);
        break;
    default:
        break;
    }
}

static void answer_publish(struct peer *p, uint8_t first, const uint8_t *body)
{
    const unsigned qos = first >> 1 & 3;
    if (qos)
        acknowledge(p, qos == 1 ? PUBACK : PUBREC, body + 2 + (body[0] << 8 | body[1]));
}

/* Bytes of the whole packet at the front; 0: not all of it is here. *head: of its fixed header. */
static size_t cut(const uint8_t *bytes, size_t n, size_t *head)
{
    size_t body = 0;
    for (size_t i = 1; i < n && i < 5; i++) {
        body |= (size_t)(bytes[i] & 0x7f) << (7 * (i - 1));
        *head = i + 1;
        if (bytes[i] < 0x80)
            return i + 1 + body <= n ? i + 1 + body : 0;
    }
    return 0;
}

/* Hands over whole packets; those that follow one another and are all PUBLISH are copied as one piece. */
static size_t consume(struct peer *p, const uint8_t *bytes, size_t n)
{
    size_t at = 0, run = 0, head = 0, whole;
    for (; (whole = cut(bytes + at, n - at, &head)); at += whole) {
        const uint8_t first = bytes[at];
        if (first >> 4 == PUBLISH) {
            answer_publish(p, first, bytes + at + head);
            continue;
        }
        forward(bytes + run, at - run);
        run = at + whole;
        on_packet(p, first, bytes + at + head, whole - head);
    }
    forward(bytes + run, at - run);
    return at;
}

static void hang(struct peer *p, struct peer **at)
{
    p->next = *at;
    p->pprev = at;
    if (p->next)
        p->next->pprev = &p->next;
    *at = p;
}

static void unhang(struct peer *p)
{
    *p->pprev = p->next;
    if (p->next)
        p->next->pprev = p->pprev;
}

static void bury(void)
{
    while (gone) {
        struct peer *p = gone;
        gone = p->next;
        buffer_free(&p->in);
        buffer_free(&p->out);
        free(p);
    }
}

static void lose(struct peer *p)
{
    struct peer **at = &subscribers;
    while (*at && *at != p)
        at = &(*at)->next_subscriber;
    if (*at)
        *at = p->next_subscriber;
    close(p->fd);
    p->fd = -1;
    unhang(p);
    hang(p, &gone);
}

static void receive(struct peer *p)
{
    struct buffer *in = &p->in;
    const bool fresh = buffer_bytes(in) == 0;
    uint8_t *to = fresh ? input : buffer_room(in, READ_BYTES);
    const ssize_t n = recv(p->fd, to, READ_BYTES, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            lose(p);
        return;
    }
    const size_t got = (size_t)n;
    if (fresh) {
        const size_t used = consume(p, input, got);
        if (used < got)
            buffer_add(in, input + used, got - used);
        return;
    }
    in->len += got;
    buffer_take(in, consume(p, in->bytes + in->at, buffer_bytes(in)));
}

static void on_event(struct peer *p, uint32_t events)
{
    if (p->fd < 0)
        return;
    if (events & EPOLLOUT)
        flush(p);
    if (events & ~(uint32_t)EPOLLOUT)
        receive(p);
}

/* ---- the program --------------------------------------------------------------------------------------- */

static void accept_one(int listener)
{
    const int on = 1;
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct peer *p = fd >= 0 ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return;
    p->fd = fd;
    hang(p, &peers);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = p };
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int listen_on(uint16_t port)
{
    const int on = 1;
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) || listen(fd, SOMAXCONN) ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        return -1;
    return fd;
}

static void serve(int listener)
{
    struct epoll_event events[EVENTS_A_TURN];
    for (;;) {
        const int n = epoll_wait(epoll_fd, events, EVENTS_A_TURN, -1);
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                on_event(events[i].data.ptr, events[i].events);
            else
                accept_one(listener);
        while (held) {
            struct peer *p = held;
            held = p->next_held;
            flush(p);
        }
        bury();
    }
}

int main(int argc, char *argv[])
{
    const long port = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    struct rlimit files;
    if (port < 1 || port > UINT16_MAX) {
        fputs("usage: midge_relay PORT\n", stderr);
        return 2;
    }
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    const int listener = listen_on((uint16_t)port);
    if (listener < 0) {
        perror("midge_relay: cannot listen");
        return 1;
    }
    serve(listener);
}
