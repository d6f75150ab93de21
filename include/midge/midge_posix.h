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

#ifdef __cplusplus
extern "C" {
#endif

struct midge_loop;

/* ---- the loop ------------------------------------------------------------------------------------------ */

enum midge_log_level { MIDGE_LOG_ERROR, MIDGE_LOG_WARNING, MIDGE_LOG_NOTICE, MIDGE_LOG_DEBUG };

/* Zero-initialise, set what is wanted. All is borrowed until midge_loop_free, except `hooks`, which is
 * copied. */
struct midge_loop_config {
    const struct midge_memory *memory; /* NULL = midge_memory_libc */
    const struct midge_limits *limits; /* NULL = midge_limits_gateway */
    const struct midge_hooks *hooks;   /* NULL = none; without `random` the kernel is asked */
    const char *auto_id_prefix;        /* NULL = "auto-" */
    uint32_t sys_interval_s;           /* 0 = no $SYS */
    uint32_t stop_ms;                  /* longest time that a stop goes on sending; 0 = 2000 */
    uint32_t posts;                    /* calls from other threads that may wait; 0 = 1024 */
    size_t post_bytes;                 /* and what they may hold in all; 0 = 1 MB */
    /* What the loop itself has to tell: listeners, connections made and refused. NULL = nobody listens. */
    void (*say)(void *user, enum midge_log_level level, const char *text);
    void *say_user;
};

/* NULL: not enough memory or descriptors. config NULL = all defaults. */
MIDGE_MUST_USE struct midge_loop *midge_loop_new(const struct midge_loop_config *config);

/* The broker inside, for midge.h's calls on the loop's thread, and the time of this pass to hand them. */
struct midge *midge_loop_broker(struct midge_loop *loop);
midge_ms midge_loop_now(const struct midge_loop *loop);

/* Listens on each address that `host` stands for: an IPv4 or IPv6 address, a host name, or NULL or "*" for
 * every address of both families ("::" is IPv6 alone). Port 0: the kernel chooses. A family that this machine
 * lacks is passed over as long as one address is left. Not 0: an errno, ENOENT for a name that stands for no
 * address; nothing was opened, and `why` says so in one line. */
MIDGE_MUST_USE int midge_loop_listen(struct midge_loop *loop, const char *host, uint16_t port, char *why,
                                     size_t why_size);

/* The i-th listening socket, in the order they were opened, as "127.0.0.1:1883" or "[::1]:1883"; its port, or
 * 0 when there are not so many. out may be NULL. */
uint16_t midge_loop_address(const struct midge_loop *loop, unsigned i, char *out, size_t size);

/* Serves until it is stopped: then no new connections, DISCONNECT 0x8B, wills, and at most stop_ms for the
 * last bytes. 0, or an errno of the kernel's that ended it. A loop runs once. */
int midge_loop_run(struct midge_loop *loop);

/* Any thread; a signal handler too. A stop that comes before midge_loop_run makes that run end at once. */
void midge_loop_stop(struct midge_loop *loop);

/* Frees the broker and everything of the loop's. No other thread may use it any more. NULL is allowed. */
void midge_loop_free(struct midge_loop *loop);

/* ---- who is on the other end --------------------------------------------------------------------------- */

#define MIDGE_PEER_TEXT 64 /* room for any address with its port */

/* The address behind midge_who.peer as "192.0.2.1:50000" or "[2001:db8::1]:50000"; "in-process" for NULL. */
void midge_peer_text(const void *peer, char *out, size_t size);

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
};
void midge_loop_get_stats(const struct midge_loop *loop, struct midge_loop_stats *out);

#ifdef __cplusplus
}
#endif
#endif
