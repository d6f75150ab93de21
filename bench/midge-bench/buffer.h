/* buffer.h - bytes that grow at the end and are taken at the front. */
#ifndef MIDGE_BENCH_BUFFER_H
#define MIDGE_BENCH_BUFFER_H

#include <stddef.h>
#include <stdint.h>

/* All zero: empty. bytes[at..len) are in it. */
struct buffer {
    uint8_t *bytes;
    size_t at, len, size;
};

/* Room for `n` more bytes behind the last; they count once `len` is moved on. Ends the program when there is
 * no memory: a load generator without memory has nothing to tell. */
uint8_t *buffer_room(struct buffer *b, size_t n);
void buffer_add(struct buffer *b, const void *bytes, size_t n);
void buffer_take(struct buffer *b, size_t n);
void buffer_free(struct buffer *b);

static inline size_t buffer_bytes(const struct buffer *b)
{
    return b->len - b->at;
}

/* calloc that ends the program when there is no memory. */
void *zeroed(size_t count, size_t size);

#endif
