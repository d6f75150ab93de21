/* link.c - plain TCP. A layer would be fed in link_receive and pulled in link_send, as bytes. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool watch(struct link *l, int epoll_fd, int op, uint32_t events, void *user)
{
    struct epoll_event event = { .events = events, .data.ptr = user };
    l->events = events;
    return epoll_ctl(epoll_fd, op, l->fd, &event) == 0;
}

bool link_open(struct link *l, int epoll_fd, const struct sockaddr *address, socklen_t address_bytes,
               void *user)
{
    const int on = 1;
    l->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return false;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((connect(l->fd, address, address_bytes) == 0 || errno == EINPROGRESS) &&
        watch(l, epoll_fd, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT, user))
        return true;
    const int err = errno;
    link_close(l);
    errno = err;
    return false;
}

void link_close(struct link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    buffer_free(&l->in);
    buffer_free(&l->out);
}

int link_connected(struct link *l)
{
    int err = 0;
    socklen_t n = sizeof err;
    return getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &err, &n) ? errno : err;
}

void link_wait_for_room(struct link *l, int epoll_fd, void *user, bool on)
{
    const uint32_t events = EPOLLIN | (on ? (uint32_t)EPOLLOUT : 0);
    if (events != l->events)
        watch(l, epoll_fd, EPOLL_CTL_MOD, events, user);
}

static enum link_outcome after_failure(void)
{
    return errno == EAGAIN || errno == EINTR ? LINK_AGAIN : LINK_OVER;
}

enum link_outcome link_send(struct link *l)
{
    const size_t waiting = buffer_bytes(&l->out);
    if (waiting == 0)
        return LINK_OK;
    const ssize_t n = send(l->fd, l->out.bytes + l->out.at, waiting, MSG_NOSIGNAL);
    if (n < 0)
        return after_failure();
    buffer_take(&l->out, (size_t)n);
    return (size_t)n == waiting ? LINK_OK : LINK_AGAIN;
}

enum link_outcome link_receive(struct link *l, uint8_t *bytes, size_t size, size_t *n)
{
    const ssize_t got = recv(l->fd, bytes, size, 0);
    *n = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return LINK_OK;
    return got == 0 ? LINK_OVER : after_failure();
}
