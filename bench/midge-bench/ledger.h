/* ledger.h - which messages came, how often and in which order, by stream: one sender's to one receiver. */
#ifndef MIDGE_BENCH_LEDGER_H
#define MIDGE_BENCH_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of one stream that were passed over and have not come since. */
struct gap {
    size_t stream;
    uint64_t from, to; /* to is the first that is not missing */
};

struct ledger {
    size_t streams;
    uint64_t *next; /* owns; by stream, the number that is due */
    struct gap *gaps;
    size_t gap_count, gap_size;
    uint64_t delivered;  /* each message once */
    uint64_t duplicated; /* came again */
    uint64_t reordered;  /* came after a later one */
    uint64_t wrong;      /* not what was sent, or not where it was sent to */
};

void ledger_init(struct ledger *l, size_t streams);
void ledger_free(struct ledger *l);

/* The message `number` of a stream, counted from 0. False: it had come before. */
bool ledger_note(struct ledger *l, size_t stream, uint64_t number);

/* Of `sent` messages of each stream up to now, those that have not come. */
uint64_t ledger_lost(const struct ledger *l, size_t stream, uint64_t sent);

#endif
