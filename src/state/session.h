/* session.h - what the broker remembers of one client id [MQTT 5.0 section 4.1]. */
#ifndef MIDGE_STATE_SESSION_H
#define MIDGE_STATE_SESSION_H

#include "base/list.h"
#include "base/map.h"
#include "base/timer.h"
#include "midge/midge.h"
#include "state/inflight.h"
#include "state/queue.h"
#include "state/will.h"

struct midge_conn;
struct midge_local;
struct midge_replay;

/* Messages on their way to the client; exists from the first one on.
 *
 *   unacked: sent, QoS > 0, oldest first     waiting: QoS > 0, not sent     waiting0: QoS 0, not sent
 *      ▲ resend: the first that this connection has not been sent yet; those before it are in flight */
struct midge_outbox {
    struct midge_queue unacked, waiting, waiting0;
    struct midge_entry *resend;    /* into unacked; NULL = all of it was sent on this connection */
    struct midge_entry *pending;   /* being routed: not in a queue yet */
    struct midge_session *next_receiver; /* chain of those with a pending entry */
    struct midge_replay *replays;  /* retained messages for new subscriptions, oldest first */
    uint32_t msgs;                 /* in the three queues */
    uint32_t bytes;                /* midge_msg_bytes of them */
    uint16_t inflight;             /* of unacked: sent on this connection */
    uint16_t arrivals;             /* stamp of the newest arrival */
    struct midge_books books[];    /* 3, by QoS, with MIDGE_BOOKS */
};

/* What only a session that may outlive its connection needs. */
struct midge_rest {
    struct midge_session *session; /* whose it is */
    uint32_t store_id;          /* names it in durable records; 0 = none */
    struct midge_timer timer;   /* will delay or session expiry, armed while away */
    struct midge_link away;     /* in midge_sessions.away while not connected */
    midge_ms gone_at;           /* ms since midge_new when the connection ended */
    struct midge_inside *inside; /* borrows; of a bridge's session */
};

/* 32-bit: 49 bytes and the client id. */
struct midge_session {
    struct midge_map_node by_id;
    struct midge_conn *conn;       /* borrows; cleared by takeover and when the connection ends */
    struct midge_local *local;     /* borrows; of an in-process client */
    struct midge_link *subs;       /* midge_sub.on_session */
    struct midge_outbox *outbox;
    struct midge_ids *received;    /* QoS 2 ids from the client, not yet released */
    struct midge_will *will;
    struct midge_rest *rest;       /* NULL: ends with its connection */
    uint32_t expiry_s;             /* Session Expiry Interval in force; UINT32_MAX = never */
    uint32_t sub_count;
    uint16_t last_pid;
    uint16_t client_id_len;
    uint8_t version : 4;           /* of the last connection; 0 = in-process */
    uint8_t doomed : 2;            /* to be told off (1) or ended (2) when the present call is over */
    uint8_t client_id[];
};

struct midge_sessions {
    struct midge_mem *mem;
    struct midge_map by_id;
    struct midge_fifo away;        /* those not connected, away longest first */
};

void midge_sessions_init(struct midge_sessions *s, struct midge_mem *mem, const uint32_t seed[2]);
void midge_sessions_clear(struct midge_sessions *s); /* every session is freed before */

static inline struct midge_slice midge_session_id(const struct midge_session *s)
{
    return (struct midge_slice){ .data = s->client_id, .len = s->client_id_len };
}

/* [MQTT-3.1.3-2] */
struct midge_session *midge_session_find(const struct midge_sessions *all, struct midge_slice client_id);
/* Zeroed but for the id; in the map. NULL: no memory. The id must be new. */
struct midge_session *midge_session_new(struct midge_sessions *all, struct midge_slice client_id);
/* Makes sure that `rest` exists. MIDGE_ERR_NO_MEMORY: as before. */
MIDGE_MUST_USE enum midge_err midge_session_keep(struct midge_sessions *all, struct midge_session *s);
/* The outbox, made if need be; NULL: no memory. */
struct midge_outbox *midge_session_outbox(struct midge_sessions *all, struct midge_session *s);
/* Frees an outbox that is empty, unless it holds books. */
void midge_session_tidy(struct midge_sessions *all, struct midge_session *s);
/* Out of the map and freed, with outbox entries, ids, will, rest. Subscriptions, replays and timers are gone before. */
void midge_session_free(struct midge_sessions *all, struct midge_session *s);

#endif
