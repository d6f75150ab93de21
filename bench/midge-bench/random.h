/* random.h - numbers that a seed decides (splitmix64), and the hash made of them. */
#ifndef MIDGE_BENCH_RANDOM_H
#define MIDGE_BENCH_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t random_next(uint64_t *state)
{
    return scramble(*state += 0x9e3779b97f4a7c15u);
}

/* 0 .. below - 1, below at most 2^32. */
static inline uint32_t random_below(uint64_t *state, uint32_t below)
{
    return (uint32_t)(((random_next(state) >> 32) * below) >> 32);
}

static inline uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
    const uint8_t *at = bytes;
    uint64_t h = seed ^ (n * 0x9e3779b97f4a7c15u);
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * 0x9fb21c651e98df25u;
        h ^= h >> 32;
    }
    uint64_t rest = 0;
    memcpy(&rest, at, n);
    return scramble(h ^ rest);
}

#endif
