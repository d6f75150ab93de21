/* test_inflight.c - packet ids given, and packet ids received. */
#include "support.h"

#include "state/inflight.h"

/* [MQTT-2.2.1-3] [MQTT-2.2.1-4] */
static void ids_go_round_without_zero_and_never_meet_the_oldest(void **state)
{
    (void)state;
    struct midge_queue q = { 0 };
    assert_int_equal(midge_pid_next(0, &q), 1);
    assert_int_equal(midge_pid_next(1, &q), 2);
    assert_int_equal(midge_pid_next(65534, &q), 65535);
    assert_int_equal(midge_pid_next(65535, &q), 1);
    struct midge_entry oldest = { .pid = 5 }, newest = { .pid = 4 };
    midge_queue_push(&q, &oldest);
    midge_queue_push(&q, &newest);
    assert_int_equal(midge_pid_next(3, &q), 4);
    assert_int_equal(midge_pid_next(4, &q), 0);
    midge_queue_pop(&q);
    assert_int_equal(midge_pid_next(4, &q), 5);
}

static void an_entry_is_found_by_its_id_with_the_one_before(void **state)
{
    (void)state;
    struct midge_queue q = { 0 };
    struct midge_entry e[3] = { { .pid = 10 }, { .pid = 12 }, { .pid = 11 } };
    struct midge_entry *before;
    assert_null(midge_inflight_find(&q, 10, &before));
    for (size_t i = 0; i < COUNT(e); i++)
        midge_queue_push(&q, &e[i]);
    assert_ptr_equal(midge_inflight_find(&q, 10, &before), &e[0]);
    assert_null(before);
    assert_ptr_equal(midge_inflight_find(&q, 11, &before), &e[2]);
    assert_ptr_equal(before, &e[1]);
    assert_null(midge_inflight_find(&q, 13, &before));
}

/* Random changes against an array of flags. */
static void a_set_of_ids_is_the_set_it_should_be(void **state)
{
    (void)state;
    static bool model[65536];
    struct heap h;
    struct midge_ids *ids = NULL;
    uint32_t n = 0;
    uint32_t seed = 23;
    heap_open(&h);
    for (int step = 0; step < 200000; step++) {
        uint16_t pid = (uint16_t)(roll(&seed, 2) ? roll(&seed, 300) : dice(&seed));
        if (roll(&seed, 9) < 5) {
            assert_int_equal(midge_ids_add(&h.mem, &ids, pid), MIDGE_OK);
            n += !model[pid];
            model[pid] = true;
        } else {
            assert_int_equal(midge_ids_remove(&h.mem, &ids, pid), model[pid]);
            n -= model[pid];
            model[pid] = false;
        }
        uint16_t other = (uint16_t)roll(&seed, 400);
        assert_int_equal(midge_ids_has(ids, other), model[other]);
        assert_int_equal(midge_ids_count(ids), n);
    }
    for (uint32_t pid = 0; pid <= UINT16_MAX; pid++)
        assert_int_equal(midge_ids_remove(&h.mem, &ids, (uint16_t)pid), model[pid]);
    assert_null(ids);
    heap_close(&h);
}

static void a_set_can_hold_every_id(void **state)
{
    (void)state;
    struct heap h;
    struct midge_ids *ids = NULL;
    heap_open(&h);
    for (uint32_t pid = 1; pid <= UINT16_MAX; pid++)
        assert_int_equal(midge_ids_add(&h.mem, &ids, (uint16_t)pid), MIDGE_OK);
    assert_int_equal(midge_ids_count(ids), UINT16_MAX);
    assert_int_equal(midge_ids_add(&h.mem, &ids, 1), MIDGE_OK);
    midge_ids_clear(&h.mem, &ids);
    assert_int_equal(midge_ids_count(ids), 0);
    midge_ids_clear(&h.mem, &ids);
    heap_close(&h);
}

static void without_memory_the_set_stays(void **state)
{
    (void)state;
    struct heap h;
    struct midge_ids *ids = NULL;
    heap_open(&h);
    h.countdown = 0;
    assert_int_equal(midge_ids_add(&h.mem, &ids, 1), MIDGE_ERR_NO_MEMORY);
    assert_null(ids);
    h.countdown = 1;
    uint16_t pid = 1;
    while (midge_ids_add(&h.mem, &ids, pid) == MIDGE_OK)
        pid++;
    assert_true(pid > 1);
    assert_false(midge_ids_has(ids, pid));
    assert_int_equal(midge_ids_count(ids), pid - 1);
    midge_ids_clear(&h.mem, &ids);
    heap_close(&h);
}

static void one_id_costs_eight_bytes(void **state)
{
    (void)state;
    struct heap h;
    struct midge_ids *ids = NULL;
    heap_open(&h);
    assert_int_equal(midge_ids_add(&h.mem, &ids, 1), MIDGE_OK);
    assert_int_equal(h.counts.by_tag[MIDGE_TAG_SESSION], 8);
    assert_true(midge_ids_remove(&h.mem, &ids, 1));
    heap_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_go_round_without_zero_and_never_meet_the_oldest),
        cmocka_unit_test(an_entry_is_found_by_its_id_with_the_one_before),
        cmocka_unit_test(a_set_of_ids_is_the_set_it_should_be),
        cmocka_unit_test(a_set_can_hold_every_id),
        cmocka_unit_test(without_memory_the_set_stays),
        cmocka_unit_test(one_id_costs_eight_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
