/* arena.c - one block of the caller's as memory: a bit per 8 bytes, and no header per block.
 *
 *     struct arena | map: one bit a granule, 1 = in use | pages: one byte each | granule 0 | granule 1 | ...
 *
 * A block is the lowest run of free granules that is long enough. (Large blocks kept apart at the other end
 * were tried: large ones failed more often, small ones no less.) Freeing clears bits, so neighbours join by
 * themselves. The map is divided into pages; no free run that begins in one is longer than its byte says, so that
 * pages without room are passed over. It is lowered when a page was looked through in vain, raised when a run is
 * made. Each call takes at most a pass or two over the map.
 */
#include "midge/midge.h"

#include <string.h>

typedef size_t word;

#define GRANULE 8u
#define WORD_BITS (8 * sizeof(word))
#define ALL (~(word)0)
#define ARENA_MIN 1024u

#define PAGE 2048u     /* granules */
#define ROOM_MAX 255u /* as many, or more */

struct arena {
    uint8_t *first; /* granule 0 */
    size_t granules;
    size_t low;    /* no free granule below this one */
    uint8_t *room; /* by page: see above */
    word map[];
};

static size_t granules_of(size_t bytes)
{
    return bytes / GRANULE + (bytes % GRANULE != 0);
}

/* The lowest bit of w that is set; w is not 0. */
static unsigned lowest(word w)
{
    unsigned n = 0;
    for (unsigned half = WORD_BITS / 2; half; half /= 2) {
        if (w & (((word)1 << half) - 1))
            continue;
        w >>= half;
        n += half;
    }
    return n;
}

/* First granule in from..to-1 that is in use (flip 0) or free (flip ALL); `to` when there is none. */
static size_t scan(const struct arena *a, size_t from, size_t to, word flip)
{
    while (from < to) {
        word w = (a->map[from / WORD_BITS] ^ flip) >> from % WORD_BITS;
        if (w) {
            from += lowest(w);
            return from < to ? from : to;
        }
        from = (from / WORD_BITS + 1) * WORD_BITS; /* nor is any other of this word */
    }
    return to;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void raise_room(struct arena *a, size_t at, size_t run)
{
    uint8_t *room = &a->room[at / PAGE];
    if (run > *room)
        *room = (uint8_t)smaller(run, ROOM_MAX);
}

/* Lowest run of n free granules that begins in at..end-1, of one page; a->granules when there is none. */
static size_t find_in_page(struct arena *a, size_t at, size_t end, size_t n)
{
    size_t longest = 0;
    while ((at = scan(a, at, end, ALL)) < end) {
        size_t to = smaller(a->granules, at + (n > ROOM_MAX ? n : ROOM_MAX));
        size_t run = scan(a, at, to, 0) - at;
        if (run >= n)
            return at;
        longest = run > longest ? run : longest;
        at += run;
    }
    a->room[(end - 1) / PAGE] = (uint8_t)smaller(longest, ROOM_MAX);
    return a->granules;
}

/* Lowest run of n free granules; a->granules when there is none. */
static size_t find(struct arena *a, size_t n)
{
    size_t found = a->granules;
    a->low = scan(a, a->low, a->granules, ALL);
    for (size_t at = a->low, end; at < a->granules && found == a->granules; at = end) {
        end = smaller((at / PAGE + 1) * PAGE, a->granules);
        if (a->room[at / PAGE] >= smaller(n, ROOM_MAX))
            found = find_in_page(a, at, end, n);
    }
    return found;
}

static void mark(struct arena *a, size_t from, size_t to, bool used)
{
    for (size_t next; from < to; from = next) {
        word *w = &a->map[from / WORD_BITS];
        word mask = ALL << from % WORD_BITS;
        next = from - from % WORD_BITS + WORD_BITS;
        if (to < next)
            mask &= ~(ALL << to % WORD_BITS);
        *w = used ? *w | mask : *w & ~mask;
    }
}

/* The free run that it is part of from now on may begin before it; one of ROOM_MAX is known already. */
static void release(struct arena *a, size_t at, size_t n)
{
    mark(a, at, at + n, false);
    size_t from = at;
    while (from && at - from < ROOM_MAX && !(a->map[(from - 1) / WORD_BITS] >> (from - 1) % WORD_BITS & 1))
        from--;
    raise_room(a, from, scan(a, at, smaller(a->granules, at + ROOM_MAX), 0) - from);
    if (at < a->low)
        a->low = at;
}

/* What is left of the run begins behind it, maybe in another page. */
static void *take(struct arena *a, size_t at, size_t n)
{
    size_t end = at + n;
    mark(a, at, end, true);
    if (end < a->granules && end / PAGE != at / PAGE)
        raise_room(a, end, ROOM_MAX);
    return a->first + at * GRANULE;
}

static void *arena_alloc(void *user, size_t n)
{
    struct arena *a = user;
    size_t need = granules_of(n);
    size_t at = find(a, need);
    return at < a->granules ? take(a, at, need) : NULL;
}

/* A block that is not wholly in use was freed before or has another size: it stays, since bytes lost do less
 * harm than bytes owned twice. */
static bool owned(const struct arena *a, size_t at, size_t n)
{
    return at < a->granules && n <= a->granules - at && scan(a, at, at + n, ALL) == at + n;
}

static size_t index_of(const struct arena *a, const void *p)
{
    return (size_t)((const uint8_t *)p - a->first) / GRANULE;
}

static void arena_free(void *user, void *p, size_t n)
{
    struct arena *a = user;
    size_t at = index_of(a, p);
    if (owned(a, at, granules_of(n)))
        release(a, at, granules_of(n));
}

/* The old place counts as free while a new one is looked for, so a block may slide over itself. */
static void *arena_resize(void *user, void *p, size_t old, size_t n)
{
    struct arena *a = user;
    size_t at = index_of(a, p);
    size_t had = granules_of(old);
    size_t need = granules_of(n);
    if (!owned(a, at, had))
        return NULL;
    if (need <= had) {
        release(a, at + need, had - need);
        return p;
    }
    size_t end = at + need;
    if (end <= a->granules && scan(a, at + had, end, 0) == end)
        return take(a, at, need);
    size_t low = a->low;
    release(a, at, had);
    size_t to = find(a, need);
    if (to == a->granules) {
        mark(a, at, at + had, true);
        a->low = low;
        return NULL;
    }
    return memmove(take(a, to, need), p, old);
}

static size_t arena_cost(size_t n)
{
    return n > SIZE_MAX - GRANULE ? n : granules_of(n) * GRANULE;
}

static size_t gap(const void *p)
{
    return (size_t)(0 - (uintptr_t)p) % GRANULE;
}

bool midge_arena_memory(void *block, size_t size, struct midge_memory *out)
{
    if (size < ARENA_MIN)
        return false;
    const uint8_t *end = (uint8_t *)block + size;
    struct arena *a = (void *)((uint8_t *)block + gap(block));
    size_t words = size / (sizeof(word) + WORD_BITS * GRANULE) + 1;
    size_t pages = size / ((size_t)PAGE * GRANULE) + 1;
    a->room = (uint8_t *)(a->map + words);
    a->first = a->room + pages + gap(a->room + pages);
    a->granules = (size_t)(end - a->first) / GRANULE;
    a->low = 0;
    memset(a->map, 0, words * sizeof(word));
    memset(a->room, ROOM_MAX, pages);
    *out = (struct midge_memory){ .user = a,
                                  .alloc = arena_alloc,
                                  .free = arena_free,
                                  .resize = arena_resize,
                                  .cost = arena_cost,
                                  .size = a->granules * GRANULE };
    return true;
}

size_t midge_arena_largest(const struct midge_memory *arena)
{
    const struct arena *a = arena->user;
    size_t largest = 0;
    for (size_t at = a->low, end; at < a->granules; at = end) {
        at = scan(a, at, a->granules, ALL);
        end = scan(a, at, a->granules, 0);
        if (end - at > largest)
            largest = end - at;
    }
    return largest * GRANULE;
}
