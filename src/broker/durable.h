/* durable.h - what durable.c and restore.c share: the records' form, and what stands for which. */
#ifndef MIDGE_BROKER_DURABLE_H
#define MIDGE_BROKER_DURABLE_H

#include "broker/internal.h"

enum kind { META = 'A', MESSAGE, SESSION, WILL, SUBSCRIPTION, RECEIVED, RETAINED, ENTRY };

#define FORMAT 1u
#define BYTE_ORDER_MARK 0x01020304u /* as this machine has it in memory */

/* Flags of a message's record, beside the QoS. */
#define HAS_EXPIRY 4u
#define RETAIN 8u
/* Of an entry's. */
#define AS_RETAINED 4u
#define SENT 8u
#define RELEASED 16u
#define SHARED 32u
/* Of a subscription's. */
#define NO_LOCAL 4u
#define RETAIN_AS_PUBLISHED 8u

/* Ages before midge_new have to be said in unsigned milliseconds: a broker with a store begins this old. */
#define START_AGE ((midge_ms)1 << 40)

/* Which record stands for a message, an entry, or (while restoring) a session. */
struct tracked {
    struct midge_map_node node;
    void *what;
    uint64_t id;
    uint32_t uses;  /* of messages: records that name it */
    bool written;
};

/* A record under construction: the short pieces lie here. */
struct draft {
    uint8_t key[16], head[32];
    struct midge_wr k, h;
    struct midge_record r;
};

struct midge_durable {
    const struct midge_store *store;
    struct midge_map messages; /* by address; by id while restoring */
    struct midge_map entries;  /* by address */
    struct midge_map sessions; /* by id, while restoring */
    uint64_t last_id;
    uint32_t last_session;
    uint64_t wall_ms;          /* wall clock at `wall_age`; 0 = not known */
    midge_ms wall_age;
    bool restoring;
    midge_ms lazy_due;         /* age by which what nobody relies on is synced; MIDGE_NEVER = nothing is left */
    bool dirty;                /* something that a peer may rely on is not synced */
    bool failed;
    struct draft draft;        /* one at a time: too large for a small stack */
};

/* The age at a time by the wall clock; what is not known, or in the future, is now. */
midge_ms midge_durable_age(const struct midge *m, uint64_t wall_ms);
void midge_durable_meta(struct midge *m);
/* Messages that no record names any more; those that stay are known by address from now on. */
void midge_durable_settle(struct midge *m);

bool midge_tracked_is_at(const struct midge_map_node *n, uintptr_t address, struct midge_slice none);
bool midge_tracked_has_id(const struct midge_map_node *n, uintptr_t id, struct midge_slice none);
struct tracked *midge_tracked_find(const struct midge_map *map, uintptr_t number, midge_map_equal equal);
/* NULL: no memory. */
struct tracked *midge_track(struct midge *m, struct midge_map *map, void *what, uint64_t id, uintptr_t number);
void midge_untrack(struct midge *m, struct midge_map *map, struct tracked *t);

#endif
