/* test_will.c - wills own their message. */
#include "support.h"

#include "state/will.h"

static struct midge_msg *make(struct heap *h)
{
    struct midge_msg_parts p = { .topic = midge_slice_str("gone"), .payload = midge_slice_str("bye") };
    return midge_msg_new(&h->mem, &p);
}

static void a_will_frees_its_message(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_will *w = midge_will_new(&h.mem, make(&h), 30);
    assert_int_equal(w->delay_s, 30);
    assert_slice(midge_msg_payload(w->msg), "bye");
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_SESSION], sizeof *w);
    midge_will_free(&h.mem, w);
    midge_will_free(&h.mem, NULL);
    heap_close(&h);
}

static void a_will_that_is_taken_hands_its_message_over(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg *m = midge_will_take(&h.mem, midge_will_new(&h.mem, make(&h), 0));
    assert_int_equal(h.blocks, 1);
    assert_int_equal(m->refs, 1);
    assert_slice(midge_msg_topic(m), "gone");
    midge_msg_drop(&h.mem, m);
    heap_close(&h);
}

static void without_memory_the_message_goes_too(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg *m = make(&h);
    h.countdown = 0;
    assert_null(midge_will_new(&h.mem, m, 0));
    heap_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_will_frees_its_message),
        cmocka_unit_test(a_will_that_is_taken_hands_its_message_over),
        cmocka_unit_test(without_memory_the_message_goes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
