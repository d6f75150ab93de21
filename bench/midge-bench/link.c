/* link.c - a socket, and what lies between it and the packets. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool watch(struct link *l, int epoll_fd, int op, uint32_t events, void *user)
{
    struct epoll_event event = { .events = events, .data.ptr = user };
    l->events = events;
    return epoll_ctl(epoll_fd, op, l->fd, &event) == 0;
}

static bool add_layers(struct link *l, const struct transport *t)
{
    if (t->ws) {
        l->ws = zeroed(1, sizeof *l->ws);
        ws_add_upgrade(&l->wire, t->host);
    }
    l->tls = t->tls ? tls_new(l->fd, t->host) : NULL;
    errno = ENOMEM;
    return !t->tls || l->tls;
}

bool link_open(struct link *l, int epoll_fd, const struct transport *t, const struct addrinfo *to, void *user)
{
    const int on = 1;
    l->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return false;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((connect(l->fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS) && add_layers(l, t) &&
        watch(l, epoll_fd, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT, user))
        return true;
    const int err = errno;
    link_close(l);
    errno = err;
    return false;
}

void link_close(struct link *l)
{
    tls_free(l->tls);
    free(l->ws);
    if (l->fd >= 0)
        close(l->fd);
    buffer_free(&l->in);
    buffer_free(&l->out);
    buffer_free(&l->wire);
    *l = (struct link){ .fd = -1 };
}

int link_connected(struct link *l)
{
    int err = 0;
    socklen_t n = sizeof err;
    return getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &err, &n) ? errno : err;
}

void link_wait_for_room(struct link *l, int epoll_fd, void *user, bool on)
{
    const bool for_room = on && !(l->tls && tls_wants_to_read(l->tls));
    const uint32_t events = EPOLLIN | (for_room ? (uint32_t)EPOLLOUT : 0);
    if (events != l->events)
        watch(l, epoll_fd, EPOLL_CTL_MOD, events, user);
}

static enum link_outcome after_failure(void)
{
    return errno == EAGAIN || errno == EINTR ? LINK_AGAIN : LINK_OVER;
}

static enum link_outcome send_bytes(struct link *l, const uint8_t *bytes, size_t n, size_t *sent)
{
    if (l->tls)
        return tls_send(l->tls, bytes, n, sent);
    const ssize_t done = send(l->fd, bytes, n, MSG_NOSIGNAL);
    *sent = done > 0 ? (size_t)done : 0;
    return done < 0 ? after_failure() : *sent == n ? LINK_OK : LINK_AGAIN;
}

static enum link_outcome send_buffer(struct link *l, struct buffer *b)
{
    size_t sent;
    if (buffer_bytes(b) == 0)
        return LINK_OK;
    const enum link_outcome o = send_bytes(l, b->bytes + b->at, buffer_bytes(b), &sent);
    buffer_take(b, sent);
    return o;
}

/* A frame for all that is there when the one before is out. */
enum link_outcome link_send(struct link *l)
{
    if (!l->ws)
        return send_buffer(l, &l->out);
    const enum link_outcome o = send_buffer(l, &l->wire);
    if (o != LINK_OK || !l->ws->greeted || buffer_bytes(&l->out) == 0)
        return o;
    ws_add_frame(&l->wire, l->out.bytes + l->out.at, buffer_bytes(&l->out));
    buffer_take(&l->out, buffer_bytes(&l->out));
    return send_buffer(l, &l->wire);
}

static enum link_outcome receive_bytes(struct link *l, uint8_t *bytes, size_t size, size_t *n)
{
    if (l->tls)
        return tls_receive(l->tls, bytes, size, n);
    const ssize_t got = recv(l->fd, bytes, size, 0);
    *n = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return LINK_OK;
    return got == 0 ? LINK_OVER : after_failure();
}

enum link_outcome link_receive(struct link *l, uint8_t *bytes, size_t size, size_t *n)
{
    const enum link_outcome o = receive_bytes(l, bytes, size, n);
    return l->ws && !ws_strip(l->ws, bytes, n) ? LINK_OVER : o;
}
