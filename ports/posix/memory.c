/* memory.c - the C library's heap as a broker's memory. */
#include "midge/midge.h"

#include <stdlib.h>

static void *take(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}

static void give(void *user, void *p, size_t n)
{
    (void)user;
    (void)n;
    free(p);
}

static void *resize(void *user, void *p, size_t old, size_t n)
{
    (void)user;
    (void)old;
    return realloc(p, n);
}

/* glibc's rule: a word in front, a grain of 16 bytes, four words at least. Other libraries come close. */
static size_t cost(size_t n)
{
    const size_t least = 4 * sizeof(void *);
    size_t size = n < SIZE_MAX - 32 ? (n + sizeof(void *) + 15) & ~(size_t)15 : SIZE_MAX;
    return size > least ? size : least;
}

const struct midge_memory midge_memory_libc = {
    .user = NULL,
    .alloc = take,
    .free = give,
    .resize = resize,
    .cost = cost,
};
