/* buffer.c - a growing buffer; what was taken from its front is reclaimed before it grows. */
#include "buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void end_without_memory(void)
{
    fputs("out of memory\n", stderr);
    exit(2);
}

void *zeroed(size_t count, size_t size)
{
    void *block = calloc(count ? count : 1, size);
    if (!block)
        end_without_memory();
    return block;
}

static void grow(struct buffer *b, size_t n)
{
    size_t size = b->size ? b->size : 1024;
    while (size - b->len < n)
        size *= 2;
    uint8_t *bytes = realloc(b->bytes, size);
    if (!bytes)
        end_without_memory();
    b->bytes = bytes;
    b->size = size;
}

uint8_t *buffer_room(struct buffer *b, size_t n)
{
    if (b->size - b->len < n && b->at) {
        memmove(b->bytes, b->bytes + b->at, b->len - b->at);
        b->len -= b->at;
        b->at = 0;
    }
    if (b->size - b->len < n || !b->bytes)
        grow(b, n);
    return b->bytes + b->len;
}

void buffer_add(struct buffer *b, const void *bytes, size_t n)
{
    memcpy(buffer_room(b, n), bytes, n);
    b->len += n;
}

void buffer_take(struct buffer *b, size_t n)
{
    b->at += n;
    if (b->at == b->len)
        b->at = b->len = 0;
}

void buffer_free(struct buffer *b)
{
    free(b->bytes);
    *b = (struct buffer){ .bytes = NULL };
}
