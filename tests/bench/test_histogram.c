/* test_histogram.c - the load generator's counts of latencies: quantiles, and how far a bucket may be off. */
#include "bench/midge-bench/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct histogram h;

static int empty(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    return 0;
}

static void nothing_counted_has_no_quantile(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_int_equal(histogram_quantile(&h, 1.0), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (unsigned value = 1; value <= 100; value++)
        histogram_add(&h, value);
    assert_int_equal(histogram_quantile(&h, 0.0), 1);
    assert_int_equal(histogram_quantile(&h, 0.01), 1);
    assert_int_equal(histogram_quantile(&h, 0.5), 50);
    assert_int_equal(histogram_quantile(&h, 0.99), 99);
    assert_int_equal(histogram_quantile(&h, 1.0), 100);
    assert_int_equal(h.count, 100);
}

static void one_in_a_thousand_decides_only_what_lies_above(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 999; i++)
        histogram_add(&h, 10);
    histogram_add(&h, 1000000);
    assert_int_equal(histogram_quantile(&h, 0.999), 10);
    assert_int_equal(histogram_quantile(&h, 0.9991), 1000000);
}

static void no_value_is_told_smaller_or_more_than_one_part_in_128_greater(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++) {
        const uint64_t around[] = { (UINT64_C(1) << shift) - 1, UINT64_C(1) << shift, (UINT64_C(1) << shift) + 1,
                                    (UINT64_C(1) << shift) + (UINT64_C(1) << shift) / 3 };
        for (unsigned i = 0; i < 4; i++) {
            memset(&h, 0, sizeof h);
            histogram_add(&h, around[i]);
            histogram_add(&h, UINT64_MAX); /* so that the greatest value does not hide the bucket's end */
            const uint64_t told = histogram_quantile(&h, 0.5);
            assert_true(told >= around[i]);
            assert_true(told - around[i] <= around[i] / 128);
        }
    }
}

static void the_greatest_is_exact(void **state)
{
    (void)state;
    histogram_add(&h, 123456789);
    histogram_add(&h, 5);
    assert_int_equal(histogram_quantile(&h, 1.0), 123456789);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_counted_has_no_quantile, empty),
        cmocka_unit_test_setup(small_values_are_exact, empty),
        cmocka_unit_test_setup(one_in_a_thousand_decides_only_what_lies_above, empty),
        cmocka_unit_test_setup(no_value_is_told_smaller_or_more_than_one_part_in_128_greater, empty),
        cmocka_unit_test_setup(the_greatest_is_exact, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
