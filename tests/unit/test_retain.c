/* test_retain.c - retained messages, against a list; also while somebody is scanning them. */
#include "naive.h"
#include "support.h"

#include "state/retain.h"

#define TOPICS 3000
#define TEXT_MAX 32

struct world {
    struct heap heap;
    struct midge_retain retain;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    heap_open(&w->heap);
    midge_retain_init(&w->retain, &w->heap.mem);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    midge_retain_clear(&w->retain);
    assert_int_equal(w->retain.count, 0);
    assert_int_equal(w->retain.bytes, 0);
    heap_close(&w->heap);
    free(w);
    return 0;
}

static struct midge_msg *make(struct world *w, const char *topic, const char *payload, uint32_t expiry_s)
{
    struct midge_msg_parts p = {
        .topic = midge_slice_str(topic),
        .payload = midge_slice_str(payload),
        .has_expiry = expiry_s > 0,
        .expiry_s = expiry_s,
    };
    struct midge_msg *m = midge_msg_new(&w->heap.mem, &p);
    assert_non_null(m);
    return m;
}

static enum midge_err set(struct world *w, const char *topic, const char *payload, uint32_t expiry_s)
{
    struct midge_msg *m = make(w, topic, payload, expiry_s);
    enum midge_err err = midge_retain_set(&w->retain, m);
    midge_msg_drop(&w->heap.mem, m);
    return err;
}

static void ignore(void *arg, struct midge_msg *msg)
{
    (void)arg;
    (void)msg;
}

static void must_set(struct world *w, const char *topic, const char *payload)
{
    assert_int_equal(set(w, topic, payload, 0), MIDGE_OK);
}

static struct midge_msg *get(struct world *w, const char *topic)
{
    return midge_retain_get(&w->retain, midge_slice_str(topic));
}

static void drop(struct world *w, const char *topic)
{
    midge_retain_remove(&w->retain, midge_slice_str(topic));
}

static struct midge_filter filter(const char *text)
{
    struct midge_filter f;
    assert_int_equal(midge_filter_parse(midge_slice_str(text), UINT16_MAX, &f), MIDGE_RC_SUCCESS);
    return f;
}

static void topic_of(const struct midge_msg *m, char out[TEXT_MAX])
{
    struct midge_slice t = midge_msg_topic(m);
    assert_true(t.len < TEXT_MAX);
    memcpy(out, t.data, t.len);
    out[t.len] = 0;
}

/* [MQTT-3.3.1-5] [MQTT-3.3.1-6] */
static void a_topic_has_one_message_the_newest(void **state)
{
    struct world *w = *state;
    assert_null(get(w, "a"));
    must_set(w, "a", "old");
    must_set(w, "b", "x");
    must_set(w, "a", "newer");
    assert_slice(midge_msg_payload(get(w, "a")), "newer");
    assert_int_equal(w->retain.count, 2);
    assert_int_equal(w->retain.bytes, 1 + 5 + 1 + 1);
    drop(w, "a");
    drop(w, "a");
    drop(w, "ab");
    assert_null(get(w, "a"));
    assert_non_null(get(w, "b"));
    assert_int_equal(w->retain.count, 1);
    assert_int_equal(w->retain.bytes, 2);
}

static void a_topic_that_begins_another_is_another(void **state)
{
    struct world *w = *state;
    static const char *const topics[] = { "a", "a/", "a/a",   "aa",    "a/a/",
                                          "/", "//", "a\x01", "a\x7F", "\xC3\xA9" };
    for (size_t i = 0; i < COUNT(topics); i++)
        must_set(w, topics[i], topics[i]);
    for (size_t i = 0; i < COUNT(topics); i++) {
        assert_slice(midge_msg_payload(get(w, topics[i])), topics[i]);
        drop(w, topics[i]);
        for (size_t j = 0; j < COUNT(topics); j++)
            assert_int_equal(get(w, topics[j]) != NULL, j > i);
    }
}

static void a_message_costs_one_branch(void **state)
{
    struct world *w = *state;
    must_set(w, "first", "");
    assert_int_equal(w->heap.counts.by_tag[MIDGE_TAG_RETAIN], 0);
    must_set(w, "a/very/deep/topic/with/many/levels", "");
    assert_true(w->heap.counts.by_tag[MIDGE_TAG_RETAIN] <= 3 * sizeof(void *));
    must_set(w, "a/very/deep/topic/with/many/levels", "again");
    assert_true(w->heap.counts.by_tag[MIDGE_TAG_RETAIN] <= 3 * sizeof(void *));
}

static void without_memory_nothing_changes_and_replacing_works(void **state)
{
    struct world *w = *state;
    must_set(w, "a", "old");
    struct midge_msg *other = make(w, "b", "x", 0);
    struct midge_msg *newer = make(w, "a", "new", 0);
    w->heap.countdown = 0;
    assert_int_equal(midge_retain_set(&w->retain, other), MIDGE_ERR_NO_MEMORY);
    assert_int_equal(w->retain.count, 1);
    assert_int_equal(w->retain.bytes, 4);
    assert_null(get(w, "b"));
    assert_int_equal(midge_retain_set(&w->retain, newer), MIDGE_OK);
    assert_ptr_equal(get(w, "a"), newer);
    w->heap.countdown = -1;
    midge_msg_drop(&w->heap.mem, other);
    midge_msg_drop(&w->heap.mem, newer);
}

static void the_same_message_may_be_set_again(void **state)
{
    struct world *w = *state;
    struct midge_msg *m = make(w, "a", "x", 0);
    assert_int_equal(midge_retain_set(&w->retain, m), MIDGE_OK);
    assert_int_equal(midge_retain_set(&w->retain, m), MIDGE_OK);
    assert_int_equal(m->refs, 2);
    midge_msg_drop(&w->heap.mem, m);
    assert_int_equal(w->retain.count, 1);
}

/* [MQTT-3.3.2-5] */
static void what_has_expired_is_removed(void **state)
{
    struct world *w = *state;
    assert_true(w->retain.next_expiry == MIDGE_NEVER);
    set(w, "a", "", 10);
    set(w, "b", "", 0);
    set(w, "c", "", 5);
    set(w, "d", "", 20);
    assert_true(w->retain.next_expiry == 5000);
    midge_retain_expire(&w->retain, 4999, ignore, NULL);
    assert_int_equal(w->retain.count, 4);
    midge_retain_expire(&w->retain, 10000, ignore, NULL);
    assert_null(get(w, "a"));
    assert_null(get(w, "c"));
    assert_int_equal(w->retain.count, 2);
    assert_true(w->retain.next_expiry == 20000);
    midge_retain_expire(&w->retain, 20000, ignore, NULL);
    assert_non_null(get(w, "b"));
    assert_true(w->retain.next_expiry == MIDGE_NEVER);
}

/* ---- scans against a list ----------------------------------------------------------------------------- */

struct model {
    char topics[TOPICS][TEXT_MAX];
    size_t n;
};

static int by_bytes(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void random_topic(char *out, uint32_t *seed)
{
    static const char *const levels[] = { "a", "b", "", "a-b", "a.", "ab", "$x", "0", "c" };
    uint32_t n = 1 + roll(seed, 4);
    out[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            strcat(out, "/");
        strcat(out, levels[roll(seed, COUNT(levels))]);
    }
    if (!out[0])
        strcpy(out, "a");
}

static void random_filter(char *out, uint32_t *seed)
{
    static const char *const levels[] = { "a", "b", "", "a-b", "$x", "+", "+", "+", "c" };
    uint32_t n = roll(seed, 5);
    out[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            strcat(out, "/");
        strcat(out, levels[roll(seed, COUNT(levels))]);
    }
    if (n == 0)
        strcpy(out, "#");
    else if (roll(seed, 3) == 0)
        strcat(out, "/#");
    if (!out[0])
        strcpy(out, "/");
}

static void fill(struct world *w, struct model *m, uint32_t *seed, size_t n)
{
    m->n = 0;
    while (m->n < n) {
        char topic[TEXT_MAX];
        random_topic(topic, seed);
        if (get(w, topic))
            continue;
        must_set(w, topic, "");
        strcpy(m->topics[m->n++], topic);
    }
    qsort(m->topics, m->n, sizeof m->topics[0], by_bytes);
}

/* All that matches, in byte order, and nothing else. */
static void a_scan_finds_what_matches_in_order(void **state)
{
    struct world *w = *state;
    static struct model m;
    uint32_t seed = 21;
    for (int round = 0; round < 40; round++) {
        fill(w, &m, &seed, 1 + roll(&seed, 400));
        for (int scan = 0; scan < 200; scan++) {
            char text[TEXT_MAX], topic[TEXT_MAX];
            random_filter(text, &seed);
            struct midge_filter f = filter(text);
            struct midge_msg *last = NULL;
            for (size_t i = 0; i < m.n; i++) {
                if (!naive_matches(text, m.topics[i]))
                    continue;
                last = midge_retain_next(&w->retain, &f, last);
                if (!last)
                    fail_msg("\"%s\" misses \"%s\"", text, m.topics[i]);
                topic_of(last, topic);
                assert_string_equal(topic, m.topics[i]);
            }
            if (midge_retain_next(&w->retain, &f, last))
                fail_msg("\"%s\" finds too much", text);
        }
        midge_retain_clear(&w->retain);
    }
}

/* Between any two steps topics come and go, the one that was seen last too. What was there all the time and
 * matches is seen exactly once; nothing is seen twice. */
static void a_scan_survives_every_change(void **state)
{
    struct world *w = *state;
    static struct model m;
    uint32_t seed = 5;
    for (int round = 0; round < 300; round++) {
        char text[TEXT_MAX], topic[TEXT_MAX], before[TEXT_MAX] = "";
        bool seen[TOPICS] = { false };
        bool touched[TOPICS] = { false };
        fill(w, &m, &seed, 1 + roll(&seed, 300));
        random_filter(text, &seed);
        struct midge_filter f = filter(text);
        struct midge_msg *last = NULL;
        for (struct midge_msg *next; (next = midge_retain_next(&w->retain, &f, last));) {
            midge_msg_hold(next);
            midge_msg_drop(&w->heap.mem, last);
            last = next;
            topic_of(last, topic);
            assert_true(strcmp(before, topic) < 0);
            strcpy(before, topic);
            assert_true(naive_matches(text, topic));
            for (size_t i = 0; i < m.n; i++)
                seen[i] |= strcmp(m.topics[i], topic) == 0;
            for (int change = 0; change < 3; change++) {
                size_t i = roll(&seed, (uint32_t)m.n);
                touched[i] = true;
                if (roll(&seed, 2))
                    drop(w, m.topics[i]);
                else
                    must_set(w, m.topics[i], "again");
                random_topic(topic, &seed);
                must_set(w, topic, "new");
            }
            if (roll(&seed, 2))
                midge_retain_remove(&w->retain, midge_msg_topic(last));
        }
        midge_msg_drop(&w->heap.mem, last);
        for (size_t i = 0; i < m.n; i++)
            if (!touched[i] && naive_matches(text, m.topics[i]) && !seen[i])
                fail_msg("\"%s\" misses \"%s\"", text, m.topics[i]);
        midge_retain_clear(&w->retain);
    }
}

/* 10,000 topics below "x/": a scan for what is not among them looks at few of them, or 100,000 scans would
 * take minutes. */
static void a_scan_seeks_past_what_cannot_match(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 10000; i++) {
        char topic[TEXT_MAX];
        size_t at = 0;
        topic[at++] = 'x';
        topic[at++] = '/';
        for (int n = i, digits = 0; digits < 5; digits++, n /= 10)
            topic[at++] = (char)('0' + n % 10);
        topic[at] = 0;
        must_set(w, topic, "");
    }
    must_set(w, "y/z", "found");
    struct midge_filter f = filter("+/z");
    for (int i = 0; i < 100000; i++) {
        struct midge_msg *m = midge_retain_next(&w->retain, &f, NULL);
        assert_non_null(m);
        assert_null(midge_retain_next(&w->retain, &f, m));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_topic_has_one_message_the_newest),
        TEST(a_topic_that_begins_another_is_another),
        TEST(a_message_costs_one_branch),
        TEST(without_memory_nothing_changes_and_replacing_works),
        TEST(the_same_message_may_be_set_again),
        TEST(what_has_expired_is_removed),
        TEST(a_scan_finds_what_matches_in_order),
        TEST(a_scan_survives_every_change),
        TEST(a_scan_seeks_past_what_cannot_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
