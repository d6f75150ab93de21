/* test_msg.c - messages: one block, counted references, a lifetime. */
#include "support.h"

#include "state/msg.h"

_Static_assert(sizeof(void *) != 4 || sizeof(struct midge_msg) == 20, "the header's promise");

static struct midge_msg_parts parts(const char *topic, const char *props, const char *payload)
{
    return (struct midge_msg_parts){ .topic = midge_slice_str(topic),
                                     .props = midge_slice_str(props),
                                     .payload = midge_slice_str(payload) };
}

static void the_parts_are_copied_into_one_block(void **state)
{
    (void)state;
    struct heap h;
    char topic[] = "a/b", props[] = "pp", payload[] = "hello";
    heap_open(&h);
    for (int kind = 0; kind < 4; kind++) {
        bool with_expiry = kind & 1, retain = kind & 2;
        struct midge_msg_parts p = parts(topic, props, payload);
        p.qos = 2;
        p.retain = retain;
        p.origin = 77;
        p.has_expiry = with_expiry;
        struct midge_msg *m = midge_msg_new(&h.mem, &p);
        topic[0] = props[0] = payload[0] = 'X';
        assert_slice(midge_msg_topic(m), "a/b");
        assert_slice(midge_msg_props(m), "pp");
        assert_slice(midge_msg_payload(m), "hello");
        assert_int_equal(midge_msg_bytes(m), 10);
        assert_int_equal(m->qos, 2);
        assert_int_equal(m->retain, retain);
        assert_int_equal(midge_msg_origin(m), retain ? 77 : 0);
        assert_int_equal(h.blocks, 1);
        assert_int_equal(h.bytes, midge_msg_size(&p));
        assert_int_equal(h.bytes, sizeof *m + 10 + (with_expiry ? 4 : 0) + (retain ? 4 : 0));
        assert_int_equal(h.counts.by_tag[MIDGE_TAG_MSG], h.bytes);
        midge_msg_drop(&h.mem, m);
        topic[0] = 'a', props[0] = 'p', payload[0] = 'h';
    }
    heap_close(&h);
}

static void parts_may_be_empty(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg_parts p = { .topic = midge_slice_str("t") };
    struct midge_msg *m = midge_msg_new(&h.mem, &p);
    assert_slice(midge_msg_topic(m), "t");
    assert_int_equal(midge_msg_props(m).len, 0);
    assert_int_equal(midge_msg_payload(m).len, 0);
    midge_msg_drop(&h.mem, m);
    heap_close(&h);
}

static void space_for_properties_can_be_filled_later(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg_parts p = parts("topic", "", "payload");
    p.has_expiry = true;
    p.props.data = NULL;
    p.props.len = 3;
    struct midge_msg *m = midge_msg_new(&h.mem, &p);
    memcpy(midge_msg_props_space(m), "abc", 3);
    assert_slice(midge_msg_topic(m), "topic");
    assert_slice(midge_msg_props(m), "abc");
    assert_slice(midge_msg_payload(m), "payload");
    midge_msg_drop(&h.mem, m);
    heap_close(&h);
}

static void it_lives_as_long_as_somebody_holds_it(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg_parts p = parts("t", "", "x");
    struct midge_msg *m = midge_msg_new(&h.mem, &p);
    assert_ptr_equal(midge_msg_hold(m), m);
    midge_msg_drop(&h.mem, m);
    assert_int_equal(h.blocks, 1);
    assert_slice(midge_msg_payload(m), "x");
    midge_msg_drop(&h.mem, m);
    midge_msg_drop(&h.mem, NULL);
    heap_close(&h);
}

static void without_memory_there_is_no_message(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    h.countdown = 0;
    struct midge_msg_parts p = parts("t", "", "x");
    assert_null(midge_msg_new(&h.mem, &p));
    heap_close(&h);
}

/* [MQTT-3.3.2-5] [MQTT-3.3.2-6] */
static void the_lifetime_is_reduced_by_the_whole_seconds_waited(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg_parts p = parts("t", "", "x");
    p.has_expiry = true;
    p.expiry_s = 10;
    p.age_base = 5250;
    struct midge_msg *m = midge_msg_new(&h.mem, &p);
    static const struct {
        midge_ms age;
        uint32_t left_s;
    } cases[] = { { 5250, 10 }, { 6249, 10 }, { 6250, 9 }, { 15249, 1 }, { 5000, 10 } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t left_s = 0;
        assert_true(midge_msg_left(m, cases[i].age, &left_s));
        assert_int_equal(left_s, cases[i].left_s);
    }
    uint32_t left_s = 99;
    assert_false(midge_msg_left(m, 15250, &left_s));
    assert_int_equal(midge_msg_expires(m), 15250);
    midge_msg_drop(&h.mem, m);
    heap_close(&h);
}

static void without_an_expiry_it_lives_for_ever(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg_parts p = parts("t", "", "x");
    uint32_t left_s = 1234;
    struct midge_msg *m = midge_msg_new(&h.mem, &p);
    assert_true(midge_msg_left(m, MIDGE_NEVER, &left_s));
    assert_int_equal(left_s, 1234);
    assert_true(midge_msg_expires(m) == MIDGE_NEVER);
    midge_msg_drop(&h.mem, m);
    heap_close(&h);
}

static void the_edges_of_a_lifetime(void **state)
{
    (void)state;
    struct heap h;
    heap_open(&h);
    struct midge_msg_parts p = parts("t", "", "x");
    uint32_t left_s = 9;
    p.has_expiry = true;
    p.age_base = 4000000000999; /* 126 years */
    struct midge_msg *m = midge_msg_new(&h.mem, &p);
    assert_true(midge_msg_left(m, p.age_base, &left_s)); /* 0 s: who takes it at once still has it */
    assert_int_equal(left_s, 0);
    assert_false(midge_msg_left(m, p.age_base + 1, &left_s));
    midge_msg_drop(&h.mem, m);
    p.expiry_s = UINT32_MAX;
    m = midge_msg_new(&h.mem, &p);
    assert_true(midge_msg_expires(m) == p.age_base + (midge_ms)UINT32_MAX * 1000);
    assert_true(midge_msg_left(m, p.age_base, &left_s));
    assert_int_equal(left_s, UINT32_MAX);
    midge_msg_drop(&h.mem, m);
    heap_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_are_copied_into_one_block),
        cmocka_unit_test(parts_may_be_empty),
        cmocka_unit_test(space_for_properties_can_be_filled_later),
        cmocka_unit_test(it_lives_as_long_as_somebody_holds_it),
        cmocka_unit_test(without_memory_there_is_no_message),
        cmocka_unit_test(the_lifetime_is_reduced_by_the_whole_seconds_waited),
        cmocka_unit_test(without_an_expiry_it_lives_for_ever),
        cmocka_unit_test(the_edges_of_a_lifetime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
