/* test_alias.c - topic aliases, both directions, against the plain rules. */
#include "support.h"

#include "state/alias.h"

static struct midge_slice topic(uint32_t n, char out[4])
{
    out[0] = 't';
    out[1] = (char)('a' + n % 26);
    out[2] = (char)('a' + n / 26 % 26);
    out[3] = 0;
    return midge_slice_of(out, 3);
}

static void an_alias_means_what_it_was_last_set_to(void **state)
{
    (void)state;
    enum { MAX = 40 };
    struct heap h;
    struct midge_alias *a = NULL;
    uint32_t model[MAX + 1] = { 0 };
    uint32_t seed = 6;
    char text[4];
    heap_open(&h);
    for (int step = 0; step < 20000; step++) {
        uint16_t alias = (uint16_t)(1 + roll(&seed, MAX));
        if (roll(&seed, 3) == 0) {
            uint32_t n = 1 + roll(&seed, 100);
            h.countdown = roll(&seed, 3) == 0 ? (int)roll(&seed, 2) : -1;
            if (midge_alias_set(&h.mem, &a, alias, topic(n, text)) == MIDGE_OK)
                model[alias] = n;
            h.countdown = -1;
        }
        struct midge_slice got = midge_alias_get(&a, alias);
        if (model[alias] == 0)
            assert_null(got.data);
        else
            assert_true(midge_slice_equal(got, topic(model[alias], text)));
    }
    assert_null(midge_alias_get(&a, MAX + 1).data);
    assert_null(midge_alias_get(&a, 0).data);
    midge_alias_free(&h.mem, &a);
    midge_alias_free(&h.mem, &a);
    heap_close(&h);
}

static void the_highest_alias_of_all_can_be_set(void **state)
{
    (void)state;
    struct heap h;
    struct midge_alias *a = NULL;
    heap_open(&h);
    assert_int_equal(midge_alias_set(&h.mem, &a, 2, midge_slice_str("two")), MIDGE_OK);
    assert_int_equal(midge_alias_set(&h.mem, &a, 3, midge_slice_str("three")), MIDGE_OK);
    assert_slice(midge_alias_get(&a, 2), "two");
    assert_slice(midge_alias_get(&a, 3), "three");
    midge_alias_free(&h.mem, &a);
    assert_int_equal(midge_alias_set(&h.mem, &a, 65535, midge_slice_str("last")), MIDGE_OK);
    assert_slice(midge_alias_get(&a, 65535), "last");
    midge_alias_free(&h.mem, &a);
    heap_close(&h);
}

/* The model: an array in the order of last use. */
static void the_alias_used_longest_ago_gives_way(void **state)
{
    (void)state;
    enum { MAX = 5 };
    struct heap h;
    struct midge_alias *a = NULL;
    struct {
        uint32_t n;
        uint16_t alias;
    } model[MAX + 1];
    uint32_t count = 0;
    uint32_t seed = 8;
    char text[4];
    heap_open(&h);
    for (int step = 0; step < 20000; step++) {
        uint32_t n = roll(&seed, 9);
        uint32_t at = 0;
        while (at < count && model[at].n != n)
            at++;
        bool known = at < count;
        bool no_memory = roll(&seed, 5) == 0;
        bool is_new = !known;
        h.countdown = no_memory ? 0 : -1;
        uint16_t alias = midge_alias_use(&h.mem, &a, MAX, topic(n, text), &is_new);
        h.countdown = -1;
        if (!known && no_memory) {
            assert_int_equal(alias, 0);
            continue;
        }
        assert_int_equal(is_new, !known);
        if (known)
            assert_int_equal(alias, model[at].alias);
        else
            assert_int_equal(alias, count < MAX ? count + 1 : model[MAX - 1].alias);
        if (!known && count < MAX)
            count++;
        if (!known)
            at = count - 1;
        memmove(&model[1], &model[0], at * sizeof model[0]);
        model[0].n = n;
        model[0].alias = alias;
    }
    midge_alias_free(&h.mem, &a);
    midge_alias_free(&h.mem, &a);
    heap_close(&h);
}

static void where_none_are_allowed_none_is_given(void **state)
{
    (void)state;
    struct heap h;
    struct midge_alias *a = NULL;
    bool is_new = true;
    heap_open(&h);
    assert_int_equal(midge_alias_use(&h.mem, &a, 0, midge_slice_str("t"), &is_new), 0);
    assert_false(is_new);
    assert_null(a);
    heap_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alias_means_what_it_was_last_set_to),
        cmocka_unit_test(the_highest_alias_of_all_can_be_set),
        cmocka_unit_test(the_alias_used_longest_ago_gives_way),
        cmocka_unit_test(where_none_are_allowed_none_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
