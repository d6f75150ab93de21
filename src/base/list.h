/* list.h - intrusive doubly linked list: no allocation, unlink in one step from any place. */
#ifndef MIDGE_BASE_LIST_H
#define MIDGE_BASE_LIST_H

#include <stddef.h>

/*      head ──► link.next ──► link.next ──► NULL
 *       ▲──────── pprev ▲──────── pprev             pprev names the pointer that points here */
struct midge_link {
    struct midge_link *next;
    struct midge_link **pprev; /* NULL = in no list */
};

#define MIDGE_CONTAINER(type, member, ptr) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void midge_link_insert(struct midge_link **at, struct midge_link *l)
{
    l->next = *at;
    l->pprev = at;
    if (l->next)
        l->next->pprev = &l->next;
    *at = l;
}

static inline void midge_link_remove(struct midge_link *l)
{
    if (!l->pprev)
        return;
    *l->pprev = l->next;
    if (l->next)
        l->next->pprev = l->pprev;
    l->pprev = NULL;
}

/* The same links as a queue: oldest first, newest at the tail. */
struct midge_fifo {
    struct midge_link *head;
    struct midge_link **tail; /* where the next one is hung; midge_fifo_init points it at head */
};

static inline void midge_fifo_init(struct midge_fifo *f)
{
    f->head = NULL;
    f->tail = &f->head;
}

static inline void midge_fifo_push(struct midge_fifo *f, struct midge_link *l)
{
    midge_link_insert(f->tail, l);
    f->tail = &l->next;
}

static inline void midge_fifo_remove(struct midge_fifo *f, struct midge_link *l)
{
    if (l->pprev && f->tail == &l->next)
        f->tail = l->pprev;
    midge_link_remove(l);
}

#endif
