/* posix.h - what the files of the Linux port share: the loop, its sockets, its postbox. */
#ifndef MIDGE_POSIX_INTERNAL_H
#define MIDGE_POSIX_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, eventfd, getrandom */
#endif

#include "midge/midge_posix.h"
#include "net/tls.h"
#include "net/ws.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* One buffer of each for all connections: an idle one owns none. A quarter of a megabyte, because what the kernel does
 * a call costs as much as copying that; only as much of it as was ever used is resident. */
#define MIDGE_LOOP_BUFFER (256u * 1024)

/* What epoll gives back: the first member of whatever it watches. */
enum midge_source { SOURCE_SOCK, SOURCE_DOOR, SOURCE_WATCH, SOURCE_UPLINK };

/* What a listener was told, and what came of it. Counted: a connection that began with it keeps it. */
struct midge_settings {
    uint32_t refs;
    uint32_t connections; /* 0 = as many as the limits allow */
    uint8_t identity;
    struct midge_tls *tls; /* owns; NULL = none */
    const struct midge_tls_provider *provider;
    struct midge_ws_options ws;
    char *ws_path;           /* these own what `ws` borrows */
    const char **ws_origins;
    struct midge_psk_table *psks; /* owns; what `tls` asks */
    void *user;
};

/* One or more listening sockets that were opened together. Lives until it is closed and its last connection is. */
struct midge_listener {
    struct midge_loop *loop;
    struct midge_settings *settings; /* holds */
    struct midge_listener *next;
    uint32_t sockets;                /* connections that came through it */
    uint8_t transport;
    bool proxy;
    bool closed;
    char unix_path[108];             /* as long as the kernel's; "" = none */
};

/* A listening socket. */
struct midge_door {
    uint8_t source;
    uint16_t port; /* 0: none, it is a Unix socket */
    int fd;        /* -1: closed, freed at the end of the pass */
    struct midge_listener *listener;
    struct midge_door *next;
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
struct midge_waiting *midge_waiting_new(const uint8_t *bytes, size_t n); /* NULL: no memory; freed by free */

/* One connection:
 *
 *     greeting ──(handshakes are over)──► open ──(core: CLOSE)──► closing ──(peer's end, or time)──► dead
 *         └─────────(refused, failed)─────────────────────────────►
 *
 * and freed at the end of the pass. Plain TCP is open at once and has no link. */
struct midge_sock {
    uint8_t source;
    uint8_t events;       /* EPOLLIN, EPOLLOUT as they are armed now */
    uint8_t state;        /* enum midge_sock_state */
    int fd;               /* -1: dead; an event of this pass may still name it */
    struct midge_listener *listener;
    union {
        struct midge_conn *conn; /* open: given back with midge_lost exactly once */
        midge_ms until;          /* greeting, closing: how long its peer may take */
    } u;
    struct midge_link *link;       /* owns: the layers between socket and core; NULL = none */
    struct midge_waiting *waiting; /* owns; NULL = nothing waits */
    struct midge_sock *next;
    struct midge_sock **pprev;
};

enum midge_sock_state { SOCK_GREETING, SOCK_OPEN, SOCK_CLOSING };

/* The oldest first: all in a queue have the same time. */
struct midge_sock_queue {
    struct midge_sock *first;
    struct midge_sock **tail;
};

/* ---- the broker's memory (pool.c) ---------------------------------------------------------------------- */

#define MIDGE_POOL_GRAIN ((size_t)8) /* no type of the core's has a greater alignment */
#define MIDGE_POOL_CLASSES 128
#define MIDGE_POOL_FIRST_SLAB ((size_t)8 * 1024)
#define MIDGE_POOL_SLAB ((size_t)64 * 1024 - 32) /* with its header and malloc's */

struct midge_pool_block;
struct midge_pool_slab;

/* Not to be moved: `memory` points to it. */
struct midge_pool {
    struct midge_memory memory;
    struct midge_pool_slab *slabs;
    uint8_t *at; /* the last slab's bytes that have not been handed out */
    size_t left;
    struct midge_pool_block *classes[MIDGE_POOL_CLASSES];
};

void midge_pool_init(struct midge_pool *p);
/* Everything drawn from it is gone, but for blocks of more than MIDGE_POOL_CLASSES grains. */
void midge_pool_free(struct midge_pool *p);

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
    int greeting_fd;                 /* an epoll in that one: of those who greet */
    int wake_fd;                     /* eventfd: a stop, or something in the postbox */
    atomic_bool stop;
    bool stopping;                   /* what is left is sent, then everything is closed */
    bool starving;                   /* nothing left to accept with: the listeners are not armed */
    bool complained;                 /* and that was told */
    bool watch_ended;                /* one of `watches` is to be freed */
    bool listener_ended;             /* one of `listeners` or `doors` is */
    uint64_t address_seed;           /* odd */
    midge_ms accept_again;           /* when starving: try then at the latest */
    struct midge_listener *listeners;
    struct midge_door *doors;        /* in the order they were opened */
    struct midge_sock *open;
    struct midge_sock_queue greeting;
    struct midge_sock_queue closing;
    struct midge_sock *dead;
    struct midge_link *stirred;      /* their layers may have something to say */
    struct midge_watch *watches;
    struct midge_uplink *uplinks;
    bool uplink_ended;               /* one of them is to be freed */
    struct midge_local *local;       /* the postbox's own client; NULL until it is needed */
    struct midge_hooks hooks;
    struct midge_loop_config config;
    struct midge_loop_stats stats;
    struct midge_postbox postbox;
    struct midge_pool pool;          /* what config.memory is, unless the host has its own */
    uint8_t in[MIDGE_LOOP_BUFFER];
    uint8_t out[MIDGE_LOOP_BUFFER];
};

__attribute__((format(printf, 3, 4)))
void midge_say(const struct midge_loop *loop, enum midge_log_level level, const char *format, ...);
void midge_loop_wake(struct midge_loop *loop);

/* ---- listeners (listen.c) ------------------------------------------------------------------------------ */

void midge_door_event(struct midge_door *d);
/* Arms the listening sockets again after a rest. */
void midge_doors_resume(struct midge_loop *loop);
void midge_listeners_close(struct midge_loop *loop);
/* Frees what was closed and has no connection any more. */
void midge_listeners_bury(struct midge_loop *loop);
/* A connection that came through it is gone. */
void midge_listener_leave(struct midge_listener *l);

/* ---- what listeners are told (settings.c) -------------------------------------------------------------- */

/* NULL: `why`, and *err is an errno. Held once. */
struct midge_settings *midge_settings_new(const struct midge_loop *loop, const struct midge_listen *what,
                                          int *err, char *why, size_t why_size);
void midge_settings_drop(struct midge_settings *s);

/* ---- pre-shared keys (psk.c) --------------------------------------------------------------------------- */

struct midge_psk_table;
/* Lines identity:hex-key; empty ones and those that begin with # are passed over. NULL: `why`, and errno. */
struct midge_psk_table *midge_psk_read(const char *path, char *why, size_t why_size);
/* A midge_psk whose user is the table. */
uint32_t midge_psk_find(void *table, const char *identity, uint8_t *key, uint32_t size);
void midge_psk_free(struct midge_psk_table *t);

/* ---- layers of a connection (link.c) ------------------------------------------------------------------- */

struct midge_link {
    struct midge_chain chain;
    struct midge_settings *settings;  /* holds */
    const struct midge_layer *proxy;  /* of the chain; NULL = not in it, for both */
    struct midge_layer *tls;
    bool undecided;                   /* what it speaks is told by the first byte */
    bool stirred;                     /* it was fed in this pass, and hangs in loop->stirred */
    struct midge_link *next_stirred;
};

/* Whether connections of this listener have layers. */
bool midge_link_is_needed(const struct midge_listener *l);
/* NULL: no memory. */
struct midge_link *midge_link_new(struct midge_sock *s);
void midge_link_free(struct midge_link *link);
/* All handshakes are over. */
bool midge_link_is_through(const struct midge_link *link);
/* The address that a PROXY header told. False: there was none. */
bool midge_link_source(const struct midge_link *link, struct sockaddr_storage *out);

/* ---- sockets (sock.c) ---------------------------------------------------------------------------------- */

/* Takes fd. A connection the core does not want is closed. */
void midge_sock_open(struct midge_door *d, int fd, const struct sockaddr *peer);
void midge_sock_event(struct midge_sock *s, uint32_t events);
/* Some of those who greet have something to say: a few of them are heard. */
void midge_socks_hear(void *user, int fd);
/* Sends what the core has for this connection, then does what it asks: close, pause, go on. */
void midge_sock_serve(struct midge_sock *s);
/* MQTT's bytes, in and out, for the link: what the peer sent; what there is to send. */
void midge_sock_take(struct midge_sock *s, const uint8_t *bytes, size_t n);
size_t midge_sock_give(struct midge_sock *s, uint8_t *out, size_t room);
/* Sends what layers have to say of their own. */
void midge_socks_settle(struct midge_loop *loop);
/* Gives up the closing ones whose peers had until `now` (MIDGE_NEVER: all). True: there was one. */
bool midge_socks_expire(struct midge_loop *loop, midge_ms now);
/* The same for those that are greeting. */
void midge_socks_give_up(struct midge_loop *loop, midge_ms now);
/* Ends every connection, open or closing, now. */
void midge_socks_close(struct midge_loop *loop);
/* Frees what closed in this pass. */
void midge_socks_bury(struct midge_loop *loop);

/* ---- bridges (uplink.c), and the connections they make (dial.c) ---------------------------------------- */

struct midge_dial;

/* Looks `host` up and connects. Then the dial is over, and `made` is told the socket, or -1 and why not; it is not
 * called from inside midge_dial_new. `from`: a local address, NULL = any. NULL: no memory. */
struct midge_dial *midge_dial_new(struct midge_loop *loop, const char *host, const char *port, const char *from,
                                  void (*made)(void *user, int fd, const char *why), void *user);
void midge_dial_tick(struct midge_dial *d);
midge_ms midge_dial_deadline(const struct midge_dial *d);
void midge_dial_cancel(struct midge_dial *d); /* before it is over; NULL is fine */

void midge_uplink_event(struct midge_uplink *u, uint32_t events);
/* What is due, what is to be sent. */
void midge_uplinks_turn(struct midge_loop *loop);
midge_ms midge_uplinks_deadline(const struct midge_loop *loop);
void midge_uplinks_close(struct midge_loop *loop);
void midge_uplinks_bury(struct midge_loop *loop);

/* "127.0.0.1:1883", "[::1]:1883", "unix", "?" */
void midge_address_text(const struct sockaddr *address, char *out, size_t size);

#endif
