/* internal.h - struct midge_bridge and what the files of the bridge share. */
#ifndef MIDGE_PLUG_BRIDGE_INTERNAL_H
#define MIDGE_PLUG_BRIDGE_INTERNAL_H

#include "midge/midge_bridge.h"
#include "midge/midge_client.h"

enum { PUBLISH = 3, PUBACK, PUBREC, PUBREL, PUBCOMP }; /* packet types */

#define BRIDGE_SET 64u /* and the window where a set is needed */

/* Packet ids that one side has to treat in its own way. */
struct pid_set {
    uint16_t ids[BRIDGE_SET];
    uint8_t count;
};

enum phase {
    PHASE_WAIT,  /* until `due` */
    PHASE_DIAL,  /* the host makes a transport */
    PHASE_HELLO, /* CONNECT is out */
    PHASE_UP,
    PHASE_OVER   /* stopped, or started once and gone */
};

struct midge_bridge {
    const struct midge_bridge_options *o;
    struct midge *m;
    midge_ms now;
    uint8_t phase;
    bool broken;     /* the transport is to be closed: packets could not be passed on */
    bool leaving;    /* DISCONNECT was asked for */
    bool stopped;
    bool not_private;     /* the other broker does not know the bridge bit */
    bool answered;        /* CONNACK came */
    bool draining;   /* what waited before the connection is not through yet */
    uint8_t reason;  /* of the end */

    struct midge_client_hooks far_hooks, near_hooks;
    struct midge_client_config far_config, near_config;
    struct midge_client *far, *near; /* of the other broker, and of this one */
    struct midge_conn *conn;         /* near's other end; NULL while the other broker is not there */
    struct midge_inside inside;
    uint8_t *policies;
    bool near_up, near_present;      /* CONNACK of this broker */

    /* what the other broker serves */
    bool far_present;
    uint8_t far_qos;
    bool far_no_retain;
    uint16_t far_window;

    uint32_t flush_left;    /* ids of ours that the other broker may hold for QoS 2, of which we know nothing */
    struct pid_set lowered; /* sent with a lower QoS than this broker gave them */
    struct pid_set flushed; /* whose PUBREL was sent ahead: the next PUBCOMP answers that */

    /* when, and whom */
    size_t address;
    size_t tried;           /* addresses in a row that failed */
    uint32_t delay_ms;      /* the last wait */
    midge_ms due;           /* PHASE_WAIT: of the next try */
    midge_ms probe_at, idle_at;
    uint32_t probe_ms;
    bool go_first;          /* the next dial is the first address */
    int64_t credit;         /* thousandths of messages that may be replayed now */
    midge_ms credit_at;

    struct midge_bridge_stats stats;
    char fetched[66]; /* mark of what it fetches */
    char client_id[128], local_client_id[140], notify_topic[200];
    uint8_t buffer[2048];
};

/* ---- map.c: topics ------------------------------------------------------------------------------------- */

/* prefix + pattern, without a NUL behind it; false: longer than the room. */
bool bridge_map_filter(const struct midge_bridge_map *map, bool local, struct midge_slice *out, uint8_t *room,
                       size_t size);
/* The map of a topic of this broker (going out) or of the other one. NULL: none. */
const struct midge_bridge_map *bridge_map_find(const struct midge_bridge_options *o, enum midge_bridge_direction way,
                                               struct midge_slice topic);
/* The topic on the other side, written to `room`. False: longer than the room. */
bool bridge_map_topic(const struct midge_bridge_map *map, enum midge_bridge_direction way, struct midge_slice topic,
                      struct midge_slice *out, uint8_t *room, size_t size);

/* ---- relay.c: packets ---------------------------------------------------------------------------------- */

void bridge_from_far(void *user, const struct midge_client_packet *p);
void bridge_from_near(void *user, const struct midge_client_packet *p);
/* A packet that its client would not send. */
void bridge_dropped(struct midge_bridge *b, bool by_far, const struct midge_client_event *event);

/* ---- near.c: this broker's side ------------------------------------------------------------------------ */

/* Connects to this broker; queued messages begin to come. False: it would not have us. */
bool bridge_near_open(struct midge_bridge *b);
void bridge_near_unsubscribe(struct midge_bridge *b);
void bridge_near_close(struct midge_bridge *b, bool end_session);
/* Passes bytes between this broker and `near`: answers and messages in; out as far as `far` may take more. */
void bridge_near_push(struct midge_bridge *b);
void bridge_near_pull(struct midge_bridge *b);
midge_ms bridge_near_credit_at(const struct midge_bridge *b); /* when more may be replayed */
void bridge_notify_local(struct midge_bridge *b, bool up);

/* ---- bridge.c ------------------------------------------------------------------------------------------ */

void bridge_break(struct midge_bridge *b, uint8_t reason);
void bridge_tell(struct midge_bridge *b, enum midge_bridge_event_kind kind, uint8_t reason, const char *text);

static inline struct midge_slice bridge_text(const char *s)
{
    struct midge_slice slice = { (const uint8_t *)s, 0 };
    while (s && s[slice.len])
        slice.len++;
    return slice;
}

static inline uint32_t bridge_or(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

#endif
