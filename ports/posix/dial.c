/* dial.c - an outgoing connection: the name is looked up on a thread of its own, addresses are tried in turn. */
#include "posix.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONNECT_MS 10000u /* for one address */
#define LOOKUP_MS 30000u
#define HOST_MAX 256u

/* ---- looking a name up --------------------------------------------------------------------------------- */

enum lookup_state { LOOKUP_RUNS, LOOKUP_DONE, LOOKUP_LEFT };

/* Shared by two threads. Whoever comes last frees it. */
struct lookup {
    atomic_int state;
    int fd; /* eventfd: written when done */
    int err;
    struct addrinfo *found;
    char host[HOST_MAX], port[16];
};

static void free_lookup(struct lookup *k)
{
    if (k->found)
        freeaddrinfo(k->found);
    close(k->fd);
    free(k);
}

static int look_up(struct lookup *k, int flags)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };
    k->err = getaddrinfo(k->host, k->port, &hints, &k->found);
    return k->err;
}

static void *look_up_thread(void *arg)
{
    struct lookup *k = arg;
    int runs = LOOKUP_RUNS;
    look_up(k, AI_ADDRCONFIG);
    if (!atomic_compare_exchange_strong(&k->state, &runs, LOOKUP_DONE)) {
        free_lookup(k);
        return NULL;
    }
    uint64_t one = 1;
    ssize_t n = write(k->fd, &one, sizeof one);
    (void)n;
    return NULL;
}

static void leave_lookup(struct lookup *k)
{
    int runs = LOOKUP_RUNS;
    if (!atomic_compare_exchange_strong(&k->state, &runs, LOOKUP_LEFT))
        free_lookup(k);
}

static bool start_thread(struct lookup *k)
{
    pthread_attr_t detached;
    pthread_t thread;
    if (pthread_attr_init(&detached))
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, (size_t)256 * 1024);
    bool made = pthread_create(&thread, &detached, look_up_thread, k) == 0;
    pthread_attr_destroy(&detached);
    return made;
}

/* An address needs no thread: it is done at once. NULL: no memory. */
static struct lookup *new_lookup(const char *host, const char *port)
{
    struct lookup *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    snprintf(k->host, sizeof k->host, "%s", host);
    snprintf(k->port, sizeof k->port, "%s", port);
    if (k->fd >= 0 && look_up(k, AI_NUMERICHOST) == 0) {
        uint64_t one = 1;
        ssize_t n = write(k->fd, &one, sizeof one);
        (void)n;
        atomic_store(&k->state, LOOKUP_DONE);
        return k;
    }
    if (k->fd >= 0 && start_thread(k))
        return k;
    if (k->fd >= 0)
        close(k->fd);
    free(k);
    return NULL;
}

/* ---- dialing ------------------------------------------------------------------------------------------- */

struct midge_dial {
    struct midge_loop *loop;
    struct lookup *lookup;
    const struct addrinfo *at; /* the next to be tried */
    int fd;                    /* connecting; -1 = none */
    midge_ms due;              /* give it up then */
    const char *from;
    char why[96];
    void (*made)(void *user, int fd, const char *why);
    void *user;
};

static void forget_fd(struct midge_dial *d)
{
    if (d->fd < 0)
        return;
    midge_loop_watch(d->loop, d->fd, true, NULL, NULL);
    close(d->fd);
    d->fd = -1;
}

void midge_dial_cancel(struct midge_dial *d)
{
    if (!d)
        return;
    forget_fd(d);
    midge_loop_watch(d->loop, d->lookup->fd, false, NULL, NULL);
    leave_lookup(d->lookup);
    free(d);
}

static void end(struct midge_dial *d, int fd)
{
    void (*made)(void *user, int fd, const char *why) = d->made;
    void *user = d->user;
    char why[sizeof d->why];
    memcpy(why, d->why, sizeof why);
    midge_dial_cancel(d);
    made(user, fd, fd < 0 ? why : NULL);
}

static void note(struct midge_dial *d, int err)
{
    snprintf(d->why, sizeof d->why, "%s", strerror(err));
}

/* The address to come from. */
static bool bind_to(int fd, const char *from, int family)
{
    const struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
    struct addrinfo *own;
    if (getaddrinfo(from, NULL, &hints, &own))
        return false;
    bool bound = bind(fd, own->ai_addr, own->ai_addrlen) == 0;
    freeaddrinfo(own);
    return bound;
}

static int open_socket(struct midge_dial *d, const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (d->from && !bind_to(fd, d->from, a->ai_family)) {
        close(fd);
        errno = EADDRNOTAVAIL;
        return -1;
    }
    return fd;
}

static void connected(void *user, int fd);

/* True: an attempt is under way. */
static bool try_one(struct midge_dial *d, const struct addrinfo *a)
{
    d->fd = open_socket(d, a);
    if (d->fd < 0) {
        note(d, errno);
        return false;
    }
    if ((connect(d->fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS) &&
        midge_loop_watch(d->loop, d->fd, true, connected, d)) {
        d->due = d->loop->now + CONNECT_MS;
        return true;
    }
    note(d, errno);
    forget_fd(d);
    return false;
}

static void try_next(struct midge_dial *d)
{
    forget_fd(d);
    while (d->at) {
        const struct addrinfo *a = d->at;
        d->at = a->ai_next;
        if (try_one(d, a))
            return;
    }
    end(d, -1);
}

static void connected(void *user, int fd)
{
    struct midge_dial *d = user;
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
        err = errno;
    if (err) {
        note(d, err);
        try_next(d);
        return;
    }
    midge_loop_watch(d->loop, fd, true, NULL, NULL);
    d->fd = -1;
    end(d, fd);
}

static void found(void *user, int fd)
{
    struct midge_dial *d = user;
    midge_loop_watch(d->loop, fd, false, NULL, NULL);
    if (d->lookup->err)
        snprintf(d->why, sizeof d->why, "%s", gai_strerror(d->lookup->err));
    d->at = d->lookup->err ? NULL : d->lookup->found;
    try_next(d);
}

struct midge_dial *midge_dial_new(struct midge_loop *loop, const char *host, const char *port, const char *from,
                                  void (*made)(void *user, int fd, const char *why), void *user)
{
    struct midge_dial *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    *d = (struct midge_dial){ .loop = loop, .fd = -1, .from = from, .made = made, .user = user };
    d->due = loop->now + LOOKUP_MS;
    d->lookup = new_lookup(host, port);
    if (d->lookup && midge_loop_watch(loop, d->lookup->fd, false, found, d))
        return d;
    if (d->lookup)
        leave_lookup(d->lookup);
    free(d);
    return NULL;
}

void midge_dial_tick(struct midge_dial *d)
{
    if (d->loop->now < d->due)
        return;
    snprintf(d->why, sizeof d->why, "no answer");
    try_next(d);
}

midge_ms midge_dial_deadline(const struct midge_dial *d)
{
    return d->due;
}
