/* internal.h - struct midge, struct midge_conn and what the files of the broker floor call each other for. */
#ifndef MIDGE_BROKER_INTERNAL_H
#define MIDGE_BROKER_INTERNAL_H

#include "base/slice.h"
#include "base/timer.h"
#include "codec/packet.h"
#include "midge/midge.h"
#include "state/alias.h"
#include "state/retain.h"
#include "state/session.h"
#include "state/shared.h"

/* ---- a connection ------------------------------------------------------------------------------------- */

enum midge_conn_state {
    CONN_HELLO,  /* CONNECT has not come */
    CONN_LOGIN,  /* CONNECT is here; the login hook is thinking, or AUTH goes back and forth */
    CONN_UP,     /* CONNACK 0 was sent */
    CONN_ENDING, /* no session any more; the last bytes go out */
    CONN_DEAD    /* nothing more goes out */
};

/* A packet that arrives in pieces, as far as it has come. The room in front lets a PUBLISH become its message without
 * a second block (midge_msg_adopt). */
struct midge_frame {
    uint32_t len, cap;
    uint32_t pooled; /* bytes of the pool of unfinished CONNECTs that it takes */
    uint8_t room[MIDGE_MSG_HEADROOM - 12];
    uint8_t bytes[];
};

/* Answers that wait to be pulled. */
struct midge_control_bytes {
    uint32_t at, len, cap;
    uint8_t bytes[];
};

/* User name and authentication method, for the connection's life. */
struct midge_names {
    uint16_t username_len, method_len, assigned_len;
    bool has_username, has_method;
    uint8_t bytes[]; /* user name, method, assigned client id */
};

struct midge_login_state;

/* Small fields first: a short instruction reaches bytes up to 31 and words up to 124. */
struct midge_conn {
    struct midge *m;
    struct midge_session *session;      /* borrows; NULL before CONNECT is done and after the end */
    uint8_t version;                    /* 0 until CONNECT is read */
    uint8_t state;                      /* enum midge_conn_state */
    uint8_t reason;                     /* why it ended */
    bool own_sending : 1;
    bool alias_new : 1;
    bool request_problem : 1;           /* [MQTT-3.1.2-29] */
    bool paused : 1;                    /* for want of memory */
    bool choked : 1;                    /* it does not read its answers: nor do we read it */
    bool by_client : 1;                 /* ended by DISCONNECT */
    bool bridge : 1;                    /* CONNECT had the bridge bit */
    bool inside : 1;                    /* the host's own: `user` is its struct midge_inside */
    bool forgets : 1;                   /* as in struct midge_peer */
    bool broken : 1;                    /* cannot be answered: ends, without a last word, when the call is over */
    bool published : 1;                 /* a PUBLISH came since the last look at memory pressure */
    uint16_t window;                    /* QoS 1 and 2 in flight at most: the client's Receive Maximum and our limit */
    uint16_t keepalive_s;               /* in force */
    uint16_t alias_max;                 /* towards the client */
    uint16_t frozen_alias;              /* fields that must not change between two encodings of one packet */
    uint32_t frozen_expiry_s;
    struct midge_head head;             /* in: of the packet that is arriving */
    uint32_t address_key;
    struct midge_frame *frame;          /* owns; NULL unless a packet is incomplete */
    struct midge_control_bytes *control; /* out: answers */
    struct midge_entry *sending;        /* its PUBLISH is partly out; owned when own_sending, else in `unacked` */
    uint32_t sent;                      /* bytes of it that are out */
    uint32_t maximum_packet;            /* the client's; UINT32_MAX = none */
    uint32_t heard;                     /* age (32-bit ms) of the last complete packet */
    struct midge_alias *aliases;        /* of both directions */
    struct midge_login_state *login;    /* owns; NULL unless CONN_LOGIN or re-authenticating */
    struct midge_names *names;          /* owns; NULL when there are none */
    void *user;                         /* the port's */
    void *tag;                          /* the login hook's */
    struct midge_timer timer;           /* hello, then keep alive, then linger */
    struct midge_link ready;            /* in midge.ready */
    struct midge_link all;              /* in midge.conns */
};

/* ---- the broker --------------------------------------------------------------------------------------- */

struct midge_op;
struct midge_sys;
struct midge_durable;

/* With MIDGE_STATS. */
struct midge_counts {
    struct midge_mem_counts memory;
    uint64_t bytes_received, bytes_sent, publish_received, publish_sent, publish_refused;
    struct midge_books books[MIDGE_BOOKS ? 3 : 1]; /* by QoS, with MIDGE_BOOKS */
};

/* In this order for the same reason. */
struct midge {
    struct midge_mem mem;
    const struct midge_limits *limits;
    const struct midge_hooks *hooks;
    uint8_t busy;                 /* depth of calls into the core: hooks are answered from inside */
    bool shutting_down;
    bool any_broken;              /* some connection's `broken` is set */
    bool any_inside;              /* there was a struct midge_inside */
    bool any_doomed;              /* some session's `doomed` is set */
    bool store_failed;            /* and the host was not told yet */
    bool any_closing;             /* some local client was closed from inside a hook */
    bool local_due;               /* a local client has something to be handed */
    bool starving;                /* a replay waits for memory */
    bool low_memory;              /* MIDGE_EV_LOW_MEMORY was told */
    bool pause_spent;             /* a whole pause did not help: refuse instead, until memory is free again */
    bool turn_synced;             /* midge_ready has synced the store in this turn */
    midge_ms age;                 /* milliseconds since midge_new: all times inside are on this clock */
    midge_ms host_now;            /* the host's clock when age was last brought up to date */
    midge_ms pause_until;         /* age at which paused publishers are let go; 0 = nobody is paused */
    struct midge_link *conns;
    struct midge_fifo ready;
    struct midge_timers conn_timers; /* of connections */
    struct midge_timers away_timers; /* of sessions that are not connected */
    struct midge_durable *durable;  /* NULL without a store */
    struct midge_will *wills;       /* that are due, first come first */
    struct midge_will **wills_tail;
    const struct midge_conn *hello; /* whose CONNECT is being handled, and the client id in it */
    struct midge_slice hello_id;
    uint32_t conn_count;          /* open, those that are ending included */
    uint32_t ending_count;
    uint32_t client_count;        /* CONN_UP */
    uint32_t connect_pool;        /* bytes of unfinished CONNECTs beyond hello_bytes each */
    size_t starved_at;            /* bytes in use when a replay found none */
    uint32_t auto_ids;            /* assigned so far */
    struct midge_sessions sessions;
    struct midge_subtree subs;
    struct midge_retain retain;
    midge_ms retain_swept;        /* age at which expired retained messages were last looked for */
    struct midge_link *locals;
    struct midge_op *ops;         /* calls from inside hooks, to be done after, oldest first */
    struct midge_op **ops_tail;
    const char *auto_id_prefix;
    uint32_t seed[2];
    uint32_t origin_seed[2];      /* of midge_origin: the same over restarts */
    struct midge_sys *sys;
    midge_ms sys_due;             /* age of the next $SYS update; MIDGE_NEVER = none */
    uint32_t sys_interval_s;
    struct midge_counts counts[]; /* one with MIDGE_STATS, else none */
};

/* ---- broker.c: clock, calls, events ------------------------------------------------------------------- */

/* Every public call with a clock is bracketed by these two. */
void midge_enter(struct midge *m, midge_ms now);
void midge_leave(struct midge *m);

static inline uint32_t midge_age32(const struct midge *m)
{
    return (uint32_t)m->age;
}
/* Arms `t` for `ms` from now, or for as long as a timer can wait; owners look again when it rings. */
void midge_arm(struct midge *m, struct midge_timers *timers, struct midge_timer *t, midge_ms ms);

/* Tells the host; who it is about is filled in from `s`, NULL = it is filled in or nobody. */
void midge_tell(struct midge *m, const struct midge_session *s, struct midge_event *event);
/* The same of an event that has no more to say. */
void midge_tell_of(struct midge *m, const struct midge_session *s, enum midge_event_kind kind, uint8_t reason,
                   uint8_t qos, struct midge_slice topic);
/* The host's view of a message, as published. */
void midge_show(const struct midge *m, const struct midge_msg *msg, struct midge_message *out);
void midge_session_who(const struct midge_session *s, struct midge_who *who);
void midge_random(struct midge *m, void *out, size_t n);

static inline bool midge_served_v5(const struct midge_conn *c)
{
    return MIDGE_V5 && c->version == MIDGE_V50;
}

/* ---- conn.c: accept, recv, the dispatch table, end, lost ---------------------------------------------- */

/* Ends the connection: 5.0 clients that are up are told (reason >= 0x80), the session goes its way, the port is asked
 * to close when the last bytes are out. Does nothing on one that is ending. [MQTT-4.13.1-1] */
void midge_conn_end(struct midge_conn *c, uint8_t reason);
/* What a packet has broken: CONNECT is refused, whoever is up is ended. */
void midge_conn_fail(struct midge_conn *c, uint8_t reason);
/* The same without a last word: nothing more goes out. */
void midge_conn_abort(struct midge_conn *c, uint8_t reason);
/* The same, when the present call is over: whoever answers need not ask whether the connection is still there. */
void midge_conn_break(struct midge_conn *c, uint8_t reason);
void midge_end_broken(struct midge *m);
void midge_conn_mark_ready(struct midge_conn *c);
void midge_conn_who(const struct midge_conn *c, struct midge_who *who);
void midge_conn_tell(struct midge_conn *c, enum midge_event_kind kind, uint8_t reason);
/* Bytes that came behind a CONNECT that is still being decided: processed as if they came now. */
void midge_conn_take(struct midge_conn *c, struct midge_slice in);
void midge_conn_timer(struct midge *m, struct midge_timer *t);

typedef void (*midge_encoder)(struct midge_wr *w, const struct midge_conn *c, const void *arg);
/* Appends a packet to the control bytes. False: larger than the client takes [MQTT-3.1.2-24], nothing was appended.
 * Without memory even in the reserve the connection ends when the call is over. */
bool midge_conn_send(struct midge_conn *c, midge_encoder encode, const void *arg);
/* Makes sure that n more bytes fit into the control bytes. */
bool midge_conn_reserve(struct midge_conn *c, uint32_t n);
/* midge_conn_send with the reason's text, then without if that is too large; `text` is what the encoder reads. */
void midge_conn_send_text(struct midge_conn *c, midge_encoder encode, const void *arg, struct midge_slice *text,
                          uint8_t reason);
void midge_conn_encode_ack(struct midge_wr *w, const struct midge_conn *c, const void *ack); /* midge_ack_out */
void midge_send_ack(struct midge_conn *c, enum midge_packet type, uint16_t pid, uint8_t reason);

/* May this client do that? Asks the host. */
bool midge_allowed(struct midge *m, const struct midge_session *s, enum midge_access what, struct midge_slice topic);

/* ---- the conversations -------------------------------------------------------------------------------- */

typedef enum midge_reason (*midge_handler)(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_connect(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_publish(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_puback(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_pubrec(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_pubrel(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_pubcomp(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_subscribe(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_unsubscribe(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_pingreq(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_disconnect(struct midge_conn *c, struct midge_slice body);
enum midge_reason midge_on_auth(struct midge_conn *c, struct midge_slice body);

/* names.c: user name, authentication method, assigned client id. */
/* Keeps those that there are, for the connection's life. False: no memory. */
bool midge_names_keep(struct midge_conn *c, const struct midge_connect *pk);
void midge_names_free(struct midge_conn *c);
struct midge_slice midge_names_method(const struct midge_names *n);   /* data NULL = none; for these two */
struct midge_slice midge_names_assigned(const struct midge_names *n);
/* An id that no session has [MQTT-3.1.3-6] [MQTT-3.2.2-16] [MQTT311-3.1.3-6]: prefix and random digits. */
#define MIDGE_AUTO_ID_MAX 64u
struct midge_slice midge_assign_id(struct midge *m, const char *prefix, uint8_t out[MIDGE_AUTO_ID_MAX]);

/* on_connect.c: who is being talked to is this CONNECT's client, by the id that was assigned if it has none. */
void midge_hello(struct midge_conn *c, struct midge_connect *pk);
/* CONNECT was allowed by the login hook; the rest of its steps. */
enum midge_reason midge_connect_allowed(struct midge_conn *c, struct midge_connect *pk,
                                        const struct midge_login_answer *answer);

/* connack.c: what this broker grants. */
/* CONNECT is refused: CONNACK where the version has a code for it, then close. server_reference: NULL = none.
 * [MQTT-3.2.2-7] */
void midge_connect_refuse(struct midge_conn *c, uint8_t reason, const struct midge_slice *server_reference);
void midge_send_connack(struct midge_conn *c, const struct midge_connect *pk, bool session_present,
                        const struct midge_slice *auth_data);
uint8_t midge_max_qos(const struct midge_limits *l);
/* Those of its listener; of the broker for NULL. */
const struct midge_limits *midge_own_limits(const struct midge *m, const struct midge_conn *c);
static inline const struct midge_limits *midge_conn_limits(const struct midge *m, const struct midge_conn *c)
{
    return MIDGE_OWN_LIMITS ? midge_own_limits(m, c) : m->limits;
}
uint16_t midge_granted_keepalive(const struct midge *m, const struct midge_connect *pk);
uint32_t midge_granted_expiry(const struct midge_conn *c, uint32_t asked_s);

/* CONNECT may have to be kept while the answer is open. */
#define MIDGE_LOGIN_STATE (MIDGE_AUTH || MIDGE_LOGIN_LATER)

/* login.c: the question, the waiting, the AUTH exchange. */
enum midge_reason midge_login_ask(struct midge_conn *c, struct midge_connect *pk, struct midge_slice body);
bool midge_login_waits(const struct midge_conn *c); /* bytes are to be held, not read */
bool midge_login_hold(struct midge_conn *c, struct midge_slice in); /* false: no room */
void midge_login_free(struct midge_conn *c);

/* takeover.c: sessions change hands. */
/* The session for this CONNECT, found or made, with c as its connection; *present as CONNACK says. NULL: no room. */
struct midge_session *midge_session_take(struct midge_conn *c, const struct midge_connect *pk, bool *present);
/* The connection is gone: will, shared messages, expiry. */
void midge_session_leave(struct midge *m, struct midge_session *s);
/* State is discarded; its will, if any is left, is published first. */
void midge_session_end(struct midge *m, struct midge_session *s, uint8_t reason);
/* Those that a full queue has doomed: the client is told, or the session ended. */
void midge_end_doomed(struct midge *m);

/* on_publish.c: $SYS is the broker's own. */
bool midge_topic_reserved(struct midge_slice topic);

/* route.c: a message to the retained store, sessions, groups. */
/* SUCCESS, NO_MATCHING_SUBSCRIBERS, or QUOTA_EXCEEDED: then nobody has it. `from`: the publishing session, NULL = the
 * host. Borrows msg. */
enum midge_reason midge_route(struct midge *m, struct midge_msg *msg, struct midge_session *from);
/* Puts one more entry into a session's queues, within its limits; takes e. */
void midge_enqueue(struct midge *m, struct midge_entry *e);
/* Unsent messages that came to s through group `serial` (0 = any group) go to other members; sent ones too when
 * `sent` (QoS 1 only [MQTT-4.8.2-5]). */
void midge_hand_over(struct midge *m, struct midge_session *s, uint32_t serial, bool sent);
uint32_t midge_origin(const struct midge *m, const struct midge_session *s);

/* on_subscribe.c: one filter, for a client or from inside. Granted QoS or the reason why not. */
enum midge_reason midge_subscribe(struct midge *m, struct midge_session *s, const struct midge_filter_request *want,
                                  uint32_t id);
enum midge_reason midge_unsubscribe(struct midge *m, struct midge_session *s, struct midge_slice filter);

/* deliver.c */
/* Something is in the outbox: tell the port, or the local client. */
void midge_session_mark_ready(struct midge *m, struct midge_session *s);
/* On a resumed session: every PUBREL that has no PUBCOMP. It needs no window [MQTT-4.3.3-5] [MQTT-3.3.4-10]. */
void midge_resend_pubrels(struct midge_conn *c);
/* The next entry that may be handed out now, taken from its queue (QoS 0) or moved to `unacked`; NULL = none. Expired,
 * forbidden and too large ones are dropped on the way. *owned: the caller frees it. */
struct midge_entry *midge_outbox_next(struct midge *m, struct midge_session *s, uint32_t window, bool *owned);
bool midge_outbox_has_next(const struct midge *m, const struct midge_session *s, uint32_t window);
/* e is through: out of `unacked` and freed, counted as acknowledged. */
void midge_outbox_done(struct midge *m, struct midge_session *s, struct midge_entry *before, struct midge_entry *e);
/* e, in no queue, is dropped for a reason that is told; freed. */
void midge_drop(struct midge *m, struct midge_session *s, struct midge_entry *e, enum midge_drop why);

/* replay.c: retained messages to a new subscription, one at a time as the client takes them. */
enum midge_err midge_replay_start(struct midge *m, struct midge_sub *sub, struct midge_slice filter);
void midge_replay_stop(struct midge *m, struct midge_session *s, struct midge_slice filter); /* data NULL = all */
/* A retained message goes to the session as it comes: a replay that began this very moment is not to repeat it. */
bool midge_replay_seen(struct midge *m, struct midge_session *s, struct midge_msg *msg);
/* The next retained message as a new entry in no queue. NULL: none, or one that needs a window that is closed. */
struct midge_entry *midge_replay_next(struct midge *m, struct midge_session *s, bool window_open);

/* quota.c: every yes or no about limits. */
bool midge_quota_accept(struct midge *m, const struct midge_peer *peer);
enum midge_reason midge_quota_packet(struct midge_conn *c);               /* by fixed header alone */
bool midge_quota_frame(struct midge_conn *c, uint32_t cap);               /* may the frame grow to cap? */
void midge_quota_frame_grown(struct midge_conn *c, uint32_t cap);         /* it did, or (0) it is gone */
bool midge_quota_client(const struct midge *m);                           /* one more that is up? */
bool midge_quota_session(struct midge *m);                                /* one more; puts an old one out if need be */
enum midge_reason midge_quota_retain(struct midge *m, const struct midge_msg *msg);
bool midge_quota_subscribe(const struct midge *m, const struct midge_session *s); /* one more subscription? */
/* Does a message for `s` pass through, or is there memory for it to stay? */
bool midge_quota_room(const struct midge *m, const struct midge_session *s);
/* Is there room in the session's own queue? MIDGE_DROP_REASONS = yes. */
enum midge_drop midge_quota_queue(const struct midge *m, const struct midge_session *s, uint32_t bytes);
void midge_quota_pressure(struct midge_conn *c);                          /* after a read: pause? */
void midge_quota_unchoke(struct midge_conn *c);                           /* its answers went out */
void midge_quota_relief(struct midge *m);                                 /* let paused ones go? */
void midge_quota_starved(struct midge *m);                                /* a replay found no memory to go on */
void midge_quota_feed(struct midge *m);                                   /* let it try again, if some was freed */
void midge_quota_refused(struct midge *m);                                /* the memory limit refused a publisher */

/* The window's worth of waiting entries takes its packet ids, so that one sync does for all. */
void midge_outbox_prepare(struct midge *m, struct midge_session *s, uint32_t window);
/* The connection is gone: those that were not sent wait again. */
void midge_outbox_unprepare(struct midge *m, struct midge_session *s);

/* durable.c: what the store is told. Each does nothing without a store, or for a session that it does not know. */
bool midge_durable_start(struct midge *m, const struct midge_store *store);
void midge_durable_stop(struct midge *m);
bool midge_durable_serves(const struct midge *m);
void midge_durable_turn(struct midge *m);
void midge_durable_before_pull(struct midge_conn *c);
void midge_durable_tell(struct midge *m); /* that the store has failed */
void midge_durable_sync(struct midge *m); /* if a peer waits for it */
midge_ms midge_durable_due(const struct midge *m); /* age of the sync that nobody waits for */
void midge_durable_tick(struct midge *m);
/* Memory for the records of an entry, taken before anybody gets the message. False: none. */
bool midge_durable_expect(struct midge *m, struct midge_entry *e);
/* must: a peer may rely on it. */
void midge_durable_entry(struct midge *m, struct midge_entry *e, bool must);
void midge_durable_entry_gone(struct midge *m, const struct midge_entry *e); /* before it is freed */
bool midge_durable_retained(struct midge *m, struct midge_msg *msg); /* false: no memory */
/* Before it is removed; NULL is fine. */
void midge_durable_not_retained(struct midge *m, struct midge_msg *msg, bool must);
void midge_durable_session(struct midge *m, struct midge_session *s); /* new, taken, left */
/* A client is up: its session, and its will also if the session ends with the connection. */
void midge_durable_connected(struct midge *m, struct midge_session *s);
void midge_durable_session_gone(struct midge *m, struct midge_session *s);
void midge_durable_will(struct midge *m, const struct midge_session *s);
void midge_durable_will_gone(struct midge *m, const struct midge_session *s); /* before it is freed */
void midge_durable_sub(struct midge *m, const struct midge_sub *sub, struct midge_slice filter);
void midge_durable_sub_gone(struct midge *m, const struct midge_session *s, struct midge_slice filter);
void midge_durable_received(struct midge *m, const struct midge_session *s, uint16_t pid, bool there);

/* local.c */
void midge_local_deliver(struct midge *m);
void midge_local_lost(struct midge *m, struct midge_session *s); /* its session is being ended */
void midge_run_ops(struct midge *m);
void midge_drop_ops(struct midge *m);
void midge_local_sweep(struct midge *m); /* those that were closed from inside */

void *midge_local_tag(const struct midge_local *l);

/* inside.c: bridges. Each of these is what it would be without one where there is none. */
static inline const struct midge_inside *midge_inside_of(const struct midge_session *s)
{
    return MIDGE_BRIDGE && s->rest ? s->rest->inside : NULL;
}
static inline bool midge_is_inside(const struct midge_conn *c)
{
    return MIDGE_BRIDGE && c->inside;
}
/* The session is taken by a connection from inside. */
void midge_inside_take(struct midge_conn *c, struct midge_session *s);
enum midge_queue_policy midge_queue_policy_of(const struct midge *m, const struct midge_entry *e);
/* The unsent entry that gives way to e by MIDGE_QUEUE_LAST_VALUE, taken out of its queue; NULL = none. */
struct midge_entry *midge_inside_replaced(struct midge *m, const struct midge_entry *e);
/* The property that tells how long the message that c is sending has waited; written to out, empty if there is none. */
#define MIDGE_AGE_PROP 32
struct midge_slice midge_inside_age(const struct midge_conn *c, uint8_t out[MIDGE_AGE_PROP]);

/* expire.c: what time does to wills, sessions, retained messages. */
/* The will of a CONNECT; NULL = it has none, or, with *rc, it cannot be kept. */
struct midge_will *midge_will_make(struct midge *m, const struct midge_connect *pk, enum midge_reason *rc);
/* Its will, if it has one, is published when the present call is over: whoever ends a session may be deep inside. */
void midge_will_due(struct midge *m, struct midge_session *s);
/* The session ends: what is due goes out all the same. */
void midge_will_orphan(struct midge *m, const struct midge_session *s);
void midge_wills_publish(struct midge *m);
void midge_session_timer(struct midge *m, struct midge_timer *t);
bool midge_session_expired(const struct midge *m, const struct midge_session *s);
void midge_session_arm(struct midge *m, struct midge_session *s);  /* it has just gone away */
midge_ms midge_retain_due(const struct midge *m);                  /* age of the next sweep */
void midge_retain_sweep(struct midge *m);

/* sys.c */
void midge_sys_start(struct midge *m);
void midge_sys_stop(struct midge *m);
void midge_sys_tick(struct midge *m);

/* ---- broker.c: the books ------------------------------------------------------------------------------ */

/* Lines of struct midge_books, in its order. */
enum midge_book_line {
    BOOK_ENQUEUED,
    BOOK_ACKNOWLEDGED,
    BOOK_EXPIRED,
    BOOK_ENDED,
    BOOK_DROPPED /* + enum midge_drop */
};

/* Adds n (1 or -1) to a line, in the session's books and in the broker's. */
void midge_book(struct midge *m, struct midge_session *s, uint8_t qos, unsigned line, int n);

#endif
