/* midge.h - the broker: bytes in, bytes out, a clock handed in, memory handed in.
 *
 * A broker is used by one thread at a time; any number of brokers may live in one process. The host (a "port")
 * owns the sockets. Its loop is:
 *
 *     bytes arrived on c:          midge_recv(c, bytes, n, now)
 *     peer or network is gone:     midge_lost(c, now)
 *     after each batch:            while ((c = midge_ready(m, now))) serve(c)
 *     serve(c):                    while the socket has room: n = midge_pull(c, out, room, now); send n bytes
 *                                  midge_status(c): close? (then midge_lost)  paused? (then do not read)
 *     sleep until midge_deadline(m), then midge_tick(m, now)
 */
#ifndef MIDGE_H
#define MIDGE_H

#include "midge/midge_config.h"
#include "midge/midge_hooks.h"
#include "midge/midge_store.h"
#include "midge/midge_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MIDGE_VERSION "0.1.0"

struct midge;
struct midge_conn;
struct midge_local;

/* ---- memory ------------------------------------------------------------------------------------------- */

/* Where the broker's memory comes from. `free` and `resize` are told the size that was asked for, so an allocator
 * needs no header per block. Blocks are aligned for any type. */
struct midge_memory {
    void *user;
    void *(*alloc)(void *user, size_t n);                          /* NULL = none left */
    void (*free)(void *user, void *p, size_t n);
    /* As realloc: NULL = none, p untouched. n < old must succeed. */
    void *(*resize)(void *user, void *p, size_t old, size_t n);
    size_t (*cost)(size_t n); /* bytes that a block of n takes with the allocator's own; NULL = n */
    size_t size;              /* bytes that it has in all; 0 = not known. limits.memory_bytes counts up to this */
};

/* One block of the caller's as the broker's whole memory: no header per block, no fragmentation that outlives
 * the blocks around it. `block` is used until the broker is freed. size: 1 kB .. 16 MB. Returns false if smaller.
 * midge_arena_largest: the largest block that could be had now. */
bool midge_arena_memory(void *block, size_t size, struct midge_memory *out);
size_t midge_arena_largest(const struct midge_memory *arena);

/* malloc, realloc, free of the C library, counted with 8 bytes a block more. In ports, not in the core. */
extern const struct midge_memory midge_memory_libc;

enum midge_tag {
    MIDGE_TAG_BROKER,
    MIDGE_TAG_CONN,    /* connections, names, aliases, login state */
    MIDGE_TAG_CONTROL, /* answers waiting to be sent */
    MIDGE_TAG_FRAME,   /* packets that arrive in pieces */
    MIDGE_TAG_SESSION, /* sessions, packet ids, wills */
    MIDGE_TAG_SUB,     /* subscriptions and the nodes of their tree */
    MIDGE_TAG_QUEUE,   /* one entry a message and session */
    MIDGE_TAG_MSG,     /* messages, once each */
    MIDGE_TAG_RETAIN,  /* the tree of retained messages, and replays */
    MIDGE_TAGS
};

/* ---- the broker --------------------------------------------------------------------------------------- */

/* All pointers are borrowed until midge_free; hooks and limits may be const and in flash. */
struct midge_config {
    const struct midge_memory *memory;
    const struct midge_limits *limits;  /* NULL = midge_limits_chip */
    const struct midge_hooks *hooks;    /* NULL = none */
    const char *auto_id_prefix;         /* of assigned client ids; NULL = "auto-" */
    uint32_t sys_interval_s;            /* $SYS updates; 0 = none */
    const struct midge_store *store;    /* NULL = nothing outlives the broker */
};

/* NULL: not enough memory. The one allocation the broker makes for itself; midge_free gives everything back. */
MIDGE_MUST_USE struct midge *midge_new(const struct midge_config *config, midge_ms now);

/* Every connection must have been given back with midge_lost. Sessions, retained messages, local clients end. */
void midge_free(struct midge *m);

/* Ends each connection (5.0: DISCONNECT 0x8B); wills are published, also delayed ones; nobody new is accepted. The
 * port goes on serving midge_ready until all connections are lost, or no longer, then calls midge_free. */
void midge_shutdown(struct midge *m, midge_ms now);

/* New limits from now on (same lifetime rule). What is above them stays until it goes by itself. */
void midge_set_limits(struct midge *m, const struct midge_limits *limits);

/* Does what is due: keep alives, expiries, will delays, in-process deliveries. Call at midge_deadline or later, any
 * number of times. */
void midge_tick(struct midge *m, midge_ms now);

/* When midge_tick has something to do next; MIDGE_NEVER = not before something happens. */
midge_ms midge_deadline(const struct midge *m);

/* ---- connections -------------------------------------------------------------------------------------- */

/* A client of the host's own that speaks 5.0 through midge_recv and midge_pull as others do, without a socket: the
 * broker's end of a bridge. Nobody is asked whether it may; its session is not put out for room, keeps the expiry
 * that it asks for, and is no client's from outside. Its queue has limits of its own. midge_ready does not name it:
 * its owner looks at midge_status after each turn. It has to ask for a Session Expiry. All is borrowed until its
 * session ends (midge_kick), midge_inside_forget, or a connection of the same client id that brings another one. */
struct midge_inside {
    uint32_t queue_bytes;     /* in place of limits.queue_bytes; 0 = that */
    uint32_t queue_msgs;      /* the same of queue_msgs */
    const uint8_t *policies;  /* enum midge_queue_policy, by Subscription Identifier: that of 1 comes first */
    uint32_t policy_count;    /* others: MIDGE_QUEUE_DROP_NEW */
    bool tells_age;           /* what waited for a second or more gets a user property MIDGE_AGE: how many seconds */
    bool no_bridged;          /* what came through a bridge is not for it */
    uint32_t frozen_age_s;    /* the broker's */
};
#define MIDGE_AGE "midge-age"

/* The session of this client id stays, and is from now on like those of other clients. */
void midge_inside_forget(struct midge *m, struct midge_slice client_id);

struct midge_peer {
    void *user;           /* the port's own pointer, handed to hooks and given back by midge_conn_user */
    uint32_t address_key; /* equal for connections of one address (a hash will do); 0 = not counted */
    struct midge_inside *inside; /* not NULL: in place of `user`, which hooks then see as NULL */
    bool forgets;         /* with inside: whom it speaks for has forgotten the QoS 2 ids that it had not released */
};

/* A transport connection was made. NULL: at a limit, or no memory: close it. The connection belongs to the core until
 * the port calls midge_lost, which it does exactly once, whoever ends it. */
MIDGE_MUST_USE struct midge_conn *midge_accept(struct midge *m, const struct midge_peer *peer, midge_ms now);

/* Bytes arrived, any number, cut anywhere. All are consumed. Does nothing on a connection that is ending. */
void midge_recv(struct midge_conn *c, const void *bytes, size_t n, midge_ms now);

/* Writes up to `room` bytes to send; 0 = nothing to send now. Packets are encoded here, as late as possible. What was
 * pulled counts as sent. */
size_t midge_pull(struct midge_conn *c, void *out, size_t room, midge_ms now);

/* The next connection that wants the port's attention: bytes to pull, a close, an end of PAUSE. NULL = none. Each is
 * named once until something new happens to it. */
struct midge_conn *midge_ready(struct midge *m, midge_ms now);

#define MIDGE_STATUS_PULL 1u   /* midge_pull has bytes */
#define MIDGE_STATUS_CLOSE 2u  /* nothing more to send: close it, then midge_lost */
#define MIDGE_STATUS_PAUSED 4u /* do not read; midge_ready names it when it may be read again */
unsigned midge_status(const struct midge_conn *c);

/* The transport is gone or closed; c is freed. Its session, will and so on go their way [MQTT-3.1.2-8]. */
void midge_lost(struct midge_conn *c, midge_ms now);

void *midge_conn_user(const struct midge_conn *c);
struct midge *midge_conn_broker(const struct midge_conn *c);

/* The answer to a login question that was answered LATER. Ignored if the connection is no longer waiting. */
void midge_login_done(struct midge_conn *c, const struct midge_login_answer *answer, midge_ms now);

/* Ends the connection of a client id, with a DISCONNECT reason >= 0x80; its session stays unless `end_session`. */
MIDGE_MUST_USE enum midge_err midge_kick(struct midge *m, struct midge_slice client_id, uint8_t reason,
                                         bool end_session, midge_ms now);

/* ---- publish and subscribe from inside ---------------------------------------------------------------- */

struct midge_user_property {
    struct midge_slice name;
    struct midge_slice value;
};

/* What to publish. All borrowed; copied before the call returns. Zero-initialise, set what is wanted. */
struct midge_publication {
    struct midge_slice topic;
    struct midge_slice payload;
    uint8_t qos;                /* 0..2 */
    bool retain;
    bool has_expiry;
    bool has_payload_format;
    uint8_t payload_format;     /* 0 bytes, 1 UTF-8 text */
    uint32_t expiry_s;
    struct midge_slice content_type;   /* data NULL = absent, for these three */
    struct midge_slice response_topic;
    struct midge_slice correlation_data;
    const struct midge_user_property *user_properties;
    size_t user_property_count;
};

/* An in-process client: a session without a socket, with all that a session has. The other clients cannot tell.
 * client_id: as in CONNECT; an existing client of that id is taken over. NULL and *err: why not. */
struct midge_local_config {
    struct midge_slice client_id; /* len 0 = one is assigned */
    void *tag;                    /* shown to hooks.allow as who.tag */
};
MIDGE_MUST_USE struct midge_local *midge_local_open(struct midge *m, const struct midge_local_config *config,
                                                    midge_ms now, enum midge_err *err);
void midge_local_close(struct midge_local *l, midge_ms now);

/* Publishes as client `l`, or as the broker's host when l is NULL. Returns after every matching session holds it; from
 * inside a hook or callback: after it is queued. */
MIDGE_MUST_USE enum midge_err midge_publish(struct midge *m, struct midge_local *l, const struct midge_publication *p,
                                            midge_ms now);

/* Called from midge_tick, never from inside midge_local_subscribe or midge_publish. QoS 1 and 2 are acknowledged as it
 * returns. `message` is borrowed. */
typedef void (*midge_on_message)(void *user, const struct midge_message *message);

struct midge_subscription {
    struct midge_slice filter;   /* $share/group/filter too */
    uint8_t qos;                 /* 0..2 */
    bool no_local;
    bool retain_as_published;
    uint8_t retain_handling;     /* 0..2, as in MQTT 5.0 */
    midge_on_message on_message;
    void *user;
};
MIDGE_MUST_USE enum midge_err midge_local_subscribe(struct midge_local *l, const struct midge_subscription *s,
                                                    midge_ms now);
MIDGE_MUST_USE enum midge_err midge_local_unsubscribe(struct midge_local *l, struct midge_slice filter, midge_ms now);

/* ---- looking inside ----------------------------------------------------------------------------------- */

/* One property of a message's `props`, in order. *at starts at 0. False = no more. Text properties come in `value`
 * (user properties: name and value), numbers in `number`. */
struct midge_property {
    uint8_t id; /* MQTT 5.0 property identifier, e.g. 0x26 user property */
    uint32_t number;
    struct midge_slice name;
    struct midge_slice value;
};
bool midge_message_property(const struct midge_message *message, uint32_t *at, struct midge_property *out);

/* What became of the messages queued for one session, or all, by QoS of delivery. Always:
 * enqueued = acknowledged + expired + dropped[..] + ended + (queued + inflight, as of now).
 * QoS 0 is acknowledged when it was sent. A message that a limit kept out of the queue is enqueued and dropped. */
struct midge_books {
    uint64_t enqueued, acknowledged, expired, ended;
    uint64_t dropped[MIDGE_DROP_REASONS];
    uint64_t queued, inflight; /* now */
};

struct midge_stats {
    size_t memory_used, memory_peak;
    size_t memory_by_tag[MIDGE_TAGS];
    size_t memory_peak_by_tag[MIDGE_TAGS];
    uint32_t connections;      /* open, CONNECT complete or not */
    uint32_t clients;          /* connected */
    uint32_t sessions;         /* connected or not */
    uint32_t subscriptions;
    uint32_t retained;
    uint64_t bytes_received, bytes_sent;
    uint64_t publish_received, publish_sent;
    uint64_t publish_refused;  /* by the memory limit or a policy */
    struct midge_books books[3]; /* all sessions, by QoS; zero without MIDGE_BOOKS */
};
void midge_get_stats(const struct midge *m, struct midge_stats *out);

/* Books of one session. MIDGE_ERR_NOT_FOUND: no such session, or a build without MIDGE_BOOKS. */
MIDGE_MUST_USE enum midge_err midge_get_books(const struct midge *m, struct midge_slice client_id,
                                              struct midge_books out[3]);

/* One client that the broker knows. */
struct midge_client_info {
    struct midge_who who;   /* peer, tag and username while it is connected */
    bool connected;
    uint16_t inflight;      /* QoS 1 and 2 on their way to it */
    uint32_t subscriptions;
    uint32_t queued, queued_bytes; /* those in flight included */
    uint32_t expiry_s;      /* of its session; UINT32_MAX = never */
};

/* Shows each client, or each retained message, in no order that matters; what is shown lives until `each` returns,
 * which calls nothing of midge.h meanwhile but midge_message_property. */
void midge_each_client(const struct midge *m, void (*each)(void *user, const struct midge_client_info *client),
                       void *user);
void midge_each_retained(const struct midge *m, void (*each)(void *user, const struct midge_message *message),
                         void *user);

#ifdef __cplusplus
}
#endif
#endif
