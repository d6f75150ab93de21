/* test_proxy.c - the PROXY header: both versions, cut anywhere, and what is no header. */
#include "chain.h"

#include "net/proxy.h"

static struct heap heap;

static void open_proxy(struct end *e)
{
    heap_open(&heap);
    end_open(e);
    assert_true(midge_chain_push(&e->chain, midge_proxy_new(&heap.memory)));
}

static void close_proxy(struct end *e)
{
    end_free(e);
    heap_close(&heap);
}

/* A header and what follows it, whole and byte by byte. */
static void expect_source(const char *header, size_t n, unsigned family, const char *ip, unsigned port)
{
    for (size_t cut = 0; cut < 3; cut++) {
        struct end e;
        struct stream all = { .len = 0 };
        open_proxy(&e);
        e.feed_max = cut;
        stream_add(&all, header, n);
        stream_add(&all, "after", 5);
        end_feed(&e, all.bytes, all.len);
        assert_true(midge_chain_has_greeted(&e.chain));
        const struct midge_proxy_source *s = midge_proxy_source(e.chain.bottom);
        assert_int_equal(s->family, family);
        assert_int_equal(s->port, port);
        if (family)
            assert_memory_equal(s->ip, ip, family == 4 ? 4 : 16);
        assert_int_equal(e.up.len, 5);
        assert_memory_equal(e.up.bytes, "after", 5);
        assert_int_equal(heap.blocks, 1);
        stream_add(&e.down, "answer", 6);
        e.room = 1;
        end_pull(&e);
        assert_int_equal(e.wire.len, 6);
        assert_memory_equal(e.wire.bytes, "answer", 6);
        midge_chain_close(&e.chain);
        end_pull(&e);
        assert_true(e.chain.bottom->done);
        stream_free(&all);
        close_proxy(&e);
    }
}
#define EXPECT_SOURCE(header, family, ip, port) expect_source(header, sizeof(header) - 1, family, ip, port)

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define IP6_A "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define IP6_B "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"

static void the_source_is_what_the_header_says(void **state)
{
    (void)state;
    EXPECT_SOURCE("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", 4, "\xC0\0\2\1", 56324);
    EXPECT_SOURCE("PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n", 6, IP6_A, 65535);
    EXPECT_SOURCE(V2 "\x21\x11\0\x0C\xC0\0\2\1\xC6\x33\x64\1\xDC\4\1\xBB", 4, "\xC0\0\2\1", 56324);
    EXPECT_SOURCE(V2 "\x21\x21\0\x24" IP6_A IP6_B "\xFF\xFF\0\1", 6, IP6_A, 65535);
}

static void what_follows_the_addresses_is_skipped(void **state)
{
    (void)state;
    char header[16 + 12 + 300] = V2 "\x21\x11\1\x38\xC0\0\2\1\xC6\x33\x64\1\xDC\4\1\xBB";
    expect_source(header, sizeof header, 4, "\xC0\0\2\1", 56324);
}

static void nobody_may_be_named(void **state)
{
    (void)state;
    EXPECT_SOURCE("PROXY UNKNOWN\r\n", 0, "", 0);
    EXPECT_SOURCE("PROXY UNKNOWN ffff:f::1 ffff:f::2 1 2\r\n", 0, "", 0);
    EXPECT_SOURCE(V2 "\x20\0\0\0", 0, "", 0);                     /* LOCAL */
    EXPECT_SOURCE(V2 "\x21\x31\0\4unix", 0, "", 0);               /* no address that we know */
}

static void expect_refusal(const char *bytes, size_t n)
{
    struct end e;
    open_proxy(&e);
    end_feed(&e, bytes, n);
    assert_true(e.chain.ended);
    assert_non_null(e.chain.why);
    end_pull(&e);
    assert_int_equal(e.wire.len, 0);
    assert_int_equal(e.up.len, 0);
    assert_true(e.chain.bottom->done);
    close_proxy(&e);
}
#define EXPECT_REFUSAL(bytes) expect_refusal(bytes, sizeof(bytes) - 1)

static void without_a_valid_header_nobody_comes_in(void **state)
{
    (void)state;
    char endless[200];
    memset(endless, 'x', sizeof endless);
    memcpy(endless, "PROXY ", 6);
    expect_refusal(endless, sizeof endless);
    EXPECT_REFUSAL("\x10\x0d\0\4MQTT");
    EXPECT_REFUSAL("PROXYTCP4");
    EXPECT_REFUSAL("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n");
    EXPECT_REFUSAL("PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n");
    EXPECT_REFUSAL("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 more\r\n");
    EXPECT_REFUSAL("PROXY TCP4 192.0.2.256 198.51.100.1 56324 443\r\n");
    EXPECT_REFUSAL("PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n");
    EXPECT_REFUSAL("PROXY TCP4 192.0.2.1 198.51.100.1 1x 443\r\n");
    EXPECT_REFUSAL("PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n");
    EXPECT_REFUSAL("PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n");
    EXPECT_REFUSAL("\r\n\r\n\0\r\nQUIP");
    EXPECT_REFUSAL(V2 "\x11\x11\0\0");                                             /* version 1 in binary */
    EXPECT_REFUSAL(V2 "\x22\x11\0\0");                                             /* unknown command */
    EXPECT_REFUSAL(V2 "\x21\x11\0\x0B\xC0\0\2\1\xC6\x33\x64\1\xDC\4\1");           /* too short for its family */
}

static void without_memory_nothing_is_left_behind(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++) {
        heap_open(&heap);
        heap.countdown = n;
        assert_null(midge_proxy_new(&heap.memory));
        heap_close(&heap);
    }
}

static void noise_does_no_harm(void **state)
{
    (void)state;
    uint32_t seed = 4;
    static const char *const begins[] = { "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", V2 "\x21\x11\0\x0C", "PROXY UNKNOWN " };
    static const size_t lengths[] = { 32, 16, 14 };
    for (int round = 0; round < 5000; round++) {
        struct end e;
        uint8_t bytes[150];
        open_proxy(&e);
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)dice(&seed);
        unsigned which = roll(&seed, COUNT(begins));
        memcpy(bytes, begins[which], roll(&seed, (uint32_t)lengths[which] + 1));
        e.feed_max = roll(&seed, 20);
        end_feed(&e, bytes, sizeof bytes);
        midge_chain_close(&e.chain);
        end_pull(&e);
        close_proxy(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_source_is_what_the_header_says),
        cmocka_unit_test(what_follows_the_addresses_is_skipped),
        cmocka_unit_test(nobody_may_be_named),
        cmocka_unit_test(without_a_valid_header_nobody_comes_in),
        cmocka_unit_test(without_memory_nothing_is_left_behind),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
