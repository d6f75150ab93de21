/* queue.c - entries and queues. */
#include "state/queue.h"

#include <string.h>

size_t midge_entry_size(uint8_t id_count)
{
    return sizeof(struct midge_entry) + id_count * sizeof(uint32_t);
}

struct midge_entry *midge_entry_new(struct midge_mem *mem, struct midge_session *s, struct midge_msg *msg,
                                    const uint32_t *ids, uint8_t id_count)
{
    struct midge_entry *e = midge_mem_alloc(mem, midge_entry_size(id_count), MIDGE_TAG_QUEUE);
    if (!e)
        return NULL;
    *e = (struct midge_entry){ .session = s, .msg = midge_msg_hold(msg), .id_count = id_count };
    if (id_count > 0)
        memcpy(e->ids, ids, id_count * sizeof *ids);
    return e;
}

struct midge_entry *midge_entry_add_id(struct midge_mem *mem, struct midge_entry *e, uint32_t id)
{
    uint8_t n = e->id_count;
    if (n == UINT8_MAX)
        return NULL;
    e = midge_mem_resize(mem, e, midge_entry_size(n), midge_entry_size((uint8_t)(n + 1)), MIDGE_TAG_QUEUE);
    if (!e)
        return NULL;
    e->ids[n] = id;
    e->id_count++;
    return e;
}

void midge_entry_free(struct midge_mem *mem, struct midge_entry *e)
{
    midge_msg_drop(mem, e->msg);
    midge_mem_free(mem, e, midge_entry_size(e->id_count), MIDGE_TAG_QUEUE);
}

void midge_queue_push(struct midge_queue *q, struct midge_entry *e)
{
    e->next = NULL;
    if (q->head)
        q->last->next = e;
    else
        q->head = e;
    q->last = e;
}

void midge_queue_push_front(struct midge_queue *q, struct midge_entry *e)
{
    if (!q->head)
        q->last = e;
    e->next = q->head;
    q->head = e;
}

struct midge_entry *midge_queue_pop(struct midge_queue *q)
{
    struct midge_entry *e = q->head;
    if (e)
        q->head = e->next;
    return e;
}

void midge_queue_take(struct midge_queue *q, struct midge_entry *before, struct midge_entry *e)
{
    if (before)
        before->next = e->next;
    else
        q->head = e->next;
    if (q->last == e)
        q->last = before;
}

void midge_queue_insert(struct midge_queue *q, struct midge_entry *before, struct midge_entry *e)
{
    struct midge_entry **at = before ? &before->next : &q->head;
    e->next = *at;
    *at = e;
    if (!e->next)
        q->last = e;
}
