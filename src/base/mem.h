/* mem.h - every byte of the core is drawn here and counted: by tag, in all, against one limit with a reserve. */
#ifndef MIDGE_BASE_MEM_H
#define MIDGE_BASE_MEM_H

#include "midge/midge.h"

struct midge_mem_counts;

struct midge_mem {
    const struct midge_memory *from; /* borrowed for the broker's life */
    size_t limit;                    /* used never passes it */
    size_t reserve;                  /* of the limit: only tags that keep the broker answering may use it */
    size_t used;
    struct midge_mem_counts *counts; /* borrowed; with MIDGE_STATS, NULL = not wanted */
};

struct midge_mem_counts {
    size_t peak;
    size_t by_tag[MIDGE_TAGS];
    size_t peak_by_tag[MIDGE_TAGS];
};

void midge_mem_init(struct midge_mem *m, const struct midge_memory *from, size_t limit, size_t reserve);

/* Keeps counts from here on; what was drawn before is of this tag. */
void midge_mem_count(struct midge_mem *m, struct midge_mem_counts *counts, enum midge_tag tag);

/* limit: no more than the memory's own size. */
void midge_mem_set_limit(struct midge_mem *m, size_t limit, size_t reserve);

/* Not zeroed. NULL: the limit (for tags without a right to the reserve: limit - reserve) or the allocator said no.
 * n > 0. BROKER, CONN, CONTROL, FRAME and SESSION may use the reserve. */
void *midge_mem_alloc(struct midge_mem *m, size_t n, enum midge_tag tag);
void *midge_mem_zalloc(struct midge_mem *m, size_t n, enum midge_tag tag);

/* p NULL: as midge_mem_alloc. NULL: p is untouched. Shrinking cannot fail: if the allocator refuses, the old block
 * stays (and is returned), but is then counted and freed as size n; providers accept that. */
void *midge_mem_resize(struct midge_mem *m, void *p, size_t old, size_t n, enum midge_tag tag);
void midge_mem_free(struct midge_mem *m, void *p, size_t n, enum midge_tag tag);

/* Moves the count of a block to another tag (a frame that becomes a message). */
void midge_mem_retag(struct midge_mem *m, size_t n, enum midge_tag from, enum midge_tag to);

/* What a block of n bytes counts. */
size_t midge_mem_cost(const struct midge_mem *m, size_t n);

/* True when `n` counted bytes more would fit for a tag without a right to the reserve. */
bool midge_mem_would_fit(const struct midge_mem *m, size_t n);

#endif
