/* store.c - the broker's store: records in memory, of which a crash leaves what was synced and nothing else. It stops
 * working at any operation when the world says so.
 */
#include "world.h"

#include "midge/midge_store.h"

#include <stdlib.h>

struct kept {
    struct kept *next;
    uint32_t key_len, value_len;
    uint8_t bytes[];
};

/* What was put or deleted since the last sync, in order. */
struct change {
    struct change *next;
    bool del, all;
    struct kept *record; /* a deletion has a key only */
};

#define BUCKETS 512u
static struct kept *bucket[BUCKETS];
static struct change *changes, **changes_tail = &changes;

static uint32_t bucket_of(const struct kept *k)
{
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < k->key_len; i++)
        h = (h ^ k->bytes[i]) * 16777619u;
    return h % BUCKETS;
}

static struct kept *copy(const struct midge_record *r, bool with_value)
{
    const struct midge_slice *part[] = { &r->key[0], &r->key[1], &r->value[0], &r->value[1] };
    const uint32_t parts = with_value ? 4 : 2;
    uint32_t n = 0;
    for (uint32_t i = 0; i < parts; i++)
        n += part[i]->len;
    struct kept *k = make(sizeof *k + n);
    k->key_len = r->key[0].len + r->key[1].len;
    k->value_len = n - k->key_len;
    uint8_t *at = k->bytes;
    for (uint32_t i = 0; i < parts; i++) {
        if (part[i]->len)
            memcpy(at, part[i]->data, part[i]->len);
        at += part[i]->len;
    }
    return k;
}

/* ---- what is on the disk ------------------------------------------------------------------------------- */

static bool same_key(const struct kept *a, const struct kept *b)
{
    return a->key_len == b->key_len && memcmp(a->bytes, b->bytes, a->key_len) == 0;
}

static bool begins_with(const struct kept *k, const struct kept *start)
{
    return k->key_len >= start->key_len && memcmp(k->bytes, start->bytes, start->key_len) == 0;
}

static void erase_from(struct kept **at, const struct kept *key, bool all)
{
    while (*at) {
        struct kept *k = *at;
        if (!(all ? begins_with(k, key) : same_key(k, key))) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        unmake(k);
    }
}

static void erase(const struct kept *key, bool all)
{
    for (uint32_t b = 0; all && b < BUCKETS; b++)
        erase_from(&bucket[b], key, true);
    if (!all)
        erase_from(&bucket[bucket_of(key)], key, false);
}

static void apply(struct change *c)
{
    erase(c->record, c->all);
    if (c->del) {
        unmake(c->record);
        return;
    }
    struct kept **at = &bucket[bucket_of(c->record)];
    c->record->next = *at;
    *at = c->record;
}

static struct change *take_change(void)
{
    struct change *c = changes;
    changes = c->next;
    if (!changes)
        changes_tail = &changes;
    return c;
}

/* ---- what the broker calls ----------------------------------------------------------------------------- */

static bool works(void)
{
    if (W.store_fails_after == UINT32_MAX)
        return true;
    if (!W.store_fails_after) {
        W.store_failed = true;
        return false;
    }
    W.store_fails_after--;
    return true;
}

static bool note(const struct midge_record *r, bool del, bool all)
{
    if (W.store_dead)
        return true;
    if (!works())
        return false;
    struct change *c = make(sizeof *c);
    *c = (struct change){ .del = del, .all = all, .record = copy(r, !del) };
    if (!changes)
        W.unsynced_since = W.age;
    *changes_tail = c;
    changes_tail = &c->next;
    return true;
}

static bool put(void *user, const struct midge_record *r)
{
    (void)user;
    W.puts++;
    return note(r, false, false);
}

static bool del(void *user, const struct midge_record *r, bool all)
{
    (void)user;
    return note(r, true, all);
}

static bool sync(void *user)
{
    (void)user;
    if (W.store_dead)
        return true;
    if (W.sync_fails || !works()) {
        W.store_failed = true;
        return false;
    }
    while (changes) {
        struct change *c = take_change();
        apply(c);
        unmake(c);
    }
    W.syncs++;
    model_synced();
    return true;
}

struct midge_store sim_store = { .put = put, .del = del, .sync = sync };

/* ---- what the world calls ------------------------------------------------------------------------------ */

bool store_is_synced(void)
{
    return !changes;
}

/* The process is dead: what was not synced is gone. */
void store_roll_back(void)
{
    while (changes) {
        struct change *c = take_change();
        unmake(c->record);
        unmake(c);
    }
}

void store_clear(void)
{
    store_roll_back();
    for (uint32_t b = 0; b < BUCKETS; b++)
        while (bucket[b]) {
            struct kept *k = bucket[b];
            bucket[b] = k->next;
            unmake(k);
        }
}

static int compare(const void *a, const void *b)
{
    const struct kept *x = *(const struct kept *const *)a, *y = *(const struct kept *const *)b;
    const uint32_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
    const int order = memcmp(x->bytes, y->bytes, n);
    return order ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* Gives the broker all that there is, in key order. */
enum midge_err store_restore(struct midge *m)
{
    uint32_t n = 0, i = 0;
    for (uint32_t b = 0; b < BUCKETS; b++)
        for (const struct kept *k = bucket[b]; k; k = k->next)
            n++;
    struct kept **all = make((n + 1) * sizeof *all);
    for (uint32_t b = 0; b < BUCKETS; b++)
        for (struct kept *k = bucket[b]; k; k = k->next)
            all[i++] = k;
    qsort(all, n, sizeof *all, compare);
    enum midge_err err = MIDGE_OK;
    for (i = 0; i < n && err == MIDGE_OK; i++)
        err = midge_restore(m, (struct midge_slice){ all[i]->bytes, all[i]->key_len },
                            (struct midge_slice){ all[i]->bytes + all[i]->key_len, all[i]->value_len });
    unmake(all);
    return err;
}
