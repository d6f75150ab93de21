/* memory.c - the test's own memory, and the broker's, which is counted block by block. */
#include "peer.h"

#include <stdarg.h>
#include <stdlib.h>

struct kept {
    struct kept *next;
    max_align_t bytes[];
};
static struct kept *kept;

void *keep(size_t n)
{
    struct kept *k = calloc(1, sizeof *k + n);
    if (!k)
        abort();
    k->next = kept;
    kept = k;
    return k->bytes;
}

char *text_of(char c, size_t n)
{
    char *text = keep(n + 1);
    memset(text, c, n);
    return text;
}

char *format(const char *format, ...)
{
    va_list args;
    char text[1024];
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = keep((size_t)n + 1);
    memcpy(copy, text, (size_t)n);
    return copy;
}

static void forget_kept(void)
{
    while (kept) {
        struct kept *k = kept;
        kept = k->next;
        free(k);
    }
}

struct block {
    struct block *next, **pprev;
    size_t size;
    max_align_t bytes[];
};
static struct block *blocks;
static size_t blocks_used;
static size_t asked; /* how many blocks were asked for */

static void link_block(struct block *b, size_t n)
{
    b->size = n;
    b->next = blocks;
    b->pprev = &blocks;
    if (blocks)
        blocks->pprev = &b->next;
    blocks = b;
    blocks_used += n;
}

static void unlink_block(struct block *b)
{
    *b->pprev = b->next;
    if (b->next)
        b->next->pprev = b->pprev;
    blocks_used -= b->size;
}

static struct block *block_of(void *p, size_t n)
{
    struct block *b = (struct block *)(void *)((char *)p - offsetof(struct block, bytes));
    if (b->size != n)
        broken("a block of %zu bytes is given back as %zu", b->size, n);
    return b;
}

static void *new_block(size_t n)
{
    struct block *b = malloc(sizeof *b + n);
    if (!b)
        abort();
    memset(b->bytes, 0xA5, n); /* who reads before writing shall notice */
    link_block(b, n);
    return b->bytes;
}

bool memory_refused(void)
{
    asked++;
    const bool refused =
        run_mode.refuse && (asked == run_mode.refuse || (run_mode.refuse_rest && asked > run_mode.refuse));
    if (run_mode.on_request)
        run_mode.on_request(refused);
    return refused;
}

static void *take(void *user, size_t n)
{
    (void)user;
    return memory_refused() ? NULL : new_block(n);
}

static void give(void *user, void *p, size_t n)
{
    (void)user;
    struct block *b = block_of(p, n);
    unlink_block(b);
    free(b);
}

/* Always moves; never refuses to make smaller. */
static void *change(void *user, void *p, size_t old, size_t n)
{
    void *moved = n > old ? take(user, n) : new_block(n);
    if (!moved)
        return NULL;
    memcpy(moved, p, old < n ? old : n);
    give(user, p, old);
    return moved;
}

const struct midge_memory counted_memory = { .alloc = take, .free = give, .resize = change };

void count_memory_anew(void)
{
    asked = 0;
}

size_t run_blocks(void)
{
    return asked;
}

size_t memory_used(void)
{
    return blocks_used;
}

static void forget_blocks(void)
{
    struct block *next;
    for (struct block *b = blocks; b; b = next) {
        next = b->next;
        free(b);
    }
    blocks = NULL;
    blocks_used = 0;
}

void forget_memory(void)
{
    forget_blocks();
    forget_kept();
}
