/* naive.h - topic matching as the standard tells it, on strings, level by level: a model for the fast one. */
#ifndef MIDGE_TESTS_NAIVE_H
#define MIDGE_TESTS_NAIVE_H

#include <stdbool.h>
#include <string.h>

static inline const char *level_end(const char *s)
{
    while (*s && *s != '/')
        s++;
    return s;
}

static inline bool naive_matches(const char *filter, const char *name)
{
    if (name[0] == '$' && (filter[0] == '+' || filter[0] == '#'))
        return false;
    for (;;) {
        if (strcmp(filter, "#") == 0)
            return true;
        const char *f = level_end(filter);
        const char *n = level_end(name);
        bool plus = f - filter == 1 && *filter == '+';
        if (!plus && (f - filter != n - name || memcmp(filter, name, (size_t)(f - filter)) != 0))
            return false;
        if (*n == 0)
            return *f == 0 || strcmp(f, "/#") == 0;
        if (*f == 0)
            return false;
        filter = f + 1;
        name = n + 1;
    }
}

#endif
