/* alias.h - topic aliases of one connection, both directions [MQTT 5.0 section 3.3.2.3.4]. */
#ifndef MIDGE_STATE_ALIAS_H
#define MIDGE_STATE_ALIAS_H

#include "base/mem.h"

/* From the client: number -> topic. NULL = none set yet. Tag MIDGE_TAG_CONN. */
struct midge_alias_in;
/* alias 1..max, checked by the caller. Replaces an earlier topic. MIDGE_ERR_NO_MEMORY: as before. */
MIDGE_MUST_USE enum midge_err midge_alias_in_set(struct midge_mem *mem, struct midge_alias_in **a, uint16_t max,
                                                 uint16_t alias, struct midge_slice topic);
/* data NULL = not set. Borrowed until the alias is set again. */
struct midge_slice midge_alias_in_get(const struct midge_alias_in *a, uint16_t alias);
void midge_alias_in_free(struct midge_mem *mem, struct midge_alias_in **a);

/* To the client: topic -> number, the one used longest ago gives way. NULL = none used yet. */
struct midge_alias_out;
/* The alias for this topic, 1..max; *is_new: the topic itself must be sent along. 0 = none (no memory). max: the
 * same in every call. */
uint16_t midge_alias_out_use(struct midge_mem *mem, struct midge_alias_out **a, uint16_t max, struct midge_slice topic,
                             bool *is_new);
bool midge_alias_out_knows(const struct midge_alias_out *a, struct midge_slice topic); /* has one in use */
void midge_alias_out_free(struct midge_mem *mem, struct midge_alias_out **a);

#endif
