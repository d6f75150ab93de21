/* shared.h - groups of shared subscriptions: who is a member, whose turn it is [MQTT 5.0 section 4.8.2]. */
#ifndef MIDGE_STATE_SHARED_H
#define MIDGE_STATE_SHARED_H

#include "state/subtree.h"

struct midge_group {
    struct midge_group *next;   /* on the same node */
    struct midge_node *node;
    struct midge_link *members; /* midge_sub.on_node */
    struct midge_link *turn;    /* who is asked first next time; NULL = the first member */
    uint32_t serial;            /* names the group for entries that wait; never 0, not reused soon */
    uint16_t name_len;
    bool multi;
    uint8_t name[];
};

/* For subtree.c: the group of this name and kind on a node; created when `create`. NULL: none, or no memory. */
struct midge_group *midge_group_at(struct midge_subtree *t, struct midge_node *node, const struct midge_filter *f,
                                   bool create);
void midge_group_join(struct midge_group *g, struct midge_sub *sub); /* at the end: turns stay fair */
void midge_group_leave(struct midge_subtree *t, struct midge_sub *sub); /* frees an empty group */

/* The member whose turn it is; moves the turn on. Calling it as often as there are members names each once. */
struct midge_sub *midge_group_turn(struct midge_group *g);

#endif
