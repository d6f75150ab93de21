/* test_shared.c - groups of shared subscriptions and their turns. */
#include "support.h"

#include "state/session.h"
#include "state/shared.h"

#define MEMBERS 6

struct world {
    struct heap heap;
    struct midge_subtree tree;
    struct midge_session sessions[MEMBERS];
    struct midge_sub *subs[MEMBERS];
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    heap_open(&w->heap);
    static const uint32_t seed[] = { 1, 2 };
    assert_true(midge_subtree_init(&w->tree, &w->heap.mem, seed));
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < MEMBERS; i++)
        if (w->subs[i])
            midge_subtree_remove(&w->tree, w->subs[i]);
    assert_int_equal(w->tree.nodes.count, 0);
    midge_subtree_clear(&w->tree);
    heap_close(&w->heap);
    free(w);
    return 0;
}

static struct midge_group *join(struct world *w, int member, const char *text)
{
    struct midge_filter f;
    assert_int_equal(midge_filter_parse(midge_slice_str(text), 100, &f), MIDGE_RC_SUCCESS);
    w->subs[member] = midge_subtree_add(&w->tree, &w->sessions[member], &f);
    assert_non_null(w->subs[member]);
    assert_true(w->subs[member]->shared);
    return w->subs[member]->group;
}

static void leave(struct world *w, int member)
{
    midge_subtree_remove(&w->tree, w->subs[member]);
    w->subs[member] = NULL;
}

static int turn(struct world *w, struct midge_group *g)
{
    const struct midge_sub *sub = midge_group_turn(g);
    int member = (int)(sub->session - w->sessions);
    assert_ptr_equal(w->subs[member], sub);
    return member;
}

static void members_take_turns_in_the_order_they_came(void **state)
{
    struct world *w = *state;
    struct midge_group *g = join(w, 0, "$share/g/a");
    assert_ptr_equal(join(w, 1, "$share/g/a"), g);
    assert_ptr_equal(join(w, 2, "$share/g/a"), g);
    for (int i = 0; i < 9; i++)
        assert_int_equal(turn(w, g), i % 3);
}

static void who_leaves_costs_nobody_else_a_turn(void **state)
{
    struct world *w = *state;
    struct midge_group *g = join(w, 0, "$share/g/a");
    for (int i = 1; i < 4; i++)
        join(w, i, "$share/g/a");
    assert_int_equal(turn(w, g), 0);
    leave(w, 1); /* who was next */
    assert_int_equal(turn(w, g), 2);
    leave(w, 2); /* who was last */
    assert_int_equal(turn(w, g), 3);
    leave(w, 0);
    assert_int_equal(turn(w, g), 3);
    join(w, 5, "$share/g/a"); /* the round had ended before */
    assert_int_equal(turn(w, g), 3);
    assert_int_equal(turn(w, g), 5);
}

/* Whatever happens between: as many calls as members name each once. */
static void a_round_names_each_member_once(void **state)
{
    struct world *w = *state;
    uint32_t seed = 4;
    for (int step = 0; step < 20000; step++) {
        int member = (int)roll(&seed, MEMBERS);
        if (w->subs[member])
            leave(w, member);
        else
            join(w, member, "$share/g/a/+/#");
        struct midge_group *g = NULL;
        int members = 0;
        for (int i = 0; i < MEMBERS; i++) {
            if (w->subs[i]) {
                g = w->subs[i]->group;
                members++;
            }
        }
        bool named[MEMBERS] = { false };
        for (int i = 0; i < members; i++) {
            int who = turn(w, g);
            assert_false(named[who]);
            named[who] = true;
        }
        for (uint32_t extra = roll(&seed, 3); g && extra > 0; extra--)
            turn(w, g);
    }
}

static void groups_differ_by_name_filter_and_hash(void **state)
{
    struct world *w = *state;
    static const char *const texts[MEMBERS] = { "$share/g/a",   "$share/h/a",    "$share/g/a/#",
                                                "$share/g/a/b", "$share/gg/a/#", "$share/h/a/#" };
    struct midge_group *groups[MEMBERS];
    for (int i = 0; i < MEMBERS; i++)
        groups[i] = join(w, i, texts[i]);
    for (int i = 0; i < MEMBERS; i++) {
        assert_int_not_equal(groups[i]->serial, 0);
        for (int j = 0; j < i; j++) {
            assert_ptr_not_equal(groups[i], groups[j]);
            assert_int_not_equal(groups[i]->serial, groups[j]->serial);
        }
    }
    const struct midge_group *g = groups[0]->node->groups;
    bool plain = false;
    for (; g; g = g->next) {
        assert_false(plain && g->multi); /* those with "#" come first */
        plain |= !g->multi;
    }
}

static void an_empty_group_is_gone_and_its_serial_too(void **state)
{
    struct world *w = *state;
    size_t before = w->heap.blocks;
    uint32_t serial = join(w, 0, "$share/g/a")->serial;
    leave(w, 0);
    assert_int_equal(w->heap.blocks, before + 1); /* the map's table */
    assert_int_not_equal(join(w, 0, "$share/g/a")->serial, serial);
}

static void a_serial_is_never_zero(void **state)
{
    struct world *w = *state;
    w->tree.last_serial = UINT32_MAX;
    assert_int_equal(join(w, 0, "$share/g/a")->serial, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_take_turns_in_the_order_they_came),
        TEST(who_leaves_costs_nobody_else_a_turn),
        TEST(a_round_names_each_member_once),
        TEST(groups_differ_by_name_filter_and_hash),
        TEST(an_empty_group_is_gone_and_its_serial_too),
        TEST(a_serial_is_never_zero),
    };
    return MIDGE_SHARED ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
