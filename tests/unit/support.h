/* support.h - what unit tests share: cmocka, a seeded generator, memory that can fail and is counted. */
#ifndef MIDGE_TESTS_SUPPORT_H
#define MIDGE_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* xorshift32: the same numbers everywhere. */
static inline uint32_t dice(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* 0..n-1 */
static inline uint32_t roll(uint32_t *state, uint32_t n)
{
    return dice(state) % n;
}

/* malloc behind struct midge_memory; the allocation after `countdown` more fails (-1: none does). */
struct heap {
    struct midge_memory memory;
    struct midge_mem mem;
    struct midge_mem_counts counts;
    size_t blocks;
    size_t bytes;
    int countdown;
};

static inline bool heap_fails(struct heap *h)
{
    if (h->countdown < 0)
        return false;
    if (h->countdown == 0)
        return true;
    h->countdown--;
    return false;
}

static inline void *heap_alloc(void *user, size_t n)
{
    struct heap *h = user;
    void *p = heap_fails(h) ? NULL : malloc(n);
    if (!p)
        return NULL;
    h->blocks++;
    h->bytes += n;
    return memset(p, 0xA5, n);
}

static inline void heap_free(void *user, void *p, size_t n)
{
    struct heap *h = user;
    h->blocks--;
    h->bytes -= n;
    free(memset(p, 0x5A, n));
}

static inline void *heap_resize(void *user, void *p, size_t old, size_t n)
{
    void *moved = heap_alloc(user, n);
    if (!moved)
        return NULL;
    memcpy(moved, p, old < n ? old : n);
    heap_free(user, p, old);
    return moved;
}

static inline void heap_open(struct heap *h)
{
    *h = (struct heap){ .countdown = -1 };
    h->memory =
        (struct midge_memory){ .user = h, .alloc = heap_alloc, .free = heap_free, .resize = heap_resize };
    midge_mem_init(&h->mem, &h->memory, SIZE_MAX, 0);
    midge_mem_count(&h->mem, &h->counts, MIDGE_TAG_BROKER);
}

/* All was given back, and counted so. */
static inline void heap_close(const struct heap *h)
{
    assert_int_equal(h->blocks, 0);
    assert_int_equal(h->bytes, 0);
    assert_int_equal(h->mem.used, 0);
    for (int tag = 0; tag < MIDGE_TAGS; tag++)
        assert_int_equal(h->counts.by_tag[tag], 0);
}

static inline void assert_slice(struct midge_slice got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    if (got.len > 0)
        assert_memory_equal(got.data, want, got.len);
}

#endif
