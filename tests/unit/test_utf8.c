/* test_utf8.c - UTF-8, against a decoder that is written the long way. */
#include "support.h"

#include "base/utf8.h"

/* Decodes one character to its number and asks whether that number would be encoded so. 0 = malformed. */
static size_t naive_character(const uint8_t *p, size_t left, uint32_t *code)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    static const uint32_t first[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (len == 0 || len > left)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    *code = c;
    return c >= first[len] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF) ? len : 0;
}

static bool naive(const uint8_t *p, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint32_t code = 0;
        size_t n = naive_character(p + at, len - at, &code);
        if (n == 0 || code == 0)
            return false;
        at += n;
    }
    return true;
}

static void compare(const uint8_t *p, size_t len)
{
    struct midge_slice s = midge_slice_of(p, len);
    if (midge_utf8_valid(s) != naive(p, len))
        fail_msg("%zu bytes from %02x %02x %02x %02x", len, p[0], p[1], p[2], p[3]);
}

static void every_sequence_of_one_and_two_bytes(void **state)
{
    (void)state;
    for (uint32_t v = 0; v <= 0xFFFF; v++) {
        uint8_t p[4] = { (uint8_t)(v >> 8), (uint8_t)v };
        compare(p, 1);
        compare(p, 2);
    }
}

static void every_sequence_of_three_bytes_that_a_lead_can_begin(void **state)
{
    (void)state;
    for (uint32_t v = 0xE00000; v <= 0xF0FFFF; v++) {
        uint8_t p[4] = { (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
        compare(p, 3);
    }
}

/* The bytes at which a rule changes, in all places. */
static void sequences_of_four_bytes_at_every_edge(void **state)
{
    (void)state;
    static const uint8_t edge[] = { 0x00, 0x01, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0,
                                    0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                    0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF };
    enum { N = COUNT(edge) };
    for (uint32_t v = 0; v < N * N * N * N; v++) {
        uint8_t p[4] = { edge[v % N], edge[v / N % N], edge[v / N / N % N], edge[v / N / N / N] };
        compare(p, 4);
    }
}

/* A bad byte, a zero or a character in each place of texts of all lengths, so at each place in a word. */
static void put_everywhere(uint8_t fill, const char *thing, size_t thing_len)
{
    uint8_t text[64];
    for (size_t len = 0; len < 40; len++) {
        for (size_t at = 0; at <= len; at++) {
            memset(text, fill, sizeof text);
            memcpy(text + at, thing, thing_len);
            compare(text, len);
        }
    }
}

static void whatever_stands_anywhere_in_a_text(void **state)
{
    (void)state;
    static const uint8_t fills[] = { 'a', ' ', 0x01, 0x7F };
    static const char *const things[] = {
        "\xFF", "\x80",         "\xC3\xA9",     "\xE2\x82\xAC", "\xF0\x9F\x9A\x80",
        "\xC3", "\xED\xA0\x80", "\xEF\xBB\xBF", "\xE2\x82",
    };
    for (size_t f = 0; f < COUNT(fills); f++) {
        put_everywhere(fills[f], "", 1); /* a zero */
        for (size_t i = 0; i < COUNT(things); i++)
            put_everywhere(fills[f], things[i], strlen(things[i]));
    }
}

static void random_texts(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 'a', 'z', 0x7F, 0x80, 0xBF, 0xC2, 0xE1, 0xF1, 0x9F, 0x00 };
    uint32_t seed = 5;
    for (int step = 0; step < 200000; step++) {
        uint8_t text[24] = { 0 };
        size_t len = roll(&seed, sizeof text);
        for (size_t i = 0; i < len; i++)
            text[i] = roll(&seed, 3) == 0 ? bytes[roll(&seed, COUNT(bytes))] : 'x';
        compare(text, len);
    }
}

static void nothing_at_all_is_a_text(void **state)
{
    (void)state;
    assert_true(midge_utf8_valid((struct midge_slice){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_of_one_and_two_bytes),
        cmocka_unit_test(every_sequence_of_three_bytes_that_a_lead_can_begin),
        cmocka_unit_test(sequences_of_four_bytes_at_every_edge),
        cmocka_unit_test(whatever_stands_anywhere_in_a_text),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(nothing_at_all_is_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
