/* test_ledger.c - the load generator's books: what was lost, came twice, came late. */
#include "bench/midge-bench/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct ledger l;

static int begin(void **state)
{
    (void)state;
    ledger_init(&l, 3);
    return 0;
}

static int end(void **state)
{
    (void)state;
    ledger_free(&l);
    return 0;
}

static void note_all(size_t stream, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ledger_note(&l, stream, numbers[i]);
}
#define NOTE(stream, ...) \
    note_all(stream, (const uint64_t[]){ __VA_ARGS__ }, sizeof(uint64_t[]){ __VA_ARGS__ } / sizeof(uint64_t))

static void in_order_is_all_well(void **state)
{
    (void)state;
    NOTE(1, 0, 1, 2, 3);
    assert_int_equal(l.delivered, 4);
    assert_int_equal(l.duplicated + l.reordered, 0);
    assert_int_equal(ledger_lost(&l, 1, 4), 0);
}

static void what_is_missing_is_lost_in_the_middle_and_at_the_end(void **state)
{
    (void)state;
    NOTE(0, 0, 3, 4, 7);
    assert_int_equal(l.delivered, 4);
    assert_int_equal(l.reordered, 0); /* a gap is not yet disorder */
    assert_int_equal(ledger_lost(&l, 0, 10), 2 + 2 + 2);
    assert_int_equal(ledger_lost(&l, 1, 10), 10); /* another stream has had none */
}

static void what_comes_late_is_reordered_and_not_lost(void **state)
{
    (void)state;
    NOTE(2, 0, 5, 3, 1, 4);
    assert_int_equal(l.delivered, 5);
    assert_int_equal(l.reordered, 3);
    assert_int_equal(l.duplicated, 0);
    assert_int_equal(ledger_lost(&l, 2, 6), 1);
    NOTE(2, 2);
    assert_int_equal(l.reordered, 4);
    assert_int_equal(ledger_lost(&l, 2, 6), 0);
}

static void what_comes_again_is_a_duplicate_and_delivered_once(void **state)
{
    (void)state;
    NOTE(0, 0, 1, 1, 4, 2, 2, 0);
    assert_int_equal(l.delivered, 4);
    assert_int_equal(l.duplicated, 3);
    assert_int_equal(l.reordered, 1);
    assert_false(ledger_note(&l, 0, 4));
    assert_true(ledger_note(&l, 0, 3));
}

static void many_gaps_are_kept_apart(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200; i++)
        ledger_note(&l, i % 2, i / 2 * 2);
    assert_int_equal(ledger_lost(&l, 0, 200), 100);
    assert_int_equal(ledger_lost(&l, 1, 200), 100);
    for (uint64_t i = 0; i < 198; i += 2)
        ledger_note(&l, 0, i + 1);
    assert_int_equal(ledger_lost(&l, 0, 199), 0);
    assert_int_equal(ledger_lost(&l, 1, 199), 99);
    assert_int_equal(l.duplicated, 0);
    assert_int_equal(l.reordered, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_order_is_all_well, begin, end),
        cmocka_unit_test_setup_teardown(what_is_missing_is_lost_in_the_middle_and_at_the_end, begin, end),
        cmocka_unit_test_setup_teardown(what_comes_late_is_reordered_and_not_lost, begin, end),
        cmocka_unit_test_setup_teardown(what_comes_again_is_a_duplicate_and_delivered_once, begin, end),
        cmocka_unit_test_setup_teardown(many_gaps_are_kept_apart, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
