/* mem.c - counts what is drawn, and says no in time. */
#include "base/mem.h"

#include <string.h>

/* Tags that keep the broker answering. */
#define MAY_USE_RESERVE                                                                                      \
    (1u << MIDGE_TAG_BROKER | 1u << MIDGE_TAG_CONN | 1u << MIDGE_TAG_CONTROL | 1u << MIDGE_TAG_FRAME |       \
     1u << MIDGE_TAG_SESSION)

void midge_mem_set_limit(struct midge_mem *m, size_t limit, size_t reserve)
{
    size_t most = m->from->size;
    m->limit = most && most < limit ? most : limit;
    m->reserve = reserve < m->limit ? reserve : m->limit;
}

void midge_mem_init(struct midge_mem *m, const struct midge_memory *from, size_t limit, size_t reserve)
{
    *m = (struct midge_mem){ .from = from };
    midge_mem_set_limit(m, limit, reserve);
}

size_t midge_mem_cost(const struct midge_mem *m, size_t n)
{
    return m->from->cost ? m->from->cost(n) : n;
}

static bool fits(const struct midge_mem *m, size_t more, size_t limit)
{
    return m->used <= limit && more <= limit - m->used;
}

static bool allowed(const struct midge_mem *m, size_t more, enum midge_tag tag)
{
    return fits(m, more, MAY_USE_RESERVE >> tag & 1u ? m->limit : m->limit - m->reserve);
}

bool midge_mem_would_fit(const struct midge_mem *m, size_t n)
{
    return fits(m, n, m->limit - m->reserve);
}

static void raise_peak(size_t *peak, size_t now)
{
    if (now > *peak)
        *peak = now;
}

static void charge(struct midge_mem *m, size_t cost, enum midge_tag tag)
{
    m->used += cost;
    struct midge_mem_counts *n = m->counts;
    if (!MIDGE_STATS || !n)
        return;
    n->by_tag[tag] += cost;
    raise_peak(&n->peak, m->used);
    raise_peak(&n->peak_by_tag[tag], n->by_tag[tag]);
}

void midge_mem_count(struct midge_mem *m, struct midge_mem_counts *counts, enum midge_tag tag)
{
    size_t drawn = m->used;
    m->counts = counts;
    m->used = 0;
    charge(m, drawn, tag);
}

static void discharge(struct midge_mem *m, size_t cost, enum midge_tag tag)
{
    m->used -= cost;
    if (MIDGE_STATS && m->counts)
        m->counts->by_tag[tag] -= cost;
}

void *midge_mem_alloc(struct midge_mem *m, size_t n, enum midge_tag tag)
{
    size_t cost = midge_mem_cost(m, n);
    if (!allowed(m, cost, tag))
        return NULL;
    void *p = m->from->alloc(m->from->user, n);
    if (p)
        charge(m, cost, tag);
    return p;
}

void *midge_mem_zalloc(struct midge_mem *m, size_t n, enum midge_tag tag)
{
    void *p = midge_mem_alloc(m, n, tag);
    return p ? memset(p, 0, n) : NULL;
}

void *midge_mem_resize(struct midge_mem *m, void *p, size_t old, size_t n, enum midge_tag tag)
{
    if (!p)
        return midge_mem_alloc(m, n, tag);
    size_t old_cost = midge_mem_cost(m, old);
    size_t cost = midge_mem_cost(m, n);
    if (cost > old_cost && !allowed(m, cost - old_cost, tag))
        return NULL;
    void *moved = m->from->resize(m->from->user, p, old, n);
    if (!moved && n > old)
        return NULL;
    discharge(m, old_cost, tag);
    charge(m, cost, tag);
    return moved ? moved : p;
}

void midge_mem_free(struct midge_mem *m, void *p, size_t n, enum midge_tag tag)
{
    if (!p)
        return;
    discharge(m, midge_mem_cost(m, n), tag);
    m->from->free(m->from->user, p, n);
}

void midge_mem_retag(struct midge_mem *m, size_t n, enum midge_tag from, enum midge_tag to)
{
    size_t cost = midge_mem_cost(m, n);
    discharge(m, cost, from);
    charge(m, cost, to);
}
