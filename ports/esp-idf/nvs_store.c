/* nvs_store.c - midge_store.h on NVS: changes gather in RAM and are written as time and the wear budget allow.
 *
 * NVS keeps single blobs and has no transactions. So changes are written in an order of which every beginning is a
 * sound state (`rank`): what has other records hanging on it comes before them and goes after them, except that a
 * session that ends goes first, since one without its subscriptions must not be found.
 *
 * A blob's name is made of the record's key, so that no table has to be kept in RAM (midge_nvs_name); the blob is
 *
 *     length of the key (2 bytes, big-endian) | key | value
 */
#include "nvs_store.h"

#include "esp_log.h"
#include "nvs.h"

#include <stdlib.h>
#include <string.h>

#define TAG "midge"
#define HOUR_MS 3600000
#define WRITES_A_TICK 8      /* between two turns for the sockets */
#define HEAD 2               /* of a blob */

/* The kinds of records that this file has to know, by the first byte of their keys. */
#define FIRST 'A'   /* what all others are in the form of */
#define SESSION 'C'
#define LAST 'H'

struct change {
    struct change *next;
    uint32_t len;        /* of the blob; 0 = the record goes */
    char name[MIDGE_NVS_NAME];
    bool in_flash;       /* an older blob of this name is there */
    bool late;           /* there was no room for it: once more when what goes is gone */
    uint8_t bytes[];
};

struct midge_nvs {
    nvs_handle_t handle;
    const char *partition, *space;
    const struct midge_memory *memory;
    struct midge_store store;
    struct change *changes;
    size_t pending_bytes, pending_max;
    uint32_t entries_max, per_hour;
    int64_t credit;      /* entries that may be written, times HOUR_MS */
    midge_ms now;
    bool wanted;         /* the broker asked for a sync that is not over */
    bool writing;        /* and it has begun */
    bool complained;     /* until all is written again */
    struct midge_esp_nvs_stats stats;
};

/* ---- names --------------------------------------------------------------------------------------------- */

static uint8_t byte_at(const struct midge_slice key[2], uint32_t i)
{
    return i < key[0].len ? key[0].data[i] : key[1].data[i - key[0].len];
}

static uint64_t number(const struct midge_slice key[2], uint32_t at, uint32_t end)
{
    uint64_t v = 0;
    for (; at < end; at++)
        v = v << 8 | byte_at(key, at);
    return v;
}

/* FNV-1a, folded. Who finds two filters with one hash loses one of them himself. */
static uint64_t hash48(const struct midge_slice key[2], uint32_t at, uint32_t end)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; at < end; at++)
        h = (h ^ byte_at(key, at)) * 0x100000001b3u;
    return (h ^ h >> 48) & 0xffffffffffffu;
}

/* The digits are in the order of their codes, so names sort as the numbers do. */
static char *digits(char *at, uint64_t v, int count)
{
    static const char digit[] = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    for (int i = count; i--; v >>= 6)
        at[i] = digit[v & 63];
    return at + count;
}

/* Kind, 4 bytes (a session, or the upper half of a message's number), the rest: 1, 6 and 8 characters. Of 8 bytes that
 * count messages the upper 2 are 0 for the first 8,900 years at a message a millisecond. */
void midge_nvs_name(char name[MIDGE_NVS_NAME], const struct midge_slice key[2])
{
    uint32_t len = key[0].len + key[1].len;
    char *at = name;
    *at++ = (char)byte_at(key, 0);
    if (len >= 5)
        at = digits(at, number(key, 1, 5), 6);
    if (len > 5) {
        uint64_t v = len <= 13 ? number(key, 5, len) : UINT64_MAX;
        at = digits(at, v >> 48 ? hash48(key, 5, len) : v, 8);
    }
    *at = '\0';
}

/* ---- what waits ---------------------------------------------------------------------------------------- */

static size_t size_of(const struct change *c)
{
    return sizeof *c + c->len;
}

/* Where the change of this name hangs, or would. */
static struct change **find(struct midge_nvs *n, const char *name)
{
    struct change **at = &n->changes;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static void unhang(struct midge_nvs *n, struct change **at)
{
    struct change *c = *at;
    *at = c->next;
    n->stats.pending--;
    n->pending_bytes -= size_of(c);
    n->memory->free(n->memory->user, c, size_of(c));
}

/* A new change, in front; NULL: no room. */
static struct change *hang(struct midge_nvs *n, const char *name, size_t len, bool in_flash)
{
    if (sizeof(struct change) + len > n->pending_max - n->pending_bytes)
        return NULL;
    struct change *c = n->memory->alloc(n->memory->user, sizeof *c + len);
    if (!c)
        return NULL;
    *c = (struct change){ .next = n->changes, .len = (uint32_t)len, .in_flash = in_flash };
    memcpy(c->name, name, MIDGE_NVS_NAME);
    n->changes = c;
    n->stats.pending++;
    n->pending_bytes += size_of(c);
    return c;
}

static bool is_in_flash(const struct midge_nvs *n, const char *name)
{
    size_t len;
    return nvs_get_blob(n->handle, name, NULL, &len) == ESP_OK;
}

static void lose(struct midge_nvs *n, const char *what, esp_err_t err)
{
    n->stats.lost++;
    if (!n->complained)
        ESP_LOGW(TAG, "State cannot be kept in NVS: %s (0x%x).", what, (unsigned)err);
    n->complained = true;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

/* A blob's index and the head of its piece take one entry each. Larger ones come in pieces of almost a page. */
static uint32_t cost(const struct change *c)
{
    return c->len ? 2 + (c->len + 31) / 32 + c->len / 3968 : 0;
}

/* Changes are made from the lowest rank up. */
static unsigned rank(const struct change *c)
{
    if (c->len)
        return (c->late ? 32u : 1u) + (unsigned)(c->name[0] - FIRST);
    return c->name[0] == SESSION ? 0 : 16u + (unsigned)(LAST - c->name[0]);
}

static struct change **next_change(struct midge_nvs *n)
{
    struct change **first = &n->changes;
    for (struct change **at = first; *at; at = &(*at)->next)
        if (rank(*at) < rank(*first))
            first = at;
    return first;
}

static esp_err_t write_blob(struct midge_nvs *n, const struct change *c)
{
    size_t used = 0;
    esp_err_t err = nvs_get_used_entry_count(n->handle, &used);
    if (err == ESP_OK && used + cost(c) > n->entries_max)
        err = ESP_ERR_NVS_NOT_ENOUGH_SPACE;
    if (err == ESP_OK)
        err = nvs_set_blob(n->handle, c->name, c->bytes, c->len);
    if (err != ESP_OK)
        return err;
    n->stats.written += cost(c);
    n->credit -= (int64_t)cost(c) * HOUR_MS;
    return ESP_OK;
}

/* False: it waits for what goes. */
static bool make(struct midge_nvs *n, struct change *c)
{
    if (!c->len) {
        nvs_erase_key(n->handle, c->name);
        return true;
    }
    esp_err_t err = write_blob(n, c);
    if (err != ESP_OK && !c->late) {
        c->late = true;
        return false;
    }
    if (err != ESP_OK)
        lose(n, "no room in the flash", err);
    return true;
}

static bool pays(const struct midge_nvs *n, const struct change *c)
{
    return c->len == 0 || n->credit >= (int64_t)cost(c) * HOUR_MS;
}

/* False: there was nothing, or nothing that could be paid for. */
static bool write_some(struct midge_nvs *n)
{
    int made = 0;
    for (; made < WRITES_A_TICK && n->changes; made++) {
        struct change **at = next_change(n);
        if (!pays(n, *at))
            break;
        if (make(n, *at))
            unhang(n, at);
    }
    if (made)
        nvs_commit(n->handle);
    if (!n->changes)
        n->wanted = n->complained = false;
    n->writing = n->changes && made == WRITES_A_TICK;
    return made > 0;
}

/* Writing begins when all that waits can be paid for: half of it would often be out of date when the other half could
 * follow. */
static int64_t needed(const struct midge_nvs *n)
{
    uint32_t entries = 0;
    for (const struct change *c = n->changes; c; c = c->next)
        entries += cost(c);
    return (int64_t)(entries < n->per_hour ? entries : n->per_hour) * HOUR_MS;
}

static midge_ms due(const struct midge_nvs *n)
{
    if (!n->wanted)
        return MIDGE_NEVER;
    int64_t missing = n->writing ? 0 : needed(n) - n->credit;
    return missing <= 0 ? n->now : n->now + (uint64_t)missing / n->per_hour + 1;
}

midge_ms midge_nvs_tick(struct midge_nvs *n, midge_ms now)
{
    int64_t most = (int64_t)n->per_hour * HOUR_MS;
    midge_ms passed = now > n->now ? now - n->now : 0;
    n->now += passed;
    n->credit += (int64_t)(passed < HOUR_MS ? passed : HOUR_MS) * n->per_hour;
    n->credit = n->credit < most ? n->credit : most;
    if (due(n) <= n->now)
        write_some(n);
    return due(n);
}

/* ---- what the broker says ------------------------------------------------------------------------------ */

static uint8_t *append(uint8_t *at, const struct midge_slice pieces[2])
{
    for (int i = 0; i < 2; i++) {
        if (pieces[i].len)
            memcpy(at, pieces[i].data, pieces[i].len);
        at += pieces[i].len;
    }
    return at;
}

static bool put(void *user, const struct midge_record *r)
{
    struct midge_nvs *n = user;
    char name[MIDGE_NVS_NAME];
    uint32_t key_len = r->key[0].len + r->key[1].len;
    size_t len = HEAD + key_len + r->value[0].len + r->value[1].len;
    midge_nvs_name(name, r->key);
    struct change **at = find(n, name);
    bool in_flash = *at ? (*at)->in_flash : is_in_flash(n, name);
    if (*at)
        unhang(n, at);
    struct change *c = NULL;
    while (key_len <= UINT16_MAX && !(c = hang(n, name, len, in_flash)) && write_some(n))
        continue;
    if (!c) {
        lose(n, "too much waits to be written", ESP_ERR_NO_MEM);
        return true;
    }
    c->bytes[0] = (uint8_t)(key_len >> 8);
    c->bytes[1] = (uint8_t)key_len;
    append(append(c->bytes + HEAD, r->key), r->value);
    return true;
}

/* Without memory to remember it: at once, for what was deleted must not come back. */
static void forget(struct midge_nvs *n, const char *name)
{
    struct change **at = find(n, name);
    bool in_flash = *at ? (*at)->in_flash : is_in_flash(n, name);
    if (*at)
        unhang(n, at);
    if (in_flash && !hang(n, name, 0, true))
        nvs_erase_key(n->handle, name);
}

static struct change **find_beginning(struct midge_nvs *n, const char *beginning)
{
    struct change **at = &n->changes;
    while (*at && ((*at)->len == 0 || strncmp((*at)->name, beginning, strlen(beginning)) != 0))
        at = &(*at)->next;
    return at;
}

/* Each blob of ours whose name begins so. `what` may erase it. */
static void for_each(struct midge_nvs *n, const char *beginning, void (*what)(struct midge_nvs *n, const char *name))
{
    nvs_iterator_t it = NULL;
    esp_err_t err = nvs_entry_find(n->partition, n->space, NVS_TYPE_BLOB, &it);
    while (err == ESP_OK) {
        nvs_entry_info_t info;
        nvs_entry_info(it, &info);
        err = nvs_entry_next(&it);
        if (strncmp(info.key, beginning, strlen(beginning)) == 0)
            what(n, info.key);
    }
    nvs_release_iterator(it);
}

static bool del(void *user, const struct midge_record *r, bool all)
{
    struct midge_nvs *n = user;
    struct change **at;
    char name[MIDGE_NVS_NAME];
    midge_nvs_name(name, r->key);
    if (!all) {
        forget(n, name);
        return true;
    }
    while (*(at = find_beginning(n, name))) {
        char one[MIDGE_NVS_NAME];
        memcpy(one, (*at)->name, sizeof one);
        forget(n, one);
    }
    for_each(n, name, forget);
    return true;
}

static bool sync(void *user)
{
    struct midge_nvs *n = user;
    n->wanted = n->changes != NULL;
    return true;
}

/* ---- reading back -------------------------------------------------------------------------------------- */

struct names {
    char (*list)[MIDGE_NVS_NAME];
    size_t count, room;
};

static void *take(const struct midge_nvs *n, size_t size)
{
    return n->memory->alloc(n->memory->user, size);
}

static void give(const struct midge_nvs *n, void *p, size_t size)
{
    n->memory->free(n->memory->user, p, size);
}

/* Counts only while there is no list. */
static void list_names(const struct midge_nvs *n, struct names *names)
{
    nvs_iterator_t it = NULL;
    esp_err_t err = nvs_entry_find(n->partition, n->space, NVS_TYPE_BLOB, &it);
    for (names->count = 0; err == ESP_OK; err = nvs_entry_next(&it)) {
        nvs_entry_info_t info;
        nvs_entry_info(it, &info);
        if (names->count < names->room)
            memcpy(names->list[names->count], info.key, MIDGE_NVS_NAME);
        names->count++;
    }
    nvs_release_iterator(it);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static enum midge_err hand_over(struct midge *m, const uint8_t *blob, size_t len)
{
    size_t key_len = len >= HEAD ? (size_t)blob[0] << 8 | blob[1] : SIZE_MAX;
    if (len < HEAD || key_len > len - HEAD)
        return MIDGE_ERR_INVALID;
    const struct midge_slice key = { blob + HEAD, (uint32_t)key_len };
    const struct midge_slice value = { blob + HEAD + key_len, (uint32_t)(len - HEAD - key_len) };
    return midge_restore(m, key, value);
}

static enum midge_err restore_one(struct midge_nvs *n, struct midge *m, const char *name)
{
    size_t len = 0;
    if (nvs_get_blob(n->handle, name, NULL, &len) != ESP_OK)
        return MIDGE_ERR_INVALID;
    uint8_t *blob = take(n, len);
    if (!blob)
        return MIDGE_ERR_NO_MEMORY;
    size_t got = len;
    enum midge_err err = MIDGE_ERR_INVALID;
    if (nvs_get_blob(n->handle, name, blob, &got) == ESP_OK && got == len)
        err = hand_over(m, blob, len);
    give(n, blob, len);
    return err;
}

/* Written by another version of the broker, or for another machine: its numbers mean nothing here. */
static void begin_anew(struct midge_nvs *n)
{
    ESP_LOGW(TAG, "The state in NVS is not of this version: it is erased.");
    nvs_erase_all(n->handle);
}

static void restore_all(struct midge_nvs *n, struct midge *m, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->list[i];
        enum midge_err err = i == 0 && name[0] != FIRST ? MIDGE_ERR_INVALID : restore_one(n, m, name);
        if (err == MIDGE_OK)
            continue;
        n->stats.dropped++;
        if (i == 0) {
            begin_anew(n);
            return;
        }
        nvs_erase_key(n->handle, name);
    }
}

void midge_nvs_restore(struct midge_nvs *n, struct midge *m, midge_ms now)
{
    struct names names = { .list = NULL };
    list_names(n, &names);
    names.room = names.count;
    names.list = names.room ? take(n, names.room * MIDGE_NVS_NAME) : NULL;
    if (names.list) {
        list_names(n, &names);
        qsort(names.list, names.count, MIDGE_NVS_NAME, by_name);
        restore_all(n, m, &names);
        give(n, names.list, names.room * MIDGE_NVS_NAME);
    } else if (names.room) {
        n->stats.dropped = (uint32_t)names.room;
        nvs_erase_all(n->handle);
    }
    if (n->stats.dropped)
        ESP_LOGW(TAG, "%u records in NVS were cut off, damaged or too many, and are dropped.",
                 (unsigned)n->stats.dropped);
    midge_restored(m, now);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t other)
{
    return value ? value : other;
}

struct midge_nvs *midge_nvs_open(const struct midge_esp_nvs_config *config, const struct midge_memory *memory,
                                 midge_ms now)
{
    struct midge_nvs *n = memory->alloc(memory->user, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct midge_nvs){
        .partition = config->partition ? config->partition : NVS_DEFAULT_PART_NAME,
        .space = config->space ? config->space : "midge",
        .memory = memory,
        .store = { .user = n, .put = put, .del = del, .sync = sync,
                   .relaxed_ms = or_default(config->relaxed_ms, 10000) },
        .pending_max = or_default(config->pending_bytes, 8192),
        .entries_max = or_default(config->entries, 300),
        .per_hour = or_default(config->entries_per_hour, 600),
        .now = now,
    };
    n->credit = (int64_t)n->per_hour * HOUR_MS / 10; /* a chip that restarts all the time does not begin with all */
    esp_err_t err = nvs_open_from_partition(n->partition, n->space, NVS_READWRITE, &n->handle);
    if (err == ESP_OK)
        return n;
    ESP_LOGE(TAG, "NVS partition %s cannot be used (0x%x); has nvs_flash_init been called?", n->partition,
             (unsigned)err);
    give(n, n, sizeof *n);
    return NULL;
}

const struct midge_store *midge_nvs_store(struct midge_nvs *n)
{
    return &n->store;
}

void midge_nvs_get_stats(const struct midge_nvs *n, struct midge_esp_nvs_stats *out)
{
    *out = n->stats;
}

void midge_nvs_close(struct midge_nvs *n)
{
    if (!n)
        return;
    n->credit = INT64_MAX / 2;
    while (n->changes)
        write_some(n);
    nvs_close(n->handle);
    give(n, n, sizeof *n);
}
