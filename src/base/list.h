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

void midge_link_insert(struct midge_link **at, struct midge_link *l);
void midge_link_remove(struct midge_link *l); /* one that is in no list: nothing */

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

void midge_fifo_push(struct midge_fifo *f, struct midge_link *l);
void midge_fifo_remove(struct midge_fifo *f, struct midge_link *l);

#endif
