/* timer.c - the pairing heap of timer.h.
 *
 *      root ─child─► a ─next─► b ─next─► c        no child is due before its parent
 *                    └child─► d ...
 */
#include "base/timer.h"

static void hang(struct midge_timer **at, struct midge_timer *timer)
{
    *at = timer;
    if (timer)
        timer->pprev = at;
}

/* Two roots, neither with siblings; the one due first takes the other as its first child. */
static struct midge_timer *meld(struct midge_timer *a, struct midge_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (midge_before(b->due, a->due)) {
        struct midge_timer *first = b;
        b = a;
        a = first;
    }
    hang(&b->next, a->child);
    hang(&a->child, b);
    return a;
}

static struct midge_timer *pop(struct midge_timer **list)
{
    struct midge_timer *first = *list;
    if (first) {
        *list = first->next;
        first->next = NULL;
    }
    return first;
}

/* Siblings to one tree: melded in pairs from left to right, then the pairs from right to left. */
static struct midge_timer *meld_all(struct midge_timer *list)
{
    struct midge_timer *pairs = NULL;
    while (list) {
        struct midge_timer *a = pop(&list);
        struct midge_timer *pair = meld(a, pop(&list));
        pair->next = pairs;
        pairs = pair;
    }
    struct midge_timer *all = NULL;
    while (pairs)
        all = meld(pop(&pairs), all);
    return all;
}

void midge_timer_set(struct midge_timers *t, struct midge_timer *timer, uint32_t due)
{
    midge_timer_cancel(t, timer);
    timer->child = timer->next = NULL;
    timer->due = due;
    hang(&t->root, meld(t->root, timer));
}

void midge_timer_cancel(struct midge_timers *t, struct midge_timer *timer)
{
    if (!timer->pprev)
        return;
    hang(timer->pprev, timer->next);
    hang(&t->root, meld(t->root, meld_all(timer->child)));
    timer->pprev = NULL;
}
