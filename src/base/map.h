/* map.h - seeded, chained hash map of nodes that live in their owners.
 *
 * Keys are byte strings plus a number (a parent's address, or 0). The seed keeps a peer from choosing names that
 * collide. The table doubles as it fills; when there is no memory to grow it works on, with longer chains.
 */
#ifndef MIDGE_BASE_MAP_H
#define MIDGE_BASE_MAP_H

#include "base/mem.h"

struct midge_map_node {
    struct midge_map_node *next;
    uint32_t hash;
};

struct midge_map {
    struct midge_mem *mem;
    struct midge_map_node **table; /* NULL until the first insert */
    uint32_t mask;                 /* buckets - 1; buckets is a power of two */
    uint32_t count;
    const uint32_t *seed;          /* borrowed: two words */
    enum midge_tag tag;
};

/* True when `node` has this key. Called only for equal hashes. */
typedef bool (*midge_map_equal)(const struct midge_map_node *node, uintptr_t number, struct midge_slice key);

void midge_map_init(struct midge_map *m, struct midge_mem *mem, enum midge_tag tag, const uint32_t seed[2]);
void midge_map_clear(struct midge_map *m); /* frees the table; the map must be empty */

/* Keyed hash of 32 bits: HalfSipHash-1-3 of the bytes. */
uint32_t midge_hash(const uint32_t seed[2], struct midge_slice key);

/* The hash of key and number in two steps, for one key that is looked up with many numbers. Where all have the number
 * 0, the first step will do. */
static inline uint32_t midge_map_hash_key(const struct midge_map *m, struct midge_slice key)
{
    return midge_hash(m->seed, key);
}
uint32_t midge_map_hash_number(uint32_t key_hash, uintptr_t number);

static inline uint32_t midge_map_hash(const struct midge_map *m, uintptr_t number, struct midge_slice key)
{
    return midge_map_hash_number(midge_map_hash_key(m, key), number);
}

struct midge_map_node *midge_map_find(const struct midge_map *m, uint32_t hash, uintptr_t number,
                                      struct midge_slice key, midge_map_equal equal);

/* `node` must not be in a map; its hash is set. False: no memory for the very first table; node is not inserted. */
bool midge_map_insert(struct midge_map *m, struct midge_map_node *node, uint32_t hash);
void midge_map_remove(struct midge_map *m, struct midge_map_node *node);

/* Some node, NULL = the map is empty. For taking all out one by one: *at starts at 0 and is kept between calls, so that
 * emptied buckets are not looked at again and again. */
struct midge_map_node *midge_map_some(const struct midge_map *m, uint32_t *at);

#endif
