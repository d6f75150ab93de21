/* test_list.c - the intrusive list and the queue made of it. */
#include "support.h"

#include "base/list.h"

struct item {
    int number;
    struct midge_link link;
};

static int number_of(const struct midge_link *l)
{
    return MIDGE_CONTAINER(struct item, link, l)->number;
}

static void assert_order(const struct midge_link *head, const int *want, size_t n)
{
    for (size_t i = 0; i < n; i++, head = head->next) {
        assert_non_null(head);
        assert_int_equal(number_of(head), want[i]);
        assert_ptr_equal(*head->pprev, head);
    }
    assert_null(head);
}

static void items_are_inserted_anywhere_and_removed_from_anywhere(void **state)
{
    (void)state;
    struct midge_link *head = NULL;
    struct item a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 };
    midge_link_insert(&head, &a.link);
    midge_link_insert(&a.link.next, &c.link);
    midge_link_insert(&a.link.next, &b.link);
    assert_order(head, (int[]){ 1, 2, 3 }, 3);
    midge_link_remove(&b.link);
    assert_order(head, (int[]){ 1, 3 }, 2);
    midge_link_remove(&a.link);
    assert_order(head, (int[]){ 3 }, 1);
    midge_link_remove(&c.link);
    assert_null(head);
}

static void removing_what_is_in_no_list_does_nothing(void **state)
{
    (void)state;
    struct midge_link *head = NULL;
    struct item a = { .number = 1 }, b = { .number = 2 };
    midge_link_insert(&head, &a.link);
    midge_link_remove(&b.link);
    midge_link_insert(&a.link.next, &b.link);
    midge_link_remove(&b.link);
    midge_link_remove(&b.link);
    assert_order(head, (int[]){ 1 }, 1);
}

/* Random pushes and removals against an array. */
static void a_queue_keeps_the_order_of_arrival(void **state)
{
    (void)state;
    enum { ITEMS = 16 };
    struct item items[ITEMS] = { 0 };
    int model[ITEMS];
    size_t n = 0;
    uint32_t seed = 1;
    struct midge_fifo f;
    midge_fifo_init(&f);
    for (int i = 0; i < ITEMS; i++)
        items[i].number = i;
    for (int step = 0; step < 20000; step++) {
        struct item *item = &items[roll(&seed, ITEMS)];
        size_t at = 0;
        while (at < n && model[at] != item->number)
            at++;
        if (at == n) {
            midge_fifo_push(&f, &item->link);
            model[n++] = item->number;
        } else {
            midge_fifo_remove(&f, &item->link);
            memmove(&model[at], &model[at + 1], (n - at - 1) * sizeof model[0]);
            n--;
        }
        assert_order(f.head, model, n);
        assert_ptr_equal(*f.tail, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_inserted_anywhere_and_removed_from_anywhere),
        cmocka_unit_test(removing_what_is_in_no_list_does_nothing),
        cmocka_unit_test(a_queue_keeps_the_order_of_arrival),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
