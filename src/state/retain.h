/* retain.h - the retained messages, one a topic, in a crit-bit tree over the topics' bytes.
 *
 * A message costs one inner node (12 bytes on 32-bit), however many levels its topic has. Topics hold no U+0000, so
 * a topic is read as if zeros followed it. The tree is in byte order, so a scan needs no state but the message that
 * it saw last: the tree may change between two steps.
 */
#ifndef MIDGE_STATE_RETAIN_H
#define MIDGE_STATE_RETAIN_H

#include "state/msg.h"
#include "state/topic.h"

struct midge_retain {
    struct midge_mem *mem;
    void *root;             /* tagged: inner node or message */
    uint32_t count;
    size_t bytes;           /* sum of midge_msg_bytes */
    midge_ms next_expiry;   /* no message expires before this (ms since midge_new) */
};

void midge_retain_init(struct midge_retain *r, struct midge_mem *mem);
void midge_retain_clear(struct midge_retain *r); /* all of it */

/* Stores msg as the one of its topic [MQTT-3.3.1-5], with one more reference. MIDGE_ERR_NO_MEMORY: as before. Cannot
 * fail when the topic has a message already. */
MIDGE_MUST_USE enum midge_err midge_retain_set(struct midge_retain *r, struct midge_msg *msg);
void midge_retain_remove(struct midge_retain *r, struct midge_slice topic); /* [MQTT-3.3.1-6] */
struct midge_msg *midge_retain_get(const struct midge_retain *r, struct midge_slice topic); /* lends */

/* The first message after `last` (NULL = from the start) in byte order that the filter matches; lends; NULL = no more.
 * `last` need not be in the tree any longer. Passes over what cannot match by seeking. */
struct midge_msg *midge_retain_next(const struct midge_retain *r, const struct midge_filter *f,
                                    const struct midge_msg *last);

/* Removes what has expired at `age` and recomputes next_expiry; `gone` is told of each first. Looks at each
 * message. */
void midge_retain_expire(struct midge_retain *r, midge_ms age, void (*gone)(void *arg, struct midge_msg *msg),
                         void *arg);

#endif
