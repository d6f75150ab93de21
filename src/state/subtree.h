/* subtree.h - subscriptions, found by topic: a trie of filter levels kept in one hash map.
 *
 *      root ── "home" ── "+" ── "temp"          a node per level; children are found through the map by
 *               │ multi: subs to home/#          (parent, level); a filter that ends in "#" hangs on the
 *               │ exact: subs to home            node before it, in `multi`
 *
 * Work is proportional to the nodes visited: at most two per topic level and branch (the level itself, and "+"). No
 * recursion, no stack that grows with the topic: the way back goes through parent pointers.
 */
#ifndef MIDGE_STATE_SUBTREE_H
#define MIDGE_STATE_SUBTREE_H

#include "base/list.h"
#include "base/map.h"
#include "state/topic.h"

struct midge_session;
struct midge_group;

/* 32-bit: 34 bytes and the level's own. */
struct midge_node {
    struct midge_map_node by_level;
    struct midge_node *parent;
    struct midge_node *recent;  /* the child added or matched last, never "+"; saves hashing. NULL: look it up */
    struct midge_link *exact;   /* midge_sub.on_node: filters that end here */
    struct midge_link *multi;   /* the same, with "/#" after it */
    struct midge_group *groups; /* shared subscriptions of both kinds, those with "#" first */
    uint32_t children : 31;
    uint32_t has_plus : 1;      /* one of the children is "+" */
    uint16_t len;
    uint8_t level[];
};

/* 32-bit: 32 bytes. Owned by the tree; hangs on its session and on one node or group. */
struct midge_sub {
    struct midge_link on_node;    /* node->exact, node->multi, or group->members */
    struct midge_link on_session; /* session->subs */
    struct midge_session *session;
    union {
        struct midge_node *node;
        struct midge_group *group; /* when shared */
    };
    uint32_t id;                  /* Subscription Identifier, 0 = none */
    uint8_t qos : 2;
    uint8_t no_local : 1;
    uint8_t retain_as_published : 1;
    uint8_t multi : 1;
    uint8_t shared : 1;
};

struct midge_subtree {
    struct midge_mem *mem;
    struct midge_map nodes;
    struct midge_node *root;
    uint32_t subs;          /* how many there are */
    uint32_t last_serial;   /* of groups */
    uint32_t plus_hash;     /* of the key "+" */
    uint32_t generation;    /* changes with every add and remove */
};

bool midge_subtree_init(struct midge_subtree *t, struct midge_mem *mem, const uint32_t seed[2]);
void midge_subtree_clear(struct midge_subtree *t); /* all subs are removed before */

/* The subscription of this session to this filter, NULL = none. Looks through the shorter of the node's and the
 * session's list, in lock step. */
struct midge_sub *midge_subtree_find(struct midge_subtree *t, struct midge_session *s, const struct midge_filter *f);

/* A new subscription (midge_subtree_find said NULL), counted in s->sub_count; options and id are set by the caller.
 * NULL: no memory, nothing changed. Tag MIDGE_TAG_SUB. */
struct midge_sub *midge_subtree_add(struct midge_subtree *t, struct midge_session *s, const struct midge_filter *f);

/* Unlinks and frees; empty nodes and groups go with it. */
void midge_subtree_remove(struct midge_subtree *t, struct midge_sub *sub);

/* Calls for each subscription and group that matches the topic name, in no particular order; stops when a call returns
 * false and returns false then. The tree must not change meanwhile. [MQTT-3.3.2-3] [MQTT-4.7.2-1] */
struct midge_matcher {
    bool (*sub)(void *arg, struct midge_sub *sub);
    bool (*group)(void *arg, struct midge_group *group); /* NULL = groups are passed over */
    void *arg;
};
bool midge_subtree_match(const struct midge_subtree *t, struct midge_slice topic, const struct midge_matcher *m);

/* Writes the filter of a subscription ("$share/g/a/+/#"); returns its length, writes at most `room` bytes. */
uint32_t midge_sub_filter(const struct midge_sub *sub, uint8_t *out, uint32_t room);

#endif
