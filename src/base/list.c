/* list.c - the links of list.h. */
#include "base/list.h"

void midge_link_insert(struct midge_link **at, struct midge_link *l)
{
    l->next = *at;
    l->pprev = at;
    if (l->next)
        l->next->pprev = &l->next;
    *at = l;
}

void midge_link_remove(struct midge_link *l)
{
    if (!l->pprev)
        return;
    *l->pprev = l->next;
    if (l->next)
        l->next->pprev = l->pprev;
    l->pprev = NULL;
}

void midge_fifo_push(struct midge_fifo *f, struct midge_link *l)
{
    midge_link_insert(f->tail, l);
    f->tail = &l->next;
}

void midge_fifo_remove(struct midge_fifo *f, struct midge_link *l)
{
    if (l->pprev && f->tail == &l->next)
        f->tail = l->pprev;
    midge_link_remove(l);
}
