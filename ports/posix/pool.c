/* pool.c - a loop's memory: blocks of one size from slabs, without a header each, and free ones kept in reach.
 *
 *      classes[0] ── 8 B ─── free ─► free ─► free       what was given back last is handed out first: it is still in
 *      classes[1] ── 16 B ── free                       the processor's cache
 *      ...                                              A slab is cut as it is needed, and belongs to no class.
 *
 * Slabs go back to the system only with the pool: what a burst took stays for the next one. A block of over
 * POOL_BLOCK_MAX bytes is the C library's.
 */
#include "posix.h"

#include <stdlib.h>
#include <string.h>

struct midge_pool_block {
    struct midge_pool_block *next;
};

struct midge_pool_slab {
    struct midge_pool_slab *next;
    max_align_t bytes[];
};

/* Under a sanitizer every block is the C library's, so that it is seen what happens to it. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define POOL_BLOCK_MAX ((size_t)0)
#else
#define POOL_BLOCK_MAX (MIDGE_POOL_CLASSES * MIDGE_POOL_GRAIN)
#endif

static size_t class_of(size_t n)
{
    return n ? (n - 1) / MIDGE_POOL_GRAIN : 0;
}

/* glibc's rule: a word in front, a grain of 16 bytes. */
static size_t cost(size_t n)
{
    if (n <= POOL_BLOCK_MAX)
        return (class_of(n) + 1) * MIDGE_POOL_GRAIN;
    return n < SIZE_MAX - 32 ? (n + sizeof(void *) + 15) & ~(size_t)15 : SIZE_MAX;
}

/* What is left of the slab before is handed to the classes it fits, the largest first. */
static void use_up(struct midge_pool *p)
{
    while (p->left) {
        const size_t n = p->left < POOL_BLOCK_MAX ? p->left : POOL_BLOCK_MAX;
        struct midge_pool_block *b = (void *)p->at;
        struct midge_pool_block **list = &p->classes[class_of(n)];
        b->next = *list;
        *list = b;
        p->at += n;
        p->left -= n;
    }
}

static bool add_slab(struct midge_pool *p)
{
    const size_t bytes = p->slabs ? MIDGE_POOL_SLAB : MIDGE_POOL_FIRST_SLAB;
    struct midge_pool_slab *s = malloc(sizeof *s + bytes);
    if (!s)
        return false;
    use_up(p);
    s->next = p->slabs;
    p->slabs = s;
    p->at = (uint8_t *)s->bytes;
    p->left = bytes;
    return true;
}

static void *cut(struct midge_pool *p, size_t n)
{
    if (p->left < n && !add_slab(p))
        return NULL;
    void *block = p->at;
    p->at += n;
    p->left -= n;
    return block;
}

static void *take(void *user, size_t n)
{
    struct midge_pool *p = user;
    if (n > POOL_BLOCK_MAX)
        return malloc(n);
    const size_t class = class_of(n);
    struct midge_pool_block *b = p->classes[class];
    if (!b)
        return cut(p, (class + 1) * MIDGE_POOL_GRAIN);
    p->classes[class] = b->next;
    return b;
}

static void give(void *user, void *block, size_t n)
{
    struct midge_pool *p = user;
    if (n > POOL_BLOCK_MAX) {
        free(block);
        return;
    }
    struct midge_pool_block *b = block;
    b->next = p->classes[class_of(n)];
    p->classes[class_of(n)] = b;
}

static void *resize(void *user, void *block, size_t old, size_t n)
{
    if (old > POOL_BLOCK_MAX && n > POOL_BLOCK_MAX)
        return realloc(block, n);
    if (old <= POOL_BLOCK_MAX && n <= POOL_BLOCK_MAX && class_of(old) == class_of(n))
        return block;
    void *moved = take(user, n);
    if (!moved)
        return n < old ? block : NULL; /* to become smaller must not fail: it is given back as the smaller block */
    memcpy(moved, block, old < n ? old : n);
    give(user, block, old);
    return moved;
}

void midge_pool_init(struct midge_pool *p)
{
    *p = (struct midge_pool){
        .memory = { .user = p, .alloc = take, .free = give, .resize = resize, .cost = cost }
    };
}

void midge_pool_free(struct midge_pool *p)
{
    while (p->slabs) {
        struct midge_pool_slab *s = p->slabs;
        p->slabs = s->next;
        free(s);
    }
}
