/* slice.h - small helpers on borrowed bytes. */
#ifndef MIDGE_BASE_SLICE_H
#define MIDGE_BASE_SLICE_H

#include "midge/midge_types.h"

#include <string.h>

static inline struct midge_slice midge_slice_of(const void *data, size_t len)
{
    return (struct midge_slice){ .data = data, .len = (uint32_t)len };
}

static inline struct midge_slice midge_slice_str(const char *s)
{
    return midge_slice_of(s, strlen(s));
}

bool midge_bytes_equal(const void *a, size_t a_len, const void *b, size_t b_len);

static inline bool midge_slice_equal(struct midge_slice a, struct midge_slice b)
{
    return midge_bytes_equal(a.data, a.len, b.data, b.len);
}

#endif
