/* test_subtree.c - the tree of subscriptions, against a list of (session, filter). */
#include "naive.h"
#include "support.h"

#include "state/session.h"
#include "state/shared.h"
#include "state/subtree.h"

_Static_assert(sizeof(void *) != 4 || sizeof(struct midge_sub) == 32, "the header's promise");
_Static_assert(sizeof(void *) != 4 || offsetof(struct midge_node, level) == 34, "the header's promise");

#define SESSIONS 6
#define TEXT_MAX 24

struct world {
    struct heap heap;
    struct midge_subtree tree;
    struct midge_session sessions[SESSIONS];
};

static const uint32_t seeds[2] = { 0x12345678, 0x9ABCDEF0 };

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    heap_open(&w->heap);
    assert_true(midge_subtree_init(&w->tree, &w->heap.mem, seeds));
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->tree.subs, 0);
    assert_int_equal(w->tree.nodes.count, 0);
    for (int i = 0; i < SESSIONS; i++) {
        assert_null(w->sessions[i].subs);
        assert_int_equal(w->sessions[i].sub_count, 0);
    }
    midge_subtree_clear(&w->tree);
    heap_close(&w->heap);
    free(w);
    return 0;
}

static struct midge_filter filter(const char *text)
{
    struct midge_filter f;
    assert_int_equal(midge_filter_parse(midge_slice_str(text), UINT16_MAX, &f),
                     MIDGE_RC_SUCCESS);
    return f;
}

static struct midge_sub *find(struct world *w, int session, const char *text)
{
    struct midge_filter f = filter(text);
    return midge_subtree_find(&w->tree, &w->sessions[session], &f);
}

static struct midge_sub *add(struct world *w, int session, const char *text)
{
    struct midge_filter f = filter(text);
    return midge_subtree_add(&w->tree, &w->sessions[session], &f);
}

static void drop(struct world *w, int session, const char *text)
{
    struct midge_sub *sub = find(w, session, text);
    assert_non_null(sub);
    midge_subtree_remove(&w->tree, sub);
}

/* ---- what a match tells -------------------------------------------------------------------------------- */

struct found {
    const struct midge_sub *subs[512];
    const struct midge_group *groups[512];
    size_t n, group_n;
    size_t stop_after;
};

static bool note_sub(void *arg, struct midge_sub *sub)
{
    struct found *f = arg;
    assert_true(f->n < COUNT(f->subs));
    f->subs[f->n++] = sub;
    return f->n != f->stop_after;
}

static bool note_group(void *arg, struct midge_group *group)
{
    struct found *f = arg;
    assert_true(f->group_n < COUNT(f->groups));
    f->groups[f->group_n++] = group;
    return true;
}

static struct found match(struct world *w, const char *topic)
{
    struct found f = { 0 };
    struct midge_matcher m = { .sub = note_sub, .group = note_group, .arg = &f };
    assert_true(midge_subtree_match(&w->tree, midge_slice_str(topic), &m));
    return f;
}

static bool found_sub(const struct found *f, const struct midge_sub *sub)
{
    size_t times = 0;
    for (size_t i = 0; i < f->n; i++)
        times += f->subs[i] == sub;
    assert_true(times <= 1);
    return times == 1;
}

static bool found_group(const struct found *f, const struct midge_group *group)
{
    size_t times = 0;
    for (size_t i = 0; i < f->group_n; i++)
        times += f->groups[i] == group;
    assert_true(times <= 1);
    return times == 1;
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static void a_subscription_is_found_by_its_session_and_filter_alone(void **state)
{
    struct world *w = *state;
    assert_null(find(w, 0, "a/b"));
    struct midge_sub *sub = add(w, 0, "a/b");
    assert_ptr_equal(find(w, 0, "a/b"), sub);
    assert_null(find(w, 1, "a/b"));
    assert_null(find(w, 0, "a"));
    assert_null(find(w, 0, "a/b/#"));
    assert_null(find(w, 0, "a/b/"));
    assert_null(find(w, 0, "$share/g/a/b"));
    struct midge_sub *multi = add(w, 0, "a/b/#");
    struct midge_sub *shared = add(w, 0, "$share/g/a/b");
    assert_ptr_equal(find(w, 0, "a/b"), sub);
    assert_ptr_equal(find(w, 0, "a/b/#"), multi);
    assert_ptr_equal(find(w, 0, "$share/g/a/b"), shared);
    assert_null(find(w, 0, "$share/h/a/b"));
    assert_null(find(w, 0, "$share/g/a/b/#"));
    assert_int_equal(w->sessions[0].sub_count, 3);
    drop(w, 0, "a/b");
    drop(w, 0, "a/b/#");
    drop(w, 0, "$share/g/a/b");
}

static void the_generation_changes_with_each_change(void **state)
{
    struct world *w = *state;
    uint32_t g = w->tree.generation;
    add(w, 0, "a");
    assert_int_not_equal(w->tree.generation, g);
    g = w->tree.generation;
    drop(w, 0, "a");
    assert_int_not_equal(w->tree.generation, g);
}

static void a_match_stops_when_it_is_told_to(void **state)
{
    struct world *w = *state;
    static const char *const filters[] = { "a", "+", "#", "a/#" };
    for (size_t i = 0; i < COUNT(filters); i++)
        add(w, 0, filters[i]);
    for (size_t stop = 1; stop <= COUNT(filters); stop++) {
        struct found f = { .stop_after = stop };
        struct midge_matcher m = { .sub = note_sub, .arg = &f };
        assert_false(midge_subtree_match(&w->tree, midge_slice_str("a"), &m));
        assert_int_equal(f.n, stop);
    }
    for (size_t i = 0; i < COUNT(filters); i++)
        drop(w, 0, filters[i]);
}

static void groups_are_passed_over_when_nobody_asks_for_them(void **state)
{
    struct world *w = *state;
    add(w, 0, "$share/g/a");
    struct found f = { 0 };
    struct midge_matcher m = { .sub = note_sub, .arg = &f };
    assert_true(midge_subtree_match(&w->tree, midge_slice_str("a"), &m));
    assert_int_equal(f.n, 0);
    assert_int_equal(match(w, "a").group_n, MIDGE_SHARED);
    drop(w, 0, "$share/g/a");
}

static void a_filter_is_written_back(void **state)
{
    struct world *w = *state;
    static const char *const filters[] = { "#",
                                           "+",
                                           "/",
                                           "/#",
                                           "a",
                                           "a/#",
                                           "a//b",
                                           "+/+/#",
                                           "$share/g/#",
                                           "$SYS/#",
                                           "long-level-nam/x",
                                           "$share/group/a/+/b/#",
                                           "$share/g//" };
    for (size_t i = 0; i < COUNT(filters); i++) {
        struct midge_sub *sub = add(w, 0, filters[i]);
        uint32_t len = (uint32_t)strlen(filters[i]);
        for (uint32_t room = 0; room <= len + 2; room++) {
            uint8_t out[64];
            memset(out, 0xCC, sizeof out);
            assert_int_equal(midge_sub_filter(sub, out, room), len);
            uint32_t n = room < len ? room : len;
            assert_memory_equal(out, filters[i], n);
            assert_int_equal(out[n], 0xCC);
        }
        drop(w, 0, filters[i]);
    }
}

/* 30,000 levels: the walk down and back needs no stack, and the nodes go with the subscription. */
static void a_filter_may_be_as_deep_as_it_likes(void **state)
{
    struct world *w = *state;
    enum { LEVELS = 30000 };
    static char deep[2 * LEVELS], plus[2 * LEVELS];
    for (int i = 0; i < LEVELS; i++) {
        memcpy(deep + 2 * i, i < LEVELS - 1 ? "a/" : "a", 2);
        memcpy(plus + 2 * i, i < LEVELS - 1 ? "+/" : "+", 2);
    }
    add(w, 0, deep);
    add(w, 1, plus);
    struct found f = match(w, deep);
    assert_int_equal(f.n, 2);
    drop(w, 0, deep);
    drop(w, 1, plus);
}

/* ---- against the list --------------------------------------------------------------------------------- */

struct listed {
    char text[TEXT_MAX]; /* "" = none */
    struct midge_sub *sub;
};

static void random_levels(char *out, uint32_t *seed, const char *const *levels, uint32_t choices)
{
    uint32_t n = 1 + roll(seed, 4);
    out[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            strcat(out, "/");
        strcat(out, levels[roll(seed, choices)]);
    }
}

static void random_filter(char *out, uint32_t *seed)
{
    static const char *const levels[] = { "a", "b", "", "+", "+", "cc" };
    static const char *const starts[] = { "", "", "", "$share/g/", "$share/h/", "$SYS/" };
    char path[TEXT_MAX];
    random_levels(path, seed, levels, COUNT(levels));
    strcpy(out, starts[roll(seed, COUNT(starts))]);
    uint32_t form = roll(seed, 8);
    strcat(out, form == 0 ? "#" : path);
    if (form == 1 || form == 2)
        strcat(out, "/#");
    if (!out[0] || strcmp(out, "$share/g/") == 0 || strcmp(out, "$share/h/") == 0)
        strcat(out, "b"); /* nothing is no filter */
}

/* Without MIDGE_SHARED "$share" is a level as any other. */
static const char *bare(const char *filter_text)
{
    return MIDGE_SHARED && strncmp(filter_text, "$share/", 7) == 0 ? strchr(filter_text + 7, '/') + 1
                                                                   : filter_text;
}

static void compare(struct world *w, struct listed list[SESSIONS][16], const char *topic)
{
    struct found f = match(w, topic);
    size_t expected = 0;
    for (int s = 0; s < SESSIONS; s++) {
        for (int i = 0; i < 16; i++) {
            struct listed *l = &list[s][i];
            if (!l->text[0])
                continue;
            bool want = naive_matches(bare(l->text), topic);
            bool shared = bare(l->text) != l->text;
            if ((shared ? found_group(&f, l->sub->group) : found_sub(&f, l->sub)) != want)
                fail_msg("\"%s\" and \"%s\"", l->text, topic);
            expected += want && !shared;
        }
    }
    assert_int_equal(f.n, expected);
}

static void change(struct world *w, struct listed list[SESSIONS][16], uint32_t *seed)
{
    int s = (int)roll(seed, SESSIONS);
    struct listed *l = &list[s][roll(seed, 16)];
    if (l->text[0]) {
        assert_ptr_equal(find(w, s, l->text), l->sub);
        midge_subtree_remove(&w->tree, l->sub);
        l->text[0] = 0;
        return;
    }
    random_filter(l->text, seed);
    for (int i = 0; i < 16; i++) {
        if (l != &list[s][i] && strcmp(list[s][i].text, l->text) == 0) {
            assert_ptr_equal(find(w, s, l->text), list[s][i].sub);
            l->text[0] = 0;
            return;
        }
    }
    assert_null(find(w, s, l->text));
    if (roll(seed, 4) == 0)
        w->heap.countdown = (int)roll(seed, 5);
    size_t before = w->heap.bytes;
    l->sub = add(w, s, l->text);
    w->heap.countdown = -1;
    if (l->sub)
        return;
    assert_true(w->heap.bytes <= before + 16 * sizeof(void *)); /* no more than the map's first table */
    l->text[0] = 0;
}

static void random_changes_and_matches(void **state)
{
    struct world *w = *state;
    static const char *const levels[] = { "a", "b", "", "x", "cc", "$SYS" };
    static struct listed list[SESSIONS][16];
    uint32_t seed = 99;
    for (int step = 0; step < 30000; step++) {
        char topic[TEXT_MAX];
        change(w, list, &seed);
        random_levels(topic, &seed, levels, COUNT(levels));
        if (topic[0])
            compare(w, list, topic);
    }
    for (int s = 0; s < SESSIONS; s++)
        for (int i = 0; i < 16; i++)
            if (list[s][i].text[0])
                midge_subtree_remove(&w->tree, list[s][i].sub);
}

static void without_memory_for_the_root_there_is_no_tree(void **state)
{
    (void)state;
    struct heap h;
    struct midge_subtree t;
    heap_open(&h);
    h.countdown = 0;
    assert_false(midge_subtree_init(&t, &h.mem, seeds));
    midge_subtree_clear(&t);
    heap_close(&h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_subscription_is_found_by_its_session_and_filter_alone),
        TEST(the_generation_changes_with_each_change),
        TEST(a_match_stops_when_it_is_told_to),
        TEST(groups_are_passed_over_when_nobody_asks_for_them),
        TEST(a_filter_is_written_back),
        TEST(a_filter_may_be_as_deep_as_it_likes),
        TEST(random_changes_and_matches),
        cmocka_unit_test(without_memory_for_the_root_there_is_no_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
