/* midge_bridge.h - a bridge: what this broker and another one have for each other; bytes in, bytes out.
 *
 * A bridge is a client of both brokers and keeps nothing of its own. Packets pass through it with their packet ids and
 * acknowledgements, topics changed by its maps, so all that has to be remembered is in the two sessions: what waits for
 * the other broker waits in this one's session, in its store if there is one, and what was sent once is not sent twice,
 * whichever of the two is killed in between.
 *
 *          this broker ══ in-process connection ══ bridge ══ transport ══ the other broker
 *              session "local.NAME"                              session "NAME"
 *
 * The host owns the transport. Its loop, besides that of the broker:
 *
 *     i = midge_bridge_dial(b, now)        i >= 0: connect to address i, and then
 *     the transport is up:                 midge_bridge_connected(b, now)
 *     bytes arrived:                       midge_bridge_recv(b, bytes, n, now)
 *     it is gone, or could not be made:    midge_bridge_lost(b, why, now)
 *     after each turn of the broker's:     midge_bridge_turn(b, now)
 *     after each of these:                 while it has room: n = midge_bridge_pull(b, out, room, now); send n
 *                                          midge_bridge_status(b): close? (then lost)  paused? (do not read)
 *     sleep until midge_bridge_deadline(b), then midge_bridge_turn(b, now)
 */
#ifndef MIDGE_BRIDGE_H
#define MIDGE_BRIDGE_H

#include "midge/midge.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_bridge;

/* ---- what it carries ----------------------------------------------------------------------------------- */

enum midge_bridge_direction { MIDGE_BRIDGE_OUT = 1, MIDGE_BRIDGE_IN = 2, MIDGE_BRIDGE_BOTH = 3 };

/* local_prefix + pattern here is remote_prefix + pattern there. The first map that a topic fits is its map. */
struct midge_bridge_map {
    const char *pattern;       /* a topic filter; "" with both prefixes: they are one topic each */
    const char *local_prefix;  /* NULL = none; a wildcard may only follow a '/' */
    const char *remote_prefix;
    uint8_t direction;         /* enum midge_bridge_direction */
    uint8_t qos;               /* the highest that messages keep */
    uint8_t policy;            /* enum midge_queue_policy, of what goes out */
    bool no_retain;            /* messages lose their RETAIN */
};

/* NULL: the map is lawful; else what is wrong with it, static text. */
const char *midge_bridge_map_wrong(const struct midge_bridge_map *map);

/* ---- one bridge ---------------------------------------------------------------------------------------- */

enum midge_bridge_start {
    MIDGE_BRIDGE_AUTOMATIC, /* from the beginning, for ever */
    MIDGE_BRIDGE_LAZY,      /* when `threshold` messages wait; until idle_s without one */
    MIDGE_BRIDGE_ONCE       /* not again after the first end */
};

enum midge_bridge_event_kind {
    MIDGE_BRIDGE_EV_UP,
    MIDGE_BRIDGE_EV_DOWN,      /* was up; `reason`, or `text` */
    MIDGE_BRIDGE_EV_FAILED,    /* did not get up */
    MIDGE_BRIDGE_EV_NO_GRANT,  /* the other broker refused the subscription `text` */
    MIDGE_BRIDGE_EV_REFUSED    /* it refused a message of topic `text`: `reason` */
};

struct midge_bridge_event {
    enum midge_bridge_event_kind kind;
    size_t address; /* index */
    uint8_t reason; /* MQTT 5.0 */
    const char *text; /* NULL = none */
};

/* All is borrowed until midge_bridge_free. Zero-initialise, set what is wanted. */
struct midge_bridge_options {
    const char *name;             /* "NAME" */
    const char *node;             /* of this broker, and of no other one that messages may come from; 64 characters */
    const struct midge_bridge_map *maps;
    size_t map_count;
    const char *const *addresses; /* by what names the host knows them; at least one */
    size_t address_count;
    bool round_robin;             /* else the first is returned to as soon as it can be reached */

    /* the other broker */
    uint8_t version;              /* 3, 4, 5; 0 = 5 */
    bool not_private;             /* 3.x: does not say that it is a bridge */
    bool clean_session;           /* the other broker keeps nothing for it */
    uint32_t session_expiry_s;    /* 5.0; 0 = never */
    uint16_t keepalive_s;         /* 0 = 60 */
    const char *client_id;        /* NULL = name */
    const char *username;         /* NULL = none */
    struct midge_slice password;  /* data NULL = none; a token is one too */
    uint32_t packet_bytes;        /* largest packet sent; 0 = any */
    uint16_t inflight;            /* QoS 1 and 2 under way at once; 0 = 100, before 5.0 20 */
    bool outgoing_no_retain;
    bool no_unsubscribe;          /* outgoing maps are not unsubscribed at the other broker */
    bool split_horizon;           /* what came through a bridge does not go out: for rings of 3.x */

    /* this broker */
    bool local_clean_session;     /* what could not be sent is forgotten with the connection */
    const char *local_client_id;  /* NULL = "local." and client_id */
    uint32_t queue_bytes;         /* of what waits; 0 = as for any session */
    uint32_t queue_msgs;
    uint32_t replay_per_s;        /* most messages sent a second of those that waited; 0 = any */
    size_t buffer_bytes;          /* taken from this broker before the transport takes it; 0 = 16384 */

    /* notifications: "1" and "0", retained */
    bool no_notifications;
    bool notify_local_only;
    const char *notify_topic;     /* NULL = $SYS/broker/connection/CLIENT_ID/state */

    /* when */
    uint8_t start;                /* enum midge_bridge_start */
    uint32_t idle_s;              /* 0 = 60 */
    uint32_t threshold;           /* 0 = 10 */
    uint32_t restart_s;           /* shortest wait before the next try; 0 = 5 */
    uint32_t restart_cap_s;       /* longest, with jitter; 0 = always restart_s, or 30 without that */

    const struct midge_memory *memory;
    void *user;                   /* handed to the two below */
    uint32_t (*random)(void *user); /* NULL = no jitter */
    void (*event)(void *user, const struct midge_bridge_event *event);
};

/* Opens its session here: from now on messages wait for the other broker. NULL: `why`, static text. */
MIDGE_MUST_USE struct midge_bridge *midge_bridge_new(const struct midge_bridge_options *options, struct midge *m,
                                                     midge_ms now, const char **why);

/* Its session here stays, unless `end_session`. Before the broker is freed. */
void midge_bridge_free(struct midge_bridge *b, bool end_session, midge_ms now);

/* Before it is freed, for one with other maps to take its place: what waits stays, nothing more comes by its maps. */
void midge_bridge_unsubscribe(struct midge_bridge *b, midge_ms now);

/* Says goodbye: pull and close; nothing is dialed any more. */
void midge_bridge_stop(struct midge_bridge *b, midge_ms now);

/* ---- what the host does -------------------------------------------------------------------------------- */

/* The index of the address to be dialed now; -1 = none. Then connected or lost follows. */
int midge_bridge_dial(struct midge_bridge *b, midge_ms now);

/* True: the host is to see whether the first address can be reached, besides what is under way, and if so to call
 * midge_bridge_first_is_back. */
bool midge_bridge_probe(struct midge_bridge *b, midge_ms now);
void midge_bridge_first_is_back(struct midge_bridge *b, midge_ms now);

void midge_bridge_connected(struct midge_bridge *b, midge_ms now);
void midge_bridge_recv(struct midge_bridge *b, const void *bytes, size_t n, midge_ms now);
size_t midge_bridge_pull(struct midge_bridge *b, void *out, size_t room, midge_ms now);
unsigned midge_bridge_status(const struct midge_bridge *b); /* as midge_status */
/* why: what the transport has to say, or NULL. */
void midge_bridge_lost(struct midge_bridge *b, const char *why, midge_ms now);

void midge_bridge_turn(struct midge_bridge *b, midge_ms now);
midge_ms midge_bridge_deadline(const struct midge_bridge *b);

/* ---- looking inside ------------------------------------------------------------------------------------ */

struct midge_bridge_stats {
    bool up;
    size_t address;
    uint64_t ups;                        /* times it got up */
    uint64_t out, in;                    /* messages passed on */
    uint64_t looped, unmapped;           /* not passed on: they have been here or there; no map is theirs */
    uint64_t refused, too_large;         /* by the other broker */
    size_t memory;                       /* that it holds now */
};
void midge_bridge_get_stats(const struct midge_bridge *b, struct midge_bridge_stats *out);

/* User properties that tell where a message has been: the `node` that sent it on, or "+" and the `node` that fetched
 * it, and the address that it was fetched from. */
#define MIDGE_VIA "midge-via"

#ifdef __cplusplus
}
#endif
#endif
