/* histogram.c - values to buckets and back: exact below 256, then 128 buckets a power of two. */
#include "histogram.h"

static unsigned bucket_of(uint64_t value)
{
    const unsigned highest = 63u - (unsigned)__builtin_clzll(value | 1);
    const unsigned shift = highest > HISTOGRAM_BITS ? highest - HISTOGRAM_BITS : 0;
    return (shift << HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

/* The greatest value that falls into a bucket. */
static uint64_t end_of(unsigned bucket)
{
    const unsigned row = bucket >> HISTOGRAM_BITS;
    const unsigned shift = row > 1 ? row - 1 : 0;
    const uint64_t lead = bucket - (shift << HISTOGRAM_BITS);
    return ((lead + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->buckets[bucket_of(value)]++;
    if (value > h->greatest)
        h->greatest = value;
}

uint64_t histogram_quantile(const struct histogram *h, double quantile)
{
    const double wanted = quantile * (double)h->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen && (double)seen >= wanted)
            return end_of(i) < h->greatest ? end_of(i) : h->greatest;
    }
    return 0;
}
