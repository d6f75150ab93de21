/* midge_store.h - durable records: what the broker asks of a store, and how it gets them back.
 *
 * A store keeps byte strings by key, in key order. The broker writes records as things change and calls `sync` once
 * a turn (midge_ready); nothing that a peer may rely on is pulled before its record is synced: PUBACK, PUBREC,
 * PUBCOMP, PUBREL, SUBACK, UNSUBACK, CONNACK of a session that stays, the first sending of a QoS 2 PUBLISH. So
 * acknowledged means durable. What nobody relies on (a message that was acknowledged to us is deleted) is synced within
 * a second. With relaxed_ms nothing waits: a crash loses at most what was written in so many milliseconds.
 *
 * At the start, before the first midge_accept: midge_restore for each record in key order, then midge_restored.
 */
#ifndef MIDGE_STORE_H
#define MIDGE_STORE_H

#include "midge/midge_types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge;

/* Key and value, each in two pieces that belong together; borrowed until the call returns. Keys have 1 to 65,540 bytes,
 * values as many as a packet. */
struct midge_record {
    struct midge_slice key[2];
    struct midge_slice value[2];
};

/* False from any of them: the store cannot keep its word. The broker then answers nobody any more: it ends every
 * connection, accepts none, and tells MIDGE_EV_STORE_FAILED. */
struct midge_store {
    void *user;
    bool (*put)(void *user, const struct midge_record *record); /* new, or in place of the old one */
    /* all: every key that begins with this one */
    bool (*del)(void *user, const struct midge_record *record, bool all);
    bool (*sync)(void *user); /* what was put and deleted is on the disk when it returns */
    uint32_t relaxed_ms;      /* 0 = durable: peers wait for the sync */
};

/* One record of an earlier run. MIDGE_ERR_INVALID: not a record of ours, or it names others that are not there: the
 * store is damaged, and should be refused and kept for a look. MIDGE_ERR_NO_MEMORY: the limit, or the allocator. */
MIDGE_MUST_USE enum midge_err midge_restore(struct midge *m, struct midge_slice key, struct midge_slice value);

/* That was the last one. Sessions that were connected count as gone from now on; what expired meanwhile, by the wall
 * clock, goes its way. */
void midge_restored(struct midge *m, midge_ms now);

#ifdef __cplusplus
}
#endif
#endif
