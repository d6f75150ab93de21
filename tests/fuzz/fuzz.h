/* fuzz.h - what the fuzz targets share: input as choices, and what must not happen.
 *
 * A target is one file with LLVMFuzzerTestOneInput. Under libFuzzer (script/fuzz) it meets inputs that nobody thought
 * of; without it main.c feeds it the files of its corpus.
 */
#ifndef MIDGE_FUZZ_H
#define MIDGE_FUZZ_H

#include "midge/midge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define MUST(condition) ((condition) ? (void)0 : must_at(__FILE__, __LINE__, #condition))
static inline void must_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    abort();
}

/* The input, from the front: zeros when it is used up. */
struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t take_u8(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

static inline uint16_t take_u16(struct input *in)
{
    const uint8_t high = take_u8(in);
    return (uint16_t)(high << 8 | take_u8(in));
}

/* 0..n-1 */
static inline unsigned choose(struct input *in, unsigned n)
{
    return take_u8(in) % n;
}

/* Up to n bytes. */
static inline struct midge_slice take_bytes(struct input *in, size_t n)
{
    const size_t taken = n < in->left ? n : in->left;
    const struct midge_slice s = { in->at, (uint32_t)taken };
    in->at += taken;
    in->left -= taken;
    return s;
}

/* A copy that ends where its memory does: who reads on is seen. Freed by the caller. */
static inline uint8_t *copy_of(struct midge_slice s)
{
    uint8_t *copy = malloc(s.len ? s.len : 1);
    MUST(copy);
    if (s.len)
        memcpy(copy, s.data, s.len);
    return copy;
}

/* Memory that is counted, and refused to one request in so many. */
struct fuzz_heap {
    struct midge_memory memory;
    size_t used;
    unsigned refuse_every, asked; /* 0 = never */
};

static inline void *fuzz_alloc(void *user, size_t n)
{
    struct fuzz_heap *h = user;
    if (h->refuse_every && ++h->asked % h->refuse_every == 0)
        return NULL;
    h->used += n;
    return malloc(n);
}

static inline void fuzz_free(void *user, void *p, size_t n)
{
    ((struct fuzz_heap *)user)->used -= n;
    free(p);
}

static inline void *fuzz_resize(void *user, void *p, size_t old, size_t n)
{
    struct fuzz_heap *h = user;
    if (n > old && h->refuse_every && ++h->asked % h->refuse_every == 0)
        return NULL;
    h->used += n - old;
    p = realloc(p, n);
    MUST(p);
    return p;
}

static inline void fuzz_heap_open(struct fuzz_heap *h, unsigned refuse_every)
{
    *h = (struct fuzz_heap){ .refuse_every = refuse_every };
    h->memory =
        (struct midge_memory){ .user = h, .alloc = fuzz_alloc, .free = fuzz_free, .resize = fuzz_resize };
}

#endif
