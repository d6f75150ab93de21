/* test_writer.c - the window on the output. */
#include "support.h"

#include "base/reader.h"
#include "base/writer.h"

static const uint8_t expected[] = { 0xAA, 0x01, 0x02, 0xDE, 0xAD, 0xBE, 0xEF, 0x80, 0x01,
                                    0x00, 0x05, 'h',  'e',  'l',  'l',  'o',  0x00, 0x00,
                                    'r',  'a',  'w',  0xFF, 0xFF, 0xFF, 0x7F, 0x55 };

static void write_all(struct midge_wr *w)
{
    midge_wr_u8(w, 0xAA);
    midge_wr_u16(w, 0x0102);
    midge_wr_u32(w, 0xDEADBEEF);
    midge_wr_varint(w, 128);
    midge_wr_string(w, midge_slice_str("hello"));
    midge_wr_string(w, (struct midge_slice){ 0 });
    midge_wr_bytes(w, (struct midge_slice){ 0 });
    midge_wr_bytes(w, midge_slice_str("raw"));
    midge_wr_varint(w, 268435455);
    midge_wr_u8(w, 0x55);
}

/* Each window that is possible gets its own part, and not a byte beside it is touched. */
static void every_window_gets_its_part(void **state)
{
    (void)state;
    for (uint32_t skip = 0; skip <= sizeof expected + 2; skip++) {
        for (uint32_t room = 0; room <= sizeof expected + 2; room++) {
            uint8_t out[64];
            struct midge_wr w;
            memset(out, 0xCC, sizeof out);
            midge_wr_init(&w, out + 8, room, skip);
            write_all(&w);
            uint32_t rest = skip < sizeof expected ? (uint32_t)sizeof expected - skip : 0;
            uint32_t n = rest < room ? rest : room;
            assert_int_equal(w.total, sizeof expected);
            assert_ptr_equal(w.out, out + 8 + n);
            assert_int_equal(w.room, room - n);
            assert_memory_equal(out + 8, expected + (n > 0 ? skip : 0), n);
            assert_int_equal(out[7], 0xCC);
            assert_int_equal(out[8 + n], 0xCC);
        }
    }
}

static void with_no_room_it_measures(void **state)
{
    (void)state;
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    write_all(&w);
    assert_int_equal(w.total, sizeof expected);
}

static void a_packet_written_piece_by_piece_is_the_packet(void **state)
{
    (void)state;
    for (uint32_t piece = 1; piece <= sizeof expected; piece++) {
        uint8_t out[sizeof expected];
        uint32_t done = 0;
        while (done < sizeof expected) {
            uint32_t room = sizeof expected - done < piece ? (uint32_t)sizeof expected - done : piece;
            struct midge_wr w;
            midge_wr_init(&w, out + done, room, done);
            write_all(&w);
            done = (uint32_t)(w.out - out);
        }
        assert_memory_equal(out, expected, sizeof expected);
    }
}

/* [MQTT-1.5.5-1] The reader takes the shortest form only, so what it reads back was written in it. */
static void variable_byte_integers_are_written_in_their_shortest_form(void **state)
{
    (void)state;
    static const uint32_t values[] = { 0,     1,       127,     128,      129,       16382,    16383,
                                       16384, 2097151, 2097152, 99999999, 268435454, 268435455 };
    for (size_t i = 0; i < COUNT(values); i++) {
        uint8_t out[8];
        struct midge_wr w;
        struct midge_rd r;
        midge_wr_init(&w, out, sizeof out, 0);
        midge_wr_varint(&w, values[i]);
        assert_int_equal(w.total, midge_varint_size(values[i]));
        midge_rd_init(&r, midge_slice_of(out, w.total));
        assert_int_equal(midge_rd_varint(&r), values[i]);
        assert_true(midge_rd_done(&r));
    }
    assert_int_equal(midge_varint_size(127), 1);
    assert_int_equal(midge_varint_size(128), 2);
    assert_int_equal(midge_varint_size(268435455), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_window_gets_its_part),
        cmocka_unit_test(with_no_room_it_measures),
        cmocka_unit_test(a_packet_written_piece_by_piece_is_the_packet),
        cmocka_unit_test(variable_byte_integers_are_written_in_their_shortest_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
