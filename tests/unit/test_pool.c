/* test_pool.c - the loop's memory: blocks that do not overlap, sizes that come back to where they were. */
#include "ports/posix/posix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCKS 3000u

static struct midge_pool pool;

static int begin(void **state)
{
    (void)state;
    midge_pool_init(&pool);
    return 0;
}

static int end(void **state)
{
    (void)state;
    midge_pool_free(&pool);
    return 0;
}

static void *take(size_t n)
{
    void *p = pool.memory.alloc(pool.memory.user, n);
    assert_non_null(p);
    return p;
}

static void give(void *p, size_t n)
{
    pool.memory.free(pool.memory.user, p, n);
}

static size_t size_of(unsigned i)
{
    return 1 + i * 37 % 1500; /* of the pool's, and of the C library's */
}

static void blocks_keep_what_is_written_into_them(void **state)
{
    (void)state;
    static uint8_t *blocks[BLOCKS];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = take(size_of(i));
            assert_int_equal((uintptr_t)blocks[i] % sizeof(void *), 0);
            memset(blocks[i], (int)(i % 251), size_of(i));
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            const size_t n = size_of(i);
            assert_int_equal(blocks[i][0], i % 251);
            assert_memory_equal(blocks[i], blocks[i] + n / 2, n - n / 2);
            give(blocks[i], n);
        }
    }
}

static void what_was_given_back_is_taken_again(void **state)
{
    (void)state;
    const size_t slab = MIDGE_POOL_FIRST_SLAB;
    for (unsigned i = 0; i < 100000; i++) {
        void *a = take(40), *b = take(200);
        give(a, 37); /* of the same class */
        give(b, 200);
    }
    if (pool.slabs) /* not under a sanitizer */
        assert_true(pool.left > slab - 1000);
}

static void a_block_is_resized_with_its_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 8, 9, 100, 1024, 1025, 70000, 3000, 1024, 512, 3 };
    uint8_t *block = take(1);
    *block = 7;
    for (unsigned i = 1; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t before = sizes[i - 1], n = sizes[i];
        block = pool.memory.resize(pool.memory.user, block, before, n);
        assert_non_null(block);
        for (size_t at = 0; at < (before < n ? before : n); at++)
            assert_int_equal(block[at], 7);
        memset(block, 7, n);
    }
    give(block, 3);
}

static void a_block_costs_what_it_takes(void **state)
{
    (void)state;
    assert_true(pool.memory.cost(1) >= 1);
    assert_true(pool.memory.cost(1) <= 32);
    assert_true(pool.memory.cost(100) >= 100 && pool.memory.cost(100) <= 120);
    assert_true(pool.memory.cost(5000) > 5000);
    assert_int_equal(pool.memory.cost(SIZE_MAX), SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_keep_what_is_written_into_them, begin, end),
        cmocka_unit_test_setup_teardown(what_was_given_back_is_taken_again, begin, end),
        cmocka_unit_test_setup_teardown(a_block_is_resized_with_its_bytes, begin, end),
        cmocka_unit_test_setup_teardown(a_block_costs_what_it_takes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
