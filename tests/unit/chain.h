/* chain.h - a chain of layers between a wire and a top of a few lines, cut wherever a test wants it. */
#ifndef MIDGE_TESTS_CHAIN_H
#define MIDGE_TESTS_CHAIN_H

#include "support.h"

#include "net/layer.h"

/* Bytes that grow. */
struct stream {
    uint8_t *bytes;
    size_t len, size;
};

static inline void stream_add(struct stream *s, const void *bytes, size_t n)
{
    if (s->len + n > s->size) {
        s->size = (s->len + n) * 2 + 64;
        s->bytes = realloc(s->bytes, s->size);
        assert_non_null(s->bytes);
    }
    if (n)
        memcpy(s->bytes + s->len, bytes, n);
    s->len += n;
}

static inline void stream_drop(struct stream *s, size_t n)
{
    memmove(s->bytes, s->bytes + n, s->len - n);
    s->len -= n;
}

static inline void stream_free(struct stream *s)
{
    free(s->bytes);
    *s = (struct stream){ .len = 0 };
}

struct end {
    struct midge_chain chain;
    struct stream up;   /* what reached the top */
    struct stream down; /* what the top has to send */
    struct stream wire; /* what was pulled */
    size_t feed_max;    /* most bytes fed at once; 0 = all */
    size_t room;        /* of each pull; 0 = 64 kB */
};

static inline void end_top_feed(void *user, uint8_t *bytes, size_t n)
{
    struct end *e = user;
    stream_add(&e->up, bytes, n);
}

static inline size_t end_top_pull(void *user, uint8_t *out, size_t room)
{
    struct end *e = user;
    size_t n = e->down.len < room ? e->down.len : room;
    if (n) {
        memcpy(out, e->down.bytes, n);
        stream_drop(&e->down, n);
    }
    return n;
}

static inline void end_open(struct end *e)
{
    static const struct midge_chain_top top = { .feed = end_top_feed, .pull = end_top_pull };
    *e = (struct end){ .chain = { .top = &top, .user = e } };
}

static inline void end_free(struct end *e)
{
    midge_chain_free(&e->chain);
    stream_free(&e->up);
    stream_free(&e->down);
    stream_free(&e->wire);
}

/* Everything there is to send, onto e->wire. */
static inline void end_pull(struct end *e)
{
    static uint8_t out[65536];
    size_t n, room = e->room ? e->room : sizeof out;
    while ((n = midge_chain_pull(&e->chain, out, room))) {
        assert_true(n <= room);
        stream_add(&e->wire, out, n);
    }
}

/* From a copy, so that a sanitizer sees who reads past it. */
static inline void end_feed(struct end *e, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n) {
        size_t take = e->feed_max && e->feed_max < n ? e->feed_max : n;
        uint8_t *piece = malloc(take);
        assert_non_null(piece);
        memcpy(piece, at, take);
        midge_chain_feed(&e->chain, piece, take);
        free(piece);
        at += take;
        n -= take;
    }
}

#endif
