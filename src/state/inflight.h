/* inflight.h - packet ids: which are in use towards a client, which QoS 2 ones from it are not yet released. */
#ifndef MIDGE_STATE_INFLIGHT_H
#define MIDGE_STATE_INFLIGHT_H

#include "state/queue.h"

/* Ids are given in ascending order and entries stand in the order of their ids, so the only id in use that the next
 * one can meet is the oldest: while that is unacknowledged after a whole round of 65,535, nothing new is sent.
 * Returns 0 then. [MQTT-2.2.1-4] [MQTT311-2.3.1-4] */
uint16_t midge_pid_next(uint16_t last, const struct midge_queue *unacked);

/* The unacknowledged entry with this id, NULL = none; *before as for midge_queue_take. */
struct midge_entry *midge_inflight_find(const struct midge_queue *unacked, uint16_t pid, struct midge_entry **before);

/* A set of packet ids, sorted, in one growing block; NULL = empty. */
struct midge_ids;
uint32_t midge_ids_count(const struct midge_ids *ids);
bool midge_ids_has(const struct midge_ids *ids, uint16_t pid);
/* MIDGE_ERR_NO_MEMORY: unchanged. Adding one that is there is fine. Tag MIDGE_TAG_SESSION. */
MIDGE_MUST_USE enum midge_err midge_ids_add(struct midge_mem *mem, struct midge_ids **ids, uint16_t pid);
bool midge_ids_remove(struct midge_mem *mem, struct midge_ids **ids, uint16_t pid); /* false: was not there */
void midge_ids_clear(struct midge_mem *mem, struct midge_ids **ids);

#endif
