/* listen.c - listening sockets: names to addresses, accept in batches, what to do without descriptors. */
#include "posix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPTS_A_PASS 64
#define UNSENT_BYTES (2 * (int)MIDGE_LOOP_BUFFER)
#define REST_MS 1000u /* the longest rest: descriptors may be freed by others, who do not tell */

static uint16_t port_of(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (address->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return 0;
}

void midge_address_text(const struct sockaddr *address, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, size, "%s:%u", host, port_of(address));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, size, "[%s]:%u", host, port_of(address));
    } else {
        snprintf(out, size, "?");
    }
}

/* ---- opening ------------------------------------------------------------------------------------------- */

/* Accepted sockets inherit these. SO_KEEPALIVE finds dead peers that asked for no MQTT keep alive. The kernel
 * takes no more than UNSENT_BYTES beyond what the peer's window lets out: what waits longer, waits in the
 * core, as references and within limits. */
static bool set_options(int fd, int family)
{
    const int on = 1, unsent = UNSENT_BYTES;
    return !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) &&
           !setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) &&
           !setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) &&
           !setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) &&
           (family != AF_INET6 || !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
}

static int arm(const struct midge_loop *loop, struct midge_listener *l, int op, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = l };
    return epoll_ctl(loop->epoll_fd, op, l->fd, &event);
}

/* A listening socket, or -1 and errno. */
static int bind_to(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (set_options(fd, address->sa_family) && !bind(fd, address, len) && !listen(fd, SOMAXCONN))
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* The listener for a socket it takes, hung on *at. */
static struct midge_listener *add(struct midge_loop *loop, int fd, struct midge_listener **at)
{
    struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof bound;
    struct midge_listener *l = malloc(sizeof *l);
    if (l && !getsockname(fd, (struct sockaddr *)&bound, &len)) {
        *l = (struct midge_listener){ .source = SOURCE_LISTENER,
                                      .fd = fd,
                                      .loop = loop,
                                      .port = port_of((const struct sockaddr *)&bound) };
        if (!arm(loop, l, EPOLL_CTL_ADD, EPOLLIN))
            return *at = l;
    }
    int err = errno;
    free(l);
    close(fd);
    errno = err;
    return NULL;
}

static void set_port(struct sockaddr *address, uint16_t port)
{
    if (address->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
}

/* Where the kernel chooses the port, the second family gets the first one's if it can. */
static struct midge_listener *open_one(struct midge_loop *loop, const struct addrinfo *a,
                                       const struct midge_listener *first, struct midge_listener **at)
{
    int fd = -1;
    bool chosen = port_of(a->ai_addr) == 0;
    if (chosen && first) {
        set_port(a->ai_addr, first->port);
        fd = bind_to(a->ai_addr, a->ai_addrlen);
        set_port(a->ai_addr, 0);
    }
    if (fd < 0)
        fd = bind_to(a->ai_addr, a->ai_addrlen);
    return fd < 0 ? NULL : add(loop, fd, at);
}

static void close_from(struct midge_listener **at)
{
    while (*at) {
        struct midge_listener *l = *at;
        *at = l->next;
        if (l->fd >= 0)
            close(l->fd);
        free(l);
    }
}

/* Name services sometimes list an address twice. */
static bool seen_before(const struct addrinfo *list, const struct addrinfo *a)
{
    for (; list != a; list = list->ai_next)
        if (list->ai_addrlen == a->ai_addrlen && memcmp(list->ai_addr, a->ai_addr, a->ai_addrlen) == 0)
            return true;
    return false;
}

static bool family_is_missing(int err)
{
    return err == EAFNOSUPPORT || err == EADDRNOTAVAIL || err == EPROTONOSUPPORT;
}

/* 0, or the errno of the address that failed; *failed is that one. */
static int open_all(struct midge_loop *loop, const struct addrinfo *list, struct midge_listener **tail,
                    const struct addrinfo **failed)
{
    int missing = EADDRNOTAVAIL;
    struct midge_listener **at = tail;
    *failed = list;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        if (seen_before(list, a) || (a->ai_family != AF_INET && a->ai_family != AF_INET6))
            continue;
        struct midge_listener *l = open_one(loop, a, *tail, at);
        if (l) {
            at = &l->next;
            continue;
        }
        *failed = a;
        if (!family_is_missing(errno))
            return errno;
        missing = errno;
    }
    return *tail ? 0 : missing;
}

static void announce(const struct midge_loop *loop, const struct midge_listener *l, unsigned i)
{
    char text[MIDGE_PEER_TEXT];
    for (; l; l = l->next, i++) {
        midge_loop_address(loop, i, text, sizeof text);
        midge_say(loop, MIDGE_LOG_NOTICE, "Opening %s listen socket on port %u.",
                  *text == '[' ? "ipv6" : "ipv4", l->port);
    }
}

int midge_loop_listen(struct midge_loop *loop, const char *host, uint16_t port, char *why, size_t why_size)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *list;
    char service[8];
    if (host && strcmp(host, "*") == 0)
        host = NULL;
    snprintf(service, sizeof service, "%u", port);
    int err = getaddrinfo(host, service, &hints, &list);
    if (err) {
        const char *text = err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err);
        snprintf(why, why_size, "cannot listen on '%s': %s", host ? host : "*", text);
        return err == EAI_SYSTEM ? errno : ENOENT;
    }

    unsigned count = 0;
    struct midge_listener **tail = &loop->listeners;
    for (; *tail; tail = &(*tail)->next)
        count++;
    const struct addrinfo *failed;
    err = open_all(loop, list, tail, &failed);
    if (err) {
        char text[MIDGE_PEER_TEXT];
        midge_address_text(failed->ai_addr, text, sizeof text);
        snprintf(why, why_size, "cannot listen on %s: %s", text, strerror(err));
        close_from(tail);
    }
    freeaddrinfo(list);
    announce(loop, *tail, count);
    return err;
}

uint16_t midge_loop_address(const struct midge_loop *loop, unsigned i, char *out, size_t size)
{
    const struct midge_listener *l = loop->listeners;
    for (; l && (l->fd < 0 || i); l = l->next)
        i -= l->fd >= 0;
    if (!l)
        return 0;
    struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof bound;
    getsockname(l->fd, (struct sockaddr *)&bound, &len);
    if (out)
        midge_address_text((const struct sockaddr *)&bound, out, size);
    return l->port;
}

void midge_listeners_close(struct midge_loop *loop)
{
    for (struct midge_listener *l = loop->listeners; l; l = l->next)
        midge_listener_close(l);
    loop->starving = false;
}

void midge_listeners_free(struct midge_loop *loop)
{
    close_from(&loop->listeners);
}

/* ---- by options ---------------------------------------------------------------------------------------- */

static int take_socket(struct midge_loop *loop, int fd, struct midge_listener **tail, char *why, size_t why_size)
{
    if (add(loop, fd, tail))
        return 0;
    snprintf(why, why_size, "cannot listen on the socket that was handed over: %s", strerror(errno));
    return errno;
}

int midge_loop_open(struct midge_loop *loop, const struct midge_listen *what, struct midge_listener **out, char *why,
                    size_t why_size)
{
    struct midge_listener **tail = &loop->listeners;
    while (*tail)
        tail = &(*tail)->next;
    const char *host = what->host ? what->host : what->family == AF_INET ? "0.0.0.0" : what->family ? "::" : NULL;
    int err = what->socket_fd > 0 ? take_socket(loop, what->socket_fd, tail, why, why_size)
                                  : midge_loop_listen(loop, host, what->port, why, why_size);
    for (struct midge_listener *l = *tail; !err && l; l = l->next) {
        l->user = what->user;
        l->most = what->connections;
    }
    if (!err && out)
        *out = *tail;
    return err;
}

int midge_listener_renew(struct midge_listener *l, const struct midge_listen *what, char *why, size_t why_size)
{
    (void)why;
    (void)why_size;
    void *user = l->user;
    for (; l && l->user == user; l = l->next)
        l->most = what->connections;
    return 0;
}

void midge_listener_close(struct midge_listener *l)
{
    void *user = l->user;
    for (; l && l->user == user; l = l->next) {
        if (l->fd >= 0)
            close(l->fd);
        l->fd = -1;
    }
}

/* ---- accepting ----------------------------------------------------------------------------------------- */

void midge_listeners_resume(struct midge_loop *loop)
{
    loop->starving = false;
    for (struct midge_listener *l = loop->listeners; l; l = l->next)
        if (l->fd >= 0)
            arm(loop, l, EPOLL_CTL_MOD, EPOLLIN);
}

/* A listener that is armed and cannot be served would wake the loop for ever. So none is, until one of our
 * sockets closes or the rest is over; who wants to connect waits in the kernel's backlog. */
static void rest(struct midge_loop *loop, int err)
{
    loop->stats.starved++;
    loop->starving = true;
    loop->accept_again = loop->now + REST_MS;
    for (struct midge_listener *l = loop->listeners; l; l = l->next)
        if (l->fd >= 0)
            arm(loop, l, EPOLL_CTL_MOD, 0);
    if (!loop->complained)
        midge_say(loop, MIDGE_LOG_WARNING, "Cannot accept connections for now: %s.", strerror(err));
    loop->complained = true;
}

/* The connection was gone before it was accepted, or its network is: accept(2) says to go on. */
static bool is_of_the_peer(int err)
{
    static const int errors[] = { EINTR,  ECONNABORTED, EPROTO,     ENETDOWN,    ENOPROTOOPT, EHOSTDOWN,
                                  ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (err == errors[i])
            return true;
    return false;
}

/* True: accept again. */
static bool after_failure(struct midge_loop *loop, int err)
{
    if (err == EAGAIN) {
        loop->complained = false; /* everybody who waited is in: the next famine is news */
        return false;
    }
    if (is_of_the_peer(err) || (err == EMFILE && midge_socks_expire(loop, MIDGE_NEVER)))
        return true;
    rest(loop, err);
    return false;
}

void midge_listener_event(struct midge_loop *loop, struct midge_listener *l)
{
    for (int i = 0; l->fd >= 0 && i < ACCEPTS_A_PASS && !loop->starving; i++) {
        struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
        socklen_t len = sizeof peer;
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            midge_sock_open(l, fd, (const struct sockaddr *)&peer);
        else if (!after_failure(loop, errno))
            return;
    }
}
