/* payload.h - what a message says of itself, so that its receiver can tell a wrong one. */
#ifndef MIDGE_BENCH_PAYLOAD_H
#define MIDGE_BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_BYTES_MIN 32u

/* Who sent it, the how-manieth of this sender it is, and when it was to be sent. */
struct stamp {
    uint64_t sent_ns;
    uint64_t number;
    uint32_t publisher;
    uint32_t reserved; /* 0 */
};

/* All messages of a run have one size and end alike. */
struct payloads {
    size_t bytes;
    uint64_t seed;
    uint8_t *filler; /* owns; what comes behind the stamp and its checksum */
};

void payloads_init(struct payloads *p, size_t bytes, uint64_t seed);
void payloads_free(struct payloads *p);

/* Writes p->bytes. The checksum covers the topic too: a message on another topic is a wrong one. */
void payload_write(const struct payloads *p, uint8_t *out, const struct stamp *s, const uint8_t *topic,
                   size_t topic_bytes);

/* False: wrong size, content or topic. */
bool payload_read(const struct payloads *p, const uint8_t *bytes, size_t n, const uint8_t *topic,
                  size_t topic_bytes, struct stamp *out);

#endif
