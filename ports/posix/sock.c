/* sock.c - one connection: bytes from the socket to the core and back, a close that loses no last word. */
#include "posix.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BUFFERS_A_TURN 2 /* sent to one connection before the others get their turn */
#define DISCARDS_A_TURN 16

/* A full socket costs what was pulled for it. While much waits in all, little is pulled at a time. */
#define MUCH_WAITING ((size_t)4 * 1024 * 1024)
#define ROOM_WHEN_MUCH_WAITS ((size_t)1024)

/* TLS handshakes cost a server most. Those who greet have an epoll of their own, of which so many are served in a
 * pass: however many they are, the others wait for no more than these. */
#define GREETINGS_A_PASS 4

enum outcome { SENT, SOCKET_IS_FULL, PEER_IS_GONE };

static struct midge_loop *loop_of(const struct midge_sock *s)
{
    return s->listener->loop;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static int epoll_of(const struct midge_sock *s)
{
    return s->state == SOCK_GREETING ? loop_of(s)->greeting_fd : loop_of(s)->epoll_fd;
}

static void arm(struct midge_sock *s, uint32_t events)
{
    if (s->events == events)
        return;
    struct epoll_event event = { .events = events, .data.ptr = s };
    epoll_ctl(epoll_of(s), EPOLL_CTL_MOD, s->fd, &event);
    s->events = (uint8_t)events;
}

/* Among the others, now that it greets no more. */
static void join_others(struct midge_sock *s)
{
    struct epoll_event event = { .events = s->events, .data.ptr = s };
    epoll_ctl(loop_of(s)->greeting_fd, EPOLL_CTL_DEL, s->fd, NULL);
    epoll_ctl(loop_of(s)->epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
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

static void append(struct midge_sock *s, struct midge_sock_queue *q)
{
    hang(s, q->tail);
    q->tail = &s->next;
}

static void unhang(struct midge_sock *s)
{
    struct midge_loop *loop = loop_of(s);
    if (loop->closing.tail == &s->next)
        loop->closing.tail = s->pprev;
    if (loop->greeting.tail == &s->next)
        loop->greeting.tail = s->pprev;
    if (s->next)
        s->next->pprev = s->pprev;
    *s->pprev = s->next;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static void free_waiting(struct midge_sock *s)
{
    if (!s->waiting)
        return;
    loop_of(s)->stats.waiting_bytes -= s->waiting->len;
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
    s->waiting = midge_waiting_new(bytes, n);
    if (!s->waiting)
        return PEER_IS_GONE; /* a hole in the stream cannot be mended */
    loop_of(s)->stats.waiting_bytes += n;
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

size_t midge_sock_give(struct midge_sock *s, uint8_t *out, size_t room)
{
    size_t n = 0, more;
    if (s->state != SOCK_OPEN)
        return 0;
    while (n < room && (more = midge_pull(s->u.conn, out + n, room - n, loop_of(s)->now)))
        n += more;
    return n;
}

/* Bytes to send, as the socket wants them. */
static size_t fill(struct midge_sock *s, uint8_t *out, size_t room)
{
    size_t n = 0, more;
    if (!s->link)
        return midge_sock_give(s, out, room);
    while (n < room && (more = midge_chain_pull(&s->link->chain, out + n, room - n)))
        n += more;
    return n;
}

/* SOCKET_IS_FULL also when only this connection's turn is over: EPOLLOUT brings it back at once. */
static enum outcome send_all(struct midge_sock *s)
{
    struct midge_loop *loop = loop_of(s);
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

/* Whatever it was doing, it is in no list and no longer the core's. */
static void leave(struct midge_sock *s)
{
    struct midge_loop *loop = loop_of(s);
    if (s->state == SOCK_OPEN)
        midge_lost(s->u.conn, loop->now);
    if (s->state == SOCK_GREETING)
        loop->stats.greeting--;
    unhang(s);
    s->state = SOCK_CLOSING;
}

/* Out of every list and closed; the memory goes at the end of the pass. */
static void die(struct midge_sock *s)
{
    struct midge_loop *loop = loop_of(s);
    leave(s);
    free_waiting(s);
    close(s->fd);
    s->fd = -1;
    loop->stats.sockets--;
    hang(s, &loop->dead);
    if (loop->starving)
        midge_doors_resume(loop); /* here is a descriptor */
}

/* True: the peer has closed too, or broke off. */
static bool discard(struct midge_sock *s)
{
    for (int i = 0; i < DISCARDS_A_TURN; i++) {
        ssize_t n = recv(s->fd, loop_of(s)->in, sizeof loop_of(s)->in, 0);
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
    if (discard(s) || loop_of(s)->stopping)
        die(s);
    else
        arm(s, EPOLLIN);
}

static void say_farewell(struct midge_sock *s)
{
    enum outcome o = send_all(s);
    if (o == SENT)
        half_close(s);
    else if (o == PEER_IS_GONE)
        die(s);
    else
        arm(s, EPOLLIN | EPOLLOUT);
}

/* There is nothing more to say, except for the layers' goodbyes. */
static void begin_close(struct midge_sock *s)
{
    struct midge_loop *loop = loop_of(s);
    if (s->state == SOCK_GREETING)
        join_others(s);
    leave(s);
    s->u.until = loop->now + loop->config.limits->linger_ms;
    append(s, &loop->closing);
    if (s->link)
        midge_chain_close(&s->link->chain);
    say_farewell(s);
}

bool midge_socks_expire(struct midge_loop *loop, midge_ms now)
{
    bool any = false;
    while (loop->closing.first && loop->closing.first->u.until <= now) {
        die(loop->closing.first);
        any = true;
    }
    return any;
}

static void give_up(struct midge_sock *s, const char *why)
{
    char text[MIDGE_PEER_TEXT];
    struct midge_loop *loop = loop_of(s);
    loop->stats.failed++;
    if (loop->config.say && !loop->stopping) {
        midge_peer_text(s, text, sizeof text);
        midge_say(loop, MIDGE_LOG_NOTICE, "Connection from %s failed: %s.", text, why);
    }
}

void midge_socks_give_up(struct midge_loop *loop, midge_ms now)
{
    while (loop->greeting.first && loop->greeting.first->u.until <= now) {
        give_up(loop->greeting.first, "it took too long to begin");
        die(loop->greeting.first);
    }
}

void midge_socks_close(struct midge_loop *loop)
{
    while (loop->open)
        die(loop->open);
    midge_socks_give_up(loop, MIDGE_NEVER);
    midge_socks_expire(loop, MIDGE_NEVER);
}

void midge_socks_bury(struct midge_loop *loop)
{
    while (loop->dead) {
        struct midge_sock *s = loop->dead;
        loop->dead = s->next;
        if (s->link)
            midge_link_free(s->link);
        midge_listener_leave(s->listener);
        free(s);
    }
}

/* ---- in ------------------------------------------------------------------------------------------------ */

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

/* The core gets to know it. False: the core does not want it. */
static bool enter(struct midge_sock *s, const struct sockaddr *peer)
{
    struct midge_loop *loop = loop_of(s);
    const struct midge_peer who = { .user = s, .address_key = address_key(loop, peer) };
    struct midge_conn *conn = midge_accept(loop->broker, &who, loop->now);
    if (!conn)
        return false;
    s->u.conn = conn;
    s->state = SOCK_OPEN;
    return true;
}

static void address_of(const struct midge_sock *s, struct sockaddr_storage *out)
{
    socklen_t len = sizeof *out;
    *out = (struct sockaddr_storage){ .ss_family = AF_UNSPEC };
    if (!s->link || !midge_link_source(s->link, out))
        getpeername(s->fd, (struct sockaddr *)out, &len);
}

static void say_proxied(const struct midge_sock *s, const struct sockaddr *peer)
{
    char text[MIDGE_PEER_TEXT];
    if (!s->link->proxy || !loop_of(s)->config.say)
        return;
    midge_address_text(peer, text, sizeof text);
    midge_say(loop_of(s), MIDGE_LOG_NOTICE, "New connection from %s through a proxy.", text);
}

/* It has greeted. */
static void come_in(struct midge_sock *s)
{
    struct midge_loop *loop = loop_of(s);
    struct sockaddr_storage peer;
    address_of(s, &peer);
    if (!enter(s, (const struct sockaddr *)&peer)) {
        s->link->chain.ended = true;
        s->link->chain.why = "a limit is reached";
        return;
    }
    unhang(s);
    hang(s, &loop->open);
    loop->stats.greeting--;
    join_others(s);
    say_proxied(s, (const struct sockaddr *)&peer);
}

void midge_sock_take(struct midge_sock *s, const uint8_t *bytes, size_t n)
{
    if (s->state == SOCK_GREETING)
        come_in(s);
    if (s->state == SOCK_OPEN)
        midge_recv(s->u.conn, bytes, n, loop_of(s)->now);
}

/* The layers have seen the bytes: what is it now? */
static void look_at_link(struct midge_sock *s)
{
    struct midge_chain *chain = &s->link->chain;
    if (s->state == SOCK_GREETING && !chain->ended && midge_link_is_through(s->link))
        come_in(s);
    if (chain->ended) {
        if (s->state == SOCK_GREETING || chain->why)
            give_up(s, chain->why ? chain->why : "it left before it began");
        begin_close(s);
    } else if (!chain->bottom && !s->link->undecided) {
        midge_link_free(s->link); /* plain MQTT, as it turned out */
        s->link = NULL;
    }
}

/* Layers answer by themselves: handshakes, pongs. They do it when the pass is over, as the core does. */
static void stir(struct midge_link *link)
{
    struct midge_sock *s = link->chain.user;
    if (link->stirred)
        return;
    link->stirred = true;
    link->next_stirred = loop_of(s)->stirred;
    loop_of(s)->stirred = link;
}

void midge_socks_settle(struct midge_loop *loop)
{
    while (loop->stirred) {
        struct midge_link *link = loop->stirred;
        struct midge_sock *s = link->chain.user;
        loop->stirred = link->next_stirred;
        link->stirred = false;
        if (s->fd >= 0 && s->state != SOCK_CLOSING)
            midge_sock_serve(s);
    }
}

static void feed_link(struct midge_sock *s, uint8_t *bytes, size_t n)
{
    midge_chain_feed(&s->link->chain, bytes, n);
    look_at_link(s);
    if (s->link)
        stir(s->link);
}

static void receive(struct midge_sock *s)
{
    struct midge_loop *loop = loop_of(s);
    ssize_t n = recv(s->fd, loop->in, sizeof loop->in, 0);
    if (n < 0 && would_block())
        return;
    if (n <= 0) {
        loop->stats.failed += s->state == SOCK_GREETING; /* a look whether the port is open is no news */
        die(s);
        return;
    }
    if (s->link)
        feed_link(s, loop->in, (size_t)n);
    else
        midge_recv(s->u.conn, loop->in, (size_t)n, loop->now);
    if (s->state == SOCK_OPEN && midge_status(s->u.conn) & MIDGE_STATUS_PAUSED)
        arm(s, s->events & ~(uint32_t)EPOLLIN);
}

void midge_sock_serve(struct midge_sock *s)
{
    enum outcome o = send_all(s);
    if (o == PEER_IS_GONE) {
        die(s);
        return;
    }
    unsigned status = s->state == SOCK_OPEN ? midge_status(s->u.conn) : 0;
    bool is_cut = s->link && s->link->chain.ended; /* by a layer that could not write */
    if (status & MIDGE_STATUS_CLOSE || is_cut)
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
    if (events & EPOLLOUT)
        say_farewell(s);
}

void midge_sock_event(struct midge_sock *s, uint32_t events)
{
    if (s->fd < 0)
        return; /* closed earlier in this pass */
    if (s->state == SOCK_CLOSING) {
        closing_event(s, events);
        return;
    }
    if (events & EPOLLOUT)
        midge_sock_serve(s);
    if (s->fd < 0 || s->state == SOCK_CLOSING)
        return;
    if (events & EPOLLIN)
        receive(s);
    else if (events & (EPOLLERR | EPOLLHUP)) /* paused, and the peer broke off */
        die(s);
}

void midge_socks_hear(void *user, int fd)
{
    struct epoll_event events[GREETINGS_A_PASS];
    (void)user;
    int n = epoll_wait(fd, events, GREETINGS_A_PASS, 0);
    for (int i = 0; i < n; i++)
        midge_sock_event(events[i].data.ptr, events[i].events);
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

/* Room for one that greets: who has been at it longest goes. */
static void wait_for_greeting(struct midge_sock *s)
{
    struct midge_loop *loop = loop_of(s);
    if (loop->stats.greeting >= loop->config.greetings) {
        give_up(loop->greeting.first, "too many connections are beginning");
        die(loop->greeting.first);
    }
    s->u.until = loop->now + loop->config.greeting_ms;
    loop->stats.greeting++;
    append(s, &loop->greeting);
}

/* False: the core does not want it, or no memory. */
static bool begin(struct midge_sock *s, const struct sockaddr *peer)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
    if (midge_link_is_needed(s->listener)) {
        s->state = SOCK_GREETING;
        s->link = midge_link_new(s);
        if (!s->link)
            return false;
    } else if (!enter(s, peer)) {
        return false;
    }
    if (!epoll_ctl(epoll_of(s), EPOLL_CTL_ADD, s->fd, &event))
        return true;
    if (s->state == SOCK_OPEN)
        midge_lost(s->u.conn, loop_of(s)->now);
    return false;
}

static struct midge_sock *new_sock(struct midge_listener *l, int fd, const struct sockaddr *peer)
{
    const struct midge_settings *settings = l->settings;
    if (settings->connections && l->sockets >= settings->connections)
        return NULL;
    struct midge_sock *s = malloc(sizeof *s);
    if (!s)
        return NULL;
    *s = (struct midge_sock){ .source = SOURCE_SOCK, .events = EPOLLIN, .fd = fd, .listener = l };
    if (begin(s, peer))
        return s;
    if (s->link)
        midge_link_free(s->link);
    free(s);
    return NULL;
}

static void say_came(const struct midge_door *d, const struct sockaddr *peer, bool in)
{
    const struct midge_loop *loop = d->listener->loop;
    char from[MIDGE_PEER_TEXT], place[16];
    if (!loop->config.say || (in && d->listener->proxy))
        return;
    midge_address_text(peer, from, sizeof from);
    snprintf(place, sizeof place, "port %u", d->port);
    const char *on = d->port ? place : *d->listener->unix_path ? d->listener->unix_path : "its socket";
    midge_say(loop, MIDGE_LOG_NOTICE,
              in ? "New connection from %s on %s." : "Connection from %s on %s refused: a limit is reached.",
              from, on);
}

void midge_sock_open(struct midge_door *d, int fd, const struct sockaddr *peer)
{
    struct midge_listener *l = d->listener;
    struct midge_loop *loop = l->loop;
    struct midge_sock *s = new_sock(l, fd, peer);
    say_came(d, peer, s != NULL);
    if (!s) {
        close(fd);
        loop->stats.refused++;
        return;
    }
    l->sockets++;
    if (s->link)
        wait_for_greeting(s);
    else
        hang(s, &loop->open);
    loop->stats.accepted++;
    loop->stats.sockets++;
}

/* ---- who is there -------------------------------------------------------------------------------------- */

void midge_peer_text(const void *peer, char *out, size_t size)
{
    const struct midge_sock *s = peer;
    struct sockaddr_storage address;
    if (!s) {
        snprintf(out, size, "in-process");
        return;
    }
    address_of(s, &address);
    midge_address_text((const struct sockaddr *)&address, out, size);
}

void *midge_peer_listener_user(const void *peer)
{
    const struct midge_sock *s = peer;
    return s ? s->listener->settings->user : NULL;
}
