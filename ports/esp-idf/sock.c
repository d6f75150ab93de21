/* sock.c - one connection: bytes from the socket to the core and back, a close that loses no last word. */
#include "esp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#define BUFFERS_A_TURN 4 /* sent to one connection before the others get their turn */

enum outcome { SENT, SOCKET_IS_FULL, PEER_IS_GONE };

/* Layers that are not compiled in cost no code. */
static bool has_link(const struct midge_sock *s)
{
    return (MIDGE_ESP_TLS || MIDGE_ESP_WS) && s->link;
}

static bool would_block(void)
{
    int err = errno;
    return err == EAGAIN || err == EINTR;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static void free_waiting(struct midge_sock *s)
{
    struct midge_waiting *w = s->waiting;
    if (!w)
        return;
    s->esp->stats.waiting_bytes -= w->len;
    midge_esp_release(s->esp, w, sizeof *w + w->len);
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
    struct midge_waiting *w = midge_esp_alloc(s->esp, sizeof *w + n);
    if (!w)
        return PEER_IS_GONE; /* a hole in the stream cannot be mended */
    w->at = 0;
    w->len = (uint32_t)n;
    memcpy(w->bytes, bytes, n);
    s->waiting = w;
    s->esp->stats.waiting_bytes += w->len;
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

static size_t pull(struct midge_sock *s, uint8_t *out, size_t room)
{
    if (has_link(s))
        return midge_chain_pull(&s->link->chain, out, room);
    return s->closing ? 0 : midge_pull(s->u.conn, out, room, s->esp->now);
}

/* SOCKET_IS_FULL also when only this connection's turn is over: select brings it back at once. */
static enum outcome send_all(struct midge_sock *s)
{
    struct midge_esp *e = s->esp;
    enum outcome o = send_waiting(s);
    for (int turn = 0; o == SENT; turn++) {
        if (turn == BUFFERS_A_TURN)
            return SOCKET_IS_FULL;
        size_t n = 0, more;
        while (n < sizeof e->buffer && (more = pull(s, e->buffer + n, sizeof e->buffer - n)))
            n += more;
        if (n == 0)
            return SENT;
        o = send_bytes(s, e->buffer, n);
    }
    return o;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* Closed, and everything of its own freed; itself at the end of the pass. */
static void die(struct midge_sock *s)
{
    free_waiting(s);
    if (has_link(s))
        midge_link_free(s->esp, s->link);
    s->link = NULL;
    close(s->fd);
    s->fd = -1;
    s->esp->stats.sockets--;
    s->esp->accept_again = 0; /* here is a socket */
}

static void lose(struct midge_sock *s)
{
    if (!s->closing)
        midge_lost(s->u.conn, s->esp->now);
    die(s);
}

/* Our side is closed, and the peer's awaited: closing both with unread bytes in the socket would reset the
 * connection and take the last packet, with the reason in it, from under the peer. */
static void half_close(struct midge_sock *s)
{
    s->wants_write = false;
    shutdown(s->fd, SHUT_WR);
    if (s->esp->stopping)
        die(s);
}

/* What waits, and the layers' goodbyes. */
static void say_farewell(struct midge_sock *s)
{
    enum outcome o = send_all(s);
    s->wants_write = o == SOCKET_IS_FULL;
    if (o == SENT)
        half_close(s);
    else if (o == PEER_IS_GONE)
        die(s);
}

/* The core, or a layer, has nothing more to say. */
static void begin_close(struct midge_sock *s)
{
    struct midge_esp *e = s->esp;
    midge_lost(s->u.conn, e->now);
    s->closing = true;
    s->u.until = e->now + e->config.limits->linger_ms;
    if (has_link(s))
        midge_chain_close(&s->link->chain);
    say_farewell(s);
}

void midge_socks_expire(struct midge_esp *e, midge_ms now)
{
    for (struct midge_sock *s = e->socks; s; s = s->next)
        if (s->fd >= 0 && s->closing && s->u.until <= now)
            die(s);
}

void midge_socks_bury(struct midge_esp *e)
{
    struct midge_sock **at = &e->socks;
    while (*at) {
        struct midge_sock *s = *at;
        if (s->fd >= 0) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        midge_esp_release(e, s, sizeof *s);
    }
}

void midge_socks_close(struct midge_esp *e)
{
    for (struct midge_sock *s = e->socks; s; s = s->next)
        if (s->fd >= 0)
            lose(s);
    midge_socks_bury(e);
}

/* ---- in ------------------------------------------------------------------------------------------------ */

bool midge_sock_reads(const struct midge_sock *s)
{
    return s->closing || !(midge_status(s->u.conn) & MIDGE_STATUS_PAUSED);
}

/* A layer has ended: in order, or by what it calls wrong. */
static void end_link(struct midge_sock *s)
{
    char text[MIDGE_PEER_TEXT];
    const char *why = s->link->chain.why;
    midge_esp_peer_text(s, text, sizeof text);
    if (why)
        ESP_LOGW(MIDGE_TAG, "Connection from %s failed: %s.", text, why);
    begin_close(s);
}

void midge_sock_serve(struct midge_sock *s)
{
    if (has_link(s) && s->link->chain.ended) {
        end_link(s);
        return;
    }
    enum outcome o = send_all(s);
    s->wants_write = o == SOCKET_IS_FULL;
    if (o == PEER_IS_GONE)
        lose(s);
    else if (midge_status(s->u.conn) & MIDGE_STATUS_CLOSE)
        begin_close(s);
}

/* A layer may owe an answer of its own, of which the core knows nothing. */
static void feed_link(struct midge_sock *s, size_t n)
{
    midge_chain_feed(&s->link->chain, s->esp->buffer, n);
    midge_sock_serve(s);
}

static void receive(struct midge_sock *s)
{
    struct midge_esp *e = s->esp;
    ssize_t n = recv(s->fd, e->buffer, sizeof e->buffer, 0);
    if (n < 0 && would_block())
        return;
    if (n <= 0)
        lose(s);
    else if (s->closing)
        return; /* nobody listens any more */
    else if (has_link(s))
        feed_link(s, (size_t)n);
    else
        midge_recv(s->u.conn, e->buffer, (size_t)n, e->now);
}

void midge_sock_event(struct midge_sock *s, bool readable, bool writable)
{
    if (writable && s->closing)
        say_farewell(s);
    else if (writable)
        midge_sock_serve(s);
    if (readable && s->fd >= 0)
        receive(s);
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

static bool set_up(struct midge_sock *s, const struct midge_listener *l)
{
    struct midge_esp *e = s->esp;
    const int on = 1;
    const struct midge_peer who = { .user = s, .address_key = midge_address_key(s->fd) };
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (fcntl(s->fd, F_SETFL, O_NONBLOCK) || !(s->u.conn = midge_accept(e->broker, &who, e->now)))
        return false;
    const bool layered = (MIDGE_ESP_TLS && l->tls) || (MIDGE_ESP_WS && l->websocket);
    if (!layered || (s->link = midge_link_new(s, l)) != NULL)
        return true;
    midge_lost(s->u.conn, e->now);
    return false;
}

static struct midge_sock *new_sock(struct midge_esp *e, int fd, const struct midge_listener *l)
{
    if (e->stats.sockets >= e->config.sockets)
        midge_socks_expire(e, MIDGE_NEVER);
    if (e->stats.sockets >= e->config.sockets || fd >= FD_SETSIZE)
        return NULL;
    struct midge_sock *s = midge_esp_alloc(e, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct midge_sock){ .esp = e, .fd = fd, .next = e->socks };
    if (set_up(s, l))
        return s;
    midge_esp_release(e, s, sizeof *s);
    return NULL;
}

void midge_sock_open(struct midge_esp *e, int fd, const struct midge_listener *l)
{
    char text[MIDGE_PEER_TEXT];
    struct midge_sock *s = new_sock(e, fd, l);
    if (!s) {
        close(fd);
        e->stats.refused++;
        ESP_LOGW(MIDGE_TAG, "Connection on port %u refused: a limit is reached.", l->port);
        return;
    }
    e->socks = s;
    e->stats.accepted++;
    e->stats.sockets++;
    midge_esp_peer_text(s, text, sizeof text);
    ESP_LOGI(MIDGE_TAG, "New connection from %s on port %u.", text, l->port);
}
