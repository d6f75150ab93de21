/* slice.c - what slice.h does not do in place. */
#include "base/slice.h"

bool midge_slice_equal(struct midge_slice a, struct midge_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
