/* test_topic.c - names and filters, against a matcher written straight from the standard. */
#include "naive.h"
#include "support.h"

#include "state/retain.h"
#include "state/topic.h"

#define LEVELS_MAX 8

static enum midge_reason parse(const char *text, struct midge_filter *f)
{
    return midge_filter_parse(midge_slice_str(text), LEVELS_MAX, f);
}

/* Of a store that has this topic alone, the filter finds it or nothing. */
static bool finds(const struct midge_filter *f, const char *name)
{
    struct heap h;
    struct midge_retain store;
    const struct midge_msg_parts p = { .topic = midge_slice_str(name) };
    heap_open(&h);
    midge_retain_init(&store, &h.mem);
    struct midge_msg *msg = midge_msg_new(&h.mem, &p);
    assert_int_equal(midge_retain_set(&store, msg), MIDGE_OK);
    bool found = midge_retain_next(&store, f, NULL) == msg;
    midge_msg_drop(&h.mem, msg);
    midge_retain_clear(&store);
    heap_close(&h);
    return found;
}

static bool matches(const char *filter, const char *name)
{
    struct midge_filter f;
    assert_int_equal(parse(filter, &f), MIDGE_RC_SUCCESS);
    return finds(&f, name);
}

/* [MQTT-4.7.1-1] [MQTT-4.7.1-2] */
static void wildcards_stand_alone_in_their_level_and_hash_last(void **state)
{
    (void)state;
    static const char *const good[] = { "#",  "+",  "+/+", "+/tennis/#", "sport/#",
                                        "/+", "+/", "/#",  "a//b",       "+/#" };
    static const char *const bad[] = { "",    "a+",    "+a",   "a#", "#a",     "##",     "#/",
                                       "#/a", "a/#/b", "a/b#", "++", "a/++/b", "sport+", "sport/tennis#",
                                       "+#",  "#+",    "/a#" };
    struct midge_filter f;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_int_equal(parse(good[i], &f), MIDGE_RC_SUCCESS);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(parse(bad[i], &f), MIDGE_RC_TOPIC_FILTER_INVALID);
}

static void a_filter_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *group, *path, *whole;
        uint16_t levels;
        bool multi, wildcard;
    } cases[] = {
        { "a/b", NULL, "a/b", "a/b", 2, false, false },
        { "#", NULL, "", "#", 0, true, true },
        { "/#", NULL, "", "/#", 1, true, true },
        { "//#", NULL, "/", "//#", 2, true, true },
        { "/", NULL, "/", "/", 2, false, false },
        { "a/#", NULL, "a", "a/#", 1, true, true },
        { "+/b", NULL, "+/b", "+/b", 2, false, true },
        { "$share/g/a/+/#", "g", "a/+", "a/+/#", 2, true, true },
        { "$share/g/#", "g", "", "#", 0, true, true },
        { "$share/g//", "g", "/", "/", 2, false, false },
        { "$share/g//#", "g", "", "/#", 1, true, true },
        { "$share", NULL, "$share", "$share", 1, false, false },
        { "$sharex/g/a", NULL, "$sharex/g/a", "$sharex/g/a", 3, false, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct midge_filter f;
        assert_int_equal(parse(cases[i].text, &f), MIDGE_RC_SUCCESS);
        assert_int_equal(f.group.data != NULL, cases[i].group != NULL);
        assert_slice(f.group, cases[i].group ? cases[i].group : "");
        assert_slice(f.path, cases[i].path);
        assert_slice(f.whole, cases[i].whole);
        assert_int_equal(f.levels, cases[i].levels);
        assert_int_equal(f.multi, cases[i].multi);
        assert_int_equal(f.wildcard, cases[i].wildcard);
    }
}

/* [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
static void a_share_needs_a_plain_name_and_a_filter(void **state)
{
    (void)state;
    static const char *const bad[] = { "$share/",    "$share//a",   "$share/g",    "$share/g/", "$share/+/a",
                                       "$share/#/a", "$share/g+/a", "$share/g/a#", "$share/#" };
    struct midge_filter f;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(parse(bad[i], &f), MIDGE_RC_TOPIC_FILTER_INVALID);
}

static void too_many_levels_are_refused(void **state)
{
    (void)state;
    struct midge_filter f;
    assert_int_equal(parse("1/2/3/4/5/6/7/8", &f), MIDGE_RC_SUCCESS);
    assert_int_equal(parse("1/2/3/4/5/6/7/8/#", &f), MIDGE_RC_SUCCESS);
    assert_int_equal(parse("1/2/3/4/5/6/7/8/9", &f), MIDGE_RC_QUOTA_EXCEEDED);
    assert_int_equal(parse("$share/g/1/2/3/4/5/6/7/8", &f), MIDGE_RC_SUCCESS);
    static char slashes[65535];
    memset(slashes, '/', sizeof slashes);
    assert_int_equal(midge_filter_parse(midge_slice_of(slashes, sizeof slashes), UINT16_MAX, &f),
                     MIDGE_RC_QUOTA_EXCEEDED);
    assert_int_equal(midge_filter_parse(midge_slice_of(slashes, sizeof slashes - 1), UINT16_MAX, &f),
                     MIDGE_RC_SUCCESS);
    assert_int_equal(f.levels, 65535);
}

/* The examples of section 4.7. [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.2-1] [MQTT-4.7.3-4] */
static void the_examples_of_the_standard(void **state)
{
    (void)state;
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1"));
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1/ranking"));
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
    assert_true(matches("sport/#", "sport"));
    assert_true(matches("sport/tennis/+", "sport/tennis/player1"));
    assert_false(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
    assert_false(matches("sport/+", "sport"));
    assert_true(matches("sport/+", "sport/"));
    assert_true(matches("+/+", "/finance"));
    assert_true(matches("/+", "/finance"));
    assert_false(matches("+", "/finance"));
    assert_false(matches("#", "$SYS/monitor/Clients"));
    assert_false(matches("+/monitor/Clients", "$SYS/monitor/Clients"));
    assert_true(matches("$SYS/#", "$SYS/monitor/Clients"));
    assert_true(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
    assert_false(matches("ACCOUNTS", "Accounts"));
    assert_false(matches("finance", "/finance"));
}

static void levels_are_walked(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *level[5];
    } cases[] = {
        { "", { "" } }, { "a", { "a" } }, { "/", { "", "" } }, { "a//bc/", { "a", "", "bc", "" } }
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct midge_levels l;
        struct midge_slice level;
        midge_levels_init(&l, midge_slice_str(cases[i].text));
        for (size_t n = 0; cases[i].level[n]; n++) {
            assert_true(midge_levels_next(&l, &level));
            assert_slice(level, cases[i].level[n]);
        }
        assert_false(midge_levels_next(&l, &level));
        assert_false(midge_levels_next(&l, &level));
    }
}

static bool naive_lawful(const char *filter)
{
    if (*filter == 0)
        return false;
    for (const char *level = filter;; level = level_end(level) + 1) {
        const char *end = level_end(level);
        for (const char *c = level; c < end; c++)
            if ((*c == '+' || *c == '#') && (end - level != 1 || (*c == '#' && *end)))
                return false;
        if (*end == 0)
            return true;
    }
}

static void random_text(char *out, uint32_t *seed, const char *alphabet)
{
    uint32_t len = roll(seed, 8);
    for (uint32_t i = 0; i < len; i++)
        out[i] = alphabet[roll(seed, (uint32_t)strlen(alphabet))];
    out[len] = 0;
}

static void random_filters_and_names(void **state)
{
    (void)state;
    uint32_t seed = 17;
    uint32_t lawful = 0;
    uint32_t matched = 0;
    for (int step = 0; step < 400000; step++) {
        char filter[9], name[9];
        struct midge_filter f;
        random_text(filter, &seed, "a$/+#/+");
        random_text(name, &seed, "a$/a/");
        bool good = parse(filter, &f) == MIDGE_RC_SUCCESS;
        if (good != naive_lawful(filter))
            fail_msg("\"%s\"", filter);
        if (!good || !name[0])
            continue;
        bool match = finds(&f, name);
        if (match != naive_matches(filter, name))
            fail_msg("\"%s\" and \"%s\"", filter, name);
        lawful++;
        matched += match;
    }
    assert_true(lawful > 10000 && matched > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcards_stand_alone_in_their_level_and_hash_last),
        cmocka_unit_test(a_filter_is_taken_apart),
        cmocka_unit_test(a_share_needs_a_plain_name_and_a_filter),
        cmocka_unit_test(too_many_levels_are_refused),
        cmocka_unit_test(the_examples_of_the_standard),
        cmocka_unit_test(levels_are_walked),
        cmocka_unit_test(random_filters_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
