/* test_matching.c - who the load generator expects to get a topic (W6), held against the filters it subscribes. */
#include "bench/midge-bench/matching.h"

#include "bench/midge-bench/payload.h"
#include "bench/midge-bench/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CLIENTS 12u
#define FILTERS 300u

/* Filters of one client, as its SUBSCRIBE packets have them. */
struct filters {
    unsigned count;
    char text[FILTERS][64];
};

static struct filters filters_of[CLIENTS];

static void read_filters(struct filters *f, const struct buffer *b)
{
    struct wire_packet p;
    size_t whole;
    for (size_t at = b->at; at < b->len; at += whole) {
        assert_int_not_equal(wire_cut(b->bytes + at, b->len - at, &p, &whole), 0);
        for (size_t i = 2; i < p.body_bytes;) {
            const size_t n = (size_t)(p.body[i] << 8 | p.body[i + 1]);
            memcpy(f->text[f->count], p.body + i + 2, n);
            f->text[f->count++][n] = '\0';
            i += 2 + n + 1;
        }
    }
}

static bool matches(const char *filter, const char *topic)
{
    for (; *filter && *topic; filter++, topic++) {
        if (*filter == '#')
            return true;
        if (*filter == '+') {
            topic += strcspn(topic, "/") - 1;
            continue;
        }
        if (*filter != *topic)
            return false;
    }
    return !*filter && !*topic;
}

static void the_expected_receivers_are_those_with_a_filter_that_matches(void **state)
{
    (void)state;
    uint64_t random = 7, matched = 0;
    struct matching m;
    struct hub hub = { .version = WIRE_V311 };
    matching_init(&m, FILTERS, CLIENTS, "t", &random);
    unsigned all = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct client c = { .hub = &hub, .held = true };
        matching_subscribe(&m, &c, i, 0);
        read_filters(&filters_of[i], &c.link.out);
        buffer_free(&c.link.out);
        all += filters_of[i].count;
    }
    assert_int_equal(all, FILTERS);
    for (unsigned i = 0; i < 20000; i++) {
        char topic[64];
        uint32_t receivers[MATCHES_MAX];
        unsigned count, found = 0;
        matching_topic(&m, &random, topic, sizeof topic, receivers, &count);
        for (uint32_t c = 0; c < CLIENTS; c++)
            for (unsigned f = 0; f < filters_of[c].count; f++)
                if (matches(filters_of[c].text[f], topic)) {
                    bool expected = false;
                    for (unsigned r = 0; r < count; r++)
                        expected = expected || receivers[r] == c;
                    assert_true(expected);
                    found++;
                }
        assert_int_equal(found, count);
        matched += count;
    }
    assert_in_range(matched, 19000, 21000); /* one a message in the mean */
    matching_free(&m);
}

static void a_payload_is_wrong_with_another_byte_size_or_topic(void **state)
{
    (void)state;
    struct payloads p;
    uint8_t bytes[64];
    const uint8_t topic[] = { 'a', '/', 'b' };
    const struct stamp s = { .sent_ns = 1, .number = 2, .publisher = 3 };
    struct stamp got;
    payloads_init(&p, sizeof bytes, 1);
    payload_write(&p, bytes, &s, topic, 3);
    assert_true(payload_read(&p, bytes, sizeof bytes, topic, 3, &got));
    assert_memory_equal(&got, &s, sizeof s);
    assert_false(payload_read(&p, bytes, sizeof bytes - 1, topic, 3, &got));
    assert_false(payload_read(&p, bytes, sizeof bytes, topic, 2, &got));
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        assert_false(payload_read(&p, bytes, sizeof bytes, topic, 3, &got));
        bytes[i] ^= 1;
    }
    payloads_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_expected_receivers_are_those_with_a_filter_that_matches),
        cmocka_unit_test(a_payload_is_wrong_with_another_byte_size_or_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
