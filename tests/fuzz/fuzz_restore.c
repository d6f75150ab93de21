/* fuzz_restore.c - records of a store, whole, damaged and made up: refused, or a broker that serves and gives all back.
 *
 * Input: records, each as two lengths (1 and 2 bytes), key, value.
 */
#include "fuzz.h"

#include "midge/midge_store.h"

static const uint8_t connect_a[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 0, 0, 0, 1, 'a' };
static const uint8_t subscribe_all[] = { 0x82, 6, 0, 1, 0, 1, '#', 2 };
static const uint8_t publish_a[] = { 0x32, 7, 0, 1, 'a', 0, 1, 'h', 'i' };

static bool put_nothing(void *user, const struct midge_record *record)
{
    (void)user;
    (void)record;
    return true;
}

static bool del_nothing(void *user, const struct midge_record *record, bool all)
{
    (void)user;
    (void)record;
    (void)all;
    return true;
}

static bool sync_nothing(void *user)
{
    (void)user;
    return true;
}

static uint64_t wall_ms(void *user)
{
    (void)user;
    return 1700000000000u;
}

static void serve(struct midge *m, midge_ms now)
{
    static uint8_t out[65536];
    struct midge_conn *c = midge_accept(m, &(struct midge_peer){ 0 }, now);
    if (!c)
        return;
    midge_recv(c, connect_a, 2 + connect_a[1], now);
    midge_recv(c, subscribe_all, sizeof subscribe_all, now);
    midge_recv(c, publish_a, sizeof publish_a, now);
    for (unsigned i = 0; i < 8; i++) {
        while (midge_ready(m, now)) {
        }
        while (midge_pull(c, out, sizeof out, now)) {
        }
        now += 1000u << 4 * i;
        midge_tick(m, now);
    }
    midge_lost(c, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in = { bytes, n };
    struct fuzz_heap heap;
    const struct midge_store store = { .put = put_nothing, .del = del_nothing, .sync = sync_nothing };
    const struct midge_hooks hooks = { .wall_ms = wall_ms };
    fuzz_heap_open(&heap, take_u8(&in) % 50);
    const struct midge_config config = {
        .memory = &heap.memory, .limits = &midge_limits_gateway, .hooks = &hooks, .store = &store
    };
    struct midge *m = midge_new(&config, 1);
    if (!m)
        return 0;
    enum midge_err err = MIDGE_OK;
    while (in.left && err == MIDGE_OK) {
        const uint8_t key_len = take_u8(&in);
        const uint16_t value_len = take_u16(&in);
        const struct midge_slice k = take_bytes(&in, key_len), v = take_bytes(&in, value_len);
        if (!k.len)
            break;
        uint8_t *key = copy_of(k), *value = copy_of(v);
        err = midge_restore(m, (struct midge_slice){ key, k.len }, (struct midge_slice){ value, v.len });
        free(key);
        free(value);
    }
    MUST(err == MIDGE_OK || err == MIDGE_ERR_INVALID || err == MIDGE_ERR_NO_MEMORY || err == MIDGE_ERR_FULL);
    if (err == MIDGE_OK) {
        midge_restored(m, 1);
        serve(m, 2);
    }
    struct midge_stats s;
    midge_get_stats(m, &s);
    MUST(s.memory_used == heap.used);
    midge_free(m);
    MUST(heap.used == 0);
    return 0;
}
