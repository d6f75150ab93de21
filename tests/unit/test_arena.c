/* test_arena.c - the caller's block as memory, against a byte map of what is in use. */
#include "support.h"

#define ARENA_BYTES 16384u
#define PAGES 5u /* of the map, and 16 kB each */
#define BLOCKS 200

struct block {
    uint8_t *p;
    size_t n;
    uint8_t fill;
};

static _Alignas(16) uint8_t room[PAGES * ARENA_BYTES + 64];

static struct midge_memory arena_in(uint8_t *block, size_t size)
{
    struct midge_memory a;
    assert_true(midge_arena_memory(block, size, &a));
    assert_int_equal(a.size, midge_arena_largest(&a)); /* what limits.memory_bytes counts up to */
    return a;
}

static void *alloc(const struct midge_memory *a, size_t n)
{
    return a->alloc(a->user, n);
}

static void assert_filled(const struct block *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(b->p[i], b->fill);
}

static void assert_inside(const struct block *b)
{
    assert_true(b->p >= room && b->p + b->n <= room + PAGES * ARENA_BYTES);
    assert_int_equal((uintptr_t)b->p % 8, 0);
}

static void drop(const struct midge_memory *a, struct block *b)
{
    assert_filled(b, b->n);
    a->free(a->user, b->p, b->n);
    b->p = NULL;
}

static void draw(const struct midge_memory *a, struct block *b, size_t n, uint8_t fill)
{
    size_t largest = midge_arena_largest(a);
    *b = (struct block){ .p = alloc(a, n), .n = n, .fill = fill };
    assert_int_equal(b->p != NULL, n <= largest);
    if (!b->p)
        return;
    assert_inside(b);
    memset(b->p, fill, n);
}

static void change(const struct midge_memory *a, struct block *b, size_t n)
{
    uint8_t *p = a->resize(a->user, b->p, b->n, n);
    if (!p) {
        assert_true(n > b->n);
        assert_true(n > midge_arena_largest(a));
        assert_filled(b, b->n);
        return;
    }
    b->p = p;
    assert_filled(b, n < b->n ? n : b->n);
    b->n = n;
    assert_inside(b);
    memset(p, b->fill, n);
}

/* Blocks are filled with a byte of their own: one that was handed out twice would be seen. */
static void random_calls(uint32_t seed, uint32_t pages)
{
    struct midge_memory a = arena_in(room, pages * ARENA_BYTES);
    size_t all = midge_arena_largest(&a);
    struct block blocks[BLOCKS] = { 0 };
    for (int step = 0; step < 20000; step++) {
        struct block *b = &blocks[roll(&seed, BLOCKS)];
        size_t n = 1 + roll(&seed, pages * (roll(&seed, 8) == 0 ? 2000 : 100));
        if (!b->p)
            draw(&a, b, n, (uint8_t)dice(&seed));
        else if (roll(&seed, 3) == 0)
            change(&a, b, n);
        else
            drop(&a, b);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i].p)
            drop(&a, &blocks[i]);
    assert_int_equal(midge_arena_largest(&a), all);
}

static void blocks_never_overlap_and_all_space_comes_back(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 5; seed++)
        for (uint32_t pages = 1; pages <= PAGES; pages += 2)
            random_calls(seed, pages);
}

static void little_of_the_block_is_spent_on_keeping_books(void **state)
{
    (void)state;
    struct midge_memory a = arena_in(room, ARENA_BYTES);
    assert_true(midge_arena_largest(&a) >= ARENA_BYTES - ARENA_BYTES / 64 - 48);
    size_t eights = 0;
    while (alloc(&a, 8))
        eights++;
    assert_true(eights * 8 >= ARENA_BYTES - ARENA_BYTES / 64 - 48);
    assert_int_equal(midge_arena_largest(&a), 0);
}

/* Every size and alignment: the bookkeeping stays inside, up to the last byte. */
static void any_block_of_a_kilobyte_will_do(void **state)
{
    (void)state;
    struct midge_memory a;
    assert_false(midge_arena_memory(room, 1023, &a));
    for (size_t size = 1024; size < 1700; size++) {
        for (size_t shift = 0; shift < 8; shift++) {
            memset(room, 0xEE, sizeof room);
            a = arena_in(room + shift, size);
            size_t n = midge_arena_largest(&a);
            uint8_t *p = alloc(&a, n);
            assert_non_null(p);
            memset(p, 0, n);
            assert_true(p > room + shift && p + n <= room + shift + size);
            assert_int_equal(room[shift + size], 0xEE);
            a.free(a.user, p, n);
            assert_int_equal(midge_arena_largest(&a), n);
        }
    }
}

static void blocks_are_packed_from_the_start(void **state)
{
    (void)state;
    struct midge_memory a = arena_in(room, ARENA_BYTES);
    uint8_t *p = alloc(&a, 24);
    uint8_t *q = alloc(&a, 1);
    uint8_t *r = alloc(&a, 8);
    assert_ptr_equal(q, p + 24);
    assert_ptr_equal(r, q + 8);
    a.free(a.user, p, 24);
    assert_ptr_equal(alloc(&a, 32), r + 8);
    assert_ptr_equal(alloc(&a, 20), p);
}

static void resize_stays_in_place_where_it_can(void **state)
{
    (void)state;
    struct midge_memory a = arena_in(room, ARENA_BYTES);
    uint8_t *p = alloc(&a, 40);
    assert_ptr_equal(a.resize(a.user, p, 40, 400), p);
    assert_ptr_equal(a.resize(a.user, p, 400, 16), p);
    uint8_t *q = alloc(&a, 8);
    assert_ptr_equal(q, p + 16);
    uint8_t *moved = a.resize(a.user, p, 16, 17);
    assert_ptr_equal(moved, q + 8);
}

/* Only because its own place counts as free can a block of two thirds grow once a hole lies before it. */
static void a_block_slides_over_itself_when_that_is_the_only_way(void **state)
{
    (void)state;
    struct midge_memory a = arena_in(room, ARENA_BYTES);
    size_t all = midge_arena_largest(&a);
    size_t third = all / 3 / 8 * 8;
    uint8_t *p = alloc(&a, third);
    uint8_t *q = alloc(&a, all - third - 8);
    assert_non_null(alloc(&a, 8));
    for (size_t i = 0; i < all - third - 8; i++)
        q[i] = (uint8_t)(i * 7);
    a.free(a.user, p, third);
    uint8_t *r = a.resize(a.user, q, all - third - 8, all - 8);
    assert_ptr_equal(r, p);
    for (size_t i = 0; i < all - third - 8; i++)
        assert_int_equal(r[i], (uint8_t)(i * 7));
}

static void what_is_not_in_use_is_not_freed(void **state)
{
    (void)state;
    struct midge_memory a = arena_in(room, ARENA_BYTES);
    uint8_t *p = alloc(&a, 16);
    uint8_t *q = alloc(&a, 16);
    a.free(a.user, p, 16);
    a.free(a.user, p, 16);
    a.free(a.user, p, 32); /* reaches into q */
    assert_null(a.resize(a.user, p, 16, 24));
    a.free(a.user, room + ARENA_BYTES, 8);
    assert_ptr_equal(alloc(&a, 16), p);
    assert_ptr_equal(alloc(&a, 16), q + 16);
}

static void cost_is_the_size_in_eights(void **state)
{
    (void)state;
    struct midge_memory a = arena_in(room, ARENA_BYTES);
    assert_int_equal(a.cost(1), 8);
    assert_int_equal(a.cost(8), 8);
    assert_int_equal(a.cost(9), 16);
    assert_true(a.cost(SIZE_MAX) >= SIZE_MAX - 8);
    assert_null(alloc(&a, SIZE_MAX));
    assert_null(alloc(&a, ARENA_BYTES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_never_overlap_and_all_space_comes_back),
        cmocka_unit_test(little_of_the_block_is_spent_on_keeping_books),
        cmocka_unit_test(any_block_of_a_kilobyte_will_do),
        cmocka_unit_test(blocks_are_packed_from_the_start),
        cmocka_unit_test(resize_stays_in_place_where_it_can),
        cmocka_unit_test(a_block_slides_over_itself_when_that_is_the_only_way),
        cmocka_unit_test(what_is_not_in_use_is_not_freed),
        cmocka_unit_test(cost_is_the_size_in_eights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
