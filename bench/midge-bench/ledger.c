/* ledger.c - a number a stream, and a list of gaps that is empty as long as all is well. */
#include "ledger.h"

#include "buffer.h"

#include <stdlib.h>
#include <string.h>

void ledger_init(struct ledger *l, size_t streams)
{
    *l = (struct ledger){ .streams = streams, .next = zeroed(streams, sizeof *l->next) };
}

void ledger_free(struct ledger *l)
{
    free(l->next);
    free(l->gaps);
    *l = (struct ledger){ .streams = 0 };
}

static void add_gap(struct ledger *l, size_t stream, uint64_t from, uint64_t to)
{
    if (from == to)
        return;
    if (l->gap_count == l->gap_size) {
        struct gap *more = zeroed(2 * l->gap_size + 16, sizeof *more);
        if (l->gap_count)
            memcpy(more, l->gaps, l->gap_count * sizeof *more);
        free(l->gaps);
        l->gaps = more;
        l->gap_size = 2 * l->gap_size + 16;
    }
    l->gaps[l->gap_count++] = (struct gap){ .stream = stream, .from = from, .to = to };
}

/* False: the number was not missing. */
static bool fill_gap(struct ledger *l, size_t stream, uint64_t number)
{
    for (size_t i = 0; i < l->gap_count; i++) {
        const struct gap g = l->gaps[i];
        if (g.stream != stream || number < g.from || number >= g.to)
            continue;
        l->gaps[i] = l->gaps[--l->gap_count];
        add_gap(l, stream, g.from, number);
        add_gap(l, stream, number + 1, g.to);
        return true;
    }
    return false;
}

bool ledger_note(struct ledger *l, size_t stream, uint64_t number)
{
    uint64_t *next = &l->next[stream];
    if (number >= *next) {
        add_gap(l, stream, *next, number);
        *next = number + 1;
    } else if (fill_gap(l, stream, number)) {
        l->reordered++;
    } else {
        l->duplicated++;
        return false;
    }
    l->delivered++;
    return true;
}

uint64_t ledger_lost(const struct ledger *l, size_t stream, uint64_t sent)
{
    uint64_t lost = sent > l->next[stream] ? sent - l->next[stream] : 0;
    for (size_t i = 0; i < l->gap_count; i++)
        if (l->gaps[i].stream == stream)
            lost += l->gaps[i].to - l->gaps[i].from;
    return lost;
}
