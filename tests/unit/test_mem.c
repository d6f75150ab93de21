/* test_mem.c - counting by tag, the limit and its reserve. */
#include "support.h"

static size_t rounded(size_t n)
{
    return (n + 7) / 8 * 8;
}

static void what_is_drawn_is_counted_by_tag_and_in_all(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    void *a = midge_mem_alloc(&h.mem, 10, MIDGE_TAG_MSG);
    void *b = midge_mem_alloc(&h.mem, 20, MIDGE_TAG_SUB);
    assert_int_equal(h.mem.used, 30);
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_MSG], 10);
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_SUB], 20);
    midge_mem_free(&h.mem, a, 10, MIDGE_TAG_MSG);
    assert_int_equal(h.mem.used, 20);
    assert_int_equal(h.counts.peak, 30);
    assert_int_equal(h.counts.peak_by_tag[MIDGE_TAG_MSG], 10);
    midge_mem_free(&h.mem, b, 20, MIDGE_TAG_SUB);
    midge_mem_free(&h.mem, NULL, 99, MIDGE_TAG_SUB);
    heap_close(&h);
}

static void a_block_counts_what_the_allocator_takes_for_it(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    h.memory.cost = rounded;
    assert_int_equal(midge_mem_cost(&h.mem, 9), 16);
    void *p = midge_mem_alloc(&h.mem, 9, MIDGE_TAG_MSG);
    assert_int_equal(h.mem.used, 16);
    p = midge_mem_resize(&h.mem, p, 9, 17, MIDGE_TAG_MSG);
    assert_int_equal(h.mem.used, 24);
    midge_mem_free(&h.mem, p, 17, MIDGE_TAG_MSG);
    heap_close(&h);
}

static void the_limit_is_never_passed_and_may_be_reached(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    midge_mem_init(&h.mem, &h.memory, 100, 0);
    midge_mem_count(&h.mem, &h.counts, MIDGE_TAG_BROKER);
    void *a = midge_mem_alloc(&h.mem, 60, MIDGE_TAG_MSG);
    assert_null(midge_mem_alloc(&h.mem, 41, MIDGE_TAG_MSG));
    assert_null(midge_mem_alloc(&h.mem, SIZE_MAX, MIDGE_TAG_CONN));
    void *b = midge_mem_alloc(&h.mem, 40, MIDGE_TAG_MSG);
    assert_non_null(b);
    assert_int_equal(h.mem.used, 100);
    midge_mem_free(&h.mem, a, 60, MIDGE_TAG_MSG);
    midge_mem_free(&h.mem, b, 40, MIDGE_TAG_MSG);
    heap_close(&h);
}

static void the_reserve_is_for_what_keeps_the_broker_answering(void **state)
{
    (void)state;
    static const enum midge_tag may[] = { MIDGE_TAG_BROKER, MIDGE_TAG_CONN, MIDGE_TAG_CONTROL,
                                          MIDGE_TAG_FRAME, MIDGE_TAG_SESSION };
    static const enum midge_tag may_not[] = { MIDGE_TAG_SUB, MIDGE_TAG_QUEUE, MIDGE_TAG_MSG,
                                              MIDGE_TAG_RETAIN };
    struct heap h;
    heap_open(&h);
    midge_mem_init(&h.mem, &h.memory, 100, 30);
    midge_mem_count(&h.mem, &h.counts, MIDGE_TAG_BROKER);
    void *a = midge_mem_alloc(&h.mem, 70, MIDGE_TAG_MSG);
    assert_non_null(a);
    for (size_t i = 0; i < COUNT(may_not); i++)
        assert_null(midge_mem_alloc(&h.mem, 1, may_not[i]));
    for (size_t i = 0; i < COUNT(may); i++) {
        void *p = midge_mem_alloc(&h.mem, 30, may[i]);
        assert_non_null(p);
        assert_null(midge_mem_alloc(&h.mem, 1, may[i]));
        assert_false(midge_mem_would_fit(&h.mem, 0));
        midge_mem_free(&h.mem, p, 30, may[i]);
    }
    midge_mem_free(&h.mem, a, 70, MIDGE_TAG_MSG);
    assert_true(midge_mem_would_fit(&h.mem, 70));
    assert_false(midge_mem_would_fit(&h.mem, 71));
    heap_close(&h);
}

static void a_reserve_above_the_limit_leaves_nothing_to_the_others(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    midge_mem_init(&h.mem, &h.memory, 100, 200);
    midge_mem_count(&h.mem, &h.counts, MIDGE_TAG_BROKER);
    assert_null(midge_mem_alloc(&h.mem, 1, MIDGE_TAG_MSG));
    void *p = midge_mem_alloc(&h.mem, 100, MIDGE_TAG_CONN);
    assert_non_null(p);
    midge_mem_free(&h.mem, p, 100, MIDGE_TAG_CONN);
    heap_close(&h);
}

static void a_failed_allocation_counts_nothing(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    h.countdown = 0;
    assert_null(midge_mem_alloc(&h.mem, 8, MIDGE_TAG_MSG));
    assert_null(midge_mem_zalloc(&h.mem, 8, MIDGE_TAG_MSG));
    assert_int_equal(h.counts.peak, 0);
    heap_close(&h);
}

static void zalloc_zeroes(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    struct heap h;
    heap_open(&h);
    void *p = midge_mem_zalloc(&h.mem, sizeof zeros, MIDGE_TAG_MSG);
    assert_memory_equal(p, zeros, sizeof zeros);
    midge_mem_free(&h.mem, p, sizeof zeros, MIDGE_TAG_MSG);
    heap_close(&h);
}

static void resize_keeps_bytes_and_obeys_the_limit(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    midge_mem_init(&h.mem, &h.memory, 100, 0);
    midge_mem_count(&h.mem, &h.counts, MIDGE_TAG_BROKER);
    char *p = midge_mem_alloc(&h.mem, 4, MIDGE_TAG_FRAME);
    memcpy(p, "abc", 4);
    assert_null(midge_mem_resize(&h.mem, p, 4, 101, MIDGE_TAG_FRAME));
    p = midge_mem_resize(&h.mem, p, 4, 100, MIDGE_TAG_FRAME);
    assert_string_equal(p, "abc");
    assert_int_equal(h.mem.used, 100);
    h.countdown = 0;
    assert_null(midge_mem_resize(&h.mem, p, 100, 101, MIDGE_TAG_FRAME));
    assert_int_equal(h.mem.used, 100);
    h.countdown = -1;
    midge_mem_free(&h.mem, p, 100, MIDGE_TAG_FRAME);
    heap_close(&h);
}

static void shrinking_succeeds_also_when_the_allocator_refuses(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    char *p = midge_mem_alloc(&h.mem, 100, MIDGE_TAG_FRAME);
    h.countdown = 0;
    assert_ptr_equal(midge_mem_resize(&h.mem, p, 100, 10, MIDGE_TAG_FRAME), p);
    assert_int_equal(h.mem.used, 10);
    midge_mem_free(&h.mem, p, 10, MIDGE_TAG_FRAME);
    assert_int_equal(h.blocks, 0);
    assert_int_equal(h.mem.used, 0);
}

static void retag_moves_the_count(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    h.memory.cost = rounded;
    void *p = midge_mem_alloc(&h.mem, 9, MIDGE_TAG_FRAME);
    midge_mem_retag(&h.mem, 9, MIDGE_TAG_FRAME, MIDGE_TAG_MSG);
    assert_int_equal(h.mem.used, 16);
    assert_int_equal(h.counts.peak, 16);
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_FRAME], 0);
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_MSG], 16);
    assert_int_equal(h.counts.peak_by_tag[MIDGE_TAG_MSG], 16);
    midge_mem_free(&h.mem, p, 9, MIDGE_TAG_MSG);
    heap_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_drawn_is_counted_by_tag_and_in_all),
        cmocka_unit_test(a_block_counts_what_the_allocator_takes_for_it),
        cmocka_unit_test(the_limit_is_never_passed_and_may_be_reached),
        cmocka_unit_test(the_reserve_is_for_what_keeps_the_broker_answering),
        cmocka_unit_test(a_reserve_above_the_limit_leaves_nothing_to_the_others),
        cmocka_unit_test(a_failed_allocation_counts_nothing),
        cmocka_unit_test(zalloc_zeroes),
        cmocka_unit_test(resize_keeps_bytes_and_obeys_the_limit),
        cmocka_unit_test(shrinking_succeeds_also_when_the_allocator_refuses),
        cmocka_unit_test(retag_moves_the_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
