/* near.c - the name that was probably meant: how far two words are from each other. */
#include "near.h"

#include <string.h>

#define NAME_MAX_BYTES 48u

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[NAME_MAX_BYTES + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

size_t near_distance(const char *typed, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    if (len > NAME_MAX_BYTES || name_len > NAME_MAX_BYTES)
        return NEAR_LIMIT;
    if (len >= 2 && len < name_len && memcmp(name, typed, len) == 0)
        return 1;
    size_t d = distance(typed, len, name, name_len);
    return d < name_len ? d : NEAR_LIMIT; /* as many changes as letters: nothing is left of it */
}
