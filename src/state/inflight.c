/* inflight.c - packet ids, both directions. */
#include "state/inflight.h"

#include <string.h>

uint16_t midge_pid_next(uint16_t last, const struct midge_queue *unacked)
{
    uint16_t pid = last == UINT16_MAX ? 1 : (uint16_t)(last + 1); /* never 0 [MQTT-2.2.1-3] */
    return unacked->head && unacked->head->pid == pid ? 0 : pid;
}

struct midge_entry *midge_inflight_find(const struct midge_queue *unacked, uint16_t pid,
                                        struct midge_entry **before)
{
    struct midge_entry *e = unacked->head;
    *before = NULL;
    while (e && e->pid != pid) {
        *before = e;
        e = e->next;
    }
    return e;
}

struct midge_ids {
    uint16_t count;
    uint16_t room;
    uint16_t id[]; /* ascending */
};

static size_t ids_size(uint32_t room)
{
    return sizeof(struct midge_ids) + room * sizeof(uint16_t);
}

/* Where pid is, or would stand. */
static uint32_t place(const struct midge_ids *ids, uint16_t pid)
{
    uint32_t from = 0;
    uint32_t to = midge_ids_count(ids);
    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (ids->id[middle] < pid)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool is_at(const struct midge_ids *ids, uint32_t at, uint16_t pid)
{
    return at < midge_ids_count(ids) && ids->id[at] == pid;
}

uint32_t midge_ids_count(const struct midge_ids *ids)
{
    return ids ? ids->count : 0;
}

bool midge_ids_has(const struct midge_ids *ids, uint16_t pid)
{
    return is_at(ids, place(ids, pid), pid);
}

/* Room for one more; sizes of 8, 16, 32 ... bytes. False: no memory, unchanged. */
static bool grow(struct midge_mem *mem, struct midge_ids **ids)
{
    struct midge_ids *old = *ids;
    uint32_t had = old ? old->room : 0;
    if (old && old->count < had)
        return true;
    uint32_t room = 2 * had + 2 < UINT16_MAX ? 2 * had + 2 : UINT16_MAX;
    struct midge_ids *new = midge_mem_resize(mem, old, ids_size(had), ids_size(room), MIDGE_TAG_SESSION);
    if (!new)
        return false;
    if (!old)
        new->count = 0;
    new->room = (uint16_t)room;
    *ids = new;
    return true;
}

enum midge_err midge_ids_add(struct midge_mem *mem, struct midge_ids **ids, uint16_t pid)
{
    uint32_t at = place(*ids, pid);
    if (is_at(*ids, at, pid))
        return MIDGE_OK;
    if (!grow(mem, ids))
        return MIDGE_ERR_NO_MEMORY;
    struct midge_ids *set = *ids;
    memmove(&set->id[at + 1], &set->id[at], (set->count - at) * sizeof set->id[0]);
    set->id[at] = pid;
    set->count++;
    return MIDGE_OK;
}

bool midge_ids_remove(struct midge_mem *mem, struct midge_ids **ids, uint16_t pid)
{
    struct midge_ids *set = *ids;
    uint32_t at = place(set, pid);
    if (!is_at(set, at, pid))
        return false;
    set->count--;
    memmove(&set->id[at], &set->id[at + 1], (set->count - at) * sizeof set->id[0]);
    if (set->count == 0)
        midge_ids_clear(mem, ids);
    return true;
}

void midge_ids_clear(struct midge_mem *mem, struct midge_ids **ids)
{
    if (*ids)
        midge_mem_free(mem, *ids, ids_size((*ids)->room), MIDGE_TAG_SESSION);
    *ids = NULL;
}
