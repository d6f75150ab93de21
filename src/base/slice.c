/* slice.c - what slice.h does not do in place. */
#include "base/slice.h"

bool midge_bytes_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}
