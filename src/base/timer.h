/* timer.h - deadlines as a pairing heap of nodes that live in their owners: arming a timer cannot fail. */
#ifndef MIDGE_BASE_TIMER_H
#define MIDGE_BASE_TIMER_H

#include "midge/midge_types.h"

/* Deadlines are 32-bit milliseconds of the broker's own clock, compared modulo 2^32: a deadline lies at most
 * MIDGE_TIMER_MAX ahead. Owners that wait longer arm for that long and look again. */
#define MIDGE_TIMER_MAX 0x3FFFFFFFu

struct midge_timer {
    struct midge_timer *child;
    struct midge_timer *next;  /* sibling */
    struct midge_timer **pprev; /* the pointer that points here; NULL = not armed */
    uint32_t due;
};

struct midge_timers {
    struct midge_timer *root;
};

/* Arms or moves. */
void midge_timer_set(struct midge_timers *t, struct midge_timer *timer, uint32_t due);
void midge_timer_cancel(struct midge_timers *t, struct midge_timer *timer);

/* The one that is due next; NULL = none armed. */
static inline struct midge_timer *midge_timer_first(const struct midge_timers *t)
{
    return t->root;
}

/* a is before b, modulo 2^32. */
static inline bool midge_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

#endif
