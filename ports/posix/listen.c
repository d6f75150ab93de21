/* listen.c - listening sockets: names to addresses, accept in batches, what to do without descriptors. */
#include "posix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
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
        snprintf(out, size, address->sa_family == AF_UNIX ? "unix" : "?");
    }
}

/* ---- opening ------------------------------------------------------------------------------------------- */

/* A listener on its way: nothing of it is in the loop before all of it is open. */
struct opening {
    struct midge_loop *loop;
    const struct midge_listen *what;
    struct midge_listener *listener;
    struct midge_door *doors; /* in order */
    struct midge_door **tail;
};

/* Accepted sockets inherit these. SO_KEEPALIVE finds dead peers that asked for no MQTT keep alive. The kernel
 * takes no more than UNSENT_BYTES beyond what the peer's window lets out: what waits longer, waits in the
 * core, as references and within limits. */
static bool set_options(int fd, int family, const char *interface)
{
    const int on = 1, unsent = UNSENT_BYTES;
    if (interface && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface) + 1))
        return false;
    return !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) &&
           !setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) &&
           !setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) &&
           !setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) &&
           (family != AF_INET6 || !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
}

static int arm(const struct midge_loop *loop, struct midge_door *d, int op, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = d };
    return epoll_ctl(loop->epoll_fd, op, d->fd, &event);
}

static int close_and_keep_errno(int fd)
{
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* A listening socket, or -1 and errno. */
static int bind_to(const struct sockaddr *address, socklen_t len, const char *interface)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (set_options(fd, address->sa_family, interface) && !bind(fd, address, len) && !listen(fd, SOMAXCONN))
        return fd;
    return close_and_keep_errno(fd);
}

/* A door for a socket it takes. False, and errno: it is closed. */
static bool add(struct opening *o, int fd)
{
    struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof bound;
    struct midge_door *d = malloc(sizeof *d);
    if (d && !getsockname(fd, (struct sockaddr *)&bound, &len)) {
        *d = (struct midge_door){ .source = SOURCE_DOOR,
                                  .fd = fd,
                                  .port = port_of((const struct sockaddr *)&bound),
                                  .listener = o->listener };
        if (!arm(o->loop, d, EPOLL_CTL_ADD, o->loop->starving ? 0 : EPOLLIN)) {
            *o->tail = d;
            o->tail = &d->next;
            return true;
        }
    }
    int err = errno;
    free(d);
    close(fd);
    errno = err;
    return false;
}

static void close_door(struct midge_door *d)
{
    close(d->fd);
    free(d);
}

/* ---- opening: TCP -------------------------------------------------------------------------------------- */

static void set_port(struct sockaddr *address, uint16_t port)
{
    if (address->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
}

/* Where the kernel chooses the port, the second family gets the first one's if it can. */
static bool open_one(struct opening *o, const struct addrinfo *a)
{
    const char *interface = o->what->interface;
    int fd = -1;
    bool chosen = port_of(a->ai_addr) == 0;
    if (chosen && o->doors) {
        set_port(a->ai_addr, o->doors->port);
        fd = bind_to(a->ai_addr, a->ai_addrlen, interface);
        set_port(a->ai_addr, 0);
    }
    if (fd < 0)
        fd = bind_to(a->ai_addr, a->ai_addrlen, interface);
    return fd >= 0 && add(o, fd);
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

static bool is_ip(int family)
{
    return family == AF_INET || family == AF_INET6;
}

/* 0, or the errno of the address that failed; *failed is that one. */
static int open_all(struct opening *o, const struct addrinfo *list, const struct addrinfo **failed)
{
    int missing = EADDRNOTAVAIL;
    *failed = list;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        if (seen_before(list, a) || !is_ip(a->ai_family) || open_one(o, a))
            continue;
        *failed = a;
        if (!family_is_missing(errno))
            return errno;
        missing = errno;
    }
    return o->doors ? 0 : missing;
}

static int open_tcp(struct opening *o, char *why, size_t why_size)
{
    const struct addrinfo hints = { .ai_family = o->what->family,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    const char *host = o->what->host;
    struct addrinfo *list;
    char service[8];
    if (host && strcmp(host, "*") == 0)
        host = NULL;
    snprintf(service, sizeof service, "%u", o->what->port);
    int err = getaddrinfo(host, service, &hints, &list);
    if (err) {
        const char *text = err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err);
        snprintf(why, why_size, "cannot listen on '%s': %s", host ? host : "*", text);
        return err == EAI_SYSTEM ? errno : ENOENT;
    }
    const struct addrinfo *failed;
    err = open_all(o, list, &failed);
    if (err && failed) {
        char text[MIDGE_PEER_TEXT];
        midge_address_text(failed->ai_addr, text, sizeof text);
        snprintf(why, why_size, "cannot listen on %s: %s", text, strerror(err));
    }
    freeaddrinfo(list);
    return err;
}

/* ---- opening: Unix sockets, and sockets that somebody has opened ---------------------------------------- */

/* Nobody listens on it any more: whoever did was killed. */
static bool is_left_over(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool refused =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused;
}

static int bind_unix(const struct sockaddr_un *address, unsigned mode)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (is_left_over(address))
        unlink(address->sun_path);
    if (bind(fd, (const struct sockaddr *)address, sizeof *address))
        return close_and_keep_errno(fd);
    /* Who may connect is settled before anybody can. */
    if (!chmod(address->sun_path, mode ? mode : 0660) && !listen(fd, SOMAXCONN))
        return fd;
    close_and_keep_errno(fd);
    unlink(address->sun_path);
    return -1;
}

static int open_unix(struct opening *o, char *why, size_t why_size)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = o->what->unix_path;
    size_t n = strlen(path);
    int fd = -1;
    errno = ENAMETOOLONG;
    if (n < sizeof address.sun_path) {
        memcpy(address.sun_path, path, n);
        memcpy(o->listener->unix_path, path, n);
        fd = bind_unix(&address, o->what->unix_mode);
    }
    if (fd >= 0 && add(o, fd))
        return 0;
    int err = errno;
    if (fd >= 0)
        unlink(path);
    snprintf(why, why_size, "cannot listen on '%s': %s", path, strerror(err));
    return err;
}

static int open_inherited(struct opening *o, char *why, size_t why_size)
{
    int fd = o->what->socket_fd, listens = 0;
    socklen_t len = sizeof listens;
    struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
    socklen_t bound_len = sizeof bound;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) || !listens) {
        snprintf(why, why_size, "descriptor %d is not a listening socket", fd);
        return EINVAL;
    }
    getsockname(fd, (struct sockaddr *)&bound, &bound_len);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (bound.ss_family == AF_INET)
        set_options(fd, AF_INET, NULL);
    if (add(o, fd))
        return 0;
    int err = errno;
    snprintf(why, why_size, "cannot listen on descriptor %d: %s", fd, strerror(err));
    return err;
}

/* ---- a listener ---------------------------------------------------------------------------------------- */

static void free_listener(struct midge_listener *l)
{
    if (l->settings)
        midge_settings_drop(l->settings);
    free(l);
}

static void announce(const struct midge_loop *loop, const struct midge_door *d)
{
    for (; d; d = d->next) {
        struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
        socklen_t len = sizeof bound;
        getsockname(d->fd, (struct sockaddr *)&bound, &len);
        if (d->port)
            midge_say(loop, MIDGE_LOG_NOTICE, "Opening %s listen socket on port %u.",
                      bound.ss_family == AF_INET6 ? "ipv6" : "ipv4", d->port);
        else
            midge_say(loop, MIDGE_LOG_NOTICE, "Opening unix listen socket on path %s.",
                      *d->listener->unix_path ? d->listener->unix_path : "(inherited)");
    }
}

static void publish(struct opening *o)
{
    struct midge_loop *loop = o->loop;
    struct midge_door **tail = &loop->doors;
    while (*tail)
        tail = &(*tail)->next;
    *tail = o->doors;
    o->listener->next = loop->listeners;
    loop->listeners = o->listener;
    announce(loop, o->doors);
}

static void abandon(struct opening *o)
{
    while (o->doors) {
        struct midge_door *d = o->doors;
        o->doors = d->next;
        close_door(d);
    }
    free_listener(o->listener);
}

int midge_loop_open(struct midge_loop *loop, const struct midge_listen *what, struct midge_listener **out,
                    char *why, size_t why_size)
{
    int err;
    struct opening o = { .loop = loop, .what = what, .listener = calloc(1, sizeof *o.listener) };
    if (!o.listener) {
        snprintf(why, why_size, "no memory for a listener");
        return ENOMEM;
    }
    o.tail = &o.doors;
    o.listener->loop = loop;
    o.listener->transport = what->transport;
    o.listener->proxy = what->proxy;
    o.listener->settings = midge_settings_new(loop, what, &err, why, why_size);
    if (o.listener->settings)
        err = what->socket_fd > 0 ? open_inherited(&o, why, why_size)
              : what->unix_path   ? open_unix(&o, why, why_size)
                                  : open_tcp(&o, why, why_size);
    if (err) {
        abandon(&o);
        return err;
    }
    publish(&o);
    if (out)
        *out = o.listener;
    return 0;
}

int midge_loop_check(const struct midge_loop *loop, const struct midge_listen *what, char *why,
                     size_t why_size)
{
    int err = 0;
    struct midge_settings *s = midge_settings_new(loop, what, &err, why, why_size);
    if (s)
        midge_settings_drop(s);
    return err;
}

int midge_loop_listen(struct midge_loop *loop, const char *host, uint16_t port, char *why, size_t why_size)
{
    const struct midge_listen what = { .host = host, .port = port };
    return midge_loop_open(loop, &what, NULL, why, why_size);
}

int midge_listener_renew(struct midge_listener *l, const struct midge_listen *what, char *why,
                         size_t why_size)
{
    struct midge_listen same = *what;
    int err;
    same.transport = l->transport;
    struct midge_settings *new = midge_settings_new(l->loop, &same, &err, why, why_size);
    if (!new)
        return err;
    midge_settings_drop(l->settings);
    l->settings = new;
    return 0;
}

/* An event of this pass may still name its doors: they are freed at the end of the pass. */
void midge_listener_close(struct midge_listener *l)
{
    struct midge_loop *loop = l->loop;
    for (struct midge_door *d = loop->doors; d; d = d->next)
        if (d->listener == l && d->fd >= 0) {
            close(d->fd);
            d->fd = -1;
        }
    if (*l->unix_path && !l->closed)
        unlink(l->unix_path);
    l->closed = true;
    loop->listener_ended = true;
}

void midge_listener_leave(struct midge_listener *l)
{
    l->sockets--;
    l->loop->listener_ended |= l->closed;
}

static void bury_doors(struct midge_loop *loop)
{
    struct midge_door **at = &loop->doors;
    while (*at) {
        struct midge_door *d = *at;
        if (d->fd >= 0) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        free(d);
    }
}

void midge_listeners_bury(struct midge_loop *loop)
{
    loop->listener_ended = false;
    bury_doors(loop);
    struct midge_listener **at = &loop->listeners;
    while (*at) {
        struct midge_listener *l = *at;
        if (!l->closed || l->sockets) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        free_listener(l);
    }
}

uint16_t midge_loop_address(const struct midge_loop *loop, unsigned i, char *out, size_t size)
{
    const struct midge_door *d = loop->doors;
    while (d && (d->fd < 0 || !d->port || i--))
        d = d->next;
    if (!d)
        return 0;
    struct sockaddr_storage bound = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof bound;
    getsockname(d->fd, (struct sockaddr *)&bound, &len);
    if (out)
        midge_address_text((const struct sockaddr *)&bound, out, size);
    return d->port;
}

void midge_listeners_close(struct midge_loop *loop)
{
    for (struct midge_listener *l = loop->listeners; l; l = l->next)
        midge_listener_close(l);
    loop->starving = false;
}

/* ---- accepting ----------------------------------------------------------------------------------------- */

void midge_doors_resume(struct midge_loop *loop)
{
    loop->starving = false;
    for (struct midge_door *d = loop->doors; d; d = d->next)
        arm(loop, d, EPOLL_CTL_MOD, EPOLLIN); /* of those that are closed it fails */
}

/* A listening socket that is armed and cannot be served would wake the loop for ever. So none is, until one of our
 * sockets closes or the rest is over; who wants to connect waits in the kernel's backlog. */
static void rest(struct midge_loop *loop, int err)
{
    loop->stats.starved++;
    loop->starving = true;
    loop->accept_again = loop->now + REST_MS;
    for (struct midge_door *d = loop->doors; d; d = d->next)
        arm(loop, d, EPOLL_CTL_MOD, 0);
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

void midge_door_event(struct midge_door *d)
{
    struct midge_loop *loop = d->listener->loop;
    for (int i = 0; i < ACCEPTS_A_PASS && !loop->starving && d->fd >= 0; i++) {
        struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
        socklen_t len = sizeof peer;
        int fd = accept4(d->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            midge_sock_open(d, fd, (const struct sockaddr *)&peer);
        else if (!after_failure(loop, errno))
            return;
    }
}
