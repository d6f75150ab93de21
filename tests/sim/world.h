/* world.h - the simulated world: what each file of the simulator knows of the others.
 *
 * One seed decides everything. A step is one event (a packet written, bytes moved, a connection cut, the clock
 * moved on) and the checks behind it; its choices are drawn from a generator of its own, seeded with (seed, step),
 * so a step can be left out without changing what the others do: that is how a trace is shrunk.
 *
 *     client ──up──► network ──midge_recv──► broker ──midge_pull──► exit ──down──► client
 *                                              │ hooks.event           │
 *                                              └───────► model ◄───────┘
 *
 * The model is told what the broker was fed (records of packets), what it says of itself (events), and what it
 * sent (the exit parses each byte): each has to be explained by the others.
 */
#ifndef MIDGE_SIM_WORLD_H
#define MIDGE_SIM_WORLD_H

#include "midge/midge.h"

#include <stdio.h>
#include <string.h>

#if defined(__GNUC__)
#define SIM_PRINTF(n) __attribute__((format(printf, n, n + 1)))
#else
#define SIM_PRINTF(n)
#endif

/* ---- chance -------------------------------------------------------------------------------------------- */

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* 0 .. n-1 */
static inline uint32_t below(struct rng *r, uint32_t n)
{
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

static inline uint32_t between(struct rng *r, uint32_t from, uint32_t to)
{
    return from + below(r, to - from + 1);
}

/* True n times out of 1000. */
static inline bool chance(struct rng *r, uint32_t n)
{
    return below(r, 1000) < n;
}

/* ---- packets ------------------------------------------------------------------------------------------- */

enum packet_type {
    PK_EVIL, /* not a packet: bytes that have to end the connection */
    PK_CONNECT,
    PK_CONNACK,
    PK_PUBLISH,
    PK_PUBACK,
    PK_PUBREC,
    PK_PUBREL,
    PK_PUBCOMP,
    PK_SUBSCRIBE,
    PK_SUBACK,
    PK_UNSUBSCRIBE,
    PK_UNSUBACK,
    PK_PINGREQ,
    PK_PINGRESP,
    PK_DISCONNECT,
    PK_AUTH
};

#define TOPICS_MAX 64
#define FILTERS_MAX 48
#define GROUPS 3 /* group 0: not shared */
#define IDS_MAX 48
#define PROPS_MAX 96

/* An application message as its publisher made it. The payload is its number and a pattern. */
struct content {
    uint32_t refs;
    uint32_t number;
    uint32_t len;
    uint32_t expiry_s;
    int publisher; /* slot of the client; -1 = the host */
    uint8_t topic;
    uint8_t qos;
    bool retain;
    bool has_expiry;
    uint8_t props_len;
    uint8_t props[PROPS_MAX]; /* those that are forwarded, as encoded */
};

/* The Subscription Identifier of a group. */
static inline uint32_t group_id(unsigned group, unsigned filter)
{
    return 1000u + group * 100u + filter;
}

struct filter_want {
    uint8_t group;
    uint8_t filter;
    uint8_t qos;
    uint8_t retain_handling;
    bool no_local;
    bool retain_as_published;
    bool told;      /* the event said that it was done */
    uint8_t result; /* as told */
};

#define WANTS_MAX 4

/* A packet from a client, on its way: what the bytes up to `end` of its connection's stream mean. */
struct record {
    struct record *next;
    uint64_t end;
    enum packet_type type;
    uint16_t pid;
    uint8_t reason;
    bool dup;
    bool done;               /* the model has seen to it */
    bool accepted;           /* EV_MESSAGE, EV_CONNECTED */
    struct content *content; /* PUBLISH; CONNECT: the will */
    /* SUBSCRIBE, UNSUBSCRIBE */
    uint32_t sub_id;
    uint8_t wants;
    struct filter_want want[WANTS_MAX];
    /* CONNECT, DISCONNECT */
    bool clean;
    bool has_session_expiry;
    uint32_t session_expiry_s;
    uint32_t will_delay_s;
    uint16_t keepalive_s;
    uint16_t receive_maximum;
    uint16_t alias_maximum;
    uint32_t packet_maximum;
};

/* A packet from the broker. */
struct packet {
    enum packet_type type;
    uint32_t len;
    bool dup, retain, session_present;
    uint8_t qos, reason;
    uint16_t pid;
    const uint8_t *topic;
    uint32_t topic_len;
    uint16_t alias;
    const uint8_t *payload;
    uint32_t payload_len;
    bool has_expiry;
    uint32_t expiry_s;
    uint8_t codes[WANTS_MAX];
    uint32_t code_count;
    uint32_t ids[IDS_MAX];
    uint32_t id_count;
    uint8_t props[PROPS_MAX]; /* of a PUBLISH: the forwarded ones, in order */
    uint32_t props_len;
    /* CONNACK */
    bool has_session_expiry, has_keepalive, assigned;
    uint32_t session_expiry_s, packet_maximum;
    uint16_t keepalive_s, receive_maximum, alias_maximum;
    uint8_t max_qos;
    bool no_retain, no_wildcards, no_ids, no_shared;
};

struct buffer {
    uint8_t *at;
    uint32_t len, cap;
};

void buffer_reserve(struct buffer *b, uint32_t n);
void buffer_put(struct buffer *b, const void *bytes, size_t n);
void buffer_drop(struct buffer *b, uint32_t n); /* from the front */

/* wire.c: the simulator's own codec. Encoders append to `b`. */
void put_connect(struct buffer *b, unsigned version, const struct record *r, const char *id, bool bridge);
void put_publish(struct buffer *b, unsigned version, const struct record *r, const char *topic,
                 uint16_t alias);
void put_subscribe(struct buffer *b, unsigned version, const struct record *r);
void put_ack(struct buffer *b, unsigned version, enum packet_type type, uint16_t pid, uint8_t reason);
void put_empty(struct buffer *b, enum packet_type type);
void put_disconnect(struct buffer *b, unsigned version, const struct record *r);
/* Length of the first packet; 0 = not all there; UINT32_MAX = a bad length. */
uint32_t packet_length(const uint8_t *bytes, uint32_t n);
/* NULL: well-formed; else what is wrong. */
const char *parse_packet(const uint8_t *bytes, uint32_t n, unsigned version, struct packet *out);
uint8_t payload_byte(uint32_t number, uint32_t i);
/* The number in it; 0 for an empty one; UINT32_MAX = not a payload that a client made. */
uint32_t payload_number(const uint8_t *payload, uint32_t n);

/* ---- the model ----------------------------------------------------------------------------------------- */

/* A message that the broker accepted. A resent QoS 1 PUBLISH becomes another one of the same content. */
struct msg {
    uint32_t refs;
    struct content *content;
    midge_ms from, to; /* it arrived between these; differs when a leap hides when */
    int origin;        /* who published it: slot of the client, or a number for an assigned id */
    bool maybe;        /* a will that may have been refused for want of memory */
};

struct sub {
    uint32_t id;
    uint8_t qos;
    bool no_local;
    bool retain_as_published;
};

enum entry_state { WAITING, FLYING, RELEASED };

/* A message for one session. */
struct entry {
    struct entry *next;
    struct msg *msg;
    enum entry_state state;
    uint32_t sent_on; /* serial of the connection that it was sent on last */
    uint32_t app_gen; /* generation of the client that was handed it at QoS 2 */
    uint32_t born;    /* moment */
    uint32_t lapsed;  /* replay: count of routed messages when the retained value changed; 0 = it has not */
    uint16_t pid;
    uint8_t qos;
    uint8_t filter; /* of a replay or of a group */
    uint8_t group;  /* 0: not drawn from a group */
    bool retain;
    bool replay;
    bool optional;  /* may come, need not */
    bool unsure;    /* its acknowledgement may have been processed or not */
    bool stopped;   /* a replay that was called off while a PUBLISH was partly out: it may be that one */
    bool guess;     /* a replay that nothing asks for, but that is lawful */
    bool twin;      /* it or one that looks the same was sent */
    bool ambiguous; /* the session is in a group that gets the same message */
    bool again;     /* the broker was killed: it may have been sent before */
    bool late; /* it came with DUP at once: the client may have had it from a connection that had ended */
    struct session *of; /* of a ghost */
    uint8_t id_count;
    uint32_t ids[];
};

struct list {
    struct entry *head, *last;
};

/* A message that a group owes to one of its members. */
struct owed {
    struct owed *next;
    struct msg *msg;
    bool excused; /* it may have gone with a member */
};

struct conn;

struct session {
    struct session *next;
    char id[72];
    uint32_t incarnation;
    int slot; /* of the client; -1: its id was assigned */
    struct conn *conn;
    uint64_t mask[GROUPS]; /* filters that it has, by group */
    uint64_t left[GROUPS]; /* filters that it had in a group: what was drawn for it may still come */
    struct sub sub[GROUPS][FILTERS_MAX];
    uint64_t replaying;             /* filters whose retained messages may not all have come */
    struct sub replay[FILTERS_MAX]; /* as it was when they began to */
    uint32_t sub_count;
    struct list waiting, unacked;
    uint16_t credit[TOPICS_MAX][3];    /* drops that were told and are not explained yet */
    uint16_t oversized[TOPICS_MAX][3]; /* of them, for being too large */
    uint64_t denied[3];                /* topics that a drop was told of for want of the right, by QoS */
    uint32_t least_maximum;            /* the smallest maximum packet size that one was told at */
    uint32_t credits;
    uint64_t dropped0; /* QoS 0 drops in the books that are explained */
    struct content *will;
    uint32_t will_delay_s;
    uint32_t expiry_s;
    midge_ms gone_at;
    uint8_t received[8192]; /* QoS 2 ids, a bit each */
    uint32_t received_count;
    bool had_shared;     /* was ever in a group */
    bool had_changes;    /* a subscription in a group was changed or left */
    bool had_rap[2];     /* one in a group was without, with Retain As Published */
    bool loose;          /* drops were told that may have been of something optional */
    bool loose_received; /* a PUBREL may have been processed or not */
    bool partial;        /* one PUBLISH was partly sent when a connection ended */
    bool must_end;
    bool restored; /* the broker was killed in its time */
    uint8_t version;
};

/* An answer that the broker owes. */
struct answer {
    struct answer *next;
    enum packet_type type;
    uint16_t pid;
    uint8_t reason; /* 0, or what else it has to be; 0xFF: some refusal */
    bool optional;
    struct record *record; /* SUBSCRIBE and UNSUBSCRIBE: borrows from the answer's own copy */
};

/* ---- clients and connections --------------------------------------------------------------------------- */

/* What the client has not been acknowledged. */
struct outgoing {
    struct content *content;
    uint16_t pid;
    bool released;
};
#define OUTGOING_MAX 8

struct down { /* a packet on its way to a client */
    struct down *next;
    uint64_t end;
    enum packet_type type;
    uint16_t pid;
    uint8_t qos, reason;
    bool session_present;
    uint32_t number;
    uint32_t incarnation;
    uint16_t receive_maximum, alias_maximum;
    uint32_t packet_maximum;
};

struct ack {
    enum packet_type type;
    uint16_t pid;
};
#define ACKS_MAX 256

struct client {
    int slot;
    char id[16]; /* "": to be assigned */
    struct conn *conn;
    bool must_clean;      /* a clean start was asked for, and not seen to happen */
    uint32_t incarnation; /* of the session that it knows */
    uint32_t generation;  /* counts what it forgot */
    uint16_t next_pid;
    struct outgoing out[OUTGOING_MAX];
    uint32_t outs;
    uint16_t in2[64]; /* QoS 2 ids received and not released */
    uint32_t ins;
    uint8_t version;
    uint8_t qos0, qos1;                    /* how often QoS 0 and then 1 are chosen, of 250 */
    uint32_t publish_rate, subscribe_rate; /* of 1000 acts */
};

struct conn {
    struct conn *next;
    struct midge_conn *c;    /* NULL: given back */
    struct client *client;   /* NULL: the client has left it */
    struct session *session; /* NULL: not up, or not any more */
    uint32_t serial;
    unsigned version;
    bool sent_connect, is_up, ended, evil;
    bool stopped;   /* a replay was called off while a PUBLISH was partly out */
    bool bridge;    /* CONNECT said so, in the way of 3.x */
    bool connacked; /* the client has seen CONNACK 0 */
    bool served;    /* the port has nothing to pull for it */
    bool paused;
    bool close; /* the broker asked for it */
    bool stalled_up, stalled_down;
    bool half_closed;    /* no more bytes come, then it is lost */
    bool may_set_expiry; /* its session expiry is not 0 */
    uint8_t end_reason;
    midge_ms opened, heard, touched, ended_at;
    /* up */
    struct buffer up;
    uint32_t up_at;
    uint64_t written, fed;
    struct record *records, **records_tail;
    struct record *at; /* the first that is not done */
    /* down */
    struct buffer in; /* of a packet that has partly come out */
    uint64_t pulled, read;
    midge_ms first_age; /* when its first byte came out */
    uint32_t first_moment;
    uint32_t first_routed; /* messages routed by then */
    struct down *downs, **downs_tail;
    struct answer *answers, **answers_tail;
    uint8_t alias[64];    /* topic + 1 by alias, from the broker */
    uint8_t alias_up[64]; /* from the client */
    uint32_t inflight;
    uint16_t window;
    uint16_t keepalive_s;
    uint16_t alias_maximum; /* that the client allows */
    uint32_t packet_maximum;
    uint32_t largest_up; /* that the broker allows */
    uint16_t receive_maximum, alias_up_maximum;
    struct ack acks[ACKS_MAX];
    uint32_t ack_from, ack_to;
};

/* ---- the world ----------------------------------------------------------------------------------------- */

struct world {
    uint64_t seed;
    uint64_t step;
    struct rng rng;  /* of this step */
    struct rng dice; /* of the broker's random hook */
    struct midge *broker;
    struct midge_limits limits;
    struct midge_hooks hooks;
    struct midge_config config;
    midge_ms now, age; /* the host's clock; the time that passed for the broker */
    midge_ms last_now;

    /* what this world is like */
    uint32_t clients;
    bool calm;  /* no faults: all that is under way comes to its end */
    bool tight; /* memory is short or fails: refusals need no other reason */
    bool fails; /* allocations fail in bursts */
    uint32_t cut_rate, time_rate, evil_rate, clean_rate;
    uint32_t tempo;

    struct client client[64];
    struct conn *conns;
    struct conn *conn_at[256]; /* the same, to draw from */
    uint32_t conn_count, serials;
    struct session *sessions;
    struct session *by_slot[64];
    uint32_t incarnations;
    struct conn *current; /* being fed */

    char topics[TOPICS_MAX][400];
    uint16_t topic_len[TOPICS_MAX];
    uint32_t topic_count;
    char filters[FILTERS_MAX][400];
    uint32_t filter_count;
    uint64_t matches[TOPICS_MAX]; /* filters that match the topic */
    uint64_t wildcard;

    struct msg *retained[TOPICS_MAX];
    bool retained_unsure[TOPICS_MAX];
    uint32_t was_unsure[TOPICS_MAX]; /* until so many messages were routed */
    struct owed *owed[GROUPS][FILTERS_MAX];
    uint64_t owed_any;
    uint32_t routed, numbers;
    uint32_t moment; /* counts what makes entries */

    struct {
        struct msg *msg;
        const struct session *from; /* NULL: it has ended */
    } due_wills[128];               /* to be published when the present call is over */
    uint32_t due_will_count;
    struct msg *call_wills[128]; /* published in the present call */
    uint32_t call_will_count;
    bool call_dropped;
    uint64_t refused_before;
    bool in_tick, tick_changes, leap, shutting_down;
    struct conn *losing; /* midge_lost is on its way */
    midge_ms age_before;
    uint32_t unaccepted0; /* QoS 0 PUBLISHes that were not taken, since the counter was read */

    /* memory */
    size_t used, blocks;
    size_t moving;      /* of a block that is being resized: it is there twice */
    uint32_t fail_rate; /* of 1000 allocations */
    uint64_t fail_until;
    uint32_t failed_now; /* in the present call */
    uint32_t objects;    /* of the simulator's own */

    /* rights that the host withholds, by slot of the client: bits of topics, of filters */
    bool acl;
    uint64_t no_publish[64], no_subscribe[64], no_deliver[64];
    uint32_t rights_moment[64]; /* when they were changed last */

    /* the host's own doings */
    const struct session *kicked;
    uint64_t fed_bytes, pulled_bytes, sent0; /* since this broker began */

    /* the store */
    bool store; /* this world has one */
    bool over;  /* and cannot go on */
    bool wall;  /* and a clock on the wall */
    uint32_t relaxed_ms;
    uint32_t kill_rate;
    bool deaf;    /* the call under way will not have happened: the broker is killed when it is over */
    bool exposed; /* something that the model was told is not synced */
    bool sync_fails, store_dead, store_failed;
    uint32_t store_fails_after; /* operations; UINT32_MAX = never */
    uint64_t syncs, puts;
    bool call_left; /* a connection ended in the present call */
    bool must;      /* a client relies on what is not synced: nothing may go out */
    midge_ms unsynced_since;
    struct entry *ghosts; /* gone, but their records may not be */

    /* what was counted */
    uint64_t idle, kills, store_failures;
    uint64_t faults, published, delivered, connects, cuts, evils, jumps, failed_allocs, restarts, dropped;
    bool verbose;
};
extern struct world W;

/* main.c: a divergence ends the world. */
void diverge(const char *format, ...) SIM_PRINTF(1) __attribute__((noreturn));
#define TRACE(...) (W.verbose ? trace(__VA_ARGS__) : (void)0)
void trace(const char *format, ...) SIM_PRINTF(1);

void *make(size_t n); /* zeroed */
void unmake(void *p);

struct content *draw_message(struct client *cl, unsigned version);
struct content *content_hold(struct content *c);
void content_drop(struct content *c);

/* memory.c */
extern const struct midge_memory sim_memory;

/* store.c */
extern struct midge_store sim_store;
bool store_is_synced(void);
void store_roll_back(void);
void store_clear(void);
enum midge_err store_restore(struct midge *m);

/* model.c */
void model_event(void *user, const struct midge_event *event);
bool model_allow(void *user, const struct midge_who *who, enum midge_access what, struct midge_slice topic);
void model_before(struct conn *current);
void model_fed(struct conn *c); /* its records up to c->fed are through */
void model_after(void);         /* a call of the core is over */
void model_ticked(void);
void model_output(struct conn *c, const struct packet *p);
void model_drained(struct conn *c);
void model_lost(struct conn *c);                            /* before its memory goes */
void model_handed(struct client *cl, const struct down *d); /* QoS 2 reaches the application */
void model_check(void);                                     /* now and then: all that costs more */
void model_quiet(void);                                     /* nothing is under way any more */
void model_forget(void);                                    /* the broker is gone */
void model_shutdown(void);                                  /* is about to happen */
void model_synced(void);                                    /* what was told up to now would survive */
void model_host_published(struct content *content, enum midge_err err);
void model_killed(void);   /* no connection is there any more, and what was not synced is gone */
void model_restored(void); /* a new broker has read the store */
midge_ms model_due(const char **what);
struct session *model_session(struct midge_slice id);
int topic_index(const uint8_t *topic, uint32_t len);

/* client.c */
bool client_act(struct client *cl);
void client_read(struct conn *c, uint64_t upto);
void client_leave(struct client *cl);  /* forgets its connection */
void client_forget(struct client *cl); /* forgets its session */
void client_send_acks(struct conn *c, uint32_t n);

/* net.c */
struct conn *conn_open(struct client *cl);
void conn_feed(struct conn *c, uint32_t most);
void conn_pull(struct conn *c, uint32_t most);
void conn_lost(struct conn *c);
void port_ready(void);
void free_conn(struct conn *c);

/* world.c. `keep`: which of the steps are done; NULL = all. */
void world_run(uint64_t seed, uint64_t steps, const uint8_t *keep);
void world_stop(void);
void world_calm(void);
/* main.c: what the parent may see of a world while it runs, also when it crashes. */
void world_progress(void);

#endif
