/* model_props.c - the specification tests' codec as a model for fuzz_props.c. */
#include "spec/wire.h"

#include <stdlib.h>

static struct block {
    struct block *next;
    max_align_t bytes[];
} *blocks;

/* What the codec keeps, forgotten after each input. */
void *keep(size_t n)
{
    struct block *b = calloc(1, sizeof *b + n);
    if (!b)
        abort();
    b->next = blocks;
    blocks = b;
    return b->bytes;
}

void fail_at(struct place at, const char *format, ...)
{
    (void)at;
    fputs(format, stderr);
    abort();
}

bool model_props_ok(const uint8_t *section, size_t n, size_t *count)
{
    uint8_t head[4];
    size_t len = 0, rest = n;
    do {
        head[len++] = (uint8_t)(rest % 128 | (rest > 127 ? 0x80 : 0));
        rest /= 128;
    } while (rest);
    uint8_t *whole = keep(len + n);
    memcpy(whole, head, len);
    if (n)
        memcpy(whole + len, section, n);
    struct cursor c = { .at = whole, .left = len + n };
    struct packet pk = { 0 };
    const char *wrong = parse_props(&c, &pk);
    *count = pk.prop_count;
    const bool ok = !wrong && !c.failed && c.left == 0;
    while (blocks) {
        struct block *b = blocks;
        blocks = b->next;
        free(b);
    }
    return ok;
}

bool model_utf8_ok(const uint8_t *s, size_t n)
{
    return utf8_ok(s, n);
}
