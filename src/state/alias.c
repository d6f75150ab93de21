/* alias.c - topic aliases: an array by number inwards, a list by last use outwards. */
#include "state/alias.h"

#include "base/slice.h"

struct name {
    uint16_t len;
    uint8_t topic[];
};

struct midge_alias_in {
    uint16_t room;
    struct name *names[]; /* by alias - 1; NULL = not set */
};

static size_t name_size(uint16_t len)
{
    return sizeof(struct name) + len;
}

static size_t table_size(uint32_t room)
{
    return sizeof(struct midge_alias_in) + room * sizeof(struct name *);
}

static void free_name(struct midge_mem *mem, struct name *name)
{
    if (name)
        midge_mem_free(mem, name, name_size(name->len), MIDGE_TAG_CONN);
}

/* The place of `alias`; NULL: no memory. The table grows to twice its size if that is enough, so that a peer
 * that counts up costs little, and one that names the highest first gets what it was allowed. */
static struct name **place(struct midge_mem *mem, struct midge_alias_in **a, uint16_t max, uint16_t alias)
{
    struct midge_alias_in *old = *a;
    uint32_t had = old ? old->room : 0;
    if (old && alias <= had)
        return &old->names[alias - 1];
    uint32_t room = 2 * had > alias ? 2 * had : alias;
    if (room > max)
        room = max;
    size_t size = table_size(room);
    struct midge_alias_in *table = midge_mem_resize(mem, old, table_size(had), size, MIDGE_TAG_CONN);
    if (!table)
        return NULL;
    for (uint32_t i = had; i < room; i++)
        table->names[i] = NULL;
    table->room = (uint16_t)room;
    *a = table;
    return &table->names[alias - 1];
}

enum midge_err midge_alias_in_set(struct midge_mem *mem, struct midge_alias_in **a, uint16_t max,
                                  uint16_t alias, struct midge_slice topic)
{
    if (midge_slice_equal(midge_alias_in_get(*a, alias), topic))
        return MIDGE_OK;
    uint16_t len = (uint16_t)topic.len;
    struct name **at = place(mem, a, max, alias);
    struct name *name = at ? midge_mem_alloc(mem, name_size(len), MIDGE_TAG_CONN) : NULL;
    if (!name)
        return MIDGE_ERR_NO_MEMORY;
    name->len = len;
    memcpy(name->topic, topic.data, len);
    free_name(mem, *at);
    *at = name;
    return MIDGE_OK;
}

struct midge_slice midge_alias_in_get(const struct midge_alias_in *a, uint16_t alias)
{
    const struct name *name = a && alias > 0 && alias <= a->room ? a->names[alias - 1] : NULL;
    return name ? midge_slice_of(name->topic, name->len) : (struct midge_slice){ 0 };
}

void midge_alias_in_free(struct midge_mem *mem, struct midge_alias_in **a)
{
    struct midge_alias_in *table = *a;
    if (!table)
        return;
    for (uint32_t i = 0; i < table->room; i++)
        free_name(mem, table->names[i]);
    midge_mem_free(mem, table, table_size(table->room), MIDGE_TAG_CONN);
    *a = NULL;
}

/* One alias; the list of them begins with the one used last. */
struct midge_alias_out {
    struct midge_alias_out *next;
    uint16_t alias;
    uint16_t len;
    uint8_t topic[];
};

static size_t out_size(uint16_t len)
{
    return sizeof(struct midge_alias_out) + len;
}

static void push(struct midge_alias_out **list, struct midge_alias_out *a)
{
    a->next = *list;
    *list = a;
}

static struct midge_alias_out *take(struct midge_alias_out **at)
{
    struct midge_alias_out *a = *at;
    *at = a->next;
    return a;
}

static bool is_for(const struct midge_alias_out *a, struct midge_slice topic)
{
    return midge_slice_equal(midge_slice_of(a->topic, a->len), topic);
}

static void free_out(struct midge_mem *mem, struct midge_alias_out *a)
{
    midge_mem_free(mem, a, out_size(a->len), MIDGE_TAG_CONN);
}

static struct midge_alias_out *make(struct midge_mem *mem, struct midge_slice topic, uint16_t alias)
{
    uint16_t len = (uint16_t)topic.len;
    struct midge_alias_out *a = midge_mem_alloc(mem, out_size(len), MIDGE_TAG_CONN);
    if (!a)
        return NULL;
    a->alias = alias;
    a->len = len;
    memcpy(a->topic, topic.data, len);
    return a;
}

uint16_t midge_alias_out_use(struct midge_mem *mem, struct midge_alias_out **a, uint16_t max,
                             struct midge_slice topic, bool *is_new)
{
    struct midge_alias_out **at = a;
    struct midge_alias_out **oldest = NULL;
    uint16_t count = 0;
    *is_new = false;
    for (; *at && !is_for(*at, topic); at = &(*at)->next) {
        oldest = at;
        count++;
    }
    if (*at) {
        push(a, take(at));
        return (*a)->alias;
    }
    if (max == 0)
        return 0;
    bool replaces = oldest && count >= max;
    uint16_t alias = replaces ? (*oldest)->alias : (uint16_t)(count + 1);
    struct midge_alias_out *made = make(mem, topic, alias);
    if (!made)
        return 0;
    if (replaces)
        free_out(mem, take(oldest));
    push(a, made);
    *is_new = true;
    return alias;
}

bool midge_alias_out_knows(const struct midge_alias_out *a, struct midge_slice topic)
{
    while (a && !is_for(a, topic))
        a = a->next;
    return a != NULL;
}

void midge_alias_out_free(struct midge_mem *mem, struct midge_alias_out **a)
{
    while (*a)
        free_out(mem, take(a));
}
