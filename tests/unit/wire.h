/* wire.h - bytes for the codec's tests: literals, copies with nothing behind them, packets through small
 * windows. */
#ifndef MIDGE_TESTS_UNIT_WIRE_H
#define MIDGE_TESTS_UNIT_WIRE_H

#include "base/slice.h"
#include "base/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Names the statements that a test shows: for the reader, and for the conformance table. */
#define SPEC(...)

#define BYTES(...)                                                                                           \
    ((struct midge_slice){ .data = (const uint8_t[]){ __VA_ARGS__ },                                         \
                           .len = sizeof((const uint8_t[]){ __VA_ARGS__ }) })
#define TEXT(literal) ((struct midge_slice){ .data = (const uint8_t *)(literal), .len = sizeof(literal) - 1 })
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define assert_slice(got, wanted)                                                                            \
    do {                                                                                                     \
        struct midge_slice got_ = (got), wanted_ = (wanted);                                                 \
        assert_int_equal(got_.len, wanted_.len);                                                             \
        if (wanted_.len)                                                                                     \
            assert_memory_equal(got_.data, wanted_.data, wanted_.len);                                       \
    } while (0)

/* The first `len` bytes of `s` in a block of their own, so that reading past them is caught. Free with
 * wire_free. */
static inline struct midge_slice wire_prefix(struct midge_slice s, uint32_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, s.data, len);
    return midge_slice_of(copy, len);
}

static inline struct midge_slice wire_copy(struct midge_slice s)
{
    return wire_prefix(s, s.len);
}

static inline void wire_free(struct midge_slice s)
{
    free((void *)(uintptr_t)s.data);
}

/* A packet's encoder, with its arguments in `from`. */
typedef void (*wire_encoder)(struct midge_wr *w, const void *from);

/* The whole packet, freshly allocated; checks on the way that windows of several sizes, and a window from
 * each byte on, give the same bytes, and that measuring tells the same size. */
static inline struct midge_slice wire_encode(wire_encoder encode, const void *from)
{
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    encode(&w, from);
    uint32_t size = w.total;

    uint8_t *whole = malloc(size + 1);
    assert_non_null(whole);
    whole[size] = 0xA5;
    midge_wr_init(&w, whole, size + 1, 0);
    encode(&w, from);
    assert_int_equal(w.total, size);
    assert_int_equal(w.room, 1);
    assert_int_equal(whole[size], 0xA5);

    static const uint32_t windows[] = { 1, 7, 64 };
    for (size_t i = 0; i < COUNT(windows); i++) {
        for (uint32_t skip = 0; skip < size; skip++) {
            uint8_t *part = malloc(windows[i]);
            assert_non_null(part);
            midge_wr_init(&w, part, windows[i], skip);
            encode(&w, from);
            uint32_t got = windows[i] - w.room;
            assert_int_equal(got, size - skip < windows[i] ? size - skip : windows[i]);
            assert_memory_equal(part, whole + skip, got);
            free(part);
        }
    }
    return midge_slice_of(whole, size);
}

/* A packet without its fixed header of two bytes: as decoders take it. */
static inline struct midge_slice wire_body(struct midge_slice packet)
{
    assert_true(packet.len >= 2 && packet.data[1] == packet.len - 2);
    return midge_slice_of(packet.data + 2, packet.len - 2);
}

#endif
