/* subtree.c - the trie of filters. */
#include "state/subtree.h"

#include "base/slice.h"
#include "state/session.h"
#include "state/shared.h"

static const uint8_t plus[] = "+";

static struct midge_slice plus_level(void)
{
    return (struct midge_slice){ .data = plus, .len = 1 };
}

static size_t node_size(size_t level_len)
{
    return offsetof(struct midge_node, level) + level_len; /* the level begins within the last word */
}

static struct midge_slice level_of(const struct midge_node *node)
{
    return (struct midge_slice){ .data = node->level, .len = node->len };
}

static struct midge_node *new_node(struct midge_subtree *t, struct midge_node *parent,
                                   struct midge_slice level)
{
    struct midge_node *node = midge_mem_zalloc(t->mem, node_size(level.len), MIDGE_TAG_SUB);
    if (!node)
        return NULL;
    node->parent = parent;
    node->len = (uint16_t)level.len;
    if (level.len > 0)
        memcpy(node->level, level.data, level.len);
    return node;
}

static void free_node(struct midge_subtree *t, struct midge_node *node)
{
    midge_mem_free(t->mem, node, node_size(node->len), MIDGE_TAG_SUB);
}

bool midge_subtree_init(struct midge_subtree *t, struct midge_mem *mem, const uint32_t seed[2])
{
    *t = (struct midge_subtree){ .mem = mem };
    midge_map_init(&t->nodes, mem, MIDGE_TAG_SUB, seed);
    t->plus_hash = midge_map_hash_key(&t->nodes, plus_level());
    t->root = new_node(t, NULL, (struct midge_slice){ 0 });
    return t->root != NULL;
}

void midge_subtree_clear(struct midge_subtree *t)
{
    midge_map_clear(&t->nodes);
    if (t->root)
        free_node(t, t->root);
    t->root = NULL;
}

/* ---- nodes -------------------------------------------------------------------------------------------- */

static bool is_child(const struct midge_map_node *n, uintptr_t parent, struct midge_slice level)
{
    const struct midge_node *node = MIDGE_CONTAINER(struct midge_node, by_level, n);
    return (uintptr_t)node->parent == parent && midge_slice_equal(level_of(node), level);
}

static struct midge_node *child(const struct midge_subtree *t, const struct midge_node *parent,
                                struct midge_slice level, uint32_t level_hash)
{
    uintptr_t number = (uintptr_t)parent;
    uint32_t hash = midge_map_hash_number(level_hash, number);
    struct midge_map_node *n = midge_map_find(&t->nodes, hash, number, level, is_child);
    return n ? MIDGE_CONTAINER(struct midge_node, by_level, n) : NULL;
}

static struct midge_node *add_child(struct midge_subtree *t, struct midge_node *parent,
                                    struct midge_slice level, uint32_t level_hash)
{
    struct midge_node *node = new_node(t, parent, level);
    if (!node)
        return NULL;
    if (!midge_map_insert(&t->nodes, &node->by_level, midge_map_hash_number(level_hash, (uintptr_t)parent))) {
        free_node(t, node);
        return NULL;
    }
    parent->children++;
    if (midge_level_is_plus(level))
        parent->has_plus = true;
    else
        parent->recent = node;
    return node;
}

static bool is_empty(const struct midge_node *node)
{
    return node->parent && !node->exact && !node->multi && !(MIDGE_SHARED && node->groups) && node->children == 0;
}

/* Frees the node and those above it, as far as nothing needs them. */
static void prune(struct midge_subtree *t, struct midge_node *node)
{
    while (is_empty(node)) {
        struct midge_node *parent = node->parent;
        parent->children--;
        if (midge_level_is_plus(level_of(node)))
            parent->has_plus = false;
        if (parent->recent == node)
            parent->recent = NULL;
        midge_map_remove(&t->nodes, &node->by_level);
        free_node(t, node);
        node = parent;
    }
}

/* The node at which the filter's path ends; NULL: there is none, or, with `create`, no memory. */
static struct midge_node *walk(struct midge_subtree *t, const struct midge_filter *f, bool create)
{
    struct midge_node *node = t->root;
    struct midge_levels levels;
    struct midge_slice level;
    midge_levels_init(&levels, f->path);
    for (uint16_t i = 0; i < f->levels && midge_levels_next(&levels, &level); i++) {
        uint32_t hash = midge_map_hash_key(&t->nodes, level);
        struct midge_node *next = child(t, node, level, hash);
        if (!next && create)
            next = add_child(t, node, level, hash);
        if (!next) {
            if (create)
                prune(t, node);
            return NULL;
        }
        node = next;
    }
    return node;
}

/* ---- subscriptions ------------------------------------------------------------------------------------ */

static struct midge_link **list_of(struct midge_node *node, bool multi)
{
    return multi ? &node->multi : &node->exact;
}

/* Where a subscription to this filter hangs. */
static struct midge_link *places(struct midge_subtree *t, struct midge_node *node,
                                 const struct midge_filter *f)
{
    if (!MIDGE_SHARED || !f->group.data)
        return *list_of(node, f->multi);
    struct midge_group *g = midge_group_at(t, node, f, false);
    return g ? g->members : NULL;
}

static const struct midge_link *head_of(const struct midge_sub *sub)
{
    if (MIDGE_SHARED && sub->shared)
        return sub->group->members;
    return *list_of(sub->node, sub->multi);
}

struct midge_sub *midge_subtree_find(struct midge_subtree *t, struct midge_session *s,
                                     const struct midge_filter *f)
{
    struct midge_node *node = walk(t, f, false);
    struct midge_link *head = node ? places(t, node, f) : NULL;
    struct midge_link *here = head;
    struct midge_link *own = s->subs;
    for (; here && own; here = here->next, own = own->next) {
        struct midge_sub *sub = MIDGE_CONTAINER(struct midge_sub, on_node, here);
        if (sub->session == s)
            return sub;
        sub = MIDGE_CONTAINER(struct midge_sub, on_session, own);
        if (head_of(sub) == head)
            return sub;
    }
    return NULL;
}

/* Hangs the subscription on its group or node; false: no memory. */
static bool hang(struct midge_subtree *t, struct midge_sub *sub, struct midge_node *node,
                 const struct midge_filter *f)
{
    if (MIDGE_SHARED && f->group.data) {
        struct midge_group *g = midge_group_at(t, node, f, true);
        if (g)
            midge_group_join(g, sub);
        return g != NULL;
    }
    sub->node = node;
    midge_link_insert(list_of(node, f->multi), &sub->on_node);
    return true;
}

struct midge_sub *midge_subtree_add(struct midge_subtree *t, struct midge_session *s,
                                    const struct midge_filter *f)
{
    struct midge_sub *sub = midge_mem_zalloc(t->mem, sizeof *sub, MIDGE_TAG_SUB);
    struct midge_node *node = sub ? walk(t, f, true) : NULL;
    if (!node || !hang(t, sub, node, f)) {
        if (node)
            prune(t, node);
        midge_mem_free(t->mem, sub, sizeof *sub, MIDGE_TAG_SUB);
        return NULL;
    }
    sub->session = s;
    sub->multi = f->multi;
    midge_link_insert(&s->subs, &sub->on_session);
    s->sub_count++;
    t->subs++;
    t->generation++;
    return sub;
}

void midge_subtree_remove(struct midge_subtree *t, struct midge_sub *sub)
{
    struct midge_node *node = MIDGE_SHARED && sub->shared ? sub->group->node : sub->node;
    if (MIDGE_SHARED && sub->shared)
        midge_group_leave(t, sub);
    else
        midge_link_remove(&sub->on_node);
    midge_link_remove(&sub->on_session);
    sub->session->sub_count--;
    midge_mem_free(t->mem, sub, sizeof *sub, MIDGE_TAG_SUB);
    prune(t, node);
    t->subs--;
    t->generation++;
}

/* ---- matching ----------------------------------------------------------------------------------------- */

static bool tell_subs(const struct midge_link *l, const struct midge_matcher *m)
{
    for (; l; l = l->next)
        if (!m->sub(m->arg, MIDGE_CONTAINER(struct midge_sub, on_node, l)))
            return false;
    return true;
}

static bool tell_groups(struct midge_group *g, bool multi, bool exact, const struct midge_matcher *m)
{
    for (; g && m->group; g = g->next)
        if ((g->multi ? multi : exact) && !m->group(m->arg, g))
            return false;
    return true;
}

/* Where a match stands: at a node, with the levels below it still to come. */
struct walker {
    const struct midge_subtree *tree;
    struct midge_node *node;
    const uint8_t *start; /* of the topic */
    const uint8_t *end;
    const uint8_t *at; /* the next level; NULL after the last */
    bool dollar;       /* the topic begins with "$" */
};

static bool wildcards_ok(const struct walker *w)
{
    return !(w->dollar && w->node == w->tree->root); /* [MQTT-4.7.2-1] */
}

static struct midge_slice next_level(const struct walker *w)
{
    const uint8_t *end = w->at;
    while (end < w->end && *end != '/')
        end++;
    return midge_slice_of(w->at, (size_t)(end - w->at));
}

static void enter(struct walker *w, struct midge_node *node, uint32_t level_len)
{
    const uint8_t *end = w->at + level_len;
    w->at = end < w->end ? end + 1 : NULL;
    w->node = node;
}

/* True when the next level is that of `node`. */
static bool leads_to(const struct walker *w, const struct midge_node *node)
{
    size_t left = (size_t)(w->end - w->at);
    if (node->len > left || (node->len < left && w->at[node->len] != '/'))
        return false;
    return memcmp(w->at, node->level, node->len) == 0;
}

static struct midge_node *find_literal(const struct walker *w)
{
    struct midge_node *recent = w->node->recent;
    uint32_t literals = w->node->children - w->node->has_plus;
    if (recent && leads_to(w, recent))
        return recent;
    if (literals == 0 || (literals == 1 && recent))
        return NULL;
    struct midge_slice level = next_level(w);
    return child(w->tree, w->node, level, midge_map_hash_key(&w->tree->nodes, level));
}

static bool enter_literal(struct walker *w)
{
    struct midge_node *node = find_literal(w);
    if (!node)
        return false;
    w->node->recent = node;
    enter(w, node, node->len);
    return true;
}

static bool enter_plus(struct walker *w)
{
    if (!w->node->has_plus || !wildcards_ok(w))
        return false;
    struct midge_node *node = child(w->tree, w->node, plus_level(), w->tree->plus_hash);
    enter(w, node, next_level(w).len);
    return true;
}

/* Back to the parent; true when that was from "+". */
static bool leave(struct walker *w)
{
    const uint8_t *at = w->at ? w->at - 1 : w->end; /* the end of the level that led here */
    bool was_plus = midge_level_is_plus(level_of(w->node));
    if (!was_plus)
        at -= w->node->len;
    else
        while (at > w->start && at[-1] != '/')
            at--;
    w->at = at;
    w->node = w->node->parent;
    return was_plus;
}

static bool tell_here(const struct walker *w, const struct midge_matcher *m)
{
    bool multi = wildcards_ok(w);
    bool exact = !w->at;
    return (!multi || tell_subs(w->node->multi, m)) && (!exact || tell_subs(w->node->exact, m)) &&
           (!MIDGE_SHARED || tell_groups(w->node->groups, multi, exact, m));
}

bool midge_subtree_match(const struct midge_subtree *t, struct midge_slice topic,
                         const struct midge_matcher *m)
{
    struct walker w = {
        .tree = t,
        .node = t->root,
        .start = topic.data,
        .end = topic.data + topic.len,
        .at = topic.data,
        .dollar = topic.data[0] == '$',
    };
    for (;;) {
        if (!tell_here(&w, m))
            return false;
        if (w.at && (enter_literal(&w) || enter_plus(&w)))
            continue;
        do {
            if (w.node == t->root)
                return true;
        } while (leave(&w) || !enter_plus(&w));
    }
}

/* ---- the filter again --------------------------------------------------------------------------------- */

/* Copies n bytes so that they end at out[end], as far as there is room; returns where they begin. */
static uint32_t put_before(uint8_t *out, uint32_t room, uint32_t end, const uint8_t *from, uint32_t n)
{
    uint32_t at = end - n;
    if (at < room && n > 0)
        memcpy(out + at, from, room - at < n ? room - at : n);
    return at;
}

/* Each level is taken with a "/" before it: "$share/g" "/a" "/+" "/#". Without a share the first "/" falls
 * before the text: at an index past any room. */
uint32_t midge_sub_filter(const struct midge_sub *sub, uint8_t *out, uint32_t room)
{
    static const uint8_t text[] = "$share/#";
    const uint8_t *slash = text + 6;
    const uint8_t *hash = text + 7;
    const struct midge_group *g = sub->shared ? sub->group : NULL;
    const struct midge_node *node = g ? g->node : sub->node;
    uint32_t len = (g ? 7u + g->name_len : UINT32_MAX) + (sub->multi ? 2 : 0);
    for (const struct midge_node *n = node; n->parent; n = n->parent)
        len += 1u + n->len;
    uint32_t at = len;
    if (sub->multi) {
        at = put_before(out, room, at, hash, 1);
        at = put_before(out, room, at, slash, 1);
    }
    for (; node->parent; node = node->parent) {
        at = put_before(out, room, at, node->level, node->len);
        at = put_before(out, room, at, slash, 1);
    }
    if (g) {
        at = put_before(out, room, at, g->name, g->name_len);
        put_before(out, room, at, text, 7);
    }
    return len;
}
