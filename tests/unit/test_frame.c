/* test_frame.c - fixed headers, cut anywhere, and every form of Remaining Length. */
#include "codec/frame.h"
#include "wire.h"

static enum midge_reason feed_all(struct midge_head *h, struct midge_slice in, uint32_t *taken)
{
    enum midge_reason rc;
    *h = (struct midge_head){ 0 };
    *taken = midge_head_feed(h, in, &rc);
    return rc;
}

struct good {
    struct midge_slice bytes;
    uint32_t remaining;
};

SPEC("MQTT-1.5.5-1")
static void lengths_of_one_to_four_bytes(void **state)
{
    (void)state;
    const struct good rows[] = {
        { BYTES(0x30, 0x00), 0 },
        { BYTES(0x30, 0x01), 1 },
        { BYTES(0x30, 0x7F), 127 },
        { BYTES(0x30, 0x80, 0x01), 128 },
        { BYTES(0x30, 0xFF, 0x7F), 16383 },
        { BYTES(0x30, 0x80, 0x80, 0x01), 16384 },
        { BYTES(0x30, 0xFF, 0xFF, 0x7F), 2097151 },
        { BYTES(0x30, 0x80, 0x80, 0x80, 0x01), 2097152 },
        { BYTES(0x30, 0xFF, 0xFF, 0xFF, 0x7F), 268435455 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_head h;
        uint32_t taken;
        assert_int_equal(feed_all(&h, rows[i].bytes, &taken), MIDGE_RC_SUCCESS);
        assert_int_equal(taken, rows[i].bytes.len);
        assert_true(h.complete);
        assert_int_equal(h.got, rows[i].bytes.len);
        assert_int_equal(h.remaining, rows[i].remaining);
        assert_int_equal(midge_head_packet_bytes(&h), rows[i].bytes.len + rows[i].remaining);
        assert_int_equal(midge_head_type(&h), PK_PUBLISH);
    }
}

static void a_header_may_arrive_byte_by_byte(void **state)
{
    (void)state;
    struct midge_slice bytes = BYTES(0x8A, 0xFF, 0xFF, 0xFF, 0x7F);
    struct midge_head h = { 0 };
    for (uint32_t i = 0; i < bytes.len; i++) {
        enum midge_reason rc;
        assert_false(h.complete);
        assert_int_equal(midge_head_feed(&h, midge_slice_of(bytes.data + i, 1), &rc), 1);
        assert_int_equal(rc, MIDGE_RC_SUCCESS);
        assert_int_equal(h.got, i + 1);
    }
    assert_true(h.complete);
    assert_int_equal(h.first, 0x8A);
    assert_int_equal(h.remaining, 268435455);
}

static void feeding_stops_at_the_header_s_end(void **state)
{
    (void)state;
    struct midge_head h;
    uint32_t taken;
    assert_int_equal(feed_all(&h, BYTES(0xC0, 0x00, 0xC0, 0x00), &taken), MIDGE_RC_SUCCESS);
    assert_int_equal(taken, 2);

    enum midge_reason rc;
    assert_int_equal(midge_head_feed(&h, BYTES(0x80), &rc), 0);
    assert_int_equal(rc, MIDGE_RC_SUCCESS);
    assert_int_equal(h.first, 0xC0);
}

static void nothing_to_feed_is_nothing_taken(void **state)
{
    (void)state;
    struct midge_head h = { 0 };
    enum midge_reason rc;
    assert_int_equal(midge_head_feed(&h, (struct midge_slice){ 0 }, &rc), 0);
    assert_int_equal(rc, MIDGE_RC_SUCCESS);
    assert_int_equal(h.got, 0);
}

SPEC("MQTT-1.5.5-1", "U5-1.5.5-long")
static void over_long_lengths_are_malformed(void **state)
{
    (void)state;
    const struct good rows[] = {
        { BYTES(0x30, 0x80, 0x00), 0 },             /* 0 in two bytes */
        { BYTES(0x30, 0xFF, 0x00), 0 },             /* 127 in two */
        { BYTES(0x30, 0x80, 0x80, 0x00), 0 },       /* 0 in three */
        { BYTES(0x30, 0xFF, 0xFF, 0x00), 0 },       /* 16383 in three */
        { BYTES(0x30, 0xFF, 0xFF, 0xFF, 0x00), 0 }, /* 2097151 in four */
        { BYTES(0x30, 0x80, 0x80, 0x80, 0x80), 0 }, /* a fifth byte would follow */
        { BYTES(0x30, 0xFF, 0xFF, 0xFF, 0xFF), 0 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct midge_head h;
        uint32_t taken;
        assert_int_equal(feed_all(&h, rows[i].bytes, &taken), MIDGE_RC_MALFORMED);
        assert_false(h.complete);
        assert_true(taken <= rows[i].bytes.len);
    }
}

static void three_bytes(struct midge_wr *w, const void *from)
{
    (void)from;
    midge_wr_bytes(w, TEXT("abc"));
}

static void sized_three_bytes(struct midge_wr *w, const void *from)
{
    midge_write_sized(w, three_bytes, from);
}

static void a_part_is_written_behind_its_length(void **state)
{
    (void)state;
    struct midge_slice got = wire_encode(sized_three_bytes, NULL);
    assert_slice(got, TEXT("\003abc"));
    wire_free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_of_one_to_four_bytes),
        cmocka_unit_test(a_header_may_arrive_byte_by_byte),
        cmocka_unit_test(feeding_stops_at_the_header_s_end),
        cmocka_unit_test(nothing_to_feed_is_nothing_taken),
        cmocka_unit_test(over_long_lengths_are_malformed),
        cmocka_unit_test(a_part_is_written_behind_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
