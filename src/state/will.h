/* will.h - the message that a client leaves with the broker [MQTT 5.0 section 3.1.2.5]. */
#ifndef MIDGE_STATE_WILL_H
#define MIDGE_STATE_WILL_H

#include "state/msg.h"

struct midge_session;

struct midge_will {
    struct midge_msg *msg; /* holds; its arrival time is reset when it is published */
    union {
        uint32_t delay_s;        /* Will Delay Interval */
        struct midge_will *next; /* once it is due: of those that are to be published when the present call is over */
    };
    struct midge_session *session; /* once it is due: whose it is; NULL = that has ended */
};

/* Takes over the reference to msg, in success and failure. NULL: no memory. Tag MIDGE_TAG_SESSION. */
struct midge_will *midge_will_new(struct midge_mem *mem, struct midge_msg *msg, uint32_t delay_s);
void midge_will_free(struct midge_mem *mem, struct midge_will *w); /* NULL is fine */
/* Frees the will and hands its message over. */
struct midge_msg *midge_will_take(struct midge_mem *mem, struct midge_will *w);

#endif
