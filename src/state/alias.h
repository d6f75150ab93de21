/* alias.h - topic aliases of one connection, both directions [MQTT 5.0 section 3.3.2.3.4]. */
#ifndef MIDGE_STATE_ALIAS_H
#define MIDGE_STATE_ALIAS_H

#include "base/mem.h"

/* A connection's aliases of both directions in one list: the one used last comes first. NULL = none yet. Tag
 * MIDGE_TAG_CONN. */
struct midge_alias {
    struct midge_alias *next;
    uint16_t alias;
    uint16_t len;
    bool outward; /* we gave it to the client */
    uint8_t topic[];
};

/* From the client: number -> topic. Replaces an earlier topic of that number. MIDGE_ERR_NO_MEMORY: as before. */
MIDGE_MUST_USE enum midge_err midge_alias_set(struct midge_mem *mem, struct midge_alias **list, uint16_t alias,
                                              struct midge_slice topic);
/* data NULL = not set. Borrowed until the alias is set again. */
struct midge_slice midge_alias_get(struct midge_alias **list, uint16_t alias);

/* To the client: topic -> number 1..max, the one used longest ago gives way; *is_new: the topic itself must be sent
 * along. 0 = none (no memory). max: the same in every call. */
uint16_t midge_alias_use(struct midge_mem *mem, struct midge_alias **list, uint16_t max, struct midge_slice topic,
                         bool *is_new);
bool midge_alias_knows(struct midge_alias *list, struct midge_slice topic); /* has one in use */

void midge_alias_free(struct midge_mem *mem, struct midge_alias **list);

#endif
