/* memory.c - the broker's memory: counted, with sizes checked, and failing when the world says so. */
#include "world.h"

#include <stdlib.h>

struct block {
    size_t size;
    size_t pattern;
};
#define PATTERN ((size_t)0xB10CB10C)
#define DEAD 0xDD

static bool fails(void)
{
    if (!W.fail_rate || W.step >= W.fail_until || !chance(&W.rng, W.fail_rate))
        return false;
    W.failed_allocs++;
    W.failed_now++;
    W.faults++;
    return true;
}

static void *take(void *user, size_t n)
{
    (void)user;
    struct block *b = malloc(sizeof *b + n);
    if (!b)
        abort();
    b->size = n;
    b->pattern = PATTERN;
    memset(b + 1, 0xA5, n < 256 ? n : 256); /* who reads before writing shall be noticed */
    W.used += n;
    W.blocks++;
    if (W.used - W.moving > W.limits.memory_bytes)
        diverge("memory: %zu bytes in use, the limit is %zu", W.used, W.limits.memory_bytes);
    return b + 1;
}

static void *take_or_fail(void *user, size_t n)
{
    return fails() ? NULL : take(user, n);
}

static void give(void *user, void *p, size_t n)
{
    (void)user;
    struct block *b = (struct block *)p - 1;
    if (b->pattern != PATTERN)
        diverge("memory: a block is given back twice, or was never taken");
    if (b->size != n)
        diverge("memory: a block of %zu bytes is given back as %zu", b->size, n);
    b->pattern = 0;
    memset(p, DEAD, n < 256 ? n : 256);
    W.used -= n;
    W.blocks--;
    free(b);
}

static void *change(void *user, void *p, size_t old, size_t n)
{
    if (n > old && fails())
        return NULL;
    W.moving = old;
    void *moved = take(user, n);
    W.moving = 0;
    memcpy(moved, p, old < n ? old : n);
    give(user, p, old);
    return moved;
}

const struct midge_memory sim_memory = { .alloc = take_or_fail, .free = give, .resize = change };

/* ---- the simulator's own ------------------------------------------------------------------------------- */

void *make(size_t n)
{
    void *p = calloc(1, n);
    if (!p)
        abort();
    W.objects++;
    return p;
}

void unmake(void *p)
{
    if (!p)
        return;
    W.objects--;
    free(p);
}

struct content *content_hold(struct content *c)
{
    if (c)
        c->refs++;
    return c;
}

void content_drop(struct content *c)
{
    if (c && --c->refs == 0)
        unmake(c);
}
