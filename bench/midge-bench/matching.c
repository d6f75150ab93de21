/* matching.c - filters by seed, in tables that answer who gets a topic in three look-ups. */
#include "matching.h"

#include "random.h"

#include <stdio.h>
#include <stdlib.h>

#define FILTERS_A_PACKET 100u
#define FILTER_BYTES_MAX 96u

enum kind { EXACT, PLUS, HASH, KINDS };

/* What a filter of each kind has as fixed pair. */
static uint32_t pair_of(const struct matching *m, unsigned kind, uint32_t a, uint32_t b, uint32_t c)
{
    return a * m->side + (kind == PLUS ? c : b);
}

/* `count` different pairs, in random order. */
static uint32_t *choose_pairs(uint32_t pairs, uint64_t *random)
{
    uint32_t *all = zeroed(pairs, sizeof *all);
    for (uint32_t i = 0; i < pairs; i++) {
        const uint32_t j = random_below(random, i + 1);
        all[i] = all[j];
        all[j] = i;
    }
    return all;
}

static uint32_t root_of(uint32_t n)
{
    uint32_t side = 2;
    while ((uint64_t)side * side < n)
        side++;
    return side;
}

/* A third of the clients each, so one kind never meets another in a client. */
static uint32_t owner_of(const struct matching *m, unsigned kind, uint32_t i)
{
    const uint32_t third = m->clients / KINDS;
    const uint32_t own = kind == HASH ? m->clients - 2 * third : third;
    return kind * third + i % own;
}

static void add_filters(struct matching *m, unsigned kind, uint32_t count, uint64_t *random)
{
    const uint32_t pairs = m->side * m->side;
    uint32_t *chosen = choose_pairs(pairs, random);
    m->owner[kind] = zeroed(pairs, sizeof *m->owner[kind]);
    for (uint32_t i = 0; i < pairs; i++)
        m->owner[kind][chosen[i]] = i < count ? (int32_t)owner_of(m, kind, i) : -1;
    if (kind == EXACT) {
        m->exacts = chosen;
        m->exact_count = count;
    } else {
        free(chosen);
    }
}

void matching_init(struct matching *m, uint32_t filters, uint32_t clients, const char *prefix,
                   uint64_t *random)
{
    const uint32_t third = filters / KINDS;
    *m = (struct matching){
        .side = root_of(filters), .clients = clients, .filters = filters, .prefix = prefix
    };
    const uint32_t pairs = m->side * m->side;
    add_filters(m, PLUS, third, random);
    add_filters(m, HASH, third, random);
    add_filters(m, EXACT, filters - 2 * third, random);
    m->exact_c = zeroed(pairs, sizeof *m->exact_c);
    for (uint32_t i = 0; i < pairs; i++)
        m->exact_c[i] = random_below(random, m->side);
}

void matching_free(struct matching *m)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        free(m->owner[kind]);
    free(m->exact_c);
    free(m->exacts);
}

size_t matching_topic(const struct matching *m, uint64_t *random, char *out, size_t size,
                      uint32_t receivers[MATCHES_MAX], unsigned *count)
{
    uint32_t ab = random_below(random, m->side * m->side), c = random_below(random, m->side);
    if (random_below(random, KINDS) == 0) {
        ab = m->exacts[random_below(random, m->exact_count)];
        c = m->exact_c[ab];
    }
    const uint32_t a = ab / m->side, b = ab % m->side;
    *count = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        const int32_t owner = m->owner[kind][pair_of(m, kind, a, b, c)];
        if (owner >= 0 && (kind != EXACT || m->exact_c[ab] == c))
            receivers[(*count)++] = (uint32_t)owner;
    }
    return (size_t)snprintf(out, size, "%s%u/%u/%u", m->prefix, a, b, c);
}

static void write_filter(const struct matching *m, unsigned kind, uint32_t pair, char *out)
{
    const uint32_t first = pair / m->side, second = pair % m->side;
    if (kind == PLUS)
        snprintf(out, FILTER_BYTES_MAX, "%s%u/+/%u", m->prefix, first, second);
    else if (kind == HASH)
        snprintf(out, FILTER_BYTES_MAX, "%s%u/%u/#", m->prefix, first, second);
    else
        snprintf(out, FILTER_BYTES_MAX, "%s%u/%u/%u", m->prefix, first, second, m->exact_c[pair]);
}

uint32_t matching_subscribe(const struct matching *m, struct client *c, uint32_t client, uint8_t qos)
{
    static char texts[FILTERS_A_PACKET][FILTER_BYTES_MAX];
    const char *filters[FILTERS_A_PACKET];
    unsigned n = 0;
    uint32_t packets = 0;
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (uint32_t pair = 0; pair < m->side * m->side; pair++) {
            if (m->owner[kind][pair] != (int32_t)client)
                continue;
            write_filter(m, kind, pair, texts[n]);
            filters[n] = texts[n];
            if (++n < FILTERS_A_PACKET)
                continue;
            client_subscribe(c, filters, n, qos);
            packets++;
            n = 0;
        }
    if (n) {
        client_subscribe(c, filters, n, qos);
        packets++;
    }
    return packets;
}
