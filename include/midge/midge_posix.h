/* midge_posix.h - a broker on Linux: its sockets, the loop that serves them, and calls from other threads.
 *
 *     char why[128];
 *     struct midge_loop *loop = midge_loop_new(NULL);
 *     midge_loop_listen(loop, "127.0.0.1", 1883, why, sizeof why);
 *     midge_loop_run(loop);             until midge_loop_stop(loop), from a signal handler or another thread
 *     midge_loop_free(loop);
 *
 * One thread at a time uses a loop and its broker. Other threads may call midge_loop_stop and midge_post_* only.
 * Several loops may run in one process, each on a thread of its own.
 */
#ifndef MIDGE_POSIX_H
#define MIDGE_POSIX_H

#include "midge/midge.h"
#include "midge/midge_bridge.h"
#include "midge/midge_tls.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_loop;

/* ---- the loop ------------------------------------------------------------------------------------------ */

enum midge_log_level {
    MIDGE_LOG_ERROR,
    MIDGE_LOG_WARNING,
    MIDGE_LOG_NOTICE,
    MIDGE_LOG_INFORMATION,
    MIDGE_LOG_SUBSCRIBE,
    MIDGE_LOG_UNSUBSCRIBE,
    MIDGE_LOG_DEBUG
};

/* Zero-initialise, set what is wanted. All is borrowed until midge_loop_free, except `hooks`, which is
 * copied. */
struct midge_loop_config {
    const struct midge_memory *memory; /* NULL = a pool of the loop's own over malloc */
    const struct midge_limits *limits; /* NULL = midge_limits_gateway */
    const struct midge_hooks *hooks;   /* NULL = none; without `random`, `wall_ms` the kernel is asked */
    const char *auto_id_prefix;        /* NULL = "auto-" */
    const struct midge_store *store;   /* NULL = nothing outlives the broker; else restore before midge_loop_run */
    uint32_t sys_interval_s;           /* 0 = no $SYS */
    uint32_t stop_ms;                  /* longest time that a stop goes on sending; 0 = 2000 */
    uint32_t posts;                    /* calls from other threads that may wait; 0 = 1024 */
    size_t post_bytes;                 /* and what they may hold in all; 0 = 1 MB */
    const struct midge_tls_provider *tls; /* &midge_tls_openssl, see midge_tls.h; NULL = no TLS */
    uint32_t greetings;                /* connections not yet through TLS, upgrade or PROXY; 0 = 1024 */
    uint32_t greeting_ms;              /* the time they have for it; 0 = 10000 */
    /* What the loop itself has to tell: listeners, connections made and refused. NULL = nobody listens. */
    void (*say)(void *user, enum midge_log_level level, const char *text);
    void *say_user;
};

/* NULL: not enough memory or descriptors. config NULL = all defaults. */
MIDGE_MUST_USE struct midge_loop *midge_loop_new(const struct midge_loop_config *config);

/* The hooks as the broker sees them. They may be changed on the loop's thread, outside of a hook: one that is not
 * needed is better NULL, so that nobody is asked for nothing. */
struct midge_hooks *midge_loop_hooks(struct midge_loop *loop);

/* The broker inside, for midge.h's calls on the loop's thread, and the time of this pass to hand them. */
struct midge *midge_loop_broker(struct midge_loop *loop);
midge_ms midge_loop_now(const struct midge_loop *loop);

/* Listens on each address that `host` stands for: an IPv4 or IPv6 address, a host name, or NULL or "*" for
 * every address of both families ("::" is IPv6 alone). Port 0: the kernel chooses. A family that this machine
 * lacks is passed over as long as one address is left. Not 0: an errno, ENOENT for a name that stands for no
 * address; nothing was opened, and `why` says so in one line. */
MIDGE_MUST_USE int midge_loop_listen(struct midge_loop *loop, const char *host, uint16_t port, char *why,
                                     size_t why_size);

/* The i-th listening socket that has a port, in the order they were opened, as "127.0.0.1:1883" or "[::1]:1883"; its
 * port, or 0 when there are not so many. out may be NULL. */
uint16_t midge_loop_address(const struct midge_loop *loop, unsigned i, char *out, size_t size);

/* Serves until it is stopped: then no new connections, DISCONNECT 0x8B, wills, and at most stop_ms for the
 * last bytes. 0, or an errno of the kernel's that ended it. A loop runs once. */
int midge_loop_run(struct midge_loop *loop);

/* Any thread; a signal handler too. A stop that comes before midge_loop_run makes that run end at once. */
void midge_loop_stop(struct midge_loop *loop);

/* Frees the broker and everything of the loop's. No other thread may use it any more. NULL is allowed. */
void midge_loop_free(struct midge_loop *loop);

/* ---- listeners ----------------------------------------------------------------------------------------- */

enum midge_transport {
    MIDGE_TRANSPORT_TCP,
    MIDGE_TRANSPORT_TLS,
    MIDGE_TRANSPORT_WS,  /* WebSocket */
    MIDGE_TRANSPORT_WSS, /* WebSocket in TLS */
    MIDGE_TRANSPORT_ANY  /* told apart by the first byte; TLS and what is in it if `tls` has a certificate or PSKs */
};

/* What a client is called by its certificate or pre-shared key: see midge_peer_identity. */
enum midge_identity {
    MIDGE_IDENTITY_NONE,
    MIDGE_IDENTITY_CN,      /* the certificate's common name, or the PSK identity */
    MIDGE_IDENTITY_SUBJECT  /* the whole subject, as RFC 2253 writes it; or the PSK identity */
};

/* Zero-initialise, set what is wanted. Copied or used up before the call returns, except `user` and what
 * midge_tls_options says. */
struct midge_listen {
    uint8_t transport;          /* enum midge_transport */
    uint8_t identity;           /* enum midge_identity */
    uint16_t port;              /* 0 = the kernel chooses */
    const char *host;           /* as in midge_loop_listen */
    const char *unix_path;      /* not NULL: a Unix socket there; host and port mean nothing */
    unsigned unix_mode;         /* its permissions; 0 = 0660 */
    int socket_fd;              /* > 0: this listening socket, which the loop takes (socket activation) */
    const char *interface;      /* SO_BINDTODEVICE; NULL = any */
    int family;                 /* AF_INET or AF_INET6 alone; 0 = both */
    uint32_t connections;       /* of this listener at once; 0 = as many as the limits allow */
    bool proxy;                 /* each connection begins with a PROXY header, v1 or v2: who it really is */
    const char *ws_path;        /* path of the upgrade request; NULL = any */
    const char *const *ws_origins; /* web pages let in, "https://example.org"; NULL = all. Whoever sends no */
    size_t ws_origin_count;        /* Origin header is no browser, and let in */
    uint32_t ws_header_bytes;   /* longest upgrade request; 0 = 4096 */
    struct midge_tls_options tls;
    void *user;                 /* see midge_peer_listener_user */
};

struct midge_listener;

/* Listens as `what` says. 0: *out, unless out is NULL, is the listener. Else an errno, as midge_loop_listen; EPROTO
 * for what is wrong with `what->tls`; nothing was opened, and `why` says so in one line. */
MIDGE_MUST_USE int midge_loop_open(struct midge_loop *loop, const struct midge_listen *what,
                                   struct midge_listener **out, char *why, size_t why_size);

/* Is all in order that `what` names: certificates, keys, pre-shared keys? Nothing is opened. As midge_loop_open. */
MIDGE_MUST_USE int midge_loop_check(const struct midge_loop *loop, const struct midge_listen *what, char *why,
                                    size_t why_size);

/* New certificates, keys, CRLs, PSKs, origins, path, identity, connections, user: for whoever connects from now on.
 * Transport, address and proxy stay. Not 0: an errno and `why`; everything is as before. */
MIDGE_MUST_USE int midge_listener_renew(struct midge_listener *l, const struct midge_listen *what, char *why,
                                        size_t why_size);

/* Ends listening. Its connections live on. The loop closes all that are open at its end. */
void midge_listener_close(struct midge_listener *l);

/* ---- who is on the other end --------------------------------------------------------------------------- */

#define MIDGE_PEER_TEXT 64 /* room for any address with its port */

/* The address behind midge_who.peer as "192.0.2.1:50000" or "[2001:db8::1]:50000", the one that a PROXY header
 * told where there was one; "unix" for a Unix socket, "in-process" for NULL. */
void midge_peer_text(const void *peer, char *out, size_t size);

/* What its certificate or pre-shared key calls it, by the listener's `identity`; text without a NUL behind it,
 * valid while it is connected. data NULL: nothing does. */
struct midge_slice midge_peer_identity(const void *peer);

/* midge_listen.user of the listener it came through; NULL for NULL. */
void *midge_peer_listener_user(const void *peer);

/* ---- bridges ------------------------------------------------------------------------------------------- */

struct midge_uplink;

/* Zero-initialise, set what is wanted. Borrowed until midge_uplink_close, as all that the bridge's options say. */
struct midge_uplink_options {
    struct midge_bridge_options bridge; /* addresses: "host:port", "host" or "[::1]:port"; memory, random, user and
                                           event are the loop's, which tells through `say` */
    uint16_t port;                /* of addresses without one; 0 = that of the transport */
    uint8_t transport;            /* enum midge_transport, but not ANY */
    const char *ws_path;          /* NULL = "/mqtt" */
    const char *bind_address;     /* a local address to come from; NULL = any */
    struct midge_tls_options tls; /* of the client's side: see midge_tls.h */
};

/* Names are looked up on a thread of their own; all else is the loop's. NULL: `why` says so in one line. */
MIDGE_MUST_USE struct midge_uplink *midge_loop_bridge(struct midge_loop *loop,
                                                      const struct midge_uplink_options *options, char *why,
                                                      size_t why_size);
void midge_uplink_get_stats(const struct midge_uplink *u, struct midge_bridge_stats *out);
/* Says goodbye as far as the socket has room. The loop closes all that are open at its end. */
void midge_uplink_close(struct midge_uplink *u, bool end_session);
/* The same, for one with other maps to take its place: see midge_bridge_unsubscribe. */
void midge_uplink_replace(struct midge_uplink *u);

/* ---- the host's own descriptors ------------------------------------------------------------------------ */

/* Calls `ready` on the loop's thread whenever `fd` can be read or, with for_writing, written. One watch a
 * descriptor: a new one replaces it, `ready` NULL ends it, before the descriptor is closed. False: no memory,
 * or `fd` cannot be waited for (regular files). */
bool midge_loop_watch(struct midge_loop *loop, int fd, bool for_writing, void (*ready)(void *user, int fd),
                      void *user);

/* ---- calls from any thread ----------------------------------------------------------------------------- */

/* Each is copied into the loop's postbox and carried out on the loop's thread, in order. They return at once:
 *
 *     MIDGE_OK             it waits; `done`, unless NULL, is told on the loop's thread what became of it
 *     MIDGE_ERR_FULL       `posts` or `post_bytes` are used up
 *     MIDGE_ERR_NO_MEMORY  for the copy
 *     MIDGE_ERR_NOT_FOUND  the loop was stopped
 *
 * What was posted before a stop is carried out; what a loop that never ran still holds is told NOT_FOUND.
 * A local client must stay open until what was posted for it is done. */
typedef void (*midge_posted)(void *user, enum midge_err result);

/* `l` as in midge_publish: NULL = the broker's host. */
MIDGE_MUST_USE enum midge_err midge_post_publish(struct midge_loop *loop, struct midge_local *l,
                                                 const struct midge_publication *p, midge_posted done,
                                                 void *user);

/* `l` NULL: the loop's own in-process client, which is opened when it is first needed. s->on_message is
 * called on the loop's thread. */
MIDGE_MUST_USE enum midge_err midge_post_subscribe(struct midge_loop *loop, struct midge_local *l,
                                                   const struct midge_subscription *s, midge_posted done,
                                                   void *user);
MIDGE_MUST_USE enum midge_err midge_post_unsubscribe(struct midge_loop *loop, struct midge_local *l,
                                                     struct midge_slice filter, midge_posted done,
                                                     void *user);

/* Runs `call` on the loop's thread: the way to any function of midge.h. */
MIDGE_MUST_USE enum midge_err midge_post_call(struct midge_loop *loop,
                                              void (*call)(void *user, struct midge *m, midge_ms now),
                                              void *user);

/* ---- looking inside ------------------------------------------------------------------------------------ */

struct midge_loop_stats {
    uint64_t passes;      /* times the loop woke up */
    uint64_t accepted;    /* connections */
    uint64_t refused;     /* connections closed at once: at a limit, or no memory */
    uint64_t starved;     /* times accepting had to rest for want of descriptors or memory */
    size_t waiting_bytes; /* pulled from the broker, not yet taken by a socket; a heap block a connection */
    uint32_t sockets;     /* open, the ones that are closing included */
    uint32_t greeting;    /* of them: not yet through TLS, WebSocket's upgrade or PROXY */
    uint64_t failed;      /* connections that did not get through it */
};
void midge_loop_get_stats(const struct midge_loop *loop, struct midge_loop_stats *out);

#ifdef __cplusplus
}
#endif
#endif
