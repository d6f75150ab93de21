/* sock.c - one connection: bytes from the socket to the core and back, a close that loses no last word. */
#include "posix.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BUFFERS_A_TURN 4 /* sent to one connection before the others get their turn */
#define DISCARDS_A_TURN 16

/* A full socket costs what was pulled for it. While much waits in all, little is pulled at a time. */
#define MUCH_WAITING ((size_t)4 * 1024 * 1024)
#define ROOM_WHEN_MUCH_WAITS ((size_t)1024)

enum outcome { SENT, SOCKET_IS_FULL, PEER_IS_GONE };

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static void arm(struct midge_sock *s, uint32_t events)
{
    if (s->events == events)
        return;
    struct epoll_event event = { .events = events, .data.ptr = s };
    epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &event);
    s->events = (uint8_t)events;
}

/* ---- lists --------------------------------------------------------------------------------------------- */

static void hang(struct midge_sock *s, struct midge_sock **at)
{
    s->next = *at;
    s->pprev = at;
    if (s->next)
        s->next->pprev = &s->next;
    *at = s;
}

static void unhang(struct midge_sock *s)
{
    if (s->loop->closing_tail == &s->next)
        s->loop->closing_tail = s->pprev;
    if (s->next)
        s->next->pprev = s->pprev;
    *s->pprev = s->next;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static void free_waiting(struct midge_sock *s)
{
    if (!s->waiting)
        return;
    s->loop->stats.waiting_bytes -= s->waiting->len;
    free(s->waiting);
    s->waiting = NULL;
}

static enum outcome send_waiting(struct midge_sock *s)
{
    struct midge_waiting *w = s->waiting;
    if (!w)
        return SENT;
    ssize_t n = send(s->fd, w->bytes + w->at, w->len - w->at, MSG_NOSIGNAL);
    if (n < 0)
        return would_block() ? SOCKET_IS_FULL : PEER_IS_GONE;
    w->at += (uint32_t)n;
    if (w->at < w->len)
        return SOCKET_IS_FULL;
    free_waiting(s);
    return SENT;
}

/* What was pulled counts as sent, so what the socket does not take is ours to keep. */
static enum outcome keep(struct midge_sock *s, const uint8_t *bytes, size_t n)
{
    struct midge_waiting *w = malloc(sizeof *w + n);
    if (!w)
        return PEER_IS_GONE; /* a hole in the stream cannot be mended */
    w->at = 0;
    w->len = (uint32_t)n;
    memcpy(w->bytes, bytes, n);
    s->waiting = w;
    s->loop->stats.waiting_bytes += n;
    return SOCKET_IS_FULL;
}

static enum outcome send_bytes(struct midge_sock *s, const uint8_t *bytes, size_t n)
{
    ssize_t sent = send(s->fd, bytes, n, MSG_NOSIGNAL);
    if (sent < 0 && !would_block())
        return PEER_IS_GONE;
    size_t done = sent > 0 ? (size_t)sent : 0;
    return done == n ? SENT : keep(s, bytes + done, n - done);
}

/* Bytes to send, as the socket wants them. A layer chain is pulled here. */
static size_t fill(struct midge_sock *s, uint8_t *out, size_t room)
{
    size_t n = 0, more;
    while (n < room && (more = midge_pull(s->u.conn, out + n, room - n, s->loop->now)))
        n += more;
    return n;
}

/* SOCKET_IS_FULL also when only this connection's turn is over: EPOLLOUT brings it back at once. */
static enum outcome send_all(struct midge_sock *s)
{
    struct midge_loop *loop = s->loop;
    enum outcome o = send_waiting(s);
    for (int turn = 0; o == SENT; turn++) {
        if (turn == BUFFERS_A_TURN)
            return SOCKET_IS_FULL;
        size_t room = loop->stats.waiting_bytes < MUCH_WAITING ? sizeof loop->out : ROOM_WHEN_MUCH_WAITS;
        size_t n = fill(s, loop->out, room);
        if (n == 0)
            return SENT;
        o = send_bytes(s, loop->out, n);
        if (n < room)
            return o;
    }
    return o;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* Out of every list and closed; the memory goes at the end of the pass. */
static void die(struct midge_sock *s)
{
    struct midge_loop *loop = s->loop;
    unhang(s);
    free_waiting(s);
    close(s->fd);
    s->fd = -1;
    loop->stats.sockets--;
    s->listener->count--;
    hang(s, &loop->dead);
    if (loop->starving)
        midge_listeners_resume(loop); /* here is a descriptor */
}

static void lose(struct midge_sock *s)
{
    midge_lost(s->u.conn, s->loop->now);
    die(s);
}

/* True: the peer has closed too, or broke off. */
static bool discard(struct midge_sock *s)
{
    for (int i = 0; i < DISCARDS_A_TURN; i++) {
        ssize_t n = recv(s->fd, s->loop->in, sizeof s->loop->in, 0);
        if (n <= 0)
            return n == 0 || !would_block();
    }
    return false;
}

/* Our side is closed, and the peer's awaited: closing both with unread bytes in the socket would reset the
 * connection and take the last packet, with the reason in it, from under the peer. */
static void half_close(struct midge_sock *s)
{
    shutdown(s->fd, SHUT_WR);
    if (discard(s) || s->loop->stopping)
        die(s);
    else
        arm(s, EPOLLIN);
}

/* The core has nothing more to say. */
static void begin_close(struct midge_sock *s)
{
    struct midge_loop *loop = s->loop;
    midge_lost(s->u.conn, loop->now);
    unhang(s);
    s->closing = true;
    s->u.until = loop->now + loop->config.limits->linger_ms;
    hang(s, loop->closing_tail);
    loop->closing_tail = &s->next;
    if (s->waiting)
        arm(s, EPOLLIN | EPOLLOUT);
    else
        half_close(s);
}

bool midge_socks_expire(struct midge_loop *loop, midge_ms now)
{
    bool any = false;
    while (loop->closing && loop->closing->u.until <= now) {
        die(loop->closing);
        any = true;
    }
    return any;
}

void midge_socks_close(struct midge_loop *loop)
{
    while (loop->open)
        lose(loop->open);
    midge_socks_expire(loop, MIDGE_NEVER);
}

void midge_socks_bury(struct midge_loop *loop)
{
    while (loop->dead) {
        struct midge_sock *s = loop->dead;
        loop->dead = s->next;
        free(s);
    }
}

/* ---- in ------------------------------------------------------------------------------------------------ */

/* Bytes as the socket gave them. A layer chain is fed here. */
static void feed(struct midge_sock *s, const uint8_t *bytes, size_t n)
{
    midge_recv(s->u.conn, bytes, n, s->loop->now);
}

static void receive(struct midge_sock *s)
{
    ssize_t n = recv(s->fd, s->loop->in, sizeof s->loop->in, 0);
    if (n < 0 && would_block())
        return;
    if (n <= 0) {
        lose(s);
        return;
    }
    feed(s, s->loop->in, (size_t)n);
    if (midge_status(s->u.conn) & MIDGE_STATUS_PAUSED)
        arm(s, s->events & ~(uint32_t)EPOLLIN);
}

void midge_sock_serve(struct midge_sock *s)
{
    enum outcome o = send_all(s);
    if (o == PEER_IS_GONE) {
        lose(s);
        return;
    }
    unsigned status = midge_status(s->u.conn);
    if (status & MIDGE_STATUS_CLOSE)
        begin_close(s);
    else
        arm(s, (status & MIDGE_STATUS_PAUSED ? 0 : EPOLLIN) | (o == SOCKET_IS_FULL ? EPOLLOUT : 0));
}

static void closing_event(struct midge_sock *s, uint32_t events)
{
    if (events & ~(uint32_t)EPOLLOUT && discard(s)) {
        die(s);
        return;
    }
    if (!(events & EPOLLOUT))
        return;
    enum outcome o = send_waiting(s);
    if (o == SENT)
        half_close(s);
    else if (o == PEER_IS_GONE)
        die(s);
}

void midge_sock_event(struct midge_sock *s, uint32_t events)
{
    if (s->fd < 0)
        return; /* closed earlier in this pass */
    if (s->closing) {
        closing_event(s, events);
        return;
    }
    if (events & EPOLLOUT)
        midge_sock_serve(s);
    if (s->fd < 0 || s->closing)
        return;
    if (events & EPOLLIN)
        receive(s);
    else if (events & (EPOLLERR | EPOLLHUP)) /* paused, and the peer broke off */
        lose(s);
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

/* IPv4 by address; IPv6 by the /64, as one host has it all, hashed so that nobody can choose to collide. */
static uint32_t address_key(const struct midge_loop *loop, const struct sockaddr *peer)
{
    if (peer->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)peer)->sin_addr.s_addr;
    if (peer->sa_family != AF_INET6)
        return 0;
    uint64_t net;
    memcpy(&net, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, sizeof net);
    uint32_t key = (uint32_t)(((net + 1) * loop->address_seed) >> 32);
    return key ? key : 1;
}

static struct midge_sock *new_sock(struct midge_listener *l, int fd, const struct sockaddr *peer)
{
    struct midge_loop *loop = l->loop;
    struct midge_sock *s = l->most && l->count >= l->most ? NULL : malloc(sizeof *s);
    if (!s)
        return NULL;
    *s = (struct midge_sock){ .source = SOURCE_SOCK, .events = EPOLLIN, .fd = fd, .loop = loop, .listener = l };
    const struct midge_peer who = { .user = s, .address_key = address_key(loop, peer) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
    s->u.conn = midge_accept(loop->broker, &who, loop->now);
    if (s->u.conn && !epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event))
        return s;
    if (s->u.conn)
        midge_lost(s->u.conn, loop->now);
    free(s);
    return NULL;
}

void midge_sock_open(struct midge_listener *l, int fd, const struct sockaddr *peer)
{
    struct midge_loop *loop = l->loop;
    uint16_t port = l->port;
    char text[MIDGE_PEER_TEXT] = "";
    if (loop->config.say)
        midge_address_text(peer, text, sizeof text);
    struct midge_sock *s = new_sock(l, fd, peer);
    if (!s) {
        close(fd);
        loop->stats.refused++;
        midge_say(loop, MIDGE_LOG_NOTICE, "Connection from %s on port %u refused: a limit is reached.", text,
                  port);
        return;
    }
    hang(s, &loop->open);
    loop->stats.accepted++;
    loop->stats.sockets++;
    l->count++;
    midge_say(loop, MIDGE_LOG_NOTICE, "New connection from %s on port %u.", text, port);
}

void midge_peer_text(const void *peer, char *out, size_t size)
{
    const struct midge_sock *s = peer;
    struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof address;
    if (!s) {
        snprintf(out, size, "in-process");
        return;
    }
    getpeername(s->fd, (struct sockaddr *)&address, &len);
    midge_address_text((const struct sockaddr *)&address, out, size);
}

struct midge_slice midge_peer_identity(const void *peer)
{
    (void)peer;
    return (struct midge_slice){ 0 };
}

void *midge_peer_listener_user(const void *peer)
{
    const struct midge_sock *s = peer;
    return s ? s->listener->user : NULL;
}
