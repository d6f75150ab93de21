/* test_map.c - the hash map, against an array of what should be in it. */
#include "support.h"

#include "base/list.h"
#include "base/map.h"

#define ITEMS 2000

struct item {
    struct midge_map_node node;
    uintptr_t number;
    uint8_t key[12];
    uint32_t len;
    bool in;
};

static struct item items[ITEMS];
static const uint32_t seed_zero[2];

static struct midge_slice key_of(const struct item *i)
{
    return midge_slice_of(i->key, i->len);
}

static bool same(const struct midge_map_node *node, uintptr_t number, struct midge_slice key)
{
    const struct item *i = MIDGE_CONTAINER(struct item, node, node);
    return i->number == number && midge_slice_equal(key_of(i), key);
}

/* Different items, of which many share their bytes or their number. */
static void make_items(void)
{
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < ITEMS; i++) {
        items[i].number = i % 40 * 16;
        items[i].len = 2 + (uint32_t)(i % 11);
        items[i].key[0] = (uint8_t)(i / 40);
        items[i].key[1] = 'x';
    }
}

static uint32_t hash_of(const struct midge_map *m, const struct item *i)
{
    return midge_map_hash(m, i->number, key_of(i));
}

static struct midge_map_node *find(const struct midge_map *m, const struct item *i)
{
    return midge_map_find(m, hash_of(m, i), i->number, key_of(i), same);
}

static void toggle(struct midge_map *m, struct item *i)
{
    if (i->in)
        midge_map_remove(m, &i->node);
    else
        assert_true(midge_map_insert(m, &i->node, hash_of(m, i)));
    i->in = !i->in;
}

static void assert_same_contents(const struct midge_map *m)
{
    uint32_t n = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        assert_ptr_equal(find(m, &items[i]), items[i].in ? &items[i].node : NULL);
        n += items[i].in;
    }
    assert_int_equal(m->count, n);
}

static void empty(struct midge_map *m)
{
    for (size_t i = 0; i < ITEMS; i++)
        if (items[i].in)
            toggle(m, &items[i]);
    assert_same_contents(m);
    midge_map_clear(m);
}

static void what_was_inserted_is_found_until_removed(void **state)
{
    (void)state;
    struct heap h;
    struct midge_map m;
    uint32_t seed = 11;
    heap_open(&h);
    make_items();
    midge_map_init(&m, &h.mem, MIDGE_TAG_SUB, (uint32_t[]){ 1, 2 });
    assert_same_contents(&m);
    for (int round = 0; round < 20; round++) {
        uint32_t some = 1 + roll(&seed, ITEMS);
        for (int step = 0; step < 1000; step++)
            toggle(&m, &items[roll(&seed, some)]);
        assert_same_contents(&m);
    }
    empty(&m);
    heap_close(&h);
}

static uint32_t longest_chain(const struct midge_map *m)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i <= m->mask; i++) {
        uint32_t n = 0;
        for (const struct midge_map_node *node = m->table[i]; node; node = node->next)
            n++;
        longest = n > longest ? n : longest;
    }
    return longest;
}

static void the_table_follows_the_count(void **state)
{
    (void)state;
    struct heap h;
    struct midge_map m;
    heap_open(&h);
    make_items();
    midge_map_init(&m, &h.mem, MIDGE_TAG_SUB, (uint32_t[]){ 1, 2 });
    for (size_t i = 0; i < ITEMS; i++)
        toggle(&m, &items[i]);
    assert_true(m.mask + 1 >= ITEMS / 2 && m.mask + 1 <= ITEMS);
    assert_true(longest_chain(&m) <= 14);
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_SUB], (m.mask + 1) * sizeof(void *));
    for (size_t i = 0; i < ITEMS - 1; i++)
        toggle(&m, &items[i]);
    assert_true(m.mask + 1 <= 16);
    empty(&m);
    heap_close(&h);
}

static void without_memory_to_grow_the_map_works_on(void **state)
{
    (void)state;
    struct heap h;
    struct midge_map m;
    heap_open(&h);
    make_items();
    midge_map_init(&m, &h.mem, MIDGE_TAG_SUB, (uint32_t[]){ 1, 2 });
    h.countdown = 0;
    assert_false(midge_map_insert(&m, &items[0].node, hash_of(&m, &items[0])));
    assert_same_contents(&m);
    h.countdown = 1;
    for (size_t i = 0; i < ITEMS / 2; i++)
        toggle(&m, &items[i]);
    assert_int_equal(h.blocks, 1);
    assert_same_contents(&m);
    h.countdown = -1;
    toggle(&m, &items[ITEMS - 1]);
    assert_same_contents(&m);
    h.countdown = 0; /* nor to shrink */
    empty(&m);
    heap_close(&h);
}

/* One name below many parents, many names below one parent: neither piles up. */
static void names_and_parents_both_spread(void **state)
{
    (void)state;
    struct heap h;
    struct midge_map m;
    heap_open(&h);
    for (int by_number = 0; by_number < 2; by_number++) {
        memset(items, 0, sizeof items);
        midge_map_init(&m, &h.mem, MIDGE_TAG_SUB, seed_zero);
        for (size_t i = 0; i < ITEMS; i++) {
            items[i].number = by_number ? 0x20000000 + 48 * i : 0x20000000;
            items[i].len = 2;
            if (!by_number) {
                items[i].key[0] = (uint8_t)i;
                items[i].key[1] = (uint8_t)(i >> 8);
            }
            toggle(&m, &items[i]);
        }
        assert_true(longest_chain(&m) <= 14);
        empty(&m);
    }
    heap_close(&h);
}

static void the_hash_depends_on_the_seed_and_on_every_byte(void **state)
{
    (void)state;
    struct heap h;
    struct midge_map a, b, c;
    heap_open(&h);
    midge_map_init(&a, &h.mem, MIDGE_TAG_SUB, (uint32_t[]){ 1, 2 });
    midge_map_init(&b, &h.mem, MIDGE_TAG_SUB, (uint32_t[]){ 3, 2 });
    midge_map_init(&c, &h.mem, MIDGE_TAG_SUB, (uint32_t[]){ 1, 3 });
    uint8_t key[16] = { 0 };
    for (uint32_t len = 0; len <= sizeof key; len++) {
        struct midge_slice s = midge_slice_of(key, len);
        uint32_t hash = midge_map_hash(&a, 0, s);
        assert_int_equal(hash, midge_map_hash(&a, 0, s));
        assert_int_equal(hash, midge_map_hash_number(midge_map_hash_key(&a, s), 0));
        assert_int_not_equal(hash, midge_map_hash(&b, 0, s));
        assert_int_not_equal(hash, midge_map_hash(&c, 0, s));
        assert_int_not_equal(hash, midge_map_hash(&a, 8, s));
        for (uint32_t i = 0; i < len; i++) {
            key[i] = 1;
            assert_int_not_equal(hash, midge_map_hash(&a, 0, s));
            key[i] = 0;
        }
    }
    heap_close(&h);
}

/* Key 00..07, input 00..: from a model that gives the published vectors of HalfSipHash-2-4. */
static void the_hash_is_half_siphash(void **state)
{
    (void)state;
    struct midge_map m;
    struct heap h;
    heap_open(&h);
    midge_map_init(&m, &h.mem, MIDGE_TAG_SUB, (uint32_t[]){ 0x03020100, 0x07060504 });
    uint8_t in[16];
    for (uint8_t i = 0; i < sizeof in; i++)
        in[i] = i;
    static const uint32_t want[] = { 0x5814C896, 0xE7E864CA, 0xBC4B0E30, 0x01539939, 0x7E059EA6,
                                     0x88E3D89B, 0xA0080B65, 0x9D38D9D6, 0x577999B1 };
    for (uint32_t len = 0; len < COUNT(want); len++)
        assert_int_equal(midge_map_hash_key(&m, midge_slice_of(in, len)), want[len]);
    heap_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_inserted_is_found_until_removed),
        cmocka_unit_test(the_table_follows_the_count),
        cmocka_unit_test(without_memory_to_grow_the_map_works_on),
        cmocka_unit_test(names_and_parents_both_spread),
        cmocka_unit_test(the_hash_depends_on_the_seed_and_on_every_byte),
        cmocka_unit_test(the_hash_is_half_siphash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
