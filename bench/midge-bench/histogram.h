/* histogram.h - counts of values in log-linear buckets, as HdrHistogram has them: at most 0.8 % off. */
#ifndef MIDGE_BENCH_HISTOGRAM_H
#define MIDGE_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 7u /* buckets of one power of two: 1 << HISTOGRAM_BITS */
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* All zero: empty. */
struct histogram {
    uint64_t count;
    uint64_t greatest;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/* The least value that `quantile` (0..1) of all values do not exceed, rounded up to its bucket's end. */
uint64_t histogram_quantile(const struct histogram *h, double quantile);

#endif
