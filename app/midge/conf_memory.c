/* conf_memory.c - the memory of a configuration: blocks that live as long as it does. */
#include "conf.h"

#include <stdlib.h>
#include <string.h>

struct conf_block {
    struct conf_block *next;
    max_align_t bytes[];
};

void *conf_alloc(struct conf *c, size_t n)
{
    struct conf_block *b = calloc(1, sizeof *b + n);
    if (!b)
        return NULL;
    b->next = c->blocks;
    c->blocks = b;
    return b->bytes;
}

char *conf_copy(struct conf *c, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = conf_alloc(c, n);
    return copy ? memcpy(copy, text, n) : NULL;
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    if (c->holders) {
        c->holders--;
        return;
    }
    while (c->blocks) {
        struct conf_block *b = c->blocks;
        c->blocks = b->next;
        free(b);
    }
    free(c);
}

struct conf *conf_hold(struct conf *c)
{
    c->holders++;
    return c;
}
