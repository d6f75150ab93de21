/* test_timer.c - deadlines, against an array that is searched. */
#include "support.h"

#include "base/timer.h"

#define TIMERS 100

static struct midge_timer timers[TIMERS];

static bool armed(const struct midge_timer *timer)
{
    return timer->pprev != NULL;
}

static void assert_first_is_earliest(const struct midge_timers *t)
{
    const struct midge_timer *earliest = NULL;
    for (size_t i = 0; i < TIMERS; i++)
        if (armed(&timers[i]) && (!earliest || midge_before(timers[i].due, earliest->due)))
            earliest = &timers[i];
    const struct midge_timer *first = midge_timer_first(t);
    assert_int_equal(first != NULL, earliest != NULL);
    if (first)
        assert_int_equal(first->due, earliest->due);
}

/* Random arming, moving, cancelling on a clock that runs through 2^32. */
static void the_first_is_always_the_earliest(void **state)
{
    (void)state;
    uint32_t seed = 7;
    uint32_t now = 0xFFFF0000;
    struct midge_timers t = { 0 };
    memset(timers, 0, sizeof timers);
    for (int step = 0; step < 100000; step++) {
        struct midge_timer *timer = &timers[roll(&seed, TIMERS)];
        if (roll(&seed, 3) == 0)
            midge_timer_cancel(&t, timer);
        else
            midge_timer_set(&t, timer, now + roll(&seed, roll(&seed, 2) ? 20 : MIDGE_TIMER_MAX));
        assert_first_is_earliest(&t);
        now += roll(&seed, 5);
        for (struct midge_timer *due; (due = midge_timer_first(&t)) && midge_before(due->due, now);)
            midge_timer_cancel(&t, due);
    }
}

static void timers_come_out_in_order(void **state)
{
    (void)state;
    uint32_t seed = 3;
    uint32_t last = 0;
    struct midge_timers t = { 0 };
    memset(timers, 0, sizeof timers);
    for (size_t i = 0; i < TIMERS; i++)
        midge_timer_set(&t, &timers[i], roll(&seed, 1000));
    for (size_t i = 0; i < TIMERS; i++) {
        struct midge_timer *first = midge_timer_first(&t);
        assert_non_null(first);
        assert_true(first->due >= last);
        last = first->due;
        midge_timer_cancel(&t, first);
        assert_false(armed(first));
    }
    assert_null(midge_timer_first(&t));
}

static void cancelling_what_is_not_armed_does_nothing(void **state)
{
    (void)state;
    struct midge_timers t = { 0 };
    struct midge_timer a = { 0 }, b = { 0 };
    midge_timer_cancel(&t, &a);
    midge_timer_set(&t, &b, 5);
    midge_timer_cancel(&t, &a);
    assert_ptr_equal(midge_timer_first(&t), &b);
    midge_timer_cancel(&t, &b);
    midge_timer_cancel(&t, &b);
    assert_null(midge_timer_first(&t));
}

/* A million of them would overrun a stack that grew with their number. */
static void a_long_row_of_timers_is_no_deep_recursion(void **state)
{
    (void)state;
    const uint32_t n = 1000000;
    struct midge_timer *many = calloc(n, sizeof *many);
    struct midge_timers t = { 0 };
    assert_non_null(many);
    for (uint32_t i = 0; i < n; i++)
        midge_timer_set(&t, &many[i], i);
    for (uint32_t i = 0; i < n; i++) {
        assert_ptr_equal(midge_timer_first(&t), &many[i]);
        midge_timer_cancel(&t, &many[i]);
    }
    for (uint32_t i = n; i-- > 0;)
        midge_timer_set(&t, &many[i], i);
    for (uint32_t i = 0; i < n; i++)
        midge_timer_cancel(&t, midge_timer_first(&t));
    assert_null(midge_timer_first(&t));
    free(many);
}

static void before_holds_across_the_wrap(void **state)
{
    (void)state;
    assert_true(midge_before(1, 2));
    assert_false(midge_before(2, 2));
    assert_true(midge_before(0xFFFFFFF0, 5));
    assert_false(midge_before(5, 0xFFFFFFF0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_earliest),
        cmocka_unit_test(timers_come_out_in_order),
        cmocka_unit_test(cancelling_what_is_not_armed_does_nothing),
        cmocka_unit_test(a_long_row_of_timers_is_no_deep_recursion),
        cmocka_unit_test(before_holds_across_the_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
