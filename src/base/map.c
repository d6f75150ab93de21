/* map.c - the hash map of map.h. */
#include "base/map.h"

#define BUCKETS_MIN 8u

void midge_map_init(struct midge_map *m, struct midge_mem *mem, enum midge_tag tag, const uint32_t seed[2])
{
    *m = (struct midge_map){ .mem = mem, .seed = seed, .tag = tag };
}

static size_t table_size(uint32_t buckets)
{
    return buckets * sizeof(struct midge_map_node *);
}

void midge_map_clear(struct midge_map *m)
{
    if (m->table)
        midge_mem_free(m->mem, m->table, table_size(m->mask + 1), m->tag);
    m->table = NULL;
}

static uint32_t rotate(uint32_t v, unsigned by)
{
    return v << by | v >> (32 - by);
}

struct sip {
    uint32_t a, b, c, d;
};

static void sip_round(struct sip *v)
{
    v->a += v->b;
    v->b = rotate(v->b, 5) ^ v->a;
    v->a = rotate(v->a, 16);
    v->c += v->d;
    v->d = rotate(v->d, 8) ^ v->c;
    v->a += v->d;
    v->d = rotate(v->d, 7) ^ v->a;
    v->c += v->b;
    v->b = rotate(v->b, 13) ^ v->c;
    v->c = rotate(v->c, 16);
}

static uint32_t word_at(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* The last word: the bytes that are left, and the length. */
static uint32_t last_word(struct midge_slice key)
{
    uint32_t word = key.len << 24;
    for (uint32_t i = key.len & ~3u; i < key.len; i++)
        word |= (uint32_t)key.data[i] << 8 * (i & 3);
    return word;
}

/* HalfSipHash-1-3 (Aumasson, Bernstein): a round a word, three at the end. */
uint32_t midge_hash(const uint32_t seed[2], struct midge_slice key)
{
    struct sip v = { seed[0], seed[1], 0x6C796765 ^ seed[0], 0x74656462 ^ seed[1] };
    for (uint32_t at = 0; at <= key.len; at += 4) {
        uint32_t word = key.len - at >= 4 ? word_at(key.data + at) : last_word(key);
        v.d ^= word;
        sip_round(&v);
        v.a ^= word;
    }
    v.c ^= 0xFF;
    for (int i = 0; i < 3; i++)
        sip_round(&v);
    return v.b ^ v.d;
}

/* Numbers are addresses: not a peer's to choose, but with low bits that are all the same. */
uint32_t midge_map_hash_number(uint32_t key_hash, uintptr_t number)
{
    uint32_t h = key_hash ^ (uint32_t)number ^ (uint32_t)(number >> 16 >> 16);
    h *= 0x9E3779B1;
    return h ^ h >> 15;
}

struct midge_map_node *midge_map_find(const struct midge_map *m, uint32_t hash, uintptr_t number,
                                      struct midge_slice key, midge_map_equal equal)
{
    if (!m->table)
        return NULL;
    struct midge_map_node *node = m->table[hash & m->mask];
    while (node && !(node->hash == hash && equal(node, number, key)))
        node = node->next;
    return node;
}

static void hang(struct midge_map_node **table, uint32_t mask, struct midge_map_node *node)
{
    struct midge_map_node **bucket = &table[node->hash & mask];
    node->next = *bucket;
    *bucket = node;
}

/* Without memory for another table the one that is there goes on. */
static void rehash(struct midge_map *m, uint32_t buckets)
{
    struct midge_map_node **table = midge_mem_zalloc(m->mem, table_size(buckets), m->tag);
    if (!table)
        return;
    for (uint32_t i = 0; m->table && i <= m->mask; i++) {
        for (struct midge_map_node *node = m->table[i], *next; node; node = next) {
            next = node->next;
            hang(table, buckets - 1, node);
        }
    }
    midge_map_clear(m);
    m->table = table;
    m->mask = buckets - 1;
}

bool midge_map_insert(struct midge_map *m, struct midge_map_node *node, uint32_t hash)
{
    if (!m->table)
        rehash(m, BUCKETS_MIN);
    else if (m->count / 2 > m->mask && m->mask < UINT32_MAX / 2) /* chains of two: half the table */
        rehash(m, 2 * (m->mask + 1));
    if (!m->table)
        return false;
    node->hash = hash;
    hang(m->table, m->mask, node);
    m->count++;
    return true;
}

void midge_map_remove(struct midge_map *m, struct midge_map_node *node)
{
    struct midge_map_node **at = &m->table[node->hash & m->mask];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    m->count--;
    if (m->mask >= BUCKETS_MIN && m->count < m->mask / 8)
        rehash(m, (m->mask + 1) / 2);
}

struct midge_map_node *midge_map_some(const struct midge_map *m, uint32_t *at)
{
    if (!m->count)
        return NULL;
    while (!m->table[*at & m->mask])
        ++*at;
    return m->table[*at & m->mask];
}
