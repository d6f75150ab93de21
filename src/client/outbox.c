/* outbox.c - what the client has to send, in which order, and what of it awaits an answer. */
#include "client/internal.h"

#include "base/utf8.h"

#define SIZE_MAX_PACKET 268435455u /* of a Remaining Length */
#define OUTGOING(l) MIDGE_CONTAINER(struct outgoing, link, l)
#define REQUEST(l) MIDGE_CONTAINER(struct request, link, l)

/* ---- lists -------------------------------------------------------------------------------------------- */

static void fifo_init(struct fifo *f)
{
    f->head = NULL;
    f->tail = &f->head;
}

static void fifo_put(struct fifo *f, struct midge_link *l)
{
    midge_link_insert(f->tail, l);
    f->tail = &l->next;
}

static void fifo_take(struct fifo *f, struct midge_link *l)
{
    if (f->tail == &l->next)
        f->tail = l->pprev;
    midge_link_remove(l);
}

static struct midge_link *fifo_pop(struct fifo *f)
{
    struct midge_link *l = f->head;
    if (l)
        fifo_take(f, l);
    return l;
}

/* All of `from` in front of `to`, in order. */
static void fifo_prepend(struct fifo *to, struct fifo *from)
{
    struct fifo rest = *to;
    if (rest.head)
        rest.head->pprev = &rest.head;
    else
        rest.tail = &rest.head;
    fifo_init(to);
    for (struct midge_link *l; (l = fifo_pop(from));)
        fifo_put(to, l);
    for (struct midge_link *l; (l = fifo_pop(&rest));)
        fifo_put(to, l);
}
