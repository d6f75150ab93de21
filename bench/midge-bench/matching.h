/* matching.h - many subscriptions, and for each topic the clients that are to get it. */
#ifndef MIDGE_BENCH_MATCHING_H
#define MIDGE_BENCH_MATCHING_H

#include "bench.h"

/* Topics are prefix a / b / c, each level one of `side`. A third of the filters each are a/b/c, a/+/c and
 * a/b/#, in different clients, so that no client has two that overlap. A third of the messages go to the topic
 * of an exact filter, the rest anywhere: as side = sqrt(filters), that is one match a message in the mean. */
struct matching {
    uint32_t side;
    uint32_t clients;
    uint32_t filters;
    int32_t *owner[3]; /* own; by kind and pair of fixed levels: the client, -1 = no filter */
    uint32_t *exact_c; /* owns; by pair (a, b): the third level of the exact filter */
    uint32_t *exacts;  /* owns; pairs that have one */
    uint32_t exact_count;
    const char *prefix;
};

enum { MATCHES_MAX = 3 };

void matching_init(struct matching *m, uint32_t filters, uint32_t clients, const char *prefix,
                   uint64_t *random);
void matching_free(struct matching *m);

/* The next topic, its length, and the clients that have a filter for it. */
size_t matching_topic(const struct matching *m, uint64_t *random, char *out, size_t size,
                      uint32_t receivers[MATCHES_MAX], unsigned *count);

/* Subscribes one client to all that it owns. The number of SUBACKs that will come. */
uint32_t matching_subscribe(const struct matching *m, struct client *c, uint32_t client, uint8_t qos);

#endif
