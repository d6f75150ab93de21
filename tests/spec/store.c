/* store.c - two lists of records, sorted by key: as written, and as synced. */
#include "store.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct record {
    struct record *next;
    size_t key_len, value_len;
    uint8_t bytes[];
};

static struct record *written, *synced;
static bool dead;
unsigned store_syncs;
unsigned store_fails_after = UINT_MAX;
bool store_in_sync;
const struct midge_store *store_behind;
void (*store_restarts)(void);

static struct record *join(struct midge_slice a, struct midge_slice b, struct midge_slice c, struct midge_slice d)
{
    const struct midge_slice parts[] = { a, b, c, d };
    struct record *r = malloc(sizeof *r + a.len + b.len + c.len + d.len);
    if (!r)
        abort();
    r->next = NULL;
    r->key_len = a.len + b.len;
    r->value_len = c.len + d.len;
    uint8_t *at = r->bytes;
    for (int i = 0; i < 4; i++) {
        if (parts[i].len)
            memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    return r;
}

static int compare(const struct record *a, const struct record *b)
{
    size_t n = a->key_len < b->key_len ? a->key_len : b->key_len;
    int order = memcmp(a->bytes, b->bytes, n);
    return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static void free_list(struct record **list)
{
    while (*list) {
        struct record *r = *list;
        *list = r->next;
        free(r);
    }
}

static struct record *copy_list(const struct record *list)
{
    struct record *first = NULL, **at = &first;
    const struct midge_slice none = { 0 };
    for (; list; list = list->next, at = &(*at)->next) {
        struct midge_slice key = { list->bytes, (uint32_t)list->key_len };
        struct midge_slice value = { list->bytes + list->key_len, (uint32_t)list->value_len };
        *at = join(key, none, value, none);
    }
    return first;
}

static bool works(void)
{
    if (store_fails_after == UINT_MAX)
        return true;
    return store_fails_after && store_fails_after--;
}

static bool put(void *user, const struct midge_record *record)
{
    (void)user;
    if (dead || !works())
        return dead;
    struct record *r = join(record->key[0], record->key[1], record->value[0], record->value[1]);
    struct record **at = &written;
    while (*at && compare(*at, r) < 0)
        at = &(*at)->next;
    struct record *old = *at && compare(*at, r) == 0 ? *at : NULL;
    r->next = old ? old->next : *at;
    *at = r;
    free(old);
    return !store_behind || store_behind->put(store_behind->user, record);
}

static bool del(void *user, const struct midge_record *record, bool all)
{
    (void)user;
    const struct midge_slice none = { 0 };
    if (dead || !works())
        return dead;
    struct record *k = join(record->key[0], record->key[1], none, none);
    struct record **at = &written;
    while (*at) {
        struct record *r = *at;
        bool begins = r->key_len >= k->key_len && memcmp(r->bytes, k->bytes, k->key_len) == 0;
        if (!begins || (!all && r->key_len != k->key_len)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        free(r);
    }
    free(k);
    return !store_behind || store_behind->del(store_behind->user, record, all);
}

static bool sync(void *user)
{
    (void)user;
    if (dead || !works())
        return dead;
    store_syncs++;
    store_in_sync = store_behind != NULL;
    if (store_behind && !store_behind->sync(store_behind->user))
        return false;
    store_in_sync = false;
    free_list(&synced);
    synced = copy_list(written);
    return true;
}

struct midge_store test_store = { .put = put, .del = del, .sync = sync };

void store_clear(void)
{
    free_list(&written);
    free_list(&synced);
    dead = false;
    test_store.relaxed_ms = 0;
    store_syncs = 0;
    store_fails_after = UINT_MAX;
    store_in_sync = false;
}

void store_kill(void)
{
    dead = true;
}

void store_begin(void)
{
    dead = false;
    free_list(&written);
    written = copy_list(synced);
    if (store_restarts)
        store_restarts();
}

size_t store_count(char kind)
{
    size_t n = 0;
    for (const struct record *r = written; r; r = r->next)
        n += r->bytes[0] == (uint8_t)kind;
    return n;
}

static bool visit(const struct record *list, store_visit each, void *arg)
{
    for (const struct record *r = list; r; r = r->next) {
        struct midge_slice key = { r->bytes, (uint32_t)r->key_len };
        struct midge_slice value = { r->bytes + r->key_len, (uint32_t)r->value_len };
        if (!each(arg, key, value))
            return false;
    }
    return true;
}

bool store_each(store_visit each, void *arg)
{
    return visit(written, each, arg);
}

bool store_each_synced(store_visit each, void *arg)
{
    return visit(synced, each, arg);
}
