/* payload.c - stamp, checksum over stamp and topic, and a filler that the seed decides. */
#include "payload.h"

#include "buffer.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct stamp) + sizeof(uint64_t) == PAYLOAD_BYTES_MIN, "the stamp and its checksum");

void payloads_init(struct payloads *p, size_t bytes, uint64_t seed)
{
    *p = (struct payloads){ .bytes = bytes, .seed = seed, .filler = zeroed(bytes, 1) };
    for (size_t i = 0; i < bytes; i++)
        p->filler[i] = (uint8_t)random_next(&seed);
}

void payloads_free(struct payloads *p)
{
    free(p->filler);
    p->filler = NULL;
}

static uint64_t sum_of(const struct payloads *p, const struct stamp *s, const uint8_t *topic,
                       size_t topic_bytes)
{
    return hash_bytes(topic, topic_bytes, hash_bytes(s, sizeof *s, p->seed));
}

void payload_write(const struct payloads *p, uint8_t *out, const struct stamp *s, const uint8_t *topic,
                   size_t topic_bytes)
{
    const uint64_t sum = sum_of(p, s, topic, topic_bytes);
    memcpy(out, s, sizeof *s);
    memcpy(out + sizeof *s, &sum, sizeof sum);
    memcpy(out + PAYLOAD_BYTES_MIN, p->filler, p->bytes - PAYLOAD_BYTES_MIN);
}

bool payload_read(const struct payloads *p, const uint8_t *bytes, size_t n, const uint8_t *topic,
                  size_t topic_bytes, struct stamp *out)
{
    if (n != p->bytes)
        return false;
    uint64_t sum;
    memcpy(out, bytes, sizeof *out);
    memcpy(&sum, bytes + sizeof *out, sizeof sum);
    return sum == sum_of(p, out, topic, topic_bytes) &&
           memcmp(bytes + PAYLOAD_BYTES_MIN, p->filler, n - PAYLOAD_BYTES_MIN) == 0;
}
