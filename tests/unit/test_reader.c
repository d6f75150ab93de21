/* test_reader.c - the cursor over MQTT data types and its one sticky failure. */
#include "support.h"

#include "base/reader.h"

#define RD(r, ...)                                                                                           \
    static const uint8_t bytes_of_##r[] = { __VA_ARGS__ };                                                   \
    struct midge_rd r;                                                                                       \
    midge_rd_init(&r, midge_slice_of(bytes_of_##r, sizeof bytes_of_##r))

static void numbers_are_read_big_end_first(void **state)
{
    (void)state;
    RD(r, 0x01, 0x23, 0x45, 0x89, 0xAB, 0xCD, 0xEF);
    assert_int_equal(midge_rd_u8(&r), 0x01);
    assert_int_equal(midge_rd_u16(&r), 0x2345);
    assert_int_equal(midge_rd_u32(&r), 0x89ABCDEF);
    assert_true(midge_rd_done(&r));
}

static struct midge_slice read_bytes(struct midge_rd *r, uint32_t n)
{
    struct midge_slice s;
    midge_rd_bytes(r, n, &s);
    return s;
}

static struct midge_slice read_binary(struct midge_rd *r)
{
    struct midge_slice s;
    midge_rd_binary(r, &s);
    return s;
}

static struct midge_slice read_string(struct midge_rd *r)
{
    struct midge_slice s;
    midge_rd_string(r, &s);
    return s;
}

static struct midge_slice read_rest(struct midge_rd *r)
{
    struct midge_slice s;
    midge_rd_rest(r, &s);
    return s;
}

static void after_a_failure_everything_is_zero_and_nothing_moves(void **state)
{
    (void)state;
    RD(r, 0x01, 0x02, 0x03);
    assert_int_equal(midge_rd_u32(&r), 0);
    assert_false(midge_rd_ok(&r));
    assert_int_equal(midge_rd_left(&r), 0);
    const uint8_t *at = r.at;
    assert_int_equal(midge_rd_u8(&r), 0);
    assert_int_equal(midge_rd_u16(&r), 0);
    assert_int_equal(midge_rd_varint(&r), 0);
    assert_slice(read_binary(&r), "");
    assert_slice(read_string(&r), "");
    assert_slice(read_bytes(&r, 0), "");
    assert_slice(read_rest(&r), "");
    assert_ptr_equal(r.at, at);
    assert_false(midge_rd_done(&r));
}

static void each_type_fails_when_a_byte_is_missing(void **state)
{
    (void)state;
    RD(u8, 0);
    midge_rd_u8(&u8);
    assert_true(midge_rd_ok(&u8));
    midge_rd_u8(&u8);
    assert_false(midge_rd_ok(&u8));
    RD(u16, 0);
    midge_rd_u16(&u16);
    assert_false(midge_rd_ok(&u16));
    RD(binary, 0, 2, 'a');
    assert_null(read_binary(&binary).data);
    assert_false(midge_rd_ok(&binary));
    RD(varint, 0x80);
    midge_rd_varint(&varint);
    assert_false(midge_rd_ok(&varint));
}

static void variable_byte_integers_at_their_edges(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[4];
        uint32_t len, value;
    } cases[] = {
        { { 0x00 }, 1, 0 },
        { { 0x7F }, 1, 127 },
        { { 0x80, 0x01 }, 2, 128 },
        { { 0xFF, 0x7F }, 2, 16383 },
        { { 0x80, 0x80, 0x01 }, 3, 16384 },
        { { 0xFF, 0xFF, 0x7F }, 3, 2097151 },
        { { 0x80, 0x80, 0x80, 0x01 }, 4, 2097152 },
        { { 0xFF, 0xFF, 0xFF, 0x7F }, 4, 268435455 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct midge_rd r;
        midge_rd_init(&r, midge_slice_of(cases[i].bytes, cases[i].len));
        assert_int_equal(midge_rd_varint(&r), cases[i].value);
        assert_true(midge_rd_done(&r));
    }
}

/* [MQTT-1.5.5-1] */
static void a_variable_byte_integer_has_its_shortest_form_and_four_bytes(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[5];
        uint32_t len;
    } bad[] = {
        { { 0x80, 0x00 }, 2 },
        { { 0xFF, 0x00 }, 2 },
        { { 0x80, 0x80, 0x00 }, 3 },
        { { 0x80, 0x80, 0x80, 0x00 }, 4 },
        { { 0xFF, 0xFF, 0xFF, 0xFF }, 4 },
        { { 0x80, 0x80, 0x80, 0x80, 0x01 }, 5 },
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct midge_rd r;
        midge_rd_init(&r, midge_slice_of(bad[i].bytes, bad[i].len));
        assert_int_equal(midge_rd_varint(&r), 0);
        assert_false(midge_rd_ok(&r));
    }
}

static void binary_and_string_borrow_the_input(void **state)
{
    (void)state;
    RD(r, 0, 2, 'a', 'b', 0, 0, 0, 3, 0x00, 0xFF, 0x80, 'c', 'd');
    struct midge_slice s = read_string(&r);
    assert_slice(s, "ab");
    assert_ptr_equal(s.data, bytes_of_r + 2);
    s = read_string(&r);
    assert_int_equal(s.len, 0);
    assert_non_null(s.data);
    assert_int_equal(read_binary(&r).len, 3);
    assert_slice(read_bytes(&r, 1), "c");
    assert_slice(read_rest(&r), "d");
    assert_true(midge_rd_done(&r));
    assert_non_null(read_rest(&r).data);
}

/* [MQTT-1.5.4-1] [MQTT-1.5.4-2] */
static void a_string_is_utf8_without_zero(void **state)
{
    (void)state;
    RD(malformed, 0, 2, 'a', 0xFF, 'x');
    assert_null(read_string(&malformed).data);
    assert_false(midge_rd_ok(&malformed));
    assert_int_equal(midge_rd_u8(&malformed), 0);
    RD(zero, 0, 2, 'a', 0x00);
    read_string(&zero);
    assert_false(midge_rd_ok(&zero));
}

static void an_empty_input_is_done_at_once(void **state)
{
    (void)state;
    struct midge_rd r;
    midge_rd_init(&r, (struct midge_slice){ 0 });
    assert_true(midge_rd_done(&r));
    assert_non_null(read_bytes(&r, 0).data);
    midge_rd_u8(&r);
    assert_false(midge_rd_ok(&r));
}

static void a_length_of_four_gigabytes_is_no_wrap(void **state)
{
    (void)state;
    RD(r, 'a', 'b');
    midge_rd_u8(&r);
    assert_null(read_bytes(&r, UINT32_MAX).data);
    assert_false(midge_rd_ok(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_big_end_first),
        cmocka_unit_test(after_a_failure_everything_is_zero_and_nothing_moves),
        cmocka_unit_test(each_type_fails_when_a_byte_is_missing),
        cmocka_unit_test(variable_byte_integers_at_their_edges),
        cmocka_unit_test(a_variable_byte_integer_has_its_shortest_form_and_four_bytes),
        cmocka_unit_test(binary_and_string_borrow_the_input),
        cmocka_unit_test(a_string_is_utf8_without_zero),
        cmocka_unit_test(an_empty_input_is_done_at_once),
        cmocka_unit_test(a_length_of_four_gigabytes_is_no_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
