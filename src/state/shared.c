/* shared.c - groups: a ring of members in the order they came. */
#include "state/shared.h"

#include "base/slice.h"

static size_t group_size(size_t name_len)
{
    return sizeof(struct midge_group) + name_len;
}

static uint32_t new_serial(struct midge_subtree *t)
{
    if (++t->last_serial == 0)
        t->last_serial = 1;
    return t->last_serial;
}

static struct midge_group *make(struct midge_subtree *t, struct midge_node *node,
                                const struct midge_filter *f)
{
    struct midge_group *g = midge_mem_zalloc(t->mem, group_size(f->group.len), MIDGE_TAG_SUB);
    if (!g)
        return NULL;
    g->node = node;
    g->serial = new_serial(t);
    g->name_len = (uint16_t)f->group.len;
    g->multi = f->multi;
    memcpy(g->name, f->group.data, f->group.len);
    return g;
}

static bool is(const struct midge_group *g, const struct midge_filter *f)
{
    return g->multi == f->multi && midge_slice_equal(midge_slice_of(g->name, g->name_len), f->group);
}

struct midge_group *midge_group_at(struct midge_subtree *t, struct midge_node *node,
                                   const struct midge_filter *f, bool create)
{
    struct midge_group **at = &node->groups;
    while (*at && !is(*at, f) && !(f->multi && !(*at)->multi))
        at = &(*at)->next;
    if (*at && is(*at, f))
        return *at;
    struct midge_group *g = create ? make(t, node, f) : NULL;
    if (!g)
        return NULL;
    g->next = *at; /* the last of those with "#", or the last of all */
    *at = g;
    return g;
}

void midge_group_join(struct midge_group *g, struct midge_sub *sub)
{
    struct midge_link **at = &g->members;
    while (*at)
        at = &(*at)->next;
    midge_link_insert(at, &sub->on_node);
    sub->shared = true;
    sub->group = g;
}

static void unmake(struct midge_subtree *t, struct midge_group *g)
{
    struct midge_group **at = &g->node->groups;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    midge_mem_free(t->mem, g, group_size(g->name_len), MIDGE_TAG_SUB);
}

void midge_group_leave(struct midge_subtree *t, struct midge_sub *sub)
{
    struct midge_group *g = sub->group;
    if (g->turn == &sub->on_node)
        g->turn = sub->on_node.next;
    midge_link_remove(&sub->on_node);
    if (!g->members)
        unmake(t, g);
}

struct midge_sub *midge_group_turn(struct midge_group *g)
{
    struct midge_link *l = g->turn ? g->turn : g->members;
    g->turn = l->next;
    return MIDGE_CONTAINER(struct midge_sub, on_node, l);
}
