/* alias.c - topic aliases: a list by last use, read by number inwards, by topic outwards. */
#include "state/alias.h"

#include "base/slice.h"

static size_t alias_size(uint16_t len)
{
    return sizeof(struct midge_alias) + len;
}

static void push(struct midge_alias **list, struct midge_alias *a)
{
    a->next = *list;
    *list = a;
}

static struct midge_alias *take(struct midge_alias **at)
{
    struct midge_alias *a = *at;
    *at = a->next;
    return a;
}

static void free_at(struct midge_mem *mem, struct midge_alias **at)
{
    struct midge_alias *a = take(at);
    midge_mem_free(mem, a, alias_size(a->len), MIDGE_TAG_CONN);
}

/* A new one at the front; false: no memory. */
static bool add(struct midge_mem *mem, struct midge_alias **list, struct midge_slice topic, uint16_t alias,
                bool outward)
{
    uint16_t len = (uint16_t)topic.len;
    struct midge_alias *a = midge_mem_alloc(mem, alias_size(len), MIDGE_TAG_CONN);
    if (!a)
        return false;
    a->alias = alias;
    a->len = len;
    a->outward = outward;
    memcpy(a->topic, topic.data, len);
    push(list, a);
    return true;
}

static struct midge_slice topic_of(const struct midge_alias *a)
{
    return midge_slice_of(a->topic, a->len);
}

void midge_alias_free(struct midge_mem *mem, struct midge_alias **list)
{
    while (*list)
        free_at(mem, list);
}

/* ---- inwards ------------------------------------------------------------------------------------------ */

static struct midge_alias **by_number(struct midge_alias **list, uint16_t alias)
{
    while (*list && ((*list)->outward || (*list)->alias != alias))
        list = &(*list)->next;
    return list;
}

enum midge_err midge_alias_set(struct midge_mem *mem, struct midge_alias **list, uint16_t alias,
                               struct midge_slice topic)
{
    if (midge_slice_equal(midge_alias_get(list, alias), topic))
        return MIDGE_OK;
    if (!add(mem, list, topic, alias, false))
        return MIDGE_ERR_NO_MEMORY;
    struct midge_alias **old = by_number(&(*list)->next, alias);
    if (*old)
        free_at(mem, old);
    return MIDGE_OK;
}

struct midge_slice midge_alias_get(struct midge_alias **list, uint16_t alias)
{
    struct midge_alias **at = by_number(list, alias);
    if (!*at)
        return (struct midge_slice){ 0 };
    push(list, take(at));
    return topic_of(*list);
}

/* ---- outwards ----------------------------------------------------------------------------------------- */

static struct midge_alias **by_topic(struct midge_alias **list, struct midge_slice topic)
{
    while (*list && !((*list)->outward && midge_slice_equal(topic_of(*list), topic)))
        list = &(*list)->next;
    return list;
}

/* A number for a topic that has none: the next, or that of the one used longest ago. */
static uint16_t assign(struct midge_mem *mem, struct midge_alias **list, uint16_t max, struct midge_slice topic)
{
    uint16_t count = 0;
    struct midge_alias **oldest = list;
    for (struct midge_alias **at = list; *at; at = &(*at)->next) {
        if (!(*at)->outward)
            continue;
        oldest = at;
        count++;
    }
    uint16_t alias = count < max ? (uint16_t)(count + 1) : (*oldest)->alias;
    if (!add(mem, list, topic, alias, true))
        return 0;
    if (count >= max)
        free_at(mem, oldest == list ? &(*list)->next : oldest); /* behind the new one */
    return alias;
}

uint16_t midge_alias_use(struct midge_mem *mem, struct midge_alias **list, uint16_t max, struct midge_slice topic,
                         bool *is_new)
{
    struct midge_alias **known = by_topic(list, topic);
    *is_new = false;
    if (*known) {
        push(list, take(known));
        return (*list)->alias;
    }
    uint16_t alias = max > 0 ? assign(mem, list, max, topic) : 0;
    *is_new = alias != 0;
    return alias;
}

bool midge_alias_knows(struct midge_alias *list, struct midge_slice topic)
{
    return *by_topic(&list, topic) != NULL;
}
