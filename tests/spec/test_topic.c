/* test_topic.c - topic names and filters: which are lawful, and what matches what. */
#include "morec.h"

/* ---- wildcards in names -------------------------------------------------------------------------------- */

SPEC("MQTT-3.3.2-2", "MQTT-4.7.0-1", "MQTT311-3.3.2-2", "MQTT311-4.7.1-1")
TEST(a_topic_name_holds_no_wildcard)
{
    static const char *const bad[] = { "a/#", "#", "a/+", "+", "+/a", "a+", "a#b", "$share/g/+" };
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    subscribe(watch, "$share/g/#", 0);
    for (size_t i = 0; i < COUNT(bad); i++) {
        for (uint8_t qos = 0; qos <= 2; qos++) {
            struct c_publish pub = { .topic = bad[i], .payload = "x", .qos = qos, .pid = 1 };
            struct peer *p = connect5("a");
            send_publish(p, &pub);
            expect_disconnect(p, 0x90);
            p = connect311("b");
            send_publish(p, &pub);
            expect_closed(p);
        }
    }
    expect_nothing(watch);
}

SPEC("MQTT-3.3.2-2", "MQTT-4.7.0-1")
TEST(a_topic_name_that_gets_an_alias_holds_no_wildcard)
{
    struct peer *p = connect5("a");
    send_publish(p, &(struct c_publish){ .topic = "a/+", .props = PROPS(prop_num(PROP_TOPIC_ALIAS, 1)) });
    expect_disconnect(p, 0x90);
}

SPEC("MQTT-4.7.0-1", "MQTT311-4.7.1-1")
TEST(a_will_topic_holds_no_wildcard)
{
    static const char *const bad[] = { "a/#", "#", "+", "a/+/b", "a+" };
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct c_will will = { .topic = bad[i], .payload = "gone" };
        struct peer *p = dial();
        send_connect(p, &(struct c_connect){ .client_id = "a", .clean_start = true, .will = &will });
        expect_connack(p, 0x90);
        p = dial();
        send_connect(
            p, &(struct c_connect){ .version = 4, .client_id = "a", .clean_start = true, .will = &will });
        expect_closed(p);
    }
    expect_nothing(watch);
}

SPEC("MQTT-3.3.2-14")
TEST(a_response_topic_holds_no_wildcard)
{
    static const char *const bad[] = { "r/+", "r/#", "#", "r+" };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct peer *watch = connect5("watch");
        subscribe(watch, "t", 0);
        struct peer *p = connect5("a");
        send_publish(
            p, &(struct c_publish){ .topic = "t", .props = PROPS(prop_text(PROP_RESPONSE_TOPIC, bad[i])) });
        expect_disconnect(p, 0x90);
        expect_nothing(watch);
        const struct c_will will = { .topic = "t", .props = PROPS(prop_text(PROP_RESPONSE_TOPIC, bad[i])) };
        p = dial();
        send_connect(p, &(struct c_connect){ .client_id = "a", .clean_start = true, .will = &will });
        expect_connack(p, 0x90);
        expect_nothing(watch);
        leave(watch);
    }
}

/* ---- wildcards in filters ------------------------------------------------------------------------------ */

SPEC("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT311-4.7.1-2", "MQTT311-4.7.1-3")
TEST(misplaced_wildcards_are_refused_and_not_stored)
{
    static const char *const bad[] = { "a#",   "#a",   "#/a", "a/#/b", "a/#/", "##",    "a/##", "/#/",  "+#",
                                       "a/+#", "a/#+", "a+",  "+a",    "a+/b", "a/+b/", "++",   "a/b+c" };
    struct peer *p = connect5("a");
    for (size_t i = 0; i < COUNT(bad); i++) {
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ bad[i], 1 }) });
        expect_codes(p, PK_SUBACK, 1, "8F");
        struct peer *q = connect311("b");
        send_subscribe(q, &(struct c_subscribe){ .pid = 1, FILTERS({ "good", 1 }, { bad[i], 1 }) });
        expect_closed(q);
    }
    CHECK_EQ(stats().subscriptions, 0);
}

static const struct {
    const char *filter, *topic;
    bool matches;
} pairs[] = {
    { "#", "a", true },
    { "#", "a/b/c", true },
    { "#", "/", true },
    { "#", "/a", true },
    { "a/#", "a", true }, /* "#" stands for the parent too */
    { "a/#", "a/", true },
    { "a/#", "a/b", true },
    { "a/#", "a/b/c/d", true },
    { "a/#", "ab", false },
    { "a/#", "b/a", false },
    { "/#", "/", true },
    { "/#", "/a", true },
    { "/#", "a", false },
    { "+", "a", true },
    { "+", "/a", false },
    { "+", "a/", false },
    { "+/+", "/a", true }, /* an empty level is a level */
    { "+/+", "a/", true },
    { "+/+", "a", false },
    { "/+", "/x", true },
    { "/+", "x", false },
    { "a/+", "a/", true },
    { "a/+", "a", false },
    { "a/+", "a/b/c", false },
    { "a/+/c", "a/b/c", true },
    { "a/+/c", "a//c", true },
    { "a/+/c", "a/b/d", false },
    { "+/b/#", "a/b", true },
    { "+/b/#", "a/c", false },
    { "+/+/+", "//", true },
    { "a//b", "a//b", true },
    { "a//b", "a/b", false },
    { "a/b", "a//b", false },
    { "a", "a/", false },
    { "a/", "a", false },
    { "a", "A", false },
    { " a", "a", false },
    { "a b/+", "a b/c d", true },
    { "\xC3\xA9", "\xC3\xA9", true },  /* é in one character, */
    { "\xC3\xA9", "e\xCC\x81", false } /* and in two: bytes count */
};

SPEC("MQTT-3.3.2-3", "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-4", "MQTT311-3.3.2-3", "MQTT311-4.7.1-2",
     "MQTT311-4.7.1-3", "MQTT311-4.7.3-4")
TEST(filters_match_level_by_level_and_byte_by_byte)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        for (size_t i = 0; i < COUNT(pairs); i++) {
            subscribe(p, pairs[i].filter, 0);
            publish(p, pairs[i].topic, "x", 0);
            CHECK_STR(format("%s|%s|%d", pairs[i].filter, pairs[i].topic, unread(p) > 0),
                      format("%s|%s|%d", pairs[i].filter, pairs[i].topic, pairs[i].matches));
            if (pairs[i].matches)
                expect_publish(p, pairs[i].topic, "x");
            unsubscribe(p, pairs[i].filter);
        }
        leave(p);
    }
}

/* Retained messages find a new subscription by the same rules, though another tree is searched. */
SPEC("MQTT-3.3.2-3", "MQTT-4.7.3-4", "MQTT311-3.3.2-3", "MQTT311-4.7.3-4")
TEST(retained_messages_match_as_live_ones_do)
{
    struct peer *p = connect5("a");
    for (size_t i = 0; i < COUNT(pairs); i++) {
        publish_retained(p, pairs[i].topic, "x", 0);
        subscribe(p, pairs[i].filter, 0);
        CHECK_STR(format("%s|%s|%d", pairs[i].filter, pairs[i].topic, unread(p) > 0),
                  format("%s|%s|%d", pairs[i].filter, pairs[i].topic, pairs[i].matches));
        if (pairs[i].matches)
            expect_publish(p, pairs[i].topic, "x");
        unsubscribe(p, pairs[i].filter);
        publish_retained(p, pairs[i].topic, "", 0);
        expect_nothing(p);
    }
}

/* ---- the same, drawn at random ------------------------------------------------------------------------- */

static uint32_t drawn;

static uint32_t draw(uint32_t below)
{
    drawn = drawn * 1664525 + 1013904223;
    return (drawn >> 16) % below;
}

/* Up to five levels out of few, so that many pairs match. */
static char *draw_levels(const char *const *from, uint32_t count, bool filter)
{
    char *out = keep(32);
    const uint32_t levels = 1 + draw(5);
    for (uint32_t i = 0; i < levels; i++) {
        if (i > 0)
            strcat(out, "/");
        if (filter && i + 1 == levels && draw(3) == 0)
            strcat(out, "#");
        else
            strcat(out, from[draw(count)]);
    }
    return out[0] ? out : draw_levels(from, count, filter);
}

static bool level_ends(char c)
{
    return c == '/' || c == '\0';
}

/* By the text of section 4.7: "+" for one level, "#" for all that are left and the one before. */
static bool should_match(const char *filter, const char *topic)
{
    if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#'))
        return false;
    while (true) {
        if (strcmp(filter, "#") == 0)
            return true;
        if (filter[0] == '+') {
            filter++;
            while (!level_ends(*topic))
                topic++;
        }
        while (!level_ends(*filter) && *filter == *topic) {
            filter++;
            topic++;
        }
        if (!level_ends(*filter) || !level_ends(*topic))
            return false;
        if (*topic == '\0')
            return *filter == '\0' || strcmp(filter, "/#") == 0;
        if (*filter == '\0')
            return false;
        filter++;
        topic++;
    }
}

SPEC("MQTT-3.3.2-3", "MQTT-4.7.2-1", "MQTT311-3.3.2-3", "MQTT311-4.7.2-1")
TEST(many_filters_drawn_at_random_match_as_the_standard_says)
{
    static const char *const in_filter[] = { "a", "b", "", "+", "+", "$x", "ab" };
    static const char *const in_topic[] = { "a", "b", "", "$x", "ab" };
    drawn = 2026;
    struct peer *p = connect5("a");
    struct peer *q = connect5("b");
    for (int round = 0; round < 40; round++) {
        const char *filters[12];
        for (uint32_t i = 0; i < COUNT(filters); i++) {
            filters[i] = draw_levels(in_filter, COUNT(in_filter), true);
            send_subscribe(p, &(struct c_subscribe){ .pid = 1,
                                                     .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, i + 1)),
                                                     FILTERS({ filters[i], 0 }) });
            expect_codes(p, PK_SUBACK, 1, "00");
            for (uint32_t k = 0; k < i; k++)
                if (strcmp(filters[k], filters[i]) == 0)
                    filters[k] = ""; /* replaced */
        }
        for (int n = 0; n < 20; n++) {
            const char *topic = draw_levels(in_topic, COUNT(in_topic), false);
            uint32_t want = 0;
            uint32_t got = 0;
            for (uint32_t i = 0; i < COUNT(filters); i++)
                if (filters[i][0] && should_match(filters[i], topic))
                    want |= 1u << (i + 1);
            publish(q, topic, "x", 0);
            if (unread(p) > 0) {
                struct packet pk = expect_publish(p, topic, "x");
                for (size_t k = 0; k < count_prop(&pk, PROP_SUBSCRIPTION_ID); k++)
                    got |= 1u << nth_prop(&pk, PROP_SUBSCRIPTION_ID, k)->number;
            }
            CHECK_STR(format("%s %x", topic, got), format("%s %x", topic, want));
        }
        for (uint32_t i = 0; i < COUNT(filters); i++)
            if (filters[i][0])
                unsubscribe(p, filters[i]);
    }
    CHECK_EQ(stats().subscriptions, 0);
}

/* ---- $ ------------------------------------------------------------------------------------------------- */

SPEC("MQTT-4.7.2-1", "MQTT311-4.7.2-1", "V31-dollar")
TEST(a_leading_wildcard_does_not_see_what_begins_with_a_dollar)
{
    for (int v = 3; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p, "#", 0);
        subscribe(p, "+/x", 0);
        subscribe(p, "+/#", 0);
        publish(p, "$foo/x", "1", 0);
        publish(p, "$foo", "1", 0);
        publish(p, "$", "1", 0);
        expect_nothing(p);
        subscribe(p, "$foo/#", 0);
        publish(p, "$foo/x", "2", 0);
        expect_publish(p, "$foo/x", "2");
        subscribe(p, "$foo/+", 0);
        publish(p, "$foo/y", "3", 0);
        expect_publish(p, "$foo/y", "3");
        publish(p, "foo/$x", "4", 0); /* only the first character counts */
        expect_publish(p, "foo/$x", "4");
        leave(p);
    }
}

SPEC("MQTT-4.7.2-1", "MQTT311-4.7.2-1", "V31-dollar")
TEST(a_leading_wildcard_does_not_see_the_broker_s_own_topics)
{
    config.sys_interval_s = 10;
    start();
    advance(11000);
    for (int v = 3; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p, "#", 0);
        subscribe(p, "+/+/#", 0);
        advance(11000);
        expect_nothing(p);
        subscribe(p, "$SYS/#", 0);
        CHECK(unread(p) > 0);
        read_all(p);
        leave(p);
    }
}

SPEC("MQTT-4.7.2-1", "MQTT311-4.7.2-1")
TEST(a_leading_wildcard_does_not_see_retained_messages_that_begin_with_a_dollar)
{
    struct peer *p = connect5("a");
    publish_retained(p, "$foo/x", "x", 0);
    subscribe(p, "#", 0);
    subscribe(p, "+/x", 0);
    subscribe(p, "$share/g/#", 0);
    expect_nothing(p);
    subscribe(p, "$foo/+", 0);
    expect_publish(p, "$foo/x", "x");
}

/* ---- length -------------------------------------------------------------------------------------------- */

SPEC("MQTT-4.7.3-1", "MQTT311-4.7.3-1")
TEST(names_and_filters_have_at_least_one_character)
{
    struct peer *p = connect5("a");
    send_hex(p, "30 03 00 00 00");
    expect_disconnect(p, 0x82);
    p = connect5("a");
    send_hex(p, "82 06 00 01 00 00 00 01");
    expect_disconnect(p, 0x8F);
    p = connect5("a");
    send_hex(p, "A2 05 00 01 00 00 00");
    expect_disconnect(p, 0x8F);
    p = dial();
    send_hex(p, "10 14 00 04 'MQTT' 05 06 00 00 00 00 01 'a' 00 00 00 00 01 'x'");
    expect_connack(p, 0x90);

    p = connect311("a");
    send_hex(p, "30 03 00 00 'x'");
    expect_closed(p);
    p = connect311("a");
    send_hex(p, "82 05 00 01 00 00 01");
    expect_closed(p);
    p = connect311("a");
    send_hex(p, "A2 04 00 01 00 00");
    expect_closed(p);
    p = dial();
    send_hex(p, "10 12 00 04 'MQTT' 04 06 00 00 00 01 'a' 00 00 00 01 'x'");
    expect_closed(p);
}

SPEC("MQTT-4.7.3-2", "MQTT311-4.7.3-2")
TEST(names_and_filters_hold_no_nul)
{
    static const char *const v5[] = { "30 06 00 03 'a' 00 'b' 00", "82 09 00 01 00 00 03 'a' 00 'b' 00",
                                      "A2 08 00 01 00 00 03 'a' 00 'b'" };
    static const char *const v311[] = { "30 05 00 03 'a' 00 'b'", "82 08 00 01 00 03 'a' 00 'b' 00",
                                        "A2 07 00 01 00 03 'a' 00 'b'" };
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    for (size_t i = 0; i < COUNT(v5); i++) {
        struct peer *p = connect5("a");
        send_hex(p, v5[i]);
        expect_disconnect(p, 0x81);
        p = connect311("b");
        send_hex(p, v311[i]);
        expect_closed(p);
    }
    expect_nothing(watch);
    CHECK_EQ(stats().subscriptions, 1);
}

/* The longest name there can be goes through as name, filter and retained topic. */
SPEC("MQTT-4.7.3-3", "MQTT311-4.7.3-3")
TEST(names_and_filters_may_have_65535_bytes)
{
    char *longest = text_of('x', 65535);
    longest[30000] = '/';
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        subscribe(p, longest, 1);
        publish_retained(p, longest, "1", 1);
        take_publish(p, longest, "1", 1);
        longest[65534] = 'y';
        publish(p, longest, "2", 1);
        expect_nothing(p);
        longest[65534] = 'x';
        unsubscribe(p, longest);
        subscribe(p, "+/+", 1);
        take_publish(p, longest, "1", 1);
        publish_retained(p, longest, "", 1);
        read_all(p);
        leave(p);
    }
}

/* A name of 65,535 levels is refused, or costs no more than its bytes. */
SPEC("MQTT-4.7.3-3", "MQTT311-4.7.3-3")
TEST(names_of_too_many_levels_are_refused)
{
    char *slashes = text_of('/', 65535);
    struct peer *p = connect5("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ slashes, 0 }) });
    CHECK(expect_packet(p, PK_SUBACK).codes[0] >= 0x80);
    send_publish(p, &(struct c_publish){ .topic = slashes });
    expect_disconnect(p, 0x90);
    p = connect311("b");
    send_publish(p, &(struct c_publish){ .topic = slashes });
    expect_closed(p);
    slashes[limits.topic_levels - 1] = '\0'; /* so many levels are served */
    p = connect5("a");
    subscribe(p, slashes, 0);
    publish(p, slashes, "x", 0);
    expect_publish(p, slashes, "x");
}
