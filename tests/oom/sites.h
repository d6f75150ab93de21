/* sites.h - included before every file of the core: each place that asks for memory is known by file and line.
 *
 * The place notes itself as it asks; the linker gathers all of them, also those that nobody comes by.
 */
#ifndef MIDGE_OOM_SITES_H
#define MIDGE_OOM_SITES_H

#include "base/mem.h"

struct oom_site {
    const char *file;
    int line;
    unsigned passed, asked, refused; /* asked: for more than it had, which who only gives back never does */
};
extern struct oom_site *oom_site;

#define OOM_HERE                                                                                             \
    __extension__({                                                                                          \
        static struct oom_site here = { __FILE__, __LINE__, 0, 0, 0 };                                       \
        static struct oom_site *const listed __attribute__((section("oom_sites"), used)) = &here;            \
        here.passed++;                                                                                       \
        oom_site = listed;                                                                                   \
    })

#ifndef MIDGE_OOM_PLAIN /* mem.c itself */
#define midge_mem_alloc(m, n, tag) (OOM_HERE, midge_mem_alloc(m, n, tag))
#define midge_mem_zalloc(m, n, tag) (OOM_HERE, midge_mem_zalloc(m, n, tag))
#define midge_mem_resize(m, p, old, n, tag) (OOM_HERE, midge_mem_resize(m, p, old, n, tag))
#endif

#endif
