/* posix.h - what the files of the Linux port share: the loop, its sockets, its postbox. */
#ifndef MIDGE_POSIX_INTERNAL_H
#define MIDGE_POSIX_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, eventfd, getrandom */
#endif

#include "midge/midge_posix.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* One buffer of each for all connections: an idle one owns none. */
#define MIDGE_LOOP_BUFFER 65536u

/* What epoll gives back: the first member of whatever it watches. */
enum midge_source { SOURCE_SOCK, SOURCE_LISTENER, SOURCE_WATCH };

struct midge_listener {
    uint8_t source;
    uint16_t port;
    int fd; /* -1: closed; it stays for its connections */
    struct midge_listener *next;
    struct midge_loop *loop;
    void *user;
    uint32_t most, count; /* of connections; most 0 = no limit */
};

struct midge_watch {
    uint8_t source;
    int fd; /* -1: ended, freed at the end of the pass */
    struct midge_watch *next;
    void (*ready)(void *user, int fd);
    void *user;
};

/* Bytes that the core has given away and the socket has not taken yet. */
struct midge_waiting {
    uint32_t at, len;
    uint8_t bytes[];
};

/* One connection:  open ──(core: CLOSE)──► closing ──(peer's end, or time)──► dead ──(end of pass)──► freed
 * A layer chain (TLS, WebSocket) will hang here, between socket and core: see feed() and fill() in sock.c. */
struct midge_sock {
    uint8_t source;
    uint8_t events;       /* EPOLLIN, EPOLLOUT as they are armed now */
    bool closing;
    int fd;               /* -1: dead; an event of this pass may still name it */
    struct midge_loop *loop;
    struct midge_listener *listener;
    union {
        struct midge_conn *conn; /* open: given back with midge_lost exactly once */
        midge_ms until;          /* closing: how long its peer may take */
    } u;
    struct midge_waiting *waiting; /* owns; NULL = nothing waits */
    struct midge_sock *next;
    struct midge_sock **pprev;
};

/* ---- the postbox (postbox.c) --------------------------------------------------------------------------- */

struct midge_post;

struct midge_postbox {
    pthread_mutex_t lock; /* guards the fields below, and is not held while a post is carried out */
    struct midge_post *head;
    struct midge_post **tail;
    uint32_t count, count_max;
    size_t bytes, bytes_max;
    bool closed;
};

void midge_postbox_init(struct midge_postbox *b, uint32_t count_max, size_t bytes_max);
/* Carries out what has been posted so far. */
void midge_postbox_empty(struct midge_loop *loop);
/* Later posts are refused. */
void midge_postbox_close(struct midge_loop *loop);
/* Tells what is left that it was not carried out. */
void midge_postbox_free(struct midge_postbox *b);

/* ---- the loop (loop.c) --------------------------------------------------------------------------------- */

struct midge_loop {
    struct midge *broker;
    midge_ms now;                    /* the clock, read once a pass */
    int epoll_fd;
    int wake_fd;                     /* eventfd: a stop, or something in the postbox */
    atomic_bool stop;
    bool stopping;                   /* what is left is sent, then everything is closed */
    bool starving;                   /* nothing left to accept with: the listeners are not armed */
    bool complained;                 /* and that was told */
    bool watch_ended;                /* one of `watches` is to be freed */
    uint64_t address_seed;           /* odd */
    midge_ms accept_again;           /* when starving: try then at the latest */
    struct midge_listener *listeners;
    struct midge_sock *open;
    struct midge_sock *closing;      /* oldest first: they all wait equally long */
    struct midge_sock **closing_tail;
    struct midge_sock *dead;
    struct midge_watch *watches;
    struct midge_local *local;       /* the postbox's own client; NULL until it is needed */
    struct midge_hooks hooks;
    struct midge_loop_config config;
    struct midge_loop_stats stats;
    struct midge_postbox postbox;
    uint8_t in[MIDGE_LOOP_BUFFER];
    uint8_t out[MIDGE_LOOP_BUFFER];
};

__attribute__((format(printf, 3, 4)))
void midge_say(const struct midge_loop *loop, enum midge_log_level level, const char *format, ...);
void midge_loop_wake(struct midge_loop *loop);

/* ---- listeners (listen.c) ------------------------------------------------------------------------------ */

void midge_listener_event(struct midge_loop *loop, struct midge_listener *l);
/* Arms the listeners again after a rest. */
void midge_listeners_resume(struct midge_loop *loop);
void midge_listeners_close(struct midge_loop *loop);
void midge_listeners_free(struct midge_loop *loop);

/* ---- sockets (sock.c) ---------------------------------------------------------------------------------- */

/* Takes fd. A connection the core does not want is closed. */
void midge_sock_open(struct midge_listener *l, int fd, const struct sockaddr *peer);
void midge_sock_event(struct midge_sock *s, uint32_t events);
/* Sends what the core has for this connection, then does what it asks: close, pause, go on. */
void midge_sock_serve(struct midge_sock *s);
/* Gives up the closing ones whose peers had until `now` (MIDGE_NEVER: all). True: there was one. */
bool midge_socks_expire(struct midge_loop *loop, midge_ms now);
/* Ends every connection, open or closing, now. */
void midge_socks_close(struct midge_loop *loop);
/* Frees what closed in this pass. */
void midge_socks_bury(struct midge_loop *loop);

/* "127.0.0.1:1883", "[::1]:1883", "?" */
void midge_address_text(const struct sockaddr *address, char *out, size_t size);

#endif
