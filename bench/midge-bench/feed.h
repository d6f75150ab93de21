/* feed.h - one publisher that hands over messages, some in flight, until all are acknowledged. */
#ifndef MIDGE_BENCH_FEED_H
#define MIDGE_BENCH_FEED_H

#include "bench.h"

struct feed {
    struct bench *b;
    struct client *client;
    const char *topic; /* all go to `topics` topics of this name in turn */
    uint32_t topics;
    bool retain;
    bool empty; /* no payload: clears what is retained */
    uint64_t count, sent, acknowledged;
};

/* Publishes; message i is stamped as the (i / topics)-th of publisher i % topics. False: the run failed. */
bool feed_all(struct feed *f);

#endif
