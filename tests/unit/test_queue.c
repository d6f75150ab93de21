/* test_queue.c - entries and the queues they stand in. */
#include "support.h"

#include "state/queue.h"

_Static_assert(sizeof(void *) != 4 || sizeof(struct midge_entry) == 16, "the header's promise");

static struct midge_msg *make(struct heap *h)
{
    struct midge_msg_parts p = { .topic = midge_slice_str("t"), .payload = midge_slice_str("x") };
    return midge_msg_new(&h->mem, &p);
}

static void an_entry_holds_its_message(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg *m = make(&h);
    struct midge_entry *e = midge_entry_new(&h.mem, NULL, m, NULL, 0);
    assert_int_equal(m->refs, 2);
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_QUEUE], midge_entry_size(0));
    assert_int_equal(e->pid, 0);
    assert_int_equal(e->qos, 0);
    assert_false(e->retain || e->sent || e->released || e->shared);
    midge_msg_drop(&h.mem, m);
    assert_slice(midge_msg_payload(e->msg), "x");
    midge_entry_free(&h.mem, e);
    heap_close(&h);
}

static void an_entry_carries_the_ids_of_its_subscriptions(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg *m = make(&h);
    const uint32_t ids[] = { 7, 268435455 };
    struct midge_entry *e = midge_entry_new(&h.mem, NULL, m, ids, 2);
    for (uint32_t id = 100; e->id_count < UINT8_MAX; id++) {
        struct midge_entry *grown = midge_entry_add_id(&h.mem, e, id);
        assert_non_null(grown);
        e = grown;
    }
    assert_null(midge_entry_add_id(&h.mem, e, 1));
    assert_int_equal(e->ids[0], 7);
    assert_int_equal(e->ids[1], 268435455);
    assert_int_equal(e->ids[2], 100);
    assert_int_equal(e->ids[254], 352);
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_QUEUE], sizeof *e + 255 * 4);
    midge_msg_drop(&h.mem, m);
    midge_entry_free(&h.mem, e);
    heap_close(&h);
}

static void without_memory_nothing_is_held(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg *m = make(&h);
    struct midge_entry *e = midge_entry_new(&h.mem, NULL, m, NULL, 0);
    h.countdown = 0;
    assert_null(midge_entry_new(&h.mem, NULL, m, NULL, 0));
    assert_int_equal(m->refs, 2);
    assert_null(midge_entry_add_id(&h.mem, e, 5));
    assert_int_equal(e->id_count, 0);
    midge_msg_drop(&h.mem, m);
    midge_entry_free(&h.mem, e);
    heap_close(&h);
}

/* Every kind of step on a queue of up to eight, against an array. */
static void a_queue_is_the_array_it_should_be(void **state)
{
    (void)state;
    enum { N = 8 };
    struct midge_entry entries[N] = { 0 };
    struct midge_entry *model[N];
    size_t n = 0;
    uint32_t seed = 3;
    struct midge_queue q = { 0 };
    for (int step = 0; step < 100000; step++) {
        struct midge_entry *free_one = NULL;
        for (size_t i = 0; i < N && !free_one; i++) {
            size_t at = 0;
            while (at < n && model[at] != &entries[i])
                at++;
            free_one = at == n ? &entries[i] : NULL;
        }
        uint32_t what = roll(&seed, 4);
        if (what == 0 && free_one) {
            midge_queue_push(&q, free_one);
            model[n++] = free_one;
        } else if (what == 1 && free_one) {
            midge_queue_push_front(&q, free_one);
            memmove(&model[1], &model[0], n++ * sizeof model[0]);
            model[0] = free_one;
        } else if (what == 2) {
            assert_ptr_equal(midge_queue_pop(&q), n > 0 ? model[0] : NULL);
            if (n > 0)
                memmove(&model[0], &model[1], --n * sizeof model[0]);
        } else if (n > 0) {
            size_t at = roll(&seed, (uint32_t)n);
            midge_queue_take(&q, at > 0 ? model[at - 1] : NULL, model[at]);
            memmove(&model[at], &model[at + 1], (--n - at) * sizeof model[0]);
        }
        struct midge_entry *e = q.head;
        for (size_t i = 0; i < n; i++, e = e->next)
            assert_ptr_equal(e, model[i]);
        assert_null(e);
        if (n > 0)
            assert_ptr_equal(q.last, model[n - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_holds_its_message),
        cmocka_unit_test(an_entry_carries_the_ids_of_its_subscriptions),
        cmocka_unit_test(without_memory_nothing_is_held),
        cmocka_unit_test(a_queue_is_the_array_it_should_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
